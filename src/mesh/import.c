/* Importing: one file after the other is read, in whichever of the forms it is. */
#include <cjson/cJSON.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import_parts.h"
#include "wgdeck/json.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wgdeck/wgquick.h"

/* No hash is compared here: only whether there is a preshared key. */
static const char no_salt[] = "0000000000000000000000000000000000000000000000000000000000000000";

enum { KEY_LIKE = 43 };

struct import *import_new(void)
{
    return mem_alloc(1, sizeof(struct import));
}

static void free_file(struct import_file *file)
{
    struct observed_config *config = &file->config;
    for (size_t i = 0; config->endpoint_hosts && i < config->device.peer_count; i++)
        free(config->endpoint_hosts[i]);
    free(config->endpoint_hosts);
    free(config->addresses);
    device_free(&config->device);
    free(file->path);
    free(file->name);
    free(file->ssh);
}

void import_free(struct import *import)
{
    if (!import)
        return;
    for (size_t i = 0; i < import->file_count; i++)
        free_file(&import->files[i]);
    for (size_t i = 0; i < import->label_count; i++)
        free(import->labels[i].name);
    free(import->files);
    free(import->labels);
    free(import->mesh_name);
    free(import);
}

void import_add_label(struct import *import, const struct key *key, const char *name)
{
    if (import_label(import, key))
        return;
    MEM_GROW(import->labels, import->label_count, import->label_capacity);
    import->labels[import->label_count++] = (struct import_label){.key = *key, .name = mem_text(name)};
}

const char *import_label(const struct import *import, const struct key *key)
{
    for (size_t i = 0; i < import->label_count; i++)
        if (!key_compare(&import->labels[i].key, key))
            return import->labels[i].name;
    return NULL;
}

/* An error shows the line that it is about, and a key may stand in the wrong place. */
static void hide_keys(struct err *err)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    for (char *at = err->text; *at;) {
        size_t length = strspn(at, alphabet);
        if (length >= KEY_LIKE)
            memset(at, 'x', length);
        at += length ? length : 1;
    }
}

static int read_wg_quick(struct import *import, struct import_file *file, char *bytes, size_t length, struct buf *warnings, struct err *err)
{
    struct import_scan scan;
    struct wgquick wgquick;
    import_scan(import, bytes, length, &scan);
    file->name = scan.name;
    if (scan.mesh && !import->mesh_name)
        import->mesh_name = mem_text(scan.mesh);
    free(scan.mesh);
    struct conf *conf = conf_parse(file->path, bytes, length, err);
    if (!conf)
        return -1;
    int result = wgquick_read(conf, no_salt, &wgquick, warnings, err);
    if (!result && conf_find(conf, "Interface", NULL, 0) == SIZE_MAX) {
        wgquick_free(&wgquick);
        result = err_set(err, "%s has no [Interface] section: it is no file of wg-quick, and no JSON of \"wgdeck export\"", file->path);
    }
    conf_free(conf);
    if (result)
        return -1;
    observed_config_take(&file->config, &wgquick);
    file->config.device.public_key = scan.public_key;
    file->config.device.has_private = scan.has_key;
    return 0;
}

/* Texts of members, checked as the mesh file's own. */

static int read_prefixes(const cJSON *object, const char *member, struct prefix **prefixes, size_t *count, struct err *err)
{
    const cJSON *list = json_get_list(object, member), *item;
    size_t capacity = 0;
    cJSON_ArrayForEach(item, list)
    {
        struct prefix prefix;
        if (!cJSON_IsString(item) || prefix_parse(item->valuestring, &prefix))
            return err_set(err, "%s holds what is no prefix (10.44.0.1/24)", member);
        MEM_GROW(*prefixes, *count, capacity);
        (*prefixes)[(*count)++] = prefix;
    }
    return 0;
}

static int read_peer(struct import *import, const cJSON *object, struct device_peer *peer, char **host, struct err *err)
{
    const char *key = json_get_text(object, "public_key", NULL), *name = json_get_text(object, "name", NULL);
    const char *endpoint = json_get_text(object, "endpoint", NULL);
    if (!key || key_parse(key, &peer->public_key))
        return err_set(err, "peers: public_key is no key");
    if (name && text_is_name(name))
        import_add_label(import, &peer->public_key, name);
    if (endpoint && endpoint_parse(endpoint, &peer->endpoint))
        *host = mem_text(endpoint); /* a name; adopting looks whether it is one */
    peer->keepalive = (uint16_t)json_get_number(object, "keepalive", 0, UINT16_MAX, 0);
    peer->has_preshared = json_get_bool(object, "preshared", false);
    return read_prefixes(object, "allowed_ips", &peer->allowed, &peer->allowed_count, err);
}

struct hosted {
    struct device_peer peer;
    char *host;
};

static int compare_hosted(const void *a, const void *b)
{
    return key_compare(&((const struct hosted *)a)->peer.public_key, &((const struct hosted *)b)->peer.public_key);
}

/* Rows with their host names beside them, in the order of keys. A peer whose key is not known yet (null) is left out. */
static int read_peers(struct import *import, const cJSON *object, struct observed_config *config, struct err *err)
{
    const cJSON *list = json_get_list(object, "peers"), *item;
    struct hosted *rows = NULL;
    size_t count = 0, capacity = 0;
    int result = 0;
    cJSON_ArrayForEach(item, list)
    {
        if (result || cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(item, "public_key")))
            continue;
        MEM_GROW(rows, count, capacity);
        rows[count] = (struct hosted){0};
        result = read_peer(import, item, &rows[count].peer, &rows[count].host, err);
        count++;
    }
    if (count)
        qsort(rows, count, sizeof *rows, compare_hosted);
    config->device.peers = mem_alloc(count, sizeof *config->device.peers);
    config->endpoint_hosts = mem_alloc(count, sizeof *config->endpoint_hosts);
    for (size_t i = 0; i < count; i++) {
        config->device.peers[i] = rows[i].peer;
        config->endpoint_hosts[i] = rows[i].host;
    }
    config->device.peer_count = count;
    for (size_t i = 1; !result && i < count; i++)
        if (!key_compare(&rows[i - 1].peer.public_key, &rows[i].peer.public_key))
            result = err_set(err, "peers: two have the same public_key");
    free(rows);
    if (!result)
        device_sort(&config->device);
    return result;
}

static void take_private(const cJSON *object, struct device *device)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "private_key");
    struct key key;
    if (!cJSON_IsString(item))
        return;
    if (!key_parse(item->valuestring, &key)) {
        key_public(&key, &device->public_key);
        device->has_private = true;
    }
    key_wipe(&key);
    sodium_memzero(item->valuestring, strlen(item->valuestring));
}

static int take_object(struct import *import, struct import_file *file, const cJSON *object, struct err *err)
{
    struct observed_config *config = &file->config;
    const char *name = json_get_text(object, "node", NULL), *key = json_get_text(object, "public_key", NULL);
    const char *interface = json_get_text(object, "interface", ""), *mesh = json_get_text(object, "mesh", NULL), *ssh = json_get_text(object, "ssh", NULL);
    if (json_get_number(object, "schema", 1, 1, 0) != 1 || !name || !text_is_name(name))
        return err_set(err, "it is no JSON of \"wgdeck export --format json\" (schema 1, with a node)");
    if (*interface && !device_name_is_valid(interface))
        return err_set(err, "interface is no name of an interface");
    snprintf(config->device.name, sizeof config->device.name, "%s", interface);
    if (key && key_parse(key, &config->device.public_key))
        return err_set(err, "public_key is no key");
    file->name = mem_text(name);
    file->ssh = ssh && text_is_safe(ssh, strlen(ssh)) ? mem_text(ssh) : NULL;
    if (mesh && !import->mesh_name)
        import->mesh_name = mem_text(mesh);
    take_private(object, &config->device);
    config->device.listen_port = (uint16_t)json_get_number(object, "listen_port", 0, UINT16_MAX, 0);
    config->mtu = (uint32_t)json_get_number(object, "mtu", 0, UINT16_MAX, 0);
    if (read_prefixes(object, "addresses", &config->addresses, &config->address_count, err))
        return -1;
    return read_peers(import, object, config, err);
}

static int read_json(struct import *import, struct import_file *file, const char *bytes, size_t length, struct err *err)
{
    cJSON *object = json_parse(bytes, length, err);
    int result = object ? take_object(import, file, object, err) : -1;
    cJSON_Delete(object);
    return result ? err_prefix(err, "%s", file->path) : 0;
}

int import_add(struct import *import, const char *path, char *bytes, size_t length, struct buf *warnings, struct err *err)
{
    struct import_file file = {.path = mem_text(path)};
    size_t start = 0;
    int result;
    while (start < length && strchr(" \t\r\n", bytes[start]) && bytes[start])
        start++;
    bool is_json = start < length && bytes[start] == '{';
    if (import->file_count == IMPORT_FILES_MAX || length > IMPORT_BYTES_MAX) {
        result = err_set(err, "%s: more than %d files, or a file of more than %d MiB, is no mesh of WireGuard files", path, IMPORT_FILES_MAX, IMPORT_BYTES_MAX >> 20);
        sodium_memzero(bytes, length);
    } else if (is_json) {
        result = read_json(import, &file, bytes, length, err);
        sodium_memzero(bytes, length);
    } else {
        result = read_wg_quick(import, &file, bytes, length, warnings, err);
    }
    if (result) {
        hide_keys(err);
        free_file(&file);
        return -1;
    }
    MEM_GROW(import->files, import->file_count, import->file_capacity);
    import->files[import->file_count++] = file;
    return 0;
}
