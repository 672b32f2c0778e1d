/* Editing a conf document so that everything else in it stays as its owner wrote it. */
#include "conf_document.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"

static const char *line_end(const struct conf *conf)
{
    const struct line *first = conf->line_count ? &conf->lines[0] : NULL;
    return first && first->length >= 2 && !memcmp(first->text + first->length - 2, "\r\n", 2) ? "\r\n" : "\n";
}

/* Give LINE a new text and read it again; the old text is wiped. TEXT becomes the line's. */
static void set_line(struct line *line, struct buf *text)
{
    size_t section = line->section;
    conf_line_free(line);
    *line = (struct line){.length = text->length, .section = section};
    line->text = buf_take(text);
    if (conf_parse_line(line))
        abort(); /* every text made here was checked before */
}

/* The last line of a file may have no line end; it needs one before another line can follow. */
static void end_line(struct conf *conf, size_t index)
{
    struct line *line = &conf->lines[index];
    if (line->length && line->text[line->length - 1] == '\n')
        return;
    struct buf text = BUF_EMPTY;
    buf_reserve(&text, line->length + 2);
    buf_add(&text, line->text, line->length);
    buf_add_text(&text, line_end(conf));
    set_line(line, &text);
}

static void insert_line(struct conf *conf, size_t index, struct buf *text)
{
    if (index > 0)
        end_line(conf, index - 1);
    MEM_GROW(conf->lines, conf->line_count, conf->line_capacity);
    memmove(&conf->lines[index + 1], &conf->lines[index], (conf->line_count - index) * sizeof *conf->lines);
    conf->line_count++;
    conf->lines[index] = (struct line){0};
    set_line(&conf->lines[index], text);
}

static void remove_lines(struct conf *conf, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        conf_line_free(&conf->lines[i]);
    memmove(&conf->lines[from], &conf->lines[to], (conf->line_count - to) * sizeof *conf->lines);
    conf->line_count -= to - from;
}

static int check_entry(const struct conf *conf, const char *key, const char *value, struct err *err)
{
    if (!conf_is_word(key, strlen(key)))
        return err_set(err, "%s: '%s' is not a key; a key is one word of letters and digits", conf->file, key);
    size_t length = strlen(value);
    struct span trimmed = conf_trim(value, 0, length);
    if (value[strcspn(value, "\r\n")])
        return err_set(err, "%s: the value of %s has a line break; write it in one line", conf->file, key);
    if (strchr(value, '#'))
        return err_set(err, "%s: the value of %s has a '#', which begins a comment; leave it out", conf->file, key);
    if (trimmed.to - trimmed.from != length)
        return err_set(err, "%s: the value of %s begins or ends with a space; leave it out", conf->file, key);
    if (length + strlen(key) > CONF_LINE_LENGTH - 1024)
        return err_set(err, "%s: the value of %s is too long for a line; use several lines", conf->file, key);
    return 0;
}

static void replace_value(struct line *line, const char *value)
{
    bool had_value = line->span.from < line->span.to;
    size_t from = had_value ? line->span.from : line->equals + 1, to = had_value ? line->span.to : line->equals + 1;
    struct buf text = BUF_EMPTY;
    buf_reserve(&text, line->length + strlen(value) + 2);
    buf_add(&text, line->text, from);
    if (!had_value && *value)
        buf_add_char(&text, ' ');
    buf_add_text(&text, value);
    if (!had_value && *value && line->text[to] == '#')
        buf_add_char(&text, ' ');
    buf_add(&text, line->text + to, line->length - to);
    set_line(line, &text);
}

/* Behind the section's last entry, or its header. */
static size_t section_end(const struct conf *conf, size_t section_index)
{
    size_t from, to;
    conf_section_lines(conf, section_index, &from, &to);
    while (to > from && conf->lines[to - 1].kind == LINE_OTHER)
        to--;
    return to;
}

/* As the neighbour above is indented, if that is an entry. */
static void insert_entry(struct conf *conf, size_t index, const char *key, const char *value)
{
    struct buf text = BUF_EMPTY;
    const struct line *above = index > 0 ? &conf->lines[index - 1] : NULL;
    buf_reserve(&text, strlen(key) + strlen(value) + 512);
    if (above && above->kind == LINE_ENTRY) {
        size_t indent = strspn(above->text, " \t");
        buf_add(&text, above->text, indent < 64 ? indent : 64);
    }
    buf_add_format(&text, "%s = %s%s", key, value, line_end(conf));
    insert_line(conf, index, &text);
    conf_index(conf);
}

/* Take out the lines of KEY, but not the one at KEEP (SIZE_MAX: none is kept). */
static void remove_entries(struct conf *conf, size_t section_index, const char *key, size_t keep)
{
    size_t from, to;
    conf_section_lines(conf, section_index, &from, &to);
    for (size_t i = to; i > from; i--) {
        const struct line *line = &conf->lines[i - 1];
        if (i - 1 != keep && line->kind == LINE_ENTRY && !strcasecmp(line->key, key))
            remove_lines(conf, i - 1, i);
    }
    conf_index(conf);
}

static int check_section(const struct conf *conf, size_t section_index, struct err *err)
{
    if (section_index == SIZE_MAX || section_index < conf->section_count)
        return 0;
    return err_set(err, "%s: there is no section %zu", conf->file, section_index);
}

static int replace_checked(struct conf *conf, size_t index, const char *key, const char *value, struct err *err)
{
    struct line *line = &conf->lines[index];
    if (line->length - (line->span.to - line->span.from) + strlen(value) + 2 > CONF_LINE_LENGTH)
        return err_set(err, "%s:%zu: the line of %s would become too long", conf->file, index + 1, key);
    replace_value(line, value);
    return 0;
}

int conf_set(struct conf *conf, size_t section_index, const char *key, const char *value, struct err *err)
{
    if (check_section(conf, section_index, err) || check_entry(conf, key, value ? value : "", err))
        return -1;
    if (!value) {
        remove_entries(conf, section_index, key, SIZE_MAX);
        return 0;
    }
    size_t last = conf_last_line(conf, section_index, key);
    if (last == SIZE_MAX) {
        insert_entry(conf, section_end(conf, section_index), key, value);
        return 0;
    }
    if (replace_checked(conf, last, key, value, err))
        return -1;
    remove_entries(conf, section_index, key, last);
    return 0;
}

int conf_set_line(struct conf *conf, size_t section_index, const char *key, size_t number, const char *value, struct err *err)
{
    size_t from, to, index;
    if (check_section(conf, section_index, err) || check_entry(conf, key, value ? value : "", err))
        return -1;
    conf_section_lines(conf, section_index, &from, &to);
    for (index = from; index < to; index++)
        if (conf->lines[index].kind == LINE_ENTRY && !strcasecmp(conf->lines[index].key, key) && number-- == 0)
            break;
    if (index == to)
        return err_set(err, "%s: there is no such line of %s", conf->file, key);
    if (value)
        return replace_checked(conf, index, key, value, err);
    remove_lines(conf, index, index + 1);
    conf_index(conf);
    return 0;
}

int conf_add(struct conf *conf, size_t section_index, const char *key, const char *value, struct err *err)
{
    if (check_section(conf, section_index, err) || check_entry(conf, key, value, err))
        return -1;
    size_t last = conf_last_line(conf, section_index, key);
    insert_entry(conf, last == SIZE_MAX ? section_end(conf, section_index) : last + 1, key, value);
    return 0;
}

static bool is_blank(const struct line *line)
{
    return line->kind == LINE_OTHER && !line->comment;
}

static bool is_comment(const struct line *line)
{
    return line->kind == LINE_OTHER && line->comment;
}

size_t conf_add_section(struct conf *conf, const char *kind, const char *name)
{
    size_t length = name ? strlen(name) : 0;
    struct span trimmed = conf_trim(name ? name : "", 0, length);
    if (!conf_is_word(kind, strlen(kind)) || (name && (name[strcspn(name, "[]#\r\n")] || trimmed.to - trimmed.from != length)) ||
        strlen(kind) + length > CONF_LINE_LENGTH - 1024)
        return SIZE_MAX;
    struct buf text = BUF_EMPTY;
    if (conf->line_count && !is_blank(&conf->lines[conf->line_count - 1])) {
        buf_add_text(&text, line_end(conf));
        insert_line(conf, conf->line_count, &text);
    }
    buf_add_format(&text, "[%s%s%s]%s", kind, length ? " " : "", length ? name : "", line_end(conf));
    insert_line(conf, conf->line_count, &text);
    conf_index(conf);
    return conf->section_count - 1;
}

void conf_add_comment(struct conf *conf, const char *text)
{
    struct buf line = BUF_EMPTY;
    size_t length = strnlen(text, CONF_LINE_LENGTH - 1024);
    buf_add_text(&line, length ? "# " : "");
    for (size_t i = 0; i < length; i++)
        buf_add_char(&line, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
    buf_add_text(&line, line_end(conf));
    insert_line(conf, conf->line_count, &line);
    conf_index(conf);
}

/* The comments directly above a header belong to it; INDEX is its line. Not further up than LIMIT. */
static size_t comments_above(const struct conf *conf, size_t index, size_t limit)
{
    while (index > limit && is_comment(&conf->lines[index - 1]))
        index--;
    return index;
}

void conf_remove_section(struct conf *conf, size_t section_index)
{
    size_t from, to;
    if (section_index >= conf->section_count)
        return;
    conf_section_lines(conf, section_index, &from, &to);
    bool last = to == conf->line_count;
    to = last ? to : comments_above(conf, to, from + 1);
    from = comments_above(conf, from, 0);
    while (last && from > 0 && is_blank(&conf->lines[from - 1]))
        from--;
    remove_lines(conf, from, to);
    conf_index(conf);
}
