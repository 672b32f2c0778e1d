/* The inside of the fan-out: its sessions and requests, shared by the files of this folder. */
#ifndef WGDECK_SSH_SESSION_H
#define WGDECK_SSH_SESSION_H

#include <stdarg.h>
#include <sys/queue.h>

#include "dial.h"
#include "direct.h"
#include "host_key.h"
#include "ssh_config.h"
#include "transport.h"
#include "wgdeck/buf.h"
#include "wgdeck/fanout.h"
#include "worker.h"

struct agent;
struct keyring;

/* A password in guarded memory; NULL: none. */
char *secret_new(const char *text);
void secret_free(char *secret);

enum request_state {
    REQUEST_WAITING, /* for the session, or for the channel's turn */
    REQUEST_RUNNING, /* handed to the transport */
    REQUEST_OVER,    /* done was called, or it was cancelled: freed at the next turn of the loop */
};

enum sudo_state { SUDO_NONE, SUDO_STARTING, SUDO_ASKING, SUDO_PASSED };

struct fanout_request {
    TAILQ_ENTRY(fanout_request) entry;
    struct fanout_session *session;
    enum request_state state;
    char *command;
    struct fanout_request_options options;
    struct fanout_request_events events;
    void *context;
    struct channel *channel;
    struct buf input;               /* not yet taken by the transport: from input_from on */
    size_t input_from;
    bool input_end, input_ended, owes_writable;
    size_t output_length;
    struct ev_timer deadline, silence;
    enum sudo_state sudo;           /* until sudo lets the command begin, input is held back and stderr is read here */
    bool sudo_password_sent;
    struct buf sudo_text;
};
TAILQ_HEAD(request_list, fanout_request);

struct question {
    TAILQ_ENTRY(question) entry;
    uint64_t id;
    struct fanout_session *session;
    bool is_answered;               /* at the next turn of the loop it is delivered */
    char *text;                     /* secret; NULL: refused */
    void (*answered)(struct fanout_session *session, const char *text);
};
TAILQ_HEAD(question_list, question);

struct fanout_session {
    TAILQ_ENTRY(fanout_session) entry;
    struct fanout *fanout;
    char *name, *target_text, *pinned;
    struct fanout_session_events events;
    void *context;

    enum fanout_phase phase;
    bool closing;                   /* by the caller: freed at the next turn of the loop */
    bool over;                      /* this connection failed: taken down at the next turn */
    bool told_open;                 /* open was called and failed not since */
    bool has_place;                 /* among the handshakes */
    bool asking;                    /* a person is asked: no deadline runs, no place is held */
    bool needs_spawn;               /* libssh could not: the spawned ssh from now on */
    bool again;                     /* the failure of this connection may pass */
    unsigned tries;                 /* connections begun since the last open one */
    struct ev_timer timer;          /* the phase's deadline, or the wait for the next try */
    struct ev_timer alive;          /* keepalives while open */
    double heard;                   /* ev_now of the last byte */

    struct ssh_config_question *config_question;
    struct ssh_target *target;      /* NULL until asked */
    struct direct *direct;          /* its key and the host's, given by the caller; NULL: as the SSH configuration says */
    char *label;                    /* user@host:port */
    struct dial *dial;
    char *address;                  /* dialled */
    const struct transport_ops *ops;
    struct transport *transport;
    struct host_key_list *known;    /* what is known of this host's keys, for this connection */
    char *shown_type, *shown_key;   /* the key a person is asked about */

    struct fanout_session *bastion; /* through which; NULL: directly */
    struct channel *forward;        /* through it, being opened */
    int forward_end;                /* our end of its socket pair */
    bool is_bastion;                /* opened for others, not by the caller */
    char *chain;                    /* of a jump host: the ProxyJump that it stands for */
    unsigned users;                 /* sessions behind it */
    struct hop { char *target, *pinned; } *hops; /* given by the caller: through these, the first one first */
    size_t hop_count;

    enum fanout_failure failure;
    char *error;
    char *sudo_password;            /* secret */
    bool sudo_asked, sudo_refused;
    struct request_list requests;
};
TAILQ_HEAD(session_list, fanout_session);

struct fanout {
    struct ev_loop *loop;
    struct fanout_options options;
    char *config_file;
    struct ssh_config *config;
    struct host_keys *host_keys;
    struct worker_pool *resolvers, *signers;
    struct keyring *keys;
    struct agent *agent;
    struct session_list sessions;
    struct question_list questions;
    struct request_list over;       /* requests to be freed */
    struct ev_timer reaper;
    uint64_t last_question;
    unsigned handshakes;
};

/* fanout.c */
void fanout_reap_soon(struct fanout *fanout);
void fanout_admit(struct fanout *fanout); /* let waiting sessions in, as far as the windows allow */
void fanout_take_place(struct fanout_session *session);
void fanout_leave_place(struct fanout_session *session);
/* ANSWERED comes later, with NULL for a refusal, unless the session goes first. */
void fanout_put_question(struct fanout_session *session, const struct fanout_question *question,
                         void (*answered)(struct fanout_session *session, const char *text));
void fanout_drop_questions(struct fanout_session *session);

/* session.c */
struct fanout_session *session_new(struct fanout *fanout, const char *name, const char *target);
struct fanout_session *session_new_direct(struct fanout *fanout, const char *name, struct ssh_target *target, struct direct *direct); /* owns both */
void session_free(struct fanout_session *session);
void session_begin(struct fanout_session *session);      /* it has its place: the first phase */
void session_tidy(struct fanout_session *session);       /* at the reaper's turn: take down what is over, and begin again or give up */
void session_dialled(struct fanout_session *session, int descriptor);
const char *session_where(const struct fanout_session *session); /* "203.0.113.5:22", for messages */

/* through.c */
void session_set_hops(struct fanout_session *session, const struct fanout_hop *hops, size_t count); /* copies */
void session_free_hops(struct fanout_session *session);
char *session_hops_text(const struct fanout_session *session);       /* as ProxyJump has them: "root@a:22,b"; malloc'd */
struct fanout_session *bastion_of_hops(struct fanout_session *session); /* the session to the last one, found or made */

/* bastion.c */
int bastion_attach(struct fanout_session *session, struct err *err); /* find or open the session that ProxyJump names */
void bastion_connect(struct fanout_session *session);                /* a forward through it becomes the session's socket */
void bastion_drop_forward(struct fanout_session *session);           /* gives the forward up that is being opened */
void bastion_changed(struct fanout_session *bastion);                /* it opened or failed */
void bastion_wanted(struct fanout_session *session);                 /* a session waits for it again */
void bastion_detach(struct fanout_session *session);

/* request.c */
void requests_start(struct fanout_session *session);
void requests_fail(struct fanout_session *session, const char *why);
void request_free(struct fanout_request *request);

#endif
