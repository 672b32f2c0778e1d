/* An invitation as the hub keeps it (invitation.h): read from the deck's request or from its file, both checked alike, and written again. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "invitation_parts.h"
#include "wgdeck/device.h"
#include "wgdeck/mem.h"
#include "wgdeck/plan.h"
#include "wgdeck/text.h"

const char *const invitation_states[] = {"open", "joining", "used", "expired", "revoked"};

enum { ADDRESSES_MAX = 16, OPERATIONS_MAX = 4096, TEXT_MAX = 255, JOIN_PATIENCE = 60 };
static const int64_t time_most = INT64_MAX / INT64_C(1000000000);

void invitation_record_free(struct invitation_record *record)
{
    free(record->interface);
    free(record->mesh);
    free(record->name);
    free(record->by);
    free(record->public_line);
    free(record->generation);
    free(record->hub);
    free(record->node);
    free(record->addresses);
    free(record->from);
    free(record->hostname);
    free(record->host_key);
    *record = (struct invitation_record){0};
}

static int refuse(struct err *err, const char *member, const char *why)
{
    return err_set(err, "an invitation cannot be read: %s %s", member, why);
}

/* --- operations */

/* What a join needs at each end, and nothing else: the hub's list comes from the operator, but the newcomer's reaches it through the hub. */
static const bool on_hub[PLAN_KIND_COUNT] = {[PLAN_ROW] = true, [PLAN_ROUTE] = true, [PLAN_FORWARDING] = true, [PLAN_FILE] = true};
static const bool on_node[PLAN_KIND_COUNT] = {
    [PLAN_INTERFACE] = true, [PLAN_LISTEN_PORT] = true, [PLAN_MTU] = true, [PLAN_ADDRESS] = true, [PLAN_ROW] = true, [PLAN_ROUTE] = true,
    [PLAN_FILE] = true, [PLAN_SERVICE] = true,
};

static int check_operation(const struct plan_operation *operation, bool is_hub, const struct key *place, const char *member, struct err *err)
{
    if (!(is_hub ? on_hub : on_node)[operation->kind])
        return err_set(err, "an invitation cannot be read: %s has an operation that no join needs (%s)", member, plan_kinds[operation->kind].word);
    if (operation->kind != PLAN_ROW)
        return 0;
    if (is_hub != key_equal(&operation->key, place))
        return refuse(err, member, is_hub ? "has a row that is not the newcomer's" : "has a row of the newcomer itself");
    if (!key_is_zero(&operation->other_key))
        return refuse(err, member, "has a row that takes from another one");
    return 0;
}

/* LIST read and written again, each key FROM as TO (both NULL: as they are). */
static int rewrite(const cJSON *list, const char *member, bool is_hub, const struct key *place, const struct key *key, struct buf *out, struct err *err)
{
    struct json json = json_begin(out);
    const cJSON *item;
    size_t count = 0;
    json_list(&json, NULL);
    cJSON_ArrayForEach(item, list) {
        struct plan_operation operation;
        if (++count > OPERATIONS_MAX)
            return refuse(err, member, "has too many operations");
        if (plan_operation_from_json(item, &operation, err))
            return -1;
        int result = key ? 0 : check_operation(&operation, is_hub, place, member, err);
        if (key && operation.kind == PLAN_ROW && key_equal(&operation.key, place))
            operation.key = *key;
        if (!result)
            plan_operation_to_json(&operation, &json);
        plan_operation_free(&operation);
        if (result)
            return -1;
    }
    json_list_end(&json);
    return 0;
}

int invitation_operations(const char *operations, const struct key *place, const struct key *key, struct buf *list, struct err *err)
{
    cJSON *parsed = json_parse(operations, strlen(operations), err);
    size_t begin = list->length;
    int result = !parsed ? -1 : cJSON_IsArray(parsed) ? rewrite(parsed, "operations", true, place, key, list, err) : refuse(err, "operations", "is no list");
    cJSON_Delete(parsed);
    if (result && list->length > begin) {
        list->length = begin;
        list->data[begin] = '\0';
    }
    return result;
}

static int operations_in(const cJSON *object, const char *member, bool is_hub, const struct key *place, char **text, struct err *err)
{
    const cJSON *list = json_get_list(object, member);
    struct buf out = BUF_EMPTY;
    if (!list)
        return refuse(err, member, "is no list");
    if (rewrite(list, member, is_hub, place, NULL, &out, err)) {
        buf_free(&out);
        return -1;
    }
    *text = buf_take(&out);
    return 0;
}

/* --- in */

static bool is_shown(const char *text)
{
    size_t length = strlen(text);
    return length <= TEXT_MAX && text_is_safe(text, length);
}

static bool is_some(const char *text)
{
    return *text && is_shown(text);
}

static bool is_address(const char *text)
{
    struct address address;
    return !address_parse(text, &address);
}

/* A text that must be there (NEEDED), or may. */
static int text_in(const cJSON *object, const char *member, bool needed, bool (*is_right)(const char *), char **text, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, member);
    if (!item || cJSON_IsNull(item))
        return needed ? refuse(err, member, "is missing") : 0;
    const char *value = json_get_text(object, member, NULL);
    if (!value || !is_right(value))
        return refuse(err, member, "is not what can stand there");
    *text = mem_text(value);
    return 0;
}

static int texts_in(const cJSON *object, struct invitation_record *record, struct err *err)
{
    const struct { const char *member; bool needed; bool (*is_right)(const char *); char **text; } members[] = {
        {"interface", true, device_name_is_valid, &record->interface},
        {"mesh", true, text_is_name, &record->mesh},
        {"name", true, text_is_name, &record->name},
        {"by", true, is_shown, &record->by},
        {"public", true, invitation_is_public_line, &record->public_line},
        {"generation", false, is_some, &record->generation},
        {"from", false, is_address, &record->from},
        {"hostname", false, is_shown, &record->hostname},
        {"host_key", false, invitation_is_host_key, &record->host_key},
    };
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (text_in(object, members[i].member, members[i].needed, members[i].is_right, members[i].text, err))
            return -1;
    return 0;
}

/* A whole number that must be there (NEEDED), or may: then 0. */
static int number_in(const cJSON *object, const char *member, bool needed, int64_t least, int64_t most, int64_t *number, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, member);
    *number = 0;
    if (!item || cJSON_IsNull(item))
        return needed ? refuse(err, member, "is missing") : 0;
    *number = json_get_number(object, member, least, most, -1);
    return *number < 0 ? refuse(err, member, "is no number that can stand there") : 0;
}

static int numbers_in(const cJSON *object, struct invitation_record *record, struct err *err)
{
    int64_t port;
    if (number_in(object, "expires", true, 1, time_most, &record->expires, err) || number_in(object, "made", false, 0, time_most, &record->made, err) ||
        number_in(object, "at", false, 0, time_most, &record->at, err) || number_in(object, "relay_port", false, 0, UINT16_MAX, &port, err))
        return -1;
    record->relay_port = (uint16_t)port;
    record->relay = json_get_bool(object, "relay", false);
    return 0;
}

static int state_in(const cJSON *object, struct invitation_record *record, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "state");
    const char *word = json_get_text(object, "state", "");
    record->state = INVITATION_OPEN;
    if (!item)
        return 0;
    for (size_t i = 0; i < COUNT_OF(invitation_states); i++)
        if (!strcmp(word, invitation_states[i])) {
            record->state = (enum invitation_state)i;
            return 0;
        }
    return refuse(err, "state", "is a word that this program does not know");
}

static int keys_in(const cJSON *object, struct invitation_record *record, struct err *err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "key");
    if (key_parse(json_get_text(object, "place", ""), &record->place) || key_is_zero(&record->place))
        return refuse(err, "place", "is no key");
    if (!item || cJSON_IsNull(item))
        return 0;
    if (key_parse(json_get_text(object, "key", ""), &record->key) || key_is_zero(&record->key))
        return refuse(err, "key", "is no key");
    record->has_key = true;
    return 0;
}

static int addresses_in(const cJSON *object, struct invitation_record *record, struct err *err)
{
    const cJSON *list = json_get_list(object, "addresses"), *item;
    size_t capacity = 0;
    if (!list)
        return refuse(err, "addresses", "is no list");
    cJSON_ArrayForEach(item, list) {
        struct prefix prefix;
        if (record->address_count == ADDRESSES_MAX || !cJSON_IsString(item) || prefix_parse(item->valuestring, &prefix) || prefix.length != address_bits(&prefix.address))
            return refuse(err, "addresses", "has something that is no address");
        MEM_GROW(record->addresses, record->address_count, capacity);
        record->addresses[record->address_count++] = prefix;
    }
    return record->address_count ? 0 : refuse(err, "addresses", "is empty");
}

int invitation_record_read(const cJSON *object, struct invitation_record *record, struct err *err)
{
    *record = (struct invitation_record){0};
    const char *id = json_get_text(object, "invitation", json_get_text(object, "id", "")); /* in a request "id" is the request's */
    if (!invitation_is_id(id))
        return refuse(err, "id", "is no number of an invitation");
    memcpy(record->id, id, sizeof record->id);
    if (!texts_in(object, record, err) && !numbers_in(object, record, err) && !state_in(object, record, err) && !keys_in(object, record, err) &&
        !addresses_in(object, record, err) && !operations_in(object, "hub", true, &record->place, &record->hub, err) &&
        !operations_in(object, "node", false, &record->place, &record->node, err))
        return 0;
    invitation_record_free(record);
    return -1;
}

/* --- out */

static void key_out(struct json *json, const char *member, const struct key *key)
{
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    json_text(json, member, text);
}

static void operations_out(struct json *json, const char *member, const char *text)
{
    cJSON *list = json_parse(text, strlen(text), NULL);
    const cJSON *item;
    json_list(json, member);
    cJSON_ArrayForEach(item, list) {
        struct plan_operation operation;
        if (plan_operation_from_json(item, &operation, NULL))
            continue;
        plan_operation_to_json(&operation, json);
        plan_operation_free(&operation);
    }
    json_list_end(json);
    cJSON_Delete(list);
}

static void addresses_out(const struct invitation_record *record, struct json *json)
{
    json_list(json, "addresses");
    for (size_t i = 0; i < record->address_count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&record->addresses[i], text);
        json_text(json, NULL, text);
    }
    json_list_end(json);
}

/* What the file and the list have in common. */
static void common_out(const struct invitation_record *record, enum invitation_state state, struct json *json)
{
    json_text(json, "id", record->id);
    json_text(json, "name", record->name);
    json_bool(json, "relay", record->relay);
    json_number(json, "made", record->made);
    json_text(json, "by", record->by);
    json_number(json, "expires", record->expires);
    json_text(json, "state", invitation_states[state]);
    addresses_out(record, json);
    if (record->has_key)
        key_out(json, "key", &record->key);
    else
        json_null(json, "key");
    json_text(json, "from", record->from);
    json_text(json, "hostname", record->hostname);
    json_text(json, "host_key", record->host_key);
    if (record->at)
        json_number(json, "at", record->at);
    else
        json_null(json, "at");
}

void invitation_record_write(const struct invitation_record *record, struct json *json)
{
    common_out(record, record->state, json);
    json_text(json, "interface", record->interface);
    json_text(json, "mesh", record->mesh);
    json_text(json, "public", record->public_line);
    json_text(json, "generation", record->generation);
    json_unsigned(json, "relay_port", record->relay_port);
    key_out(json, "place", &record->place);
    operations_out(json, "hub", record->hub);
    operations_out(json, "node", record->node);
}

void invitation_record_show(const struct invitation_record *record, int64_t now, struct json *json)
{
    int64_t until = record->state == INVITATION_JOINING ? record->expires + JOIN_PATIENCE : record->expires; /* who began in time may finish */
    bool over = now >= until && (record->state == INVITATION_OPEN || record->state == INVITATION_JOINING);
    json_object(json, NULL);
    common_out(record, over ? INVITATION_EXPIRED : record->state, json);
    json_object_end(json);
}
