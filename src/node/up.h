/* The inside of "wgdeck up" and "down": what a file asks for, the steps that this means, and each kind of step. Private to src/node. */
#ifndef WGDECK_NODE_UP_H
#define WGDECK_NODE_UP_H

#include <stddef.h>
#include <stdint.h>

#include "wgdeck/conf.h"
#include "wgdeck/up.h"
#include "wgdeck/wgquick.h"

/* --- up_file.c: a wg-quick file */

enum up_hook { HOOK_PRE_UP, HOOK_POST_UP, HOOK_PRE_DOWN, HOOK_POST_DOWN, HOOK_KINDS };
extern const char *const up_hook_names[HOOK_KINDS];

struct up_hooks {
    char **commands; /* %i is replaced; owned */
    size_t count, capacity;
};

struct up_file {
    char *path;
    char *name;                  /* of the interface */
    struct conf *conf;
    struct wgquick wanted;       /* no secret in it */
    char *dns;                   /* what its DNS lines say, or NULL */
    bool table_auto;             /* Table is auto or not given */
    uint32_t table;              /* else; 0: off */
    struct up_hooks hooks[HOOK_KINDS];
};

/* "wg0" or "/a/wg0.conf": the file's path and the interface's name (both owned by the caller). 0, or -1 with err. */
int up_file_find(const char *target, char **path, char **name, struct err *err);
int up_file_parse(const char *path, const char *name, const char *bytes, size_t length, struct up_file *file, struct err *err);
int up_file_read(const char *target, struct up_file *file, struct err *err); /* warns of a file that others may write or read */
void up_file_free(struct up_file *file);

/* Keys in memory that is locked, guarded and wiped. */
struct up_secrets {
    struct key private_key;      /* zero: none */
    size_t count;
    struct up_preshared {
        struct key public_key, preshared;
    } rows[];                    /* sorted by public key */
};
struct up_secrets *up_secrets_of_file(const struct conf *conf); /* NULL: no such memory is left */
const struct key *up_secrets_preshared(const struct up_secrets *secrets, const struct key *public_key); /* or NULL */
void up_secrets_free(struct up_secrets *secrets);

/* --- up_plan.c: what is to be done; pure */

enum up_step_kind {
    STEP_HOOK,      /* text */
    STEP_LINK,      /* make the interface */
    STEP_CONFIGURE, /* keys, port, mark, rows */
    STEP_ADDRESS,   /* prefix */
    STEP_START,     /* mtu (0: by the route to its endpoints), up */
    STEP_DNS,       /* only said: text */
    STEP_MARK,      /* table as the interface's mark */
    STEP_RULE_MARK, /* family, table: what the engine has not marked looks there */
    STEP_RULE_MAIN, /* family: before that in main, default routes left out */
    STEP_ROUTE,     /* prefix, table */
    STEP_FIREWALL,  /* family, table: as wg-quick, by nft if it is there */
    STEP_VALID_MARK,
    STEP_SAVE,      /* SaveConfig */
    STEP_UNRULE,    /* family, table: both rules */
    STEP_UNLINK,
    STEP_UNFIREWALL,
};

struct up_step {
    enum up_step_kind kind;
    enum up_hook hook;
    int family;
    struct prefix prefix;
    uint32_t table;
    unsigned mtu;
    const char *text; /* borrowed from the file */
};

struct up_plan {
    struct up_step *steps;
    size_t count, capacity;
};

enum { TABLE_MAIN = 254, TABLE_FIRST = 51820 /* wg-quick's */ };

/* FREE_TABLE: a routing table that nobody uses, for default routes. */
void up_plan_up(const struct up_file *file, uint32_t free_table, struct up_plan *plan);
/* RUNNING: what is there; its mark and rows say which rules were made. FILE may be NULL. */
void up_plan_down(const struct up_file *file, const struct device *running, struct up_plan *plan);
void up_plan_free(struct up_plan *plan);
void up_step_text(const struct up_step *step, const char *name, struct buf *text); /* one line without its end */

/* --- up_netlink.c: links, addresses, routes, rules. Each 0, or -1 with err. */

struct nl_sock;
struct nl_msg;
struct nl_sock *up_netlink_open(struct err *err);
/* One request of TYPE, its header first. Asking frees the message; TAKE (may be NULL) gets each answer. 0, or a negative errno. */
struct nl_msg *up_netlink_begin(int type, int flags, const void *header, size_t length);
int up_netlink_ask(struct nl_sock *socket, struct nl_msg *message, int (*take)(struct nl_msg *message, void *context), void *context);
const char *up_netlink_reason(int code);
/* A negative errno. */
int up_link_make(struct nl_sock *socket, const char *name);
int up_link_delete(struct nl_sock *socket, const char *name, struct err *err);
int up_link_start(struct nl_sock *socket, const char *name, unsigned mtu, struct err *err);
int up_link_stop(struct nl_sock *socket, const char *name, struct err *err);
int up_address(struct nl_sock *socket, const char *name, const struct prefix *prefix, bool add, struct err *err);
int up_route(struct nl_sock *socket, const char *name, const struct prefix *prefix, uint32_t table, uint32_t metric, bool add, struct err *err);
int up_rule_mark(struct nl_sock *socket, int family, uint32_t table, bool add, struct err *err); /* 1: it was there already; so below */
int up_rule_main(struct nl_sock *socket, int family, bool add, struct err *err);
int up_unrule(struct nl_sock *socket, int family, uint32_t table, struct err *err); /* both; none there is no error */
uint32_t up_mark_left_over(struct nl_sock *socket, int family); /* one whose table is empty: its interface died; 0: none */
bool up_table_is_used(struct nl_sock *socket, int family, uint32_t table);
unsigned up_fitting_mtu(struct nl_sock *socket, const struct device *device); /* for an interface with these endpoints */
unsigned up_path_mtu(struct nl_sock *socket, const struct address *to); /* 0 unknown; TO NULL: of the default route */
/* Its addresses, those that the kernel made for itself left out; owned by the caller. */
int up_addresses(struct nl_sock *socket, const char *name, struct prefix **addresses, size_t *count, struct err *err);

/* --- up_set.c: an engine is told what to change, row by row */

struct up_row_set {
    const struct key *public_key;
    bool update_only;             /* a row that is not there is not made */
    bool remove, replace_allowed; /* replace_allowed: what ALLOWED does not hold goes */
    bool set_keepalive;
    uint16_t keepalive;
    const struct key *preshared;  /* NULL: as it is; zero: none */
    struct endpoint endpoint;     /* family 0: as it is */
    const struct prefix *allowed; /* to be added */
    size_t allowed_count;
};
struct up_set {
    const char *name;
    const struct key *private_key; /* NULL: as it is; zero: none */
    bool set_port, set_mark, replace_peers;
    uint16_t port;
    uint32_t mark;
    struct up_row_set *rows;       /* owned by whoever made it, as what it points to */
    size_t row_count;
};
int up_set(enum engine_kind engine, const struct up_set *set, struct err *err);
/* The request to an engine, and those to the kernel, which go to SEND one by one (it wipes and frees them; 0, or a negative errno). */
void up_set_to_uapi(const struct up_set *set, struct buf *text); /* TEXT holds secrets */
int up_set_to_netlink(const struct up_set *set, int family, int (*send)(struct nl_msg *message, void *context), void *context);

/* --- up_configure.c */

/* Names become addresses in DEVICE's rows (a moment of patience when the resolver is not there yet). */
int up_resolve(struct wgquick *wanted, struct err *err);
int up_configure(enum engine_kind engine, const char *name, const struct device *device, const struct up_secrets *secrets, struct err *err);
int up_set_mark(enum engine_kind engine, const char *name, uint32_t mark, struct err *err);

/* --- up_program.c */

int up_hook_run(const char *command, struct err *err);   /* by sh */
int up_firewall(const char *name, int family, uint32_t mark, const struct prefix *addresses, size_t count, struct err *err); /* 1: no nft here */
void up_firewall_remove(const char *name);
int up_engine_start(const char *name, struct err *err);  /* 0 when its socket answers */
int up_engine_start_apart(const char *name, struct err *err); /* the same; it holds neither this program's input and output nor its session */
void up_engine_wait_for_end(const char *name);           /* after its link was deleted */
bool up_interrupted(void);                               /* a signal asks for the end */
void up_signals(bool take);

/* --- up_save.c */

/* The file again, as it runs now: rows, endpoints, port and addresses; comments and hooks stay. */
int up_save(struct up_file *file, const struct device *running, struct nl_sock *socket, struct err *err);

#endif
