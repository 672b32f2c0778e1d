/* text.h: what may reach a terminal, widths, names, patterns, quoting. */
#include "unit.h"

#include <locale.h>
#include <wchar.h>

#include "wgdeck/text.h"

#define BYTES(text) text, sizeof(text) - 1

static void test_safe(void **state)
{
    static const struct { const char *in; size_t length; const char *out; } cases[] = {
        {BYTES(""), ""},
        {BYTES("plain ~!\\ text"), "plain ~!\\ text"},
        {BYTES("\x1b[31mred"), "\\x1b[31mred"},
        {BYTES("a\nb\tc\rd\0e\x7f"), "a\\x0ab\\x09c\\x0dd\\x00e\\x7f"},
        {BYTES("gr\xC3\xBC\xC3\x9F \xE6\xBC\xA2 \xF0\x9F\x98\x80"), "gr\xC3\xBC\xC3\x9F \xE6\xBC\xA2 \xF0\x9F\x98\x80"},
        {BYTES("\xC2\x9B" "31m"), "\\u{009B}31m"},                       /* C1: CSI */
        {BYTES("\x9B" "31m"), "\\x9b31m"},                               /* the same as a bare byte */
        {BYTES("\xE2\x80\xAE" "x\xE2\x81\xA9"), "\\u{202E}x\\u{2069}"},  /* bidirectional override, isolate */
        {BYTES("\xE2\x80\x8E\xE2\x80\x8F\xE2\x80\xA8\xE2\x80\xA9\xEF\xBB\xBF"), "\\u{200E}\\u{200F}\\u{2028}\\u{2029}\\u{FEFF}"},
        {BYTES("\xF3\xA0\x81\x81"), "\\u{E0041}"},                       /* tag character */
        {BYTES("\xC0\xAF"), "\\xc0\\xaf"},                               /* overlong '/' */
        {BYTES("\xE0\x9F\xBF"), "\\xe0\\x9f\\xbf"},
        {BYTES("\xF0\x8F\xBF\xBF"), "\\xf0\\x8f\\xbf\\xbf"},
        {BYTES("\xED\xA0\x80"), "\\xed\\xa0\\x80"},                      /* surrogate */
        {BYTES("\xF4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"},             /* above U+10FFFF */
        {BYTES("\xFF\xFE"), "\\xff\\xfe"},
        {BYTES("cut \xE6\xBC"), "cut \\xe6\\xbc"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf buf = BUF_EMPTY;
        text_add_safe(&buf, cases[i].in, cases[i].length);
        CASE_ASSERT(i, !strcmp(buf_text(&buf), cases[i].out));
        CASE_ASSERT(i, text_is_safe(buf_text(&buf), buf.length));
        CASE_ASSERT(i, text_is_safe(cases[i].in, cases[i].length) == !strcmp(cases[i].in, cases[i].out));
        buf_free(&buf);
    }
    assert_null(text_safe(NULL));
}

static void test_every_byte_alone(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char one = (char)byte;
        CASE_ASSERT(byte, text_is_safe(&one, 1) == (byte >= 0x20 && byte < 0x7F));
    }
}

static void test_width(void **state)
{
    static const struct { const char *text; size_t width; } cases[] = {
        {"", 0}, {"abc", 3}, {"gr\xC3\xBC", 3}, {"\xE6\xBC\xA2\xE5\xAD\x97", 4}, {"e\xCC\x81", 1}, {"\xF0\x9F\x98\x80", 2},
        {"\xE2\x94\x82", 1}, {"\xE2\x86\x92", 1}, {"\xEA\xB0\x80", 2}, {"\xEF\xBC\xA1", 2}, {"\xE2\x80\x8B", 0}, {"\xFF", 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        CASE_ASSERT(i, text_width(cases[i].text) == cases[i].width);
}

/* Curses lays out with the C library's wcwidth; where both know a letter, they must agree. */
static void test_width_agrees_with_the_library(void **state)
{
    (void)state;
    if (!setlocale(LC_CTYPE, "C.UTF-8")) {
        print_message("no C.UTF-8 locale here\n");
        skip();
    }
    unsigned different = 0;
    for (uint32_t character = 0x20; character < 0x30000; character++) {
        int width = wcwidth((wchar_t)character);
        if (width >= 0 && (unsigned)width != text_character_width(character))
            different++;
    }
    setlocale(LC_CTYPE, "C");
    assert_in_range(different, 0, 100); /* unassigned, and what another Unicode version decided differently */
}

static void test_names(void **state)
{
    static const char *const good[] = {"a", "api-1.example_x", "0",
                                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const bad[] = {"", "-a", ".a", "a b", "a/b", "a\n", "\xC3\xBC", "$(x)", "a;b",
                                      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        CASE_ASSERT(i, text_is_name(good[i]));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CASE_ASSERT(i, !text_is_name(bad[i]));
}

static void test_matches(void **state)
{
    static const struct { const char *patterns, *name; bool matches; } cases[] = {
        {NULL, "api", true},      {"", "api", false},          {"api", "api", true},        {"api", "api2", false},
        {"api*", "api2", true},   {"db,api?", "api2", true},   {"db,web", "api", false},    {"*,!api", "api", false},
        {"*,!api", "db", true},   {"!api", "db", true},        {"!api", "api", false},      {"!a*,!d*", "db", false},
        {"[ab]pi", "bpi", true},  {"[!a]pi", "api", false},    {",", "api", false},         {",api,", "api", true},
        {"!", "api", false},      {"!db,api", "web", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        CASE_ASSERT(i, text_matches(cases[i].patterns, cases[i].name) == cases[i].matches);
}

static void test_quoted(void **state)
{
    static const struct { const char *in, *out; } cases[] = {
        {"", "''"}, {"a b", "'a b'"}, {"it's", "'it'\\''s'"}, {"'", "''\\'''"}, {"$(x) `y` \"z\"\n\\", "'$(x) `y` \"z\"\n\\'"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf buf = BUF_EMPTY;
        text_add_quoted(&buf, cases[i].in);
        CASE_ASSERT(i, !strcmp(buf_text(&buf), cases[i].out));
        buf_free(&buf);
    }
}

static void test_number(void **state)
{
    static const struct { const char *text; unsigned long long maximum; int result; unsigned long long number; } cases[] = {
        {"0", 10, 0, 0},   {"10", 10, 0, 10}, {"11", 10, -1, 0}, {"", 10, -1, 0},   {"-1", 10, -1, 0}, {"+1", 10, -1, 0},
        {" 1", 10, -1, 0}, {"1 ", 10, -1, 0}, {"0x1", 99, -1, 0}, {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, -1, 0}, {"99999999999999999999999", UINT64_MAX, -1, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned long long number = 0;
        CASE_ASSERT(i, text_to_number(cases[i].text, cases[i].maximum, &number) == cases[i].result);
        CASE_ASSERT(i, number == cases[i].number);
    }
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "MTU"};
    static const struct { const char *word, *nearest; } cases[] = {
        {"PublikKey", "PublicKey"}, {"publickey", "PublicKey"}, {"AllowedIP", "AllowedIPs"}, {"Endponit", "Endpoint"},
        {"MTV", "MTU"}, {"Zebra", NULL}, {"", NULL}, {"x", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *nearest = text_nearest(cases[i].word, words, COUNT_OF(words));
        CASE_ASSERT(i, nearest == cases[i].nearest || (nearest && cases[i].nearest && !strcmp(nearest, cases[i].nearest)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safe),    cmocka_unit_test(test_every_byte_alone), cmocka_unit_test(test_width),
        cmocka_unit_test(test_width_agrees_with_the_library), cmocka_unit_test(test_names), cmocka_unit_test(test_matches),
        cmocka_unit_test(test_quoted),  cmocka_unit_test(test_number),           cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
