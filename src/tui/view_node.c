/* Node: one node, what is wrong with it first, then what it is, then its rows: with whom, and how each link is. Facts are drawn by node_facts.c. */
#include <stdio.h>
#include <stdlib.h>

#include "matrix.h"
#include "node_view.h"
#include "words.h"

struct view_node {
    struct view_base base;
    struct table table;
    struct page facts;
    size_t node;      /* SIZE_MAX: none chosen */
    bool facts_only;  /* the facts have the whole screen */
    int table_row;    /* where the table was drawn last */
    bool opened;
};

/* Cells know their row, not their table: this is the node whose rows they are. One thread draws. */
static size_t shown;

static struct view_node *of(struct view *view)
{
    return (struct view_node *)view;
}

static const struct link *link_of(const struct scene *scene, uint32_t row)
{
    return &scene->picture.diagnosis->links[row];
}

static bool is_a(const struct link *link)
{
    return link->a == shown;
}

static size_t other_of(const struct link *link)
{
    return is_a(link) ? link->b : link->a;
}

static const struct device_peer *own_row(const struct link *link)
{
    return is_a(link) ? link->a_row : link->b_row;
}

/* ---- columns ---------------------------------------------------------------------------------------------------- */

static enum style name_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    struct buf name = BUF_EMPTY;
    size_t other = other_of(link_of(scene, row));
    buf_add_text(buf, scene_name(scene, other, &name));
    buf_free(&name);
    enum node_state state = scene->picture.diagnosis->nodes[other].state;
    return state == NODE_UP ? STYLE_TEXT : look_of_node(state).style;
}

static uint64_t name_order(const struct scene *scene, uint32_t row)
{
    return words_name_rank(scene, other_of(link_of(scene, row)));
}

static enum style state_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct link *link = link_of(scene, row);
    struct look_of look = look_of_link(link->state);
    words_glyph(look.glyph, buf);
    buf_add_format(buf, " %s", link_state_text(link->state));
    return look.style;
}

static uint64_t state_order(const struct scene *scene, uint32_t row)
{
    const struct link *link = link_of(scene, row);
    enum course ahead = course_of(link, true), back = course_of(link, false);
    return (uint64_t)(COURSE_COUNT - (ahead > back ? ahead : back));
}

static enum style course_cell(const struct scene *scene, uint32_t row, bool hears, struct buf *buf)
{
    const struct link *link = link_of(scene, row);
    bool a_to_b = is_a(link) != hears;
    enum direction_state direction = a_to_b ? link->a_to_b : link->b_to_a;
    struct look_of look = direction == DIRECTION_UNKNOWN ? course_look(COURSE_UNKNOWN) : course_look(course_of(link, a_to_b));
    (void)scene;
    words_glyph(look.glyph, buf);
    buf_add_format(buf, " %s", direction_state_text(direction));
    return look.style;
}

static enum style hears_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return course_cell(scene, row, true, buf);
}

static enum style heard_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return course_cell(scene, row, false, buf);
}

static int64_t age_at(const struct link *link, bool here)
{
    return is_a(link) == here ? link->a_age : link->b_age;
}

static enum style age_cell(const struct scene *scene, uint32_t row, bool here, struct buf *buf)
{
    const struct link *link = link_of(scene, row);
    int64_t age = age_at(link, here);
    bool known = (is_a(link) == here ? link->a_row : link->b_row) != NULL;
    if (age < 0)
        buf_add_text(buf, known ? "never" : "-");
    else
        words_age(age, buf);
    return age < 0 && known ? STYLE_NEVER : link->state == LINK_LATE || link->state == LINK_DEAD ? look_of_link(link->state).style : STYLE_TEXT;
}

static enum style here_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return age_cell(scene, row, true, buf);
}

static enum style there_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return age_cell(scene, row, false, buf);
}

static uint64_t here_order(const struct scene *scene, uint32_t row)
{
    return (uint64_t)age_at(link_of(scene, row), true); /* never: the largest */
}

static uint64_t there_order(const struct scene *scene, uint32_t row)
{
    return (uint64_t)age_at(link_of(scene, row), false);
}

static enum style endpoint_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct device_peer *own = own_row(link_of(scene, row));
    if (!own || !own->endpoint.address.family) {
        buf_add_text(buf, own ? "none" : "no row");
        return own ? STYLE_DIM : STYLE_WARNING;
    }
    char text[ENDPOINT_TEXT_SIZE];
    struct buf hidden = BUF_EMPTY;
    endpoint_text(&own->endpoint, text);
    buf_add_text(buf, scene_text(scene, text, &hidden));
    buf_free(&hidden);
    return STYLE_TEXT;
}

static enum style keepalive_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct device_peer *own = own_row(link_of(scene, row));
    if (own && own->keepalive)
        buf_add_format(buf, "%us", own->keepalive);
    else
        buf_add_text(buf, own ? "off" : "-");
    return own && own->keepalive ? STYLE_TEXT : STYLE_DIM;
}

static enum style allowed_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct device_peer *own = own_row(link_of(scene, row));
    struct buf hidden = BUF_EMPTY;
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; own && i < own->allowed_count && i < 8; i++) {
        prefix_text(&own->allowed[i], text);
        buf_add_format(buf, "%s%s", i ? " " : "", scene_text(scene, text, &hidden));
    }
    if (own && own->allowed_count > 8)
        buf_add_format(buf, " and %zu more", own->allowed_count - 8);
    buf_free(&hidden);
    return STYLE_DIM;
}

static enum style rate_cell(const struct scene *scene, uint32_t row, bool hears, struct buf *buf)
{
    const struct link *link = link_of(scene, row);
    double rate;
    if (course_rate(scene, link, is_a(link) != hears, &rate))
        words_rate_short(rate, buf);
    return STYLE_TEXT;
}

static enum style in_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return rate_cell(scene, row, true, buf);
}

static enum style out_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    return rate_cell(scene, row, false, buf);
}

static const struct table_column columns[] = {
    {.name = "with", .title = "With", .help = "the other node", .width = 0, .most = 32, .cell = name_cell, .order = name_order},
    {.name = "state", .title = "Link", .help = "state of the link", .width = 9, .cell = state_cell, .order = state_order},
    {.name = "hears", .title = "Hears it", .help = "the direction to this node", .width = 9, .drop = 2, .cell = hears_cell},
    {.name = "heard", .title = "Is heard", .help = "the direction from this node", .width = 9, .drop = 2, .cell = heard_cell},
    {.name = "here", .title = "Handshake", .help = "how long ago, by this node", .width = 6, .right = true, .drop = 1, .cell = here_cell, .order = here_order},
    {.name = "there", .title = "there", .help = "how long ago, by the other one", .width = 6, .right = true, .drop = 4, .cell = there_cell, .order = there_order},
    {.name = "in", .title = "In B/s", .help = "received from it, bytes per second", .width = 6, .right = true, .drop = 5, .cell = in_cell},
    {.name = "out", .title = "Out B/s", .help = "sent to it, bytes per second", .width = 6, .right = true, .drop = 5, .cell = out_cell},
    {.name = "endpoint", .title = "Sends to", .help = "where this node sends to for it", .width = 0, .most = 48, .drop = 3, .cell = endpoint_cell},
    {.name = "keepalive", .title = "Keepalive", .help = "of this node's row", .width = 4, .right = true, .drop = 6, .cell = keepalive_cell},
    {.name = "allowed", .title = "Allowed IPs", .help = "of this node's row", .width = 0, .most = 80, .drop = 7, .cell = allowed_cell},
    {.name = NULL},
};

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static size_t rows_of(const struct scene *scene, const void *view, uint32_t *rows, size_t most)
{
    const struct view_node *self = view;
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    size_t count = 0;
    for (size_t i = 0; i < diagnosis->link_count && count < most; i++) {
        const struct link *link = &diagnosis->links[i];
        if ((link->a != self->node && link->b != self->node) || (scene->faults_only && link_is_well(link)))
            continue;
        size_t other = link->a == self->node ? link->b : link->a;
        if (!scene->node_matches || scene->node_matches[other])
            rows[count++] = (uint32_t)i;
    }
    return count;
}

static size_t rows_most(const struct scene *scene, const void *view)
{
    (void)view;
    return scene->picture.mesh->node_count;
}

static void row_subject(const struct scene *scene, uint32_t row, struct subject *subject)
{
    const struct link *link = link_of(scene, row);
    *subject = (struct subject){.kind = SUBJECT_LINK, .a = link->a, .b = link->b};
}

static bool row_is_well(const struct scene *scene, uint32_t row)
{
    return link_is_well(link_of(scene, row));
}

static const struct table_list list = {
    .columns = columns, .rows = rows_of, .rows_most = rows_most, .subject = row_subject, .is_well = row_is_well, .empty = "No link of this node to show.",
};

/* ---- the screen ------------------------------------------------------------------------------------------------- */

static bool is_chosen(const struct view_node *self, const struct scene *scene)
{
    return self->opened && self->node < scene->picture.mesh->node_count;
}

static void draw(struct view *view, const struct scene *scene, const struct area *area)
{
    struct view_node *self = of(view);
    if (!is_chosen(self, scene)) {
        area_paragraph(area, 0, 1, area->columns - 2, area->rows, STYLE_DIM, "No node is chosen: press Enter on one in the overview, the matrix or the map.", true);
        return;
    }
    shown = self->node;
    struct area page = page_begin(&self->facts, area);
    int used = node_draw_facts(scene, self->node, &page, area->rows >= 40 || self->facts_only);
    int wanted = (int)self->table.count + 1, least = wanted < 4 ? wanted : 4;
    int room = area->rows - used - 1;              /* for the table, when all facts are shown */
    if (room < wanted)
        room = area->rows / 2 > room ? area->rows / 2 : room;
    room = room < least ? least : room;
    if (self->facts_only || area->rows < 4)
        room = 0;
    if (area->rows - room < 2)
        room = area->rows > 2 ? area->rows - 2 : 0;
    int plots = self->facts_only || room - wanted < 8 ? 0 : room - wanted > 14 ? 12 : room - wanted;
    int facts = area->rows - room;
    struct area above = area_part(area, 0, 0, facts < used + 1 && room ? facts : facts, area->columns);
    page_end(&self->facts, &above, used);
    self->table_row = facts < used + 1 ? facts : used + 1;
    struct area below = area_part(area, self->table_row, 0, area->rows - self->table_row - plots, area->columns);
    if (room) {
        table_draw(&self->table, scene, &below, true);
        if (plots)
            node_draw_plots(scene, self->node, area, area->rows - plots, plots);
    } else {
        self->table_row = area->rows;
    }
}

static void refresh(struct view *view, const struct scene *scene)
{
    struct view_node *self = of(view);
    shown = self->node;
    self->table.view = self;
    if (is_chosen(self, scene))
        table_refresh(&self->table, scene);
}

static void open(struct view *view, const struct scene *scene, const struct subject *subject)
{
    struct view_node *self = of(view);
    if (!self->opened) {
        self->opened = true;
        self->node = SIZE_MAX;
        self->table.list = &list;
        self->table.sort = 1; /* what is not well first */
    }
    if (subject && subject->kind == SUBJECT_NODE && subject->a != SIZE_MAX && subject->a != self->node) {
        self->node = subject->a;
        self->facts.top = 0;
        self->facts_only = false;
        self->table.cursor = self->table.top = 0;
        self->table.selected = self->table.wanted = (struct subject){0};
    }
    refresh(view, scene);
}

static void close_view(struct view *view)
{
    table_free(&of(view)->table);
    page_free(&of(view)->facts);
}

static bool act(struct view *view, const struct scene *scene, enum action action, struct wish *wish)
{
    struct view_node *self = of(view);
    shown = self->node;
    if (!is_chosen(self, scene))
        return false;
    if (action == ACTION_PANE) {
        self->facts_only = !self->facts_only;
        return true;
    }
    if (self->facts_only)
        return page_act(&self->facts, action);
    return table_act(&self->table, scene, action, wish);
}

static bool mouse(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    struct view_node *self = of(view);
    shown = self->node;
    if (!is_chosen(self, scene))
        return false;
    if (row >= self->table_row)
        return table_mouse(&self->table, scene, row - self->table_row, column, wheel, double_click, wish);
    for (int i = 0; i < 3 && wheel; i++)
        page_act(&self->facts, wheel < 0 ? ACTION_UP : ACTION_DOWN);
    return true;
}

static bool subject_of(const struct view *view, const struct scene *scene, struct subject *subject)
{
    const struct view_node *self = (const struct view_node *)view;
    if (!is_chosen(self, scene))
        return false;
    *subject = (struct subject){.kind = SUBJECT_NODE, .a = self->node, .b = SIZE_MAX};
    return true;
}

static void copy(const struct view *view, const struct scene *scene, struct buf *buf)
{
    const struct view_node *self = (const struct view_node *)view;
    shown = self->node;
    table_copy(&self->table, scene, buf);
}

static void save(const struct view *view, const struct scene *scene, enum save_format format, struct buf *buf)
{
    const struct view_node *self = (const struct view_node *)view;
    shown = self->node;
    table_save(&self->table, scene, format, buf);
}

static void menu(struct view *view, const struct scene *scene, enum action action, const char *value)
{
    shown = of(view)->node;
    table_menu(&of(view)->table, scene, action, value);
}

static size_t values(const struct view *view, enum action action, const char **texts, size_t most)
{
    return table_values(&((const struct view_node *)view)->table, action, texts, most);
}

static const enum action footer[] = {ACTION_ENTER, ACTION_SHELL, ACTION_NEXT, ACTION_PANE, ACTION_SORT, ACTION_FAULTS_ONLY, ACTION_NONE};

const struct view_ops view_node = {
    .name = "node",
    .title = "Node",
    .help = "One node: its state, what is wrong with it and what to do, how it is reached, its interface, addresses and saved file; then its links, one "
            "row each: whether this node hears the other and is heard by it, the age of the handshake here and there, and where it sends to. Enter "
            "opens a link, Tab gives the facts the whole screen. A node that cannot be reached shows its last reading, marked old.",
    .action = ACTION_NONE,
    .size = sizeof(struct view_node),
    .footer = footer,
    .open = open,
    .close = close_view,
    .refresh = refresh,
    .draw = draw,
    .act = act,
    .mouse = mouse,
    .subject = subject_of,
    .copy = copy,
    .save = save,
    .menu = menu,
    .values = values,
};
