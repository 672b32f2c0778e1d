/* JSON out, streamed into a buffer. Reading is in json_read.c. */
#include "wgdeck/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "wgdeck/text.h"

#define JSON_EXACT INT64_C(9007199254740992) /* 2^53: above it readers that use doubles lose digits */

static bool plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

/* Beyond what JSON demands, characters that a terminal may obey are escaped too: people read JSON on terminals. */
static void add_escaped(struct buf *buf, uint32_t character)
{
    static const char shorts[][2] = {{'"', '"'}, {'\\', '\\'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}, {'\b', 'b'}, {'\f', 'f'}};
    for (size_t i = 0; i < sizeof shorts / sizeof shorts[0]; i++)
        if (character == (unsigned char)shorts[i][0]) {
            buf_add_char(buf, '\\');
            buf_add_char(buf, shorts[i][1]);
            return;
        }
    if (character > 0xFFFF)
        buf_add_format(buf, "\\u%04x\\u%04x", 0xD800 + ((character - 0x10000) >> 10), 0xDC00 + (character & 0x3FF));
    else
        buf_add_format(buf, "\\u%04x", character);
}

static void add_string(struct buf *buf, const char *text, size_t length)
{
    buf_reserve(buf, length + 2);
    buf_add_char(buf, '"');
    for (size_t at = 0; at < length;) {
        size_t run = at;
        while (run < length && plain((unsigned char)text[run]))
            run++;
        buf_add(buf, text + at, run - at);
        at = run;
        if (at == length)
            break;
        uint32_t character;
        size_t used = text_decode(text + at, length - at, &character);
        if (!used)
            buf_add_text(buf, "\xEF\xBF\xBD");
        else if (used == 1 || !text_character_is_safe(character))
            add_escaped(buf, character);
        else
            buf_add(buf, text + at, used);
        at += used ? used : 1;
    }
    buf_add_char(buf, '"');
}

static void begin_item(struct json *json, const char *key)
{
    if (json->comma)
        buf_add_char(json->buf, ',');
    json->comma = true;
    if (!key)
        return;
    add_string(json->buf, key, strlen(key));
    buf_add_char(json->buf, ':');
}

static void open_bracket(struct json *json, const char *key, char bracket)
{
    begin_item(json, key);
    buf_add_char(json->buf, bracket);
    json->comma = false;
}

static void close_bracket(struct json *json, char bracket)
{
    buf_add_char(json->buf, bracket);
    json->comma = true;
}

struct json json_begin(struct buf *buf)
{
    return (struct json){.buf = buf};
}

void json_object(struct json *json, const char *key)
{
    open_bracket(json, key, '{');
}

void json_object_end(struct json *json)
{
    close_bracket(json, '}');
}

void json_list(struct json *json, const char *key)
{
    open_bracket(json, key, '[');
}

void json_list_end(struct json *json)
{
    close_bracket(json, ']');
}

void json_text(struct json *json, const char *key, const char *text)
{
    if (text)
        json_text_part(json, key, text, strlen(text));
    else
        json_null(json, key);
}

void json_text_part(struct json *json, const char *key, const char *text, size_t length)
{
    begin_item(json, key);
    add_string(json->buf, text, length);
}

void json_number(struct json *json, const char *key, int64_t number)
{
    const char *quote = number > JSON_EXACT || number < -JSON_EXACT ? "\"" : "";
    begin_item(json, key);
    buf_add_format(json->buf, "%s%" PRId64 "%s", quote, number, quote);
}

void json_unsigned(struct json *json, const char *key, uint64_t number)
{
    const char *quote = number > (uint64_t)JSON_EXACT ? "\"" : "";
    begin_item(json, key);
    buf_add_format(json->buf, "%s%" PRIu64 "%s", quote, number, quote);
}

void json_decimal(struct json *json, const char *key, double number, int decimals)
{
    begin_item(json, key);
    if (!isfinite(number)) {
        buf_add_text(json->buf, "null");
        return;
    }
    size_t start = json->buf->length;
    buf_add_format(json->buf, "%.*f", decimals < 0 ? 0 : decimals > 17 ? 17 : decimals, number);
    char *comma = strchr(json->buf->data + start, ','); /* the locale's decimal sign */
    if (comma)
        *comma = '.';
}

void json_bool(struct json *json, const char *key, bool value)
{
    begin_item(json, key);
    buf_add_text(json->buf, value ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
    begin_item(json, key);
    buf_add_text(json->buf, "null");
}
