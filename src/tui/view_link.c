/* Link: both ends of one link side by side, what is wrong with it, and how it was over the last hour. */
#include <stdio.h>

#include "fault_lines.h"
#include "link_view.h"
#include "matrix.h"
#include "words.h"

static struct view_link *of(struct view *view)
{
    return (struct view_link *)view;
}

/* ---- what it is, in words --------------------------------------------------------------------------------------- */

static const char *const meanings[] = {
    [LINK_LIVE] = "Nothing is wrong: packets go both ways.",
    [LINK_LATE] = "The last handshake is older than it should be. WireGuard makes a new one every two minutes while packets flow: either one was lost on "
                  "the way, or the link is about to break.",
    [LINK_IDLE] = "Quiet: nothing was sent lately and no keepalive is set, so no handshake is due. Nothing says that it is broken; a ping across it would "
                  "tell, and so would PersistentKeepalive.",
    [LINK_DEAD] = "Nothing gets through.",
    [LINK_NEVER] = "There was never a handshake between these two, as far as their interfaces know.",
    [LINK_HALF] = "Only one end, or only one direction, works.",
    [LINK_UNKNOWN] = "What can be seen is not enough to judge this link. Unknown is not the same as broken.",
};

static int64_t state_since(const struct scene *scene, const struct link *link, bool *at_least)
{
    const struct trend *trend = scene->live ? live_link_trend(scene->live, link->a, link->b) : NULL;
    size_t samples = 0, length = trend ? trend_length(trend) : 0;
    double value;
    while (samples < length && trend_get(trend, TREND_STATE, samples, &value) && value == (double)link->state)
        samples++;
    *at_least = samples == length;
    return samples < 2 ? 0 : scene->picture.now - (int64_t)samples * TREND_STEP;
}

static int draw_heading(const struct scene *scene, const struct link *link, size_t a, size_t b, const struct area *area)
{
    struct buf text = BUF_EMPTY;
    int column = area_bold(area, 0, 0, STYLE_TITLE, scene_name(scene, a, &text));
    area_glyph(area, 0, column + 1, STYLE_DIM, GLYPH_ARROW_BOTH);
    column += 3 + area_bold(area, 0, column + 3, STYLE_TITLE, scene_name(scene, b, &text)) + 2;
    if (!link) {
        area_text(area, 0, column, STYLE_DIM, "no link");
        buf_free(&text);
        return 1;
    }
    struct look_of look = look_of_link(link->state);
    area_glyph(area, 0, column, look.style, look.glyph);
    column += 2 + area_bold(area, 0, column + 2, look.style, link_state_text(link->state));
    bool at_least;
    int64_t since = state_since(scene, link, &at_least);
    buf_clear(&text);
    if (since) {
        buf_add_text(&text, at_least ? " for at least " : " for ");
        words_age(scene->picture.now - since, &text);
    }
    buf_add_format(&text, area->surface->ascii ? " - %s" : " · %s", link_path_text(link->path));
    if (link->rtt >= 0) {
        buf_add_text(&text, area->surface->ascii ? " - round trip " : " · round trip ");
        words_milliseconds(link->rtt, &text);
    }
    area_text(area, 0, column, STYLE_DIM, buf_text(&text));
    buf_free(&text);
    return 1;
}

/* An arrow of the width that is there, with what goes along it: "──── ✖ blocked ───▶". */
static void draw_arrow(const struct scene *scene, const struct link *link, bool a_to_b, const struct area *area, int row, int column, int width)
{
    enum course course = course_of(link, a_to_b);
    struct look_of look = course_look(course);
    struct buf text = BUF_EMPTY;
    double rate;
    enum direction_state direction = a_to_b ? link->a_to_b : link->b_to_a;
    buf_add_text(&text, direction == DIRECTION_BLOCKED ? "blocked" : direction == DIRECTION_UNKNOWN ? "unknown" : "ok");
    if (direction != DIRECTION_BLOCKED && course_rate(scene, link, a_to_b, &rate)) {
        buf_add_text(&text, ", ");
        words_rate(rate, &text);
    }
    if (direction == DIRECTION_UNKNOWN)
        look = (struct look_of){GLYPH_UNKNOWN, STYLE_UNKNOWN};
    else if (direction == DIRECTION_OK)
        look = (struct look_of){GLYPH_GOOD, STYLE_GOOD};
    area_line(area, row, column, width, look.style);
    area_glyph(area, row, a_to_b ? column + width - 1 : column, look.style, a_to_b ? GLYPH_ARROW : GLYPH_MORE_LEFT);
    int start = column + (width - (int)text.length - 4) / 2;
    area_character(area, row, start, look.style, ' ');
    area_glyph(area, row, start + 1, look.style, look.glyph);
    area_format(area, row, start + 2, look.style, " %s ", buf_text(&text));
    buf_free(&text);
}

static int draw_directions(const struct scene *scene, const struct link *link, const struct area *area, int row)
{
    struct buf name = BUF_EMPTY;
    int side = area->columns / 4 < 24 ? area->columns / 4 : 24, width = area->columns - 2 * side - 2;
    width = width > 60 ? 60 : width;
    if (width < 16) {
        buf_free(&name);
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        area_field(area, row + i, 0, side, true, STYLE_HEADING, i == 0 ? scene_name(scene, link->a, &name) : "");
        draw_arrow(scene, link, i == 0, area, row + i, side + 1, width);
        area_field(area, row + i, side + width + 2, side, false, STYLE_HEADING, i == 0 ? scene_name(scene, link->b, &name) : "");
    }
    buf_free(&name);
    return 2;
}

/* By which way the packets go, where somebody chose one: and why that. */
static int draw_way(const struct link *link, const struct area *area, int row)
{
    static const char *const ways[] = {
        [PATH_DIRECT] = "Straight from one to the other",
        [PATH_HUB] = "Routed by the hub, which decrypts and encrypts again",
        [PATH_RELAY] = "Forwarded by the relay, which cannot read it",
    };
    if (link->path == PATH_DIRECT && !link->path_reason)
        return 0;
    struct buf text = BUF_EMPTY;
    buf_add_text(&text, ways[link->path]);
    if (link->path_reason)
        buf_add_format(&text, ": %s", link->path_reason);
    if (link->path == PATH_HUB)
        buf_add_text(&text, " (:path looks for a better way)");
    int used = area_paragraph(area, row, 0, area->columns, 3, STYLE_TEXT, buf_text(&text), true);
    buf_free(&text);
    return used;
}

static int draw_why(const struct scene *scene, const struct link *link, size_t a, size_t b, const struct area *area, int row)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    int used = 0;
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        const struct fault *fault = &diagnosis->faults[i];
        struct fault_extent extent = {.evidence = fault->nodes[1] == SIZE_MAX ? 3 : 6, .remedies = 6, .a = a, .b = b};
        if (fault_is_of_link(fault, a, b))
            used += fault_lines_draw(scene, fault, area, row + used, &extent);
    }
    if (used == 0 && link)
        used = area_paragraph(area, row, 0, area->columns, 4, STYLE_TEXT, meanings[link->state], true);
    else if (used == 0)
        used = area_paragraph(area, row, 0, area->columns, 4, STYLE_TEXT, "Neither has a row for the other, and the mesh file does not ask for one.", true);
    return used;
}

/* ---- the screen ------------------------------------------------------------------------------------------------- */

static void draw(struct view *view, const struct scene *scene, const struct area *area)
{
    struct view_link *self = of(view);
    if (self->a >= scene->picture.mesh->node_count || self->b >= scene->picture.mesh->node_count) {
        area_paragraph(area, 0, 1, area->columns - 2, area->rows, STYLE_DIM, "No link is chosen: press Enter on one in Links, Matrix or Map.", true);
        return;
    }
    const struct link *link = scene_link(scene, self->a, self->b);
    struct area page = page_begin(&self->page, area);
    bool airy = area->rows >= 30;
    int row = draw_heading(scene, link, self->a, self->b, &page);
    if (link)
        row += airy + draw_directions(scene, link, &page, row + airy);
    row += airy;
    row += link ? draw_way(link, &page, row) : 0;
    row += draw_why(scene, link, self->a, self->b, &page, row) + 1;
    row += link_draw_ends(scene, self->a, self->b, link, &page, row) + airy;
    if (link) {
        int left = area->rows - row - (airy ? 3 : 0), height = 12;
        while (height > 3 && link_plot_rows(height, area->columns) > left)
            height--;
        row += link_draw_plots(scene, link, &page, row, height) + airy;
    }
    row += link_draw_history(scene, self->a, self->b, &page, row, airy ? 20 : 8);
    page_end(&self->page, area, row);
}

static void open(struct view *view, const struct scene *scene, const struct subject *subject)
{
    struct view_link *self = of(view);
    if (!subject || subject->kind != SUBJECT_LINK || subject->a == SIZE_MAX || subject->b == SIZE_MAX) {
        if (self->a == self->b) /* zeroed: never opened with a link */
            self->a = self->b = SIZE_MAX;
        return;
    }
    if (self->a != subject->a || self->b != subject->b)
        self->page.top = 0;
    self->a = subject->a < subject->b ? subject->a : subject->b;
    self->b = subject->a < subject->b ? subject->b : subject->a;
    if (scene->live && self->b < scene->picture.mesh->node_count)
        live_watch_link(scene->live, self->a, self->b);
}

static void close_view(struct view *view)
{
    page_free(&of(view)->page);
}

static void refresh(struct view *view, const struct scene *scene)
{
    (void)view, (void)scene; /* drawn from the picture */
}

static bool is_chosen(const struct view_link *self, const struct scene *scene)
{
    return self->a < self->b && self->b < scene->picture.mesh->node_count;
}

/* n and N: the next link that is not well. */
static void step(struct view_link *self, const struct scene *scene, int by, struct wish *wish)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    const struct link *link = is_chosen(self, scene) ? scene_link(scene, self->a, self->b) : NULL;
    size_t count = diagnosis->link_count, at = link ? (size_t)(link - diagnosis->links) : 0;
    for (size_t i = 0; i < count; i++) {
        at = (at + (by > 0 ? 1 : count - 1)) % count;
        const struct link *other = &diagnosis->links[at];
        if (other == link || link_is_well(other))
            continue;
        struct subject subject = {.kind = SUBJECT_LINK, .a = other->a, .b = other->b};
        open((struct view *)self, scene, &subject);
        return;
    }
    snprintf(wish->notice, sizeof wish->notice, "no other link is unwell");
}

static bool act(struct view *view, const struct scene *scene, enum action action, struct wish *wish)
{
    struct view_link *self = of(view);
    if (action == ACTION_NEXT || action == ACTION_PREVIOUS) {
        step(self, scene, action == ACTION_NEXT ? 1 : -1, wish);
        return true;
    }
    if ((action == ACTION_LEFT || action == ACTION_RIGHT || action == ACTION_ENTER) && is_chosen(self, scene)) {
        wish->open = true; /* the left or the right one */
        wish->subject = (struct subject){.kind = SUBJECT_NODE, .a = action == ACTION_RIGHT ? self->b : self->a, .b = SIZE_MAX};
        return true;
    }
    return page_act(&self->page, action);
}

static bool mouse(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    (void)scene, (void)row, (void)column, (void)double_click, (void)wish;
    for (int i = 0; i < 3 && wheel; i++)
        page_act(&of(view)->page, wheel < 0 ? ACTION_UP : ACTION_DOWN);
    return true;
}

static bool subject_of(const struct view *view, const struct scene *scene, struct subject *subject)
{
    const struct view_link *self = (const struct view_link *)view;
    if (!is_chosen(self, scene))
        return false;
    *subject = (struct subject){.kind = SUBJECT_LINK, .a = self->a, .b = self->b};
    return true;
}

static void copy(const struct view *view, const struct scene *scene, struct buf *buf)
{
    const struct view_link *self = (const struct view_link *)view;
    if (!is_chosen(self, scene))
        return;
    const struct link *link = scene_link(scene, self->a, self->b);
    course_sentence(scene, self->b, self->a, link, buf);
    buf_add_char(buf, '\n');
    course_sentence(scene, self->a, self->b, link, buf);
    buf_add_char(buf, '\n');
}

static const enum action footer[] = {ACTION_NEXT, ACTION_PREVIOUS, ACTION_PAGE_DOWN, ACTION_SHELL, ACTION_COPY, ACTION_FREEZE, ACTION_NONE};

const struct view_ops view_link = {
    .name = "link",
    .title = "Link",
    .help = "One link from both ends: what each end has about the other, where it sends to and where it is heard from, when the last handshake was, and "
            "what goes through. Above: what is wrong, from which evidence, and what to do, or why nothing is. Below: the last hour, rates and the "
            "age of the handshake (it climbs to two minutes and falls back when a new one is made; a climb that does not fall is a link that lost its "
            "other end), and the states as a strip. n and N go to the next link that is not well; the left and right arrow keys open the nodes.",
    .action = ACTION_NONE,
    .size = sizeof(struct view_link),
    .footer = footer,
    .open = open,
    .close = close_view,
    .refresh = refresh,
    .draw = draw,
    .act = act,
    .mouse = mouse,
    .subject = subject_of,
    .copy = copy,
};
