/* The screens there are, in the order of their keys. */
#include "view.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"
#include "wgdeck/tui.h"

const struct view_ops *const views[] = {
    &view_overview,
    &view_matrix,
    &view_links,
    &view_map,
    &view_faults,
    &view_events,
    &view_plan,
    &view_wizard,
    &view_node,
    &view_link,
    &view_help,
    NULL,
};

const struct view_ops *view_find(const char *name)
{
    for (size_t i = 0; views[i]; i++)
        if (!strcasecmp(views[i]->name, name))
            return views[i];
    return NULL;
}

struct view *view_new(const struct view_ops *ops)
{
    struct view_base *base = mem_alloc(1, ops->size > sizeof *base ? ops->size : sizeof *base);
    base->ops = ops;
    return (struct view *)base;
}

const struct view_ops *view_ops_of(const struct view *view)
{
    return ((const struct view_base *)view)->ops;
}

void view_free(struct view *view)
{
    if (!view)
        return;
    const struct view_ops *ops = view_ops_of(view);
    if (ops->close)
        ops->close(view);
    free(view);
}

size_t tui_screen_rows(struct tui_named *rows, size_t most)
{
    size_t count = 0;
    for (; views[count]; count++)
        if (count < most)
            rows[count] = (struct tui_named){views[count]->name, views[count]->help};
    return count;
}
