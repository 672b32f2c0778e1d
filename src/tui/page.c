/* Pages longer than the screen: Link, and the facts of Node. */
#include "page.h"

#include <stdio.h>

struct area page_begin(struct page *page, const struct area *area)
{
    page->surface.ascii = area->surface->ascii;
    surface_resize(&page->surface, PAGE_ROWS, area->columns > 0 ? area->columns : 0);
    struct area whole = area_whole(&page->surface);
    whole.ground = area->ground;
    area_fill(&whole);
    return whole;
}

static void tell_of_more(const struct area *area, int row, enum glyph glyph, int rows)
{
    if (rows <= 0 || area->columns < 16)
        return;
    char text[24];
    int length = snprintf(text, sizeof text, " %d more", rows), column = area->columns - length - 2;
    area_text(area, row, column, STYLE_DIM, "  ");
    area_glyph(area, row, column + 1, STYLE_ACCENT, glyph);
    area_text(area, row, column + 2, STYLE_DIM, text);
}

void page_end(struct page *page, const struct area *area, int used)
{
    page->used = used < PAGE_ROWS ? used : PAGE_ROWS;
    page->seen = area->rows;
    if (page->top > page->used - page->seen)
        page->top = page->used - page->seen;
    if (page->top < 0)
        page->top = 0;
    for (int row = 0; row < area->rows && page->top + row < page->used; row++)
        for (int column = 0; column < area->columns && column < page->surface.columns; column++) {
            const struct cell *cell = &page->surface.cells[(page->top + row) * page->surface.columns + column];
            int to_row = area->row + row, to_column = area->column + column;
            if (to_row >= 0 && to_row < area->surface->rows && to_column >= 0 && to_column < area->surface->columns)
                area->surface->cells[to_row * area->surface->columns + to_column] = *cell;
        }
    tell_of_more(area, 0, GLYPH_MORE_UP, page->top);
    tell_of_more(area, area->rows - 1, GLYPH_MORE_DOWN, page->used - page->top - page->seen);
}

bool page_act(struct page *page, enum action action)
{
    int step = page->seen > 2 ? page->seen - 2 : 1, last = page->used > page->seen ? page->used - page->seen : 0, top = page->top;
    switch (action) {
    case ACTION_UP: top--; break;
    case ACTION_DOWN: top++; break;
    case ACTION_PAGE_UP: top -= step; break;
    case ACTION_PAGE_DOWN: top += step; break;
    case ACTION_FIRST: top = 0; break;
    case ACTION_LAST: top = last; break;
    default: return false;
    }
    page->top = top < 0 ? 0 : top > last ? last : top;
    return true;
}

void page_free(struct page *page)
{
    surface_free(&page->surface);
}
