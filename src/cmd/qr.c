/* A QR code on the terminal: libqrencode thinks, this draws. */
#include "qr.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#ifdef WGDECK_QRENCODE
#include <qrencode.h>

enum { QUIET = 2 }; /* modules of light around it: less than the standard's 4, and read by all phones */

static bool is_dark(const QRcode *code, int row, int column)
{
    if (row < 0 || column < 0 || row >= code->width || column >= code->width)
        return false;
    return code->data[row * code->width + column] & 1;
}

/* Light modules are drawn, dark ones are the ground: white on black with colours, and right on the usual dark terminal without. */
static void draw(const QRcode *code, const struct terminal *terminal, struct buf *out)
{
    static const char *const halves[2][2] = {{"█", "▀"}, {"▄", " "}}; /* [upper is dark][lower is dark] */
    int step = terminal->utf8 ? 2 : 1;
    for (int row = -QUIET; row < code->width + QUIET; row += step) {
        if (terminal->colour)
            buf_add_text(out, "\033[97;40m");
        for (int column = -QUIET; column < code->width + QUIET; column++) {
            bool dark = is_dark(code, row, column);
            if (terminal->utf8)
                buf_add_text(out, halves[dark][is_dark(code, row + 1, column)]);
            else
                buf_add_text(out, dark ? "  " : "##");
        }
        buf_add_text(out, terminal->colour ? "\033[0m\n" : "\n");
    }
}

int qr_add(const char *text, const struct terminal *terminal, struct buf *out, struct err *err)
{
    QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_L);
    if (!code && errno == ENOSYS)
        return err_set(err, "this program was built without libqrencode: the one that \"make\" builds for the operator's machine has it; or show the file with "
                            "\"qrencode -t ansiutf8\"");
    if (!code)
        return err_set(err, "%zu bytes are more than a QR code holds (2,953): copy the file instead, or let the node join through a hub", strlen(text));
    buf_reserve(out, (size_t)(code->width + 2 * QUIET) * (size_t)(code->width + 2 * QUIET) * 3 + 4096);
    draw(code, terminal, out);
    sodium_memzero(code->data, (size_t)code->width * (size_t)code->width);
    QRcode_free(code);
    return 0;
}

#else

int qr_add(const char *text, const struct terminal *terminal, struct buf *out, struct err *err)
{
    (void)text;
    (void)terminal;
    (void)out;
    return err_set(err, "this program was built without libqrencode: write the file with -o and show it with \"qrencode -t ansiutf8\"");
}

#endif
