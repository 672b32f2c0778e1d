/* Theme files: reading them, finding them, and those that are in the program. A theme is what it changes of the default. */
#include "theme.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { FILE_LIMIT = 64 << 10, WARNINGS_MOST = 20, WORDS_MOST = 8 };
#define SUFFIX ".theme"

static const struct { const char *name, *text; } shipped[] = {
#include "themes_table.h"
};

static const char *const style_names[] = {
#define X(name, text, help) text,
    STYLES(X)
#undef X
};

static const char *const ground_names[] = {
#define X(name, text, help) text,
    GROUNDS(X)
#undef X
};

/* One file */

struct reader {
    const char *file;
    size_t line;
    struct buf *warnings; /* NULL: nobody reads them */
    int count;
};

static void warn(struct reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void warn(struct reader *reader, const char *format, ...)
{
    if (!reader->warnings || reader->count > WARNINGS_MOST)
        return;
    struct buf text = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    if (reader->count++ == WARNINGS_MOST) {
        buf_clear(&text);
        buf_add_text(&text, "more lines are wrong; they are not told");
    }
    text_add_safe(reader->warnings, reader->file, strlen(reader->file));
    buf_add_format(reader->warnings, ":%zu: ", reader->line);
    text_add_safe(reader->warnings, buf_text(&text), text.length);
    buf_add_char(reader->warnings, '\n');
    buf_free(&text);
}

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

static bool read_colour(const char *word, struct theme_colour *colour)
{
    uint8_t bytes[3];
    if (strlen(word) != 7 || word[0] != '#')
        return false;
    for (int i = 0; i < 3; i++) {
        int high = hex(word[1 + 2 * i]), low = hex(word[2 + 2 * i]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    *colour = (struct theme_colour){true, bytes[0], bytes[1], bytes[2]};
    return true;
}

/* "#rrggbb bold"; a word that is "#" alone begins a comment. */
static bool read_look(struct reader *reader, char *value, struct theme_look *look)
{
    struct theme_look read = {.bold = false};
    const struct { const char *word; bool *flag; } flags[] = {
        {"bold", &read.bold}, {"dim", &read.dim}, {"underline", &read.underline}, {"reverse", &read.reverse},
    };
    char *rest = NULL;
    for (char *word = strtok_r(value, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        size_t i = 0;
        if (!strcmp(word, "#"))
            break;
        if (word[0] == '#') {
            if (read_colour(word, &read.colour))
                continue;
            warn(reader, "'%.32s' is no colour: write #rrggbb, as in #ff8800 (a comment has a space after its #)", word);
            return false;
        }
        while (i < COUNT_OF(flags) && strcasecmp(word, flags[i].word) != 0)
            i++;
        if (i == COUNT_OF(flags)) {
            warn(reader, "'%.32s' is neither a colour (#rrggbb) nor one of bold, dim, underline, reverse", word);
            return false;
        }
        *flags[i].flag = true;
    }
    *look = read;
    return true;
}

static struct theme_look *find_look(struct theme *theme, const char *key)
{
    for (size_t i = 0; i < STYLE_COUNT; i++)
        if (!strcasecmp(key, style_names[i]))
            return &theme->styles[i];
    for (size_t i = 0; i < GROUND_COUNT; i++)
        if (!strcasecmp(key, ground_names[i]))
            return &theme->grounds[i];
    return NULL;
}

static void read_frame(struct reader *reader, const char *value, struct theme *theme)
{
    size_t length = strcspn(value, " \t");
    if (length == 3 && !strncasecmp(value, "yes", 3))
        theme->framed = true;
    else if (length == 2 && !strncasecmp(value, "no", 2))
        theme->framed = false;
    else
        warn(reader, "frame is yes or no, not '%.32s'", value);
}

static void unknown_key(struct reader *reader, const char *key)
{
    const char *names[STYLE_COUNT + GROUND_COUNT + 1];
    memcpy(names, style_names, sizeof style_names);
    memcpy(names + STYLE_COUNT, ground_names, sizeof ground_names);
    names[STYLE_COUNT + GROUND_COUNT] = "frame";
    const char *nearest = text_nearest(key, names, COUNT_OF(names));
    if (nearest)
        warn(reader, "unknown key '%.32s' (did you mean %s?)", key, nearest);
    else
        warn(reader, "unknown key '%.32s' (wgdeck-theme(5) lists them)", key);
}

/* Without space at both ends. */
static char *trimmed(char *text)
{
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1]))
        text[--length] = '\0';
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

static void read_line(struct reader *reader, char *line, struct theme *theme)
{
    char *text = trimmed(line), *equals = strchr(text, '=');
    if (!*text || *text == '#' || *text == ';')
        return;
    if (!equals) {
        warn(reader, "no '=' in '%.32s': write key = #rrggbb", text);
        return;
    }
    *equals = '\0';
    char *key = trimmed(text), *value = trimmed(equals + 1);
    struct theme_look *look = find_look(theme, key);
    if (look)
        read_look(reader, value, look);
    else if (!strcasecmp(key, "frame"))
        read_frame(reader, value, theme);
    else
        unknown_key(reader, key);
}

static void read_lines(const char *file, const char *bytes, size_t length, struct theme *theme, struct buf *warnings)
{
    struct reader reader = {.file = file, .warnings = warnings};
    for (size_t at = 0; at < length;) {
        const char *end = memchr(bytes + at, '\n', length - at);
        size_t size = end ? (size_t)(end - bytes) - at : length - at;
        reader.line++;
        if (memchr(bytes + at, '\0', size)) {
            warn(&reader, "a zero byte: this is no text");
        } else {
            char *line = mem_text_part(bytes + at, size);
            read_line(&reader, line, theme);
            free(line);
        }
        at += size + 1;
    }
}

/* "nord" of "/home/joe/nord.theme". */
static void name_of(const char *file, char name[static 64])
{
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    size_t length = strlen(base), suffix = strlen(SUFFIX);
    if (length > suffix && !strcmp(base + length - suffix, SUFFIX))
        length -= suffix;
    char *part = mem_text_part(base, length), *safe = text_safe(part);
    length = strlen(safe);
    if (length > 63)
        for (length = 63; length && ((unsigned char)safe[length] & 0xC0) == 0x80;)
            length--;
    memcpy(name, safe, length);
    name[length] = '\0';
    free(safe);
    free(part);
}

int theme_parse(const char *file, const char *bytes, size_t length, struct theme *theme, struct buf *warnings)
{
    *theme = (struct theme){.framed = false};
    read_lines(shipped[0].name, shipped[0].text, strlen(shipped[0].text), theme, NULL);
    theme->framed = false;
    read_lines(file, bytes, length, theme, warnings);
    name_of(file, theme->name);
    return 0;
}

/* Finding them */

static char *folder(void)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (base && *base == '/')
        return mem_format("%s/wgdeck/themes", base);
    return home && *home ? mem_format("%s/.config/wgdeck/themes", home) : NULL;
}

static int load_file(const char *path, struct theme *theme, struct buf *warnings, struct err *err)
{
    struct buf bytes = BUF_EMPTY;
    int result = file_read(path, FILE_LIMIT, &bytes, err);
    if (!result)
        result = theme_parse(path, buf_text(&bytes), bytes.length, theme, warnings);
    buf_free(&bytes);
    return result;
}

static int no_such_theme(const char *name, struct err *err)
{
    char **names = theme_names();
    size_t count = 0;
    struct buf list = BUF_EMPTY;
    for (; names[count]; count++)
        buf_add_format(&list, "%s%s", count ? ", " : "", names[count]);
    const char *nearest = text_nearest(name, (const char *const *)names, count);
    if (nearest)
        err_set(err, "no theme '%s' (did you mean %s?)", name, nearest);
    else
        err_set(err, "no theme '%s': there are %s; or name a file, with a / in it", name, buf_text(&list));
    buf_free(&list);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    return -1;
}

int theme_load(const char *name, struct theme *theme, struct buf *warnings, struct err *err)
{
    if (strchr(name, '/'))
        return load_file(name, theme, warnings, err);
    /* One's own comes before a shipped one of the same name. */
    char *own = text_is_name(name) ? folder() : NULL;
    char *path = own ? mem_format("%s/%s" SUFFIX, own, name) : NULL;
    bool there = path && !access(path, F_OK);
    int result = there ? load_file(path, theme, warnings, err) : 1;
    for (size_t i = 0; result == 1 && i < COUNT_OF(shipped); i++)
        if (!strcmp(name, shipped[i].name))
            result = theme_parse(shipped[i].name, shipped[i].text, strlen(shipped[i].text), theme, warnings);
    free(path);
    free(own);
    return result == 1 ? no_such_theme(name, err) : result;
}

static bool is_listed(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

static int by_name(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

char **theme_names(void)
{
    size_t count = 0, capacity = 0, suffix = strlen(SUFFIX);
    char **names = NULL;
    for (; count < COUNT_OF(shipped); count++) {
        MEM_GROW(names, count, capacity);
        names[count] = mem_text(shipped[count].name);
    }
    char *own = folder();
    DIR *listing = own ? opendir(own) : NULL;
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        size_t length = strlen(entry->d_name);
        if (length <= suffix || strcmp(entry->d_name + length - suffix, SUFFIX) != 0)
            continue;
        MEM_GROW(names, count, capacity);
        names[count] = mem_text_part(entry->d_name, length - suffix);
        if (text_is_name(names[count]) && !is_listed(names, count, names[count]))
            count++;
        else
            free(names[count]);
    }
    if (listing)
        closedir(listing);
    free(own);
    qsort(names + COUNT_OF(shipped), count - COUNT_OF(shipped), sizeof *names, by_name);
    MEM_GROW(names, count, capacity);
    names[count] = NULL;
    return names;
}
