/* The machine that wants to join (join_parts.h): can it, where may it be reached, and which of its traffic must stay out of the tunnel. Nothing is touched here. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot_parts.h"
#include "join_parts.h"
#include "state_parts.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/node.h"
#include "wgdeck/text.h"

enum { RESOLV_MAX = 64 << 10, CANDIDATES_MOST = 12, DEFAULT_IN_PIECES = 8 /* routes shorter than this are of the way out: a VPN sets 0.0.0.0/1 and 128.0.0.0/1 */ };

#define V4(a, b, c, d, bits) {.address = {.family = AF_INET, .bytes = {a, b, c, d}}, .length = bits}
#define V6(a, b, bits) {.address = {.family = AF_INET6, .bytes = {a, b}}, .length = bits}

/* --- looking */

/* "198.51.100.7 50022 ...": of the person who types here; a tunnel that took this address would end the session. */
static void find_login(struct address *login)
{
    const char *text = getenv("SSH_CONNECTION");
    char first[ADDRESS_TEXT_SIZE];
    if (!text)
        text = getenv("SSH_CLIENT");
    if (!text)
        return;
    snprintf(first, sizeof first, "%.*s", (int)strcspn(text, " "), text);
    if (address_parse(first, login))
        *login = (struct address){0};
}

static void find_name_servers(struct join_machine *machine)
{
    struct buf text = BUF_EMPTY;
    char *path = mem_format("%s/etc/resolv.conf", change_root);
    if (!file_read(path, RESOLV_MAX, &text, NULL))
        for (const char *line = buf_text(&text); *line && machine->name_server_count < COUNT_OF(machine->name_servers); line += strcspn(line, "\n"), line += *line == '\n') {
            static const char word[] = "nameserver";
            const char *value = strncmp(line, word, sizeof word - 1) ? "" : line + sizeof word - 1;
            char address[ADDRESS_TEXT_SIZE];
            value += strspn(value, " \t");
            snprintf(address, sizeof address, "%.*s", (int)strcspn(value, " \t\r\n%#;"), value);
            if (!address_parse(address, &machine->name_servers[machine->name_server_count]))
                machine->name_server_count++;
        }
    buf_free(&text);
    free(path);
}

int join_machine_look(struct join_machine *machine, const struct observation *given, struct err *err)
{
    *machine = (struct join_machine){.given = given != NULL};
    find_login(&machine->login);
    find_name_servers(machine);
    if (given) {
        machine->seen = mem_copy(given, 1, sizeof *given);
        return 0;
    }
    struct node_observer *observer = node_observer_new("", err);
    machine->seen = mem_alloc(1, sizeof *machine->seen);
    int result = observer ? node_observe(observer, device_no_salt, machine->seen, err) : -1;
    node_observer_free(observer);
    if (!result)
        observation_unpack(machine->seen);
    return result ? err_prefix(err, "this machine cannot be looked at") : 0;
}

void join_machine_free(struct join_machine *machine)
{
    if (machine->seen && !machine->given)
        observation_clear(machine->seen);
    free(machine->seen);
    *machine = (struct join_machine){0};
}

/* --- can it */

static int check_engine(const struct join_machine *machine, enum engine_choice engine, struct err *err)
{
    char *path = mem_format("%s/dev/net/tun", change_root);
    bool kernel = machine->seen->kernel_has_wireguard, tun = access(path, R_OK | W_OK) == 0;
    free(path);
    if (engine == ENGINE_CHOICE_KERNEL && !kernel)
        return err_set(err, "this kernel has no WireGuard: leave --engine kernel out, then the engine of this program is taken");
    if ((engine == ENGINE_CHOICE_EMBEDDED || !kernel) && !tun)
        return err_set(err, "/dev/net/tun cannot be used here%s: on a container, allow it the device (and CAP_NET_ADMIN)%s", kernel ? "" : ", and this kernel has no WireGuard",
                       kernel ? ", or leave --engine embedded out" : "");
    return 0;
}

static int in_use(const char *interface, struct err *err, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int in_use(const char *interface, struct err *err, const char *format, ...)
{
    struct buf why = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&why, format, arguments);
    va_end(arguments);
    err_set(err, "%s is in use here: %s; choose another name with --interface (wg1, say)", interface, buf_text(&why));
    buf_free(&why);
    return -1;
}

static int check_interface(const struct join_machine *machine, const char *interface, struct err *err)
{
    const struct observed_link *link = observation_link(machine->seen, interface);
    const struct device *device = NULL;
    for (size_t i = 0; i < machine->seen->device_count; i++)
        if (!strcmp(machine->seen->devices[i].name, interface))
            device = &machine->seen->devices[i];
    if (device)
        return in_use(interface, err, "it is a WireGuard interface with %zu row%s", device->peer_count, device->peer_count == 1 ? "" : "s");
    if (link)
        return in_use(interface, err, "it is an interface of another kind%s%s%s", link->kind[0] ? " (" : "", link->kind, link->kind[0] ? ")" : "");
    char *file = change_config_path(interface), *boot = boot_find(change_root, interface);
    bool there = access(file, F_OK) == 0, starts = boot && *boot;
    int result = 0;
    if (there)
        result = in_use(interface, err, "%s is there", file);
    else if (starts)
        result = in_use(interface, err, "%s brings it up at boot", boot);
    free(boot);
    free(file);
    return result;
}

int join_interface_check(const char *interface, struct err *err)
{
    if (device_name_is_valid(interface) && boot_name_is_plain(interface))
        return 0;
    return err_set(err, "\"%s\" cannot be the name of the interface: at most 15 letters, digits and _=+.-", interface);
}

int join_machine_check(const struct join_machine *machine, const char *interface, uint16_t port, enum engine_choice engine, bool ours, struct err *err)
{
    if (check_engine(machine, engine, err))
        return -1;
    if (ours)
        return 0;
    if (check_interface(machine, interface, err))
        return -1;
    if (port && state_port_is_free(interface, port, NULL))
        return err_set(err, "UDP port %u is taken here by another program or interface (ss -ulpn tells which): choose another one with --port", port);
    return 0;
}

/* --- where it may be reached */

static bool may_reach(const struct address *address)
{
    static const struct prefix no[] = {V4(127, 0, 0, 0, 8), V4(169, 254, 0, 0, 16), V4(0, 0, 0, 0, 8), V4(224, 0, 0, 0, 3), V6(0xfe, 0x80, 10), V6(0xff, 0, 8), V6(0, 0, 8)};
    for (size_t i = 0; i < COUNT_OF(no); i++)
        if (prefix_contains(&no[i], address))
            return false;
    return address->family != 0;
}

/* Does the way out lead through LINK? */
static bool leads_out(const struct observation *seen, const char *link)
{
    for (size_t i = 0; i < seen->table_route_count; i++)
        if (seen->table_routes[i].to.length == 0 && seen->table_routes[i].table == RT_TABLE_MAIN && !strcmp(seen->table_routes[i].device, link))
            return true;
    return false;
}

static bool is_tunnel(const struct observation *seen, const struct observed_link *link)
{
    for (size_t i = 0; i < seen->device_count; i++)
        if (!strcmp(seen->devices[i].name, link->name))
            return true;
    return !strcmp(link->kind, "wireguard");
}

void join_machine_candidates(const struct join_machine *machine, const char *interface, uint16_t port, struct json *json)
{
    const struct observation *seen = machine->seen;
    size_t count = 0;
    for (int out = 1; out >= 0; out--)
        for (size_t i = 0; i < seen->link_count; i++) {
            const struct observed_link *link = &seen->links[i];
            if (!link->up || !strcmp(link->name, "lo") || !strcmp(link->name, interface) || is_tunnel(seen, link) || leads_out(seen, link->name) != (out == 1))
                continue;
            for (size_t a = 0; a < link->address_count && count < CANDIDATES_MOST; a++) {
                struct endpoint endpoint = {.address = link->addresses[a].address, .port = port};
                char text[ENDPOINT_TEXT_SIZE];
                if (!may_reach(&endpoint.address))
                    continue;
                endpoint_text(&endpoint, text);
                json_text(json, NULL, text);
                count++;
            }
        }
}

/* --- what must stay out of the tunnel */

/* Of such space a mesh may have what it likes; of the other, which belongs to somebody, only small parts. */
bool join_is_private(const struct prefix *prefix)
{
    static const struct prefix space[] = {V4(10, 0, 0, 0, 8), V4(172, 16, 0, 0, 12), V4(192, 168, 0, 0, 16), V4(100, 64, 0, 0, 10), V6(0xfc, 0, 7)};
    for (size_t i = 0; i < COUNT_OF(space); i++)
        if (prefix_covers(&space[i], prefix))
            return true;
    return false;
}

static int not_so(const struct prefix *prefix, const char *what, struct err *err, const char *format, ...) __attribute__((format(printf, 4, 5)));
static int not_so(const struct prefix *prefix, const char *what, struct err *err, const char *format, ...)
{
    char text[PREFIX_TEXT_SIZE];
    struct buf why = BUF_EMPTY;
    va_list arguments;
    prefix_text(prefix, text);
    va_start(arguments, format);
    buf_add_vformat(&why, format, arguments);
    va_end(arguments);
    err_set(err, "%s %s, which %s", what, text, buf_text(&why));
    buf_free(&why);
    return -1;
}

/* Addresses whose packets must go where they went. */
static int check_addresses(const struct join_machine *machine, const struct prefix *network, const char *what, struct err *err)
{
    if (machine->connection.family && prefix_contains(network, &machine->connection))
        return not_so(network, what, err, "has the address at which the hub is reached: the tunnel would lead into itself");
    if (machine->login.family && prefix_contains(network, &machine->login))
        return not_so(network, what, err, "has the address from which you are logged in here: you would lose this connection");
    for (size_t i = 0; i < machine->name_server_count; i++)
        if (prefix_contains(network, &machine->name_servers[i]))
            return not_so(network, what, err, "has a name server of this machine (/etc/resolv.conf)");
    return 0;
}

int join_machine_allows(const struct join_machine *machine, const char *interface, const struct prefix *prefix, const char *what, struct err *err)
{
    const struct observation *seen = machine->seen;
    struct prefix network = prefix_network(prefix);
    bool four = network.address.family == AF_INET;
    if (network.length == 0)
        return not_so(&network, what, err, "is all there is: a mesh takes its own addresses only");
    if (!may_reach(&network.address))
        return not_so(&network, what, err, "no tunnel can have");
    if (!join_is_private(&network) && network.length < (four ? 16 : 32))
        return not_so(&network, what, err, "is far more than a mesh's own (a default route in pieces?)");
    if (check_addresses(machine, &network, what, err))
        return -1;
    for (size_t i = 0; i < seen->link_count; i++) {
        const struct observed_link *link = &seen->links[i];
        for (size_t a = 0; strcmp(link->name, interface) != 0 && a < link->address_count; a++) {
            struct prefix own = prefix_network(&link->addresses[a]);
            if (prefix_overlaps(&network, &own) && may_reach(&own.address))
                return not_so(&network, what, err, "overlaps with an address of %s here", link->name);
        }
    }
    for (size_t i = 0; i < seen->table_route_count; i++) {
        const struct observed_table_route *route = &seen->table_routes[i];
        char text[PREFIX_TEXT_SIZE];
        if (route->to.length < DEFAULT_IN_PIECES || !strcmp(route->device, interface) || !may_reach(&route->to.address) || !prefix_overlaps(&network, &route->to))
            continue;
        prefix_text(&route->to, text);
        return not_so(&network, what, err, "overlaps with the route to %s by %s here", text, route->device[0] ? route->device : "nowhere");
    }
    return 0;
}
