/* The line that is typed: editing of UTF-8, history, completion's candidates. */
#include "unit.h"

#include "tui/keymap.h"
#include "tui/prompt.h"

/* Words of keys; what begins with "=" is typed as it stands. */
static enum prompt_result type(struct prompt *prompt, const char *keys)
{
    enum prompt_result result = PROMPT_IGNORED;
    char *copy = mem_text(keys), *saved = NULL;
    for (char *word = strtok_r(copy, " ", &saved); word; word = strtok_r(NULL, " ", &saved)) {
        struct key_event key = {.row = 0};
        if (*word == '=') {
            for (const char *at = word + 1; *at; at++) {
                key.code = (uint32_t)(unsigned char)*at;
                result = prompt_key(prompt, &key);
            }
        } else {
            assert_true(keystroke_parse(word, &key.code, &key.alt));
            result = prompt_key(prompt, &key);
        }
    }
    free(copy);
    return result;
}

static const struct { const char *keys, *text; size_t cursor; enum prompt_result last; } edits[] = {
    {"=abc", "abc", 3, PROMPT_CHANGED},
    {"=abc left =X", "abXc", 3, PROMPT_CHANGED},
    {"=abc home delete", "bc", 0, PROMPT_CHANGED},
    {"=abc ctrl-a =X end =Y", "XabcY", 5, PROMPT_CHANGED},
    {"=abc backspace", "ab", 2, PROMPT_CHANGED},
    {"=abc left ctrl-k", "ab", 2, PROMPT_CHANGED},
    {"=abc left ctrl-u", "c", 0, PROMPT_CHANGED},
    {"=abc space =def ctrl-w", "abc ", 4, PROMPT_CHANGED},
    {"=abc space =def ctrl-w ctrl-w", "", 0, PROMPT_CHANGED},
    {"\xc3\xa4 \xe2\x82\xac left backspace", "\xe2\x82\xac", 0, PROMPT_CHANGED},
    {"\xc3\xa4 \xe2\x82\xac backspace backspace", "", 0, PROMPT_CHANGED},
    {"=a left left left delete delete", "", 0, PROMPT_IGNORED},
    {"=a enter", "a", 1, PROMPT_DONE},
    {"=a esc", "a", 1, PROMPT_ENDED},
    {"=a ctrl-c", "a", 1, PROMPT_ENDED},
    {"backspace", "", 0, PROMPT_ENDED},
    {"=a tab", "a", 1, PROMPT_COMPLETE},
    {"=a back-tab", "a", 1, PROMPT_COMPLETE_BACK},
    {"=a f5", "a", 1, PROMPT_IGNORED},
};

static void test_edits(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(edits); i++) {
        struct prompt prompt = {.kind = PROMPT_NONE};
        prompt_open(&prompt, PROMPT_COMMAND, ":", "");
        enum prompt_result last = type(&prompt, edits[i].keys);
        CASE_ASSERT(i, last == edits[i].last);
        CASE_ASSERT(i, !strcmp(prompt.text, edits[i].text) && prompt.cursor == edits[i].cursor && prompt.length == strlen(prompt.text));
        prompt_free(&prompt);
    }
}

static void test_is_bounded(void **state)
{
    (void)state;
    struct prompt prompt = {.kind = PROMPT_NONE};
    prompt_open(&prompt, PROMPT_COMMAND, ":", "");
    for (int i = 0; i < 2 * PROMPT_SIZE; i++)
        type(&prompt, "\xe2\x82\xac");
    assert_in_range(prompt.length, PROMPT_SIZE - 4, PROMPT_SIZE - 1);
    assert_int_equal(prompt.length % 3, 0);
    prompt_free(&prompt);
}

static void test_history(void **state)
{
    (void)state;
    struct prompt prompt = {.kind = PROMPT_NONE};
    prompt_remember(&prompt, "one");
    prompt_remember(&prompt, "two");
    prompt_remember(&prompt, "two"); /* once */
    prompt_remember(&prompt, "");
    prompt_open(&prompt, PROMPT_COMMAND, ":", "");
    type(&prompt, "=thr up");
    assert_string_equal(prompt.text, "two");
    type(&prompt, "up up");
    assert_string_equal(prompt.text, "one");
    type(&prompt, "down down");
    assert_string_equal(prompt.text, "thr");
    for (int i = 0; i < 3 * PROMPT_HISTORY; i++) {
        char line[16];
        snprintf(line, sizeof line, "%d", i);
        prompt_remember(&prompt, line);
    }
    assert_int_equal(prompt.history_count, PROMPT_HISTORY);
    prompt_free(&prompt);
}

static void test_candidates(void **state)
{
    (void)state;
    struct prompt prompt = {.kind = PROMPT_NONE};
    prompt_open(&prompt, PROMPT_COMMAND, ":", "node a");
    buf_add_text(&prompt.candidates, "api app auth");
    prompt.from = 5;
    prompt_cycle(&prompt, false);
    assert_string_equal(prompt.text, "node api");
    prompt_cycle(&prompt, false);
    prompt_cycle(&prompt, false);
    assert_string_equal(prompt.text, "node auth");
    prompt_cycle(&prompt, false);
    assert_string_equal(prompt.text, "node api");
    prompt_cycle(&prompt, true);
    assert_string_equal(prompt.text, "node auth");
    type(&prompt, "=x"); /* typing on forgets them */
    assert_string_equal(prompt.text, "node authx");
    assert_int_equal(prompt.candidates.length, 0);
    prompt_open(&prompt, PROMPT_COMMAND, ":", "no");
    buf_add_text(&prompt.candidates, "node");
    prompt.from = 0;
    prompt_cycle(&prompt, false);
    assert_string_equal(prompt.text, "node "); /* the only one: on to the next word */
    prompt_free(&prompt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_is_bounded),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_candidates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
