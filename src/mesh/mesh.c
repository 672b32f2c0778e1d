/* The mesh as a value: freed, searched, and made from a list of SSH targets when there is no file. */
#include "mesh_reading.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static void free_node(struct mesh_node *node)
{
    free(node->name);
    free(node->ssh);
    free(node->addresses);
    free(node->endpoint_host);
    free(node->host_key);
    free(node->group);
    free(node->allowed);
    free(node->interface);
    free(node->jump);
    free(node->former_keys);
}

static void free_removed(struct mesh_removed *removed)
{
    free(removed->name);
    free(removed->addresses);
    free(removed->keys);
    free(removed->date);
}

void mesh_free(struct mesh *mesh)
{
    if (!mesh)
        return;
    for (size_t i = 0; i < mesh->node_count; i++)
        free_node(&mesh->nodes[i]);
    for (size_t i = 0; i < mesh->removed_count; i++)
        free_removed(&mesh->removed[i]);
    free(mesh->nodes);
    free(mesh->removed);
    free(mesh->name);
    free(mesh->interface);
    free(mesh->networks);
    free(mesh->relay_networks);
    free(mesh->reserved);
    free(mesh);
}

size_t mesh_find_node(const struct mesh *mesh, const char *name)
{
    for (size_t i = 0; i < mesh->node_count; i++)
        if (strcmp(mesh->nodes[i].name, name) == 0)
            return i;
    return SIZE_MAX;
}

size_t mesh_jumps(const struct mesh *mesh, size_t node, size_t *hops, size_t most)
{
    size_t count = 0;
    for (size_t at = node; mesh->nodes[at].jump && count < most; count++) {
        at = mesh_find_node(mesh, mesh->nodes[at].jump);
        if (at == SIZE_MAX)
            break;
        memmove(&hops[1], hops, count * sizeof *hops);
        hops[0] = at;
    }
    return count;
}

char *mesh_jump_text(const struct mesh *mesh, size_t node)
{
    size_t hops[MESH_JUMPS_MOST], count = mesh_jumps(mesh, node, hops, MESH_JUMPS_MOST);
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < count; i++)
        buf_add_format(&text, "%s%s", i ? "," : "", mesh->nodes[hops[i]].ssh);
    return count ? buf_take(&text) : NULL;
}

/* Where the parts of "ssh://user@host:port/" or "user@[host]:port" begin and end. */
struct target_parts {
    const char *host;
    size_t host_length;
    const char *port; /* NULL: none */
    size_t port_length;
};

static struct target_parts take_apart(const char *target)
{
    static const char scheme[] = "ssh://";
    const char *start = strncmp(target, scheme, strlen(scheme)) == 0 ? target + strlen(scheme) : target;
    size_t length = strlen(start);
    if (start != target && length && start[length - 1] == '/')
        length--;
    for (size_t i = length; i-- > 0;)
        if (start[i] == '@') {
            start += i + 1;
            length -= i + 1;
            break;
        }
    struct target_parts parts = {.host = start, .host_length = length};
    const char *end = start + length, *colon = memchr(start, ':', length);
    if (length && start[0] == '[') {
        const char *bracket = memchr(start, ']', length);
        if (bracket) {
            parts = (struct target_parts){.host = start + 1, .host_length = (size_t)(bracket - start - 1)};
            colon = bracket + 1 < end && bracket[1] == ':' ? bracket + 1 : NULL;
        }
    } else if (colon && memchr(colon + 1, ':', (size_t)(end - colon - 1))) {
        colon = NULL; /* a bare IPv6 address */
    } else if (colon) {
        parts.host_length = (size_t)(colon - start);
    }
    if (colon) {
        parts.port = colon + 1;
        parts.port_length = (size_t)(end - parts.port);
    }
    return parts;
}

/* ssh takes what begins with '-' for an option, and its configuration can hand host and user to a shell (ProxyCommand %h). */
const char *mesh_target_fault(const char *target)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@:%+=/[]\\";
    if (target[0] == '\0')
        return "is empty";
    if (strlen(target) > 255)
        return "is longer than 255 bytes";
    if (target[0] == '-')
        return "begins with '-'";
    if (target[strspn(target, good)] != '\0')
        return "has a character that no user or host name has";
    struct target_parts parts = take_apart(target);
    if (parts.host_length == 0)
        return "names no host";
    if (parts.host[0] == '-')
        return "has a host that begins with '-'";
    if (parts.port) {
        char *port = mem_text_part(parts.port, parts.port_length);
        unsigned long long number = 0;
        bool fits = text_to_number(port, 65535, &number) == 0 && number > 0;
        free(port);
        return fits ? NULL : "has a port that is not from 1 to 65535";
    }
    return NULL;
}

enum name_form { NAME_HOST, NAME_HOST_AND_PORT, NAME_TARGET, NAME_FORMS };

static char *target_name(const char *target, enum name_form form)
{
    struct target_parts parts = take_apart(target);
    if (form == NAME_TARGET || (form == NAME_HOST_AND_PORT && !parts.port))
        return mem_text(target);
    if (form == NAME_HOST)
        return mem_text_part(parts.host, parts.host_length);
    const char *close = memchr(parts.host, ':', parts.host_length) ? "]" : "";
    return mem_format("%s%.*s%s:%.*s", close[0] ? "[" : "", (int)parts.host_length, parts.host, close, (int)parts.port_length,
                      parts.port);
}

static int compare_node_names(const void *a, const void *b)
{
    const struct mesh_node *one = *(const struct mesh_node *const *)a, *two = *(const struct mesh_node *const *)b;
    return strcmp(one->name, two->name);
}

/* Give the nodes whose names are not unique the next longer FORM. Returns whether there are any. */
static bool lengthen_names(struct mesh *mesh, enum name_form form)
{
    struct mesh_node **sorted = mem_alloc(mesh->node_count, sizeof *sorted);
    bool *twice = mem_alloc(mesh->node_count, sizeof *twice), any = false;
    for (size_t i = 0; i < mesh->node_count; i++)
        sorted[i] = &mesh->nodes[i];
    qsort(sorted, mesh->node_count, sizeof *sorted, compare_node_names);
    for (size_t i = 1; i < mesh->node_count; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            any = twice[i - 1] = twice[i] = true;
    for (size_t i = 0; form < NAME_FORMS && i < mesh->node_count; i++) {
        if (!twice[i])
            continue;
        free(sorted[i]->name);
        sorted[i]->name = target_name(sorted[i]->ssh, form);
    }
    free(sorted);
    free(twice);
    return any;
}

struct mesh *mesh_from_targets(const char *const *targets, size_t count, struct err *err)
{
    struct mesh *mesh = mem_alloc(1, sizeof *mesh);
    mesh->name = mem_text("mesh");
    mesh->nodes = mem_alloc(count, sizeof *mesh->nodes);
    for (size_t i = 0; i < count; i++) {
        const char *fault = mesh_target_fault(targets[i]);
        if (fault) {
            err_set(err, "'%s' %s: write [USER@]HOST[:PORT] or an alias of ~/.ssh/config", targets[i], fault);
            mesh_free(mesh);
            return NULL;
        }
        struct mesh_node *node = &mesh->nodes[mesh->node_count++];
        node->ssh = mem_text(targets[i]);
        node->name = target_name(targets[i], NAME_HOST);
    }
    if (!lengthen_names(mesh, NAME_HOST_AND_PORT) || !lengthen_names(mesh, NAME_TARGET) || !lengthen_names(mesh, NAME_FORMS))
        return mesh;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(mesh->nodes[i].name, mesh->nodes[j].name) == 0) {
                err_set(err, "'%s' is given twice: name each host once", targets[i]);
                mesh_free(mesh);
                return NULL;
            }
    return mesh;
}
