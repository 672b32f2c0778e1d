/* What a hub does for an invitation (wgdeck/invitation.h): its record, its line in an authorized_keys file, what sshd says of itself. Private to src/node/invite*.c and join_hub*.c.
 *
 *   /var/lib/wgdeck/IF/invitations/ID  the record, 0600: the members of invitation_record_write, and "file", "user", "burnt". One that was used stays for as long as the node that joined
 *                                      has its row, and is the source of the observation's "joined"
 *   /run/wgdeck/IF:invitations.turn    flock: who changes records or lines at this moment
 *   /run/wgdeck/join:ID.turn           flock: who joins by ID (its process is in it) */
#ifndef WGDECK_NODE_INVITE_PARTS_H
#define WGDECK_NODE_INVITE_PARTS_H

#include <sys/types.h>

#include "change.h"
#include "wgdeck/invitation.h"

/* --- invite_run.c */

struct account {
    char name[33];
    uid_t uid;
    gid_t gid;
    char *home, *shell; /* owned */
};
enum { ACCOUNT_GROUPS = 256 };
int account_find(const char *name, struct account *account); /* 0; 1: there is none in /etc/passwd */
/* Its groups in /etc/group: IDS, its own first; names, NULL at the end, with free. */
char **account_groups(const struct account *account, gid_t ids[static ACCOUNT_GROUPS], size_t *count);
void account_free(struct account *account);
/* In a child that is to be nobody else: groups, ids, home as the working folder. AS NULL or of our own id: as we are. 0, or -1. */
int account_become(const struct account *as);
/* Runs WORDS[0] (a path) with a fixed environment and no input, as AS (NULL: as we are). OUT and SAID (may be NULL): its two outputs, 1 MiB at most each. Its exit status; -1 with err: it cannot
 * be started, or does not end within PATIENCE seconds. */
int invite_run(const char *const words[], const struct account *as, double patience, struct buf *out, struct buf *said, struct err *err);

/* --- invite_sshd.c: what sshd would do with a key */

struct sshd_says {
    char *text;                                    /* owned */
    struct sshd_line { const char *key, *value; } *lines; /* into text; owned */
    size_t count;
};
void sshd_parse(const char *text, struct sshd_says *says); /* what "sshd -T" prints */
void sshd_free(struct sshd_says *says);
const char *sshd_value(const struct sshd_says *says, const char *key, size_t index); /* the INDEXth of KEY, or NULL */
/* Asks the sshd that serves this login, or the system's, about USER. 0, or -1 with err. */
int sshd_ask(const char *user, const char *connection, struct sshd_says *says, struct err *err);
/* Would a key of ACCOUNT let in, and run its command? GROUPS: names of its groups, NULL at the end. WARNINGS: lines. 0, or -1 with err: why not, and what to set. */
int sshd_accepts(const struct sshd_says *says, const struct account *account, const char *const groups[], struct buf *warnings, struct err *err);
/* The file for the lines: one that sshd reads for ACCOUNT and that nobody keeps by hand. malloc'd; NULL with err. */
char *sshd_choose_file(const struct sshd_says *says, const struct account *account, struct err *err);
/* Public host keys, "ssh-ed25519 AAAA...", Ed25519 first, at most INVITATION_HOST_KEYS; malloc'd. How many; 0 with err. */
size_t sshd_host_keys(const struct sshd_says *says, char *keys[static INVITATION_HOST_KEYS], struct err *err);

/* --- invite_line.c: the line in the file of an account */

/* LINE added to PATH, or (NULL) the line of ID taken out of it; other lines stay. A file of an account's home is touched as that account, so that nothing which its owner has put in the way
 * reaches further than they do. MADE_FOLDER (may be NULL): the folder was not there. No file and no LINE is fine. 0, or -1 with err: it is as it was. */
int invite_line_set(const struct account *account, const char *path, const char *id, const char *line, bool *made_folder, struct err *err);
void invite_line_remove_folder(const struct account *account, const char *path); /* of PATH, when it is empty */

/* --- invite_list.c */

/* The interface of the request, when it can be one and we are root; else the request is refused and NULL. */
const char *invite_request_interface(struct server *server, const cJSON *request);
const char *invite_request_id(const cJSON *request); /* its "invitation"; NULL: none, or not the number of one */
void invite_add_lines(struct json *json, const char *key, const struct buf *lines); /* a list of texts, from lines */
void invite_show_all(struct server *server, const cJSON *request);
void invite_revoke(struct server *server, const cJSON *request);

/* --- invite_store.c: records */

struct invite_entry {
    struct invitation_record record;
    char *file, *user;  /* where its line is, and whose; owned; may be NULL */
    bool burnt;         /* the line is gone */
};
bool invite_id_is_valid(const char *id);
int invite_lock(const char *interface, struct err *err); /* a descriptor for change_turn_end, or -1 */
int invite_join_lock(const char *id, double patience, pid_t *holder); /* the same; -1: somebody joins with it */
bool invite_is_joining(const char *id);
char *invite_interface_of(const char *id);               /* malloc'd; NULL: there is no such invitation */
int invite_read(const char *interface, const char *id, struct invite_entry *entry, struct err *err); /* 0; 1: there is none; -1 with err */
int invite_write(const struct invite_entry *entry, struct err *err);
int invite_remove(const struct invite_entry *entry, struct err *err);
void invite_entry_free(struct invite_entry *entry);
struct invite_list { struct invite_entry *entries; size_t count, capacity; };
void invite_list_read(const char *interface, struct invite_list *list, struct buf *warnings); /* all that can be read, the oldest first */
void invite_list_free(struct invite_list *list);

/* --- invite_sweep.c: what time does to records. The caller has the lock. */

int invite_burn(struct invite_entry *entry, struct err *err); /* its line goes, and the record says so; it is written */
/* JOINING of whom nobody is there any more: used if its row is kept, else open again. True: the entry has changed, and is written. */
bool invite_settle(struct invite_entry *entry, const struct device *device);
/* All of the interface: settled, expired, their lines burnt; what nobody asks for any more removed. DEVICE: as it runs; NULL: not known. */
void invite_sweep(const char *interface, const struct device *device, struct buf *warnings);
/* What runs as INTERFACE, without secrets. 0, or -1 with err. Tests set another one. */
extern int (*invite_device)(const char *interface, struct device *device, struct err *err);

#endif
