/* What can be done with any struct whose members stand in a table: freed, copied, compared, brought into order. */
#include "observed_shape.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

void *field_at(const struct field *field, void *base)
{
    return (char *)base + field->offset;
}

const void *field_in(const struct field *field, const void *base)
{
    return (const char *)base + field->offset;
}

/* Pointers of any type are read and written bytewise: the table does not know their types. */
void *field_items(const struct field *field, const void *base)
{
    void *items;
    memcpy(&items, field_in(field, base), sizeof items);
    return items;
}

static void set_pointer(const struct field *field, void *base, void *pointer)
{
    memcpy(field_at(field, base), &pointer, sizeof pointer);
}

static const struct device *hosts_device(const struct field *field, const void *base)
{
    return (const void *)((const char *)base + field->other);
}

size_t field_count(const struct field *field, const void *base)
{
    if (field->kind == FIELD_HOSTS)
        return field_items(field, base) ? hosts_device(field, base)->peer_count : 0;
    return *(const size_t *)(const void *)((const char *)base + field->other);
}

void field_set_items(const struct field *field, void *base, void *items, size_t count)
{
    set_pointer(field, base, items);
    *(size_t *)(void *)((char *)base + field->other) = count;
}

static size_t scalar_size(enum field_kind kind)
{
    switch (kind) {
    case FIELD_BOOL:
        return sizeof(bool);
    case FIELD_U16:
        return sizeof(uint16_t);
    case FIELD_U32:
        return sizeof(uint32_t);
    case FIELD_U64:
        return sizeof(uint64_t);
    case FIELD_I32:
        return sizeof(int32_t);
    case FIELD_I64:
        return sizeof(int64_t);
    case FIELD_WORD:
        return sizeof(enum engine_kind);
    case FIELD_NAME:
        return IFNAMSIZ;
    case FIELD_LABEL:
        return OBSERVED_LABEL;
    case FIELD_KEY:
        return sizeof(struct key);
    case FIELD_HASH:
        return KEY_HASH_SIZE;
    case FIELD_ENDPOINT:
        return sizeof(struct endpoint);
    case FIELD_ADDRESS:
        return sizeof(struct address);
    case FIELD_PREFIX:
        return sizeof(struct prefix);
    default:
        return 0;
    }
}

static size_t item_size(const struct field *field)
{
    if (field->kind == FIELD_LIST)
        return field->shape->size;
    return field->kind == FIELD_TEXTS ? sizeof(char *) : sizeof(struct prefix);
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; texts && i < count; i++)
        free(texts[i]);
    free(texts);
}

void field_clear(const struct field *field, void *base)
{
    void *at = field_at(field, base);
    switch (field->kind) {
    case FIELD_TEXT:
        free(field_items(field, base));
        set_pointer(field, base, NULL);
        return;
    case FIELD_HOSTS:
        free_texts(field_items(field, base), field_count(field, base));
        set_pointer(field, base, NULL);
        return;
    case FIELD_TEXTS:
        free_texts(field_items(field, base), field_count(field, base));
        field_set_items(field, base, NULL, 0);
        return;
    case FIELD_LIST: {
        char *items = field_items(field, base);
        for (size_t i = 0; i < field_count(field, base); i++)
            shape_clear(field->shape, items + i * field->shape->size);
    } /* fall through */
    case FIELD_PREFIXES:
        free(field_items(field, base));
        field_set_items(field, base, NULL, 0);
        return;
    case FIELD_NETWORKS:
        device_free_allowed(base);
        return;
    case FIELD_STRUCT:
        shape_clear(field->shape, at);
        return;
    case FIELD_I32:
        *(int32_t *)at = (int32_t)field->absent;
        return;
    case FIELD_I64:
        *(int64_t *)at = field->absent;
        return;
    case FIELD_HASH:
        *((bool *)base + field->other) = false; /* fall through */
    default:
        memset(at, 0, scalar_size(field->kind));
    }
}

void shape_clear(const struct shape *shape, void *base)
{
    /* The hosts are counted by their device, so they go before it: members are cleared from the last to the first. */
    for (size_t i = shape->field_count; i-- > 0;)
        field_clear(&shape->fields[i], base);
}

static bool hash_given(const struct field *field, const void *base)
{
    return *((const bool *)base + field->other);
}

static bool shape_is_absent(const struct shape *shape, const void *base)
{
    for (size_t i = 0; i < shape->field_count; i++)
        if (!field_is_absent(&shape->fields[i], base))
            return false;
    return true;
}

bool field_is_absent(const struct field *field, const void *base)
{
    const void *at = field_in(field, base);
    static const char zero[OBSERVED_LABEL];
    switch (field->kind) {
    case FIELD_TEXT:
    case FIELD_HOSTS:
        return !field_items(field, base);
    case FIELD_TEXTS:
    case FIELD_LIST:
    case FIELD_PREFIXES:
    case FIELD_NETWORKS:
        return field_count(field, base) == 0;
    case FIELD_STRUCT:
        return shape_is_absent(field->shape, at);
    case FIELD_I32:
        return *(const int32_t *)at == (int32_t)field->absent;
    case FIELD_I64:
        return *(const int64_t *)at == field->absent;
    case FIELD_HASH:
        return !hash_given(field, base);
    case FIELD_NAME:
    case FIELD_LABEL:
        return *(const char *)at == '\0';
    case FIELD_ENDPOINT: /* port 0, which netlink lets anyone set, has no text form that can be read back */
        return ((const struct endpoint *)at)->address.family == 0 || ((const struct endpoint *)at)->port == 0;
    case FIELD_ADDRESS:
    case FIELD_PREFIX:
        return *(const uint8_t *)at == 0;
    default:
        return memcmp(at, zero, scalar_size(field->kind)) == 0;
    }
}

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool address_same(const struct address *a, const struct address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool prefixes_equal(const struct prefix *a, const struct prefix *b, size_t count)
{
    if (a == b)
        return true;
    for (size_t i = 0; i < count; i++)
        if (a[i].length != b[i].length || !address_same(&a[i].address, &b[i].address))
            return false;
    return true;
}

static bool items_equal(const struct field *field, const void *a, const void *b)
{
    size_t count = field_count(field, a);
    if (count != field_count(field, b))
        return false;
    const char *one = field_items(field, a), *two = field_items(field, b);
    if (field->kind == FIELD_PREFIXES || field->kind == FIELD_NETWORKS)
        return prefixes_equal((const void *)one, (const void *)two, count);
    for (size_t i = 0; i < count; i++) {
        bool equal = field->kind == FIELD_LIST
                         ? shape_equal(field->shape, one + i * field->shape->size, two + i * field->shape->size)
                         : text_equal(((char *const *)(const void *)one)[i], ((char *const *)(const void *)two)[i]);
        if (!equal)
            return false;
    }
    return true;
}

/* Names compare as texts: what stands behind the NUL is chance. */
bool field_equal(const struct field *field, const void *a, const void *b)
{
    const void *one = field_in(field, a), *two = field_in(field, b);
    switch (field->kind) {
    case FIELD_TEXT:
        return text_equal(field_items(field, a), field_items(field, b));
    case FIELD_HOSTS:
    case FIELD_TEXTS:
    case FIELD_LIST:
    case FIELD_PREFIXES:
    case FIELD_NETWORKS:
        return items_equal(field, a, b);
    case FIELD_STRUCT:
        return shape_equal(field->shape, one, two);
    case FIELD_HASH:
        if (hash_given(field, a) != hash_given(field, b))
            return false;
        return !hash_given(field, a) || memcmp(one, two, KEY_HASH_SIZE) == 0;
    case FIELD_NAME:
    case FIELD_LABEL:
        return strncmp(one, two, scalar_size(field->kind)) == 0;
    case FIELD_ENDPOINT:
        return endpoint_equal(one, two);
    case FIELD_ADDRESS:
        return address_same(one, two);
    case FIELD_PREFIX:
        return prefixes_equal(one, two, 1);
    default:
        return memcmp(one, two, scalar_size(field->kind)) == 0;
    }
}

bool shape_equal(const struct shape *shape, const void *a, const void *b)
{
    for (size_t i = 0; i < shape->field_count; i++)
        if (!field_equal(&shape->fields[i], a, b))
            return false;
    return true;
}

bool field_same_settings(const struct field *field, const void *a, const void *b)
{
    if (field->counts)
        return true;
    if (field->kind == FIELD_STRUCT)
        return shape_same_settings(field->shape, field_in(field, a), field_in(field, b));
    if (field->kind != FIELD_LIST)
        return field_equal(field, a, b);
    size_t count = field_count(field, a), size = field->shape->size;
    const char *one = field_items(field, a), *two = field_items(field, b);
    bool same = count == field_count(field, b);
    for (size_t i = 0; same && i < count; i++)
        same = shape_same_settings(field->shape, one + i * size, two + i * size);
    return same;
}

bool shape_same_settings(const struct shape *shape, const void *a, const void *b)
{
    for (size_t i = 0; i < shape->field_count; i++)
        if (!field_same_settings(&shape->fields[i], a, b))
            return false;
    return true;
}

static char **copy_texts(char *const *from, size_t count)
{
    char **texts = count ? mem_alloc(count, sizeof *texts) : NULL;
    for (size_t i = 0; i < count; i++)
        texts[i] = mem_text(from[i]);
    return texts;
}

static void copy_list(const struct field *field, void *to, const void *from)
{
    size_t count = field_count(field, from), size = item_size(field);
    const char *items = field_items(field, from);
    char *copied = NULL;
    if (count && field->kind == FIELD_TEXTS) {
        copied = (void *)copy_texts((char *const *)(const void *)items, count);
    } else if (count) {
        copied = mem_alloc(count, size);
        memcpy(copied, items, count * size);
        for (size_t i = 0; field->kind == FIELD_LIST && i < count; i++)
            shape_copy(field->shape, copied + i * size, items + i * size);
    }
    field_set_items(field, to, copied, count);
}

void shape_copy(const struct shape *shape, void *to, const void *from)
{
    memcpy(to, from, shape->size);
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *field = &shape->fields[i];
        switch (field->kind) {
        case FIELD_TEXT:
            set_pointer(field, to, mem_text(field_items(field, from)));
            break;
        case FIELD_HOSTS:
            set_pointer(field, to, copy_texts(field_items(field, from), field_count(field, from)));
            break;
        case FIELD_STRUCT:
            shape_copy(field->shape, field_at(field, to), field_in(field, from));
            break;
        case FIELD_TEXTS:
        case FIELD_LIST:
        case FIELD_PREFIXES:
            copy_list(field, to, from);
            break;
        case FIELD_NETWORKS:
            device_copy_allowed(to, from);
            break;
        default:
            break;
        }
    }
}

size_t shape_items(const struct shape *shape, const void *base)
{
    size_t items = 0;
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct field *field = &shape->fields[i];
        if (field->kind == FIELD_STRUCT)
            items += shape_items(field->shape, field_in(field, base));
        if (field->kind != FIELD_LIST && field->kind != FIELD_TEXTS && field->kind != FIELD_PREFIXES && field->kind != FIELD_NETWORKS)
            continue;
        size_t count = field_count(field, base);
        const char *list = field_items(field, base);
        items += count;
        for (size_t j = 0; field->kind == FIELD_LIST && j < count; j++)
            items += shape_items(field->shape, list + j * field->shape->size);
    }
    return items;
}

static int prefix_compare_exactly(const struct prefix *a, const struct prefix *b)
{
    int order = prefix_compare(a, b);
    return order ? order : address_compare(&a->address, &b->address);
}

static int field_compare(const struct field *field, const void *a, const void *b)
{
    const void *one = field_in(field, a), *two = field_in(field, b);
    const char *text_one, *text_two;
    switch (field->kind) {
    case FIELD_KEY:
        return memcmp(one, two, KEY_SIZE);
    case FIELD_NAME:
        return strncmp(one, two, IFNAMSIZ);
    case FIELD_ADDRESS:
        return address_compare(one, two);
    case FIELD_PREFIX:
        return prefix_compare_exactly(one, two);
    case FIELD_U32:
        return (*(const uint32_t *)one > *(const uint32_t *)two) - (*(const uint32_t *)one < *(const uint32_t *)two);
    case FIELD_TEXT:
        text_one = field_items(field, a);
        text_two = field_items(field, b);
        return strcmp(text_one ? text_one : "", text_two ? text_two : "");
    default:
        abort(); /* the table names a key member of a kind that has no order */
    }
}

int shape_compare(const struct shape *shape, const void *a, const void *b)
{
    for (size_t i = 0; i < shape->key_count; i++) {
        int order = field_compare(&shape->fields[i], a, b);
        if (order)
            return order;
    }
    return 0;
}

static int compare_items(const void *a, const void *b, void *shape)
{
    return shape_compare(shape, a, b);
}

static int compare_prefixes(const void *a, const void *b, void *unused)
{
    (void)unused;
    return prefix_compare_exactly(a, b);
}

/* Sort COUNT items and drop repeated ones; most often they are in order already. Returns how many are left. */
static size_t order_items(char *items, size_t count, size_t size, int (*compare)(const void *, const void *, void *),
                          const struct shape *shape)
{
    void *context = (void *)(uintptr_t)shape;
    bool ordered = true;
    for (size_t i = 1; ordered && i < count; i++)
        ordered = compare(items + (i - 1) * size, items + i * size, context) < 0;
    if (ordered)
        return count;
    qsort_r(items, count, size, compare, context);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        if (compare(items + (kept - 1) * size, items + i * size, context) == 0) {
            if (shape)
                shape_clear(shape, items + i * size);
            continue;
        }
        if (kept != i)
            memcpy(items + kept * size, items + i * size, size);
        kept++;
    }
    return kept;
}

void field_order(const struct field *field, void *base)
{
    char *items = field->kind == FIELD_NETWORKS || field->kind == FIELD_LIST ? field_items(field, base) : NULL;
    if (field->kind == FIELD_STRUCT)
        shape_order(field->shape, field_at(field, base));
    if (!items)
        return;
    size_t count = field_count(field, base), size = item_size(field);
    if (field->kind == FIELD_NETWORKS) {
        struct prefix *prefixes = (void *)items;
        if (((struct device_peer *)base)->allowed_shared)
            return; /* it was in order when it became so */
        for (size_t i = 0; i < count; i++)
            prefixes[i] = prefix_network(&prefixes[i]);
        count = order_items(items, count, size, compare_prefixes, NULL);
    } else {
        for (size_t i = 0; i < count; i++)
            shape_order(field->shape, items + i * size);
        count = order_items(items, count, size, compare_items, field->shape);
    }
    field_set_items(field, base, items, count);
}

struct host_of_key {
    struct key key;
    char *host;
};

/* The hosts follow their rows into the new order. */
static void order_with_hosts(const struct shape *shape, const struct field *hosts_field, void *base)
{
    char **hosts = field_items(hosts_field, base);
    const struct device *device = hosts_device(hosts_field, base);
    size_t count = hosts ? device->peer_count : 0;
    struct host_of_key *pairs = mem_alloc(count, sizeof *pairs);
    for (size_t i = 0; i < count; i++)
        pairs[i] = (struct host_of_key){device->peers[i].public_key, hosts[i]};
    for (size_t i = 0; i < shape->field_count; i++)
        field_order(&shape->fields[i], base);
    for (size_t i = 0; i < count; i++)
        hosts[i] = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t low = 0, high = device->peer_count;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (memcmp(&device->peers[middle].public_key, &pairs[i].key, KEY_SIZE) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        if (hosts[low])
            free(pairs[i].host); /* a repeated row */
        else
            hosts[low] = pairs[i].host;
    }
    free(pairs);
}

void shape_order(const struct shape *shape, void *base)
{
    for (size_t i = 0; i < shape->field_count; i++)
        if (shape->fields[i].kind == FIELD_HOSTS) {
            order_with_hosts(shape, &shape->fields[i], base);
            return;
        }
    for (size_t i = 0; i < shape->field_count; i++)
        field_order(&shape->fields[i], base);
}
