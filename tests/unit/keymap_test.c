/* Keys: names there and back, the defaults, and deck.conf with everything that can be wrong in it. */
#include "unit.h"

#include "tui/keymap.h"

static const struct { const char *word; uint32_t code; bool alt, good; } words[] = {
    {"q", 'q', false, true},
    {"Q", 'Q', false, true},
    {"?", '?', false, true},
    {"+", '+', false, true},
    {",", ',', false, true},
    {"space", ' ', false, true},
    {"ctrl-l", 12, false, true},
    {"Ctrl-C", 3, false, true},
    {"alt-x", 'x', true, true},
    {"alt-enter", KEY_CODE_ENTER, true, true},
    {"f1", KEY_CODE_F1, false, true},
    {"F12", KEY_CODE_F12, false, true},
    {"page-down", KEY_CODE_PAGE_DOWN, false, true},
    {"esc", KEY_CODE_ESCAPE, false, true},
    {"\xc3\xa4", 0xe4, false, true},
    {"\xe2\x82\xac", 0x20ac, false, true},
    {"", 0, false, false},
    {"qq", 0, false, false},
    {"f0", 0, false, false},
    {"f13", 0, false, false},
    {"ctrl-", 0, false, false},
    {"ctrl-1", 0, false, false},
    {"ctrl-i", 0, false, false}, /* Tab, and Enter: a terminal does not tell them apart */
    {"ctrl-m", 0, false, false},
    {"ctrl-ab", 0, false, false},
    {"\x01", 0, false, false},
    {"\xff", 0, false, false},
    {"\xe2\x80\xae", 0, false, false},
};

static void test_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        uint32_t code = 0, again = 0;
        bool alt = false, alt_again = false;
        char text[24];
        CASE_ASSERT(i, keystroke_parse(words[i].word, &code, &alt) == words[i].good);
        if (!words[i].good)
            continue;
        CASE_ASSERT(i, code == words[i].code && alt == words[i].alt);
        keystroke_text(code, alt, text);
        CASE_ASSERT(i, keystroke_parse(text, &again, &alt_again) && again == code && alt_again == alt);
    }
}

static void test_defaults(void **state)
{
    (void)state;
    struct keymap keymap;
    struct buf text = BUF_EMPTY;
    keymap_begin(&keymap); /* aborts when two actions share a key */
    for (int action = ACTION_NONE + 1; action < ACTION_COUNT; action++) {
        CASE_ASSERT(action, *action_rows[action].name && *action_rows[action].keys && *action_rows[action].help && *action_rows[action].where);
        CASE_ASSERT(action, !strcmp(keymap_text(&keymap, (enum action)action, &text), action_rows[action].keys));
    }
    for (size_t i = 0; i < keymap.count; i++) {
        struct key_event key = {.code = keymap.keys[i].code, .alt = keymap.keys[i].alt};
        CASE_ASSERT(i, keymap_find(&keymap, &key) == keymap.keys[i].action);
        if (key.code >= KEY_CODE_F1 && key.code <= KEY_CODE_F12) { /* every function key has a twin */
            size_t others = 0;
            for (size_t k = 0; k < keymap.count; k++)
                others += keymap.keys[k].action == keymap.keys[i].action && k != i;
            CASE_ASSERT(i, others > 0);
        }
    }
    buf_free(&text);
    keymap_free(&keymap);
}

static const struct { const char *text, *key; enum action action; const char *warning; /* "": none */ } files[] = {
    {"[Keys]\nquit = x\n", "x", ACTION_QUIT, ""},
    {"[Keys]\nquit = x\n", "f10", ACTION_NONE, ""},
    {"[keys]\nQuit = x, f10\n", "f10", ACTION_QUIT, ""},
    {"[Keys]\nfreeze = q\n", "q", ACTION_FREEZE, ""},             /* stronger than a default; back has esc left */
    {"[Keys]\nfreeze = q\n", "z", ACTION_NONE, ""},
    {"[Keys]\nmark = none\n", "space", ACTION_NONE, ""},
    {"[Keys]\nstep = ,\nstep-back = .\n", ",", ACTION_STEP, ""},
    {"[Keys]\n\nfreze = x\n", "x", ACTION_NONE, "deck.conf:3: unknown action freze: did you mean freeze?"},
    {"[Keys]\nfreeze = spce\n", "z", ACTION_FREEZE, "deck.conf:2: \"spce\" is no key: did you mean space?"},
    {"[Keys]\nfreeze = x bogus-key\n", "x", ACTION_NONE, "deck.conf:2: \"bogus-key\" is no key"},
    {"[Keys]\nfreeze =\n", "z", ACTION_FREEZE, "freeze has no key (write \"none\""},
    {"[Keys]\nquit = none\n", "ctrl-c", ACTION_QUIT, "quit must have a key"},
    {"[Keys]\nfreeze = x\ncopy = x\n", "x", ACTION_FREEZE, "deck.conf:3: x is already the key of freeze"},
    {"[Keys]\nfreeze = q esc\n", "esc", ACTION_BACK, "back had no key left: it has esc"},
    {"[Keys]\nfreeze = a b c d e f g h i j k l m n o p r s\n", "a", ACTION_FREEZE, "more than 16 keys"},
    {"[Deck]\nfreeze = x\n", "x", ACTION_NONE, ""},
};

static void test_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct err err;
        struct keymap keymap;
        struct buf warnings = BUF_EMPTY;
        struct key_event key = {.row = 0};
        struct conf *conf = conf_parse("deck.conf", files[i].text, strlen(files[i].text), &err);
        CASE_ASSERT(i, conf != NULL);
        keymap_begin(&keymap);
        keymap_read(&keymap, conf, &warnings);
        CASE_ASSERT(i, keystroke_parse(files[i].key, &key.code, &key.alt));
        CASE_ASSERT(i, keymap_find(&keymap, &key) == files[i].action);
        if (*files[i].warning ? !strstr(buf_text(&warnings), files[i].warning) : warnings.length > 0)
            fail_msg("case %zu: warnings: %s", i, buf_text(&warnings));
        buf_free(&warnings);
        keymap_free(&keymap);
        conf_free(conf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
