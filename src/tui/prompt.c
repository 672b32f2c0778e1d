/* A line that is typed: UTF-8, the keys of a shell's line editing, a history, and the candidates of a completion. */
#include "prompt.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static size_t before(const char *text, size_t at)
{
    if (!at)
        return 0;
    do
        at--;
    while (at && ((unsigned char)text[at] & 0xc0) == 0x80);
    return at;
}

static size_t after(const char *text, size_t length, size_t at)
{
    if (at >= length)
        return length;
    do
        at++;
    while (at < length && ((unsigned char)text[at] & 0xc0) == 0x80);
    return at;
}

static void cut(char *text, size_t *length, size_t from, size_t to)
{
    memmove(text + from, text + to, *length - to + 1);
    *length -= to - from;
}

static size_t word_before(const char *text, size_t at)
{
    while (at && text[at - 1] == ' ')
        at--;
    while (at && text[at - 1] != ' ')
        at--;
    return at;
}

static size_t encode(uint32_t code, char bytes[static 5])
{
    size_t count = 0;
    if (code < 0x80) {
        bytes[count++] = (char)code;
    } else if (code < 0x800) {
        bytes[count++] = (char)(0xc0 | code >> 6);
        bytes[count++] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        bytes[count++] = (char)(0xe0 | code >> 12);
        bytes[count++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[count++] = (char)(0x80 | (code & 0x3f));
    } else {
        bytes[count++] = (char)(0xf0 | code >> 18);
        bytes[count++] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[count++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[count++] = (char)(0x80 | (code & 0x3f));
    }
    bytes[count] = '\0';
    return count;
}

static bool insert(char *text, size_t size, size_t *length, size_t *cursor, const char *bytes, size_t count)
{
    if (*length + count >= size)
        return false;
    memmove(text + *cursor + count, text + *cursor, *length - *cursor + 1);
    memcpy(text + *cursor, bytes, count);
    *length += count;
    *cursor += count;
    return true;
}

enum { CTRL_A = 1, CTRL_B = 2, CTRL_D = 4, CTRL_E = 5, CTRL_F = 6, CTRL_H = 8, CTRL_K = 11, CTRL_N = 14, CTRL_P = 16, CTRL_U = 21, CTRL_W = 23 };

bool field_key(char *text, size_t size, size_t *length, size_t *cursor, const struct key_event *key)
{
    size_t at = *cursor, old_length = *length;
    switch (key->code) {
    case KEY_CODE_LEFT:
    case CTRL_B:
        *cursor = before(text, at);
        return *cursor != at;
    case KEY_CODE_RIGHT:
    case CTRL_F:
        *cursor = after(text, *length, at);
        return *cursor != at;
    case KEY_CODE_HOME:
    case CTRL_A:
        *cursor = 0;
        return at != 0;
    case KEY_CODE_END:
    case CTRL_E:
        *cursor = *length;
        return at != *length;
    case KEY_CODE_BACKSPACE:
    case CTRL_H:
        *cursor = before(text, at);
        cut(text, length, *cursor, at);
        break;
    case KEY_CODE_DELETE:
    case CTRL_D:
        cut(text, length, at, after(text, *length, at));
        break;
    case CTRL_U:
        cut(text, length, 0, at);
        *cursor = 0;
        break;
    case CTRL_K:
        cut(text, length, at, *length);
        break;
    case CTRL_W:
        *cursor = word_before(text, at);
        cut(text, length, *cursor, at);
        break;
    default:
        if (key->code < KEY_CODE_BASE && !key->alt && text_character_is_safe(key->code)) {
            char bytes[5];
            return insert(text, size, length, cursor, bytes, encode(key->code, bytes));
        }
    }
    return *length != old_length;
}

void prompt_open(struct prompt *prompt, enum prompt_kind kind, const char *label, const char *text)
{
    prompt->kind = kind;
    snprintf(prompt->label, sizeof prompt->label, "%s", label);
    snprintf(prompt->text, sizeof prompt->text, "%s", text);
    prompt->length = prompt->cursor = strlen(prompt->text);
    prompt->history_at = prompt->history_count;
    prompt->candidate = 0;
    buf_clear(&prompt->candidates);
}

void prompt_close(struct prompt *prompt)
{
    prompt->kind = PROMPT_NONE;
    prompt->candidate = 0;
    buf_clear(&prompt->candidates);
}

void prompt_free(struct prompt *prompt)
{
    for (size_t i = 0; i < prompt->history_count; i++)
        free(prompt->history[i]);
    buf_free(&prompt->candidates);
    *prompt = (struct prompt){0};
}

void prompt_remember(struct prompt *prompt, const char *line)
{
    if (!*line || (prompt->history_count && !strcmp(prompt->history[prompt->history_count - 1], line)))
        return;
    if (prompt->history_count == PROMPT_HISTORY) {
        free(prompt->history[0]);
        memmove(prompt->history, prompt->history + 1, (PROMPT_HISTORY - 1) * sizeof prompt->history[0]);
        prompt->history_count--;
    }
    prompt->history[prompt->history_count++] = mem_text(line);
}

static void put(struct prompt *prompt, const char *text)
{
    if (text != prompt->text)
        snprintf(prompt->text, sizeof prompt->text, "%s", text);
    prompt->length = prompt->cursor = strlen(prompt->text);
}

static enum prompt_result walk_history(struct prompt *prompt, bool back)
{
    if (prompt->kind != PROMPT_COMMAND || (back ? !prompt->history_at : prompt->history_at == prompt->history_count))
        return PROMPT_IGNORED;
    if (back && prompt->history_at == prompt->history_count)
        snprintf(prompt->kept, sizeof prompt->kept, "%s", prompt->text);
    prompt->history_at = back ? prompt->history_at - 1 : prompt->history_at + 1;
    put(prompt, prompt->history_at == prompt->history_count ? prompt->kept : prompt->history[prompt->history_at]);
    return PROMPT_CHANGED;
}

static void forget_candidates(struct prompt *prompt)
{
    prompt->candidate = 0;
    buf_clear(&prompt->candidates);
}

enum prompt_result prompt_key(struct prompt *prompt, const struct key_event *key)
{
    switch (key->code) {
    case KEY_CODE_ENTER:
        return PROMPT_DONE;
    case KEY_CODE_ESCAPE:
    case 3:  /* ctrl-c and ctrl-g leave what is typed, as in a shell */
    case 7:
        return PROMPT_ENDED;
    case KEY_CODE_TAB:
        return PROMPT_COMPLETE;
    case KEY_CODE_BACK_TAB:
        return PROMPT_COMPLETE_BACK;
    case KEY_CODE_UP:
    case CTRL_P:
        forget_candidates(prompt);
        return walk_history(prompt, true);
    case KEY_CODE_DOWN:
    case CTRL_N:
        forget_candidates(prompt);
        return walk_history(prompt, false);
    case KEY_CODE_BACKSPACE:
    case CTRL_H:
        if (!prompt->length && prompt->kind != PROMPT_SAVE)
            return PROMPT_ENDED; /* nothing left to take away */
        break;
    default:
        break;
    }
    forget_candidates(prompt);
    bool changed = field_key(prompt->text, sizeof prompt->text, &prompt->length, &prompt->cursor, key);
    return changed ? PROMPT_CHANGED : PROMPT_IGNORED;
}

void prompt_insert(struct prompt *prompt, const char *text)
{
    insert(prompt->text, sizeof prompt->text, &prompt->length, &prompt->cursor, text, strlen(text));
}

static size_t candidate_count(const struct prompt *prompt)
{
    size_t count = prompt->candidates.length > 0;
    for (size_t i = 0; i < prompt->candidates.length; i++)
        count += prompt->candidates.data[i] == ' ';
    return count;
}

/* Candidate NUMBER, from 1. */
static const char *candidate(const struct prompt *prompt, size_t number, size_t *length)
{
    const char *at = buf_text(&prompt->candidates);
    for (size_t i = 1; i < number; i++)
        at += strcspn(at, " ") + 1;
    *length = strcspn(at, " ");
    return at;
}

void prompt_cycle(struct prompt *prompt, bool back)
{
    size_t count = candidate_count(prompt), length;
    if (!count || prompt->from > prompt->cursor)
        return;
    if (!prompt->candidate)
        prompt->candidate = back ? count : 1;
    else if (back)
        prompt->candidate = prompt->candidate == 1 ? count : prompt->candidate - 1;
    else
        prompt->candidate = prompt->candidate % count + 1;
    const char *word = candidate(prompt, prompt->candidate, &length);
    cut(prompt->text, &prompt->length, prompt->from, prompt->cursor);
    prompt->cursor = prompt->from;
    insert(prompt->text, sizeof prompt->text, &prompt->length, &prompt->cursor, word, length);
    if (count == 1) { /* it is certain: on to the next word */
        if (prompt->cursor == prompt->length)
            insert(prompt->text, sizeof prompt->text, &prompt->length, &prompt->cursor, " ", 1);
        forget_candidates(prompt);
    }
}

void prompt_draw(const struct prompt *prompt, const struct area *line, enum style style)
{
    char part[PROMPT_SIZE];
    area_fill(line);
    int column = area_bold(line, 0, 0, STYLE_KEY, prompt->label);
    int room = line->columns - column - 1;
    if (room < 1)
        return;
    /* So far to the right that the cursor is seen. */
    size_t start = 0;
    snprintf(part, sizeof part, "%.*s", (int)prompt->cursor, prompt->text);
    while (start < prompt->cursor && text_width(part + start) > (size_t)room)
        start = after(prompt->text, prompt->length, start);
    int cursor = column + (int)text_width(part + start);
    area_text(line, 0, column, style, prompt->text + start);
    line->surface->cursor_row = line->row;
    line->surface->cursor_column = line->column + cursor;
}
