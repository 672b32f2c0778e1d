/* A screen saved to a file: as JSON or CSV where the screen has them, else as the text that is shown. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tui_private.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

static enum save_format format_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    if (dot && !strcasecmp(dot, ".json"))
        return SAVE_JSON;
    return dot && !strcasecmp(dot, ".csv") ? SAVE_CSV : SAVE_TEXT;
}

/* The screen as it stands, without the footer: its keys are no part of what is kept. */
static void draw_text(struct tui *tui, struct buf *out)
{
    struct surface surface = {0};
    bool as_shown = tui->surface.rows > 0;
    surface_resize(&surface, as_shown ? tui->surface.rows : 24, as_shown ? tui->surface.columns : 80);
    surface.ascii = tui->surface.ascii;
    struct buf notice = tui->notice;
    tui->notice = BUF_EMPTY;
    tui_draw(tui, &surface);
    tui->notice = notice;
    struct area all = area_whole(&surface), last = area_part(&all, surface.rows - 1, 0, 1, surface.columns);
    area_fill(&last);
    surface_to_text(&surface, false, out);
    while (out->length > 1 && out->data[out->length - 1] == '\n' && out->data[out->length - 2] == '\n')
        out->data[--out->length] = '\0';
    surface_free(&surface);
}

static char *expand_home(const char *path)
{
    const char *home = getenv("HOME");
    if (path[0] == '~' && path[1] == '/' && home && *home)
        return mem_format("%s%s", home, path + 1);
    return mem_text(path);
}

static bool make(struct tui *tui, const char *path, struct buf *out)
{
    struct tui_screen *screen = tui_current(tui);
    enum save_format format = format_of(path);
    tui_take_picture(tui);
    if (screen->ops->save)
        screen->ops->save(screen->view, &tui->scene, format, out);
    if (!out->length && format == SAVE_TEXT)
        draw_text(tui, out);
    if (out->length)
        return true;
    tui_notice(tui, true, "this screen can be saved as text only: give the file a name that ends in .txt");
    return false;
}

void tui_save(struct tui *tui, const char *given, bool overwrite)
{
    struct err err;
    struct stat status;
    struct buf out = BUF_EMPTY;
    if (!tui->depth)
        return;
    char *path = expand_home(given);
    bool there = !lstat(path, &status);
    if (there && !S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
        tui_notice(tui, true, "%s: not a file", path);
    } else if (there && !overwrite) {
        snprintf(tui->save_path, sizeof tui->save_path, "%s", given);
        prompt_open(&tui->prompt, PROMPT_OVERWRITE, "it is there already: write over it? (y/n) ", "");
    } else if (make(tui, path, &out)) {
        if (file_write(path, 0600, buf_text(&out), out.length, &err))
            tui_notice(tui, true, "%s", err.text);
        else
            tui_notice(tui, false, "saved %s (%zu bytes)", path, out.length);
    }
    buf_free(&out);
    free(path);
}
