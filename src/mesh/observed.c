/* Observations as values: made, freed, copied, compared, looked up in. */
#include "wgdeck/observed.h"

#include <stdlib.h>
#include <string.h>

#include "observed_shape.h"
#include "wgdeck/mem.h"

struct observed *observed_new(size_t node_count)
{
    struct observed *observed = mem_alloc(1, sizeof *observed);
    observed->nodes = mem_alloc(node_count, sizeof *observed->nodes);
    observed->node_count = node_count;
    for (size_t i = 0; i < node_count; i++)
        observation_clear(&observed->nodes[i]); /* the members whose "unknown" is not zero */
    return observed;
}

void observed_free(struct observed *observed)
{
    if (!observed)
        return;
    for (size_t i = 0; i < observed->node_count; i++)
        observation_clear(&observed->nodes[i]);
    free(observed->nodes);
    free(observed);
}

void observation_clear(struct observation *observation)
{
    shape_clear(&observation_shape, observation);
}

void observation_copy(struct observation *to, const struct observation *from)
{
    shape_copy(&observation_shape, to, from);
}

static bool same_settings(const struct observation *one, const struct observation *two)
{
    struct observation copy_one = {0}, copy_two = {0};
    if (one->reach != two->reach)
        return false;
    one = observation_unpacked(one, &copy_one);
    two = observation_unpacked(two, &copy_two);
    bool same = shape_same_settings(&observation_shape, one, two);
    observation_clear(&copy_one);
    observation_clear(&copy_two);
    return same;
}

void observation_replace(struct observation *observation, struct observation *fresh)
{
    uint64_t serial = observation->serial + !same_settings(observation, fresh);
    observation_clear(observation);
    *observation = *fresh;
    observation->serial = serial;
    *fresh = (struct observation){0};
}

void observation_sort(struct observation *observation)
{
    shape_order(&observation_shape, observation);
}

bool observation_equal(const struct observation *a, const struct observation *b, bool with_deck_fields)
{
    struct observation copy_a = {0}, copy_b = {0};
    bool equal = true;
    a = observation_unpacked(a, &copy_a);
    b = observation_unpacked(b, &copy_b);
    for (size_t i = 0; equal && i < observation_shape.field_count; i++) {
        const struct field *field = &observation_shape.fields[i];
        equal = (field->deck && !with_deck_fields) || field_equal(field, a, b);
    }
    observation_clear(&copy_a);
    observation_clear(&copy_b);
    return equal;
}

const struct device *observation_device(const struct observation *observation, const char *name)
{
    for (size_t i = 0; name && i < observation->device_count; i++)
        if (strcmp(observation->devices[i].name, name) == 0)
            return &observation->devices[i];
    return !name && observation->device_count ? &observation->devices[0] : NULL;
}

const struct observed_engine *observation_engine(const struct observation *observation, const char *name)
{
    for (size_t i = 0; i < observation->engine_count; i++)
        if (strcmp(observation->engines[i].name, name) == 0)
            return &observation->engines[i];
    return NULL;
}

const struct observed_link *observation_link(const struct observation *observation, const char *name)
{
    for (size_t i = 0; i < observation->link_count; i++)
        if (strcmp(observation->links[i].name, name) == 0)
            return &observation->links[i];
    return NULL;
}

const struct observed_config *observation_config(const struct observation *observation, const char *interface)
{
    for (size_t i = 0; i < observation->config_count; i++)
        if (strcmp(observation->configs[i].device.name, interface) == 0)
            return &observation->configs[i];
    return NULL;
}

static int compare_route(const void *to, const void *route)
{
    return address_compare(to, &((const struct observed_route *)route)->to);
}

const struct observed_route *observation_route(const struct observation *observation, const struct address *to)
{
    if (!observation->route_count)
        return NULL;
    return bsearch(to, observation->routes, observation->route_count, sizeof *observation->routes, compare_route);
}
