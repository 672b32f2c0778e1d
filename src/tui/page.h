/* A page that may be longer than the screen: drawn whole into a surface of its own, of which a part is shown. */
#ifndef WGDECK_TUI_PAGE_H
#define WGDECK_TUI_PAGE_H

#include "action.h"
#include "surface.h"

enum { PAGE_ROWS = 500 };
struct page {
    struct surface surface; /* owned */
    int top;                /* first row shown */
    int used, seen;         /* rows drawn last; rows of the screen */
};

struct area page_begin(struct page *page, const struct area *area);           /* where to draw: as wide as AREA, PAGE_ROWS high */
void page_end(struct page *page, const struct area *area, int used);          /* shows it; arrows tell of what is above and below */
bool page_act(struct page *page, enum action action);
void page_free(struct page *page);

#endif
