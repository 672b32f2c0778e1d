/* Changing an interface under a guard (wgdeck/apply.h): the lock, the journal, the deeds that helper and guard share, and the guard. Private to src/node.
 *
 * Of an interface NAME a node keeps:
 *   /run/wgdeck/NAME.lock           flock: who changes it. The guard inherits the descriptor, so it is held as long as the helper or the guard lives
 *   /run/wgdeck/NAME.turn           flock: who acts at this moment (stage, finish, confirm, putting back), so that the guard and a confirm never both do
 *   /var/lib/wgdeck/NAME/change     the journal: what is needed to put back or to complete; it is there from before the first touch until all is done
 *   /var/lib/wgdeck/NAME/generation "8-3fa94c12", and in a second line the ID of the change that was confirmed last
 *   /var/lib/wgdeck/NAME/restored   ID, time and reason of the change that was put back last
 *   /var/lib/wgdeck/NAME/guard.log  what the guard had to do
 *   /var/lib/wgdeck/NAME/private-key, next-key   keys that are made and in no saved file yet
 *   beside the saved file: .NAME.conf.wgdeck-new, the file as it will be */
#ifndef WGDECK_NODE_CHANGE_H
#define WGDECK_NODE_CHANGE_H

#include "serve.h"
#include "state.h"

enum { CHANGE_ID_LENGTH = 16, CHANGE_OWNER_MAX = 128, CHANGE_GENERATION_MAX = 64, CHANGE_HASH_SIZE = 32 };

/* --- change_place.c: folders, small files, who is who. ROOT "" for the system itself; tests give another folder. */

extern const char *change_root;
char *change_path(const char *name, const char *file);              /* in /var/lib/wgdeck/NAME; malloc'd */
char *change_config_path(const char *name);                         /* /etc/wireguard/NAME.conf; malloc'd */
int change_make_folder(const char *name, struct err *err);          /* /var/lib/wgdeck/NAME, 0700 */
void change_sweep_folder(const char *name);                         /* files there that were being written when their writer was killed: they may hold keys */
int change_sync_folder_of(const char *path, struct err *err);
bool change_id_is_valid(const char *text);
void change_boot_identity(char text[static 96]);                    /* another after each boot, of a container too */
/* For the observation. The generation of the state that was confirmed last, and "alice@laptop, 41 s left" of a change that is neither confirmed nor put back yet; malloc'd, NULL: none.
 * Cheap: when there was no change yet, one open that fails. They never wait for anything. */
char *change_generation(const char *name);
char *change_pending(const char *name);

/* --- change_lock.c */

/* Waits at most PATIENCE seconds. 0 with a descriptor; 1: HOLDER says who has it; -1 with err. */
int change_lock(const char *name, const char *id, const char *owner, double patience, int *descriptor, struct buf *holder, struct err *err);
bool change_lock_again(int descriptor); /* it is held still, or again */
void change_unlock(int *descriptor);    /* free for others, whoever has inherited it; closes */
bool change_lock_is_free(const char *name);
/* The turn: a descriptor, or -1 with err. HOLDER (may be NULL): the process that has it, when the patience is over; 0 unknown. */
int change_turn(const char *name, double patience, pid_t *holder, struct err *err);
void change_turn_end(int descriptor);

/* --- change_journal.c */

#define CHANGE_STEPS(X) X(STAGED, "staged") X(FINISHED, "finished") X(CONFIRMED, "confirmed" /* the files are taking their names: it can only be completed */)
enum change_step {
#define X(name, word) CHANGE_##name,
    CHANGE_STEPS(X)
#undef X
};

struct change_journal {
    char id[CHANGE_ID_LENGTH + 1], name[IFNAMSIZ], boot[96];
    char *owner, *generation;     /* generation may be NULL */
    int64_t began;                /* wall clock, ns */
    int64_t deadline;             /* clock_steady, ns */
    enum change_step step;
    bool finish_needed;           /* not to be confirmed before step FINISHED */
    bool takes_away;              /* the interface goes, and its file and service */
    bool service;                 /* is to be brought up at boot */
    char *file, *prepared;        /* the saved file (symbolic links followed) and the one that takes its name; prepared NULL: the file stays as it is */
    bool file_exists;             /* when it was staged; then FILE_HASH is of what was in it */
    uint8_t file_hash[CHANGE_HASH_SIZE];
    struct state old;
};

int change_journal_write(const struct change_journal *journal, struct err *err); /* whole or not at all, synced */
int change_journal_read(const char *name, struct change_journal *journal, struct err *err); /* 0; 1: there is none; -1 with err */
bool change_journal_is_there(const char *name, const char *id); /* this change's; one that cannot be read is none that is gone. Reads no secret */
int change_journal_remove(const char *name, struct err *err);
void change_journal_free(struct change_journal *journal); /* wipes what is secret */
int change_journal_parse(const char *bytes, size_t length, struct change_journal *journal, struct err *err);
void change_journal_text(const struct change_journal *journal, struct buf *text); /* holds secrets: buf_wipe */

/* --- change_file.c: the saved file */

/* What journal->file is, and its bytes (BUF: holds secrets). 0, or -1 with err; none there is no error (file_exists). */
int change_file_look(const char *name, struct change_journal *journal, struct buf *bytes, struct err *err);
/* TEXT is written beside it and synced; what could keep it from taking the name is looked for. */
int change_file_prepare(struct change_journal *journal, const struct buf *text, struct err *err);
bool change_file_is_as_it_was(const struct change_journal *journal, struct err *err); /* false with err: someone has changed it since */
bool change_file_is_swapped(const struct change_journal *journal); /* what has to take its name, or go away, has */
int change_file_swap(const struct change_journal *journal, struct err *err);
void change_file_drop(const struct change_journal *journal); /* the prepared ones */
void change_file_forget(const char *name);                   /* one that was prepared by a helper that was killed before it could write a journal */
int change_file_check_folders(const struct change_journal *journal, struct err *err);

/* --- change_keys.c: keys that are made here. Guarded memory throughout. */

struct change_secrets {
    uint8_t box_secret[KEY_SIZE], box_public[KEY_SIZE];
    struct key private_key;       /* of what runs, else of the saved file, else the kept one; zero: none */
    struct key next_key;          /* of a rotation; zero: none */
    struct up_secrets *preshared; /* made for this change, and taken from sealed ones; NULL: none */
};
struct change_secrets *change_secrets_new(struct err *err);
void change_secrets_free(struct change_secrets *secrets);
int change_keys_find(const char *name, const struct state *state, bool make, bool next, struct change_secrets *secrets, struct err *err);
void change_keys_saved(const char *name, const char *file); /* kept keys that are in the saved file now are no longer needed beside it */
int change_preshared_put(struct change_secrets *secrets, const struct key *public_key, const struct key *preshared, struct err *err); /* a second one takes the place of the first */
int change_preshared_make(struct change_secrets *secrets, const struct key *public_key, const char *box, struct buf *sealed, struct err *err); /* SEALED: base64 */
int change_preshared_take(struct change_secrets *secrets, const struct key *public_key, const char *sealed, struct err *err);

/* --- change_deed.c: what helper and guard both can do. Each takes the turn itself. */

enum change_outcome { CHANGE_DONE, CHANGE_FAILED, CHANGE_IS_REFUSED, CHANGE_UNKNOWN, CHANGE_BUSY, CHANGE_IS_GUARDED };
extern const char *const change_codes[]; /* the words of the wire */

/* Into ERR: why the change ID is not there any more. */
void change_say_unknown(const char *name, const char *id, struct err *err);
/* As state_read, but an engine that died is no error: what it ran does not exist. 0, or -1 with err. */
int change_read_state(const char *name, struct state *state, struct err *err);
/* The journal's old state runs again; then the journal goes. The caller has the turn. 0, or -1 with err: the journal stays. */
int change_put_back(struct change_journal *journal, const char *why, struct err *err);
/* WARNINGS: a line each. */
enum change_outcome change_confirm(const char *name, const char *id, struct buf *warnings, struct err *err);
enum change_outcome change_revert(const char *name, const char *id, const char *why, struct err *err);
/* Whatever was left behind, by anyone: put back, or completed when it was being confirmed. SAID: what was done; empty: nothing was left. The caller has the lock. 0, or -1 with err. */
int change_recover(const char *name, struct buf *said, struct err *err);

/* --- guard.c */

/* A guard for the change in NAME's journal, which inherits the descriptor LOCK. When it has begun to watch: the end of a pipe that is readable when the guard has ended; else -1 with err. */
int guard_start(const char *name, int lock, struct err *err);
int guard_wait_end(int descriptor, double patience); /* 0: it has ended; closes */
/* The guard itself: node_guard (wgdeck node --guard NAME), with the lock as descriptor 3 and that pipe as 4. */
enum { GUARD_LOCK = 3, GUARD_PIPE = 4 };

#endif
