/* JSON in: cJSON builds the tree, but only after one pass over the bytes has refused what cJSON would let through or choke on
 * (NUL characters that cut strings short, invalid UTF-8, deep nesting, more values than anyone honest sends). */
#include "wgdeck/json.h"

#include <math.h>
#include <string.h>

#include "wgdeck/text.h"

enum { JSON_DEPTH = 32, JSON_VALUES = 4000000 };
#define JSON_EXACT 9007199254740992.0 /* 2^53 */

struct scan {
    const char *bytes;
    size_t length, at;
    unsigned depth;
    size_t values;
};

static const char *scan_escape(struct scan *scan)
{
    if (scan->length - scan->at >= 6 && !memcmp(scan->bytes + scan->at, "\\u0000", 6))
        return "a NUL character in a string";
    scan->at += scan->length - scan->at >= 2 ? 2 : 1;
    return NULL;
}

/* From behind the opening quote to behind the closing one. */
static const char *scan_string(struct scan *scan)
{
    while (scan->at < scan->length) {
        unsigned char byte = (unsigned char)scan->bytes[scan->at];
        if (byte == '"') {
            scan->at++;
            return NULL;
        }
        if (byte < 0x20)
            return "a control character in a string";
        if (byte == '\\') {
            const char *wrong = scan_escape(scan);
            if (wrong)
                return wrong;
            continue;
        }
        uint32_t character;
        size_t used = byte < 0x80 ? 1 : text_decode(scan->bytes + scan->at, scan->length - scan->at, &character);
        if (!used)
            return "invalid UTF-8 in a string";
        scan->at += used;
    }
    return "the text ends inside a string";
}

/* Returns what is wrong, or NULL; scan->at tells where. Grammar is cJSON's business. */
static const char *scan_value(struct scan *scan)
{
    while (scan->at < scan->length) {
        unsigned char byte = (unsigned char)scan->bytes[scan->at++];
        const char *wrong = NULL;
        if (byte == '"')
            wrong = scan_string(scan);
        else if (byte == '{' || byte == '[')
            wrong = ++scan->depth > JSON_DEPTH ? "nested too deeply" : NULL;
        else if ((byte == '}' || byte == ']') && scan->depth)
            scan->depth--;
        else if (byte == 0 || byte >= 0x7F)
            wrong = "a byte that is not JSON";
        if (!wrong && (byte == ',' || byte == '{' || byte == '[') && ++scan->values > JSON_VALUES)
            wrong = "too many values";
        if (wrong)
            return wrong;
    }
    return NULL;
}

static bool only_space(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!memchr(" \t\r\n", bytes[i], 4))
            return false;
    return true;
}

cJSON *json_parse(const char *bytes, size_t length, struct err *err)
{
    struct scan scan = {.bytes = bytes, .length = length};
    const char *wrong = scan_value(&scan), *end = bytes;
    if (wrong) {
        err_set(err, "not usable JSON: %s (byte %zu)", wrong, scan.at);
        return NULL;
    }
    if (!length || only_space(bytes, length)) {
        err_set(err, "not JSON: empty");
        return NULL;
    }
    cJSON *root = cJSON_ParseWithLengthOpts(bytes, length, &end, 0);
    size_t used = end >= bytes && end <= bytes + length ? (size_t)(end - bytes) : 0;
    if (!root) {
        err_set(err, "not JSON: wrong or incomplete at byte %zu", used);
        return NULL;
    }
    if (!only_space(bytes + used, length - used)) {
        cJSON_Delete(root);
        err_set(err, "not JSON: more after the value, at byte %zu", used);
        return NULL;
    }
    return root;
}

static const cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const char *json_get_text(const cJSON *object, const char *key, const char *fallback)
{
    const cJSON *item = member(object, key);
    return cJSON_IsString(item) && item->valuestring ? item->valuestring : fallback;
}

bool json_get_bool(const cJSON *object, const char *key, bool fallback)
{
    const cJSON *item = member(object, key);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

/* A whole number as sign and magnitude; 0, or -1. */
static int read_whole(const cJSON *item, bool *negative, uint64_t *magnitude)
{
    if (cJSON_IsNumber(item)) {
        double value = item->valuedouble;
        if (!isfinite(value) || fabs(value) > JSON_EXACT || value != floor(value))
            return -1;
        *negative = value < 0;
        *magnitude = (uint64_t)fabs(value);
        return 0;
    }
    if (!cJSON_IsString(item) || !item->valuestring)
        return -1;
    unsigned long long number;
    *negative = item->valuestring[0] == '-';
    if (text_to_number(item->valuestring + *negative, UINT64_MAX, &number))
        return -1;
    *magnitude = number;
    return 0;
}

int64_t json_get_number(const cJSON *object, const char *key, int64_t minimum, int64_t maximum, int64_t fallback)
{
    bool negative;
    uint64_t magnitude;
    if (read_whole(member(object, key), &negative, &magnitude) || magnitude > (uint64_t)INT64_MAX + negative)
        return fallback;
    int64_t value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return value < minimum || value > maximum ? fallback : value;
}

uint64_t json_get_unsigned(const cJSON *object, const char *key, uint64_t fallback)
{
    bool negative;
    uint64_t magnitude;
    if (read_whole(member(object, key), &negative, &magnitude) || (negative && magnitude))
        return fallback;
    return magnitude;
}

const cJSON *json_get_list(const cJSON *object, const char *key)
{
    const cJSON *item = member(object, key);
    return cJSON_IsArray(item) ? item : NULL;
}

const cJSON *json_get_object(const cJSON *object, const char *key)
{
    const cJSON *item = member(object, key);
    return cJSON_IsObject(item) ? item : NULL;
}
