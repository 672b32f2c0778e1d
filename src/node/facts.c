/* What a node is (facts.h): most of it from the same reading that a look takes, the rest from files. */
#include "facts.h"

#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "boot.h"
#include "change.h"
#include "observer.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/node.h"
#include "wgdeck/text.h"

enum { FILE_MOST = 4 << 20, PORTS_MOST = 4096, PORT_DEFAULT = 51820 };

static void add_os(struct json *json)
{
    struct buf text = BUF_EMPTY;
    static const char mark[] = "PRETTY_NAME=";
    const char *line = file_read("/etc/os-release", FILE_MOST, &text, NULL) ? NULL : strstr(buf_text(&text), mark);
    char *name = NULL;
    if (line) {
        line += strlen(mark);
        line += *line == '"';
        name = mem_text_part(line, strcspn(line, "\"\n"));
    }
    char *safe = text_safe(name);
    json_text(json, "os", safe);
    free(safe);
    free(name);
    buf_free(&text);
}

/* --- UDP ports in use: the local address of each line of /proc/net/udp */

static void ports_of(const char *path, bool *used)
{
    struct buf text = BUF_EMPTY;
    if (!file_read(path, FILE_MOST, &text, NULL))
        for (const char *line = buf_text(&text); *line; line += strcspn(line, "\n"), line += *line == '\n') {
            unsigned port;
            if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%4x", &port) == 1)
                used[port & 0xffff] = true;
        }
    buf_free(&text);
}

static void add_ports(struct json *json)
{
    bool *used = mem_alloc(65536, sizeof *used);
    size_t count = 0;
    ports_of("/proc/net/udp", used);
    ports_of("/proc/net/udp6", used);
    json_list(json, "ports");
    for (unsigned port = 1; port < 65536 && count < PORTS_MOST; port++)
        if (used[port]) {
            json_unsigned(json, NULL, port);
            count++;
        }
    json_list_end(json);
    free(used);
}

/* --- from the reading */

static bool is_in_path(const char *program)
{
    static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"};
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        char *path = mem_format("%s/%s", folders[i], program);
        bool there = access(path, X_OK) == 0;
        free(path);
        if (there)
            return true;
    }
    return false;
}

/* Of the node for others: neither of the loopback nor of one link only. The interface's own are there too: who takes one for it sees that. */
static void add_addresses(const struct observation *seen, struct json *json)
{
    static const struct prefix link_local = {.address = {.family = AF_INET6, .bytes = {0xfe, 0x80}}, .length = 10};
    json_list(json, "addresses");
    for (size_t i = 0; i < seen->link_count; i++)
        for (size_t a = 0; strcmp(seen->links[i].name, "lo") != 0 && a < seen->links[i].address_count; a++) {
            char text[PREFIX_TEXT_SIZE];
            prefix_text(&seen->links[i].addresses[a], text);
            if (!prefix_contains(&link_local, &seen->links[i].addresses[a].address))
                json_text(json, NULL, text);
        }
    json_list_end(json);
}

/* Of the way out; where there is no default route: the least of those that are up. */
static uint32_t underlay_mtu(const struct observation *seen, const char *interface)
{
    const struct observed_table_route *way = NULL;
    uint32_t least = 0;
    for (size_t i = 0; i < seen->table_route_count; i++) {
        const struct observed_table_route *route = &seen->table_routes[i];
        if (route->to.length == 0 && route->table == RT_TABLE_MAIN && strcmp(route->device, interface) != 0 && (!way || route->metric < way->metric))
            way = route;
    }
    const struct observed_link *link = way ? observation_link(seen, way->device) : NULL;
    for (size_t i = 0; !link && i < seen->link_count; i++) {
        const struct observed_link *other = &seen->links[i];
        if (other->up && strcmp(other->name, "lo") != 0 && strcmp(other->name, interface) != 0 && (!least || other->mtu < least))
            least = other->mtu;
    }
    return link ? link->mtu : least;
}

/* Returns the port that it listens at, or would. */
static unsigned add_interface(const struct observation *seen, const char *interface, struct json *json)
{
    const struct device *device = NULL;
    char text[KEY_TEXT_SIZE];
    for (size_t i = 0; i < seen->device_count; i++)
        if (!strcmp(seen->devices[i].name, interface))
            device = &seen->devices[i];
    const struct observed_config *config = observation_config(seen, interface);
    const struct device *saved = config && !config->error ? observation_saved(seen, config) : NULL;
    const struct device *keyed = device && device->has_private ? device : saved && saved->has_private ? saved : NULL;
    unsigned port = device ? device->listen_port : saved ? saved->listen_port : 0;
    if (keyed)
        key_text(&keyed->public_key, text);
    json_text(json, "engine", device ? engine_kind_text(device->engine) : NULL);
    json_text(json, "public_key", keyed ? text : NULL);
    json_unsigned(json, "listen_port", port);
    return port ? port : PORT_DEFAULT;
}

/* A change that is neither confirmed nor put back; none of an earlier boot. */
static void add_pending(const char *interface, struct json *json)
{
    struct change_journal journal;
    char *pending = change_pending(interface);
    if (!pending || change_journal_read(interface, &journal, NULL)) {
        json_null(json, "pending");
    } else {
        int64_t left = (journal.deadline - clock_steady()) / CLOCK_SECOND;
        json_object(json, "pending");
        json_text(json, "change", journal.id);
        json_text(json, "owner", journal.owner);
        json_number(json, "seconds", left > 0 ? left : 0);
        json_object_end(json);
        change_journal_free(&journal);
    }
    free(pending);
}

static void add_service(const char *interface, struct json *json)
{
    char *found = boot_find("", interface), *safe = text_safe(found);
    json_text(json, "service", safe && *safe ? safe : NULL);
    free(safe);
    free(found);
}

static void add_all(const struct observation *seen, const char *interface, struct json *json)
{
    struct utsname names;
    json_text(json, "hostname", seen->hostname);
    add_os(json);
    json_text(json, "system", uname(&names) == 0 ? names.machine : NULL);
    json_text(json, "init", boot_init(""));
    json_bool(json, "root", geteuid() == 0);
    json_bool(json, "kernel", seen->kernel_has_wireguard);
    json_bool(json, "tun", access("/dev/net/tun", R_OK | W_OK) == 0);
    json_bool(json, "wg_quick", is_in_path("wg-quick"));
    unsigned port = add_interface(seen, interface, json);
    add_ports(json);
    add_addresses(seen, json);
    json_unsigned(json, "mtu", underlay_mtu(seen, interface));
    json_list(json, "firewall");
    facts_firewall("", port, json);
    json_list_end(json);
    add_service(interface, json);
    add_pending(interface, json);
    json_text(json, "generation", seen->generation);
}

int node_facts_to_json(const char *interface, struct json *json, const char *key, struct err *err)
{
    struct node_observer *observer = node_observer_new("", err);
    struct observation seen = {0};
    if (!observer)
        return -1;
    node_observer_only(observer, interface);
    int result = node_observe(observer, device_no_salt, &seen, err);
    if (!result) {
        json_object(json, key);
        add_all(&seen, interface, json);
        json_object_end(json);
    }
    observation_clear(&seen);
    node_observer_free(observer);
    return result;
}
