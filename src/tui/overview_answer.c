/* The answer to "is it well?", in words; and the pane at the side of a wide overview. */
#include <string.h>

#include "overview.h"
#include "wgdeck/mem.h"
#include "words.h"

void overview_count(const struct scene *scene, struct overview_counts *counts)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    *counts = (struct overview_counts){.nodes = scene->picture.mesh->node_count, .links = diagnosis->link_count};
    for (size_t i = 0; i < counts->nodes; i++) {
        bool waiting = scene->picture.nodes && scene->picture.nodes[i].waiting && scene->picture.observed->nodes[i].reach == REACH_UNKNOWN;
        if (waiting)
            counts->waiting++;
        else
            counts->node_states[diagnosis->nodes[i].state]++;
        counts->silent += scene_is_silent(scene, i);
    }
    for (size_t i = 0; i < counts->links; i++) {
        const struct link *link = &diagnosis->links[i];
        counts->link_states[link->state]++;
        counts->blocked += link->a_to_b == DIRECTION_BLOCKED || link->b_to_a == DIRECTION_BLOCKED;
    }
    for (size_t i = 0; i < diagnosis->fault_count; i++)
        counts->faults[diagnosis->faults[i].severity]++;
}

/* What is wrong, one after the other, as much as fits into WIDTH columns. */
static void add_faults(const struct scene *scene, enum severity least, int width, struct buf *buf)
{
    struct buf phrase = BUF_EMPTY;
    size_t left = 0, told = 0;
    for (size_t i = 0; i < scene->picture.diagnosis->fault_count; i++)
        left += scene->picture.diagnosis->faults[i].severity >= least;
    for (size_t i = 0; i < scene->picture.diagnosis->fault_count && left; i++) {
        if (scene->picture.diagnosis->faults[i].severity < least)
            continue;
        buf_clear(&phrase);
        words_fault(scene, &scene->picture.diagnosis->faults[i], &phrase);
        int room = width - words_width(buf_text(buf)) - (left > 1 ? 16 : 2);
        if (told && words_width(buf_text(&phrase)) > room)
            break;
        buf_add_format(buf, "%s%s", told++ ? "; " : "", buf_text(&phrase));
        left--;
    }
    if (left)
        buf_add_format(buf, "; and %zu more", left);
    buf_free(&phrase);
}

static void add_unseen(const struct overview_counts *counts, struct buf *buf)
{
    size_t unreached = counts->node_states[NODE_UNREACHABLE];
    buf_add_format(buf, "%zu of ", unreached);
    words_many(counts->nodes, "node", "nodes", buf);
    buf_add_text(buf, unreached == 1 ? " is not reached" : " are not reached");
}

/* Nodes and links by state: only states that there are. */
static void add_counts(const struct overview_counts *counts, struct buf *buf)
{
    static const enum node_state node_order[] = {NODE_DOWN, NODE_UNREACHABLE, NODE_DEGRADED, NODE_UP};
    static const enum link_state link_order[] = {LINK_DEAD, LINK_HALF, LINK_NEVER, LINK_LATE, LINK_UNKNOWN, LINK_LIVE, LINK_IDLE};
    const char *before = ": ";
    words_many(counts->nodes, "node", "nodes", buf);
    for (size_t i = 0; i < COUNT_OF(node_order); i++)
        if (counts->node_states[node_order[i]] && counts->node_states[node_order[i]] < counts->nodes) {
            buf_add_text(buf, before);
            words_count(counts->node_states[node_order[i]], buf);
            buf_add_format(buf, " %s", node_state_text(node_order[i]));
            before = ", ";
        } else if (counts->node_states[node_order[i]])
            buf_add_format(buf, " %s", node_state_text(node_order[i]));
    if (counts->waiting)
        buf_add_format(buf, "%s%zu not answered yet", before, counts->waiting);
    if (counts->silent)
        buf_add_format(buf, ", %zu silent", counts->silent);
    buf_add_text(buf, " · ");
    words_many(counts->links, "link", "links", buf);
    before = ": ";
    for (size_t i = 0; i < COUNT_OF(link_order); i++)
        if (counts->link_states[link_order[i]]) {
            buf_add_text(buf, before);
            words_count(counts->link_states[link_order[i]], buf);
            buf_add_format(buf, " %s", link_state_text(link_order[i]));
            before = ", ";
        }
}

static void add_seen(const struct scene *scene, struct buf *buf)
{
    int64_t at = scene->picture.diagnosis->at;
    if (!at)
        return;
    buf_add_text(buf, scene->picture.old ? " · as it was " : " · seen ");
    words_ago(scene->picture.now - at, buf);
}

/* The first line, without the faults' names. Returns its look. */
static struct look_of begin_answer(const struct scene *scene, const struct overview_counts *counts, struct buf *buf)
{
    enum verdict verdict = scene->picture.diagnosis->verdict;
    struct look_of look = look_of_verdict(verdict);
    size_t errors = counts->faults[SEVERITY_ERROR], warnings = counts->faults[SEVERITY_WARNING];
    words_glyph(look.glyph, buf);
    if (scene->picture.old)
        buf_add_text(buf, " LAST KNOWN,");
    if (!counts->nodes)
        buf_add_text(buf, " NO NODES: the mesh file names none yet");
    else if (counts->waiting == counts->nodes)
        buf_add_text(buf, " LOOKING: no node has answered yet");
    else if (verdict == VERDICT_FAULT) {
        buf_add_text(buf, " NOT WELL: ");
        words_many(errors, "fault", "faults", buf);
        buf_add_text(buf, ": ");
    } else if (verdict == VERDICT_WARNING) {
        buf_add_text(buf, " WELL, BUT ");
        words_many(warnings, "WARNING", "WARNINGS", buf);
        buf_add_text(buf, ": ");
    } else if (verdict == VERDICT_OK && counts->silent) {
        buf_add_text(buf, " WELL WHEN LAST SEEN, BUT ");
        words_many(counts->silent, "node is", "nodes are", buf);
        buf_add_text(buf, " silent");
        look.style = STYLE_WARNING;
    } else if (verdict == VERDICT_OK)
        buf_add_text(buf, " ALL WELL");
    else if (counts->waiting)
        buf_add_format(buf, " NOT KNOWN YET: %zu of %zu nodes have answered", counts->nodes - counts->waiting, counts->nodes);
    else if (counts->node_states[NODE_UNREACHABLE]) {
        buf_add_text(buf, " NOT KNOWN: ");
        add_unseen(counts, buf);
    } else
        buf_add_text(buf, " NOT KNOWN: not everything could be seen");
    return look;
}

int overview_answer(const struct scene *scene, const struct overview_counts *counts, const struct area *area, int most)
{
    struct buf line = BUF_EMPTY;
    enum verdict verdict = scene->picture.diagnosis->verdict;
    struct look_of look = begin_answer(scene, counts, &line);
    bool names = counts->waiting < counts->nodes && (verdict == VERDICT_FAULT || verdict == VERDICT_WARNING);
    if (names)
        add_faults(scene, verdict == VERDICT_FAULT ? SEVERITY_ERROR : SEVERITY_WARNING, area->columns - 2, &line);
    struct buf rest = BUF_EMPTY;
    if (counts->nodes) {
        add_counts(counts, &rest);
        size_t without = rest.length;
        add_seen(scene, &rest);
        if (words_width(buf_text(&rest)) > area->columns - 2 && !scene->picture.old)
            rest.data[rest.length = without] = '\0'; /* the header has the time */
    }
    if (!names && counts->nodes && words_width(buf_text(&line)) + words_width(buf_text(&rest)) + 4 <= area->columns) {
        buf_add_text(&line, ": ");
        buf_add(&line, buf_text(&rest), rest.length);
        buf_clear(&rest);
    }
    struct area first = area_part(area, 0, 0, 1, area->columns);
    bool alarm = verdict == VERDICT_FAULT && !scene->picture.old && counts->waiting < counts->nodes;
    first = area_on(&first, alarm ? GROUND_ALARM : area->ground);
    area_fill(&first);
    words_field(&first, 0, 1, area->columns - 2, false, scene->picture.old ? STYLE_OLD : alarm ? STYLE_TEXT : look.style, buf_text(&line)); /* red on red is not read */
    int used = 1;
    if (rest.length && most > 1) {
        struct area second = area_part(area, 1, 0, 1, area->columns);
        words_field(&second, 0, 1, area->columns - 2, false, STYLE_DIM, buf_text(&rest));
        used = 2;
    }
    buf_free(&rest);
    buf_free(&line);
    return used;
}

/* ---- the pane at the side ---------------------------------------------------------------------------------------- */

enum { NAME_WIDTH = 12, COUNT_WIDTH = 9 };

static void draw_bar(const struct area *area, int row, struct look_of look, const char *name, size_t count, size_t of)
{
    struct buf number = BUF_EMPTY;
    int width = area->columns - NAME_WIDTH - COUNT_WIDTH - 3, full = of ? (int)((double)count / (double)of * width + 0.5) : 0;
    area_glyph(area, row, 0, look.style, look.glyph);
    words_field(area, row, 2, NAME_WIDTH, false, STYLE_TEXT, name);
    words_count(count, &number);
    words_field(area, row, 2 + NAME_WIDTH, COUNT_WIDTH - 1, true, look.style, buf_text(&number));
    if (count && !full)
        full = 1; /* one of a thousand is seen all the same */
    for (int i = 0; i < width; i++)
        area_glyph(area, row, 2 + NAME_WIDTH + COUNT_WIDTH + i, i < full ? look.style : STYLE_BORDER, i < full ? GLYPH_BAR_FULL : GLYPH_BAR_EMPTY);
    buf_free(&number);
}

static int draw_bars(const struct overview_counts *counts, const struct area *area)
{
    static const enum link_state link_order[] = {LINK_LIVE, LINK_IDLE, LINK_LATE, LINK_UNKNOWN, LINK_NEVER, LINK_HALF, LINK_DEAD};
    static const enum node_state node_order[] = {NODE_UP, NODE_DEGRADED, NODE_UNREACHABLE, NODE_DOWN};
    int row = 0;
    area_text(area, row++, 0, STYLE_TITLE, "Nodes");
    for (size_t i = 0; i < COUNT_OF(node_order); i++)
        if (counts->node_states[node_order[i]] || node_order[i] == NODE_UP)
            draw_bar(area, row++, look_of_node(node_order[i]), node_state_text(node_order[i]), counts->node_states[node_order[i]], counts->nodes);
    if (counts->waiting)
        draw_bar(area, row++, (struct look_of){GLYPH_ELLIPSIS, STYLE_DIM}, "waiting", counts->waiting, counts->nodes);
    row++;
    area_text(area, row++, 0, STYLE_TITLE, "Links");
    for (size_t i = 0; i < COUNT_OF(link_order); i++)
        if (counts->link_states[link_order[i]] || link_order[i] == LINK_LIVE)
            draw_bar(area, row++, look_of_link(link_order[i]), link_state_text(link_order[i]), counts->link_states[link_order[i]], counts->links);
    return row + 1;
}

static void draw_events(const struct scene *scene, const struct area *area)
{
    const struct event_log *log = scene->live ? live_events(scene->live) : NULL;
    size_t count = log ? event_log_count(log) : 0;
    struct buf line = BUF_EMPTY, text = BUF_EMPTY;
    area_text(area, 0, 0, STYLE_TITLE, "Newest events");
    if (!count)
        area_text(area, 1, 0, STYLE_DIM, "nothing has happened yet");
    for (size_t i = 0; i < count && (int)i + 1 < area->rows; i++) {
        const struct event *event = event_log_get(log, i);
        struct look_of look = words_event_look(event);
        buf_clear(&line);
        words_style(STYLE_DIM, &line);
        words_when(event->at, scene->picture.now, &line);
        buf_add_char(&line, ' ');
        words_style(event->earlier ? STYLE_OLD : look.style, &line);
        words_glyph(look.glyph, &line);
        words_style(event->earlier ? STYLE_OLD : STYLE_TEXT, &line);
        buf_add_format(&line, " %s", scene_text(scene, event->text, &text));
        if (event->times > 1)
            buf_add_format(&line, " x%u", event->times);
        words_field(area, (int)i + 1, 0, area->columns, false, STYLE_TEXT, buf_text(&line));
    }
    buf_free(&line);
    buf_free(&text);
}

void overview_side(const struct scene *scene, const struct overview_counts *counts, const struct area *area)
{
    int used = draw_bars(counts, area);
    struct area events = area_part(area, used, 0, area->rows - used, area->columns);
    if (events.rows > 1)
        draw_events(scene, &events);
}
