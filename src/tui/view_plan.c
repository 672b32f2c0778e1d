/* The screen of the plan: what the mesh file asks for and the nodes do not have, as a diff; applied from here, with progress, and the report. */
#include <string.h>

#include "view.h"
#include "wgdeck/json.h"
#include "wizard_face.h"

struct view {
    struct view_base base;
    struct face face;
};

/* Opened anew each time it is looked for, unless one is in hand. */
static void plan_open(struct view *view, const struct scene *scene, const struct subject *subject)
{
    (void)view, (void)subject;
    if (scene->hands && !hands_wizard(scene->hands, HANDS_PLAN))
        hands_open(scene->hands, WIZARD_APPLY, NULL);
}

static void plan_close(struct view *view)
{
    face_free(&view->face);
}

static struct wizard *of(const struct scene *scene)
{
    return hands_wizard(scene->hands, HANDS_PLAN);
}

static void plan_draw(struct view *view, const struct scene *scene, const struct area *area)
{
    const struct wizard *wizard = of(scene);
    if (wizard)
        face_draw(&view->face, wizard, scene, area);
    else
        area_paragraph(area, 1, 1, area->columns - 2, 6, STYLE_DIM,
                       scene->hands && *scene->hands->why_not ? scene->hands->why_not
                       : scene->hands                         ? "Enter looks at all nodes and makes the plan."
                                                              : "Nothing can be changed from here: this is a recording, or a mesh without a mesh file (wgdeck adopt writes one).", true);
}

static bool plan_key(struct view *view, const struct scene *scene, const struct key_event *key)
{
    struct wizard *wizard = of(scene);
    return wizard && face_key(&view->face, wizard, key);
}

static bool plan_typing(const struct view *view, const struct scene *scene)
{
    return face_is_typing(&view->face, of(scene));
}

static bool plan_act(struct view *view, const struct scene *scene, enum action action, struct wish *wish)
{
    struct wizard *wizard = of(scene);
    if (!wizard) {
        if (action == ACTION_ENTER && scene->hands)
            hands_open(scene->hands, WIZARD_APPLY, NULL);
        return action == ACTION_ENTER;
    }
    if (action == ACTION_ENTER && wizard_step(wizard).way == WIZARD_ENDS) {
        hands_close(scene->hands, HANDS_PLAN);
        wish->screen = "overview";
        return true;
    }
    return face_act(&view->face, wizard, action, wish);
}

static bool plan_mouse(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    (void)scene, (void)row, (void)column, (void)double_click, (void)wish;
    view->face.top += 3 * wheel;
    return wheel != 0;
}

static void plan_save(const struct view *view, const struct scene *scene, enum save_format format, struct buf *buf)
{
    const struct wizard *wizard = of(scene);
    const struct plan *plan = wizard ? wizard_plan(wizard) : NULL;
    if (format == SAVE_JSON && plan) {
        struct json json = json_begin(buf);
        plan_to_json(plan, &json);
        buf_add_char(buf, '\n');
    } else {
        face_save(&view->face, buf);
    }
}

static const enum action footer[] = {ACTION_APPLY, ACTION_STOP_CHANGE, ACTION_SAVE, ACTION_NONE};

const struct view_ops view_plan = {
    .name = "plan",
    .title = "Plan",
    .help = "What the mesh file asks for and the nodes do not have, node by node, like a diff. Making it changes nothing. A or Enter applies it, after a question: each node starts a guard that puts its "
            "old state back unless told in time that all is well, and both ends of every new link are verified. Leaving the screen does not stop a change; X does, and puts everything back.",
    .action = ACTION_PLAN,
    .size = sizeof(struct view),
    .footer = footer,
    .open = plan_open,
    .close = plan_close,
    .draw = plan_draw,
    .key = plan_key,
    .typing = plan_typing,
    .act = plan_act,
    .mouse = plan_mouse,
    .save = plan_save,
};
