/* The row that names the screens and their keys, the current one marked: nobody has to know that there is a map. */
#include <string.h>

#include "tui_private.h"

enum { BAR_FROM_ROWS = 22, BAR_FROM_COLUMNS = 40 };

int screens_bar_rows(int rows, int columns)
{
    return rows >= BAR_FROM_ROWS && columns >= BAR_FROM_COLUMNS;
}

/* The first key of what opens it: "1". */
static void key_of(const struct tui *tui, enum action action, char key[static 16])
{
    struct buf keys = BUF_EMPTY;
    const char *all = keymap_text(&tui->keymap, action, &keys);
    size_t length = strcspn(all, " ");
    snprintf(key, 16, "%.*s", (int)length, all);
    buf_free(&keys);
}

static bool is_current(const struct tui *tui, const struct view_ops *ops)
{
    return !strcmp(tui_screen_name(tui), ops->name);
}

/* Brackets, so that it is told without colours too. Returns the columns it takes. */
static int draw_one(struct tui *tui, const struct area *line, int column, const struct view_ops *ops)
{
    char key[16];
    bool current = is_current(tui, ops);
    key_of(tui, ops->action, key);
    int at = column;
    at += area_text(line, 0, at, STYLE_ACCENT, current ? "[" : " ");
    at += area_text(line, 0, at, current ? STYLE_ACCENT : STYLE_KEY, key);
    at += area_text(line, 0, at, STYLE_DIM, " ");
    at += current ? area_bold(line, 0, at, STYLE_ACCENT, ops->name) : area_text(line, 0, at, STYLE_DIM, ops->name);
    at += area_text(line, 0, at, STYLE_ACCENT, current ? "]" : " ");
    tui_add_hit(tui, line, column, at - column, ops->action);
    return at - column;
}

void screens_bar_draw(struct tui *tui, const struct area *area)
{
    bool named = false;
    int column = 0;
    if (area->rows < 1 || !tui->depth)
        return;
    area_fill(area);
    for (size_t i = 0; views[i]; i++) {
        if (views[i]->action == ACTION_NONE || views[i]->action == ACTION_HELP)
            continue;
        if ((views[i] == &view_plan || views[i] == &view_wizard) && !hands_are_there(tui))
            continue;
        named |= is_current(tui, views[i]);
        column += draw_one(tui, area, column, views[i]);
    }
    if (!named && column < area->columns) { /* one that is opened from another: a node, a link, help */
        area_glyph(area, 0, column + 1, STYLE_DIM, GLYPH_ARROW);
        area_format(area, 0, column + 2, STYLE_ACCENT, " [%s]", tui_screen_name(tui));
    }
}
