/* A refreshed diagnosis is the one that diagnose() would have made, or says that it may not be: on random worlds, with all that can happen to
 * them one after the other. How often each answer was given is checked too, so that a refresh that always or never gives up is found. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "diagnosis_world.h"
#include "observed_random.h"
#include "wgdeck/buf.h"

enum { ROUNDS = 2000, STEPS = 30, KEPT = 8 };

struct run {
    struct chance chance;
    struct world world;
    struct counters *kept[KEPT]; /* newest last */
    size_t kept_count;
    struct diagnosis *diagnosis;
    size_t stood, stood_changed, gave_up, gave_up_settings, gave_up_in_vain;
};

static bool now_and_then(struct run *run, size_t one_in)
{
    return chance_below(&run->chance, one_in) == 0;
}

static char some_node(struct run *run)
{
    return (char)('a' + (char)chance_below(&run->chance, run->world.count));
}

static struct observation *some_seen(struct run *run)
{
    return world_node(&run->world, some_node(run));
}

static struct device_peer *some_row(struct run *run, struct observation *seen)
{
    struct device *device = seen->device_count ? &seen->devices[0] : NULL;
    return device && device->peer_count ? &device->peers[chance_below(&run->chance, device->peer_count)] : NULL;
}

/* The row of the other end, in the same moment, or NULL. */
static struct device_peer *far_row(struct run *run, size_t node, const struct device_peer *row, size_t *far)
{
    for (size_t i = 0; i < run->world.count; i++) {
        struct observation *seen = &run->world.now->nodes[i];
        struct key key = world_key((unsigned)i), own = world_key((unsigned)node);
        if (key_compare(&key, &row->public_key) != 0 || !seen->device_count)
            continue;
        for (size_t r = 0; r < seen->devices[0].peer_count; r++)
            if (key_compare(&seen->devices[0].peers[r].public_key, &own) == 0) {
                *far = i;
                return &seen->devices[0].peers[r];
            }
    }
    return NULL;
}

/* ---- worlds that have faults, or nearly ---------------------------------------------------------------------------- */

static void make_quiet(struct run *run)
{
    size_t node = chance_below(&run->chance, run->world.count), far;
    struct device_peer *row = some_row(run, &run->world.now->nodes[node]), *other = row ? far_row(run, node, row, &far) : NULL;
    if (!other)
        return;
    row->handshake = other->handshake = now_and_then(run, 3) ? 0 : WORLD_NOW - (100 + (int64_t)chance_below(&run->chance, 400)) * CLOCK_SECOND;
    if (!row->handshake)
        row->rx_bytes = row->tx_bytes = other->rx_bytes = other->tx_bytes = 0;
}

static void make_keepalive(struct run *run)
{
    struct observation *seen = some_seen(run);
    for (size_t i = 0; i < seen->devices[0].peer_count; i++)
        seen->devices[0].peers[i].keepalive = 25;
}

static void make_stale(struct run *run)
{
    struct device_peer *row = some_row(run, some_seen(run));
    static const char *const places[] = {"198.51.100.9:51820", "", "203.0.113.12:51821", "10.44.0.2:51820", "192.168.1.2:51820"};
    if (row)
        row->endpoint = world_endpoint(places[chance_below(&run->chance, COUNT_OF(places))]);
}

static void make_natted(struct run *run)
{
    world_nat(&run->world, some_node(run), "192.168.1.7", now_and_then(run, 2) ? "198.51.100.1:51820" : "198.51.100.2:4242", now_and_then(run, 2) ? 25 : 0);
}

static void make_wrong_key(struct run *run)
{
    struct device_peer *row = some_row(run, some_seen(run));
    if (row)
        row->public_key.bytes[31] ^= 0x80;
}

static void make_failed(struct run *run)
{
    world_fail(&run->world, some_node(run));
}

static void make_unread(struct run *run) /* there, and its rows were not to be had */
{
    struct observation *seen = some_seen(run);
    for (size_t i = 0; i < seen->device_count; i++)
        device_free(&seen->devices[i]);
    seen->device_count = 0;
    seen->privileged = false;
}

static void make_marked(struct run *run) /* and endpoints that would go through the tunnel, were it not for the mark */
{
    struct observation *seen = some_seen(run);
    if (seen->device_count)
        seen->devices[0].fwmark = 0xca6c;
    for (size_t i = 0; i < seen->route_count; i++)
        if (now_and_then(run, 4))
            snprintf(seen->routes[i].device, sizeof seen->routes[i].device, "wg0");
}

static void make_lossy(struct run *run)
{
    struct device_peer *row = some_row(run, some_seen(run));
    if (row)
        row->tx_bytes += 1000000;
}

static void make_untouched(struct run *run) /* another endpoint is saved; that is drift as long as nothing was heard */
{
    struct observation *seen = some_seen(run);
    struct device_peer *row = some_row(run, seen);
    if (!row)
        return;
    row->handshake = 0;
    row->rx_bytes = 0;
    if (row->endpoint.address.family)
        row->endpoint.port++;
}

static void make_clock_set(struct run *run)
{
    struct observation *seen = some_seen(run);
    int64_t by = (int64_t)chance_below(&run->chance, 600) * CLOCK_SECOND - 300 * CLOCK_SECOND;
    seen->clock_offset += by;
    seen->node_time += by;
}

static void make_unrouted(struct run *run)
{
    struct observation *seen = some_seen(run);
    if (seen->route_count)
        snprintf(seen->routes[chance_below(&run->chance, seen->route_count)].device, IFNAMSIZ, "eth0");
}

static void (*const makers[])(struct run *) = {make_quiet,  make_quiet,  make_quiet,     make_keepalive, make_stale,     make_wrong_key,
                                               make_unread, make_marked, make_untouched, make_lossy,     make_clock_set, make_unrouted};

/* ---- what happens ---------------------------------------------------------------------------------------------------- */

/* Readings come as the deck takes them over: whole, or as changes. */
static void arrive(struct run *run, size_t node, struct observation *fresh)
{
    struct observation *seen = &run->world.now->nodes[node];
    observation_sort(fresh);
    if (now_and_then(run, 2))
        observation_pack(fresh);
    if (seen->reach != REACH_OK || fresh->reach != REACH_OK || now_and_then(run, 2)) {
        observation_replace(seen, fresh);
        return;
    }
    struct buf buf = BUF_EMPTY;
    struct json json = json_begin(&buf);
    struct err err;
    observation_change_to_json(seen, fresh, &json, NULL);
    cJSON *change = json_parse(buf_text(&buf), buf.length, &err);
    assert_non_null(change);
    assert_int_equal(observation_merge(seen, change, &err), 0);
    seen->at = fresh->at;
    seen->clock_offset = fresh->clock_offset;
    seen->clock_uncertainty = fresh->clock_uncertainty;
    assert_true(observation_equal(seen, fresh, true));
    cJSON_Delete(change);
    buf_free(&buf);
    observation_clear(fresh);
}

static void change_settings(struct run *run, struct observation *fresh)
{
    struct device_peer *row = some_row(run, fresh);
    switch (chance_below(&run->chance, 7)) {
    case 0:
        fresh->forwarding4 = (int32_t)chance_below(&run->chance, 2);
        return;
    case 1:
        if (row && row->endpoint.address.family)
            row->endpoint.port ^= 1;
        return;
    case 2:
        if (row)
            row->keepalive ^= 25;
        return;
    case 3:
        if (row)
            row->has_preshared = !row->has_preshared, memset(row->preshared_hash, row->has_preshared ? 7 : 0, KEY_HASH_SIZE);
        return;
    case 4:
        fresh->links[1].up = !fresh->links[1].up;
        return;
    case 5:
        if (row)
            row->public_key.bytes[5] ^= 1;
        return;
    default:
        fresh->configs[0].mode ^= 044;
    }
}

static void move_rows(struct run *run, size_t node, struct observation *fresh)
{
    for (size_t r = 0; fresh->device_count && r < fresh->devices[0].peer_count; r++) {
        struct device_peer *row = &fresh->devices[0].peers[r];
        size_t far;
        struct device_peer *other = far_row(run, node, row, &far);
        bool arrives = !now_and_then(run, 12);
        if (now_and_then(run, 2)) {
            uint64_t bytes = now_and_then(run, 2) ? 148 : 32 + chance_below(&run->chance, 3000);
            row->tx_bytes += bytes;
            if (other && arrives)
                other->rx_bytes += bytes;
        }
        if (row->handshake && fresh->node_time - row->handshake > 115 * CLOCK_SECOND && arrives && !now_and_then(run, 3)) {
            row->handshake = fresh->node_time - (int64_t)chance_below(&run->chance, 3) * CLOCK_SECOND;
            if (other && !now_and_then(run, 12))
                other->handshake = run->world.now->nodes[far].node_time;
        }
        if (now_and_then(run, 300))
            row->rx_bytes = row->tx_bytes = 0;
        if (now_and_then(run, 300))
            row->handshake = row->handshake ? 0 : fresh->node_time;
    }
}

static void step(struct run *run)
{
    int64_t seconds = now_and_then(run, 20) ? 60 : 2 + (int64_t)chance_below(&run->chance, 3);
    bool settings = now_and_then(run, 12);
    for (size_t i = 0; i < run->world.count; i++) {
        struct observation fresh, *seen = &run->world.now->nodes[i];
        observation_copy(&fresh, seen);
        observation_unpack(&fresh);
        fresh.at += seconds * CLOCK_SECOND;
        if (fresh.reach == REACH_OK) {
            fresh.node_time += seconds * CLOCK_SECOND;
            if (now_and_then(run, 40))
                fresh.clock_offset += 3 * CLOCK_SECOND;
            move_rows(run, i, &fresh);
            if (settings && now_and_then(run, run->world.count) && fresh.device_count)
                change_settings(run, &fresh);
        }
        arrive(run, i, &fresh);
    }
}

/* ---- comparing ------------------------------------------------------------------------------------------------------- */

static bool same_faults(const struct diagnosis *one, const struct diagnosis *two)
{
    if (one->fault_count != two->fault_count || one->verdict != two->verdict)
        return false;
    for (size_t i = 0; i < one->fault_count; i++) {
        const struct fault *a = &one->faults[i], *b = &two->faults[i];
        if (a->kind != b->kind || a->severity != b->severity || a->nodes[0] != b->nodes[0] || a->nodes[1] != b->nodes[1] || a->directed != b->directed ||
            a->from != b->from || a->to != b->to)
            return false;
    }
    return true;
}

static bool same_link(const struct link *a, const struct link *b)
{
    return a->a == b->a && a->b == b->b && a->state == b->state && a->path == b->path && a->a_to_b == b->a_to_b && a->b_to_a == b->b_to_a &&
           a->a_row == b->a_row && a->b_row == b->b_row && a->a_age == b->a_age && a->b_age == b->b_age && a->rtt == b->rtt;
}

static bool same_node(const struct node_summary *a, const struct node_summary *b)
{
    return a->state == b->state && a->device == b->device && a->rows == b->rows && a->live == b->live && a->rx_bytes == b->rx_bytes &&
           a->tx_bytes == b->tx_bytes;
}

static void show(const struct diagnosis *diagnosis)
{
    for (size_t i = 0; i < diagnosis->fault_count; i++)
        print_error("    %s %s\n", diagnosis->faults[i].kind->id, diagnosis->faults[i].summary);
}

static void compare(struct run *run, int round, const struct diagnosis *wanted, bool faults)
{
    const struct diagnosis *found = run->diagnosis;
    assert_int_equal(found->at, wanted->at);
    assert_int_equal(found->link_count, wanted->link_count);
    for (size_t i = 0; i < found->link_count; i++)
        if (faults && !same_link(&found->links[i], &wanted->links[i]))
            fail_msg("round %d: link %zu (%c-%c) is %s %d %d, not %s %d %d", round, i, 'a' + (int)found->links[i].a, 'a' + (int)found->links[i].b,
                     link_state_text(found->links[i].state), found->links[i].a_to_b, found->links[i].b_to_a, link_state_text(wanted->links[i].state),
                     wanted->links[i].a_to_b, wanted->links[i].b_to_a);
    for (size_t i = 0; i < found->node_count; i++)
        if (faults && !same_node(&found->nodes[i], &wanted->nodes[i]))
            fail_msg("round %d: node %c differs", round, 'a' + (int)i);
    if (faults && !same_faults(found, wanted)) {
        print_error("refreshed:\n");
        show(found);
        print_error("diagnosed:\n");
        show(wanted);
        fail_msg("round %d: the refresh said that the faults stand", round);
    }
}

static const struct counters *older(const struct run *run)
{
    int64_t newest = run->world.now->nodes[0].at;
    for (size_t i = run->kept_count; i-- > 0;)
        if (newest - run->kept[i]->nodes[0].at >= 12 * CLOCK_SECOND)
            return run->kept[i];
    return NULL;
}

static void keep(struct run *run)
{
    if (run->kept_count == KEPT) {
        counters_free(run->kept[0]);
        memmove(run->kept, run->kept + 1, --run->kept_count * sizeof run->kept[0]);
    }
    run->kept[run->kept_count++] = counters_take(run->world.now);
}

static bool any_link_differs(const struct diagnosis *a, const struct diagnosis *b)
{
    bool differs = false;
    for (size_t i = 0; i < a->link_count && i < b->link_count; i++)
        differs |= a->links[i].state != b->links[i].state || a->links[i].a_to_b != b->links[i].a_to_b || a->links[i].b_to_a != b->links[i].b_to_a;
    return differs;
}

static void one_step(struct run *run, int round)
{
    uint64_t serials = 0, serials_before = 0;
    for (size_t i = 0; i < run->world.count; i++)
        serials_before += run->world.now->nodes[i].serial;
    step(run);
    for (size_t i = 0; i < run->world.count; i++)
        serials += run->world.now->nodes[i].serial;
    struct diagnosis *wanted = diagnose_after(run->diagnosis, run->world.mesh, run->world.now, older(run)), *last = diagnosis_copy(run->diagnosis);
    bool stands = diagnosis_refresh(run->diagnosis, run->world.mesh, run->world.now, older(run));
    if (stands) {
        assert_int_equal(serials, serials_before);
        compare(run, round, wanted, true);
        run->stood++;
        run->stood_changed += any_link_differs(last, wanted);
    } else {
        run->gave_up++;
        run->gave_up_settings += serials != serials_before;
        run->gave_up_in_vain += serials == serials_before && same_faults(last, wanted);
        if (serials == serials_before)
            compare(run, round, wanted, false);
    }
    diagnosis_free(last);
    diagnosis_free(stands ? wanted : run->diagnosis);
    if (!stands)
        run->diagnosis = wanted;
    keep(run);
}

static void one_round(struct run *run, int round)
{
    run->world = world_new(2 + chance_below(&run->chance, 6), now_and_then(run, 2));
    for (size_t i = now_and_then(run, 3) ? 1 + chance_below(&run->chance, 2) : 0; i > 0; i--)
        make_natted(run);
    for (size_t i = chance_below(&run->chance, 6); i > 0; i--)
        makers[chance_below(&run->chance, COUNT_OF(makers))](run);
    if (now_and_then(run, 6))
        make_failed(run);
    world_sort(&run->world);
    run->kept_count = 0;
    keep(run);
    run->diagnosis = diagnose_after(NULL, run->world.mesh, run->world.now, NULL);
    for (int i = 0; i < STEPS; i++)
        one_step(run, round);
    diagnosis_free(run->diagnosis);
    while (run->kept_count)
        counters_free(run->kept[--run->kept_count]);
    world_free(&run->world);
}

static void test_refresh(void **state)
{
    (void)state;
    struct run run = {.chance = {.state = 7}};
    for (int round = 0; round < ROUNDS; round++)
        one_round(&run, round);
    print_message("stood %zu (%zu with links in another state), gave up %zu: %zu for settings, %zu though the faults are the same\n", run.stood,
                  run.stood_changed, run.gave_up, run.gave_up_settings, run.gave_up_in_vain);
    assert_in_range(run.stood, ROUNDS * STEPS / 4, ROUNDS * STEPS);
    assert_in_range(run.stood_changed, 200, SIZE_MAX);
    assert_in_range(run.gave_up_settings, 200, SIZE_MAX);
    assert_in_range(run.gave_up - run.gave_up_settings - run.gave_up_in_vain, 200, SIZE_MAX);
}

static char *judged(const struct world *world)
{
    struct buf buf = BUF_EMPTY;
    struct json json = json_begin(&buf);
    struct diagnosis *diagnosis = diagnose(world->mesh, world->now, world->before);
    diagnosis_to_json(world->mesh, world->now, diagnosis, &json);
    diagnosis_free(diagnosis);
    return buf_take(&buf);
}

static char *told(const struct world *world)
{
    struct buf buf = BUF_EMPTY;
    struct json json = json_begin(&buf);
    json_list(&json, NULL);
    for (size_t i = 0; i < world->count; i++)
        observation_to_json(&world->now->nodes[i], true, &json, NULL);
    json_list_end(&json);
    return buf_take(&buf);
}

/* Packed readings mean what unpacked ones do. */
static void test_packed(void **state)
{
    (void)state;
    struct run run = {.chance = {.state = 9}};
    size_t packed = 0, routes = 0;
    for (int round = 0; round < 300; round++) {
        run.world = world_new(2 + chance_below(&run.chance, 6), now_and_then(&run, 2));
        for (size_t i = chance_below(&run.chance, 6); i > 0; i--)
            makers[chance_below(&run.chance, COUNT_OF(makers))](&run);
        world_sort(&run.world);
        char *judged_before = judged(&run.world), *told_before = told(&run.world);
        for (size_t i = 0; i < run.world.count; i++) {
            struct observation *seen = &run.world.now->nodes[i];
            observation_pack(seen);
            packed += seen->configs[0].rows_as_running;
            routes += seen->device_count && seen->devices[0].routes_as_allowed;
            assert_true(!seen->configs[0].rows_as_running || !seen->configs[0].device.peers);
        }
        char *judged_after = judged(&run.world), *told_after = told(&run.world);
        assert_string_equal(judged_after, judged_before);
        assert_string_equal(told_after, told_before);
        free(judged_before);
        free(told_before);
        free(judged_after);
        free(told_after);
        world_free(&run.world);
    }
    assert_in_range(packed, 300, 2000);
    assert_in_range(routes, 300, 2000);
}

/* A healthy mesh with traffic, also of links that rest now and then, is never diagnosed anew. */
static void test_healthy_stands(void **state)
{
    (void)state;
    struct world world = world_new(6, true);
    world_sort(&world);
    struct diagnosis *diagnosis = diagnose(world.mesh, world.now, NULL);
    for (int second = 0; second < 2000; second += 2) {
        for (size_t i = 0; i < world.count; i++) {
            struct observation *seen = &world.now->nodes[i];
            seen->at += 2 * CLOCK_SECOND;
            seen->node_time += 2 * CLOCK_SECOND;
            for (size_t r = 0; r < seen->devices[0].peer_count; r++)
                if (second % 400 == 0)
                    seen->devices[0].peers[r].handshake = seen->node_time;
        }
        if (!diagnosis_refresh(diagnosis, world.mesh, world.now, NULL))
            fail_msg("after %d s", second);
        assert_int_equal(diagnosis->links[0].state, second % 400 <= 134 ? LINK_LIVE : second % 400 <= 180 ? LINK_LATE : LINK_IDLE);
    }
    diagnosis_free(diagnosis);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refresh),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_healthy_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
