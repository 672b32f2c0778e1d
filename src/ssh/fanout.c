/* The fan-out (wgdeck/fanout.h): who may begin a handshake, questions to a person, and the one place where things are freed. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "agent.h"
#include "keyring.h"
#include "session.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum {
    WINDOW = 64,
    BASTION_WINDOW = 8,
    SERVER_WINDOW = 8, /* of one host and port: sshd's MaxStartups drops from the tenth on (trap 14) */
    TRIES = 3,
    RESOLVERS = 16,
    DESCRIPTORS = 16384,
    SIGNERS = 4,       /* at an agent at once (trap 4) */
};

const struct fanout_deadlines fanout_default_deadlines = {
    .resolve = 5, .connect = 10, .key_exchange = 10, .login = 20, .request = 30, .silence = 45,
};

const char *fanout_phase_text(enum fanout_phase phase)
{
    static const char *const texts[] = {
        [PHASE_WAITING] = "waiting", [PHASE_RESOLVE] = "resolving", [PHASE_CONNECT] = "connecting",
        [PHASE_KEY_EXCHANGE] = "exchanging keys", [PHASE_LOGIN] = "logging in", [PHASE_OPEN] = "open", [PHASE_CLOSED] = "closed",
    };
    return (size_t)phase < COUNT_OF(texts) ? texts[phase] : "?";
}

char *secret_new(const char *text)
{
    if (!text)
        return NULL;
    size_t size = strlen(text) + 1;
    char *secret = sodium_malloc(size);
    if (!secret)
        abort();
    memcpy(secret, text, size);
    return secret;
}

void secret_free(char *secret)
{
    sodium_free(secret); /* wipes */
}

static void reap(struct ev_loop *loop, struct ev_timer *timer, int events);

static void fill_defaults(struct fanout_options *options)
{
    static const size_t deadlines[] = {
#define ROW(member) offsetof(struct fanout_deadlines, member)
        ROW(resolve), ROW(connect), ROW(key_exchange), ROW(login), ROW(request), ROW(silence),
#undef ROW
    };
    for (size_t i = 0; i < COUNT_OF(deadlines); i++) {
        double *given = (double *)(void *)((char *)&options->deadlines + deadlines[i]);
        if (*given <= 0)
            *given = *(const double *)(const void *)((const char *)&fanout_default_deadlines + deadlines[i]);
    }
    if (!options->window)
        options->window = WINDOW;
    if (!options->bastion_window)
        options->bastion_window = BASTION_WINDOW;
    if (!options->tries)
        options->tries = TRIES;
}

/* A session is a descriptor, a spawned one seven: 1,024 are soon too few. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= DESCRIPTORS)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &limit);
}

struct fanout *fanout_new(struct ev_loop *loop, const struct fanout_options *options)
{
    struct fanout *fanout = mem_alloc(1, sizeof *fanout);
    if (sodium_init() < 0)
        abort();
    allow_descriptors();
    fanout->loop = loop;
    fanout->options = *options;
    fanout->options.ssh_config = fanout->config_file = mem_text(options->ssh_config);
    fill_defaults(&fanout->options);
    fanout->config = ssh_config_new(loop, options->ssh_config);
    fanout->host_keys = host_keys_new();
    fanout->resolvers = worker_pool_new(loop, RESOLVERS);
    fanout->signers = worker_pool_new(loop, SIGNERS);
    fanout->keys = keyring_new(loop, fanout->signers);
    fanout->agent = agent_new(loop);
    TAILQ_INIT(&fanout->sessions);
    TAILQ_INIT(&fanout->questions);
    TAILQ_INIT(&fanout->over);
    ev_timer_init(&fanout->reaper, reap, 0, 0);
    fanout->reaper.data = fanout;
    return fanout;
}

static void question_free(struct fanout *fanout, struct question *question)
{
    TAILQ_REMOVE(&fanout->questions, question, entry);
    secret_free(question->text);
    free(question);
}

static void free_requests(struct fanout *fanout)
{
    struct fanout_request *request;
    while ((request = TAILQ_FIRST(&fanout->over))) {
        TAILQ_REMOVE(&fanout->over, request, entry);
        request_free(request);
    }
}

void fanout_free(struct fanout *fanout)
{
    if (!fanout)
        return;
    free_requests(fanout);
    /* Jump hosts go last: the sessions behind them speak through them. */
    for (int bastions = 0; bastions < 2; bastions++) {
        struct fanout_session *session, *next;
        for (session = TAILQ_FIRST(&fanout->sessions); session; session = next) {
            next = TAILQ_NEXT(session, entry);
            if (session->users == 0 || bastions)
                session_free(session);
        }
    }
    free_requests(fanout);
    struct question *question;
    while ((question = TAILQ_FIRST(&fanout->questions)))
        question_free(fanout, question);
    ev_timer_stop(fanout->loop, &fanout->reaper);
    ssh_config_free(fanout->config);
    agent_free(fanout->agent);
    keyring_free(fanout->keys);
    worker_pool_free(fanout->resolvers);
    worker_pool_free(fanout->signers);
    host_keys_free(fanout->host_keys);
    free(fanout->config_file);
    free(fanout);
}

void fanout_reap_soon(struct fanout *fanout)
{
    if (ev_is_active(&fanout->reaper))
        return;
    ev_timer_set(&fanout->reaper, 0, 0);
    ev_timer_start(fanout->loop, &fanout->reaper);
}

static void deliver_answers(struct fanout *fanout)
{
    struct question *question, *next;
    for (question = TAILQ_FIRST(&fanout->questions); question; question = next) {
        next = TAILQ_NEXT(question, entry);
        if (!question->is_answered)
            continue;
        struct question given = *question;
        question->text = NULL;
        question_free(fanout, question);
        given.answered(given.session, given.text);
        secret_free(given.text);
        next = TAILQ_FIRST(&fanout->questions); /* anything may have changed: walk again */
    }
}

/* Nothing is freed but here (and in fanout_free): so a callback of libssh or of the caller may end anything (trap 9). */
static void reap(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct fanout *fanout = timer->data;
    deliver_answers(fanout);
    free_requests(fanout);
    struct fanout_session *session, *next;
    for (session = TAILQ_FIRST(&fanout->sessions); session; session = next) {
        next = TAILQ_NEXT(session, entry);
        if (session->over || session->closing)
            session_tidy(session); /* tells, and may free the session itself, never another one */
        else if (session->phase == PHASE_OPEN)
            requests_start(session);
        else if (session->phase == PHASE_CLOSED)
            requests_fail(session, session->error);
    }
    fanout_admit(fanout);
}

static unsigned handshakes_where(const struct fanout_session *wanted, bool bastion)
{
    unsigned count = 0;
    const struct fanout_session *session;
    TAILQ_FOREACH(session, &wanted->fanout->sessions, entry) {
        if (!session->has_place || !session->target)
            continue;
        count += bastion ? session->bastion == wanted->bastion
                         : session->bastion == wanted->bastion && session->target->port == wanted->target->port &&
                               !strcmp(session->target->host, wanted->target->host);
    }
    return count;
}

static bool may_begin(struct fanout_session *session)
{
    if (session->phase != PHASE_WAITING || session->closing || session->over || !session->target || ev_is_active(&session->timer))
        return false;
    if (session->bastion && session->bastion->phase != PHASE_OPEN)
        return false;
    /* A jump host takes no place from the sessions that wait for it. */
    if (session->fanout->handshakes >= session->fanout->options.window && !session->is_bastion)
        return false;
    if (session->bastion && handshakes_where(session, true) >= session->fanout->options.bastion_window)
        return false;
    return handshakes_where(session, false) < SERVER_WINDOW;
}

void fanout_admit(struct fanout *fanout)
{
    struct fanout_session *session;
    TAILQ_FOREACH(session, &fanout->sessions, entry) {
        if (!may_begin(session))
            continue;
        fanout_take_place(session);
        session_begin(session);
    }
}

void fanout_take_place(struct fanout_session *session)
{
    if (!session->has_place) {
        session->has_place = true;
        session->fanout->handshakes++;
    }
}

void fanout_leave_place(struct fanout_session *session)
{
    if (!session->has_place)
        return;
    session->has_place = false;
    session->fanout->handshakes--;
    fanout_reap_soon(session->fanout);
}

void fanout_put_question(struct fanout_session *session, const struct fanout_question *asked,
                         void (*answered)(struct fanout_session *session, const char *text))
{
    struct fanout *fanout = session->fanout;
    struct question *question = mem_alloc(1, sizeof *question);
    question->id = ++fanout->last_question;
    question->session = session;
    question->answered = answered;
    TAILQ_INSERT_TAIL(&fanout->questions, question, entry);
    if (!fanout->options.ask) {
        question->is_answered = true;
        fanout_reap_soon(fanout);
        return;
    }
    char *prompt = text_safe(asked->prompt);
    struct fanout_question shown = *asked;
    shown.id = question->id;
    shown.prompt = prompt;
    shown.session = session->name;
    shown.target = session->label;
    fanout->options.ask(fanout->options.context, &shown);
    free(prompt);
}

void fanout_answer(struct fanout *fanout, uint64_t id, const char *text)
{
    struct question *question;
    TAILQ_FOREACH(question, &fanout->questions, entry)
        if (question->id == id && !question->is_answered) {
            question->is_answered = true;
            question->text = secret_new(text);
            fanout_reap_soon(fanout);
        }
}

void fanout_drop_questions(struct fanout_session *session)
{
    struct question *question, *next;
    for (question = TAILQ_FIRST(&session->fanout->questions); question; question = next) {
        next = TAILQ_NEXT(question, entry);
        if (question->session == session)
            question_free(session->fanout, question);
    }
}

struct fanout_session *fanout_open(struct fanout *fanout, const char *name, const char *target, const char *host_key,
                                   const struct fanout_session_events *events, void *context)
{
    struct fanout_session *session = session_new(fanout, name, target);
    session->pinned = mem_text(host_key);
    if (events)
        session->events = *events;
    session->context = context;
    return session;
}
