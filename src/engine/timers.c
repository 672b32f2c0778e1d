/* Timers of a peer (section 6, and the kernel's engine). Control thread.
 *
 * The data threads only write times into struct peer; nothing is armed or disarmed for a packet. One deadline a peer stands on the wheel; when it comes, what is
 * due is found from the peer's times (timers_plan, a pure function), done, and the next deadline armed. A data thread that begins a wait which ends before
 * the armed deadline posts PEER_WANTS_TIMER; in steady traffic none does. */
#include "protocol.h"

#include "wheel.h"

/* What came to nothing (no memory in the socket, a link that is down) is not tried again sooner. */
#define AGAIN CLOCK_SECOND

/* One call fires so many, at 80 us each if all begin a handshake; timers_next says that more are due. */
enum { RUN_PEERS = 50 };

/* --- the decision */

#define NEVER INT64_MAX

static int64_t retry_due(const struct timer_times *times)
{
    return times->handshake_sent + REKEY_TIMEOUT + times->jitter;
}

/* At most 18 tries, and none later than 90 s after the first. */
static bool retries_are_over(const struct timer_times *times)
{
    return times->handshake_tries >= MAX_HANDSHAKE_TRIES || retry_due(times) - times->handshake_started > REKEY_ATTEMPT_TIME;
}

static int64_t due_wipe(const struct timer_times *times)
{
    return times->session_died ? times->session_died : NEVER;
}

static int64_t due_give_up(const struct timer_times *times)
{
    return times->handshake_started && retries_are_over(times) ? retry_due(times) : NEVER;
}

static int64_t due_retry(const struct timer_times *times)
{
    return times->handshake_started && !retries_are_over(times) ? retry_due(times) : NEVER;
}

/* While a series of tries runs, it is what this would begin. */
static int64_t due_new_handshake(const struct timer_times *times)
{
    return times->unanswered_since && !times->handshake_started ? times->unanswered_since + NEW_HANDSHAKE_TIME + times->jitter : NEVER;
}

static int64_t due_keepalive(const struct timer_times *times)
{
    return times->unacknowledged_since ? times->unacknowledged_since + KEEPALIVE_TIMEOUT : NEVER;
}

/* Without a session it becomes a handshake, which then has its own tries. */
static int64_t due_persistent(const struct timer_times *times)
{
    if (!times->keepalive || !times->can_send || (times->handshake_started && !times->session))
        return NEVER;
    return times->last_traffic + times->keepalive * CLOCK_SECOND;
}

static const struct {
    enum timer_action action;
    int64_t (*due)(const struct timer_times *times);
} rows[] = {
    {TIMER_WIPE, due_wipe},
    {TIMER_GIVE_UP, due_give_up},
    {TIMER_RETRY, due_retry},
    {TIMER_NEW_HANDSHAKE, due_new_handshake},
    {TIMER_KEEPALIVE, due_keepalive},
    {TIMER_PERSISTENT, due_persistent},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

struct timer_plan timers_plan(const struct timer_times *times, int64_t now)
{
    struct timer_plan plan = {.next = NEVER};
    for (unsigned i = 0; i < ROWS; i++) {
        int64_t due = rows[i].due(times);
        if (due <= now)
            plan.actions |= rows[i].action;
        else if (due < plan.next)
            plan.next = due;
    }
    return plan;
}

/* --- from a peer, and done to it */

/* The same as long as the handshake is the same, so that a deadline computed again does not move. */
static int64_t jitter(const struct peer *peer)
{
    uint64_t mixed = peer->engine->protocol->seed ^ (uint64_t)peer->handshake_sent ^ (uint64_t)(uintptr_t)peer;
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9); /* splitmix64 */
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return (int64_t)((mixed ^ mixed >> 31) % (uint64_t)REKEY_JITTER);
}

static struct timer_plan plan_of(const struct peer *peer, int64_t now)
{
    int64_t sent = atomic_load_explicit(&peer->last_sent, memory_order_relaxed);
    int64_t received = atomic_load_explicit(&peer->last_received, memory_order_relaxed);
    struct timer_times times = {
        .handshake_started = peer->handshake_started,
        .handshake_sent = peer->handshake_sent,
        .handshake_tries = peer->handshake_tries,
        /* In one order with armed (see arm): a data thread that sets one of these either is seen here, or sees that nothing is armed. */
        .unanswered_since = atomic_load(&peer->unanswered_since),
        .unacknowledged_since = atomic_load(&peer->unacknowledged_since),
        .last_traffic = sent > received ? sent : received,
        .session_died = peer->session_died,
        .keepalive = atomic_load_explicit(&peer->keepalive, memory_order_relaxed),
        .jitter = jitter(peer),
    };
    if (times.keepalive) {
        times.session = protocol_session(peer, now) != NULL;
        times.can_send = protocol_can_send(peer);
    }
    return timers_plan(&times, now);
}

static void give_up(struct peer *peer, int64_t now)
{
    staged_drop(peer);
    handshake_forget(peer);
    peer->handshake_started = 0;
    peer->handshake_tries = 0;
    atomic_store_explicit(&peer->unanswered_since, 0, memory_order_relaxed);
    atomic_store_explicit(&peer->unacknowledged_since, 0, memory_order_relaxed);
    if (!peer->session_died)
        peer->session_died = now + WIPE_AFTER;
}

static void act(struct peer *peer, unsigned actions, int64_t now)
{
    if (actions & TIMER_WIPE)
        peer_expire(peer); /* and session_died */
    if (actions & TIMER_GIVE_UP)
        give_up(peer, now);
    if (actions & TIMER_RETRY)
        protocol_initiate(peer, false, now);
    if (actions & TIMER_NEW_HANDSHAKE) {
        atomic_store_explicit(&peer->unanswered_since, 0, memory_order_relaxed);
        peer_endpoint_clear_source(peer);
        protocol_initiate(peer, true, now);
    }
    if (actions & TIMER_KEEPALIVE)
        atomic_store_explicit(&peer->unacknowledged_since, 0, memory_order_relaxed);
    if (actions & (TIMER_KEEPALIVE | TIMER_PERSISTENT))
        protocol_keepalive(peer, now);
}

/* While the times are read, the deadline stands at never: a wait that begins now is posted. */
static void arm(struct peer *peer, bool acted, int64_t now)
{
    struct wheel *wheel = peer->engine->protocol->wheel;
    atomic_store(&peer->armed, NEVER);
    struct timer_plan plan = plan_of(peer, now);
    int64_t next = plan.next;
    if (plan.actions)
        next = acted ? (next < now + AGAIN ? next : now + AGAIN) : now;
    if (next == NEVER)
        wheel_disarm(wheel, peer);
    else
        wheel_arm(wheel, peer, next);
    atomic_store(&peer->armed, next);
}

void timers_peer_changed(struct peer *peer, int64_t now)
{
    if (!atomic_load_explicit(&peer->dead, memory_order_relaxed))
        arm(peer, false, now);
}

void timers_peer_removed(struct peer *peer)
{
    struct protocol *protocol = peer->engine->protocol;
    if (protocol && protocol->wheel)
        wheel_disarm(protocol->wheel, peer);
}

int64_t timers_next(const struct engine *engine)
{
    return wheel_next(engine->protocol->wheel);
}

void timers_run(struct engine *engine, int64_t now)
{
    struct peer *peer;
    for (unsigned i = 0; i < RUN_PEERS && (peer = wheel_fire(engine->protocol->wheel, now)) != NULL; i++) {
        act(peer, plan_of(peer, now).actions, now);
        arm(peer, true, now);
    }
}

/* After protocol_begin, and before protocol_end. */
void timers_begin(struct engine *engine, int64_t now)
{
    engine->protocol->wheel = wheel_new(now);
}

void timers_end(struct engine *engine)
{
    wheel_free(engine->protocol->wheel);
    engine->protocol->wheel = NULL;
}
