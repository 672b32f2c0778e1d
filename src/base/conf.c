/* The line-preserving INI document: reading, looking up, writing. Changes are in conf_change.c. */
#include "conf_document.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

struct span conf_trim(const char *text, size_t from, size_t to)
{
    while (from < to && is_space(text[from]))
        from++;
    while (to > from && is_space(text[to - 1]))
        to--;
    return (struct span){from, to};
}

bool conf_is_word(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char byte = text[i];
        bool good = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte == '_' ||
                    byte == '-' || byte == '.';
        if (!good)
            return false;
    }
    return length > 0;
}

static char *span_text(const char *text, struct span span)
{
    return mem_text_part(text + span.from, span.to - span.from);
}

static const char *parse_header(struct line *line, size_t end)
{
    struct span span = conf_trim(line->text, 0, end);
    size_t close = span.to - 1;
    if (line->text[close] != ']' || close == span.from)
        return "a section's header does not end with ']'; write [Section] or [Section name]";
    struct span inside = conf_trim(line->text, span.from + 1, close);
    size_t word = inside.from;
    while (word < inside.to && !is_space(line->text[word]))
        word++;
    struct span kind = {inside.from, word}, name = conf_trim(line->text, word, inside.to);
    if (!conf_is_word(line->text + kind.from, kind.to - kind.from))
        return "a section's header without a proper word; write [Section] or [Section name]";
    for (size_t i = name.from; i < name.to; i++)
        if (line->text[i] == ']' || line->text[i] == '[')
            return "a bracket inside a section's name; write [Section name]";
    line->kind = LINE_SECTION;
    line->key = span_text(line->text, kind);
    line->value = span_text(line->text, name);
    return NULL;
}

static const char *parse_entry(struct line *line, size_t end)
{
    const char *equals = memchr(line->text, '=', end);
    if (!equals)
        return "no '='; write Key = value, or begin the line with '#' for a comment";
    size_t at = (size_t)(equals - line->text);
    struct span key = conf_trim(line->text, 0, at);
    if (key.from == key.to)
        return "nothing before '='; write Key = value";
    if (!conf_is_word(line->text + key.from, key.to - key.from))
        return "the key before '=' is not one word of letters and digits; write Key = value";
    line->equals = at;
    line->span = conf_trim(line->text, at + 1, end);
    line->kind = LINE_ENTRY;
    line->key = span_text(line->text, key);
    line->value = span_text(line->text, line->span);
    return NULL;
}

const char *conf_parse_line(struct line *line)
{
    const char *comment = memchr(line->text, '#', line->length);
    size_t end = comment ? (size_t)(comment - line->text) : line->length;
    struct span content = conf_trim(line->text, 0, end);
    line->comment = comment != NULL;
    line->kind = LINE_OTHER;
    if (content.from == content.to)
        return NULL;
    return line->text[content.from] == '[' ? parse_header(line, end) : parse_entry(line, end);
}

void conf_wipe_text(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void conf_line_free(struct line *line)
{
    if (line->text)
        explicit_bzero(line->text, line->length);
    free(line->text);
    conf_wipe_text(line->key);
    conf_wipe_text(line->value);
}

void conf_index(struct conf *conf)
{
    size_t section = SIZE_MAX;
    conf->section_count = 0;
    for (size_t i = 0; i < conf->line_count; i++) {
        if (conf->lines[i].kind == LINE_SECTION) {
            MEM_GROW(conf->sections, conf->section_count, conf->section_capacity);
            section = conf->section_count;
            conf->sections[conf->section_count++] = i;
        }
        conf->lines[i].section = section;
    }
}

struct conf *conf_new(const char *file)
{
    struct conf *conf = mem_alloc(1, sizeof *conf);
    conf->file = mem_text(file ? file : "");
    return conf;
}

void conf_free(struct conf *conf)
{
    if (!conf)
        return;
    for (size_t i = 0; i < conf->line_count; i++)
        conf_line_free(&conf->lines[i]);
    free(conf->lines);
    free(conf->sections);
    free(conf->file);
    free(conf);
}

static int parse_next(struct conf *conf, const char *bytes, size_t length, struct err *err)
{
    size_t number = conf->line_count + 1;
    if (conf->line_count == CONF_LINES)
        return err_set(err, "%s: more than %d lines; is this a configuration file?", conf->file, CONF_LINES);
    if (length > CONF_LINE_LENGTH)
        return err_set(err, "%s:%zu: a line of more than %d bytes; is this a configuration file?", conf->file, number, CONF_LINE_LENGTH);
    if (memchr(bytes, 0, length))
        return err_set(err, "%s:%zu: a NUL byte; write plain text", conf->file, number);
    if (number == 1 && length >= 3 && !memcmp(bytes, "\xEF\xBB\xBF", 3))
        return err_set(err, "%s:1: begins with a byte order mark; save the file as plain UTF-8, without it", conf->file);
    MEM_GROW(conf->lines, conf->line_count, conf->line_capacity);
    struct line *line = &conf->lines[conf->line_count];
    *line = (struct line){.text = mem_text_part(bytes, length), .length = length};
    conf->line_count++;
    const char *wrong = conf_parse_line(line);
    return wrong ? err_set(err, "%s:%zu: %s", conf->file, number, wrong) : 0;
}

struct conf *conf_parse(const char *file, const char *bytes, size_t length, struct err *err)
{
    struct conf *conf = conf_new(file);
    for (size_t at = 0; at < length;) {
        const char *end = memchr(bytes + at, '\n', length - at);
        size_t next = end ? (size_t)(end - bytes) + 1 : length;
        if (parse_next(conf, bytes + at, next - at, err)) {
            conf_free(conf);
            return NULL;
        }
        at = next;
    }
    conf_index(conf);
    return conf;
}

void conf_write(const struct conf *conf, struct buf *buf)
{
    size_t total = 0;
    for (size_t i = 0; i < conf->line_count; i++)
        total += conf->lines[i].length;
    buf_reserve(buf, total);
    for (size_t i = 0; i < conf->line_count; i++)
        buf_add(buf, conf->lines[i].text, conf->lines[i].length);
}

const char *conf_file(const struct conf *conf)
{
    return conf->file;
}

size_t conf_section_count(const struct conf *conf)
{
    return conf->section_count;
}

void conf_section(const struct conf *conf, size_t index, const char **kind, const char **name, size_t *line)
{
    const struct line *header = &conf->lines[conf->sections[index]];
    if (kind)
        *kind = header->key;
    if (name)
        *name = header->value;
    if (line)
        *line = conf->sections[index] + 1;
}

bool conf_next(const struct conf *conf, size_t *cursor, struct conf_entry *entry)
{
    for (; *cursor < conf->line_count; (*cursor)++) {
        const struct line *line = &conf->lines[*cursor];
        if (line->kind != LINE_ENTRY)
            continue;
        *entry = (struct conf_entry){"", "", line->section, line->key, line->value, *cursor + 1};
        if (line->section != SIZE_MAX)
            conf_section(conf, line->section, &entry->section, &entry->section_name, NULL);
        (*cursor)++;
        return true;
    }
    return false;
}

void conf_section_lines(const struct conf *conf, size_t index, size_t *from, size_t *to)
{
    size_t next = index == SIZE_MAX ? 0 : index + 1;
    *from = index == SIZE_MAX ? 0 : index < conf->section_count ? conf->sections[index] : conf->line_count;
    *to = next < conf->section_count ? conf->sections[next] : conf->line_count;
}

size_t conf_last_line(const struct conf *conf, size_t section_index, const char *key)
{
    size_t from, to;
    conf_section_lines(conf, section_index, &from, &to);
    for (size_t i = to; i > from; i--)
        if (conf->lines[i - 1].kind == LINE_ENTRY && !strcasecmp(conf->lines[i - 1].key, key))
            return i - 1;
    return SIZE_MAX;
}

const char *conf_get(const struct conf *conf, size_t section_index, const char *key, size_t *line)
{
    size_t found = conf_last_line(conf, section_index, key);
    if (found == SIZE_MAX)
        return NULL;
    if (line)
        *line = found + 1;
    return conf->lines[found].value;
}

size_t conf_find(const struct conf *conf, const char *kind, const char *name, size_t from)
{
    for (size_t i = from; i < conf->section_count; i++) {
        const struct line *header = &conf->lines[conf->sections[i]];
        if (!strcasecmp(header->key, kind) && (!name || !strcmp(header->value, name)))
            return i;
    }
    return SIZE_MAX;
}
