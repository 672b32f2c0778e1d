/* The invitations that hubs keep, as they tell them. What a node says is checked, and made safe to show. */
#include <stdlib.h>
#include <string.h>

#include "invite_private.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { ROWS_MOST = 4096, ADDRESSES_MOST = 16 };

static void free_row(struct invite_row *row)
{
    free(row->by);
    free(row->from);
    free(row->hostname);
    free(row->host_key);
    free(row->addresses);
}

void invite_rows_free(struct invite *invite)
{
    for (size_t i = 0; i < invite->row_count; i++)
        free_row(&invite->rows[i]);
    free(invite->rows);
    invite->rows = NULL;
    invite->row_count = invite->row_capacity = 0;
}

static void drop_rows_of(struct invite *invite, size_t hub)
{
    size_t kept = 0;
    for (size_t i = 0; i < invite->row_count; i++)
        if (invite->rows[i].hub == hub)
            free_row(&invite->rows[i]);
        else
            invite->rows[kept++] = invite->rows[i];
    invite->row_count = kept;
}

static bool read_state(const char *word, enum invitation_state *state)
{
    for (size_t i = 0; i <= INVITATION_REVOKED; i++)
        if (!strcmp(word, invitation_states[i])) {
            *state = (enum invitation_state)i;
            return true;
        }
    return false;
}

static bool read_addresses(const cJSON *object, struct invite_row *row)
{
    const cJSON *item;
    size_t capacity = 0;
    cJSON_ArrayForEach(item, json_get_list(object, "addresses")) {
        struct prefix prefix;
        if (row->address_count == ADDRESSES_MOST || !cJSON_IsString(item) || prefix_parse(item->valuestring, &prefix) || prefix.length != address_bits(&prefix.address))
            return false;
        MEM_GROW(row->addresses, row->address_count, capacity);
        row->addresses[row->address_count++] = prefix;
    }
    return row->address_count > 0;
}

static bool read_row(const cJSON *object, struct invite_row *row)
{
    const char *id = json_get_text(object, "id", ""), *name = json_get_text(object, "name", ""), *key = json_get_text(object, "key", NULL);
    if (strlen(id) != INVITATION_ID_LENGTH || strspn(id, "0123456789abcdef") != INVITATION_ID_LENGTH || !text_is_name(name) || !read_state(json_get_text(object, "state", ""), &row->state))
        return false;
    memcpy(row->id, id, sizeof row->id);
    memcpy(row->name, name, strlen(name) + 1);
    row->by = text_safe(json_get_text(object, "by", ""));
    row->from = text_safe(json_get_text(object, "from", NULL));
    row->hostname = text_safe(json_get_text(object, "hostname", NULL));
    const char *host_key = json_get_text(object, "host_key", NULL);
    row->host_key = host_key && invitation_is_host_key(host_key) ? mem_text(host_key) : NULL;
    row->relay = json_get_bool(object, "relay", false);
    row->made = json_get_number(object, "made", 0, INT64_MAX / 1000000000, 0);
    row->expires = json_get_number(object, "expires", 0, INT64_MAX / 1000000000, 0);
    row->at = json_get_number(object, "at", 0, INT64_MAX / 1000000000, 0);
    row->has_key = key != NULL;
    if (key && (key_parse(key, &row->key) || key_is_zero(&row->key)))
        return false;
    return read_addresses(object, row);
}

static int compare_rows(const void *a, const void *b)
{
    const struct invite_row *one = a, *two = b;
    if (one->made != two->made)
        return one->made > two->made ? -1 : 1;
    return strcmp(one->id, two->id);
}

int invite_rows_read(struct invite *invite, size_t hub, const cJSON *answer, struct err *err)
{
    const cJSON *list = json_get_list(answer, "invitations"), *item;
    size_t count = 0;
    drop_rows_of(invite, hub);
    if (!list)
        return err_set(err, "%s: its answer has no list of invitations", invite->mesh->nodes[hub].name);
    cJSON_ArrayForEach(item, list) {
        struct invite_row row = {.hub = hub};
        if (++count > ROWS_MOST || !read_row(item, &row)) {
            free_row(&row);
            return err_set(err, "%s: its list of invitations cannot be read", invite->mesh->nodes[hub].name);
        }
        MEM_GROW(invite->rows, invite->row_count, invite->row_capacity);
        invite->rows[invite->row_count++] = row;
    }
    if (invite->row_count)
        qsort(invite->rows, invite->row_count, sizeof *invite->rows, compare_rows);
    return 0;
}

bool invite_row_is_open(const struct invite_row *row)
{
    return row->state == INVITATION_OPEN || row->state == INVITATION_JOINING;
}

bool invite_row_is_used(const struct invite_row *row)
{
    return row->state == INVITATION_USED && row->has_key;
}

const struct invite_row *invite_row_of(const struct invite *invite, const char *name_or_id, bool (*fits)(const struct invite_row *row))
{
    for (size_t i = 0; i < invite->row_count; i++)
        if ((!strcmp(invite->rows[i].name, name_or_id) || !strcmp(invite->rows[i].id, name_or_id)) && (!fits || fits(&invite->rows[i])))
            return &invite->rows[i];
    return NULL;
}
