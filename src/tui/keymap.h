/* Keys and what they do: the table of action.h, as deck.conf changes it. */
#ifndef WGDECK_TUI_KEYMAP_H
#define WGDECK_TUI_KEYMAP_H

#include "action.h"
#include "terminal.h"
#include "wgdeck/buf.h"
#include "wgdeck/conf.h"

struct action_row { const char *name, *keys, *where, *brief, *help; };
extern const struct action_row action_rows[]; /* by enum action */

struct keymap { struct { uint32_t code; bool alt; enum action action; } *keys; size_t count, capacity; };
void keymap_begin(struct keymap *keymap);                 /* the defaults */
void keymap_free(struct keymap *keymap);
/* [Keys] of deck.conf: "quit = q ctrl-c". Errors as FILE:LINE lines into WARNINGS; what is wrong is left as it was. */
void keymap_read(struct keymap *keymap, const struct conf *conf, struct buf *warnings);
enum action keymap_find(const struct keymap *keymap, const struct key_event *key);
bool keystroke_parse(const char *word, uint32_t *code, bool *alt);
void keystroke_text(uint32_t code, bool alt, char text[static 24]);
/* The keys of an action as shown: "? F1". */
const char *keymap_text(const struct keymap *keymap, enum action action, struct buf *buf);

#endif
