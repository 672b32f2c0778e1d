/* The matrix's screen from inside: cursor, scrolling, and where things were drawn last (for clicks). */
#ifndef WGDECK_TUI_MATRIX_VIEW_H
#define WGDECK_TUI_MATRIX_VIEW_H

#include "matrix.h"
#include "view.h"

struct axis {
    const uint32_t *items;  /* nodes or groups; borrowed from the order */
    size_t count;
    size_t at, top;         /* the cursor's place; the first that is seen */
    size_t visible;         /* how many were drawn last */
    uint32_t selected;      /* what the cursor stays on */
    int widest;             /* columns of the longest name */
};
struct matrix_axes { struct axis row, column; };

enum matrix_folding { FOLD_AUTO, FOLD_ON, FOLD_OFF };

struct view_matrix {
    struct view_base base;
    struct matrix_order order;
    struct matrix_axes nodes, groups;
    enum matrix_folding fold;
    bool folded;            /* what is drawn: groups */
    bool opened;
    int32_t row_at[SURFACE_MOST], column_at[SURFACE_MOST]; /* places of the axes at a row, a column of the screen; -1: none */
};

bool matrix_can_fold(const struct view_matrix *matrix);
struct matrix_axes *matrix_axes(struct view_matrix *matrix);
void matrix_measure(struct view_matrix *matrix, const struct scene *scene); /* names' widths */
void matrix_draw(struct view_matrix *matrix, const struct scene *scene, const struct area *area);
void matrix_save(const struct view_matrix *matrix, const struct scene *scene, enum save_format format, struct buf *buf);

#endif
