/* The whole deck into a surface: header, the screen, footer, and a question over it. */
#include <string.h>

#include "tui_private.h"

void tui_add_hit(struct tui *tui, const struct area *area, int column, int width, enum action action)
{
    if (tui->hit_count < TUI_HITS)
        tui->hits[tui->hit_count++] = (struct tui_hit){area->row, area->column + column, width, action};
}

static void draw_screen(struct tui *tui, const struct area *area)
{
    tui->view_area = *area;
    if (!tui->depth) {
        area_text(area, 1, 1, STYLE_DIM, "reading the mesh");
        return;
    }
    struct tui_screen *screen = tui_current(tui);
    if (area->rows > 0 && area->columns > 0)
        screen->ops->draw(screen->view, &tui->scene, area);
}

void tui_draw(struct tui *tui, struct surface *surface)
{
    tui_take_picture(tui);
    surface_clear(surface);
    surface->cursor_row = surface->cursor_column = -1;
    tui->hit_count = 0;
    struct area all = area_whole(surface);
    area_fill(&all);
    if (tui->theme.framed && all.rows >= 10 && all.columns >= 40) {
        struct area frame = area_on(&all, GROUND_ALARM);
        area_frame(&frame, STYLE_TEXT, "");
        all = area_part(&all, 1, 1, all.rows - 2, all.columns - 2);
    }
    int header = header_rows(tui, all.rows), footer = all.rows > 3 || tui->prompt.kind != PROMPT_NONE;
    int bar = screens_bar_rows(all.rows, all.columns);
    struct area top = area_part(&all, 0, 0, header, all.columns), screens = area_part(&all, header, 0, bar, all.columns);
    struct area body = area_part(&all, header + bar, 0, all.rows - header - bar - footer, all.columns);
    struct area bottom = area_part(&all, all.rows - 1, 0, footer, all.columns);
    header_draw(tui, &top);
    screens_bar_draw(tui, &screens);
    draw_screen(tui, &body);
    if (footer)
        footer_draw(tui, &bottom);
    const struct fanout_question *question = dialog_question(tui);
    if (question)
        dialog_draw(tui, question, &body);
}
