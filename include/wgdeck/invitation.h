/* Joining without SSH to the node (DESIGN section 11): the invitation as a token, as a line of authorized_keys, and as the hub keeps it; and what is said on the wire. Pure.
 *
 * The deck makes an invitation: an Ed25519 key for one login, and the plan of both ends (plan.h operations for the hub and for the newcomer, whose key is not known yet). It goes to
 * the hub by the helper's operations (as root, over the operator's own SSH):
 *
 *   {"op":"invite","interface":"wg0","invitation":ID,"mesh":"prod","name":"mail","relay":true,"expires":UNIX SECONDS,"by":"alice@laptop","public":"ssh-ed25519 AAAA...",
 *    "place":KEY,"hub":[operations],"node":[operations],"addresses":["10.44.0.193/32"],"relay_port":51821|0}
 *        ID: 16 hex digits ("id" is the number of the request; in files and lists the invitation's). KEY stands in the operations where the newcomer's WireGuard key will. Writes the record (0600, /var/lib/wgdeck/IF/invitations/ID), installs the program
 *        (boot_install) and adds the one line to the dedicated authorized_keys file; puts all of it back when one fails.
 *        -> {"user":"root","port":22,"host_keys":["ssh-ed25519 AAAA...",...],"file":"/root/.ssh/authorized_keys2","warnings":[...]}
 *        codes: "taken" (an open invitation, or a joined node, of that name or address), "refused" (this sshd would not take the key: why, and what to set)
 *   {"op":"invitations","interface":"wg0"}
 *        -> {"invitations":[{"id","name","relay","made":UNIX,"by","expires":UNIX,"state":"open|joining|used|expired|revoked","addresses":[...],"key":...|null,"from":"198.51.100.7"|null,"hostname":...|null,
 *             "host_key":...|null,"at":UNIX|null}]}
 *   {"op":"revoke","interface":"wg0","invitation":ID}  -> {"was":"open|used|expired|revoked"}   ends a join that is under way with it, too; one that was used stays joined
 *
 * The newcomer logs in with the token's key; sshd runs "wgdeck node --join ID", which speaks JSON lines and nothing else:
 *
 *   {"id":1,"op":"join","public_key":KEY,"box":BASE64,"hostname":"mail","version":"...","time":UNIX,"candidates":["192.168.1.5:51820","[2001:db8::5]:51820"],
 *    "host_key":"ssh-ed25519 AAAA..."}    host_key: of its own sshd, if it has one: for the mesh file, so that SSH to it through the hub is sure of it
 *        The hub takes its lock, puts the key into the operations, makes the preshared key if a row says so, and stages its side under a guard (apply.h), at most 45 s.
 *        -> {"mesh":"prod","interface":"wg0","name":"mail","relay":true,"operations":[the newcomer's],"sealed":[{"key":HUB'S KEY,"sealed":BASE64}],"hub":{"name":"hub","key":KEY,"box":BASE64,
 *            "addresses":["10.44.0.1"]},"seen":"198.51.100.7","time":UNIX,"within":45,"generation":"..."}
 *   {"id":2,"op":"check"}   the hub's end of the link: waits at most 10 s for a handshake and a ping -> {"rtt":microseconds} or failed with why
 *   {"id":3,"op":"keep"}    the hub confirms: its file is written, the invitation is burnt, "joined" is noted -> {}
 *   {"id":4,"op":"give-up","why":"..."}  the hub puts its side back; the invitation is open again -> {}
 *   {"id":5,"op":"bye"}     after "keep", when the newcomer has noted that it is kept: the line is burnt -> {}. Without it the line stays for the same key to ask again, at most 10 minutes.
 *   End of input before "keep": as give-up. Errors as in apply.h; codes: "expired", "revoked", "used", "busy" (someone joins with it just now), "locked", "taken", "failed".
 * A newcomer that shows the key of a join that was kept already, while the record is there and the time not over, gets the same answers again (its answer to "keep" was lost).
 *
 * Order at the end: the newcomer confirms its own side first, then says "keep": whoever is killed in between, the same command again finishes it; the hub alone never keeps half. */
#ifndef WGDECK_INVITATION_H
#define WGDECK_INVITATION_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"
#include "wgdeck/json.h"
#include "wgdeck/key.h"
#include "wgdeck/prefix.h"

enum { INVITATION_ID_LENGTH = 16, INVITATION_SEED = 32, INVITATION_PLACES = 4, INVITATION_HOST_KEYS = 3, INVITATION_NAME = 64, INVITATION_TOKEN_MAX = 2048 };

/* What a token holds. */
struct invitation {
    char id[INVITATION_ID_LENGTH + 1];
    char mesh[INVITATION_NAME], name[INVITATION_NAME], hub[INVITATION_NAME]; /* safe names of the mesh, the newcomer and the hub's node */
    char user[33];                             /* login on the hub */
    bool relay;
    int64_t expires;                           /* Unix seconds */
    uint8_t seed[INVITATION_SEED];             /* of the Ed25519 key for the login: secret */
    struct { char host[256]; uint16_t port; } places[INVITATION_PLACES]; /* of the hub's sshd: names or addresses, the likeliest first */
    size_t place_count;
    char host_keys[INVITATION_HOST_KEYS][1024]; /* "ssh-ed25519 AAAA..."; as HostKey in the mesh file */
    size_t host_key_count;
};

/* One line of letters, digits, '-', '_' and one '.', with nothing that a shell or a mail program changes: "wgdeck1.…". It holds a length and a checksum, so that one that was cut is told
 * from one that was altered. TOKEN holds a secret: buf_wipe. */
void invitation_encode(const struct invitation *invitation, struct buf *token); /* the last places and host keys are left out where they have no room */
/* Blanks and line ends in TEXT (mails fold lines) do not matter. 0, or -1 with err ("the token is cut: 214 of 288 characters are there; copy it whole"). INVITATION is overwritten. */
int invitation_decode(const char *text, size_t length, struct invitation *invitation, struct err *err);
void invitation_wipe(struct invitation *invitation);
bool invitation_is_host_key(const char *text); /* "ssh-ed25519 AAAA...", of any type, with what its type says in it */
bool invitation_is_host(const char *text); /* what may stand as a place's host: an address, or a name of letters, digits, '.', '-' and '_' */

void invitation_public(const struct invitation *invitation, struct buf *line);  /* "ssh-ed25519 AAAA..." */
void invitation_private(const struct invitation *invitation, struct buf *text); /* as a private key file of OpenSSH: secret */

/* The dedicated file. COMMAND: the path and words of the forced command (plain characters only). EXPIRES_LOCAL: "20261123053000", the hub's local time, as every sshd since 7.7 reads it.
 * The line carries the id in its comment. */
int invitation_line(const char *id, const char *name, const char *public_line, const char *expires_local, const char *command, struct buf *line, struct err *err);
/* FILE with LINE added, or (LINE NULL) without the line of ID; all other bytes stay as they are. True: something differs. */
bool invitation_file_edit(const char *file, size_t length, const char *id, const char *line, struct buf *result);

/* As the hub keeps it. */
enum invitation_state { INVITATION_OPEN, INVITATION_JOINING, INVITATION_USED, INVITATION_EXPIRED, INVITATION_REVOKED };
extern const char *const invitation_states[]; /* the words */
struct invitation_record {
    char id[INVITATION_ID_LENGTH + 1];
    char *interface, *mesh, *name, *by, *public_line; /* owned */
    char *generation;                          /* may be NULL; owned */
    bool relay;
    uint16_t relay_port;                       /* of the opaque relay there; 0: none */
    int64_t made, expires;                     /* Unix seconds */
    enum invitation_state state;               /* as written; EXPIRED is told by expires */
    struct key place;                          /* stands in the operations for the newcomer's key */
    char *hub, *node;                          /* operations: JSON lists as they came, checked; owned */
    struct prefix *addresses;                  /* the newcomer's, host prefixes; owned */
    size_t address_count;
    bool has_key;                              /* used (or joining): by this one */
    struct key key;
    char *from, *hostname, *host_key;          /* used: from which address, what it calls itself, its sshd's key; owned; may be NULL */
    int64_t at;                                /* used: when */
};
/* The request "invite" (or a file of the hub) is read by the first; the file and the rows of "invitations" are written by the others. All is checked: names, lengths, counts, operations
 * (only those of the kinds that a join needs: on the hub ROW for PLACE, ROUTE, FORWARDING, FILE; on the node INTERFACE, LISTEN_PORT, MTU, ADDRESS, ROW, ROUTE, FORWARDING, FILE,
 * SERVICE). */
int invitation_record_read(const cJSON *object, struct invitation_record *record, struct err *err);
void invitation_record_write(const struct invitation_record *record, struct json *json); /* members of an object that is open */
void invitation_record_show(const struct invitation_record *record, int64_t now, struct json *json); /* one object of "invitations" */
void invitation_record_free(struct invitation_record *record);
/* OPERATIONS (a JSON list) with KEY instead of PLACE. 0, or -1 with err. */
int invitation_operations(const char *operations, const struct key *place, const struct key *key, struct buf *list, struct err *err);

#endif
