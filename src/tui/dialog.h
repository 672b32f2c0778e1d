/* Questions of SSH sessions, answered in a box over the screen. An answer lives in guarded memory and nowhere else. */
#ifndef WGDECK_TUI_DIALOG_H
#define WGDECK_TUI_DIALOG_H

#include "surface.h"
#include "terminal.h"
#include "wgdeck/fanout.h"

enum { DIALOG_ANSWER_SIZE = 1024 };

struct dialog {
    uint64_t id;             /* of the question that TEXT answers; 0: none */
    char *text;              /* guarded; NULL until the first question */
    size_t length, cursor;
    bool hint;               /* say what can be answered */
    char **refused;          /* what was refused in this run, and is refused again without asking; owned */
    size_t refused_count, refused_capacity;
};

/* Where questions come from: the live mesh, or a test. */
struct dialog_source {
    const struct fanout_question *(*question)(void *context);
    void (*answer)(void *context, uint64_t id, const char *text);
    size_t (*count)(void *context);
    void *context;
};

struct tui;
const struct fanout_question *dialog_question(struct tui *tui); /* that is to be answered now, or NULL */
void dialog_key(struct tui *tui, const struct fanout_question *question, const struct key_event *key);
void dialog_draw(struct tui *tui, const struct fanout_question *question, const struct area *area);
void dialog_ask_again(struct dialog *dialog); /* forgets what was refused */
void dialog_free(struct dialog *dialog);

#endif
