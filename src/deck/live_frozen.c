/* A picture that stays as it is, while the mesh goes on: everything it points to is copied. */
#include <stdlib.h>

#include "live_private.h"
#include "wgdeck/mem.h"

struct live_frozen {
    struct observed *observed;
    struct diagnosis *diagnosis;
    struct live_node *nodes;
    struct observation *last;
    struct live_picture picture;
};

/* The place in the copy TO that is where DEVICE is in FROM; NULL if it is not of FROM. */
static const struct device *moved_device(const struct device *device, const struct observation *from, const struct observation *to)
{
    for (size_t i = 0; i < from->device_count; i++)
        if (device == &from->devices[i])
            return &to->devices[i];
    return NULL;
}

static const struct device_peer *moved_row(const struct device_peer *row, const struct observation *from, const struct observation *to)
{
    for (size_t i = 0; row && i < from->device_count; i++) {
        const struct device *device = &from->devices[i];
        if (device->peer_count && row >= device->peers && row < device->peers + device->peer_count)
            return &to->devices[i].peers[row - device->peers];
    }
    return NULL;
}

static const struct device_peer *frozen_row(const struct live_frozen *frozen, const struct live_picture *of, size_t node, const struct device_peer *row)
{
    const struct device_peer *moved = moved_row(row, &of->observed->nodes[node], &frozen->observed->nodes[node]);
    return !moved && of->nodes[node].last ? moved_row(row, of->nodes[node].last, &frozen->last[node]) : moved;
}

static struct diagnosis *copy_diagnosis(const struct live_frozen *frozen, const struct live_picture *of)
{
    struct diagnosis *copy = diagnosis_copy(of->diagnosis);
    for (size_t i = 0; i < copy->node_count; i++)
        copy->nodes[i].device = moved_device(copy->nodes[i].device, &of->observed->nodes[i], &frozen->observed->nodes[i]);
    for (size_t i = 0; i < copy->link_count; i++) {
        struct link *link = &copy->links[i];
        link->a_row = frozen_row(frozen, of, link->a, link->a_row);
        link->b_row = frozen_row(frozen, of, link->b, link->b_row);
    }
    return copy;
}

struct live_frozen *live_freeze(const struct live *live)
{
    struct live_frozen *frozen = mem_alloc(1, sizeof *frozen);
    struct live_picture of = live_picture(live);
    size_t count = of.mesh->node_count;
    frozen->observed = observed_copy(of.observed);
    frozen->nodes = mem_alloc(count, sizeof *frozen->nodes);
    frozen->last = mem_alloc(count, sizeof *frozen->last);
    for (size_t i = 0; i < count; i++) {
        frozen->nodes[i] = of.nodes[i];
        if (!of.nodes[i].last)
            continue;
        observation_copy(&frozen->last[i], of.nodes[i].last);
        frozen->nodes[i].last = &frozen->last[i];
    }
    frozen->diagnosis = copy_diagnosis(frozen, &of);
    frozen->picture = of;
    frozen->picture.observed = frozen->observed;
    frozen->picture.diagnosis = frozen->diagnosis;
    frozen->picture.nodes = frozen->nodes;
    return frozen;
}

struct live_picture live_frozen_picture(const struct live_frozen *frozen)
{
    return frozen->picture;
}

void live_frozen_free(struct live_frozen *frozen)
{
    if (!frozen)
        return;
    for (size_t i = 0; i < frozen->observed->node_count; i++)
        observation_clear(&frozen->last[i]);
    diagnosis_free(frozen->diagnosis);
    observed_free(frozen->observed);
    free(frozen->last);
    free(frozen->nodes);
    free(frozen);
}
