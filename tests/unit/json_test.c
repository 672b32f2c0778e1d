/* json.h: what is written is what is read; what is odd is refused. */
#include "unit.h"

#include <float.h>
#include <math.h>

#include "wgdeck/json.h"

static void test_writer(void **state)
{
    struct buf buf = BUF_EMPTY;
    struct json json = json_begin(&buf);
    (void)state;
    json_object(&json, NULL);
    json_text(&json, "text", "a\"b\\c\n\x1b\x7f\xC2\x9B\xE2\x80\xAE\xFF\xC3\xBC\xF3\xA0\x81\x81");
    json_text(&json, "none", NULL);
    json_text_part(&json, "nul", "a\0b", 3);
    json_list(&json, "list");
    json_number(&json, NULL, -5);
    json_number(&json, NULL, 9007199254740992);
    json_number(&json, NULL, 9007199254740993);
    json_number(&json, NULL, INT64_MIN);
    json_unsigned(&json, NULL, UINT64_MAX);
    json_list(&json, NULL);
    json_list_end(&json);
    json_object(&json, NULL);
    json_object_end(&json);
    json_list_end(&json);
    json_decimal(&json, "d", 12.345, 1);
    json_decimal(&json, "nan", NAN, 1);
    json_bool(&json, "yes", true);
    json_null(&json, "nothing");
    json_object_end(&json);
    assert_string_equal(buf_text(&buf),
                        "{\"text\":\"a\\\"b\\\\c\\n\\u001b\\u007f\\u009b\\u202e\xEF\xBF\xBD\xC3\xBC\\udb40\\udc41\",\"none\":null,\"nul\":\"a\\u0000b\","
                        "\"list\":[-5,9007199254740992,\"9007199254740993\",\"-9223372036854775808\",\"18446744073709551615\",[],{}],"
                        "\"d\":12.3,\"nan\":null,\"yes\":true,\"nothing\":null}");
    buf_free(&buf);
}

static void test_numbers_go_round(void **state)
{
    static const int64_t numbers[] = {0, 1, -1, 9007199254740992, -9007199254740992, 9007199254740993, INT64_MAX, INT64_MIN};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        struct buf buf = BUF_EMPTY;
        struct err err = {{0}};
        struct json json = json_begin(&buf);
        json_object(&json, NULL);
        json_number(&json, "n", numbers[i]);
        json_unsigned(&json, "u", (uint64_t)numbers[i]);
        json_object_end(&json);
        cJSON *root = json_parse(buf_text(&buf), buf.length, &err);
        CASE_ASSERT(i, root != NULL);
        CASE_ASSERT(i, json_get_number(root, "n", INT64_MIN, INT64_MAX, 77) == numbers[i]);
        CASE_ASSERT(i, json_get_unsigned(root, "u", 77) == (uint64_t)numbers[i]);
        cJSON_Delete(root);
        buf_free(&buf);
    }
}

static void test_refused(void **state)
{
    static const struct { const char *text; size_t length; } bad[] = {
#define ROW(text) {text, sizeof(text) - 1}
        ROW(""), ROW(" "), ROW("{"), ROW("{} x"), ROW("{}{}"), ROW("{}\0"), ROW("\"a\0b\""), ROW("\"a\\u0000b\""), ROW("\"a\nb\""),
        ROW("\"\xFF\""), ROW("\"\xED\xA0\x80\""), ROW("\"abc"), ROW("[1,]"), ROW("{\"a\"}"), ROW("{a:1}"), ROW("nul"), ROW("\"\\x\""),
        ROW("\xEF\xBB\xBF{}"), ROW("1 2"), ROW("]"), ROW("\"\\ud800\""), ROW("\"\\"),
#undef ROW
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err err = {{0}};
        char *exact = mem_alloc(bad[i].length ? bad[i].length : 1, 1); /* no NUL behind: a sanitizer sees a read too far */
        memcpy(exact, bad[i].text, bad[i].length);
        CASE_ASSERT(i, json_parse(exact, bad[i].length, &err) == NULL);
        CASE_ASSERT(i, err.text[0]);
        free(exact);
    }
}

static cJSON *nested(size_t depth)
{
    char text[200];
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    return json_parse(text, 2 * depth, NULL);
}

static void test_depth(void **state)
{
    (void)state;
    cJSON *root = nested(32);
    assert_non_null(root);
    cJSON_Delete(root);
    assert_null(nested(33));
}

static void test_too_many_values(void **state)
{
    size_t length = 10000002;
    char *text = mem_alloc(length, 1);
    (void)state;
    for (size_t i = 0; i < length; i++)
        text[i] = i % 2 ? '1' : ',';
    text[0] = '[';
    text[length - 1] = ']';
    assert_null(json_parse(text, length, NULL));
    free(text);
}

static void test_get(void **state)
{
    static const char text[] = " {\"t\":\"x\",\"n\":5,\"f\":1.5,\"s\":\"12\",\"bad\":\"12x\",\"neg\":-1,\"sneg\":\"-3\",\"b\":true,\"l\":[1],\"o\":{},"
                               "\"huge\":1e300,\"N\":6,\"big\":\"99999999999999999999\",\"z\":null} \n";
    (void)state;
    cJSON *root = json_parse(text, sizeof text - 1, NULL);
    assert_non_null(root);
    assert_string_equal(json_get_text(root, "t", "?"), "x");
    assert_string_equal(json_get_text(root, "n", "?"), "?");
    assert_string_equal(json_get_text(root, "absent", "?"), "?");
    assert_string_equal(json_get_text(NULL, "t", "?"), "?");
    assert_int_equal(json_get_number(root, "n", 0, 9, -7), 5);
    assert_int_equal(json_get_number(root, "n", 6, 9, -7), -7);
    assert_int_equal(json_get_number(root, "n", 0, 4, -7), -7);
    assert_int_equal(json_get_number(root, "f", 0, 9, -7), -7);
    assert_int_equal(json_get_number(root, "s", 0, 99, -7), 12);
    assert_int_equal(json_get_number(root, "sneg", -9, 99, -7), -3);
    assert_int_equal(json_get_number(root, "bad", 0, 99, -7), -7);
    assert_int_equal(json_get_number(root, "huge", INT64_MIN, INT64_MAX, -7), -7);
    assert_int_equal(json_get_number(root, "big", INT64_MIN, INT64_MAX, -7), -7);
    assert_int_equal(json_get_number(root, "z", 0, 9, -7), -7);
    assert_int_equal(json_get_number(root, "N", 0, 9, -7), 6);
    assert_int_equal(json_get_unsigned(root, "neg", 7), 7);
    assert_int_equal(json_get_unsigned(root, "sneg", 7), 7);
    assert_true(json_get_bool(root, "b", false));
    assert_true(json_get_bool(root, "n", true));
    assert_non_null(json_get_list(root, "l"));
    assert_null(json_get_list(root, "o"));
    assert_non_null(json_get_object(root, "o"));
    assert_null(json_get_object(root, "l"));
    cJSON_Delete(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer), cmocka_unit_test(test_numbers_go_round), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth),  cmocka_unit_test(test_too_many_values),  cmocka_unit_test(test_get),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
