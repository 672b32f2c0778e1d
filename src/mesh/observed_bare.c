/* The answer of a bare look, as src/node/bare.sh prints it (the format stands there): one item a line, a letter, a blank, the rest.
 * Written by a machine that may be broken or hostile: each length, number and name is checked, each text made safe to show. */
#include "observed_bare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/buf.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wgdeck/wgquick.h"

enum { HASHES_MAX = 2 * OBSERVED_ROWS_MAX, ANSWER_MAX = 64 << 20, CONFIGS_MAX = 256, SKIPPED_MAX = 256, SOCKETS_MAX = 1024, DEVICES_MAX = 4096, PATH_MAX_BYTES = 256,
       MODES_MAX = 128 << 10, BEFORE_MAX = 64 << 10 };

/* What replaces a preshared key in the configuration being read, with the line that it stands on. */
struct saved_hash {
    size_t line;
    char text[2 * KEY_HASH_SIZE + 1];
};

/* A UAPI socket of the node, and what wg made of it. */
struct bare_socket {
    char name[IFNAMSIZ];
    bool silent;   /* nobody listens, or nobody answered */
    bool accused;  /* wg complained about this interface: it could not be read, which is no proof that the engine is dead */
};

struct bare {
    struct observation *observation;
    struct bare_ip ip;
    struct buf dump;
    struct buf modes;         /* the "o" lines */
    char *path;               /* of the configuration being read; NULL: none */
    char *boot;               /* what brings it up at boot; NULL: not told */
    struct buf document;      /* its lines */
    size_t document_lines;
    char *private_key;        /* text of its K line, or NULL */
    struct saved_hash *hashes;
    size_t hash_count, hash_capacity, config_capacity, skipped_capacity;
    char (*known_hashes)[2 * KEY_HASH_SIZE + 1]; /* the "h" lines; #1 is the first */
    size_t known_hash_count, known_hash_capacity;
    struct bare_socket *sockets;
    size_t socket_count, socket_capacity;
    bool root, denied, ended;
};

static void skip(struct bare *bare, char *text)
{
    struct observation *observation = bare->observation;
    if (observation->skipped_count < SKIPPED_MAX) {
        MEM_GROW(observation->skipped, observation->skipped_count, bare->skipped_capacity);
        if (strlen(text) > OBSERVED_TEXT_MAX / 4) /* each byte may become four */
            text[OBSERVED_TEXT_MAX / 4] = '\0';
        observation->skipped[observation->skipped_count++] = text_safe(text);
    }
    free(text);
}

/* Saved configurations */

static struct observed_config *add_config(struct bare *bare, const char *path, struct err *err)
{
    struct observation *observation = bare->observation;
    if (observation->config_count >= CONFIGS_MAX) {
        err_set(err, "more than %d configurations", CONFIGS_MAX);
        return NULL;
    }
    if (strlen(path) > PATH_MAX_BYTES) {
        err_set(err, "the path of a configuration has more than %d bytes", PATH_MAX_BYTES);
        return NULL;
    }
    MEM_GROW(observation->configs, observation->config_count, bare->config_capacity);
    struct observed_config *config = &observation->configs[observation->config_count++];
    *config = (struct observed_config){.path = text_safe(path)};
    return config;
}

/* "/etc/wireguard/wg0.conf" is wg0's, also when it cannot be read. */
static void name_config(struct observed_config *config, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *end = strrchr(base, '.');
    size_t length = end ? (size_t)(end - base) : strlen(base);
    char name[IFNAMSIZ] = "";
    if (length >= sizeof name)
        return;
    memcpy(name, base, length);
    if (device_name_is_valid(name))
        memcpy(config->device.name, name, sizeof name);
}

static struct device_peer *find_peer(struct device *device, const struct key *key)
{
    const struct device_peer *found = device_find_peer(device, key);
    return found ? &device->peers[found - device->peers] : NULL;
}

static void parse_hash(const char *text, uint8_t hash[static KEY_HASH_SIZE])
{
    for (size_t i = 0; i < KEY_HASH_SIZE; i++) {
        unsigned byte = 0;
        sscanf(text + 2 * i, "%2x", &byte);
        hash[i] = (uint8_t)byte;
    }
}

/* The hashes stand on lines of [Peer] sections; their row is known by the PublicKey of the same section. Both are in the file's order. */
static void put_hashes(const struct bare *bare, const struct conf *conf, struct device *device)
{
    size_t next = 0, line = 0;
    for (size_t i = 0; i < bare->hash_count; i++) {
        for (; next < conf_section_count(conf); next++) {
            conf_section(conf, next, NULL, NULL, &line);
            if (line > bare->hashes[i].line)
                break;
        }
        const char *text = next ? conf_get(conf, next - 1, "PublicKey", NULL) : NULL;
        struct key key;
        struct device_peer *peer = text && key_parse(text, &key) == 0 ? find_peer(device, &key) : NULL;
        if (!peer)
            continue;
        peer->has_preshared = true;
        parse_hash(bare->hashes[i].text, peer->preshared_hash);
    }
}

static int parse_config(struct bare *bare, struct observed_config *config, struct err *err)
{
    struct conf *conf = conf_parse(bare->path, buf_text(&bare->document), bare->document.length, err);
    if (!conf)
        return -1;
    struct wgquick wgquick;
    int result = wgquick_read(conf, "", &wgquick, NULL, err);
    if (result == 0) {
        struct device *device = &wgquick.device;
        put_hashes(bare, conf, device);
        device->has_private = bare->private_key != NULL;
        if (bare->private_key && key_parse(bare->private_key, &device->public_key) != 0)
            memset(&device->public_key, 0, sizeof device->public_key);
        observed_config_take(config, &wgquick);
    }
    conf_free(conf);
    return result;
}

static void drop_config(struct bare *bare)
{
    free(bare->boot);
    bare->boot = NULL;
    free(bare->path);
    bare->path = NULL;
    free(bare->private_key);
    bare->private_key = NULL;
    buf_free(&bare->document);
    bare->document_lines = bare->hash_count = 0;
}

static int end_config(struct bare *bare, struct err *err)
{
    if (!bare->path)
        return 0;
    struct observed_config *config = add_config(bare, bare->path, err);
    struct err why;
    if (!config)
        return -1;
    if (parse_config(bare, config, &why) != 0) {
        config->error = text_safe(why.text);
        name_config(config, bare->path);
    }
    config->boot = bare->boot;
    bare->boot = NULL;
    drop_config(bare);
    return 0;
}

static int read_path(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)length;
    if (end_config(bare, err) != 0)
        return -1;
    bare->path = mem_text(text);
    return 0;
}

static int add_document_line(struct bare *bare, const char *text, size_t length)
{
    buf_add(&bare->document, text, length);
    buf_add_char(&bare->document, '\n');
    bare->document_lines++;
    return 0;
}

static int read_config_line(struct bare *bare, const char *text, size_t length, struct err *err)
{
    return bare->path ? add_document_line(bare, text, length) : err_set(err, "a line of no configuration");
}

static int read_private_key(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)length;
    if (!bare->path)
        return err_set(err, "a key of no configuration");
    free(bare->private_key);
    bare->private_key = mem_text(text);
    return add_document_line(bare, "", 0);
}

static int read_hash(struct bare *bare, const char *text, size_t length, struct err *err)
{
    if (length != 2 * KEY_HASH_SIZE || strspn(text, "0123456789abcdef") != length)
        return err_set(err, "the hash of a preshared key is not 32 hexadecimal digits");
    if (bare->known_hash_count >= HASHES_MAX)
        return err_set(err, "more than %d preshared keys", HASHES_MAX);
    MEM_GROW(bare->known_hashes, bare->known_hash_count, bare->known_hash_capacity);
    memcpy(bare->known_hashes[bare->known_hash_count++], text, length + 1);
    return 0;
}

/* "#7" is the seventh hash that came. NULL with err when there is none. */
static const char *known_hash(const struct bare *bare, const char *text, struct err *err)
{
    unsigned long long number = 0;
    if (text[0] == '#' && text_to_number(text + 1, bare->known_hash_count, &number) == 0 && number > 0)
        return bare->known_hashes[number - 1];
    err_set(err, "the hash of a preshared key is missing");
    return NULL;
}

static int read_preshared_hash(struct bare *bare, const char *text, size_t length, struct err *err)
{
    const char *known = known_hash(bare, text, err);
    (void)length;
    if (!bare->path)
        return err_set(err, "a key of no configuration");
    if (!known)
        return -1;
    MEM_GROW(bare->hashes, bare->hash_count, bare->hash_capacity);
    struct saved_hash *hash = &bare->hashes[bare->hash_count++];
    hash->line = bare->document_lines + 1;
    memcpy(hash->text, known, sizeof hash->text);
    return add_document_line(bare, "", 0);
}

/* Also in the middle of one: it turned out to be too long. */
static int read_unreadable(struct bare *bare, const char *text, size_t length, struct err *err)
{
    bool too_long = bare->path && strcmp(bare->path, text) == 0;
    (void)length;
    if (too_long)
        drop_config(bare);
    else if (end_config(bare, err) != 0)
        return -1;
    struct observed_config *config = add_config(bare, text, err);
    if (!config)
        return -1;
    name_config(config, text);
    config->error = mem_text(too_long ? "longer than 256 KiB: not looked at" : "permission denied (log in as root, or allow sudo)");
    return 0;
}

/* "600 0 859 /etc/wireguard/wg0.conf", kept until all configurations are known. */
static int read_mode(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)err;
    if (bare->modes.length < MODES_MAX)
        buf_add(&bare->modes, text, length + 1);
    return 0;
}

static struct observed_config *find_config(struct observation *observation, const char *path)
{
    for (size_t i = 0; i < observation->config_count; i++)
        if (strcmp(observation->configs[i].path, path) == 0)
            return &observation->configs[i];
    return NULL;
}

static void put_modes(struct bare *bare)
{
    struct observation *observation = bare->observation;
    for (size_t at = 0; at < bare->modes.length; at += strlen(bare->modes.data + at) + 1) {
        unsigned mode = 0, owner = 0;
        int path_at = 0;
        const char *line = bare->modes.data + at;
        if (sscanf(line, "%8o %u %*u %n", &mode, &owner, &path_at) != 2 || !path_at)
            continue;
        struct observed_config *config = find_config(observation, line + path_at);
        if (config) {
            config->mode = mode & 07777;
            config->owner_other = owner != 0;
        } else if (strcmp(line + path_at, "/etc/wireguard") == 0) {
            for (size_t i = 0; i < observation->config_count; i++)
                observation->configs[i].folder_mode = mode & 07777;
        }
    }
}

/* The other items */

static int read_time(struct bare *bare, const char *text, size_t length, struct err *err)
{
    unsigned long long seconds, fraction = 0;
    size_t digits = strcspn(text, ".");
    char whole[24];
    (void)length;
    if (digits >= sizeof whole)
        return err_set(err, "its clock is not a number");
    memcpy(whole, text, digits);
    whole[digits] = '\0';
    if (text_to_number(whole, INT64_MAX / CLOCK_SECOND - 1, &seconds) != 0)
        return err_set(err, "its clock is not a number");
    if (text[digits] == '.' && strlen(text + digits + 1) == 9 && text_to_number(text + digits + 1, 999999999, &fraction) != 0)
        fraction = 0;
    bare->observation->node_time = (int64_t)seconds * CLOCK_SECOND + (int64_t)fraction;
    return 0;
}

static char *short_text(const char *text, size_t length)
{
    struct buf safe = BUF_EMPTY;
    text_add_safe(&safe, text, length < 256 ? length : 256);
    return buf_take(&safe);
}

static int read_hostname(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)err;
    free(bare->observation->hostname);
    bare->observation->hostname = short_text(text, length);
    return 0;
}

static int read_kernel(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)err;
    free(bare->observation->kernel);
    bare->observation->kernel = short_text(text, length);
    return 0;
}

/* SSH_CONNECTION: "FROM PORT AT PORT"; an address of a link carries its zone. */
static int read_connection(struct bare *bare, const char *text, size_t length, struct err *err)
{
    char from[ADDRESS_TEXT_SIZE + IFNAMSIZ], at[ADDRESS_TEXT_SIZE + IFNAMSIZ];
    struct address address;
    (void)length;
    (void)err;
    if (sscanf(text, "%63s %*s %63s", from, at) != 2)
        return 0;
    from[strcspn(from, "%")] = at[strcspn(at, "%")] = '\0';
    struct observation *observation = bare->observation;
    free(observation->seen_from);
    free(observation->reached_at);
    observation->seen_from = address_parse(from, &address) == 0 ? mem_text(from) : NULL;
    observation->reached_at = address_parse(at, &address) == 0 ? mem_text(at) : NULL;
    return 0;
}

static int read_root(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)length;
    (void)err;
    bare->root = strcmp(text, "1") == 0;
    return 0;
}

static int read_forwarding(struct bare *bare, const char *text, size_t length, struct err *err)
{
    int v4, v6;
    (void)length;
    (void)err;
    bare->observation->forwarding4 = sscanf(text, "%9d", &v4) == 1 ? v4 : -1;
    const char *second = strchr(text, ' ');
    bare->observation->forwarding6 = second && sscanf(second, "%9d", &v6) == 1 ? v6 : -1;
    return 0;
}

static int read_module(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)length;
    (void)err;
    bare->observation->kernel_has_wireguard = strcmp(text, "1") == 0;
    return 0;
}

static struct bare_socket *find_socket(const struct bare *bare, const char *name, size_t length)
{
    for (size_t i = 0; i < bare->socket_count; i++)
        if (strlen(bare->sockets[i].name) == length && memcmp(bare->sockets[i].name, name, length) == 0)
            return &bare->sockets[i];
    return NULL;
}

static int add_socket(struct bare *bare, const char *text, size_t length, bool silent, struct err *err)
{
    if (length >= IFNAMSIZ || !device_name_is_valid(text))
        return 0;
    struct bare_socket *socket = find_socket(bare, text, length);
    if (!socket) {
        if (bare->socket_count >= SOCKETS_MAX)
            return err_set(err, "more than %d UAPI sockets", SOCKETS_MAX);
        MEM_GROW(bare->sockets, bare->socket_count, bare->socket_capacity);
        socket = &bare->sockets[bare->socket_count++];
        *socket = (struct bare_socket){0};
        memcpy(socket->name, text, length);
    }
    socket->silent = socket->silent || silent;
    return 0;
}

static int read_socket(struct bare *bare, const char *text, size_t length, struct err *err)
{
    return add_socket(bare, text, length, false, err);
}

static int read_silent_socket(struct bare *bare, const char *text, size_t length, struct err *err)
{
    return add_socket(bare, text, length, true, err);
}

/* The third field of a row's line may be the number of a hash. */
static int read_dump(struct bare *bare, const char *text, size_t length, struct err *err)
{
    const char *number = strstr(text, "\t#");
    if (number) {
        char digits[16] = "";
        const char *end = strchr(++number, '\t'), *known = NULL;
        if (end && (size_t)(end - number) < sizeof digits)
            memcpy(digits, number, (size_t)(end - number));
        known = known_hash(bare, digits, err);
        if (!known)
            return -1;
        buf_add(&bare->dump, text, (size_t)(number - text));
        buf_add_text(&bare->dump, known);
        length -= (size_t)(end - text);
        text = end;
    }
    buf_add(&bare->dump, text, length);
    buf_add_char(&bare->dump, '\n');
    return 0;
}

/* "Unable to access interface wg7: Protocol error", as wg says it. */
static int read_complaint(struct bare *bare, const char *text, size_t length, struct err *err)
{
    static const char about[] = "Unable to access interface ";
    (void)length;
    (void)err;
    bool denied = strstr(text, "Operation not permitted") || strstr(text, "Permission denied");
    bare->denied = bare->denied || denied;
    if (strncmp(text, about, sizeof about - 1) == 0) {
        const char *name = text + sizeof about - 1;
        struct bare_socket *socket = find_socket(bare, name, strcspn(name, ":"));
        if (socket)
            socket->accused = true;
    }
    skip(bare, mem_format("wg: %.500s%s", text, denied ? " (log in as root, or allow sudo)" : ""));
    return 0;
}

static int read_wrong_line(struct bare *bare, const char *text, size_t length, struct err *err)
{
    const char *path = strchr(text, ' ');
    size_t digits = strspn(text, "0123456789");
    (void)bare;
    (void)length;
    return err_set(err, "wg printed a line of %.*s fields (5 or 9 expected): is %.200s the real one?", (int)(digits < 9 ? digits : 9), text,
                   path && path[1] ? path + 1 : "it");
}

static int read_usual_rules(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)length;
    (void)err;
    bare->ip.usual_rules = strcmp(text, "1") == 0;
    return 0;
}

static int read_skipped(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)length;
    (void)err;
    skip(bare, mem_text(text));
    return 0;
}

static int read_address_line(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)length;
    return bare_ip_address_line(&bare->ip, text, err);
}

static int read_route_line(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)length;
    return bare_ip_route_line(&bare->ip, text, err);
}

static int read_boot(struct bare *bare, const char *text, size_t length, struct err *err)
{
    if (!bare->path)
        return err_set(err, "what brings up no configuration");
    if (length > OBSERVED_TEXT_MAX / 4) /* each byte may become four */
        return err_set(err, "a name of a service longer than %d bytes", OBSERVED_TEXT_MAX / 4);
    free(bare->boot);
    bare->boot = text_safe(text);
    return 0;
}

/* Of the first interface that has one. */
static int read_generation(struct bare *bare, const char *text, size_t length, struct err *err)
{
    enum { GENERATION_MAX = 64 };
    (void)err;
    if (!bare->observation->generation && *text != '-' && length <= GENERATION_MAX && strspn(text, "0123456789abcdef-") == length)
        bare->observation->generation = mem_text(text);
    return 0;
}

static int read_answer_line(struct bare *bare, const char *text, size_t length, struct err *err)
{
    (void)length;
    return bare_ip_answer_line(&bare->ip, text, err);
}

static const struct item {
    char letter;
    int (*take)(struct bare *bare, const char *text, size_t length, struct err *err);
} items[] = {
    {'t', read_time},        {'n', read_hostname},     {'k', read_kernel},         {'p', read_connection},  {'u', read_root},
    {'f', read_forwarding},  {'g', read_module},       {'q', read_socket},         {'d', read_dump},        {'w', read_complaint},
    {'h', read_hash},        {'Q', read_silent_socket}, {'W', read_wrong_line},    {'r', read_usual_rules},
    {'o', read_mode},        {'F', read_path},         {'c', read_config_line},    {'K', read_private_key}, {'H', read_preshared_hash},
    {'b', read_boot},        {'v', read_generation},
    {'E', read_unreadable},  {'A', read_address_line}, {'R', read_route_line},     {'G', read_answer_line}, {'x', read_skipped},
};

/* TEXT is NUL-terminated, LENGTH bytes; a NUL inside ends what string functions see of it, and is refused by the parsers that take a length. */
static int read_line(struct bare *bare, const char *text, size_t length, struct err *err)
{
    if (text[0] == '[')
        return bare_ip_json(&bare->ip, text, length, err);
    if (strcmp(text, "wgdeck end") == 0) {
        bare->ended = true;
        return 0;
    }
    if (strncmp(text, "wgdeck error ", 13) == 0)
        return err_set(err, "%s", text + 13);
    for (size_t i = 0; i < COUNT_OF(items); i++)
        if (length >= 2 && text[0] == items[i].letter && text[1] == ' ')
            return items[i].take(bare, text + 2, length - 2, err);
    return 0; /* an item of a later version, or a plain line of an ip that has -json for addresses only */
}

/* What is known only when all was read. */

static int compare_device_name(const void *name, const void *device)
{
    return strcmp(name, ((const struct device *)device)->name);
}

static bool has_device(const struct observation *observation, const char *name)
{
    return observation->device_count &&
           bsearch(name, observation->devices, observation->device_count, sizeof *observation->devices, compare_device_name);
}

static void add_dead(struct observation *observation, const char *name)
{
    for (size_t i = 0; i < observation->dead_socket_count; i++)
        if (strcmp(observation->dead_sockets[i], name) == 0)
            return;
    observation->dead_sockets = mem_resize(observation->dead_sockets, observation->dead_socket_count + 1, sizeof(char *));
    observation->dead_sockets[observation->dead_socket_count++] = mem_text(name);
}

/* A socket that nobody answers at is a dead engine; one that wg could not make sense of is one that was not read. */
static void judge_socket(struct bare *bare, const struct bare_socket *socket)
{
    if (has_device(bare->observation, socket->name))
        return;
    if (!bare->root)
        skip(bare, mem_format("cannot read %s: its socket is root's (log in as root, or allow sudo)", socket->name));
    else if (socket->silent)
        add_dead(bare->observation, socket->name);
    else if (!socket->accused)
        skip(bare, mem_format("cannot read %s: its socket is there, and wg tells nothing about it", socket->name));
}

/* And a tun with a saved configuration that nobody serves. */
static void find_dead(struct bare *bare)
{
    struct observation *observation = bare->observation;
    for (size_t i = 0; i < bare->socket_count; i++)
        judge_socket(bare, &bare->sockets[i]);
    for (size_t i = 0; bare->root && i < observation->link_count; i++) {
        const char *name = observation->links[i].name;
        if (strcmp(observation->links[i].kind, "tun") == 0 && !has_device(observation, name) && observation_config(observation, name) &&
            !find_socket(bare, name, strlen(name)))
            add_dead(observation, name);
    }
}

/* The kind of its link tells who moves a device's packets; where ip does not show kinds, whether it has a socket. */
static enum engine_kind engine_of(const struct bare *bare, const char *name)
{
    const struct observed_link *link = bare_ip_link(bare->observation, name);
    bool has_socket = find_socket(bare, name, strlen(name)) != NULL;
    if (link && strcmp(link->kind, "wireguard") == 0)
        return ENGINE_KERNEL;
    if (has_socket || (link && strcmp(link->kind, "tun") == 0))
        return ENGINE_USERSPACE;
    return ENGINE_KERNEL;
}

/* Counters of links that are not WireGuard's change all the time and tell nothing. */
static void join_links(struct bare *bare)
{
    struct observation *observation = bare->observation;
    for (size_t i = 0; i < observation->device_count; i++)
        observation->devices[i].engine = engine_of(bare, observation->devices[i].name);
    for (size_t i = 0; i < observation->link_count; i++) {
        struct observed_link *link = &observation->links[i];
        if (!has_device(observation, link->name))
            link->rx_packets = link->tx_packets = link->rx_errors = link->tx_errors = link->rx_dropped = link->tx_dropped =
                link->rx_frame_errors = 0;
    }
}

static int finish(struct bare *bare, struct err *err)
{
    struct observation *observation = bare->observation;
    if (!bare->ended)
        return err_set(err, "the answer of the bare look was cut off");
    if (end_config(bare, err) != 0 ||
        device_parse_dump(buf_text(&bare->dump), bare->dump.length, &observation->devices, &observation->device_count, err) != 0)
        return -1;
    if (observation->device_count > DEVICES_MAX)
        return err_set(err, "more than %d WireGuard interfaces", DEVICES_MAX);
    put_modes(bare);
    observation_sort(observation); /* by name: devices and links are looked up from here on */
    join_links(bare);
    find_dead(bare);
    bare_ip_finish(&bare->ip);
    observation->privileged = bare->root && !bare->denied;
    observation_sort(observation);
    return 0;
}

/* A login script may print before us: what counts begins with our first line. NULL with err if it never comes. */
static const char *find_start(const char *bytes, size_t length, struct err *err)
{
    static const char first[] = "wgdeck bare 1\n", error[] = "wgdeck error ";
    const char *line = bytes, *end = bytes + length;
    while (line < end && line - bytes <= BEFORE_MAX) {
        size_t left = (size_t)(end - line);
        const char *next = memchr(line, '\n', left);
        size_t line_length = next ? (size_t)(next - line) : left;
        if (left >= sizeof first - 1 && memcmp(line, first, sizeof first - 1) == 0)
            return line + sizeof first - 1;
        if (line_length >= sizeof error - 1 && memcmp(line, error, sizeof error - 1) == 0) {
            err_set(err, "%.*s", (int)(line_length > 400 ? 400 : line_length) - (int)sizeof error + 1, line + sizeof error - 1);
            return NULL;
        }
        line += line_length + 1;
    }
    if (length == 0)
        err_set(err, "it answered nothing");
    else
        err_set(err, "not the answer of a bare look; it begins with: %.*s", (int)(length > 120 ? 120 : length), bytes);
    return NULL;
}

static void share_prefixes(struct observation *observation)
{
    for (size_t i = 0; i < observation->device_count; i++)
        for (size_t k = 0; k < observation->devices[i].peer_count; k++)
            device_share_allowed(&observation->devices[i].peers[k]);
    for (size_t i = 0; i < observation->config_count; i++)
        for (size_t k = 0; k < observation->configs[i].device.peer_count; k++)
            device_share_allowed(&observation->configs[i].device.peers[k]);
}

int observation_from_bare(const char *bytes, size_t length, struct observation *observation, struct err *err)
{
    observation_clear(observation);
    if (length > ANSWER_MAX)
        return err_set(err, "the answer is longer than %d MiB", ANSWER_MAX >> 20);
    const char *line = find_start(bytes, length, err);
    if (!line)
        return -1;
    struct bare bare = {.observation = observation, .ip.observation = observation};
    struct buf text = BUF_EMPTY;
    int result = 0;
    for (const char *end = bytes + length; result == 0 && line < end && !bare.ended;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        if (!next)
            break;
        buf_clear(&text);
        buf_add(&text, line, (size_t)(next - line));
        if (text.length)
            result = read_line(&bare, buf_text(&text), text.length, err);
        line = next + 1;
    }
    if (result == 0)
        result = finish(&bare, err);
    if (result != 0)
        observation_clear(observation);
    share_prefixes(observation);
    free(bare.sockets);
    free(bare.known_hashes);
    free(bare.hashes);
    drop_config(&bare);
    buf_free(&bare.document);
    buf_free(&bare.modes);
    buf_free(&bare.dump);
    buf_free(&text);
    bare_ip_free(&bare.ip);
    return result;
}
