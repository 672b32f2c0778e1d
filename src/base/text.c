/* Text from outside, made safe to show; patterns; quoting for a shell. Widths are in text_width.c. */
#include "wgdeck/text.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"

/* The first byte tells the length and the lowest character that may be written with it. */
static size_t sequence_length(unsigned char first, uint32_t *bits, uint32_t *lowest)
{
    if (first < 0x80)
        return *bits = first, *lowest = 0, 1;
    if (first >= 0xC2 && first < 0xE0)
        return *bits = first & 0x1F, *lowest = 0x80, 2;
    if (first >= 0xE0 && first < 0xF0)
        return *bits = first & 0x0F, *lowest = 0x800, 3;
    if (first >= 0xF0 && first < 0xF5)
        return *bits = first & 0x07, *lowest = 0x10000, 4;
    return 0;
}

size_t text_decode(const char *bytes, size_t length, uint32_t *character)
{
    uint32_t value = 0, lowest = 0;
    size_t used = length ? sequence_length((unsigned char)bytes[0], &value, &lowest) : 0;
    if (!used || used > length)
        return 0;
    for (size_t i = 1; i < used; i++) {
        unsigned char next = (unsigned char)bytes[i];
        if ((next & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (next & 0x3F);
    }
    if (value < lowest || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
        return 0;
    *character = value;
    return used;
}

bool text_character_is_safe(uint32_t character)
{
    static const struct { uint32_t first, last; } unsafe[] = {
        {0x00, 0x1F},       {0x7F, 0x9F},       {0x061C, 0x061C}, {0x200E, 0x200F},   {0x2028, 0x202E},
        {0x2066, 0x2069},   {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F},
    };
    if (character >= 0x20 && character < 0x7F)
        return true;
    for (size_t i = 0; i < COUNT_OF(unsafe); i++)
        if (character >= unsafe[i].first && character <= unsafe[i].last)
            return false;
    return true;
}

/* How many bytes from the beginning can be shown as they are. */
static size_t safe_run(const char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length) {
        uint32_t character;
        size_t used = text_decode(bytes + at, length - at, &character);
        if (!used || !text_character_is_safe(character))
            break;
        at += used;
    }
    return at;
}

void text_add_safe(struct buf *buf, const char *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        size_t run = safe_run(bytes + at, length - at);
        buf_add(buf, bytes + at, run);
        at += run;
        if (at == length)
            break;
        uint32_t character;
        size_t used = text_decode(bytes + at, length - at, &character);
        if (used > 1)
            buf_add_format(buf, "\\u{%04X}", character);
        else
            buf_add_format(buf, "\\x%02x", (unsigned char)bytes[at]);
        at += used ? used : 1;
    }
}

char *text_safe(const char *text)
{
    if (!text)
        return NULL;
    struct buf buf = BUF_EMPTY;
    text_add_safe(&buf, text, strlen(text));
    return buf_take(&buf);
}

bool text_is_safe(const char *text, size_t length)
{
    return safe_run(text, length) == length;
}

static bool is_alphanumeric(char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

bool text_is_name(const char *text)
{
    size_t length = strnlen(text, 64);
    if (length < 1 || length > 63 || text[0] == '-' || text[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_alphanumeric(text[i]) && !strchr("._-", text[i]))
            return false;
    return true;
}

bool text_matches(const char *patterns, const char *name)
{
    if (!patterns)
        return true;
    bool included = false, any_inclusion = false, any_exclusion = false;
    for (const char *at = patterns; *at;) {
        size_t length = strcspn(at, ",");
        bool excludes = *at == '!';
        char *pattern = mem_text_part(at + excludes, length - excludes);
        bool hit = *pattern && fnmatch(pattern, name, 0) == 0;
        if (*pattern) {
            any_inclusion |= !excludes;
            any_exclusion |= excludes;
        }
        free(pattern);
        if (hit && excludes)
            return false;
        included |= hit;
        at += length + (at[length] == ',');
    }
    return included || (any_exclusion && !any_inclusion);
}

void text_add_quoted(struct buf *buf, const char *text)
{
    buf_add_char(buf, '\'');
    for (;;) {
        size_t run = strcspn(text, "'");
        buf_add(buf, text, run);
        text += run;
        if (!*text)
            break;
        buf_add_text(buf, "'\\''");
        text++;
    }
    buf_add_char(buf, '\'');
}

int text_to_number(const char *text, unsigned long long maximum, unsigned long long *number)
{
    unsigned long long value = 0;
    if (!*text)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        unsigned digit = (unsigned)(*text - '0');
        if (__builtin_mul_overflow(value, 10ULL, &value) || __builtin_add_overflow(value, digit, &value) || value > maximum)
            return -1;
    }
    *number = value;
    return 0;
}

enum { NEAREST_LENGTH = 40 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static char lower(char byte)
{
    return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

/* Damerau-Levenshtein with adjacent swaps (optimal string alignment), case ignored. Both at most NEAREST_LENGTH long. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[NEAREST_LENGTH + 1][NEAREST_LENGTH + 1];
    for (size_t i = 0; i <= a_length; i++)
        rows[i][0] = i;
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++)
        for (size_t j = 1; j <= b_length; j++) {
            size_t differs = lower(a[i - 1]) != lower(b[j - 1]);
            size_t best = smaller(rows[i - 1][j] + 1, rows[i][j - 1] + 1);
            best = smaller(best, rows[i - 1][j - 1] + differs);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
                best = smaller(best, rows[i - 2][j - 2] + 1);
            rows[i][j] = best;
        }
    return rows[a_length][b_length];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t length = strnlen(word, NEAREST_LENGTH + 1), best = SIZE_MAX;
    const char *nearest = NULL;
    if (!length || length > NEAREST_LENGTH)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strnlen(candidates[i], NEAREST_LENGTH + 1);
        if (!other || other > NEAREST_LENGTH)
            continue;
        size_t distance = edit_distance(word, length, candidates[i], other);
        size_t limit = (length > other ? length : other) / 3;
        if (distance <= (limit ? limit : 1) && distance < other && distance < best) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

void bytes_text(uint64_t bytes, char text[static BYTES_TEXT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double value = (double)bytes;
    while (value >= 1023.95 && unit + 1 < COUNT_OF(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(text, BYTES_TEXT_SIZE, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}
