/* Text from outside, made safe to show; widths on the screen; patterns; quoting for a shell. */
#ifndef WGDECK_TEXT_H
#define WGDECK_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/buf.h"

/* Strict UTF-8 (RFC 3629: no overlong form, no surrogate, at most U+10FFFF): the first character of LENGTH bytes. Returns the
 * number of bytes it takes, or 0 when they begin none. */
size_t text_decode(const char *bytes, size_t length, uint32_t *character);

/* False for what a terminal may obey or a reader not see: C0, DEL, C1, bidirectional marks and overrides, line and paragraph
 * separators, the byte order mark. */
bool text_character_is_safe(uint32_t character);

/* Add LENGTH bytes of unknown origin so that a terminal shows them and obeys none: valid printable UTF-8 stays,
 * every control character (C0, DEL, C1), invalid byte, bidirectional override and line separator becomes \xNN or \u{NNNN}. */
void text_add_safe(struct buf *buf, const char *bytes, size_t length);

/* The same for a whole string, as a new string (free). NULL gives NULL. */
char *text_safe(const char *text);

/* True if the text has nothing that text_add_safe would change. */
bool text_is_safe(const char *text, size_t length);

/* Columns the (safe, UTF-8) text takes on a terminal; combining 0, CJK 2. */
size_t text_width(const char *text);
unsigned text_character_width(uint32_t character);

/* An amount for people: "830 B", "1.2 MiB". */
#define BYTES_TEXT_SIZE 16
void bytes_text(uint64_t bytes, char text[static BYTES_TEXT_SIZE]);

/* A node name: 1 to 63 of [A-Za-z0-9._-], not beginning with '-' or '.'. */
bool text_is_name(const char *text);

/* Shell pattern (*, ?, [..]) or one of several separated by commas; "!x" excludes. For --nodes. Only exclusions: all the others.
 * NULL matches every name, "" none (an unset variable on a command line must not mean all nodes). */
bool text_matches(const char *patterns, const char *name);

/* Add TEXT as one single-quoted word for a POSIX shell. */
void text_add_quoted(struct buf *buf, const char *text);

/* Strict decimal: all of TEXT, no sign, no space, at least one digit, at most MAXIMUM. 0, or -1 when it is not one. */
int text_to_number(const char *text, unsigned long long maximum, unsigned long long *number);

/* The nearest of the COUNT CANDIDATES for a misspelt WORD, or NULL when none is near ("did you mean"). */
const char *text_nearest(const char *word, const char *const *candidates, size_t count);

#endif
