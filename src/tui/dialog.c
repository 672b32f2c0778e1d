/* The box in which a question of an SSH session is answered. The deck goes on behind it. */
#include "dialog.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tui_private.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static const struct fanout_question *posed(struct tui *tui)
{
    if (tui->asker)
        return tui->asker->question(tui->asker->context);
    const struct fanout_question *question = tui->live ? live_question(tui->live) : NULL;
    return question ? question : hands_question(tui);
}

static void give(struct tui *tui, uint64_t id, const char *text)
{
    if (tui->asker)
        tui->asker->answer(tui->asker->context, id, text);
    else if (!hands_answer(tui, id, text))
        live_answer(tui->live, id, text);
}

/* The same question comes with each try to connect again. Another fingerprint, or another file's passphrase, is another question. */
static char *identity(const struct fanout_question *question)
{
    const char *detail = question->kind == QUESTION_HOST_KEY ? question->fingerprint : question->kind == QUESTION_PASSPHRASE ? question->prompt : NULL;
    return mem_format("%d %s %s", (int)question->kind, question->session ? question->session : "", detail ? detail : "");
}

static bool was_refused(const struct dialog *dialog, const struct fanout_question *question)
{
    bool found = false;
    if (!dialog->refused_count)
        return false;
    char *wanted = identity(question);
    for (size_t i = 0; i < dialog->refused_count && !found; i++)
        found = !strcmp(dialog->refused[i], wanted);
    free(wanted);
    return found;
}

const struct fanout_question *dialog_question(struct tui *tui)
{
    const struct fanout_question *question = tui->over ? NULL : posed(tui);
    while (question && was_refused(&tui->dialog, question)) {
        uint64_t id = question->id;
        give(tui, id, question->kind == QUESTION_HOST_KEY ? "no" : NULL);
        question = posed(tui);
        if (question && question->id == id)
            return NULL;
    }
    /* While a line is typed its keys must not become an answer. */
    return tui->prompt.kind == PROMPT_NONE ? question : NULL;
}

void dialog_ask_again(struct dialog *dialog)
{
    for (size_t i = 0; i < dialog->refused_count; i++)
        free(dialog->refused[i]);
    dialog->refused_count = 0;
}

static bool ready(struct dialog *dialog)
{
    if (!dialog->text && sodium_init() >= 0)
        dialog->text = sodium_malloc(DIALOG_ANSWER_SIZE);
    return dialog->text != NULL;
}

static void wipe(struct dialog *dialog)
{
    if (dialog->text)
        sodium_memzero(dialog->text, DIALOG_ANSWER_SIZE);
    dialog->length = dialog->cursor = 0;
    dialog->id = 0;
    dialog->hint = false;
}

void dialog_free(struct dialog *dialog)
{
    wipe(dialog);
    sodium_free(dialog->text);
    dialog->text = NULL;
    dialog_ask_again(dialog);
    free(dialog->refused);
    dialog->refused = NULL;
}

static void answer(struct tui *tui, const struct fanout_question *question, const char *text)
{
    give(tui, question->id, text);
    wipe(&tui->dialog);
}

static void refuse(struct tui *tui, const struct fanout_question *question)
{
    struct dialog *dialog = &tui->dialog;
    MEM_GROW(dialog->refused, dialog->refused_count, dialog->refused_capacity);
    dialog->refused[dialog->refused_count++] = identity(question);
    tui_notice(tui, false, "%s is not asked about again, unless all nodes are looked at anew (r)", question->session ? question->session : "this");
    answer(tui, question, question->kind == QUESTION_HOST_KEY ? "no" : NULL);
}

static void answer_host_key(struct tui *tui, const struct fanout_question *question)
{
    const char *text = tui->dialog.text;
    if (!strcasecmp(text, "y") || !strcasecmp(text, "yes"))
        answer(tui, question, "yes");
    else if (!*text || !strcasecmp(text, "n") || !strcasecmp(text, "no"))
        refuse(tui, question);
    else
        tui->dialog.hint = true;
}

void dialog_key(struct tui *tui, const struct fanout_question *question, const struct key_event *key)
{
    struct dialog *dialog = &tui->dialog;
    if (!ready(dialog)) {
        refuse(tui, question);
        return;
    }
    if (dialog->id != question->id) {
        wipe(dialog);
        dialog->text[0] = '\0';
        dialog->id = question->id;
    }
    bool host_key = question->kind == QUESTION_HOST_KEY;
    switch (key->code) {
    case KEY_CODE_ESCAPE:
        refuse(tui, question);
        return;
    case KEY_CODE_ENTER:
        if (host_key)
            answer_host_key(tui, question);
        else if (dialog->length || question->kind == QUESTION_CHALLENGE)
            answer(tui, question, dialog->text);
        else
            dialog->hint = true;
        return;
    case 12: /* ctrl-l */
        tui_act(tui, ACTION_REDRAW);
        return;
    case 26: /* ctrl-z */
        tui_act(tui, ACTION_SUSPEND);
        return;
    case KEY_CODE_MOUSE:
        return;
    default:
        field_key(dialog->text, DIALOG_ANSWER_SIZE, &dialog->length, &dialog->cursor, key);
        dialog->hint = false;
    }
}

/* One paragraph; rows used. */
static int say(const struct area *box, int row, enum style style, const char *text, bool draw)
{
    return area_paragraph(box, row, 2, box->columns - 4, 6, style, text, draw);
}

static const char *title_of(const struct fanout_question *question)
{
    switch (question->kind) {
    case QUESTION_HOST_KEY:
        return "Unknown host key";
    case QUESTION_PASSWORD:
        return "Password";
    case QUESTION_PASSPHRASE:
        return "Passphrase";
    case QUESTION_CHALLENGE:
        return "Login";
    case QUESTION_SUDO:
        return "Password for sudo";
    }
    return "";
}

static const char *or_nothing(const char *text)
{
    return text ? text : "";
}

/* What is asked, in words. */
static int body(struct tui *tui, const struct fanout_question *question, const struct area *box, bool draw)
{
    struct buf line = BUF_EMPTY, shown = BUF_EMPTY;
    int row = 1;
    switch (question->kind) {
    case QUESTION_HOST_KEY:
        buf_add_format(&line, "The host key of %s (%s) is not known yet:", or_nothing(question->session), or_nothing(question->target));
        row += say(box, row, STYLE_TEXT, scene_text(&tui->scene, buf_text(&line), &shown), draw);
        row += say(box, row, STYLE_ACCENT, or_nothing(question->key_type), draw);
        /* Never hidden and never cut: it is what must be compared. */
        row += say(box, row, STYLE_ACCENT, or_nothing(question->fingerprint), draw);
        row += say(box, row, STYLE_DIM, "Compare it with what the host itself says: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub there (or the file of "
                   "that type), on its console or from whoever set it up. Accept it only if it is the same; it is then remembered.", draw);
        break;
    case QUESTION_PASSWORD:
    case QUESTION_SUDO:
        buf_add_format(&line, question->kind == QUESTION_SUDO ? "%s: password for sudo as %s" : "%s: password for %s", or_nothing(question->session),
                       or_nothing(question->target));
        row += say(box, row, STYLE_TEXT, scene_text(&tui->scene, buf_text(&line), &shown), draw);
        row += say(box, row, STYLE_DIM, "It is given to this host only, and kept nowhere else.", draw);
        break;
    case QUESTION_PASSPHRASE:
    case QUESTION_CHALLENGE:
        buf_add_format(&line, "%s (%s) asks:", or_nothing(question->session), or_nothing(question->target));
        row += say(box, row, STYLE_DIM, scene_text(&tui->scene, buf_text(&line), &shown), draw);
        row += say(box, row, STYLE_TEXT, scene_text(&tui->scene, or_nothing(question->prompt), &shown), draw);
        break;
    }
    buf_free(&line);
    buf_free(&shown);
    return row;
}

static void draw_field(struct tui *tui, const struct fanout_question *question, const struct area *box, int row)
{
    const struct dialog *dialog = &tui->dialog;
    bool host_key = question->kind == QUESTION_HOST_KEY, echo = question->echo || host_key;
    int column = 2 + area_bold(box, row, 2, STYLE_KEY, host_key ? "Is it the right one? (y/n) " : echo ? "> " : "(not shown) ");
    int room = box->columns - column - 2;
    if (dialog->id == question->id && dialog->text && echo && room > 0) {
        /* Its end, when it is longer than the field. */
        size_t start = 0;
        while (text_width(dialog->text + start) >= (size_t)room)
            start++;
        while (((unsigned char)dialog->text[start] & 0xc0) == 0x80)
            start++;
        column += area_text(box, row, column, STYLE_TEXT, dialog->text + start);
    } else if (dialog->id == question->id && dialog->length) {
        column += area_text(box, row, column, STYLE_DIM, "typing");
    }
    box->surface->cursor_row = box->row + row;
    box->surface->cursor_column = box->column + column;
}

void dialog_draw(struct tui *tui, const struct fanout_question *question, const struct area *area)
{
    int columns = area->columns < 76 ? area->columns : 76;
    struct area measure = area_part(area, 0, 0, area->rows, columns);
    int rows = body(tui, question, &measure, false) + 4;
    if (rows > area->rows)
        rows = area->rows;
    struct area box = area_part(area, (area->rows - rows) / 2, (area->columns - columns) / 2, rows, columns);
    box = area_on(&box, GROUND_DIALOG);
    area_fill(&box);
    size_t waiting = tui->asker ? tui->asker->count(tui->asker->context) : hands_question_count(tui) + (tui->live ? live_question_count(tui->live) : 0);
    char title[64];
    snprintf(title, sizeof title, waiting > 1 ? "%s (1 of %zu)" : "%s", title_of(question), waiting);
    area_frame(&box, STYLE_WARNING, title);
    /* The frame and the last rows are the field's, whatever the text is. */
    struct area text = area_part(&box, 0, 0, rows - 3 > 1 ? rows - 3 : 1, columns);
    body(tui, question, &text, true);
    draw_field(tui, question, &box, rows > 3 ? rows - 3 : rows - 1);
    const char *keys = question->kind == QUESTION_HOST_KEY ? "y Enter accepts; Enter or Esc refuses" : "Enter gives it; Esc refuses";
    const char *hint = question->kind == QUESTION_HOST_KEY ? "write y or n, then Enter" : "nothing was typed: Esc refuses";
    if (rows > 3)
        area_text(&box, rows - 2, 2, tui->dialog.hint ? STYLE_WARNING : STYLE_DIM, tui->dialog.hint ? hint : keys);
}
