/* The screen: ncurses knows what the terminal shows and how to change it in few bytes. It writes into a file in memory, so that it never waits for the
 * line; what it wrote goes through terminal_line.c. The only file that includes ncurses' header. */
#define NCURSES_WIDECHAR 1
#include <ncurses.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wchar.h>

#include "terminal_private.h"
#include "wgdeck/mem.h"

struct pen { bool known; int pair; attr_t attributes; };

static struct {
    SCREEN *screen;
    FILE *file;
    struct theme theme;
    int colours;
    struct pen pens[STYLE_COUNT][GROUND_COUNT][2];
    struct surface shown;
    struct sgr sgr;
    bool all;         /* nothing is known of what is shown */
    int cursor;       /* as curs_set was told; -1: not yet */
} screen;

/* What ncurses wrote goes to the line. Returns how much it was. */
static size_t collect(void)
{
    char bytes[4096];
    struct buf written = BUF_EMPTY, shorter = BUF_EMPTY;
    int descriptor = fileno(screen.file);
    ssize_t length;
    fflush(screen.file);
    while ((length = pread(descriptor, bytes, sizeof bytes, (off_t)written.length)) > 0)
        buf_add(&written, bytes, (size_t)length);
    if (written.length && !ftruncate(descriptor, 0))
        lseek(descriptor, 0, SEEK_SET);
    if (screen.colours)
        sgr_add(&screen.sgr, buf_text(&written), written.length, &shorter);
    const struct buf *sent = screen.colours ? &shorter : &written;
    size_t count = sent->length;
    if (count)
        line_add(buf_text(sent), count);
    buf_free(&written);
    buf_free(&shorter);
    return count;
}

static int colours_of_terminal(int wanted)
{
    if (!wanted || !has_colors() || start_color() == ERR || COLORS < 8)
        return 0;
    use_default_colors();
    return COLORS > 256 ? 16777216 : COLORS >= 256 ? 256 : COLORS >= 16 ? 16 : 8;
}

int screen_begin(int colours_wanted, struct err *err)
{
    int descriptor = memfd_create("screen", MFD_CLOEXEC);
    screen.file = descriptor < 0 ? NULL : fdopen(descriptor, "w+");
    if (!screen.file)
        return err_set(err, "no memory for the screen");
    setenv("NCURSES_NO_PADDING", "1", 1); /* it would sleep */
    screen.screen = newterm(NULL, screen.file, stdin);
    unsetenv("NCURSES_NO_PADDING");
    if (!screen.screen) {
        fclose(screen.file);
        screen.file = NULL;
        return err_set(err, "TERM is '%s', and ncurses cannot draw on that: try TERM=xterm-256color, or 'wgdeck status -w 2'", getenv("TERM"));
    }
    typeahead(-1);
    nonl();
    scrollok(stdscr, FALSE);
    leaveok(stdscr, TRUE);
    screen.colours = colours_of_terminal(colours_wanted);
    screen.cursor = -1;
    screen.all = true;
    return 0;
}

void screen_end(void)
{
    if (!screen.screen)
        return;
    endwin();
    delscreen(screen.screen);
    fclose(screen.file);
    surface_free(&screen.shown);
    memset(&screen, 0, sizeof screen);
}

void screen_enter(void)
{
    screen.all = true;
    screen.cursor = -1;
    sgr_forget(&screen.sgr);
}

bool screen_capability(const char *name, struct buf *buf)
{
    const char *value = tigetstr(name);
    if (!value || value == (const char *)-1)
        return false;
    for (; *value; value++) /* "$<5>": a pause that no terminal of today needs */
        if (value[0] == '$' && value[1] == '<' && strchr(value, '>'))
            value = strchr(value, '>');
        else
            buf_add_char(buf, *value);
    return true;
}

int terminal_colours(void)
{
    return screen.colours;
}

void terminal_set_theme(const struct theme *theme)
{
    screen.theme = *theme;
    if (!screen.colours) /* its attributes are made for that */
        theme_load("mono", &screen.theme, NULL, NULL);
    memset(screen.pens, 0, sizeof screen.pens);
    screen.all = true;
}

/* Colours of a direct terminal are numbers of 24 bits, of which the first eight are the palette's. */
static int direct_colour(const struct theme_colour *colour)
{
    int value = colour->red << 16 | colour->green << 8 | colour->blue;
    return !colour->given ? -1 : value < 8 ? 8 : value;
}

static const struct pen *pen_of(const struct cell *cell)
{
    enum style style = cell->style < STYLE_COUNT ? (enum style)cell->style : STYLE_TEXT;
    enum ground ground = cell->ground < GROUND_COUNT ? (enum ground)cell->ground : GROUND_NORMAL;
    struct pen *pen = &screen.pens[style][ground][cell->bold];
    if (pen->known)
        return pen;
    struct theme_pen wanted = theme_pen(&screen.theme, style, ground, cell->bold, screen.colours);
    *pen = (struct pen){.known = true};
    pen->attributes = (wanted.bold ? A_BOLD : 0) | (wanted.dim ? A_DIM : 0) | (wanted.underline ? A_UNDERLINE : 0) | (wanted.reverse ? A_REVERSE : 0);
    if (screen.colours) {
        bool direct = screen.colours > 256;
        int pair = alloc_pair(direct ? direct_colour(&wanted.foreground) : wanted.foreground_index,
                              direct ? direct_colour(&wanted.background) : wanted.background_index);
        pen->pair = pair > 0 ? pair : 0;
    }
    return pen;
}

static bool cells_equal(const struct cell *one, const struct cell *other)
{
    return one->character == other->character && one->style == other->style && one->ground == other->ground && one->bold == other->bold &&
           !memcmp(one->marks, other->marks, sizeof one->marks);
}

/* Where the C library's idea of a character's width is another than ours, the cursor would go astray. */
static void put(int row, int column, const struct cell *cell, const struct pen *pen, bool wide)
{
    wchar_t text[2 + CELL_MARKS] = {(wchar_t)cell->character};
    int length = 1, pair = pen->pair;
    cchar_t character;
    bool replaced = wcwidth(text[0]) != (wide ? 2 : 1);
    if (replaced)
        text[0] = L'?';
    for (int i = 0; i < CELL_MARKS && cell->marks[i] && !replaced; i++)
        if (wcwidth((wchar_t)cell->marks[i]) == 0)
            text[length++] = (wchar_t)cell->marks[i];
    setcchar(&character, text, pen->attributes, 0, &pair);
    mvadd_wch(row, column, &character);
    if (replaced && wide)
        mvadd_wch(row, column + 1, &character);
}

/* A space looks the same in every colour of text: always one, so that it is no difference. */
static const struct pen *pen_shown(const struct cell *cell)
{
    const struct pen *pen = pen_of(cell);
    if (cell->character != ' ' || pen->attributes & (A_UNDERLINE | A_REVERSE))
        return pen;
    const struct cell plain = {.character = ' ', .style = STYLE_TEXT, .ground = cell->ground};
    const struct pen *of_plain = pen_of(&plain);
    return of_plain->attributes & (A_UNDERLINE | A_REVERSE) ? pen : of_plain;
}

static void put_differences(const struct surface *surface)
{
    for (int row = 0; row < surface->rows; row++) {
        const struct cell *cells = &surface->cells[row * surface->columns];
        struct cell *old = &screen.shown.cells[row * surface->columns];
        for (int column = 0; column < surface->columns; column++) {
            bool wide = column + 1 < surface->columns && cells[column].character && !cells[column + 1].character;
            bool changed = screen.all || !cells_equal(&cells[column], &old[column]) ||
                           (wide && !cells_equal(&cells[column + 1], &old[column + 1]));
            if (changed && cells[column].character)
                put(row, column, &cells[column], pen_shown(&cells[column]), wide);
        }
        memcpy(old, cells, (size_t)surface->columns * sizeof *cells);
    }
}

static void place_cursor(const struct surface *surface)
{
    bool visible = surface->cursor_row >= 0 && surface->cursor_row < surface->rows && surface->cursor_column >= 0 &&
                   surface->cursor_column < surface->columns;
    if (screen.cursor < 0) /* ncurses sends only what it takes for a change */
        curs_set(!visible);
    if (screen.cursor != (int)visible)
        curs_set(visible);
    screen.cursor = visible;
    leaveok(stdscr, !visible);
    if (visible)
        move(surface->cursor_row, surface->cursor_column);
}

bool terminal_show(const struct surface *surface)
{
    if (!screen.screen || line_is_dead())
        return true;
    terminal_ask(); /* before the first frame, so that its size does not matter */
    if (!line_flush())
        return false;
    if (surface->rows < 1 || surface->columns < 1)
        return true;
    if (getmaxy(stdscr) != surface->rows || getmaxx(stdscr) != surface->columns) {
        resizeterm(surface->rows, surface->columns);
        screen.all = true;
    }
    if (screen.all) {
        surface_resize(&screen.shown, surface->rows, surface->columns);
        werase(stdscr);
        clearok(curscr, TRUE);
    }
    put_differences(surface);
    screen.all = false;
    place_cursor(surface);
    refresh();
    terminal_sent(collect(), true);
    terminal_ask();
    return line_flush();
}

void terminal_redraw(void)
{
    screen_enter();
    terminal_modes();
}
