/* The screen of faults: the list, worst first, and all that is known of the selected one. */
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "page.h"
#include "view.h"
#include "words.h"

enum { SIDE_BY_SIDE = 110 };

struct view {
    struct view_base base;
    struct table table;
    struct page page;
    struct subject shown;   /* what the page is of: another one begins at its top */
    bool detail_focused;
    int split_row, split_column; /* where the detail began at the last draw; 0: not there */
};

static void faults_open(struct view *view, const struct scene *scene, const struct subject *subject)
{
    if (!view->table.list) {
        view->table.list = &faults_list;
        view->table.view = view;
        view->table.sort = -1;
    }
    table_refresh(&view->table, scene);
    if (subject && subject->kind == SUBJECT_FAULT)
        table_select(&view->table, scene, subject);
}

static void faults_close(struct view *view)
{
    table_free(&view->table);
    page_free(&view->page);
}

static void faults_refresh(struct view *view, const struct scene *scene)
{
    table_refresh(&view->table, scene);
}

static void draw_detail(struct view *view, const struct scene *scene, const struct area *area)
{
    if (!view->table.count || area->rows <= 0 || area->columns <= 0)
        return;
    if (!subject_equal(&view->shown, &view->table.selected)) {
        view->shown = view->table.selected;
        view->page.top = 0;
    }
    struct area page = page_begin(&view->page, area);
    int used = faults_draw_whole(scene, &scene->picture.diagnosis->faults[view->table.rows[view->table.cursor]], &page);
    page_end(&view->page, area, used);
}

static void draw_beside(struct view *view, const struct scene *scene, const struct area *area)
{
    int list = area->columns * 9 / 20;
    struct area left = area_part(area, 0, 0, area->rows, list), right = area_part(area, 0, list + 2, area->rows, area->columns - list - 2);
    table_draw(&view->table, scene, &left, !view->detail_focused);
    area_column(area, 0, list, area->rows, view->detail_focused ? STYLE_ACCENT : STYLE_BORDER);
    draw_detail(view, scene, &right);
    view->split_column = list;
}

static void draw_below(struct view *view, const struct scene *scene, const struct area *area)
{
    int list = (int)(view->table.count < 100 ? view->table.count : 100) + 1, most = area->rows * 2 / 5;
    if (list > most)
        list = most > 3 ? most : 3;
    struct area top = area_part(area, 0, 0, list, area->columns), bottom = area_part(area, list + 1, 1, area->rows - list - 1, area->columns - 1);
    table_draw(&view->table, scene, &top, !view->detail_focused);
    area_line(area, list, 0, area->columns, view->detail_focused ? STYLE_ACCENT : STYLE_BORDER);
    draw_detail(view, scene, &bottom);
    view->split_row = list;
}

static void faults_draw(struct view *view, const struct scene *scene, const struct area *area)
{
    view->split_row = view->split_column = 0;
    if (!scene->picture.diagnosis->fault_count) {
        struct area part = area_part(area, 0, 1, area->rows, area->columns - 1);
        faults_draw_none(scene, &part);
    } else if (!view->table.count || area->rows < 6)
        table_draw(&view->table, scene, area, true);
    else if (area->columns >= SIDE_BY_SIDE)
        draw_beside(view, scene, area);
    else
        draw_below(view, scene, area);
}

static const struct fault *selected(const struct view *view, const struct scene *scene)
{
    return view->table.count ? &scene->picture.diagnosis->faults[view->table.rows[view->table.cursor]] : NULL;
}

static bool open_place(const struct view *view, const struct scene *scene, struct wish *wish)
{
    const struct fault *fault = selected(view, scene);
    wish->open = fault && faults_place(scene, fault, &wish->subject);
    if (fault && !wish->open)
        snprintf(wish->notice, sizeof wish->notice, "this fault is about no single node or link");
    return fault != NULL;
}

static bool faults_act(struct view *view, const struct scene *scene, enum action action, struct wish *wish)
{
    if (action == ACTION_ENTER)
        return open_place(view, scene, wish);
    if (action == ACTION_PANE && (view->split_row || view->split_column)) {
        view->detail_focused = !view->detail_focused;
        return true;
    }
    if (view->detail_focused && !view->split_row && !view->split_column)
        view->detail_focused = false;
    if (view->detail_focused && page_act(&view->page, action))
        return true;
    return table_act(&view->table, scene, action, wish);
}

static bool faults_mouse(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    bool detail = (view->split_row && row >= view->split_row) || (view->split_column && column >= view->split_column);
    if (!wheel && (view->split_row || view->split_column))
        view->detail_focused = detail;
    if (detail && wheel) {
        for (int i = 0; i < 3; i++)
            page_act(&view->page, wheel < 0 ? ACTION_UP : ACTION_DOWN);
        return true;
    }
    if (detail)
        return true;
    bool done = table_mouse(&view->table, scene, row, column, wheel, double_click, wish);
    if (wish->open)
        open_place(view, scene, wish);
    return done;
}

static bool faults_selected(const struct view *view, const struct scene *scene, struct subject *subject)
{
    return table_subject(&view->table, scene, subject);
}

/* In the detail: what to do, to be pasted into a shell. In the list: all of it, to be pasted into a ticket. */
static void faults_copy(const struct view *view, const struct scene *scene, struct buf *buf)
{
    const struct fault *fault = selected(view, scene);
    if (!fault)
        return;
    if (view->detail_focused && fault->remedy && *fault->remedy) {
        faults_add_remedy(scene, fault, buf);
        return;
    }
    size_t copied = 0;
    for (size_t i = 0; i < view->table.count; i++)
        if (table_row_is_marked(&view->table, scene, i)) {
            buf_add_text(buf, copied++ ? "\n" : "");
            faults_add_whole(scene, &scene->picture.diagnosis->faults[view->table.rows[i]], buf);
        }
    if (!copied)
        faults_add_whole(scene, fault, buf);
}

/* As text each in full; JSON and CSV have a row each. */
static void faults_save(const struct view *view, const struct scene *scene, enum save_format format, struct buf *buf)
{
    if (format != SAVE_TEXT) {
        struct table all = view->table; /* borrowed but for the columns: everything that is known */
        snprintf(all.columns, sizeof all.columns, "severity,id,nodes,explains,since,what,summary");
        table_save(&all, scene, format, buf);
        return;
    }
    for (size_t i = 0; i < view->table.count; i++) {
        buf_add_text(buf, i ? "\n" : "");
        faults_add_whole(scene, &scene->picture.diagnosis->faults[view->table.rows[i]], buf);
    }
    if (!view->table.count)
        buf_add_text(buf, "No fault was found in what could be seen.\n");
}

static void faults_menu(struct view *view, const struct scene *scene, enum action action, const char *value)
{
    table_menu(&view->table, scene, action, value);
}

static size_t faults_values(const struct view *view, enum action action, const char **values, size_t most)
{
    return table_values(&view->table, action, values, most);
}

static const enum action footer[] = {ACTION_ENTER, ACTION_PANE, ACTION_COPY, ACTION_SHELL, ACTION_FILTER, ACTION_SORT, ACTION_MARK, ACTION_SAVE, ACTION_NONE};

const struct view_ops view_faults = {
    .name = "faults",
    .title = "Faults",
    .help = "What is wrong, the worst first: root causes, with what each explains. Below, or to the right: the evidence, and what to do. Tab goes there, to scroll; y then copies "
            "what to do, and in the list the whole fault. Enter goes to the node or link it is about.",
    .action = ACTION_FAULTS,
    .size = sizeof(struct view),
    .footer = footer,
    .open = faults_open,
    .close = faults_close,
    .refresh = faults_refresh,
    .draw = faults_draw,
    .act = faults_act,
    .mouse = faults_mouse,
    .subject = faults_selected,
    .copy = faults_copy,
    .save = faults_save,
    .menu = faults_menu,
    .values = faults_values,
};
