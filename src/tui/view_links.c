/* The screen of all links: both directions, both ends' handshakes, and what is wrong; problems first at any size. */
#include <stdlib.h>
#include <string.h>

#include "links.h"
#include "view.h"
#include "wgdeck/mem.h"

enum links_order { LINKS_PROBLEMS, LINKS_GROUPS, LINKS_FILE, LINKS_ORDERS };
static const char *const order_names[LINKS_ORDERS] = {"problems first", "by group", "as in the mesh file"};

struct view {
    struct view_base base;
    struct table table;
    enum links_order order;
};

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static size_t links_rows_most(const struct scene *scene, const void *view)
{
    (void)view;
    return scene->picture.diagnosis->link_count;
}

/* Groups in the order of the mesh file, a number each. */
static uint32_t *number_groups(const struct scene *scene, size_t *count)
{
    const struct mesh *mesh = scene->picture.mesh;
    uint32_t *of = mem_alloc(mesh->node_count + 1, sizeof *of);
    size_t *first = mem_alloc(mesh->node_count + 1, sizeof *first);
    *count = 0;
    for (size_t i = 0; i < mesh->node_count; i++) {
        const char *name = mesh->nodes[i].group ? mesh->nodes[i].group : "";
        size_t group = 0;
        while (group < *count && strcmp(name, mesh->nodes[first[group]].group ? mesh->nodes[first[group]].group : "") != 0)
            group++;
        if (group == *count)
            first[(*count)++] = i;
        of[i] = (uint32_t)group;
    }
    free(first);
    return of;
}

/* Rows that show, by how urgent they are or by groups, those alike in the mesh's order. Half a million links are gone through once: 44 MB. */
static size_t counted_rows(const struct scene *scene, uint32_t *rows, size_t most, const uint32_t *group_of, size_t groups)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    size_t keys = group_of ? groups * groups : 8, at = 0, count = diagnosis->link_count < most ? diagnosis->link_count : most;
    size_t *starts = mem_alloc(keys + 1, sizeof *starts);
    uint32_t *key_of = mem_alloc(count + 1, sizeof *key_of);
    for (size_t i = 0; i < count; i++) {
        const struct link *link = &diagnosis->links[i];
        key_of[i] = UINT32_MAX;
        if (!scene_shows_link(scene, link))
            continue;
        key_of[i] = (uint32_t)(group_of ? group_of[link->a] * groups + group_of[link->b] : links_urgency(link));
        starts[key_of[i]]++;
    }
    for (size_t key = 0; key < keys; key++) {
        size_t here = starts[key];
        starts[key] = at;
        at += here;
    }
    for (size_t i = 0; i < count; i++)
        if (key_of[i] != UINT32_MAX)
            rows[starts[key_of[i]]++] = (uint32_t)i;
    free(key_of);
    free(starts);
    return at;
}

static size_t links_rows(const struct scene *scene, const void *context, uint32_t *rows, size_t most)
{
    const struct view *view = context;
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    size_t count = 0, groups;
    if (view->order == LINKS_PROBLEMS)
        return counted_rows(scene, rows, most, NULL, 0);
    if (view->order == LINKS_GROUPS) {
        uint32_t *group_of = number_groups(scene, &groups);
        count = counted_rows(scene, rows, most, group_of, groups);
        free(group_of);
        return count;
    }
    for (size_t i = 0; i < diagnosis->link_count && count < most; i++)
        if (scene_shows_link(scene, &diagnosis->links[i]))
            rows[count++] = (uint32_t)i;
    return count;
}

static void links_row_subject(const struct scene *scene, uint32_t row, struct subject *subject)
{
    const struct link *link = links_at(scene, row);
    subject->kind = SUBJECT_LINK;
    subject->a = link->a;
    subject->b = link->b;
    subject->identity[0] = '\0';
}

static bool links_row_is_well(const struct scene *scene, uint32_t row)
{
    return link_is_well(links_at(scene, row));
}

static const struct table_list list = {
    .columns = links_columns,
    .rows = links_rows,
    .rows_most = links_rows_most,
    .subject = links_row_subject,
    .is_well = links_row_is_well,
    .empty = "No links: neither the mesh file nor any row that was read tells of one.",
};

/* ---- the screen -------------------------------------------------------------------------------------------------- */

static void links_open(struct view *view, const struct scene *scene, const struct subject *subject)
{
    if (!view->table.list) {
        view->table.list = &list;
        view->table.view = view;
        view->table.sort = -1;
    }
    table_refresh(&view->table, scene);
    if (subject && subject->kind == SUBJECT_LINK)
        table_select(&view->table, scene, subject);
}

static void links_close(struct view *view)
{
    table_free(&view->table);
}

static void links_refresh(struct view *view, const struct scene *scene)
{
    table_refresh(&view->table, scene);
}

static void links_draw(struct view *view, const struct scene *scene, const struct area *area)
{
    table_draw(&view->table, scene, area, true);
}

static bool links_act(struct view *view, const struct scene *scene, enum action action, struct wish *wish)
{
    if (action == ACTION_GROUP) {
        view->order = (view->order + 1) % LINKS_ORDERS;
        table_sort_by(&view->table, scene, -1, false);
        snprintf(wish->notice, sizeof wish->notice, "%s", order_names[view->order]);
        return true;
    }
    return table_act(&view->table, scene, action, wish);
}

static bool links_mouse(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    return table_mouse(&view->table, scene, row, column, wheel, double_click, wish);
}

static bool links_subject(const struct view *view, const struct scene *scene, struct subject *subject)
{
    return table_subject(&view->table, scene, subject);
}

static void links_copy(const struct view *view, const struct scene *scene, struct buf *buf)
{
    table_copy(&view->table, scene, buf);
}

static void links_save(const struct view *view, const struct scene *scene, enum save_format format, struct buf *buf)
{
    table_save(&view->table, scene, format, buf);
}

static void links_menu(struct view *view, const struct scene *scene, enum action action, const char *value)
{
    table_menu(&view->table, scene, action, value);
}

static size_t links_values(const struct view *view, enum action action, const char **values, size_t most)
{
    return table_values(&view->table, action, values, most);
}

static const enum action footer[] = {ACTION_ENTER, ACTION_NEXT, ACTION_FAULTS_ONLY, ACTION_FILTER, ACTION_SORT, ACTION_GROUP, ACTION_COLUMNS, ACTION_COPY, ACTION_SAVE, ACTION_NONE};

const struct view_ops view_links = {
    .name = "links",
    .title = "Links",
    .help = "Every link, the ones that are not well first. A→B says whether B hears A. AGE is how old the last handshake is, at the end that knows of the later one; on a "
            "wide screen as each end has it. Rates are bytes per second.",
    .action = ACTION_LINKS,
    .size = sizeof(struct view),
    .footer = footer,
    .open = links_open,
    .close = links_close,
    .refresh = links_refresh,
    .draw = links_draw,
    .act = links_act,
    .mouse = links_mouse,
    .subject = links_subject,
    .copy = links_copy,
    .save = links_save,
    .menu = links_menu,
    .values = links_values,
};
