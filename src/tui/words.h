/* Short words for people, the same on every screen: rates, amounts, ages, times of day, faults in a few words. And cell text: plain text in which single
 * characters of a private range stand for glyphs, so that a cell looks right in UTF-8 and in ASCII and is still one string. */
#ifndef WGDECK_TUI_WORDS_H
#define WGDECK_TUI_WORDS_H

#include "scene.h"
#include "surface.h"
#include "wgdeck/clock.h"

/* All of them add to BUF. */
void words_rate(double bytes_per_second, struct buf *buf);      /* "0", "830 B/s", "1.2 MB/s" */
void words_rate_short(double bytes_per_second, struct buf *buf); /* "0", "830", "1.2M": in columns whose title says B/s */
void words_bytes(uint64_t bytes, struct buf *buf);              /* "0 B", "1.2 GiB", as status has it */
void words_age(int64_t nanoseconds, struct buf *buf);           /* "now", "12s", "3m05s"; below 0: "never" */
void words_ago(int64_t nanoseconds, struct buf *buf);           /* "just now", "12s ago" */
void words_since(int64_t since, int64_t now, struct buf *buf);  /* "14:02, 12m05s ago"; 0: nothing */
void words_clock(int64_t wall, struct buf *buf);                /* local time of day: "14:02:31" */
void words_date(int64_t wall, struct buf *buf);                 /* the same with its day: "2026-11-22 14:02:31" */
void words_when(int64_t wall, int64_t now, struct buf *buf);    /* "14:02:31" today; "Nov 21 14:02" before */
void words_count(uint64_t number, struct buf *buf);             /* "499,500" */
void words_many(uint64_t number, const char *one, const char *many, struct buf *buf); /* "1 link", "9 links" */
void words_milliseconds(int64_t nanoseconds, struct buf *buf);  /* "0.4 ms", "12 ms"; below 0: nothing */
void words_offset(int64_t nanoseconds, struct buf *buf);        /* of a clock: "0", "+120ms", "-3.2s", "+1h04m" */

/* What is wrong, in a few words with the names of the nodes: "UDP to db is blocked". Names as the scene may show them. */
void words_fault(const struct scene *scene, const struct fault *fault, struct buf *buf);
/* The same in the row of NODE, or of its link (SIZE_MAX), where names stand already: its title, and the other node's name. */
void words_fault_beside(const struct scene *scene, const struct fault *fault, size_t node, struct buf *buf);
/* When a fault began, as is known; 0: not known. */
int64_t words_fault_since(const struct scene *scene, const struct fault *fault);
/* What is wrong with a link, in a few words; nothing when it is well and no fault names it. */
void words_link_trouble(const struct scene *scene, const struct link *link, struct buf *buf);
/* The fault that explains why a link is not well: its own, else that of an end; NULL: none is known. */
const struct fault *words_link_fault(const struct scene *scene, const struct link *link);

/* How an event is drawn: what got well again is good. */
struct look_of words_event_look(const struct event *event);

/* A node's place in the order of names (n2 before n10), cheap after the first call for a mesh. With privacy: its number. */
uint64_t words_name_rank(const struct scene *scene, size_t node);

/* Cell text. */
void words_glyph(enum glyph glyph, struct buf *buf);            /* one column */
void words_style(enum style style, struct buf *buf);            /* what follows has this style; no column */
/* What follows is not shown; it is what CSV and JSON have instead of what is shown: "1288490188" for "1.2 GiB". */
void words_export(struct buf *buf);
int words_width(const char *text);                              /* columns of cell text */
/* Within WIDTH columns, as area_field. Returns WIDTH. */
int words_field(const struct area *area, int row, int column, int width, bool right, enum style style, const char *text);
/* Not filled, only cut at the area's end; returns the columns used. */
int words_draw(const struct area *area, int row, int column, enum style style, const char *text);
/* As a person reads it, without glyphs; EXPORTED: what stands behind words_export, if it does. Adds to BUF. */
void words_plain(const char *text, bool exported, struct buf *buf);

#endif
