/* A wizard on a screen: its lines, scrolled, and the field in which it is answered. */
#include "wizard_face.h"

#include <stdlib.h>
#include <string.h>

#include "prompt.h"
#include "terminal.h"

static void set_text(struct face *face, const char *text)
{
    snprintf(face->text, sizeof face->text, "%s", text);
    face->length = face->cursor = strlen(face->text);
}

/* Another step: its field is empty, and its first line is seen. */
static void follow(struct face *face, const struct wizard *wizard)
{
    struct wizard_step step = wizard_step(wizard);
    if (face->step == step.name)
        return;
    face->step = step.name;
    face->agreeing = false;
    face->top = 0;
    set_text(face, "");
}

bool face_is_typing(const struct face *face, const struct wizard *wizard)
{
    enum wizard_way way = wizard ? wizard_step(wizard).way : WIZARD_ENDS;
    return way == WIZARD_ASKS || (way == WIZARD_PLANS && face->agreeing);
}

static void draw_title(const struct wizard *wizard, const struct wizard_step *step, const struct area *area)
{
    int column = area_bold(area, 0, 1, STYLE_TITLE, wizard_title(wizard));
    if (step->way != WIZARD_ENDS && step->count > 1 && step->number)
        area_format(area, 0, column + 2, STYLE_DIM, " step %zu of %zu: %s", step->number, step->count, step->title);
}

static const char *plan_hint(const struct wizard *wizard)
{
    const struct plan *plan = wizard_plan(wizard);
    if (wizard_agreement(wizard))
        return "A or Enter: apply";
    return wizard_kind(wizard) == WIZARD_APPLY && plan && plan_is_empty(plan) && !lint_has_error(&plan->lint) ? "Nothing to apply." : "It cannot be applied as it is.";
}

static void draw_field(struct face *face, const struct wizard *wizard, const struct wizard_step *step, const struct area *area, int row)
{
    const char *agreement = wizard_agreement(wizard);
    int column = 1, room;
    if (!face_is_typing(face, wizard)) {
        const char *hint = step->way == WIZARD_SHOWS ? "Enter goes on"
                           : step->way == WIZARD_PLANS ? plan_hint(wizard)
                           : step->way == WIZARD_RUNS  ? "X: stop, and put everything back"
                           : step->way == WIZARD_ENDS  ? "Enter closes this"
                                                       : "";
        area_bold(area, row, 1, STYLE_KEY, hint);
        return;
    }
    if (step->way != WIZARD_PLANS)
        column += area_format(area, row, column, STYLE_KEY, "%s: ", step->title);
    else if (agreement && strcmp(agreement, "yes"))
        column += area_format(area, row, column, STYLE_KEY, "To take it out, write its name (%s): ", agreement);
    else
        column += area_text(area, row, column, STYLE_KEY, "Apply now? (yes/no) ");
    room = area->columns - column - 1;
    size_t start = 0;
    while (room > 0 && face->text[start] && (int)strlen(face->text + start) >= room) /* its end is seen */
        start++;
    while (((unsigned char)face->text[start] & 0xc0) == 0x80)
        start++;
    area_text(area, row, column, STYLE_TEXT, face->text + start);
    size_t before = face->cursor > start ? face->cursor - start : 0;
    area->surface->cursor_row = area->row + row;
    area->surface->cursor_column = area->column + column + (int)before;
}

static void draw_lines(struct face *face, const struct area *area)
{
    int count = (int)face->lines.count;
    face->seen = area->rows;
    if (face->top > count - area->rows)
        face->top = count - area->rows;
    if (face->top < 0)
        face->top = 0;
    for (int row = 0; row < area->rows && face->top + row < count; row++) {
        const struct face_line *line = &face->lines.lines[face->top + row];
        (line->bold ? area_bold : area_text)(area, row, line->indent, line->style, line->text);
    }
    int below = count - face->top - area->rows;
    if (below > 0 && area->columns > 16)
        area_format(area, area->rows - 1, area->columns - 12, STYLE_DIM, " %d more", below);
}

void face_draw(struct face *face, const struct wizard *wizard, const struct scene *scene, const struct area *area)
{
    struct wizard_step step = wizard_step(wizard);
    int rows = area->rows;
    follow(face, wizard);
    face->spin++;
    draw_title(wizard, &step, area);
    struct area body = area_part(area, rows > 8 ? 2 : 1, 1, rows - (rows > 8 ? 4 : 2), area->columns - 2);
    face_compose(face, wizard, scene, body.columns < 100 ? body.columns : 100 + (body.columns - 100) / 2);
    draw_lines(face, &body);
    if (rows > 2)
        draw_field(face, wizard, &step, area, rows - 1);
}

/* --- keys */

static void submit(struct face *face, struct wizard *wizard)
{
    char text[FACE_ANSWER_SIZE];
    memcpy(text, face->text, sizeof text);
    if (face->agreeing) {
        face->agreeing = false;
        set_text(face, "");
        if (wizard_answer(wizard, *text ? text : "no"))
            face->top = 0;
        return;
    }
    if (!wizard_answer(wizard, text))
        set_text(face, "");
}

bool face_key(struct face *face, struct wizard *wizard, const struct key_event *key)
{
    follow(face, wizard);
    if (key->code == KEY_CODE_BACK_TAB) {
        if (face->agreeing)
            face->agreeing = false;
        else
            wizard_back(wizard);
        return true;
    }
    if (!face_is_typing(face, wizard) || key->alt)
        return false;
    switch (key->code) {
    case KEY_CODE_ENTER:
        submit(face, wizard);
        return true;
    case KEY_CODE_TAB: { /* the proposal, to be edited */
        struct wizard_step step = wizard_step(wizard);
        if (step.proposal && step.way == WIZARD_ASKS)
            set_text(face, step.proposal);
        return true;
    }
    case KEY_CODE_ESCAPE:
        if (!face->agreeing)
            return false;
        face->agreeing = false;
        return true;
    case KEY_CODE_UP:
    case KEY_CODE_DOWN:
    case KEY_CODE_PAGE_UP:
    case KEY_CODE_PAGE_DOWN:
        return false;
    default:
        if (key->code >= KEY_CODE_F1 && key->code <= KEY_CODE_F12)
            return false;
        if (key->code == 12 || key->code == 26) /* ctrl-l, ctrl-z */
            return false;
        field_key(face->text, sizeof face->text, &face->length, &face->cursor, key);
        return true;
    }
}

static bool scroll(struct face *face, enum action action)
{
    int step = face->seen > 2 ? face->seen - 2 : 1;
    switch (action) {
    case ACTION_UP: face->top--; break;
    case ACTION_DOWN: face->top++; break;
    case ACTION_PAGE_UP: face->top -= step; break;
    case ACTION_PAGE_DOWN: face->top += step; break;
    case ACTION_FIRST: face->top = 0; break;
    case ACTION_LAST: face->top = (int)face->lines.count; break;
    default: return false;
    }
    return true; /* the next draw holds it within what there is */
}

static void ask_to_apply(struct face *face, struct wizard *wizard, struct wish *wish)
{
    if (wizard_agreement(wizard)) {
        face->agreeing = true;
        set_text(face, "");
        return;
    }
    wizard_answer(wizard, "yes"); /* says why not */
    struct wizard_step step = wizard_step(wizard);
    snprintf(wish->notice, sizeof wish->notice, "%s", step.problem ? step.problem : "it cannot be applied");
    face->top = 0;
}

bool face_act(struct face *face, struct wizard *wizard, enum action action, struct wish *wish)
{
    follow(face, wizard);
    enum wizard_way way = wizard_step(wizard).way;
    if (scroll(face, action))
        return true;
    if (action == ACTION_ENTER && way == WIZARD_SHOWS)
        return !wizard_answer(wizard, "");
    if ((action == ACTION_ENTER || action == ACTION_APPLY) && way == WIZARD_PLANS) {
        ask_to_apply(face, wizard, wish);
        return true;
    }
    return action == ACTION_ENTER; /* nothing to open here */
}

void face_save(const struct face *face, struct buf *buf)
{
    for (size_t i = 0; i < face->lines.count; i++)
        buf_add_format(buf, "%*s%s\n", face->lines.lines[i].indent, "", face->lines.lines[i].text);
}

void face_free(struct face *face)
{
    face_lines_clear(&face->lines);
    free(face->lines.lines);
    face->lines = (struct face_lines){0};
}
