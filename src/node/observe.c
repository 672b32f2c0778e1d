/* One reading of a node: its devices now, with everything around them that has not changed since the last reading taken from there. */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "observer.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

enum { SKIPPED_MAX = 256 };

void observe_skip(struct observation *observation, const char *format, ...)
{
    if (observation->skipped_count >= SKIPPED_MAX)
        return;
    struct buf line = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&line, format, arguments);
    va_end(arguments);
    observation->skipped = mem_resize(observation->skipped, observation->skipped_count + 1, sizeof(char *));
    observation->skipped[observation->skipped_count++] = buf_take(&line);
}

struct node_observer *node_observer_new(const char *root, struct err *err)
{
    (void)err;
    struct node_observer *observer = mem_alloc(1, sizeof *observer);
    observer->root = mem_text(root ? root : "");
    observer->stale = true;
    observation_clear(&observer->facts);
    /* Private keys pass through this process: no core file, and nobody but root looks into it. */
    prctl(PR_SET_DUMPABLE, 0);
    return observer;
}

void node_observer_free(struct node_observer *observer)
{
    if (!observer)
        return;
    if (observer->query)
        nl_socket_free(observer->query);
    if (observer->notices)
        nl_socket_free(observer->notices);
    observation_clear(&observer->facts);
    free(observer->link_indices);
    free(observer->link_problem);
    free(observer->route_problem);
    free(observer->config_problem);
    free(observer->questions);
    free(observer->only);
    free(observer->root);
    free(observer);
}

void node_observer_only(struct node_observer *observer, const char *interface)
{
    free(observer->only);
    observer->only = mem_text(interface);
}

/* Devices */

static bool has_device(const struct observation *observation, const char *name)
{
    for (size_t i = 0; i < observation->device_count; i++)
        if (strcmp(observation->devices[i].name, name) == 0)
            return true;
    return false;
}

static void add_dead(struct observation *observation, const char *name)
{
    for (size_t i = 0; i < observation->dead_socket_count; i++)
        if (strcmp(observation->dead_sockets[i], name) == 0)
            return;
    observation->dead_sockets = mem_resize(observation->dead_sockets, observation->dead_socket_count + 1, sizeof(char *));
    observation->dead_sockets[observation->dead_socket_count++] = mem_text(name);
}

static bool can_administer(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & (1u << CAP_NET_ADMIN));
}

static int compare_strangers(const void *a, const void *b)
{
    return key_compare(&((const struct engine_stranger *)a)->public_key, &((const struct engine_stranger *)b)->public_key);
}

/* By key, each once: the order in which an observation has them. */
static size_t order_strangers(struct engine_stranger *strangers, size_t count)
{
    size_t kept = 0;
    qsort(strangers, count, sizeof *strangers, compare_strangers);
    for (size_t i = 0; i < count; i++)
        if (!kept || compare_strangers(&strangers[kept - 1], &strangers[i]))
            strangers[kept++] = strangers[i];
    return kept;
}

/* What the engine drops; the report's lists become the observation's. */
static void read_counters(const char *name, struct observation *observation)
{
    struct engine_report report;
    struct err err;
    int result = engine_report_read(name, &report, &err);
    if (result == -1)
        observe_skip(observation, "cannot read the counters of %s", err.text);
    if (result)
        return;
    observation->engines = mem_resize(observation->engines, observation->engine_count + 1, sizeof *observation->engines);
    struct observed_engine *engine = &observation->engines[observation->engine_count++];
    *engine = (struct observed_engine){.counters = report.counters, .peers = report.peers, .peer_count = report.peer_count};
    memcpy(engine->name, name, strnlen(name, sizeof engine->name - 1));
    engine->features = *report.features ? mem_text(report.features) : NULL;
    engine->stranger_count = order_strangers(report.strangers, report.stranger_count);
    engine->strangers = mem_copy(report.strangers, engine->stranger_count, sizeof *report.strangers);
}

/* Returns false when something was there and could not be read. */
static bool read_device(const struct device_source *source, const char *name, const char *salt, struct observation *observation)
{
    struct device device = {0};
    struct err err;
    int result = source->read(name, salt, &device, &err);
    if (result == 0) {
        observation->devices = mem_resize(observation->devices, observation->device_count + 1, sizeof device);
        observation->devices[observation->device_count++] = device;
        if (device.engine == ENGINE_EMBEDDED)
            read_counters(name, observation);
        return true;
    }
    if (result == -2) {
        add_dead(observation, name);
        return true;
    }
    observe_skip(observation, "cannot read %s", err.text); /* which names the interface, the reason and what to do */
    return false;
}

static int compare_devices(const void *a, const void *b)
{
    return strcmp(((const struct device *)a)->name, ((const struct device *)b)->name);
}

/* Of an interface that both know the kernel's word counts: the socket is a left-over. */
static bool observe_devices(const struct node_observer *observer, const char *salt, struct observation *observation)
{
    static const struct device_source *const sources[] = {&device_source_netlink, &device_source_uapi};
    bool readable = true;
    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        char **names = NULL;
        size_t count = 0;
        struct err err;
        if (sources[i]->list(&names, &count, &err) != 0) {
            observe_skip(observation, "%s", err.text);
            readable = false;
            continue;
        }
        for (size_t j = 0; j < count; j++) {
            bool wanted = !observer->only || strcmp(observer->only, names[j]) == 0;
            if (wanted && !has_device(observation, names[j]))
                readable = read_device(sources[i], names[j], salt, observation) && readable;
            free(names[j]);
        }
        free(names);
    }
    if (observation->device_count > 1)
        qsort(observation->devices, observation->device_count, sizeof *observation->devices, compare_devices);
    return readable;
}

/* A tun that has a saved configuration, and no engine behind it. */
static void find_orphans(const struct node_observer *observer, struct observation *observation)
{
    for (size_t i = 0; i < observation->link_count; i++) {
        const struct observed_link *link = &observation->links[i];
        bool wanted = !observer->only || strcmp(observer->only, link->name) == 0;
        if (wanted && strcmp(link->kind, "tun") == 0 && !has_device(observation, link->name) && observation_config(&observer->facts, link->name))
            add_dead(observation, link->name);
    }
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lists */

struct observed_lists observe_take_lists(struct observation *observation)
{
    struct observed_lists lists = {observation->configs,      observation->routes,      observation->table_routes,
                                   observation->config_count, observation->route_count, observation->table_route_count};
    observe_put_lists(observation, &(struct observed_lists){0});
    return lists;
}

void observe_put_lists(struct observation *observation, const struct observed_lists *lists)
{
    observation->configs = lists->configs;
    observation->routes = lists->routes;
    observation->table_routes = lists->table_routes;
    observation->config_count = lists->config_count;
    observation->route_count = lists->route_count;
    observation->table_route_count = lists->table_route_count;
}

static void copy_facts(struct node_observer *observer, bool with_lists, struct observation *observation)
{
    struct observed_lists lists = {0};
    if (!with_lists)
        lists = observe_take_lists(&observer->facts);
    observation_clear(observation);
    observation_copy(observation, &observer->facts);
    if (!with_lists)
        observe_put_lists(&observer->facts, &lists);
}

int node_observe_again(struct node_observer *observer, const char *salt, uint64_t version, struct observation *observation, bool *unchanged,
                       struct err *err)
{
    (void)err;
    struct observation devices = {0};
    bool stale = node_observer_noticed(observer);
    observer->stale = false;
    if (stale)
        observe_links(observer);
    int64_t now = clock_wall();
    bool readable = observe_devices(observer, salt, &devices);
    observe_configs(observer, salt);
    observe_joined(observer, &devices);
    observe_routes(observer, &devices, stale);
    *unchanged = version == observer->facts_version;
    copy_facts(observer, !*unchanged, observation);
    observation->node_time = now;
    observation->devices = devices.devices;
    observation->device_count = devices.device_count;
    observation->engines = devices.engines;
    observation->engine_count = devices.engine_count;
    observation->dead_sockets = devices.dead_sockets;
    observation->dead_socket_count = devices.dead_socket_count;
    observation->skipped = devices.skipped;
    observation->skipped_count = devices.skipped_count;
    observe_counters(observer, observation);
    observe_node(observer, observation);
    find_orphans(observer, observation);
    if (observation->dead_socket_count > 1)
        qsort(observation->dead_sockets, observation->dead_socket_count, sizeof *observation->dead_sockets, compare_texts);
    const char *const problems[] = {observer->link_problem, observer->route_problem, observer->config_problem};
    for (size_t i = 0; i < COUNT_OF(problems); i++)
        if (problems[i])
            observe_skip(observation, "%s", problems[i]);
    observation->privileged = readable && !observer->config_problem && can_administer();
    return 0;
}

int node_observe(struct node_observer *observer, const char *salt, struct observation *observation, struct err *err)
{
    bool unchanged;
    return node_observe_again(observer, salt, UINT64_MAX, observation, &unchanged, err);
}
