/* Requests and their answers over a channel of lines (join_parts.h): with the hub, which may be hostile, and with this machine's helper. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "join_parts.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { LINES_MOST = 10000, SAID_MOST = 300 };
static const double look_every = 0.1; /* seconds: whether a signal has come */
double join_haste = 1;

bool join_is_stopped(const volatile sig_atomic_t *stop)
{
    return stop && *stop;
}

bool join_is_own_code(const char *code)
{
    static const char *const own[] = {"lost", "late", "stopped", "garbled"};
    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (!strcmp(code, own[i]))
            return true;
    return false;
}

static cJSON *fail(struct join_talk *talk, const char *code)
{
    snprintf(talk->code, sizeof talk->code, "%s", code);
    return NULL;
}

static int next_line(struct join_talk *talk, int64_t until, struct buf *line, struct err *err)
{
    for (;;) {
        int64_t left = until - clock_steady();
        if (join_is_stopped(talk->stop)) {
            (void)fail(talk, "stopped");
            return err_set(err, "interrupted");
        }
        if (left <= 0) {
            (void)fail(talk, "late");
            return err_set(err, "%s does not answer", talk->who);
        }
        double seconds = (double)left / (double)CLOCK_SECOND;
        buf_clear(line);
        int result = talk->channel.receive(talk->channel.context, seconds < look_every ? seconds : look_every, line, err);
        if (!result)
            return 0;
        if (result < 0) {
            talk->lost = true;
            (void)fail(talk, "lost");
            return -1;
        }
    }
}

/* What the other side says is not ours: made safe, and cut. */
static cJSON *refused(struct join_talk *talk, const cJSON *answer, struct err *err)
{
    const char *error = json_get_text(answer, "error", "it says no, and not why");
    char *cut = mem_text_part(error, strnlen(error, SAID_MOST)), *safe = text_safe(cut);
    char *code = text_safe(json_get_text(answer, "code", "failed"));
    err_set(err, "%s", safe);
    (void)fail(talk, code);
    free(code);
    free(safe);
    free(cut);
    return NULL;
}

static cJSON *answer_of(struct join_talk *talk, int64_t until, struct buf *line, struct err *err)
{
    for (int i = 0; i < LINES_MOST; i++) {
        if (next_line(talk, until, line, err))
            return NULL;
        cJSON *object = json_parse(buf_text(line), line->length, err);
        if (!cJSON_IsObject(object)) {
            cJSON_Delete(object);
            err_set(err, "%s answers with something that cannot be understood", talk->who);
            return fail(talk, "garbled");
        }
        /* Id 0: it could not even read what it was asked. */
        uint64_t id = json_get_unsigned(object, "id", 0);
        bool is_event = cJSON_GetObjectItemCaseSensitive(object, "event") != NULL;
        if (is_event && id == talk->last && talk->event)
            talk->event(talk->context, object);
        if (is_event || (id && id != talk->last)) {
            cJSON_Delete(object);
            continue;
        }
        if (json_get_bool(object, "ok", false) && id)
            return object;
        (void)refused(talk, object, err);
        cJSON_Delete(object);
        return NULL;
    }
    err_set(err, "%s talks without end", talk->who);
    return fail(talk, "garbled");
}

cJSON *join_ask(struct join_talk *talk, const char *members, double seconds, struct err *err)
{
    struct buf line = BUF_EMPTY;
    int64_t until = clock_steady() + (int64_t)(seconds / join_haste * (double)CLOCK_SECOND);
    talk->code[0] = '\0';
    if (!talk->open || talk->lost) {
        err_set(err, "%s is not connected any more", talk->who);
        return fail(talk, "lost");
    }
    buf_add_format(&line, "{\"id\":%llu,%s}", (unsigned long long)++talk->last, members);
    cJSON *answer = NULL;
    if (talk->channel.send(talk->channel.context, buf_text(&line), line.length, err)) {
        talk->lost = true;
        (void)fail(talk, "lost");
    } else {
        answer = answer_of(talk, until, &line, err);
    }
    buf_wipe(&line);
    return answer;
}
