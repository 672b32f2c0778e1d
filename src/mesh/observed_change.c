/* What differs between two readings, as JSON, and its merging into the older one. For random readings a and b: merge(a, change(a, b)) is b.
 * A changed member stands under its name with its new value (null: absent now). A list of structs has two members: NAME, items that are
 * new or differ (their key and the members that differ), and NAME_gone, the keys of items that are no more. */
#include "wgdeck/observed.h"

#include <stdlib.h>
#include <string.h>

#include "observed_read.h"
#include "wgdeck/mem.h"

static const char gone_suffix[] = "_gone";

/* Out */

static bool write_members(const struct shape *shape, const void *before, const void *now, struct json *json);

/* One step through two lists in the order of their keys: ONE only before, TWO only now, or both the same item. */
static bool next_pair(const struct field *field, const void *before, const void *now, size_t *i, size_t *j, const void **one,
                      const void **two)
{
    size_t size = field->shape->size, count_before = field_count(field, before), count_now = field_count(field, now);
    const char *items_before = field_items(field, before), *items_now = field_items(field, now);
    *one = *i < count_before ? items_before + *i * size : NULL;
    *two = *j < count_now ? items_now + *j * size : NULL;
    if (!*one && !*two)
        return false;
    int order = !*one ? 1 : !*two ? -1 : shape_compare(field->shape, *one, *two);
    if (order < 0)
        *two = NULL;
    if (order > 0)
        *one = NULL;
    *i += *one != NULL;
    *j += *two != NULL;
    return true;
}

static void write_key(const struct shape *shape, const void *item, struct json *json)
{
    for (size_t i = 0; i < shape->key_count; i++)
        field_write(&shape->fields[i], item, json, shape->fields[i].name);
}

static void write_item(const struct shape *shape, const void *before, const void *now, struct json *json)
{
    json_object(json, NULL);
    if (!before || shape->whole) {
        shape_write(shape, now, false, json);
    } else {
        write_key(shape, now, json);
        write_members(shape, before, now, json);
    }
    json_object_end(json);
}

static void write_list_changes(const struct field *field, const void *before, const void *now, struct json *json)
{
    const void *one, *two;
    bool open = false;
    for (size_t i = 0, j = 0; next_pair(field, before, now, &i, &j, &one, &two);) {
        if (!two || (one && shape_equal(field->shape, one, two)))
            continue;
        if (!open)
            json_list(json, field->name);
        open = true;
        write_item(field->shape, one, two, json);
    }
    if (open)
        json_list_end(json);
}

static void write_list_gone(const struct field *field, const void *before, const void *now, struct json *json)
{
    const void *one, *two;
    bool open = false;
    for (size_t i = 0, j = 0; next_pair(field, before, now, &i, &j, &one, &two);) {
        if (two)
            continue;
        if (!open) {
            char *name = mem_format("%s%s", field->name, gone_suffix);
            json_list(json, name);
            free(name);
        }
        open = true;
        json_object(json, NULL);
        write_key(field->shape, one, json);
        json_object_end(json);
    }
    if (open)
        json_list_end(json);
}

/* Returns whether anything that counts as a change differs. */
static bool write_members(const struct shape *shape, const void *before, const void *now, struct json *json)
{
    bool changed = false;
    for (size_t i = shape->key_count; i < shape->field_count; i++) {
        const struct field *field = &shape->fields[i];
        if (field->deck || field_equal(field, before, now))
            continue;
        changed = changed || !field->silent;
        if (field->kind == FIELD_LIST) {
            write_list_changes(field, before, now, json);
            write_list_gone(field, before, now, json);
        } else {
            field_write(field, now, json, field->name);
        }
    }
    return changed;
}

bool observation_change_to_json(const struct observation *before, const struct observation *now, struct json *json, const char *key)
{
    struct observation copy_before = {0}, copy_now = {0};
    before = observation_unpacked(before, &copy_before);
    now = observation_unpacked(now, &copy_now);
    json_object(json, key);
    bool changed = write_members(&observation_shape, before, now, json);
    json_object_end(json);
    observation_clear(&copy_before);
    observation_clear(&copy_now);
    return changed;
}

/* In */

static int merge_members(struct reader *reader, const struct shape *shape, void *base, const cJSON *change);

/* Where the item with the key of WANTED stands among the first COUNT, or COUNT. */
static size_t find_item(const struct shape *shape, const char *items, size_t count, const void *wanted)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (shape_compare(shape, items + middle * shape->size, wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && shape_compare(shape, items + low * shape->size, wanted) == 0 ? low : count;
}

/* The list while it is changed: the first `ordered` items are in order, new ones stand behind. */
struct list_change {
    const struct field *field;
    char *items;
    size_t count, capacity, ordered;
};

static int merge_item(struct reader *reader, struct list_change *list, void *wanted, const cJSON *change)
{
    const struct shape *shape = list->field->shape;
    shape_clear(shape, wanted);
    if (shape_read_key(reader, shape, wanted, change) != 0)
        return -1;
    size_t at = find_item(shape, list->items, list->ordered, wanted);
    if (at == list->ordered || shape->whole)
        reader->changed = true;
    if (at == list->ordered) {
        if (list->count == list->field->limit)
            return err_set(reader->err, "more than the %zu allowed", list->field->limit);
        if (list->count == list->capacity) {
            list->capacity = list->capacity < 8 ? 8 : list->capacity + list->capacity / 4;
            list->items = mem_resize(list->items, list->capacity, shape->size);
        }
        memset(list->items + list->count++ * shape->size, 0, shape->size);
        return shape_read(reader, shape, list->items + (list->count - 1) * shape->size, change);
    }
    char *item = list->items + at * shape->size;
    if (!shape->whole)
        return merge_members(reader, shape, item, change);
    shape_clear(shape, item);
    return shape_read(reader, shape, item, change);
}

static int merge_list(struct reader *reader, const struct field *field, void *base, const cJSON *changes)
{
    struct list_change list = {.field = field, .items = field_items(field, base), .count = field_count(field, base)};
    list.capacity = list.ordered = list.count;
    if (cJSON_IsNull(changes)) {
        field_clear(field, base);
        reader->changed = true;
        return 0;
    }
    if (!cJSON_IsArray(changes))
        return err_set(reader->err, "%s: not a list", field->name);
    void *wanted = mem_alloc(1, field->shape->size);
    size_t done = 0;
    int result = 0;
    for (const cJSON *change = changes->child; change && result == 0; change = change->next, done++)
        result = merge_item(reader, &list, wanted, change);
    shape_clear(field->shape, wanted);
    free(wanted);
    field_set_items(field, base, list.items, list.count);
    field_order(field, base);
    return result == 0 ? 0 : err_prefix(reader->err, "%s[%zu]", field->name, done - 1);
}

static int mark_gone(struct reader *reader, const struct field *field, const void *base, const cJSON *keys, bool *gone)
{
    const struct shape *shape = field->shape;
    void *wanted = mem_alloc(1, shape->size);
    int result = 0;
    for (const cJSON *key = keys->child; key && result == 0; key = key->next) {
        reader->changed = true;
        shape_clear(shape, wanted);
        result = shape_read_key(reader, shape, wanted, key);
        gone[result == 0 ? find_item(shape, field_items(field, base), field_count(field, base), wanted) : 0] = true;
    }
    shape_clear(shape, wanted);
    free(wanted);
    return result;
}

static int merge_gone(struct reader *reader, const struct field *field, void *base, const cJSON *keys)
{
    if (!cJSON_IsArray(keys))
        return err_set(reader->err, "%s%s: not a list", field->name, gone_suffix);
    size_t count = field_count(field, base), size = field->shape->size, kept = 0;
    bool *gone = mem_alloc(count + 1, sizeof *gone); /* the last one: keys that were never there */
    int result = mark_gone(reader, field, base, keys, gone);
    char *items = field_items(field, base);
    for (size_t i = 0; result == 0 && i < count; i++) {
        if (gone[i]) {
            shape_clear(field->shape, items + i * size);
            continue;
        }
        if (kept != i)
            memcpy(items + kept * size, items + i * size, size);
        kept++;
    }
    free(gone);
    if (result != 0)
        return err_prefix(reader->err, "%s%s", field->name, gone_suffix);
    field_set_items(field, base, items, kept);
    return 0;
}

static const struct field *field_gone(const struct shape *shape, const char *name)
{
    size_t length = strlen(name), suffix = strlen(gone_suffix);
    if (length <= suffix || strcmp(name + length - suffix, gone_suffix) != 0)
        return NULL;
    const struct field *field = shape_field(shape, name, length - suffix);
    return field && field->kind == FIELD_LIST ? field : NULL;
}

static int merge_field(struct reader *reader, const struct field *field, void *base, const cJSON *value)
{
    reader->changed |= !field->counts;
    return field_read(reader, field, base, value);
}

static int merge_members(struct reader *reader, const struct shape *shape, void *base, const cJSON *change)
{
    if (!cJSON_IsObject(change))
        return err_set(reader->err, "%s: not an object", shape->what);
    for (const cJSON *value = change->child; value; value = value->next) {
        const struct field *field = shape_field(shape, value->string, strlen(value->string));
        const struct field *list = field ? NULL : field_gone(shape, value->string);
        int result = 0;
        if (list)
            result = merge_gone(reader, list, base, value);
        else if (field && field->kind == FIELD_LIST)
            result = merge_list(reader, field, base, value);
        else if (field && !field->deck && field >= shape->fields + shape->key_count)
            result = merge_field(reader, field, base, value);
        if (result != 0)
            return -1;
    }
    return 0;
}

int observation_merge(struct observation *observation, const cJSON *change, struct err *err)
{
    struct reader reader = {.trusted = false, .err = err};
    bool packed = observation_is_packed(observation);
    if (observation_merge_counts(observation, change))
        return 0;
    observation_unpack(observation);
    observation_sort(observation);
    int result = merge_members(&reader, &observation_shape, observation, change);
    bool good = result == 0 && observation_fits(observation, err);
    observation->serial += reader.changed || !good;
    if (good && packed)
        observation_pack(observation);
    if (good)
        return 0;
    observation_clear(observation); /* half merged it would be wrong without saying so */
    return -1;
}
