/* What went wrong, in words for a person: what, where, why, what to do. */
#ifndef WGDECK_ERR_H
#define WGDECK_ERR_H

#include <stdarg.h>

/* Filled by a function that fails; the caller owns it, usually on the stack.
 * The text is one line, without the program's name and without a final stop. */
struct err {
    char text[512];
};

/* Write the text (cut to fit; control characters made visible).
 * Return -1, so that a function can end with: return err_set(err, ...).
 * err may be NULL: then only -1 is returned. */
int err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put "PREFIX: " before what the error already says (context added on the way up). Returns -1. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
