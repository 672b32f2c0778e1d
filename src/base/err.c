/* What went wrong, in words. */
#include "wgdeck/err.h"

#include <string.h>

#include "wgdeck/buf.h"
#include "wgdeck/text.h"

static void store(struct err *err, const struct buf *raw)
{
    struct buf safe = BUF_EMPTY;
    text_add_safe(&safe, buf_text(raw), raw->length);
    size_t length = safe.length < sizeof err->text ? safe.length : sizeof err->text - 1;
    while (length < safe.length && length > 0 && ((unsigned char)safe.data[length] & 0xC0) == 0x80)
        length--; /* never cut inside a character */
    memcpy(err->text, buf_text(&safe), length);
    err->text[length] = '\0';
    buf_free(&safe);
}

int err_set(struct err *err, const char *format, ...)
{
    if (!err)
        return -1;
    struct buf raw = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&raw, format, arguments);
    va_end(arguments);
    store(err, &raw);
    buf_free(&raw);
    return -1;
}

int err_prefix(struct err *err, const char *format, ...)
{
    if (!err)
        return -1;
    struct buf raw = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&raw, format, arguments);
    va_end(arguments);
    buf_add_text(&raw, ": ");
    buf_add_text(&raw, err->text);
    store(err, &raw);
    buf_free(&raw);
    return -1;
}
