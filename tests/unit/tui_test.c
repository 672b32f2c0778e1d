/* The deck without a terminal: every default key is pressed and must do something that can be seen; screens, filter, command line, questions,
 * privacy, copies and saves. */
#include "unit.h"

#include <locale.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diagnosis_world.h"
#include "tui/command.h"
#include "tui/tui_private.h"
#include "wgdeck/file.h"

/* A mesh with faults, and the deck on it. */
struct deck {
    struct world world;
    struct diagnosis *diagnosis;
    struct live_node nodes[6];
    struct live_picture picture;
    struct tui *tui;
    struct surface surface;
    struct buf text;
};

static struct deck deck_new(const struct tui_options *options)
{
    static const struct tui_options plain = {.screen = NULL};
    struct err err;
    struct deck deck = {.world = world_new(6, true)};
    world_remove(world_device(&deck.world, 'b'), 'a');
    world_fail(&deck.world, 'd');
    deck.diagnosis = diagnose(deck.world.mesh, deck.world.now, deck.world.before);
    deck.tui = tui_new_headless(options ? options : &plain, &err);
    assert_non_null(deck.tui);
    surface_resize(&deck.surface, 24, 100);
    return deck;
}

static void deck_begin(struct deck *deck)
{
    deck->picture = (struct live_picture){.mesh = deck->world.mesh, .observed = deck->world.now, .diagnosis = deck->diagnosis, .nodes = deck->nodes,
                                          .now = WORLD_NOW, .number = 1};
    tui_set_picture(deck->tui, &deck->picture);
}

static void deck_free(struct deck *deck)
{
    tui_free(deck->tui);
    diagnosis_free(deck->diagnosis);
    world_free(&deck->world);
    surface_free(&deck->surface);
    buf_free(&deck->text);
}

static const char *drawn(struct deck *deck)
{
    buf_clear(&deck->text);
    tui_draw(deck->tui, &deck->surface);
    surface_to_text(&deck->surface, true, &deck->text);
    return buf_text(&deck->text);
}

static void type(struct deck *deck, const char *text)
{
    for (; *text; text++)
        tui_key(deck->tui, &(struct key_event){.code = (uint32_t)(unsigned char)*text});
}

static bool shows(struct deck *deck, const char *words)
{
    return strstr(drawn(deck), words) != NULL;
}

/* Every default key: pressed after BEFORE, it must change the screen or what the terminal is sent, or end the deck. */
static const struct { enum action action; const char *before; } settings[] = {
    {ACTION_BACK, "2"},
    {ACTION_FILTER_NOT, ""},
    {ACTION_NEXT, "3 G g"},
    {ACTION_PREVIOUS, "3 G"},
    {ACTION_UP, "2 down down"},
    {ACTION_DOWN, "2"},
    {ACTION_LEFT, "2 right right"},
    {ACTION_RIGHT, "2"},
    {ACTION_PAGE_UP, "? page-down page-down"},
    {ACTION_PAGE_DOWN, "?"},
    {ACTION_FIRST, "? end"},
    {ACTION_LAST, "?"},
    {ACTION_ENTER, "3"},
    {ACTION_MARK, "3"},
    {ACTION_SORT, "3"},
    {ACTION_SORT_INVERT, "3 s"},
    {ACTION_COLUMNS, "3"},
    {ACTION_GROUP, "2"},
    {ACTION_OVERVIEW, "2"},
};

/* Those whose effect is not on the screen of a deck without terminal and live mesh: drawing anew, ^Z, a look, a pace. The lab presses them. */
static bool is_beyond_the_screen(enum action action)
{
    static const enum action beyond[] = {ACTION_REDRAW, ACTION_SUSPEND, ACTION_REFRESH, ACTION_SLOWER, ACTION_FASTER};
    for (size_t i = 0; i < COUNT_OF(beyond); i++)
        if (beyond[i] == action)
            return true;
    return false;
}

static void press(enum action action, uint32_t code, bool alt, const char *before)
{
    char name[24];
    struct deck deck = deck_new(NULL);
    deck_begin(&deck);
    keystroke_text(code, alt, name);
    drawn(&deck);
    assert_true(tui_keys(deck.tui, before));
    char *was = mem_text(drawn(&deck));
    size_t sent = deck.tui->terminal_bytes.length;
    assert_true(tui_keys(deck.tui, name));
    bool effect = tui_is_over(deck.tui) || deck.tui->terminal_bytes.length > sent || strcmp(was, drawn(&deck));
    if (!effect && !is_beyond_the_screen(action))
        fail_msg("%s (%s) does nothing", name, action_rows[action].name);
    assert_int_equal(tui_is_over(deck.tui), action == ACTION_QUIT || action == ACTION_QUIT_KEEP);
    free(was);
    deck_free(&deck);
}

static void test_every_key(void **state)
{
    (void)state;
    struct keymap keymap;
    keymap_begin(&keymap);
    for (size_t i = 0; i < keymap.count; i++) {
        const char *before = "";
        for (size_t k = 0; k < COUNT_OF(settings); k++)
            if (settings[k].action == keymap.keys[i].action)
                before = settings[k].before;
        press(keymap.keys[i].action, keymap.keys[i].code, keymap.keys[i].alt, before);
    }
    keymap_free(&keymap);
}

static const struct { const char *keys, *screen; size_t depth; } ways[] = {
    {"", "overview", 1},
    {"2", "matrix", 2},
    {"2 3 4 5", "faults", 2},          /* they stand beside each other */
    {"2 q", "overview", 1},
    {"2 esc", "overview", 1},
    {"2 1", "overview", 1},
    {"3 enter", "link", 3},
    {"3 enter q", "links", 2},
    {"3 enter q q", "overview", 1},
    {"3 enter 2", "matrix", 2},
    {"3 enter ?", "help", 4},
    {"3 enter ? ?", "link", 3},        /* help again ends it */
    {"3 enter ? q", "link", 3},
    {"? ? ? ?", "overview", 1},
    {"5 5 5", "faults", 2},
};

static void test_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct deck deck = deck_new(NULL);
        deck_begin(&deck);
        CASE_ASSERT(i, tui_keys(deck.tui, ways[i].keys));
        CASE_ASSERT(i, !strcmp(tui_screen_name(deck.tui), ways[i].screen) && deck.tui->depth == ways[i].depth && !tui_is_over(deck.tui));
        deck_free(&deck);
    }
}

static void test_first_screen_leaves(void **state)
{
    (void)state;
    struct tui_options options = {.screen = "matrix"};
    struct deck deck = deck_new(&options);
    deck_begin(&deck);
    assert_string_equal(tui_screen_name(deck.tui), "matrix");
    tui_keys(deck.tui, "q");
    assert_true(tui_is_over(deck.tui));
    deck_free(&deck);
}

static void test_keys_before_a_picture(void **state)
{
    (void)state;
    struct deck deck = deck_new(NULL);
    for (int action = ACTION_NONE + 1; action < ACTION_COUNT; action++) {
        tui_act(deck.tui, (enum action)action);
        prompt_close(&deck.tui->prompt);
        drawn(&deck);
    }
    assert_true(tui_is_over(deck.tui));
    deck_free(&deck);
}

static void test_filter(void **state)
{
    (void)state;
    struct deck deck = deck_new(NULL);
    deck_begin(&deck);
    tui_keys(deck.tui, "3 /");
    type(&deck, "f");
    assert_true(shows(&deck, "filter \"f\""));   /* while it is typed */
    assert_int_equal(deck.tui->scene.node_matches[5], 1);
    assert_int_equal(deck.tui->scene.node_matches[0], 0);
    tui_keys(deck.tui, "esc");                   /* takes the old one back: none */
    assert_false(shows(&deck, "filter \"f\""));
    tui_keys(deck.tui, "/");
    type(&deck, "f");
    tui_keys(deck.tui, "enter q");               /* q ends the filter first */
    assert_false(*deck.tui->filter);
    assert_string_equal(tui_screen_name(deck.tui), "links");
    tui_keys(deck.tui, "!");
    type(&deck, "f");
    tui_keys(deck.tui, "enter");
    assert_true(shows(&deck, "hiding \"f\""));
    assert_int_equal(deck.tui->scene.node_matches[5], 0);
    assert_int_equal(deck.tui->scene.node_matches[0], 1);
    tui_keys(deck.tui, "/");
    type(&deck, "x");
    tui_keys(deck.tui, "esc");                   /* the one from before, inverted as it was */
    assert_true(shows(&deck, "hiding \"f\""));
    deck_free(&deck);
}

static const struct { const char *line, *screen, *says; } lines[] = {
    {"matrix", "matrix", NULL},
    {"mat", "matrix", NULL},
    {"MATRIX", "matrix", NULL},
    {"node b", "node", NULL},
    {"link a b", "link", NULL},
    {"link b a", "link", NULL},
    {"fault", "faults", NULL},
    {"help", "help", NULL},
    {"node", "overview", "which node?"},
    {"node bb", "overview", "no node \"bb\""},
    {"link a", "overview", "which link?"},
    {"link a a", "overview", "are not linked"},
    {"matirx", "overview", "did you mean matrix?"},
    {"frobnicate", "overview", "no command \"frobnicate\""},
    {"fa", "overview", "can mean several"},
    {"filter f", "overview", "filter \"f\""},
    {"filter !f", "overview", "hiding \"f\""},
    {"theme nonesuch-theme", "overview", "nonesuch-theme"},
    {"theme light", "overview", "theme light"},
    {"interval 0", "overview", "a recording"},
    {"speed 3", "overview", "for a replay"},
    {"seek 12:00", "overview", "for a replay"},
    {"sort nonesuch", "overview", "no column"},
    {"privacy", "overview", "node-1"},
    {"freeze", "overview", "frozen"},
    {"shell a", "overview", "ssh"},
    {"back", "overview", NULL},
    {"", "overview", NULL},
    {"   ", "overview", NULL},
    {": matrix", "matrix", NULL},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct deck deck = deck_new(NULL);
        deck_begin(&deck);
        tui_keys(deck.tui, ":");
        type(&deck, lines[i].line);
        tui_keys(deck.tui, "enter");
        if (strcmp(tui_screen_name(deck.tui), lines[i].screen) || (lines[i].says && !shows(&deck, lines[i].says)))
            fail_msg("\":%s\" shows %s:\n%s", lines[i].line, tui_screen_name(deck.tui), drawn(&deck));
        deck_free(&deck);
    }
}

/* What the table says is what can be typed. */
static void test_every_command_is_known(void **state)
{
    (void)state;
    struct tui_named rows[64];
    size_t count = tui_command_rows(rows, COUNT_OF(rows));
    assert_in_range(count, 20, COUNT_OF(rows));
    for (size_t i = 0; i < count; i++) {
        char name[64];
        struct deck deck = deck_new(NULL);
        deck_begin(&deck);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(rows[i].name, " "), rows[i].name);
        command_run(deck.tui, name);
        if (strstr(buf_text(&deck.tui->notice), "no command"))
            fail_msg("%s: %s", rows[i].name, buf_text(&deck.tui->notice));
        deck_free(&deck);
    }
}

static const struct { const char *typed, *first, *all; } completions[] = {
    {"mat", "matrix ", ""},
    {"node ", "node a", "a b c d e f"},
    {"link a ", "link a a", "a b c d e f"},
    {"theme li", "theme light ", ""},
    {"zzz", "zzz", ""},
    {"sort zzz", "sort zzz", ""},
};

static void test_completion(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(completions); i++) {
        struct deck deck = deck_new(NULL);
        deck_begin(&deck);
        tui_keys(deck.tui, "3 :");
        type(&deck, completions[i].typed);
        tui_keys(deck.tui, "tab");
        if (strcmp(deck.tui->prompt.text, completions[i].first) || strcmp(buf_text(&deck.tui->prompt.candidates), completions[i].all))
            fail_msg("\"%s\": \"%s\" of \"%s\"", completions[i].typed, deck.tui->prompt.text, buf_text(&deck.tui->prompt.candidates));
        drawn(&deck);
        deck_free(&deck);
    }
}

static const struct { const char *text; bool good; int64_t seconds; /* after the beginning */ } times[] = {
    {"08:00:30", true, 30},
    {"08:01", true, 60},
    {"08:00:30Z", true, 30},
    {"2027-01-15T08:00:30Z", true, 30},
    {"2027-01-15T08:00:30", true, 30},
    {"+5", true, 15},
    {"-5", true, 5},
    {"+", false, 0},
    {"noon", false, 0},
    {"25:00", false, 0},
    {"12:61", false, 0},
    {"5", false, 0},
    {"+1e9", false, 0},
    {"99999999-01-01T00:00:00Z", false, 0},
};

static void test_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        struct live_replay_state replay = {.start = WORLD_NOW, .at = WORLD_NOW + 10 * CLOCK_SECOND};
        int64_t at = 0;
        CASE_ASSERT(i, command_time(times[i].text, &replay, &at) == times[i].good);
        CASE_ASSERT(i, !times[i].good || at == WORLD_NOW + times[i].seconds * CLOCK_SECOND);
    }
}

/* Questions */

struct asked { struct fanout_question list[3]; size_t count, answered; char answers[3][64]; };

static const struct fanout_question *ask_now(void *context)
{
    struct asked *asked = context;
    return asked->answered < asked->count ? &asked->list[asked->answered] : NULL;
}

static void take_answer(void *context, uint64_t id, const char *text)
{
    struct asked *asked = context;
    assert_int_equal(asked->list[asked->answered].id, id);
    snprintf(asked->answers[asked->answered++], sizeof asked->answers[0], "%s", text ? text : "(refused)");
}

static size_t count_asked(void *context)
{
    struct asked *asked = context;
    return asked->count - asked->answered;
}

#define FINGERPRINT "SHA256:AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefg"

static void ask(struct asked *asked, enum fanout_question_kind kind)
{
    asked->list[asked->count] = (struct fanout_question){.kind = kind, .session = "a", .target = "root@203.0.113.11:22", .prompt = "Token: ",
                                                         .fingerprint = FINGERPRINT, .key_type = "ssh-ed25519", .id = 7 + asked->count};
    asked->count++;
}

static const struct { enum fanout_question_kind kind; const char *typed, *keys, *answer; } answers[] = {
    {QUESTION_HOST_KEY, "y", "enter", "yes"},
    {QUESTION_HOST_KEY, "yes", "enter", "yes"},
    {QUESTION_HOST_KEY, "n", "enter", "no"},
    {QUESTION_HOST_KEY, "", "enter", "no"},
    {QUESTION_HOST_KEY, "", "esc", "no"},
    {QUESTION_HOST_KEY, "y", "esc", "no"},
    {QUESTION_HOST_KEY, "ye", "enter", ""},       /* neither: asked again */
    {QUESTION_HOST_KEY, "y", "", ""},             /* a single key accepts nothing */
    {QUESTION_PASSWORD, "se cret?q:", "enter", "se cret?q:"},
    {QUESTION_PASSWORD, "", "enter", ""},
    {QUESTION_PASSWORD, "x", "esc", "(refused)"},
    {QUESTION_PASSWORD, "ab", "backspace enter", "a"},
    {QUESTION_PASSWORD, "ab", "ctrl-u enter", ""},
    {QUESTION_SUDO, "pw", "enter", "pw"},
    {QUESTION_PASSPHRASE, "open sesame", "enter", "open sesame"},
    {QUESTION_CHALLENGE, "", "enter", ""},
    {QUESTION_CHALLENGE, "123456", "enter", "123456"},
};

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct asked asked = {.count = 0};
        struct dialog_source source = {ask_now, take_answer, count_asked, &asked};
        struct deck deck = deck_new(NULL);
        deck_begin(&deck);
        ask(&asked, answers[i].kind);
        deck.tui->asker = &source;
        drawn(&deck);
        type(&deck, answers[i].typed);
        if (answers[i].kind != QUESTION_HOST_KEY && strlen(answers[i].typed) > 4)
            CASE_ASSERT(i, !shows(&deck, answers[i].typed)); /* never shown */
        CASE_ASSERT(i, tui_keys(deck.tui, answers[i].keys));
        CASE_ASSERT(i, !strcmp(asked.answers[0], answers[i].answer));
        /* Nothing of it stays in the field. */
        for (size_t k = 0; asked.answered && deck.tui->dialog.text && k < DIALOG_ANSWER_SIZE; k++)
            CASE_ASSERT(i, !deck.tui->dialog.text[k]);
        CASE_ASSERT(i, !strcmp(tui_screen_name(deck.tui), "overview") && !tui_is_over(deck.tui));
        deck_free(&deck);
    }
}

static void test_questions_queue(void **state)
{
    (void)state;
    struct asked asked = {.count = 0};
    struct dialog_source source = {ask_now, take_answer, count_asked, &asked};
    struct deck deck = deck_new(NULL);
    deck_begin(&deck);
    ask(&asked, QUESTION_HOST_KEY);
    ask(&asked, QUESTION_PASSWORD);
    ask(&asked, QUESTION_CHALLENGE);
    asked.list[2].echo = true;
    /* A line that is typed is not disturbed, and its keys answer nothing. */
    tui_keys(deck.tui, "/");
    deck.tui->asker = &source;
    type(&deck, "y");
    assert_int_equal(asked.answered, 0);
    tui_keys(deck.tui, "enter");
    assert_int_equal(asked.answered, 0);
    assert_true(shows(&deck, "Unknown host key (1 of 3)"));
    assert_true(shows(&deck, FINGERPRINT));
    assert_true(shows(&deck, "ssh-ed25519"));
    type(&deck, "y");
    tui_keys(deck.tui, "enter");
    assert_true(shows(&deck, "Password (1 of 2)"));
    /* A paste goes into the field, and its line end is no Enter. */
    tui_key(deck.tui, &(struct key_event){.code = KEY_CODE_PASTE});
    type(&deck, "pa\nss");
    tui_key(deck.tui, &(struct key_event){.code = KEY_CODE_ENTER});
    tui_key(deck.tui, &(struct key_event){.code = KEY_CODE_PASTE_END});
    assert_int_equal(asked.answered, 1);
    tui_keys(deck.tui, "enter");
    assert_string_equal(asked.answers[1], "pass");
    type(&deck, "4711");
    assert_true(shows(&deck, "4711")); /* this one may be shown */
    tui_keys(deck.tui, "enter");
    assert_int_equal(asked.answered, 3);
    assert_false(shows(&deck, "Login"));
    deck_free(&deck);
}

/* What was refused comes again with each try to connect: it is not asked again, until somebody wants to look anew. */
static void test_refused_once(void **state)
{
    (void)state;
    struct asked asked = {.count = 0};
    struct dialog_source source = {ask_now, take_answer, count_asked, &asked};
    struct deck deck = deck_new(NULL);
    deck_begin(&deck);
    deck.tui->asker = &source;
    ask(&asked, QUESTION_HOST_KEY);
    tui_keys(deck.tui, "esc");
    ask(&asked, QUESTION_HOST_KEY);
    assert_false(shows(&deck, "Unknown host key"));
    assert_int_equal(asked.answered, 2);
    assert_string_equal(asked.answers[1], "no");
    ask(&asked, QUESTION_HOST_KEY);
    asked.list[2].fingerprint = "SHA256:another";
    assert_true(shows(&deck, "SHA256:another"));
    dialog_ask_again(&deck.tui->dialog);
    asked.list[2].fingerprint = FINGERPRINT;
    assert_true(shows(&deck, FINGERPRINT));
    tui_keys(deck.tui, "ctrl-c"); /* and the way out is open */
    assert_true(tui_is_over(deck.tui));
    deck_free(&deck);
}

static void test_fingerprint_is_whole_in_small_terminals(void **state)
{
    (void)state;
    struct asked asked = {.count = 0};
    struct dialog_source source = {ask_now, take_answer, count_asked, &asked};
    struct deck deck = deck_new(NULL);
    deck_begin(&deck);
    ask(&asked, QUESTION_HOST_KEY);
    deck.tui->asker = &source;
    surface_resize(&deck.surface, 16, 60);
    assert_true(shows(&deck, FINGERPRINT));
    for (int rows = 0; rows < 12; rows++)
        for (int columns = 0; columns < 30; columns += 3) {
            surface_resize(&deck.surface, rows, columns);
            drawn(&deck);
        }
    deck_free(&deck);
}

static void test_paste_is_no_command(void **state)
{
    (void)state;
    struct deck deck = deck_new(NULL);
    deck_begin(&deck);
    tui_key(deck.tui, &(struct key_event){.code = KEY_CODE_PASTE});
    type(&deck, "2Q\x03");
    tui_key(deck.tui, &(struct key_event){.code = KEY_CODE_PASTE_END});
    assert_false(tui_is_over(deck.tui));
    assert_string_equal(tui_screen_name(deck.tui), "overview");
    tui_keys(deck.tui, "2");
    assert_string_equal(tui_screen_name(deck.tui), "matrix");
    deck_free(&deck);
}

/* Privacy */

static const struct { const char *text, *shown; } hidden[] = {
    {"a cannot reach b", "node-1 cannot reach node-2"},
    {"b: no row for a.", "node-2: no row for node-1."},
    {"a->b and b>c", "node-1->node-2 and node-2>node-3"},
    {"to 198.51.100.7 from 198.51.100.8", "to address-1 from address-2"},
    {"198.51.100.7 again", "address-1 again"},
    {"198.51.100.8:51820,", "address-1:port,"},
    {"(10.1.2.3/24)", "(address-1/24)"},
    {"[2001:db8::1]:51820 or 2001:db8::1.", "address-1:port or address-1."},
    {"::1", "address-1"},
    {"fd44::7/64", "address-1/64"},
    {"root@203.0.113.99:22", "user@address-1:port"},
    {"ssh deploy@web.example.com now", "ssh user@name-1 now"},
    {"web.example.com and WEB.example.com", "name-1 and name-1"},
    {"key xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg= is new", "key key-1 is new"},
    {"SHA256:AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcdefg", "fingerprint-1"},
    {"/etc/wireguard/wg0.conf", "/etc/wireguard/wg0.conf"},
    {"wg-quick@wg0.service", "user@wg0.service"},
    {"12.5 s, 3.4 MB, 1 of 2", "12.5 s, 3.4 MB, 1 of 2"},
    {"UDP 51820 of d is closed", "UDP 51820 of node-4 is closed"},
    {"", ""},
    {"...:::[[]]", "...:::[[]]"},
};

static void test_privacy(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(hidden); i++) {
        struct deck deck = deck_new(NULL);
        deck_begin(&deck);
        deck.tui->scene.privacy = true;
        struct buf first = BUF_EMPTY, second = BUF_EMPTY;
        scene_text(&deck.tui->scene, hidden[i].text, &first);
        if (strcmp(buf_text(&first), hidden[i].shown))
            fail_msg("\"%s\" is \"%s\"", hidden[i].text, buf_text(&first));
        assert_string_equal(buf_text(&first), scene_text(&deck.tui->scene, hidden[i].text, &second)); /* the same again */
        buf_free(&first);
        buf_free(&second);
        deck_free(&deck);
    }
}

/* No address and no key of the world on any screen, in a copy or in a save. */
static void assert_nothing_shown(const char *where, const char *text)
{
    static const char *const tells[] = {"203.0.113.", "10.44.0.", "fd44:", "root@"};
    for (size_t i = 0; i < COUNT_OF(tells); i++)
        if (strstr(text, tells[i]))
            fail_msg("%s shows %s:\n%s", where, tells[i], text);
}

static void test_privacy_everywhere(void **state)
{
    (void)state;
    static const char *const screens[] = {"1", "2", "3", "4", "5", "6", "3 enter", "5 enter", "1 tab enter", "?"};
    static const char *const files[] = {"/tmp/wgdeck-tui-test.json", "/tmp/wgdeck-tui-test.csv", "/tmp/wgdeck-tui-test.txt"};
    struct err err;
    struct buf bytes = BUF_EMPTY;
    for (size_t i = 0; i < COUNT_OF(screens); i++) {
        struct tui_options options = {.privacy = true};
        struct deck deck = deck_new(&options);
        deck_begin(&deck);
        surface_resize(&deck.surface, 60, 200);
        drawn(&deck);
        tui_keys(deck.tui, screens[i]);
        assert_nothing_shown(screens[i], drawn(&deck));
        for (size_t k = 0; k < COUNT_OF(files); k++) {
            unlink(files[k]);
            tui_save(deck.tui, files[k], false);
            if (!file_read(files[k], 1 << 20, &bytes, &err))
                assert_nothing_shown(files[k], buf_text(&bytes));
            unlink(files[k]);
        }
        deck_free(&deck);
    }
    buf_free(&bytes);
}

static void test_copy(void **state)
{
    (void)state;
    struct deck deck = deck_new(NULL);
    unsigned char text[256] = {0};
    size_t length = 0;
    unsetenv("TMUX");
    deck_begin(&deck);
    tui_keys(deck.tui, "3 y");
    const char *sent = buf_text(&deck.tui->terminal_bytes);
    assert_int_equal(strncmp(sent, "\033]52;c;", 7), 0);
    const char *end = strchr(sent, '\007');
    assert_non_null(end);
    assert_int_equal(sodium_base642bin(text, sizeof text - 1, sent + 7, (size_t)(end - sent - 7), NULL, &length, NULL, sodium_base64_VARIANT_ORIGINAL), 0);
    assert_non_null(strstr((char *)text, "dead"));
    assert_true(shows(&deck, "copied "));
    setenv("TMUX", "/tmp/tmux,1,0", 1);
    buf_clear(&deck.tui->terminal_bytes);
    tui_keys(deck.tui, "y");
    assert_non_null(strstr(buf_text(&deck.tui->terminal_bytes), "\033Ptmux;\033\033]52;c;"));
    unsetenv("TMUX");
    deck_free(&deck);
}

static void test_save(void **state)
{
    (void)state;
    char folder[] = "/tmp/wgdeck-tui-test-XXXXXX", path[64];
    struct err err;
    struct stat status;
    struct buf bytes = BUF_EMPTY;
    assert_non_null(mkdtemp(folder));
    struct deck deck = deck_new(NULL);
    deck_begin(&deck);
    snprintf(path, sizeof path, "%s/a.txt", folder);
    tui_keys(deck.tui, "3 S ctrl-u");
    type(&deck, path);
    tui_keys(deck.tui, "enter");
    assert_true(shows(&deck, "saved"));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    /* Once more: it asks, and no is the default. */
    assert_int_equal(truncate(path, 1), 0);
    tui_save(deck.tui, path, false);
    assert_true(shows(&deck, "write over it?"));
    tui_keys(deck.tui, "enter");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 1);
    tui_save(deck.tui, path, false);
    tui_keys(deck.tui, "y enter");
    assert_int_equal(stat(path, &status), 0);
    assert_in_range(status.st_size, 100, 100000);
    unlink(path);
    snprintf(path, sizeof path, "%s/a.json", folder);
    tui_save(deck.tui, path, false);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &err), 0);
    cJSON *json = json_parse(buf_text(&bytes), bytes.length, &err);
    assert_non_null(json);
    cJSON_Delete(json);
    unlink(path);
    tui_save(deck.tui, folder, false);
    assert_true(shows(&deck, "not a file"));
    tui_save(deck.tui, "/nonexistent/x.txt", false);
    assert_true(shows(&deck, "/nonexistent/x.txt"));
    rmdir(folder);
    buf_free(&bytes);
    deck_free(&deck);
}

static void test_read_only_has_no_shell(void **state)
{
    (void)state;
    struct tui_options options = {.read_only = true};
    struct deck deck = deck_new(&options);
    deck_begin(&deck);
    assert_true(shows(&deck, "READ-ONLY"));
    command_run(deck.tui, "shell a");
    assert_true(shows(&deck, "read-only: no shell"));
    deck_free(&deck);
}

static void test_verdict_in_any_width(void **state)
{
    (void)state;
    struct deck deck = deck_new(NULL);
    deck_begin(&deck);
    tui_keys(deck.tui, "f");
    deck.tui->scene.privacy = deck.tui->scene.read_only = true;
    for (int columns = 12; columns <= 400; columns += columns < 100 ? 1 : 50) {
        surface_resize(&deck.surface, 24, columns);
        char *first = mem_text(drawn(&deck));
        first[strcspn(first, "\n")] = '\0';
        CASE_ASSERT(columns, strstr(first, "fault") != NULL);
        free(first);
    }
    deck_free(&deck);
}

static void test_any_size(void **state)
{
    (void)state;
    static const int sizes[][2] = {{0, 0}, {1, 1}, {2, 20}, {5, 20}, {3, 400}, {100, 2}, {16, 60}, {100, 400}};
    static const char *const screens[] = {"1", "2", "3", "4", "5", "6", "3 enter", "1 enter", "?", ":", "/", "S"};
    for (size_t i = 0; i < COUNT_OF(screens); i++) {
        struct deck deck = deck_new(NULL);
        deck_begin(&deck);
        tui_keys(deck.tui, screens[i]);
        for (size_t k = 0; k < COUNT_OF(sizes); k++) {
            deck.surface.ascii = k % 2;
            surface_resize(&deck.surface, sizes[k][0], sizes[k][1]);
            drawn(&deck);
        }
        deck_free(&deck);
    }
}

static void test_clicks(void **state)
{
    (void)state;
    struct deck deck = deck_new(NULL);
    deck_begin(&deck);
    drawn(&deck);
    assert_true(deck.tui->hit_count > 3);
    for (size_t i = 0; i < deck.tui->hit_count; i++)
        if (deck.tui->hits[i].action == ACTION_FAULTS) { /* the verdict leads to the faults */
            struct tui_hit hit = deck.tui->hits[i];
            tui_key(deck.tui, &(struct key_event){.code = KEY_CODE_MOUSE, .row = hit.row, .column = hit.column + 1});
            break;
        }
    assert_string_equal(tui_screen_name(deck.tui), "faults");
    tui_key(deck.tui, &(struct key_event){.code = KEY_CODE_MOUSE, .row = 500, .column = -3});
    tui_key(deck.tui, &(struct key_event){.code = KEY_CODE_MOUSE, .row = 5, .column = 3, .wheel = 1});
    deck_free(&deck);
}

static void test_configuration(void **state)
{
    (void)state;
    char path[] = "/tmp/wgdeck-tui-test-XXXXXX";
    static const char text[] = "[Deck]\nTheme = light\nScreen = links\nReadOnly = yes\nIntervall = 3\n[Links]\nColumns = state,age\n[Keys]\nmatrix = m\n"
                               "[Mesh test]\nTheme = mono\n[Nonesuch]\nX = 1\n";
    int file = mkstemp(path);
    assert_int_equal(write(file, text, sizeof text - 1), sizeof text - 1);
    close(file);
    struct tui_options options = {.config = path};
    struct deck deck = deck_new(&options);
    deck_begin(&deck);
    assert_string_equal(tui_screen_name(deck.tui), "links");
    assert_string_equal(deck.tui->theme.name, "light");
    assert_true(shows(&deck, "READ-ONLY"));
    assert_non_null(strstr(buf_text(&deck.tui->warnings), ":5: unknown key Intervall in [Deck]: did you mean Interval?"));
    assert_non_null(strstr(buf_text(&deck.tui->warnings), ":13: unknown section [Nonesuch]"));
    tui_keys(deck.tui, "m");
    assert_string_equal(tui_screen_name(deck.tui), "matrix");
    tui_keys(deck.tui, "?");
    assert_true(shows(&deck, "Intervall"));
    deck_free(&deck);
    unlink(path);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_first_screen_leaves),
        cmocka_unit_test(test_keys_before_a_picture),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_every_command_is_known),
        cmocka_unit_test(test_completion),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_questions_queue),
        cmocka_unit_test(test_refused_once),
        cmocka_unit_test(test_fingerprint_is_whole_in_small_terminals),
        cmocka_unit_test(test_paste_is_no_command),
        cmocka_unit_test(test_privacy),
        cmocka_unit_test(test_privacy_everywhere),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_save),
        cmocka_unit_test(test_read_only_has_no_shell),
        cmocka_unit_test(test_verdict_in_any_width),
        cmocka_unit_test(test_any_size),
        cmocka_unit_test(test_clicks),
        cmocka_unit_test(test_configuration),
    };
    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
