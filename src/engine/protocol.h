/* What the control thread's parts of the protocol share: handshakes (protocol.c), which of them are served in a flood (load.c), timers (timers.c), timestamps
 * that never go back (timestamp.c), keys that knocked (strangers.c). */
#ifndef WGDECK_ENGINE_PROTOCOL_H
#define WGDECK_ENGINE_PROTOCOL_H

#include "engine.h"

#define INITIATION_INTERVAL (20 * CLOCK_MILLISECOND) /* of one peer, at least (flood limit) */
#define WIPE_AFTER (3 * REJECT_AFTER_TIME)           /* keys go that long after the last session began */
#define NEW_HANDSHAKE_TIME (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT)

struct timestamp {
    int descriptor;      /* of the file with the floor; -1: none */
    int64_t last, when;  /* the last one given, as wall time, and the steady time then; 0: none */
    int64_t written;     /* what the file says; never less than LAST */
    bool given;          /* any, since the start */
    bool told;           /* of a clock that is not believed */
};

struct protocol {
    struct load *load;
    struct wheel *wheel;
    struct timestamp timestamp;
    int64_t stranger_ready; /* a pace */
    uint64_t seed;          /* of jitter */
};

/* --- protocol.c */
/* One message, whoever sent it, now: mac1 is good, its type and length are right. */
void protocol_serve(struct engine *engine, const struct handshake_message *message, int64_t now);
/* A keepalive, or what waits for a session, or a handshake if there is no session. */
void protocol_keepalive(struct peer *peer, int64_t now);
/* The session that data may go out under, or NULL. Control thread. */
struct keypair *protocol_session(const struct peer *peer, int64_t now);
/* Whether anything can be sent to it: keys, an endpoint, sockets. */
bool protocol_can_send(const struct peer *peer);

/* --- load.c */
struct load *load_new(void);
void load_free(struct load *load);
unsigned load_waiting(const struct load *load); /* for tests */

/* --- timestamp.c */
void timestamp_open(struct timestamp *timestamp, const char *name, int64_t steady);
void timestamp_close(struct timestamp *timestamp);
/* Pure but for the file: the wall time to put into an initiation. */
int64_t timestamp_at(struct timestamp *timestamp, int64_t wall, int64_t steady);

/* --- strangers.c */
void stranger_note(struct engine *engine, const struct key *public_key, const struct udp_endpoint *from, int64_t now, int64_t wall);

/* --- timers.c: the decision, a pure function of what is known of a peer. */
struct timer_times {
    int64_t handshake_started, handshake_sent; /* as in struct peer */
    unsigned handshake_tries;
    int64_t unanswered_since, unacknowledged_since;
    int64_t last_traffic;   /* any authenticated datagram, either way; 0: none */
    int64_t session_died;
    uint16_t keepalive;     /* seconds */
    bool session;           /* there is one that data can go out under */
    bool can_send;
    int64_t jitter;         /* 0 to REKEY_JITTER */
};
enum timer_action { /* bits, done in this order */
    TIMER_WIPE = 1,           /* all keys */
    TIMER_GIVE_UP = 2,        /* the series of tries ends; what waits is dropped */
    TIMER_RETRY = 4,          /* the next initiation of the series */
    TIMER_NEW_HANDSHAKE = 8,  /* nothing came back: a new series */
    TIMER_KEEPALIVE = 16,     /* passive: data came and nothing went */
    TIMER_PERSISTENT = 32,
};
struct timer_plan {
    unsigned actions; /* due now */
    int64_t next;     /* the earliest of those that are not due yet; INT64_MAX: none */
};
struct timer_plan timers_plan(const struct timer_times *times, int64_t now);

#endif
