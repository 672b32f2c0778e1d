/* A wg-quick file for "wgdeck up": what wgquick.h reads of it, and what only its doing needs: hooks, routing table, keys. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "up.h"
#include "wgdeck/file.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { FILE_LIMIT = 64 << 20 };

const char *const up_hook_names[HOOK_KINDS] = {"PreUp", "PostUp", "PreDown", "PostDown"};

/* --- which file */

/* As wg-quick has it: the name stands in commands of a shell. */
static bool name_is_plain(const char *name)
{
    size_t length = strlen(name);
    return length && length < IFNAMSIZ && device_name_is_valid(name) &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_=+.-") == length;
}

int up_file_find(const char *target, char **path, char **name, struct err *err)
{
    const char *slash = strrchr(target, '/'), *base = slash ? slash + 1 : target;
    size_t length = strlen(base);
    bool is_file = slash || (length > 5 && !strcmp(base + length - 5, ".conf"));
    if (is_file && (length <= 5 || strcmp(base + length - 5, ".conf") != 0))
        return err_set(err, "%s: the file's name must be the interface's and end in .conf, as wg0.conf", target);
    *name = is_file ? mem_text_part(base, length - 5) : mem_text(target);
    if (!name_is_plain(*name)) {
        free(*name);
        return err_set(err, "%s: the interface's name must be 1 to 15 of a-z A-Z 0-9 _ = + . -", target);
    }
    *path = is_file ? mem_text(target) : mem_format("/etc/wireguard/%s.conf", target);
    return 0;
}

/* --- its lines */

static char *replace_name(const char *command, const char *name)
{
    struct buf text = BUF_EMPTY;
    for (const char *at = command; *at;) {
        const char *mark = strstr(at, "%i");
        buf_add(&text, at, mark ? (size_t)(mark - at) : strlen(at));
        if (!mark)
            break;
        buf_add_text(&text, name);
        at = mark + 2;
    }
    buf_add(&text, "", 0);
    return buf_take(&text);
}

static void add_hook(struct up_file *file, const struct conf_entry *entry)
{
    for (size_t kind = 0; kind < HOOK_KINDS; kind++) {
        struct up_hooks *hooks = &file->hooks[kind];
        if (strcasecmp(entry->key, up_hook_names[kind]) != 0)
            continue;
        MEM_GROW(hooks->commands, hooks->count, hooks->capacity);
        hooks->commands[hooks->count++] = replace_name(entry->value, file->name);
    }
}

static void add_dns(struct up_file *file, const struct conf_entry *entry)
{
    if (strcasecmp(entry->key, "DNS") != 0)
        return;
    char *both = file->dns ? mem_format("%s, %s", file->dns, entry->value) : mem_text(entry->value);
    free(file->dns);
    file->dns = both;
}

/* A line "NUMBER NAME" of iproute2's list of tables. */
static bool find_table(const char *path, const char *wanted, uint32_t *table)
{
    struct buf text = BUF_EMPTY;
    bool found = false;
    char *rest = NULL;
    if (file_read(path, 1 << 20, &text, NULL))
        return false;
    for (char *line = strtok_r(text.data, "\n", &rest); line && !found; line = strtok_r(NULL, "\n", &rest)) {
        char *more = NULL, *number = strtok_r(line, " \t", &more), *name = strtok_r(NULL, " \t", &more);
        unsigned long long value;
        if (!number || !name || strcmp(name, wanted) != 0 || text_to_number(number, UINT32_MAX, &value))
            continue;
        *table = (uint32_t)value;
        found = true;
    }
    buf_free(&text);
    return found;
}

static int read_table(struct up_file *file, const struct conf_entry *entry, struct err *err)
{
    static const struct {
        const char *name;
        uint32_t table;
    } known[] = {{"off", 0}, {"main", TABLE_MAIN}, {"default", 253}, {"local", 255}};
    unsigned long long number;
    if (strcasecmp(entry->key, "Table") != 0)
        return 0;
    file->table_auto = !strcasecmp(entry->value, "auto");
    if (file->table_auto)
        return 0;
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (!strcasecmp(known[i].name, entry->value)) {
            file->table = known[i].table;
            return 0;
        }
    if (!text_to_number(entry->value, UINT32_MAX, &number) && number) {
        file->table = (uint32_t)number;
        return 0;
    }
    if (find_table("/etc/iproute2/rt_tables", entry->value, &file->table) || find_table("/usr/share/iproute2/rt_tables", entry->value, &file->table))
        return 0;
    return err_set(err, "%s:%zu: Table = %.60s is no routing table; write off, auto, a number, or a name of /etc/iproute2/rt_tables", file->path,
                   entry->line, entry->value);
}

static int read_rest(struct up_file *file, struct err *err)
{
    struct conf_entry entry;
    file->table_auto = true;
    for (size_t cursor = 0; conf_next(file->conf, &cursor, &entry);) {
        if (strcasecmp(entry.section, "Interface") != 0)
            continue;
        add_hook(file, &entry);
        add_dns(file, &entry);
        if (read_table(file, &entry, err))
            return -1;
    }
    return 0;
}

static void log_lines(struct buf *warnings)
{
    char *rest = NULL;
    for (char *line = warnings->length ? strtok_r(warnings->data, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
        log_notice("%s", line);
    buf_free(warnings);
}

int up_file_parse(const char *path, const char *name, const char *bytes, size_t length, struct up_file *file, struct err *err)
{
    static const char no_salt[] = "0000000000000000000000000000000000000000000000000000000000000000";
    struct buf warnings = BUF_EMPTY;
    *file = (struct up_file){.path = mem_text(path), .name = mem_text(name)};
    file->conf = conf_parse(path, bytes, length, err);
    int result = file->conf ? wgquick_read(file->conf, no_salt, &file->wanted, &warnings, err) : -1;
    log_lines(&warnings);
    if (!result)
        result = read_rest(file, err);
    if (!result)
        snprintf(file->wanted.device.name, sizeof file->wanted.device.name, "%s", name);
    else
        up_file_free(file);
    return result;
}

/* Its hooks run as root, and its keys are secret. */
static void warn_of_others(const char *path)
{
    struct stat status;
    if (stat(path, &status))
        return;
    if (status.st_uid && status.st_uid != geteuid())
        log_notice("%s belongs to another user, who can have commands run as root by it (chown root %s)", path, path);
    else if (status.st_mode & 022)
        log_notice("%s can be written by others, who can have commands run as root by it (chmod 600 %s)", path, path);
    else if (status.st_mode & 077)
        log_notice("%s can be read by others, and holds a private key (chmod 600 %s)", path, path);
}

int up_file_read(const char *target, struct up_file *file, struct err *err)
{
    struct buf bytes = BUF_EMPTY;
    char *path, *name;
    if (up_file_find(target, &path, &name, err))
        return -1;
    int result = file_read(path, FILE_LIMIT, &bytes, err);
    if (!result) {
        warn_of_others(path);
        result = up_file_parse(path, name, buf_text(&bytes), bytes.length, file, err);
    }
    buf_wipe(&bytes);
    free(path);
    free(name);
    return result;
}

void up_file_free(struct up_file *file)
{
    for (size_t kind = 0; kind < HOOK_KINDS; kind++) {
        for (size_t i = 0; i < file->hooks[kind].count; i++)
            free(file->hooks[kind].commands[i]);
        free(file->hooks[kind].commands);
    }
    wgquick_free(&file->wanted);
    conf_free(file->conf);
    free(file->dns);
    free(file->path);
    free(file->name);
    *file = (struct up_file){0};
}

/* --- keys */

/* In place: qsort would leave a copy of the keys behind. */
static void sort_rows(struct up_secrets *secrets)
{
    struct up_preshared *rows = secrets->rows, moved;
    for (size_t gap = secrets->count / 2; gap; gap /= 2)
        for (size_t i = gap; i < secrets->count; i++) {
            size_t at = i;
            for (moved = rows[i]; at >= gap && key_compare(&rows[at - gap].public_key, &moved.public_key) > 0; at -= gap)
                rows[at] = rows[at - gap];
            rows[at] = moved;
        }
    sodium_memzero(&moved, sizeof moved);
}

static void read_row(const struct conf *conf, size_t section, struct up_secrets *secrets)
{
    struct up_preshared *row = &secrets->rows[secrets->count];
    const char *public_key = conf_get(conf, section, "PublicKey", NULL), *preshared = conf_get(conf, section, "PresharedKey", NULL);
    if (public_key && preshared && !key_parse(public_key, &row->public_key) && !key_parse(preshared, &row->preshared))
        secrets->count++;
}

struct up_secrets *up_secrets_of_file(const struct conf *conf)
{
    size_t sections = conf_section_count(conf);
    struct up_secrets *secrets = sodium_init() < 0 ? NULL : sodium_malloc((sizeof *secrets + (sections + 1) * sizeof *secrets->rows + 7) & ~(size_t)7);
    if (!secrets)
        return NULL;
    sodium_memzero(secrets, sizeof *secrets);
    for (size_t i = 0; i < sections; i++) {
        const char *kind, *private_key = conf_get(conf, i, "PrivateKey", NULL);
        conf_section(conf, i, &kind, NULL, NULL);
        if (!strcasecmp(kind, "Interface") && private_key)
            (void)key_parse(private_key, &secrets->private_key); /* wgquick_read has found it good */
        if (!strcasecmp(kind, "Peer"))
            read_row(conf, i, secrets);
    }
    sort_rows(secrets);
    return secrets;
}

const struct key *up_secrets_preshared(const struct up_secrets *secrets, const struct key *public_key)
{
    size_t low = 0, high = secrets->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = key_compare(&secrets->rows[middle].public_key, public_key);
        if (!order)
            return &secrets->rows[middle].preshared;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void up_secrets_free(struct up_secrets *secrets)
{
    sodium_free(secrets);
}
