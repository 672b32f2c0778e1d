/* A recording of a large full mesh, and what it costs to follow it.
 * replay_bench write NODES ROUNDS FILE: the readings of all nodes, then ROUNDS rounds of changes at 2 s, as the nodes' counters move when each row
 * has a keepalive of 25 s and a handshake every two minutes; in the middle the UDP port of one node is closed. For wgdeck replay too.
 * replay_bench read FILE: reads it as the deck does, diagnoses and refreshes, and prints what that took, and the peak memory.
 * replay_bench [NODES [ROUNDS]]: both, by way of a file in $TMPDIR. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/diagnosis_world.h"
#include "wgdeck/history.h"
#include "wgdeck/record.h"

enum { INTERVAL = 2, KEEPALIVE_ROUNDS = 12, HANDSHAKE_ROUNDS = 60, RETRY_ROUNDS = 3, CLOSED = 4 };

/* ---- writing ------------------------------------------------------------------------------------------------------- */

struct moment {
    unsigned nodes, round, rounds;
};

/* When a pair has its turn. */
static unsigned turn_of(unsigned a, unsigned b)
{
    uint64_t pair = (uint64_t)(a < b ? a : b) << 32 | (a < b ? b : a);
    return (unsigned)((pair * UINT64_C(0x9E3779B97F4A7C15)) >> 40);
}

static unsigned times(unsigned rounds, unsigned turn, unsigned every)
{
    return (rounds + turn % every) / every;
}

/* Nothing gets to the node CLOSED since the middle of the recording; what it sends is heard. */
static unsigned rounds_open(const struct moment *moment, unsigned a, unsigned b)
{
    bool closed = a == CLOSED % moment->nodes || b == CLOSED % moment->nodes;
    return closed && moment->round > moment->rounds / 2 ? moment->rounds / 2 : moment->round;
}

/* Of the row of NODE about OTHER. True: it is not as it was one round before. */
static bool row_at(const struct moment *moment, unsigned node, unsigned other, struct device_peer *row)
{
    unsigned turn = turn_of(node, other), open = rounds_open(moment, node, other), closed = moment->round - open;
    unsigned alive = times(open, turn, KEEPALIVE_ROUNDS), shaken = times(open, turn, HANDSHAKE_ROUNDS), tries = times(closed, turn, RETRY_ROUNDS);
    int64_t last = (int64_t)open - (int64_t)((open + turn % HANDSHAKE_ROUNDS) % HANDSHAKE_ROUNDS);
    row->handshake = WORLD_NOW + last * INTERVAL * CLOCK_SECOND - CLOCK_SECOND;
    row->tx_bytes = 100000 + (uint64_t)alive * 32 + (uint64_t)shaken * 148 + (uint64_t)tries * 148;
    row->rx_bytes = 100000 + (uint64_t)alive * 32 + (uint64_t)shaken * 92 + (node == CLOSED % moment->nodes ? 0 : (uint64_t)tries * 148);
    if (closed)
        return (closed + turn % RETRY_ROUNDS) % RETRY_ROUNDS == 0;
    return (open + turn % KEEPALIVE_ROUNDS) % KEEPALIVE_ROUNDS == 0 || (open + turn % HANDSHAKE_ROUNDS) % HANDSHAKE_ROUNDS == 0;
}

static void node_name(unsigned node, char name[static 16])
{
    snprintf(name, 16, "n%04u", node + 1);
}

static void write_head(FILE *file, unsigned nodes)
{
    struct buf mesh = BUF_EMPTY, line = BUF_EMPTY;
    buf_add_text(&mesh, "[Mesh]\nName = bench\nNetwork = 10.44.0.0/16, fd44::/64\nInterface = wg0\nTopology = full\n");
    for (unsigned i = 0; i < nodes; i++) {
        char name[16], key[KEY_TEXT_SIZE], address[ADDRESS_TEXT_SIZE], four[ADDRESS_TEXT_SIZE], six[ADDRESS_TEXT_SIZE];
        struct key public = world_key(i);
        struct address place = world_public(i);
        struct prefix prefix4 = world_mesh4(i), prefix6 = world_mesh6(i);
        node_name(i, name);
        key_text(&public, key);
        address_text(&place, address);
        address_text(&prefix4.address, four);
        address_text(&prefix6.address, six);
        buf_add_format(&mesh, "[Node %s]\nSsh = root@%s\nAddress = %s, %s\nEndpoint = %s:51820\nPublicKey = %s\nGroup = g%u\n", name, address, four, six, address,
                       key, i / 25 + 1);
    }
    char at[CLOCK_TEXT_SIZE];
    clock_text(WORLD_NOW, at);
    struct json json = json_begin(&line);
    json_object(&json, NULL);
    json_number(&json, "recording", 1);
    json_text(&json, "at", at);
    json_text(&json, "mesh", buf_text(&mesh));
    json_object_end(&json);
    fprintf(file, "%s\n", buf_text(&line));
    buf_free(&mesh);
    buf_free(&line);
}

static void begin_line(struct json *json, unsigned node, int64_t at)
{
    char name[16];
    node_name(node, name);
    json_object(json, NULL);
    json_text(json, "node", name);
    json_number(json, "at", at);
}

static void write_whole(FILE *file, const struct moment *moment, unsigned node)
{
    struct observation seen = {0};
    struct buf line = BUF_EMPTY;
    struct json json = json_begin(&line);
    observation_clear(&seen);
    world_fill_node(&seen, node, moment->nodes);
    for (unsigned i = 0, r = 0; i < moment->nodes; i++) {
        if (i == node)
            continue;
        (void)row_at(moment, node, i, &seen.devices[0].peers[r]);
        seen.devices[0].peers[r].keepalive = seen.configs[0].device.peers[r].keepalive = 25;
        r++;
    }
    observation_sort(&seen);
    begin_line(&json, node, seen.at);
    observation_to_json(&seen, true, &json, "observation");
    json_object_end(&json);
    fprintf(file, "%s\n", buf_text(&line));
    buf_free(&line);
    observation_clear(&seen);
}

static void write_change(FILE *file, const struct moment *moment, unsigned node)
{
    struct buf line = BUF_EMPTY;
    struct json json = json_begin(&line);
    int64_t at = WORLD_NOW + (int64_t)moment->round * INTERVAL * CLOCK_SECOND;
    begin_line(&json, node, at);
    json_number(&json, "clock_offset", 0);
    json_number(&json, "clock_uncertainty", 2 * CLOCK_MILLISECOND);
    json_object(&json, "change");
    json_number(&json, "node_time", at);
    json_list(&json, "devices");
    json_object(&json, NULL);
    json_text(&json, "name", "wg0");
    json_list(&json, "peers");
    for (unsigned i = 0; i < moment->nodes; i++) {
        struct device_peer row;
        char key[KEY_TEXT_SIZE];
        struct key public = world_key(i);
        if (i == node || !row_at(moment, node, i, &row))
            continue;
        key_text(&public, key);
        json_object(&json, NULL);
        json_text(&json, "key", key);
        json_number(&json, "handshake", row.handshake);
        json_unsigned(&json, "rx", row.rx_bytes);
        json_unsigned(&json, "tx", row.tx_bytes);
        json_object_end(&json);
    }
    json_list_end(&json);
    json_object_end(&json);
    json_list_end(&json);
    json_object_end(&json);
    json_object_end(&json);
    fprintf(file, "%s\n", buf_text(&line));
    buf_free(&line);
}

static int write_recording(unsigned nodes, unsigned rounds, const char *path)
{
    FILE *file = fopen(path, "w");
    struct moment moment = {.nodes = nodes, .rounds = rounds};
    if (!file) {
        perror(path);
        return 1;
    }
    write_head(file, nodes);
    for (unsigned i = 0; i < nodes; i++)
        write_whole(file, &moment, i);
    for (moment.round = 1; moment.round <= rounds; moment.round++)
        for (unsigned i = 0; i < nodes; i++)
            write_change(file, &moment, i);
    if (ferror(file) | fclose(file)) {
        fprintf(stderr, "replay_bench: %s cannot be written\n", path);
        return 1;
    }
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static double cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

static double peak_memory(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

static void print_memory(const char *when)
{
    printf("  peak memory %s: %.0f MB\n", when, peak_memory() / (1 << 20));
}

struct cost {
    double reading, refreshing, diagnosing, most;
    size_t rounds, refreshes, diagnoses, faults;
};

/* One round as the deck does it: lines, then a refresh or a diagnosis beside the one that is shown. */
static struct diagnosis *follow_round(struct recording *recording, struct history *history, struct diagnosis *shown, int64_t at, struct cost *cost)
{
    double begin = cpu_ms();
    const struct mesh *mesh = recording_mesh(recording);
    const struct observed *now = recording_observed(recording);
    if (diagnosis_refresh(shown, mesh, now, history_before(history, at))) {
        cost->refreshes++;
        cost->refreshing += cpu_ms() - begin;
    } else {
        begin = cpu_ms();
        struct diagnosis *fresh = diagnose(mesh, now, history_before(history, at));
        cost->diagnoses++;
        cost->diagnosing += cpu_ms() - begin;
        diagnosis_free(shown);
        shown = fresh;
    }
    cost->faults = shown->fault_count;
    history_add(history, now, at);
    return shown;
}

static int read_all(const char *path, FILE *file)
{
    struct err err;
    struct cost cost = {0};
    struct recording *recording = recording_open(file, path, &err);
    if (!recording) {
        fprintf(stderr, "replay_bench: %s\n", err.text);
        return 1;
    }
    const struct mesh *mesh = recording_mesh(recording);
    struct history *history = history_new();
    double begin = cpu_ms();
    size_t rows = 0;
    for (size_t i = 0; i < mesh->node_count; i++)
        if (recording_next(recording, &err) <= 0)
            break;
    for (size_t i = 0; i < mesh->node_count; i++) {
        const struct device *device = observation_device(&recording_observed(recording)->nodes[i], NULL);
        rows += device ? device->peer_count : 0;
    }
    printf("%zu nodes, %zu rows: first readings in %.0f ms\n", mesh->node_count, rows, cpu_ms() - begin);
    print_memory("with the readings");
    begin = cpu_ms();
    struct diagnosis *diagnosis = diagnose(mesh, recording_observed(recording), NULL);
    printf("  first diagnosis in %.0f ms\n", cpu_ms() - begin);
    print_memory("with a diagnosis");
    int64_t at = recording_peek(recording, &err);
    begin = cpu_ms();
    for (int64_t next = at; at > 0 && at != INT64_MAX; next = recording_peek(recording, &err)) {
        if (next != at) {
            cost.reading += cpu_ms() - begin;
            cost.rounds++;
            diagnosis = follow_round(recording, history, diagnosis, at, &cost);
            begin = cpu_ms();
            at = next;
        }
        if (recording_next(recording, &err) <= 0)
            break;
    }
    printf("  %zu rounds: reading %.0f ms a round; %zu refreshes, %.0f ms each; %zu diagnoses, %.0f ms each; %zu faults at the end\n", cost.rounds,
           cost.reading / (double)cost.rounds, cost.refreshes, cost.refreshing / (double)(cost.refreshes ? cost.refreshes : 1), cost.diagnoses,
           cost.diagnosing / (double)(cost.diagnoses ? cost.diagnoses : 1), cost.faults);
    printf("  at %d s a round: %.1f %% of one core\n", INTERVAL,
           (cost.reading + cost.refreshing + cost.diagnosing) / (double)cost.rounds / (INTERVAL * 1e3) * 100);
    print_memory("in all");
    if (rows)
        printf("  %.0f bytes a row\n", peak_memory() / (double)rows);
    diagnosis_free(diagnosis);
    history_free(history);
    recording_free(recording);
    return 0;
}

static int read_recording(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        return 1;
    }
    int result = read_all(path, file);
    fclose(file);
    return result;
}

/* ---- both ---------------------------------------------------------------------------------------------------------- */

static unsigned number(const char *text, unsigned most)
{
    unsigned long value = strtoul(text, NULL, 10);
    return value < 1 || value > most ? 0 : (unsigned)value;
}

/* Written by a process of its own: its memory is not measured. */
static int both(unsigned nodes, unsigned rounds)
{
    const char *folder = getenv("TMPDIR");
    char *path = mem_format("%s/replay-bench-%ld", folder ? folder : "/tmp", (long)getpid());
    pid_t child = fork();
    int status = 1;
    if (child == 0)
        _exit(write_recording(nodes, rounds, path));
    if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
        status = read_recording(path);
    unlink(path);
    free(path);
    return status ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "write") && number(argv[2], 2000) && number(argv[3], 10000))
        return write_recording(number(argv[2], 2000), number(argv[3], 10000), argv[4]);
    if (argc == 3 && !strcmp(argv[1], "read"))
        return read_recording(argv[2]);
    unsigned nodes = argc > 1 ? number(argv[1], 2000) : 200, rounds = argc > 2 ? number(argv[2], 10000) : 20;
    if (argc > 3 || !nodes || !rounds) {
        fprintf(stderr, "usage: replay_bench [NODES [ROUNDS]] | write NODES ROUNDS FILE | read FILE\n");
        return 2;
    }
    return both(nodes, rounds);
}
