/* ProxyJump (trap 10): one session to the jump host, shared by all targets behind it; each target's connection is a direct-tcpip channel there,
 * pumped into a socket pair whose other end is the target session's socket. Chains are jump hosts behind jump hosts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session.h"
#include "wgdeck/mem.h"

enum { CHAIN_MOST = 8 };

static struct fanout_session *find(struct fanout *fanout, const char *chain)
{
    struct fanout_session *session;
    TAILQ_FOREACH(session, &fanout->sessions, entry)
        if (session->is_bastion && !session->closing && !strcmp(session->chain, chain))
            return session;
    return NULL;
}

static unsigned depth_of(const struct fanout_session *session)
{
    unsigned depth = 0;
    const struct fanout_session *other;
    for (; session->is_bastion && depth < CHAIN_MOST; depth++) {
        TAILQ_FOREACH(other, &session->fanout->sessions, entry)
            if (other->bastion == session)
                break;
        if (!other)
            break;
        session = other;
    }
    return depth;
}

/* "Host * / ProxyJump gate" holds for gate too: nobody jumps through himself. */
static bool is_itself(const struct fanout_session *session, const char *jump)
{
    char *user, *host;
    unsigned port;
    if (ssh_target_parse(jump, &user, &host, &port, NULL))
        return false;
    bool same = !strcasecmp(host, session->target->asked) || !strcasecmp(host, session->target->host);
    free(user);
    free(host);
    return same;
}

int bastion_attach(struct fanout_session *session, struct err *err)
{
    struct fanout *fanout = session->fanout;
    const char *jump = session->target->jump;
    char *before = NULL;
    if (session->hop_count) {
        if (depth_of(session) >= CHAIN_MOST)
            return err_set(err, "more than %d jump hosts in a row", CHAIN_MOST);
        session->bastion = bastion_of_hops(session);
        session->bastion->users++;
        bastion_wanted(session);
        return 0;
    }
    if (session->is_bastion) { /* of a chain "a,b": b is reached through a, whatever the configuration says of b */
        const char *comma = strrchr(session->chain, ',');
        if (comma)
            jump = before = mem_text_part(session->chain, (size_t)(comma - session->chain));
    }
    if (!jump || (!before && session->is_bastion && is_itself(session, jump))) {
        free(before);
        return 0;
    }
    if (depth_of(session) >= CHAIN_MOST) {
        free(before);
        return err_set(err, "ProxyJump: more than %d jump hosts in a row, or they jump through each other", CHAIN_MOST);
    }
    struct fanout_session *bastion = find(fanout, jump);
    if (!bastion) {
        const char *comma = strrchr(jump, ',');
        char *name = mem_format("jump host %s", comma ? comma + 1 : jump);
        bastion = session_new(fanout, name, comma ? comma + 1 : jump);
        bastion->is_bastion = true;
        bastion->chain = mem_text(jump);
        free(name);
    }
    free(before);
    session->bastion = bastion;
    bastion->users++;
    bastion_wanted(session);
    return 0;
}

void bastion_detach(struct fanout_session *session)
{
    struct fanout_session *bastion = session->bastion;
    bastion_drop_forward(session);
    session->bastion = NULL;
    if (bastion && --bastion->users == 0)
        fanout_session_close(bastion);
}

/* One that failed for good, or was lost, begins anew when somebody waits for it. */
void bastion_wanted(struct fanout_session *session)
{
    struct fanout_session *bastion = session->bastion;
    if (!bastion || bastion->phase != PHASE_CLOSED || bastion->closing || !bastion->target)
        return;
    bastion->phase = PHASE_WAITING;
    bastion->tries = 0;
    bastion_wanted(bastion);
    fanout_reap_soon(session->fanout);
}

void bastion_connect(struct fanout_session *session)
{
    struct fanout_session *bastion = session->bastion;
    int ends[2];
    if (!bastion->ops->forward) {
        session_needs_spawn(session, "its jump host is reached by ssh itself");
        session_failed(session, FAILURE_CONFIG, false, "%s: cannot be jumped through", bastion->name);
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends)) {
        session_failed(session, FAILURE_NETWORK, false, "connect to %s: %s", session_where(session), strerror(errno));
        return;
    }
    session->forward_end = ends[1];
    session->forward = bastion->ops->forward(bastion->transport, session, session->target->host, session->target->port, ends[0]);
}

void bastion_drop_forward(struct fanout_session *session)
{
    if (session->forward)
        session->bastion->ops->close(session->forward);
    session->forward = NULL;
    if (session->forward_end >= 0)
        close(session->forward_end);
    session->forward_end = -1;
}

void session_forwarded(struct fanout_session *session, const char *why)
{
    int descriptor = session->forward_end;
    session->forward = NULL;
    session->forward_end = -1;
    if (why || session->over || session->closing) {
        if (descriptor >= 0)
            close(descriptor);
        session_failed(session, FAILURE_REFUSED, false, "connect to %s through %s: %s", session_where(session), session->bastion->name, why);
        return;
    }
    session_dialled(session, descriptor);
}

static void tell_behind(struct fanout_session *session, struct fanout_session *bastion)
{
    if (session->forward) {
        session->forward = NULL; /* it went with the jump host's transport */
        session_failed(session, FAILURE_LOST, true, "connect to %s: %s: %s", session_where(session), bastion->name, bastion->error);
    } else if (session->phase == PHASE_WAITING && !ev_is_active(&session->timer)) {
        session_failed(session, bastion->failure, false, "%s: %s", bastion->name, bastion->error);
    }
}

void bastion_changed(struct fanout_session *bastion)
{
    struct fanout_session *session;
    fanout_reap_soon(bastion->fanout);
    if (bastion->phase != PHASE_CLOSED)
        return;
    TAILQ_FOREACH(session, &bastion->fanout->sessions, entry)
        if (session->bastion == bastion)
            tell_behind(session, bastion);
}
