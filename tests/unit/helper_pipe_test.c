/* The dialogue with a helper as a child: answers, events, refusals; one that is late, ends, says too much or hangs. The child is this program, with a way to behave as its argument. */
#include "unit.h"

#include <signal.h>
#include <unistd.h>

#include "node/helper_pipe.h"
#include "wgdeck/clock.h"
#include "wgdeck/json.h"
#include "wgdeck/node.h"

/* --- the child */

static int be_helper(const char *way)
{
    char line[4096];
    if (!strcmp(way, "serve"))
        return node_serve(STDIN_FILENO, STDOUT_FILENO);
    if (!strcmp(way, "hang")) {
        signal(SIGTERM, SIG_IGN);
        for (;;)
            pause();
    }
    for (int i = 1; fgets(line, sizeof line, stdin); i++) {
        if (!strcmp(way, "events"))
            printf("{\"id\":%d,\"event\":\"did\",\"index\":1}\n{\"id\":77,\"event\":\"did\"}\nnot JSON\n{\"id\":%d,\"event\":\"did\",\"index\":2}\n{\"id\":%d,\"ok\":true,\"n\":%d}\n", i, i, i, i);
        else if (!strcmp(way, "refuse"))
            printf("{\"id\":%d,\"ok\":false,\"code\":\"%s\",\"error\":\"no\\u001b[31m\"}\n", i, i == 1 ? "locked" : "a word that is longer than any code can be");
        else if (!strcmp(way, "late") && i == 2)
            printf("{\"id\":1,\"ok\":true,\"n\":1}\n{\"id\":2,\"ok\":true,\"n\":2}\n");
        else if (!strcmp(way, "flood"))
            for (;;)
                fputs("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", stdout);
        else if (!strcmp(way, "die"))
            return 3;
        fflush(stdout);
    }
    return 0;
}

static struct helper_pipe *start(const char *way)
{
    char *const arguments[] = {(char[]){"helper_pipe_test"}, (char[]){"--be"}, (char *)(uintptr_t)way, NULL};
    struct err err;
    struct helper_pipe *pipe = helper_pipe_start(arguments, &err);
    assert_non_null(pipe);
    return pipe;
}

static int64_t number_of(cJSON *answer)
{
    int64_t number = json_get_number(answer, "n", 0, 100, -1);
    cJSON_Delete(answer);
    return number;
}

/* --- the cases */

static void on_event(void *context, const cJSON *event)
{
    *(int64_t *)context = *(int64_t *)context * 10 + json_get_number(event, "index", 0, 9, 0);
}

static void test_events(void **state)
{
    (void)state;
    struct helper_pipe *pipe = start("events");
    char code[HELPER_PIPE_CODE];
    struct err err;
    int64_t seen = 0;
    helper_pipe_events(pipe, on_event, &seen);
    assert_int_equal(number_of(helper_pipe_ask(pipe, "\"op\":\"x\"", 10, code, &err)), 1);
    assert_int_equal(seen, 12);
    assert_int_equal(number_of(helper_pipe_ask(pipe, "\"op\":\"x\"", 10, code, &err)), 2);
    assert_int_equal(seen, 1212);
    helper_pipe_end(pipe, 5);
}

static void test_refusals(void **state)
{
    (void)state;
    struct helper_pipe *pipe = start("refuse");
    char code[HELPER_PIPE_CODE];
    struct err err;
    assert_null(helper_pipe_ask(pipe, "\"op\":\"x\"", 10, code, &err));
    assert_string_equal(code, "locked");
    assert_non_null(strstr(err.text, "no"));
    assert_null(strchr(err.text, 27)); /* whatever it says is shown safely */
    assert_null(helper_pipe_ask(pipe, "\"op\":\"x\"", 10, code, &err));
    assert_int_equal(strlen(code), HELPER_PIPE_CODE - 1);
    helper_pipe_end(pipe, 5);
}

/* An answer that comes after the patience is not taken for that to the next request. */
static void test_late(void **state)
{
    (void)state;
    struct helper_pipe *pipe = start("late");
    char code[HELPER_PIPE_CODE];
    struct err err;
    assert_null(helper_pipe_ask(pipe, "\"op\":\"x\"", 0.2, code, &err));
    assert_string_equal(code, "late");
    assert_int_equal(number_of(helper_pipe_ask(pipe, "\"op\":\"x\"", 10, code, &err)), 2);
    helper_pipe_end(pipe, 5);
}

static void test_lost(void **state)
{
    static const char *const ways[] = {"die", "flood"};
    char code[HELPER_PIPE_CODE];
    struct err err;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct helper_pipe *pipe = start(ways[i]);
        CASE_ASSERT(i, !helper_pipe_ask(pipe, "\"op\":\"x\"", 20, code, &err));
        CASE_ASSERT(i, !strcmp(code, "lost"));
        helper_pipe_end(pipe, 5);
    }
}

/* One that neither reads nor ends: what is sent does not fill memory or wait for ever, and its end does not either. */
static void test_hangs(void **state)
{
    (void)state;
    struct helper_pipe *pipe = start("hang");
    int64_t began = clock_steady();
    int process = helper_pipe_process(pipe);
    assert_int_equal(kill(process, 0), 0);
    helper_pipe_end(pipe, 0.3);
    assert_true(clock_steady() - began < 5 * CLOCK_SECOND);
    assert_int_equal(kill(process, 0), -1);
}

/* The real one, and its end with the pipe. */
static void test_serves(void **state)
{
    (void)state;
    struct helper_pipe *pipe = start("serve");
    char code[HELPER_PIPE_CODE];
    struct err err;
    struct buf line = BUF_EMPTY;
    cJSON *answer = helper_pipe_ask(pipe, "\"op\":\"hello\"", 10, code, &err);
    assert_non_null(json_get_text(answer, "version", NULL));
    cJSON_Delete(answer);
    assert_null(helper_pipe_ask(pipe, "\"op\":\"nonsense\"", 10, code, &err));
    assert_string_equal(code, "");
    assert_int_equal(helper_pipe_receive(pipe, 0.05, &line, &err), 1);
    assert_int_equal(helper_pipe_send(pipe, "{\"id\":9,\"op\":\"hello\"}", 21, &err), 0);
    assert_int_equal(helper_pipe_receive(pipe, 10, &line, &err), 0);
    assert_non_null(strstr(buf_text(&line), "\"id\":9"));
    int64_t began = clock_steady();
    helper_pipe_end(pipe, 30);
    assert_true(clock_steady() - began < 8 * CLOCK_SECOND);
    buf_free(&line);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--be"))
        return be_helper(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events), cmocka_unit_test(test_refusals), cmocka_unit_test(test_late),
        cmocka_unit_test(test_lost),   cmocka_unit_test(test_hangs),    cmocka_unit_test(test_serves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
