/* Changes of a mesh file. They are tried on a copy of the document, which must read as a mesh after them; only then on the document itself, where
 * the same steps cannot fail. */
#include "wgdeck/mesh_edit.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mesh_reading.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

void mesh_edits_add(struct mesh_edits *edits, enum mesh_edit_kind kind, const char *node, const char *key, const char *value)
{
    MEM_GROW(edits->edits, edits->count, edits->capacity);
    edits->edits[edits->count++] = (struct mesh_edit){kind, mem_text(node), mem_text(key), mem_text(value)};
}

void mesh_edits_free(struct mesh_edits *edits)
{
    for (size_t i = 0; i < edits->count; i++) {
        free(edits->edits[i].node);
        free(edits->edits[i].key);
        free(edits->edits[i].value);
    }
    free(edits->edits);
    *edits = (struct mesh_edits){0};
}

/* ---- what may be written ------------------------------------------------------------------------------------------ */

static const char *section_of(const struct mesh_edit *edit)
{
    return edit->kind == MESH_EDIT_REMOVE_NODE ? "Removed" : edit->node ? "Node" : "Mesh";
}

static int check_name(const struct conf *conf, const char *name, struct err *err)
{
    if (name && text_is_name(name))
        return 0;
    return err_set(err, "%s: '%s' is no name for a node: write letters, digits, '.', '_' or '-', at most 63", conf_file(conf), name ? name : "");
}

static int unknown_key(const struct conf *conf, const char *section, const char *key, struct err *err)
{
    const char **names = mem_alloc(mesh_key_count, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < mesh_key_count; i++)
        if (strcmp(mesh_keys[i].section, section) == 0)
            names[count++] = mesh_keys[i].name;
    const char *near = text_nearest(key, names, count), *other = NULL;
    for (const char *const *s = mesh_sections; *s; s++)
        if (mesh_find_key(*s, key) < mesh_key_count)
            other = *s;
    free(names);
    if (other)
        return err_set(err, "%s: %s is a key of [%s], not of [%s]: wgdeck-mesh(5) lists the keys of both", conf_file(conf), key, other, section);
    if (near)
        return err_set(err, "%s: unknown key %s: did you mean %s?", conf_file(conf), key, near);
    return err_set(err, "%s: unknown key %s: wgdeck-mesh(5) lists the keys of [%s]", conf_file(conf), key, section);
}

/* VALUE of key INDEX is given to the reader of mesh files, which says what is wrong with it. */
static int check_value(const struct conf *conf, const struct mesh_edit *edit, size_t index, const char *value, struct err *err)
{
    char *where = edit->node ? mem_format("%s: node %s", conf_file(conf), edit->node) : mem_text(conf_file(conf));
    const char *key = mesh_keys[index].name;
    if (!text_is_safe(value, strlen(value)) || value[0] == '\0') {
        err_set(err, "%s: the value of %s %s: write %s = %s", where, key, value[0] ? "has a character that cannot be seen" : "is empty", key, mesh_keys[index].values);
        free(where);
        return -1;
    }
    struct mesh *mesh = mem_alloc(1, sizeof *mesh);
    mesh->nodes = mem_alloc(1, sizeof *mesh->nodes);
    mesh->removed = mem_alloc(1, sizeof *mesh->removed);
    mesh->node_count = mesh->removed_count = 1;
    bool node = strcmp(mesh_keys[index].section, "Node") == 0, removed = strcmp(mesh_keys[index].section, "Removed") == 0;
    mesh->nodes[0].name = mem_text(edit->node);
    mesh->removed[0].name = mem_text(edit->node);
    struct conf *named = conf_new(where);
    struct mesh_reading reading = {
        .conf = named, .mesh = mesh, .node = node ? &mesh->nodes[0] : NULL, .removed = removed ? &mesh->removed[0] : NULL, .node_name = edit->node, .err = err,
    };
    struct conf_entry entry = {.section = mesh_keys[index].section, .section_name = edit->node ? edit->node : "", .key = key, .value = value};
    int result = mesh_key_handlers[index](&reading, &entry);
    conf_free(named);
    mesh_free(mesh);
    free(where);
    return result;
}

/* ---- the single changes -------------------------------------------------------------------------------------------- */

static int no_such_node(const struct conf *conf, const char *name, struct err *err)
{
    size_t sections = conf_section_count(conf), count = 0;
    const char **names = mem_alloc(sections, sizeof *names);
    for (size_t i = 0; i < sections; i++) {
        const char *kind, *node;
        conf_section(conf, i, &kind, &node, NULL);
        if (strcasecmp(kind, "Node") == 0)
            names[count++] = node;
    }
    const char *near = text_nearest(name, names, count);
    err_set(err, "%s: no node %s%s%s%s", conf_file(conf), name, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
    free(names);
    return -1;
}

static int add_node(const struct mesh_edit *edit, struct conf *conf, struct err *err)
{
    if (check_name(conf, edit->node, err) != 0)
        return -1;
    for (size_t i = 0; i < conf_section_count(conf); i++) {
        const char *kind, *name;
        size_t line;
        conf_section(conf, i, &kind, &name, &line);
        if (strcasecmp(kind, "Node") == 0 && strcasecmp(name, edit->node) == 0)
            return err_set(err, "%s:%zu: there is a node %s already: choose another name", conf_file(conf), line, name);
    }
    if (conf_add_section(conf, "Node", edit->node) == SIZE_MAX)
        return err_set(err, "%s: no section can be added for %s", conf_file(conf), edit->node);
    return 0;
}

/* The section that EDIT is about; -1 with err when there is none. */
static int find_section(const struct mesh_edit *edit, const struct conf *conf, size_t *section, struct err *err)
{
    *section = conf_find(conf, edit->node ? "Node" : "Mesh", edit->node, 0);
    if (*section != SIZE_MAX)
        return 0;
    return edit->node ? no_such_node(conf, edit->node, err) : err_set(err, "%s: no [Mesh] section: write one with at least Network = 10.44.0.0/24", conf_file(conf));
}

/* Is VALUE one of those that the section's lines of KEY list? */
static bool lists(const struct conf *conf, size_t section, const char *key, const char *value)
{
    struct conf_entry entry;
    size_t length = strlen(value);
    for (size_t cursor = 0; conf_next(conf, &cursor, &entry);) {
        if (entry.section_index != section || strcasecmp(entry.key, key) != 0)
            continue;
        for (const char *part = entry.value; part; part = strchr(part, ',') ? strchr(part, ',') + 1 : NULL) {
            part += strspn(part, " \t");
            size_t end = strcspn(part, ",");
            while (end && strchr(" \t", part[end - 1]))
                end--;
            if (end == length && memcmp(part, value, length) == 0)
                return true;
        }
    }
    return false;
}

/* A node goes back to a key that it had before (a rotation was put back): that one is no former key any more, and the one that it leaves is. */
static int take_back_key(const struct mesh_edit *edit, struct conf *conf, size_t section, struct err *err)
{
    struct mesh_edits former = {0};
    struct conf_entry entry;
    const char *present = conf_get(conf, section, "PublicKey", NULL);
    for (size_t cursor = 0; conf_next(conf, &cursor, &entry);)
        if (entry.section_index == section && strcasecmp(entry.key, "FormerKey") == 0 && strcmp(entry.value, edit->value) != 0)
            mesh_edits_add(&former, MESH_EDIT_ADD_VALUE, edit->node, "FormerKey", entry.value);
    if (present && strcmp(present, edit->value) != 0)
        mesh_edits_add(&former, MESH_EDIT_ADD_VALUE, edit->node, "FormerKey", present);
    int result = conf_set(conf, section, "FormerKey", NULL, err);
    for (size_t i = 0; result == 0 && i < former.count; i++)
        result = lists(conf, section, "FormerKey", former.edits[i].value) ? 0 : conf_add(conf, section, "FormerKey", former.edits[i].value, err);
    mesh_edits_free(&former);
    return result;
}

static bool goes_back(const struct mesh_edit *edit, const struct conf *conf, size_t section, const char *key)
{
    return edit->kind == MESH_EDIT_SET && edit->node && edit->value && strcmp(key, "PublicKey") == 0 && lists(conf, section, "FormerKey", edit->value);
}

static int set_value(const struct mesh_edit *edit, struct conf *conf, struct err *err)
{
    size_t section, key = mesh_find_key(section_of(edit), edit->key ? edit->key : "");
    if ((edit->node && check_name(conf, edit->node, err) != 0) || find_section(edit, conf, &section, err) != 0)
        return -1;
    if (key == mesh_key_count)
        return unknown_key(conf, section_of(edit), edit->key ? edit->key : "", err);
    const char *name = mesh_keys[key].name;
    if (edit->value && check_value(conf, edit, key, edit->value, err) != 0)
        return -1;
    if (goes_back(edit, conf, section, name) && take_back_key(edit, conf, section, err) != 0)
        return -1;
    if (edit->kind == MESH_EDIT_SET)
        return conf_set(conf, section, name, edit->value, err);
    if (!edit->value)
        return err_set(err, "%s: no value for %s: write %s = %s", conf_file(conf), name, name, mesh_keys[key].values);
    if (!mesh_key_repeats[key])
        return err_set(err, "%s: %s has one value only: set it, nothing can be added to it", conf_file(conf), name);
    return lists(conf, section, name, edit->value) ? 0 : conf_add(conf, section, name, edit->value, err);
}

/* ---- a node is taken out -------------------------------------------------------------------------------------------- */

struct remains {
    char **addresses, **keys; /* each once; the first key is the last one that it had */
    size_t address_count, address_capacity, key_count, key_capacity;
};

static void keep(char ***texts, size_t *count, size_t *capacity, const char *text, size_t length)
{
    for (size_t i = 0; i < *count; i++)
        if (strlen((*texts)[i]) == length && memcmp((*texts)[i], text, length) == 0)
            return;
    MEM_GROW(*texts, *count, *capacity);
    (*texts)[(*count)++] = mem_text_part(text, length);
}

static void keep_addresses(struct remains *remains, const char *list)
{
    while (*list) {
        list += strspn(list, ", \t");
        size_t length = strcspn(list, ", \t");
        if (length)
            keep(&remains->addresses, &remains->address_count, &remains->address_capacity, list, length);
        list += length;
    }
}

static void keep_section(struct remains *remains, const struct conf *conf, size_t section)
{
    struct conf_entry entry;
    const char *key = conf_get(conf, section, "PublicKey", NULL);
    if (key)
        keep(&remains->keys, &remains->key_count, &remains->key_capacity, key, strlen(key));
    for (size_t cursor = 0; conf_next(conf, &cursor, &entry);) {
        if (entry.section_index != section)
            continue;
        if (strcasecmp(entry.key, "FormerKey") == 0)
            keep(&remains->keys, &remains->key_count, &remains->key_capacity, entry.value, strlen(entry.value));
        if (strcasecmp(entry.key, "Address") == 0)
            keep_addresses(remains, entry.value);
    }
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static int write_remains(const struct remains *remains, const char *name, const char *date, struct conf *conf, struct err *err)
{
    struct buf list = BUF_EMPTY;
    size_t section = conf_add_section(conf, "Removed", name);
    int result = section == SIZE_MAX ? err_set(err, "%s: no section can be added for %s", conf_file(conf), name) : 0;
    for (size_t i = 0; i < remains->address_count; i++)
        buf_add_format(&list, "%s%s", i ? ", " : "", remains->addresses[i]);
    if (result == 0 && list.length)
        result = conf_set(conf, section, "Address", buf_text(&list), err);
    for (size_t i = 0; result == 0 && i < remains->key_count; i++)
        result = conf_add(conf, section, i ? "FormerKey" : "PublicKey", remains->keys[i], err);
    if (result == 0 && date)
        result = conf_set(conf, section, "Date", date, err);
    buf_free(&list);
    return result;
}

/* A node of that name may have been taken out before: its keys are still to go. */
static int remove_node(const struct mesh_edit *edit, struct conf *conf, struct err *err)
{
    if (check_name(conf, edit->node, err) != 0)
        return -1;
    size_t section = conf_find(conf, "Node", edit->node, 0), earlier = conf_find(conf, "Removed", edit->node, 0);
    if (section == SIZE_MAX)
        return earlier == SIZE_MAX ? no_such_node(conf, edit->node, err) : 0;
    if (edit->value && check_value(conf, edit, mesh_find_key("Removed", "Date"), edit->value, err) != 0)
        return -1;
    struct remains remains = {0};
    keep_section(&remains, conf, section);
    conf_remove_section(conf, section);
    while ((earlier = conf_find(conf, "Removed", edit->node, 0)) != SIZE_MAX) {
        keep_section(&remains, conf, earlier);
        conf_remove_section(conf, earlier);
    }
    int result = write_remains(&remains, edit->node, edit->value, conf, err);
    free_texts(remains.addresses, remains.address_count);
    free_texts(remains.keys, remains.key_count);
    return result;
}

static int forget(const struct mesh_edit *edit, struct conf *conf, struct err *err)
{
    size_t section;
    if (check_name(conf, edit->node, err) != 0)
        return -1;
    while ((section = conf_find(conf, "Removed", edit->node, 0)) != SIZE_MAX)
        conf_remove_section(conf, section);
    return 0;
}

/* ---- all of them ------------------------------------------------------------------------------------------------------ */

typedef int edit_handler(const struct mesh_edit *edit, struct conf *conf, struct err *err);
static edit_handler *const handlers[] = {
    [MESH_EDIT_ADD_NODE] = add_node,    [MESH_EDIT_REMOVE_NODE] = remove_node, [MESH_EDIT_SET] = set_value,
    [MESH_EDIT_ADD_VALUE] = set_value,  [MESH_EDIT_FORGET] = forget,
};

static int do_each(const struct mesh_edits *edits, struct conf *conf, struct err *err)
{
    for (size_t i = 0; i < edits->count; i++)
        if (handlers[edits->edits[i].kind](&edits->edits[i], conf, err) != 0)
            return -1;
    return 0;
}

int mesh_edits_do(const struct mesh_edits *edits, struct conf *conf, struct err *err)
{
    struct buf bytes = BUF_EMPTY;
    conf_write(conf, &bytes);
    struct conf *trial = conf_parse(conf_file(conf), buf_text(&bytes), bytes.length, err);
    int result = trial ? do_each(edits, trial, err) : -1;
    if (result == 0) {
        struct mesh *mesh = mesh_read(trial, NULL, err);
        if (!mesh)
            result = err_prefix(err, "with this change");
        mesh_free(mesh);
    }
    conf_free(trial);
    buf_free(&bytes);
    return result == 0 ? do_each(edits, conf, err) : -1;
}
