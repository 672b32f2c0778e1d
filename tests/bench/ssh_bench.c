/* First contact and further requests over many sessions: ssh_bench [-F ssh_config] [-r rounds] [-c command] [-u MiB of input to each]
 * [-w window] [-s (spawned ssh)] target... */
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "wgdeck/clock.h"
#include "wgdeck/fanout.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

static struct ev_loop *loop;
static size_t count, pending, failures, round_number, rounds = 3, bytes_total, upload;
static char *upload_bytes;
static const char *command = "true";
static struct fanout_session **sessions;
static int64_t started;
static double cpu_started;

static double cpu(void)
{
    struct rusage usage, children;
    getrusage(RUSAGE_SELF, &usage);
    getrusage(RUSAGE_CHILDREN, &children);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + children.ru_utime.tv_sec + children.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec + children.ru_utime.tv_usec + children.ru_stime.tv_usec) / 1e6;
}

static void next_round(void);

static void one_done(void)
{
    if (--pending == 0)
        next_round();
}

static void output(void *context, struct fanout_request *request, const char *bytes, size_t length)
{
    (void)context, (void)request, (void)bytes;
    bytes_total += length;
}

static void done(void *context, struct fanout_request *request, int status, const char *why)
{
    (void)request;
    if (status < 0) {
        failures++;
        printf("%s: %s\n", (const char *)context, why);
    }
    one_done();
}

static const struct fanout_request_events request_events = {.output = output, .done = done};

static void begin_round(void)
{
    pending = count;
    started = clock_steady();
    cpu_started = cpu();
    for (size_t i = 0; i < count; i++) {
        struct fanout_request *request = fanout_exec(sessions[i], command, NULL, &request_events,
                                                     (void *)(uintptr_t)fanout_session_name(sessions[i]));
        fanout_write(request, upload_bytes, upload);
        fanout_write_end(request);
    }
}

static void next_round(void)
{
    double wall = (double)(clock_steady() - started) / 1e6, used = (cpu() - cpu_started) * 1e3;
    printf("%s: %zu hosts, %zu failed, %.1f ms (%.2f ms a host), client CPU %.1f ms (%.3f ms a host), %zu bytes\n",
           round_number ? "further request" : "first contact", count, failures, wall, wall / (double)count, used, used / (double)count,
           bytes_total);
    failures = bytes_total = 0;
    if (round_number++ < rounds)
        begin_round();
    else
        ev_break(loop, EVBREAK_ALL);
}

int main(int argc, char **argv)
{
    struct fanout_options options = {0};
    int option;
    while ((option = getopt(argc, argv, "F:r:c:u:w:sv")) != -1)
        switch (option) {
        case 'F': options.ssh_config = optarg; break;
        case 'r': rounds = (size_t)atoi(optarg); break;
        case 'c': command = optarg; break;
        case 'u': upload = (size_t)atoi(optarg) << 20; break;
        case 'w': options.window = (unsigned)atoi(optarg); break;
        case 's': options.transport = TRANSPORT_SSH; break;
        case 'v': log_set_level(LOG_LEVEL_VERBOSE); break;
        default: return 2;
        }
    upload_bytes = mem_alloc(upload + 1, 1);
    loop = ev_default_loop(0);
    struct fanout *fanout = fanout_new(loop, &options);
    count = (size_t)(argc - optind);
    sessions = mem_alloc(count + 1, sizeof *sessions);
    for (size_t i = 0; i < count; i++)
        sessions[i] = fanout_open(fanout, argv[optind + (int)i], argv[optind + (int)i], NULL, NULL, NULL);
    begin_round();
    ev_run(loop, 0);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("memory: %ld KiB resident at most\n", usage.ru_maxrss);
    fanout_free(fanout);
    free(sessions);
    free(upload_bytes);
    return 0;
}
