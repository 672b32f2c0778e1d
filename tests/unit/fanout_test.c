/* The fan-out over the scripted transport: windows, deadlines, retries, questions, requests, sudo. */
#include "unit.h"

#include <unistd.h>

#include "fake_transport.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"

static struct ev_loop *loop;
static char folder[] = "/tmp/wgdeck-fanout-XXXXXX";
static char config[64];

struct host {
    struct fanout_session *session;
    unsigned opened, failed;
    enum fanout_failure failure;
    char *why;
    double at; /* seconds from the start of the test to its first event */
};

struct answer {
    struct fanout_request *request;
    unsigned done;
    int status;
    char *why;
    struct buf output, problem;
    unsigned writable;
};

static struct fanout *fanout;
static int64_t started;
static unsigned asked;
static const char *reply; /* to questions */
static struct fanout_question last_question;
static char last_prompt[128];

static double since(void)
{
    return (double)(clock_steady() - started) / 1e9;
}

static void on_open(void *context, struct fanout_session *session)
{
    struct host *host = context;
    assert_ptr_equal(host->session, session);
    if (!host->opened++ && !host->failed)
        host->at = since();
}

static void on_failed(void *context, struct fanout_session *session, enum fanout_failure failure, const char *why)
{
    struct host *host = context;
    (void)session;
    if (!host->failed++ && !host->opened)
        host->at = since();
    host->failure = failure;
    free(host->why);
    host->why = mem_text(why);
}

static const struct fanout_session_events session_events = {.open = on_open, .failed = on_failed};

static void on_question(void *context, const struct fanout_question *question)
{
    (void)context;
    asked++;
    last_question = *question;
    snprintf(last_prompt, sizeof last_prompt, "%s", question->prompt);
    if (reply)
        fanout_answer(fanout, question->id, strcmp(reply, "refuse") ? reply : NULL);
}

static void on_output(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    (void)request;
    struct answer *answer = context;
    buf_add(&answer->output, bytes, length);
}

static void on_problem(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    (void)request;
    struct answer *answer = context;
    buf_add(&answer->problem, bytes, length);
}

static void on_done(void *context, struct fanout_request *request, int status, const char *why)
{
    struct answer *answer = context;
    assert_ptr_equal(answer->request, request);
    answer->done++;
    answer->status = status;
    answer->why = mem_text(why);
}

static void on_writable(void *context, struct fanout_request *request)
{
    struct answer *answer = context;
    assert_int_equal(fanout_queued(request), 0);
    answer->writable++;
}

static const struct fanout_request_events request_events = {.output = on_output, .problem = on_problem, .done = on_done, .writable = on_writable};

static void begin(struct fanout_options options)
{
    options.fake = &fake_transport;
    options.ssh_config = config;
    memset(&fake_world, 0, sizeof fake_world);
    asked = 0;
    reply = NULL;
    started = clock_steady();
    fanout = fanout_new(loop, &options);
}

static void end(void)
{
    fanout_free(fanout);
    assert_int_equal(fake_world.live, 0);
    assert_int_equal(fake_world.channels, 0);
    assert_int_equal(fake_world.starts, fake_world.stops);
    buf_free(&fake_world.sudo_heard);
    buf_free(&fake_world.input);
}

static void open_host(struct host *host, const char *target)
{
    *host = (struct host){0};
    host->session = fanout_open(fanout, target, target, NULL, &session_events, host);
}

static void ask(struct answer *answer, struct host *host, const char *command, const struct fanout_request_options *options)
{
    *answer = (struct answer){.status = -99};
    answer->request = fanout_exec(host->session, command, options, &request_events, answer);
}

static void forget(struct answer *answer)
{
    free(answer->why);
    buf_free(&answer->output);
    buf_free(&answer->problem);
    *answer = (struct answer){0};
}

static void stop_loop(struct ev_loop *of, struct ev_timer *timer, int events)
{
    (void)timer, (void)events;
    ev_break(of, EVBREAK_ALL);
}

static void run(double seconds)
{
    struct ev_timer timer;
    ev_now_update(loop);
    ev_timer_init(&timer, stop_loop, seconds, 0);
    ev_timer_start(loop, &timer);
    ev_run(loop, 0);
    ev_timer_stop(loop, &timer);
}

/* Until CONDITION holds, at most five seconds. */
#define RUN_UNTIL(condition)                                          \
    do {                                                              \
        for (int i_ = 0; i_ < 1000 && !(condition); i_++)             \
            run(0.005);                                               \
        assert_true(condition);                                       \
    } while (0)

static void a_request(void **state)
{
    (void)state;
    struct host host;
    struct answer answers[5];
    static const char *const commands[] = {"echo hello", "exit 7", "die", "problem", "exit 0"};
    begin((struct fanout_options){0});
    open_host(&host, "ops@ok1");
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        ask(&answers[i], &host, commands[i], NULL); /* before it is open */
    assert_int_equal(fanout_session_phase(host.session), PHASE_WAITING);
    RUN_UNTIL(answers[4].done);
    assert_int_equal(host.opened, 1);
    assert_int_equal(fanout_session_phase(host.session), PHASE_OPEN);
    assert_string_equal(fanout_session_target(host.session), "ops@ok1:22");
    assert_string_equal(buf_text(&answers[0].output), "hello");
    assert_int_equal(answers[0].status, 0);
    assert_null(answers[0].why);
    assert_int_equal(answers[1].status, 7);
    assert_int_equal(answers[2].status, -1);
    assert_string_equal(answers[2].why, "the command was killed by SIGKILL\\x1b");
    assert_int_equal(answers[3].status, 1);
    assert_int_equal(answers[3].problem.length, 6); /* bytes are the reader's to make safe */
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        assert_int_equal(answers[i].done, 1);
        forget(&answers[i]);
    }
    end();
    free(host.why);
}

static void nobody_waits_for_another(void **state)
{
    (void)state;
    struct host hosts[20];
    begin((struct fanout_options){.deadlines = {.connect = 0.1, .key_exchange = 0.1, .login = 0.1}});
    static const char *const names[] = {"hang1", "refuse1", "loghang1"};
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        char name[16];
        snprintf(name, sizeof name, "ok%zu", i);
        open_host(&hosts[i], i < 3 ? names[i] : name);
    }
    RUN_UNTIL(hosts[0].failed && hosts[2].failed);
    for (size_t i = 3; i < COUNT_OF(hosts); i++) {
        CASE_ASSERT(i, hosts[i].opened == 1);
        CASE_ASSERT(i, hosts[i].at < hosts[0].at); /* the hanging one is known only after its deadline */
    }
    assert_int_equal(hosts[0].failure, FAILURE_TIMEOUT);
    assert_non_null(strstr(hosts[0].why, "key exchange with hang1:22: timed out after 0.3 s"));
    assert_int_equal(hosts[1].failure, FAILURE_REFUSED);
    assert_string_equal(hosts[1].why, "connect to refuse1: refused\\x1b[31m as scripted"); /* one line, safe to show */
    assert_int_equal(hosts[2].failure, FAILURE_TIMEOUT);
    assert_non_null(strstr(hosts[2].why, "login as "));
    assert_int_equal(fanout_session_phase(hosts[0].session), PHASE_CLOSED);
    end();
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        free(hosts[i].why);
}

static void window(void **state)
{
    (void)state;
    static struct host hosts[300];
    begin((struct fanout_options){.window = 10});
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        char name[16];
        snprintf(name, sizeof name, "ok%zu", i);
        open_host(&hosts[i], name);
    }
    RUN_UNTIL(fake_world.live == COUNT_OF(hosts) && fake_world.shaking == 0);
    assert_int_equal(fake_world.most_shaking, 10);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        CASE_ASSERT(i, hosts[i].opened == 1);
    end();
}

/* Trap 14: sshd drops from the tenth unfinished login on. */
static void one_server_is_not_stormed(void **state)
{
    (void)state;
    struct host hosts[40];
    begin((struct fanout_options){0});
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        open_host(&hosts[i], "ok-same");
    RUN_UNTIL(fake_world.live == COUNT_OF(hosts) && fake_world.shaking == 0);
    assert_int_equal(fake_world.most_shaking, 8);
    end();
}

static void what_may_pass_is_tried_again(void **state)
{
    (void)state;
    struct host flaky, refuse, once;
    begin((struct fanout_options){0});
    open_host(&flaky, "flaky1");
    open_host(&refuse, "refuse1");
    RUN_UNTIL(flaky.opened);
    assert_int_equal(flaky.failed, 0); /* no phantom failure that goes away */
    assert_null(fanout_session_error(flaky.session));
    assert_int_equal(refuse.failed, 1);
    assert_int_equal(fake_world.starts, 4); /* three and one */
    end();
    begin((struct fanout_options){.tries = 2});
    open_host(&once, "flaky2");
    RUN_UNTIL(once.failed);
    assert_int_equal(once.failure, FAILURE_LOST);
    end();
    free(refuse.why);
    free(once.why);
}

static void kept_sessions_come_back(void **state)
{
    (void)state;
    struct host drop, refuse;
    struct answer answer;
    begin((struct fanout_options){.keep = true});
    open_host(&drop, "drop1");
    open_host(&refuse, "refuse1");
    ask(&answer, &drop, "hang", NULL);
    RUN_UNTIL(drop.failed);
    assert_int_equal(drop.failure, FAILURE_LOST);
    assert_int_equal(answer.done, 1);
    assert_int_equal(answer.status, -1);
    assert_non_null(strstr(answer.why, "connection lost"));
    RUN_UNTIL(drop.opened >= 2);
    RUN_UNTIL(refuse.failed >= 2);
    end();
    forget(&answer);
    free(drop.why);
    free(refuse.why);
}

static void lost_without_keep(void **state)
{
    (void)state;
    struct host drop;
    struct answer before, after;
    begin((struct fanout_options){0});
    open_host(&drop, "drop1");
    ask(&before, &drop, "hang", NULL);
    RUN_UNTIL(drop.failed);
    assert_int_equal(before.status, -1);
    ask(&after, &drop, "echo x", NULL); /* on a closed session: told, not forgotten */
    RUN_UNTIL(after.done);
    assert_int_equal(after.status, -1);
    assert_non_null(strstr(after.why, "as scripted"));
    run(0.2);
    assert_int_equal(fake_world.starts, 1);
    end();
    forget(&before);
    forget(&after);
    free(drop.why);
}

static void silence(void **state)
{
    (void)state;
    struct host mute, ok;
    begin((struct fanout_options){.deadlines = {.silence = 0.15}});
    open_host(&mute, "mute1");
    open_host(&ok, "ok1");
    RUN_UNTIL(mute.failed);
    assert_int_equal(mute.failure, FAILURE_LOST);
    assert_non_null(strstr(mute.why, "nothing heard"));
    run(0.2);
    assert_int_equal(ok.failed, 0);
    assert_true(fake_world.keepalives > 2);
    end();
    free(mute.why);
}

static void request_deadlines(void **state)
{
    (void)state;
    struct host host;
    struct answer hang, quiet, slow, stream;
    begin((struct fanout_options){.deadlines = {.request = 0.15}});
    open_host(&host, "ok1");
    ask(&hang, &host, "hang", NULL);
    ask(&quiet, &host, "hang", &(struct fanout_request_options){.deadline = -1, .silence = 0.1});
    ask(&slow, &host, "slow", &(struct fanout_request_options){.deadline = -1, .silence = 0.1}); /* 0.24 s, with a word each 30 ms */
    ask(&stream, &host, "hang", &(struct fanout_request_options){.deadline = -1});
    RUN_UNTIL(hang.done && quiet.done && slow.done);
    assert_int_equal(hang.status, -1);
    assert_string_equal(hang.why, "request: no end within 0.15 s");
    assert_string_equal(quiet.why, "request: silent for 0.1 s");
    assert_int_equal(slow.status, 0);
    assert_int_equal(slow.output.length, 9);
    assert_int_equal(stream.done, 0);
    end();
    forget(&hang);
    forget(&quiet);
    forget(&slow);
    forget(&stream);
}

static void output_limit(void **state)
{
    (void)state;
    struct host host;
    struct answer flood, other;
    begin((struct fanout_options){0});
    open_host(&host, "ok1");
    ask(&flood, &host, "flood", &(struct fanout_request_options){.output_limit = 1000000});
    ask(&other, &host, "echo still here", NULL);
    RUN_UNTIL(flood.done && other.done);
    assert_int_equal(flood.status, -1);
    assert_string_equal(flood.why, "answered more than 1000000 bytes");
    assert_int_equal(flood.output.length, 1000000);
    assert_string_equal(buf_text(&other.output), "still here");
    RUN_UNTIL(fake_world.channels == 0); /* the flood is turned off, not only ignored */
    end();
    forget(&flood);
    forget(&other);
}

static void input(void **state)
{
    (void)state;
    struct host host;
    struct answer answer;
    char bytes[100000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    begin((struct fanout_options){0});
    open_host(&host, "ok1");
    ask(&answer, &host, "cat", NULL);
    fanout_write(answer.request, bytes, 50000); /* before it is open */
    RUN_UNTIL(answer.writable == 1);
    fanout_write(answer.request, bytes + 50000, 50000);
    assert_true(fanout_queued(answer.request) > 0);
    fanout_write_end(answer.request);
    RUN_UNTIL(answer.done);
    assert_int_equal(fake_world.input.length, sizeof bytes);
    assert_memory_equal(fake_world.input.data, bytes, sizeof bytes);
    end();
    forget(&answer);
}

static void many_requests_of_one_session(void **state)
{
    (void)state;
    struct host host;
    static struct answer answers[50];
    begin((struct fanout_options){0});
    open_host(&host, "ok1");
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        ask(&answers[i], &host, "echo x", NULL);
    RUN_UNTIL(answers[49].done);
    assert_true(fake_world.most_channels <= 8); /* sshd's MaxSessions is 10 */
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        CASE_ASSERT(i, answers[i].status == 0);
        forget(&answers[i]);
    }
    end();
}

/* Trap 9: whatever a callback ends, nothing is freed under its feet. */
static struct fanout_session *to_close;

static void close_all(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    struct answer *answer = context;
    (void)bytes, (void)length;
    answer->done++;
    fanout_request_cancel(request);
    fanout_request_cancel(request); /* twice is fine */
    fanout_write(request, "x", 1);
    fanout_session_close(to_close);
}

static void ended_inside_callbacks(void **state)
{
    (void)state;
    static const struct fanout_request_events events = {.output = close_all, .done = on_done};
    struct host host;
    struct answer first = {0}, second;
    begin((struct fanout_options){0});
    open_host(&host, "ok1");
    first.request = fanout_exec(host.session, "flood", NULL, &events, &first);
    ask(&second, &host, "echo never", NULL);
    to_close = host.session;
    RUN_UNTIL(fake_world.live == 0 && first.done);
    assert_int_equal(first.done, 1); /* only the output */
    assert_int_equal(second.done, 0); /* no event after close */
    end();
    forget(&second);

    begin((struct fanout_options){0});
    open_host(&host, "hang1");
    run(0.02);
    fanout_session_close(host.session);
    RUN_UNTIL(fake_world.live == 0);
    assert_int_equal(host.failed, 0);
    end();
}

static void questions(void **state)
{
    (void)state;
    struct host host, other;
    begin((struct fanout_options){.ask = on_question, .deadlines = {.login = 0.1}});
    open_host(&host, "ask1");
    RUN_UNTIL(asked == 1);
    open_host(&other, "ok1");
    run(0.3); /* a person takes longer than a deadline */
    assert_int_equal(other.opened, 1);
    assert_int_equal(host.failed, 0);
    assert_int_equal(last_question.kind, QUESTION_PASSWORD);
    assert_string_equal(last_prompt, "Password\\x1b]0;x\\x07:");
    fanout_answer(fanout, last_question.id, "wrong");
    RUN_UNTIL(asked == 2);
    fanout_answer(fanout, 12345, "secret"); /* no such question */
    fanout_answer(fanout, last_question.id, "secret");
    fanout_answer(fanout, last_question.id, "twice");
    RUN_UNTIL(host.opened);
    end();

    begin((struct fanout_options){.ask = on_question});
    reply = "refuse";
    open_host(&host, "ask2");
    RUN_UNTIL(host.failed);
    assert_int_equal(host.failure, FAILURE_LOGIN);
    end();
    free(host.why);

    begin((struct fanout_options){.ask = on_question});
    open_host(&host, "ask3");
    RUN_UNTIL(asked == 1);
    fanout_session_close(host.session); /* with the question open */
    run(0.02);
    fanout_answer(fanout, last_question.id, "secret");
    run(0.02);
    end();
}

static void host_key_questions(void **state)
{
    (void)state;
    struct host host;
    struct err err;
    struct buf text = BUF_EMPTY;
    char *path = mem_format("%s/known_hosts", folder);
    unlink(path);
    begin((struct fanout_options){0}); /* nobody to ask */
    open_host(&host, "key1");
    RUN_UNTIL(host.failed);
    assert_int_equal(host.failure, FAILURE_HOST_KEY_UNKNOWN);
    assert_non_null(strstr(host.why, "SHA256:"));
    end();
    free(host.why);

    begin((struct fanout_options){.ask = on_question});
    reply = "no";
    open_host(&host, "key1");
    RUN_UNTIL(host.failed);
    assert_int_equal(host.failure, FAILURE_HOST_KEY_UNKNOWN);
    assert_int_equal(access(path, F_OK), -1);
    end();
    free(host.why);

    begin((struct fanout_options){.ask = on_question});
    reply = "yes";
    open_host(&host, "key1");
    RUN_UNTIL(host.opened);
    assert_int_equal(last_question.kind, QUESTION_HOST_KEY);
    assert_int_equal(file_read(path, 65536, &text, &err), 0);
    assert_true(!strncmp(buf_text(&text), "key1 ssh-ed25519 AAAA", 21));
    open_host(&host, "key1"); /* known now */
    RUN_UNTIL(host.opened);
    assert_int_equal(asked, 1);
    end();
    buf_free(&text);

    begin((struct fanout_options){.ask = on_question});
    reply = "yes"; /* changed is not a question */
    assert_int_equal(file_write(path, 0600, "key1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n", 87, &err), 0);
    open_host(&host, "key1");
    RUN_UNTIL(host.failed);
    assert_int_equal(host.failure, FAILURE_HOST_KEY_CHANGED);
    assert_non_null(strstr(host.why, "known_hosts:1"));
    assert_int_equal(asked, 0);
    end();
    free(host.why);
    unlink(path);
    free(path);
}

static void sudo(void **state)
{
    (void)state;
    struct host host;
    struct answer answer, second;
    const struct fanout_request_options as_root = {.as_root = true};
    static const struct {
        const char *needs, *answers, *login;
        bool works;
        unsigned questions;
        const char *says;
    } cases[] = {
        {"", NULL, "ops@ok1", true, 0, NULL},
        {"pass", "pass", "ops@ok1", true, 1, NULL},
        {"pass", "wrong", "ops@ok1", false, 2, "sudo as ops: the password is wrong"}, /* the second request asks anew */
        {"pass", "refuse", "ops@ok1", false, 2, "none was given"},
        {"pass", NULL, "root@ok1", true, 0, NULL}, /* no sudo for root */
        {NULL, NULL, "ops@ok1", false, 0, "sudo as ops: ops is not in the sudoers file"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        begin((struct fanout_options){.ask = on_question});
        reply = cases[i].answers;
        fake_world.sudo = cases[i].needs;
        open_host(&host, cases[i].login);
        ask(&answer, &host, "cat", &as_root);
        fanout_write(answer.request, "data 'x'\nmore\n", 14);
        fanout_write_end(answer.request);
        RUN_UNTIL(answer.done);
        ask(&second, &host, "echo 'again'", &as_root);
        RUN_UNTIL(second.done);
        CASE_ASSERT(i, answer.status == (cases[i].works ? 0 : -1));
        CASE_ASSERT(i, asked == cases[i].questions);
        CASE_ASSERT(i, !cases[i].says || strstr(answer.why, cases[i].says));
        CASE_ASSERT(i, !cases[i].works || !strcmp(buf_text(&fake_world.input), "data 'x'\nmore\n"));
        CASE_ASSERT(i, !strstr(buf_text(&fake_world.sudo_heard), "data")); /* sudo never reads what is the command's */
        CASE_ASSERT(i, answer.problem.length == 0);
        forget(&answer);
        forget(&second);
        end();
    }
    begin((struct fanout_options){0});
    fake_world.sudo = "pass";
    open_host(&host, "ops@ok1");
    ask(&answer, &host, "exit 0", &as_root);
    RUN_UNTIL(answer.done);
    assert_non_null(strstr(answer.why, "a password is needed"));
    forget(&answer);
    end();
}

static void a_wrong_target_is_one_clear_line(void **state)
{
    (void)state;
    struct host host;
    begin((struct fanout_options){.keep = true});
    open_host(&host, "bad host; rm -rf /");
    RUN_UNTIL(host.failed);
    assert_int_equal(host.failure, FAILURE_CONFIG);
    run(0.1);
    assert_int_equal(host.failed, 1); /* a wrong target does not get right by waiting */
    end();
    free(host.why);
}

static int set_up(void **state)
{
    (void)state;
    struct err err;
    if (!mkdtemp(folder))
        return -1;
    setenv("HOME", folder, 1);
    snprintf(config, sizeof config, "%s/config", folder);
    char *text = mem_format("Host *\n UserKnownHostsFile %s/known_hosts\n GlobalKnownHostsFile /dev/null\n HashKnownHosts no\n", folder);
    int result = file_write(config, 0600, text, strlen(text), &err);
    free(text);
    loop = ev_loop_new(0);
    return result;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(config);
    ev_loop_destroy(loop);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request), cmocka_unit_test(nobody_waits_for_another), cmocka_unit_test(window),
        cmocka_unit_test(one_server_is_not_stormed), cmocka_unit_test(what_may_pass_is_tried_again),
        cmocka_unit_test(kept_sessions_come_back), cmocka_unit_test(lost_without_keep), cmocka_unit_test(silence),
        cmocka_unit_test(request_deadlines), cmocka_unit_test(output_limit), cmocka_unit_test(input),
        cmocka_unit_test(many_requests_of_one_session), cmocka_unit_test(ended_inside_callbacks), cmocka_unit_test(questions),
        cmocka_unit_test(host_key_questions), cmocka_unit_test(sudo), cmocka_unit_test(a_wrong_target_is_one_clear_line),
    };
    return cmocka_run_group_tests_name("fanout", tests, set_up, tear_down);
}
