/* What the hub answers to "join" (invitation.h), read and checked: it may be hostile, or just not what was expected. Only what a join needs is ever carried out here, and none of this
 * machine's own traffic is led into the tunnel. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot_parts.h"
#include "join_parts.h"
#include "wgdeck/apply.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { OPERATIONS_MOST = 4096, PREFIXES_MOST = 1024, ADDRESSES_MOST = 16, WITHIN_LEAST = 10, WITHIN_MOST = 600 };

void join_answer_free(struct join_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        plan_operation_free(&answer->operations[i]);
    free(answer->operations);
    free(answer->hub_addresses);
    free(answer->sealed);
    *answer = (struct join_answer){0};
}

static int not_usable(struct err *err, const char *what)
{
    return err_set(err, "the hub's answer cannot be used: %s", what);
}

/* --- names */

static int name_in(const cJSON *object, const char *member, bool (*is_right)(const char *), size_t size, char *text, struct err *err)
{
    const char *given = json_get_text(object, member, "");
    if (strlen(given) >= size || !is_right(given))
        return err_set(err, "the hub's answer cannot be used: %s is missing, or none", member);
    memcpy(text, given, strlen(given) + 1);
    return 0;
}

static int read_names(const cJSON *object, const struct invitation *invitation, struct join_answer *answer, struct err *err)
{
    const cJSON *hub = json_get_object(object, "hub");
    const char *generation = json_get_text(object, "generation", "");
    if (name_in(object, "mesh", text_is_name, sizeof answer->mesh, answer->mesh, err) || name_in(object, "name", text_is_name, sizeof answer->name, answer->name, err) ||
        name_in(object, "interface", boot_name_is_plain, sizeof answer->interface, answer->interface, err) || name_in(hub, "name", text_is_name, sizeof answer->hub, answer->hub, err))
        return -1;
    if (strcmp(answer->mesh, invitation->mesh) != 0 || strcmp(answer->name, invitation->name) != 0)
        return err_set(err, "the hub's answer cannot be used: it is for %s in mesh %s, the invitation is for %s in mesh %s", answer->name, answer->mesh, invitation->name, invitation->mesh);
    if (json_get_bool(object, "relay", !invitation->relay) != invitation->relay)
        return not_usable(err, "the invitation says one thing of the relay, the hub another");
    if (strlen(generation) >= sizeof answer->generation || strspn(generation, "0123456789abcdef-") != strlen(generation))
        return not_usable(err, "generation is none");
    memcpy(answer->generation, generation, strlen(generation) + 1);
    return 0;
}

static int read_hub(const cJSON *object, const struct key *own, struct join_answer *answer, struct err *err)
{
    const cJSON *hub = json_get_object(object, "hub"), *list = json_get_list(hub, "addresses"), *item;
    if (key_parse(json_get_text(hub, "key", ""), &answer->hub_key) || key_is_zero(&answer->hub_key))
        return not_usable(err, "the hub's key is none");
    if (key_equal(&answer->hub_key, own))
        return not_usable(err, "the hub shows this machine's own key as its own (was this machine cloned from the hub?)");
    if (!list || cJSON_GetArraySize(list) < 1 || cJSON_GetArraySize(list) > ADDRESSES_MOST)
        return not_usable(err, "the hub has no addresses in the mesh, or too many");
    answer->hub_addresses = mem_alloc(ADDRESSES_MOST, sizeof *answer->hub_addresses);
    cJSON_ArrayForEach(item, list) {
        struct prefix prefix;
        if (!cJSON_IsString(item) || prefix_parse(item->valuestring, &prefix))
            return not_usable(err, "an address of the hub is none");
        answer->hub_addresses[answer->hub_address_count++] = prefix.address;
    }
    return 0;
}

/* --- operations */

static const bool of_a_join[PLAN_KIND_COUNT] = {
    [PLAN_INTERFACE] = true, [PLAN_LISTEN_PORT] = true, [PLAN_MTU] = true, [PLAN_ADDRESS] = true, [PLAN_ROW] = true, [PLAN_ROUTE] = true, [PLAN_FILE] = true, [PLAN_SERVICE] = true,
};

static int check_row(const struct plan_operation *row, const struct key *own, struct err *err)
{
    if (key_is_zero(&row->key) || key_equal(&row->key, own))
        return not_usable(err, "a row has no key, or this machine's own");
    if (!key_is_zero(&row->other_key) || row->preshared == PLAN_PRESHARED_COPY || row->preshared == PLAN_PRESHARED_MAKE)
        return not_usable(err, "a row takes from another one");
    return 0;
}

static int take_operation(const cJSON *item, const struct key *own, struct join_answer *answer, struct err *err)
{
    struct plan_operation *operation = &answer->operations[answer->count];
    if (plan_operation_from_json(item, operation, err))
        return err_prefix(err, "the hub's answer cannot be used");
    answer->count++;
    if (!of_a_join[operation->kind])
        return err_set(err, "the hub wants something done here that no join needs (%s)", plan_kinds[operation->kind].title);
    if (operation->kind == PLAN_LISTEN_PORT)
        answer->port = (uint16_t)operation->number;
    return operation->kind == PLAN_ROW ? check_row(operation, own, err) : 0;
}

static const struct plan_operation *find(const struct join_answer *answer, enum plan_kind kind, const struct key *key)
{
    for (size_t i = 0; i < answer->count; i++)
        if (answer->operations[i].kind == kind && (!key || key_equal(&answer->operations[i].key, key)))
            return &answer->operations[i];
    return NULL;
}

/* The hub's addresses are pinged: only those that its row takes. */
static bool row_takes(const struct plan_operation *row, const struct address *address)
{
    for (size_t i = 0; i < row->allowed_count; i++)
        if (prefix_contains(&row->allowed[i], address))
            return true;
    return false;
}

/* The hub may have addresses of a family that this machine gets none of. False: none is left. */
static bool keep_reachable(const struct plan_operation *row, struct join_answer *answer)
{
    size_t kept = 0;
    for (size_t i = 0; i < answer->hub_address_count; i++)
        if (row_takes(row, &answer->hub_addresses[i]))
            answer->hub_addresses[kept++] = answer->hub_addresses[i];
    answer->hub_address_count = kept;
    return kept > 0;
}

static int check_whole(struct join_answer *answer, struct err *err)
{
    const struct plan_operation *row = find(answer, PLAN_ROW, &answer->hub_key);
    size_t prefixes = 0;
    if (!find(answer, PLAN_INTERFACE, NULL) || !find(answer, PLAN_ADDRESS, NULL))
        return not_usable(err, "no interface, or no address for it");
    if (!row || !row->set_endpoint || !row->endpoint)
        return not_usable(err, "it does not say where the hub's WireGuard is reached (the hub's Endpoint in the mesh file)");
    for (size_t i = 0; i < answer->count; i++)
        prefixes += answer->operations[i].allowed_count;
    if (prefixes > PREFIXES_MOST)
        return not_usable(err, "its rows take too many networks");
    return keep_reachable(row, answer) ? 0 : not_usable(err, "the hub's row does not take the hub's own address");
}

static int read_operations(const cJSON *object, const struct key *own, struct join_answer *answer, struct err *err)
{
    const cJSON *list = json_get_list(object, "operations"), *item;
    if (!list || cJSON_GetArraySize(list) > OPERATIONS_MOST)
        return not_usable(err, "operations is no list, or too long");
    answer->operations = mem_alloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *answer->operations);
    cJSON_ArrayForEach(item, list)
        if (take_operation(item, own, answer, err))
            return -1;
    return check_whole(answer, err);
}

/* Written again from what was read, so that nothing else gets to the helper. */
static int read_sealed(const cJSON *object, struct join_answer *answer, struct err *err)
{
    const cJSON *list = json_get_list(object, "sealed"), *item;
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    int result = list && cJSON_GetArraySize(list) > OPERATIONS_MOST ? not_usable(err, "too many preshared keys") : 0;
    json_list(&json, NULL);
    cJSON_ArrayForEach(item, list) {
        struct key key;
        const char *sealed = json_get_text(item, "sealed", "");
        if (result || key_parse(json_get_text(item, "key", ""), &key) || strlen(sealed) > 200) {
            result = result ? result : not_usable(err, "a preshared key is none");
            break;
        }
        json_object(&json, NULL);
        json_text(&json, "key", json_get_text(item, "key", ""));
        json_text(&json, "sealed", sealed);
        json_object_end(&json);
    }
    json_list_end(&json);
    answer->sealed = buf_take(&text);
    return result;
}

int join_answer_read(const cJSON *object, const struct invitation *invitation, const struct key *own, struct join_answer *answer, struct err *err)
{
    const cJSON *within = cJSON_GetObjectItemCaseSensitive(object, "within");
    *answer = (struct join_answer){.within = cJSON_IsNumber(within) ? within->valuedouble : 45};
    answer->time = json_get_number(object, "time", 0, INT64_MAX / INT64_C(1000000000), 0);
    if (!(answer->within >= WITHIN_LEAST && answer->within <= WITHIN_MOST))
        return not_usable(err, "within is no number of seconds that it could be");
    return read_names(object, invitation, answer, err) || read_hub(object, own, answer, err) || read_operations(object, own, answer, err) || read_sealed(object, answer, err) ? -1 : 0;
}

/* --- against the machine */

/* The packets of the tunnel itself must not go into it. */
static int check_endpoints(const struct join_answer *answer, const struct prefix *network, struct err *err)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct endpoint endpoint;
        char text[PREFIX_TEXT_SIZE];
        const struct plan_operation *row = &answer->operations[i];
        if (row->kind != PLAN_ROW || !row->endpoint || endpoint_parse(row->endpoint, &endpoint) || !prefix_contains(network, &endpoint.address))
            continue;
        prefix_text(network, text);
        return err_set(err, "the hub wants %s in the tunnel, in which the endpoint %s itself is: the tunnel would lead into itself", text, row->endpoint);
    }
    return 0;
}

static int check_prefix(const struct join_answer *answer, const struct join_machine *machine, const char *interface, const struct prefix *prefix, const char *what, struct err *err)
{
    struct prefix network = prefix_network(prefix);
    return join_machine_allows(machine, interface, prefix, what, err) || check_endpoints(answer, &network, err) ? -1 : 0;
}

int join_answer_check(const struct join_answer *answer, const struct join_machine *machine, const char *interface, struct err *err)
{
    for (size_t i = 0; i < answer->count; i++) {
        const struct plan_operation *operation = &answer->operations[i];
        if (operation->kind == PLAN_ADDRESS && check_prefix(answer, machine, interface, &operation->prefix, "the hub wants an address of the network", err))
            return -1;
        if (operation->kind == PLAN_ROUTE && check_prefix(answer, machine, interface, &operation->prefix, "the hub wants a route to", err))
            return -1;
        for (size_t a = 0; a < operation->allowed_count; a++)
            if (check_prefix(answer, machine, interface, &operation->allowed[a], "the hub wants to have in the tunnel", err))
                return -1;
    }
    return 0;
}
