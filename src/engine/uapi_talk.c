/* One connection of the control socket without its socket: bytes in, lines, requests, answers out. Everything that may hold a key lies in one guarded,
 * locked object that never moves. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "uapi.h"

enum request { REQUEST_NONE, REQUEST_SET, REQUEST_ASK };

struct uapi_talk {
    struct uapi_server *server;
    struct engine *engine;
    size_t *budget;             /* bytes that all talks together may still put into requests */
    size_t request_bytes;       /* of this one */
    enum request request;
    int error;                  /* of REQUEST_ASK */
    bool over;
    struct uapi_set *set;
    enum uapi_question question;
    struct uapi_cursor cursor;
    size_t line_length, in_at, in_length, out_told;
    struct uapi_out out;
    char line[UAPI_LINE];
    char in[16 << 10];
    char out_bytes[UAPI_OUT];
};

struct uapi_talk *uapi_talk_new(struct uapi_server *server, struct engine *engine, size_t *budget)
{
    struct uapi_talk *talk = sodium_malloc(sizeof *talk);
    if (!talk)
        return NULL;
    memset(talk, 0, sizeof *talk);
    talk->server = server;
    talk->engine = engine;
    talk->budget = budget;
    talk->cursor.done = true;
    talk->out = (struct uapi_out){talk->out_bytes, 0, UAPI_OUT};
    return talk;
}

/* What a request of that many bytes takes of the budget. */
static size_t charged(size_t bytes)
{
    return bytes > UAPI_FREE ? bytes - UAPI_FREE : 0;
}

static void forget_request(struct uapi_talk *talk)
{
    uapi_set_free(talk->set);
    talk->set = NULL;
    talk->request = REQUEST_NONE;
    talk->error = 0;
    *talk->budget += charged(talk->request_bytes);
    talk->request_bytes = 0;
}

void uapi_talk_free(struct uapi_talk *talk)
{
    if (!talk)
        return;
    forget_request(talk);
    uapi_cursor_end(&talk->cursor);
    sodium_free(talk);
}

struct uapi_cursor *uapi_talk_cursor(struct uapi_talk *talk)
{
    return talk->cursor.done ? NULL : &talk->cursor;
}

/* --- answers */

/* In one piece: clients read it with one call. The sign: "set" is answered with a negative number, all else with a positive one. */
static void answer_number(struct uapi_talk *talk, int number)
{
    char text[32];
    snprintf(text, sizeof text, "errno=%d\n\n", number);
    uapi_out_add(&talk->out, text);
}

static void refuse(struct uapi_talk *talk, int error)
{
    answer_number(talk, talk->request == REQUEST_SET ? -error : error);
    forget_request(talk);
    talk->over = true;
}

static void finish_request(struct uapi_talk *talk)
{
    if (talk->request == REQUEST_SET)
        answer_number(talk, uapi_set_apply(talk->set, talk->engine, talk->server));
    else if (talk->error)
        answer_number(talk, talk->error);
    else
        uapi_cursor_begin(&talk->cursor, talk->engine, talk->question);
    forget_request(talk);
}

/* --- lines */

static const struct {
    const char *line;
    enum request request;
    enum uapi_question question;
} requests[] = {
    {"set=1", REQUEST_SET, 0},
    {"get=1", REQUEST_ASK, UAPI_GET},
    {"counters=1", REQUEST_ASK, UAPI_COUNTERS},
};

static void begin_request(struct uapi_talk *talk)
{
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        if (strcmp(talk->line, requests[i].line) != 0)
            continue;
        talk->request = requests[i].request;
        talk->question = requests[i].question;
    }
    if (talk->request == REQUEST_SET)
        talk->set = uapi_set_new();
    else if (talk->request == REQUEST_NONE)
        refuse(talk, strchr(talk->line, '=') ? EINVAL : EPROTO);
}

static void end_line(struct uapi_talk *talk)
{
    size_t length = talk->line_length;
    talk->line_length = 0;
    talk->line[length] = '\0';
    if (!length) {
        if (talk->request != REQUEST_NONE)
            finish_request(talk);
        else
            forget_request(talk);
        return;
    }
    if (talk->request == REQUEST_NONE)
        begin_request(talk);
    else if (talk->request == REQUEST_SET)
        uapi_set_line(talk->set, talk->line, length);
    else if (!talk->error)
        talk->error = EINVAL; /* nothing stands behind get=1 */
    sodium_memzero(talk->line, length);
}

/* Takes bytes until an answer is due: the next request is read when that is told. */
static void take_lines(struct uapi_talk *talk)
{
    while (talk->in_at < talk->in_length && !talk->over && talk->cursor.done && talk->out.room - talk->out.length >= UAPI_PIECE) {
        const char *from = talk->in + talk->in_at;
        size_t left = talk->in_length - talk->in_at;
        const char *end = memchr(from, '\n', left);
        size_t part = end ? (size_t)(end - from) : left;
        size_t more = charged(talk->request_bytes + part + 1) - charged(talk->request_bytes);
        if (part >= sizeof talk->line - talk->line_length || more > *talk->budget) {
            refuse(talk, more > *talk->budget ? E2BIG : EPROTO);
            break;
        }
        memcpy(talk->line + talk->line_length, from, part);
        talk->line_length += part;
        talk->in_at += part + (end != NULL);
        talk->request_bytes += part + 1;
        *talk->budget -= more;
        if (end)
            end_line(talk);
    }
    if (talk->in_at == talk->in_length || talk->over) {
        sodium_memzero(talk->in, talk->in_length);
        talk->in_at = talk->in_length = 0;
    }
}

char *uapi_talk_space(struct uapi_talk *talk, size_t *room)
{
    *room = talk->in_length || talk->over ? 0 : sizeof talk->in;
    return talk->in;
}

void uapi_talk_read(struct uapi_talk *talk, size_t length)
{
    talk->in_at = 0;
    talk->in_length = length;
    take_lines(talk);
}

const char *uapi_talk_pending(struct uapi_talk *talk, size_t *length)
{
    if (talk->out_told == talk->out.length) {
        talk->out_told = talk->out.length = 0;
        take_lines(talk);
        uapi_cursor_fill(&talk->cursor, &talk->out);
    }
    *length = talk->out.length - talk->out_told;
    return *length ? talk->out_bytes + talk->out_told : NULL;
}

void uapi_talk_written(struct uapi_talk *talk, size_t length)
{
    talk->out_told += length;
    if (talk->out_told == talk->out.length)
        sodium_memzero(talk->out_bytes, talk->out.length);
}

bool uapi_talk_is_over(const struct uapi_talk *talk)
{
    return talk->over;
}
