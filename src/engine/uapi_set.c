/* UAPI "set=1": lines become operations through a table of keys; the operations are done when all were read, or none of them is. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "control.h"
#include "uapi.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

struct set_peer { /* what stands behind one public_key line */
    struct set_peer *next;
    struct key public_key, preshared;
    struct endpoint endpoint;
    size_t first_row, row_count;
    uint16_t keepalive;
    bool has_preshared, has_endpoint, has_keepalive, remove, update_only, replace_rows;
};

struct set_row {
    struct prefix prefix;
    bool remove;
};

struct uapi_set {
    struct secret_pool *pool; /* of peers; and the private key is the first object */
    struct set_peer *device;  /* only its preshared is used: the private key */
    struct set_peer *peers, **peers_end, *last;
    struct set_row *rows;
    size_t row_count, row_capacity;
    uint32_t fwmark;
    uint16_t port;
    bool has_private, has_port, has_fwmark, replace_peers;
    int error;
};

struct uapi_set *uapi_set_new(void)
{
    struct uapi_set *set = mem_alloc(1, sizeof *set);
    set->pool = secret_pool_new(sizeof(struct set_peer));
    set->device = secret_take(set->pool);
    set->peers_end = &set->peers;
    return set;
}

void uapi_set_free(struct uapi_set *set)
{
    if (!set)
        return;
    secret_pool_free(set->pool);
    free(set->rows);
    free(set);
}

/* --- values. Each reader: 0, or an errno. */

static int read_number(const char *value, unsigned long long maximum, unsigned long long *number)
{
    return text_to_number(value, maximum, number) == 0 ? 0 : EINVAL;
}

static int read_true(const char *value, bool *flag)
{
    if (strcmp(value, "true") != 0)
        return EINVAL;
    *flag = true;
    return 0;
}

static int read_private(struct uapi_set *set, const char *value)
{
    set->has_private = true;
    return key_parse_hex(value, &set->device->preshared) == 0 ? 0 : EINVAL;
}

static int read_port(struct uapi_set *set, const char *value)
{
    unsigned long long number;
    if (read_number(value, UINT16_MAX, &number))
        return EINVAL;
    set->has_port = true;
    set->port = (uint16_t)number;
    return 0;
}

static int read_fwmark(struct uapi_set *set, const char *value)
{
    unsigned long long number;
    if (read_number(value, UINT32_MAX, &number))
        return EINVAL;
    set->has_fwmark = true;
    set->fwmark = (uint32_t)number;
    return 0;
}

static int read_replace_peers(struct uapi_set *set, const char *value)
{
    return read_true(value, &set->replace_peers);
}

static int read_public(struct uapi_set *set, const char *value)
{
    struct set_peer *peer = secret_take(set->pool);
    *set->peers_end = peer;
    set->peers_end = &peer->next;
    set->last = peer;
    peer->first_row = set->row_count;
    return key_parse_hex(value, &peer->public_key) == 0 ? 0 : EINVAL;
}

static int read_remove(struct uapi_set *set, const char *value)
{
    return read_true(value, &set->last->remove);
}

static int read_update_only(struct uapi_set *set, const char *value)
{
    return read_true(value, &set->last->update_only);
}

static int read_preshared(struct uapi_set *set, const char *value)
{
    set->last->has_preshared = true;
    return key_parse_hex(value, &set->last->preshared) == 0 ? 0 : EINVAL;
}

/* As endpoint_parse, and the zone may be the name of an interface: "[fe80::1%eth0]:51820". */
static int read_endpoint(struct uapi_set *set, const char *value)
{
    char name[IFNAMSIZ] = "", copy[ENDPOINT_TEXT_SIZE];
    const char *zone = strchr(value, '%'), *bracket = strchr(value, ']');
    set->last->has_endpoint = true;
    if (endpoint_parse(value, &set->last->endpoint) == 0)
        return 0;
    if (!zone || !bracket || bracket < zone || bracket - zone > IFNAMSIZ)
        return EINVAL;
    memcpy(name, zone + 1, (size_t)(bracket - zone) - 1);
    unsigned index = if_nametoindex(name);
    int length = snprintf(copy, sizeof copy, "%.*s%%%u%s", (int)(zone - value), value, index, bracket);
    if (!index || length < 0 || (size_t)length >= sizeof copy)
        return EINVAL;
    return endpoint_parse(copy, &set->last->endpoint) == 0 ? 0 : EINVAL;
}

static int read_keepalive(struct uapi_set *set, const char *value)
{
    unsigned long long number;
    if (read_number(value, UINT16_MAX, &number))
        return EINVAL;
    set->last->has_keepalive = true;
    set->last->keepalive = (uint16_t)number;
    return 0;
}

static int read_replace_rows(struct uapi_set *set, const char *value)
{
    set->row_count = set->last->first_row; /* what stood before it is replaced too */
    set->last->row_count = 0;
    return read_true(value, &set->last->replace_rows);
}

static int read_allowed(struct uapi_set *set, const char *value)
{
    struct set_row row = {.remove = value[0] == '-'};
    if (prefix_parse(value + row.remove, &row.prefix))
        return EINVAL;
    row.prefix = prefix_network(&row.prefix);
    MEM_GROW(set->rows, set->row_count, set->row_capacity);
    set->rows[set->row_count++] = row;
    set->last->row_count++;
    return 0;
}

static int read_version(struct uapi_set *set, const char *value)
{
    (void)set;
    return strcmp(value, "1") == 0 ? 0 : EINVAL;
}

/* --- lines */

enum scope { SCOPE_DEVICE, SCOPE_PEER, SCOPE_ANY };
struct set_key {
    const char *name;
    enum scope scope;
    int (*read)(struct uapi_set *set, const char *value);
};

static const struct set_key set_keys[] = {
    {"allowed_ip", SCOPE_PEER, read_allowed},
    {"public_key", SCOPE_ANY, read_public},
    {"endpoint", SCOPE_PEER, read_endpoint},
    {"preshared_key", SCOPE_PEER, read_preshared},
    {"persistent_keepalive_interval", SCOPE_PEER, read_keepalive},
    {"replace_allowed_ips", SCOPE_PEER, read_replace_rows},
    {"remove", SCOPE_PEER, read_remove},
    {"update_only", SCOPE_PEER, read_update_only},
    {"protocol_version", SCOPE_PEER, read_version},
    {"private_key", SCOPE_DEVICE, read_private},
    {"listen_port", SCOPE_DEVICE, read_port},
    {"fwmark", SCOPE_DEVICE, read_fwmark},
    {"replace_peers", SCOPE_DEVICE, read_replace_peers},
};

static int read_line(struct uapi_set *set, char *line, size_t length)
{
    char *equals = memchr(line, '=', length);
    if (!equals || memchr(line, 0, length))
        return EPROTO;
    *equals = '\0';
    for (size_t i = 0; i < COUNT_OF(set_keys); i++) {
        const struct set_key *key = &set_keys[i];
        if (strcmp(key->name, line) != 0)
            continue;
        if (key->scope != SCOPE_ANY && (key->scope == SCOPE_PEER) != (set->last != NULL))
            return EINVAL;
        return key->read(set, equals + 1);
    }
    return EINVAL;
}

int uapi_set_line(struct uapi_set *set, char *line, size_t length)
{
    if (!set->error)
        set->error = read_line(set, line, length);
    return set->error;
}

/* --- doing it */

static void remove_peer(struct peer *peer, struct uapi_server *server)
{
    uapi_server_peer_goes(server, peer);
    peer_remove(peer);
}

/* The peer that will be equal to this node goes: answers under way must not stand on it. */
static void remove_self(struct engine *engine, const struct key *private_key, struct uapi_server *server)
{
    struct key public_key;
    if (key_is_zero(private_key))
        return;
    key_public(private_key, &public_key);
    struct peer *self = peer_find(engine, &public_key);
    if (self)
        remove_peer(self, server);
}

/* Whether the key is another one now: then all sessions are gone. */
static bool apply_private(const struct uapi_set *set, struct engine *engine, struct uapi_server *server)
{
    const struct noise_identity *identity = engine->identity;
    const struct key *key = &set->device->preshared, before = identity->public_key;
    const bool was_set = identity->set;
    if (!set->has_private)
        return false;
    remove_self(engine, key, server);
    engine_set_private_key(engine, key);
    return was_set != identity->set || key_compare(&before, &identity->public_key) != 0;
}

/* Those that must not fall silent begin again, as the request has left them: not with what they had before it. */
static void begin_again(struct engine *engine)
{
    int64_t now = clock_steady();
    for (struct peer *peer = engine->peers; peer; peer = peer->list_next)
        protocol_keepalive_changed(peer, now);
}

/* replace_peers: those that do not stand in the request go. Those that do keep their sessions. */
static void replace_peers(const struct uapi_set *set, struct engine *engine, struct uapi_server *server)
{
    for (const struct set_peer *row = set->peers; row; row = row->next) {
        struct peer *peer = peer_find(engine, &row->public_key);
        if (peer && row->remove)
            peer->listed = false;
        else if (peer && !row->update_only)
            peer->listed = true;
    }
    for (struct peer *peer = engine->peers, *next; peer; peer = next) {
        next = peer->list_next;
        if (!peer->listed)
            remove_peer(peer, server);
    }
}

static int compare_rows(const void *a, const void *b)
{
    const struct set_row *first = a, *second = b;
    return prefix_compare(&first->prefix, &second->prefix);
}

/* Removes PEER's rows but for those that the request gives again: traffic under them sees no gap. */
static void drop_other_rows(const struct uapi_set *set, const struct set_peer *row, struct peer *peer)
{
    struct engine *engine = peer->engine;
    struct prefix prefix;
    if (!row->row_count) {
        trie_remove_peer(&engine->trie, peer);
        return;
    }
    struct set_row *wanted = mem_copy(set->rows + row->first_row, row->row_count, sizeof *wanted);
    struct prefix *gone = NULL;
    size_t count = 0, capacity = 0;
    qsort(wanted, row->row_count, sizeof *wanted, compare_rows);
    for (struct trie_node *node = NULL; (node = trie_next(&engine->trie, peer, node, &prefix));) {
        const struct set_row key = {.prefix = prefix};
        if (bsearch(&key, wanted, row->row_count, sizeof *wanted, compare_rows))
            continue;
        MEM_GROW(gone, count, capacity);
        gone[count++] = prefix;
    }
    for (size_t i = 0; i < count; i++)
        trie_remove(&engine->trie, &gone[i], peer);
    free(gone);
    free(wanted);
}

static void apply_rows(const struct uapi_set *set, const struct set_peer *row, struct peer *peer, bool replace)
{
    struct engine *engine = peer->engine;
    if (replace && peer->prefixes)
        drop_other_rows(set, row, peer);
    for (size_t i = row->first_row; i < row->first_row + row->row_count; i++) {
        if (set->rows[i].remove)
            trie_remove(&engine->trie, &set->rows[i].prefix, peer);
        else
            trie_insert(&engine->trie, &set->rows[i].prefix, peer);
    }
}

static void apply_endpoint(const struct set_peer *row, struct peer *peer)
{
    struct udp_endpoint endpoint;
    udp_endpoint_from(&row->endpoint, &endpoint);
    peer_endpoint_set(peer, &endpoint);
}

static bool has_staged(struct peer *peer)
{
    spin_lock(&peer->lock);
    bool waits = peer->staged_count > 0;
    spin_unlock(&peer->lock);
    return waits;
}

/* FRESH: the peer was there, but stands for a new one (replace_peers): what is not given is as in a new one. */
static void apply_values(const struct uapi_set *set, const struct set_peer *row, struct peer *peer, bool fresh)
{
    static const struct key none;
    uint16_t before = atomic_load(&peer->keepalive), keepalive = row->has_keepalive ? row->keepalive : fresh ? 0 : before;
    if (row->has_preshared || fresh)
        peer_set_preshared(peer, row->has_preshared ? &row->preshared : &none);
    if (row->has_endpoint)
        apply_endpoint(row, peer);
    apply_rows(set, row, peer, row->replace_rows || fresh);
    atomic_store(&peer->keepalive, keepalive);
    int64_t now = clock_steady();
    if (row->has_endpoint && has_staged(peer))
        protocol_initiate(peer, true, now);
    if (!before && keepalive)
        protocol_keepalive_changed(peer, now);
    else if (before != keepalive || row->has_endpoint)
        timers_peer_changed(peer, now);
}

static void apply_peer(const struct uapi_set *set, const struct set_peer *row, struct engine *engine, struct uapi_server *server)
{
    struct peer *peer = peer_find(engine, &row->public_key);
    bool fresh = peer && peer->listed;
    if (row->remove) {
        if (peer)
            remove_peer(peer, server);
        return;
    }
    if (((!peer || fresh) && row->update_only) || (engine->identity->set && key_compare(&engine->identity->public_key, &row->public_key) == 0))
        return;
    if (!peer)
        peer = peer_add(engine, &row->public_key);
    peer->listed = false;
    apply_values(set, row, peer, fresh);
}

int uapi_set_apply(struct uapi_set *set, struct engine *engine, struct uapi_server *server)
{
    if (set->error)
        return -set->error;
    /* Only this can fail. */
    int result = 0;
    if (set->has_port || set->has_fwmark)
        result = interface_configure(engine, set->has_port ? set->port : engine->listen_port, set->has_fwmark ? set->fwmark : engine->fwmark);
    if (result)
        return result;
    uapi_server_settle(server);
    bool other_key = apply_private(set, engine, server);
    if (set->replace_peers)
        replace_peers(set, engine, server);
    for (const struct set_peer *row = set->peers; row; row = row->next)
        apply_peer(set, row, engine, server);
    if (other_key)
        begin_again(engine);
    return 0;
}
