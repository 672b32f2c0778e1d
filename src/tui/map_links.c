/* What runs between the nodes of the map: bundles of well links from box to box, and the bad ones singly. */
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "wgdeck/mem.h"

enum { STAR_LEAST = 4 };

void map_stats_build(struct map_stats *stats, const struct scene *scene)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    size_t nodes = scene->picture.mesh->node_count;
    stats->nodes = nodes;
    stats->links = mem_resize(stats->links, nodes + 1, sizeof *stats->links);
    stats->bad = mem_resize(stats->bad, nodes + 1, sizeof *stats->bad);
    stats->own = mem_resize(stats->own, nodes + 1, sizeof *stats->own);
    memset(stats->links, 0, nodes * sizeof *stats->links);
    memset(stats->bad, 0, nodes * sizeof *stats->bad);
    memset(stats->own, 0, nodes * sizeof *stats->own);
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        bool bad = course_is_bad(course_of(link, true)) || course_is_bad(course_of(link, false));
        stats->links[link->a]++;
        stats->links[link->b]++;
        stats->bad[link->a] += bad;
        stats->bad[link->b] += bad;
    }
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        if (!stats->bad[link->a] || !stats->bad[link->b] || (!course_is_bad(course_of(link, true)) && !course_is_bad(course_of(link, false))))
            continue;
        stats->own[link->a] += !map_is_star(stats, link->b);
        stats->own[link->b] += !map_is_star(stats, link->a);
    }
}

void map_stats_free(struct map_stats *stats)
{
    free(stats->links);
    free(stats->bad);
    free(stats->own);
    *stats = (struct map_stats){0};
}

bool map_is_star(const struct map_stats *stats, size_t node)
{
    return stats->bad[node] >= STAR_LEAST && stats->bad[node] * 10 >= stats->links[node] * 6;
}

bool map_is_unwell(const struct scene *scene, const struct map_stats *stats, size_t node)
{
    return scene->picture.diagnosis->nodes[node].state != NODE_UP || (node < stats->nodes && (stats->own[node] || map_is_star(stats, node)));
}

static int compare_bad(const void *left, const void *right)
{
    const struct map_bad *one = left, *other = right;
    if (one->star != other->star)
        return one->star ? 1 : -1;
    if (one->course != other->course)
        return one->course > other->course ? -1 : 1;
    return one->link < other->link ? -1 : one->link > other->link;
}

void map_collect(struct map_layout *layout, const struct scene *scene, const struct map_stats *stats)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    size_t count = layout->cluster_count;
    layout->bundles = mem_resize(layout->bundles, count * count + 1, sizeof *layout->bundles);
    memset(layout->bundles, 0, count * count * sizeof *layout->bundles);
    layout->bad_count = layout->single = layout->links = layout->not_well = 0;
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        uint32_t a = layout->cluster_of[link->a], b = layout->cluster_of[link->b];
        if (a == UINT32_MAX || b == UINT32_MAX)
            continue;
        enum course ahead = course_of(link, true), back = course_of(link, false), worst = ahead > back ? ahead : back;
        struct map_bundle *bundle = &layout->bundles[a < b ? a * count + b : b * count + a];
        layout->links++;
        bool star = map_is_star(stats, link->a) || map_is_star(stats, link->b);
        if (worst > bundle->worst && !star)
            bundle->worst = (uint8_t)worst;
        if (!course_is_bad(worst)) {
            bundle->well++;
            continue;
        }
        bundle->bad += !star;
        layout->not_well++;
        layout->single += !star;
        if (layout->bad_count < MAP_BAD_MOST)
            layout->bad[layout->bad_count++] = (struct map_bad){(uint32_t)i, (uint8_t)worst, star};
    }
    if (layout->single > layout->bad_count)
        layout->single = layout->bad_count;
    qsort(layout->bad, layout->bad_count, sizeof *layout->bad, compare_bad);
}
