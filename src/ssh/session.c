/* One session (wgdeck/fanout.h): its phases, their deadlines, the host key's verdict, and what follows a failure. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static const double RETRY_FIRST = 0.3, BACKOFF_FIRST = 1, BACKOFF_MOST = 60;

static struct ev_loop *loop_of(const struct fanout_session *session)
{
    return session->fanout->loop;
}

static void timer_start(struct fanout_session *session, double seconds)
{
    ev_timer_stop(loop_of(session), &session->timer);
    ev_now_update(loop_of(session));
    ev_timer_set(&session->timer, seconds, 0);
    ev_timer_start(loop_of(session), &session->timer);
}

static double deadline_of(const struct fanout_session *session)
{
    const struct fanout_deadlines *deadlines = &session->fanout->options.deadlines;
    switch (session->phase) {
    case PHASE_RESOLVE: return deadlines->resolve;
    case PHASE_CONNECT: return deadlines->connect;
    /* The spawned ssh does it all in one go. */
    case PHASE_KEY_EXCHANGE: return session->ops->dials ? deadlines->connect + deadlines->key_exchange + deadlines->login : deadlines->key_exchange;
    case PHASE_LOGIN: return deadlines->login;
    default: return 0;
    }
}

static void enter(struct fanout_session *session, enum fanout_phase phase)
{
    session->phase = phase;
    ev_timer_stop(loop_of(session), &session->timer);
    if (deadline_of(session) > 0)
        timer_start(session, deadline_of(session));
}

const char *session_where(const struct fanout_session *session)
{
    static char text[160];
    const char *host = session->address ? session->address : session->target ? session->target->host : session->target_text;
    bool v6 = strchr(host, ':') != NULL;
    snprintf(text, sizeof text, "%s%.120s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "", session->target ? session->target->port : 0);
    return text;
}

static void deadline_passed(struct fanout_session *session)
{
    double seconds = deadline_of(session);
    switch (session->phase) {
    case PHASE_RESOLVE:
        session_failed(session, FAILURE_TIMEOUT, false, "resolve %s: no answer within %g s", session->target->host, seconds);
        return;
    case PHASE_CONNECT:
        if (session->dial && dial_address(session->dial)) {
            free(session->address);
            session->address = mem_text(dial_address(session->dial));
        }
        session_failed(session, FAILURE_TIMEOUT, false, "connect to %s: timed out after %g s", session_where(session), seconds);
        return;
    case PHASE_KEY_EXCHANGE:
        session_failed(session, FAILURE_TIMEOUT, false, "key exchange with %s: timed out after %g s (connected, but its sshd does not go on)",
                       session_where(session), seconds);
        return;
    case PHASE_LOGIN:
        session_failed(session, FAILURE_TIMEOUT, false, "login as %s at %s: timed out after %g s", session->target->user, session_where(session),
                       seconds);
        return;
    default:
        return;
    }
}

static void timer_fired(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct fanout_session *session = timer->data;
    if (session->phase == PHASE_WAITING) {
        bastion_wanted(session);
        fanout_admit(session->fanout);
    } else {
        deadline_passed(session);
    }
}

static double silence_limit(const struct fanout_session *session)
{
    double limit = session->fanout->options.deadlines.silence;
    const struct ssh_target *target = session->target;
    double configured = (double)target->alive_interval * (target->alive_count ? target->alive_count : 1);
    return configured > 0 && configured < limit ? configured : limit;
}

static void alive_fired(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)events;
    struct fanout_session *session = timer->data;
    double silent = ev_now(loop) - session->heard;
    if (silent >= silence_limit(session))
        session_failed(session, FAILURE_LOST, true, "connection to %s lost: nothing heard for %.0f s", session_where(session), silent);
    else if (silent >= timer->repeat / 2)
        session->ops->keepalive(session->transport);
}

static void config_answered(void *context, struct ssh_target *target, const char *why);

static struct fanout_session *new_session(struct fanout *fanout, const char *name, const char *target)
{
    struct fanout_session *session = mem_alloc(1, sizeof *session);
    session->fanout = fanout;
    session->name = mem_text(name);
    session->target_text = mem_text(target);
    session->label = text_safe(target);
    TAILQ_INIT(&session->requests);
    ev_timer_init(&session->timer, timer_fired, 0, 0);
    session->timer.data = session;
    ev_timer_init(&session->alive, alive_fired, 0, 0);
    session->alive.data = session;
    TAILQ_INSERT_TAIL(&fanout->sessions, session, entry);
    session->forward_end = -1;
    return session;
}

struct fanout_session *session_new(struct fanout *fanout, const char *name, const char *target)
{
    struct fanout_session *session = new_session(fanout, name, target);
    session->config_question = ssh_config_ask(fanout->config, target, config_answered, session);
    return session;
}

struct fanout_session *session_new_direct(struct fanout *fanout, const char *name, struct ssh_target *target, struct direct *direct)
{
    struct fanout_session *session = new_session(fanout, name, target->host);
    session->direct = direct;
    session->pinned = mem_text(direct_pinned(direct));
    config_answered(session, target, NULL);
    return session;
}

static void choose_transport(struct fanout_session *session)
{
    const struct fanout_options *options = &session->fanout->options;
    struct ssh_target *target = session->target;
    if (options->fake) {
        session->ops = options->fake;
        return;
    }
    if (options->transport == TRANSPORT_AUTO && target->needs_ssh)
        session_needs_spawn(session, target->needs_ssh);
    bool spawn = !session->direct && (options->transport == TRANSPORT_SSH || (options->transport == TRANSPORT_AUTO && session->needs_spawn));
    session->ops = spawn ? &transport_spawn : &transport_libssh;
}

static void config_answered(void *context, struct ssh_target *target, const char *why)
{
    struct fanout_session *session = context;
    session->config_question = NULL;
    if (!target) {
        session_failed(session, FAILURE_CONFIG, false, "%s", why);
        return;
    }
    session->target = target;
    if (session->hop_count) { /* the caller's word is above the configuration's */
        free(target->jump);
        target->jump = session_hops_text(session);
    }
    free(session->label);
    bool v6 = strchr(target->host, ':') != NULL;
    char *label = mem_format("%s@%s%s%s:%u", target->user, v6 ? "[" : "", target->host, v6 ? "]" : "", target->port);
    session->label = text_safe(label);
    free(label);
    choose_transport(session);
    struct err err = {0};
    if (!session->ops->dials && bastion_attach(session, &err)) {
        session_failed(session, FAILURE_CONFIG, false, "%s", err.text);
        return;
    }
    fanout_reap_soon(session->fanout);
}

static void dial_resolved(void *context)
{
    enter(context, PHASE_CONNECT);
}

void session_dialled(struct fanout_session *session, int descriptor)
{
    enter(session, PHASE_KEY_EXCHANGE);
    session->transport = session->ops->start(session, descriptor);
}

static void dial_connected(void *context, int descriptor, const char *address)
{
    struct fanout_session *session = context;
    session->dial = NULL;
    free(session->address);
    session->address = mem_text(address);
    session_dialled(session, descriptor);
}

static void dial_failed(void *context, enum fanout_failure failure, bool passing, const char *why)
{
    struct fanout_session *session = context;
    session->dial = NULL;
    session_failed(session, failure, passing, "%s", why);
}

static const struct dial_events dial_events = {.resolved = dial_resolved, .connected = dial_connected, .failed = dial_failed};

void session_begin(struct fanout_session *session)
{
    session->tries++;
    host_key_list_free(session->known);
    session->known = host_keys_find(session->fanout->host_keys, session->target);
    if (host_key_unreadable(session->known)) {
        session_failed(session, FAILURE_HOST_KEY_UNKNOWN, false, "host key of %s: known_hosts cannot be read, so it cannot be checked: %s", session->label,
                       host_key_unreadable(session->known));
        return;
    }
    if (session->ops == &transport_libssh && host_key_by_authority(session->known))
        session_needs_spawn(session, "a @cert-authority line in known_hosts");
    if (session->needs_spawn && session->fanout->options.transport == TRANSPORT_AUTO && !session->fanout->options.fake) {
        session->ops = &transport_spawn;
        bastion_detach(session); /* ssh jumps by itself */
    }
    if (session->ops->dials) {
        session_dialled(session, -1);
    } else if (session->bastion) {
        enter(session, PHASE_CONNECT);
        bastion_connect(session);
    } else {
        enter(session, PHASE_RESOLVE);
        session->dial = dial_start(loop_of(session), session->fanout->resolvers, session->target->host, session->target->port,
                                   session->target->family, &dial_events, session);
    }
}

void session_needs_spawn(struct fanout_session *session, const char *why)
{
    if (session->fanout->options.transport != TRANSPORT_AUTO || session->fanout->options.fake || session->needs_spawn || session->direct)
        return;
    session->needs_spawn = true;
    log_verbose("%s: %s: libssh cannot do this, so ssh itself is started", session->name, why);
}

__attribute__((format(printf, 2, 0)))
static void set_error(struct fanout_session *session, const char *format, va_list arguments)
{
    struct buf raw = BUF_EMPTY, safe = BUF_EMPTY;
    buf_add_vformat(&raw, format, arguments);
    /* One line: what servers say may have several. */
    while (raw.length && strchr("\r\n ", raw.data[raw.length - 1]))
        raw.data[--raw.length] = '\0';
    for (size_t i = 0; i < raw.length; i++)
        if (raw.data[i] == '\n' || raw.data[i] == '\r' || raw.data[i] == '\t')
            raw.data[i] = ' ';
    text_add_safe(&safe, buf_text(&raw), raw.length);
    free(session->error);
    session->error = buf_take(&safe);
    buf_free(&raw);
}

void session_failed(struct fanout_session *session, enum fanout_failure failure, bool passing, const char *format, ...)
{
    if (session->over || session->closing)
        return;
    va_list arguments;
    va_start(arguments, format);
    set_error(session, format, arguments);
    va_end(arguments);
    session->failure = failure;
    session->again = passing;
    session->over = true;
    ev_timer_stop(loop_of(session), &session->timer);
    ev_timer_stop(loop_of(session), &session->alive);
    fanout_reap_soon(session->fanout);
}

void session_heard(struct fanout_session *session)
{
    session->heard = ev_now(loop_of(session));
}

void session_entered(struct fanout_session *session, enum fanout_phase phase)
{
    if (session->over || session->closing)
        return;
    enter(session, phase);
    if (phase != PHASE_OPEN)
        return;
    fanout_leave_place(session);
    session->tries = 0;
    session->told_open = true;
    session->failure = FAILURE_NONE;
    free(session->error);
    session->error = NULL;
    host_key_list_free(session->known);
    session->known = NULL;
    session_heard(session);
    session->alive.repeat = silence_limit(session) / 3;
    ev_timer_again(loop_of(session), &session->alive);
    if (session->is_bastion)
        bastion_changed(session);
    else if (session->events.open)
        session->events.open(session->context, session);
    if (!session->over && !session->closing)
        requests_start(session);
}

/* --- The host key. */

static void begin_asking(struct fanout_session *session)
{
    session->asking = true;
    ev_timer_stop(loop_of(session), &session->timer);
    fanout_leave_place(session);
}

static void end_asking(struct fanout_session *session)
{
    session->asking = false;
    fanout_take_place(session);
    enter(session, session->phase);
}

static void key_answered(struct fanout_session *session, const char *text)
{
    if (session->over || session->closing)
        return;
    end_asking(session);
    if (!text || strcmp(text, "yes")) {
        session_failed(session, FAILURE_HOST_KEY_UNKNOWN, false, "host key of %s: not accepted", session->label);
        return;
    }
    struct err err = {0};
    if (host_key_learn(session->fanout->host_keys, session->target, session->shown_type, session->shown_key, &err))
        log_error("%s: the host key is accepted now, but cannot be remembered: %s", session->name, err.text);
    session->ops->trust(session->transport);
}

static enum host_key_decision key_unknown(struct fanout_session *session, const char *type, const char *base64)
{
    char fingerprint[FINGERPRINT_SIZE];
    struct err err = {0};
    known_hosts_fingerprint(base64, fingerprint);
    enum host_key_strictness strictness = session->target->strictness;
    if (strictness == STRICT_ACCEPT_NEW) {
        if (host_key_learn(session->fanout->host_keys, session->target, type, base64, &err))
            log_error("%s: the host key cannot be remembered: %s", session->name, err.text);
        return HOST_KEY_TRUSTED;
    }
    if (!session->fanout->options.ask || strictness == STRICT_YES) {
        session_failed(session, FAILURE_HOST_KEY_UNKNOWN, false,
                       "host key of %s is unknown: %s %s; compare it with the host's own (there: cat /etc/ssh/ssh_host_*.pub | ssh-keygen -lf -), then log in "
                       "once with ssh or add it to known_hosts", session->label, type, fingerprint);
        return HOST_KEY_REFUSED;
    }
    free(session->shown_type);
    free(session->shown_key);
    session->shown_type = mem_text(type);
    session->shown_key = mem_text(base64);
    begin_asking(session);
    fanout_put_question(session, &(struct fanout_question){
        .kind = QUESTION_HOST_KEY, .prompt = "The host key is unknown. Is it the right one?", .fingerprint = fingerprint, .key_type = type,
        .echo = true,
    }, key_answered);
    return HOST_KEY_LATER;
}

enum host_key_decision session_host_key(struct fanout_session *session, const char *type, const char *base64)
{
    struct err why = {0};
    if (session->over || session->closing)
        return HOST_KEY_REFUSED;
    if (session->direct)
        return direct_host_key(session, type, base64);
    switch (host_key_check(session->known, session->pinned, type, base64, &why)) {
    case KNOWN_VERDICT_OK:
        return HOST_KEY_TRUSTED;
    case KNOWN_VERDICT_CHANGED:
        session_failed(session, FAILURE_HOST_KEY_CHANGED, false, "host key of %s: %s", session->label, why.text);
        return HOST_KEY_REFUSED;
    case KNOWN_VERDICT_UNREADABLE:
        session_failed(session, FAILURE_HOST_KEY_UNKNOWN, false, "host key of %s: %s", session->label, why.text);
        return HOST_KEY_REFUSED;
    case KNOWN_VERDICT_REVOKED:
        session_failed(session, FAILURE_HOST_KEY_REVOKED, false, "host key of %s: %s", session->label, why.text);
        return HOST_KEY_REFUSED;
    default:
        return key_unknown(session, type, base64);
    }
}

/* --- Questions of the login. */

static void login_answered(struct fanout_session *session, const char *text)
{
    if (session->over || session->closing)
        return;
    end_asking(session);
    session->ops->answer(session->transport, text);
}

void session_ask(struct fanout_session *session, enum fanout_question_kind kind, const char *prompt, bool echo)
{
    begin_asking(session);
    fanout_put_question(session, &(struct fanout_question){.kind = kind, .prompt = prompt, .echo = echo}, login_answered);
}

/* --- The end of a connection, and what comes after it. */

static double doubled(double seconds, unsigned times, double most)
{
    while (times-- && seconds < most)
        seconds *= 2;
    return seconds < most ? seconds : most;
}

static double jitter(double seconds)
{
    return seconds * (0.5 + randombytes_uniform(1000) / 1000.0);
}

static void take_down(struct fanout_session *session)
{
    struct ev_loop *loop = loop_of(session);
    ev_timer_stop(loop, &session->timer);
    ev_timer_stop(loop, &session->alive);
    fanout_drop_questions(session);
    session->asking = false;
    struct fanout_request *request;
    TAILQ_FOREACH(request, &session->requests, entry)
        request->channel = NULL; /* the transport ends them all */
    TAILQ_FOREACH(request, &session->fanout->over, entry)
        if (request->session == session)
            request->channel = NULL;
    if (session->transport)
        session->ops->stop(session->transport);
    session->transport = NULL;
    bastion_drop_forward(session);
    dial_cancel(session->dial);
    session->dial = NULL;
    ssh_config_cancel(session->config_question);
    session->config_question = NULL;
    host_key_list_free(session->known);
    session->known = NULL;
    fanout_leave_place(session);
}

static void wait_and_try(struct fanout_session *session, double seconds)
{
    session->phase = PHASE_WAITING;
    timer_start(session, jitter(seconds));
}

static void give_up(struct fanout_session *session)
{
    bool keep = session->fanout->options.keep && session->failure != FAILURE_CONFIG && !session->is_bastion;
    char *why = mem_text(session->error);
    bool was_open = session->told_open;
    session->told_open = false;
    if (keep)
        wait_and_try(session, was_open ? RETRY_FIRST : doubled(BACKOFF_FIRST, session->tries, BACKOFF_MOST));
    else
        session->phase = PHASE_CLOSED;
    requests_fail(session, why);
    if (session->is_bastion)
        bastion_changed(session);
    else if (session->events.failed)
        session->events.failed(session->context, session, session->failure, why);
    free(why);
}

void session_tidy(struct fanout_session *session)
{
    take_down(session);
    if (session->closing) {
        session_free(session);
        return;
    }
    session->over = false;
    bool to_spawn = session->needs_spawn && session->ops != &transport_spawn && session->ops;
    if (!session->told_open && (to_spawn || (session->again && session->tries < session->fanout->options.tries)))
        wait_and_try(session, to_spawn ? 0 : doubled(RETRY_FIRST, session->tries, BACKOFF_MOST));
    else
        give_up(session);
}

void session_free(struct fanout_session *session)
{
    struct fanout_request *request;
    take_down(session);
    bastion_detach(session);
    while ((request = TAILQ_FIRST(&session->requests))) {
        TAILQ_REMOVE(&session->requests, request, entry);
        request_free(request);
    }
    struct fanout_request *next;
    for (request = TAILQ_FIRST(&session->fanout->over); request; request = next) {
        next = TAILQ_NEXT(request, entry);
        if (request->session != session)
            continue;
        TAILQ_REMOVE(&session->fanout->over, request, entry);
        request_free(request);
    }
    TAILQ_REMOVE(&session->fanout->sessions, session, entry);
    session_free_hops(session);
    ssh_target_free(session->target);
    direct_free(session->direct);
    secret_free(session->sudo_password);
    free(session->name);
    free(session->target_text);
    free(session->pinned);
    free(session->label);
    free(session->address);
    free(session->shown_type);
    free(session->shown_key);
    free(session->chain);
    free(session->error);
    free(session);
}

void fanout_session_close(struct fanout_session *session)
{
    session->closing = true;
    session->phase = PHASE_CLOSED;
    session->events = (struct fanout_session_events){0};
    struct fanout_request *request;
    while ((request = TAILQ_FIRST(&session->requests)))
        fanout_request_cancel(request);
    fanout_reap_soon(session->fanout);
}

enum fanout_phase fanout_session_phase(const struct fanout_session *session)
{
    return session->phase;
}

const char *fanout_session_name(const struct fanout_session *session)
{
    return session->name;
}

const char *fanout_session_target(const struct fanout_session *session)
{
    return session->label;
}

const char *fanout_session_address(const struct fanout_session *session)
{
    return session->address;
}

const char *fanout_session_error(const struct fanout_session *session)
{
    return session->error;
}

bool fanout_session_is_root(const struct fanout_session *session)
{
    return session->target && !strcmp(session->target->user, "root");
}
