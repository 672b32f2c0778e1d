/* The watcher of what the ladder carries on this node (paths.h): pings the other ends, and gives what a row allows back to the hub's when nothing comes back. Each end has its own, so both come to
 * the same without anybody who tells them; it needs no deck. It ends when nothing is carried any more. */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
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
#include "paths.h"
#include "verify.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/node.h"

/* Dead within 15 s: PAUSE until it is asked, and twice no answer to the pings of WITHIN seconds. */
static const double pause_between = 5, within = 4, look_every = 1;
enum { MISSES = 2, TRIAL_MOST = 180 /* seconds: whoever drove it is gone */ };

struct missed { struct key key; unsigned times; };
struct watch {
    struct ev_loop *loop;
    const char *interface;
    struct verify *verify;
    struct ev_timer pause, look;
    struct ev_signal ended[2];
    struct path_notes notes;
    struct missed *missed; /* owned */
    size_t missed_count;
    struct control_agent *agent; /* on a node that has joined; else NULL */
    int idle;              /* looks in a row that found nothing to do */
};

static char *run_path(const char *interface, const char *suffix)
{
    return mem_format("%s/run/wgdeck/%s.%s", change_root, interface, suffix);
}

/* --- starting it */

/* The place of the one watcher: a descriptor. -1 with *TAKEN, or with err. */
static int take_place(const char *interface, bool *taken, struct err *err)
{
    char *path = run_path(interface, "paths.lock"), *folder = mem_format("%s/run/wgdeck", change_root);
    int descriptor = file_make_folders(folder, 0700, err) ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    *taken = descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) != 0;
    if (descriptor < 0)
        err_set(err, "%s: cannot be locked: %s", path, strerror(errno));
    if (*taken) {
        close(descriptor);
        descriptor = -1;
    }
    free(folder);
    free(path);
    return descriptor;
}

static void become_watcher(const char *interface)
{
    char *const environment[] = {(char[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, NULL};
    char *const arguments[] = {(char[]){"wgdeck"}, (char[]){"node"}, (char[]){"--paths"}, (char *)(uintptr_t)interface, NULL};
    sigset_t none;
    int null = open("/dev/null", O_RDWR);
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        dup2(null, i);
    for (int i = STDERR_FILENO + 1; i < 1024; i++)
        close(i);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (!chdir("/"))
        execve("/proc/self/exe", arguments, environment);
    _exit(127);
}

int path_watch_start(const char *interface, struct err *err)
{
    bool taken;
    int place, status;
    if (*change_root)
        return 0; /* below another root are tests, with nothing that could be watched */
    if ((place = take_place(interface, &taken, err)) < 0)
        return taken ? 0 : -1; /* one is there, and looks every second */
    close(place);
    pid_t child = fork();
    if (child < 0)
        return err_set(err, "the watcher of %s cannot be started: %s", interface, strerror(errno));
    if (child == 0) { /* twice, so that it is nobody's child */
        if (setsid() < 0 || (child = fork()) < 0)
            _exit(126);
        if (child == 0)
            become_watcher(interface);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : err_set(err, "the watcher of %s cannot be started", interface);
}

/* --- being it */

static bool is_carried(const struct path_note *note)
{
    return (note->way == WAY_DIRECT || note->way == WAY_RELAY) && note->allowed_count;
}

static unsigned *misses_of(struct watch *watch, const struct key *key)
{
    for (size_t i = 0; i < watch->missed_count; i++)
        if (!key_compare(&watch->missed[i].key, key))
            return &watch->missed[i].times;
    watch->missed = mem_resize(watch->missed, watch->missed_count + 1, sizeof *watch->missed);
    watch->missed[watch->missed_count] = (struct missed){.key = *key};
    return &watch->missed[watch->missed_count++].times;
}

static void give_back(struct watch *watch, const struct path_note *note)
{
    bool trial = note->way == WAY_TRYING;
    struct path_order order = {.deed = PATH_DEED_YIELD, .key = note->key, .hub = note->hub, .forget = note->made};
    const char *code;
    struct err err;
    snprintf(order.interface, sizeof order.interface, "%s", watch->interface);
    snprintf(order.name, sizeof order.name, "%s", note->name);
    snprintf(order.reason, sizeof order.reason, trial ? "a trial that nobody has ended" : note->way == WAY_RELAY ? "nothing came back by the relay's way" : "nothing came back by the direct way");
    for (size_t i = 0; i < note->allowed_count && i < PATH_ALLOWED_MOST; i++)
        order.allowed[order.allowed_count++] = note->allowed[i];
    if (!path_do(&order, &code, &err))
        *misses_of(watch, &note->key) = 0;
}

static void on_link(void *context, const struct key *key, int64_t rtt, int64_t age)
{
    (void)rtt, (void)age;
    *misses_of(context, key) = 0;
}

static void on_failed(void *context, const struct key *key, const char *why)
{
    (void)why;
    ++*misses_of(context, key);
}

static void on_done(void *context)
{
    struct watch *watch = context;
    bool again = false;
    verify_free(watch->verify);
    watch->verify = NULL;
    path_notes_free(&watch->notes);
    path_notes_read(watch->interface, &watch->notes); /* somebody may have moved it meanwhile */
    for (size_t i = 0; i < watch->notes.count; i++) {
        const struct path_note *note = &watch->notes.notes[i];
        unsigned misses = *misses_of(watch, &note->key);
        if (is_carried(note) && misses >= MISSES)
            give_back(watch, note);
        again |= is_carried(note) && misses;
    }
    ev_timer_stop(watch->loop, &watch->pause);
    ev_timer_set(&watch->pause, again ? 0.01 : pause_between, 0.);
    ev_timer_start(watch->loop, &watch->pause);
}

static void ask(struct ev_loop *loop, ev_timer *timer, int events)
{
    static const struct verify_events told = {.link = on_link, .failed = on_failed, .done = on_done};
    struct watch *watch = timer->data;
    struct err err;
    (void)events;
    path_notes_free(&watch->notes);
    path_notes_read(watch->interface, &watch->notes);
    struct verify_link *links = mem_alloc(watch->notes.count + 1, sizeof *links);
    size_t count = 0;
    for (size_t i = 0; i < watch->notes.count; i++)
        if (is_carried(&watch->notes.notes[i]))
            links[count++] = (struct verify_link){.key = watch->notes.notes[i].key, .addresses = watch->notes.notes[i].allowed, .address_count = 1, .lead = true};
    watch->verify = count ? verify_new(loop, watch->interface, links, count, within, &told, watch, &err) : NULL;
    free(links);
    if (!watch->verify) {
        ev_timer_stop(loop, timer);
        ev_timer_set(timer, look_every, 0.);
        ev_timer_start(loop, timer);
    }
}

/* Is there still something to do? The second look in a row that says no ends it. */
static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct watch *watch = timer->data;
    bool needed = watch->agent != NULL;
    (void)events;
    if (!watch->verify) {
        path_notes_free(&watch->notes);
        path_notes_read(watch->interface, &watch->notes);
    }
    for (size_t i = 0; i < watch->notes.count; i++) {
        const struct path_note *note = &watch->notes.notes[i];
        needed |= is_carried(note) || note->way == WAY_TRYING;
        if (note->way == WAY_TRYING && clock_wall() / CLOCK_SECOND - note->since > TRIAL_MOST)
            give_back(watch, note);
    }
    watch->idle = needed ? 0 : watch->idle + 1;
    if (!if_nametoindex(watch->interface) || watch->idle > 1)
        ev_break(loop, EVBREAK_ALL);
}

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)watcher, (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void watch_until_idle(struct watch *watch)
{
    static const int signals[] = {SIGTERM, SIGINT};
    ev_timer_init(&watch->pause, ask, pause_between, 0.);
    ev_timer_init(&watch->look, on_look, look_every, look_every);
    watch->pause.data = watch->look.data = watch;
    ev_timer_start(watch->loop, &watch->pause);
    ev_timer_start(watch->loop, &watch->look);
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        ev_signal_init(&watch->ended[i], on_signal, signals[i]);
        ev_signal_start(watch->loop, &watch->ended[i]);
    }
    ev_run(watch->loop, 0);
    verify_free(watch->verify);
}

int node_paths(const char *interface)
{
    struct watch watch = {.interface = interface, .loop = ev_loop_new(EVFLAG_AUTO)};
    struct err err;
    bool taken = false;
    int place = device_name_is_valid(interface) ? take_place(interface, &taken, &err) : -1;
    if (place < 0 || !watch.loop || !if_nametoindex(interface))
        return taken ? 0 : 1;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    umask(077);
    prctl(PR_SET_NAME, "wgdeck-paths");
    watch.agent = control_agent_new(watch.loop, interface, &err);
    watch_until_idle(&watch);
    control_agent_free(watch.agent);
    path_notes_free(&watch.notes);
    free(watch.missed);
    ev_loop_destroy(watch.loop);
    close(place);
    return 0;
}
