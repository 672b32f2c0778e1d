/* Golden screens: tests/golden/screens/NAME.golden is a script (a recording, a moment, sizes and keys) and what the deck shows then, as text.
 *     what: one line of what is to be seen here
 *     recording: share/incident.jsonl      charset: utf-8 | ascii      styles: no | yes      options: read-only privacy
 *     === at=+70 size=80x24 question=password keys: 2 down enter
 *     the screen, without trailing spaces
 * What a section does not say stays as it was; keys are words as in deck.conf. UPDATE=1 writes the screens anew: look at each. ONLY=NAME: one file. */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <locale.h>
#include <time.h>

#include "tui/tui_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/live.h"

static const char folder[] = "tests/golden/screens";

/* One file: what it asks for, and the deck that does it. */
struct golden {
    const char *path;
    char recording[256];
    bool ascii, styles;
    struct tui_options options;
    struct ev_loop *loop;
    FILE *file;
    struct live *live;
    struct tui *tui;
    const struct fanout_question *question; /* that stands over the screen; it gets the keys then */
    struct surface surface;
    int rows, columns;
    int64_t start;
};

static char *read_text(const char *path)
{
    struct buf buf = BUF_EMPTY;
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("%s cannot be opened", path);
    for (int byte; (byte = getc(file)) != EOF;)
        buf_add_char(&buf, (char)byte);
    fclose(file);
    return buf_take(&buf);
}

static void changed(void *context, unsigned what)
{
    struct golden *golden = context;
    if (golden->tui && golden->live)
        tui_live_changed(golden->tui, what);
}

static void begin(struct golden *golden)
{
    static const struct live_callbacks callbacks = {.changed = changed};
    struct err err;
    golden->loop = ev_loop_new(EVFLAG_AUTO);
    golden->file = fopen(golden->recording, "r");
    if (!golden->file)
        fail_msg("%s: %s: %s", golden->path, golden->recording, strerror(errno));
    golden->live = live_replay(golden->loop, golden->file, golden->recording, &callbacks, golden, &err);
    if (!golden->live)
        fail_msg("%s: %s", golden->path, err.text);
    live_replay_pause(golden->live, true);
    live_settle(golden->live);
    golden->start = live_replay_state(golden->live).start;
    golden->options.no_mouse = true;
    golden->tui = tui_new_headless(&golden->options, &err);
    if (!golden->tui)
        fail_msg("%s: %s", golden->path, err.text);
    golden->surface = (struct surface){.ascii = golden->ascii};
    tui_set_live(golden->tui, golden->live);
}

static void end(struct golden *golden)
{
    tui_free(golden->tui);
    live_free(golden->live);
    fclose(golden->file);
    ev_loop_destroy(golden->loop);
    surface_free(&golden->surface);
}

static void go_to(struct golden *golden, double seconds)
{
    live_replay_seek(golden->live, golden->start + (int64_t)(seconds * (double)CLOCK_SECOND));
    live_settle(golden->live);
}

/* Questions of sessions; a replay has none of its own. */
static const struct { const char *name; struct fanout_question question; } questions[] = {
    {"host-key", {.kind = QUESTION_HOST_KEY, .session = "nyc-db", .target = "root@198.18.0.12:22", .prompt = "the host key is not known",
                  .fingerprint = "SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDTYlgCKqxGYUCSQfM", .key_type = "ssh-ed25519", .id = 1}},
    {"password", {.kind = QUESTION_PASSWORD, .session = "nyc-db", .target = "ops@198.18.0.12:22", .prompt = "password", .id = 2}},
    {"passphrase", {.kind = QUESTION_PASSPHRASE, .session = "nyc-db", .target = "ops@198.18.0.12:22", .prompt = "passphrase of ~/.ssh/id_ed25519", .id = 3}},
    {"challenge", {.kind = QUESTION_CHALLENGE, .session = "nyc-db", .target = "ops@198.18.0.12:22", .prompt = "Verification code:", .echo = true, .id = 4}},
    {"sudo", {.kind = QUESTION_SUDO, .session = "nyc-db", .target = "ops@198.18.0.12:22", .prompt = "password for sudo", .id = 5}},
};

static void ask(struct golden *golden, const char *name)
{
    golden->question = NULL;
    for (size_t i = 0; i < COUNT_OF(questions); i++)
        if (!strcmp(questions[i].name, name))
            golden->question = &questions[i].question;
    if (!golden->question && strcmp(name, "none") != 0)
        fail_msg("%s: no question \"%s\"", golden->path, name);
}

static bool press(struct golden *golden, char *keys)
{
    if (!golden->question)
        return tui_keys(golden->tui, keys + strspn(keys, " "));
    char *rest = NULL;
    for (char *word = strtok_r(keys, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        struct key_event key = {.code = 0};
        if (!keystroke_parse(word, &key.code, &key.alt))
            return false;
        dialog_key(golden->tui, golden->question, &key);
    }
    return true;
}

/* "at=+70 size=80x24 keys: 2 down" */
static void do_section(struct golden *golden, char *line)
{
    char *keys = strstr(line, "keys:"), *rest = NULL;
    if (keys) {
        *keys = '\0';
        keys += strlen("keys:");
    }
    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        double seconds;
        if (sscanf(word, "at=+%lf", &seconds) == 1)
            go_to(golden, seconds);
        else if (strncmp(word, "question=", 9) == 0)
            ask(golden, word + 9);
        else if (sscanf(word, "size=%dx%d", &golden->columns, &golden->rows) != 2)
            fail_msg("%s: \"%s\" is none of at=+SECONDS size=COLUMNSxROWS question=NAME keys:", golden->path, word);
    }
    if (keys && !press(golden, keys))
        fail_msg("%s: \"%s\" has a word that is no key", golden->path, keys);
    live_settle(golden->live);
}

static void draw(struct golden *golden, struct buf *buf)
{
    surface_resize(&golden->surface, golden->rows, golden->columns);
    tui_draw(golden->tui, &golden->surface);
    if (golden->question) {
        struct area whole = area_whole(&golden->surface);
        dialog_draw(golden->tui, golden->question, &whole);
    }
    surface_to_text(&golden->surface, golden->styles, buf);
}

static void head_line(struct golden *golden, const char *line)
{
    char value[256];
    if (sscanf(line, "recording: %255s", golden->recording) == 1)
        return;
    if (sscanf(line, "charset: %255s", value) == 1)
        golden->ascii = !strcmp(value, "ascii");
    else if (sscanf(line, "styles: %255s", value) == 1)
        golden->styles = !strcmp(value, "yes");
    else if (!strncmp(line, "options:", 8)) {
        golden->options.read_only = strstr(line, "read-only");
        golden->options.privacy = strstr(line, "privacy");
    } else if (*line && strncmp(line, "what:", 5) != 0) {
        fail_msg("%s: \"%s\" is not understood", golden->path, line);
    }
}

/* The file as it would be, with the screens as they are now. */
static void play(const char *path, const char *text, struct buf *now)
{
    static const char mark[] = "=== ";
    struct golden golden = {.path = path, .rows = 24, .columns = 80, .recording = "share/incident.jsonl"};
    bool in_screen = false;
    char *copy = mem_text(text), *rest = NULL;
    /* Lines of screens are left out, whatever they hold; strtok_r skips empty ones, which only screens and the head have. */
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, mark, strlen(mark)) == 0) {
            if (!golden.live)
                begin(&golden);
            in_screen = true;
            buf_add_format(now, "%s\n", line);
            do_section(&golden, line + strlen(mark));
            draw(&golden, now);
        } else if (!in_screen) {
            buf_add_format(now, "%s\n", line);
            head_line(&golden, line);
        }
    }
    free(copy);
    if (!golden.live)
        fail_msg("%s: no \"=== \" line", path);
    end(&golden);
}

static void write_text(const char *path, const struct buf *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fwrite(text->data, 1, text->length, file);
    assert_int_equal(fclose(file), 0);
}

/* Both, from the first line that differs on. */
static void show_difference(const char *path, const char *expected, const char *found)
{
    size_t line = 1, begin = 0, i = 0;
    while (expected[i] && expected[i] == found[i]) {
        if (expected[i++] == '\n') {
            line++;
            begin = i;
        }
    }
    print_error("%s:%zu: wanted\n%.900s\nfound\n%.900s\n", path, line, expected + begin, found + begin);
}

static bool is_golden(const char *name)
{
    const char *dot = strrchr(name, '.'), *only = getenv("ONLY");
    return dot && !strcmp(dot, ".golden") && (!only || !strncmp(name, only, strlen(only)));
}

static void test_screens(void **state)
{
    (void)state;
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort), seen = 0, wrong = 0;
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        if (is_golden(entries[i]->d_name)) {
            struct buf found = BUF_EMPTY;
            char *path = mem_format("%s/%s", folder, entries[i]->d_name), *expected = read_text(path);
            play(path, expected, &found);
            seen++;
            if (getenv("UPDATE")) {
                write_text(path, &found);
            } else if (strcmp(expected, buf_text(&found)) != 0) {
                show_difference(path, expected, buf_text(&found));
                wrong++;
            }
            free(expected);
            free(path);
            buf_free(&found);
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(seen > 0);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_screens)};
    setlocale(LC_ALL, "C.UTF-8");
    setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests_name("screens_golden", tests, NULL, NULL);
}
