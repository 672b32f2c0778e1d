/* An engine from its start to its end, and as a daemon. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contain.h"
#include "control.h"
#include "keylog.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* --- what the environment says */

static bool is_on(const char *name)
{
    const char *value = getenv(name);
    return !value || strcmp(value, "0") != 0;
}

/* A pair of threads keeps two cores busy. */
static unsigned choose_queues(void)
{
    const char *value = getenv("WGDECK_QUEUES");
    unsigned long long number = 0;
    cpu_set_t cores;
    if (value && text_to_number(value, UDP_QUEUES, &number) == 0 && number)
        return (unsigned)number;
    unsigned pairs = sched_getaffinity(0, sizeof cores, &cores) ? 1 : (unsigned)CPU_COUNT(&cores) / 2;
    return pairs < 1 ? 1 : pairs > UDP_QUEUES ? UDP_QUEUES : pairs;
}

static void choose_log(int level)
{
    log_set_level(level >= 2 ? LOG_LEVEL_VERBOSE : LOG_LEVEL_QUIET);
}

/* What cannot be started is said; after that nothing is. */
static void fall_silent(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0)
        return;
    dup2(null, STDERR_FILENO);
    close(null);
}

/* --- the parts, in order */

struct run {
    const struct engine_options *options;
    struct engine *engine;
    struct uapi_place place;
    struct loop *loop;
    bool begun, tun, protocol;
};

static int open_place(struct run *run, struct err *err)
{
    run->place = (struct uapi_place){.folder = -1, .listening = -1};
    if (run->options->uapi_descriptor >= 0)
        return uapi_place_given(&run->place, run->options->uapi_descriptor, err);
    return uapi_place_lock(&run->place, UAPI_FOLDER, run->options->interface, err);
}

static int open_engine(struct run *run, struct err *err)
{
    struct engine *engine = run->engine = mem_alloc(1, sizeof *engine);
    if (engine_begin(engine, run->options->interface, err))
        return -1;
    run->begun = true;
    keylog_begin(engine->identity);
    engine->seal = seal_choose(getenv("WGDECK_SEAL"), err);
    if (!engine->seal)
        return -1;
    engine->switch_segment = is_on("WGDECK_UDP_GSO");
    engine->switch_gro = is_on("WGDECK_UDP_GRO");
    if (tun_open(&engine->tun, engine->name, run->options->tun_descriptor, choose_queues(), is_on("WGDECK_TUN_OFFLOAD"), is_on("WGDECK_TUN_USO"), err))
        return -1;
    run->tun = true;
    engine->queues = engine->tun.queues;
    atomic_store(&engine->mtu, tun_mtu(&engine->tun));
    protocol_begin(engine);
    timers_begin(engine, clock_steady());
    run->protocol = true;
    engine->control_tx = tx_new(engine, 0, engine->control_reader, &engine->control_tally);
    return 0;
}

static int open_all(struct run *run, struct err *err)
{
    contain_begin();
    if (open_place(run, err) || open_engine(run, err))
        return -1;
    if (run->options->uapi_descriptor < 0 && uapi_place_listen(&run->place, err))
        return -1;
    run->loop = loop_new(run->engine, &run->place, err);
    if (!run->loop)
        return -1;
    contain_capabilities();
    if (workers_start(run->engine, err))
        return -1;
    contain_calls();
    return 0;
}

static void close_retired_sockets(struct engine *engine)
{
    struct udp_sockets *sockets = atomic_exchange(&engine->sockets, NULL);
    if (sockets)
        udp_close(sockets);
}

/* No client meets a socket that does not answer: its file goes first. */
static void close_all(struct run *run)
{
    struct engine *engine = run->engine;
    uapi_place_leave(&run->place);
    if (!engine)
        return;
    if (run->begun)
        workers_stop(engine);
    if (run->loop)
        loop_free(run->loop);
    if (run->begun) {
        close_retired_sockets(engine);
        while (engine->peers)
            peer_remove(engine->peers);
        engine_inbox_take(engine);
        while (epoch_reclaim(&engine->epoch)) {}
    }
    if (run->protocol) {
        tx_free(engine->control_tx);
        timers_end(engine);
        protocol_end(engine);
    }
    if (run->tun)
        tun_close(&engine->tun);
    if (run->begun)
        engine_end(engine);
    free(engine);
}

/* READY: is told, once, that the engine answers. */
static int run_here(const struct engine_options *options, void (*ready)(int), int argument, struct err *err)
{
    struct run run = {.options = options};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    choose_log(options->log_level);
    int result = open_all(&run, err);
    if (!result) {
        if (options->log_level <= 0)
            fall_silent();
        if (ready)
            ready(argument);
        loop_run(run.loop);
    }
    int error = errno;
    close_all(&run);
    errno = error;
    return result;
}

/* --- as a daemon */

static void leave_terminal(void)
{
    const char *level = getenv("LOG_LEVEL");
    int null = open("/dev/null", O_RDWR);
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    if (!level || !*level)
        dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
}

static void tell_parent(int descriptor)
{
    (void)!write(descriptor, "", 1);
    close(descriptor);
    leave_terminal();
}

static void run_as_child(const struct engine_options *options, int descriptor)
{
    struct err err = {{0}};
    setsid();
    (void)!chdir("/");
    signal(SIGHUP, SIG_IGN);
    int result = run_here(options, tell_parent, descriptor, &err);
    if (result)
        (void)!write(descriptor, err.text, strlen(err.text));
    exit(result ? 1 : 0);
}

/* The child says one zero byte when it answers, or else what is wrong. */
static int wait_for_child(int descriptor, struct err *err)
{
    char text[sizeof err->text + 1] = "";
    size_t length = 0;
    while (length < sizeof text - 1) {
        ssize_t got = read(descriptor, text + length, sizeof text - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
        if (!text[0])
            return 0;
    }
    return err_set(err, "%s", length ? text : "the engine ended before it answered");
}

static int run_as_daemon(const struct engine_options *options, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return err_set(err, "pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0) {
        int error = errno;
        close(ends[0]);
        close(ends[1]);
        return err_set(err, "fork: %s", strerror(error));
    }
    if (!child) {
        close(ends[0]);
        run_as_child(options, ends[1]);
    }
    close(ends[1]);
    int result = wait_for_child(ends[0], err);
    close(ends[0]);
    if (result)
        waitpid(child, NULL, 0);
    return result;
}

int engine_run(const struct engine_options *options, struct err *err)
{
    return options->foreground ? run_here(options, NULL, 0, err) : run_as_daemon(options, err);
}
