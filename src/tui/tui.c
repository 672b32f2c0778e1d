/* The deck's life: configuration, theme and keys at the beginning, everything freed at the end. The loop is in tui_loop.c. */
#include <stdlib.h>
#include <string.h>

#include "privacy.h"
#include "tui_loop.h"
#include "tui_private.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

int tui_check_terminal(struct err *err)
{
    return terminal_check(err);
}

static void read_config(struct tui *tui, bool by_default)
{
    struct conf *conf = tui->options.config || by_default ? config_open(tui->options.config, &tui->warnings) : NULL;
    keymap_begin(&tui->keymap);
    if (!conf)
        return;
    config_read(&tui->config, conf, &tui->warnings);
    keymap_read(&tui->keymap, conf, &tui->warnings);
    conf_free(conf);
}

int tui_use_theme(struct tui *tui, const char *name, struct err *err)
{
    struct theme theme;
    struct buf warnings = BUF_EMPTY;
    int result = theme_load(name, &theme, &warnings, err);
    if (!result) {
        tui->theme = theme;
        tui->dirty = true;
        if (tui->has_terminal)
            terminal_set_theme(&tui->theme);
    }
    if (warnings.length) {
        tui_notice(tui, true, "%.*s", (int)strcspn(buf_text(&warnings), "\n"), buf_text(&warnings));
        buf_add(&tui->warnings, buf_text(&warnings), warnings.length);
    }
    buf_free(&warnings);
    return result;
}

/* Flag, then the mesh's own, then the configuration's. MESH may be NULL: not known yet. */
static const char *wanted_theme(const struct tui *tui, const char *mesh)
{
    const struct config_mesh *of_mesh = config_mesh_of(&tui->config, mesh);
    if (tui->options.theme)
        return tui->options.theme;
    if (of_mesh && of_mesh->theme)
        return of_mesh->theme;
    return tui->config.theme ? tui->config.theme : "default";
}

static void choose_theme(struct tui *tui, const char *mesh)
{
    struct err err;
    const char *name = wanted_theme(tui, mesh);
    if (!strcmp(name, tui->theme.name) || !tui_use_theme(tui, name, &err))
        return;
    buf_add_format(&tui->warnings, "%s\n", err.text);
    tui_notice(tui, true, "%s", err.text);
    if (!*tui->theme.name)
        tui_use_theme(tui, "default", &err);
}

/* The first of the warnings, and where the others are. */
static void tell_warnings(struct tui *tui)
{
    size_t lines = 0;
    for (size_t i = 0; i < tui->warnings.length; i++)
        lines += tui->warnings.data[i] == '\n';
    const char *text = buf_text(&tui->warnings);
    if (lines == 1)
        tui_notice(tui, true, "%.*s", (int)strcspn(text, "\n"), text);
    else if (lines)
        tui_notice(tui, true, "%.*s (and %zu more: help shows them)", (int)strcspn(text, "\n"), text, lines - 1);
}

static struct tui *begin(struct ev_loop *loop, const struct tui_options *options, bool headless)
{
    struct tui *tui = mem_alloc(1, sizeof *tui);
    tui->loop = loop;
    tui->options = *options;
    read_config(tui, !headless);
    tui->options.ascii |= tui->config.ascii == CONFIG_YES;
    tui->options.no_mouse |= tui->config.mouse == CONFIG_NO;
    tui->options.read_only |= tui->config.read_only == CONFIG_YES;
    tui->scene.privacy = options->privacy || tui->config.privacy == CONFIG_YES;
    tui->scene.read_only = tui->options.read_only;
    tui->scene.filter = tui->filter;
    tui->scene.number = 1;
    tui->scene.hidden = privacy_new();
    tui->dirty = true;
    return tui;
}

struct tui *tui_new_headless(const struct tui_options *options, struct err *err)
{
    (void)err;
    struct tui *tui = begin(NULL, options, true);
    choose_theme(tui, NULL);
    tell_warnings(tui);
    return tui;
}

struct tui *tui_new(struct ev_loop *loop, const struct tui_options *options, struct err *err)
{
    struct tui *tui = begin(loop, options, false);
    if (options->screen && !view_find(options->screen)) {
        const char *names[TUI_SCREENS];
        size_t count = 0;
        for (; views[count] && count < TUI_SCREENS; count++)
            names[count] = views[count]->name;
        const char *near = text_nearest(options->screen, names, count);
        err_set(err, "no screen \"%s\"%s%s%s", options->screen, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
        tui_free(tui);
        return NULL;
    }
    if (options->theme && theme_load(options->theme, &tui->theme, &tui->warnings, err)) {
        tui_free(tui);
        return NULL;
    }
    struct terminal_options wanted = {.ascii = tui->options.ascii, .no_mouse = tui->options.no_mouse, .no_colour = options->no_colour};
    if (terminal_take(&wanted, err)) {
        tui_free(tui);
        return NULL;
    }
    tui->has_terminal = true;
    *tui->theme.name = '\0';
    choose_theme(tui, NULL);
    tell_warnings(tui);
    tui_loop_begin(tui);
    hands_begin(tui);
    return tui;
}

void tui_set_live(struct tui *tui, struct live *live)
{
    tui->live = live;
    tui->scene.live = live;
    double interval = tui->options.interval > 0 ? tui->options.interval : tui->config.interval;
    if (interval > 0 && !live_is_replay(live))
        live_set_interval(live, interval);
    tui_scene_changed(tui);
    tui_take_picture(tui);
    if (!tui->has_picture)
        return;
    const char *name = tui->scene.picture.mesh->name;
    const struct config_mesh *of_mesh = config_mesh_of(&tui->config, name);
    if (of_mesh && of_mesh->read_only == CONFIG_YES)
        tui->scene.read_only = true;
    choose_theme(tui, name);
}

/* What the screens know of the old mesh, by number, goes. */
static void forget_mesh(struct tui *tui)
{
    tui->swap_shown = tui->depth && tui->stack[tui->depth - 1].subject.kind == SUBJECT_NONE ? tui_current(tui)->ops : NULL;
    if (tui->frozen)
        live_frozen_free(tui->frozen);
    tui->frozen = NULL;
    tui->scene.frozen = false;
    for (size_t i = 0; i < TUI_SCREENS; i++) {
        view_free(tui->screens[i].view);
        tui->screens[i] = (struct tui_screen){.ops = tui->screens[i].ops};
    }
    scene_index_free(tui->index);
    tui->index = NULL;
    tui->scene.index = NULL;
    tui->indexed_diagnosis = tui->links.of = NULL;
    tui->scene.picture = (struct live_picture){0};
    tui->scene.live = tui->live = NULL;
    tui->scene.node_matches = NULL;
    tui->has_picture = false;
    tui->depth = 0;
}

void tui_swap_live(struct tui *tui, struct live *live)
{
    if (!live) {
        forget_mesh(tui);
        return;
    }
    tui_set_live(tui, live);
    if (tui->depth && tui->swap_shown && tui->swap_shown != tui_current(tui)->ops)
        tui_open(tui, tui->swap_shown, NULL);
}

void tui_live_changed(void *context, unsigned what)
{
    struct tui *tui = context;
    if (what & LIVE_PICTURE && !tui->frozen)
        tui->scene.number++;
    if (what & LIVE_EVENTS)
        tui->scene.number++;
    tui->news = true;
    if (what & LIVE_QUESTION)
        tui->dirty = true;
    if (tui->watchers)
        tui_loop_news(tui);
}

void tui_notice(struct tui *tui, bool bad, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    buf_clear(&tui->notice);
    text_add_safe(&tui->notice, buf_text(&text), text.length);
    buf_free(&text);
    tui->notice_bad = bad;
    tui->dirty = true;
    if (tui->watchers)
        tui_loop_notice(tui);
}

void tui_leave(struct tui *tui)
{
    tui->over = true;
    if (tui->watchers)
        tui_loop_end(tui);
}

void tui_quit(struct tui *tui)
{
    tui_leave(tui);
}

bool tui_is_over(const struct tui *tui)
{
    return tui->over;
}

void tui_send(struct tui *tui, const char *bytes, size_t length)
{
    if (tui->has_terminal)
        terminal_raw(bytes, length);
    else
        buf_add(&tui->terminal_bytes, bytes, length);
}

void tui_free(struct tui *tui)
{
    if (!tui)
        return;
    shell_free(tui);
    hands_free(tui);
    tui_loop_free(tui);
    if (tui->has_terminal)
        terminal_give_back();
    for (size_t i = 0; i < TUI_SCREENS; i++)
        view_free(tui->screens[i].view);
    if (tui->frozen)
        live_frozen_free(tui->frozen);
    scene_index_free(tui->index);
    privacy_free(tui->scene.hidden);
    dialog_free(&tui->dialog);
    prompt_free(&tui->prompt);
    keymap_free(&tui->keymap);
    config_free(&tui->config);
    surface_free(&tui->surface);
    buf_free(&tui->warnings);
    buf_free(&tui->notice);
    buf_free(&tui->terminal_bytes);
    free(tui->node_matches);
    free(tui);
}

size_t tui_key_rows(struct tui_key_row *rows, size_t most)
{
    for (int i = ACTION_NONE + 1; i < ACTION_COUNT && (size_t)i - 1 < most; i++)
        rows[i - 1] = (struct tui_key_row){action_rows[i].name, action_rows[i].keys, action_rows[i].where, action_rows[i].help};
    return ACTION_COUNT - 1;
}
