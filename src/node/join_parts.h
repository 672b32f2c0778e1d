/* What the parts of joining and leaving share (wgdeck/join.h). Private to src/node/join*.c, but for the hub's side. */
#ifndef WGDECK_NODE_JOIN_PARTS_H
#define WGDECK_NODE_JOIN_PARTS_H

#include "change.h"
#include "wgdeck/join.h"
#include "wgdeck/plan.h"

enum { JOIN_PORT = 51820 };
#define JOIN_INTERFACE "wg0"
#define JOIN_OWNER "wgdeck join" /* of the helper's changes */

/* --- join_talk.c: requests and answers over a channel */

extern double join_haste; /* 1; tests divide all waiting by it */

struct join_talk {
    struct join_channel channel;
    const char *who;                          /* "the hub", "this machine" */
    uint64_t last;                            /* id of the last request */
    bool open, lost;
    const volatile sig_atomic_t *stop;        /* NULL: nothing interrupts */
    void (*event)(void *context, const cJSON *event); /* lines that belong to a request and are no answer; may be NULL */
    void *context;
    char code[24];                            /* of the last error; "lost", "late", "stopped", "garbled" are ours */
};
bool join_is_own_code(const char *code);
/* MEMBERS: what stands in the object behind "id". The answer, an object with "ok":true; or NULL with ERR, and TALK->code. cJSON_Delete. */
cJSON *join_ask(struct join_talk *talk, const char *members, double seconds, struct err *err);
bool join_is_stopped(const volatile sig_atomic_t *stop);

/* --- join_machine.c: what this machine is, before anything is touched */

struct join_machine {
    struct observation *seen;                 /* owned, unless it was given */
    bool given;
    struct address connection;                /* of the hub, where SSH has reached it; family 0: not known */
    struct address login;                     /* from where whoever types here is logged in; family 0: not known */
    struct address name_servers[8];
    size_t name_server_count;
};
int join_machine_look(struct join_machine *machine, const struct observation *given, struct err *err);
void join_machine_free(struct join_machine *machine);
int join_interface_check(const char *interface, struct err *err); /* may it have this name? */
/* Could IF, PORT and ENGINE be had here? Nothing is touched. OURS: an earlier join has made the interface. */
int join_machine_check(const struct join_machine *machine, const char *interface, uint16_t port, enum engine_choice engine, bool ours, struct err *err);
/* "192.0.2.5:51820" each, the likeliest first, into a JSON list. */
void join_machine_candidates(const struct join_machine *machine, const char *interface, uint16_t port, struct json *json);
bool join_is_private(const struct prefix *prefix); /* of space that belongs to nobody: a mesh may have it */
/* May traffic for PREFIX go into the tunnel INTERFACE of this machine? 0, or -1 with err that says why not. WHAT: "an address", "a route"... */
int join_machine_allows(const struct join_machine *machine, const char *interface, const struct prefix *prefix, const char *what, struct err *err);

/* --- join_answer.c: what the hub says, checked */

struct join_answer {
    char mesh[INVITATION_NAME], interface[16], name[INVITATION_NAME], hub[INVITATION_NAME], generation[CHANGE_GENERATION_MAX + 1];
    struct key hub_key;
    struct address *hub_addresses;            /* in the mesh; owned */
    size_t hub_address_count;
    struct plan_operation *operations;        /* owned */
    size_t count;
    char *sealed;                             /* a JSON list; owned */
    int64_t time;                             /* the hub's clock, Unix seconds */
    double within;                            /* of its guard, seconds */
    uint16_t port;                            /* of LISTEN_PORT; 0: none is given */
};
int join_answer_read(const cJSON *object, const struct invitation *invitation, const struct key *own, struct join_answer *answer, struct err *err);
/* Against the machine: nothing of it that is there may be taken over. */
int join_answer_check(const struct join_answer *answer, const struct join_machine *machine, const char *interface, struct err *err);
void join_answer_free(struct join_answer *answer);

/* --- join_trace.c: what this join has made here, so that it can be taken away again */

struct join_trace {
    char interface[IFNAMSIZ];
    char id[INVITATION_ID_LENGTH + 1];
    char *mesh, *name, *hub;                  /* owned; "" when not known yet */
    struct key hub_key;                       /* zero: not known */
    struct address hub_address;               /* in the mesh; family 0: not known */
    bool relay, kept;                         /* kept: the hub has said so */
    int64_t at;                               /* Unix seconds */
    char **made;                              /* paths that were not there before; owned */
    size_t made_count;
};
/* 0; 1: there is none; -1 with err: it cannot be read. */
int join_trace_read(const char *interface, struct join_trace *trace, struct err *err);
int join_trace_write(const struct join_trace *trace, struct err *err);
void join_trace_survey(struct join_trace *trace); /* fills made with what is not there now */
void join_trace_free(struct join_trace *trace);
/* What was made for INTERFACE goes: files, kept keys, folders that are empty then; the program only where nothing else uses it. The interface and its file are gone before. LEFT: what stays
 * and should not, a line each. */
void join_trace_remove(const struct join_trace *trace, struct buf *left);
/* Interfaces that have joined; malloc'd names. */
char **join_trace_list(size_t *count);

/* --- join_clean.c: the interface away, through the helper */

/* A dialogue with this machine's helper, by OPEN of the options or a child of our own. */
int join_helper_open(int (*open)(void *context, struct join_channel *helper, struct err *err), void *context, struct join_talk *talk, struct err *err);
void join_helper_close(struct join_talk *talk);
/* A change of an earlier join that was killed: its guard need not be waited for. 0, or -1 with err. */
int join_end_earlier(int (*open)(void *context, struct join_channel *helper, struct err *err), void *context, const char *name, struct err *err);
/* Interface, file and service of NAME go, confirmed; what is not there is fine. */
int join_clean_interface(struct join_talk *talk, const char *name, const char *mesh, struct err *err);

/* --- join.c */

/* A descriptor that is held while one joins or leaves here; -1 with err: somebody else does. */
int join_be_alone(struct err *err);

#endif
