/* What the parts of the terminal share: its life (terminal.c), the screen (terminal_show.c), the line out (terminal_line.c), keys (terminal_keys.c). */
#ifndef WGDECK_TUI_TERMINAL_PRIVATE_H
#define WGDECK_TUI_TERMINAL_PRIVATE_H

#include <stddef.h>

#include "terminal.h"
#include "wgdeck/buf.h"

/* terminal_line.c: bytes on their way to the terminal. Never waits, but for line_last. */
bool line_open(struct err *err);
void line_close(void);
int line_descriptor(void);
void line_add(const char *bytes, size_t length);
bool line_flush(void);         /* false: some are still here */
void line_drop(void);          /* what was not sent; the terminal is told to forget the half of a sequence that it may have */
/* The last words, also from a signal handler: waits for the line, a second at most. */
void line_last(const char *bytes, size_t length);
bool line_is_dead(void);       /* the terminal has gone */

/* terminal_show.c: the screen, as ncurses sees it */
int screen_begin(int colours_wanted, struct err *err); /* 0: no colours; below 0: all there are */
void screen_end(void);
void screen_enter(void);       /* the next show draws everything */
void terminal_modes(void);     /* terminal.c: termios, mouse, paste again, as after a stop */
bool screen_capability(const char *name, struct buf *buf); /* adds a string of terminfo, without padding; false: it has none */

/* terminal_keys.c */
struct key_reader {
    unsigned char bytes[4096];
    size_t length;
    bool pasting;
    int64_t at;                /* when the last bytes came, steady clock */
    int64_t click_at;
    int click_row, click_column;
};
/* The next event in what was read. False: none, or not whole yet. NOW: an Esc that nothing follows is a key after a while. */
bool key_reader_next(struct key_reader *reader, int64_t now, struct key_event *event);

#endif
