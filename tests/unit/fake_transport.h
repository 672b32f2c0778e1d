/* The scripted transport: hosts named for what they do, so that a test reads like a story. Included by the tests of the fan-out. */
#ifndef WGDECK_TESTS_FAKE_TRANSPORT_H
#define WGDECK_TESTS_FAKE_TRANSPORT_H

#include <ev.h>
#include <sys/queue.h>

#include "ssh/session.h"
#include "wgdeck/mem.h"

/* A host's name begins with one of these. */
enum fake_deed {
    FAKE_OK,      /* opens after 5 ms */
    FAKE_REFUSE,  /* fails for good */
    FAKE_FLAKY,   /* the first two connections fail in a way that may pass */
    FAKE_HANG,    /* never gets beyond the key exchange */
    FAKE_LOGHANG, /* never gets beyond the login */
    FAKE_ASK,     /* wants the password "secret" */
    FAKE_KEY,     /* shows a host key nobody knows */
    FAKE_DROP,    /* opens, and is lost 30 ms later */
    FAKE_MUTE,    /* opens, and says nothing any more, not even to a keepalive */
};
static const char *const fake_names[] = {"ok", "refuse", "flaky", "hang", "loghang", "ask", "key", "drop", "mute"};

struct fake_channel {
    struct channel channel;
    LIST_ENTRY(fake_channel) entry;
    struct fake *fake;
    struct ev_timer timer;
    char *command;
    struct buf input;
    bool input_end;
    unsigned step;
};

struct fake {
    struct transport transport;
    struct ev_timer timer;
    enum fake_deed deed;
    unsigned step;
    LIST_HEAD(, fake_channel) channels;
};

/* What the whole fake did, for tests to look at. */
static struct {
    unsigned starts, live, most_live, shaking, most_shaking, stops, channels, most_channels, keepalives;
    struct buf sudo_heard; /* what sudo read as passwords */
    struct buf input;      /* of the last "cat" */
    const char *sudo;      /* the right password; "": needs none; NULL: not allowed */
} fake_world;

static struct ev_loop *fake_loop(struct fake *fake)
{
    return fake->transport.session->fanout->loop;
}

static void fake_after(struct ev_loop *loop, struct ev_timer *timer, double seconds)
{
    ev_timer_stop(loop, timer);
    ev_timer_set(timer, seconds, 0);
    ev_timer_start(loop, timer);
}

static void fake_shaken(void)
{
    fake_world.shaking--;
}

static void fake_turn(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)events;
    struct fake *fake = timer->data;
    struct fanout_session *session = fake->transport.session;
    unsigned step = fake->step++;
    if (step == 0) {
        switch (fake->deed) {
        case FAKE_HANG: return;
        case FAKE_REFUSE: session_failed(session, FAILURE_REFUSED, false, "connect to %s: refused\x1b[31m\nas scripted", session->target->host); return;
        case FAKE_FLAKY:
            if (session->tries < 3) {
                session_failed(session, FAILURE_LOST, true, "key exchange with %s: closed", session->target->host);
                return;
            }
            break;
        case FAKE_KEY:
            if (session_host_key(session, "ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") != HOST_KEY_TRUSTED)
                return; /* trust() goes on */
            break;
        default: break;
        }
        session_entered(session, PHASE_LOGIN);
        if (fake->deed == FAKE_ASK)
            session_ask(session, QUESTION_PASSWORD, "Password\x1b]0;x\a:", false);
        else if (fake->deed != FAKE_LOGHANG)
            fake_after(loop, timer, 0.003);
        return;
    }
    if (step == 1) {
        fake_shaken();
        fake->step = 2;
        if (fake->deed == FAKE_DROP)
            fake_after(loop, timer, 0.03);
        session_entered(session, PHASE_OPEN);
        return;
    }
    session_failed(session, FAILURE_LOST, true, "connection lost to %s: as scripted", session->target->host);
}

static struct transport *fake_start(struct fanout_session *session, int descriptor)
{
    (void)descriptor;
    struct fake *fake = mem_alloc(1, sizeof *fake);
    fake->transport = (struct transport){.ops = session->ops, .session = session};
    for (size_t i = 0; i < COUNT_OF(fake_names); i++)
        if (!strncmp(session->target->host, fake_names[i], strlen(fake_names[i])))
            fake->deed = (enum fake_deed)i;
    LIST_INIT(&fake->channels);
    fake_world.starts++;
    if (++fake_world.live > fake_world.most_live)
        fake_world.most_live = fake_world.live;
    if (++fake_world.shaking > fake_world.most_shaking)
        fake_world.most_shaking = fake_world.shaking;
    ev_timer_init(&fake->timer, fake_turn, 0.005, 0);
    fake->timer.data = fake;
    ev_timer_start(fake_loop(fake), &fake->timer);
    return &fake->transport;
}

static void fake_trust(struct transport *transport)
{
    struct fake *fake = (struct fake *)transport;
    session_entered(transport->session, PHASE_LOGIN);
    fake_after(fake_loop(fake), &fake->timer, 0.003);
}

static void fake_answer(struct transport *transport, const char *text)
{
    struct fake *fake = (struct fake *)transport;
    if (text && !strcmp(text, "secret"))
        fake_after(fake_loop(fake), &fake->timer, 0.003);
    else if (text)
        session_ask(transport->session, QUESTION_PASSWORD, "Again:", false);
    else
        session_failed(transport->session, FAILURE_LOGIN, false, "login: no password");
}

/* --- Commands: "exit N", "echo TEXT", "cat" (counts its input), "flood", "hang", "mute-N", "die", "slow". sudo before any of them. */

static void fake_ends(struct fake_channel *channel, int status)
{
    if (channel->channel.request)
        request_ended(channel->channel.request, status, NULL);
}

static void fake_run(struct fake_channel *channel, const char *command)
{
    struct fanout_request *request = channel->channel.request;
    struct ev_loop *loop = fake_loop(channel->fake);
    if (!strncmp(command, "exit ", 5)) {
        fake_ends(channel, atoi(command + 5));
    } else if (!strncmp(command, "echo ", 5)) {
        request_output(request, false, command + 5, strlen(command + 5));
        fake_ends(channel, 0);
    } else if (!strcmp(command, "problem")) {
        request_output(request, true, "oh\x1b no", 6);
        fake_ends(channel, 1);
    } else if (!strcmp(command, "die")) {
        request_ended(request, -1, "the command was killed by SIG%s", "KILL\x1b");
    } else if (!strcmp(command, "flood")) {
        static char block[65536];
        for (int i = 0; i < 64 && channel->channel.request; i++)
            request_output(request, false, block, sizeof block);
        fake_after(loop, &channel->timer, 0.001);
    } else if (!strcmp(command, "slow")) {
        request_output(request, false, ".", 1);
        if (channel->step++ < 8)
            fake_after(loop, &channel->timer, 0.03);
        else
            fake_ends(channel, 0);
    } else if (!strcmp(command, "cat") && channel->input_end) {
        buf_clear(&fake_world.input);
        buf_add(&fake_world.input, channel->input.data, channel->input.length);
        fake_ends(channel, 0);
    }
}

/* sudo -S: prompts, reads a line, three tries; then runs what is in the sh -c, which first says that it has begun. */
static void fake_sudo(struct fake_channel *channel)
{
    struct fanout_request *request = channel->channel.request;
    static const char prompt[] = "[wgdeck:sudo:password]", begun[] = "[wgdeck:sudo:begun]\n";
    if (!fake_world.sudo) {
        request_output(request, true, "We trust you have...\nsudo: ops is not in the sudoers file\n", 58);
        fake_ends(channel, 1);
        return;
    }
    char *newline = channel->input.length ? memchr(channel->input.data, '\n', channel->input.length) : NULL;
    if (fake_world.sudo[0] && channel->step == 0) {
        channel->step = 1;
        request_output(request, true, prompt, strlen(prompt));
        return;
    }
    if (fake_world.sudo[0] && channel->step == 1) {
        if (!newline)
            return;
        size_t length = (size_t)(newline - channel->input.data);
        bool right = length == strlen(fake_world.sudo) && !memcmp(channel->input.data, fake_world.sudo, length);
        buf_add(&fake_world.sudo_heard, channel->input.data, length + 1);
        buf_drop(&channel->input, length + 1);
        if (!right) {
            request_output(request, true, "Sorry, try again.\n", 18);
            request_output(request, true, prompt, strlen(prompt));
            return;
        }
    }
    channel->step = 2;
    const char *inner = strstr(channel->command, ">&2; ") + 5;
    char *command = mem_text_part(inner, strlen(inner) - 1);
    free(channel->command);
    channel->command = command;
    channel->step = 0;
    request_output(request, true, begun, strlen(begun));
    if (channel->channel.request)
        fake_run(channel, channel->command);
}

static void fake_channel_turn(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct fake_channel *channel = timer->data;
    if (!strncmp(channel->command, "sudo ", 5))
        fake_sudo(channel);
    else
        fake_run(channel, channel->command);
    if (channel->channel.request)
        request_writable(channel->channel.request);
}

static struct channel *fake_exec(struct transport *transport, struct fanout_request *request, const char *command)
{
    struct fake_channel *channel = mem_alloc(1, sizeof *channel);
    channel->fake = (struct fake *)transport;
    channel->channel = (struct channel){.transport = transport, .request = request};
    channel->command = mem_text(command);
    LIST_INSERT_HEAD(&channel->fake->channels, channel, entry);
    if (++fake_world.channels > fake_world.most_channels)
        fake_world.most_channels = fake_world.channels;
    ev_timer_init(&channel->timer, fake_channel_turn, 0.002, 0);
    channel->timer.data = channel;
    ev_timer_start(fake_loop(channel->fake), &channel->timer);
    return &channel->channel;
}

static size_t fake_write(struct channel *base, const void *bytes, size_t length)
{
    struct fake_channel *channel = (struct fake_channel *)base;
    size_t taken = length < 1000 ? length : 1000; /* never all at once */
    buf_add(&channel->input, bytes, taken);
    fake_after(fake_loop(channel->fake), &channel->timer, 0.001);
    return taken;
}

static void fake_write_end(struct channel *base)
{
    struct fake_channel *channel = (struct fake_channel *)base;
    channel->input_end = true;
    fake_after(fake_loop(channel->fake), &channel->timer, 0.001);
}

static void fake_close(struct channel *base)
{
    struct fake_channel *channel = (struct fake_channel *)base;
    ev_timer_stop(fake_loop(channel->fake), &channel->timer);
    LIST_REMOVE(channel, entry);
    fake_world.channels--;
    buf_free(&channel->input);
    free(channel->command);
    free(channel);
}

static void fake_keepalive(struct transport *transport)
{
    struct fake *fake = (struct fake *)transport;
    fake_world.keepalives++;
    if (fake->deed != FAKE_MUTE)
        session_heard(transport->session);
}

static void fake_stop(struct transport *transport)
{
    struct fake *fake = (struct fake *)transport;
    struct fake_channel *channel;
    while ((channel = LIST_FIRST(&fake->channels)))
        fake_close(&channel->channel);
    ev_timer_stop(fake_loop(fake), &fake->timer);
    if (fake->step < 2)
        fake_shaken();
    fake_world.live--;
    fake_world.stops++;
    free(fake);
}

static const struct transport_ops fake_transport = {
    .name = "fake", .dials = true, .start = fake_start, .trust = fake_trust, .answer = fake_answer, .exec = fake_exec, .write = fake_write,
    .write_end = fake_write_end, .close = fake_close, .keepalive = fake_keepalive, .stop = fake_stop,
};

#endif
