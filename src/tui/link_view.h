/* The link's screen from inside: what its files share. */
#ifndef WGDECK_TUI_LINK_VIEW_H
#define WGDECK_TUI_LINK_VIEW_H

#include "page.h"
#include "view.h"

struct view_link {
    struct view_base base;
    struct page page;
    size_t a, b;     /* a < b; SIZE_MAX: none chosen */
};

/* Each draws from ROW on and returns the rows used. LINK may be NULL: the two have none. */
int link_draw_ends(const struct scene *scene, size_t a, size_t b, const struct link *link, const struct area *area, int row);
int link_draw_plots(const struct scene *scene, const struct link *link, const struct area *area, int row, int height); /* HEIGHT: rows of each plot */
int link_plot_rows(int height, int columns); /* rows that plots of this height take */
int link_draw_history(const struct scene *scene, size_t a, size_t b, const struct area *area, int row, int most);

#endif
