/* UAPI "counters=1": what the engine counts where others drop silently (engine_counters.h), and who knocked without a row. */
#include <stdio.h>
#include <string.h>

#include "uapi.h"
#include "wgdeck/mem.h"

/* --- sums over the threads */

enum {
#define INDEX(name, words) COUNTER_##name,
    ENGINE_COUNTERS(INDEX)
#undef INDEX
    COUNTER_COUNT
};

static const char *const counter_names[] = {
#define NAME(name, words) #name,
    ENGINE_COUNTERS(NAME)
#undef NAME
};

static void add_tally(uint64_t sums[static COUNTER_COUNT], const struct worker_tally *tally)
{
#define ADD(name, words) sums[COUNTER_##name] += atomic_load_explicit(&tally->name, memory_order_relaxed);
    ENGINE_COUNTERS(ADD)
#undef ADD
}

static void sum_tallies(const struct engine *engine, uint64_t sums[static COUNTER_COUNT])
{
    memset(sums, 0, COUNTER_COUNT * sizeof *sums);
    add_tally(sums, &engine->control_tally);
    for (unsigned i = 0; i < engine->queues; i++) {
        add_tally(sums, &engine->workers[i].tx_tally);
        add_tally(sums, &engine->workers[i].rx_tally);
    }
}

/* --- pieces */

static void tell_counters(const struct engine *engine, size_t from, size_t to, struct uapi_out *out)
{
    uint64_t sums[COUNTER_COUNT];
    sum_tallies(engine, sums);
    for (size_t i = from; i < to && i < COUNTER_COUNT; i++)
        uapi_out_number(out, counter_names[i], sums[i]);
}

static void tell_features(struct engine *engine, struct uapi_out *out)
{
    struct udp_sockets *sockets = atomic_load(&engine->sockets);
    char queues[24];
    uapi_out_add(out, "features=");
    if (sockets && (atomic_load(&sockets->segment4) || atomic_load(&sockets->segment6)))
        uapi_out_add(out, "udp_segment ");
    if (sockets && (sockets->gro4 || sockets->gro6))
        uapi_out_add(out, "udp_gro ");
    if (atomic_load(&engine->tun.tso))
        uapi_out_add(out, "tun_tso ");
    if (atomic_load(&engine->tun.uso))
        uapi_out_add(out, "tun_uso ");
    if (engine->seal) {
        uapi_out_add(out, engine->seal->name);
        uapi_out_add(out, " ");
    }
    snprintf(queues, sizeof queues, "queues=%u\n", engine->queues);
    uapi_out_add(out, queues);
}

static void tell_stranger(const struct engine_stranger *stranger, struct uapi_out *out)
{
    char text[ENDPOINT_TEXT_SIZE];
    endpoint_text(&stranger->endpoint, text);
    uapi_out_key(out, "stranger", &stranger->public_key);
    if (text[0]) {
        uapi_out_add(out, "stranger_endpoint=");
        uapi_out_add(out, text);
        uapi_out_add(out, "\n");
    }
    uapi_out_number(out, "stranger_count", stranger->count);
    uapi_out_number(out, "stranger_time", (uint64_t)(stranger->last / CLOCK_SECOND));
}

bool uapi_counters_head(struct engine *engine, size_t *part, struct uapi_out *out)
{
    enum { AT_ONCE = 8, COUNTER_PARTS = (COUNTER_COUNT + AT_ONCE - 1) / AT_ONCE };
    const size_t at = (*part)++;
    if (at < COUNTER_PARTS)
        tell_counters(engine, at * AT_ONCE, (at + 1) * AT_ONCE, out);
    else if (at == COUNTER_PARTS)
        tell_features(engine, out);
    else if (at - COUNTER_PARTS - 1 < engine->stranger_count)
        tell_stranger(&engine->strangers[at - COUNTER_PARTS - 1], out);
    else
        return true;
    return false;
}

void uapi_counters_peer(struct peer *peer, struct uapi_out *out)
{
    const struct peer_tally *tally = &peer->tally;
    uint32_t any = 0;
#define ANY(name, words) any |= atomic_load_explicit(&tally->name, memory_order_relaxed);
    ENGINE_PEER_COUNTERS(ANY)
#undef ANY
    if (!any)
        return;
    uapi_out_key(out, "public_key", &peer->noise.public_key);
#define TELL(name, words) uapi_out_number(out, #name, atomic_load_explicit(&tally->name, memory_order_relaxed));
    ENGINE_PEER_COUNTERS(TELL)
#undef TELL
}
