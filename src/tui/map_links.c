/* What runs between the nodes of the map: bundles of well links from box to box, and the bad ones singly. */
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "wgdeck/mem.h"

static int compare_bad(const void *left, const void *right)
{
    const struct map_bad *one = left, *other = right;
    if (one->course != other->course)
        return one->course > other->course ? -1 : 1;
    return one->link < other->link ? -1 : one->link > other->link;
}

void map_collect(struct map_layout *layout, const struct scene *scene)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    size_t count = layout->cluster_count;
    layout->bundles = mem_resize(layout->bundles, count * count + 1, sizeof *layout->bundles);
    memset(layout->bundles, 0, count * count * sizeof *layout->bundles);
    layout->bad_count = layout->links = layout->not_well = 0;
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        uint32_t a = layout->cluster_of[link->a], b = layout->cluster_of[link->b];
        if (a == UINT32_MAX || b == UINT32_MAX)
            continue;
        enum course ahead = course_of(link, true), back = course_of(link, false), worst = ahead > back ? ahead : back;
        struct map_bundle *bundle = &layout->bundles[a < b ? a * count + b : b * count + a];
        layout->links++;
        if (worst > bundle->worst)
            bundle->worst = (uint8_t)worst;
        if (!course_is_bad(worst)) {
            bundle->well++;
            continue;
        }
        bundle->bad++;
        layout->not_well++;
        if (layout->bad_count < MAP_BAD_MOST)
            layout->bad[layout->bad_count++] = (struct map_bad){(uint32_t)i, (uint8_t)worst};
    }
    qsort(layout->bad, layout->bad_count, sizeof *layout->bad, compare_bad);
}
