/* The way to the hub for "wgdeck join" (join_ssh.h). The places of the invitation are raced: each next one is begun a moment after the one before, or at once when that has failed. */
#include "join_ssh.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/clock.h"
#include "wgdeck/fanout.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { LINE_MAX_BYTES = 4 << 20, PROBLEM_MAX = 2048, SAID_MOST = 200, REASON_MOST = 400 };
static const double next_after = 0.4, all_within = 25, look_every = 0.1; /* seconds */
/* What sshd starts is in its own file; this is only what it is asked for. */
static const char command[] = "wgdeck node --join";

struct place {
    struct join_ssh *ssh;
    struct fanout_session *session;
    bool begun, over;
    enum fanout_failure failure;
    char *why;
};

struct join_ssh {
    const struct invitation *invitation;
    const volatile sig_atomic_t *stop;
    struct ev_loop *loop;
    struct ev_timer timer;
    struct fanout *fanout;
    struct place places[INVITATION_PLACES];
    struct place *open;
    struct fanout_request *request;
    struct buf lines, problem;
    size_t searched;
    bool ended;
    int status;
    char *why;
};

static void on_timer(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)timer, (void)events;
    ev_break(loop, EVBREAK_ONE);
}

struct join_ssh *join_ssh_new(const struct invitation *invitation, const volatile sig_atomic_t *stop)
{
    struct join_ssh *ssh = mem_alloc(1, sizeof *ssh);
    ssh->invitation = invitation;
    ssh->stop = stop;
    ssh->loop = ev_loop_new(EVFLAG_AUTO);
    if (!ssh->loop)
        abort(); /* no memory */
    ev_timer_init(&ssh->timer, on_timer, 0., 0.);
    return ssh;
}

static void reset(struct join_ssh *ssh)
{
    fanout_free(ssh->fanout);
    ssh->fanout = NULL;
    ssh->request = NULL;
    ssh->open = NULL;
    for (size_t i = 0; i < COUNT_OF(ssh->places); i++)
        free(ssh->places[i].why);
    memset(ssh->places, 0, sizeof ssh->places);
    buf_free(&ssh->lines);
    buf_free(&ssh->problem);
    free(ssh->why);
    ssh->why = NULL;
    ssh->searched = 0;
    ssh->ended = false;
}

void join_ssh_free(struct join_ssh *ssh)
{
    if (!ssh)
        return;
    reset(ssh);
    ev_timer_stop(ssh->loop, &ssh->timer);
    ev_loop_destroy(ssh->loop);
    free(ssh);
}

static void run(struct join_ssh *ssh, double seconds)
{
    ev_now_update(ssh->loop);
    ev_timer_set(&ssh->timer, seconds > 0 ? seconds : 0., 0.);
    ev_timer_start(ssh->loop, &ssh->timer);
    ev_run(ssh->loop, 0);
    ev_timer_stop(ssh->loop, &ssh->timer);
}

/* --- the race */

static void on_open(void *context, struct fanout_session *session)
{
    struct place *place = context;
    (void)session;
    if (!place->ssh->open)
        place->ssh->open = place;
    ev_break(place->ssh->loop, EVBREAK_ONE);
}

static void on_failed(void *context, struct fanout_session *session, enum fanout_failure failure, const char *why)
{
    struct place *place = context;
    (void)session;
    place->over = true;
    place->failure = failure;
    free(place->why);
    place->why = mem_text(why);
    ev_break(place->ssh->loop, EVBREAK_ONE);
}

static void begin(struct join_ssh *ssh, size_t index)
{
    static const struct fanout_session_events events = {.open = on_open, .failed = on_failed};
    const struct invitation *invitation = ssh->invitation;
    const char *host_keys[INVITATION_HOST_KEYS];
    struct buf private_key = BUF_EMPTY;
    for (size_t i = 0; i < invitation->host_key_count; i++)
        host_keys[i] = invitation->host_keys[i];
    invitation_private(invitation, &private_key);
    struct fanout_direct direct = {.user = invitation->user, .host = invitation->places[index].host, .port = invitation->places[index].port, .host_keys = host_keys,
                                   .count = invitation->host_key_count, .private_key = buf_text(&private_key)};
    ssh->places[index] = (struct place){.ssh = ssh, .begun = true};
    ssh->places[index].session = fanout_open_direct(ssh->fanout, invitation->hub, &direct, &events, &ssh->places[index]);
    buf_wipe(&private_key);
}

static size_t count_of(const struct join_ssh *ssh, bool over)
{
    size_t count = 0;
    for (size_t i = 0; i < ssh->invitation->place_count; i++)
        count += over ? ssh->places[i].over : ssh->places[i].begun;
    return count;
}

static void race(struct join_ssh *ssh)
{
    int64_t until = clock_steady() + (int64_t)(all_within * (double)CLOCK_SECOND), next = 0;
    while (!ssh->open && clock_steady() < until && !(ssh->stop && *ssh->stop)) {
        size_t begun = count_of(ssh, false), over = count_of(ssh, true);
        if (over == ssh->invitation->place_count)
            return;
        if (begun < ssh->invitation->place_count && (clock_steady() >= next || over == begun)) {
            begin(ssh, begun);
            next = clock_steady() + (int64_t)(next_after * (double)CLOCK_SECOND);
        }
        run(ssh, look_every);
    }
}

/* --- why none of them */

/* What is worth saying first: who was there and refused, before who was not there. */
static int weight(enum fanout_failure failure)
{
    switch (failure) {
    case FAILURE_LOGIN: return 3;
    case FAILURE_HOST_KEY_CHANGED: return 2;
    case FAILURE_PROTOCOL: case FAILURE_LOST: return 1;
    default: return 0;
    }
}

static const struct place *worst(const struct join_ssh *ssh)
{
    const struct place *found = NULL;
    for (size_t i = 0; i < ssh->invitation->place_count; i++)
        if (ssh->places[i].over && (!found || weight(ssh->places[i].failure) > weight(found->failure)))
            found = &ssh->places[i];
    return found;
}

static void add_place(const struct join_ssh *ssh, size_t index, struct buf *text)
{
    const char *host = ssh->invitation->places[index].host;
    bool v6 = strchr(host, ':') != NULL;
    buf_add_format(text, "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", ssh->invitation->places[index].port);
}

static int say_none(const struct join_ssh *ssh, struct err *err)
{
    const struct place *place = worst(ssh);
    char until[CLOCK_TEXT_SIZE];
    if (ssh->stop && *ssh->stop)
        return err_set(err, "interrupted");
    if (place && place->failure == FAILURE_LOGIN) {
        clock_text(ssh->invitation->expires * CLOCK_SECOND, until);
        return err_set(err, "the hub %s does not take this invitation: it was used, taken back, or its time is over (it ends at %s): ask for a new one (%s)", ssh->invitation->hub, until, place->why);
    }
    if (place && place->failure == FAILURE_HOST_KEY_CHANGED)
        return err_set(err, "the hub's host key is not the one in the invitation: someone may be in between, or the hub was installed anew; ask for a new invitation (%s)", place->why);
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < ssh->invitation->place_count && text.length < REASON_MOST; i++) {
        buf_add_text(&text, i ? "; " : "");
        if (ssh->places[i].why) {
            buf_add_text(&text, ssh->places[i].why);
        } else {
            add_place(ssh, i, &text);
            buf_add_text(&text, " does not answer");
        }
    }
    err_set(err, "the hub %s is not reached: %s (is this machine online, and may it go out to that port?)", ssh->invitation->hub, buf_text(&text));
    buf_free(&text);
    return -1;
}

/* --- the channel */

static void on_output(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    struct join_ssh *ssh = context;
    (void)request;
    buf_add(&ssh->lines, bytes, length);
    ev_break(ssh->loop, EVBREAK_ONE);
}

static void on_problem(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    struct join_ssh *ssh = context;
    (void)request;
    if (ssh->problem.length < PROBLEM_MAX)
        buf_add(&ssh->problem, bytes, length < PROBLEM_MAX ? length : PROBLEM_MAX);
}

static void on_done(void *context, struct fanout_request *request, int status, const char *why)
{
    struct join_ssh *ssh = context;
    (void)request;
    ssh->ended = true;
    ssh->request = NULL;
    ssh->status = status;
    free(ssh->why);
    ssh->why = mem_text(why);
    ev_break(ssh->loop, EVBREAK_ONE);
}

static int say_ended(const struct join_ssh *ssh, struct err *err)
{
    const char *problem = buf_text(&ssh->problem);
    size_t length = strcspn(problem, "\r\n");
    if (length)
        return err_set(err, "the hub has ended the conversation: %.*s", (int)(length < SAID_MOST ? length : SAID_MOST), problem);
    if (ssh->why)
        return err_set(err, "the hub is lost: %s", ssh->why);
    return err_set(err, "the hub has ended the conversation (status %d)", ssh->status);
}

static int channel_send(void *context, const char *line, size_t length, struct err *err)
{
    struct join_ssh *ssh = context;
    if (ssh->ended || !ssh->request)
        return say_ended(ssh, err);
    fanout_write(ssh->request, line, length);
    fanout_write(ssh->request, "\n", 1);
    return 0;
}

static bool take_line(struct join_ssh *ssh, struct buf *line)
{
    const char *begin = buf_text(&ssh->lines);
    const char *end = ssh->lines.length > ssh->searched ? memchr(begin + ssh->searched, '\n', ssh->lines.length - ssh->searched) : NULL;
    ssh->searched = end ? 0 : ssh->lines.length;
    if (!end)
        return false;
    buf_clear(line);
    buf_add(line, begin, (size_t)(end - begin));
    buf_drop(&ssh->lines, (size_t)(end - begin) + 1);
    return true;
}

static int channel_receive(void *context, double seconds, struct buf *line, struct err *err)
{
    struct join_ssh *ssh = context;
    int64_t until = clock_steady() + (int64_t)(seconds * (double)CLOCK_SECOND);
    for (;;) {
        if (take_line(ssh, line))
            return 0;
        if (ssh->lines.length > LINE_MAX_BYTES)
            return err_set(err, "the hub talks without end");
        if (ssh->ended)
            return say_ended(ssh, err);
        int64_t left = until - clock_steady();
        if (left <= 0)
            return 1;
        run(ssh, (double)left / (double)CLOCK_SECOND);
    }
}

static void channel_close(void *context)
{
    reset(context);
}

int join_ssh_open(struct join_ssh *ssh, struct join_channel *hub, struct address *from, char place[static 80], struct err *err)
{
    static const struct fanout_request_events events = {.output = on_output, .problem = on_problem, .done = on_done};
    static const struct fanout_request_options stream = {.deadline = -1, .output_limit = LINE_MAX_BYTES * 4};
    struct fanout_options options = {.deadlines = {.resolve = 6, .connect = 6, .key_exchange = 8, .login = 10}, .tries = 2, .transport = TRANSPORT_LIBSSH};
    reset(ssh);
    ssh->fanout = fanout_new(ssh->loop, &options);
    race(ssh);
    if (!ssh->open) {
        say_none(ssh, err);
        reset(ssh);
        return -1;
    }
    for (size_t i = 0; i < ssh->invitation->place_count; i++)
        if (&ssh->places[i] != ssh->open && ssh->places[i].session)
            fanout_session_close(ssh->places[i].session);
    const char *address = fanout_session_address(ssh->open->session);
    struct buf text = BUF_EMPTY;
    if (!address || address_parse(address, from))
        *from = (struct address){0};
    add_place(ssh, (size_t)(ssh->open - ssh->places), &text);
    snprintf(place, 80, "%.79s", buf_text(&text));
    buf_free(&text);
    ssh->request = fanout_exec(ssh->open->session, command, &stream, &events, ssh);
    *hub = (struct join_channel){.send = channel_send, .receive = channel_receive, .close = channel_close, .context = ssh};
    return 0;
}
