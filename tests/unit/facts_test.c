/* What is said of a node's firewall: rules as nft prints them, and files. What cannot be told is not said. */
#include "unit.h"

#include <ftw.h>
#include <unistd.h>

#include "node/facts.h"
#include "wgdeck/file.h"

#define CHAIN(family, hook, policy) "{\"chain\":{\"family\":\"" family "\",\"table\":\"f\",\"name\":\"c\",\"type\":\"filter\",\"hook\":\"" hook "\",\"policy\":\"" policy "\"}}"
#define DROPS CHAIN("inet", "input", "drop")
#define RULE(expression) ",{\"rule\":{\"family\":\"inet\",\"table\":\"f\",\"chain\":\"c\",\"expr\":[" expression "]}}"
#define MATCH(left, right) "{\"match\":{\"op\":\"==\",\"left\":{" left "},\"right\":" right "}},"
#define DPORT(protocol) "\"payload\":{\"protocol\":\"" protocol "\",\"field\":\"dport\"}"
#define META(key) "\"meta\":{\"key\":\"" key "\"}"
#define ACCEPT "{\"accept\":null}"

static const struct {
    const char *what, *items;
    int drops;
} rules[] = {
    {"no rule at all", "", 0},
    {"accepts by policy", CHAIN("inet", "input", "accept"), 0},
    {"drops what is forwarded", CHAIN("inet", "forward", "drop"), 0},
    {"drops all", DROPS, 1},
    {"drops of IPv6 only", CHAIN("ip6", "input", "drop"), 0},
    {"another port", DROPS RULE(MATCH(DPORT("udp"), "53") ACCEPT), 1},
    {"the port", DROPS RULE(MATCH(DPORT("udp"), "51820") ACCEPT), 0},
    {"the port by th", DROPS RULE(MATCH(DPORT("th"), "51820") ACCEPT), 0},
    {"the port of TCP", DROPS RULE(MATCH(DPORT("tcp"), "51820") ACCEPT), 1},
    {"among others", DROPS RULE(MATCH(DPORT("udp"), "{\"set\":[53,51820]}") ACCEPT), 0},
    {"not among others", DROPS RULE(MATCH(DPORT("udp"), "{\"set\":[53,5182]}") ACCEPT), 1},
    {"in a range", DROPS RULE(MATCH(DPORT("udp"), "{\"range\":[51000,52000]}") ACCEPT), 0},
    {"in a range of a set", DROPS RULE(MATCH(DPORT("udp"), "{\"set\":[1,{\"range\":[51820,51820]}]}") ACCEPT), 0},
    {"outside a range", DROPS RULE(MATCH(DPORT("udp"), "{\"range\":[1,51819]}") ACCEPT), 1},
    {"a named set", DROPS RULE(MATCH(DPORT("udp"), "\"@open\"") ACCEPT), 0},
    {"the usual three", DROPS RULE(MATCH("\"ct\":{\"key\":\"state\"}", "[\"established\",\"related\"]") ACCEPT) RULE(MATCH(META("iifname"), "\"lo\"") ACCEPT)
                            RULE(MATCH(META("l4proto"), "\"icmp\"") ACCEPT) RULE(MATCH(DPORT("tcp"), "22") ACCEPT), 1},
    {"new connections", DROPS RULE(MATCH("\"ct\":{\"key\":\"state\"}", "[\"new\",\"established\"]") ACCEPT), 0},
    {"from one interface", DROPS RULE(MATCH(META("iifname"), "\"eth0\"") ACCEPT), 0},
    {"all UDP", DROPS RULE(MATCH(META("l4proto"), "\"udp\"") ACCEPT), 0},
    {"something unknown", DROPS RULE("{\"xt\":null}," ACCEPT), 0},
    {"a map of verdicts", DROPS RULE("{\"vmap\":{}}"), 0},
    {"counts and drops only", DROPS RULE("{\"counter\":null},{\"drop\":null}"), 1},
    {"accepts all", DROPS RULE(ACCEPT), 0},
    {"in another table", DROPS ",{\"rule\":{\"family\":\"inet\",\"table\":\"g\",\"chain\":\"c\",\"expr\":[" ACCEPT "]}}", 1},
    {"not of the form", "{\"chain\":7},{\"rule\":{\"expr\":{}}}", 0},
};

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        char *text = mem_format("{\"nftables\":[%s]}", rules[i].items);
        if (facts_rules_drop(text, strlen(text), 51820) != rules[i].drops)
            fail_msg("%s", rules[i].what);
        for (size_t length = 0; length < strlen(text); length++) /* cut off anywhere it is not believed */
            assert_int_equal(facts_rules_drop(text, length, 51820), 0);
        free(text);
    }
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

static const struct {
    const char *what, *path, *text, *second, *second_text, *said;
} files[] = {
    {"nothing", NULL, NULL, NULL, NULL, NULL},
    {"ufw", "/etc/ufw/ufw.conf", "# x\nENABLED=yes\n", NULL, NULL, "ufw is on"},
    {"ufw, off", "/etc/ufw/ufw.conf", "# ENABLED=yes\nENABLED=no\n", NULL, NULL, NULL},
    {"ufw, open", "/etc/ufw/ufw.conf", "\nENABLED=yes\n", "/etc/ufw/user.rules", "### tuple ### allow udp 51820 0.0.0.0/0 any 0.0.0.0/0 in\n", NULL},
    {"ufw, another", "/etc/ufw/ufw.conf", "\nENABLED=yes\n", "/etc/ufw/user.rules", "### tuple ### allow udp 518200 0.0.0.0/0\n### tuple ### allow tcp 51820 0\n", "ufw is on"},
    {"firewalld", "/run/firewalld.pid", "1\n", NULL, NULL, "firewalld runs"},
    {"iptables", "/proc/net/ip_tables_names", "filter\n", NULL, NULL, "iptables has rules"},
    {"iptables, nat only", "/proc/net/ip_tables_names", "nat\n", NULL, NULL, NULL},
};

static void put(const char *root, const char *path, const char *text)
{
    struct err err;
    char *whole = mem_format("%s%s", root, path), *slash = strrchr(whole, '/');
    *slash = '\0';
    assert_int_equal(file_make_folders(whole, 0755, &err), 0);
    *slash = '/';
    assert_int_equal(file_write(whole, 0644, text, strlen(text), &err), 0);
    free(whole);
}

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char root[] = "/tmp/wgdeck-facts-test-XXXXXX";
        struct buf text = BUF_EMPTY;
        struct json json = json_begin(&text);
        assert_non_null(mkdtemp(root));
        if (files[i].path)
            put(root, files[i].path, files[i].text);
        if (files[i].second)
            put(root, files[i].second, files[i].second_text);
        json_list(&json, NULL);
        facts_firewall(root, 51820, &json);
        json_list_end(&json);
        if (files[i].said ? !strstr(buf_text(&text), files[i].said) || !strstr(buf_text(&text), "51820") : strcmp(buf_text(&text), "[]") != 0)
            fail_msg("%s: %s", files[i].what, buf_text(&text));
        buf_free(&text);
        assert_int_equal(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    }
}

static void test_facts_of_this_machine(void **state)
{
    (void)state;
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    struct err err;
    json_object(&json, NULL);
    assert_int_equal(node_facts_to_json("wg-nosuch", &json, "facts", &err), 0);
    json_object_end(&json);
    cJSON *object = json_parse(buf_text(&text), text.length, &err);
    const cJSON *facts = object ? json_get_object(object, "facts") : NULL;
    assert_non_null(facts);
    static const char *const keys[] = {"hostname", "os", "system", "init", "root", "kernel", "tun", "wg_quick", "engine", "ports", "addresses", "mtu", "firewall", "service", "public_key",
                                       "pending", "generation"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (!cJSON_HasObjectItem(facts, keys[i]))
            fail_msg("%s is not there: %s", keys[i], buf_text(&text));
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(facts, "engine")) && cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(facts, "service")));
    cJSON_Delete(object);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_facts_of_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
