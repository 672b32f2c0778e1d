/* Copying to the clipboard of the person's own terminal (OSC 52), over SSH and through tmux alike. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "tui_private.h"
#include "wgdeck/mem.h"

enum { COPY_LIMIT = 51000 }; /* as base64 below 70,000 bytes: xterm and others take no more */

/* tmux hands on what stands in its own wrapping, with each ESC doubled; and takes the plain form when it keeps the clipboard itself. */
static void add_for_tmux(struct buf *out, const struct buf *sequence)
{
    buf_add_text(out, "\033Ptmux;");
    for (size_t i = 0; i < sequence->length; i++) {
        if (sequence->data[i] == '\033')
            buf_add_char(out, '\033');
        buf_add_char(out, sequence->data[i]);
    }
    buf_add_text(out, "\033\\");
}

void tui_clipboard_sequence(const char *text, size_t length, struct buf *out)
{
    size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *encoded = mem_alloc(size, 1);
    const char *tmux = getenv("TMUX");
    struct buf sequence = BUF_EMPTY;
    buf_reserve(&sequence, size + 16);
    buf_reserve(out, 2 * size + 96); /* what is copied may be a secret: it is not moved */
    sodium_bin2base64(encoded, size, (const unsigned char *)text, length, sodium_base64_VARIANT_ORIGINAL);
    buf_add_text(&sequence, "\033]52;c;");
    buf_add_text(&sequence, encoded);
    buf_add_char(&sequence, '\007');
    buf_add(out, sequence.data, sequence.length);
    if (tmux && *tmux)
        add_for_tmux(out, &sequence);
    buf_wipe(&sequence);
    sodium_memzero(encoded, size);
    free(encoded);
}

static void send_copy(struct tui *tui, const char *text, size_t length)
{
    struct buf out = BUF_EMPTY;
    tui_clipboard_sequence(text, length, &out);
    tui_send(tui, buf_text(&out), out.length);
    buf_wipe(&out);
}

static void copy_subject(struct tui *tui, const struct subject *subject, struct buf *out)
{
    struct buf name = BUF_EMPTY;
    if (subject->a != SIZE_MAX)
        buf_add_text(out, scene_name(&tui->scene, subject->a, &name));
    if (subject->kind != SUBJECT_NODE && subject->b != SIZE_MAX)
        buf_add_format(out, " %s", scene_name(&tui->scene, subject->b, &name));
    buf_free(&name);
}

void tui_copy(struct tui *tui)
{
    struct subject subject;
    struct buf text = BUF_EMPTY;
    bool any = tui_subject(tui, &subject);
    struct tui_screen *screen = tui->depth ? tui_current(tui) : NULL;
    if (screen && screen->ops->copy)
        screen->ops->copy(screen->view, &tui->scene, &text);
    else if (any)
        copy_subject(tui, &subject, &text);
    while (text.length && text.data[text.length - 1] == '\n')
        text.data[--text.length] = '\0';
    size_t lines = 1;
    for (size_t i = 0; i < text.length; i++)
        lines += text.data[i] == '\n';
    if (!text.length)
        tui_notice(tui, false, "there is nothing to copy here");
    else if (text.length > COPY_LIMIT)
        tui_notice(tui, true, "%zu lines are more than a terminal takes: save them to a file", lines);
    else {
        send_copy(tui, text.data, text.length);
        tui_notice(tui, false, "copied %zu line%s", lines, lines == 1 ? "" : "s");
    }
    buf_free(&text);
}
