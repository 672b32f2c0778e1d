/* A helper as a child (helper_pipe.h): its start, lines in and out with deadlines, its end. */
#include "helper_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/json.h"
#include "wgdeck/mem.h"

enum { READ_BYTES = 64 << 10 };
static const double send_patience = 30; /* seconds: a helper that is at work reads later, but one that never does is lost */

struct helper_pipe {
    pid_t child;
    int in, out;     /* we write to the first, and read from the second */
    struct buf bytes;
    size_t searched; /* so many of them hold no end of a line */
    uint64_t last;   /* id of the last request */
    void (*event)(void *context, const cJSON *event);
    void *context;
};

/* --- its start */

/* Between fork and exec: nothing but calls that are safe there. */
static void become_helper(char *const arguments[], int input, int output)
{
    sigset_t none;
    int high_input = fcntl(input, F_DUPFD_CLOEXEC, 10), high_output = fcntl(output, F_DUPFD_CLOEXEC, 10);
    setsid();
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (high_input >= 0 && high_output >= 0 && dup2(high_input, STDIN_FILENO) >= 0 && dup2(high_output, STDOUT_FILENO) >= 0)
        execv("/proc/self/exe", arguments);
    _exit(127);
}

struct helper_pipe *helper_pipe_start(char *const arguments[], struct err *err)
{
    char *const own[] = {(char[]){"wgdeck"}, (char[]){"node"}, NULL};
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) {
        err_set(err, "the helper cannot be started: %s", strerror(errno));
        if (in[0] >= 0)
            close(in[0]), close(in[1]);
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN);
    pid_t child = fork();
    if (child == 0)
        become_helper(arguments ? arguments : own, in[0], out[1]);
    int reason = errno;
    close(in[0]);
    close(out[1]);
    if (child < 0) {
        close(in[1]);
        close(out[0]);
        err_set(err, "the helper cannot be started: %s", strerror(reason));
        return NULL;
    }
    struct helper_pipe *pipe = mem_alloc(1, sizeof *pipe);
    *pipe = (struct helper_pipe){.child = child, .in = in[1], .out = out[0]};
    fcntl(pipe->in, F_SETFL, O_NONBLOCK);
    fcntl(pipe->out, F_SETFL, O_NONBLOCK);
    return pipe;
}

int helper_pipe_process(const struct helper_pipe *pipe)
{
    return (int)pipe->child;
}

void helper_pipe_events(struct helper_pipe *pipe, void (*event)(void *context, const cJSON *event), void *context)
{
    pipe->event = event;
    pipe->context = context;
}

/* --- lines */

/* As poll for one descriptor: 1 ready, 0 the time is over, -1 a signal came. */
static int wait_for(int descriptor, short events, int64_t until)
{
    struct pollfd poll_descriptor = {.fd = descriptor, .events = events};
    int64_t left = until - clock_steady();
    int result = poll(&poll_descriptor, 1, left <= 0 ? 0 : left > 3600 * CLOCK_SECOND ? 3600 * 1000 : (int)(left / CLOCK_MILLISECOND) + 1);
    return result < 0 && errno != EINTR ? 1 : result;
}

static int send_bytes(struct helper_pipe *pipe, const char *at, size_t length, int64_t until, struct err *err)
{
    while (length) {
        ssize_t written = write(pipe->in, at, length);
        if (written > 0) {
            at += written;
            length -= (size_t)written;
        } else if (written < 0 && errno != EAGAIN && errno != EINTR) {
            return err_set(err, "the helper has ended: %s", strerror(errno));
        } else if (clock_steady() >= until) {
            return err_set(err, "the helper does not read what it is told");
        } else {
            (void)wait_for(pipe->in, POLLOUT, until);
        }
    }
    return 0;
}

int helper_pipe_send(struct helper_pipe *pipe, const char *line, size_t length, struct err *err)
{
    int64_t until = clock_steady() + (int64_t)(send_patience * (double)CLOCK_SECOND);
    return send_bytes(pipe, line, length, until, err) || send_bytes(pipe, "\n", 1, until, err) ? -1 : 0;
}

/* Answers may hold sealed keys only, and what is public: no need to wipe. */
static bool take_line(struct helper_pipe *pipe, struct buf *line)
{
    const char *begin = buf_text(&pipe->bytes);
    const char *end = pipe->bytes.length > pipe->searched ? memchr(begin + pipe->searched, '\n', pipe->bytes.length - pipe->searched) : NULL;
    pipe->searched = end ? 0 : pipe->bytes.length;
    if (!end)
        return false;
    buf_clear(line);
    buf_add(line, begin, (size_t)(end - begin));
    buf_drop(&pipe->bytes, (size_t)(end - begin) + 1);
    return true;
}

int helper_pipe_receive(struct helper_pipe *pipe, double seconds, struct buf *line, struct err *err)
{
    int64_t until = clock_steady() + (int64_t)(seconds * (double)CLOCK_SECOND);
    char bytes[READ_BYTES];
    for (;;) {
        if (take_line(pipe, line))
            return 0;
        if (pipe->bytes.length > HELPER_PIPE_LINE_MAX)
            return err_set(err, "the helper has answered more than can be true");
        if (wait_for(pipe->out, POLLIN, until) < 1)
            return 1;
        ssize_t length = read(pipe->out, bytes, sizeof bytes);
        if (length > 0)
            buf_add(&pipe->bytes, bytes, (size_t)length);
        else if (length == 0 || (errno != EAGAIN && errno != EINTR))
            return err_set(err, "the helper has ended: %s", length ? strerror(errno) : "it was killed, or cannot be run here");
    }
}

/* --- requests */

static void set_code(char code[static HELPER_PIPE_CODE], const char *word)
{
    snprintf(code, HELPER_PIPE_CODE, "%s", word);
}

/* The answer to the last request, an event of it (NULL, nothing is over), or a refusal. */
static cJSON *judge(struct helper_pipe *pipe, cJSON *object, bool *over, char code[static HELPER_PIPE_CODE], struct err *err)
{
    *over = false;
    if (json_get_unsigned(object, "id", 0) == pipe->last) {
        if (json_get_text(object, "event", NULL)) {
            if (pipe->event)
                pipe->event(pipe->context, object);
        } else {
            *over = true;
            if (json_get_bool(object, "ok", false))
                return object;
            set_code(code, json_get_text(object, "code", ""));
            err_set(err, "%s", json_get_text(object, "error", "the helper refuses, and does not say why"));
        }
    }
    cJSON_Delete(object);
    return NULL;
}

static cJSON *wait_answer(struct helper_pipe *pipe, double seconds, char code[static HELPER_PIPE_CODE], struct err *err)
{
    int64_t until = clock_steady() + (int64_t)(seconds * (double)CLOCK_SECOND);
    struct buf line = BUF_EMPTY;
    cJSON *answer = NULL;
    for (bool over = false; !over;) {
        double left = (double)(until - clock_steady()) / (double)CLOCK_SECOND;
        int result = helper_pipe_receive(pipe, left > 0 ? left : 0, &line, err);
        if (result < 0 || (result && left <= 0)) {
            set_code(code, result < 0 ? "lost" : "late");
            if (result > 0)
                err_set(err, "the helper has not answered within %.0f s", seconds);
            break;
        }
        cJSON *object = result ? NULL : json_parse(buf_text(&line), line.length, NULL);
        if (!object)
            continue;
        answer = judge(pipe, object, &over, code, err);
    }
    buf_free(&line);
    return answer;
}

cJSON *helper_pipe_ask(struct helper_pipe *pipe, const char *members, double seconds, char code[static HELPER_PIPE_CODE], struct err *err)
{
    struct buf line = BUF_EMPTY;
    set_code(code, "");
    buf_add_format(&line, "{\"id\":%llu,%s}", (unsigned long long)++pipe->last, members);
    int result = helper_pipe_send(pipe, buf_text(&line), line.length, err);
    buf_free(&line);
    if (!result)
        return wait_answer(pipe, seconds, code, err);
    set_code(code, "lost");
    return NULL;
}

/* --- its end */

static bool has_ended(pid_t child, int64_t until)
{
    const struct timespec pause = {.tv_nsec = 5 * CLOCK_MILLISECOND};
    for (;;) {
        pid_t result = waitpid(child, NULL, WNOHANG);
        if (result == child || (result < 0 && errno != EINTR))
            return true;
        if (clock_steady() >= until)
            return false;
        nanosleep(&pause, NULL);
    }
}

void helper_pipe_end(struct helper_pipe *pipe, double patience)
{
    if (!pipe)
        return;
    close(pipe->in);
    close(pipe->out);
    if (!has_ended(pipe->child, clock_steady() + (int64_t)(patience * (double)CLOCK_SECOND))) {
        kill(pipe->child, SIGKILL);
        while (waitpid(pipe->child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    buf_free(&pipe->bytes);
    free(pipe);
}
