/* From one state to another, only by what differs: first what is added, then what is taken away. */
#include <linux/rtnetlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>

#include "state_parts.h"
#include "wgdeck/mem.h"

struct work {
    const struct state *from, *to;
    struct nl_sock *socket;
    struct endpoint *endpoints; /* of TO's rows */
    struct state_change change;
    enum engine_kind engine;
    struct err *err;
};

static const char *name_of(const struct work *work)
{
    return work->to->name;
}

/* --- what is added */

/* The port is tried before anything is touched: an engine would only say later, or never, that it cannot have it. */
static int check_port(struct work *work)
{
    const struct state *from = work->from, *to = work->to;
    uint16_t port = to->device.listen_port;
    bool has_it = from->exists && from->up && from->device.listen_port == port;
    return !port || !to->up || has_it ? 0 : state_port_is_free(name_of(work), port, work->err);
}

static int make_link(struct work *work)
{
    work->engine = work->from->exists ? work->from->engine : work->to->engine;
    return work->from->exists ? 0 : state_link_make(work->socket, name_of(work), &work->engine, work->err);
}

static int configure(struct work *work)
{
    return state_change_is_empty(&work->change.set) ? 0 : up_set(work->engine, &work->change.set, work->err);
}

/* An IPv6 address can be there only once, whatever its length. */
static int make_way_for(struct work *work, const struct prefix *address)
{
    for (size_t i = 0; address->address.family == AF_INET6 && i < work->from->address_count; i++) {
        const struct prefix *old = &work->from->addresses[i];
        if (!address_compare(&old->address, &address->address) && old->length != address->length)
            return up_address(work->socket, name_of(work), old, false, work->err);
    }
    return 0;
}

static int add_addresses(struct work *work)
{
    int result = 0;
    for (size_t i = 0; i < work->to->address_count && !result; i++) {
        const struct prefix *address = &work->to->addresses[i];
        if (state_has_address(work->from, address))
            continue;
        result = make_way_for(work, address);
        if (!result)
            result = up_address(work->socket, name_of(work), address, true, work->err);
    }
    return result;
}

static int set_mtu(struct work *work)
{
    unsigned mtu = work->to->mtu;
    struct device device = work->to->device;
    if (!mtu && !work->from->exists) {
        device.peers = mem_copy(device.peers, device.peer_count, sizeof *device.peers);
        for (size_t i = 0; i < device.peer_count; i++)
            device.peers[i].endpoint = work->endpoints[i];
        mtu = up_fitting_mtu(work->socket, &device);
        free(device.peers);
    }
    return mtu && (!work->from->exists || mtu != work->from->mtu) ? state_link_mtu(work->socket, name_of(work), mtu, work->err) : 0;
}

static int set_up(struct work *work)
{
    if (!work->to->up || (work->from->exists && work->from->up))
        return 0;
    return up_link_start(work->socket, name_of(work), 0, work->err);
}

/* FROM's routes went with the link, if that was down. */
static int add_routes(struct work *work)
{
    int result = 0;
    for (size_t i = 0; i < work->to->route_count && !result; i++) {
        const struct state_route *route = &work->to->routes[i];
        if (!state_has_route(work->from, route))
            result = up_route(work->socket, name_of(work), &route->to, route->table, route->metric, true, work->err);
    }
    return result;
}

static int set_forwarding(struct work *work, bool on)
{
    const struct state *from = work->from, *to = work->to;
    int result = 0;
    if (to->forwarding4 == on && from->forwarding4 != on)
        result = state_set_forwarding(AF_INET, on, work->err);
    if (!result && to->forwarding6 == on && from->forwarding6 != on)
        result = state_set_forwarding(AF_INET6, on, work->err);
    return result;
}

static int start_forwarding(struct work *work)
{
    return set_forwarding(work, true);
}

/* --- what is taken away */

static int remove_routes(struct work *work)
{
    int result = 0;
    for (size_t i = 0; i < work->from->route_count && !result; i++) {
        const struct state_route *route = &work->from->routes[i];
        if (!state_has_route(work->to, route))
            result = up_route(work->socket, name_of(work), &route->to, route->table, route->metric, false, work->err);
    }
    return result;
}

static bool is_there(const struct prefix *addresses, size_t count, const struct prefix *address)
{
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found = found || state_prefix_same(&addresses[i], address);
    return found;
}

/* With an IPv4 address those go that were secondary to it, and with it perhaps routes: what should be there still is given again. */
static int mend_addresses(struct work *work)
{
    struct prefix *now = NULL;
    struct state_route *routes = NULL;
    size_t count = 0, route_count = 0;
    int result = up_addresses(work->socket, name_of(work), &now, &count, work->err);
    for (size_t i = 0; i < work->to->address_count && !result; i++)
        if (!is_there(now, count, &work->to->addresses[i]))
            result = up_address(work->socket, name_of(work), &work->to->addresses[i], true, work->err);
    if (!result)
        result = state_routes(work->socket, name_of(work), &routes, &route_count, work->err);
    const struct state running = {.routes = routes, .route_count = route_count};
    for (size_t i = 0; i < work->to->route_count && !result; i++) {
        const struct state_route *route = &work->to->routes[i];
        if (!state_has_route(&running, route))
            result = up_route(work->socket, name_of(work), &route->to, route->table, route->metric, true, work->err);
    }
    free(now);
    free(routes);
    return result;
}

static int remove_addresses(struct work *work)
{
    struct prefix *now = NULL;
    size_t count = 0;
    bool any = false;
    for (size_t i = 0; i < work->from->address_count; i++)
        any = any || !state_has_address(work->to, &work->from->addresses[i]);
    if (!any)
        return 0;
    int result = 0;
    for (size_t i = 0; i < work->from->address_count && !result; i++) {
        const struct prefix *address = &work->from->addresses[i];
        if (state_has_address(work->to, address))
            continue;
        free(now);
        result = up_addresses(work->socket, name_of(work), &now, &count, work->err);
        if (!result && is_there(now, count, address))
            result = up_address(work->socket, name_of(work), address, false, work->err);
    }
    free(now);
    return result ? result : mend_addresses(work);
}

static int remove_rows(struct work *work)
{
    return state_change_is_empty(&work->change.removal) ? 0 : up_set(work->engine, &work->change.removal, work->err);
}

static int set_down(struct work *work)
{
    return !work->to->up && work->from->exists && work->from->up ? up_link_stop(work->socket, name_of(work), work->err) : 0;
}

static int stop_forwarding(struct work *work)
{
    return set_forwarding(work, false);
}

/* --- all of it */

static int (*const steps[STATE_REACH_STEPS])(struct work *work) = {check_port,     make_link,        configure,   add_addresses, set_mtu,        set_up,
                                                  add_routes,     start_forwarding, remove_routes, remove_addresses, remove_rows, set_down,
                                                  stop_forwarding};

static int change_interface(struct work *work, size_t count)
{
    int result = state_endpoints(work->to, &work->endpoints, work->err);
    if (result)
        return result;
    state_change_find(work->from, work->to, work->endpoints, &work->change);
    for (size_t i = 0; i < STATE_REACH_STEPS && i < count && !result; i++)
        result = steps[i](work);
    state_change_free(&work->change);
    free(work->endpoints);
    return result;
}

/* What led into it goes with it. */
static int take_away(struct work *work)
{
    int result = start_forwarding(work);
    if (!result && work->from->exists)
        result = state_link_delete(work->socket, name_of(work), work->from->engine, work->err);
    return result ? result : stop_forwarding(work);
}

int state_reach_some(const struct state *from, const struct state *to, size_t count, struct err *err)
{
    struct work work = {.from = from, .to = to, .err = err, .socket = up_netlink_open(err)};
    if (!work.socket)
        return -1;
    int result = to->exists ? change_interface(&work, count) : take_away(&work);
    nl_socket_free(work.socket);
    return result;
}

int state_reach(const struct state *from, const struct state *to, struct err *err)
{
    return state_reach_some(from, to, STATE_REACH_STEPS, err);
}
