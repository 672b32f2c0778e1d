/* Classes of targets (ssh_config_class.h). Only Host lines are understood here, and whether there is anything else that could depend on the
 * host (Match, CanonicalizeHostname): then there are no classes, and ssh is asked for each. What settings mean is ssh's business. */
#include "ssh_config_class.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { DEPTH_MAX = 16, FILE_LIMIT = 1 << 20 };

struct ssh_config_class {
    char **patterns; /* of each Host line, its words separated by commas */
    size_t count, capacity;
    bool unsure;
};

static void read_file(struct ssh_config_class *class, const char *path, const char *folder, int depth);

static void read_included(struct ssh_config_class *class, char *words, const char *folder, int depth)
{
    char *rest;
    for (char *word = strtok_r(words, " \t\"", &rest); word; word = strtok_r(NULL, " \t\"", &rest)) {
        const char *home = getenv("HOME");
        char *pattern = word[0] == '/' ? mem_text(word) : word[0] == '~' && word[1] == '/' && home ? mem_format("%s%s", home, word + 1)
                      : mem_format("%s/%s", folder, word);
        if (strpbrk(word, "%$"))
            class->unsure = true;
        glob_t found;
        int globbed = glob(pattern, GLOB_ERR, NULL, &found);
        if (globbed && globbed != GLOB_NOMATCH)
            class->unsure = true;
        if (!globbed) {
            for (size_t i = 0; i < found.gl_pathc; i++)
                read_file(class, found.gl_pathv[i], folder, depth + 1);
            globfree(&found);
        }
        free(pattern);
    }
}

static void add_host_line(struct ssh_config_class *class, const char *words)
{
    struct buf buf = BUF_EMPTY;
    if (strpbrk(words, "\"\\"))
        class->unsure = true;
    while (*(words += strspn(words, " \t,"))) {
        size_t length = strcspn(words, " \t,");
        if (buf.length)
            buf_add_char(&buf, ',');
        for (size_t i = 0; i < length; i++)
            buf_add_char(&buf, (char)tolower((unsigned char)words[i]));
        words += length;
    }
    MEM_GROW(class->patterns, class->count, class->capacity);
    class->patterns[class->count++] = buf_take(&buf);
}

static void read_line(struct ssh_config_class *class, char *line, const char *folder, int depth)
{
    line += strspn(line, " \t\r\f");
    size_t length = strcspn(line, " \t=\r");
    char *value = line + length;
    value += strspn(value, " \t=");
    value[strcspn(value, "\r")] = '\0';
    line[length] = '\0';
    if (!strcasecmp(line, "Host"))
        add_host_line(class, value);
    else if (!strcasecmp(line, "Include"))
        read_included(class, value, folder, depth);
    else if (!strcasecmp(line, "CanonicalizeHostname"))
        class->unsure = true;
    else if (!strcasecmp(line, "Match") && strncasecmp(value, "all", 3))
        class->unsure = true;
}

static void read_file(struct ssh_config_class *class, const char *path, const char *folder, int depth)
{
    struct buf text = BUF_EMPTY;
    struct err err;
    if (access(path, F_OK) && errno == ENOENT)
        return;
    if (depth > DEPTH_MAX) {
        class->unsure = true;
        return;
    }
    if (!file_read(path, FILE_LIMIT, &text, &err)) {
        char *rest, *line = text.data ? strtok_r(text.data, "\n", &rest) : NULL;
        for (; line; line = strtok_r(NULL, "\n", &rest))
            read_line(class, line, folder, depth);
    } else {
        class->unsure = true; /* what it says of whom is not known */
    }
    buf_free(&text);
}

struct ssh_config_class *ssh_config_class_read(const char *file)
{
    struct ssh_config_class *class = mem_alloc(1, sizeof *class);
    const char *home = getenv("HOME");
    char *folder = mem_format("%s/.ssh", home ? home : "");
    char *own = mem_format("%s/config", folder);
    read_file(class, file ? file : own, folder, 0);
    if (!file)
        read_file(class, "/etc/ssh/ssh_config", "/etc/ssh", 0);
    free(own);
    free(folder);
    return class;
}

void ssh_config_class_free(struct ssh_config_class *class)
{
    if (!class)
        return;
    for (size_t i = 0; i < class->count; i++)
        free(class->patterns[i]);
    free(class->patterns);
    free(class);
}

static bool one_matches(const char *pattern, size_t length, const char *host)
{
    if (!length)
        return !*host;
    if (*pattern == '*')
        return one_matches(pattern + 1, length - 1, host) || (*host && one_matches(pattern, length, host + 1));
    return *host && (*pattern == '?' || *pattern == *host) && one_matches(pattern + 1, length - 1, host + 1);
}

/* 2: by a negation, 1: matches, 0: does not. */
static int list_matches(const char *patterns, const char *host)
{
    int result = 0;
    for (const char *at = patterns; *at;) {
        size_t length = strcspn(at, ",");
        bool negated = *at == '!';
        if (one_matches(at + negated, length - negated, host)) {
            if (negated)
                return 2;
            result = 1;
        }
        at += length + (at[length] == ',');
    }
    return result;
}

char *ssh_config_class_of(const struct ssh_config_class *class, const char *host)
{
    if (class->unsure)
        return NULL;
    char *name = mem_text(host);
    for (char *at = name; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    struct buf buf = BUF_EMPTY;
    buf_add_char(&buf, ':');
    for (size_t i = 0; i < class->count; i++)
        buf_add_char(&buf, list_matches(class->patterns[i], name) == 1 ? '1' : '0');
    free(name);
    return buf_take(&buf);
}

static bool is_name_line(const char *line, size_t length, const char *host)
{
    static const char *const keys[] = {"hostname ", "host "};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        size_t key = strlen(keys[i]);
        if (length == key + strlen(host) && !strncasecmp(line, keys[i], key) && !strncasecmp(line + key, host, length - key))
            return true;
    }
    return false;
}

bool ssh_config_class_shares(const char *answer, const char *host)
{
    bool named = false;
    for (const char *line = answer; *line;) {
        size_t length = strcspn(line, "\n");
        if (is_name_line(line, length, host)) {
            named |= !strncasecmp(line, "hostname ", 9);
        } else {
            char *text = mem_text_part(line, length);
            bool mentioned = strcasestr(text, host) != NULL;
            free(text);
            if (mentioned)
                return false;
        }
        line += length + (line[length] == '\n');
    }
    return named;
}

char *ssh_config_class_rename(const char *answer, const char *from, const char *to)
{
    struct buf buf = BUF_EMPTY;
    for (const char *line = answer; *line;) {
        size_t length = strcspn(line, "\n");
        if (is_name_line(line, length, from))
            buf_add_format(&buf, "%.*s%s", (int)(strcspn(line, " ") + 1), line, to);
        else
            buf_add(&buf, line, length);
        buf_add_char(&buf, '\n');
        line += length + (line[length] == '\n');
    }
    return buf_take(&buf);
}
