/* What an engine of wgdeck dropped and why: as text (only what is not 0) and as JSON (all). */
#include "counters_show.h"

#include "wgdeck/clock.h"
#include "wgdeck/engine_counters.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

struct counter_row {
    const char *name, *words;
    size_t offset;
};

static const struct counter_row counters[] = {
#define ROW(name, words) {#name, words, offsetof(struct engine_counters, name)},
    ENGINE_COUNTERS(ROW)
#undef ROW
};

static const struct counter_row peer_counters[] = {
#define ROW(name, words) {#name, words, offsetof(struct engine_peer_counters, name)},
    ENGINE_PEER_COUNTERS(ROW)
#undef ROW
};

static uint64_t count_of(const struct counter_row *row, const void *base)
{
    return *(const uint64_t *)(const void *)((const char *)base + row->offset);
}

/* 1: read; 0: another engine; -1: with a message. */
static int read_report(const struct device *device, struct engine_report *report)
{
    struct err err;
    int result = device->engine == ENGINE_KERNEL ? -2 : engine_report_read(device->name, report, &err);
    if (result == -1)
        log_error("show: %s", err.text);
    return result == 0 ? 1 : result == -2 ? 0 : -1;
}

/* --- text */

static size_t add_counts(struct buf *buf, const struct counter_row *rows, size_t count, const void *base)
{
    size_t shown = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t number = count_of(&rows[i], base);
        if (!number)
            continue;
        buf_add_format(buf, "  %10llu  %s (%s)\n", (unsigned long long)number, rows[i].words, rows[i].name);
        shown++;
    }
    return shown;
}

static void add_stranger(struct buf *buf, const struct engine_stranger *stranger, const struct terminal *terminal)
{
    char key[KEY_TEXT_SIZE], endpoint[ENDPOINT_TEXT_SIZE], age[CLOCK_TEXT_SIZE];
    key_text(&stranger->public_key, key);
    endpoint_text(&stranger->endpoint, endpoint);
    clock_ago_text(clock_wall() - stranger->last, age);
    buf_add_char(buf, '\n');
    add_bold(buf, terminal, "stranger");
    buf_add_format(buf, ": %s (no row here; the key is not proved)\n  from %s, %llu times, last %s\n", key, *endpoint ? endpoint : "(unknown)",
                   (unsigned long long)stranger->count, age);
}

bool counters_add(struct buf *buf, const struct device *device, const struct terminal *terminal)
{
    struct engine_report report;
    int result = read_report(device, &report);
    if (result < 1) {
        if (!result)
            buf_add_format(buf, "\n%s: the engine is not this program's own, and does not count what it drops\n", device->name);
        return result == 0;
    }
    buf_add_char(buf, '\n');
    add_bold(buf, terminal, "dropped");
    buf_add_format(buf, ": %s (uses %s)\n", device->name, *report.features ? report.features : "no offload");
    if (!add_counts(buf, counters, COUNT_OF(counters), &report.counters))
        buf_add_text(buf, "  nothing\n");
    for (size_t i = 0; i < report.peer_count; i++) {
        char key[KEY_TEXT_SIZE];
        key_text(&report.peers[i].public_key, key);
        buf_add_char(buf, '\n');
        add_bold(buf, terminal, "dropped of peer");
        buf_add_format(buf, ": %s\n", key);
        add_counts(buf, peer_counters, COUNT_OF(peer_counters), &report.peers[i]);
    }
    for (size_t i = 0; i < report.stranger_count; i++)
        add_stranger(buf, &report.strangers[i], terminal);
    engine_report_free(&report);
    return true;
}

/* --- JSON */

static void counts_to_json(const struct counter_row *rows, size_t count, const void *base, struct json *json)
{
    for (size_t i = 0; i < count; i++)
        json_unsigned(json, rows[i].name, count_of(&rows[i], base));
}

static void stranger_to_json(const struct engine_stranger *stranger, struct json *json)
{
    char key[KEY_TEXT_SIZE], endpoint[ENDPOINT_TEXT_SIZE];
    key_text(&stranger->public_key, key);
    endpoint_text(&stranger->endpoint, endpoint);
    json_object(json, NULL);
    json_text(json, "public_key", key);
    json_text(json, "endpoint", *endpoint ? endpoint : NULL);
    json_unsigned(json, "count", stranger->count);
    json_decimal(json, "age", (double)(clock_wall() - stranger->last) / (double)CLOCK_SECOND, 1);
    json_object_end(json);
}

bool counters_to_json(const struct device *device, struct json *json)
{
    struct engine_report report;
    int result = read_report(device, &report);
    if (result < 1) {
        json_null(json, "counters");
        return result == 0;
    }
    json_object(json, "counters");
    counts_to_json(counters, COUNT_OF(counters), &report.counters, json);
    json_text(json, "features", report.features);
    json_list(json, "peers");
    for (size_t i = 0; i < report.peer_count; i++) {
        char key[KEY_TEXT_SIZE];
        key_text(&report.peers[i].public_key, key);
        json_object(json, NULL);
        json_text(json, "public_key", key);
        counts_to_json(peer_counters, COUNT_OF(peer_counters), &report.peers[i], json);
        json_object_end(json);
    }
    json_list_end(json);
    json_list(json, "strangers");
    for (size_t i = 0; i < report.stranger_count; i++)
        stranger_to_json(&report.strangers[i], json);
    json_list_end(json);
    json_object_end(json);
    engine_report_free(&report);
    return true;
}
