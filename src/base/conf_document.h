/* The inside of a conf document, shared by conf.c (reading) and conf_change.c (editing). */
#ifndef WGDECK_CONF_DOCUMENT_H
#define WGDECK_CONF_DOCUMENT_H

#include "wgdeck/conf.h"

enum { CONF_LINES = 1000000, CONF_LINE_LENGTH = 65536 };

struct span {
    size_t from, to;
};

enum line_kind { LINE_OTHER, LINE_SECTION, LINE_ENTRY };

struct line {
    char *text;       /* as in the file, with its line end (the last line may have none); may hold a secret */
    size_t length;
    enum line_kind kind;
    bool comment;     /* has a '#' */
    size_t section;   /* the section it stands in; SIZE_MAX before the first */
    char *key;        /* of an entry; of a header: its kind */
    char *value;      /* of an entry; of a header: its name, "" if none */
    size_t equals;    /* of an entry: where '=' and the value stand in the text */
    struct span span;
};

struct conf {
    char *file;
    struct line *lines;
    size_t line_count, line_capacity;
    size_t *sections; /* indices of the header lines */
    size_t section_count, section_capacity;
};

struct span conf_trim(const char *text, size_t from, size_t to); /* without white space at both ends */
bool conf_is_word(const char *text, size_t length);
const char *conf_parse_line(struct line *line); /* from text and length; what is wrong, or NULL */
void conf_line_free(struct line *line);         /* wipes what it held */
void conf_wipe_text(char *text);                /* wipe and free; NULL is nothing */
void conf_index(struct conf *conf);             /* after lines came or went */
void conf_section_lines(const struct conf *conf, size_t index, size_t *from, size_t *to);
size_t conf_last_line(const struct conf *conf, size_t section_index, const char *key); /* or SIZE_MAX */

#endif
