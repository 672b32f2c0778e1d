/* The deck on a loop: keys, signals, and when to draw. */
#ifndef WGDECK_TUI_LOOP_H
#define WGDECK_TUI_LOOP_H

struct tui;
void tui_loop_begin(struct tui *tui);   /* watches from now on; the terminal was taken */
void tui_loop_free(struct tui *tui);
void tui_loop_news(struct tui *tui);    /* something to draw, when its time has come */
void tui_loop_notice(struct tui *tui);  /* a notice goes away after a while */
void tui_loop_end(struct tui *tui);
void tui_loop_pause(struct tui *tui);   /* another program has the terminal */
void tui_loop_resume(struct tui *tui);

#endif
