/* How a wizard looks and is answered on a screen: shared by the screens "plan" and "wizard". Tests give it a wizard without hands. */
#ifndef WGDECK_TUI_WIZARD_FACE_H
#define WGDECK_TUI_WIZARD_FACE_H

#include "hands.h"
#include "view.h"

enum { FACE_ANSWER_SIZE = 512 };

/* Lines, broken to a width: what is longer than the screen is scrolled. */
struct face_line { char *text; enum style style; int indent; bool bold; };
struct face_lines { struct face_line *lines; size_t count, capacity; };
void face_lines_clear(struct face_lines *lines);
/* Broken at spaces; the rows after the first are indented by HANG more. */
void face_lines_add(struct face_lines *lines, int width, int indent, int hang, enum style style, bool bold, const char *text);

struct face {
    struct face_lines lines;
    char text[FACE_ANSWER_SIZE];
    size_t length, cursor;
    const char *step;       /* whose field it is */
    bool agreeing;          /* of a plan: its word is being typed */
    int top, seen;          /* first row shown; rows there were */
    unsigned spin;
};

void face_draw(struct face *face, const struct wizard *wizard, const struct scene *scene, const struct area *area);
bool face_is_typing(const struct face *face, const struct wizard *wizard);
/* A key for the field. False: not its business. */
bool face_key(struct face *face, struct wizard *wizard, const struct key_event *key);
bool face_act(struct face *face, struct wizard *wizard, enum action action, struct wish *wish);
void face_save(const struct face *face, struct buf *buf);
void face_free(struct face *face);
/* The lines of each step into face->lines (wizard_lines.c). */
void face_compose(struct face *face, const struct wizard *wizard, const struct scene *scene, int width);

#endif
