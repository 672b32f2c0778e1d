/* prefix.h: addresses, prefixes, endpoints. */
#include "unit.h"

#include "wgdeck/prefix.h"

static void test_prefix_text(void **state)
{
    static const struct { const char *in, *out, *network; } cases[] = {
        {"10.0.0.1", "10.0.0.1/32", "10.0.0.1/32"},      {"10.0.0.1/24", "10.0.0.1/24", "10.0.0.0/24"},
        {"255.255.255.255/1", "255.255.255.255/1", "128.0.0.0/1"}, {"10.1.2.3/0", "10.1.2.3/0", "0.0.0.0/0"},
        {"10.0.0.255/31", "10.0.0.255/31", "10.0.0.254/31"}, {"fd00::1", "fd00::1/128", "fd00::1/128"},
        {"FD00:0:0::00A1/64", "fd00::a1/64", "fd00::/64"}, {"ffff:ffff::ffff/17", "ffff:ffff::ffff/17", "ffff:8000::/17"},
        {"::/0", "::/0", "::/0"}, {"::ffff:10.0.0.1/128", "::ffff:10.0.0.1/128", "::ffff:10.0.0.1/128"},
        {"ffff::ffff/127", "ffff::ffff/127", "ffff::fffe/127"},
    };
    static const char *const bad[] = {"", "/", "10.0.0.1/", "10.0.0.1/33", "10.0.0.01", "010.0.0.1", "10.0.0", "10.0.0.1/08", "10.0.0.1/+8",
                                      "10.0.0.1/ 8", " 10.0.0.1", "10.0.0.1 ", "fd00::/129", "fd00::1%eth0", "[fd00::1]", "a.example", "10.0.0.1/8/8",
                                      "10.0.0.1/-1", "1.2.3.4.5", ":::", "0x0a.0.0.1",
                                      "aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa:aaaa"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct prefix prefix, network;
        char text[PREFIX_TEXT_SIZE];
        CASE_ASSERT(i, prefix_parse(cases[i].in, &prefix) == 0);
        prefix_text(&prefix, text);
        CASE_ASSERT(i, !strcmp(text, cases[i].out));
        network = prefix_network(&prefix);
        prefix_text(&network, text);
        CASE_ASSERT(i, !strcmp(text, cases[i].network));
        CASE_ASSERT(i, prefix_compare(&prefix, &network) == 0);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct prefix prefix;
        CASE_ASSERT(i, prefix_parse(bad[i], &prefix) == -1);
    }
}

static void test_relations(void **state)
{
    static const struct { const char *outer, *inner; bool covers, overlaps; int compare; } cases[] = {
        {"10.0.0.0/8", "10.1.0.0/16", true, true, -1},   {"10.1.0.0/16", "10.0.0.0/8", false, true, 1},
        {"10.0.0.0/24", "10.0.0.0/24", true, true, 0},   {"10.0.0.0/24", "10.0.0.77/24", true, true, 0},
        {"10.0.0.0/24", "10.0.1.0/24", false, false, -1}, {"0.0.0.0/0", "::/0", false, false, -1},
        {"0.0.0.0/0", "192.0.2.1", true, true, -1},      {"fd00::/8", "fd12::1", true, true, -1},
        {"10.0.0.0/9", "10.128.0.0/9", false, false, -1}, {"10.0.0.1", "10.0.0.1", true, true, 0},
        {"10.0.0.0/16", "10.0.0.0/24", true, true, -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct prefix outer, inner;
        assert_int_equal(prefix_parse(cases[i].outer, &outer) | prefix_parse(cases[i].inner, &inner), 0);
        CASE_ASSERT(i, prefix_covers(&outer, &inner) == cases[i].covers);
        CASE_ASSERT(i, prefix_overlaps(&outer, &inner) == cases[i].overlaps);
        CASE_ASSERT(i, prefix_overlaps(&inner, &outer) == cases[i].overlaps);
        int compare = prefix_compare(&outer, &inner);
        CASE_ASSERT(i, (compare > 0) - (compare < 0) == cases[i].compare);
        compare = prefix_compare(&inner, &outer);
        CASE_ASSERT(i, (compare > 0) - (compare < 0) == -cases[i].compare);
    }
}

static void test_private(void **state)
{
    static const struct { const char *address; bool is_private; } cases[] = {
        {"10.255.0.1", true},    {"172.16.0.1", true},  {"172.31.255.255", true}, {"172.32.0.1", false}, {"192.168.1.1", true},
        {"192.169.0.1", false},  {"100.64.0.1", true},  {"100.128.0.1", false},   {"169.254.1.1", true}, {"127.0.0.1", true},
        {"8.8.8.8", false},      {"fd00::1", true},     {"fc00::1", true},        {"fe80::1", true},     {"::1", true},
        {"2001:db8::1", false},  {"::2", false},        {"fec0::1", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct address address;
        assert_int_equal(address_parse(cases[i].address, &address), 0);
        CASE_ASSERT(i, address_is_private(&address) == cases[i].is_private);
    }
}

static void test_endpoint(void **state)
{
    static const char *const good[] = {"192.0.2.1:51820", "192.0.2.1:1", "[2001:db8::1]:65535", "[fe80::1%3]:51820", "[::ffff:192.0.2.1]:5",
                                       "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535"};
    static const char *const bad[] = {"", ":", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:080", "2001:db8::1:51820",
                                      "[192.0.2.1]:51820", "[2001:db8::1]51820", "[2001:db8::1]", "[fe80::1%eth0]:51820", "[fe80::1%0]:1",
                                      "[fe80::1%]:1", "a.example:51820", " 192.0.2.1:1", "192.0.2.1:1 ", "[fe80::1%4294967296]:1", "192.0.2.1%1:1",
                                      "[fe80::1:1"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct endpoint endpoint, again;
        char text[ENDPOINT_TEXT_SIZE];
        CASE_ASSERT(i, endpoint_parse(good[i], &endpoint) == 0);
        endpoint_text(&endpoint, text);
        CASE_ASSERT(i, endpoint_parse(text, &again) == 0 && endpoint_equal(&endpoint, &again));
        if (strlen(good[i]) < 40)
            CASE_ASSERT(i, !strcmp(text, good[i]));
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct endpoint endpoint;
        CASE_ASSERT(i, endpoint_parse(bad[i], &endpoint) == -1);
    }
    char text[ENDPOINT_TEXT_SIZE] = "x";
    endpoint_text(&(struct endpoint){0}, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix_text),
        cmocka_unit_test(test_relations),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
