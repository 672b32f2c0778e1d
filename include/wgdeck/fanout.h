/* Many SSH sessions on one loop. A session is kept, reconnects by itself when asked, and never makes another one wait.
 * What libssh does that must be known is in src/ssh/README.md; why each deadline exists stands at struct fanout_deadlines. */
#ifndef WGDECK_FANOUT_H
#define WGDECK_FANOUT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/err.h"

/* Phases of a session, each with a deadline of its own. */
enum fanout_phase {
    PHASE_WAITING,      /* for a place among the handshakes, or for the next try */
    PHASE_RESOLVE,      /* names, and what ssh -G says of the target */
    PHASE_CONNECT,      /* TCP, v6 and v4 raced; or the forward through a jump host */
    PHASE_KEY_EXCHANGE, /* banner, key exchange, host key check */
    PHASE_LOGIN,
    PHASE_OPEN,         /* ready for requests */
    PHASE_CLOSED,       /* ended, by us or for good by an error */
};
const char *fanout_phase_text(enum fanout_phase phase); /* "connecting", "logging in", ... */

struct fanout_deadlines { /* seconds */
    double resolve, connect, key_exchange, login, request, silence;
};

/* Why a session failed, for the exit status and for what to say. */
enum fanout_failure {
    FAILURE_NONE,
    FAILURE_RESOLVE, FAILURE_REFUSED, FAILURE_TIMEOUT, FAILURE_NETWORK,
    FAILURE_HOST_KEY_UNKNOWN, FAILURE_HOST_KEY_CHANGED, FAILURE_HOST_KEY_REVOKED,
    FAILURE_LOGIN, FAILURE_PROTOCOL, FAILURE_CONFIG, FAILURE_LOST, FAILURE_SUDO,
};

/* Something only a person can answer. The answer may come later (fanout_answer), and other sessions go on. */
enum fanout_question_kind { QUESTION_HOST_KEY, QUESTION_PASSWORD, QUESTION_PASSPHRASE, QUESTION_CHALLENGE, QUESTION_SUDO };
struct fanout_question {
    enum fanout_question_kind kind;
    const char *session;     /* name of the session */
    const char *target;      /* user@host:port */
    const char *prompt;      /* safe to show */
    const char *fingerprint; /* QUESTION_HOST_KEY: "SHA256:..." */
    const char *key_type;    /* QUESTION_HOST_KEY: "ssh-ed25519" */
    bool echo;               /* the answer may be shown while typed */
    uint64_t id;
};

struct fanout;
struct fanout_session;
struct fanout_request;

enum fanout_transport { TRANSPORT_AUTO, TRANSPORT_LIBSSH, TRANSPORT_SSH }; /* the fake is given by fanout_options.fake */

struct fanout_options {
    const char *ssh_config;      /* -F FILE; NULL: OpenSSH's own */
    struct fanout_deadlines deadlines; /* 0: the default of each (fanout_default_deadlines) */
    unsigned window;             /* handshakes under way at once; 0: 64 */
    unsigned bastion_window;     /* of these through one jump host; 0: 8 */
    unsigned tries;              /* connects before giving up; 0: 3. Only what may pass is tried again, with jitter */
    bool keep;                   /* reconnect for ever, with backoff: the live deck. Off: one look and out */
    enum fanout_transport transport;
    const struct transport_ops *fake; /* tests (src/ssh/transport.h); NULL */
    /* Asked on the loop's thread; NULL: every question is answered "no". */
    void (*ask)(void *context, const struct fanout_question *question);
    void *context;
};

/* All callbacks run on the loop's thread. Nothing may be freed inside them but by fanout_request_cancel and fanout_session_close. */
struct fanout_session_events {
    void (*open)(void *context, struct fanout_session *session);     /* each time it is (re)connected */
    void (*failed)(void *context, struct fanout_session *session, enum fanout_failure failure, const char *why); /* given up, or lost (keep: will be tried again) */
};

struct fanout *fanout_new(struct ev_loop *loop, const struct fanout_options *options);
void fanout_free(struct fanout *fanout); /* closes all sessions; ends spawned processes */
/* Answer a question: TEXT for passwords, "yes" or "no" for a host key; NULL refuses. The text is copied into guarded memory; the caller wipes its own. */
void fanout_answer(struct fanout *fanout, uint64_t question, const char *text);

/* NAME is for messages; TARGET is what ssh accepts ([user@]host[:port], ssh://..., an alias). HOST_KEY pins a key ("ssh-ed25519 AAAA..."), or NULL. */
struct fanout_session *fanout_open(struct fanout *fanout, const char *name, const char *target, const char *host_key,
                                   const struct fanout_session_events *events, void *context);
/* The same through COUNT others, the first of HOPS first: as ProxyJump, whatever the SSH configuration says of TARGET in that. Each hop is a target with its pinned key; how the first one
 * is reached, the SSH configuration says. Sessions with the same hops share them. */
struct fanout_hop {
    const char *target, *host_key; /* HOST_KEY: or NULL */
};
struct fanout_session *fanout_open_through(struct fanout *fanout, const char *name, const char *target, const char *host_key, const struct fanout_hop *hops, size_t count,
                                           const struct fanout_session_events *events, void *context);
/* By a key in memory, to a host whose keys are known: no ssh -G, no file of the user's, no agent, no password, no spawned ssh, no question. Another host key fails with FAILURE_HOST_KEY_CHANGED,
 * both fingerprints in why. All is copied; the private key into guarded memory, where it stays until the session is freed. */
struct fanout_direct {
    const char *user, *host;      /* HOST: a name or an address */
    uint16_t port;
    const char *const *host_keys; /* "ssh-ed25519 AAAA..." */
    size_t count;                 /* of them; 0: none is right */
    const char *private_key;      /* the text of an OpenSSH private key file without a passphrase */
};
struct fanout_session *fanout_open_direct(struct fanout *fanout, const char *name, const struct fanout_direct *direct,
                                          const struct fanout_session_events *events, void *context);
void fanout_session_close(struct fanout_session *session); /* no more events for it and its requests; freed by the loop */
enum fanout_phase fanout_session_phase(const struct fanout_session *session);
const char *fanout_session_name(const struct fanout_session *session);
const char *fanout_session_target(const struct fanout_session *session);  /* user@host:port as ssh -G resolved it */
const char *fanout_session_address(const struct fanout_session *session); /* dialled address, or NULL */
const char *fanout_session_error(const struct fanout_session *session);   /* last one, or NULL */
bool fanout_session_is_root(const struct fanout_session *session);        /* logged in as root */

struct fanout_request_events {
    void (*output)(void *context, struct fanout_request *request, const char *bytes, size_t length);  /* stdout, as it arrives */
    void (*problem)(void *context, struct fanout_request *request, const char *bytes, size_t length); /* stderr, as it arrives; NULL: dropped */
    /* The end, exactly once: exit status 0..255, or -1 with why (connection lost, deadline, killed by a signal). The request is freed after it. */
    void (*done)(void *context, struct fanout_request *request, int status, const char *why);
    void (*writable)(void *context, struct fanout_request *request); /* all that was written has gone out; may be NULL */
};

struct fanout_request_options {
    bool as_root;        /* through sudo when the login is not root; a password is asked for when sudo asks (QUESTION_SUDO) */
    double deadline;     /* seconds for the whole request; 0: deadlines.request; negative: none (a stream) */
    double silence;      /* seconds without a byte; 0: none */
    size_t output_limit; /* bytes of stdout, then it is ended with status -1 "answered more than ..."; 0: 64 MiB */
};

/* Run COMMAND (a fixed string of the program, never made from outside data) on an open session, on a channel of its own. May be called
 * before the session is open: it waits. fanout_write may follow at once. */
struct fanout_request *fanout_exec(struct fanout_session *session, const char *command, const struct fanout_request_options *options,
                                   const struct fanout_request_events *events, void *context);
void fanout_write(struct fanout_request *request, const void *bytes, size_t length); /* queued; copied */
size_t fanout_queued(const struct fanout_request *request);                          /* bytes not yet sent */
void fanout_write_end(struct fanout_request *request);                               /* EOF on the remote stdin, after what is queued */
void fanout_request_cancel(struct fanout_request *request);                          /* no more events for it; freed by the loop */

extern const struct fanout_deadlines fanout_default_deadlines; /* resolve 5, connect 10, key_exchange 10, login 20, request 30, silence 45 */

#endif
