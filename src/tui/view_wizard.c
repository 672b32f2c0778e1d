/* The screen of the wizard: a node is added, taken out or given a new key, one step after the other. */
#include <string.h>

#include "view.h"
#include "wgdeck/json.h"
#include "wizard_face.h"

struct view {
    struct view_base base;
    struct face face;
};

/* Opened anew each time it is looked for, unless one is in hand. */
static void wizard_open(struct view *view, const struct scene *scene, const struct subject *subject)
{
    (void)view, (void)subject;
    if (scene->hands && !hands_wizard(scene->hands, HANDS_WIZARD))
        hands_open(scene->hands, WIZARD_ADD, NULL);
}

static void wizard_close(struct view *view)
{
    face_free(&view->face);
}

static struct wizard *of(const struct scene *scene)
{
    return hands_wizard(scene->hands, HANDS_WIZARD);
}

static void wizard_draw(struct view *view, const struct scene *scene, const struct area *area)
{
    const struct wizard *wizard = of(scene);
    if (wizard)
        face_draw(&view->face, wizard, scene, area);
    else
        area_paragraph(area, 1, 1, area->columns - 2, 6, STYLE_DIM,
                       scene->hands && *scene->hands->why_not ? scene->hands->why_not
                       : scene->hands                         ? "Enter begins to add a node. :remove NODE takes one out, :rotate NODE gives it a new key."
                                                              : "Nothing can be changed from here: this is a recording, or a mesh without a mesh file (wgdeck adopt writes one).", true);
}

static bool wizard_key(struct view *view, const struct scene *scene, const struct key_event *key)
{
    struct wizard *wizard = of(scene);
    return wizard && face_key(&view->face, wizard, key);
}

static bool wizard_typing(const struct view *view, const struct scene *scene)
{
    return face_is_typing(&view->face, of(scene));
}

static bool wizard_act(struct view *view, const struct scene *scene, enum action action, struct wish *wish)
{
    struct wizard *wizard = of(scene);
    if (!wizard) {
        if (action == ACTION_ENTER && scene->hands)
            hands_open(scene->hands, WIZARD_ADD, NULL);
        return action == ACTION_ENTER;
    }
    if (action == ACTION_ENTER && wizard_step(wizard).way == WIZARD_ENDS) {
        hands_close(scene->hands, HANDS_WIZARD);
        wish->screen = "overview";
        return true;
    }
    return face_act(&view->face, wizard, action, wish);
}

static bool wizard_mouse(struct view *view, const struct scene *scene, int row, int column, int wheel, bool double_click, struct wish *wish)
{
    (void)scene, (void)row, (void)column, (void)double_click, (void)wish;
    view->face.top += 3 * wheel;
    return wheel != 0;
}

static void wizard_save(const struct view *view, const struct scene *scene, enum save_format format, struct buf *buf)
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

/* The token as it is, in one line. */
static void wizard_copy(const struct view *view, const struct scene *scene, struct buf *buf)
{
    const struct wizard *wizard = of(scene);
    (void)view;
    if (wizard && wizard_token(wizard))
        buf_add_text(buf, wizard_token(wizard));
}

static const enum action footer[] = {ACTION_APPLY, ACTION_STOP_CHANGE, ACTION_COPY, ACTION_SAVE, ACTION_NONE};

const struct view_ops view_wizard = {
    .name = "wizard",
    .title = "Wizard",
    .help = "Adds a node, step by step; :invite gives a token to a machine that SSH does not reach, with which it joins by itself; :remove NODE takes one out, :rotate NODE gives it a new key. Enter takes what is proposed; Tab puts the proposal into the field, to be edited; Shift-Tab goes one "
            "step back; Esc leaves, and the answers are kept. Nothing is changed before the plan was agreed to; what then fails is put back, with the reason.",
    .action = ACTION_WIZARD,
    .size = sizeof(struct view),
    .footer = footer,
    .open = wizard_open,
    .close = wizard_close,
    .draw = wizard_draw,
    .key = wizard_key,
    .typing = wizard_typing,
    .act = wizard_act,
    .mouse = wizard_mouse,
    .save = wizard_save,
    .copy = wizard_copy,
};
