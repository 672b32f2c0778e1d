/* Host keys against known_hosts and the pinned key (host_key.h). */
#include "host_key.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "wgdeck/log.h"
#include "wgdeck/mem.h"

enum { LINES_FIRST = 64 };

struct file {
    char *path;
    struct known_hosts *known;
    struct stat status; /* of the reading; zero when there was none */
    char *unreadable;   /* why, or NULL */
};

struct host_keys {
    struct file **files;
    size_t count, capacity;
};

struct found {
    struct known_line line; /* copied: a file may be read again meanwhile */
    char *path;
};

struct host_key_list {
    char *name;
    struct found *found;
    size_t count, capacity;
    char *unreadable;
};

struct host_keys *host_keys_new(void)
{
    return mem_alloc(1, sizeof(struct host_keys));
}

void host_keys_free(struct host_keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        known_hosts_free(keys->files[i]->known);
        free(keys->files[i]->path);
        free(keys->files[i]->unreadable);
        free(keys->files[i]);
    }
    free(keys->files);
    free(keys);
}

static bool same_reading(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec; /* chmod */
}

static const struct file *known_file(struct host_keys *keys, const char *path)
{
    struct file *file = NULL;
    for (size_t i = 0; i < keys->count && !file; i++)
        if (!strcmp(keys->files[i]->path, path))
            file = keys->files[i];
    if (!file) {
        file = mem_alloc(1, sizeof *file);
        file->path = mem_text(path);
        MEM_GROW(keys->files, keys->count, keys->capacity);
        keys->files[keys->count++] = file;
    }
    struct stat status = {0};
    if (stat(path, &status))
        memset(&status, 0, sizeof status);
    if (file->known && (!file->unreadable || status.st_ino) && same_reading(&status, &file->status))
        return file;
    struct err err = {0};
    known_hosts_free(file->known);
    free(file->unreadable);
    file->known = known_hosts_read(path, &err);
    file->status = status;
    file->unreadable = err.text[0] ? mem_text(err.text) : NULL;
    return file;
}

/* All of them, however many: one that was cut off might be the @revoked one. */
static const struct known_line **find_all(const struct known_hosts *known, const char *name, size_t *count)
{
    for (size_t most = LINES_FIRST;; most *= 2) {
        const struct known_line **lines = mem_alloc(most, sizeof *lines);
        *count = known_hosts_find(known, name, lines, most);
        if (*count < most)
            return lines;
        free(lines);
    }
}

static void find_in(struct host_keys *keys, const struct text_list *paths, struct host_key_list *list)
{
    for (size_t i = 0; i < paths->count; i++) {
        const struct file *file = known_file(keys, paths->items[i]);
        if (file->unreadable && !list->unreadable)
            list->unreadable = mem_text(file->unreadable);
        size_t count;
        const struct known_line **lines = find_all(file->known, list->name, &count);
        for (size_t j = 0; j < count; j++) {
            MEM_GROW(list->found, list->count, list->capacity);
            struct found *found = &list->found[list->count++];
            found->line = *lines[j];
            found->line.type = mem_text(lines[j]->type);
            found->line.base64 = mem_text(lines[j]->base64);
            found->path = mem_text(paths->items[i]);
        }
        free(lines);
    }
}

static char *name_of(const struct ssh_target *target)
{
    /* An alias stands alone, without a port, as ssh has it. */
    return target->host_key_alias ? known_hosts_name(target->host_key_alias, 22) : known_hosts_name(target->host, target->port);
}

struct host_key_list *host_keys_find(struct host_keys *keys, const struct ssh_target *target)
{
    struct host_key_list *list = mem_alloc(1, sizeof *list);
    list->name = name_of(target);
    find_in(keys, &target->known_hosts, list);
    find_in(keys, &target->global_known_hosts, list);
    return list;
}

void host_key_list_free(struct host_key_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++) {
        free((void *)(uintptr_t)list->found[i].line.type);
        free((void *)(uintptr_t)list->found[i].line.base64);
        free(list->found[i].path);
    }
    free(list->found);
    free(list->unreadable);
    free(list->name);
    free(list);
}

const char *host_key_unreadable(const struct host_key_list *list)
{
    return list->unreadable;
}

void host_key_add_revoked(struct buf *lines, const struct host_key_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->found[i].line.mark == KNOWN_REVOKED)
            buf_add_format(lines, "@revoked %s %s %s\n", name, list->found[i].line.type, list->found[i].line.base64);
}

/* Types of keys, and the algorithms that prove them, in the order we like: ed25519 is the cheapest to check. */
static const struct {
    const char *type, *algorithms;
} kinds[] = {
    {"ssh-ed25519", "ssh-ed25519"},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"},
    {"ssh-rsa", "rsa-sha2-256,rsa-sha2-512"},
};

static bool pinned_is(const char *pinned, const char *type)
{
    return pinned && !strncmp(pinned, type, strlen(type)) && pinned[strlen(type)] == ' ';
}

/* Several may be pinned, one a line. */
static bool some_pinned_is(const char *pinned, const char *type)
{
    for (; pinned; pinned = strchr(pinned, '\n')) {
        pinned += *pinned == '\n';
        if (pinned_is(pinned, type))
            return true;
    }
    return false;
}

static bool knows(const struct host_key_list *list, const char *pinned, const char *type)
{
    if (pinned)
        return some_pinned_is(pinned, type);
    for (size_t i = 0; i < list->count; i++)
        if (list->found[i].line.mark == KNOWN_KEY && !strcmp(list->found[i].line.type, type))
            return true;
    return false;
}

char *host_key_algorithms(const struct host_key_list *list, const char *pinned)
{
    struct buf buf = BUF_EMPTY;
    for (int known = 1; known >= 0; known--)
        for (size_t i = 0; i < COUNT_OF(kinds); i++) {
            if (knows(list, pinned, kinds[i].type) != (known == 1))
                continue;
            if (buf.length)
                buf_add_char(&buf, ',');
            buf_add_text(&buf, kinds[i].algorithms);
        }
    return buf_take(&buf);
}

bool host_key_by_authority(const struct host_key_list *list)
{
    bool authority = false;
    for (size_t i = 0; i < list->count; i++) {
        if (list->found[i].line.mark == KNOWN_KEY)
            return false;
        authority |= list->found[i].line.mark == KNOWN_AUTHORITY;
    }
    return authority;
}

static const char *short_name(const char *type)
{
    return !strncmp(type, "ssh-", 4) ? type + 4 : !strncmp(type, "ecdsa-", 6) ? "ecdsa" : type;
}

static enum known_verdict check_pinned(const char *pinned, const char *type, const char *base64, struct err *why)
{
    const char *key = strchr(pinned, ' ');
    size_t length = key ? strcspn(key + 1, " \t\r\n") : 0;
    char was[FINGERPRINT_SIZE], is[FINGERPRINT_SIZE];
    if (pinned_is(pinned, type) && key && strlen(base64) == length && !memcmp(key + 1, base64, length))
        return KNOWN_VERDICT_OK;
    char *wanted = mem_text_part(key ? key + 1 : "", length);
    known_hosts_fingerprint(wanted, was);
    known_hosts_fingerprint(base64, is);
    free(wanted);
    err_set(why, "its host key is %s %s, but the pinned one is %.*s %s: is this the right host? If its key was really replaced, pin the new one",
            short_name(type), is, (int)strcspn(short_name(pinned), " "), short_name(pinned), was);
    return KNOWN_VERDICT_CHANGED;
}

enum known_verdict host_key_check(const struct host_key_list *list, const char *pinned, const char *type, const char *base64,
                                  struct err *why)
{
    char was[FINGERPRINT_SIZE], is[FINGERPRINT_SIZE];
    const struct found *same = NULL, *other = NULL;
    if (list->unreadable) {
        err_set(why, "known_hosts cannot be read, so it cannot be checked: %s", list->unreadable);
        return KNOWN_VERDICT_UNREADABLE;
    }
    known_hosts_fingerprint(base64, is);
    for (size_t i = 0; i < list->count; i++) {
        const struct found *found = &list->found[i];
        bool equal = !strcmp(found->line.base64, base64);
        if (found->line.mark == KNOWN_REVOKED && equal) {
            err_set(why, "its host key %s %s is marked @revoked in %s:%zu: do not log in there", short_name(type), is, found->path,
                    found->line.line);
            return KNOWN_VERDICT_REVOKED;
        }
        if (found->line.mark != KNOWN_KEY)
            continue;
        if (equal && !strcmp(found->line.type, type))
            same = found;
        else if (!other || (!strcmp(found->line.type, type) && strcmp(other->line.type, type)))
            other = found;
    }
    if (pinned && check_pinned(pinned, type, base64, why) != KNOWN_VERDICT_OK)
        return KNOWN_VERDICT_CHANGED;
    if (same)
        return KNOWN_VERDICT_OK;
    if (!other)
        return pinned ? KNOWN_VERDICT_OK : KNOWN_VERDICT_UNKNOWN;
    if (pinned && strcmp(other->line.type, type))
        return KNOWN_VERDICT_OK;
    known_hosts_fingerprint(other->line.base64, was);
    err_set(why,
            "THE HOST KEY HAS CHANGED: it is %s %s, but %s:%zu has %s %s. Someone may be listening in; if the host was really set up anew, "
            "remove that line (ssh-keygen -R '%s')",
            short_name(type), is, other->path, other->line.line, short_name(other->line.type), was, list->name);
    return KNOWN_VERDICT_CHANGED;
}

int host_key_learn(struct host_keys *keys, const struct ssh_target *target, const char *type, const char *base64, struct err *err)
{
    (void)keys; /* the file's time changes: it is read again */
    if (!target->known_hosts.count)
        return err_set(err, "no UserKnownHostsFile to remember the host key in");
    struct buf line = BUF_EMPTY;
    char *name = name_of(target);
    known_hosts_add_line(&line, name, type, base64, target->hash_known_hosts);
    int result = known_hosts_append(target->known_hosts.items[0], buf_text(&line), err);
    free(name);
    buf_free(&line);
    return result;
}
