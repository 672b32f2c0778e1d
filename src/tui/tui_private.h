/* The deck from inside, for its own files and for tests that drive it without a terminal:
 *     struct tui *tui = tui_new_headless(&options, &err);
 *     tui_set_picture(tui, &picture);            or tui_set_live(tui, live), and tui_live_changed(tui, what) after each change
 *     tui_key(tui, &(struct key_event){.code = '2'});   tui_keys(tui, "2 down enter");
 *     surface_resize(&surface, 24, 80); tui_draw(tui, &surface); surface_to_text(&surface, false, &buf); */
#ifndef WGDECK_TUI_PRIVATE_H
#define WGDECK_TUI_PRIVATE_H

#include "config.h"
#include "dialog.h"
#include "hands.h"
#include "keymap.h"
#include "prompt.h"
#include "scene.h"
#include "terminal.h"
#include "theme.h"
#include "view.h"
#include "wgdeck/tui.h"

enum { TUI_DEPTH = 16, TUI_SCREENS = 16, TUI_HITS = 48 };

/* One of the screens, kept with its cursor while others are shown. */
struct tui_screen {
    const struct view_ops *ops;
    struct view *view;        /* NULL: never opened */
    struct subject subject;   /* what it was opened with last */
    uint64_t number;          /* scene's when it was refreshed last; 0: never */
};

struct tui_hit { int row, column, width; enum action action; }; /* what a click on header or footer does */

struct tui_links { uint64_t number; const struct diagnosis *of; size_t live, idle, never; }; /* the header's, of one picture */

struct tui {
    struct ev_loop *loop;     /* NULL: headless */
    struct tui_options options;
    struct config config;
    struct buf warnings;      /* of deck.conf and themes, a line each: in help, and once as a notice */
    struct keymap keymap;
    struct theme theme;
    bool has_terminal;

    struct live *live;
    struct live_frozen *frozen;
    bool has_picture;
    struct scene scene;
    struct scene_index *index;
    uint64_t indexed;         /* picture.number of the index; its diagnosis may be another with the same number */
    const struct diagnosis *indexed_diagnosis;
    char filter[128], filter_before[128];
    bool filter_not_before;
    uint8_t *node_matches;
    size_t node_matches_count;

    struct tui_screen screens[TUI_SCREENS];
    struct { size_t screen; struct subject subject; } stack[TUI_DEPTH];
    size_t depth;             /* 0 until there is a picture */

    struct tui_links links;
    struct prompt prompt;
    struct dialog dialog;
    const struct dialog_source *asker; /* tests; NULL: the live mesh */
    struct buf notice;
    bool notice_bad;
    struct tui_hit hits[TUI_HITS];
    size_t hit_count;
    struct area view_area;    /* of the last draw: where clicks go; its surface is not valid later */
    bool pasting;             /* between the two marks of a paste: nothing in it is a command */
    bool prompt_inverted;
    char save_path[PROMPT_SIZE]; /* that is asked about: may it be written over? */

    struct buf terminal_bytes; /* headless: what would have been sent besides the screen (OSC 52) */
    const struct view_ops *swap_shown; /* while another live mesh is taken: the screen that was shown */
    struct hands *hands;      /* hands.c; NULL: nothing can be changed from here */
    bool over, leaving, keep_screen, dirty, news, busy;
    int signal;
    struct tui_loop *watchers; /* tui_loop.c; NULL: headless */
    struct surface surface;    /* the terminal's */
    struct shell *shell;
};

/* Without a terminal and without a loop. deck.conf is read only if options->config names it. */
struct tui *tui_new_headless(const struct tui_options *options, struct err *err);
void tui_set_picture(struct tui *tui, const struct live_picture *picture); /* instead of a live mesh; borrowed until the next, or the end */
void tui_draw(struct tui *tui, struct surface *surface);                   /* the whole deck, in the surface's size */
void tui_key(struct tui *tui, const struct key_event *key);
bool tui_keys(struct tui *tui, const char *words);                         /* "2 down enter": as deck.conf writes keys; false: a word is no key */
bool tui_act(struct tui *tui, enum action action);
bool tui_is_over(const struct tui *tui);
const char *tui_screen_name(const struct tui *tui);

/* tui_screens.c: which screen is shown, and the way back */
void tui_begin(struct tui *tui);      /* the first screen, as options and deck.conf want it; there is a picture */
struct tui_screen *tui_current(struct tui *tui);
void tui_open(struct tui *tui, const struct view_ops *ops, const struct subject *subject); /* SUBJECT may be NULL */
void tui_open_subject(struct tui *tui, const struct subject *subject);
bool tui_back(struct tui *tui);       /* false: there is nothing to go back to */
void tui_refresh_screen(struct tui *tui);
void tui_wish(struct tui *tui, const struct wish *wish);
bool tui_is_typing(struct tui *tui); /* a field of the screen takes text now */
bool tui_subject(struct tui *tui, struct subject *subject);

/* tui_scene.c: picture, filter, freeze */
void tui_take_picture(struct tui *tui);        /* before anything that reads the scene */
void tui_scene_changed(struct tui *tui);       /* rows may be others */
void tui_set_filter(struct tui *tui, const char *text, bool inverted);
void tui_freeze(struct tui *tui, bool frozen);

/* tui.c */
void tui_notice(struct tui *tui, bool bad, const char *format, ...) __attribute__((format(printf, 3, 4)));
void tui_leave(struct tui *tui);
void tui_send(struct tui *tui, const char *bytes, size_t length); /* to the terminal, beside the screen */
int tui_use_theme(struct tui *tui, const char *name, struct err *err);

/* header.c, footer.c, dialog.c, prompt.c draw themselves */
int header_rows(const struct tui *tui, int rows);
void header_draw(struct tui *tui, const struct area *area);
void footer_draw(struct tui *tui, const struct area *area);
int screens_bar_rows(int rows, int columns); /* 1 where there is room for it, else 0 */
void screens_bar_draw(struct tui *tui, const struct area *area);
void tui_add_hit(struct tui *tui, const struct area *area, int column, int width, enum action action);

/* command.c, save.c, copy.c, shell.c: what actions and the command line share */
void command_run(struct tui *tui, const char *line);
size_t command_complete(struct tui *tui, const char *line, size_t length, struct buf *candidates, size_t *from);
void tui_save(struct tui *tui, const char *path, bool overwrite);
void tui_copy(struct tui *tui);
void tui_shell(struct tui *tui, size_t node);
void shell_free(struct tui *tui);

#endif
