/* By which way links go: straight, by the hub, by the opaque relay, from the rows of both ends; and what is said against links of nodes that have joined. */
#include "unit.h"

#include "plan_world.h"

#define MESH "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24\n"
#define HUB "[Node hub]\nSsh = root@203.0.113.11\nAddress = 10.44.0.1\nEndpoint = 203.0.113.11:51820\n"
#define DB "[Node db]\nSsh = root@203.0.113.12\nAddress = 10.44.0.2\nEndpoint = 203.0.113.12:51820\nAllowedIPs = 192.168.2.0/24\n"
#define MAIL "[Node mail]\nSsh = root@10.44.0.193\nJump = hub\nAddress = 10.44.0.193\nAllowedIPs = 192.168.7.0/24\n"
#define NEWS "[Node news]\nAddress = 10.44.0.194\n"
#define RELAYED MESH "RelayNetwork = 10.44.0.192/26\n" HUB "Role = relay\n" DB MAIL NEWS

enum { HUB_NODE, DB_NODE, MAIL_NODE, NEWS_NODE };

static struct device_peer *row(struct plan_world *world, unsigned node, unsigned peer)
{
    struct key key = world_key(peer);
    return plan_world_row(plan_world_running(&world->seen->nodes[node], "wg0"), &key);
}

/* As the mesh file asks, but for NEWS_NODE, which has no Ssh: nobody saw it. */
static struct plan_world joined_world(const char *file)
{
    char key[KEY_TEXT_SIZE];
    struct key news = world_key(NEWS_NODE);
    key_text(&news, key);
    char *text = mem_format("%sPublicKey = %s\n", file, key);
    struct plan_world world = plan_world_new(text);
    free(text);
    plan_world_set_up(&world);
    for (size_t i = 0; i < world.seen->node_count; i++)
        for (size_t c = 0; c < world.seen->nodes[i].config_count; c++) {
            world.seen->nodes[i].configs[c].folder_mode = 0700;
            free(world.seen->nodes[i].configs[c].boot);
            world.seen->nodes[i].configs[c].boot = mem_text("wg-quick@.service");
        }
    observation_clear(&world.seen->nodes[NEWS_NODE]);
    return world;
}

static void add_row(struct plan_world *world, unsigned node, unsigned peer, const char *allowed, const char *endpoint)
{
    struct device *device = plan_world_running(&world->seen->nodes[node], "wg0");
    struct key key = world_key(peer);
    struct device_peer *made = plan_simulate_make(NULL, device, &key);
    world_allow(made, allowed);
    made->endpoint = world_endpoint(endpoint);
    made->handshake = *allowed ? WORLD_NOW - 20 * CLOCK_SECOND : 0;
    made->keepalive = 25;
    plan_world_steal(device, made);
}

static void say_path(struct plan_world *world, unsigned node, unsigned peer, enum observed_way way, const char *reason, int64_t since)
{
    struct observation *seen = &world->seen->nodes[node];
    seen->paths = mem_resize(seen->paths, seen->path_count + 1, sizeof *seen->paths);
    seen->paths[seen->path_count++] = (struct observed_path){.interface = "wg0", .key = world_key(peer), .way = way, .reason = mem_text(reason), .since = since};
}

static void as_asked(struct plan_world *world) { (void)world; }

static void carried(struct plan_world *world)
{
    add_row(world, DB_NODE, MAIL_NODE, "10.44.0.193, 192.168.7.0/24", "203.0.113.13:51820");
    add_row(world, MAIL_NODE, DB_NODE, "10.44.0.2, 192.168.2.0/24", "203.0.113.12:51820");
    say_path(world, DB_NODE, MAIL_NODE, WAY_DIRECT, "handshake by 203.0.113.13:51820", WORLD_NOW / CLOCK_SECOND - 100);
}

static void relayed(struct plan_world *world)
{
    add_row(world, DB_NODE, MAIL_NODE, "10.44.0.193, 192.168.7.0/24", "203.0.113.11:51821");
    add_row(world, MAIL_NODE, DB_NODE, "10.44.0.2, 192.168.2.0/24", "203.0.113.11:51821");
}

static void to_unseen(struct plan_world *world)
{
    add_row(world, DB_NODE, NEWS_NODE, "10.44.0.194", "198.51.100.7:40001");
}

static void tried(struct plan_world *world)
{
    add_row(world, DB_NODE, MAIL_NODE, "", "192.168.1.5:51820");
    add_row(world, MAIL_NODE, DB_NODE, "", "203.0.113.12:51820");
    say_path(world, MAIL_NODE, DB_NODE, WAY_TRYING, "192.168.1.5:51820 is tried", WORLD_NOW / CLOCK_SECOND - 2);
}

static void given_up(struct plan_world *world)
{
    say_path(world, DB_NODE, MAIL_NODE, WAY_HUB, "no answer from any of 4 places", WORLD_NOW / CLOCK_SECOND - 300);
}

static void only_one_carries(struct plan_world *world)
{
    add_row(world, DB_NODE, MAIL_NODE, "10.44.0.193, 192.168.7.0/24", "203.0.113.13:51820");
    add_row(world, MAIL_NODE, DB_NODE, "", "203.0.113.12:51820");
    row(world, MAIL_NODE, DB_NODE)->handshake = WORLD_NOW - 20 * CLOCK_SECOND;
}

static void changing(struct plan_world *world)
{
    only_one_carries(world);
    say_path(world, DB_NODE, MAIL_NODE, WAY_DIRECT, "handshake", WORLD_NOW / CLOCK_SECOND - 1);
}

static void leg_is_dead(struct plan_world *world)
{
    row(world, HUB_NODE, MAIL_NODE)->handshake = row(world, MAIL_NODE, HUB_NODE)->handshake = WORLD_NOW - 1000 * CLOCK_SECOND;
}

static void leg_is_late(struct plan_world *world)
{
    row(world, HUB_NODE, MAIL_NODE)->handshake = row(world, MAIL_NODE, HUB_NODE)->handshake = WORLD_NOW - 150 * CLOCK_SECOND;
}

static void network_is_missing(struct plan_world *world)
{
    world_allow(row(world, DB_NODE, HUB_NODE), "10.44.0.1, 192.168.7.0/24");
}

static void stranger_has_joined(struct plan_world *world)
{
    struct observation *seen = &world->seen->nodes[HUB_NODE];
    add_row(world, HUB_NODE, 90, "10.44.0.77", "198.51.100.9:40001");
    seen->joined = mem_alloc(1, sizeof *seen->joined);
    seen->joined_count = 1;
    seen->joined[0] = (struct observed_joined){.key = world_key(90), .interface = "wg0", .name = "mole"};
}

static void stranger(struct plan_world *world)
{
    add_row(world, HUB_NODE, 90, "10.44.0.77", "198.51.100.9:40001");
}

#define AT_REST "hub-db direct live ok ok, hub-mail direct live ok ok, hub-news direct live unknown ok, db-mail hub live ok ok, db-news hub live unknown ok, mail-news hub live unknown ok"

static const struct path_case {
    const char *name, *file;
    void (*make)(struct plan_world *world);
    const char *links;  /* "a-b path state a_to_b b_to_a", each; or the one that is looked for, with a "*" before it */
    const char *faults; /* "severity id" of all */
} cases[] = {
    {"at rest", RELAYED, as_asked, AT_REST, ""},
    {"carried", RELAYED, carried, "*db-mail direct live ok ok", ""},
    {"by the opaque relay", RELAYED, relayed, "*db-mail relay live ok ok", ""},
    {"the other end is not seen", RELAYED, to_unseen, "*db-news direct live unknown ok", ""},
    {"being tried", RELAYED, tried, AT_REST, ""},
    {"given up", RELAYED, given_up, AT_REST, "info no-path-nat"},
    {"only one end carries", RELAYED, only_one_carries, "*db-mail direct live ok ok", "error allowed-ips-missing"},
    {"one end just began to", RELAYED, changing, "*db-mail hub live ok ok", ""},
    {"late leg", RELAYED, leg_is_late, "*db-mail hub late ok ok", ""},
    {"the relay's row lacks the network", RELAYED, network_is_missing, "*db-mail hub dead blocked blocked", "error allowed-ips-missing"},
    {"who joined is no ghost", RELAYED, stranger_has_joined, AT_REST, ""},
    {"a ghost", RELAYED, stranger, AT_REST, "warning ghost-peer"},
    {"hub topology", MESH "Topology = hub\nRelayNetwork = 10.44.0.192/26\n" HUB "Role = hub\n" DB MAIL NEWS, as_asked,
     "hub-db direct live ok ok, hub-mail direct live ok ok, hub-news direct live unknown ok, db-mail hub live ok ok, db-news hub live unknown ok, mail-news hub live unknown ok", ""},
    {"groups: by gateways and the relay", MESH "Topology = groups\nRelayNetwork = 10.44.0.192/26\n" HUB "Group = x\nRole = gateway\n" DB "Group = x\nRole = relay\n" MAIL NEWS,
     as_asked, "hub-db direct live ok ok, hub-mail hub live ok ok, hub-news hub live unknown ok, db-mail direct live ok ok, db-news direct live unknown ok, mail-news hub live unknown ok", ""},
    {"no relay: nothing is new", MESH HUB DB "[Node mail]\nSsh = m\nAddress = 10.44.0.193\nEndpoint = 203.0.113.13:51820\n" NEWS, as_asked,
     "hub-db direct live ok ok, hub-mail direct live ok ok, hub-news direct live unknown ok, db-mail direct live ok ok, db-news direct live unknown ok, mail-news direct live unknown ok", ""},
};

static char *links_of(const struct mesh *mesh, const struct diagnosis *diagnosis)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        buf_add_format(&text, "%s%s-%s %s %s %s %s", i ? ", " : "", mesh->nodes[link->a].name, mesh->nodes[link->b].name, link_path_text(link->path), link_state_text(link->state),
                       direction_state_text(link->a_to_b), direction_state_text(link->b_to_a));
    }
    buf_add(&text, "", 0);
    return buf_take(&text);
}

static char *faults_of(const struct diagnosis *diagnosis)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < diagnosis->fault_count; i++)
        buf_add_format(&text, "%s%s %s", i ? ", " : "", severity_text(diagnosis->faults[i].severity), diagnosis->faults[i].kind->id);
    buf_add(&text, "", 0);
    return buf_take(&text);
}

static void sort_all(struct plan_world *world)
{
    for (size_t i = 0; i < world->seen->node_count; i++) {
        plan_simulate_routes(&world->seen->nodes[i], "wg0");
        observation_sort(&world->seen->nodes[i]);
    }
}

static void show_faults(const struct diagnosis *diagnosis)
{
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        print_error("%s: %s\n", diagnosis->faults[i].kind->id, diagnosis->faults[i].summary);
        for (size_t k = 0; k < diagnosis->faults[i].evidence_count; k++)
            print_error("    %s\n", diagnosis->faults[i].evidence[k]);
    }
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct plan_world world = joined_world(cases[i].file);
        cases[i].make(&world);
        sort_all(&world);
        struct diagnosis *diagnosis = diagnose(world.mesh, world.seen, NULL);
        char *links = links_of(world.mesh, diagnosis), *faults = faults_of(diagnosis);
        bool one = cases[i].links[0] == '*';
        if (one ? !strstr(links, cases[i].links + 1) : strcmp(links, cases[i].links) != 0)
            fail_msg("%s: %s", cases[i].name, links);
        if (strcmp(faults, cases[i].faults) != 0) {
            show_faults(diagnosis);
            fail_msg("%s: %s", cases[i].name, faults);
        }
        free(links);
        free(faults);
        diagnosis_free(diagnosis);
        plan_world_free(&world);
    }
}

static const struct link *link_between(const struct diagnosis *diagnosis, size_t a, size_t b)
{
    for (size_t i = 0; i < diagnosis->link_count; i++)
        if (diagnosis->links[i].a == a && diagnosis->links[i].b == b)
            return &diagnosis->links[i];
    fail_msg("no link between %zu and %zu", a, b);
    return NULL;
}

/* The reason outlives the reading it came from; a copy has its own. */
static void test_reason(void **state)
{
    (void)state;
    struct plan_world world = joined_world(RELAYED);
    carried(&world);
    sort_all(&world);
    struct diagnosis *diagnosis = diagnose(world.mesh, world.seen, NULL), *copy = diagnosis_copy(diagnosis);
    free(world.seen->nodes[DB_NODE].paths[0].reason);
    world.seen->nodes[DB_NODE].paths[0].reason = NULL;
    assert_string_equal(link_between(diagnosis, DB_NODE, MAIL_NODE)->path_reason, "handshake by 203.0.113.13:51820");
    assert_null(link_between(diagnosis, DB_NODE, NEWS_NODE)->path_reason);
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    diagnosis_to_json(world.mesh, world.seen, diagnosis, &json);
    assert_non_null(strstr(buf_text(&text), "\"path\":\"direct\",\"path_reason\":\"handshake by 203.0.113.13:51820\""));
    assert_non_null(strstr(buf_text(&text), "\"path\":\"hub\",\"a_to_b\""));
    buf_free(&text);
    diagnosis_free(diagnosis);
    assert_string_equal(link_between(copy, DB_NODE, MAIL_NODE)->path_reason, "handshake by 203.0.113.13:51820");
    diagnosis_free(copy);
    plan_world_free(&world);
}

/* A refresh brings links by the hub up to date with the links on their way. */
static void test_refresh(void **state)
{
    (void)state;
    struct plan_world world = joined_world(RELAYED);
    given_up(&world);
    sort_all(&world);
    struct diagnosis *diagnosis = diagnose(world.mesh, world.seen, NULL);
    assert_true(diagnosis_refresh(diagnosis, world.mesh, world.seen, NULL));
    const struct link *link = link_between(diagnosis, DB_NODE, MAIL_NODE);
    assert_true(link->state == LINK_LIVE && link->path == PATH_HUB && link->path_reason);
    assert_int_equal(diagnosis->nodes[MAIL_NODE].live, 1);
    leg_is_late(&world);
    (void)diagnosis_refresh(diagnosis, world.mesh, world.seen, NULL);
    assert_int_equal(link->state, LINK_LATE);
    assert_int_equal(link_between(diagnosis, MAIL_NODE, NEWS_NODE)->state, LINK_LATE);
    assert_int_equal(link_between(diagnosis, DB_NODE, NEWS_NODE)->state, LINK_LIVE);
    leg_is_dead(&world);
    assert_false(diagnosis_refresh(diagnosis, world.mesh, world.seen, NULL));
    assert_int_equal(link->state, LINK_DEAD);
    diagnosis_free(diagnosis);
    plan_world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_reason), cmocka_unit_test(test_refresh)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
