/* The JSON form of an observation, out and in, made from its table. What comes in was written by another machine: every
 * length, range and name is checked before it is used, and every string is made safe to show. */
#include "wgdeck/observed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observed_read.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define EXACT_MAX 9007199254740992.0 /* 2^53: larger numbers are decimal strings, both ways */

/* Out */

static void write_prefixes(const struct field *field, const void *base, struct json *json, const char *key)
{
    const struct prefix *prefixes = field_items(field, base);
    char text[PREFIX_TEXT_SIZE];
    json_list(json, key);
    for (size_t i = 0; i < field_count(field, base); i++) {
        prefix_text(&prefixes[i], text);
        json_text(json, NULL, text);
    }
    json_list_end(json);
}

static void write_texts(const struct field *field, const void *base, struct json *json, const char *key)
{
    char *const *texts = field_items(field, base);
    json_list(json, key);
    for (size_t i = 0; i < field_count(field, base); i++)
        json_text(json, NULL, texts[i]);
    json_list_end(json);
}

static void write_list(const struct field *field, const void *base, struct json *json, const char *key)
{
    const char *items = field_items(field, base);
    json_list(json, key);
    for (size_t i = 0; i < field_count(field, base); i++) {
        json_object(json, NULL);
        shape_write(field->shape, items + i * field->shape->size, false, json);
        json_object_end(json);
    }
    json_list_end(json);
}

static void write_hosts(const struct field *field, const void *base, struct json *json, const char *key)
{
    const struct device *device = (const void *)((const char *)base + field->other);
    char *const *hosts = field_items(field, base);
    char text[KEY_TEXT_SIZE];
    json_object(json, key);
    for (size_t i = 0; i < field_count(field, base); i++) {
        if (!hosts[i])
            continue;
        key_text(&device->peers[i].public_key, text);
        json_text(json, text, hosts[i]);
    }
    json_object_end(json);
}

static void write_hash(const uint8_t *hash, struct json *json, const char *key)
{
    char text[2 * KEY_HASH_SIZE + 1];
    for (size_t i = 0; i < KEY_HASH_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    json_text(json, key, text);
}

/* A kernel's interface names are any bytes; what leaves here is what field_read accepts. */
static void write_name(const char *name, size_t size, struct json *json, const char *key)
{
    struct buf safe = BUF_EMPTY;
    text_add_safe(&safe, name, strnlen(name, size));
    size_t length = safe.length < size ? safe.length : size - 1;
    while (length && length < safe.length && ((unsigned char)safe.data[length] & 0xC0) == 0x80)
        length--;
    json_text_part(json, key, buf_text(&safe), length);
    buf_free(&safe);
}

static void write_text_form(const struct field *field, const void *at, struct json *json, const char *key)
{
    char text[ENDPOINT_TEXT_SIZE + PREFIX_TEXT_SIZE + KEY_TEXT_SIZE];
    if (field->kind == FIELD_KEY)
        key_text(at, text);
    else if (field->kind == FIELD_ENDPOINT)
        endpoint_text(at, text);
    else if (field->kind == FIELD_ADDRESS)
        address_text(at, text);
    else
        prefix_text(at, text);
    json_text(json, key, text);
}

static void write_present(const struct field *field, const void *base, struct json *json, const char *key)
{
    const void *at = field_in(field, base);
    switch (field->kind) {
    case FIELD_BOOL:
        json_bool(json, key, *(const bool *)at);
        return;
    case FIELD_U16:
        json_unsigned(json, key, *(const uint16_t *)at);
        return;
    case FIELD_U32:
        json_unsigned(json, key, *(const uint32_t *)at);
        return;
    case FIELD_U64:
        json_unsigned(json, key, *(const uint64_t *)at);
        return;
    case FIELD_I32:
        json_number(json, key, *(const int32_t *)at);
        return;
    case FIELD_I64:
        json_number(json, key, *(const int64_t *)at);
        return;
    case FIELD_WORD:
        json_text(json, key, field->words[*(const enum engine_kind *)at]);
        return;
    case FIELD_NAME:
        write_name(at, IFNAMSIZ, json, key);
        return;
    case FIELD_LABEL:
        write_name(at, OBSERVED_LABEL, json, key);
        return;
    case FIELD_TEXT:
        json_text(json, key, field_items(field, base));
        return;
    case FIELD_HASH:
        write_hash(at, json, key);
        return;
    case FIELD_PREFIXES:
    case FIELD_NETWORKS:
        write_prefixes(field, base, json, key);
        return;
    case FIELD_TEXTS:
        write_texts(field, base, json, key);
        return;
    case FIELD_LIST:
        write_list(field, base, json, key);
        return;
    case FIELD_HOSTS:
        write_hosts(field, base, json, key);
        return;
    case FIELD_STRUCT:
        json_object(json, key);
        shape_write(field->shape, at, false, json);
        json_object_end(json);
        return;
    default:
        write_text_form(field, at, json, key);
    }
}

void field_write(const struct field *field, const void *base, struct json *json, const char *key)
{
    if (field_is_absent(field, base))
        json_null(json, key);
    else
        write_present(field, base, json, key);
}

void shape_write(const struct shape *shape, const void *base, bool with_deck_fields, struct json *json)
{
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *field = &shape->fields[i];
        bool names_it = shape->key_count && i == 0; /* always there: null for the zero key that a row may have */
        if ((!field->deck || with_deck_fields) && (names_it || !field_is_absent(field, base)))
            field_write(field, base, json, field->name);
    }
}

void observation_to_json(const struct observation *observation, bool with_deck_fields, struct json *json, const char *key)
{
    struct observation copy = {0};
    observation = observation_unpacked(observation, &copy);
    json_object(json, key);
    json_number(json, "schema", 1);
    shape_write(&observation_shape, observation, with_deck_fields, json);
    json_object_end(json);
    observation_clear(&copy);
}

/* In */

static int refuse(struct reader *reader, const char *name, const char *why)
{
    return err_set(reader->err, "%s: %s", name, why);
}

static int read_unsigned(struct reader *reader, const char *name, const cJSON *value, uint64_t maximum, uint64_t *number)
{
    unsigned long long parsed;
    if (cJSON_IsString(value)) {
        if (text_to_number(value->valuestring, maximum, &parsed) != 0)
            return refuse(reader, name, "not a number in its range");
        *number = parsed;
        return 0;
    }
    double found = value->valuedouble;
    if (!cJSON_IsNumber(value) || !(found >= 0) || found > EXACT_MAX || found != floor(found) || (uint64_t)found > maximum)
        return refuse(reader, name, "not a whole number in its range");
    *number = (uint64_t)found;
    return 0;
}

static int read_signed(struct reader *reader, const char *name, const cJSON *value, int64_t *number)
{
    if (cJSON_IsString(value)) {
        const char *text = value->valuestring;
        bool negative = text[0] == '-';
        unsigned long long parsed;
        if (text_to_number(text + negative, (uint64_t)INT64_MAX + negative, &parsed) != 0)
            return refuse(reader, name, "not a number in its range");
        *number = negative ? (int64_t)(-(uint64_t)parsed) : (int64_t)parsed;
        return 0;
    }
    double found = value->valuedouble;
    if (!cJSON_IsNumber(value) || !(fabs(found) <= EXACT_MAX) || found != floor(found))
        return refuse(reader, name, "not a whole number in its range");
    *number = (int64_t)found;
    return 0;
}

static int read_number(struct reader *reader, const struct field *field, void *at, const cJSON *value)
{
    uint64_t maximum = field->kind == FIELD_U16 ? UINT16_MAX : field->kind == FIELD_U32 ? UINT32_MAX : UINT64_MAX;
    uint64_t number = 0;
    int64_t with_sign = 0;
    if (field->kind == FIELD_I32 || field->kind == FIELD_I64) {
        if (read_signed(reader, field->name, value, &with_sign) != 0)
            return -1;
        if (field->kind == FIELD_I64)
            *(int64_t *)at = with_sign;
        else if (with_sign < INT32_MIN || with_sign > INT32_MAX)
            return refuse(reader, field->name, "not a whole number in its range");
        else
            *(int32_t *)at = (int32_t)with_sign;
        return 0;
    }
    if (read_unsigned(reader, field->name, value, maximum, &number) != 0)
        return -1;
    if (field->kind == FIELD_U16)
        *(uint16_t *)at = (uint16_t)number;
    else if (field->kind == FIELD_U32)
        *(uint32_t *)at = (uint32_t)number;
    else
        *(uint64_t *)at = number;
    return 0;
}

/* A word that a newer program knows and this one does not is the first, "unknown". */
static void read_word(const struct field *field, void *at, const char *text)
{
    unsigned found = 0;
    for (unsigned i = 0; field->words[i]; i++)
        if (strcmp(field->words[i], text) == 0)
            found = i;
    *(enum engine_kind *)at = found;
}

static int read_name(struct reader *reader, const char *name, char *at, size_t size, const char *text)
{
    size_t length = strlen(text);
    if (length >= size || !text_is_safe(text, length))
        return refuse(reader, name, size == IFNAMSIZ ? "not a name of at most 15 bytes" : "not a text of at most 63 bytes");
    memset(at, 0, size);
    memcpy(at, text, length);
    return 0;
}

static int hexadecimal(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static int read_hash(uint8_t *hash, const char *text)
{
    if (strlen(text) != 2 * KEY_HASH_SIZE)
        return -1;
    for (size_t i = 0; i < KEY_HASH_SIZE; i++) {
        int high = hexadecimal(text[2 * i]), low = hexadecimal(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return -1;
        hash[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

static int read_safe_text(struct reader *reader, const char *name, const cJSON *value, char **text)
{
    if (!cJSON_IsString(value))
        return refuse(reader, name, "not a string");
    if (strlen(value->valuestring) > OBSERVED_TEXT_MAX)
        return refuse(reader, name, "a string longer than 4096 bytes");
    *text = text_safe(value->valuestring);
    return 0;
}

/* The members that are one string in a form of their own. */
static int read_text_form(struct reader *reader, const struct field *field, void *base, const cJSON *value)
{
    void *at = field_at(field, base);
    if (!cJSON_IsString(value))
        return refuse(reader, field->name, "not a string");
    const char *text = value->valuestring;
    switch (field->kind) {
    case FIELD_WORD:
        read_word(field, at, text);
        return 0;
    case FIELD_NAME:
        return read_name(reader, field->name, at, IFNAMSIZ, text);
    case FIELD_LABEL:
        return read_name(reader, field->name, at, OBSERVED_LABEL, text);
    case FIELD_KEY:
        return key_parse(text, at) == 0 ? 0 : refuse(reader, field->name, "not a key in base64");
    case FIELD_ENDPOINT:
        return endpoint_parse(text, at) == 0 ? 0 : refuse(reader, field->name, "not an address and port");
    case FIELD_ADDRESS:
        return address_parse(text, at) == 0 ? 0 : refuse(reader, field->name, "not an address");
    case FIELD_PREFIX:
        return prefix_parse(text, at) == 0 ? 0 : refuse(reader, field->name, "not an address with a prefix length");
    default:
        if (read_hash(at, text) != 0)
            return refuse(reader, field->name, "not 32 hexadecimal digits");
        *((bool *)base + field->other) = true;
        return 0;
    }
}

/* How many items a list has, at most its limit. */
static int read_count(struct reader *reader, const struct field *field, const cJSON *value, size_t *count)
{
    if (!cJSON_IsArray(value))
        return refuse(reader, field->name, "not a list");
    const cJSON *item;
    *count = 0;
    cJSON_ArrayForEach(item, value)
        ++*count;
    if (*count > field->limit)
        return err_set(reader->err, "%s: %zu items, more than the %zu allowed", field->name, *count, field->limit);
    return 0;
}

static int read_prefixes(struct reader *reader, const struct field *field, void *base, const cJSON *value, size_t count)
{
    struct prefix *prefixes = count ? mem_alloc(count, sizeof *prefixes) : NULL;
    size_t done = 0;
    field_set_items(field, base, prefixes, count);
    for (const cJSON *item = value->child; item; item = item->next)
        if (!cJSON_IsString(item) || prefix_parse(item->valuestring, &prefixes[done++]) != 0)
            return refuse(reader, field->name, "not addresses with prefix lengths");
    return 0;
}

static int read_texts(struct reader *reader, const struct field *field, void *base, const cJSON *value, size_t count)
{
    char **texts = count ? mem_alloc(count, sizeof *texts) : NULL;
    size_t done = 0;
    field_set_items(field, base, texts, count);
    for (const cJSON *item = value->child; item; item = item->next)
        if (read_safe_text(reader, field->name, item, &texts[done++]) != 0)
            return -1;
    return 0;
}

static int read_list(struct reader *reader, const struct field *field, void *base, const cJSON *value, size_t count)
{
    const struct shape *shape = field->shape;
    char *items = count ? mem_alloc(count, shape->size) : NULL;
    size_t done = 0;
    field_set_items(field, base, items, count);
    for (const cJSON *item = value->child; item; item = item->next, done++) {
        char *at = items + done * shape->size;
        if (shape_read_key(reader, shape, at, item) != 0 || shape_read(reader, shape, at, item) != 0)
            return err_prefix(reader->err, "%s[%zu]", field->name, done);
    }
    return 0;
}

/* Read after all other members of its struct, when the rows are known and in order. */
static int read_hosts(struct reader *reader, const struct field *field, void *base, const cJSON *value)
{
    const struct device *device = (const void *)((const char *)base + field->other);
    if (!cJSON_IsObject(value))
        return refuse(reader, field->name, "not an object");
    char **hosts = value->child ? mem_alloc(device->peer_count, sizeof *hosts) : NULL;
    memcpy(field_at(field, base), &hosts, sizeof hosts);
    for (const cJSON *item = value->child; item; item = item->next) {
        struct device_peer wanted;
        if (key_parse(item->string, &wanted.public_key) != 0)
            return refuse(reader, field->name, "not a key in base64");
        const struct device_peer *row = device_find_peer(device, &wanted.public_key);
        if (!row || hosts[row - device->peers])
            return refuse(reader, field->name, "not a key of a row, or twice the same");
        if (read_safe_text(reader, field->name, item, &hosts[row - device->peers]) != 0)
            return -1;
    }
    return 0;
}

static int read_into_cleared(struct reader *reader, const struct field *field, void *base, const cJSON *value)
{
    size_t count = 0;
    char *text = NULL;
    switch (field->kind) {
    case FIELD_BOOL:
        if (!cJSON_IsBool(value))
            return refuse(reader, field->name, "neither true nor false");
        *(bool *)field_at(field, base) = cJSON_IsTrue(value);
        return 0;
    case FIELD_U16:
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_I32:
    case FIELD_I64:
        return read_number(reader, field, field_at(field, base), value);
    case FIELD_TEXT:
        if (read_safe_text(reader, field->name, value, &text) != 0)
            return -1;
        memcpy(field_at(field, base), &text, sizeof text);
        return 0;
    case FIELD_STRUCT:
        if (shape_read(reader, field->shape, field_at(field, base), value) != 0)
            return err_prefix(reader->err, "%s", field->name);
        return 0;
    case FIELD_HOSTS:
        return read_hosts(reader, field, base, value);
    case FIELD_PREFIXES:
    case FIELD_NETWORKS:
        return read_count(reader, field, value, &count) ? -1 : read_prefixes(reader, field, base, value, count);
    case FIELD_TEXTS:
        return read_count(reader, field, value, &count) ? -1 : read_texts(reader, field, base, value, count);
    case FIELD_LIST:
        return read_count(reader, field, value, &count) ? -1 : read_list(reader, field, base, value, count);
    default:
        return read_text_form(reader, field, base, value);
    }
}

int field_read(struct reader *reader, const struct field *field, void *base, const cJSON *value)
{
    field_clear(field, base);
    if (cJSON_IsNull(value))
        return 0;
    int result = read_into_cleared(reader, field, base, value);
    field_order(field, base);
    if (field->kind == FIELD_NETWORKS)
        device_share_allowed(base);
    return result;
}

const struct field *shape_field(const struct shape *shape, const char *name, size_t length)
{
    for (size_t i = 0; i < shape->field_count; i++)
        if (strncmp(shape->fields[i].name, name, length) == 0 && shape->fields[i].name[length] == '\0')
            return &shape->fields[i];
    return NULL;
}

int shape_read(struct reader *reader, const struct shape *shape, void *base, const cJSON *object)
{
    const struct field *hosts = NULL;
    const cJSON *hosts_value = NULL;
    if (!cJSON_IsObject(object))
        return refuse(reader, shape->what, "not an object");
    for (const cJSON *value = object->child; value; value = value->next) {
        const struct field *field = shape_field(shape, value->string, strlen(value->string));
        if (!field || (field->deck && !reader->trusted))
            continue; /* a newer helper may say more than this deck knows */
        if (field->kind == FIELD_HOSTS) {
            hosts = field;
            hosts_value = value;
        } else if (field_read(reader, field, base, value) != 0) {
            return -1;
        }
    }
    return hosts ? field_read(reader, hosts, base, hosts_value) : 0;
}

int shape_read_key(struct reader *reader, const struct shape *shape, void *base, const cJSON *object)
{
    for (size_t i = 0; i < shape->key_count; i++) {
        const struct field *field = &shape->fields[i];
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, field->name);
        if (!value && i > 0)
            continue; /* absent, that is zero */
        if (!value)
            return refuse(reader, field->name, "missing");
        if (field_read(reader, field, base, value) != 0)
            return -1;
    }
    return 0;
}

bool observation_fits(const struct observation *observation, struct err *err)
{
    size_t rows = 0, items = shape_items(&observation_shape, observation);
    for (size_t i = 0; i < observation->device_count; i++)
        rows += observation->devices[i].peer_count;
    if (rows > OBSERVED_ROWS_MAX)
        err_set(err, "%zu rows, more than the %d that are looked at", rows, OBSERVED_ROWS_MAX);
    else if (items > OBSERVED_ITEMS_MAX)
        err_set(err, "%zu rows, prefixes, routes and texts, more than the %d that are looked at", items, OBSERVED_ITEMS_MAX);
    return rows <= OBSERVED_ROWS_MAX && items <= OBSERVED_ITEMS_MAX;
}

int observation_from_json(const cJSON *object, bool trusted, struct observation *observation, struct err *err)
{
    struct reader reader = {.trusted = trusted, .err = err};
    observation_clear(observation);
    if (shape_read(&reader, &observation_shape, observation, object) == 0 && observation_fits(observation, err))
        return 0;
    observation_clear(observation);
    return -1;
}
