/* The line at the bottom: the keys worth pressing here, or what was just done, or the line that is typed. */
#include <string.h>

#include "tui_private.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* After those of the screen. */
static const enum action common[] = {ACTION_HELP, ACTION_BACK, ACTION_FILTER, ACTION_COMMAND, ACTION_FAULTS_ONLY, ACTION_FREEZE, ACTION_NONE};
static const enum action of_replay[] = {ACTION_FREEZE, ACTION_STEP, ACTION_STEP_BACK, ACTION_SLOWER, ACTION_NONE};

/* The first key of an action, as it is shown; "" when it has none. */
static void first_key(const struct tui *tui, enum action action, char text[static 24])
{
    struct buf keys = BUF_EMPTY;
    keymap_text(&tui->keymap, action, &keys);
    snprintf(text, 24, "%.*s", (int)strcspn(buf_text(&keys), " "), buf_text(&keys));
    buf_free(&keys);
}

static const char *word_for(const struct tui *tui, enum action action)
{
    bool replay = tui->live && live_is_replay(tui->live);
    switch (action) {
    case ACTION_BACK:
        return *tui->filter ? "end filter" : tui->depth > 1 ? "back" : "leave";
    case ACTION_FREEZE:
        return replay ? (live_replay_state(tui->live).paused ? "go on" : "pause") : tui->scene.frozen ? "go on" : "freeze";
    case ACTION_SLOWER:
        return replay ? "faster" : action_rows[action].brief;
    case ACTION_FASTER:
        return replay ? "slower" : action_rows[action].brief;
    case ACTION_FAULTS_ONLY:
        return tui->scene.faults_only ? "show all" : action_rows[action].brief;
    default:
        return action_rows[action].brief;
    }
}

/* False when there is no more room. */
static bool draw_key(struct tui *tui, const struct area *line, int *column, enum action action)
{
    char key[24];
    const char *word = word_for(tui, action);
    first_key(tui, action, key);
    if (!*key || !*word)
        return true;
    int width = (int)(text_width(key) + 1 + text_width(word));
    if (*column + width > line->columns)
        return false;
    int used = area_bold(line, 0, *column, STYLE_KEY, key);
    area_text(line, 0, *column + used + 1, STYLE_TEXT, word);
    tui_add_hit(tui, line, *column, width, action);
    *column += width + 2;
    return true;
}

/* Help and the way back are always there; between them what fits. */
static void draw_keys(struct tui *tui, const struct area *line)
{
    bool drawn[ACTION_COUNT] = {false};
    bool replay = tui->live && live_is_replay(tui->live);
    const enum action *lists[] = {replay ? of_replay : NULL, tui_current(tui)->ops->footer, common};
    int column = 1;
    draw_key(tui, line, &column, ACTION_HELP);
    draw_key(tui, line, &column, ACTION_BACK);
    drawn[ACTION_HELP] = drawn[ACTION_BACK] = true;
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        for (const enum action *action = lists[i]; action && *action != ACTION_NONE; action++)
            if (!drawn[*action]) {
                drawn[*action] = true;
                if (!draw_key(tui, line, &column, *action))
                    return;
            }
}

/* While a field of the screen takes text, letters are no commands. */
static void draw_typing_keys(const struct area *line)
{
    static const struct { const char *key, *word; } keys[] = {{"Enter", "next"}, {"Shift-Tab", "one step back"}, {"Tab", "edit the proposal"}, {"Esc", "leave"}, {"F1", "help"}};
    int column = 1;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        column += area_bold(line, 0, column, STYLE_KEY, keys[i].key) + 1;
        column += area_text(line, 0, column, STYLE_TEXT, keys[i].word) + 2;
    }
}

/* The candidates of a completion, over the line above, with the one that stands in the text marked. */
static void draw_candidates(const struct prompt *prompt, const struct area *area)
{
    struct area line = area_part(area, 0, 0, 1, area->columns);
    const char *at = buf_text(&prompt->candidates);
    area_fill(&line);
    size_t number = 1, first = 1;
    /* Begin so far to the right that the marked one is seen. */
    int width = 1;
    for (const char *word = at; *word; number++) {
        size_t length = strcspn(word, " ");
        width += (int)length + 2;
        if (width > line.columns && number <= prompt->candidate) {
            at = word;
            first = number;
            width = 1 + (int)length + 2;
        }
        word += length + (word[length] == ' ');
    }
    int column = 1;
    for (number = first; *at && column < line.columns; number++) {
        size_t length = strcspn(at, " ");
        char word[96];
        snprintf(word, sizeof word, "%.*s", (int)length, at);
        struct area on = area_on(&line, number == prompt->candidate ? GROUND_SELECTED : line.ground);
        column += area_text(&on, 0, column, STYLE_TEXT, word) + 2;
        at += length + (at[length] == ' ');
    }
}

void footer_draw(struct tui *tui, const struct area *area)
{
    struct area on = area_on(area, GROUND_FOOTER), line = area_part(&on, 0, 0, 1, area->columns);
    if (tui->prompt.kind != PROMPT_NONE) {
        prompt_draw(&tui->prompt, &line, STYLE_TEXT);
        if (tui->prompt.candidates.length && area->row > 1) {
            struct area above = on;
            above.row--;
            draw_candidates(&tui->prompt, &above);
        }
        return;
    }
    area_fill(&line);
    if (tui->notice.length) {
        struct buf shown = BUF_EMPTY;
        area_glyph(&line, 0, 1, tui->notice_bad ? STYLE_WARNING : STYLE_INFO, tui->notice_bad ? GLYPH_WARNING : GLYPH_NOTE);
        area_field(&line, 0, 3, line.columns - 4, false, tui->notice_bad ? STYLE_WARNING : STYLE_INFO, scene_text(&tui->scene, buf_text(&tui->notice), &shown));
        buf_free(&shown);
    } else if (tui_is_typing(tui)) {
        draw_typing_keys(&line);
    } else if (tui->depth) {
        draw_keys(tui, &line);
    }
}
