/* Observations: JSON and back, changes and their merging, hostile input, hidden keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "observed_random.h"
#include "wgdeck/clock.h"

static cJSON *parsed(struct buf *text)
{
    struct err err;
    cJSON *json = json_parse(buf_text(text), text->length, &err);
    if (!json)
        fail_msg("%s in %s", err.text, buf_text(text));
    return json;
}

static cJSON *as_json(const struct observation *observation, bool with_deck_fields)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    observation_to_json(observation, with_deck_fields, &json, NULL);
    cJSON *object = parsed(&text);
    buf_free(&text);
    return object;
}

static char *as_text(const struct observation *observation)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    observation_to_json(observation, true, &json, NULL);
    return buf_take(&text);
}

static void assert_same(const struct observation *a, const struct observation *b, bool with_deck_fields)
{
    if (observation_equal(a, b, with_deck_fields))
        return;
    fail_msg("%s\nis not\n%s", as_text(a), as_text(b));
}

static int read_json(const char *text, struct observation *observation, struct err *err)
{
    cJSON *json = json_parse(text, strlen(text), err);
    if (!json)
        return -1;
    int result = observation_from_json(json, false, observation, err);
    cJSON_Delete(json);
    return result;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct err err;
    for (uint64_t seed = 0; seed < 500; seed++) {
        struct chance chance = {seed};
        struct observation one, two = {0}, three;
        chance_observation(&chance, &one);
        cJSON *json = as_json(&one, false);
        if (observation_from_json(json, false, &two, &err) != 0)
            fail_msg("seed %d: %s", (int)seed, err.text);
        assert_same(&one, &two, true);
        observation_copy(&three, &two);
        assert_same(&three, &two, true);
        observation_clear(&one);
        observation_clear(&two);
        observation_clear(&three);
        cJSON_Delete(json);
    }
}

static void test_deck_fields(void **state)
{
    (void)state;
    struct observation one = {0}, two = {0};
    struct err err;
    observation_clear(&one);
    one.reach = REACH_FAILED;
    one.error = mem_text("connecting: timed out after 10 s");
    one.at = 1764000000123456789;
    one.clock_offset = -1500000000;
    one.clock_uncertainty = 20000000;
    one.dialled = mem_text("203.0.113.1");
    cJSON *json = as_json(&one, true);
    assert_int_equal(observation_from_json(json, true, &two, &err), 0);
    assert_same(&one, &two, true);
    assert_int_equal(observation_from_json(json, false, &two, &err), 0);
    assert_int_equal(two.reach, REACH_UNKNOWN); /* a node cannot say how it was reached */
    assert_null(two.error);
    assert_true(two.at == 0 && two.clock_uncertainty == INT64_MAX && !two.dialled);
    assert_int_equal(two.forwarding4, -1);
    cJSON_Delete(json);
    observation_clear(&one);
    observation_clear(&two);
}

static bool change_of(const struct observation *before, const struct observation *now, struct buf *text)
{
    struct json json = json_begin(text);
    return observation_change_to_json(before, now, &json, NULL);
}

static void assert_merges(struct observation *before, const struct observation *now, bool differs)
{
    struct buf text = BUF_EMPTY;
    struct err err;
    assert_int_equal(change_of(before, now, &text), differs);
    cJSON *json = parsed(&text);
    if (observation_merge(before, json, &err) != 0)
        fail_msg("%s in %s", err.text, buf_text(&text));
    assert_same(before, now, false);
    cJSON_Delete(json);
    buf_free(&text);
}

static void test_merge_is_exact(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        struct chance chance = {seed};
        struct observation a, b, untouched;
        chance_observation(&chance, &a);
        if (seed % 2) { /* near each other: one row's counters, one link gone */
            observation_copy(&b, &a);
            b.node_time ^= 1;
            if (b.device_count && b.devices[0].peer_count)
                b.devices[0].peers[0].rx_bytes += 7;
            else
                b.kernel_has_wireguard = !b.kernel_has_wireguard;
        } else {
            chance_observation(&chance, &b);
        }
        observation_copy(&untouched, &b);
        a.reach = REACH_OK;
        a.at = 17;
        assert_merges(&a, &b, true);
        assert_true(a.reach == REACH_OK && a.at == 17); /* the deck's own stay */
        assert_same(&untouched, &b, true);
        assert_merges(&a, &b, false);
        observation_clear(&a);
        observation_clear(&b);
        observation_clear(&untouched);
    }
}

static void add_rows(struct observation *o, size_t count)
{
    memset(o, 0, sizeof *o);
    observation_clear(o);
    o->node_time = 1764000000000000000;
    o->devices = mem_alloc(1, sizeof *o->devices);
    o->device_count = 1;
    struct device *device = &o->devices[0];
    memcpy(device->name, "wg0", 4);
    device->peer_count = count;
    device->peers = mem_alloc(count, sizeof *device->peers);
    for (size_t i = 0; i < count; i++) {
        struct device_peer *row = &device->peers[i];
        struct chance chance = {i};
        for (size_t j = 0; j < KEY_SIZE; j++)
            row->public_key.bytes[j] = (uint8_t)chance_next(&chance);
        row->handshake = o->node_time - (int64_t)i * 1000000;
        row->rx_bytes = i * 1000;
        row->tx_bytes = i * 2000;
        row->keepalive = 25;
        endpoint_parse("203.0.113.17:51820", &row->endpoint);
        row->allowed = mem_alloc(1, sizeof *row->allowed);
        row->allowed_count = 1;
        row->allowed[0] = (struct prefix){{AF_INET, {10, 44, (uint8_t)(i >> 8), (uint8_t)i}}, 32};
    }
    observation_sort(o);
}

static void test_change_costs_little(void **state)
{
    (void)state;
    struct observation a, b;
    struct buf text = BUF_EMPTY;
    add_rows(&a, 999);
    observation_copy(&b, &a);
    b.node_time += CLOCK_SECOND;
    assert_false(change_of(&a, &b, &text));
    assert_string_equal(buf_text(&text), "{\"node_time\":\"1764000001000000000\"}");
    buf_clear(&text);
    b.node_time = a.node_time;
    b.devices[0].peers[500].rx_bytes += 1000;
    assert_true(change_of(&a, &b, &text));
    assert_true(text.length < 120);
    assert_non_null(strstr(buf_text(&text), "\"rx\":"));
    assert_null(strstr(buf_text(&text), "\"tx\":"));
    buf_free(&text);
    observation_clear(&a);
    observation_clear(&b);
}

/* Ten times the target, so that sanitizers and a busy machine don't fail it; the figure itself is printed. */
static void test_reads_999_rows_fast(void **state)
{
    (void)state;
    struct observation a, b = {0};
    struct buf text = BUF_EMPTY;
    struct err err;
    add_rows(&a, 999);
    struct json json = json_begin(&text);
    observation_to_json(&a, false, &json, NULL);
    int64_t start = clock_steady();
    cJSON *object = parsed(&text);
    int64_t middle = clock_steady();
    assert_int_equal(observation_from_json(object, false, &b, &err), 0);
    int64_t end = clock_steady();
    print_message("999 rows: %zu bytes, parsed in %.2f ms, read in %.2f ms\n", text.length, (double)(middle - start) / 1e6,
                  (double)(end - middle) / 1e6);
    assert_true(end - start < 100 * CLOCK_MILLISECOND);
    assert_same(&a, &b, false);
    cJSON_Delete(object);
    buf_free(&text);
    observation_clear(&a);
    observation_clear(&b);
}

#define KEY_A "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="
#define KEY_B "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"[]", "an observation: not an object"},
        {"{\"hostname\":5}", "hostname: not a string"},
        {"{\"privileged\":1}", "privileged: neither true nor false"},
        {"{\"node_time\":1.5}", "node_time: not a whole number"},
        {"{\"node_time\":1e300}", "node_time: not a whole number"},
        {"{\"node_time\":\"99999999999999999999\"}", "node_time: not a number"},
        {"{\"node_time\":\"--5\"}", "node_time: not a number"},
        {"{\"devices\":{}}", "devices: not a list"},
        {"{\"devices\":[1]}", "devices[0]"},
        {"{\"devices\":[{\"name\":\"sixteen-bytes-xx\"}]}", "devices[0]: name: not a name"},
        {"{\"devices\":[{\"name\":\"w\\u001bg\"}]}", "devices[0]: name: not a name"},
        {"{\"devices\":[{\"listen_port\":1}]}", "devices[0]: name: missing"},
        {"{\"devices\":[{\"name\":\"wg0\",\"listen_port\":65536}]}", "devices[0]: listen_port: not a whole number"},
        {"{\"devices\":[{\"name\":\"wg0\",\"listen_port\":-1}]}", "listen_port: not a whole number"},
        {"{\"devices\":[{\"name\":\"wg0\",\"peers\":[{\"key\":\"x\"}]}]}", "devices[0]: peers[0]: key: not a key"},
        {"{\"devices\":[{\"name\":\"wg0\",\"peers\":[{\"key\":\"" KEY_A "\",\"rx\":true}]}]}", "peers[0]: rx: not a whole number"},
        {"{\"devices\":[{\"name\":\"wg0\",\"peers\":[{\"key\":\"" KEY_A "\",\"rx\":\"18446744073709551616\"}]}]}", "rx: not a number"},
        {"{\"devices\":[{\"name\":\"wg0\",\"peers\":[{\"key\":\"" KEY_A "\",\"allowed\":[\"10.0.0.1/33\"]}]}]}", "allowed: not addresses"},
        {"{\"devices\":[{\"name\":\"wg0\",\"peers\":[{\"key\":\"" KEY_A "\",\"allowed\":\"10.0.0.1/32\"}]}]}", "allowed: not a list"},
        {"{\"devices\":[{\"name\":\"wg0\",\"peers\":[{\"key\":\"" KEY_A "\",\"endpoint\":\"h:1\"}]}]}", "endpoint: not an address and port"},
        {"{\"devices\":[{\"name\":\"wg0\",\"peers\":[{\"key\":\"" KEY_A "\",\"preshared_hash\":\"AB\"}]}]}", "preshared_hash: not 32"},
        {"{\"configs\":[{\"path\":\"p\",\"endpoint_hosts\":{\"" KEY_A "\":\"h:1\"}}]}", "endpoint_hosts: not a key of a row"},
        {"{\"configs\":[{\"path\":\"p\",\"endpoint_hosts\":[]}]}", "endpoint_hosts: not an object"},
        {"{\"routes\":[{\"to\":\"10.0.0.1/8\"}]}", "routes[0]: to: not an address"},
        {"{\"skipped\":[1]}", "skipped: not a string"},
        {"{\"joined\":[{\"name\":\"mail\"}]}", "joined[0]: key: missing"},
        {"{\"joined\":[{\"key\":\"" KEY_A "\",\"name\":\"m\\u0007il\"}]}", "joined[0]: name: not a text of at most 63 bytes"},
        {"{\"joined\":[{\"key\":\"" KEY_A "\",\"from\":\"0123456789012345678901234567890123456789012345678901234567890123\"}]}", "joined[0]: from: not a text"},
        {"{\"joined\":[{\"key\":\"" KEY_A "\",\"addresses\":[\"mail\"]}]}", "addresses: not addresses"},
        {"{\"paths\":[{\"key\":\"" KEY_A "\"}]}", "paths[0]: interface: missing"},
        {"{\"paths\":[{\"interface\":\"wg0\",\"key\":\"" KEY_A "\",\"reason\":5}]}", "paths[0]: reason: not a string"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct observation observation = {0};
        struct err err = {""};
        if (read_json(cases[i].json, &observation, &err) != -1)
            fail_msg("accepted: %s", cases[i].json);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: says '%s', not '%s'", cases[i].json, err.text, cases[i].says);
        assert_int_equal(observation.device_count, 0);
        observation_clear(&observation);
    }
}

static void test_accepts_what_is_new_and_orders_it(void **state)
{
    (void)state;
    struct observation o = {0};
    struct err err;
    const char *text = "{\"schema\":1,\"new_member\":{\"x\":[1]},\"hostname\":\"a\\u001b[31m\",\"kernel\":null,\"devices\":[{\"name\":\"wg1\"},"
                       "{\"name\":\"wg0\",\"engine\":\"quantum\",\"peers\":[{\"key\":\"" KEY_B "\"},{\"key\":\"" KEY_A "\",\"allowed\":"
                       "[\"10.0.0.9/24\",\"10.0.0.0/24\",\"10.0.0.0/8\"]},{\"key\":\"" KEY_B "\",\"rx\":5}]}]}";
    if (read_json(text, &o, &err) != 0)
        fail_msg("%s", err.text);
    assert_null(strchr(o.hostname, '\x1b'));
    assert_string_equal(o.devices[0].name, "wg0");
    assert_int_equal(o.devices[0].engine, ENGINE_UNKNOWN);
    assert_int_equal(o.devices[0].peer_count, 2);
    assert_int_equal(o.devices[0].peers[0].public_key.bytes[0], 1);
    assert_int_equal(o.devices[0].peers[0].allowed_count, 2);
    assert_int_equal(o.devices[0].peers[0].allowed[0].length, 8);
    observation_clear(&o);
}

static void test_too_long(void **state)
{
    (void)state;
    struct observation o = {0};
    struct err err;
    struct buf text = BUF_EMPTY;
    buf_add_text(&text, "{\"hostname\":\"");
    for (int i = 0; i <= OBSERVED_TEXT_MAX; i++)
        buf_add_char(&text, 'x');
    buf_add_text(&text, "\"}");
    assert_int_equal(read_json(buf_text(&text), &o, &err), -1);
    assert_non_null(strstr(err.text, "hostname: a string longer"));
    buf_clear(&text);
    buf_add_text(&text, "{\"skipped\":[\"x\"");
    for (int i = 0; i < 1000; i++)
        buf_add_text(&text, ",\"x\"");
    buf_add_text(&text, "]}");
    assert_int_equal(read_json(buf_text(&text), &o, &err), -1);
    assert_non_null(strstr(err.text, "skipped: 1001 items"));
    buf_free(&text);
}

static void test_bad_change_clears(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "[]", "{\"devices\":[{\"peers\":[]}]}", "{\"devices\":[{\"name\":\"wg0\",\"peers\":[{\"key\":\"" KEY_A "\",\"rx\":-1}]}]}",
        "{\"devices_gone\":[{}]}", "{\"devices_gone\":5}", "{\"links\":5}",
    };
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        struct observation o;
        struct err err = {""};
        add_rows(&o, 3);
        cJSON *change = json_parse(changes[i], strlen(changes[i]), &err);
        assert_int_equal(observation_merge(&o, change, &err), -1);
        assert_true(err.text[0] != '\0');
        assert_int_equal(o.device_count, 0);
        cJSON_Delete(change);
        observation_clear(&o);
    }
}

static void test_config_follows_its_key(void **state)
{
    (void)state;
    struct observation o = {0};
    struct err err;
    assert_int_equal(read_json("{\"configs\":[{\"endpoint_hosts\":{\"" KEY_B "\":\"b.example:1\"},\"path\":\"/etc/wireguard/wg0.conf\","
                               "\"device\":{\"name\":\"wg0\",\"peers\":[{\"key\":\"" KEY_B "\"},{\"key\":\"" KEY_A "\"}]}}]}", &o, &err), 0);
    const struct observed_config *config = observation_config(&o, "wg0");
    assert_non_null(config);
    assert_null(config->endpoint_hosts[0]);
    assert_string_equal(config->endpoint_hosts[1], "b.example:1");
    struct key b = config->device.peers[1].public_key;
    bool turned = false;
    for (char salt[] = "a"; salt[0] <= 'z'; salt[0]++) { /* some of them turn the order of the rows around */
        struct observation hidden, lone = {0};
        observation_copy(&hidden, &o);
        lone.devices = mem_alloc(1, sizeof *lone.devices);
        lone.device_count = 1;
        lone.devices[0].public_key = b;
        observation_hide_keys(&hidden, salt);
        observation_hide_keys(&lone, salt);
        size_t at = key_equal(&hidden.configs[0].device.peers[0].public_key, &lone.devices[0].public_key) ? 0 : 1;
        assert_string_equal(hidden.configs[0].endpoint_hosts[at], "b.example:1");
        assert_null(hidden.configs[0].endpoint_hosts[1 - at]);
        turned = turned || at == 0;
        observation_clear(&hidden);
        observation_clear(&lone);
    }
    assert_true(turned);
    observation_clear(&o);
}

static void test_hide(void **state)
{
    (void)state;
    struct chance chance = {5};
    for (int round = 0; round < 50; round++) {
        struct observation a, b, c;
        chance_observation(&chance, &a);
        observation_copy(&b, &a);
        observation_copy(&c, &a);
        observation_hide_keys(&b, "one");
        observation_hide_keys(&c, "another");
        for (size_t i = 0; i < a.device_count; i++) {
            const struct device *shown = &a.devices[i], *hidden = &b.devices[i];
            assert_int_equal(shown->peer_count, hidden->peer_count);
            if (key_is_zero(&shown->public_key)) {
                assert_true(key_is_zero(&hidden->public_key));
                continue;
            }
            assert_false(key_equal(&shown->public_key, &hidden->public_key));
            assert_false(key_equal(&c.devices[i].public_key, &hidden->public_key));
            const struct device_peer *self = device_find_peer(shown, &shown->public_key);
            assert_int_equal(!self, !device_find_peer(hidden, &hidden->public_key)); /* the same key the same way */
            assert_true(hidden->public_key.bytes[31] < 128);
        }
        for (size_t i = 0; i < a.joined_count; i++)
            for (size_t k = 0; k < b.joined_count && !key_is_zero(&a.joined[i].key); k++)
                assert_false(key_equal(&a.joined[i].key, &b.joined[k].key));
        for (size_t i = 0; i < a.path_count; i++)
            for (size_t k = 0; k < b.path_count && !key_is_zero(&a.paths[i].key); k++)
                assert_false(key_equal(&a.paths[i].key, &b.paths[k].key));
        observation_clear(&a);
        observation_clear(&b);
        observation_clear(&c);
    }
}

static void test_lookups(void **state)
{
    (void)state;
    struct observation o = {0};
    struct err err;
    struct address address;
    assert_int_equal(read_json("{\"devices\":[{\"name\":\"wg1\"},{\"name\":\"wg0\"}],\"links\":[{\"name\":\"eth0\",\"mtu\":1500}],\"routes\":"
                               "[{\"to\":\"10.0.0.2\",\"device\":\"b\"},{\"to\":\"10.0.0.1\",\"device\":\"a\"}]}", &o, &err), 0);
    assert_string_equal(observation_device(&o, NULL)->name, "wg0");
    assert_string_equal(observation_device(&o, "wg1")->name, "wg1");
    assert_null(observation_device(&o, "wg2"));
    assert_int_equal(observation_link(&o, "eth0")->mtu, 1500);
    assert_null(observation_link(&o, "eth1"));
    assert_null(observation_config(&o, "wg0"));
    address_parse("10.0.0.1", &address);
    assert_string_equal(observation_route(&o, &address)->device, "a");
    address_parse("10.0.0.3", &address);
    assert_null(observation_route(&o, &address));
    observation_clear(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_deck_fields),
        cmocka_unit_test(test_merge_is_exact),
        cmocka_unit_test(test_change_costs_little),
        cmocka_unit_test(test_reads_999_rows_fast),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_accepts_what_is_new_and_orders_it),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_bad_change_clears),
        cmocka_unit_test(test_config_follows_its_key),
        cmocka_unit_test(test_hide),
        cmocka_unit_test(test_lookups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
