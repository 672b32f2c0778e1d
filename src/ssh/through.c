/* Sessions through hops that the caller names (fanout_open_through): the same jump hosts as those of ProxyJump (bastion.c), but each with the key that is pinned for it. */
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "wgdeck/buf.h"
#include "wgdeck/mem.h"

static struct fanout_hop shown(const struct hop *hop)
{
    return (struct fanout_hop){.target = hop->target, .host_key = hop->pinned};
}

void session_set_hops(struct fanout_session *session, const struct fanout_hop *hops, size_t count)
{
    session->hops = mem_alloc(count, sizeof *session->hops);
    session->hop_count = count;
    for (size_t i = 0; i < count; i++)
        session->hops[i] = (struct hop){mem_text(hops[i].target), mem_text(hops[i].host_key)};
}

void session_free_hops(struct fanout_session *session)
{
    for (size_t i = 0; i < session->hop_count; i++) {
        free(session->hops[i].target);
        free(session->hops[i].pinned);
    }
    free(session->hops);
    session->hops = NULL;
    session->hop_count = 0;
}

char *session_hops_text(const struct fanout_session *session)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < session->hop_count; i++)
        buf_add_format(&text, "%s%s", i ? "," : "", session->hops[i].target);
    return buf_take(&text);
}

/* What tells one way from another: no comma in it, which divides the ways that ProxyJump names. */
static char *name_of_way(const struct fanout_session *session)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < session->hop_count; i++)
        buf_add_format(&text, "> %s %s ", session->hops[i].target, session->hops[i].pinned ? session->hops[i].pinned : "");
    return buf_take(&text);
}

struct fanout_session *bastion_of_hops(struct fanout_session *session)
{
    struct fanout_session *other;
    const struct hop *last = &session->hops[session->hop_count - 1];
    char *way = name_of_way(session);
    TAILQ_FOREACH(other, &session->fanout->sessions, entry)
        if (other->is_bastion && !other->closing && strcmp(other->chain, way) == 0)
            break;
    if (other) {
        free(way);
        return other;
    }
    char *name = mem_format("jump host %s", last->target);
    struct fanout_session *bastion = session_new(session->fanout, name, last->target);
    bastion->pinned = mem_text(last->pinned);
    bastion->is_bastion = true;
    bastion->chain = way;
    if (session->hop_count > 1) {
        struct fanout_hop *before = mem_alloc(session->hop_count - 1, sizeof *before);
        for (size_t i = 0; i + 1 < session->hop_count; i++)
            before[i] = shown(&session->hops[i]);
        session_set_hops(bastion, before, session->hop_count - 1);
        free(before);
    }
    free(name);
    return bastion;
}

struct fanout_session *fanout_open_through(struct fanout *fanout, const char *name, const char *target, const char *host_key, const struct fanout_hop *hops, size_t count,
                                           const struct fanout_session_events *events, void *context)
{
    struct fanout_session *session = fanout_open(fanout, name, target, host_key, events, context);
    if (count)
        session_set_hops(session, hops, count);
    return session;
}
