/* What a wizard's step says, as lines: question and reasons, facts, plan, progress, report. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wizard_face.h"

enum { LABEL_WIDTH = 14, LINES_MOST = 64 };

void face_lines_clear(struct face_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        free(lines->lines[i].text);
    lines->count = 0;
}

static void add_row(struct face_lines *lines, int indent, enum style style, bool bold, const char *text, size_t length)
{
    MEM_GROW(lines->lines, lines->count, lines->capacity);
    lines->lines[lines->count++] = (struct face_line){mem_text_part(text, length), style, indent, bold};
}

/* Bytes of TEXT that fit into WIDTH columns, up to a space where there is one. */
static size_t fitting(const char *text, int width)
{
    size_t at = 0, space = 0, length = strlen(text);
    int columns = 0;
    while (at < length) {
        uint32_t character;
        size_t taken = text_decode(text + at, length - at, &character);
        int wide = taken ? (int)text_character_width(character) : 1;
        if (columns + wide > width)
            return space ? space : at ? at : taken ? taken : 1;
        if (text[at] == ' ' && at)
            space = at;
        columns += wide;
        at += taken ? taken : 1;
    }
    return at;
}

void face_lines_add(struct face_lines *lines, int width, int indent, int hang, enum style style, bool bold, const char *text)
{
    int at = indent;
    do {
        size_t length = fitting(text, width - at > 8 ? width - at : 8);
        add_row(lines, at, style, bold, text, length);
        text += length;
        text += strspn(text, " ");
        at = indent + hang;
    } while (*text);
}

/* --- the parts */

struct composing { struct face_lines *lines; const struct wizard *wizard; const struct scene *scene; int width; };

static void say(const struct composing *to, int indent, enum style style, bool bold, const char *text)
{
    struct buf shown = BUF_EMPTY;
    if (text && *text)
        face_lines_add(to->lines, to->width, indent, 0, style, bold, scene_text(to->scene, text, &shown));
    buf_free(&shown);
}

static void gap(const struct composing *to)
{
    if (to->lines->count && *to->lines->lines[to->lines->count - 1].text)
        add_row(to->lines, 0, STYLE_TEXT, false, "", 0);
}

static void say_labelled(const struct composing *to, const struct wizard_line *line, enum style style)
{
    struct buf text = BUF_EMPTY, shown = BUF_EMPTY;
    int pad = LABEL_WIDTH - (int)text_width(line->label);
    buf_add_format(&text, "%s %s%*s%s", line->warning ? "!" : " ", line->label, pad > 1 ? pad : 1, "", line->text);
    face_lines_add(to->lines, to->width, 0, LABEL_WIDTH + 2, line->warning ? STYLE_WARNING : style, false, scene_text(to->scene, buf_text(&text), &shown));
    buf_free(&text);
    buf_free(&shown);
}

static void say_all(const struct composing *to, size_t (*of)(const struct wizard *, struct wizard_line *, size_t), enum style style)
{
    struct wizard_line lines[LINES_MOST];
    size_t count = of(to->wizard, lines, LINES_MOST);
    for (size_t i = 0; i < count && i < LINES_MOST; i++)
        say_labelled(to, &lines[i], style);
    if (count)
        gap(to);
}

static void say_problem(const struct composing *to, const struct wizard_step *step)
{
    struct buf text = BUF_EMPTY;
    if (!step->problem)
        return;
    buf_add_format(&text, "! %s", step->problem);
    say(to, 0, STYLE_WARNING, true, buf_text(&text));
    gap(to);
    buf_free(&text);
}

static void compose_question(const struct composing *to, const struct wizard_step *step)
{
    struct buf text = BUF_EMPTY;
    say_all(to, wizard_answers, STYLE_DIM);
    say(to, 0, STYLE_TITLE, true, step->question);
    say(to, 0, STYLE_DIM, false, step->why);
    gap(to);
    if (step->way == WIZARD_SHOWS)
        say_all(to, wizard_lines, STYLE_TEXT);
    if (step->proposal && *step->proposal) {
        buf_add_format(&text, "Proposed: %s%s%s%s", step->proposal, step->reason ? " (" : "", step->reason ? step->reason : "", step->reason ? ")" : "");
        say(to, 0, STYLE_ACCENT, false, buf_text(&text));
        gap(to);
    }
    say_problem(to, step);
    say(to, 0, STYLE_INFO, false, step->does);
    buf_free(&text);
}

/* A line of the plan by what it begins with. */
static enum style style_of(const char *line)
{
    const char *sign = line + strspn(line, " ");
    switch (*sign) {
    case '+': return STYLE_GOOD;
    case '-': return STYLE_BAD;
    case '~': return STYLE_WARNING;
    case '!': return STYLE_WARNING;
    default: return sign == line ? STYLE_TITLE : STYLE_TEXT;
    }
}

static void say_lines(const struct composing *to, const char *text, bool plan)
{
    while (*text) {
        size_t length = strcspn(text, "\n"), spaces = strspn(text, " ");
        char *line = mem_text_part(text, length);
        struct buf shown = BUF_EMPTY;
        int indent = (int)(spaces < length ? spaces : 0);
        face_lines_add(to->lines, to->width, indent, 4, plan ? style_of(line) : STYLE_TEXT, plan && !indent, scene_text(to->scene, line + indent, &shown));
        buf_free(&shown);
        free(line);
        text += length;
        text += *text == '\n';
    }
}

static void compose_plan(const struct composing *to, const struct wizard_step *step)
{
    struct buf text = BUF_EMPTY;
    const struct plan *plan = wizard_plan(to->wizard);
    say_problem(to, step);
    if (wizard_agreement(to->wizard))
        say(to, 0, STYLE_INFO, false, step->does);
    gap(to);
    if (plan)
        plan_to_text(plan, true, &text);
    say_lines(to, buf_text(&text), true);
    buf_free(&text);
}

static void say_node(const struct composing *to, const struct change_node *node, size_t index)
{
    struct buf text = BUF_EMPTY, name = BUF_EMPTY;
    const char *mark = node->failed ? "X" : node->pending ? "?" : node->phase == CHANGE_DONE ? "+" : " ";
    enum style style = node->failed ? STYLE_BAD : node->pending ? STYLE_UNKNOWN : node->phase == CHANGE_DONE ? STYLE_GOOD : STYLE_TEXT;
    const struct mesh *mesh = wizard_mesh(to->wizard);
    buf_add_format(&text, "%s %-16s", mark, to->scene->privacy ? "" : mesh->nodes[index].name);
    if (to->scene->privacy)
        buf_add_format(&text, "node-%zu", index + 1);
    if (node->operations)
        buf_add_format(&text, "  %zu/%zu done", node->done, node->operations);
    if (node->links)
        buf_add_format(&text, "  %zu/%zu links verified", node->verified, node->links);
    if (node->text)
        buf_add_format(&text, "  %s", node->text);
    else if (node->operations)
        buf_add_format(&text, "  %s", change_phase_text(node->phase));
    say(to, 0, style, false, buf_text(&text));
    buf_free(&text);
    buf_free(&name);
}

/* What failed first, then what is at work; nodes that have nothing to do have no line. */
static void say_nodes(const struct composing *to)
{
    const struct change *change = wizard_change(to->wizard);
    const struct mesh *mesh = wizard_mesh(to->wizard);
    const struct change_node *nodes = change ? change_nodes(change) : NULL;
    for (int round = 0; nodes && round < 2; round++)
        for (size_t i = 0; i < mesh->node_count; i++)
            if (nodes[i].failed == (round == 0) && (nodes[i].operations || nodes[i].links || nodes[i].failed || nodes[i].pending))
                say_node(to, &nodes[i], i);
}

static void compose_work(const struct composing *to, const struct wizard_step *step, unsigned spin)
{
    struct buf text = BUF_EMPTY;
    say_all(to, wizard_answers, STYLE_DIM);
    say_problem(to, step);
    buf_add_format(&text, "%c %s", "|/-\\"[spin % 4], wizard_working(to->wizard));
    say(to, 0, STYLE_TITLE, true, buf_text(&text));
    say(to, 0, STYLE_DIM, false, step->does);
    buf_free(&text);
}

static void compose_run(const struct composing *to, unsigned spin)
{
    struct buf text = BUF_EMPTY;
    const struct change *change = wizard_change(to->wizard);
    buf_add_format(&text, "%c %s", "|/-\\"[spin % 4], change ? change_phase_text(change_phase(change)) : "applying");
    say(to, 0, STYLE_TITLE, true, buf_text(&text));
    gap(to);
    say_nodes(to);
}

static void compose_end(const struct composing *to)
{
    bool good = wizard_succeeded(to->wizard);
    say(to, 0, good ? STYLE_GOOD : STYLE_BAD, true, good ? "+ Done." : "X Not done.");
    gap(to);
    say_lines(to, wizard_report(to->wizard), false);
    gap(to);
    say_nodes(to);
}

void face_compose(struct face *face, const struct wizard *wizard, const struct scene *scene, int width)
{
    struct wizard_step step = wizard_step(wizard);
    struct composing to = {&face->lines, wizard, scene, width};
    face_lines_clear(&face->lines);
    switch (step.way) {
    case WIZARD_ASKS:
    case WIZARD_SHOWS:
        compose_question(&to, &step);
        break;
    case WIZARD_WORKS:
        compose_work(&to, &step, face->spin);
        break;
    case WIZARD_PLANS:
        compose_plan(&to, &step);
        break;
    case WIZARD_RUNS:
        compose_run(&to, face->spin);
        break;
    case WIZARD_ENDS:
        compose_end(&to);
        break;
    }
}
