/* The first screen: is it well, what is wrong, and all nodes. */
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "overview.h"
#include "view.h"
#include "words.h"

enum { WITH_SIDE = 150, SIDE_WIDTH = 52 };

enum pane { PANE_NODES, PANE_FAULTS };
struct view {
    struct view_base base;
    struct table nodes, faults;
    struct overview_counts counts;
    enum pane pane;
    int faults_row, nodes_row, main_columns; /* of the last draw; faults_row 0: not there */
};

static void overview_refresh(struct view *view, const struct scene *scene)
{
    overview_count(scene, &view->counts);
    table_refresh(&view->nodes, scene);
    table_refresh(&view->faults, scene);
    if (!view->faults.count)
        view->pane = PANE_NODES;
}

static void overview_open(struct view *view, const struct scene *scene, const struct subject *subject)
{
    if (!view->nodes.list) {
        view->nodes.list = &overview_nodes;
        view->faults.list = &faults_list;
        view->nodes.view = view->faults.view = view;
        view->nodes.sort = view->faults.sort = -1;
        view->nodes.quiet = view->faults.quiet = true;
        snprintf(view->faults.columns, sizeof view->faults.columns, "what,explains,since");
    }
    overview_refresh(view, scene);
    if (subject && subject->kind == SUBJECT_NODE)
        table_select(&view->nodes, scene, subject);
}

static void overview_close(struct view *view)
{
    table_free(&view->nodes);
    table_free(&view->faults);
}

static void overview_draw(struct view *view, const struct scene *scene, const struct area *area)
{
    struct area main = *area;
    int row = overview_answer(scene, &view->counts, area, area->rows >= 12 ? 2 : 1);
    int gap = area->rows >= 18, most = area->rows / 3;
    if (area->columns >= WITH_SIDE && area->rows >= 12) {
        int top = row + gap;
        struct area side = area_part(area, top, area->columns - SIDE_WIDTH, area->rows - top, SIDE_WIDTH - 1);
        overview_side(scene, &view->counts, &side);
        area_column(area, top, area->columns - SIDE_WIDTH - 2, area->rows - top, STYLE_BORDER);
        main = area_part(area, 0, 0, area->rows, area->columns - SIDE_WIDTH - 3);
    }
    view->main_columns = main.columns;
    view->faults_row = 0;
    if (view->faults.count && most >= 2) {
        int rows = (int)(view->faults.count < 100 ? view->faults.count : 100) + 1;
        view->faults_row = row + gap;
        struct area part = area_part(&main, view->faults_row, 0, rows < most ? rows : most, main.columns);
        table_draw(&view->faults, scene, &part, view->pane == PANE_FAULTS);
        row = view->faults_row + part.rows;
    } else
        view->pane = PANE_NODES;
    view->nodes_row = row + gap;
    struct area part = area_part(&main, view->nodes_row, 0, area->rows - view->nodes_row, main.columns);
    table_draw(&view->nodes, scene, &part, view->pane == PANE_NODES);
}

static struct table *focused(struct view *view)
{
    return view->pane == PANE_FAULTS ? &view->faults : &view->nodes;
}

static const struct table *focused_const(const struct view *view)
{
    return view->pane == PANE_FAULTS ? &view->faults : &view->nodes;
}

static bool overview_act(struct view *view, const struct scene *scene, enum action action, struct wish *wish)
{
    if (action == ACTION_PANE) {
        if (view->faults.count)
            view->pane = view->pane == PANE_FAULTS ? PANE_NODES : PANE_FAULTS;
        else
            snprintf(wish->notice, sizeof wish->notice, "no faults to go to");
        return true;
    }
    return table_act(focused(view), scene, action, wish);
}

static bool overview_mouse(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    if (column >= view->main_columns)
        return false;
    bool faults = view->faults_row && row >= view->faults_row && row < view->nodes_row;
    int first = faults ? view->faults_row : view->nodes_row;
    if (row < first)
        return false;
    view->pane = faults ? PANE_FAULTS : PANE_NODES;
    return table_mouse(focused(view), scene, row - first, column, wheel, double_click, wish);
}

static bool overview_subject(const struct view *view, const struct scene *scene, struct subject *subject)
{
    return table_subject(focused_const(view), scene, subject);
}

static void overview_copy(const struct view *view, const struct scene *scene, struct buf *buf)
{
    table_copy(focused_const(view), scene, buf);
}

static void overview_save(const struct view *view, const struct scene *scene, enum save_format format, struct buf *buf)
{
    table_save(&view->nodes, scene, format, buf);
}

static void overview_menu(struct view *view, const struct scene *scene, enum action action, const char *value)
{
    table_menu(&view->nodes, scene, action, value);
}

static size_t overview_values(const struct view *view, enum action action, const char **values, size_t most)
{
    return table_values(&view->nodes, action, values, most);
}

static const enum action footer[] = {ACTION_ENTER, ACTION_PANE, ACTION_NEXT, ACTION_FAULTS_ONLY, ACTION_FILTER, ACTION_SORT, ACTION_SHELL, ACTION_COLUMNS, ACTION_COPY, ACTION_NONE};

const struct view_ops view_overview = {
    .name = "overview",
    .title = "Overview",
    .help = "Is it well? The first line says so. Below: what is wrong, the worst first, with how much each explains; then all nodes, those that are not well first. Tab goes from "
            "one to the other, Enter opens. LIVE is how many of a node's links are live, of all its rows; SEEN, how long ago it was looked at; rates are bytes per second.",
    .action = ACTION_OVERVIEW,
    .size = sizeof(struct view),
    .footer = footer,
    .open = overview_open,
    .close = overview_close,
    .refresh = overview_refresh,
    .draw = overview_draw,
    .act = overview_act,
    .mouse = overview_mouse,
    .subject = overview_subject,
    .copy = overview_copy,
    .save = overview_save,
    .menu = overview_menu,
    .values = overview_values,
};
