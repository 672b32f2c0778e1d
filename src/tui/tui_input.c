/* Where a key goes: to a question, to the line that is typed, or through the keymap to an action. */
#include <string.h>

#include "tui_private.h"

static void end_filter(struct tui *tui, enum prompt_result result)
{
    if (result == PROMPT_ENDED)
        tui_set_filter(tui, tui->filter_before, tui->filter_not_before);
    prompt_close(&tui->prompt);
}

static void filter_key(struct tui *tui, enum prompt_result result)
{
    if (result == PROMPT_DONE || result == PROMPT_ENDED)
        end_filter(tui, result);
    else if (result == PROMPT_CHANGED)
        tui_set_filter(tui, tui->prompt.text, tui->prompt_inverted);
}

static void complete(struct tui *tui, bool back)
{
    struct prompt *prompt = &tui->prompt;
    if (!prompt->candidate && !prompt->candidates.length)
        command_complete(tui, prompt->text, prompt->cursor, &prompt->candidates, &prompt->from);
    prompt_cycle(prompt, back);
}

static void command_key(struct tui *tui, enum prompt_result result)
{
    char line[PROMPT_SIZE];
    switch (result) {
    case PROMPT_DONE:
        strcpy(line, tui->prompt.text);
        prompt_close(&tui->prompt);
        prompt_remember(&tui->prompt, line);
        command_run(tui, line);
        break;
    case PROMPT_ENDED:
        prompt_close(&tui->prompt);
        break;
    case PROMPT_COMPLETE:
    case PROMPT_COMPLETE_BACK:
        complete(tui, result == PROMPT_COMPLETE_BACK);
        break;
    case PROMPT_IGNORED:
    case PROMPT_CHANGED:
        break;
    }
}

static void save_key(struct tui *tui, enum prompt_result result)
{
    char path[PROMPT_SIZE];
    if (result != PROMPT_DONE && result != PROMPT_ENDED)
        return;
    strcpy(path, tui->prompt.text);
    prompt_close(&tui->prompt);
    if (result == PROMPT_DONE && *path)
        tui_save(tui, path, false);
}

static void overwrite_key(struct tui *tui, enum prompt_result result)
{
    if (result != PROMPT_DONE && result != PROMPT_ENDED)
        return;
    bool yes = result == PROMPT_DONE && (!strcasecmp(tui->prompt.text, "y") || !strcasecmp(tui->prompt.text, "yes"));
    prompt_close(&tui->prompt);
    if (yes)
        tui_save(tui, tui->save_path, true);
    else
        tui_notice(tui, false, "not saved");
}

static void prompt_takes(struct tui *tui, const struct key_event *key)
{
    enum prompt_result result = prompt_key(&tui->prompt, key);
    switch (tui->prompt.kind) {
    case PROMPT_FILTER:
        filter_key(tui, result);
        break;
    case PROMPT_COMMAND:
        command_key(tui, result);
        break;
    case PROMPT_SAVE:
        save_key(tui, result);
        break;
    case PROMPT_OVERWRITE:
        overwrite_key(tui, result);
        break;
    case PROMPT_NONE:
        break;
    }
}

static void mouse(struct tui *tui, const struct key_event *key)
{
    for (size_t i = 0; !key->wheel && i < tui->hit_count; i++) {
        const struct tui_hit *hit = &tui->hits[i];
        if (key->row == hit->row && key->column >= hit->column && key->column < hit->column + hit->width) {
            tui_act(tui, hit->action);
            return;
        }
    }
    const struct area *area = &tui->view_area;
    int row = key->row - area->row, column = key->column - area->column;
    if (row < 0 || column < 0 || row >= area->rows || column >= area->columns || !tui->depth)
        return;
    struct tui_screen *screen = tui_current(tui);
    struct wish wish = {.notice = ""};
    tui_take_picture(tui);
    if (screen->ops->mouse && screen->ops->mouse(screen->view, &tui->scene, row, column, key->wheel, key->double_click, &wish))
        tui_wish(tui, &wish);
    else if (key->wheel)
        tui_act(tui, key->wheel < 0 ? ACTION_UP : ACTION_DOWN);
}

/* Between the marks of a paste there is only text: what would be a command or an answer's end is left out. True if the key is done with. */
static bool take_paste(struct tui *tui, const struct key_event *key)
{
    if (key->code == KEY_CODE_PASTE) {
        tui->pasting = true;
        if (tui->prompt.kind == PROMPT_NONE && !dialog_question(tui) && !tui_is_typing(tui))
            tui_notice(tui, false, "nothing takes text here (: is the command line, / the filter)");
        return true;
    }
    if (key->code == KEY_CODE_PASTE_END) {
        tui->pasting = false;
        return true;
    }
    if (!tui->pasting)
        return false;
    return key->code < ' ' || key->code >= KEY_CODE_BASE || key->alt || (tui->prompt.kind == PROMPT_NONE && !dialog_question(tui) && !tui_is_typing(tui));
}

void tui_key(struct tui *tui, const struct key_event *key)
{
    tui->dirty = true;
    if (key->code == KEY_CODE_RESIZE || take_paste(tui, key))
        return;
    if (key->code == KEY_CODE_END_OF_INPUT) {
        tui_leave(tui);
        return;
    }
    /* The way out works everywhere, by those of its keys that no text has. */
    enum action action = keymap_find(&tui->keymap, key);
    bool is_text = key->code >= ' ' && key->code < KEY_CODE_BASE && !key->alt;
    if (action == ACTION_QUIT && !is_text) {
        tui_act(tui, ACTION_QUIT);
        return;
    }
    const struct fanout_question *question = dialog_question(tui);
    if (question) {
        dialog_key(tui, question, key);
        return;
    }
    if (key->code == KEY_CODE_MOUSE) {
        mouse(tui, key);
        return;
    }
    if (tui->prompt.kind != PROMPT_NONE && key->alt) { /* Esc and a key, faster than they can be told apart */
        prompt_takes(tui, &(struct key_event){.code = KEY_CODE_ESCAPE});
        tui_key(tui, &(struct key_event){.code = key->code});
        return;
    }
    if (tui->prompt.kind != PROMPT_NONE) {
        prompt_takes(tui, key);
        return;
    }
    struct tui_screen *screen = tui->depth ? tui_current(tui) : NULL;
    if (screen && screen->view && screen->ops->key && screen->ops->key(screen->view, &tui->scene, key))
        return;
    buf_clear(&tui->notice);
    if (action != ACTION_NONE)
        tui_act(tui, action);
}

bool tui_keys(struct tui *tui, const char *words)
{
    char word[32];
    while (*words) {
        words += strspn(words, " ");
        size_t length = strcspn(words, " ");
        struct key_event key = {.row = 0};
        if (!length)
            break;
        snprintf(word, sizeof word, "%.*s", (int)length, words);
        if (!keystroke_parse(word, &key.code, &key.alt))
            return false;
        tui_key(tui, &key);
        words += length;
    }
    return true;
}
