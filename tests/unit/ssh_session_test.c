/* libssh and the spawned ssh against real sshds on this machine. Each trap of src/ssh/README.md that needs a server is sprung here. */
#include "unit.h"

#include <netdb.h>
#include <ev.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <netinet/tcp.h>
#include <sodium.h>

#include "ssh/session.h"
#include "sshd_fixture.h"
#include "wgdeck/clock.h"
#include "wgdeck/fanout.h"

static struct ev_loop *loop;
static struct fanout *fanout;
static struct fanout_options options;
static int64_t started;
static unsigned asked;
static const char *answers_given[8]; /* to questions, in turn; NULL refuses */
static char prompts[512];
static enum fanout_question_kind kinds[8];

struct host {
    struct fanout_session *session;
    unsigned opened, failed;
    enum fanout_failure failure;
    char *why;
    double at;
};

struct answer {
    unsigned done, writable;
    int status;
    char *why;
    struct buf output, problem;
    struct fanout_request *request;
    double at;
};

static double since(void)
{
    return (double)(clock_steady() - started) / 1e9;
}

static void on_open(void *context, struct fanout_session *session)
{
    (void)session;
    struct host *host = context;
    host->opened++;
    host->at = since();
}

static void on_failed(void *context, struct fanout_session *session, enum fanout_failure failure, const char *why)
{
    (void)session;
    struct host *host = context;
    host->failed++;
    host->at = since();
    host->failure = failure;
    free(host->why);
    host->why = mem_text(why);
}

static const struct fanout_session_events session_events = {.open = on_open, .failed = on_failed};

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
    (void)request;
    struct answer *answer = context;
    answer->done++;
    answer->status = status;
    answer->why = mem_text(why);
    answer->at = since();
}

static void on_writable(void *context, struct fanout_request *request)
{
    (void)request;
    ((struct answer *)context)->writable++;
}

static const struct fanout_request_events request_events = {.output = on_output, .problem = on_problem, .done = on_done, .writable = on_writable};

static void on_question(void *context, const struct fanout_question *question)
{
    (void)context;
    size_t used = strlen(prompts);
    if (asked < COUNT_OF(kinds))
        kinds[asked] = question->kind;
    snprintf(prompts + used, sizeof prompts - used, "%s|", question->prompt);
    fanout_answer(fanout, question->id, asked < COUNT_OF(answers_given) ? answers_given[asked] : NULL);
    asked++;
}

/* How long the loop was held up at most: a tick each 5 ms, and the largest gap between two. */
static struct ev_timer ticker;
static double ticked, longest;

static void tick(struct ev_loop *of, struct ev_timer *timer, int events)
{
    (void)of, (void)timer, (void)events;
    double now = since();
    if (now - ticked > longest)
        longest = now - ticked;
    ticked = now;
}

static void begin(void)
{
    options.ssh_config = fixture_path("config");
    asked = 0;
    prompts[0] = '\0';
    started = clock_steady();
    ticked = longest = 0;
    fanout = fanout_new(loop, &options);
    ev_now_update(loop);
    ev_timer_init(&ticker, tick, 0.005, 0.005);
    ev_timer_start(loop, &ticker);
}

static void end(void)
{
    ev_timer_stop(loop, &ticker);
    fanout_free(fanout);
    fanout = NULL;
    options = (struct fanout_options){0};
    memset(answers_given, 0, sizeof answers_given);
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

#define RUN_UNTIL(condition)                                                              \
    do {                                                                                  \
        for (int i_ = 0; i_ < 2000 && !(condition); i_++)                                 \
            run(0.01);                                                                    \
        if (!(condition))                                                                 \
            fail_msg("not within 20 s: %s (%s:%d)", #condition, __FILE__, __LINE__);       \
    } while (0)

static void open_target(struct host *host, const char *target, const char *pinned)
{
    free(host->why);
    *host = (struct host){0};
    host->session = fanout_open(fanout, target, target, pinned, &session_events, host);
}

static void open_port(struct host *host, unsigned port)
{
    char target[32];
    snprintf(target, sizeof target, "127.0.0.1:%u", port);
    open_target(host, target, NULL);
}

static void ask(struct answer *answer, struct host *host, const char *command, const struct fanout_request_options *request)
{
    *answer = (struct answer){.status = -99};
    answer->request = fanout_exec(host->session, command, request, &request_events, answer);
}

static void forget(struct answer *answer)
{
    free(answer->why);
    buf_free(&answer->output);
    buf_free(&answer->problem);
    *answer = (struct answer){0};
}

static void simply(struct host *host, const char *expected)
{
    struct answer answer;
    ask(&answer, host, "echo $((6*7)); cat", NULL);
    fanout_write_end(answer.request);
    RUN_UNTIL(answer.done);
    if (answer.why)
        print_message("%s\n", answer.why);
    assert_int_equal(answer.status, 0);
    assert_string_equal(buf_text(&answer.output), expected);
    forget(&answer);
}

static struct sshd first, second;

/* --- What a request may be. */

static void requests(void **state)
{
    (void)state;
    struct host host = {0};
    struct answer answers[6];
    static const char *const commands[] = {
        "echo out; echo problem >&2; exit 7", "kill -9 $$", "printf '\\033[31m\\377\\000x'", "exit 255", "cat >/dev/null; echo gone",
        "exec >&- 2>&-; sleep 0.1; exit 3",
    };
    for (int spawned = 0; spawned < 2; spawned++) {
        options.transport = spawned ? TRANSPORT_SSH : TRANSPORT_AUTO;
        begin();
        open_port(&host, first.port);
        for (size_t i = 0; i < COUNT_OF(commands); i++)
            ask(&answers[i], &host, commands[i], NULL);
        fanout_write(answers[4].request, "abc", 3);
        fanout_write_end(answers[4].request);
        for (size_t i = 0; i < COUNT_OF(commands); i++)
            RUN_UNTIL(answers[i].done);
        assert_int_equal(answers[0].status, 7);
        assert_string_equal(buf_text(&answers[0].output), "out\n");
        assert_string_equal(buf_text(&answers[0].problem), "problem\n");
        assert_int_equal(answers[1].status, -1);
        if (!spawned)
            assert_non_null(strstr(answers[1].why, "killed by SIGKILL"));
        assert_int_equal(answers[2].output.length, 8);
        assert_int_equal(answers[3].status, spawned ? -1 : 255); /* of ssh itself one cannot tell */
        assert_string_equal(buf_text(&answers[4].output), "gone\n");
        assert_int_equal(answers[5].status, 3);
        for (size_t i = 0; i < COUNT_OF(commands); i++)
            forget(&answers[i]);
        if (!spawned)
            assert_string_equal(fanout_session_address(host.session), "127.0.0.1");
        end();
    }
}

/* Trap 1: with two sessions in one ssh_event, one's death is the other's. */
static void one_dies_the_others_live(void **state)
{
    (void)state;
    struct host hosts[4] = {{0}};
    struct answer pid, long_one;
    begin();
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        open_port(&hosts[i], i % 2 ? second.port : first.port);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        RUN_UNTIL(hosts[i].opened);
    ask(&long_one, &hosts[1], "sleep 0.3; echo lived", NULL);
    ask(&pid, &hosts[0], "echo $PPID", NULL);
    RUN_UNTIL(pid.done);
    kill(atoi(buf_text(&pid.output)), SIGKILL); /* that session's sshd */
    RUN_UNTIL(hosts[0].failed);
    assert_int_equal(hosts[0].failure, FAILURE_LOST);
    assert_non_null(strstr(hosts[0].why, "connection lost to 127.0.0.1:"));
    RUN_UNTIL(long_one.done);
    assert_string_equal(buf_text(&long_one.output), "lived\n");
    for (size_t i = 1; i < COUNT_OF(hosts); i++) {
        CASE_ASSERT(i, !hosts[i].failed);
        simply(&hosts[i], "42\n");
    }
    end();
    free(hosts[0].why);
    forget(&pid);
    forget(&long_one);
}

/* Traps 2, 3, 6: what libssh leaves on, or off, on the sockets. */
static void sockets(void **state)
{
    (void)state;
    struct host host = {0};
    unsigned seen = 0;
    begin();
    open_port(&host, first.port);
    RUN_UNTIL(host.opened);
    for (int round = 0; round < 2; round++) {
        seen = 0;
        for (int descriptor = 3; descriptor < 200; descriptor++) {
            struct sockaddr_in peer;
            socklen_t size = sizeof peer;
            int nodelay = 0;
            if (getpeername(descriptor, (struct sockaddr *)&peer, &size) || peer.sin_family != AF_INET || ntohs(peer.sin_port) != first.port)
                continue;
            seen++;
            size = sizeof nodelay;
            assert_int_equal(getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size), 0);
            assert_true(nodelay);
            assert_true(fcntl(descriptor, F_GETFL) & O_NONBLOCK);
            assert_true(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
        }
        assert_int_equal(seen, 2); /* ours, and the one lent to libssh */
        simply(&host, "42\n"); /* and still so after it */
    }
    end();
}

/* Trap 2 again, by its effect: a server that stops reading holds nobody up. */
static void a_server_that_stops_reading(void **state)
{
    (void)state;
    struct host stuck = {0}, other = {0};
    struct answer pid, push;
    begin();
    open_port(&stuck, first.port);
    open_port(&other, second.port);
    RUN_UNTIL(stuck.opened && other.opened);
    ask(&pid, &stuck, "echo $PPID", NULL);
    RUN_UNTIL(pid.done);
    kill(atoi(buf_text(&pid.output)), SIGSTOP);
    char *bytes = mem_alloc(50, 1000000);
    ask(&push, &stuck, "cat >/dev/null", &(struct fanout_request_options){.deadline = 1});
    fanout_write(push.request, bytes, 50000000);
    free(bytes);
    longest = 0;
    ticked = since(); /* that was our own copying of 50 MB */
    simply(&other, "42\n");
    RUN_UNTIL(push.done);
    assert_int_equal(push.status, -1);
    assert_non_null(strstr(push.why, "no end within 1 s"));
    print_message("longest hold of the loop: %.1f ms\n", longest * 1e3);
    assert_true(longest < 0.5);
    kill(atoi(buf_text(&pid.output)), SIGKILL);
    end();
    forget(&pid);
    forget(&push);
}

static void silence(void **state)
{
    (void)state;
    struct host host = {0};
    struct answer pid;
    options.deadlines.silence = 4; /* a loaded machine may be slow to answer a keepalive */
    begin();
    open_port(&host, first.port);
    ask(&pid, &host, "echo $PPID", NULL);
    RUN_UNTIL(pid.done);
    run(6);
    assert_int_equal(host.failed, 0); /* keepalives are answered */
    kill(atoi(buf_text(&pid.output)), SIGSTOP);
    RUN_UNTIL(host.failed);
    assert_int_equal(host.failure, FAILURE_LOST);
    assert_non_null(strstr(host.why, "nothing heard"));
    kill(atoi(buf_text(&pid.output)), SIGKILL);
    end();
    forget(&pid);
    free(host.why);
}

/* Trap 5: no SFTP; cat and a checksum. */
static void upload(void **state)
{
    (void)state;
    struct host host = {0};
    struct answer answer;
    size_t length = 8 << 20;
    unsigned char *bytes = mem_alloc(length, 1), hash[32];
    char expected[65];
    randombytes_buf(bytes, length);
    crypto_hash_sha256(hash, bytes, length);
    sodium_bin2hex(expected, sizeof expected, hash, sizeof hash);
    for (int spawned = 0; spawned < 2; spawned++) {
        options.transport = spawned ? TRANSPORT_SSH : TRANSPORT_AUTO;
        begin();
        open_port(&host, first.port);
        RUN_UNTIL(host.opened);
        double from = since();
        ask(&answer, &host, "cat > $HOME/up && sha256sum < $HOME/up; rm $HOME/up", NULL);
        /* In pieces, as a pusher does who does not want it all in memory. */
        for (size_t sent = 0, pieces = 0; sent < length; sent += length / 8, pieces++) {
            fanout_write(answer.request, bytes + sent, length / 8);
            RUN_UNTIL(answer.writable == pieces + 1);
        }
        fanout_write_end(answer.request);
        RUN_UNTIL(answer.done);
        assert_memory_equal(buf_text(&answer.output), expected, 64);
        print_message("%s: %.0f MB/s\n", spawned ? "spawned ssh" : "libssh", 8 / (since() - from));
        forget(&answer);
        end();
    }
    free(bytes);
}

static void a_flood_is_ended(void **state)
{
    (void)state;
    struct host host = {0}, other = {0};
    struct answer flood;
    begin();
    open_port(&host, first.port);
    open_port(&other, second.port);
    RUN_UNTIL(host.opened && other.opened);
    ask(&flood, &host, "exec cat /dev/zero", &(struct fanout_request_options){.output_limit = 3000000});
    simply(&other, "42\n");
    RUN_UNTIL(flood.done);
    assert_string_equal(flood.why, "answered more than 3000000 bytes");
    assert_int_equal(flood.output.length, 3000000);
    simply(&host, "42\n"); /* the session is as good as before */
    end();
    forget(&flood);
}

/* --- Reaching a host. */

/* Trap 6: libssh tries only the first address of a name. */
static void names(void **state)
{
    (void)state;
    struct host host = {0}, nobody = {0}, refused = {0};
    char target[64];
    begin();
    /* localhost is ::1 too, where nobody listens. A machine without /etc/hosts does not know it. */
    struct addrinfo *found = NULL;
    bool known = getaddrinfo("localhost", NULL, NULL, &found) == 0;
    if (known)
        freeaddrinfo(found);
    else
        print_message("localhost is not known here: only one address is tried\n");
    snprintf(target, sizeof target, "%s:%u", known ? "localhost" : "127.0.0.1", first.port);
    char *line = fixture_public("host"), *pin = mem_text(line);
    open_target(&host, target, pin);
    open_target(&nobody, "no-such-host.invalid", NULL);
    snprintf(target, sizeof target, "127.0.0.1:%u", fixture_free_port());
    open_target(&refused, target, NULL);
    RUN_UNTIL(host.opened && nobody.failed && refused.failed);
    assert_int_equal(nobody.failure, FAILURE_RESOLVE);
    assert_non_null(strstr(nobody.why, "resolve no-such-host.invalid: "));
    assert_int_equal(refused.failure, FAILURE_REFUSED);
    assert_non_null(strstr(refused.why, "connect to 127.0.0.1:"));
    end();
    free(line);
    free(pin);
    free(nobody.why);
    free(refused.why);
}

/* Trap 13: libssh of Debian refuses such names. */
static void an_underscore_in_the_name(void **state)
{
    (void)state;
    struct host host = {0};
    char text[256];
    snprintf(text, sizeof text, "Host web_1\n HostName 127.0.0.1\n Port %u\n", first.port);
    fixture_config(text);
    begin();
    open_target(&host, "web_1", NULL);
    RUN_UNTIL(host.opened);
    simply(&host, "42\n");
    end();
    fixture_config(NULL);
}

static int silent_listener(unsigned *port, const char *says, pid_t *pid)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 16) || getsockname(listener, (struct sockaddr *)&address, &size))
        abort();
    *port = ntohs(address.sin_port);
    *pid = 0;
    if (!says)
        return listener; /* connections are taken by the kernel, and nobody speaks */
    *pid = fixture_fork();
    if (*pid == 0) {
        for (;;) {
            int peer = accept(listener, NULL, NULL);
            if (peer < 0 || write(peer, says, strlen(says)) < 0)
                _exit(1);
        }
    }
    return listener;
}

/* Every phase ends at its deadline, whatever the server does not do. */
static void deadlines(void **state)
{
    (void)state;
    static const char *const sayings[] = {NULL, "SSH-2.0-Op", "SSH-2.0-OpenSSH_9.2p1\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n"};
    struct host hosts[6] = {{0}}, good = {0};
    int listeners[4];
    pid_t pids[4];
    struct sshd stopped = sshd_start(NULL), slow = sshd_start("AuthorizedKeysCommand /usr/bin/sleep 30\nAuthorizedKeysCommandUser root\nAuthorizedKeysFile none\n");
    fixture_know(slow.port, "host");
    kill(stopped.pid, SIGSTOP);
    options.deadlines = (struct fanout_deadlines){.key_exchange = 1, .login = 1.5};
    options.tries = 1;
    begin();
    for (size_t i = 0; i < 4; i++) {
        unsigned port;
        listeners[i] = silent_listener(&port, sayings[i], &pids[i]);
        open_port(&hosts[i], port);
    }
    open_port(&hosts[4], stopped.port);
    open_port(&hosts[5], slow.port);
    open_port(&good, first.port);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        RUN_UNTIL(hosts[i].failed);
    assert_int_equal(good.opened, 1);
    assert_true(good.at < 1);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        print_message("%.2f s: %s\n", hosts[i].at, hosts[i].why);
        if (i == 3)
            continue; /* nonsense is told at once, or after the deadline */
        CASE_ASSERT(i, hosts[i].failure == FAILURE_TIMEOUT);
        CASE_ASSERT(i, strstr(hosts[i].why, i == 5 ? "login as " : "key exchange with 127.0.0.1:"));
        CASE_ASSERT(i, hosts[i].at > 0.9 && hosts[i].at < 4);
    }
    end();
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        free(hosts[i].why);
    for (size_t i = 0; i < 4; i++) {
        close(listeners[i]);
        if (pids[i] > 0) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    }
    sshd_stop(&stopped);
    sshd_stop(&slow);
}

/* Trap 14: sshd's own limit drops connections; nothing of it is seen. */
static void a_crowd_at_one_server(void **state)
{
    (void)state;
    static struct host hosts[40];
    struct sshd strict = sshd_start("MaxStartups 3:50:6\n");
    fixture_know(strict.port, "host");
    options.tries = 8;
    begin();
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        open_port(&hosts[i], strict.port);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        RUN_UNTIL(hosts[i].opened || hosts[i].failed);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        if (hosts[i].failed)
            print_message("%s\n", hosts[i].why);
        CASE_ASSERT(i, hosts[i].opened == 1 && hosts[i].failed == 0);
    }
    end();
    sshd_stop(&strict);
}

/* --- Host keys. */

static void host_keys(void **state)
{
    (void)state;
    struct host host = {0};
    struct sshd sshd = sshd_start(NULL);
    char *right = fixture_public("host"), *rsa = fixture_public("host_rsa"), *wrong = fixture_public("id");
    char *known = fixture_read("known_hosts");
    const struct {
        const char *mark, *key, *pinned;
        bool opens;
        enum fanout_failure failure;
    } cases[] = {
        {"", right, NULL, true, 0}, {"", rsa, NULL, true, 0}, /* the type that is known is asked for */
        {"", wrong, NULL, false, FAILURE_HOST_KEY_CHANGED}, {"", NULL, NULL, false, FAILURE_HOST_KEY_UNKNOWN},
        {"@revoked ", right, NULL, false, FAILURE_HOST_KEY_REVOKED}, {"", NULL, right, true, 0},
        {"@revoked ", right, right, false, FAILURE_HOST_KEY_REVOKED},
        {"", NULL, wrong, false, FAILURE_HOST_KEY_CHANGED}, {"", right, wrong, false, FAILURE_HOST_KEY_CHANGED},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *text = cases[i].key ? mem_format("%s[127.0.0.1]:%u %s\n", cases[i].mark, sshd.port, cases[i].key) : mem_text("");
        fixture_write("known_hosts", text);
        free(text);
        for (int spawned = 0; spawned < 2; spawned++) {
            if (spawned && i == 1)
                continue;
            options.transport = spawned ? TRANSPORT_SSH : TRANSPORT_AUTO;
            begin();
            char target[32];
            snprintf(target, sizeof target, "127.0.0.1:%u", sshd.port);
            open_target(&host, target, cases[i].pinned);
            RUN_UNTIL(host.opened || host.failed);
            if (host.failed)
                print_message("%s\n", host.why);
            CASE_ASSERT(i, host.opened == cases[i].opens);
            CASE_ASSERT(i, host.opened || spawned || host.failure == cases[i].failure); /* ssh's own words are fewer */
            CASE_ASSERT(i, host.opened || !spawned || (host.failure >= FAILURE_HOST_KEY_UNKNOWN && host.failure <= FAILURE_HOST_KEY_REVOKED));
            end();
        }
    }
    fixture_write("known_hosts", known);
    free(known);
    free(right);
    free(rsa);
    free(wrong);
    free(host.why);
    sshd_stop(&sshd);
}

/* What cannot be read may revoke a key: nobody logs in, by either transport, pinned or not. */
static void unreadable_known_hosts(void **state)
{
    (void)state;
    struct host host = {0};
    char *right = fixture_public("host"), text[256], target[32];
    snprintf(text, sizeof text, "UserKnownHostsFile %s/known_hosts %s/folder\n", fixture_folder, fixture_folder);
    mkdir(fixture_path("folder"), 0700);
    fixture_config(text);
    snprintf(target, sizeof target, "127.0.0.1:%u", first.port);
    for (int i = 0; i < 4; i++) {
        options.transport = i & 1 ? TRANSPORT_SSH : TRANSPORT_LIBSSH;
        begin();
        open_target(&host, target, i & 2 ? right : NULL);
        RUN_UNTIL(host.opened || host.failed);
        CASE_ASSERT(i, host.failed && host.failure == FAILURE_HOST_KEY_UNKNOWN && strstr(host.why, "cannot be read"));
        end();
    }
    rmdir(fixture_path("folder"));
    free(right);
    free(host.why);
}

/* A pinned key is the only one, also beside a KnownHostsCommand that says another. */
static void a_pinned_key_and_a_command(void **state)
{
    (void)state;
    struct host host = {0};
    char *right = fixture_public("host"), *wrong = fixture_public("id"), target[32];
    char *text = mem_format("KnownHostsCommand /bin/echo %%H %s\n", right);
    fixture_config(text);
    snprintf(target, sizeof target, "127.0.0.1:%u", first.port);
    for (int i = 0; i < 2; i++) {
        begin();
        open_target(&host, target, i ? wrong : right);
        RUN_UNTIL(host.opened || host.failed);
        assert_ptr_equal(host.session->ops, &transport_spawn);
        CASE_ASSERT(i, host.opened == (i == 0));
        end();
    }
    free(text);
    free(right);
    free(wrong);
    free(host.why);
}

/* Trap 8: a CA of host keys, which libssh passes over in silence, is ssh's work. */
static void a_host_certificate(void **state)
{
    (void)state;
    struct host host = {0};
    char command[512], extra[256];
    fixture_key("ca", "ed25519", "");
    snprintf(command, sizeof command, "ssh-keygen -q -s %s/ca -I test -h -n 127.0.0.1 %s/host.pub", fixture_folder, fixture_folder);
    assert_int_equal(fixture_run(command), 0);
    snprintf(extra, sizeof extra, "HostCertificate %s/host-cert.pub", fixture_folder);
    struct sshd sshd = sshd_start(extra);
    char *known = fixture_read("known_hosts"), *ca = fixture_public("ca");
    char *text = mem_format("@cert-authority 127.0.0.1,[127.0.0.1]:%u %s\n", sshd.port, ca);
    fixture_write("known_hosts", text);
    begin();
    open_port(&host, sshd.port);
    RUN_UNTIL(host.opened || host.failed);
    if (host.failed)
        print_message("%s\n", host.why);
    assert_int_equal(host.opened, 1);
    assert_ptr_equal(host.session->ops, &transport_spawn);
    simply(&host, "42\n");
    end();
    fixture_write("known_hosts", known);
    free(known);
    free(ca);
    free(text);
    free(host.why);
    sshd_stop(&sshd);
}

/* Trap 12: libssh 0.10 has no post-quantum key exchange. */
static void a_post_quantum_server(void **state)
{
    (void)state;
    struct host host = {0};
    struct sshd sshd = sshd_start("KexAlgorithms sntrup761x25519-sha512@openssh.com\n");
    fixture_know(sshd.port, "host");
    begin();
    open_port(&host, sshd.port);
    RUN_UNTIL(host.opened || host.failed);
    assert_int_equal(host.opened, 1);
    assert_int_equal(host.failed, 0);
    assert_ptr_equal(host.session->ops, &transport_spawn);
    simply(&host, "42\n");
    end();
    options.transport = TRANSPORT_LIBSSH;
    begin();
    open_port(&host, sshd.port);
    RUN_UNTIL(host.failed);
    assert_int_equal(host.failure, FAILURE_PROTOCOL);
    assert_non_null(strstr(host.why, "no common method"));
    end();
    free(host.why);
    sshd_stop(&sshd);
}

static void a_proxy_command(void **state)
{
    (void)state;
    struct host host = {0};
    char text[512];
    if (access("/bin/bash", X_OK))
        skip();
    snprintf(text, sizeof text,
             "Host behind\n HostName 127.0.0.1\n Port %u\n ProxyCommand bash -c 'exec 3<>/dev/tcp/%%h/%%p; cat <&3 & cat >&3; kill $!'\n", first.port);
    fixture_config(text);
    begin();
    open_target(&host, "behind", NULL);
    RUN_UNTIL(host.opened || host.failed);
    if (host.failed)
        print_message("%s\n", host.why);
    assert_int_equal(host.opened, 1);
    assert_ptr_equal(host.session->ops, &transport_spawn);
    simply(&host, "42\n");
    end();
    fixture_config(NULL);
}

/* --- Logging in. */

static void keys(void **state)
{
    (void)state;
    struct host host = {0};
    char *authorized = fixture_read("authorized");
    fixture_key("other", "ed25519", "");
    fixture_key("ecdsa", "ecdsa", "");
    fixture_key("rsa", "rsa -b 2048", "");
    fixture_key("locked", "ed25519", "open sesame");
    static const struct {
        const char *authorized, *identity, *answers[4];
        bool opens;
        unsigned questions;
        const char *says;
    } cases[] = {
        {"ecdsa", "ecdsa", {NULL}, true, 0, NULL},
        {"rsa", "rsa", {NULL}, true, 0, NULL},
        {"other", "ecdsa", {NULL}, false, 0, "the server accepts publickey only, and refused the keys ~/id, ~/ecdsa"},
        {"locked", "locked", {"open sesame"}, true, 1, NULL},
        {"locked", "locked", {"wrong", "open sesame"}, true, 2, NULL},
        {"locked", "locked", {NULL}, false, 1, "refused the keys"},
        {"other", "locked", {"never asked"}, false, 0, "refused the keys"}, /* the server would not take it */
        {"other", "absent", {NULL}, false, 0, "refused the keys ~/id"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char name[32], text[256];
        snprintf(name, sizeof name, "%s", cases[i].authorized);
        char *key = fixture_public(name);
        fixture_write("authorized", key);
        free(key);
        snprintf(text, sizeof text, "IdentityFile %s/id\nIdentityFile %s/%s\n", fixture_folder, fixture_folder, cases[i].identity);
        fixture_config(text);
        options.ask = on_question;
        memcpy(answers_given, cases[i].answers, sizeof cases[i].answers);
        begin();
        open_port(&host, first.port);
        RUN_UNTIL(host.opened || host.failed);
        if (host.failed)
            print_message("%s\n", host.why);
        CASE_ASSERT(i, host.opened == cases[i].opens);
        CASE_ASSERT(i, asked == cases[i].questions);
        CASE_ASSERT(i, !cases[i].says || strstr(host.why, cases[i].says));
        CASE_ASSERT(i, host.opened || host.failure == FAILURE_LOGIN);
        CASE_ASSERT(i, !strstr(prompts, "sesame") && !(host.why && strstr(host.why, "sesame")));
        end();
    }
    fixture_write("authorized", authorized);
    fixture_config(NULL);
    free(authorized);
    free(host.why);
}

static void a_user_certificate(void **state)
{
    (void)state;
    struct host host = {0};
    char command[512], extra[256], text[256];
    fixture_key("user_ca", "ed25519", "");
    fixture_key("certified", "ed25519", "");
    snprintf(command, sizeof command, "ssh-keygen -q -s %s/user_ca -I test -n root,%s %s/certified.pub", fixture_folder,
             getenv("USER") ? getenv("USER") : "root", fixture_folder);
    assert_int_equal(fixture_run(command), 0);
    snprintf(extra, sizeof extra, "TrustedUserCAKeys %s/user_ca.pub\nAuthorizedKeysFile none\n", fixture_folder);
    struct sshd sshd = sshd_start(extra);
    fixture_know(sshd.port, "host");
    snprintf(text, sizeof text, "IdentityFile %s/certified\n", fixture_folder);
    fixture_config(text);
    begin();
    open_port(&host, sshd.port);
    RUN_UNTIL(host.opened || host.failed);
    if (host.failed)
        print_message("%s\n", host.why);
    assert_int_equal(host.opened, 1);
    end();
    fixture_config(NULL);
    free(host.why);
    sshd_stop(&sshd);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* the way that is not deprecated needs callbacks and a loop */
static const char *password_of(ssh_message message)
{
    const char *password = ssh_message_auth_password(message);
    return password ? password : "";
}
#pragma GCC diagnostic pop

/* A server of our own, that wants what MODE says: sshd would need PAM and a user with a password. */
static pid_t password_server(unsigned *port, const char *mode)
{
    *port = fixture_free_port();
    pid_t pid = fixture_fork();
    if (pid)
        return pid;
    char *key = mem_text(fixture_path("host"));
    ssh_bind bind = ssh_bind_new();
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_BINDADDR, "127.0.0.1");
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_BINDPORT, port);
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_HOSTKEY, key);
    bool no = false;
    ssh_bind_options_set(bind, SSH_BIND_OPTIONS_PROCESS_CONFIG, &no);
    if (ssh_bind_listen(bind))
        _exit(1);
    for (;;) {
        ssh_session session = ssh_new();
        if (ssh_bind_accept(bind, session) || fork())
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        bool asks = strcmp(mode, "password") != 0;
        if (ssh_handle_key_exchange(session))
            _exit(1);
        ssh_set_auth_methods(session, asks ? SSH_AUTH_METHOD_INTERACTIVE : SSH_AUTH_METHOD_PASSWORD);
        ssh_message message;
        while ((message = ssh_message_get(session))) {
            static const char *questions[] = {"Password: ", "Token\x1b[2J code: "};
            static char echo[] = {0, 1};
            int type = ssh_message_type(message), method = ssh_message_subtype(message);
            if (type == SSH_REQUEST_AUTH && method == SSH_AUTH_METHOD_PASSWORD && !asks && !strcmp(password_of(message), "swordfish")) {
                ssh_message_auth_reply_success(message, 0);
            } else if (type == SSH_REQUEST_AUTH && method == SSH_AUTH_METHOD_INTERACTIVE && asks) {
                if (!ssh_message_auth_kbdint_is_response(message))
                    ssh_message_auth_interactive_request(message, "Gate", "Two factors.", 2, questions, echo);
                else if (ssh_userauth_kbdint_getnanswers(session) == 2 && !strcmp(ssh_userauth_kbdint_getanswer(session, 0), "swordfish") &&
                         !strcmp(ssh_userauth_kbdint_getanswer(session, 1), "123456"))
                    ssh_message_auth_reply_success(message, 0);
                else
                    ssh_message_reply_default(message);
            } else {
                ssh_message_reply_default(message);
            }
            ssh_message_free(message);
        }
        _exit(0);
    }
}

static void passwords_and_questions(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *answers[8];
        unsigned questions;
        bool opens;
        enum fanout_question_kind kind;
        const char *says;
    } cases[] = {
        {"password", {"swordfish"}, 1, true, QUESTION_PASSWORD, NULL},
        {"password", {"wrong", "swordfish"}, 2, true, QUESTION_PASSWORD, NULL},
        {"password", {"a", "b", "c", "d"}, 3, false, QUESTION_PASSWORD, "no password was accepted"},
        {"password", {NULL}, 1, false, QUESTION_PASSWORD, "the server accepts password only"},
        {"questions", {"swordfish", "123456"}, 2, true, QUESTION_PASSWORD, NULL},
        {"questions", {"swordfish", "0", "swordfish", "123456"}, 4, true, QUESTION_PASSWORD, NULL},
        {"questions", {"swordfish", NULL}, 2, false, QUESTION_PASSWORD, "keyboard-interactive only"},
    };
    struct host host = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        unsigned port;
        pid_t pid = password_server(&port, cases[i].mode);
        for (int j = 0; j < 500 && !fixture_answers(port); j++)
            usleep(10000);
        fixture_know(port, "host");
        options.ask = on_question;
        memcpy(answers_given, cases[i].answers, sizeof cases[i].answers);
        begin();
        open_port(&host, port);
        RUN_UNTIL(host.opened || host.failed);
        if (host.failed)
            print_message("%s\n", host.why);
        CASE_ASSERT(i, host.opened == cases[i].opens);
        CASE_ASSERT(i, asked == cases[i].questions);
        CASE_ASSERT(i, kinds[0] == cases[i].kind);
        CASE_ASSERT(i, !strchr(prompts, 0x1b));
        CASE_ASSERT(i, !cases[i].says || strstr(host.why, cases[i].says));
        CASE_ASSERT(i, !host.why || !strstr(host.why, "swordfish"));
        end();
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    free(host.why);
}

/* --- The agent. A relay before it makes each signature take 0.6 s, as if a person had to confirm. */

static pid_t start_agent(const char *socket_name, const char *keys_text)
{
    char command[1024];
    char *path = mem_text(fixture_path(socket_name));
    pid_t pid = fixture_fork();
    if (pid == 0) {
        execl("/usr/bin/ssh-agent", "ssh-agent", "-D", "-a", path, NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && access(path, F_OK); i++)
        usleep(10000);
    snprintf(command, sizeof command, "cd %s && SSH_AUTH_SOCK=%s ssh-add -q %s 2>/dev/null", fixture_folder, path, keys_text);
    assert_int_equal(fixture_run(command), 0);
    free(path);
    return pid;
}

static void relay_connection(int peer, const char *path)
{
    struct sockaddr_un {
        sa_family_t family;
        char path[108];
    } address = {.family = AF_UNIX};
    unsigned char bytes[65536];
    int agent = socket(AF_UNIX, SOCK_STREAM, 0);
    memcpy(address.path, path, strlen(path) + 1);
    if (connect(agent, (struct sockaddr *)&address, sizeof address))
        _exit(1);
    for (;;) {
        ssize_t got = read(peer, bytes, sizeof bytes);
        if (got <= 0)
            _exit(0);
        if (got > 4 && bytes[4] == 13)
            usleep(600000);
        if (write(agent, bytes, (size_t)got) != got || (got = read(agent, bytes, sizeof bytes)) <= 0 || write(peer, bytes, (size_t)got) != got)
            _exit(1);
    }
}

static pid_t start_relay(const char *from, const char *to)
{
    struct {
        sa_family_t family;
        char path[108];
    } address = {.family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.path, from, strlen(from) + 1);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64))
        abort();
    pid_t pid = fixture_fork();
    if (pid == 0) {
        signal(SIGCHLD, SIG_IGN);
        for (;;) {
            int peer = accept(listener, NULL, NULL);
            if (fixture_fork() == 0)
                relay_connection(peer, to);
            close(peer);
        }
    }
    close(listener);
    return pid;
}

/* Trap 4: the loop goes on while the agent thinks; four signatures at once. */
static void a_slow_agent(void **state)
{
    (void)state;
    static struct host hosts[8];
    char text[512], *relay, *agent_path;
    fixture_key("agent_key", "ed25519", "");
    pid_t agent = start_agent("agent", "agent_key");
    agent_path = mem_text(fixture_path("agent"));
    relay = mem_text(fixture_path("relay"));
    pid_t relay_pid = start_relay(relay, agent_path);
    char *authorized = fixture_read("authorized"), *key = fixture_public("agent_key"), *both = mem_format("%s\n%s\n", key, authorized);
    fixture_write("authorized", both);
    snprintf(text, sizeof text, "Host 127.0.0.1\n IdentityAgent %s\n IdentitiesOnly no\n IdentityFile none\n", relay);
    fixture_config(text);
    begin();
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        open_port(&hosts[i], first.port);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        RUN_UNTIL(hosts[i].opened || hosts[i].failed);
    double last = since();
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        if (hosts[i].failed)
            print_message("%s\n", hosts[i].why);
        CASE_ASSERT(i, hosts[i].opened == 1);
    }
    print_message("eight logins with signatures of 0.6 s: %.2f s; longest hold of the loop: %.1f ms\n", last, longest * 1e3);
    assert_true(longest < 0.3);
    assert_true(last > 1.1 && last < 4); /* two rounds of four; one by one it would be 4.8 */
    simply(&hosts[7], "42\n");
    end();

    /* Given up while the agent still thinks: nothing is touched by two, nothing leaks (sanitizers look). */
    options.deadlines.login = 0.2;
    options.tries = 1;
    begin();
    open_port(&hosts[0], first.port);
    open_port(&hosts[1], first.port);
    RUN_UNTIL(hosts[0].failed && hosts[1].failed);
    assert_int_equal(hosts[0].failure, FAILURE_TIMEOUT);
    run(0.8);
    end();
    options.deadlines.login = 0.2;
    begin();
    open_port(&hosts[2], first.port);
    run(0.15);
    end(); /* in the midst of it */
    usleep(700000);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        free(hosts[i].why);
    kill(relay_pid, SIGKILL);
    waitpid(relay_pid, NULL, 0);
    kill(agent, SIGKILL);
    waitpid(agent, NULL, 0);
    unlink(relay);
    fixture_write("authorized", authorized);
    fixture_config(NULL);
    free(authorized);
    free(key);
    free(both);
    free(relay);
    free(agent_path);
}

/* Trap 11, IdentitiesOnly: of an agent with many keys only the named one is offered, so that the server does not end it first. */
static void an_agent_with_many_keys(void **state)
{
    (void)state;
    struct host host = {0};
    char text[512], name[16];
    struct buf list = BUF_EMPTY;
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "many%d", i);
        fixture_key(name, "ed25519", "");
        buf_add_format(&list, "%s ", name);
    }
    pid_t agent = start_agent("agent2", buf_text(&list));
    char *authorized = fixture_read("authorized"), *key = fixture_public("many7");
    fixture_write("authorized", key);
    char *path = mem_text(fixture_path("many7"));
    unlink(path); /* only the agent has it */
    for (int only = 1; only >= 0; only--) {
        snprintf(text, sizeof text, "Host *\n IdentityAgent %s/agent2\n IdentitiesOnly %s\n IdentityFile %s/%s\n", fixture_folder,
                 only ? "yes" : "no", fixture_folder, only ? "many7.pub" : "nothing");
        char *own = mem_format("Host *\n UserKnownHostsFile %s/known_hosts\n GlobalKnownHostsFile /dev/null\n", fixture_folder);
        char *whole = mem_format("%s%s", text, own);
        fixture_write("config", whole);
        free(own);
        free(whole);
        begin();
        open_port(&host, first.port);
        RUN_UNTIL(host.opened || host.failed);
        if (host.failed)
            print_message("%s\n", host.why);
        assert_int_equal(host.opened, only);
        if (!only)
            assert_non_null(strstr(host.why, "IdentitiesOnly"));
        end();
    }
    kill(agent, SIGKILL);
    waitpid(agent, NULL, 0);
    fixture_write("authorized", authorized);
    fixture_config(NULL);
    free(authorized);
    free(key);
    free(path);
    free(host.why);
    buf_free(&list);
}

/* --- Jump hosts (trap 10). */

static unsigned count_in_log(const char *what)
{
    char *log = fixture_read("sshd.log");
    unsigned count = 0;
    for (char *at = log; (at = strstr(at, what)); at++)
        count++;
    free(log);
    return count;
}

static void through_a_jump_host(void **state)
{
    (void)state;
    static struct host hosts[30];
    struct host dead = {0}, chained = {0};
    struct answer big;
    char text[1024];
    struct sshd gate = sshd_start("LogLevel VERBOSE\n"), inner = sshd_start(NULL);
    fixture_know(gate.port, "host");
    fixture_know(inner.port, "host");
    snprintf(text, sizeof text,
             "Host gate\n HostName 127.0.0.1\n Port %u\nHost inner\n HostName 127.0.0.1\n Port %u\n"
             "Host in-*\n HostName 127.0.0.1\n Port %u\n ProxyJump gate\nHost dead\n HostName 127.0.0.1\n Port 1\n ProxyJump gate\n"
             "Host chained\n HostName 127.0.0.1\n Port %u\n ProxyJump gate,inner\n",
             gate.port, inner.port, first.port, second.port);
    fixture_config(text);
    unsigned before = count_in_log("Accepted publickey");
    options.bastion_window = 3;
    begin();
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        char name[16];
        snprintf(name, sizeof name, "in-%zu", i);
        open_target(&hosts[i], name, NULL);
    }
    open_target(&dead, "dead", NULL);
    open_target(&chained, "chained", NULL);
    unsigned most = 0;
    for (int turn = 0; turn < 4000; turn++) {
        run(0.002);
        unsigned shaking = 0, open = 0;
        for (size_t i = 0; i < COUNT_OF(hosts); i++) {
            shaking += hosts[i].session->has_place;
            open += hosts[i].opened + hosts[i].failed;
        }
        most = shaking > most ? shaking : most;
        if (open == COUNT_OF(hosts) && dead.failed && (chained.opened || chained.failed))
            break;
    }
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        if (hosts[i].failed)
            print_message("%s\n", hosts[i].why);
        CASE_ASSERT(i, hosts[i].opened == 1);
        CASE_ASSERT(i, !fanout_session_address(hosts[i].session));
    }
    assert_true(most <= 3);
    print_message("%s\n", dead.why);
    assert_non_null(strstr(dead.why, "through jump host gate"));
    if (chained.failed)
        print_message("%s\n", chained.why);
    assert_int_equal(chained.opened, 1);
    simply(&chained, "42\n");
    /* 30 + chained + gate + inner: one login at the gate for all */
    assert_int_equal(count_in_log("Accepted publickey") - before, COUNT_OF(hosts) + 3);
    ask(&big, &hosts[0], "head -c 20000000 /dev/zero", NULL);
    simply(&hosts[1], "42\n");
    RUN_UNTIL(big.done);
    assert_int_equal(big.status, 0);
    assert_int_equal(big.output.length, 20000000);
    forget(&big);
    ask(&big, &hosts[2], "wc -c", NULL);
    char *bytes = mem_alloc(5, 1000000);
    fanout_write(big.request, bytes, 5000000);
    fanout_write_end(big.request);
    RUN_UNTIL(big.done);
    assert_string_equal(buf_text(&big.output), "5000000\n");
    free(bytes);
    forget(&big);
    end();
    free(dead.why);
    for (size_t i = 0; i < COUNT_OF(hosts); i++)
        free(hosts[i].why);
    free(chained.why);
    sshd_stop(&gate);
    sshd_stop(&inner);
    fixture_config(NULL);
}

/* The hops are the caller's (a mesh file's Jump): each with its pinned key, above what the configuration says, one login at each for all that share them. */
static void through_named_hops(void **state)
{
    (void)state;
    static struct host hosts[8];
    struct sshd gate = sshd_start("LogLevel VERBOSE\n"), inner = sshd_start(NULL);
    char places[3][32], text[256];
    fixture_key("elsewhere", "ed25519", "");
    char *right = fixture_public("host"), *wrong = fixture_public("elsewhere");
    snprintf(places[0], sizeof places[0], "127.0.0.1:%u", gate.port);
    snprintf(places[1], sizeof places[1], "127.0.0.1:%u", inner.port);
    snprintf(places[2], sizeof places[2], "127.0.0.1:%u", first.port);
    const struct fanout_hop one[] = {{places[0], right}}, two[] = {{places[0], right}, {places[1], right}}, bad[] = {{places[0], wrong}}, unpinned[] = {{places[0], NULL}};
    snprintf(text, sizeof text, "Host target\n HostName 127.0.0.1\n Port %u\n ProxyJump nowhere.invalid\n", first.port);
    fixture_config(text);
    unsigned before = count_in_log("Accepted publickey");
    begin();
    const struct {
        const char *target;
        const struct fanout_hop *hops;
        size_t count;
        enum fanout_failure failure; /* NONE: it opens */
    } cases[] = {
        {places[2], one, 1, FAILURE_NONE}, {"target", one, 1, FAILURE_NONE}, {places[2], two, 2, FAILURE_NONE}, {"target", two, 2, FAILURE_NONE},
        {places[2], bad, 1, FAILURE_HOST_KEY_CHANGED}, {places[2], unpinned, 1, FAILURE_HOST_KEY_UNKNOWN}, {places[2], NULL, 0, FAILURE_NONE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        hosts[i] = (struct host){0};
        hosts[i].session = fanout_open_through(fanout, cases[i].target, cases[i].target, right, cases[i].hops, cases[i].count, &session_events, &hosts[i]);
    }
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        RUN_UNTIL(hosts[i].opened || hosts[i].failed);
        if (hosts[i].failed)
            print_message("%s\n", hosts[i].why);
        CASE_ASSERT(i, (cases[i].failure == FAILURE_NONE) == (hosts[i].opened == 1));
        CASE_ASSERT(i, hosts[i].failure == cases[i].failure);
        CASE_ASSERT(i, !hosts[i].opened || !fanout_session_address(hosts[i].session) == (cases[i].count > 0));
        if (hosts[i].opened)
            simply(&hosts[i], "42\n");
    }
    assert_non_null(strstr(hosts[4].why, "jump host"));
    /* five targets; the gate by itself, the inner one, and the gate once more before the inner one */
    assert_true(count_in_log("Accepted publickey") - before <= 5 + 3);
    end();
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        free(hosts[i].why);
    free(right);
    free(wrong);
    sshd_stop(&gate);
    sshd_stop(&inner);
    fixture_config(NULL);
}

/* By ssh itself: the hops are its -J. */
static void through_named_hops_under_ssh(void **state)
{
    (void)state;
    struct host host = {0};
    struct sshd gate = sshd_start(NULL);
    char place[32], target[32];
    snprintf(place, sizeof place, "127.0.0.1:%u", gate.port);
    snprintf(target, sizeof target, "127.0.0.1:%u", first.port);
    const struct fanout_hop hop = {place, NULL};
    for (int known = 0; known < 2; known++) {
        if (known)
            fixture_know(gate.port, "host");
        options.transport = TRANSPORT_SSH;
        begin();
        free(host.why);
        host = (struct host){0};
        host.session = fanout_open_through(fanout, target, target, NULL, &hop, 1, &session_events, &host);
        RUN_UNTIL(host.opened || host.failed);
        if (host.failed)
            print_message("%s\n", host.why);
        CASE_ASSERT(known, host.opened == (unsigned)known);
        CASE_ASSERT(known, known || host.failure == FAILURE_HOST_KEY_UNKNOWN);
        if (known)
            simply(&host, "42\n");
        end();
    }
    free(host.why);
    sshd_stop(&gate);
}

/* ssh hands BatchMode and StrictHostKeyChecking on to nobody: a jump host of the spawned ssh is held as strictly as its target all the same,
 * whether it is named by the target, in a chain, or by another jump host's own configuration. */
static void an_unknown_jump_host_under_ssh(void **state)
{
    (void)state;
    struct host host = {0};
    char text[1024];
    struct sshd gate = sshd_start(NULL), inner = sshd_start(NULL);
    fixture_know(inner.port, "host");
    static const char *const targets[] = {"behind", "chained", "nested"}, *const strictness[] = {"no", "accept-new", "ask"};
    for (size_t i = 0; i < COUNT_OF(targets) * COUNT_OF(strictness) + COUNT_OF(targets); i++) {
        bool known = i >= COUNT_OF(targets) * COUNT_OF(strictness);
        snprintf(text, sizeof text,
                 "StrictHostKeyChecking %s\nHost gate\n Port %u\nHost inner\n Port %u\nHost through\n Port %u\n ProxyJump gate\n"
                 "Host behind\n ProxyJump gate\nHost chained\n ProxyJump gate,inner\nHost nested\n ProxyJump through\n"
                 "Host behind chained nested\n Port %u\nHost *\n HostName 127.0.0.1\n",
                 strictness[i % 3], gate.port, inner.port, inner.port, first.port);
        fixture_config(text);
        if (known && i % 3 == 0)
            fixture_know(gate.port, "host");
        options.transport = TRANSPORT_SSH;
        begin();
        open_target(&host, targets[known ? i % 3 : i / 3], NULL);
        RUN_UNTIL(host.opened || host.failed);
        if (host.failed)
            print_message("%s\n", host.why);
        CASE_ASSERT(i, host.opened == known);
        CASE_ASSERT(i, known || (host.failure == FAILURE_HOST_KEY_UNKNOWN && strstr(host.why, "Host key verification failed")));
        if (known)
            simply(&host, "42\n");
        end();
        char *learnt = fixture_read("known_hosts"), *name = mem_format("[127.0.0.1]:%u", gate.port);
        CASE_ASSERT(i, known || !strstr(learnt, name));
        free(learnt);
        free(name);
    }
    free(host.why);
    sshd_stop(&gate);
    sshd_stop(&inner);
}

/* kill -9, or the machine out of memory: no ssh stays behind, logged in. */
static void a_killed_deck_leaves_no_ssh(void **state)
{
    (void)state;
    int ends[2];
    char text[32] = "";
    assert_int_equal(pipe(ends), 0);
    pid_t deck = fixture_fork();
    if (deck == 0) {
        struct host host = {0};
        struct answer answer;
        loop = ev_loop_new(0);
        options.transport = TRANSPORT_SSH;
        options.keep = true;
        begin();
        open_port(&host, first.port);
        ask(&answer, &host, "echo $PPID", NULL);
        for (int i = 0; i < 2000 && !answer.done; i++)
            run(0.01);
        if (write(ends[1], buf_text(&answer.output), answer.output.length) > 0)
            run(60);
        _exit(1);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], text, sizeof text - 1);
    assert_true(got > 0);
    close(ends[0]);
    pid_t served = atoi(text); /* sshd's process for this login */
    assert_true(served > 1);
    assert_int_equal(kill(served, 0), 0);
    kill(deck, SIGKILL);
    waitpid(deck, NULL, 0);
    for (int i = 0; i < 2000 && kill(served, 0) == 0; i++)
        usleep(10000);
    assert_true(kill(served, 0) < 0);
}

static void a_lost_jump_host(void **state)
{
    (void)state;
    struct host hosts[2] = {{0}};
    struct answer pid;
    char text[1024];
    snprintf(text, sizeof text, "Host gate\n HostName 127.0.0.1\n Port %u\nHost in-*\n HostName 127.0.0.1\n Port %u\n ProxyJump gate\n"
             "Host lost-*\n HostName 127.0.0.1\n Port %u\n ProxyJump nogate\nHost nogate\n HostName 127.0.0.1\n Port 1\n",
             second.port, first.port, first.port);
    fixture_config(text);
    options.keep = true;
    begin();
    open_target(&hosts[0], "in-1", NULL);
    open_target(&hosts[1], "gate", NULL);
    RUN_UNTIL(hosts[0].opened && hosts[1].opened);
    ask(&pid, &hosts[1], "ps -o pid= --ppid 1 >/dev/null; pgrep -P $(ps -o ppid= -p $PPID) -x sshd", NULL); /* all connections of that sshd */
    RUN_UNTIL(pid.done);
    char *rest, *list = mem_text(buf_text(&pid.output));
    for (char *one = strtok_r(list, "\n", &rest); one; one = strtok_r(NULL, "\n", &rest))
        kill(atoi(one), SIGKILL);
    free(list);
    RUN_UNTIL(hosts[0].failed);
    RUN_UNTIL(hosts[0].opened == 2); /* both come back */
    simply(&hosts[0], "42\n");
    end();
    begin();
    open_target(&hosts[0], "lost-1", NULL);
    RUN_UNTIL(hosts[0].failed);
    print_message("%s\n", hosts[0].why);
    assert_int_equal(hosts[0].failure, FAILURE_REFUSED);
    assert_non_null(strstr(hosts[0].why, "jump host nogate"));
    end();
    forget(&pid);
    free(hosts[0].why);
    free(hosts[1].why);
    fixture_config(NULL);
}

/* Each test begins with the same files, whatever became of the one before. */
static int fresh(void **state)
{
    (void)state;
    char *key = fixture_public("id");
    fixture_write("authorized", key);
    free(key);
    unlink(fixture_path("known_hosts"));
    fixture_know(first.port, "host");
    fixture_know(second.port, "host");
    fixture_config(NULL);
    options = (struct fanout_options){0};
    memset(answers_given, 0, sizeof answers_given);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    loop = ev_default_loop(0);
    if (!fixture_possible())
        return 0;
    fixture_make();
    first = sshd_start("LogLevel VERBOSE\n");
    second = sshd_start("LogLevel VERBOSE\n");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sshd_stop(&first);
    sshd_stop(&second);
    fixture_remove();
    return 0;
}

/* --- By a key in memory, to pinned keys: where there is no ssh, no home and no known_hosts. */

static void direct(void **state)
{
    (void)state;
    enum { ED, RSA, OTHER };
    static const struct {
        const char *label;
        int keys[3];
        size_t count;
        const char *login; /* file of the key; NULL: what is no key */
        enum fanout_failure failure;
        const char *why[3];
    } cases[] = {
        {"the key that it shows first", {ED}, 1, "id", FAILURE_NONE, {0}},
        {"another one of its keys", {RSA}, 1, "id", FAILURE_NONE, {0}},
        {"one of several", {OTHER, RSA, ED}, 3, "id", FAILURE_NONE, {0}},
        {"another host's key", {OTHER}, 1, "id", FAILURE_HOST_KEY_CHANGED, {"it is ssh-ed25519 SHA256:", "but ssh-ed25519 SHA256:", "someone may be in between"}},
        {"no key is right", {0}, 0, "id", FAILURE_HOST_KEY_CHANGED, {"it is ssh-ed25519 SHA256:", NULL, NULL}},
        {"a key that is not let in", {ED}, 1, "host", FAILURE_LOGIN, {"login as ", "the server refused the key", NULL}},
        {"no key at all", {ED}, 1, NULL, FAILURE_LOGIN, {"the key for it cannot be read", NULL, NULL}},
    };
    fixture_key("stranger", "ed25519", "");
    char *keys[] = {fixture_public("host"), fixture_public("host_rsa"), fixture_public("stranger")};
    char *path = mem_text(getenv("PATH"));
    setenv("PATH", "/nowhere", 1);
    setenv("HOME", "/nowhere", 1);
    for (int transport = 0; transport < 2; transport++)
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct host host = {0};
            const char *pinned[3];
            char *login = cases[i].login ? fixture_read(cases[i].login) : mem_text("nonsense");
            for (size_t j = 0; j < cases[i].count; j++)
                pinned[j] = keys[cases[i].keys[j]];
            options.transport = transport ? TRANSPORT_SSH : TRANSPORT_AUTO; /* it must not matter */
            begin();
            struct fanout_direct to = {.user = getenv("USER") ? getenv("USER") : "root", .host = "127.0.0.1", .port = (uint16_t)first.port, .host_keys = pinned, .count = cases[i].count,
                                       .private_key = login};
            host.session = fanout_open_direct(fanout, "hub", &to, &session_events, &host);
            free(login); /* all is copied */
            RUN_UNTIL(host.opened || host.failed);
            if (host.why && (int)host.failure != (int)cases[i].failure)
                print_message("%s: %s\n", cases[i].label, host.why);
            CASE_ASSERT(i, host.failure == cases[i].failure);
            CASE_ASSERT(i, asked == 0);
            for (size_t j = 0; j < COUNT_OF(cases[i].why) && cases[i].why[j]; j++) {
                if (!strstr(host.why, cases[i].why[j]))
                    print_message("%s: %s\n", cases[i].label, host.why);
                CASE_ASSERT(i, strstr(host.why, cases[i].why[j]));
            }
            if (cases[i].failure == FAILURE_NONE)
                simply(&host, "42\n");
            free(host.why);
            end();
        }
    setenv("PATH", path, 1);
    setenv("HOME", fixture_folder, 1);
    free(path);
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        free(keys[i]);
}

#define TEST(function) cmocka_unit_test_setup(function, fresh)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(requests), TEST(direct), TEST(one_dies_the_others_live), TEST(sockets),
        TEST(a_server_that_stops_reading), TEST(silence), TEST(upload), TEST(a_flood_is_ended),
        TEST(names), TEST(an_underscore_in_the_name), TEST(deadlines),
        TEST(a_crowd_at_one_server), TEST(host_keys), TEST(a_host_certificate), TEST(unreadable_known_hosts),
        TEST(a_pinned_key_and_a_command), TEST(an_unknown_jump_host_under_ssh), TEST(a_killed_deck_leaves_no_ssh),
        TEST(a_post_quantum_server), TEST(a_proxy_command), TEST(keys), TEST(passwords_and_questions), TEST(a_user_certificate),
        TEST(a_slow_agent), TEST(an_agent_with_many_keys), TEST(through_a_jump_host), TEST(through_named_hops), TEST(through_named_hops_under_ssh),
        TEST(a_lost_jump_host),
    };
    if (!fixture_possible()) {
        print_message("skipped: no /usr/sbin/sshd here\n");
        return 0;
    }
    fixture_contain();
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("ssh_session", tests, set_up, tear_down);
}
