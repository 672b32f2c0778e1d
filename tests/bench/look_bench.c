/* A further look over live sessions: look_bench bare|helper COUNT HOST... prints one line a look, in milliseconds.
 * The first line is the first look, connections and (for helper) pushes included. */
#include <ev.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "wgdeck/clock.h"
#include "wgdeck/look.h"
#include "wgdeck/mem.h"

struct bench {
    struct ev_loop *loop;
    const struct mesh *mesh;
    bool *answered;
    size_t missing;
    unsigned left;
    bool first_done;
    int64_t started;
    double cpu_started;
};

static double cpu_milliseconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
}

static void begin(struct bench *bench)
{
    memset(bench->answered, 0, bench->mesh->node_count * sizeof *bench->answered);
    bench->missing = bench->mesh->node_count;
    bench->started = clock_steady();
    bench->cpu_started = cpu_milliseconds();
}

static void end_round(struct bench *bench, struct look *look)
{
    printf("%s %.1f ms, client CPU %.1f ms\n", bench->first_done ? "further" : "first",
           (double)(clock_steady() - bench->started) / 1e6, cpu_milliseconds() - bench->cpu_started);
    bench->first_done = true;
    if (!bench->left--) {
        ev_break(bench->loop, EVBREAK_ALL);
        return;
    }
    begin(bench);
    look_refresh(look);
}

static void on_changed(void *context, struct look *look, size_t node)
{
    struct bench *bench = context;
    const struct observation *observation = &look_observed(look)->nodes[node];
    if (observation->reach != REACH_OK) {
        fprintf(stderr, "look_bench: %s: %s\n", bench->mesh->nodes[node].name, observation->error ? observation->error : "?");
        exit(1);
    }
    if (bench->answered[node])
        return;
    bench->answered[node] = true;
    if (!--bench->missing)
        end_round(bench, look);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fputs("usage: look_bench bare|helper COUNT HOST...\n", stderr);
        return 2;
    }
    struct err err;
    struct mesh *mesh = mesh_from_targets((const char *const *)(argv + 3), (size_t)(argc - 3), &err);
    if (!mesh) {
        fprintf(stderr, "look_bench: %s\n", err.text);
        return 2;
    }
    struct bench bench = {.loop = ev_default_loop(0), .mesh = mesh, .left = (unsigned)strtoul(argv[2], NULL, 10)};
    bench.answered = mem_alloc(mesh->node_count, sizeof *bench.answered);
    begin(&bench);
    /* "every" keeps the sessions; the refreshes come long before it. */
    struct look_options options = {.mode = strcmp(argv[1], "bare") == 0 ? LOOK_BARE : LOOK_HELPER, .every = 3600, .deadline = 120,
                                   .helper = getenv("WGDECK_HELPER")};
    static const struct look_events events = {.changed = on_changed};
    struct look *look = look_new(bench.loop, mesh, &options, &events, &bench, &err);
    if (!look) {
        fprintf(stderr, "look_bench: %s\n", err.text);
        return 1;
    }
    ev_run(bench.loop, 0);
    look_free(look);
    mesh_free(mesh);
    free(bench.answered);
    return 0;
}
