/* The SSH login by which this process came to be (login.h): looked for in the processes above it, since sudo takes the environment away. */
#include "login.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { STEPS = 12 /* shell, sudo and the like, and sshd's own two */, WORDS_MAX = 64 };

/* The value of NAME in an environment as /proc has it, or NULL. */
static const char *find_variable(const struct buf *environment, const char *name)
{
    size_t length = strlen(name);
    for (size_t at = 0; at < environment->length; at += strlen(environment->data + at) + 1)
        if (strncmp(environment->data + at, name, length) == 0 && environment->data[at + length] == '=')
            return environment->data + at + length + 1;
    return NULL;
}

static pid_t parent_of(pid_t process)
{
    char *path = mem_format("/proc/%d/stat", (int)process);
    struct buf bytes = BUF_EMPTY;
    int parent = 0;
    if (file_read(path, 4096, &bytes, NULL) == 0) {
        const char *end = strrchr(buf_text(&bytes), ')'); /* the name before it may hold anything */
        if (!end || sscanf(end, ") %*c %d", &parent) != 1)
            parent = 0;
    }
    buf_free(&bytes);
    free(path);
    return parent;
}

char *login_connection(void)
{
    const char *own = getenv("SSH_CONNECTION");
    if (own)
        return mem_text(own);
    char *found = NULL;
    pid_t process = getppid();
    for (int step = 0; step < STEPS && process > 1 && !found; step++) {
        char *path = mem_format("/proc/%d/environ", (int)process);
        struct buf bytes = BUF_EMPTY;
        if (file_read(path, 1 << 20, &bytes, NULL) == 0)
            found = mem_text(find_variable(&bytes, "SSH_CONNECTION"));
        buf_wipe(&bytes); /* an environment may hold anything */
        free(path);
        process = parent_of(process);
    }
    return found;
}

/* --- its sshd */

static bool chooses(const char *word)
{
    return word[0] == '-' && word[1] && strchr("foph", word[1]);
}

/* Keeps of WORDS those that choose a configuration, with their values, behind PROGRAM. */
static char **keep_words(const char *program, char *const *words, size_t count)
{
    char **kept = mem_alloc(count + 2, sizeof *kept);
    size_t length = 0;
    kept[length++] = mem_text(program);
    for (size_t i = 0; i < count; i++) {
        if (!chooses(words[i]))
            continue;
        kept[length++] = mem_text(words[i]);
        if (!words[i][2] && i + 1 < count)
            kept[length++] = mem_text(words[++i]);
    }
    return kept;
}

char **login_words(const char *program, const char *line, unsigned long length)
{
    char *copy = mem_text_part(line, length); /* to the first NUL only */
    char *words[WORDS_MAX];
    size_t count = 0;
    if (!strncmp(copy, "sshd: ", 6)) {
        char *end = strstr(copy, " [listener]"), *rest = NULL;
        if (end)
            *end = '\0';
        else
            copy[6] = '\0'; /* the title of a session: nothing of how it was started */
        for (char *word = strtok_r(copy + 6, " ", &rest); word && count < WORDS_MAX; word = strtok_r(NULL, " ", &rest))
            words[count++] = word;
    } else {
        free(copy);
        copy = mem_alloc(length + 1, 1);
        memcpy(copy, line, length);
        for (size_t at = 0; at < length && count < WORDS_MAX; at += strlen(copy + at) + 1)
            words[count++] = copy + at;
    }
    char **kept = keep_words(program, words + (count ? 1 : 0), count ? count - 1 : 0);
    free(copy);
    return kept;
}

/* Is it root in each way? What a user has started above sudo may have any name. */
static bool is_of_root(pid_t process)
{
    char *path = mem_format("/proc/%d/status", (int)process);
    struct buf bytes = BUF_EMPTY;
    bool is = !file_read(path, 1 << 16, &bytes, NULL) && strstr(buf_text(&bytes), "\nUid:\t0\t0\t0\t0\n");
    buf_free(&bytes);
    free(path);
    return is;
}

/* The program of PROCESS when that is sshd itself; sshd-session and the like are parts that cannot be asked. */
static char *sshd_program(pid_t process)
{
    if (!is_of_root(process))
        return NULL;
    char *path = mem_format("/proc/%d/exe", (int)process), program[4096];
    ssize_t length = readlink(path, program, sizeof program - 1);
    free(path);
    program[length > 0 ? length : 0] = '\0';
    const char *name = strrchr(program, '/');
    return name && !strcmp(name, "/sshd") ? mem_text(program) : NULL;
}

char **login_sshd(void)
{
    char **words = NULL;
    pid_t process = getppid();
    for (int step = 0; step < STEPS && process > 0; step++, process = parent_of(process)) {
        char *program = sshd_program(process), *path = mem_format("/proc/%d/cmdline", (int)process);
        struct buf line = BUF_EMPTY;
        if (program && file_read(path, 1 << 20, &line, NULL) == 0) {
            login_words_free(words); /* the one farthest up counts */
            words = login_words(program, buf_text(&line), line.length);
        }
        buf_free(&line);
        free(path);
        free(program);
    }
    return words;
}

void login_words_free(char **words)
{
    for (char **word = words; word && *word; word++)
        free(*word);
    free(words);
}
