/* A byte buffer that grows; always followed by a NUL that its length does not count. */
#ifndef WGDECK_BUF_H
#define WGDECK_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data;      /* NULL while empty and never written */
    size_t length;   /* bytes in use */
    size_t capacity; /* bytes allocated */
};

#define BUF_EMPTY ((struct buf){0})

void buf_free(struct buf *buf);                 /* releases and empties; may be used again */
void buf_wipe(struct buf *buf);                 /* overwrites, then buf_free: for secrets */
void buf_clear(struct buf *buf);                /* length 0, memory kept */
void buf_add(struct buf *buf, const void *bytes, size_t length);
void buf_add_char(struct buf *buf, char byte);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_add_vformat(struct buf *buf, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
void buf_reserve(struct buf *buf, size_t more); /* at least MORE bytes can be added without a move */
void buf_drop(struct buf *buf, size_t length);  /* remove from the front */
const char *buf_text(const struct buf *buf);    /* never NULL; "" when empty */
char *buf_take(struct buf *buf);                /* the text, now the caller's (free); buf is empty after */

#endif
