/* The state of an interface: after operations, as text and back, what is told to engines to reach another, and the saved file. */
#include "unit.h"

#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <sodium.h>

#include "state_random.h"
#include "wgdeck/text.h"

static struct prefix prefix_of(const char *text)
{
    struct prefix prefix;
    if (prefix_parse(text, &prefix))
        fail_msg("%s", text);
    return prefix;
}

static struct key key_of(uint8_t number)
{
    struct key key = {{number}};
    key.bytes[31] = (uint8_t)(number * 37);
    return key;
}

/* --- after operations */

struct list {
    struct prefix items[8];
    size_t count;
};

static struct list list_of(const char *text)
{
    struct list list = {.count = 0};
    char *copy = mem_text(text), *rest = NULL;
    for (char *word = strtok_r(copy, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest))
        list.items[list.count++] = prefix_of(word);
    free(copy);
    return list;
}

/* A short word for what counts: rows by their first byte with prefixes, endpoint and keepalive. */
static void tell(const struct state *state, struct buf *text)
{
    char word[ENDPOINT_TEXT_SIZE];
    buf_add_format(text, "%s%s port %u mtu %u", state->exists ? "" : "none ", state->up ? "up" : "down", state->device.listen_port, state->mtu);
    buf_add_format(text, " key %u", state_private(state) ? state_private(state)->bytes[0] : 0);
    for (size_t i = 0; i < state->address_count; i++) {
        prefix_text(&state->addresses[i], word);
        buf_add_format(text, " addr %s", word);
    }
    for (size_t i = 0; i < state->route_count; i++) {
        prefix_text(&state->routes[i].to, word);
        buf_add_format(text, " route %s", word);
    }
    for (size_t i = 0; i < state->device.peer_count; i++) {
        const struct device_peer *row = &state->device.peers[i];
        const struct key *preshared = state_preshared(state, &row->public_key);
        buf_add_format(text, " [%u", row->public_key.bytes[0]);
        for (size_t k = 0; k < row->allowed_count; k++) {
            prefix_text(&row->allowed[k], word);
            buf_add_format(text, " %s", word);
        }
        endpoint_text(&row->endpoint, word);
        if (*word)
            buf_add_format(text, " at %s", word);
        if (state_row_host(state, &row->public_key))
            buf_add_format(text, " name %s", state_row_host(state, &row->public_key));
        if (row->keepalive)
            buf_add_format(text, " every %u", row->keepalive);
        if (preshared)
            buf_add_format(text, " psk %u", preshared->bytes[0]);
        buf_add_char(text, ']');
        assert_int_equal(preshared != NULL, row->has_preshared);
    }
}

/* Rows 1 (10.0.0.1/32, 10.1.0.0/16, with keepalive and preshared key 9) and 2 (10.0.0.2/32, with an endpoint). */
static void begin_state(struct state *state)
{
    struct key one = key_of(1), two = key_of(2), preshared = key_of(9), private_key = key_of(7);
    struct list allowed = list_of("10.0.0.1/32, 10.1.0.0/16");
    *state = (struct state){.name = "wg0", .exists = true, .up = true, .mtu = 1420, .device.listen_port = 51820, .engine = ENGINE_KERNEL};
    state_set_private(state, &private_key);
    struct device_peer *row = state_row_make(state, &one);
    row->allowed = mem_copy(allowed.items, allowed.count, sizeof *allowed.items);
    row->allowed_count = allowed.count;
    row->keepalive = 25;
    state_set_preshared(state, &one, &preshared);
    row = state_row_make(state, &two);
    allowed = list_of("10.0.0.2/32");
    row->allowed = mem_copy(allowed.items, allowed.count, sizeof *allowed.items);
    row->allowed_count = allowed.count;
    endpoint_parse("192.0.2.2:51820", &row->endpoint);
    state->addresses = mem_alloc(1, sizeof *state->addresses);
    state->addresses[state->address_count++] = prefix_of("10.0.0.9/24");
}

#define BEGIN "up port 51820 mtu 1420 key 7 addr 10.0.0.9/24"
#define ROW1 " [1 10.0.0.1/32 10.1.0.0/16 every 25 psk 9]"
#define ROW2 " [2 10.0.0.2/32 at 192.0.2.2:51820]"

struct after_case {
    struct plan_operation operation;
    uint8_t key, other;
    const char *allowed, *prefix;
    const char *stage, *finish; /* FINISH of what STAGE gave; NULL: cannot be */
};

static const struct after_case after_cases[] = {
    {.operation = {.kind = PLAN_LISTEN_PORT, .number = 7}, .stage = "up port 7 mtu 1420 key 7 addr 10.0.0.9/24" ROW1 ROW2, .finish = "up port 7 mtu 1420 key 7 addr 10.0.0.9/24" ROW1 ROW2},
    {.operation = {.kind = PLAN_MTU, .number = 1280}, .stage = "up port 51820 mtu 1280 key 7 addr 10.0.0.9/24" ROW1 ROW2, .finish = "up port 51820 mtu 1280 key 7 addr 10.0.0.9/24" ROW1 ROW2},
    {.operation = {.kind = PLAN_ADDRESS}, .prefix = "fd00::1/64", .stage = BEGIN " addr fd00::1/64" ROW1 ROW2, .finish = BEGIN " addr fd00::1/64" ROW1 ROW2},
    {.operation = {.kind = PLAN_ADDRESS}, .prefix = "10.0.0.9/24", .stage = BEGIN ROW1 ROW2, .finish = BEGIN ROW1 ROW2}, /* twice is once */
    {.operation = {.kind = PLAN_ADDRESS_REMOVE}, .prefix = "10.0.0.9/24", .stage = BEGIN ROW1 ROW2, .finish = "up port 51820 mtu 1420 key 7" ROW1 ROW2},
    {.operation = {.kind = PLAN_ROUTE}, .prefix = "10.1.0.0/16", .stage = BEGIN " route 10.1.0.0/16" ROW1 ROW2, .finish = BEGIN " route 10.1.0.0/16" ROW1 ROW2},
    {.operation = {.kind = PLAN_ROUTE}, .prefix = "10.0.0.0/24", .stage = BEGIN " route 10.0.0.0/24" ROW1 ROW2,
     .finish = BEGIN " route 10.0.0.0/24" ROW1 ROW2}, /* of an address that is there: the kernel's own is gone */
    /* A new row stays silent in the first phase. */
    {.operation = {.kind = PLAN_ROW, .set_allowed = true, .set_keepalive = true, .keepalive = 25, .set_endpoint = true, .endpoint = (char *)(uintptr_t)"192.0.2.3:1"},
     .key = 3, .allowed = "10.0.0.3/32", .stage = BEGIN ROW1 ROW2 " [3 10.0.0.3/32 at 192.0.2.3:1]", .finish = BEGIN ROW1 ROW2 " [3 10.0.0.3/32 at 192.0.2.3:1 every 25]"},
    {.operation = {.kind = PLAN_ROW, .set_allowed = true, .set_endpoint = true, .endpoint = (char *)(uintptr_t)"vpn.example.org:51820"}, .key = 3, .allowed = "10.0.0.3/32",
     .stage = BEGIN ROW1 ROW2 " [3 10.0.0.3/32 name vpn.example.org:51820]", .finish = BEGIN ROW1 ROW2 " [3 10.0.0.3/32 name vpn.example.org:51820]"},
    /* A row that is there changes at once, and keeps what is not named. */
    {.operation = {.kind = PLAN_ROW, .set_keepalive = true, .keepalive = 7}, .key = 2, .stage = BEGIN ROW1 " [2 10.0.0.2/32 at 192.0.2.2:51820 every 7]",
     .finish = BEGIN ROW1 " [2 10.0.0.2/32 at 192.0.2.2:51820 every 7]"},
    {.operation = {.kind = PLAN_ROW, .set_endpoint = true, .endpoint_saved_only = true, .endpoint = (char *)(uintptr_t)"192.0.2.9:1"}, .key = 2, .stage = BEGIN ROW1 ROW2, .finish = BEGIN ROW1 ROW2},
    {.operation = {.kind = PLAN_ROW, .set_endpoint = true}, .key = 2, .stage = BEGIN ROW1 " [2 10.0.0.2/32]", .finish = BEGIN ROW1 " [2 10.0.0.2/32]"},
    /* What one row gets, the other loses. */
    {.operation = {.kind = PLAN_ROW, .set_allowed = true}, .key = 2, .allowed = "10.1.0.0/16, 10.0.0.2/32", .stage = BEGIN " [1 10.0.0.1/32 every 25 psk 9] [2 10.0.0.2/32 10.1.0.0/16 at 192.0.2.2:51820]",
     .finish = BEGIN " [1 10.0.0.1/32 every 25 psk 9] [2 10.0.0.2/32 10.1.0.0/16 at 192.0.2.2:51820]"},
    {.operation = {.kind = PLAN_ROW, .preshared = PLAN_PRESHARED_COPY}, .key = 2, .other = 1, .stage = BEGIN ROW1 " [2 10.0.0.2/32 at 192.0.2.2:51820 psk 9]",
     .finish = BEGIN ROW1 " [2 10.0.0.2/32 at 192.0.2.2:51820 psk 9]"},
    {.operation = {.kind = PLAN_ROW, .preshared = PLAN_PRESHARED_NONE}, .key = 1, .stage = BEGIN " [1 10.0.0.1/32 10.1.0.0/16 every 25]" ROW2, .finish = BEGIN " [1 10.0.0.1/32 10.1.0.0/16 every 25]" ROW2},
    {.operation = {.kind = PLAN_ROW, .preshared = PLAN_PRESHARED_TAKE}, .key = 2, .stage = BEGIN ROW1 " [2 10.0.0.2/32 at 192.0.2.2:51820 psk 5]",
     .finish = BEGIN ROW1 " [2 10.0.0.2/32 at 192.0.2.2:51820 psk 5]"},
    {.operation = {.kind = PLAN_ROW, .preshared = PLAN_PRESHARED_MAKE}, .key = 1}, /* none has come */
    {.operation = {.kind = PLAN_ROW, .preshared = PLAN_PRESHARED_COPY}, .key = 2, .other = 8},
    {.operation = {.kind = PLAN_ROW_MOVE}, .key = 2, .other = 1, .stage = BEGIN ROW1 ROW2, .finish = BEGIN " [1 psk 9] [2 10.0.0.1/32 10.0.0.2/32 10.1.0.0/16 at 192.0.2.2:51820 every 25]"},
    {.operation = {.kind = PLAN_ROW_MOVE}, .key = 2, .other = 8, .stage = BEGIN ROW1 ROW2},
    {.operation = {.kind = PLAN_ROW_MOVE}, .key = 2, .other = 2, .stage = BEGIN ROW1 ROW2},
    {.operation = {.kind = PLAN_ROW_REMOVE}, .key = 1, .stage = BEGIN ROW1 ROW2, .finish = BEGIN ROW2},
    {.operation = {.kind = PLAN_ROW_REMOVE}, .key = 8, .stage = BEGIN ROW1 ROW2, .finish = BEGIN ROW1 ROW2},
    {.operation = {.kind = PLAN_PRIVATE_KEY}, .stage = BEGIN ROW1 ROW2, .finish = "up port 51820 mtu 1420 key 6 addr 10.0.0.9/24" ROW1 ROW2},
    {.operation = {.kind = PLAN_INTERFACE_REMOVE}, .stage = BEGIN ROW1 ROW2, .finish = "none down port 0 mtu 0 key 0"},
    {.operation = {.kind = PLAN_INTERFACE}, .stage = BEGIN ROW1 ROW2, .finish = BEGIN ROW1 ROW2},
    {.operation = {.kind = PLAN_FILE}, .stage = BEGIN ROW1 ROW2, .finish = BEGIN ROW1 ROW2},
};

static void assert_told(size_t row, const struct state *state, const char *expected)
{
    struct buf text = BUF_EMPTY;
    tell(state, &text);
    if (strcmp(buf_text(&text), expected) != 0)
        fail_msg("case %zu:\n%s\nexpected:\n%s", row, buf_text(&text), expected);
    buf_free(&text);
}

static void try_phase(size_t row, struct state *state, const struct plan_operation *operation, enum state_phase phase, const struct state_keys *keys, const char *expected)
{
    struct state after;
    struct err err = {{0}};
    size_t at = 99;
    int result = state_after(state, operation, 1, phase, keys, &after, &at, &err);
    CASE_ASSERT(row, result == (expected ? 0 : -1));
    if (result) {
        CASE_ASSERT(row, at == 0 && *err.text);
        return;
    }
    assert_told(row, &after, expected);
    state_free(state);
    *state = after;
}

static void test_after(void **unused)
{
    struct state_keys keys = {.private_key = key_of(6)};
    struct up_secrets *preshared = NULL;
    struct key two = key_of(2), five = key_of(5);
    (void)unused;
    state_secrets_set(&preshared, &two, &five);
    keys.preshared = preshared;
    for (size_t i = 0; i < COUNT_OF(after_cases); i++) {
        const struct after_case *row = &after_cases[i];
        struct plan_operation operation = row->operation;
        struct list allowed = list_of(row->allowed ? row->allowed : "");
        struct state state;
        begin_state(&state);
        operation.running = true;
        operation.key = row->key ? key_of(row->key) : (struct key){{0}};
        operation.other_key = row->other ? key_of(row->other) : (struct key){{0}};
        operation.allowed = allowed.items;
        operation.allowed_count = allowed.count;
        if (row->prefix)
            operation.prefix = prefix_of(row->prefix);
        try_phase(i, &state, &operation, STATE_STAGE, &keys, row->stage);
        if (row->stage)
            try_phase(i, &state, &operation, STATE_FINISH, &keys, row->finish);
        operation.running = false; /* of the file only: nothing changes */
        struct state same;
        size_t at;
        assert_int_equal(state_after(&state, &operation, 1, STATE_FINISH, NULL, &same, &at, NULL), 0);
        assert_true(state_equal(&state, &same));
        state_free(&same);
        state_free(&state);
    }
    up_secrets_free(preshared);
}

static void test_made_from_nothing(void **unused)
{
    struct state nothing = {.name = "wg0", .forwarding4 = 0, .forwarding6 = 0}, after;
    struct plan_operation operations[] = {
        {.kind = PLAN_INTERFACE, .running = true, .engine = ENGINE_CHOICE_EMBEDDED},
        {.kind = PLAN_FORWARDING, .running = true, .prefix.address.family = AF_INET6},
        {.kind = PLAN_LISTEN_PORT, .running = true, .number = 51820},
    };
    struct state_keys keys = {.private_key = key_of(6)}, none = {.preshared = NULL};
    struct err err;
    size_t at;
    (void)unused;
    assert_int_equal(state_after(&nothing, operations, 3, STATE_STAGE, &none, &after, &at, &err), -1);
    assert_int_equal(at, 0);
    assert_int_equal(state_after(&nothing, operations, 3, STATE_STAGE, &keys, &after, &at, &err), 0);
    assert_told(0, &after, "up port 51820 mtu 0 key 6");
    assert_int_equal(after.engine, ENGINE_EMBEDDED);
    assert_int_equal(after.forwarding4, 0);
    assert_int_equal(after.forwarding6, 1);
    assert_false(state_equal(&nothing, &after));
    state_free(&after);
}

/* --- as text */

static void assert_same(uint64_t seed, const struct state *a, const struct state *b)
{
    struct buf first = BUF_EMPTY, second = BUF_EMPTY;
    state_write(a, &first);
    state_write(b, &second);
    if (strcmp(buf_text(&first), buf_text(&second)) != 0)
        fail_msg("seed %llu:\n%s\nis not\n%s", (unsigned long long)seed, buf_text(&first), buf_text(&second));
    assert_true(state_equal(a, b) && state_equal(b, a));
    buf_wipe(&first);
    buf_wipe(&second);
}

static void test_text_round_trip(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct chance chance = {seed};
        struct state state, copy, read;
        struct buf text = BUF_EMPTY;
        struct err err = {{0}};
        random_state(&chance, &state);
        if (seed % 2)
            state_endpoints_stay(&state, NULL, 0);
        for (size_t i = 0; seed % 2 && i < state.device.peer_count; i++)
            state.endpoints_stay[i] = i % 3 == 0;
        state_write(&state, &text);
        if (state_parse(text.data, text.length, &read, &err))
            fail_msg("seed %llu: %s\n%s", (unsigned long long)seed, err.text, text.data);
        assert_same(seed, &state, &read);
        for (size_t i = 0; seed % 2 && i < state.device.peer_count; i++)
            assert_int_equal(read.endpoints_stay && read.endpoints_stay[i], state.endpoints_stay[i]);
        state_copy(&copy, &read);
        assert_same(seed, &state, &copy);
        if (text.length > 8) { /* cut off anywhere it is no state */
            struct state none;
            size_t cut = chance_below(&chance, text.length - 6);
            assert_int_equal(state_parse(text.data, cut, &none, &err), -1);
            assert_true(text_is_safe(err.text, strlen(err.text)));
        }
        buf_wipe(&text);
        state_free(&state);
        state_free(&copy);
        state_free(&read);
    }
}

static void test_garbled_texts(void **unused)
{
    static const char *const texts[] = {
        "", "[End]\n", "[State]\nName = wg0\n", "[State]\nName = w/g0\n[End]\n", "[State]\nName = wg0\nExists = maybe\n[End]\n",
        "[State]\nName = wg0\n[Peer]\nPersistentKeepalive = 25\n[End]\n", "[State]\nName = wg0\nRoute = 10.0.0.0/8 table x metric 0\n[End]\n",
        "[State]\nName = wg0\nRoute = 10.0.0.0/8 table 1 metric 0 more\n[End]\n", "[State]\nName = wg0\nEngine = steam\n[End]\n",
        "[State]\nName = wg0\nForwarding4 = 2\n[End]\n", "[State]\nName = wg0\nWhat = 1\n[End]\n",
        "[State]\nName = wg0\n[Interface]\nPrivateKey = abc\n[End]\n",
        "[State]\nName = wg0\n[Peer]\nPresharedKey = AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n[End]\n",
        "[State]\nName = wg0\n[Peer]\nPublicKey = AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n[Peer]\nPublicKey = AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n[End]\n",
    };
    (void)unused;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct state state;
        struct err err = {{0}};
        CASE_ASSERT(i, state_parse(texts[i], strlen(texts[i]), &state, &err) == -1 && *err.text);
        CASE_ASSERT(i, !strstr(err.text, "abc"));
    }
}

/* --- what engines are told: a model of an engine takes it, and must come out as TO */

static struct key hex_key(const char *value)
{
    struct key key;
    if (key_parse_hex(value, &key))
        fail_msg("no key: %s", value);
    return key;
}

static void give(struct state *engine, struct device_peer *row, const struct prefix *prefix)
{
    struct device one = {.peers = row, .peer_count = 1};
    row->allowed = mem_resize(row->allowed, row->allowed_count + 1, sizeof *row->allowed);
    row->allowed[row->allowed_count++] = *prefix;
    device_sort(&one);
    state_row_take_allowed(engine, row);
}

static void take_uapi(struct state *engine, const char *text)
{
    char *copy = mem_text(text), *rest = NULL;
    struct device_peer *row = NULL;
    struct key key = {{0}}, value;
    bool ignored = false;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '='), *word = equals + 1;
        *equals = '\0';
        if (!strcmp(line, "public_key")) {
            key = hex_key(word);
            ignored = false;
            /* the line behind it says whether it may be made */
            const char *next = rest && *rest ? rest : "";
            row = strncmp(next, "update_only", 11) && strncmp(next, "remove", 6) ? state_row_make(engine, &key) : state_row(engine, &key);
            ignored = !row;
        } else if (!strcmp(line, "private_key")) {
            value = hex_key(word);
            state_set_private(engine, &value);
        } else if (!strcmp(line, "listen_port")) {
            engine->device.listen_port = (uint16_t)atoi(word);
        } else if (!strcmp(line, "fwmark")) {
            engine->device.fwmark = (uint32_t)atoi(word);
        } else if (ignored || !strcmp(line, "set") || !strcmp(line, "update_only")) {
            continue;
        } else if (!strcmp(line, "remove")) {
            state_row_remove(engine, &key);
        } else if (!strcmp(line, "preshared_key")) {
            value = hex_key(word);
            state_set_preshared(engine, &key, &value);
        } else if (!strcmp(line, "endpoint")) {
            assert_int_equal(endpoint_parse(word, &row->endpoint), 0);
        } else if (!strcmp(line, "persistent_keepalive_interval")) {
            row->keepalive = (uint16_t)atoi(word);
        } else if (!strcmp(line, "replace_allowed_ips")) {
            row->allowed_count = 0;
        } else if (!strcmp(line, "allowed_ip")) {
            struct prefix prefix = prefix_of(word);
            give(engine, row, &prefix);
        } else {
            fail_msg("an engine was told %s", line); /* replace_peers above all */
        }
    }
    free(copy);
}

static void take_netlink_row(struct state *engine, struct nlattr *attribute)
{
    struct nlattr *part[WGPEER_A_MAX + 1], *item, *inner[WGALLOWEDIP_A_MAX + 1];
    struct key key;
    int left;
    assert_int_equal(nla_parse_nested(part, WGPEER_A_MAX, attribute, NULL), 0);
    memcpy(key.bytes, nla_data(part[WGPEER_A_PUBLIC_KEY]), KEY_SIZE);
    uint32_t flags = part[WGPEER_A_FLAGS] ? nla_get_u32(part[WGPEER_A_FLAGS]) : 0;
    if (flags & WGPEER_F_REMOVE_ME) {
        state_row_remove(engine, &key);
        return;
    }
    struct device_peer *row = flags & WGPEER_F_UPDATE_ONLY ? state_row(engine, &key) : state_row_make(engine, &key);
    if (!row)
        return;
    if (flags & WGPEER_F_REPLACE_ALLOWEDIPS)
        row->allowed_count = 0;
    if (part[WGPEER_A_PRESHARED_KEY]) {
        struct key value;
        memcpy(value.bytes, nla_data(part[WGPEER_A_PRESHARED_KEY]), KEY_SIZE);
        state_set_preshared(engine, &key, &value);
    }
    if (part[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL])
        row->keepalive = nla_get_u16(part[WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL]);
    if (part[WGPEER_A_ENDPOINT]) {
        const struct sockaddr_in6 *v6 = nla_data(part[WGPEER_A_ENDPOINT]);
        const struct sockaddr_in *v4 = nla_data(part[WGPEER_A_ENDPOINT]);
        row->endpoint = (struct endpoint){.address.family = (uint8_t)v4->sin_family, .port = ntohs(v4->sin_port)};
        memcpy(row->endpoint.address.bytes, v4->sin_family == AF_INET ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr, v4->sin_family == AF_INET ? 4 : 16);
    }
    if (!part[WGPEER_A_ALLOWEDIPS])
        return;
    nla_for_each_nested(item, part[WGPEER_A_ALLOWEDIPS], left) {
        assert_int_equal(nla_parse_nested(inner, WGALLOWEDIP_A_MAX, item, NULL), 0);
        struct prefix prefix = {.address.family = (uint8_t)nla_get_u16(inner[WGALLOWEDIP_A_FAMILY]), .length = nla_get_u8(inner[WGALLOWEDIP_A_CIDR_MASK])};
        memcpy(prefix.address.bytes, nla_data(inner[WGALLOWEDIP_A_IPADDR]), (size_t)nla_len(inner[WGALLOWEDIP_A_IPADDR]));
        give(engine, row, &prefix);
    }
}

static size_t messages;

static int take_netlink(struct nl_msg *message, void *context)
{
    struct state *engine = context;
    struct nlattr *part[WGDEVICE_A_MAX + 1], *row;
    int left;
    messages++;
    assert_int_equal(genlmsg_parse(nlmsg_hdr(message), 0, part, WGDEVICE_A_MAX, NULL), 0);
    assert_string_equal(nla_data(part[WGDEVICE_A_IFNAME]), "wg0");
    assert_null(part[WGDEVICE_A_FLAGS]); /* never are all rows replaced */
    if (part[WGDEVICE_A_PRIVATE_KEY]) {
        struct key key;
        memcpy(key.bytes, nla_data(part[WGDEVICE_A_PRIVATE_KEY]), KEY_SIZE);
        state_set_private(engine, &key);
    }
    if (part[WGDEVICE_A_LISTEN_PORT])
        engine->device.listen_port = nla_get_u16(part[WGDEVICE_A_LISTEN_PORT]);
    if (part[WGDEVICE_A_FWMARK])
        engine->device.fwmark = nla_get_u32(part[WGDEVICE_A_FWMARK]);
    if (part[WGDEVICE_A_PEERS])
        nla_for_each_nested(row, part[WGDEVICE_A_PEERS], left) take_netlink_row(engine, row);
    nlmsg_free(message);
    return 0;
}

static void assert_reached(uint64_t seed, const struct state *engine, const struct state *to)
{
    struct state expected, got;
    state_copy(&expected, to);
    state_copy(&got, engine);
    /* Only what engines know; endpoints of TO that are not given are as they were. */
    got.up = expected.up;
    got.mtu = expected.mtu;
    got.forwarding4 = expected.forwarding4;
    got.forwarding6 = expected.forwarding6;
    free(got.addresses);
    free(got.routes);
    got.addresses = mem_copy(expected.addresses, expected.address_count, sizeof *expected.addresses);
    got.routes = mem_copy(expected.routes, expected.route_count, sizeof *expected.routes);
    got.address_count = expected.address_count;
    got.route_count = expected.route_count;
    if (!state_equal(&got, &expected)) {
        struct buf first = BUF_EMPTY, second = BUF_EMPTY;
        state_write(&got, &first);
        state_write(&expected, &second);
        fail_msg("seed %llu:\n%s\nis not\n%s", (unsigned long long)seed, buf_text(&first), buf_text(&second));
    }
    state_free(&expected);
    state_free(&got);
}

/* Rows that are the same are not named at all. */
static void assert_others_unnamed(const struct state *from, const struct state *to, const struct state_change *change)
{
    for (size_t i = 0; i < to->device.peer_count; i++) {
        const struct device_peer *row = &to->device.peers[i], *was = device_find_peer(&from->device, &row->public_key);
        bool same = was && was->keepalive == row->keepalive && state_same_allowed(was, row) && !state_endpoint_differs(from, to, row) &&
                    state_same_key(state_preshared(from, &row->public_key), state_preshared(to, &row->public_key));
        for (size_t k = 0; k < change->set.row_count; k++)
            if (same && !key_compare(change->set.rows[k].public_key, &row->public_key))
                fail_msg("a row that is the same is named");
    }
}

static void test_engines_are_told_what_differs(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct chance chance = {seed};
        struct state from, to, by_uapi, by_netlink;
        struct state_change change;
        random_state(&chance, &from);
        if (chance_below(&chance, 5))
            random_state(&chance, &to);
        else
            state_copy(&to, &from);
        struct endpoint *endpoints = mem_alloc(to.device.peer_count, sizeof *endpoints);
        for (size_t i = 0; i < to.device.peer_count; i++)
            endpoints[i] = to.device.peers[i].endpoint;
        if (chance_below(&chance, 3) == 0)
            state_endpoints_stay(&to, NULL, 0);
        state_copy(&by_uapi, &from);
        state_copy(&by_netlink, &from);
        state_change_find(&from, &to, endpoints, &change);
        assert_others_unnamed(&from, &to, &change);
        const struct up_set *const sets[] = {&change.set, &change.removal};
        for (size_t i = 0; i < 2; i++) {
            struct buf text = BUF_EMPTY;
            up_set_to_uapi(sets[i], &text);
            take_uapi(&by_uapi, buf_text(&text));
            assert_int_equal(up_set_to_netlink(sets[i], 30, take_netlink, &by_netlink), 0);
            buf_wipe(&text);
        }
        assert_reached(seed, &by_uapi, &to);
        assert_reached(seed, &by_netlink, &to);
        state_change_free(&change);
        free(endpoints);
        state_free(&from);
        state_free(&to);
        state_free(&by_uapi);
        state_free(&by_netlink);
    }
}

/* More than one message holds: the row goes on in the next. */
static void test_large_rows_by_netlink(void **unused)
{
    enum { ROWS = 40, PREFIXES = 300 };
    struct state from = {.name = "wg0", .exists = true}, to = {.name = "wg0", .exists = true}, engine;
    struct endpoint *endpoints = mem_alloc(ROWS, sizeof *endpoints);
    struct state_change change;
    (void)unused;
    for (uint8_t i = 0; i < ROWS; i++) {
        struct key key = key_of((uint8_t)(i + 1));
        struct device_peer *row = state_row_make(&to, &key);
        row->allowed = mem_alloc(PREFIXES, sizeof *row->allowed);
        for (size_t k = 0; k < PREFIXES; k++)
            row->allowed[row->allowed_count++] = (struct prefix){{AF_INET6, {0xfd, i, (uint8_t)(k >> 8), (uint8_t)k}}, 64};
    }
    device_sort(&to.device);
    state_copy(&engine, &from);
    state_change_find(&from, &to, endpoints, &change);
    messages = 0;
    assert_int_equal(up_set_to_netlink(&change.set, 30, take_netlink, &engine), 0);
    assert_true(messages > 5);
    assert_reached(0, &engine, &to);
    state_change_free(&change);
    free(endpoints);
    state_free(&from);
    state_free(&to);
    state_free(&engine);
}

/* Only endpoints that the change sets are put back; others may have roamed. */
static void test_endpoints_that_stay(void **unused)
{
    struct state old, now;
    struct plan_operation operation = {.kind = PLAN_ROW, .key = key_of(2), .set_endpoint = true};
    (void)unused;
    begin_state(&old);
    state_copy(&now, &old);
    endpoint_parse("198.51.100.9:999", &now.device.peers[1].endpoint);
    assert_false(state_equal(&now, &old));
    state_endpoints_stay(&old, &operation, 1);
    assert_false(state_equal(&now, &old));
    state_endpoints_stay(&old, &operation, 0);
    assert_true(state_equal(&now, &old));
    state_free(&old);
    state_free(&now);
}

static void test_secrets_stay_in_order(void **unused)
{
    struct up_secrets *secrets = NULL;
    (void)unused;
    for (unsigned i = 0; i < 200; i++) {
        struct key key = {{(uint8_t)(i * 7)}}, value = {{(uint8_t)i, 1}};
        key.bytes[1] = (uint8_t)(i >> 5);
        state_secrets_set(&secrets, &key, &value);
    }
    assert_int_equal(secrets->count, 200);
    for (unsigned i = 0; i < 200; i++) {
        struct key key = {{(uint8_t)(i * 7)}};
        key.bytes[1] = (uint8_t)(i >> 5);
        assert_non_null(up_secrets_preshared(secrets, &key));
        assert_int_equal(up_secrets_preshared(secrets, &key)->bytes[0], i);
        if (i % 2)
            state_secrets_set(&secrets, &key, NULL);
    }
    assert_int_equal(secrets->count, 100);
    up_secrets_free(secrets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after),
        cmocka_unit_test(test_made_from_nothing),
        cmocka_unit_test(test_text_round_trip),
        cmocka_unit_test(test_garbled_texts),
        cmocka_unit_test(test_engines_are_told_what_differs),
        cmocka_unit_test(test_large_rows_by_netlink),
        cmocka_unit_test(test_endpoints_that_stay),
        cmocka_unit_test(test_secrets_stay_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
