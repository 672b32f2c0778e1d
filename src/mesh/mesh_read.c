/* The mesh file, section by section; what its keys mean is in mesh_keys.c and mesh_values.c, what must fit together in
 * mesh_check.c. */
#include "mesh_reading.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define RELAY_PORT_DEFAULT 51821 /* RELAY_PORT in wgdeck/relay.h */
#define RELAY_PORT_OTHER 51823   /* where the relay itself listens on 51821 */

int mesh_refuse(const struct mesh_reading *reading, size_t line, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    if (line)
        err_set(reading->err, "%s:%zu: %s", conf_file(reading->conf), line, buf_text(&text));
    else
        err_set(reading->err, "%s: %s", conf_file(reading->conf), buf_text(&text));
    buf_free(&text);
    return -1;
}

void mesh_warn(const struct mesh_reading *reading, size_t line, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    if (!reading->warnings)
        return;
    buf_add_format(&text, "%s:%zu: ", conf_file(reading->conf), line);
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    text_add_safe(reading->warnings, text.data, text.length);
    buf_add_char(reading->warnings, '\n');
    buf_free(&text);
}

static void warn_unknown_key(struct mesh_reading *reading, const char *section, const struct conf_entry *entry)
{
    if (strcasecmp(entry->key, "PrivateKey") == 0 || strcasecmp(entry->key, "PresharedKey") == 0) {
        mesh_warn(reading, entry->line, "%s: a mesh file holds no secret: remove this line, and make a new key for the node",
                  entry->key);
        return;
    }
    for (const char *const *other = mesh_sections; *other; other++)
        if (mesh_find_key(*other, entry->key) < mesh_key_count) {
            mesh_warn(reading, entry->line, "%s is a key of [%s], not of [%s]: it has no effect here", entry->key, *other, section);
            return;
        }
    const char **names = mem_alloc(mesh_key_count, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < mesh_key_count; i++)
        if (strcmp(mesh_keys[i].section, section) == 0)
            names[count++] = mesh_keys[i].name;
    const char *near = text_nearest(entry->key, names, count);
    if (near)
        mesh_warn(reading, entry->line, "unknown key %s: did you mean %s?", entry->key, near);
    else
        mesh_warn(reading, entry->line, "unknown key %s: it has no effect (wgdeck-mesh(5) lists the keys of [%s])", entry->key,
                  section);
    free(names);
}

/* One entry; seen[] has the line where each key stood already. */
static int read_entry(struct mesh_reading *reading, const struct conf_entry *entry, size_t *seen)
{
    const char *section = reading->node ? "Node" : reading->removed ? "Removed" : "Mesh";
    size_t key = mesh_find_key(section, entry->key);
    if (key == mesh_key_count) {
        warn_unknown_key(reading, section, entry);
        return 0;
    }
    if (seen[key] && !mesh_key_repeats[key])
        return mesh_refuse(reading, entry->line, "%s is given twice (first in line %zu): remove one of the two",
                           mesh_keys[key].name, seen[key]);
    seen[key] = entry->line;
    if (entry->value[0] == '\0')
        return mesh_refuse(reading, entry->line, "%s has no value: write %s = %s, or remove the line", mesh_keys[key].name,
                           mesh_keys[key].name, mesh_keys[key].values);
    return mesh_key_handlers[key](reading, entry);
}

static struct mesh_node *add_node(struct mesh_reading *reading, size_t section, const char *name, size_t line)
{
    struct mesh *mesh = reading->mesh;
    if (mesh->node_count == reading->node_section_capacity) {
        size_t capacity = reading->node_section_capacity ? reading->node_section_capacity * 2 : 8;
        mesh->nodes = mem_resize(mesh->nodes, capacity, sizeof *mesh->nodes);
        reading->node_sections = mem_resize(reading->node_sections, capacity, sizeof *reading->node_sections);
        reading->node_section_capacity = capacity;
    }
    struct mesh_node *node = &mesh->nodes[mesh->node_count];
    reading->node_sections[mesh->node_count++] = section;
    *node = (struct mesh_node){.name = mem_text(name), .line = line};
    return node;
}

static struct mesh_removed *add_removed(struct mesh *mesh, const char *name, size_t line)
{
    mesh->removed = mem_resize(mesh->removed, mesh->removed_count + 1, sizeof *mesh->removed);
    struct mesh_removed *removed = &mesh->removed[mesh->removed_count++];
    *removed = (struct mesh_removed){.name = mem_text(name), .line = line};
    return removed;
}

static void warn_unknown_section(struct mesh_reading *reading, const char *kind, const char *name, size_t line)
{
    const char *near = text_nearest(kind, mesh_sections, 3);
    const char *space = name[0] ? " " : "";
    if (near)
        mesh_warn(reading, line, "unknown section [%s%s%s]: did you mean [%s%s%s]?", kind, space, name, near, space, name);
    else
        mesh_warn(reading, line, "unknown section [%s%s%s]: it has no effect; a mesh file has [Mesh] and [Node NAME]", kind, space,
                  name);
}

/* Enter section INDEX: sets reading->node, or *skip where its entries have no meaning. */
static int begin_section(struct mesh_reading *reading, size_t index, bool *skip)
{
    const char *kind, *name;
    size_t line;
    conf_section(reading->conf, index, &kind, &name, &line);
    reading->node = NULL;
    reading->removed = NULL;
    reading->node_name = NULL;
    *skip = false;
    if (strcasecmp(kind, "Mesh") == 0) {
        if (reading->mesh_section != SIZE_MAX)
            return mesh_refuse(reading, line, "a second [Mesh] section: join the two");
        reading->mesh_section = index;
        if (name[0])
            mesh_warn(reading, line, "[Mesh %s]: the name has no effect here: write Name = %s below it", name, name);
    } else if (strcasecmp(kind, "Node") == 0 || strcasecmp(kind, "Removed") == 0) {
        const char *word = strcasecmp(kind, "Node") == 0 ? "Node" : "Removed";
        if (!text_is_name(name))
            return mesh_refuse(reading, line, "[%s%s%s] has no good name: write [%s NAME] with letters, digits, '.', '_' or "
                               "'-', at most 63", word, name[0] ? " " : "", name, word);
        if (word[0] == 'N')
            reading->node = add_node(reading, index, name, line);
        else
            reading->removed = add_removed(reading->mesh, name, line);
        reading->node_name = reading->node ? reading->node->name : reading->removed->name;
    } else {
        *skip = true;
        warn_unknown_section(reading, kind, name, line);
    }
    return 0;
}

static int read_sections(struct mesh_reading *reading)
{
    size_t sections = conf_section_count(reading->conf), cursor = 0;
    size_t *seen = mem_alloc(mesh_key_count, sizeof *seen);
    struct conf_entry entry;
    bool more = conf_next(reading->conf, &cursor, &entry), skip = false;
    int result = 0;
    if (more && entry.section_index == SIZE_MAX)
        result = mesh_refuse(reading, entry.line, "%s stands before any section: write [Mesh] above it", entry.key);
    for (size_t index = 0; result == 0 && index < sections; index++) {
        result = begin_section(reading, index, &skip);
        memset(seen, 0, mesh_key_count * sizeof *seen);
        for (; result == 0 && more && entry.section_index == index;) {
            if (!skip)
                result = read_entry(reading, &entry, seen);
            more = conf_next(reading->conf, &cursor, &entry);
        }
    }
    free(seen);
    return result;
}

static int no_mesh_section(struct mesh_reading *reading)
{
    if (conf_find(reading->conf, "Interface", NULL, 0) != SIZE_MAX)
        return mesh_refuse(reading, 0, "a file of wg-quick, no mesh file: 'wgdeck adopt HOST...' writes a mesh file for an existing "
                           "mesh");
    return mesh_refuse(reading, 0, "no [Mesh] section: write one with at least Network = 10.44.0.0/24");
}

/* What a node or the mesh does not say. */
static void fill_defaults(struct mesh *mesh)
{
    if (!mesh->name)
        mesh->name = mem_text("mesh");
    if (!mesh->interface)
        mesh->interface = mem_text("wg0");
    if (!mesh->listen_port)
        mesh->listen_port = 51820;
    for (size_t i = 0; i < mesh->node_count; i++) {
        struct mesh_node *node = &mesh->nodes[i];
        if (!node->interface)
            node->interface = mem_text(mesh->interface);
        if (!node->listen_port)
            node->listen_port = mesh->listen_port;
        if (node->endpoint_host && !node->endpoint_port)
            node->endpoint_port = node->listen_port;
        if (node->endpoint.address.family)
            node->endpoint.port = node->endpoint_port;
    }
    size_t relay = mesh->relay_port ? SIZE_MAX : mesh_relay(mesh);
    if (!mesh->relay_port)
        mesh->relay_port = relay != SIZE_MAX && mesh->nodes[relay].listen_port == RELAY_PORT_DEFAULT ? RELAY_PORT_OTHER : RELAY_PORT_DEFAULT;
}

struct mesh *mesh_read(const struct conf *conf, struct buf *warnings, struct err *err)
{
    struct mesh_reading reading = {.conf = conf, .warnings = warnings, .err = err, .mesh_section = SIZE_MAX};
    struct mesh *mesh = reading.mesh = mem_alloc(1, sizeof *mesh);
    mesh->from_file = true;
    int result = read_sections(&reading);
    if (result == 0 && reading.mesh_section == SIZE_MAX)
        result = no_mesh_section(&reading);
    if (result == 0) {
        fill_defaults(mesh);
        result = mesh_check(&reading);
    }
    free(reading.node_sections);
    if (result == 0)
        return mesh;
    mesh_free(mesh);
    return NULL;
}
