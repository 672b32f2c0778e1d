/* A line that is typed: filter, command, file name. Editing only; what it means is its owner's. */
#ifndef WGDECK_TUI_PROMPT_H
#define WGDECK_TUI_PROMPT_H

#include "surface.h"
#include "terminal.h"

enum { PROMPT_SIZE = 1024, PROMPT_HISTORY = 50 };
enum prompt_kind { PROMPT_NONE, PROMPT_FILTER, PROMPT_COMMAND, PROMPT_SAVE, PROMPT_OVERWRITE };
enum prompt_result { PROMPT_IGNORED, PROMPT_CHANGED, PROMPT_DONE, PROMPT_ENDED, PROMPT_COMPLETE, PROMPT_COMPLETE_BACK };

struct prompt {
    enum prompt_kind kind;      /* NONE: not open */
    char label[64];             /* what stands before the text */
    char text[PROMPT_SIZE];     /* UTF-8, safe */
    size_t length, cursor;      /* bytes */
    char *history[PROMPT_HISTORY]; /* of commands; the oldest first; owned */
    size_t history_count, history_at; /* at: history_count when none is shown */
    char kept[PROMPT_SIZE];     /* what was typed before the history was asked */
    struct buf candidates;      /* of the completion, separated by spaces */
    size_t candidate, from;     /* shown one (from 1; 0: none), and where its word begins */
};

void prompt_open(struct prompt *prompt, enum prompt_kind kind, const char *label, const char *text);
void prompt_close(struct prompt *prompt);   /* history is kept */
void prompt_free(struct prompt *prompt);
void prompt_remember(struct prompt *prompt, const char *line);
enum prompt_result prompt_key(struct prompt *prompt, const struct key_event *key);
void prompt_insert(struct prompt *prompt, const char *text);
/* The next of the candidates (set by the owner with their start), in the place of the word; BACK: the one before. */
void prompt_cycle(struct prompt *prompt, bool back);
void prompt_draw(const struct prompt *prompt, const struct area *line, enum style style); /* one row; sets the surface's cursor */

/* The editing alone, for any bounded field (dialogs): TEXT has room for SIZE bytes. True when something changed. */
bool field_key(char *text, size_t size, size_t *length, size_t *cursor, const struct key_event *key);

#endif
