/* The inside of invite.h: invite.c (its life, its hubs), invite_steps.c (the dialogue with them), invite_rows.c (what hubs keep), invite_make.c (hub, address, plan of both ends, the request), invite_token.c
 * (the answer, and what the token says), invite_file.c (the mesh file). Private to src/deck. */
#ifndef WGDECK_DECK_INVITE_PRIVATE_H
#define WGDECK_DECK_INVITE_PRIVATE_H

#include "helper.h"
#include "wgdeck/invite.h"
#include "wgdeck/observed.h"

enum { INVITE_HUBS = 8 };

/* One of those that may keep invitations. */
struct invite_asked {
    struct invite *invite;
    size_t node;               /* index in mesh->nodes */
    struct helper *helper;
    bool answered, failed;     /* its list is among the rows; it could not be asked */
};

struct invite {
    struct ev_loop *loop;
    struct invite_options options; /* its texts are these: */
    char *name, *hub, *address;
    struct buf hubs;               /* names of those that are asked, as a pattern */
    struct invite_callbacks callbacks;
    void *context;
    struct conf *conf;
    struct mesh *mesh;             /* of its own: the file's is replaced whenever it is edited */
    struct look *look;
    struct look_program program;
    struct invite_asked asked[INVITE_HUBS];
    size_t asked_count, waiting;   /* answers that are still to come */
    struct invite_row *rows;
    size_t row_count, row_capacity;
    struct ev_timer later;         /* the next step, outside of anybody's call; the patience with other nodes; the next question of a wait */
    enum invite_step { STEP_LISTS, STEP_NODES, STEP_SENDING, STEP_WAITING, STEP_REVOKING, STEP_OVER } step;
    enum invite_result result;
    struct buf working, warnings, said;
    char *error, *owner;
    /* MAKE */
    struct invitation invitation;  /* holds a secret */
    struct buf token;              /* a secret */
    struct prefix *addresses;      /* the newcomer's */
    size_t address_count;
    bool exists;                   /* [Node NAME] was in the file before */
    unsigned tries;                /* asked again so often, since what was chosen was taken meanwhile */
    bool edited;                   /* [Node NAME] was written for it */
    struct buf before;             /* the file, before that */
    struct key place;
    bool joining;                  /* STEP_WAITING: someone is at it */
    bool lost;                     /* STEP_WAITING: the hub cannot be reached now */
};

/* invite.c */
void invite_soon(struct invite *invite, double seconds);
void invite_work(struct invite *invite, const char *format, ...) __attribute__((format(printf, 2, 3)));
void invite_warn(struct invite *invite, const char *format, ...) __attribute__((format(printf, 2, 3)));
void invite_say(struct invite *invite, const char *format, ...) __attribute__((format(printf, 2, 3)));
void invite_fail(struct invite *invite, const char *format, ...) __attribute__((format(printf, 2, 3))); /* and it is over */
int invite_reconnect(struct invite *invite, struct err *err);              /* to the hub alone, with everything new; not inside anybody's call */
void invite_end(struct invite *invite);                                   /* well */
const char *invite_hub_name(const struct invite *invite);                  /* of MAKE */
int64_t invite_hub_time(const struct invite *invite);                      /* Unix seconds by the hub's clock, as near as is known */

/* invite_steps.c */
void invite_ask_list(struct invite_asked *asked);
void invite_lists_are_there(struct invite *invite);
void invite_nodes_are_there(struct invite *invite);
void invite_poll(struct invite *invite);                                   /* has it been used? */

/* invite_rows.c */
int invite_rows_read(struct invite *invite, size_t hub, const cJSON *answer, struct err *err); /* in the place of those that HUB said before */
void invite_rows_free(struct invite *invite);
const struct invite_row *invite_row_of(const struct invite *invite, const char *name_or_id, bool (*fits)(const struct invite_row *row)); /* the newest; or NULL */
bool invite_row_is_open(const struct invite_row *row);
bool invite_row_is_used(const struct invite_row *row);

/* invite_make.c */
int invite_choose_hub(struct invite *invite, struct err *err);             /* into asked[0] */
int invite_check_name(struct invite *invite, struct err *err);
int invite_make_request(struct invite *invite, struct buf *members, struct err *err); /* when the hub's list and the nodes' readings are there */

/* invite_token.c */
bool invite_has_place(const struct invite *invite);                        /* of the hub's sshd, for the new machine */
int invite_read_address(const char *text, char *host, size_t capacity, uint16_t *port); /* HOST[:PORT], [V6]:PORT; port 0: not given. 0, or -1 */
int invite_make_token(struct invite *invite, const cJSON *answer, struct err *err);

/* invite_file.c */
void invite_file_newcomer(const struct invite *invite, struct mesh_edits *edits); /* [Node NAME], as it is invited */
int invite_file_reserve(struct invite *invite, struct err *err);           /* [Node NAME] with its Address, of an ordinary member */
void invite_file_put_back(struct invite *invite);                          /* that again, when the hub does not keep the invitation */
int invite_file_withdraw(struct invite *invite, const struct invite_row *row, struct err *err); /* the same of one that is revoked */
int invite_file_record(struct invite *invite, const struct invite_row *row, struct err *err);   /* what it did is said */

#endif
