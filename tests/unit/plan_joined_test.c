/* The plan and nodes that join by an invitation: the newcomer as a bare host, who joined and is in no section, whose key is learned from the hub; and rows of the ladder, which stay. */
#include "unit.h"

#include "plan_world.h"

#define MESH "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24\n"
#define HUB "[Node hub]\nSsh = root@203.0.113.11\nAddress = 10.44.0.1\nEndpoint = 203.0.113.11:51820\nRole = relay\n"
#define DB "[Node db]\nSsh = root@203.0.113.12\nAddress = 10.44.0.2\nEndpoint = 203.0.113.12:51820\nAllowedIPs = 192.168.2.0/24\n"
#define RELAYED MESH "RelayNetwork = 10.44.0.192/26\n" HUB DB

enum { HUB_NODE, DB_NODE, MAIL_NODE };

/* "interface listen-port row:hub ..." */
static char *kinds_of(const struct plan *plan, size_t node)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < plan->nodes[node].count; i++) {
        const struct plan_operation *operation = &plan->nodes[node].operations[i];
        buf_add_format(&text, "%s%s%s%s", i ? " " : "", plan_kinds[operation->kind].word, operation->name ? ":" : "", operation->name ? operation->name : "");
    }
    buf_add(&text, "", 0);
    return buf_take(&text);
}

static void assert_kinds(const struct plan *plan, size_t node, const char *wanted)
{
    char *found = kinds_of(plan, node);
    if (strcmp(found, wanted) != 0) {
        struct buf text = BUF_EMPTY;
        plan_to_text(plan, false, &text);
        fail_msg("node %zu: %s\nnot %s\n%s", node, found, wanted, buf_text(&text));
    }
    free(found);
}

static char *operation_text(const struct plan *plan, size_t node, enum plan_kind kind)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < plan->nodes[node].count; i++)
        if (plan->nodes[node].operations[i].kind == kind) {
            buf_add_text(&text, text.length ? "\n" : "");
            plan_operation_text(&plan->nodes[node].operations[i], &text);
        }
    buf_add(&text, "", 0);
    return buf_take(&text);
}

static void assert_operations(const struct plan *plan, size_t node, enum plan_kind kind, const char *wanted)
{
    char *found = operation_text(plan, node, kind);
    assert_string_equal(found, wanted);
    free(found);
}

static bool has_note(const struct plan *plan, size_t node, const char *part)
{
    for (size_t i = 0; i < plan->nodes[node].note_count; i++)
        if (strstr(plan->nodes[node].notes[i], part))
            return true;
    return false;
}

/* A mesh of FILE that runs as it should; then the file has one more section. What was seen of a node that is only in the new file: a bare host. */
static struct plan_world grown_world(const char *file, const char *section)
{
    struct plan_world world = plan_world_new(file);
    size_t before = world.mesh->node_count;
    plan_world_set_up(&world);
    struct observed *more = observed_new(before + 1);
    for (size_t i = 0; i < before; i++) {
        more->nodes[i] = world.seen->nodes[i];
        world.seen->nodes[i] = (struct observation){0};
    }
    observed_free(world.seen);
    world.seen = more;
    char *text = mem_format("%s%s", file, section);
    plan_world_read(&world, text);
    free(text);
    more->nodes[before] = (struct observation){.reach = REACH_OK, .privileged = true, .kernel_has_wireguard = true};
    return world;
}

/* What INVITE does: both ends' operations, with a placeholder for the key that is not made yet. */
static void check_invitation(const char *file, const char *section, const char *hub_kinds, const char *hub_rows, const char *node_kinds, const char *node_rows)
{
    struct plan_world world = grown_world(file, section);
    static const bool only[] = {true, false, true};
    struct key place = world_key(90);
    world.options.only = only;
    world.seen->nodes[HUB_NODE].forwarding4 = 0;
    struct plan *plan = plan_world_plan(&world);
    assert_int_equal(plan->nodes[MAIL_NODE].state, PLAN_READY);
    assert_true(plan->nodes[MAIL_NODE].make_key && !plan->nodes[MAIL_NODE].has_key);
    assert_false(lint_has_error(&plan->lint));
    assert_kinds(plan, HUB_NODE, hub_kinds);
    assert_kinds(plan, DB_NODE, "");
    assert_kinds(plan, MAIL_NODE, node_kinds);
    assert_operations(plan, HUB_NODE, PLAN_ROW, hub_rows);
    assert_operations(plan, MAIL_NODE, PLAN_ROW, node_rows);
    plan_set_key(plan, MAIL_NODE, &place);
    for (size_t i = 0; i < plan->nodes[HUB_NODE].count; i++) {
        const struct plan_operation *operation = &plan->nodes[HUB_NODE].operations[i];
        assert_true(operation->kind != PLAN_ROW || key_compare(&operation->key, &place) == 0);
    }
    for (size_t i = 0; i < plan->nodes[MAIL_NODE].count; i++) {
        const struct plan_operation *operation = &plan->nodes[MAIL_NODE].operations[i];
        assert_false(operation->kind == PLAN_ROW && key_is_zero(&operation->key));
    }
    plan_free(plan);
    plan_world_free(&world);
}

static void test_invitation(void **state)
{
    (void)state;
    check_invitation(RELAYED, "[Node mail]\nAddress = 10.44.0.193\n", "row:mail forwarding", "+ row mail  allows 10.44.0.193/32",
                     "interface listen-port row:hub address route file service", "+ row hub  allows 10.44.0.0/24, 192.168.2.0/24  endpoint 203.0.113.11:51820  keepalive 25");
    check_invitation(RELAYED, "[Node mail]\nSsh = root@10.44.0.193\nJump = hub\nAddress = 10.44.0.193\nAllowedIPs = 192.168.7.0/24\n", "row:mail route forwarding",
                     "+ row mail  allows 10.44.0.193/32, 192.168.7.0/24", "interface listen-port row:hub address route forwarding file service",
                     "+ row hub  allows 10.44.0.0/24, 192.168.2.0/24  endpoint 203.0.113.11:51820  keepalive 25");
    check_invitation(MESH "PresharedKeys = yes\nRelayNetwork = 10.44.0.192/26\n" HUB DB, "[Node mail]\nAddress = 10.44.0.193\n", "row:mail forwarding",
                     "+ row mail  allows 10.44.0.193/32  new preshared key, made here", "interface listen-port row:hub address route file service",
                     "+ row hub  allows 10.44.0.0/24, 192.168.2.0/24  endpoint 203.0.113.11:51820  keepalive 25  new preshared key, made at the other end");
    check_invitation(MESH "Topology = hub\nRelayNetwork = 10.44.0.192/26\n[Node hub]\nSsh = root@203.0.113.11\nAddress = 10.44.0.1\nEndpoint = 203.0.113.11:51820\nRole = hub\n" DB,
                     "[Node mail]\nAddress = 10.44.0.193\nMTU = 1380\nEngine = embedded\n", "row:mail forwarding", "+ row mail  allows 10.44.0.193/32",
                     "interface listen-port mtu row:hub address route file service", "+ row hub  allows 10.44.0.0/24, 192.168.2.0/24  endpoint 203.0.113.11:51820  keepalive 25");
    /* Not by the relay: rows for all, whose keys are known. */
    check_invitation(RELAYED, "[Node mail]\nAddress = 10.44.0.3\n", "row:mail forwarding", "+ row mail  allows 10.44.0.3/32",
                     "interface listen-port row:hub row:db address route file service",
                     "+ row hub  allows 10.44.0.1/32, 10.44.0.192/26  endpoint 203.0.113.11:51820  keepalive 25\n"
                     "+ row db  allows 10.44.0.2/32, 192.168.2.0/24  endpoint 203.0.113.12:51820  keepalive 25");
}

/* ---- who joined ---- */

static void add_joined(struct plan_world *world, size_t hub, const char *name, unsigned key, const char *address)
{
    struct observation *seen = &world->seen->nodes[hub];
    seen->joined = mem_resize(seen->joined, seen->joined_count + 1, sizeof *seen->joined);
    struct observed_joined *joined = &seen->joined[seen->joined_count++];
    *joined = (struct observed_joined){.interface = "wg0", .key = world_key(key), .address_count = 1, .relay = true, .at = 1795413600};
    snprintf(joined->name, sizeof joined->name, "%s", name);
    joined->addresses = mem_alloc(1, sizeof *joined->addresses);
    assert_int_equal(prefix_parse(address, joined->addresses), 0);
}

static void add_row(struct plan_world *world, size_t node, unsigned key, const char *allowed, bool saved)
{
    struct observed_config *config = saved ? plan_world_saved(&world->seen->nodes[node], "wg0") : NULL;
    struct device *device = saved ? &config->device : plan_world_running(&world->seen->nodes[node], "wg0");
    struct key of = world_key(key);
    struct device_peer *row = plan_simulate_make(config, device, &of);
    world_allow(row, allowed);
    row->handshake = saved ? 0 : WORLD_NOW - 5 * CLOCK_SECOND;
    plan_world_steal(device, row);
}

enum { MAIL_KEY = 90, OTHER_KEY = 91 };

/* Its row stays, whatever is asked; it is named. */
static void test_joined_without_section(void **state)
{
    (void)state;
    struct plan_world world = plan_world_new(RELAYED);
    plan_world_set_up(&world);
    for (int saved = 0; saved < 2; saved++) {
        add_row(&world, HUB_NODE, MAIL_KEY, "10.44.0.193", saved);
        add_row(&world, HUB_NODE, OTHER_KEY, "10.44.0.194", saved);
    }
    add_row(&world, DB_NODE, MAIL_KEY, "10.44.0.193", false); /* a row of the ladder's */
    add_joined(&world, HUB_NODE, "mail", MAIL_KEY, "10.44.0.193");
    struct plan *plan = plan_world_plan(&world);
    assert_true(plan_is_empty(plan));
    for (size_t node = HUB_NODE; node <= DB_NODE; node++)
        assert_true(has_note(plan, node, "mail joined through hub: its row stays (to write it into the mesh file: wgdeck invite record mail)"));
    assert_true(has_note(plan, HUB_NODE, "is in no mesh file: left alone"));
    plan_free(plan);
    world.options.prune = true;
    plan = plan_world_plan(&world);
    assert_kinds(plan, HUB_NODE, "row-remove"); /* of the other key */
    assert_kinds(plan, DB_NODE, "");
    plan_free(plan);
    plan_world_free(&world);
}

/* What the file says of a key wins over the record of the invitation: it was removed since. */
static void test_joined_and_removed(void **state)
{
    (void)state;
    char key[KEY_TEXT_SIZE];
    struct key mail = world_key(MAIL_KEY);
    key_text(&mail, key);
    char *file = mem_format("%s[Removed mail]\nAddress = 10.44.0.193\nPublicKey = %s\n", RELAYED, key);
    struct plan_world world = plan_world_new(file);
    plan_world_set_up(&world);
    add_row(&world, HUB_NODE, MAIL_KEY, "10.44.0.193", false);
    add_joined(&world, HUB_NODE, "mail", MAIL_KEY, "10.44.0.193");
    struct plan *plan = plan_world_plan(&world);
    assert_kinds(plan, HUB_NODE, "row-remove:mail");
    plan_free(plan);
    plan_world_free(&world);
    free(file);
}

/* Its section has no key yet: the hub has it, and everybody gets a row. */
static void test_key_is_learned(void **state)
{
    (void)state;
    static const struct {
        const char *section;
        const char *joined_name, *joined_address;
        bool twice, learned;
        const char *rows; /* at db */
        bool left;
    } cases[] = {
        {"[Node mail]\nAddress = 10.44.0.3\n", "mail", "10.44.0.3", false, true, "+ row mail  allows 10.44.0.3/32", false},
        {"[Node mail]\nSsh = root@10.44.0.3\nJump = hub\nAddress = 10.44.0.3\n", "mail", "10.44.0.3", false, true, "+ row mail  allows 10.44.0.3/32", false},
        {"[Node mail]\nAddress = 10.44.0.193\n", "mail", "10.44.0.193", false, true, "", false}, /* by the relay: the hub has its row */
        {"[Node mail]\nAddress = 10.44.0.3\n", "mail", "10.44.0.4", false, false, "", false},   /* another machine of that name */
        {"[Node mail]\nAddress = 10.44.0.3\n", "mole", "10.44.0.3", false, false, "", false},
        {"[Node mail]\nAddress = 10.44.0.3\n", "mail", "10.44.0.3", true, false, "", false},    /* two hubs say different things */
        {"[Node mail]\nAddress = 10.44.0.3\n", "mail", "10.44.0.3", false, false, "", true}, /* it has left: the hub remembers it, and has no row of it */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct plan_world world = grown_world(RELAYED, cases[i].section);
        struct key mail = world_key(MAIL_KEY);
        world.seen->nodes[MAIL_NODE].reach = REACH_FAILED;
        add_joined(&world, HUB_NODE, cases[i].joined_name, MAIL_KEY, cases[i].joined_address);
        if (!cases[i].left)
            add_row(&world, HUB_NODE, MAIL_KEY, cases[i].joined_address, false);
        if (cases[i].twice) {
            add_joined(&world, DB_NODE, cases[i].joined_name, OTHER_KEY, cases[i].joined_address);
            add_row(&world, DB_NODE, OTHER_KEY, cases[i].joined_address, false);
        }
        struct plan *plan = plan_world_plan(&world);
        const struct plan_node *node = &plan->nodes[MAIL_NODE];
        if (node->learn_key != cases[i].learned || node->has_key != cases[i].learned)
            fail_msg("case %zu: learn %d, has %d", i, node->learn_key, node->has_key);
        assert_true(!node->has_key || key_compare(&node->public_key, &mail) == 0);
        assert_true(node->state == PLAN_UNMANAGED || node->state == PLAN_PENDING);
        assert_operations(plan, DB_NODE, PLAN_ROW, cases[i].rows);
        assert_int_equal(has_note(plan, MAIL_NODE, "more than one node"), cases[i].twice);
        plan_free(plan);
        plan_world_free(&world);
    }
}

static void test_other_key_is_pinned(void **state)
{
    (void)state;
    char *section = mem_format("[Node mail]\nAddress = 10.44.0.193\nPublicKey = %s\n", "CBMeKTQ/SlVga3aBjJeirbjDztnk7/oFEBsmMTxHANU=");
    struct plan_world world = grown_world(RELAYED, section);
    add_joined(&world, HUB_NODE, "mail", MAIL_KEY, "10.44.0.193");
    add_row(&world, HUB_NODE, MAIL_KEY, "10.44.0.193", false);
    struct plan *plan = plan_world_plan(&world);
    assert_false(plan->nodes[MAIL_NODE].learn_key);
    assert_true(has_note(plan, MAIL_NODE, "it joined through hub with the key"));
    assert_true(has_note(plan, HUB_NODE, "with which mail joined through hub, and which is not mail's in the mesh file"));
    assert_kinds(plan, HUB_NODE, "row:mail");
    plan_free(plan);
    plan_world_free(&world);
    free(section);
}

/* ---- rows of the ladder ---- */

#define MAIL "[Node mail]\nSsh = root@10.44.0.193\nJump = hub\nAddress = 10.44.0.193\nAllowedIPs = 192.168.7.0/24\n"
#define NEWS "[Node news]\nSsh = root@10.44.0.194\nJump = hub\nAddress = 10.44.0.194\n"

/* Carried at db and at mail, as the ladder does it: mail's network goes from the hub's row to mail's own. */
static struct plan_world carried_world(void)
{
    struct plan_world world = plan_world_new(RELAYED MAIL NEWS);
    plan_world_set_up(&world);
    struct plan *plan = plan_world_plan(&world);
    assert_true(plan_is_empty(plan));
    plan_free(plan);
    add_row(&world, DB_NODE, MAIL_NODE, "10.44.0.193, 192.168.7.0/24", false);
    add_row(&world, MAIL_NODE, DB_NODE, "10.44.0.2, 192.168.2.0/24", false);
    add_row(&world, 3, MAIL_NODE, "", false); /* being tried */
    struct key hub = world_key(HUB_NODE);
    assert_int_equal(plan_world_row(plan_world_running(&world.seen->nodes[DB_NODE], "wg0"), &hub)->allowed_count, 2);
    return world;
}

static void test_ladder_is_left_alone(void **state)
{
    (void)state;
    for (int prune = 0; prune < 2; prune++) {
        struct plan_world world = carried_world();
        world.options.prune = prune;
        struct plan *plan = plan_world_plan(&world);
        for (size_t node = 0; node < 4; node++) {
            assert_kinds(plan, node, "");
            assert_int_equal(plan->nodes[node].note_count, 0);
        }
        plan_free(plan);
        plan_world_free(&world);
    }
}

/* The hub's row is to change for another reason: what it has lent stays lent while it runs, and stands in the file. */
static void test_hub_row_changes_beside_it(void **state)
{
    (void)state;
    struct plan_world world = carried_world();
    struct key hub = world_key(HUB_NODE), mail = world_key(MAIL_NODE);
    world_allow(plan_world_row(plan_world_running(&world.seen->nodes[DB_NODE], "wg0"), &hub), "10.44.0.1, 10.44.0.192/26, 10.44.0.77");
    world_allow(plan_world_row(&plan_world_saved(&world.seen->nodes[DB_NODE], "wg0")->device, &hub), "10.44.0.1");
    struct plan *plan = plan_world_plan(&world);
    assert_operations(plan, DB_NODE, PLAN_ROW,
                      "~ row hub  allows 10.44.0.1/32, 10.44.0.192/26  (was: allows 10.44.0.1/32, 10.44.0.77/32, 10.44.0.192/26)\n"
                      "~ row hub  allows 10.44.0.1/32, 10.44.0.192/26, 192.168.7.0/24  (was: allows 10.44.0.1/32)  (in the file)");
    plan_simulate(&world, plan);
    plan_free(plan);
    assert_int_equal(plan_world_row(plan_world_running(&world.seen->nodes[DB_NODE], "wg0"), &mail)->allowed_count, 2);
    assert_int_equal(plan_world_row(&plan_world_saved(&world.seen->nodes[DB_NODE], "wg0")->device, &hub)->allowed_count, 3);
    plan = plan_world_plan(&world);
    assert_true(plan_is_empty(plan));
    plan_free(plan);
    plan_world_free(&world);
}

/* Only what runs is the ladder's: a file with such a row would carry the traffic nowhere after a boot. */
static void test_saved_ladder_row_goes(void **state)
{
    (void)state;
    struct plan_world world = carried_world();
    struct key hub = world_key(HUB_NODE);
    add_row(&world, DB_NODE, MAIL_NODE, "10.44.0.193", true);
    struct plan *plan = plan_world_plan(&world);
    assert_operations(plan, DB_NODE, PLAN_ROW_REMOVE, "- row mail  (ways to it are found while it runs)");
    assert_false(plan->nodes[DB_NODE].operations[0].running);
    plan_simulate(&world, plan);
    plan_free(plan);
    plan = plan_world_plan(&world);
    assert_true(plan_is_empty(plan));
    assert_int_equal(plan_world_running(&world.seen->nodes[DB_NODE], "wg0")->peer_count, 2);
    (void)hub;
    plan_free(plan);
    plan_world_free(&world);
}

/* The one that joined leaves the mesh: its rows go everywhere, the ladder's too. */
static void test_leaving(void **state)
{
    (void)state;
    struct plan_world world = carried_world();
    static const bool leaving[] = {false, false, true, false};
    world.options.leaving = leaving;
    struct plan *plan = plan_world_plan(&world);
    assert_kinds(plan, HUB_NODE, "row-remove:mail route-remove");
    assert_operations(plan, DB_NODE, PLAN_ROW_REMOVE, "- row mail  (mail leaves the mesh)");
    assert_kinds(plan, MAIL_NODE, "interface-remove");
    plan_free(plan);
    plan_world_free(&world);
}

/* Who is needed by others cannot be taken out before them. */
static void test_needed_by_others(void **state)
{
    (void)state;
    static const struct {
        bool leaving[4];
        const char *lint; /* beginnings of errors, divided by ";" */
    } cases[] = {
        {{true, false, false, false}, "mail has joined through hub;mail is reached through the SSH of hub;news has joined through hub;news is reached through the SSH of hub;"},
        {{true, false, true, true}, ""}, /* together */
        {{false, true, false, false}, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct plan_world world = plan_world_new(RELAYED MAIL NEWS);
        struct buf found = BUF_EMPTY;
        plan_world_set_up(&world);
        world.options.leaving = cases[i].leaving;
        struct plan *plan = plan_world_plan(&world);
        for (size_t f = 0; f < plan->lint.count; f++) {
            const char *text = plan->lint.findings[f].text, *end = strstr(text, "hub");
            assert_true(plan->lint.findings[f].error && end);
            buf_add_format(&found, "%.*s;", (int)(end - text) + 3, text);
        }
        if (strcmp(buf_text(&found), cases[i].lint) != 0)
            fail_msg("case %zu: %s", i, buf_text(&found));
        buf_free(&found);
        plan_free(plan);
        plan_world_free(&world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_invitation),
        cmocka_unit_test(test_joined_without_section),
        cmocka_unit_test(test_joined_and_removed),
        cmocka_unit_test(test_key_is_learned),
        cmocka_unit_test(test_other_key_is_pinned),
        cmocka_unit_test(test_ladder_is_left_alone),
        cmocka_unit_test(test_hub_row_changes_beside_it),
        cmocka_unit_test(test_saved_ladder_row_goes),
        cmocka_unit_test(test_leaving),
        cmocka_unit_test(test_needed_by_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
