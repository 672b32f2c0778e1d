/* JSON out, streamed into a buffer; JSON in, through cJSON with checked reading. */
#ifndef WGDECK_JSON_H
#define WGDECK_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wgdeck/buf.h"
#include "wgdeck/err.h"

/* Writer: commas and quoting are its business. key NULL inside a list. Strings that are not valid UTF-8 are
 * written with U+FFFD; control characters are escaped. */
struct json {
    struct buf *buf;
    bool comma;      /* the next item needs a comma before it */
};

struct json json_begin(struct buf *buf);
void json_object(struct json *json, const char *key); /* { */
void json_object_end(struct json *json);
void json_list(struct json *json, const char *key);   /* [ */
void json_list_end(struct json *json);
void json_text(struct json *json, const char *key, const char *text); /* NULL text gives null */
void json_text_part(struct json *json, const char *key, const char *text, size_t length);
void json_number(struct json *json, const char *key, int64_t number);
void json_unsigned(struct json *json, const char *key, uint64_t number);
void json_decimal(struct json *json, const char *key, double number, int decimals); /* NaN gives null */
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/* Parse LENGTH bytes that hold exactly one value (deeper than 32 is refused). NULL with err; else cJSON_Delete. */
cJSON *json_parse(const char *bytes, size_t length, struct err *err);

/* Members of an object, type and range checked. The text is borrowed. A missing or wrong member gives the fallback. */
const char *json_get_text(const cJSON *object, const char *key, const char *fallback);
bool json_get_bool(const cJSON *object, const char *key, bool fallback);
/* Whole numbers up to 2^53 as JSON numbers, larger ones as decimal strings (the writer does the same). */
int64_t json_get_number(const cJSON *object, const char *key, int64_t minimum, int64_t maximum, int64_t fallback);
uint64_t json_get_unsigned(const cJSON *object, const char *key, uint64_t fallback);
const cJSON *json_get_list(const cJSON *object, const char *key);   /* NULL if absent or not a list */
const cJSON *json_get_object(const cJSON *object, const char *key); /* NULL if absent or not an object */

#endif
