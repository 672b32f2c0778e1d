/* How long one diagnosis takes, and how much memory with its observations: a full mesh of NODES (default 200: 39,800 rows), two readings,
 * healthy, then with the UDP port of one node closed, then with each fault there is room for: all preshared keys different.
 * diagnosis_bench [NODES]: one line a case, milliseconds (best of 10; of 2 with more than 500 nodes), and the peak memory of the process.
 * diagnosis_bench [NODES] FILE: one reading of the healthy mesh as a recording, for wgdeck replay. */
#include <stdbool.h>
#include <sys/resource.h>

#include "../unit/diagnosis_world.h"
#include "wgdeck/record.h"

static void healthy(struct world *world)
{
    (void)world;
}

static void port_closed(struct world *world)
{
    for (size_t i = 1; i < world->count; i++) {
        struct device_peer *row = &world->now->nodes[i].devices[0].peers[0];
        for (size_t r = 0; r < world->now->nodes[i].devices[0].peer_count; r++)
            if (key_compare(&world->now->nodes[i].devices[0].peers[r].public_key, &world->now->nodes[0].devices[0].public_key) == 0)
                row = &world->now->nodes[i].devices[0].peers[r];
        row->handshake = WORLD_NOW - 600 * CLOCK_SECOND;
        row->tx_bytes += 444;
    }
    for (size_t r = 0; r < world->now->nodes[0].devices[0].peer_count; r++)
        world->now->nodes[0].devices[0].peers[r].handshake = WORLD_NOW - 600 * CLOCK_SECOND;
}

static void all_differ(struct world *world)
{
    for (size_t i = 0; i < world->count; i++)
        for (size_t r = 0; r < world->now->nodes[i].devices[0].peer_count; r++) {
            world->now->nodes[i].devices[0].peers[r].has_preshared = true;
            memset(world->now->nodes[i].devices[0].peers[r].preshared_hash, (int)(i % 250) + 1, KEY_HASH_SIZE);
        }
}

static const struct {
    const char *name;
    void (*make)(struct world *world);
} cases[] = {{"healthy", healthy}, {"one port closed", port_closed}, {"every preshared key differs", all_differ}};

static void as_the_deck_has_it(struct world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        struct observation *seen = &world->now->nodes[i];
        for (size_t r = 0; r < seen->devices[0].peer_count; r++) {
            device_share_allowed(&seen->devices[0].peers[r]);
            device_share_allowed(&seen->configs[0].device.peers[r]);
        }
        observation_pack(seen);
    }
}

static void measure(size_t count, bool from_file, const char *name, void (*make)(struct world *world))
{
    struct world world = world_new(count, from_file);
    int64_t best = INT64_MAX, refreshed = INT64_MAX;
    size_t faults = 0, rows = 0;
    world_sort(&world);
    world_keep_as_before(&world);
    make(&world);
    as_the_deck_has_it(&world);
    for (int i = 0, times = count > 500 ? 2 : 10; i < times; i++) {
        int64_t begin = clock_steady();
        struct diagnosis *diagnosis = diagnose(world.mesh, world.now, world.before);
        int64_t took = clock_steady() - begin;
        best = took < best ? took : best;
        begin = clock_steady();
        bool stands = diagnosis_refresh(diagnosis, world.mesh, world.now, world.before);
        took = clock_steady() - begin;
        refreshed = took < refreshed ? took : refreshed;
        if (!stands)
            printf("the faults do not stand, though nothing happened\n");
        faults = diagnosis->fault_count;
        diagnosis_free(diagnosis);
    }
    for (size_t i = 0; i < count; i++)
        rows += world.now->nodes[i].devices[0].peer_count;
    printf("%zu nodes, %zu rows, %s, %s: %.1f ms, refreshed in %.1f ms, %zu faults\n", count, rows, from_file ? "mesh file" : "hosts", name, (double)best / 1e6,
           (double)refreshed / 1e6, faults);
    world_free(&world);
}

static int write_recording(size_t count, const char *path)
{
    struct world world = world_new(count, false);
    struct err err = {.text = "cannot be written"};
    for (size_t i = 0; i < count; i++) { /* names of a mesh without a file come from the targets */
        free(world.mesh->nodes[i].ssh);
        world.mesh->nodes[i].ssh = mem_text(world.mesh->nodes[i].name);
    }
    FILE *file = fopen(path, "w");
    struct recorder *recorder = file ? recorder_new(file, path, world.mesh, NULL, &err) : NULL;
    int result = recorder ? 0 : -1;
    world_sort(&world);
    for (size_t i = 0; i < count && result == 0; i++)
        result = recorder_add(recorder, i, &world.now->nodes[i], &err);
    if (result)
        fprintf(stderr, "diagnosis_bench: %s: %s\n", path, err.text);
    if (recorder)
        recorder_free(recorder);
    if (file && fclose(file))
        result = -1;
    world_free(&world);
    return result ? 1 : 0;
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? strtol(argv[1], NULL, 10) : 200;
    if (count < 1 || count > 2000)
        return 2;
    if (argc > 2)
        return write_recording((size_t)count, argv[2]);
    for (size_t i = 0; i < COUNT_OF(cases) * 2; i++)
        measure((size_t)count, i % 2 == 0, cases[i / 2].name, cases[i / 2].make);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("peak memory, with that of making the readings: %.1f MB, %.0f bytes a row (replay_bench tells the deck's)\n", (double)usage.ru_maxrss / 1024,
           (double)usage.ru_maxrss * 1024 / (double)((size_t)count * (size_t)(count > 1 ? count - 1 : 1)));
    return 0;
}
