/* Operations on the wire: what is written is read back the same, and everything that is not right is refused by name. */
#include "unit.h"

#include "wgdeck/plan.h"

#define KEY "JTA7RlFcZ3J9iJOeqbS/ytXg6/YBDBciLThDTllkAAA="
#define OTHER "SlVga3aBjJeirbjDztnk7/oFEBsmMTxHUl1oc36JAAE="

static int read_one(const char *text, struct plan_operation *operation, struct err *err)
{
    cJSON *object = json_parse(text, strlen(text), err);
    if (!object)
        fail_msg("%s: %s", text, err->text);
    int result = plan_operation_from_json(object, operation, err);
    cJSON_Delete(object);
    return result;
}

static const char *const good[] = {
    "{\"do\":\"interface\",\"running\":true,\"saved\":false,\"engine\":\"embedded\"}",
    "{\"do\":\"private-key\",\"running\":true,\"saved\":true}",
    "{\"do\":\"listen-port\",\"running\":true,\"saved\":true,\"number\":51820}",
    "{\"do\":\"mtu\",\"running\":true,\"saved\":false,\"number\":1380}",
    "{\"do\":\"address\",\"running\":true,\"saved\":true,\"prefix\":\"10.44.0.1/24\"}",
    "{\"do\":\"address-remove\",\"running\":true,\"saved\":true,\"prefix\":\"fd44::1/64\"}",
    "{\"do\":\"route\",\"running\":true,\"saved\":false,\"prefix\":\"10.1.0.0/16\"}",
    "{\"do\":\"route-remove\",\"running\":true,\"saved\":false,\"prefix\":\"10.1.0.0/16\"}",
    "{\"do\":\"forwarding\",\"running\":true,\"saved\":true,\"prefix\":\"::/0\"}",
    "{\"do\":\"row\",\"running\":true,\"saved\":true,\"key\":\"" KEY "\",\"name\":\"db\",\"new\":true,\"allowed\":[\"10.0.0.0/24\",\"fd44::2/128\"],\"endpoint\":\"vpn.example.org:51820\","
    "\"keepalive\":25,\"preshared\":\"make\"}",
    "{\"do\":\"row\",\"running\":true,\"saved\":false,\"key\":\"" KEY "\",\"new\":false,\"allowed\":[],\"endpoint\":\"\",\"keepalive\":0}",
    "{\"do\":\"row\",\"running\":true,\"saved\":true,\"key\":\"" KEY "\",\"other_key\":\"" OTHER "\",\"name\":\"db\",\"new\":true,\"endpoint\":\"[2001:db8::1]:51820\","
    "\"endpoint_saved_only\":true,\"preshared\":\"copy\"}",
    "{\"do\":\"row-move\",\"running\":true,\"saved\":true,\"key\":\"" KEY "\",\"other_key\":\"" OTHER "\",\"name\":\"db\"}",
    "{\"do\":\"row-remove\",\"running\":true,\"saved\":false,\"key\":\"" KEY "\"}",
    "{\"do\":\"interface-remove\",\"running\":true,\"saved\":true}",
    "{\"do\":\"file\",\"running\":false,\"saved\":true}",
    "{\"do\":\"service\",\"running\":false,\"saved\":true}",
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct plan_operation operation;
        struct buf buf = BUF_EMPTY;
        struct json json = json_begin(&buf);
        struct err err;
        if (read_one(good[i], &operation, &err))
            fail_msg("%s: %s", good[i], err.text);
        plan_operation_to_json(&operation, &json);
        assert_string_equal(buf_text(&buf), good[i]);
        plan_operation_free(&operation);
        buf_free(&buf);
    }
}

#define ROW(members) "{\"do\":\"row\",\"key\":\"" KEY "\"," members "}"

static const struct { const char *text, *member; } bad[] = {
    {"{}", "do"},
    {"{\"do\":7}", "do"},
    {"{\"do\":\"reboot\"}", "do"},
    {"{\"do\":\"row\"}", "key"},
    {"{\"do\":\"row\",\"key\":\"short\"}", "key"},
    {"{\"do\":\"row\",\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}", "key"},
    {"{\"do\":\"row-move\",\"key\":\"" KEY "\"}", "other_key"},
    {ROW("\"other_key\":7"), "other_key"},
    {ROW("\"name\":\"../etc\""), "name"},
    {ROW("\"name\":\"a b\""), "name"},
    {ROW("\"name\":\"a\\u001b[2J\""), "name"},
    {ROW("\"name\":7"), "name"},
    {ROW("\"allowed\":\"10.0.0.0/8\""), "allowed"},
    {ROW("\"allowed\":[7]"), "allowed"},
    {ROW("\"allowed\":[\"10.0.0.0/33\"]"), "allowed"},
    {ROW("\"endpoint\":7"), "endpoint"},
    {ROW("\"endpoint\":\"host\""), "endpoint"},
    {ROW("\"endpoint\":\"host:0\""), "endpoint"},
    {ROW("\"endpoint\":\"host:65536\""), "endpoint"},
    {ROW("\"endpoint\":\":51820\""), "endpoint"},
    {ROW("\"endpoint\":\"-x:51820\""), "endpoint"},
    {ROW("\"endpoint\":\"a$(reboot):51820\""), "endpoint"},
    {ROW("\"endpoint\":\"a\\nb:51820\""), "endpoint"},
    {ROW("\"endpoint\":\"[::1:51820\""), "endpoint"},
    {ROW("\"keepalive\":65536"), "keepalive"},
    {ROW("\"keepalive\":-1"), "keepalive"},
    {ROW("\"keepalive\":1.5"), "keepalive"},
    {ROW("\"keepalive\":\"25\""), "keepalive"},
    {ROW("\"preshared\":\"steal\""), "preshared"},
    {ROW("\"preshared\":1"), "preshared"},
    {ROW("\"preshared\":\"copy\""), "other_key"},
    {"{\"do\":\"address\"}", "prefix"},
    {"{\"do\":\"route\",\"prefix\":\"default\"}", "prefix"},
    {"{\"do\":\"listen-port\"}", "number"},
    {"{\"do\":\"listen-port\",\"number\":0}", "number"},
    {"{\"do\":\"listen-port\",\"number\":65536}", "number"},
    {"{\"do\":\"mtu\",\"number\":100}", "number"},
    {"{\"do\":\"interface\",\"engine\":\"steam\"}", "engine"},
    {"[]", "it"},
    {"null", "it"},
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct plan_operation operation;
        struct err err;
        char wanted[64];
        CASE_ASSERT(i, read_one(bad[i].text, &operation, &err) == -1);
        snprintf(wanted, sizeof wanted, "an operation cannot be read: %s ", bad[i].member);
        if (strncmp(err.text, wanted, strlen(wanted)) != 0)
            fail_msg("%s: %s", bad[i].text, err.text);
        CASE_ASSERT(i, !operation.allowed && !operation.endpoint && !operation.name);
    }
}

/* In the order in which they came they are not trusted; host bits are cleared. */
static void test_order(void **state)
{
    (void)state;
    struct plan_operation operation;
    struct err err;
    assert_int_equal(read_one(ROW("\"allowed\":[\"fd44::2/128\",\"10.9.0.7/16\",\"10.0.0.1/32\"]"), &operation, &err), 0);
    assert_int_equal(operation.allowed_count, 3);
    for (size_t i = 1; i < 3; i++)
        assert_true(prefix_compare(&operation.allowed[i - 1], &operation.allowed[i]) < 0);
    char text[PREFIX_TEXT_SIZE];
    prefix_text(&operation.allowed[1], text);
    assert_string_equal(text, "10.9.0.0/16");
    plan_operation_free(&operation);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad), cmocka_unit_test(test_order)};
    return cmocka_run_group_tests_name("plan_wire", tests, NULL, NULL);
}
