/* A fault in full: on a page, and as text to hand on; and what is said when there is none. */
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "words.h"

enum { INDENT = 2, PARAGRAPH_MOST = 40, CLOSED_SHOWN = 200, EVIDENCE_FIRST = 4 /* more of it comes behind what to do */, LINES_MOST = 30 };

/* Calls each with every part of a remedy. */
static void each_part(const struct scene *scene, const struct fault *fault, void (*each)(const char *part, size_t command, void *context), void *context)
{
    struct buf shown = BUF_EMPTY;
    for (const char *rest = scene_text(scene, fault->remedy, &shown); *rest;) {
        size_t length = remedy_part(rest);
        char *part = mem_text_part(rest, length);
        each(part, remedy_command(part, length), context);
        free(part);
        rest += length + (rest[length] ? 2 : 0);
    }
    buf_free(&shown);
}

static void add_line(const char *part, size_t command, void *context)
{
    struct buf *buf = context;
    if (part[command] && command > 0) /* the command alone on its line, so that it can be pasted */
        buf_add_format(buf, "%.*s\n    %s\n", (int)command - 1, part, part + command);
    else
        buf_add_format(buf, "%s\n", part);
}

void faults_add_remedy(const struct scene *scene, const struct fault *fault, struct buf *buf)
{
    if (fault->remedy)
        each_part(scene, fault, add_line, buf);
}

static void add_list(const struct scene *scene, const char *label, char *const *lines, size_t count, struct buf *buf)
{
    struct buf text = BUF_EMPTY;
    if (count)
        buf_add_format(buf, "%s:\n", label);
    for (size_t i = 0; i < count; i++)
        buf_add_format(buf, "  %s\n", scene_text(scene, lines[i], &text));
    buf_free(&text);
}

void faults_add_whole(const struct scene *scene, const struct fault *fault, struct buf *buf)
{
    struct buf text = BUF_EMPTY;
    buf_add_format(buf, "%s (%s): %s\n", fault->kind->id, severity_text(fault->severity), scene_text(scene, fault->summary, &text));
    int64_t since = words_fault_since(scene, fault);
    if (since) {
        char time[CLOCK_TEXT_SIZE];
        clock_text(since, time);
        buf_add_format(buf, "since %s\n", time);
    }
    add_list(scene, "evidence", fault->evidence, fault->evidence_count, buf);
    if (fault->remedy && *fault->remedy) {
        struct buf remedy = BUF_EMPTY;
        faults_add_remedy(scene, fault, &remedy);
        buf_add_text(buf, "what to do:\n");
        for (char *rest = remedy.data, *line; rest && (line = strsep(&rest, "\n"));)
            if (*line)
                buf_add_format(buf, "  %s\n", line);
        buf_free(&remedy);
    }
    add_list(scene, "explains", fault->consequences, fault->consequence_count, buf);
    buf_free(&text);
}

/* ---- on a page --------------------------------------------------------------------------------------------------- */

struct drawing { const struct area *area; int row; };

static int width_of(const struct area *area)
{
    return area->columns > INDENT + 1 ? area->columns - INDENT - 1 : 1;
}

/* Too long for a line, a command is broken where the line ends and nowhere else: with its parts put together it can be pasted. */
static void draw_command(struct drawing *drawing, const char *command)
{
    int width = width_of(drawing->area) - 2 > 0 ? width_of(drawing->area) - 2 : 1;
    struct buf line = BUF_EMPTY;
    int used = 0;
    while (*command) {
        uint32_t character = '?';
        size_t length = text_decode(command, strlen(command), &character);
        length = length ? length : 1;
        int columns = (int)text_character_width(character);
        if (used + columns > width && used) {
            area_text(drawing->area, drawing->row++, INDENT + 2, STYLE_ACCENT, buf_text(&line));
            buf_clear(&line);
            used = 0;
        }
        buf_add(&line, command, length);
        used += columns;
        command += length;
    }
    area_text(drawing->area, drawing->row++, INDENT + 2, STYLE_ACCENT, buf_text(&line));
    buf_free(&line);
}

static void draw_part(const char *part, size_t command, void *context)
{
    struct drawing *drawing = context;
    if (command > 0) {
        char *prose = mem_text_part(part, part[command] ? command - 1 : command);
        drawing->row += area_paragraph(drawing->area, drawing->row, INDENT, width_of(drawing->area), PARAGRAPH_MOST, STYLE_TEXT, prose, true);
        free(prose);
    }
    if (part[command])
        draw_command(drawing, part + command);
}

static void draw_title(struct drawing *drawing, const char *title)
{
    drawing->row++;
    area_text(drawing->area, drawing->row++, 0, STYLE_TITLE, title);
}

static void draw_paragraph(struct drawing *drawing, enum style style, const char *text)
{
    drawing->row += area_paragraph(drawing->area, drawing->row, INDENT, width_of(drawing->area), PARAGRAPH_MOST, style, text, true);
}

static void draw_list(struct drawing *drawing, const struct scene *scene, const char *title, char *const *lines, size_t from, size_t to)
{
    struct buf text = BUF_EMPTY;
    if (from < to)
        draw_title(drawing, title);
    size_t shown = to - from > LINES_MOST + 1 ? from + LINES_MOST : to;
    for (size_t i = from; i < shown && drawing->row < drawing->area->rows; i++)
        draw_paragraph(drawing, STYLE_TEXT, scene_text(scene, lines[i], &text));
    if (shown < to) {
        buf_clear(&text);
        buf_add_format(&text, "and %zu more; y copies all, in the list", to - shown);
        draw_paragraph(drawing, STYLE_DIM, buf_text(&text));
    }
    buf_free(&text);
}

int faults_draw_whole(const struct scene *scene, const struct fault *fault, const struct area *area)
{
    struct drawing drawing = {.area = area};
    struct look_of look = look_of_severity(fault->severity);
    struct buf text = BUF_EMPTY, line = BUF_EMPTY;
    int64_t since = words_fault_since(scene, fault);
    words_glyph(look.glyph, &line);
    buf_add_format(&line, " %s", fault->kind->title);
    words_style(STYLE_DIM, &line);
    buf_add_format(&line, "  %s", severity_text(fault->severity));
    if (since) {
        buf_add_text(&line, ", since ");
        words_since(since, scene->picture.now, &line);
    }
    words_draw(area, drawing.row++, 0, look.style, buf_text(&line));
    draw_paragraph(&drawing, STYLE_TEXT, scene_text(scene, fault->summary, &text));
    size_t first = fault->evidence_count > EVIDENCE_FIRST + 1 ? EVIDENCE_FIRST : fault->evidence_count;
    draw_list(&drawing, scene, "Evidence", fault->evidence, 0, first);
    if (first < fault->evidence_count) {
        buf_clear(&line);
        buf_add_format(&line, "and %zu more, below", fault->evidence_count - first);
        draw_paragraph(&drawing, STYLE_DIM, buf_text(&line));
    }
    if (fault->remedy && *fault->remedy) {
        draw_title(&drawing, "What to do");
        each_part(scene, fault, draw_part, &drawing);
    }
    draw_list(&drawing, scene, "This explains", fault->consequences, 0, fault->consequence_count);
    draw_list(&drawing, scene, "More evidence", fault->evidence, first, fault->evidence_count);
    draw_title(&drawing, "What it is");
    draw_paragraph(&drawing, STYLE_DIM, fault->kind->meaning);
    buf_clear(&line);
    buf_add_format(&line, "%s in wgdeck-faults(7)", fault->kind->id);
    draw_paragraph(&drawing, STYLE_DIM, buf_text(&line));
    buf_free(&line);
    buf_free(&text);
    return drawing.row;
}

/* ---- when nothing is wrong --------------------------------------------------------------------------------------- */

static size_t not_seen(const struct scene *scene)
{
    size_t count = 0;
    for (size_t i = 0; i < scene->picture.diagnosis->node_count; i++)
        count += scene->picture.diagnosis->nodes[i].state == NODE_UNREACHABLE;
    return count;
}

static const struct event *last_of(const struct event_log *log, enum event_kind kind)
{
    for (size_t i = 0; log && i < event_log_count(log); i++)
        if (event_log_get(log, i)->kind == kind)
            return event_log_get(log, i);
    return NULL;
}

static void draw_closed(const struct scene *scene, const struct event_log *log, struct drawing *drawing)
{
    struct buf line = BUF_EMPTY, text = BUF_EMPTY;
    bool first = true;
    for (size_t i = 0; log && i < event_log_count(log) && i < CLOSED_SHOWN && drawing->row < drawing->area->rows - 1; i++) {
        const struct event *event = event_log_get(log, i);
        if (event->kind != EVENT_FAULT_CLOSED)
            continue;
        if (first)
            draw_title(drawing, "What was wrong before");
        first = false;
        buf_clear(&line);
        words_style(STYLE_DIM, &line);
        words_when(event->at, scene->picture.now, &line);
        words_style(STYLE_TEXT, &line);
        buf_add_format(&line, "  %s", scene_text(scene, event->text, &text));
        words_draw(drawing->area, drawing->row++, INDENT, STYLE_TEXT, buf_text(&line));
    }
    buf_free(&line);
    buf_free(&text);
}

void faults_draw_none(const struct scene *scene, const struct area *area)
{
    struct drawing drawing = {.area = area, .row = area->rows > 6 ? 1 : 0};
    const struct event_log *log = scene->live ? live_events(scene->live) : NULL;
    const struct event *closed = last_of(log, EVENT_FAULT_CLOSED), *opened = last_of(log, EVENT_DECK_OPENED);
    size_t unseen = not_seen(scene);
    bool well = !unseen && scene->picture.diagnosis->verdict == VERDICT_OK;
    struct buf line = BUF_EMPTY;
    words_glyph(well ? GLYPH_GOOD : GLYPH_UNKNOWN, &line);
    buf_add_text(&line, well ? " Nothing is wrong." : " No fault is named.");
    words_draw(area, drawing.row++, 0, well ? STYLE_GOOD : STYLE_UNKNOWN, buf_text(&line));
    buf_clear(&line);
    if (unseen)
        buf_add_format(&line, "%zu of %zu nodes could not be looked at, so this is not the whole truth.", unseen, scene->picture.mesh->node_count);
    else if (closed) {
        buf_add_text(&line, "The last fault ended ");
        words_since(closed->at, scene->picture.now, &line);
        buf_add_char(&line, '.');
    } else if (opened) {
        buf_add_text(&line, "No fault was seen since the deck was opened ");
        words_since(opened->at, scene->picture.now, &line);
        buf_add_char(&line, '.');
    } else
        buf_add_text(&line, "No fault was found in what could be seen.");
    draw_paragraph(&drawing, STYLE_TEXT, buf_text(&line));
    buf_free(&line);
    draw_closed(scene, log, &drawing);
}
