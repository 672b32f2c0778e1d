/* How a session speaks SSH: one ops table, with libssh, a spawned ssh and the tests' scripted fake behind it. A transport owns its
 * descriptors and watchers, never blocks, and tells the session (session.h) what happens. */
#ifndef WGDECK_SSH_TRANSPORT_H
#define WGDECK_SSH_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "wgdeck/fanout.h"

/* Each implementation begins its own structures with these. */
struct transport {
    const struct transport_ops *ops;
    struct fanout_session *session;
};
struct channel {
    struct transport *transport;
    struct fanout_request *request; /* NULL for a forward */
};

struct transport_ops {
    const char *name;
    bool dials; /* resolves and connects by itself: start gets -1 */

    /* Begin on a connected, non-blocking socket, which is the transport's from now on. Events come later, never from inside. */
    struct transport *(*start)(struct fanout_session *session, int descriptor);

    /* After session_host_key said HOST_KEY_LATER. May be NULL when the transport never shows a key. */
    void (*trust)(struct transport *transport);

    /* To the one question of the transport that is open; TEXT is valid for the call, NULL: refused. */
    void (*answer)(struct transport *transport, const char *text);

    /* Once the session is open. The end is told by request_ended; then, or to give up before, close is called once. */
    struct channel *(*exec)(struct transport *transport, struct fanout_request *request, const char *command);

    /* A TCP connection made by the server, its bytes pumped to and from DESCRIPTOR (one end of a socket pair, the transport's).
     * session_forwarded tells BEHIND how it went; to give up before, close is called. Then it lives until either side closes.
     * NULL: cannot forward. */
    struct channel *(*forward)(struct transport *transport, struct fanout_session *behind, const char *host, unsigned port, int descriptor);

    size_t (*write)(struct channel *channel, const void *bytes, size_t length); /* bytes taken; request_writable when more can be */
    void (*write_end)(struct channel *channel);
    void (*close)(struct channel *channel);

    void (*keepalive)(struct transport *transport); /* make the server say something; session_heard tells */
    void (*stop)(struct transport *transport);      /* ends all channels, frees; no event after it */
};

extern const struct transport_ops transport_libssh, transport_spawn;

/* What a transport tells the session. All may end in the transport being stopped, but only from the loop, after the call. */
enum host_key_decision { HOST_KEY_TRUSTED, HOST_KEY_REFUSED, HOST_KEY_LATER };
enum host_key_decision session_host_key(struct fanout_session *session, const char *type, const char *base64);
void session_entered(struct fanout_session *session, enum fanout_phase phase); /* PHASE_LOGIN, PHASE_OPEN */
void session_ask(struct fanout_session *session, enum fanout_question_kind kind, const char *prompt, bool echo);
void session_heard(struct fanout_session *session); /* bytes came */

/* The session is over. PASSING: another try may help. WHY is made safe here. */
void session_failed(struct fanout_session *session, enum fanout_failure failure, bool passing, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* libssh cannot do it: begin again with the spawned ssh. */
void session_needs_spawn(struct fanout_session *session, const char *why);

/* The forward asked for is open (WHY NULL) or refused. */
void session_forwarded(struct fanout_session *behind, const char *why);

void request_output(struct fanout_request *request, bool problem, const char *bytes, size_t length);
void request_writable(struct fanout_request *request);
void request_ended(struct fanout_request *request, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
