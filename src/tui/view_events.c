/* The screen of events: what happened to the mesh and when, the newest first, also before this deck was opened. */
#include <stdlib.h>
#include <string.h>

#include "table.h"
#include "view.h"
#include "words.h"

#define DIVIDER UINT32_MAX /* the row between this run and earlier ones */

struct view {
    struct view_base base;
    struct table table;
};

static const struct event_log *log_of(const struct scene *scene)
{
    return scene->live ? live_events(scene->live) : NULL;
}

static const struct event *event_at(const struct scene *scene, uint32_t row)
{
    const struct event_log *log = log_of(scene);
    return row != DIVIDER && log && row < event_log_count(log) ? event_log_get(log, row) : NULL;
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

static enum style time_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct event *event = event_at(scene, row);
    if (event) {
        char text[CLOCK_TEXT_SIZE];
        words_when(event->at, scene->picture.now, buf);
        words_export(buf);
        clock_text(event->at, text);
        buf_add_text(buf, text);
    }
    return event && event->earlier ? STYLE_OLD : STYLE_TEXT;
}

static uint64_t time_order(const struct scene *scene, uint32_t row)
{
    const struct event *event = event_at(scene, row);
    return event ? (uint64_t)event->at : UINT64_MAX;
}

static enum style age_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct event *event = event_at(scene, row);
    if (event) {
        int64_t age = scene->picture.now - event->at;
        words_age(age < 0 ? 0 : age, buf);
        words_export(buf);
        buf_add_format(buf, "%.0f", (double)age / 1e9);
    }
    return STYLE_DIM;
}

static enum style kind_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct event *event = event_at(scene, row);
    if (!event)
        return STYLE_DIM;
    buf_add_text(buf, event_kinds[event->kind].name);
    return event->earlier ? STYLE_OLD : words_event_look(event).style;
}

static uint64_t kind_order(const struct scene *scene, uint32_t row)
{
    const struct event *event = event_at(scene, row);
    return event ? (uint64_t)(SEVERITY_ERROR - event->severity) * EVENT_KIND_COUNT + event->kind : UINT64_MAX;
}

/* Names of nodes are hidden in the text as everywhere. */
static enum style nodes_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct event *event = event_at(scene, row);
    struct buf name = BUF_EMPTY;
    for (int i = 0; event && i < 2; i++)
        if (event->nodes[i] && *event->nodes[i])
            buf_add_format(buf, "%s%s", i ? " → " : "", scene_text(scene, event->nodes[i], &name));
    buf_free(&name);
    return STYLE_DIM;
}

static enum style times_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct event *event = event_at(scene, row);
    if (event)
        buf_add_format(buf, "%u", event->times);
    return STYLE_WARNING;
}

static uint64_t times_order(const struct scene *scene, uint32_t row)
{
    const struct event *event = event_at(scene, row);
    return event ? event->times : UINT64_MAX;
}

static void add_divider(const struct scene *scene, struct buf *buf)
{
    const struct event_log *log = log_of(scene);
    int64_t opened = 0;
    for (size_t i = 0; log && i < event_log_count(log); i++)
        if (!event_log_get(log, i)->earlier)
            opened = event_log_get(log, i)->at;
    words_glyph(GLYPH_HORIZONTAL, buf);
    words_glyph(GLYPH_HORIZONTAL, buf);
    buf_add_text(buf, " before this deck was opened");
    if (opened) {
        buf_add_char(buf, ' ');
        words_when(opened, scene->picture.now, buf);
    }
    buf_add_char(buf, ' ');
    for (int i = 0; i < 12; i++)
        words_glyph(GLYPH_HORIZONTAL, buf);
}

static enum style text_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct event *event = event_at(scene, row);
    if (!event)
        add_divider(scene, buf);
    else {
        struct buf text = BUF_EMPTY;
        const char *shown = scene_text(scene, event->text, &text);
        struct look_of look = words_event_look(event);
        words_style(event->earlier ? STYLE_OLD : look.style, buf);
        words_glyph(look.glyph, buf);
        buf_add_char(buf, ' ');
        if (event->times > 1)
            buf_add_format(buf, "x%u ", event->times);
        words_style(event->earlier ? STYLE_OLD : STYLE_TEXT, buf);
        buf_add_text(buf, shown);
        words_export(buf);
        buf_add_text(buf, shown);
        buf_free(&text);
    }
    return !event ? STYLE_BORDER : event->earlier ? STYLE_OLD : STYLE_TEXT;
}

static const struct table_column columns[] = {
    {.name = "time", .title = "TIME", .help = "time", .descending = true, .cell = time_cell, .order = time_order},
    {.name = "age", .title = "AGO", .help = "how long ago", .right = true, .width = 6, .drop = 40, .cell = age_cell},
    {.name = "kind", .title = "KIND", .help = "what happened", .drop = 45, .cell = kind_cell, .order = kind_order},
    {.name = "nodes", .title = "WHERE", .help = "the nodes", .most = 30, .drop = 50, .hidden = true, .cell = nodes_cell},
    {.name = "times", .title = "TIMES", .help = "how often in a row", .right = true, .descending = true, .drop = 35, .hidden = true, .cell = times_cell, .order = times_order},
    {.name = "text", .title = "WHAT HAPPENED", .help = "in a sentence", .width = 80, .share = 75, .cell = text_cell},
    {0},
};

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static size_t rows_most(const struct scene *scene, const void *view)
{
    (void)view;
    const struct event_log *log = log_of(scene);
    return log ? event_log_count(log) + 1 : 1;
}

static bool shows(const struct scene *scene, const struct event *event, struct buf *text, struct buf *part)
{
    if (scene->faults_only && event->severity == SEVERITY_INFO)
        return false;
    if (!scene->filter || !*scene->filter)
        return true;
    buf_clear(text);
    buf_add_format(text, "%s\n%s", event_kinds[event->kind].name, scene_text(scene, event->text, part));
    for (int i = 0; i < 2; i++)
        if (event->nodes[i])
            buf_add_format(text, "\n%s", scene_text(scene, event->nodes[i], part));
    return scene_matches(scene, buf_text(text));
}

/* The line between now and earlier is drawn in the natural order only, and not above the first row. */
static size_t rows(const struct scene *scene, const void *context, uint32_t *out, size_t most)
{
    const struct view *view = context;
    const struct event_log *log = log_of(scene);
    struct buf text = BUF_EMPTY, part = BUF_EMPTY;
    size_t count = 0;
    bool divided = view->table.sort >= 0;
    for (size_t i = 0; log && i < event_log_count(log) && count + 1 < most; i++) {
        const struct event *event = event_log_get(log, i);
        if (!shows(scene, event, &text, &part))
            continue;
        if (event->earlier && !divided) {
            divided = true;
            out[count++] = DIVIDER;
        }
        out[count++] = (uint32_t)i;
    }
    buf_free(&text);
    buf_free(&part);
    return count;
}

static void row_subject(const struct scene *scene, uint32_t row, struct subject *subject)
{
    const struct event *event = event_at(scene, row);
    *subject = (struct subject){.kind = event ? SUBJECT_EVENT : SUBJECT_NONE, .a = SIZE_MAX, .b = SIZE_MAX};
    if (event)
        snprintf(subject->identity, sizeof subject->identity, "%lld %u %.140s", (long long)event->at, (unsigned)event->kind, event->text);
}

static bool row_is_well(const struct scene *scene, uint32_t row)
{
    const struct event *event = event_at(scene, row);
    return !event || event->severity != SEVERITY_ERROR;
}

static const struct table_list list = {
    .columns = columns,
    .rows = rows,
    .rows_most = rows_most,
    .subject = row_subject,
    .is_well = row_is_well,
    .empty = "Nothing has happened yet that is worth telling. What happens is kept, also for the next time.",
    .follows_top = true,
};

/* ---- the screen -------------------------------------------------------------------------------------------------- */

static void events_open(struct view *view, const struct scene *scene, const struct subject *subject)
{
    if (!view->table.list) {
        view->table.list = &list;
        view->table.view = view;
        view->table.sort = -1;
    }
    table_refresh(&view->table, scene);
    if (subject && subject->kind == SUBJECT_EVENT)
        table_select(&view->table, scene, subject);
}

static void events_close(struct view *view)
{
    table_free(&view->table);
}

static void events_refresh(struct view *view, const struct scene *scene)
{
    table_refresh(&view->table, scene);
}

static void events_draw(struct view *view, const struct scene *scene, const struct area *area)
{
    table_draw(&view->table, scene, area, true);
    const struct event_log *log = log_of(scene);
    const char *problem = log ? event_log_problem(log) : NULL;
    if (problem && area->rows > 3) {
        struct area line = area_part(area, area->rows - 1, 0, 1, area->columns);
        area_fill(&line);
        words_field(&line, 0, 1, area->columns - 2, false, STYLE_WARNING, problem);
    }
}

/* What an event was about: its link if there is one, else its first node. */
static bool place(const struct scene *scene, const struct event *event, struct subject *subject)
{
    size_t ends[2] = {SIZE_MAX, SIZE_MAX};
    for (int i = 0; event && i < 2; i++)
        if (event->nodes[i] && *event->nodes[i])
            ends[i] = mesh_find_node(scene->picture.mesh, event->nodes[i]);
    if (ends[0] == SIZE_MAX && ends[1] == SIZE_MAX)
        return false;
    if (ends[0] != SIZE_MAX && ends[1] != SIZE_MAX && scene_link(scene, ends[0], ends[1]))
        *subject = (struct subject){.kind = SUBJECT_LINK, .a = ends[0] < ends[1] ? ends[0] : ends[1], .b = ends[0] < ends[1] ? ends[1] : ends[0]};
    else
        *subject = (struct subject){.kind = SUBJECT_NODE, .a = ends[0] != SIZE_MAX ? ends[0] : ends[1], .b = SIZE_MAX};
    return true;
}

static const struct event *selected(const struct view *view, const struct scene *scene)
{
    return view->table.count ? event_at(scene, view->table.rows[view->table.cursor]) : NULL;
}

static void open_place(const struct view *view, const struct scene *scene, struct wish *wish)
{
    wish->open = place(scene, selected(view, scene), &wish->subject);
    if (!wish->open)
        snprintf(wish->notice, sizeof wish->notice, "this is about no single node or link");
}

static bool events_act(struct view *view, const struct scene *scene, enum action action, struct wish *wish)
{
    if (action == ACTION_ENTER && view->table.count) {
        open_place(view, scene, wish);
        return true;
    }
    return table_act(&view->table, scene, action, wish);
}

static bool events_mouse(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    bool done = table_mouse(&view->table, scene, row, column, wheel, double_click, wish);
    if (wish->open)
        open_place(view, scene, wish);
    return done;
}

/* The node or link, so that a shell can be opened there. */
static bool events_subject(const struct view *view, const struct scene *scene, struct subject *subject)
{
    return place(scene, selected(view, scene), subject) || table_subject(&view->table, scene, subject);
}

static void events_copy(const struct view *view, const struct scene *scene, struct buf *buf)
{
    table_copy(&view->table, scene, buf);
}

static void events_save(const struct view *view, const struct scene *scene, enum save_format format, struct buf *buf)
{
    table_save(&view->table, scene, format, buf);
}

static void events_menu(struct view *view, const struct scene *scene, enum action action, const char *value)
{
    table_menu(&view->table, scene, action, value);
}

static size_t events_values(const struct view *view, enum action action, const char **values, size_t most)
{
    return table_values(&view->table, action, values, most);
}

static const enum action footer[] = {ACTION_ENTER, ACTION_FILTER, ACTION_FAULTS_ONLY, ACTION_NEXT, ACTION_SORT, ACTION_MARK, ACTION_COPY, ACTION_SAVE, ACTION_NONE};

const struct view_ops view_events = {
    .name = "events",
    .title = "Events",
    .help = "What happened, the newest first, with the time of this machine. What was seen in earlier runs stands below the line, dimmed. Something that repeats is told once, with "
            "how often (x14). On the first row the cursor stays with the newest. Enter goes to the node or link.",
    .action = ACTION_EVENTS,
    .size = sizeof(struct view),
    .footer = footer,
    .open = events_open,
    .close = events_close,
    .refresh = events_refresh,
    .draw = events_draw,
    .act = events_act,
    .mouse = events_mouse,
    .subject = events_subject,
    .copy = events_copy,
    .save = events_save,
    .menu = events_menu,
    .values = events_values,
};
