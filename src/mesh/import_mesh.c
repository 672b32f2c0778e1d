/* Importing: files are taken for what their nodes would show, and from there on it is adopting. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "import_parts.h"
#include "wgdeck/adopt.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* A key that stands in rows, and has no file of its own. */
struct orphan {
    struct key key;
    size_t holder;      /* the first file that has a row for it */
    size_t holders;
    struct prefix *addresses;
    size_t address_count, address_capacity;
};

struct importing {
    struct import *import;
    struct mesh targets;
    struct observed *seen;
    struct buf *notes;
    struct orphan *orphans;
    size_t orphan_count, orphan_capacity;
};

/* Names */

static const char *base_of(const char *path, size_t *length)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    *length = dot && dot != base ? (size_t)(dot - base) : strlen(base);
    return base;
}

static bool is_interface_name(const char *base, size_t length)
{
    size_t letters = strcspn(base, "0123456789");
    return letters == 2 && !strncasecmp(base, "wg", 2) && letters < length && strspn(base + letters, "0123456789") >= length - letters;
}

static bool same_base(const char *a, size_t length, const char *b)
{
    size_t other;
    const char *base = base_of(b, &other);
    return length == other && !strncmp(a, base, length);
}

/* Is the file called as an interface ("wg0.conf", or the same in each of many folders), and not as a node? */
static bool called_as_interface(const struct import *import, size_t index)
{
    size_t length;
    const char *base = base_of(import->files[index].path, &length);
    if (is_interface_name(base, length))
        return true;
    for (size_t i = 0; i < import->file_count; i++)
        if (i != index && same_base(base, length, import->files[i].path))
            return true;
    return false;
}

/* "fleet/api/etc/wireguard/wg0.conf": api. */
static char *name_of_folder(const char *path)
{
    static const char *const passed[] = {"etc", "wireguard", ".", ".."};
    const char *end = strrchr(path, '/');
    while (end && end > path) {
        const char *start = end;
        while (start > path && start[-1] != '/')
            start--;
        char *name = mem_text_part(start, (size_t)(end - start));
        bool useful = text_is_name(name);
        for (size_t i = 0; i < COUNT_OF(passed); i++)
            useful = useful && strcmp(name, passed[i]);
        if (useful)
            return name;
        free(name);
        end = start > path ? start - 1 : NULL;
    }
    return NULL;
}

/* What the file itself says; what it is called; the folder it stands in; what the others call its key. */
static char *choose_name(const struct import *import, size_t index)
{
    const struct import_file *file = &import->files[index];
    const char *label = import_label(import, &file->config.device.public_key);
    size_t length;
    const char *base = base_of(file->path, &length);
    if (file->name)
        return mem_text(file->name);
    if (!called_as_interface(import, index))
        return mem_text_part(base, length);
    char *folder = import->file_count > 1 ? name_of_folder(file->path) : NULL;
    if (folder && label && strcmp(folder, label))
        for (size_t i = 0; folder && i < import->file_count; i++) {
            char *other = i == index ? NULL : name_of_folder(import->files[i].path);
            if (other && !strcmp(other, folder)) {
                free(folder);
                folder = NULL; /* many files of one folder: it is nobody's name */
            }
            free(other);
        }
    if (folder)
        return folder;
    return label ? mem_text(label) : mem_text("node");
}

/* Files as observations */

static void name_interface(const struct import *import, size_t index, char name[static IFNAMSIZ])
{
    if (name[0] && called_as_interface(import, index))
        return;
    size_t length;
    base_of(import->files[index].path, &length);
    if (name[0] && import->files[index].ssh)
        return;
    snprintf(name, IFNAMSIZ, "wg0");
}

static void show_file(struct importing *importing, size_t index)
{
    struct import_file *file = &importing->import->files[index];
    struct observation *seen = &importing->seen->nodes[index];
    struct mesh_node *node = &importing->targets.nodes[index];
    node->name = choose_name(importing->import, index);
    node->ssh = mem_text(file->ssh);
    seen->reach = REACH_OK;
    seen->privileged = true;
    seen->configs = mem_alloc(1, sizeof *seen->configs);
    seen->config_count = 1;
    seen->configs[0] = file->config;
    file->config = (struct observed_config){0};
    struct observed_config *config = &seen->configs[0];
    config->path = mem_text(file->path);
    name_interface(importing->import, index, config->device.name);
    seen->devices = mem_alloc(1, sizeof *seen->devices);
    seen->device_count = 1;
    device_copy(&seen->devices[0], &config->device);
    if (config->mtu) {
        seen->links = mem_alloc(1, sizeof *seen->links);
        seen->link_count = 1;
        memcpy(seen->links[0].name, config->device.name, IFNAMSIZ);
        seen->links[0].mtu = config->mtu;
    }
    if (key_is_zero(&config->device.public_key)) {
        buf_add_format(importing->notes, "%s: %s has no private key in it, so which rows of the others are for it is not known: add its PublicKey\n", node->name,
                       file->path);
    }
}

/* A file without a private key, as export writes it: its key is the one that the others have under its name. */
static void find_missing_key(struct importing *importing, size_t index)
{
    struct device *device = &importing->import->files[index].config.device;
    char *name = choose_name(importing->import, index);
    for (size_t i = 0; key_is_zero(&device->public_key) && i < importing->import->label_count; i++)
        if (!strcmp(importing->import->labels[i].name, name))
            device->public_key = importing->import->labels[i].key;
    free(name);
}

/* Orphans */

static bool has_file(const struct importing *importing, const struct key *key)
{
    for (size_t i = 0; i < importing->import->file_count; i++)
        if (!key_compare(&importing->seen->nodes[i].devices[0].public_key, key))
            return true;
    return false;
}

static struct orphan *orphan_of(struct importing *importing, const struct key *key, size_t holder)
{
    for (size_t i = 0; i < importing->orphan_count; i++)
        if (!key_compare(&importing->orphans[i].key, key))
            return &importing->orphans[i];
    MEM_GROW(importing->orphans, importing->orphan_count, importing->orphan_capacity);
    importing->orphans[importing->orphan_count] = (struct orphan){.key = *key, .holder = holder};
    return &importing->orphans[importing->orphan_count++];
}

static void add_address(struct orphan *orphan, const struct prefix *prefix)
{
    for (size_t i = 0; i < orphan->address_count; i++)
        if (!prefix_compare(&orphan->addresses[i], prefix))
            return;
    MEM_GROW(orphan->addresses, orphan->address_count, orphan->address_capacity);
    orphan->addresses[orphan->address_count++] = *prefix;
}

static void find_orphans(struct importing *importing)
{
    for (size_t i = 0; i < importing->import->file_count; i++) {
        const struct device *device = &importing->seen->nodes[i].devices[0];
        for (size_t j = 0; j < device->peer_count; j++) {
            const struct device_peer *row = &device->peers[j];
            if (has_file(importing, &row->public_key))
                continue;
            struct orphan *orphan = orphan_of(importing, &row->public_key, i);
            orphan->holders++;
            for (size_t k = 0; k < row->allowed_count; k++)
                if (row->allowed[k].length == address_bits(&row->allowed[k].address))
                    add_address(orphan, &row->allowed[k]);
        }
    }
}

/* Who is known to one node only reaches all others through it: the networks of that one stand in a row that nobody has shown. */
static void mirror_row(const struct importing *importing, const struct orphan *orphan, struct device *device)
{
    const struct observation *holder = &importing->seen->nodes[orphan->holder];
    const struct observed_config *config = &holder->configs[0];
    if (orphan->holders != 1 || key_is_zero(&holder->devices[0].public_key))
        return;
    device->peers = mem_alloc(1, sizeof *device->peers);
    device->peer_count = 1;
    device->peers[0].public_key = holder->devices[0].public_key;
    device->peers[0].allowed = mem_alloc(config->address_count, sizeof *device->peers[0].allowed);
    for (size_t i = 0; i < config->address_count; i++)
        device->peers[0].allowed[device->peers[0].allowed_count++] = prefix_network(&config->addresses[i]);
    const struct device_peer *row = device_find_peer(&holder->devices[0], &orphan->key);
    device->peers[0].keepalive = row ? row->keepalive : 0;
    device->peers[0].has_preshared = row && row->has_preshared;
    device_sort(device);
}

static void show_orphan(struct importing *importing, size_t index, const struct orphan *orphan)
{
    struct observation *seen = &importing->seen->nodes[index];
    struct mesh_node *node = &importing->targets.nodes[index];
    const char *label = import_label(importing->import, &orphan->key);
    char key[KEY_TEXT_SIZE], address[ADDRESS_TEXT_SIZE] = "";
    key_text(&orphan->key, key);
    if (orphan->address_count)
        address_text(&orphan->addresses[0].address, address);
    node->name = label ? mem_text(label) : mem_format("peer-%.8s", key);
    for (char *at = node->name; *at; at++)
        if (*at == '/' || *at == '+' || *at == '=')
            *at = '_';
    buf_add_format(importing->notes, "%s (%s%s%s) has no file of its own: it is written as a node without Ssh\n", node->name, key, *address ? ", " : "", address);
    seen->reach = REACH_OK;
    seen->privileged = true;
    seen->configs = mem_alloc(1, sizeof *seen->configs);
    seen->config_count = 1;
    struct observed_config *config = &seen->configs[0];
    config->path = mem_text(node->name);
    config->device.public_key = orphan->key;
    memcpy(config->device.name, importing->seen->nodes[orphan->holder].devices[0].name, IFNAMSIZ);
    mirror_row(importing, orphan, &config->device);
    config->addresses = mem_copy(orphan->addresses, orphan->address_count, sizeof *config->addresses);
    config->address_count = orphan->address_count;
    seen->devices = mem_alloc(1, sizeof *seen->devices);
    seen->device_count = 1;
    device_copy(&seen->devices[0], &config->device);
}

static void add_orphans(struct importing *importing)
{
    size_t files = importing->import->file_count, all;
    find_orphans(importing);
    all = files + importing->orphan_count;
    importing->targets.nodes = mem_resize(importing->targets.nodes, all, sizeof *importing->targets.nodes);
    importing->seen->nodes = mem_resize(importing->seen->nodes, all, sizeof *importing->seen->nodes);
    for (size_t i = files; i < all; i++) {
        importing->targets.nodes[i] = (struct mesh_node){0};
        importing->seen->nodes[i] = (struct observation){0};
    }
    importing->targets.node_count = importing->seen->node_count = all;
    for (size_t i = files; i < all; i++)
        show_orphan(importing, i, &importing->orphans[i - files]);
    for (size_t i = 0; i < importing->orphan_count; i++)
        free(importing->orphans[i].addresses);
    free(importing->orphans);
}

int import_mesh(struct import *import, struct conf *conf, struct buf *notes, struct err *err)
{
    struct importing importing = {.import = import, .notes = notes, .seen = observed_new(import->file_count)};
    if (!import->file_count) {
        observed_free(importing.seen);
        return err_set(err, "no file was read: nothing to import");
    }
    importing.targets.name = import->mesh_name && text_is_name(import->mesh_name) ? import->mesh_name : NULL;
    importing.targets.nodes = mem_alloc(import->file_count, sizeof *importing.targets.nodes);
    importing.targets.node_count = import->file_count;
    for (size_t i = 0; i < import->file_count; i++)
        find_missing_key(&importing, i);
    for (size_t i = 0; i < import->file_count; i++)
        show_file(&importing, i);
    add_orphans(&importing);
    char mesh[] = "mesh";
    if (!importing.targets.name)
        importing.targets.name = mesh;
    int result = adopt_mesh(&importing.targets, importing.seen, conf, notes, err);
    for (size_t i = 0; i < importing.targets.node_count; i++) {
        free(importing.targets.nodes[i].name);
        free(importing.targets.nodes[i].ssh);
    }
    free(importing.targets.nodes);
    observed_free(importing.seen);
    return result;
}
