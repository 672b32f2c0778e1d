/* Map: the mesh drawn, groups together, broken links standing out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"
#include "view.h"
#include "wgdeck/mem.h"
#include "words.h"

enum { ZOOM_MOST = 6 };

struct view_map {
    struct view_base base;
    struct map_layout layout;
    struct node_groups groups;
    struct map_stats stats;
    bool in_file_order;        /* not by group */
    bool stale;                /* the layout must be made anew */
    struct { uint32_t *nodes; size_t count; } zoom[ZOOM_MOST]; /* boxes that were opened, one in the other */
    size_t depth;
    struct map_spot cursor;    /* what it is on; found again by item */
    int top;                   /* rows of the title */
};

static struct view_map *of(struct view *view)
{
    return (struct view_map *)view;
}

static size_t find_cursor(const struct view_map *map)
{
    for (size_t i = 0; i < map->layout.spot_count; i++)
        if (map->layout.spots[i].cluster == map->cursor.cluster && map->layout.spots[i].item == map->cursor.item)
            return i;
    return map->layout.spot_count ? 0 : SIZE_MAX;
}

static void open(struct view *view, const struct scene *scene, const struct subject *subject)
{
    struct view_map *map = of(view);
    (void)scene;
    map->stale = true;
    if (subject && (subject->kind == SUBJECT_NODE || subject->kind == SUBJECT_LINK) && subject->a != SIZE_MAX)
        map->cursor = (struct map_spot){.item = (uint32_t)subject->a};
}

static void leave_zoom(struct view_map *map)
{
    free(map->zoom[--map->depth].nodes);
    map->stale = true;
}

static void close_view(struct view *view)
{
    struct view_map *map = of(view);
    while (map->depth)
        leave_zoom(map);
    map_layout_free(&map->layout);
    node_groups_free(&map->groups);
    map_stats_free(&map->stats);
}

static void refresh(struct view *view, const struct scene *scene)
{
    struct view_map *map = of(view);
    node_groups_build(&map->groups, scene);
    map_stats_build(&map->stats, scene);
    map->stale = true;
}

static void draw_title(const struct view_map *map, const struct scene *scene, const struct area *area)
{
    const struct map_layout *layout = &map->layout;
    const char *dot = area->surface->ascii ? " - " : " · ";
    struct buf text = BUF_EMPTY;
    words_many(layout->count, "node", "nodes", &text);
    int column = area_bold(area, 0, 0, STYLE_TITLE, buf_text(&text));
    buf_clear(&text);
    words_many(layout->links, "link", "links", &text);
    column += area_format(area, 0, column, STYLE_DIM, "%s%s", dot, buf_text(&text));
    if (layout->not_well)
        column += area_format(area, 0, column, STYLE_BAD, ", %zu not well", layout->not_well);
    else if (layout->links)
        column += area_text(area, 0, column, STYLE_GOOD, ", none broken");
    if (map->depth)
        column += area_format(area, 0, column, STYLE_DIM, "%sq goes back", dot);
    else if (layout->kind == MAP_COUNTS)
        column += area_format(area, 0, column, STYLE_DIM, "%sEnter opens a box", dot);
    (void)scene;
    buf_free(&text);
}

static void draw_empty(const struct scene *scene, const struct area *area)
{
    const char *text = scene->picture.mesh->node_count == 0 ? "There are no nodes in this mesh."
                       : scene->faults_only && !scene->node_matches ? "Nothing is wrong: no node has trouble (f shows all)."
                                                                   : "No node matches.";
    area_paragraph(area, area->rows > 2, 1, area->columns - 2, area->rows, STYLE_DIM, text, true);
}

static void draw(struct view *view, const struct scene *scene, const struct area *area)
{
    struct view_map *map = of(view);
    int top = area->rows >= 8, below = area->rows >= 30 ? 3 : area->rows >= 16 ? 2 : area->rows >= 10;
    struct area body = area_part(area, top, 0, area->rows - top - below - (below > 0 && area->rows >= 30), area->columns);
    if (map->groups.nodes != scene->picture.mesh->node_count)
        refresh(view, scene);
    if (map->stale || map->layout.rows != body.rows || map->layout.columns != body.columns) {
        size_t depth = map->depth;
        map_lay_out(&map->layout, scene, &map->groups, &map->stats, depth ? map->zoom[depth - 1].nodes : NULL, depth ? map->zoom[depth - 1].count : 0,
                    !map->in_file_order, body.rows, body.columns);
        map->stale = false;
    }
    map->top = top;
    if (map->layout.count == 0) {
        draw_empty(scene, area);
        return;
    }
    size_t at = find_cursor(map);
    if (at != SIZE_MAX)
        map->cursor = map->layout.spots[at];
    map_draw(&map->layout, scene, &map->groups, &map->stats, at, &body);
    if (top)
        draw_title(map, scene, area);
    struct area list = area_part(area, area->rows - below, 0, below, area->columns);
    if (below)
        map_draw_broken(&map->layout, scene, &map->stats, &list);
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

/* The nearest spot in a direction: what lies aside counts double. */
static void move(struct view_map *map, int down, int right)
{
    size_t at = find_cursor(map), best = SIZE_MAX;
    long least = 0;
    if (at == SIZE_MAX)
        return;
    const struct map_spot *here = &map->layout.spots[at];
    for (size_t i = 0; i < map->layout.spot_count; i++) {
        const struct map_spot *spot = &map->layout.spots[i];
        long rows = spot->row - here->row, columns = spot->glyph_column - here->glyph_column;
        long along = down ? rows * down * 2 : columns * right, aside = down ? labs(columns) : labs(rows) * 2;
        if (i == at || along <= 0)
            continue;
        long distance = along + 2 * aside;
        if (best == SIZE_MAX || distance < least) {
            best = i;
            least = distance;
        }
    }
    if (best != SIZE_MAX)
        map->cursor = map->layout.spots[best];
}

static bool spot_is_unwell(const struct view_map *map, const struct scene *scene, const struct map_spot *spot)
{
    return spot->cluster ? map->layout.clusters[spot->item].unwell > 0 : map_is_unwell(scene, &map->stats, spot->item);
}

static void next_unwell(struct view_map *map, const struct scene *scene, int step, struct wish *wish)
{
    size_t count = map->layout.spot_count, at = find_cursor(map);
    for (size_t i = 0; at != SIZE_MAX && i < count; i++) {
        at = (at + (step > 0 ? 1 : count - 1)) % count;
        if (spot_is_unwell(map, scene, &map->layout.spots[at])) {
            map->cursor = map->layout.spots[at];
            return;
        }
    }
    snprintf(wish->notice, sizeof wish->notice, "no node here has trouble");
}

static void zoom_into(struct view_map *map, uint32_t cluster, struct wish *wish)
{
    if (map->depth == ZOOM_MOST || cluster >= map->layout.cluster_count)
        return;
    const struct map_cluster *box = &map->layout.clusters[cluster];
    if (box->count == map->layout.count) {
        snprintf(wish->notice, sizeof wish->notice, "there is no room to draw these nodes singly");
        return;
    }
    map->zoom[map->depth].nodes = mem_alloc(box->count + 1, sizeof(uint32_t));
    map->zoom[map->depth].count = box->count;
    memcpy(map->zoom[map->depth].nodes, &map->layout.members[box->begin], box->count * sizeof(uint32_t));
    map->depth++;
    map->stale = true;
}

static void enter(struct view_map *map, struct wish *wish)
{
    size_t at = find_cursor(map);
    if (at == SIZE_MAX)
        return;
    const struct map_spot *spot = &map->layout.spots[at];
    if (spot->cluster) {
        zoom_into(map, spot->item, wish);
        return;
    }
    wish->open = true;
    wish->subject = (struct subject){.kind = SUBJECT_NODE, .a = spot->item, .b = SIZE_MAX};
}

static void regroup(struct view_map *map, struct wish *wish)
{
    if (!map->groups.named) {
        snprintf(wish->notice, sizeof wish->notice, "the nodes of this mesh have no groups (Group = in the mesh file)");
        return;
    }
    map->in_file_order = !map->in_file_order;
    map->stale = true;
    snprintf(wish->notice, sizeof wish->notice, map->in_file_order ? "order: as in the mesh file" : "order: by group");
}

static bool act(struct view *view, const struct scene *scene, enum action action, struct wish *wish)
{
    struct view_map *map = of(view);
    switch (action) {
    case ACTION_UP: move(map, -1, 0); return true;
    case ACTION_DOWN: move(map, 1, 0); return true;
    case ACTION_LEFT: move(map, 0, -1); return true;
    case ACTION_RIGHT: move(map, 0, 1); return true;
    case ACTION_FIRST: if (map->layout.spot_count) map->cursor = map->layout.spots[0]; return true;
    case ACTION_LAST: if (map->layout.spot_count) map->cursor = map->layout.spots[map->layout.spot_count - 1]; return true;
    case ACTION_NEXT: next_unwell(map, scene, 1, wish); return true;
    case ACTION_PREVIOUS: next_unwell(map, scene, -1, wish); return true;
    case ACTION_ENTER: enter(map, wish); return true;
    case ACTION_GROUP: regroup(map, wish); return true;
    case ACTION_BACK:
        if (map->depth == 0)
            return false;
        leave_zoom(map);
        return true;
    default: return false;
    }
}

static bool mouse(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    struct view_map *map = of(view);
    (void)scene;
    if (wheel) {
        move(map, wheel, 0);
        return true;
    }
    row -= map->top;
    for (size_t i = map->layout.spot_count; i-- > 0;) {
        const struct map_spot *spot = &map->layout.spots[i];
        int height = spot->cluster ? map->layout.clusters[spot->item].rows : 1;
        if (row < spot->row || row >= spot->row + height || column < spot->column || column >= spot->column + spot->width)
            continue;
        map->cursor = *spot;
        if (double_click)
            enter(map, wish);
        return true;
    }
    return false;
}

static bool subject_of(const struct view *view, const struct scene *scene, struct subject *subject)
{
    const struct view_map *map = (const struct view_map *)view;
    size_t at = find_cursor(map);
    if (at == SIZE_MAX || map->layout.spots[at].cluster || map->layout.spots[at].item >= scene->picture.mesh->node_count)
        return false;
    *subject = (struct subject){.kind = SUBJECT_NODE, .a = map->layout.spots[at].item, .b = SIZE_MAX};
    return true;
}

static const enum action footer[] = {ACTION_ENTER, ACTION_NEXT, ACTION_GROUP, ACTION_FAULTS_ONLY, ACTION_FILTER, ACTION_SHELL, ACTION_NONE};

const struct view_ops view_map = {
    .name = "map",
    .title = "Map",
    .help = "The mesh drawn. Nodes stand in the boxes of their groups, or on a ring; well links are faint, broken ones are heavy, marked in their middle "
            "and listed below. With many nodes a box shows how many are in it and names only those with trouble; Enter opens a box, q closes it. The "
            "arrow keys go to the nearest node in that direction, Enter opens it, o draws the nodes by group or as in the mesh file.",
    .action = ACTION_MAP,
    .size = sizeof(struct view_map),
    .footer = footer,
    .open = open,
    .close = close_view,
    .refresh = refresh,
    .draw = draw,
    .act = act,
    .mouse = mouse,
    .subject = subject_of,
};
