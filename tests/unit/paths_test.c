/* Orders of the ladder as they come from outside, what is noted of them, and what a hello may say (src/node/paths*.c, control_wire.c). */
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/change.h"
#include "node/control_wire.h"
#include "node/paths.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

#define KEY "\"key\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\","
#define HUB "\"hub\":\"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\","
#define HEAD "\"interface\":\"wg0\"," KEY HUB

static cJSON *parse(const char *text)
{
    struct err err;
    cJSON *object = json_parse(text, strlen(text), &err);
    assert_non_null(object);
    return object;
}

static void test_orders(void **state)
{
    static const struct { const char *text, *refused; } cases[] = {
        {HEAD "\"do\":\"try\",\"endpoint\":\"198.51.100.7:40001\",\"keepalive\":25", NULL},
        {HEAD "\"do\":\"try\",\"endpoint\":\"[2001:db8::7]:40001\"", NULL},
        {HEAD "\"do\":\"carry\",\"path\":\"direct\",\"allowed\":[\"10.44.0.193/32\",\"fd44::9/128\"]", NULL},
        {HEAD "\"do\":\"carry\",\"path\":\"relay\",\"allowed\":[\"10.44.0.193/32\"]", NULL},
        {HEAD "\"do\":\"yield\",\"allowed\":[\"10.44.0.193/32\"],\"forget\":true", NULL},
        {KEY HUB "\"do\":\"try\",\"endpoint\":\"198.51.100.7:1\"", "interface"},
        {"\"interface\":\"../x\"," KEY HUB "\"do\":\"try\",\"endpoint\":\"198.51.100.7:1\"", "interface"},
        {"\"interface\":\"wg0\"," HUB "\"do\":\"try\",\"endpoint\":\"198.51.100.7:1\"", "key is no"},
        {"\"interface\":\"wg0\"," KEY "\"do\":\"try\",\"endpoint\":\"198.51.100.7:1\"", "hub is no"},
        {"\"interface\":\"wg0\"," KEY "\"hub\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\",\"do\":\"try\",\"endpoint\":\"198.51.100.7:1\"", "hub itself"},
        {HEAD "\"do\":\"sell\",\"allowed\":[\"10.44.0.193/32\"]", "try, carry, yield"},
        {HEAD "\"do\":\"try\"", "endpoint"},
        {HEAD "\"do\":\"try\",\"endpoint\":\"127.0.0.1:1\"", "endpoint"},
        {HEAD "\"do\":\"try\",\"endpoint\":\"0.0.0.0:1\"", "endpoint"},
        {HEAD "\"do\":\"try\",\"endpoint\":\"224.0.0.1:1\"", "endpoint"},
        {HEAD "\"do\":\"try\",\"endpoint\":\"255.255.255.255:1\"", "endpoint"},
        {HEAD "\"do\":\"try\",\"endpoint\":\"198.51.100.7:0\"", "endpoint"},
        {HEAD "\"do\":\"try\",\"endpoint\":\"[::1]:1\"", "endpoint"},
        {HEAD "\"do\":\"try\",\"endpoint\":\"[::ffff:127.0.0.1]:1\"", "endpoint"},
        {HEAD "\"do\":\"try\",\"endpoint\":\"[ff02::1]:1\"", "endpoint"},
        {HEAD "\"do\":\"try\",\"endpoint\":\"[fe80::1]:1\"", "endpoint"},
        {HEAD "\"do\":\"try\",\"endpoint\":\"name.example:1\"", "endpoint"},
        {HEAD "\"do\":\"carry\",\"path\":\"direct\"", "allowed is missing"},
        {HEAD "\"do\":\"carry\",\"allowed\":[\"10.44.0.193/32\"]", "neither direct nor relay"},
        {HEAD "\"do\":\"carry\",\"path\":\"direct\",\"allowed\":[\"10.44.0.193/33\"]", "no prefix"},
        {HEAD "\"do\":\"carry\",\"path\":\"direct\",\"allowed\":[7]", "no prefix"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *text = mem_format("{%s}", cases[i].text);
        cJSON *object = parse(text);
        struct path_order order;
        struct err err = {.text = ""};
        int result = path_order_read(object, &order, &err);
        if ((result != 0) != (cases[i].refused != NULL) || (result && !strstr(err.text, cases[i].refused)))
            fail_msg("case %zu: %d %s", i, result, err.text);
        cJSON_Delete(object);
        free(text);
    }
}

static void test_orders_are_bounded_and_safe(void **state)
{
    (void)state;
    struct buf text = BUF_EMPTY;
    struct path_order order;
    struct err err;
    buf_add_text(&text, "{" HEAD "\"do\":\"carry\",\"path\":\"direct\",\"name\":\"\\u001b[31mm1\\n\",\"reason\":\"");
    for (int i = 0; i < 1000; i++)
        buf_add_text(&text, "x\\u0007");
    buf_add_text(&text, "\",\"allowed\":[\"10.44.0.193/32\"]}");
    cJSON *object = parse(buf_text(&text));
    assert_int_equal(path_order_read(object, &order, &err), 0);
    assert_true(strlen(order.reason) < PATH_REASON && !strchr(order.reason, 7));
    assert_true(!strchr(order.name, 27) && !strchr(order.name, '\n'));
    cJSON_Delete(object);
    buf_clear(&text);
    buf_add_text(&text, "{" HEAD "\"do\":\"carry\",\"path\":\"direct\",\"allowed\":[");
    for (int i = 0; i <= PATH_ALLOWED_MOST; i++)
        buf_add_format(&text, "%s\"10.44.0.%d/32\"", i ? "," : "", i);
    buf_add_text(&text, "]}");
    object = parse(buf_text(&text));
    assert_int_equal(path_order_read(object, &order, &err), -1);
    assert_non_null(strstr(err.text, "more than 64"));
    cJSON_Delete(object);
    buf_free(&text);
}

static void test_notes(void **state)
{
    (void)state;
    char folder[] = "/tmp/wgdeck-paths-XXXXXX";
    struct path_notes notes = {0}, again;
    struct prefix allowed[2];
    struct err err;
    struct stat status;
    assert_non_null(mkdtemp(folder));
    change_root = folder;
    prefix_parse("10.44.0.193/32", &allowed[0]);
    prefix_parse("fd44::9/128", &allowed[1]);
    path_notes_read("wg0", &again); /* none there */
    assert_int_equal(again.count, 0);
    for (uint8_t i = 1; i <= 3; i++) {
        struct key key = {{i}};
        struct path_note *note = path_note_make(&notes, &key);
        note->way = (enum observed_way)i;
        note->made = i == 2;
        note->keepalive = i;
        note->since = 1700000000 + i;
        strcpy(note->name, "m1");
        strcpy(note->reason, "because");
        path_note_set_allowed(note, allowed, i == 3 ? 0 : 2);
    }
    assert_int_equal(path_notes_write("wg0", &notes, &err), 0);
    char *path = mem_format("%s/run/wgdeck/wg0.paths", folder), *run = mem_format("%s/run/wgdeck", folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    path_notes_read("wg0", &again);
    assert_int_equal(again.count, 3);
    for (uint8_t i = 1; i <= 3; i++) {
        struct key key = {{i}};
        const struct path_note *was = path_note_find(&notes, &key), *is = path_note_find(&again, &key);
        assert_non_null(is);
        assert_int_equal(is->way, was->way);
        assert_int_equal(is->made, was->made);
        assert_int_equal(is->keepalive, was->keepalive);
        assert_true(is->since == was->since);
        assert_int_equal(is->allowed_count, was->allowed_count);
        assert_string_equal(is->reason, "because");
    }
    path_notes_free(&again);
    static const char senseless[] = "{\"paths\":[{\"key\":7},{\"path\":\"direct\"},[],{\"key\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\",\"path\":\"moon\"}]}";
    assert_int_equal(file_write(path, 0600, senseless, sizeof senseless - 1, &err), 0);
    path_notes_read("wg0", &again); /* what makes no sense is passed over */
    assert_int_equal(again.count, 0);
    while (notes.count)
        path_note_remove(&notes, &notes.notes[0].key);
    assert_int_equal(path_notes_write("wg0", &notes, &err), 0);
    assert_int_equal(access(path, F_OK), -1);
    path_notes_free(&notes);
    rmdir(run);
    free(run);
    run = mem_format("%s/run", folder);
    rmdir(run);
    rmdir(folder);
    change_root = "";
    free(run);
    free(path);
}

static void test_hellos(void **state)
{
    (void)state;
    struct buf text = BUF_EMPTY;
    struct control_hello hello;
    buf_add_text(&text, "{\"op\":\"hello\",\"name\":\"m1\\u001b[2J\",\"rows\":[");
    for (int i = 0; i < 40; i++)
        buf_add_format(&text, "%s{" KEY "\"endpoint\":\"%s\",\"age\":%d,\"rx\":%d,\"path\":\"%s\"}", i ? "," : "", i ? "198.51.100.7:1" : "nowhere", i - 1, i, i ? "direct" : "moon");
    buf_add_text(&text, "],\"candidates\":[\"127.0.0.1:1\",7,\"192.168.1.5:51820\",\"10.0.0.1:0\",\"[2001:db8::5]:51820\"");
    for (int i = 0; i < 40; i++)
        buf_add_format(&text, ",\"192.168.2.%d:51820\"", i + 1);
    buf_add_text(&text, "]}");
    cJSON *object = parse(buf_text(&text));
    control_read_hello(object, &hello);
    assert_int_equal(hello.row_count, CONTROL_ROWS);
    assert_int_equal(hello.candidate_count, CONTROL_CANDIDATES);
    assert_null(strchr(hello.name, 27));
    assert_int_equal(hello.rows[0].endpoint.address.family, 0);
    assert_int_equal(hello.rows[0].way, 0);
    assert_true(hello.rows[0].age == -1 && hello.rows[1].age == 0 && hello.rows[1].way == WAY_DIRECT + 1);
    assert_int_equal(hello.candidates[0].address.bytes[0], 192);
    assert_int_equal(hello.candidates[1].address.family, AF_INET6);
    cJSON_Delete(object);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders), cmocka_unit_test(test_orders_are_bounded_and_safe), cmocka_unit_test(test_notes), cmocka_unit_test(test_hellos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
