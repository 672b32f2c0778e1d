/* What the parts of the terminal share: its life (terminal.c), the screen (terminal_show.c), the line out (terminal_line.c) and how much may be on it
 * (terminal_pace.c), colours in few bytes (terminal_sgr.c), keys (terminal_keys.c). */
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

/* terminal_sgr.c: what ncurses wrote, with fewer bytes for colours. BYTES end where a sequence ends. */
struct sgr_state { uint32_t foreground, background; unsigned char attributes, none[3]; };
struct sgr {
    struct sgr_state wanted, shown; /* by ncurses; by the terminal, if known */
    bool known;
    char charset;
};
void sgr_forget(struct sgr *sgr); /* what the terminal has now */
void sgr_add(struct sgr *sgr, const char *bytes, size_t length, struct buf *out);

/* terminal_pace.c: how much may be under way, learnt from the terminal's answers. Times are of the steady clock; a wait of 0: now. */
#define PACE_QUESTION "\033[5n" /* "ESC [ 0 n" is the answer */
struct pace {
    bool deaf;                       /* the terminal does not answer */
    bool asked, answered;            /* a question is under way; one was answered */
    size_t before, behind;           /* bytes before the question under way, and behind it */
    int64_t before_from, behind_from, asked_at, answered_at, frame_at;
    int64_t least;                   /* the shortest time to an answer, with so many bytes: */
    size_t least_bytes;
    double rate;                     /* bytes a second of a line that is slow; 0: it is fast */
    int64_t busy;                    /* what the last bytes took of the line */
    size_t window;                   /* bytes that may be under way when a key changes the screen */
};
void pace_begin(struct pace *pace, bool able);                  /* ABLE: to answer */
void pace_sent(struct pace *pace, size_t bytes, int64_t now);
void pace_frame(struct pace *pace, int64_t now);                /* what was sent was a frame */
bool pace_asks(struct pace *pace, int64_t now);                 /* true: the question is to be sent now */
void pace_answered(struct pace *pace, int64_t now);
int64_t pace_wait(struct pace *pace, bool urgent, int64_t now); /* until the next frame may be sent; it may be sooner, when an answer comes */
int64_t pace_last_wait(struct pace *pace, int64_t now);         /* how long an answer is worth waiting for at the end */

/* terminal_show.c: the screen, as ncurses sees it */
int screen_begin(int colours_wanted, struct err *err); /* 0: no colours; below 0: all there are */
void screen_end(void);
void screen_enter(void);       /* the next show draws everything */
void terminal_sent(size_t bytes, bool frame); /* terminal.c: so much was added to the line */
void terminal_ask(void);       /* adds the question whether all has arrived, when it is time for it */
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
    bool expecting;            /* an answer of the terminal: its parts are not given up for keys so soon */
    bool cut;                  /* an Esc was taken for a key only because nothing followed */
    unsigned answers;          /* that came */
};
/* The next event in what was read. False: none, or not whole yet. NOW: an Esc that nothing follows is a key after a while. */
bool key_reader_next(struct key_reader *reader, int64_t now, struct key_event *event);

#endif
