/* What a hub answers to "join": read and checked, never carried out. What is taken must hold what the rest of joining relies on. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/join_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct prefix own_address = {.address = {.family = AF_INET, .bytes = {198, 51, 100, 20}}, .length = 24};

static void check(const struct join_answer *answer, const struct join_machine *machine)
{
    bool interface = false, address = false;
    for (size_t i = 0; i < answer->count; i++) {
        const struct plan_operation *operation = &answer->operations[i];
        interface = interface || operation->kind == PLAN_INTERFACE;
        address = address || operation->kind == PLAN_ADDRESS;
        if (operation->kind == PLAN_FORWARDING || operation->kind == PLAN_PRIVATE_KEY || plan_kinds[operation->kind].subtractive)
            abort();
        for (size_t a = 0; a < operation->allowed_count; a++)
            if (!operation->allowed[a].length || prefix_contains(&operation->allowed[a], &machine->connection) || prefix_contains(&operation->allowed[a], &own_address.address))
                abort();
    }
    if (!interface || !address || !answer->hub_address_count || strlen(answer->interface) >= IFNAMSIZ || !answer->sealed)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct prefix addresses[1];
    static struct observed_link links[] = {{.name = "eth0", .up = true, .addresses = addresses, .address_count = 1}};
    static struct observed_table_route routes[] = {{.device = "eth0", .table = 254, .to = {.address = {.family = AF_INET}}}};
    static struct observation seen = {.links = links, .link_count = 1, .table_routes = routes, .table_route_count = 1};
    static const struct key own = {{1, 2, 3}};
    static const struct invitation invitation = {.mesh = "prod", .name = "mail", .relay = true};
    struct join_machine machine = {.seen = &seen, .given = true};
    struct join_answer answer;
    struct err err;
    addresses[0] = own_address;
    if (sodium_init() < 0 || address_parse("203.0.113.9", &machine.connection))
        abort();
    cJSON *object = json_parse((const char *)data, size, &err);
    if (!object)
        return 0;
    if (!join_answer_read(object, &invitation, &own, &answer, &err) && !join_answer_check(&answer, &machine, "wg0", &err))
        check(&answer, &machine);
    join_answer_free(&answer);
    cJSON_Delete(object);
    return 0;
}
