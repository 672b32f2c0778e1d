/* What ~/.ssh/config means for a target, as ssh itself says (ssh -G), asked off the loop and kept. */
#ifndef WGDECK_SSH_SSH_CONFIG_H
#define WGDECK_SSH_SSH_CONFIG_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "wgdeck/err.h"

struct text_list {
    char **items;
    size_t count, capacity;
};

enum host_key_strictness { STRICT_ASK, STRICT_YES, STRICT_ACCEPT_NEW, STRICT_NO };

struct ssh_target {
    char *asked;               /* the host as named in the target */
    char *host, *user;         /* HostName and User that hold */
    unsigned port;
    char *jump, *command;      /* ProxyJump, ProxyCommand; NULL: none */
    char *host_key_alias;
    char *agent;               /* path of the agent's socket; NULL: none */
    struct text_list identities, certificates, known_hosts, global_known_hosts; /* paths, ~ and %-marks replaced */
    bool identities_only, hash_known_hosts, known_hosts_command;
    bool no_public_key, no_password, no_keyboard_interactive; /* switched off in the configuration */
    enum host_key_strictness strictness;
    unsigned alive_interval, alive_count;
    int family;
    char *needs_ssh;           /* why libssh cannot do this one (ProxyCommand, ...); NULL: it can */
};
void ssh_target_free(struct ssh_target *target);

/* "[user@]host[:port]", "[v6]:port", "ssh://...", an alias. USER is NULL and PORT 0 when not given. 0, or -1. */
int ssh_target_parse(const char *text, char **user, char **host, unsigned *port, struct err *err);
/* From the text that ssh -G prints. NULL with err. */
struct ssh_target *ssh_target_from_answer(const char *answer, const char *asked, struct err *err);
/* Host, user and port, and nothing else: no agent, no file. */
struct ssh_target *ssh_target_bare(const char *user, const char *host, unsigned port);
/* OpenSSH's defaults, for a machine without ssh. */
struct ssh_target *ssh_target_default(const char *user, const char *host, unsigned port);

struct ssh_config;
struct ssh_config *ssh_config_new(struct ev_loop *loop, const char *file); /* FILE: -F, or NULL */
void ssh_config_free(struct ssh_config *config);

/* The answer comes on the loop, never from inside: TARGET (the callee's), or NULL and WHY. */
struct ssh_config_question;
struct ssh_config_question *ssh_config_ask(struct ssh_config *config, const char *target,
                                           void (*answered)(void *context, struct ssh_target *target, const char *why), void *context);
void ssh_config_cancel(struct ssh_config_question *question); /* NULL is fine */

/* How many times ssh was run, for tests. */
unsigned ssh_config_runs(const struct ssh_config *config);

#endif
