/* One operation of a plan as a node gets it: to JSON, and read back with everything checked. */
#include <stdlib.h>
#include <string.h>

#include "wgdeck/apply.h"
#include "wgdeck/mem.h"
#include "wgdeck/plan.h"
#include "wgdeck/text.h"

const struct plan_kind_row plan_kinds[PLAN_KIND_COUNT] = {
#define X(name, word, subtractive, title) {word, subtractive, title},
    PLAN_KINDS(X)
#undef X
};

static const char *const preshared_words[] = {"keep", "make", "take", "copy", "none"};
static const char *const engine_words[] = {"auto", "kernel", "embedded"};

void plan_operation_free(struct plan_operation *operation)
{
    free(operation->name);
    free(operation->allowed);
    free(operation->endpoint);
    free(operation->before);
    free(operation->why);
    *operation = (struct plan_operation){0};
}

static bool is_row(enum plan_kind kind)
{
    return kind == PLAN_ROW || kind == PLAN_ROW_MOVE || kind == PLAN_ROW_REMOVE;
}

static bool has_prefix(enum plan_kind kind)
{
    return kind == PLAN_ADDRESS || kind == PLAN_ADDRESS_REMOVE || kind == PLAN_ROUTE || kind == PLAN_ROUTE_REMOVE || kind == PLAN_FORWARDING;
}

/* --- out */

static void key_out(struct json *json, const char *name, const struct key *key)
{
    char text[KEY_TEXT_SIZE];
    if (key_is_zero(key))
        return;
    key_text(key, text);
    json_text(json, name, text);
}

static void prefix_out(struct json *json, const char *name, const struct prefix *prefix)
{
    char text[PREFIX_TEXT_SIZE];
    prefix_text(prefix, text);
    json_text(json, name, text);
}

static void row_out(const struct plan_operation *operation, struct json *json)
{
    json_bool(json, "new", operation->is_new);
    if (operation->set_allowed) {
        json_list(json, "allowed");
        for (size_t i = 0; i < operation->allowed_count; i++)
            prefix_out(json, NULL, &operation->allowed[i]);
        json_list_end(json);
    }
    if (operation->set_endpoint)
        json_text(json, "endpoint", operation->endpoint ? operation->endpoint : "");
    if (operation->endpoint_saved_only)
        json_bool(json, "endpoint_saved_only", true);
    if (operation->set_keepalive)
        json_unsigned(json, "keepalive", operation->keepalive);
    if (operation->preshared != PLAN_PRESHARED_KEEP)
        json_text(json, "preshared", preshared_words[operation->preshared]);
}

void plan_operation_to_json(const struct plan_operation *operation, struct json *json)
{
    json_object(json, NULL);
    json_text(json, "do", plan_kinds[operation->kind].word);
    json_bool(json, "running", operation->running);
    json_bool(json, "saved", operation->saved);
    if (is_row(operation->kind)) {
        key_out(json, "key", &operation->key);
        key_out(json, "other_key", &operation->other_key);
        if (operation->name)
            json_text(json, "name", operation->name);
    }
    if (operation->kind == PLAN_ROW)
        row_out(operation, json);
    if (has_prefix(operation->kind))
        prefix_out(json, "prefix", &operation->prefix);
    if (operation->kind == PLAN_LISTEN_PORT || operation->kind == PLAN_MTU)
        json_unsigned(json, "number", operation->number);
    if (operation->kind == PLAN_INTERFACE)
        json_text(json, "engine", engine_words[operation->engine]);
    json_object_end(json);
}

/* --- in */

static int refuse(struct err *err, const char *member, const char *why)
{
    return err_set(err, "an operation cannot be read: %s %s", member, why);
}

/* The index of the word that member NAME holds; FALLBACK where there is none. -1: another word, or no text. */
static int word_in(const cJSON *object, const char *name, const char *const *words, size_t count, int fallback)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!item)
        return fallback;
    if (!cJSON_IsString(item))
        return -1;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(item->valuestring, words[i]))
            return (int)i;
    return -1;
}

static int kind_in(const cJSON *object, enum plan_kind *kind)
{
    const char *word = json_get_text(object, "do", "");
    for (size_t i = 0; i < PLAN_KIND_COUNT; i++)
        if (!strcmp(word, plan_kinds[i].word)) {
            *kind = (enum plan_kind)i;
            return 0;
        }
    return -1;
}

/* 0; 1: it is not there; -1: it is no key. */
static int key_in(const cJSON *object, const char *name, struct key *key)
{
    const char *text = json_get_text(object, name, NULL);
    if (!cJSON_GetObjectItemCaseSensitive(object, name))
        return 1;
    return text && !key_parse(text, key) && !key_is_zero(key) ? 0 : -1;
}

static bool number_in(const cJSON *object, const char *name, unsigned least, unsigned most, unsigned *number)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= least && item->valuedouble <= most) || item->valuedouble != (double)(unsigned)item->valuedouble)
        return false;
    *number = (unsigned)item->valuedouble;
    return true;
}

/* "HOST:PORT" with an address or a name: letters, digits, '.', '-' and '_' only, since it comes to stand in a file and before the resolver. */
static bool is_endpoint(const char *text)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    struct endpoint endpoint;
    if (!endpoint_parse(text, &endpoint))
        return true;
    const char *colon = strrchr(text, ':');
    unsigned long long port;
    if (!colon || colon == text || colon - text > 253 || text[0] == '-' || text[0] == '.')
        return false;
    return strspn(text, allowed) == (size_t)(colon - text) && !text_to_number(colon + 1, 65535, &port) && port > 0;
}

static int compare(const void *a, const void *b)
{
    return prefix_compare(a, b);
}

static int allowed_in(const cJSON *object, struct plan_operation *operation, struct err *err)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(object, "allowed"), *item;
    if (!list)
        return 0;
    if (!cJSON_IsArray(list))
        return refuse(err, "allowed", "is no list");
    operation->set_allowed = true;
    size_t capacity = 0;
    cJSON_ArrayForEach(item, list) {
        struct prefix prefix;
        if (operation->allowed_count == APPLY_OPERATIONS_MAX || !cJSON_IsString(item) || prefix_parse(item->valuestring, &prefix))
            return refuse(err, "allowed", "has something that is no prefix");
        MEM_GROW(operation->allowed, operation->allowed_count, capacity);
        operation->allowed[operation->allowed_count++] = prefix_network(&prefix);
    }
    if (operation->allowed_count)
        qsort(operation->allowed, operation->allowed_count, sizeof *operation->allowed, compare);
    return 0;
}

static int row_in(const cJSON *object, struct plan_operation *operation, struct err *err)
{
    const char *endpoint = json_get_text(object, "endpoint", NULL);
    unsigned keepalive = 0;
    operation->is_new = json_get_bool(object, "new", false);
    operation->endpoint_saved_only = json_get_bool(object, "endpoint_saved_only", false);
    if (allowed_in(object, operation, err))
        return -1;
    if (cJSON_GetObjectItemCaseSensitive(object, "endpoint")) {
        if (!endpoint || (*endpoint && !is_endpoint(endpoint)))
            return refuse(err, "endpoint", "is no HOST:PORT");
        operation->set_endpoint = true;
        operation->endpoint = *endpoint ? mem_text(endpoint) : NULL;
    }
    if (cJSON_GetObjectItemCaseSensitive(object, "keepalive")) {
        if (!number_in(object, "keepalive", 0, 65535, &keepalive))
            return refuse(err, "keepalive", "is no number of seconds up to 65535");
        operation->set_keepalive = true;
        operation->keepalive = (uint16_t)keepalive;
    }
    int preshared = word_in(object, "preshared", preshared_words, COUNT_OF(preshared_words), PLAN_PRESHARED_KEEP);
    if (preshared < 0)
        return refuse(err, "preshared", "is none of keep, make, take, copy, none");
    operation->preshared = (enum plan_preshared)preshared;
    if (operation->preshared == PLAN_PRESHARED_COPY && key_is_zero(&operation->other_key))
        return refuse(err, "other_key", "is missing");
    return 0;
}

static int keys_in(const cJSON *object, struct plan_operation *operation, struct err *err)
{
    const char *name = json_get_text(object, "name", NULL);
    if (key_in(object, "key", &operation->key))
        return refuse(err, "key", "is no public key");
    int other = key_in(object, "other_key", &operation->other_key);
    if (other < 0 || (other && operation->kind == PLAN_ROW_MOVE))
        return refuse(err, "other_key", "is no public key");
    if (cJSON_GetObjectItemCaseSensitive(object, "name") && (!name || !text_is_name(name)))
        return refuse(err, "name", "is no name");
    operation->name = mem_text(name);
    return 0;
}

static int members_in(const cJSON *object, struct plan_operation *operation, struct err *err)
{
    enum plan_kind kind = operation->kind;
    operation->running = json_get_bool(object, "running", false);
    operation->saved = json_get_bool(object, "saved", false);
    if (is_row(kind) && keys_in(object, operation, err))
        return -1;
    if (kind == PLAN_ROW)
        return row_in(object, operation, err);
    if (has_prefix(kind) && prefix_parse(json_get_text(object, "prefix", ""), &operation->prefix))
        return refuse(err, "prefix", "is none");
    if (kind == PLAN_LISTEN_PORT && !number_in(object, "number", 1, 65535, &operation->number))
        return refuse(err, "number", "is no port");
    if (kind == PLAN_MTU && !number_in(object, "number", 576, 65535, &operation->number))
        return refuse(err, "number", "is no MTU");
    if (kind == PLAN_INTERFACE) {
        int engine = word_in(object, "engine", engine_words, COUNT_OF(engine_words), ENGINE_CHOICE_AUTO);
        if (engine < 0)
            return refuse(err, "engine", "is none of auto, kernel, embedded");
        operation->engine = (enum engine_choice)engine;
    }
    return 0;
}

int plan_operation_from_json(const cJSON *object, struct plan_operation *operation, struct err *err)
{
    *operation = (struct plan_operation){.peer = SIZE_MAX};
    if (!cJSON_IsObject(object))
        return refuse(err, "it", "is no object");
    if (kind_in(object, &operation->kind))
        return refuse(err, "do", "is a word that this program does not know");
    if (!members_in(object, operation, err))
        return 0;
    plan_operation_free(operation);
    return -1;
}
