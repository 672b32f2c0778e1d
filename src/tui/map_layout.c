/* Where everything on the map stands. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { GAP_COLUMNS = 6, GAP_ROWS = 1, BOX_LEAST_COLUMNS = 14, BOX_LEAST_ROWS = 3, NAME_MOST = 20, NAME_LEAST = 6 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

static void add_spot(struct map_layout *layout, bool cluster, uint32_t item, int row, int column, int width, int glyph_column)
{
    MEM_GROW(layout->spots, layout->spot_count, layout->spot_capacity);
    if (!cluster)
        layout->spot_of[item] = (int32_t)layout->spot_count;
    layout->spots[layout->spot_count++] = (struct map_spot){cluster, item, row, column, width, glyph_column};
}

/* ---- which nodes ------------------------------------------------------------------------------------------------ */

static void take_nodes(struct map_layout *layout, const struct scene *scene, const struct map_stats *stats, const uint32_t *only, size_t only_count)
{
    size_t nodes = scene->picture.mesh->node_count;
    layout->nodes = nodes;
    layout->members = mem_resize(layout->members, nodes + 1, sizeof *layout->members);
    layout->cluster_of = mem_resize(layout->cluster_of, nodes + 1, sizeof *layout->cluster_of);
    layout->spot_of = mem_resize(layout->spot_of, nodes + 1, sizeof *layout->spot_of);
    memset(layout->cluster_of, 0xff, nodes * sizeof *layout->cluster_of);
    memset(layout->spot_of, 0xff, nodes * sizeof *layout->spot_of);
    layout->count = layout->spot_count = layout->cluster_count = 0;
    for (size_t i = 0; i < (only ? only_count : nodes); i++) {
        uint32_t node = only ? only[i] : (uint32_t)i;
        if (node >= nodes || (scene->node_matches && !scene->node_matches[node]) || (scene->faults_only && !map_is_unwell(scene, stats, node)))
            continue;
        layout->members[layout->count++] = node;
    }
}

static int widest_name(const struct map_layout *layout, const struct scene *scene)
{
    struct buf name = BUF_EMPTY;
    int widest = 1;
    for (size_t i = 0; i < layout->count; i++)
        widest = most(widest, (int)text_width(scene_name(scene, layout->members[i], &name)));
    buf_free(&name);
    return least(widest, NAME_MOST);
}

/* ---- a ring ----------------------------------------------------------------------------------------------------- */

/* Half of the nodes go down the right side, the others up the left one: each has a row of its own, so names never meet. */
static void lay_side(struct map_layout *layout, size_t begin, size_t count, bool right)
{
    double middle_row = layout->rows / 2.0, middle = layout->columns / 2.0, radius = middle - layout->label - 3;
    radius = radius < 1 ? 1 : radius;
    for (size_t i = 0; i < count; i++) {
        size_t place = right ? i : count - 1 - i;
        double row = ((double)place + 0.5) * layout->rows / (double)count, away = (row - middle_row) / (middle_row + 0.6);
        double out = radius * sqrt(fmax(0, 1 - away * away));
        int glyph = (int)(right ? middle + out : middle - out), width = layout->label + 2;
        int column = right ? glyph : glyph - width + 1;
        add_spot(layout, false, layout->members[begin + i], least((int)row, layout->rows - 1), column, width, glyph);
    }
}

/* The one hub of a mesh stands in the middle: everything runs there. SIZE_MAX: there is none, or there are several. */
static size_t middle_of(const struct map_layout *layout, const struct scene *scene)
{
    size_t hub = SIZE_MAX;
    for (size_t i = 0; i < layout->count; i++)
        if (scene->picture.mesh->nodes[layout->members[i]].role == ROLE_HUB)
            hub = hub == SIZE_MAX ? i : SIZE_MAX - 1;
    return layout->count == 1 ? 0 : hub < layout->count && layout->rows >= 5 ? hub : SIZE_MAX;
}

static void lay_ring(struct map_layout *layout, const struct scene *scene)
{
    layout->kind = MAP_RING;
    layout->cluster_count = layout->count > 0;
    layout->clusters[0] = (struct map_cluster){.group = SIZE_MAX, .count = layout->count, .rows = layout->rows, .columns = layout->columns};
    for (size_t i = 0; i < layout->count; i++)
        layout->cluster_of[layout->members[i]] = 0;
    size_t middle = middle_of(layout, scene), around = layout->count;
    if (middle < layout->count) {
        uint32_t hub = layout->members[middle];
        memmove(&layout->members[middle], &layout->members[middle + 1], (layout->count - middle - 1) * sizeof hub);
        layout->members[--around] = hub;
        add_spot(layout, false, hub, layout->rows / 2, layout->columns / 2, layout->label + 2, layout->columns / 2);
    }
    size_t right = (around + 1) / 2;
    lay_side(layout, 0, right, true);
    lay_side(layout, right, around - right, false);
}

static bool ring_fits(const struct map_layout *layout)
{
    return layout->count <= (size_t)most(1, layout->rows) * 2 && layout->count <= 64 && layout->columns >= 2 * (least(layout->label, NAME_LEAST) + 2);
}

/* ---- boxes ------------------------------------------------------------------------------------------------------ */

static void cluster_groups(struct map_layout *layout, const struct node_groups *groups)
{
    uint32_t *sorted = mem_alloc(layout->count + 1, sizeof *sorted);
    size_t used = 0;
    layout->cluster_count = 0;
    for (size_t group = 0; group < groups->count && layout->cluster_count < MAP_CLUSTERS_MOST; group++) {
        size_t begin = used;
        for (size_t i = 0; i < layout->count; i++)
            if (groups->of[layout->members[i]] == group)
                sorted[used++] = layout->members[i];
        if (used > begin)
            layout->clusters[layout->cluster_count++] = (struct map_cluster){.group = group, .begin = begin, .count = used - begin};
    }
    memcpy(layout->members, sorted, used * sizeof *sorted);
    layout->count = used;
    free(sorted);
}

static void cluster_buckets(struct map_layout *layout, size_t buckets)
{
    buckets = buckets < 1 ? 1 : buckets > MAP_CLUSTERS_MOST ? MAP_CLUSTERS_MOST : buckets;
    buckets = buckets > layout->count ? layout->count : buckets;
    layout->cluster_count = buckets;
    for (size_t i = 0; i < buckets; i++) {
        size_t begin = i * layout->count / buckets, end = (i + 1) * layout->count / buckets;
        layout->clusters[i] = (struct map_cluster){.group = SIZE_MAX, .begin = begin, .count = end - begin};
    }
}

struct grid { int across, down, box_columns, box_rows; };

static struct grid grid_of(const struct map_layout *layout, int across)
{
    struct grid grid = {.across = across, .down = ((int)layout->cluster_count + across - 1) / across};
    grid.box_columns = (layout->columns - (across - 1) * GAP_COLUMNS) / across;
    grid.box_rows = (layout->rows - (grid.down - 1) * GAP_ROWS) / grid.down;
    return grid;
}

static int names_across(const struct map_layout *layout, const struct grid *grid)
{
    return (grid->box_columns - 2) / (layout->label + 3);
}

static size_t largest_cluster(const struct map_layout *layout)
{
    size_t largest = 0;
    for (size_t i = 0; i < layout->cluster_count; i++)
        largest = layout->clusters[i].count > largest ? layout->clusters[i].count : largest;
    return largest;
}

/* The grid whose boxes look most like boxes, among those in which everything (NAMES: every node's name) has room. */
static bool choose_grid(const struct map_layout *layout, bool names, struct grid *best)
{
    bool found = false;
    double least_odd = 0;
    for (int across = 1; across <= (int)layout->cluster_count; across++) {
        struct grid grid = grid_of(layout, across);
        if (grid.box_columns < BOX_LEAST_COLUMNS || grid.box_rows < BOX_LEAST_ROWS)
            continue;
        if (names && (long)names_across(layout, &grid) * (grid.box_rows - 2) < (long)largest_cluster(layout))
            continue;
        double odd = fabs(log((double)grid.box_columns / (3.0 * grid.box_rows))) + (grid.across * grid.down - (int)layout->cluster_count) * 0.1;
        if (found && odd >= least_odd)
            continue;
        found = true;
        least_odd = odd;
        *best = grid;
    }
    return found;
}

static void place_box(struct map_layout *layout, size_t index, const struct grid *grid, int box_rows)
{
    struct map_cluster *cluster = &layout->clusters[index];
    int across = (int)index % grid->across, down = (int)index / grid->across;
    /* The last row may have fewer boxes: they stand in the middle. */
    int in_row = down == grid->down - 1 ? (int)layout->cluster_count - down * grid->across : grid->across;
    int slot_rows = layout->rows / grid->down, width = grid->box_columns, free_columns = layout->columns - in_row * width;
    int gap = in_row > 0 ? free_columns / in_row : 0;
    cluster->rows = least(box_rows, grid->box_rows);
    cluster->columns = width;
    cluster->row = down * slot_rows + most(0, (slot_rows - cluster->rows) / 2);
    cluster->column = gap / 2 + across * (width + gap);
}

static void place_names(struct map_layout *layout, struct map_cluster *cluster, const struct grid *grid)
{
    int across = most(1, names_across(layout, grid)), width = layout->label + 2;
    int pitch = (cluster->columns - 2) / across;
    for (size_t i = 0; i < cluster->count; i++) {
        int row = cluster->row + 1 + (int)i / across, column = cluster->column + 2 + (int)i % across * pitch;
        add_spot(layout, false, layout->members[cluster->begin + i], row, column, width, column);
    }
}

static int compare_urgency(const void *left, const void *right)
{
    const uint64_t *one = left, *other = right;
    return *one < *other ? 1 : *one > *other ? -1 : 0;
}

/* Lost nodes and stars first, then those with most bad links of their own. */
static uint64_t urgency_of(const struct scene *scene, const struct map_stats *stats, uint32_t node)
{
    bool first = scene->picture.diagnosis->nodes[node].state != NODE_UP || map_is_star(stats, node);
    return (uint64_t)(first ? UINT32_MAX / 2 : stats->own[node]) << 32 | (UINT32_MAX - node);
}

/* With counts: the box itself can be chosen; in it are those of its nodes that have trouble, as many as have room. */
static void place_unwell(struct map_layout *layout, const struct scene *scene, const struct map_stats *stats, size_t index)
{
    struct map_cluster *cluster = &layout->clusters[index];
    add_spot(layout, true, (uint32_t)index, cluster->row, cluster->column + 1, cluster->columns - 2, cluster->column + cluster->columns / 2);
    uint64_t *unwell = mem_alloc(cluster->count + 1, sizeof *unwell);
    for (size_t i = 0; i < cluster->count; i++) {
        uint32_t node = layout->members[cluster->begin + i];
        if (map_is_unwell(scene, stats, node))
            unwell[cluster->unwell++] = urgency_of(scene, stats, node);
    }
    qsort(unwell, cluster->unwell, sizeof *unwell, compare_urgency);
    int across = most(1, (cluster->columns - 2) / (layout->label + 3)), room = most(0, cluster->rows - 3) * across;
    for (int i = 0; i < room && (size_t)i < cluster->unwell; i++) {
        uint32_t node = UINT32_MAX - (uint32_t)unwell[i];
        int column = cluster->column + 2 + i % across * (layout->label + 3);
        add_spot(layout, false, node, cluster->row + 2 + i / across, column, least(layout->label + 2, cluster->columns - 3), column);
    }
    free(unwell);
}

/* Boxes no wider than they must be: what is free between them is for lines. */
static void narrow_boxes(const struct map_layout *layout, struct grid *grid)
{
    int largest = (int)largest_cluster(layout), across = 1, widest = names_across(layout, grid);
    while (across < widest) {
        int lines = (largest + across - 1) / across;
        if (lines + 2 <= grid->box_rows && across * (layout->label + 3) >= 3 * lines)
            break;
        across++;
    }
    grid->box_columns = least(grid->box_columns, most(across * (layout->label + 3) + 3, BOX_LEAST_COLUMNS + 6));
}

static void lay_boxes(struct map_layout *layout, const struct scene *scene, const struct map_stats *stats, struct grid *grid, bool names)
{
    if (names)
        narrow_boxes(layout, grid);
    layout->kind = names ? MAP_BOXES : MAP_COUNTS;
    size_t lines = names ? (largest_cluster(layout) + (size_t)most(1, names_across(layout, grid)) - 1) / (size_t)most(1, names_across(layout, grid)) : 0;
    for (size_t i = 0; i < layout->cluster_count; i++) {
        struct map_cluster *cluster = &layout->clusters[i];
        place_box(layout, i, grid, names ? (int)lines + 2 : grid->box_rows);
        for (size_t k = 0; k < cluster->count; k++)
            layout->cluster_of[layout->members[cluster->begin + k]] = (uint32_t)i;
        if (names)
            place_names(layout, cluster, grid);
        else
            place_unwell(layout, scene, stats, i);
    }
}

/* As many boxes of the least size as there is room for. */
static size_t most_boxes(const struct map_layout *layout)
{
    int across = (layout->columns + GAP_COLUMNS) / (BOX_LEAST_COLUMNS + 4 + GAP_COLUMNS), down = (layout->rows + GAP_ROWS) / (BOX_LEAST_ROWS + 1 + GAP_ROWS);
    return (size_t)most(1, across) * (size_t)most(1, down);
}

void map_lay_out(struct map_layout *layout, const struct scene *scene, const struct node_groups *groups, const struct map_stats *stats,
                 const uint32_t *only, size_t only_count, bool by_group, int rows, int columns)
{
    layout->rows = most(rows, 0);
    layout->columns = most(columns, 0);
    take_nodes(layout, scene, stats, only, only_count);
    layout->label = most(1, least(widest_name(layout, scene), most(NAME_LEAST, columns / 4 - 2)));
    struct grid grid;
    bool grouped = by_group && groups->named;
    if (grouped)
        cluster_groups(layout, groups);
    if (layout->count == 0) {
        layout->kind = MAP_RING;
    } else if (grouped && layout->cluster_count > 1 && choose_grid(layout, true, &grid)) {
        lay_boxes(layout, scene, stats, &grid, true);
    } else if ((!grouped || layout->cluster_count == 1) && ring_fits(layout)) {
        lay_ring(layout, scene);
    } else {
        if (!grouped || layout->cluster_count == 1 || !choose_grid(layout, false, &grid))
            cluster_buckets(layout, most_boxes(layout));
        if (!choose_grid(layout, false, &grid))
            grid = (struct grid){.across = 1, .down = most(1, (int)layout->cluster_count), .box_columns = layout->columns,
                                 .box_rows = layout->rows / most(1, (int)layout->cluster_count)};
        lay_boxes(layout, scene, stats, &grid, false);
    }
    map_collect(layout, scene, stats);
}

const char *map_cluster_name(const struct map_layout *layout, const struct scene *scene, const struct node_groups *groups, size_t cluster, struct buf *buf)
{
    const struct map_cluster *of = &layout->clusters[cluster];
    buf_clear(buf);
    if (of->group != SIZE_MAX) {
        buf_add_text(buf, node_group_name(groups, of->group, scene));
    } else if (of->count) {
        struct buf name = BUF_EMPTY;
        buf_add_text(buf, scene_name(scene, layout->members[of->begin], &name));
        if (of->count > 1)
            buf_add_format(buf, " to %s", scene_name(scene, layout->members[of->begin + of->count - 1], &name));
        buf_free(&name);
    }
    return buf_text(buf);
}

void map_layout_free(struct map_layout *layout)
{
    free(layout->members);
    free(layout->cluster_of);
    free(layout->spot_of);
    free(layout->bundles);
    free(layout->spots);
    *layout = (struct map_layout){0};
}
