/* deck.conf: a table of its keys, from which reading and the manual come. */
#include "config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "view.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wgdeck/tui.h"

enum { CONFIG_LIMIT = 1 << 20 };

enum value_kind { VALUE_TEXT, VALUE_BOOL, VALUE_SECONDS, VALUE_SCREEN };
enum owner { OWNER_DECK, OWNER_LIST, OWNER_MESH };

static const struct config_key {
    enum owner owner;
    const char *name, *values;
    enum value_kind kind;
    size_t offset;
    const char *help;
} config_keys[] = {
    {OWNER_DECK, "Theme", "name", VALUE_TEXT, offsetof(struct config, theme), "the theme: one that comes with wgdeck, a file in the folder themes beside deck.conf, or a path"},
    {OWNER_DECK, "Screen", "name", VALUE_SCREEN, offsetof(struct config, screen), "the screen to begin with"},
    {OWNER_DECK, "Interval", "seconds", VALUE_SECONDS, offsetof(struct config, interval), "time between two looks, 0.5 to 3600; 2 by default"},
    {OWNER_DECK, "Ascii", "yes | no", VALUE_BOOL, offsetof(struct config, ascii), "yes: nothing beyond ASCII is drawn"},
    {OWNER_DECK, "Mouse", "yes | no", VALUE_BOOL, offsetof(struct config, mouse), "no: the mouse is left to the terminal, for selecting text"},
    {OWNER_DECK, "ReadOnly", "yes | no", VALUE_BOOL, offsetof(struct config, read_only), "yes: nothing that can change a node is offered, and no shell"},
    {OWNER_DECK, "Privacy", "yes | no", VALUE_BOOL, offsetof(struct config, privacy), "yes: begin with names, addresses and keys hidden"},
    {OWNER_LIST, "Columns", "name, ...", VALUE_TEXT, offsetof(struct config_list, columns), "the columns to show, in this order; in the section of a screen that is a list, such as [Links]"},
    {OWNER_LIST, "Sort", "name", VALUE_TEXT, offsetof(struct config_list, sort), "the column to sort by, there"},
    {OWNER_MESH, "Theme", "name", VALUE_TEXT, offsetof(struct config_mesh, theme), "the theme for the mesh of this name, stronger than the one of [Deck]; in a section [Mesh NAME]"},
    {OWNER_MESH, "ReadOnly", "yes | no", VALUE_BOOL, offsetof(struct config_mesh, read_only), "read-only for this mesh"},
};

size_t tui_config_rows(struct tui_named *rows, size_t most)
{
    static const char *const sections[] = {[OWNER_DECK] = "[Deck]", [OWNER_LIST] = "[Links]", [OWNER_MESH] = "[Mesh NAME]"};
    static char names[COUNT_OF(config_keys)][64];
    for (size_t i = 0; i < COUNT_OF(config_keys) && i < most; i++) {
        snprintf(names[i], sizeof names[i], "%s %s = %s", sections[config_keys[i].owner], config_keys[i].name, config_keys[i].values);
        rows[i] = (struct tui_named){names[i], config_keys[i].help};
    }
    return COUNT_OF(config_keys);
}

static void warn(struct buf *warnings, const struct conf *conf, size_t line, const char *format, ...) __attribute__((format(printf, 4, 5)));
static void warn(struct buf *warnings, const struct conf *conf, size_t line, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    buf_add_format(&text, "%s:%zu: ", conf_file(conf), line);
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    text_add_safe(warnings, buf_text(&text), text.length);
    buf_add_char(warnings, '\n');
    buf_free(&text);
}

static bool is_yes(const char *value)
{
    return !strcasecmp(value, "yes") || !strcasecmp(value, "true") || !strcasecmp(value, "on") || !strcmp(value, "1");
}

static bool is_no(const char *value)
{
    return !strcasecmp(value, "no") || !strcasecmp(value, "false") || !strcasecmp(value, "off") || !strcmp(value, "0");
}

static void take_seconds(const struct conf *conf, const struct conf_entry *entry, double *seconds, struct buf *warnings)
{
    char *end = NULL;
    double value = strtod(entry->value, &end);
    if (strspn(entry->value, "0123456789.") != strlen(entry->value) || end == entry->value || *end || !(value >= 0.5 && value <= 3600))
        warn(warnings, conf, entry->line, "%s = %s: wants seconds from 0.5 to 3600", entry->key, entry->value);
    else
        *seconds = value;
}

static void take_screen(const struct conf *conf, const struct conf_entry *entry, char **screen, struct buf *warnings)
{
    const char *names[32];
    size_t count = 0;
    for (size_t i = 0; views[i] && count < COUNT_OF(names); i++)
        names[count++] = views[i]->name;
    const struct view_ops *ops = view_find(entry->value);
    const char *near = ops ? NULL : text_nearest(entry->value, names, count);
    if (!ops) {
        warn(warnings, conf, entry->line, "no screen \"%s\"%s%s%s", entry->value, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
        return;
    }
    free(*screen);
    *screen = mem_text(ops->name);
}

static void take_value(const struct conf *conf, const struct conf_entry *entry, const struct config_key *key, void *owner, struct buf *warnings)
{
    char *place = (char *)owner + key->offset;
    char **text = (char **)(void *)place;
    switch (key->kind) {
    case VALUE_TEXT:
        free(*text);
        *text = mem_text(entry->value);
        break;
    case VALUE_BOOL:
        if (is_yes(entry->value) || is_no(entry->value))
            *(enum config_bool *)(void *)place = is_yes(entry->value) ? CONFIG_YES : CONFIG_NO;
        else
            warn(warnings, conf, entry->line, "%s = %s: write yes or no", entry->key, entry->value);
        break;
    case VALUE_SECONDS:
        take_seconds(conf, entry, (double *)(void *)place, warnings);
        break;
    case VALUE_SCREEN:
        take_screen(conf, entry, text, warnings);
        break;
    }
}

static void *list_for(struct config *config, const char *screen)
{
    for (size_t i = 0; i < config->list_count; i++)
        if (!strcasecmp(config->lists[i].screen, screen))
            return &config->lists[i];
    MEM_GROW(config->lists, config->list_count, config->list_capacity);
    config->lists[config->list_count] = (struct config_list){.screen = mem_text(screen)};
    return &config->lists[config->list_count++];
}

static void *mesh_for(struct config *config, const char *name)
{
    for (size_t i = 0; i < config->mesh_count; i++)
        if (!strcmp(config->meshes[i].name, name))
            return &config->meshes[i];
    MEM_GROW(config->meshes, config->mesh_count, config->mesh_capacity);
    config->meshes[config->mesh_count] = (struct config_mesh){.name = mem_text(name)};
    return &config->meshes[config->mesh_count++];
}

static const char *nearest_section(const char *word)
{
    const char *names[40] = {"Deck", "Keys", "Mesh"};
    size_t count = 3;
    for (size_t i = 0; views[i] && count < COUNT_OF(names); i++)
        names[count++] = views[i]->title;
    return text_nearest(word, names, count);
}

/* False, with a warning, when the section is unknown. */
static bool owner_of(struct config *config, const struct conf *conf, const struct conf_entry *entry, enum owner *owner, void **values, struct buf *warnings)
{
    if (!strcasecmp(entry->section, "Deck")) {
        *owner = OWNER_DECK;
        *values = config;
        return true;
    }
    if (!strcasecmp(entry->section, "Mesh") && *entry->section_name) {
        *owner = OWNER_MESH;
        *values = mesh_for(config, entry->section_name);
        return true;
    }
    if (view_find(entry->section)) {
        *owner = OWNER_LIST;
        *values = list_for(config, view_find(entry->section)->name);
        return true;
    }
    const char *near = nearest_section(entry->section);
    if (!*entry->section)
        warn(warnings, conf, entry->line, "%s stands in no section (write [Deck] above it)", entry->key);
    else if (!strcasecmp(entry->section, "Mesh"))
        warn(warnings, conf, entry->line, "[Mesh] needs a name, as in [Mesh prod]");
    else
        warn(warnings, conf, entry->line, "unknown section [%s]%s%s%s", entry->section, near ? ": did you mean [" : "", near ? near : "", near ? "]?" : "");
    return false;
}

static void take_entry(struct config *config, const struct conf *conf, const struct conf_entry *entry, struct buf *warnings)
{
    enum owner owner;
    void *values;
    const char *names[COUNT_OF(config_keys)];
    size_t count = 0;
    if (!owner_of(config, conf, entry, &owner, &values, warnings))
        return;
    for (size_t i = 0; i < COUNT_OF(config_keys); i++) {
        if (config_keys[i].owner != owner)
            continue;
        if (!strcasecmp(config_keys[i].name, entry->key)) {
            take_value(conf, entry, &config_keys[i], values, warnings);
            return;
        }
        names[count++] = config_keys[i].name;
    }
    const char *near = text_nearest(entry->key, names, count);
    warn(warnings, conf, entry->line, "unknown key %s in [%s]%s%s%s", entry->key, entry->section, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
}

void config_read(struct config *config, const struct conf *conf, struct buf *warnings)
{
    struct conf_entry entry;
    for (size_t cursor = 0; conf_next(conf, &cursor, &entry);)
        if (strcasecmp(entry.section, "Keys"))
            take_entry(config, conf, &entry, warnings);
}

void config_free(struct config *config)
{
    free(config->theme);
    free(config->screen);
    for (size_t i = 0; i < config->list_count; i++) {
        free(config->lists[i].screen);
        free(config->lists[i].columns);
        free(config->lists[i].sort);
    }
    for (size_t i = 0; i < config->mesh_count; i++) {
        free(config->meshes[i].name);
        free(config->meshes[i].theme);
    }
    free(config->lists);
    free(config->meshes);
    *config = (struct config){0};
}

const struct config_list *config_list_of(const struct config *config, const char *screen)
{
    for (size_t i = 0; i < config->list_count; i++)
        if (!strcasecmp(config->lists[i].screen, screen))
            return &config->lists[i];
    return NULL;
}

const struct config_mesh *config_mesh_of(const struct config *config, const char *mesh)
{
    for (size_t i = 0; mesh && i < config->mesh_count; i++)
        if (!strcmp(config->meshes[i].name, mesh))
            return &config->meshes[i];
    return NULL;
}

static char *default_path(void)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (base && *base)
        return mem_format("%s/wgdeck/deck.conf", base);
    return home && *home ? mem_format("%s/.config/wgdeck/deck.conf", home) : NULL;
}

struct conf *config_open(const char *path, struct buf *warnings)
{
    struct err err;
    struct buf bytes = BUF_EMPTY;
    struct conf *conf = NULL;
    char *found = path ? mem_text(path) : default_path();
    if (found && (path || !access(found, F_OK))) {
        if (!file_read(found, CONFIG_LIMIT, &bytes, &err))
            conf = conf_parse(found, buf_text(&bytes), bytes.length, &err);
        if (!conf)
            buf_add_format(warnings, "%s\n", err.text);
    }
    buf_free(&bytes);
    free(found);
    return conf;
}
