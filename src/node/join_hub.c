/* wgdeck node --join ID: what sshd runs on the hub for who logs in with the key of an invitation (wgdeck/invitation.h). Whoever has the token may say anything here: lines, their number and
 * the time are limited, and nothing but the five requests is understood. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "join_hub.h"
#include "login.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/node.h"

enum { REQUESTS_MOST = 300, ENDING = 20 /* seconds beyond the dialogue to put back; then the guard has to */ };

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    stopped = number;
}

static const struct { const char *name; int (*run)(struct join_hub *hub, const cJSON *request, struct err *err); } requests[] = {
    {"join", join_hub_join}, {"check", join_hub_check}, {"keep", join_hub_keep}, {"give-up", join_hub_give_up}, {"bye", join_hub_bye},
};

/* --- answers */

static int send_line(int output, struct buf *line)
{
    buf_add_char(line, '\n');
    int result = file_write_all(output, buf_text(line), line->length);
    buf_free(line);
    return result;
}

static int refuse(int output, uint64_t id, const char *code, const char *text)
{
    struct buf line = BUF_EMPTY;
    struct json json = json_begin(&line);
    json_object(&json, NULL);
    json_unsigned(&json, "id", id);
    json_bool(&json, "ok", false);
    json_text(&json, "error", text);
    json_text(&json, "code", code);
    json_object_end(&json);
    return send_line(output, &line);
}

static int answer(struct join_hub *hub, int output, uint64_t id)
{
    struct buf line = BUF_EMPTY;
    buf_add_format(&line, "{\"id\":%llu,\"ok\":true%s", (unsigned long long)id, hub->answer.length ? "," : "");
    buf_add(&line, buf_text(&hub->answer), hub->answer.length);
    buf_add_char(&line, '}');
    return send_line(output, &line);
}

/* --- requests */

static int run_request(struct join_hub *hub, const cJSON *request, struct err *err)
{
    const char *name = json_get_text(request, "op", "");
    buf_clear(&hub->answer);
    snprintf(hub->code, sizeof hub->code, "failed");
    for (size_t i = 0; i < COUNT_OF(requests); i++)
        if (!strcmp(name, requests[i].name))
            return requests[i].run(hub, request, err);
    snprintf(hub->code, sizeof hub->code, "refused");
    return err_set(err, "an invitation is for joining and nothing else");
}

/* 0, or -1: nobody reads any more, or what comes is nonsense. */
static int run_line(struct join_hub *hub, int output, const char *text, size_t length)
{
    struct err err;
    cJSON *request = json_parse(text, length, NULL);
    if (!cJSON_IsObject(request)) {
        cJSON_Delete(request);
        (void)refuse(output, 0, "refused", "not a JSON object");
        return -1;
    }
    uint64_t id = json_get_unsigned(request, "id", 0);
    int result = run_request(hub, request, &err) ? refuse(output, id, hub->code, err.text) : answer(hub, output, id);
    cJSON_Delete(request);
    return result;
}

/* --- input */

/* Until when is the next line waited for? */
static int64_t patience(const struct join_hub *hub, int64_t end)
{
    int64_t until = clock_steady() + JOIN_HUB_SILENCE * CLOCK_SECOND;
    if (hub->step == JOIN_HUB_STAGED && hub->guard < until)
        until = hub->guard;
    return until < end ? until : end;
}

/* One line into LINE, what follows it stays in BYTES. 0; 1: end of input; 2: the time is over, or we are told to end; -1: too long. */
static int read_line(int input, struct buf *bytes, struct buf *line, int64_t until)
{
    char room[4096];
    for (;;) {
        const char *end = bytes->length ? memchr(bytes->data, '\n', bytes->length) : NULL;
        if (end) {
            size_t length = (size_t)(end - bytes->data);
            buf_clear(line);
            buf_add(line, bytes->data, length);
            buf_drop(bytes, length + 1);
            return 0;
        }
        if (bytes->length > JOIN_HUB_LINE_MAX)
            return -1;
        struct pollfd polled = {.fd = input, .events = POLLIN};
        int64_t left = until - clock_steady();
        if (stopped || left <= 0)
            return 2;
        if (poll(&polled, 1, (int)(left / CLOCK_MILLISECOND) + 1) <= 0)
            continue;
        ssize_t length = read(input, room, sizeof room);
        if (length > 0)
            buf_add(bytes, room, (size_t)length);
        else if (length == 0 || (errno != EINTR && errno != EAGAIN))
            return 1;
    }
}

void join_hub_talk(struct join_hub *hub, int input, int output)
{
    struct buf bytes = BUF_EMPTY, line = BUF_EMPTY;
    int64_t end = clock_steady() + JOIN_HUB_DIALOGUE * CLOCK_SECOND;
    int result = 0;
    for (int count = 0; !result && !hub->over && count < REQUESTS_MOST; count++) {
        result = read_line(input, &bytes, &line, patience(hub, end));
        if (!result)
            result = run_line(hub, output, buf_text(&line), line.length);
        else if (result < 0)
            (void)refuse(output, 0, "refused", "a line of more than 64 KiB");
        else if (result == 2 && hub->step != JOIN_HUB_KEPT)
            (void)refuse(output, 0, stopped ? "revoked" : "failed", stopped ? "the invitation is revoked, or the hub ends all logins" : "it took too long: the hub has put its side back");
    }
    buf_free(&bytes);
    buf_free(&line);
}

/* --- life */

static void catch_signals(void)
{
    static const int ended_by[] = {SIGTERM, SIGHUP, SIGINT};
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: the wait ends */
    for (size_t i = 0; i < COUNT_OF(ended_by); i++)
        sigaction(ended_by[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, SIG_DFL);
    alarm(JOIN_HUB_DIALOGUE + JOIN_HUB_WITHIN + ENDING); /* whatever hangs */
}

/* sshd may let the other side set variables; our helper is to see none of them. */
static void clear_environment(void)
{
    clearenv();
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    setenv("LC_ALL", "C", 1);
}

/* The first word of SSH_CONNECTION, when it is an address. */
static char *address_from(void)
{
    char *connection = login_connection(), *from = NULL;
    struct address address;
    if (connection) {
        connection[strcspn(connection, " %")] = '\0';
        from = address_parse(connection, &address) ? NULL : mem_text(connection);
    }
    free(connection);
    return from;
}

int node_join(const char *id, int input, int output)
{
    struct join_hub hub = {.id = id, .lock = -1};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (!invite_id_is_valid(id))
        return 2;
    if (null >= 0 && dup2(null, STDERR_FILENO) >= 0) /* the newcomer reads that, too */
        close(null);
    catch_signals();
    hub.from = address_from();
    clear_environment();
    hub.interface = invite_interface_of(id);
    join_hub_talk(&hub, input, output);
    (void)join_hub_put_back(&hub, NULL);
    join_hub_free(&hub);
    return 0;
}
