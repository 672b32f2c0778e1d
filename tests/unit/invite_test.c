/* Invitations from the operator's side, over a fan-out that is a script: a hub a with two more nodes, whose answers are as invitation.h says, or go wrong where a case wants it. */
#include <elf.h>
#include <unistd.h>

#include "unit.h"
#undef EV_NONE /* of elf.h; ev.h has another one */

#include "fake_fanout.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/invite.h"
#include "wgdeck/plan.h"
#include "wgdeck/text.h"

enum { NODES = 3 };
#define HOST_KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
#define ECDSA_KEY "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJ1Zn0Q3aQ=="
#define NEW_KEY "SlVga3aBjJeirbjDztnk7/oFEBsmMTxHUl1oc36JAAE="
#define MESH "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24\nRelayNetwork = 10.44.0.192/26\n" \
    "[Node a]\nSsh = root@hub.example.org:2222\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1\nRole = relay\n" \
    "[Node b]\nSsh = b\nAddress = 10.44.0.2\nEndpoint = 203.0.113.2\n[Node c]\nSsh = c\nAddress = 10.44.0.3\n"
#define GOOD_ANSWER "\"user\":\"root\",\"port\":2222,\"host_keys\":[\"" ECDSA_KEY "\",\"" HOST_KEY "\"],\"file\":\"/root/.ssh/authorized_keys2\",\"warnings\":[]"
#define ROW(id, name, relay, state, address, more) "{\"id\":\"" id "\",\"name\":\"" name "\",\"relay\":" relay ",\"made\":1700000000,\"by\":\"bob@desk\",\"expires\":1700001800,\"state\":\"" state \
    "\",\"addresses\":[\"" address "\"]," more "}"
#define NOBODY "\"key\":null,\"from\":null,\"at\":null"
#define SOMEBODY "\"key\":\"" NEW_KEY "\",\"from\":\"198.51.100.7\",\"hostname\":\"mail.example.org\",\"host_key\":\"" HOST_KEY "\",\"at\":1700000100"
#define ID "00ff12ab34cd56ef"
#define OPEN_MAIL ROW(ID, "mail", "true", "open", "10.44.0.192/32", NOBODY)
#define USED_MAIL ROW(ID, "mail", "true", "used", "10.44.0.192/32", SOMEBODY)
#define USED_WEB ROW(ID, "web", "false", "used", "10.44.0.4/32", SOMEBODY)

/* How the world is in one case. All zero: as it should be. */
struct world {
    const char *mesh;             /* NULL: MESH */
    const char *rows;             /* of the first list */
    const char *answer;           /* to "invite"; NULL: GOOD_ANSWER */
    const char *refused, *code;   /* "invite" is refused so */
    const char *taken_by;         /* the first "invite" is too late: this row is there since */
    const char *lost;             /* the op at which a is lost */
    const char *was;              /* of "revoke"; NULL: open */
    const char *states[4];        /* of the invitation that is waited for, one a poll; "lost": the connection is */
    bool no_device;               /* a runs no WireGuard */
    bool joined;                  /* NEW_KEY has a row on a, for 10.44.0.192 */
    bool old_routes;              /* b and c do not know of RelayNetwork */
    bool not_root;
};

static struct {
    const struct world *world;
    struct buf said;              /* "a invite", one a line */
    struct buf request;           /* the last "invite" */
    char id[INVITATION_ID_LENGTH + 1], name[64];
    size_t polls;
    bool late;
} script;

static struct key keys[NODES];
static char folder[] = "/tmp/wgdeck-invite-XXXXXX";
static char *program_path, *mesh_path;
static struct err err;

/* --- the nodes */

static void fill_device(const struct mesh *mesh, size_t node, struct device *device)
{
    *device = (struct device){.name = "wg0", .engine = ENGINE_KERNEL, .has_private = true, .public_key = keys[node], .listen_port = 51820};
    device->peers = mem_alloc(NODES + 1, sizeof *device->peers);
    for (size_t i = 0; i < NODES; i++) {
        struct device_peer *peer = &device->peers[device->peer_count];
        if (i == node)
            continue;
        device->peer_count++;
        *peer = (struct device_peer){.public_key = keys[i]};
        mesh_wants_allowed(mesh, node, i, &peer->allowed, &peer->allowed_count);
        if (script.world->old_routes && i == 0)
            peer->allowed_count = 1;
        if (mesh->nodes[i].endpoint_host)
            peer->endpoint = mesh->nodes[i].endpoint;
        if (mesh->nodes[i].endpoint_host)
            peer->endpoint.port = 51820;
    }
    if (script.world->joined && node == 0) {
        struct device_peer *peer = &device->peers[device->peer_count++];
        *peer = (struct device_peer){.allowed = mem_alloc(1, sizeof *peer->allowed), .allowed_count = 1};
        key_parse(NEW_KEY, &peer->public_key);
        prefix_parse("10.44.0.192/32", &peer->allowed[0]);
    }
    device_sort(device);
}

static void observe(size_t node, struct buf *members)
{
    struct json json = json_begin(members);
    struct mesh_file file;
    struct observation seen = {.reach = REACH_OK, .privileged = !script.world->not_root, .kernel_has_wireguard = true, .node_time = clock_wall(), .forwarding4 = 0, .forwarding6 = 0};
    assert_int_equal(mesh_file_read(mesh_path, &file, NULL, &err), 0);
    if (node != 0 || !script.world->no_device) {
        seen.devices = mem_alloc(1, sizeof *seen.devices);
        seen.device_count = 1;
        fill_device(file.mesh, node, &seen.devices[0]);
    }
    seen.hostname = mem_text("host");
    observation_sort(&seen);
    observation_to_json(&seen, false, &json, "observation");
    observation_clear(&seen);
    mesh_file_free(&file);
}

static void list(struct buf *members)
{
    const struct world *world = script.world;
    buf_add_text(members, "\"invitations\":[");
    if (*script.id) {
        size_t last = 0, at = script.polls++;
        while (last + 1 < COUNT_OF(world->states) && world->states[last + 1])
            last++;
        const char *state = world->states[at < last ? at : last];
        buf_add_format(members, "{\"id\":\"%s\",\"name\":\"%s\",\"relay\":%s,\"made\":1700000000,\"by\":\"x\",\"expires\":1700001800,\"state\":\"%s\",\"addresses\":[\"%s\"],%s}", script.id, script.name,
                       strstr(buf_text(&script.request), "\"relay\":true") ? "true" : "false", state, strstr(buf_text(&script.request), "10.44.0.192/32") ? "10.44.0.192/32" : "10.44.0.4/32",
                       !strcmp(state, "used") ? SOMEBODY : NOBODY);
    } else {
        buf_add_text(members, script.late && world->taken_by ? world->taken_by : world->rows ? world->rows : "");
    }
    buf_add_char(members, ']');
}

static void take_invite(const cJSON *asked)
{
    char *text = cJSON_PrintUnformatted(asked);
    buf_clear(&script.request);
    buf_add_text(&script.request, text);
    cJSON_free(text);
    if (script.world->states[0]) {
        snprintf(script.id, sizeof script.id, "%s", json_get_text(asked, "invitation", ""));
        snprintf(script.name, sizeof script.name, "%s", json_get_text(asked, "name", ""));
    }
}

static void fake_answer(struct fanout_request *request, const cJSON *asked)
{
    const struct world *world = script.world;
    const char *op = json_get_text(asked, "op", ""), *refused = NULL;
    uint64_t id = json_get_unsigned(asked, "id", 0);
    struct buf text = BUF_EMPTY, members = BUF_EMPTY;
    buf_add_format(&script.said, "%c %s\n", (char)('a' + request->session->node), op);
    if (world->lost && request->session->node == 0 && !strcmp(world->lost, op)) {
        lose(request);
        return;
    }
    if (*script.id && !strcmp(op, "invitations") && script.polls < COUNT_OF(world->states) && world->states[script.polls] && !strcmp(world->states[script.polls], "lost")) {
        script.polls++;
        lose(request);
        return;
    }
    if (!strcmp(op, "observe")) {
        observe(request->session->node, &members);
    } else if (!strcmp(op, "invitations")) {
        list(&members);
    } else if (!strcmp(op, "invite")) {
        take_invite(asked);
        refused = world->refused;
        if (world->taken_by && !script.late)
            refused = "10.44.0.192 has just been given to another one";
        script.late = true;
        buf_add_text(&members, world->answer ? world->answer : GOOD_ANSWER);
    } else if (!strcmp(op, "revoke")) {
        buf_add_format(&members, "\"was\":\"%s\"", world->was ? world->was : "open");
    }
    if (refused)
        buf_add_format(&text, "{\"id\":%llu,\"ok\":false,\"code\":\"%s\",\"error\":\"%s\"}\n", (unsigned long long)id, world->code ? world->code : "taken", refused);
    else
        buf_add_format(&text, "{\"id\":%llu,\"ok\":true,%s}\n", (unsigned long long)id, buf_text(&members));
    say(request, buf_text(&text));
    buf_free(&text);
    buf_free(&members);
}

/* --- one run */

struct run {
    struct ev_loop *loop;
    struct mesh_file file;
    struct invite *invite;
    bool made, done;
    size_t free_at, changes;   /* at which change it is freed; 0: at the end */
    struct ev_timer patience;
    struct buf told;           /* all that invite_working said */
};

static void on_changed(void *context, struct invite *invite)
{
    struct run *run = context;
    buf_add_format(&run->told, "%s\n", invite_working(invite));
    if (++run->changes == run->free_at)
        ev_break(run->loop, EVBREAK_ALL);
}

static void on_made(void *context, struct invite *invite)
{
    struct run *run = context;
    assert_false(run->made);
    assert_non_null(invite_token(invite));
    run->made = true;
}

static void on_done(void *context, struct invite *invite)
{
    struct run *run = context;
    assert_false(run->done);
    assert_int_not_equal(invite_result(invite), INVITE_RUNNING);
    run->done = true;
    ev_break(run->loop, EVBREAK_ALL);
}

static void on_impatient(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)timer, (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void write_mesh(const char *text)
{
    assert_int_equal(file_write(mesh_path, 0600, text, strlen(text), &err), 0);
}

/* False: refused at once, and err says why. */
static bool begin(struct run *run, const struct world *world, struct invite_options options)
{
    static const struct invite_callbacks callbacks = {.changed = on_changed, .made = on_made, .done = on_done};
    script.world = world;
    buf_clear(&script.said);
    buf_clear(&script.request);
    *script.id = '\0';
    script.polls = 0;
    script.late = false;
    write_mesh(world->mesh ? world->mesh : MESH);
    assert_int_equal(mesh_file_read(mesh_path, &run->file, NULL, &err), 0);
    run->loop = ev_loop_new(EVFLAG_AUTO);
    options.file = &run->file;
    options.look.helper = program_path;
    options.owner = "alice@laptop";
    run->invite = invite_new(run->loop, &options, &callbacks, run, &err);
    ev_timer_init(&run->patience, on_impatient, 20., 0.);
    ev_timer_start(run->loop, &run->patience);
    if (run->invite)
        ev_run(run->loop, 0);
    return run->invite != NULL;
}

static void end(struct run *run)
{
    invite_free(run->invite);
    ev_timer_stop(run->loop, &run->patience);
    mesh_file_free(&run->file);
    ev_loop_destroy(run->loop);
    buf_free(&run->told);
}

static void run_it(struct run *run, const struct world *world, struct invite_options options)
{
    if (!begin(run, world, options))
        fail_msg("refused: %s", err.text);
    if (!run->done)
        fail_msg("it waits for ever:\n%s%s", buf_text(&run->told), buf_text(&script.said));
}

static void must_succeed(struct run *run, const struct world *world, struct invite_options options)
{
    run_it(run, world, options);
    if (invite_result(run->invite) != INVITE_DONE)
        fail_msg("%s\n%s", invite_error(run->invite), buf_text(&script.said));
}

static char *mesh_now(void)
{
    struct buf text = BUF_EMPTY;
    assert_int_equal(file_read(mesh_path, 1 << 20, &text, &err), 0);
    return buf_take(&text);
}

static void assert_mesh_is(const char *expected)
{
    char *now = mesh_now();
    assert_string_equal(now, expected);
    free(now);
}

static bool said(const char *line)
{
    return strstr(buf_text(&script.said), line) != NULL;
}

static void read_request(struct invitation_record *record)
{
    cJSON *object = json_parse(buf_text(&script.request), script.request.length, &err);
    assert_non_null(object);
    if (invitation_record_read(object, record, &err))
        fail_msg("%s: %s", err.text, buf_text(&script.request));
    cJSON_Delete(object);
}

static void read_token(const struct run *run, struct invitation *invitation)
{
    const char *token = invite_token(run->invite);
    if (invitation_decode(token, strlen(token), invitation, &err))
        fail_msg("%s", err.text);
}

/* --- making */

static void test_relay(void **state)
{
    static const struct world world;
    struct run run = {0};
    struct invitation invitation;
    struct invitation_record record;
    (void)state;
    must_succeed(&run, &world, (struct invite_options){.task = INVITE_MAKE, .name = "mail", .relay = true, .address = "[2001:db8::9]:2022"});
    assert_true(run.made);
    assert_string_equal(invite_warnings(run.invite), "");
    read_token(&run, &invitation);
    read_request(&record);
    assert_string_equal(invitation.name, "mail");
    assert_string_equal(invitation.mesh, "prod");
    assert_string_equal(invitation.hub, "a");
    assert_string_equal(invitation.user, "root");
    assert_true(invitation.relay);
    assert_int_equal(invitation.host_key_count, 1);
    assert_string_equal(invitation.host_keys[0], HOST_KEY);
    static const struct { const char *host; uint16_t port; } places[] = {{"2001:db8::9", 2022}, {"203.0.113.1", 2222}, {"192.0.2.1", 2222}};
    assert_int_equal(invitation.place_count, COUNT_OF(places));
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        assert_string_equal(invitation.places[i].host, places[i].host);
        assert_int_equal(invitation.places[i].port, places[i].port);
    }
    struct buf line = BUF_EMPTY;
    invitation_public(&invitation, &line);
    assert_string_equal(record.public_line, buf_text(&line)); /* the hub lets in who has the token */
    buf_free(&line);
    assert_string_equal(record.id, invitation.id);
    assert_string_equal(record.by, "alice@laptop");
    assert_true(record.expires == invitation.expires);
    assert_in_range((uintmax_t)record.expires, (uintmax_t)(clock_wall() / CLOCK_SECOND + 1700), (uintmax_t)(clock_wall() / CLOCK_SECOND + 1900));
    assert_int_equal(record.relay_port, 51821);
    char text[PREFIX_TEXT_SIZE], key[KEY_TEXT_SIZE];
    prefix_text(&record.addresses[0], text);
    assert_string_equal(text, "10.44.0.192/32");
    key_text(&record.place, key);
    assert_non_null(strstr(record.hub, key));
    assert_non_null(strstr(record.hub, "\"allowed\":[\"10.44.0.192/32\"]"));
    assert_non_null(strstr(record.hub, "\"do\":\"forwarding\""));
    assert_non_null(strstr(record.node, "\"do\":\"interface\""));
    assert_non_null(strstr(record.node, "\"prefix\":\"10.44.0.192/24\""));
    assert_non_null(strstr(record.node, "\"allowed\":[\"10.44.0.0/24\"]"));
    assert_non_null(strstr(record.node, "\"endpoint\":\"203.0.113.1:51820\""));
    assert_non_null(strstr(record.node, "\"keepalive\":25"));
    assert_non_null(strstr(record.node, "\"do\":\"service\""));
    assert_null(strstr(record.node, "\"name\":\"b\""));
    assert_mesh_is(MESH);
    assert_null(strstr(buf_text(&script.request), invite_token(run.invite)));
    invitation_record_free(&record);
    invitation_wipe(&invitation);
    end(&run);
}

static void test_member(void **state)
{
    static const struct world world;
    struct run run = {0};
    struct invitation_record record;
    (void)state;
    must_succeed(&run, &world, (struct invite_options){.task = INVITE_MAKE, .name = "web", .seconds = 600, .hub = "b"});
    read_request(&record);
    assert_false(record.relay);
    assert_non_null(strstr(record.hub, "\"allowed\":[\"10.44.0.4/32\"]"));
    assert_non_null(strstr(record.node, "\"name\":\"b\""));
    assert_true(said("b invite"));
    char *now = mesh_now();
    assert_int_equal(strncmp(now, MESH, strlen(MESH)), 0);
    assert_non_null(strstr(now, "[Node web]"));
    assert_non_null(strstr(now, "Address = 10.44.0.4"));
    free(now);
    invitation_record_free(&record);
    end(&run);
}

/* In groups a node needs one: that of who lets it in, which is its gateway. */
static void test_member_of_group(void **state)
{
    static const struct world world = {.mesh = "[Mesh]\nName = prod\nNetwork = 10.44.0.0/24\nTopology = groups\n[Node a]\nSsh = a\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1\nRole = gateway\nGroup = fra\n"
                                               "[Node b]\nSsh = b\nAddress = 10.44.0.2\nEndpoint = 203.0.113.2\nRole = gateway\nGroup = nyc\n[Node c]\nSsh = c\nAddress = 10.44.0.3\nGroup = fra\n"};
    struct run run = {0};
    (void)state;
    must_succeed(&run, &world, (struct invite_options){.task = INVITE_MAKE, .name = "web"});
    size_t node = mesh_find_node(run.file.mesh, "web");
    assert_int_not_equal(node, SIZE_MAX);
    assert_string_equal(run.file.mesh->nodes[node].group, "fra");
    end(&run);
}

/* A preshared key is made by the hub: the newcomer cannot tell anybody before it is there. */
static void test_preshared(void **state)
{
    static const struct world world = {.mesh = MESH "[Node web]\nAddress = 10.44.0.9\nAllowedIPs = 192.168.7.0/24\n"};
    struct run run = {0};
    struct invitation_record record;
    (void)state;
    char *mesh = mem_format("[Mesh]\nPresharedKeys = yes\n%s", world.mesh + strlen("[Mesh]\n"));
    struct world with = {.mesh = mesh};
    must_succeed(&run, &with, (struct invite_options){.task = INVITE_MAKE, .name = "web", .hub = "a"}); /* [Node web] stands there already, and is used as it is */
    read_request(&record);
    assert_non_null(strstr(record.hub, "\"preshared\":\"make\""));
    assert_non_null(strstr(record.hub, "\"192.168.7.0/24\""));
    assert_non_null(strstr(record.node, "\"preshared\":\"take\""));
    const char *make = strstr(record.node, "\"preshared\":\"make\"");
    assert_null(make);
    assert_mesh_is(mesh);
    invitation_record_free(&record);
    end(&run);
    free(mesh);
}

static const struct {
    const char *title;
    struct world world;
    struct invite_options options;
    const char *says;
    bool asked;      /* the hub was asked to let it in */
} refusals[] = {
    {"no name", {0}, {.name = "a b", .relay = true}, "is no name", false},
    {"in the file, by SSH", {0}, {.name = "b"}, "which SSH reaches", false},
    {"in the file, with a key", {.mesh = MESH "[Node web]\nAddress = 10.44.0.9\nPublicKey = " NEW_KEY "\n"}, {.name = "web"}, "with a key", false},
    {"in the file, in RelayNetwork", {.mesh = MESH "[Node web]\nAddress = 10.44.0.200\n"}, {.name = "web"}, "invite it with --relay", false},
    {"in the file, not in RelayNetwork", {.mesh = MESH "[Node web]\nAddress = 10.44.0.9\n"}, {.name = "web", .relay = true}, "invite it without --relay", false},
    {"no such hub", {0}, {.name = "mail", .hub = "bb"}, "no node \"bb\"", false},
    {"another hub", {0}, {.name = "mail", .relay = true, .hub = "b"}, "leave --hub out", false},
    {"a hub behind NAT", {0}, {.name = "mail", .hub = "c"}, "has no Endpoint", false},
    {"a hub without Ssh", {.mesh = MESH "[Node d]\nAddress = 10.44.0.5\nEndpoint = 203.0.113.5\n"}, {.name = "mail", .hub = "d"}, "has no Ssh", false},
    {"no RelayNetwork", {.mesh = "[Mesh]\nNetwork = 10.44.0.0/24\n[Node a]\nSsh = a\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1\n"}, {.name = "mail", .relay = true}, "RelayNetwork =", false},
    {"no relay", {.mesh = "[Mesh]\nNetwork = 10.44.0.0/24\nRelayNetwork = 10.44.0.192/26\n[Node a]\nSsh = a\nAddress = 10.44.0.1\nEndpoint = 203.0.113.1\n"}, {.name = "mail", .relay = true}, "Role = relay", false},
    {"nobody to let it in", {.mesh = "[Mesh]\nNetwork = 10.44.0.0/24\n[Node a]\nSsh = a\nAddress = 10.44.0.1\n"}, {.name = "mail"}, "an Endpoint and Ssh", false},
    {"an odd address", {0}, {.name = "mail", .relay = true, .address = "-oProxyCommand=x"}, "is no HOST[:PORT]", false},
    {"an odd port", {0}, {.name = "mail", .relay = true, .address = "hub:70000"}, "is no HOST[:PORT]", false},
    {"an open bracket", {0}, {.name = "mail", .relay = true, .address = "[::1"}, "is no HOST[:PORT]", false},
    {"an open invitation", {.rows = OPEN_MAIL}, {.name = "mail", .relay = true}, "wgdeck invite revoke mail", false},
    {"joined", {.rows = USED_MAIL, .joined = true}, {.name = "mail", .relay = true}, "wgdeck invite record mail", false},
    {"hub not applied", {.no_device = true}, {.name = "mail", .relay = true}, "\"wgdeck apply\" first", false},
    {"hub without root", {.not_root = true}, {.name = "mail", .relay = true}, "log in as root", false},
    {"lost at the list", {.lost = "invitations"}, {.name = "mail", .relay = true}, "connection lost, as scripted", false},
    {"lost at the look", {.lost = "observe"}, {.name = "mail", .relay = true}, "cannot be reached", false},
    {"no list", {.rows = "7"}, {.name = "mail", .relay = true}, "cannot be read", false},
    {"a hostile list", {.rows = ROW(ID, "a\\u001b[2J", "true", "open", "10.44.0.192", NOBODY)}, {.name = "mail", .relay = true}, "cannot be read", false},
    {"refused", {.refused = "this sshd would not take the key: PermitRootLogin is no", .code = "refused"}, {.name = "mail", .relay = true}, "PermitRootLogin is no", true},
    {"refused, an ordinary member", {.refused = "no", .code = "refused"}, {.name = "web"}, "a: no", true},
    {"lost while inviting", {.lost = "invite"}, {.name = "web"}, "whether it keeps the invitation is not known", true},
    {"no host key", {.answer = "\"user\":\"root\",\"port\":22,\"host_keys\":[]"}, {.name = "web"}, "did not say a host key", true},
    {"an odd host key", {.answer = "\"user\":\"root\",\"port\":22,\"host_keys\":[\"ssh-ed25519 AAAA\"]"}, {.name = "web"}, "its hub's host key", true},
    {"an odd user", {.answer = "\"user\":\"a b\",\"port\":22,\"host_keys\":[\"" HOST_KEY "\"]"}, {.name = "web"}, "the login on its hub", true},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        struct run run = {0};
        struct invite_options options = refusals[i].options;
        options.task = INVITE_MAKE;
        bool began = begin(&run, &refusals[i].world, options);
        if (began && !run.done)
            fail_msg("%s: it waits for ever\n%s", refusals[i].title, buf_text(&script.said));
        const char *text = began ? invite_error(run.invite) : err.text;
        if ((began && invite_result(run.invite) != INVITE_FAILED) || run.made || !strstr(text, refusals[i].says))
            fail_msg("%s: says \"%s\"", refusals[i].title, text);
        if (!text_is_safe(text, strlen(text)) || strchr(text, '\n'))
            fail_msg("%s: not one safe line: %s", refusals[i].title, text);
        if (said(" invite\n") != refusals[i].asked)
            fail_msg("%s: the hub was%s asked", refusals[i].title, refusals[i].asked ? " not" : "");
        assert_mesh_is(refusals[i].world.mesh ? refusals[i].world.mesh : MESH);
        if (refusals[i].world.answer && !said("a revoke"))
            fail_msg("%s: the hub keeps what nobody can use", refusals[i].title);
        end(&run);
    }
}

/* Addresses that no mesh file knows of are not given twice. */
static void test_reserved(void **state)
{
    static const struct { struct world world; bool relay; const char *address; } cases[] = {
        {{.rows = OPEN_MAIL}, true, "10.44.0.193/32"},
        {{.rows = ROW(ID, "mail", "true", "joining", "10.44.0.192/32", NOBODY)}, true, "10.44.0.193/32"},
        {{.rows = ROW(ID, "mail", "true", "expired", "10.44.0.192/32", NOBODY)}, true, "10.44.0.192/32"},
        {{.rows = USED_MAIL}, true, "10.44.0.192/32"}, /* it has left: no row of it is there */
        {{.rows = USED_MAIL, .joined = true}, true, "10.44.0.193/32"},
        {{.joined = true}, true, "10.44.0.193/32"},
        {{.rows = ROW(ID, "db", "false", "open", "10.44.0.4/32", NOBODY)}, false, "10.44.0.5/32"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct run run = {0};
        size_t count;
        char text[PREFIX_TEXT_SIZE];
        must_succeed(&run, &cases[i].world, (struct invite_options){.task = INVITE_MAKE, .name = "other", .relay = cases[i].relay});
        prefix_text(&invite_addresses(run.invite, &count)[0], text);
        if (strcmp(text, cases[i].address))
            fail_msg("case %zu: %s", i, text);
        end(&run);
    }
}

/* Two operators at the same moment: the second one gets the next address, or is told that the name is taken. */
static void test_quicker(void **state)
{
    static const struct world address = {.taken_by = ROW(ID, "post", "true", "open", "10.44.0.192/32", NOBODY)}, name = {.taken_by = OPEN_MAIL};
    struct run run = {0};
    size_t count;
    char text[PREFIX_TEXT_SIZE];
    (void)state;
    must_succeed(&run, &address, (struct invite_options){.task = INVITE_MAKE, .name = "mail", .relay = true});
    prefix_text(&invite_addresses(run.invite, &count)[0], text);
    assert_string_equal(text, "10.44.0.193/32");
    end(&run);
    run = (struct run){0};
    run_it(&run, &name, (struct invite_options){.task = INVITE_MAKE, .name = "mail", .relay = true});
    assert_int_equal(invite_result(run.invite), INVITE_FAILED);
    assert_non_null(strstr(invite_error(run.invite), "wgdeck invite revoke mail"));
    end(&run);
}

static void test_warnings(void **state)
{
    static const struct world old = {.old_routes = true};
    static const struct world said_so = {.answer = "\"user\":\"root\",\"port\":22,\"host_keys\":[\"" HOST_KEY "\"],\"warnings\":[\"look\\u001b[31m here\",7]"};
    struct run run = {0};
    (void)state;
    must_succeed(&run, &old, (struct invite_options){.task = INVITE_MAKE, .name = "mail", .relay = true});
    assert_non_null(strstr(invite_warnings(run.invite), "b, c have not yet"));
    assert_non_null(strstr(invite_warnings(run.invite), "wgdeck apply"));
    end(&run);
    run = (struct run){0};
    must_succeed(&run, &said_so, (struct invite_options){.task = INVITE_MAKE, .name = "mail", .relay = true});
    assert_string_equal(invite_warnings(run.invite), "a: look\\x1b[31m here\n");
    end(&run);
}

/* Somebody else writes into the file while the hub is asked: that stays, and only ours goes. */
static void test_edited_meanwhile(void **state)
{
    static const struct world world = {.refused = "no", .code = "refused"};
    struct run run = {.free_at = 2};
    (void)state;
    assert_true(begin(&run, &world, (struct invite_options){.task = INVITE_MAKE, .name = "web"}));
    char *now = mesh_now();
    assert_non_null(strstr(now, "[Node web]"));
    char *edited = mem_format("# a remark\n%s", now);
    write_mesh(edited);
    ev_run(run.loop, 0);
    assert_true(run.done);
    free(now);
    now = mesh_now();
    assert_null(strstr(now, "web"));
    assert_non_null(strstr(now, "# a remark"));
    free(now);
    free(edited);
    end(&run);
}

/* --- waiting */

static void test_wait(void **state)
{
    static const struct world world = {.states = {"open", "joining", "open", "used"}};
    struct run run = {0};
    (void)state;
    must_succeed(&run, &world, (struct invite_options){.task = INVITE_MAKE, .name = "mail", .relay = true, .wait = true});
    assert_non_null(strstr(buf_text(&run.told), "waiting for mail to join\nmail is joining\nmail has not joined: its attempt failed"));
    assert_non_null(strstr(invite_said(run.invite), "mail has joined from 198.51.100.7 (it calls itself mail.example.org)"));
    const struct mesh_node *node = &run.file.mesh->nodes[mesh_find_node(run.file.mesh, "mail")];
    assert_true(node->has_public_key);
    assert_string_equal(node->ssh, "root@10.44.0.192");
    assert_string_equal(node->jump, "a");
    assert_string_equal(node->host_key, HOST_KEY);
    assert_non_null(strstr(invite_said(run.invite), "SHA256:"));
    end(&run);
}

static void test_wait_reconnects(void **state)
{
    static const struct world world = {.states = {"open", "lost", "lost", "used"}};
    struct run run = {0};
    (void)state;
    must_succeed(&run, &world, (struct invite_options){.task = INVITE_MAKE, .name = "mail", .relay = true, .wait = true});
    assert_non_null(strstr(buf_text(&run.told), "waiting for mail to join\na cannot be reached (connection lost, as scripted): trying again; the invitation holds\na is reached again\n"));
    assert_int_not_equal(mesh_find_node(run.file.mesh, "mail"), SIZE_MAX);
    end(&run);
}

static void test_wait_member(void **state)
{
    static const struct world world = {.states = {"used"}};
    struct run run = {0};
    (void)state;
    must_succeed(&run, &world, (struct invite_options){.task = INVITE_MAKE, .name = "web", .wait = true});
    const struct mesh_node *node = &run.file.mesh->nodes[mesh_find_node(run.file.mesh, "web")];
    assert_true(node->has_public_key);
    assert_null(node->ssh);
    assert_non_null(strstr(invite_said(run.invite), "wgdeck apply"));
    end(&run);
}

static void test_wait_in_vain(void **state)
{
    static const struct { struct world world; const char *says; } cases[] = {
        {{.states = {"expired"}}, "has expired"}, {{.states = {"joining", "revoked"}}, "was revoked"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct run run = {0};
        run_it(&run, &cases[i].world, (struct invite_options){.task = INVITE_MAKE, .name = "mail", .relay = true, .wait = true});
        assert_int_equal(invite_result(run.invite), INVITE_FAILED);
        assert_true(run.made);
        CASE_ASSERT(i, strstr(invite_error(run.invite), cases[i].says));
        assert_mesh_is(MESH);
        end(&run);
    }
}

/* --- the others */

static void test_list(void **state)
{
    static const struct world world = {.rows = OPEN_MAIL "," ROW("1111111111111111", "web", "false", "used", "10.44.0.4/32", SOMEBODY)};
    struct run run = {0};
    size_t count;
    (void)state;
    must_succeed(&run, &world, (struct invite_options){.task = INVITE_LIST});
    const struct invite_row *rows = invite_rows(run.invite, &count);
    assert_int_equal(count, 2);
    assert_string_equal(rows[0].name, "mail");
    assert_int_equal(rows[0].state, INVITATION_OPEN);
    assert_string_equal(rows[0].by, "bob@desk");
    assert_string_equal(rows[1].from, "198.51.100.7");
    assert_true(rows[1].has_key);
    assert_false(said("b invitations")); /* a carries RelayNetwork and is the first: nobody else was asked to keep one */
    end(&run);
}

static void test_revoke(void **state)
{
    static const char with_web[] = MESH "\n[Node web]\nAddress = 10.44.0.4\n";
    static const char by_hand[] = MESH "\n[Node web]\nAddress = 10.44.0.4\nAllowedIPs = 192.168.7.0/24\n";
    static const struct { struct world world; const char *name; bool good; const char *says; const char *mesh; } cases[] = {
        {{.rows = OPEN_MAIL}, "mail", true, "is revoked", MESH},
        {{.rows = OPEN_MAIL}, ID, true, "is revoked", MESH},
        {{.rows = ROW(ID, "web", "false", "open", "10.44.0.4/32", NOBODY), .mesh = with_web}, "web", true, "taken out", NULL},
        {{.rows = ROW(ID, "web", "false", "expired", "10.44.0.4/32", NOBODY), .mesh = with_web, .was = "expired"}, "web", true, "was over already", NULL},
        {{.rows = ROW(ID, "web", "false", "open", "10.44.0.4/32", NOBODY), .mesh = by_hand}, "web", true, "is revoked", by_hand},
        {{.rows = USED_MAIL}, "mail", false, "wgdeck invite record mail\" and \"wgdeck remove mail", MESH},
        {{.rows = USED_WEB, .mesh = with_web}, "web", false, "stays so until \"wgdeck remove web", with_web},
        {{.rows = OPEN_MAIL, .was = "used"}, "mail", false, "wgdeck invite record mail\" and \"wgdeck remove mail", MESH},
        {{.rows = OPEN_MAIL}, "post", false, "no invitation of post", MESH},
        {{.rows = OPEN_MAIL, .lost = "revoke"}, "mail", false, "was not revoked", MESH},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct run run = {0};
        run_it(&run, &cases[i].world, (struct invite_options){.task = INVITE_REVOKE, .name = cases[i].name});
        const char *text = cases[i].good ? invite_said(run.invite) : invite_error(run.invite);
        if ((invite_result(run.invite) == INVITE_DONE) != cases[i].good || !strstr(text, cases[i].says))
            fail_msg("case %zu: %s%s", i, invite_said(run.invite), invite_error(run.invite));
        char *now = mesh_now();
        if (cases[i].mesh)
            assert_string_equal(now, cases[i].mesh);
        else
            assert_null(strstr(now, "web"));
        free(now);
        end(&run);
    }
}

static void test_record(void **state)
{
    static const struct { struct world world; const char *name; bool good; const char *says; } cases[] = {
        {{.rows = USED_MAIL}, "mail", true, "Jump = a"},
        {{.rows = USED_MAIL, .mesh = MESH "[Node mail]\nAddress = 10.44.0.192\nPublicKey = " NEW_KEY "\nSsh = root@10.44.0.192\nJump = a\n"}, "mail", true, "already"},
        {{.rows = USED_WEB, .mesh = MESH "[Node web]\nAddress = 10.44.0.4\n"}, "web", true, "wgdeck apply"},
        {{.rows = USED_WEB, .mesh = MESH "[Node web]\nAddress = 10.44.0.4\nPublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"}, "web", false, "wgdeck set web PublicKey="},
        /* Of a hub that lies: a node that nobody invited, with an address of a network; a member's addresses. */
        {{.rows = ROW(ID, "mail", "true", "used", "10.44.0.77/32", SOMEBODY)}, "mail", false, "not with an address of RelayNetwork"},
        {{.rows = USED_WEB}, "web", false, "which"},
        {{.rows = ROW(ID, "web", "false", "used", "10.44.0.2/32", SOMEBODY), .mesh = MESH "[Node web]\nAddress = 10.44.0.4\n"}, "web", false, "other addresses"},
        {{.rows = OPEN_MAIL}, "mail", false, "has not joined: its invitation is open"},
        {{.rows = OPEN_MAIL}, "post", false, "no invitation of post"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct run run = {0};
        run_it(&run, &cases[i].world, (struct invite_options){.task = INVITE_RECORD, .name = cases[i].name});
        const char *text = cases[i].good ? invite_said(run.invite) : invite_error(run.invite);
        if ((invite_result(run.invite) == INVITE_DONE) != cases[i].good || !strstr(text, cases[i].says))
            fail_msg("case %zu: %s%s", i, invite_said(run.invite), invite_error(run.invite));
        end(&run);
    }
}

/* Freed while it runs: no call afterwards, nothing leaks (the sanitizers look). */
static void test_freed(void **state)
{
    static const struct world world = {.states = {"open"}};
    (void)state;
    for (size_t at = 1; at <= 3; at++) {
        struct run run = {.free_at = at};
        assert_true(begin(&run, &world, (struct invite_options){.task = INVITE_MAKE, .name = "mail", .relay = true, .wait = true}));
        assert_false(run.done);
        end(&run);
    }
}

static int make_world(void **state)
{
    Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64}, .e_machine = EM_X86_64};
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    program_path = mem_format("%s/program", folder);
    mesh_path = mem_format("%s/mesh.conf", folder);
    for (size_t i = 0; i < NODES; i++)
        memset(keys[i].bytes, (int)i + 1, KEY_SIZE);
    return file_write(program_path, 0700, &head, sizeof head, &err);
}

static int remove_world(void **state)
{
    (void)state;
    unlink(program_path);
    unlink(mesh_path);
    free(program_path);
    free(mesh_path);
    buf_free(&script.said);
    buf_free(&script.request);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relay),    cmocka_unit_test(test_member),  cmocka_unit_test(test_member_of_group), cmocka_unit_test(test_preshared), cmocka_unit_test(test_refusals),        cmocka_unit_test(test_reserved),
        cmocka_unit_test(test_warnings), cmocka_unit_test(test_quicker), cmocka_unit_test(test_wait),    cmocka_unit_test(test_wait_reconnects), cmocka_unit_test(test_wait_member), cmocka_unit_test(test_wait_in_vain), cmocka_unit_test(test_edited_meanwhile),
        cmocka_unit_test(test_list),     cmocka_unit_test(test_revoke),  cmocka_unit_test(test_record),    cmocka_unit_test(test_freed),
    };
    return cmocka_run_group_tests(tests, make_world, remove_world);
}
