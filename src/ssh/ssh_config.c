/* Asking ssh -G (ssh_config.h; trap 11: libssh's own parser leaves out half of what people write). One run takes 6 ms, so answers are
 * kept, at most four run at once, and targets that the configuration cannot tell apart share one (ssh_config_class.c). */
#include "ssh_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"
#include "ssh_config_class.h"
#include "wgdeck/buf.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { RUNS_AT_ONCE = 4, ANSWER_LIMIT = 1 << 20, PROBLEM_LIMIT = 4096 };

static const double RUN_DEADLINE = 10;

enum answer_state { ANSWER_WAITING, ANSWER_RUNNING, ANSWER_THERE };

/* What ssh says for one user@host:port, or for a class of hosts. */
struct answer {
    struct ssh_config *config;
    char *key;                       /* class, user and port */
    char *host, *user;
    unsigned port;
    enum answer_state state;
    struct process *process;
    struct ev_timer deadline;        /* Match exec and names that nobody answers for can hang it */
    int ends[2];                     /* stdout, stderr */
    struct ev_io watchers[2];
    struct buf text, problem;
    char *why;                       /* ssh refused */
    bool shared;                     /* the text does not depend on the host's name */
};

struct ssh_config_question {
    struct ssh_config *config;
    char *host, *user;
    unsigned port;
    char *why;                       /* the target itself is wrong */
    struct answer *answer;
    void (*answered)(void *context, struct ssh_target *target, const char *why);
    void *context;
    struct ssh_config_question *next;
};

struct ssh_config {
    struct ev_loop *loop;
    char *file;
    struct ssh_config_class *class;
    struct ssh_config_question *questions, **last;
    struct answer **answers;
    size_t answer_count, answer_capacity;
    struct ev_timer soon;
    unsigned running, runs;
    bool no_ssh;                     /* there is no ssh here */
};

static void pump(struct ev_loop *loop, struct ev_timer *timer, int events);

static void soon(struct ssh_config *config)
{
    if (ev_is_active(&config->soon))
        return;
    ev_timer_set(&config->soon, 0, 0);
    ev_timer_start(config->loop, &config->soon);
}

struct ssh_config *ssh_config_new(struct ev_loop *loop, const char *file)
{
    struct ssh_config *config = mem_alloc(1, sizeof *config);
    config->loop = loop;
    config->file = mem_text(file);
    config->class = ssh_config_class_read(file);
    config->last = &config->questions;
    ev_timer_init(&config->soon, pump, 0, 0);
    config->soon.data = config;
    return config;
}

static void question_free(struct ssh_config_question *question)
{
    free(question->host);
    free(question->user);
    free(question->why);
    free(question);
}

static void close_ends(struct answer *answer)
{
    for (int i = 0; i < 2; i++) {
        if (answer->ends[i] < 0)
            continue;
        ev_io_stop(answer->config->loop, &answer->watchers[i]);
        close(answer->ends[i]);
        answer->ends[i] = -1;
    }
}

static void answer_free(struct answer *answer)
{
    ev_timer_stop(answer->config->loop, &answer->deadline);
    close_ends(answer);
    process_end(answer->process);
    free(answer->key);
    free(answer->host);
    free(answer->user);
    free(answer->why);
    buf_free(&answer->text);
    buf_free(&answer->problem);
    free(answer);
}

void ssh_config_free(struct ssh_config *config)
{
    if (!config)
        return;
    ev_timer_stop(config->loop, &config->soon);
    for (size_t i = 0; i < config->answer_count; i++)
        answer_free(config->answers[i]);
    while (config->questions) {
        struct ssh_config_question *next = config->questions->next;
        question_free(config->questions);
        config->questions = next;
    }
    ssh_config_class_free(config->class);
    free(config->answers);
    free(config->file);
    free(config);
}

unsigned ssh_config_runs(const struct ssh_config *config)
{
    return config->runs;
}

static void answer_there(struct answer *answer, char *why)
{
    close_ends(answer);
    ev_timer_stop(answer->config->loop, &answer->deadline);
    answer->why = why;
    answer->state = ANSWER_THERE;
    answer->config->running--;
    answer->shared = !why && ssh_config_class_shares(buf_text(&answer->text), answer->host);
    soon(answer->config);
}

static void drain(struct answer *answer, int which)
{
    struct buf *buf = which ? &answer->problem : &answer->text;
    size_t limit = which ? PROBLEM_LIMIT : ANSWER_LIMIT;
    char bytes[8192];
    ssize_t got;
    while (answer->ends[which] >= 0 && (got = read(answer->ends[which], bytes, sizeof bytes)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return;
        size_t room = limit - buf->length;
        buf_add(buf, bytes, (size_t)got < room ? (size_t)got : room);
    }
    if (answer->ends[which] < 0)
        return;
    ev_io_stop(answer->config->loop, &answer->watchers[which]);
    close(answer->ends[which]);
    answer->ends[which] = -1;
}

static void end_ready(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    (void)loop, (void)events;
    struct answer *answer = watcher->data;
    drain(answer, watcher == &answer->watchers[1]);
}

static void ended(void *context, int status)
{
    struct answer *answer = context;
    answer->process = NULL;
    drain(answer, 0);
    drain(answer, 1);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        answer_there(answer, NULL);
        return;
    }
    struct buf safe = BUF_EMPTY;
    const char *problem = buf_text(&answer->problem);
    text_add_safe(&safe, problem, strcspn(problem, "\r\n"));
    answer_there(answer, mem_format("ssh -G %s: %s", answer->host, safe.length ? buf_text(&safe) : "failed"));
    buf_free(&safe);
}

static void too_long(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct answer *answer = timer->data;
    process_end(answer->process);
    answer->process = NULL;
    answer_there(answer, mem_format("ssh -G %s: no answer within %g s (does the SSH configuration run something?)", answer->host, RUN_DEADLINE));
}

static void run(struct answer *answer)
{
    struct ssh_config *config = answer->config;
    char port[8];
    char *arguments[16];
    size_t count = 0;
    char program[] = "ssh", show[] = "-G", file[] = "-F", user[] = "-l", number[] = "-p", end[] = "--";
    arguments[count++] = program;
    arguments[count++] = show;
    if (config->file) {
        arguments[count++] = file;
        arguments[count++] = config->file;
    }
    if (answer->user) {
        arguments[count++] = user;
        arguments[count++] = answer->user;
    }
    if (answer->port) {
        snprintf(port, sizeof port, "%u", answer->port % 65536);
        arguments[count++] = number;
        arguments[count++] = port;
    }
    arguments[count++] = end;
    arguments[count++] = answer->host;
    arguments[count] = NULL;
    struct err err = {0};
    int ends[3];
    answer->state = ANSWER_RUNNING;
    config->running++;
    config->runs++;
    answer->process = process_start(config->loop, arguments, ends, ended, answer, &err);
    if (!answer->process) {
        if (access("/usr/bin/ssh", X_OK)) {
            config->no_ssh = true;
            log_verbose("%s: ~/.ssh/config is not read", err.text);
        }
        answer_there(answer, mem_text(err.text));
        return;
    }
    close(ends[0]);
    ev_now_update(config->loop);
    ev_timer_set(&answer->deadline, RUN_DEADLINE, 0);
    ev_timer_start(config->loop, &answer->deadline);
    for (int i = 0; i < 2; i++) {
        answer->ends[i] = ends[i + 1];
        ev_io_init(&answer->watchers[i], end_ready, answer->ends[i], EV_READ);
        answer->watchers[i].data = answer;
        ev_io_start(config->loop, &answer->watchers[i]);
    }
}

static struct answer *answer_find(struct ssh_config *config, const char *key)
{
    for (size_t i = 0; i < config->answer_count; i++)
        if (!strcmp(config->answers[i]->key, key))
            return config->answers[i];
    return NULL;
}

static struct answer *answer_for(struct ssh_config_question *question, bool by_class)
{
    struct ssh_config *config = question->config;
    char *class = by_class ? ssh_config_class_of(config->class, question->host) : NULL;
    char *key = mem_format("%s %s %s %u", class ? "class" : "host", class ? class : question->host, question->user ? question->user : "",
                           question->port);
    free(class);
    struct answer *answer = answer_find(config, key);
    if (answer) {
        free(key);
        return answer;
    }
    answer = mem_alloc(1, sizeof *answer);
    answer->config = config;
    answer->key = key;
    answer->host = mem_text(question->host);
    answer->user = mem_text(question->user);
    answer->port = question->port;
    answer->ends[0] = answer->ends[1] = -1;
    ev_timer_init(&answer->deadline, too_long, 0, 0);
    answer->deadline.data = answer;
    MEM_GROW(config->answers, config->answer_count, config->answer_capacity);
    config->answers[config->answer_count++] = answer;
    return answer;
}

/* The answer that serves this question: that of its class when that says nothing of the host it was asked for, else its own. */
static struct answer *settle(struct ssh_config_question *question)
{
    struct answer *answer = question->answer;
    if (answer->state == ANSWER_THERE && !answer->shared && strcmp(answer->host, question->host))
        answer = question->answer = answer_for(question, false);
    return answer;
}

static struct ssh_target *target_of(struct ssh_config_question *question, struct err *err)
{
    struct answer *answer = question->answer;
    if (question->config->no_ssh)
        return ssh_target_default(question->user, question->host, question->port);
    if (answer->why) {
        err_set(err, "%s", answer->why);
        return NULL;
    }
    if (!strcmp(answer->host, question->host))
        return ssh_target_from_answer(buf_text(&answer->text), question->host, err);
    char *text = ssh_config_class_rename(buf_text(&answer->text), answer->host, question->host);
    struct ssh_target *target = ssh_target_from_answer(text, question->host, err);
    free(text);
    return target;
}

static void deliver(struct ssh_config_question *question)
{
    struct err err = {0};
    struct ssh_target *target = NULL;
    if (question->why)
        err_set(&err, "%s", question->why);
    else
        target = target_of(question, &err);
    void (*answered)(void *, struct ssh_target *, const char *) = question->answered;
    void *context = question->context;
    question_free(question);
    answered(context, target, target ? NULL : err.text);
}

static bool ready(struct ssh_config_question *question)
{
    if (question->why || question->config->no_ssh)
        return true;
    struct answer *answer = settle(question);
    if (answer->state == ANSWER_WAITING && question->config->running < RUNS_AT_ONCE)
        run(answer);
    return answer->state == ANSWER_THERE && (answer->shared || answer->why || !strcmp(answer->host, question->host));
}

static void pump(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop, (void)events;
    struct ssh_config *config = timer->data;
    struct ssh_config_question **at = &config->questions, *first = NULL, **end = &first;
    while (*at) {
        struct ssh_config_question *question = *at;
        if (!ready(question)) {
            at = &question->next;
            continue;
        }
        *at = question->next;
        question->next = NULL;
        *end = question;
        end = &question->next;
    }
    config->last = at;
    while (first) { /* told after the walk: each may ask again */
        struct ssh_config_question *next = first->next;
        deliver(first);
        first = next;
    }
}

struct ssh_config_question *ssh_config_ask(struct ssh_config *config, const char *target,
                                           void (*answered)(void *context, struct ssh_target *target, const char *why), void *context)
{
    struct ssh_config_question *question = mem_alloc(1, sizeof *question);
    struct err err = {0};
    question->config = config;
    question->answered = answered;
    question->context = context;
    if (ssh_target_parse(target, &question->user, &question->host, &question->port, &err))
        question->why = mem_text(err.text);
    else
        question->answer = answer_for(question, true);
    *config->last = question;
    config->last = &question->next;
    soon(config);
    return question;
}

void ssh_config_cancel(struct ssh_config_question *question)
{
    if (!question)
        return;
    struct ssh_config *config = question->config;
    for (struct ssh_config_question **at = &config->questions; *at; at = &(*at)->next) {
        if (*at != question)
            continue;
        *at = question->next;
        if (!*at)
            config->last = at;
        question_free(question);
        return;
    }
}
