/* Keys that knocked and have no row here: what they claim to be, and from where. Bounded; a flood of invented keys cannot turn the list over quickly. */
#include <string.h>

#include "limiter.h"
#include "protocol.h"

enum { NEW_STRANGERS = 8 }; /* at once; then one a second */

static struct engine_stranger *find(struct engine *engine, const struct key *public_key)
{
    for (size_t i = 0; i < engine->stranger_count; i++)
        if (key_compare(&engine->strangers[i].public_key, public_key) == 0)
            return &engine->strangers[i];
    return NULL;
}

/* The one seen longest ago makes room. */
static struct engine_stranger *room(struct engine *engine)
{
    if (engine->stranger_count < ENGINE_STRANGERS)
        return &engine->strangers[engine->stranger_count++];
    struct engine_stranger *oldest = &engine->strangers[0];
    for (size_t i = 1; i < ENGINE_STRANGERS; i++)
        if (engine->strangers[i].last < oldest->last)
            oldest = &engine->strangers[i];
    return oldest;
}

void stranger_note(struct engine *engine, const struct key *public_key, const struct udp_endpoint *from, int64_t now, int64_t wall)
{
    struct engine_stranger *stranger = find(engine, public_key);
    if (!stranger) {
        if (!pace_take(&engine->protocol->stranger_ready, CLOCK_SECOND, NEW_STRANGERS, now))
            return;
        stranger = room(engine);
        *stranger = (struct engine_stranger){.public_key = *public_key};
    }
    stranger->count++;
    stranger->last = wall;
    udp_endpoint_to(from, &stranger->endpoint);
}
