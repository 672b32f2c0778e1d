/* Short words for people: numbers, times, and the order of names. */
#include "words.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* Three digits that count, and a letter for the thousands. */
static void add_scaled(double value, double step, const char *const *units, size_t count, struct buf *buf)
{
    size_t unit = 0;
    while (value >= step - 0.5 && unit + 1 < count) {
        value /= step;
        unit++;
    }
    buf_add_format(buf, unit && value < 9.95 ? "%.1f%s" : "%.0f%s", value, units[unit]);
}

static bool is_nothing(double rate)
{
    return !(rate >= 0.5) || !isfinite(rate);
}

void words_rate(double bytes_per_second, struct buf *buf)
{
    static const char *const units[] = {" B/s", " kB/s", " MB/s", " GB/s", " TB/s"};
    if (is_nothing(bytes_per_second))
        buf_add_char(buf, '0');
    else
        add_scaled(bytes_per_second, 1000, units, COUNT_OF(units), buf);
}

void words_rate_short(double bytes_per_second, struct buf *buf)
{
    static const char *const units[] = {"", "k", "M", "G", "T"};
    if (is_nothing(bytes_per_second))
        buf_add_char(buf, '0');
    else
        add_scaled(bytes_per_second, 1000, units, COUNT_OF(units), buf);
}

void words_bytes(uint64_t bytes, struct buf *buf)
{
    char text[BYTES_TEXT_SIZE];
    bytes_text(bytes, text);
    buf_add_text(buf, text);
}

void words_age(int64_t nanoseconds, struct buf *buf)
{
    char text[CLOCK_TEXT_SIZE] = "never";
    if (nanoseconds >= 0)
        clock_age_text(nanoseconds, text);
    buf_add_text(buf, text);
}

void words_ago(int64_t nanoseconds, struct buf *buf)
{
    char text[CLOCK_TEXT_SIZE];
    clock_ago_text(nanoseconds < 0 ? 0 : nanoseconds, text);
    buf_add_text(buf, text);
}

static struct tm local_time(int64_t wall)
{
    time_t seconds = (time_t)(wall / CLOCK_SECOND);
    struct tm local = {0};
    localtime_r(&seconds, &local);
    return local;
}

void words_clock(int64_t wall, struct buf *buf)
{
    struct tm local = local_time(wall);
    buf_add_format(buf, "%02d:%02d:%02d", local.tm_hour, local.tm_min, local.tm_sec);
}

void words_date(int64_t wall, struct buf *buf)
{
    struct tm local = local_time(wall);
    buf_add_format(buf, "%04d-%02d-%02d ", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday);
    words_clock(wall, buf);
}

void words_when(int64_t wall, int64_t now, struct buf *buf)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm then = local_time(wall), today = local_time(now);
    if (then.tm_year == today.tm_year && then.tm_yday == today.tm_yday)
        words_clock(wall, buf);
    else
        buf_add_format(buf, "%s %2d %02d:%02d", months[(unsigned)then.tm_mon % 12], then.tm_mday, then.tm_hour, then.tm_min);
}

void words_since(int64_t since, int64_t now, struct buf *buf)
{
    if (!since)
        return;
    words_when(since, now, buf);
    buf_add_text(buf, ", ");
    words_ago(now - since, buf);
}

void words_count(uint64_t number, struct buf *buf)
{
    char digits[24];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number);
    for (size_t i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0)
            buf_add_char(buf, ',');
        buf_add_char(buf, digits[i]);
    }
}

void words_many(uint64_t number, const char *one, const char *many, struct buf *buf)
{
    words_count(number, buf);
    buf_add_format(buf, " %s", number == 1 ? one : many);
}

void words_milliseconds(int64_t nanoseconds, struct buf *buf)
{
    if (nanoseconds < 0)
        return;
    double value = (double)nanoseconds / 1e6;
    buf_add_format(buf, value < 9.95 ? "%.1f ms" : "%.0f ms", value);
}

void words_offset(int64_t nanoseconds, struct buf *buf)
{
    int64_t size = nanoseconds < 0 ? -nanoseconds : nanoseconds;
    char text[CLOCK_TEXT_SIZE];
    if (size < 5 * CLOCK_MILLISECOND) {
        buf_add_char(buf, '0');
        return;
    }
    buf_add_char(buf, nanoseconds < 0 ? '-' : '+');
    if (size < CLOCK_SECOND)
        buf_add_format(buf, "%dms", (int)(size / CLOCK_MILLISECOND));
    else if (size < 60 * CLOCK_SECOND)
        buf_add_format(buf, "%.1fs", (double)size / 1e9);
    else {
        clock_age_text(size, text);
        buf_add_text(buf, text);
    }
}

/* ---- the order of names ------------------------------------------------------------------------------------------ */

static const struct mesh *ranking; /* for qsort; one thread draws */

/* Runs of digits by their number, so that n2 comes before n10. */
static int compare_names(const char *one, const char *other)
{
    while (*one && *other) {
        if (isdigit((unsigned char)*one) && isdigit((unsigned char)*other)) {
            size_t zeros = strspn(one, "0"), other_zeros = strspn(other, "0");
            size_t digits = strspn(one + zeros, "0123456789"), other_digits = strspn(other + other_zeros, "0123456789");
            if (digits != other_digits)
                return digits < other_digits ? -1 : 1;
            int order = strncmp(one + zeros, other + other_zeros, digits);
            if (order)
                return order;
            one += zeros + digits;
            other += other_zeros + other_digits;
            continue;
        }
        int left = tolower((unsigned char)*one), right = tolower((unsigned char)*other);
        if (left != right)
            return left < right ? -1 : 1;
        one++;
        other++;
    }
    return *one ? 1 : *other ? -1 : 0;
}

static int compare_nodes(const void *left, const void *right)
{
    uint32_t one = *(const uint32_t *)left, other = *(const uint32_t *)right;
    int order = compare_names(ranking->nodes[one].name, ranking->nodes[other].name);
    return order ? order : one < other ? -1 : one > other;
}

/* A mesh is known by what is in it: another one may come to lie at the same place. */
static uint64_t fingerprint(const struct mesh *mesh)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < mesh->node_count; i++)
        for (const char *at = mesh->nodes[i].name;; at++) {
            hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
            if (!*at)
                break;
        }
    return hash;
}

uint64_t words_name_rank(const struct scene *scene, size_t node)
{
    static uint32_t *ranks;
    static size_t count;
    static const struct mesh *mesh;
    static uint64_t of, number = UINT64_MAX;
    const struct mesh *wanted = scene->picture.mesh;
    if (node >= wanted->node_count)
        return UINT64_MAX;
    if (scene->privacy)
        return node;
    if (mesh == wanted && count == wanted->node_count && number == scene->number)
        return ranks[node];
    uint64_t print = fingerprint(wanted);
    if (count != wanted->node_count || of != print || !ranks) {
        uint32_t *order = mem_alloc(wanted->node_count, sizeof *order);
        ranks = mem_resize(ranks, wanted->node_count, sizeof *ranks);
        for (size_t i = 0; i < wanted->node_count; i++)
            order[i] = (uint32_t)i;
        ranking = wanted;
        qsort(order, wanted->node_count, sizeof *order, compare_nodes);
        for (size_t i = 0; i < wanted->node_count; i++)
            ranks[order[i]] = (uint32_t)i;
        free(order);
    }
    mesh = wanted;
    count = wanted->node_count;
    of = print;
    number = scene->number;
    return ranks[node];
}
