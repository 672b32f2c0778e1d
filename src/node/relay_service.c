/* The hub's process for those who join through it (relay_service.h): who may use the relay are the rows of the interface, read again each second. */
#include "relay_service.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "change.h"
#include "control.h"
#include "wgdeck/clock.h"
#include "wgdeck/device.h"
#include "wgdeck/file.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/node.h"
#include "wgdeck/relay.h"

enum { READY_WITHIN = 5000 /* ms */, READY_PIPE = 3, GONE_LOOKS = 10 };
static const double look_every = 1;
static const int64_t hint_fresh = 180 * CLOCK_SECOND;

struct service {
    struct ev_loop *loop;
    const char *interface;
    struct relay *relay;
    struct control_hub *hub;
    struct ev_io readable[2];
    struct ev_timer look;
    struct ev_signal signals[3];
    unsigned gone;  /* looks in a row that found no interface */
    int result;
};

/* The place of the one relay of an interface: a descriptor. -1 with *TAKEN, or with err. */
static int take_place(const char *interface, bool *taken, struct err *err)
{
    char *path = mem_format("%s/run/wgdeck/%s.relay", change_root, interface), *folder = mem_format("%s/run/wgdeck", change_root);
    int descriptor = -1;
    *taken = false;
    if (!file_make_folders(folder, 0700, err) && (descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        err_set(err, "%s: cannot be locked: %s", path, strerror(errno));
    if (descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB)) {
        *taken = true;
        err_set(err, "the relay of %s runs already", interface);
        close(descriptor);
        descriptor = -1;
    }
    free(folder);
    free(path);
    return descriptor;
}

/* For those who stop it (init scripts). */
static void sign(int place)
{
    if (ftruncate(place, 0) == 0)
        (void)!dprintf(place, "%d\n", (int)getpid());
}

/* --- what it does */

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct service *service = watcher->data;
    struct err err;
    (void)events;
    if (relay_turn(service->relay, &err)) {
        log_error("relay: %s", err.text);
        service->result = -1;
        ev_break(loop, EVBREAK_ALL);
    }
}

/* The interface may be away for a moment, while it is made anew; then it is gone. */
static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct service *service = timer->data;
    const struct device_source *source = device_source_find(service->interface);
    struct device device = {0};
    struct err err;
    (void)events;
    if (!source || source->read(service->interface, device_no_salt, &device, &err)) {
        if (++service->gone > GONE_LOOKS)
            ev_break(loop, EVBREAK_ALL);
        return;
    }
    struct key *keys = mem_alloc(device.peer_count + 1, sizeof *keys);
    struct endpoint *hints = mem_alloc(device.peer_count + 1, sizeof *hints);
    for (size_t i = 0; i < device.peer_count; i++) {
        keys[i] = device.peers[i].public_key;
        if (clock_wall() - device.peers[i].handshake < hint_fresh)
            hints[i] = device.peers[i].endpoint;
    }
    relay_set_nodes(service->relay, keys, hints, device.peer_count);
    service->gone = 0;
    free(keys);
    free(hints);
    device_free(&device);
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    struct service *service = watcher->data;
    struct relay_counters counters;
    (void)events;
    if (watcher->signum != SIGUSR1) {
        ev_break(loop, EVBREAK_ALL);
        return;
    }
    relay_counters(service->relay, &counters);
    log_notice("relay: %llu packets (%llu bytes) forwarded, %llu sessions, %llu initiations, %llu answers; dropped: %llu of unknown index, %llu from a wrong source, %llu of unknown mac1, %llu over the limit, %llu malformed",
               (unsigned long long)counters.packets, (unsigned long long)counters.bytes, (unsigned long long)counters.sessions, (unsigned long long)counters.initiations,
               (unsigned long long)counters.answers, (unsigned long long)counters.unknown_index, (unsigned long long)counters.wrong_source, (unsigned long long)counters.unknown_mac1,
               (unsigned long long)counters.limited, (unsigned long long)counters.malformed);
}

static void watch(struct service *service)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGUSR1};
    int descriptors[2];
    relay_descriptors(service->relay, descriptors);
    for (int i = 0; i < 2; i++) {
        ev_io_init(&service->readable[i], on_readable, descriptors[i], EV_READ);
        service->readable[i].data = service;
        if (descriptors[i] >= 0)
            ev_io_start(service->loop, &service->readable[i]);
    }
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        ev_signal_init(&service->signals[i], on_signal, signals[i]);
        service->signals[i].data = service;
        ev_signal_start(service->loop, &service->signals[i]);
    }
    ev_timer_init(&service->look, on_look, 0., look_every);
    service->look.data = service;
    ev_timer_start(service->loop, &service->look);
}

static uint16_t port_of(const char *interface, uint16_t port)
{
    uint16_t enabled = port ? port : relay_service_port(interface);
    return enabled ? enabled : RELAY_PORT;
}

int node_relay_start(const char *interface, uint16_t port, struct err *err)
{
    if (!if_nametoindex(interface))
        return err_set(err, "%s: there is no such interface", interface);
    return relay_service_start(interface, port_of(interface, port), err);
}

static void run(struct service *service, int place, int ready)
{
    sign(place);
    relay_contain(); /* reading the rows needs CAP_NET_ADMIN; what forwards for strangers has nothing else */
    watch(service);
    if (ready >= 0) {
        (void)!write(ready, "r", 1);
        close(ready);
    }
    ev_run(service->loop, 0);
    (void)!ftruncate(place, 0); /* the number may be another process's soon */
}

int node_relay(const char *interface, uint16_t port, int ready, struct err *err)
{
    struct service service = {.interface = interface, .result = -1};
    struct relay_options options = {.port = port_of(interface, port)};
    bool taken;
    if (!if_nametoindex(interface))
        return err_set(err, "%s: there is no such interface", interface);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_IGN); /* who takes rows away is nobody's to wait for */
    umask(077);
    prctl(PR_SET_NAME, "wgdeck-relay");
    int remover = control_remover_start(interface, err); /* before there is anything that it could inherit */
    int place = remover >= 0 ? take_place(interface, &taken, err) : -1;
    service.loop = place >= 0 ? ev_loop_new(EVFLAG_AUTO) : NULL;
    service.relay = service.loop ? relay_new(&options, err) : NULL;
    service.hub = service.relay ? control_hub_new(service.loop, interface, relay_port(service.relay), remover, err) : NULL;
    if (service.hub) {
        service.result = 0;
        run(&service, place, ready);
    }
    control_hub_free(service.hub);
    relay_free(service.relay);
    if (service.loop)
        ev_loop_destroy(service.loop);
    if (remover >= 0)
        close(remover);
    if (place >= 0)
        close(place);
    return service.result;
}

/* --- starting it */

static void become_service(const char *interface, const char *port, int ready)
{
    char *const environment[] = {(char[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, NULL};
    char *const arguments[] = {(char[]){"wgdeck"}, (char[]){"relay"}, (char[]){"--ready"}, (char[]){"3"}, (char[]){"--port"}, (char *)(uintptr_t)port, (char *)(uintptr_t)interface, NULL};
    sigset_t none;
    int null = open("/dev/null", O_RDWR), high = fcntl(ready, F_DUPFD, 10);
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        dup2(null, i);
    if (dup2(high, READY_PIPE) < 0)
        _exit(126);
    for (int i = READY_PIPE + 1; i < 1024; i++)
        close(i);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (!chdir("/"))
        execve("/proc/self/exe", arguments, environment);
    _exit(127);
}

int relay_service_start(const char *interface, uint16_t port, struct err *err)
{
    int place, ends[2], status;
    char number[8], byte = 0;
    bool taken;
    if (*change_root)
        return 0; /* below another root are tests */
    if ((place = take_place(interface, &taken, err)) < 0)
        return taken ? 0 : -1;
    close(place);
    snprintf(number, sizeof number, "%u", port);
    if (pipe2(ends, O_CLOEXEC))
        return err_set(err, "the relay of %s cannot be started: %s", interface, strerror(errno));
    pid_t child = fork();
    if (child == 0) { /* twice, so that it is nobody's child */
        if (setsid() < 0 || (child = fork()) < 0)
            _exit(126);
        if (child == 0)
            become_service(interface, number, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    struct pollfd polled = {.fd = ends[0], .events = POLLIN};
    bool ready = child > 0 && poll(&polled, 1, READY_WITHIN) > 0 && read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    return ready ? 0 : err_set(err, "the relay of %s does not start: is UDP port %u free there? (wgdeck relay %s says why)", interface, port, interface);
}
