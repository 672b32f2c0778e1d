/* What an engine of wgdeck says it dropped, and who knocked: the answer to "counters=1" on its control socket (engine_counters.h). */
#include <stdlib.h>
#include <string.h>

#include "uapi.h"
#include "wgdeck/clock.h"
#include "wgdeck/engine_counters.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { ANOTHER_ENGINE = -2 };

struct counter_row {
    const char *name;
    size_t offset;
};

static const struct counter_row counters[] = {
#define ROW(name, words) {#name, offsetof(struct engine_counters, name)},
    ENGINE_COUNTERS(ROW)
#undef ROW
};

static const struct counter_row peer_counters[] = {
#define ROW(name, words) {#name, offsetof(struct engine_peer_counters, name)},
    ENGINE_PEER_COUNTERS(ROW)
#undef ROW
};

struct report_parser {
    struct engine_report *report;
    size_t peer_capacity, line;
    bool in_peer, done, has_errno;
    int refused; /* the errno that the engine gave */
};

/* 1: it is one of the table's and was read; 0: it is none of them; -1: it is no number. */
static int read_counter(const struct counter_row *rows, size_t count, void *base, const char *key, const char *value)
{
    unsigned long long number;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, key) != 0)
            continue;
        if (text_to_number(value, UINT64_MAX, &number))
            return -1;
        *(uint64_t *)(void *)((char *)base + rows[i].offset) = number;
        return 1;
    }
    return 0;
}

static int begin_peer(struct report_parser *parser, const char *value)
{
    struct engine_report *report = parser->report;
    MEM_GROW(report->peers, report->peer_count, parser->peer_capacity);
    struct engine_peer_counters *peer = &report->peers[report->peer_count++];
    *peer = (struct engine_peer_counters){0};
    parser->in_peer = true;
    return key_parse_hex(value, &peer->public_key);
}

static int begin_stranger(struct report_parser *parser, const char *value)
{
    struct engine_report *report = parser->report;
    if (report->stranger_count == ENGINE_STRANGERS)
        return -1;
    struct engine_stranger *stranger = &report->strangers[report->stranger_count++];
    *stranger = (struct engine_stranger){0};
    return key_parse_hex(value, &stranger->public_key);
}

static int read_stranger_endpoint(struct engine_stranger *stranger, const char *value)
{
    return device_parse_endpoint(value, &stranger->endpoint);
}

static int read_stranger_count(struct engine_stranger *stranger, const char *value)
{
    unsigned long long number;
    if (text_to_number(value, UINT64_MAX, &number))
        return -1;
    stranger->count = number;
    return 0;
}

static int read_stranger_time(struct engine_stranger *stranger, const char *value)
{
    unsigned long long number;
    if (text_to_number(value, INT64_MAX / CLOCK_SECOND, &number))
        return -1;
    stranger->last = (int64_t)number * CLOCK_SECOND;
    return 0;
}

static int read_stranger(struct report_parser *parser, const char *key, const char *value)
{
    static const struct {
        const char *key;
        int (*read)(struct engine_stranger *stranger, const char *value);
    } rows[] = {
        {"stranger_endpoint", read_stranger_endpoint},
        {"stranger_count", read_stranger_count},
        {"stranger_time", read_stranger_time},
    };
    struct engine_report *report = parser->report;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (!strcmp(rows[i].key, key))
            return report->stranger_count ? rows[i].read(&report->strangers[report->stranger_count - 1], value) : -1;
    return 0; /* a newer engine says more than is known here */
}

static int read_features(struct engine_report *report, const char *value)
{
    size_t length = strlen(value);
    if (length >= sizeof report->features || !text_is_safe(value, length))
        return -1;
    memcpy(report->features, value, length + 1);
    return 0;
}

static int read_errno(struct report_parser *parser, const char *value)
{
    unsigned long long number;
    if (text_to_number(value + (*value == '-'), 4095, &number))
        return -1;
    parser->refused = (int)number;
    parser->has_errno = true;
    return 0;
}

static int read_line(struct report_parser *parser, const char *key, const char *value)
{
    struct engine_report *report = parser->report;
    if (!strcmp(key, "errno"))
        return read_errno(parser, value);
    if (!strcmp(key, "public_key"))
        return begin_peer(parser, value);
    if (parser->in_peer)
        return read_counter(peer_counters, COUNT_OF(peer_counters), &report->peers[report->peer_count - 1], key, value);
    if (!strcmp(key, "features"))
        return read_features(report, value);
    if (!strcmp(key, "stranger"))
        return begin_stranger(parser, value);
    int result = read_counter(counters, COUNT_OF(counters), &report->counters, key, value);
    return result ? result : read_stranger(parser, key, value);
}

static int garbled(const struct report_parser *parser, const char *what, struct err *err)
{
    return err_set(err, "the engine's counters are garbled: line %zu: %s", parser->line, what);
}

static int parse_line(struct report_parser *parser, const char *bytes, size_t length, struct err *err)
{
    char line[UAPI_LINE_SIZE];
    if (length >= sizeof line || memchr(bytes, 0, length))
        return garbled(parser, length >= sizeof line ? "it is too long" : "a NUL byte", err);
    memcpy(line, bytes, length);
    line[length] = '\0';
    char *equals = strchr(line, '=');
    if (!equals)
        return garbled(parser, "no '='", err);
    if (parser->has_errno)
        return garbled(parser, "more behind errno", err);
    *equals = '\0';
    if (read_line(parser, line, equals + 1) >= 0)
        return 0;
    *equals = '=';
    return garbled(parser, line, err);
}

static int compare_peers(const void *a, const void *b)
{
    const struct engine_peer_counters *first = a, *second = b;
    return key_compare(&first->public_key, &second->public_key);
}

static int finish(struct report_parser *parser, struct err *err)
{
    struct engine_report *report = parser->report;
    if (!parser->done || !parser->has_errno)
        return garbled(parser, "it is incomplete", err);
    if (parser->refused)
        return err_set(err, "the engine does not tell its counters: %s", strerror(parser->refused));
    if (report->peer_count > 1)
        qsort(report->peers, report->peer_count, sizeof *report->peers, compare_peers);
    for (size_t i = 1; i < report->peer_count; i++)
        if (!compare_peers(&report->peers[i - 1], &report->peers[i]))
            return garbled(parser, "a peer is there twice", err);
    return 0;
}

static int parse(struct report_parser *parser, const char *bytes, size_t length, struct err *err)
{
    for (size_t at = 0; at < length;) {
        const char *end = memchr(bytes + at, '\n', length - at);
        size_t part = end ? (size_t)(end - bytes) - at : length - at;
        parser->line++;
        if (!end)
            return garbled(parser, "it is incomplete", err);
        if (parser->done)
            return garbled(parser, "more behind the empty line", err);
        if (!part)
            parser->done = true;
        else if (parse_line(parser, bytes + at, part, err))
            return -1;
        at += part + 1;
    }
    return finish(parser, err);
}

static int parse_report(const char *bytes, size_t length, struct engine_report *report, int *refused, struct err *err)
{
    struct report_parser parser = {.report = report};
    *report = (struct engine_report){0};
    int result = parse(&parser, bytes, length, err);
    *refused = parser.refused;
    if (result)
        engine_report_free(report);
    return result;
}

int engine_report_parse(const char *bytes, size_t length, struct engine_report *report, struct err *err)
{
    int refused;
    return parse_report(bytes, length, report, &refused, err);
}

int engine_report_ask(const struct uapi_place *place, const char *name, struct engine_report *report, struct err *err)
{
    static const char request[] = "counters=1\n\n";
    struct buf answer = BUF_EMPTY;
    int refused = 0;
    *report = (struct engine_report){0};
    int result = uapi_ask(place, name, request, sizeof request - 1, &answer, err);
    if (!result && (result = parse_report(buf_text(&answer), answer.length, report, &refused, err)) != 0)
        err_prefix(err, "%s", name);
    buf_free(&answer);
    if (result == UAPI_HUNG_UP || refused) {
        err_set(err, "%s: its engine is not wgdeck's, and does not tell what it drops", name);
        return ANOTHER_ENGINE;
    }
    return result ? -1 : 0;
}

int engine_report_read(const char *name, struct engine_report *report, struct err *err)
{
    return engine_report_ask(&uapi_system_place, name, report, err);
}

void engine_report_free(struct engine_report *report)
{
    free(report->peers);
    *report = (struct engine_report){0};
}
