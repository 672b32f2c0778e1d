/* The terminal: taking it, giving it back in every way the program can end, sending what differs, keys and the mouse. The only place that knows ncurses. */
#ifndef WGDECK_TUI_TERMINAL_H
#define WGDECK_TUI_TERMINAL_H

#include "surface.h"
#include "theme.h"
#include "wgdeck/err.h"

struct terminal_options { bool ascii, no_mouse, no_colour; };

int terminal_check(struct err *err);                       /* tui_check_terminal */
int terminal_take(const struct terminal_options *options, struct err *err); /* one at a time; handlers for SEGV, ABRT, BUS, FPE, ILL restore it and say what happened */
void terminal_give_back(void);                             /* as it was; more than once is fine */
void terminal_suspend(void);                               /* ^Z: gives it back, stops the process group, takes it again */
void terminal_pause(void);                                 /* for a shell on a node */
void terminal_resume(void);
bool terminal_is_utf8(void);
int terminal_colours(void);                                /* 16777216, 256, 16, 8, or 0 */
void terminal_set_theme(const struct theme *theme);
void terminal_size(int *rows, int *columns);               /* the terminal's now */
/* Sends what differs between the surface and what is shown. False when the line is still busy with what was sent before: try again when writable. */
bool terminal_show(const struct surface *surface);
bool terminal_flush(void);                                 /* sends what is left of it; false: the line is still busy */
/* Nanoseconds until the next frame should be sent, so that the line to the terminal is not filled with what would be old when it is seen; 0: now.
 * It may be sooner, after terminal_read_key. URGENT: the person asked for it. */
int64_t terminal_wait(bool urgent);
void terminal_redraw(void);                                /* the next show sends everything */
int terminal_output(void);                                 /* the descriptor, to wait for being writable */
void terminal_raw(const char *bytes, size_t length);       /* a control sequence of our own (OSC 52, title), outside the screen */

enum key_code { /* beyond Unicode */
    KEY_CODE_BASE = 0x110000, KEY_CODE_UP, KEY_CODE_DOWN, KEY_CODE_LEFT, KEY_CODE_RIGHT, KEY_CODE_PAGE_UP, KEY_CODE_PAGE_DOWN, KEY_CODE_HOME, KEY_CODE_END,
    KEY_CODE_INSERT, KEY_CODE_DELETE, KEY_CODE_BACKSPACE, KEY_CODE_TAB, KEY_CODE_BACK_TAB, KEY_CODE_ENTER, KEY_CODE_ESCAPE,
    KEY_CODE_F1, KEY_CODE_F12 = KEY_CODE_F1 + 11, KEY_CODE_MOUSE, KEY_CODE_RESIZE, KEY_CODE_PASTE, KEY_CODE_END_OF_INPUT,
    KEY_CODE_PASTE_END /* the keys between PASTE and PASTE_END were pasted: text, never commands. PASTE_END always comes */
};
struct key_event {
    uint32_t code;           /* a character (control characters: 1..26 are ctrl-a..z), or enum key_code */
    bool alt;
    int row, column, wheel;  /* of KEY_CODE_MOUSE */
    bool double_click;
};
bool terminal_read_key(struct key_event *event);           /* never waits; false: nothing there */
bool terminal_key_begun(void);                             /* a part of a key is there: read again in a while */

#endif
