/* Questions on /dev/tty, one at a time, read by the loop. An answer is held in guarded memory. A password goes to the host it was typed for and
 * to no other: one host that was taken over would else collect everybody's. A key file's passphrase, which never leaves this machine, serves all. */
#include "ask.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "wgdeck/buf.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { ANSWER_SIZE = 1024 };

struct question {
    struct question *next;
    uint64_t id;
    enum fanout_question_kind kind;
    char *session, *target, *prompt, *fingerprint, *key_type;
    bool echo;
};

/* A passphrase, and the sessions that it was given to. */
struct kept_secret {
    struct kept_secret *next;
    enum fanout_question_kind kind;
    char *about;       /* the prompt: it names the key file */
    char **given_to;   /* sessions */
    size_t given_count, given_capacity;
    char *text;        /* guarded */
};

struct ask {
    struct ev_loop *loop;
    struct fanout *fanout;
    int tty;
    struct termios cooked;
    bool hidden;              /* echo is off now */
    struct question *first;   /* being asked, if the loop reads */
    struct ev_io readable;
    struct ev_timer soon;     /* answers go out on the next turn of the loop, never inside fanout's own callback */
    struct kept_secret *secrets;
    char *line;               /* guarded */
    size_t length;
};

static bool progress_drawn;

void progress_show(const char *text)
{
    fprintf(stderr, "\r\033[K%s", text);
    progress_drawn = true;
}

void progress_clear(void)
{
    if (progress_drawn)
        fputs("\r\033[K", stderr);
    progress_drawn = false;
}

static void say(struct ask *ask, const struct buf *text)
{
    file_write_all(ask->tty, buf_text(text), text->length);
}

static void echo(struct ask *ask, bool on)
{
    struct termios mode = ask->cooked;
    if (ask->hidden == !on)
        return;
    if (!on)
        mode.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(ask->tty, TCSAFLUSH, &mode);
    ask->hidden = !on;
}

static void free_question(struct question *question)
{
    free(question->session);
    free(question->target);
    free(question->prompt);
    free(question->fingerprint);
    free(question->key_type);
    free(question);
}

/* What a secret belongs to: nothing when it must not be given to another session. */
static char *secret_about(const struct question *question)
{
    return question->kind == QUESTION_PASSPHRASE ? mem_text(question->prompt) : NULL;
}

static bool given_before(const struct kept_secret *secret, const char *session)
{
    for (size_t i = 0; i < secret->given_count; i++)
        if (!strcmp(secret->given_to[i], session))
            return true;
    return false;
}

static void note_given(struct kept_secret *secret, const char *session)
{
    MEM_GROW(secret->given_to, secret->given_count, secret->given_capacity);
    secret->given_to[secret->given_count++] = mem_text(session);
}

static struct kept_secret *find_secret(struct ask *ask, const struct question *question)
{
    char *about = secret_about(question);
    struct kept_secret *secret = about ? ask->secrets : NULL;
    while (secret && (secret->kind != question->kind || strcmp(secret->about, about) || given_before(secret, question->session)))
        secret = secret->next;
    free(about);
    return secret;
}

static void keep_secret(struct ask *ask, const struct question *question, const char *text)
{
    char *about = secret_about(question);
    if (!about)
        return;
    struct kept_secret *secret = mem_alloc(1, sizeof *secret);
    secret->kind = question->kind;
    secret->about = about;
    secret->text = sodium_malloc(ANSWER_SIZE);
    if (!secret->text) {
        free(about);
        free(secret);
        return;
    }
    snprintf(secret->text, ANSWER_SIZE, "%s", text);
    sodium_mprotect_readonly(secret->text);
    note_given(secret, question->session);
    secret->next = ask->secrets; /* the newest first: an older one was wrong somewhere */
    ask->secrets = secret;
}

static void print_question(struct ask *ask, const struct question *question)
{
    struct buf text = BUF_EMPTY;
    switch (question->kind) {
    case QUESTION_HOST_KEY:
        buf_add_format(&text, "The host key of %s (%s) is not known:\n  %s %s\nIs it the right one? (yes/no) ", question->session, question->target,
                       question->key_type, question->fingerprint);
        break;
    case QUESTION_PASSWORD:
        buf_add_format(&text, "%s: password for %s: ", question->session, question->target);
        break;
    case QUESTION_SUDO:
        buf_add_format(&text, "%s: password for sudo as %s: ", question->session, question->target);
        break;
    case QUESTION_PASSPHRASE:
    case QUESTION_CHALLENGE:
        buf_add_format(&text, "%s: %s", question->session, question->prompt);
        if (text.data[text.length - 1] != ' ')
            buf_add_char(&text, ' ');
        break;
    }
    say(ask, &text);
    buf_free(&text);
}

static void next_question(struct ask *ask)
{
    while (ask->first) {
        struct kept_secret *secret = find_secret(ask, ask->first);
        if (!secret)
            break;
        note_given(secret, ask->first->session);
        struct question *done = ask->first;
        ask->first = done->next;
        fanout_answer(ask->fanout, done->id, secret->text);
        free_question(done);
    }
    if (!ask->first) {
        echo(ask, true);
        ev_io_stop(ask->loop, &ask->readable);
        return;
    }
    progress_clear();
    echo(ask, ask->first->echo || ask->first->kind == QUESTION_HOST_KEY);
    print_question(ask, ask->first);
    ev_io_start(ask->loop, &ask->readable);
}

/* TEXT NULL: end of input, which refuses. */
static void answer(struct ask *ask, const char *text)
{
    struct question *question = ask->first;
    struct buf newline = BUF_EMPTY;
    if (ask->hidden) {
        buf_add_char(&newline, '\n');
        say(ask, &newline);
        buf_free(&newline);
    }
    if (question->kind == QUESTION_HOST_KEY)
        text = text && !strcmp(text, "yes") ? "yes" : "no"; /* nothing but the whole word */
    else if (text && !*text && question->kind != QUESTION_CHALLENGE)
        text = NULL;
    if (text && question->kind != QUESTION_HOST_KEY)
        keep_secret(ask, question, text);
    ask->first = question->next;
    fanout_answer(ask->fanout, question->id, text);
    free_question(question);
    sodium_memzero(ask->line, ANSWER_SIZE);
    ask->length = 0;
    next_question(ask);
}

static void on_readable(struct ev_loop *loop, struct ev_io *watcher, int events)
{
    struct ask *ask = watcher->data;
    (void)loop;
    (void)events;
    ssize_t got = read(ask->tty, ask->line + ask->length, ANSWER_SIZE - 1 - ask->length);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || !ask->first) {
        if (ask->first)
            answer(ask, NULL);
        return;
    }
    ask->length += (size_t)got;
    char *end = memchr(ask->line, '\n', ask->length);
    if (!end && ask->length < ANSWER_SIZE - 1)
        return;
    if (end)
        *end = '\0';
    answer(ask, end ? ask->line : NULL); /* a line that does not fit is refused */
}

static void on_soon(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct ask *ask = timer->data;
    (void)loop;
    (void)events;
    if (ask->first && !ev_is_active(&ask->readable))
        next_question(ask);
}

struct ask *ask_new(struct ev_loop *loop)
{
    struct termios cooked;
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (tty < 0)
        return NULL;
    /* A background job would be stopped by the first question. */
    if (tcgetattr(tty, &cooked) < 0 || tcgetpgrp(tty) != getpgrp() || sodium_init() < 0) {
        close(tty);
        return NULL;
    }
    struct ask *ask = mem_alloc(1, sizeof *ask);
    ask->loop = loop;
    ask->tty = tty;
    ask->cooked = cooked;
    ask->line = sodium_malloc(ANSWER_SIZE);
    if (!ask->line) {
        close(tty);
        free(ask);
        return NULL;
    }
    ev_io_init(&ask->readable, on_readable, tty, EV_READ);
    ev_timer_init(&ask->soon, on_soon, 0, 0);
    ask->readable.data = ask->soon.data = ask;
    return ask;
}

void ask_attach(struct ask *ask, struct fanout *fanout)
{
    ask->fanout = fanout;
}

static char *copy_safe(const char *text)
{
    return text ? text_safe(text) : mem_text("");
}

void ask_question(void *context, const struct fanout_question *asked)
{
    struct ask *ask = context;
    struct question *question = mem_alloc(1, sizeof *question), **end = &ask->first;
    *question = (struct question){.id = asked->id, .kind = asked->kind, .echo = asked->echo, .session = copy_safe(asked->session),
                                  .target = copy_safe(asked->target), .prompt = copy_safe(asked->prompt),
                                  .fingerprint = copy_safe(asked->fingerprint), .key_type = copy_safe(asked->key_type)};
    while (*end)
        end = &(*end)->next;
    *end = question;
    if (!ev_is_active(&ask->soon)) {
        ev_timer_set(&ask->soon, 0, 0);
        ev_timer_start(ask->loop, &ask->soon);
    }
}

bool ask_pending(const struct ask *ask)
{
    return ask && ask->first;
}

void ask_free(struct ask *ask)
{
    if (!ask)
        return;
    echo(ask, true);
    ev_io_stop(ask->loop, &ask->readable);
    ev_timer_stop(ask->loop, &ask->soon);
    while (ask->first) {
        struct question *next = ask->first->next;
        free_question(ask->first);
        ask->first = next;
    }
    while (ask->secrets) {
        struct kept_secret *secret = ask->secrets;
        ask->secrets = secret->next;
        sodium_free(secret->text);
        for (size_t i = 0; i < secret->given_count; i++)
            free(secret->given_to[i]);
        free(secret->given_to);
        free(secret->about);
        free(secret);
    }
    sodium_free(ask->line);
    close(ask->tty);
    free(ask);
}
