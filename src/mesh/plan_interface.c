/* One node's interface, addresses, routes, file and boot service, against what it has. */
#include "plan_private.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

bool plan_is_up(const struct plan_view *view)
{
    return view->running && (!view->link || view->link->up);
}

/* What runs is not torn down for another engine: that would drop every link. */
static void note_engine(const struct plan_view *view, const struct desired_node *desired, struct plan_node *node)
{
    bool kernel = view->running && view->running->engine == ENGINE_KERNEL;
    if (!view->running || view->running->engine == ENGINE_UNKNOWN || desired->engine == ENGINE_CHOICE_AUTO || kernel == (desired->engine == ENGINE_CHOICE_KERNEL))
        return;
    plan_note(node, "it runs with %s: Engine = %s takes effect when %s is made anew (wgdeck down %s there, then wgdeck apply)",
              kernel ? "the kernel's WireGuard" : "a userspace engine", desired->engine == ENGINE_CHOICE_KERNEL ? "kernel" : "embedded", desired->interface, desired->interface);
}

void plan_interface(struct planning *planning, size_t index)
{
    const struct plan_view *view = &planning->views[index];
    const struct desired_node *desired = &planning->desired->nodes[index];
    struct plan_node *node = &planning->plan->nodes[index];
    if (!plan_is_up(view)) {
        struct plan_operation *operation = plan_add(node, PLAN_INTERFACE, true, false);
        operation->engine = desired->engine;
        if (view->running)
            operation->before = mem_text("down");
        else if (plan_engine_is_dead(view->seen, desired->interface))
            operation->why = mem_text("its engine is dead");
        else if (view->config)
            operation->why = mem_text("it is saved, and not up");
    }
    note_engine(view, desired, node);
    uint16_t running = view->running ? view->running->listen_port : 0, saved = view->saved ? view->config->device.listen_port : 0;
    if (running != desired->listen_port || (view->saved && saved != desired->listen_port)) {
        struct plan_operation *operation = plan_add(node, PLAN_LISTEN_PORT, running != desired->listen_port, !view->saved || saved != desired->listen_port);
        operation->number = desired->listen_port;
        operation->before = running ? mem_format("%u", running) : NULL;
    }
    uint32_t mtu = view->running && view->link ? view->link->mtu : 0, saved_mtu = view->config ? view->config->mtu : 0;
    if (desired->mtu && (mtu != desired->mtu || (view->saved && saved_mtu != desired->mtu))) {
        struct plan_operation *operation = plan_add(node, PLAN_MTU, mtu != desired->mtu, !view->saved || saved_mtu != desired->mtu);
        operation->number = desired->mtu;
        operation->before = mtu ? mem_format("%u", mtu) : NULL;
    }
}

/* --- addresses */

static bool has_address(const struct prefix *list, size_t count, const struct prefix *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (!address_compare(&list[i].address, &wanted->address))
            return true;
    return false;
}

static bool is_of_mesh(const struct planning *planning, const struct prefix *prefix)
{
    for (size_t i = 0; i < planning->mesh->network_count; i++)
        if (prefix_contains(&planning->mesh->networks[i], &prefix->address))
            return true;
    return false;
}

static void plan_own_addresses(struct planning *planning, size_t index)
{
    const struct plan_view *view = &planning->views[index];
    const struct desired_node *desired = &planning->desired->nodes[index];
    for (size_t i = 0; i < desired->address_count; i++) {
        bool running = view->running && view->link && has_address(view->link->addresses, view->link->address_count, &desired->addresses[i]);
        bool saved = view->saved && has_address(view->config->addresses, view->config->address_count, &desired->addresses[i]);
        if (!running || (view->saved && !saved))
            plan_add(&planning->plan->nodes[index], PLAN_ADDRESS, !running, !saved)->prefix = desired->addresses[i];
    }
}

/* --- routes */

#define TABLE_MAIN 254

/* Its kernel will route it by an address that the interface is to get, or when it comes up. */
static bool will_be_connected(const struct plan_view *view, const struct desired_node *desired, const struct prefix *prefix)
{
    for (size_t i = 0; i < desired->address_count; i++)
        if (prefix_covers(&desired->addresses[i], prefix) &&
            !(plan_is_up(view) && view->link && has_address(view->link->addresses, view->link->address_count, &desired->addresses[i])))
            return true;
    return false;
}

static bool is_connected(const struct plan_view *view, const struct desired_node *desired, const struct prefix *prefix)
{
    for (size_t i = 0; view->running && view->link && i < view->link->address_count; i++)
        if (has_address(desired->addresses, desired->address_count, &view->link->addresses[i]) && prefix_covers(&view->link->addresses[i], prefix))
            return true;
    return will_be_connected(view, desired, prefix);
}

enum { NO_ROUTE, WIDER_ROUTE, SAME_ROUTE };

/* What the main table has for PREFIX into the interface. */
static int find_table_route(const struct planning *planning, size_t index, const struct prefix *prefix)
{
    const struct observation *seen = planning->views[index].seen;
    int found = NO_ROUTE;
    for (size_t i = 0; i < seen->table_route_count && found != SAME_ROUTE; i++) {
        const struct observed_table_route *route = &seen->table_routes[i];
        if (route->table == TABLE_MAIN && prefix_covers(&route->to, prefix) && !strcmp(route->device, planning->desired->nodes[index].interface))
            found = route->to.length == prefix->length ? SAME_ROUTE : WIDER_ROUTE;
    }
    return found;
}

static int compare_prefixes(const void *a, const void *b)
{
    return prefix_compare(a, b);
}

/* All that the running rows allow, in order: for these the node was asked where they lead. */
static struct prefix *list_asked(const struct plan_view *view, size_t *count)
{
    size_t capacity = 0;
    struct prefix *asked = NULL;
    *count = 0;
    for (size_t i = 0; plan_is_up(view) && i < view->running->peer_count; i++)
        for (size_t k = 0; k < view->running->peers[i].allowed_count; k++) {
            MEM_GROW(asked, *count, capacity);
            asked[(*count)++] = view->running->peers[i].allowed[k];
        }
    if (*count)
        qsort(asked, *count, sizeof *asked, compare_prefixes);
    return asked;
}

struct routing {
    struct planning *planning;
    size_t index;
    struct prefix *asked;
    size_t asked_count;
};

/* The interface that packets for PREFIX leave by now; NULL: not asked, or no answer. */
static const char *way_of(const struct routing *routing, const struct prefix *prefix)
{
    const struct plan_view *view = &routing->planning->views[routing->index];
    if (!routing->asked_count || !bsearch(prefix, routing->asked, routing->asked_count, sizeof *prefix, compare_prefixes))
        return NULL;
    if (view->running->routes_as_allowed)
        return view->running->name;
    struct address target = observed_route_target(prefix);
    const struct observed_route *route = observation_route(view->seen, &target);
    return route ? route->device : NULL;
}

static bool is_planned(const struct plan_node *node, const struct prefix *prefix)
{
    for (size_t i = 0; i < node->count; i++)
        if (node->operations[i].kind == PLAN_ROUTE && !prefix_compare(&node->operations[i].prefix, prefix))
            return true;
    return false;
}

static void note_shadowed(struct plan_node *node, const struct prefix *prefix, const char *device)
{
    char text[PREFIX_TEXT_SIZE];
    prefix_text(prefix, text);
    plan_note(node, "packets for %s leave by %s: another route is in the way", text, *device ? device : "no interface");
}

static void plan_route(const struct routing *routing, const struct prefix *prefix)
{
    struct planning *planning = routing->planning;
    struct plan_node *node = &planning->plan->nodes[routing->index];
    const struct plan_view *view = &planning->views[routing->index];
    const struct desired_node *desired = &planning->desired->nodes[routing->index];
    const char *device = way_of(routing, prefix);
    if (!prefix->length) {
        if (!device || strcmp(device, desired->interface))
            plan_note(node, "a default route into the tunnel is not made while it runs (wg-quick makes it at the next start)");
        return;
    }
    if ((device && !strcmp(device, desired->interface)) || will_be_connected(view, desired, prefix))
        return;
    int now = plan_is_up(view) ? find_table_route(planning, routing->index, prefix) : NO_ROUTE;
    if (device && now == SAME_ROUTE)
        note_shadowed(node, prefix, device);
    else if ((device || now == NO_ROUTE) && !is_planned(node, prefix))
        plan_add(node, PLAN_ROUTE, true, false)->prefix = *prefix;
}

static void plan_routes(struct planning *planning, size_t index)
{
    const struct desired_node *desired = &planning->desired->nodes[index];
    const struct plan_view *view = &planning->views[index];
    struct routing routing = {.planning = planning, .index = index};
    if (view->config && view->config->table_off)
        return; /* its routes are somebody's own doing */
    routing.asked = list_asked(view, &routing.asked_count);
    for (size_t r = 0; r < desired->row_count; r++)
        if (!plan_leaves(planning, desired->rows[r].peer))
            for (size_t i = 0; i < desired->rows[r].allowed_count; i++)
                plan_route(&routing, &desired->rows[r].allowed[i]);
    free(routing.asked);
}

static void plan_forwarding(struct planning *planning, size_t index, bool wanted, int32_t now, int family)
{
    struct plan_operation *operation;
    if (!wanted || now != 0)
        return;
    operation = plan_add(&planning->plan->nodes[index], PLAN_FORWARDING, true, true);
    operation->prefix.address.family = (uint8_t)family;
    operation->before = mem_text("off");
    operation->why = mem_text("others reach something through this node");
}

void plan_addresses(struct planning *planning, size_t index)
{
    const struct desired_node *desired = &planning->desired->nodes[index];
    const struct plan_view *view = &planning->views[index];
    plan_own_addresses(planning, index);
    plan_routes(planning, index);
    plan_forwarding(planning, index, desired->forwards4, view->seen->forwarding4, AF_INET);
    plan_forwarding(planning, index, desired->forwards6, view->seen->forwarding6, AF_INET6);
}

static bool is_wanted(const struct planning *planning, size_t index, const struct prefix *prefix)
{
    const struct desired_node *desired = &planning->desired->nodes[index];
    for (size_t r = 0; r < desired->row_count; r++)
        for (size_t i = 0; i < desired->rows[r].allowed_count && !plan_leaves(planning, desired->rows[r].peer); i++)
            if (!prefix_compare(&desired->rows[r].allowed[i], prefix))
                return true;
    return is_connected(&planning->views[index], desired, prefix);
}

/* Of a row that changes or goes: what it allowed, and nobody allows any more. */
static bool loses_row(const struct plan_node *node, const struct key *key)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct plan_operation *operation = &node->operations[i];
        if (operation->running && !key_compare(&operation->key, key) &&
            (operation->kind == PLAN_ROW_REMOVE || (operation->kind == PLAN_ROW && operation->set_allowed)))
            return true;
    }
    return false;
}

void plan_addresses_removed(struct planning *planning, size_t index)
{
    const struct plan_view *view = &planning->views[index];
    const struct desired_node *desired = &planning->desired->nodes[index];
    struct plan_node *node = &planning->plan->nodes[index];
    for (size_t p = 0; view->running && p < view->running->peer_count; p++) {
        const struct device_peer *row = &view->running->peers[p];
        for (size_t i = 0; loses_row(node, &row->public_key) && i < row->allowed_count; i++)
            if (row->allowed[i].length && !is_wanted(planning, index, &row->allowed[i]) && find_table_route(planning, index, &row->allowed[i]) == SAME_ROUTE)
                plan_add(node, PLAN_ROUTE_REMOVE, true, false)->prefix = row->allowed[i];
    }
    for (size_t i = 0; view->running && view->link && i < view->link->address_count; i++) {
        const struct prefix *address = &view->link->addresses[i];
        bool saved = view->saved && has_address(view->config->addresses, view->config->address_count, address);
        if (is_of_mesh(planning, address) && !has_address(desired->addresses, desired->address_count, address))
            plan_add(node, PLAN_ADDRESS_REMOVE, true, saved)->prefix = *address;
    }
    for (size_t i = 0; view->saved && i < view->config->address_count; i++) {
        const struct prefix *address = &view->config->addresses[i];
        bool running = view->running && view->link && has_address(view->link->addresses, view->link->address_count, address);
        if (is_of_mesh(planning, address) && !running && !has_address(desired->addresses, desired->address_count, address))
            plan_add(node, PLAN_ADDRESS_REMOVE, false, true)->prefix = *address;
    }
}

/* --- file and service */

void plan_upkeep(struct planning *planning, size_t index)
{
    const struct plan_view *view = &planning->views[index];
    struct plan_node *node = &planning->plan->nodes[index];
    if (!view->config)
        plan_add(node, PLAN_FILE, false, true);
    if (!view->config || (view->config->boot && !*view->config->boot))
        plan_add(node, PLAN_SERVICE, false, true);
    if (view->config && view->config->save_config)
        plan_note(node, "%s has SaveConfig: wg-quick writes it anew when the interface goes down", view->config->path);
}
