/* conf.h: what is not touched stays byte for byte; what is wrong is named by file and line. */
#include "unit.h"

#include "wgdeck/conf.h"

static struct conf *parse(const char *text)
{
    struct err err = {{0}};
    struct conf *conf = conf_parse("f.conf", text, strlen(text), &err);
    if (!conf)
        fail_msg("%s", err.text);
    return conf;
}

static void assert_written(const struct conf *conf, const char *expected)
{
    struct buf buf = BUF_EMPTY;
    conf_write(conf, &buf);
    assert_string_equal(buf_text(&buf), expected);
    buf_free(&buf);
}

static void test_round(void **state)
{
    static const char *const texts[] = {
        "", "\n", "\n\n", "# only a comment", "a=b", "a = b # c\n", "[S]\nk=v", "[S]\r\nk = v\r\n", " [ S  name ] # c\n\tk\t=\tv\t\n",
        "[Peer]\n[Peer]\n", "k =\n", "k = a = b\n", "[Node a b]\n", "k=v\r", "k=\xC3\xBC#\xFF\n",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct conf *conf = parse(texts[i]);
        assert_written(conf, texts[i]);
        conf_free(conf);
    }
}

static const char document[] = "Top = 1\n"
                               "[Mesh]\n"
                               "  Name = prod   # the name\n"
                               "Network=10.0.0.0/8\n"
                               "\n"
                               "# api is first\n"
                               "[Node api]\n"
                               "Address = 10.0.0.1\n"
                               "address = 10.0.0.2#two\n"
                               "Empty =\n"
                               "\n"
                               "# db, by hand\n"
                               "# two lines\n"
                               "[Node db]\n"
                               "Ssh = root@db\n";

static void test_reading(void **state)
{
    static const struct conf_entry expected[] = {
        {"", "", SIZE_MAX, "Top", "1", 1},
        {"Mesh", "", 0, "Name", "prod", 3},
        {"Mesh", "", 0, "Network", "10.0.0.0/8", 4},
        {"Node", "api", 1, "Address", "10.0.0.1", 8},
        {"Node", "api", 1, "address", "10.0.0.2", 9},
        {"Node", "api", 1, "Empty", "", 10},
        {"Node", "db", 2, "Ssh", "root@db", 15},
    };
    struct conf *conf = parse(document);
    struct conf_entry entry;
    size_t cursor = 0, line = 0;
    const char *kind, *name;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        CASE_ASSERT(i, conf_next(conf, &cursor, &entry));
        CASE_ASSERT(i, !strcmp(entry.section, expected[i].section) && !strcmp(entry.section_name, expected[i].section_name));
        CASE_ASSERT(i, !strcmp(entry.key, expected[i].key) && !strcmp(entry.value, expected[i].value));
        CASE_ASSERT(i, entry.section_index == expected[i].section_index && entry.line == expected[i].line);
    }
    assert_false(conf_next(conf, &cursor, &entry));
    assert_int_equal(conf_section_count(conf), 3);
    conf_section(conf, 2, &kind, &name, &line);
    assert_string_equal(kind, "Node");
    assert_string_equal(name, "db");
    assert_int_equal(line, 14);
    assert_string_equal(conf_get(conf, 1, "ADDRESS", &line), "10.0.0.2");
    assert_int_equal(line, 9);
    assert_string_equal(conf_get(conf, SIZE_MAX, "top", NULL), "1");
    assert_null(conf_get(conf, 0, "Address", NULL));
    assert_null(conf_get(conf, 99, "Address", NULL));
    assert_int_equal(conf_find(conf, "node", NULL, 0), 1);
    assert_int_equal(conf_find(conf, "node", "db", 0), 2);
    assert_true(conf_find(conf, "node", "DB", 0) == SIZE_MAX);
    assert_true(conf_find(conf, "node", "api", 2) == SIZE_MAX);
    assert_string_equal(conf_file(conf), "f.conf");
    conf_free(conf);
}

static void test_errors(void **state)
{
    static const struct { const char *text, *error; } cases[] = {
        {"\nnonsense\n", "f.conf:2: no '='; write Key = value, or begin the line with '#' for a comment"},
        {"= x\n", "f.conf:1: nothing before '='; write Key = value"},
        {"a b = x\n", "f.conf:1: the key before '=' is not one word of letters and digits; write Key = value"},
        {"[S\n", "f.conf:1: a section's header does not end with ']'; write [Section] or [Section name]"},
        {"[S] x\n", "f.conf:1: a section's header does not end with ']'; write [Section] or [Section name]"},
        {"[\n", "f.conf:1: a section's header does not end with ']'; write [Section] or [Section name]"},
        {"[]\n", "f.conf:1: a section's header without a proper word; write [Section] or [Section name]"},
        {"[S#]\n", "f.conf:1: a section's header does not end with ']'; write [Section] or [Section name]"},
        {"[S a]b]\n", "f.conf:1: a bracket inside a section's name; write [Section name]"},
        {"\xEF\xBB\xBF[S]\n", "f.conf:1: begins with a byte order mark; save the file as plain UTF-8, without it"},
        {"a=1\nSecret0123\x1b\n", "f.conf:2: no '='; write Key = value, or begin the line with '#' for a comment"},
    };
    struct err err;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CASE_ASSERT(i, !conf_parse("f.conf", cases[i].text, strlen(cases[i].text), &err));
        CASE_ASSERT(i, !strcmp(err.text, cases[i].error));
    }
    assert_null(conf_parse("f.conf", "a=\0b\n", 5, &err));
    assert_string_equal(err.text, "f.conf:1: a NUL byte; write plain text");
}

static void test_limits(void **state)
{
    struct err err;
    (void)state;
    char *text = mem_alloc(2000002, 1);
    memset(text, 'x', 65538);
    text[1] = '=';
    text[65536] = '\n';
    assert_null(conf_parse("f.conf", text, 65537, &err));
    assert_non_null(strstr(err.text, "f.conf:1: a line of more than 65536 bytes"));
    text[65535] = '\n';
    struct conf *conf = conf_parse("f.conf", text, 65536, &err);
    assert_non_null(conf);
    conf_free(conf);
    memset(text, '\n', 1000001);
    assert_null(conf_parse("f.conf", text, 1000001, &err));
    assert_non_null(strstr(err.text, "f.conf: more than 1000000 lines"));
    free(text);
}

enum change { SET, ADD };

static void test_changes(void **state)
{
    static const struct { enum change change; const char *in; size_t section; const char *key, *value, *out; } cases[] = {
        {SET, "[A]\n  k =  v   # c\nx=1\n", 0, "K", "w x", "[A]\n  k =  w x   # c\nx=1\n"},
        {SET, "[A]\nk=v", 0, "k", "w", "[A]\nk=w"},
        {SET, "[A]\r\nk = v\r\n", 0, "k", "w", "[A]\r\nk = w\r\n"},
        {SET, "[A]\nk =\n", 0, "k", "w", "[A]\nk = w\n"},
        {SET, "[A]\nk=#c\n", 0, "k", "w", "[A]\nk= w #c\n"},
        {SET, "[A]\nk = v # c\n", 0, "k", "", "[A]\nk =  # c\n"},
        {SET, "[A]\nk = v = v # v\n", 0, "k", "w", "[A]\nk = w # v\n"},
        {SET, "[A]\nk=1\nj=2\nk=3\n[B]\nk=4\n", 0, "k", "5", "[A]\nj=2\nk=5\n[B]\nk=4\n"},
        {SET, "[A]\nk=1\nj=2\nk=3\n", 0, "K", NULL, "[A]\nj=2\n"},
        {SET, "[A]\n", 0, "k", NULL, "[A]\n"},
        {SET, "[A]\n\tj=1\n\n# of B\n[B]\n", 0, "k", "v", "[A]\n\tj=1\n\tk = v\n\n# of B\n[B]\n"},
        {SET, "[A]", 0, "k", "v", "[A]\nk = v\n"},
        {SET, "[A]\r\n[B]", 1, "k", "v", "[A]\r\n[B]\r\nk = v\r\n"},
        {SET, "", SIZE_MAX, "k", "v", "k = v\n"},
        {SET, "# c\n[A]\n", SIZE_MAX, "k", "v", "k = v\n# c\n[A]\n"},
        {SET, "a=1\n\n[A]\n", SIZE_MAX, "k", "v", "a=1\nk = v\n\n[A]\n"},
        {ADD, "[A]\nk=1\nj=2\n", 0, "k", "3", "[A]\nk=1\nk = 3\nj=2\n"},
        {ADD, "[A]\nj=2\n\n", 0, "k", "3", "[A]\nj=2\nk = 3\n\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct conf *conf = parse(cases[i].in);
        struct buf buf = BUF_EMPTY;
        struct err err;
        int (*change)(struct conf *, size_t, const char *, const char *, struct err *) = cases[i].change == SET ? conf_set : conf_add;
        CASE_ASSERT(i, change(conf, cases[i].section, cases[i].key, cases[i].value, &err) == 0);
        conf_write(conf, &buf);
        if (strcmp(buf_text(&buf), cases[i].out))
            fail_msg("case %zu: '%s'", i, buf_text(&buf));
        if (cases[i].value)
            CASE_ASSERT(i, !strcmp(conf_get(conf, cases[i].section, cases[i].key, NULL), cases[i].value));
        buf_free(&buf);
        conf_free(conf);
    }
}

static void test_changes_refused(void **state)
{
    static const struct { size_t section; const char *key, *value; } cases[] = {
        {0, "k", "a\nb"}, {0, "k", "a\rb"}, {0, "k", "a#b"}, {0, "k", " a"}, {0, "k", "a "}, {0, "k k", "a"}, {0, "", "a"}, {0, "[k", "a"},
        {1, "k", "a"}, {7, "k", NULL},
    };
    static const char text[] = "[A]\nk = v\n";
    struct conf *conf = parse(text);
    char *large = mem_alloc(70000, 1);
    struct err err;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CASE_ASSERT(i, conf_set(conf, cases[i].section, cases[i].key, cases[i].value, &err) == -1);
        if (cases[i].value)
            CASE_ASSERT(i, conf_add(conf, cases[i].section, cases[i].key, cases[i].value, &err) == -1);
    }
    memset(large, 'x', 69999);
    assert_int_equal(conf_set(conf, 0, "k", large, &err), -1);
    free(large);
    assert_written(conf, text);
    conf_free(conf);
}

static void test_sections(void **state)
{
    struct conf *conf = conf_new("new.conf");
    struct err err;
    (void)state;
    assert_int_equal(conf_add_section(conf, "Mesh", NULL), 0);
    assert_int_equal(conf_set(conf, 0, "Name", "prod", &err), 0);
    assert_int_equal(conf_add_section(conf, "Node", "api"), 1);
    assert_int_equal(conf_set(conf, 1, "Ssh", "root@api", &err), 0);
    assert_true(conf_add_section(conf, "Node", "a]b") == SIZE_MAX);
    assert_true(conf_add_section(conf, "Node", "a\nb") == SIZE_MAX);
    assert_true(conf_add_section(conf, "No de", NULL) == SIZE_MAX);
    assert_written(conf, "[Mesh]\nName = prod\n\n[Node api]\nSsh = root@api\n");
    conf_free(conf);
    conf = parse("[A]\nk=1");
    assert_int_equal(conf_add_section(conf, "B", ""), 1);
    assert_written(conf, "[A]\nk=1\n\n[B]\n");
    conf_free(conf);
}

static void test_comments(void **state)
{
    (void)state;
    struct conf *conf = conf_new("mesh.conf");
    conf_add_comment(conf, "head");
    conf_add_comment(conf, "");
    conf_add_comment(conf, "a\nKey = 1\r\x1b[2J");
    conf_add_section(conf, "Mesh", NULL);
    conf_add_comment(conf, "tail [Node]");
    assert_written(conf, "# head\n\n# a Key = 1  [2J\n\n[Mesh]\n# tail [Node]\n");
    assert_int_equal(conf_section_count(conf), 1);
    conf_free(conf);
    conf = parse("[A]\r\nk=1");
    conf_add_comment(conf, "c");
    assert_written(conf, "[A]\r\nk=1\r\n# c\r\n");
    conf_free(conf);
}

static void test_remove_section(void **state)
{
    static const struct { const char *in; size_t section; const char *out; } cases[] = {
        {document, 1, "Top = 1\n[Mesh]\n  Name = prod   # the name\nNetwork=10.0.0.0/8\n\n# db, by hand\n# two lines\n[Node db]\nSsh = root@db\n"},
        {"[A]\n\n# b\n[B]\nk=1\n", 1, "[A]\n"},
        {"[A]\n", 0, ""},
        {"# head\n\n[A]\n[B]\n", 0, "# head\n\n[B]\n"},
        {"[A]\nk=1\n# of b\n[B]\n", 0, "# of b\n[B]\n"},
        {"[A]\n", 3, "[A]\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct conf *conf = parse(cases[i].in);
        struct buf buf = BUF_EMPTY;
        conf_remove_section(conf, cases[i].section);
        conf_write(conf, &buf);
        if (strcmp(buf_text(&buf), cases[i].out))
            fail_msg("case %zu: '%s'", i, buf_text(&buf));
        buf_free(&buf);
        conf_free(conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),    cmocka_unit_test(test_reading), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_changes), cmocka_unit_test(test_changes_refused),
        cmocka_unit_test(test_sections), cmocka_unit_test(test_remove_section), cmocka_unit_test(test_comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
