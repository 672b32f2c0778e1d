/* The line at the top: is it well? Then what the answer rests on, and how it is looked at. In a narrow terminal the verdict stays longest. */
#include <string.h>
#include <time.h>

#include "tui_private.h"
#include "words.h"
#include "wgdeck/clock.h"
#include "wgdeck/text.h"

enum { SEGMENTS_MOST = 16, REPLAY_BAR_MOST = 100 };

struct segment {
    char text[160];
    enum style style;
    enum ground ground;
    int glyph;          /* enum glyph before the text; -1: none */
    int drop;           /* the highest goes first when it is narrow; 0 stays */
    bool right;
    enum action action; /* of a click */
};

struct segments { struct segment list[SEGMENTS_MOST]; size_t count; };

static struct segment *add(struct segments *segments, int drop, enum style style, const char *format, ...) __attribute__((format(printf, 4, 5)));
static struct segment *add(struct segments *segments, int drop, enum style style, const char *format, ...)
{
    struct segment *segment = &segments->list[segments->count];
    if (segments->count < SEGMENTS_MOST - 1)
        segments->count++;
    va_list arguments;
    va_start(arguments, format);
    *segment = (struct segment){.style = style, .ground = GROUND_HEADER, .glyph = -1, .drop = drop, .action = ACTION_NONE};
    vsnprintf(segment->text, sizeof segment->text, format, arguments);
    va_end(arguments);
    return segment;
}

/* The zone of this machine's clock, said once: all times of the deck are in it. What is no plain word is left out: it comes from outside (TZ). */
static void add_zone(int64_t wall, struct buf *buf)
{
    char zone[16];
    time_t seconds = (time_t)(wall / CLOCK_SECOND);
    struct tm local = {0};
    localtime_r(&seconds, &local);
    if (strftime(zone, sizeof zone, "%Z", &local) && zone[strspn(zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-")] == '\0')
        buf_add_format(buf, " %s", zone);
}

struct counts { size_t nodes, up, unreached, waiting, silent, unseen, links, live, idle, never, faults, warnings; };

/* Half a million links are counted once a picture, not once a drawing. */
static void count_links(struct tui *tui)
{
    const struct diagnosis *diagnosis = tui->scene.picture.diagnosis;
    struct tui_links *links = &tui->links;
    if (links->number == tui->scene.picture.number && links->of == diagnosis)
        return;
    *links = (struct tui_links){.number = tui->scene.picture.number, .of = diagnosis};
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        links->live += diagnosis->links[i].state == LINK_LIVE;
        links->idle += diagnosis->links[i].state == LINK_IDLE;
        links->never += diagnosis->links[i].state == LINK_NEVER;
    }
}

static struct counts count(struct tui *tui)
{
    const struct live_picture *picture = &tui->scene.picture;
    struct counts counts = {.nodes = picture->diagnosis->node_count, .links = picture->diagnosis->link_count};
    count_links(tui);
    counts.live = tui->links.live;
    counts.idle = tui->links.idle;
    counts.never = tui->links.never;
    for (size_t i = 0; i < counts.nodes; i++) {
        enum node_state state = picture->diagnosis->nodes[i].state;
        counts.up += state == NODE_UP;
        counts.unreached += state == NODE_UNREACHABLE;
        counts.waiting += picture->nodes && picture->nodes[i].waiting;
        counts.silent += scene_is_silent(&tui->scene, i);
        counts.unseen += picture->observed && picture->observed->nodes[i].reach == REACH_UNKNOWN;
    }
    for (size_t i = 0; i < picture->diagnosis->fault_count; i++) {
        counts.faults += picture->diagnosis->faults[i].severity == SEVERITY_ERROR;
        counts.warnings += picture->diagnosis->faults[i].severity == SEVERITY_WARNING;
    }
    return counts;
}

static const char *plural(size_t number)
{
    return number == 1 ? "" : "s";
}

static void add_verdict(struct segments *segments, const struct live_picture *picture, const struct counts *counts)
{
    struct look_of look = look_of_verdict(picture->diagnosis->verdict);
    struct segment *segment;
    /* Nothing is well before it was seen. */
    if (!picture->old && counts->unseen && (picture->diagnosis->verdict == VERDICT_OK || counts->unseen == counts->nodes)) {
        if (counts->unseen == counts->nodes)
            segment = add(segments, 0, STYLE_UNKNOWN, "looking: no node has answered yet");
        else
            segment = add(segments, 0, STYLE_UNKNOWN, "looking: %zu of %zu answered, well so far", counts->nodes - counts->unseen, counts->nodes);
        segment->glyph = GLYPH_UNKNOWN;
        return;
    }
    switch (picture->diagnosis->verdict) {
    case VERDICT_OK:
        segment = counts->silent ? add(segments, 0, STYLE_WARNING, "well, but %zu node%s silent", counts->silent, plural(counts->silent))
                                 : add(segments, 0, look.style, "all well");
        break;
    case VERDICT_WARNING:
        segment = add(segments, 0, look.style, "%zu warning%s", counts->warnings, plural(counts->warnings));
        break;
    case VERDICT_FAULT:
        segment = add(segments, 0, look.style, "%zu fault%s", counts->faults, plural(counts->faults));
        break;
    default:
        if (counts->unreached)
            segment = add(segments, 0, look.style, "unknown: %zu node%s not reached", counts->unreached, plural(counts->unreached));
        else
            segment = add(segments, 0, look.style, "unknown: not all can be seen");
    }
    segment->glyph = (int)look.glyph;
    segment->action = ACTION_FAULTS;
    if (picture->diagnosis->verdict == VERDICT_FAULT) {
        segment->ground = GROUND_ALARM;
        segment->style = STYLE_TEXT; /* red on red is not read */
    }
    if (picture->old)
        segment->style = STYLE_OLD;
    if (picture->diagnosis->verdict == VERDICT_FAULT && counts->warnings)
        add(segments, 6, STYLE_WARNING, "%zu warning%s", counts->warnings, plural(counts->warnings));
}

static void add_numbers(struct segments *segments, const struct counts *counts, bool well)
{
    enum style nodes = counts->up == counts->nodes ? STYLE_TEXT : counts->unreached ? STYLE_UNKNOWN : STYLE_WARNING;
    add(segments, 4, nodes, "nodes %zu/%zu up", counts->up, counts->nodes)->action = ACTION_OVERVIEW;
    /* Links over which nothing was ever sent are no fault where the diagnosis says that all is well. */
    size_t quiet = counts->idle + (well ? counts->never : 0);
    enum style links = counts->live + quiet == counts->links ? STYLE_TEXT : STYLE_WARNING;
    if (quiet)
        add(segments, 5, links, "links %zu/%zu live, %zu idle", counts->live, counts->links, quiet)->action = ACTION_LINKS;
    else
        add(segments, 5, links, "links %zu/%zu live", counts->live, counts->links)->action = ACTION_LINKS;
}

/* What makes the picture another one than "everything, now". */
static void add_modes(struct segments *segments, const struct tui *tui)
{
    char text[CLOCK_TEXT_SIZE];
    const struct scene *scene = &tui->scene;
    const struct live_picture *picture = &scene->picture;
    if (picture->old) {
        clock_ago_text(picture->now - picture->diagnosis->at, text);
        add(segments, 1, STYLE_OLD, "LAST KNOWN, %s", text);
    }
    if (scene->frozen) {
        struct buf since = BUF_EMPTY;
        words_clock(picture->now, &since);
        struct segment *segment = add(segments, 1, STYLE_ACCENT, "FROZEN since %s", buf_text(&since));
        buf_free(&since);
        segment->glyph = GLYPH_FROZEN;
        segment->action = ACTION_FREEZE;
    }
    if (*tui->filter)
        add(segments, 2, STYLE_ACCENT, "%s \"%s\"", scene->filter_not ? "hiding" : "filter", tui->filter)->action = ACTION_FILTER;
    if (scene->faults_only)
        add(segments, 3, STYLE_ACCENT, "faults only")->action = ACTION_FAULTS_ONLY;
    if (scene->read_only)
        add(segments, 3, STYLE_INFO, "READ-ONLY");
    if (scene->privacy)
        add(segments, 4, STYLE_INFO, "privacy")->action = ACTION_PRIVACY;
}

static void add_times(struct segments *segments, const struct tui *tui, const struct counts *counts)
{
    const struct live_picture *picture = &tui->scene.picture;
    if (counts->waiting && counts->waiting < counts->nodes)
        add(segments, 7, STYLE_DIM, "%zu of %zu answered", counts->nodes - counts->waiting, counts->nodes)->right = true;
    bool replay = tui->live && live_is_replay(tui->live); /* which has a line of its own, with its time */
    if (picture->diagnosis->at && !replay) {
        struct buf text = BUF_EMPTY;
        words_clock(picture->diagnosis->at, &text);
        add_zone(picture->diagnosis->at, &text);
        add(segments, 8, STYLE_DIM, "%s", buf_text(&text))->right = true;
        buf_free(&text);
    }
    if (tui->live && !replay)
        add(segments, 9, STYLE_DIM, "every %g s", live_interval(tui->live))->right = true;
}

static int width_of(const struct segment *segment)
{
    return (int)text_width(segment->text) + (segment->glyph >= 0 ? 2 : 0) + (segment->ground != GROUND_HEADER ? 2 : 0);
}

static void fit(struct segments *segments, int columns)
{
    for (;;) {
        int width = 2;
        size_t weakest = 0;
        for (size_t i = 0; i < segments->count; i++) {
            width += width_of(&segments->list[i]) + (i ? 2 : 0);
            if (segments->list[i].drop > segments->list[weakest].drop)
                weakest = i;
        }
        if (width <= columns || !segments->count || !segments->list[weakest].drop)
            return;
        memmove(&segments->list[weakest], &segments->list[weakest + 1], (--segments->count - weakest) * sizeof segments->list[0]);
    }
}

static void draw_segment(struct tui *tui, const struct area *line, int column, const struct segment *segment)
{
    int width = width_of(segment), text = column;
    struct area part = area_part(line, 0, column, 1, width);
    part.ground = segment->ground;
    if (segment->ground != GROUND_HEADER) {
        area_fill(&part);
        text++;
    }
    struct area on = area_on(line, segment->ground);
    if (segment->glyph >= 0) {
        area_glyph(&on, 0, text, segment->style, (enum glyph)segment->glyph);
        text += 2;
    }
    if (segment->drop)
        area_text(&on, 0, text, segment->style, segment->text);
    else
        area_bold(&on, 0, text, segment->style, segment->text);
    if (segment->action != ACTION_NONE)
        tui_add_hit(tui, line, column, width, segment->action);
}

static void draw_segments(struct tui *tui, const struct area *line, struct segments *segments)
{
    int left = 1, right = line->columns - 1;
    fit(segments, line->columns);
    if (segments->count == 1)
        left = line->columns < width_of(&segments->list[0]) + 2 ? 0 : 1;
    for (size_t i = segments->count; i-- > 0;)
        if (segments->list[i].right) {
            right -= width_of(&segments->list[i]);
            draw_segment(tui, line, right, &segments->list[i]);
            right -= 2;
        }
    for (size_t i = 0; i < segments->count; i++)
        if (!segments->list[i].right) {
            draw_segment(tui, line, left, &segments->list[i]);
            left += width_of(&segments->list[i]) + 2;
        }
}

static void duration(int64_t nanoseconds, char text[static CLOCK_TEXT_SIZE])
{
    int64_t seconds = nanoseconds / CLOCK_SECOND;
    if (seconds < 3600)
        snprintf(text, CLOCK_TEXT_SIZE, "%d:%02d", (int)(seconds / 60), (int)(seconds % 60));
    else
        snprintf(text, CLOCK_TEXT_SIZE, "%d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
}

static void draw_bar(const struct area *line, int column, int width, const struct live_replay_state *state)
{
    int64_t span = state->end - state->start, done = state->at - state->start;
    int full = span > 0 ? (int)((double)done / (double)span * width + 0.5) : 0;
    for (int i = 0; i < width; i++)
        area_glyph(line, 0, column + i, i < full ? STYLE_ACCENT : STYLE_DIM, i < full ? GLYPH_BAR_FULL : GLYPH_BAR_EMPTY);
}

/* Of a recording: where in it, and how fast it goes. */
static void draw_replay(struct tui *tui, const struct area *line)
{
    char done[CLOCK_TEXT_SIZE], whole[CLOCK_TEXT_SIZE] = "?";
    struct live_replay_state state = live_replay_state(tui->live);
    area_fill(line);
    duration(state.at - state.start, done);
    if (state.end)
        duration(state.end - state.start, whole);
    int column = 1 + area_bold(line, 0, 1, STYLE_INFO, "REPLAY");
    area_glyph(line, 0, column + 1, STYLE_ACCENT, state.paused || state.at_end ? GLYPH_PAUSED : GLYPH_PLAYING);
    tui_add_hit(tui, line, 1, column + 1, ACTION_FREEZE);
    column += 3;
    column += area_format(line, 0, column, STYLE_TEXT, "%s  ", state.at_end ? "at its end" : state.paused ? "paused" : "");
    column += area_format(line, 0, column, STYLE_DIM, "x%g  ", state.speed);
    struct buf right = BUF_EMPTY;
    buf_add_format(&right, "%s of %s", done, whole);
    if (line->columns >= 70) {
        buf_add_text(&right, "  ");
        words_date(state.at, &right);
        add_zone(state.at, &right);
    }
    int width = (int)right.length, room = line->columns - column - width - 4;
    if (state.end && room >= 8) {
        room = room < REPLAY_BAR_MOST ? room : REPLAY_BAR_MOST;
        draw_bar(line, column, room, &state);
        column += room + 2;
    }
    area_text(line, 0, column, STYLE_TEXT, buf_text(&right));
    buf_free(&right);
}

int header_rows(const struct tui *tui, int rows)
{
    return tui->live && live_is_replay(tui->live) && rows >= 8 ? 2 : 1;
}

void header_draw(struct tui *tui, const struct area *area)
{
    struct area on = area_on(area, GROUND_HEADER), line = area_part(&on, 0, 0, 1, area->columns);
    struct segments segments = {.count = 0};
    area_fill(&line);
    if (!tui->has_picture) {
        area_bold(&line, 0, 1, STYLE_TITLE, "wgdeck");
        return;
    }
    const struct live_picture *picture = &tui->scene.picture;
    struct counts counts = count(tui);
    const char *name = picture->mesh->name && *picture->mesh->name ? picture->mesh->name : "mesh";
    add(&segments, 4, STYLE_TITLE, "%s", tui->scene.privacy ? "mesh" : name);
    add_verdict(&segments, picture, &counts);
    add_modes(&segments, tui);
    add_numbers(&segments, &counts, picture->diagnosis->verdict == VERDICT_OK);
    add_times(&segments, tui, &counts);
    draw_segments(tui, &line, &segments);
    if (area->rows > 1) {
        line = area_part(&on, 1, 0, 1, area->columns);
        draw_replay(tui, &line);
    }
}
