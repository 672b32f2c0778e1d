/* Joining, against a hub and a helper that follow a script: whatever either says, this machine has joined or is as it was. The machine is a folder and an observation. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <sodium.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/join_parts.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/text.h"

static char root[64];
static struct key own_private, own, hub_key, other_key;
static char own_text[KEY_TEXT_SIZE], hub_text[KEY_TEXT_SIZE], other_text[KEY_TEXT_SIZE];
static struct invitation invitation;
static volatile sig_atomic_t stop;

/* --- the folder that stands for the machine */

static const char *at(const char *path)
{
    static char paths[4][256];
    static unsigned next;
    char *text = paths[next++ % 4];
    snprintf(text, 256, "%s%s", root, path);
    return text;
}

static bool there(const char *path)
{
    struct stat status;
    return lstat(at(path), &status) == 0;
}

static void put(const char *path, const char *text)
{
    const char *whole = at(path);
    char *folder = mem_text_part(whole, (size_t)(strrchr(whole, '/') - whole));
    assert_int_equal(file_make_folders(folder, 0755, NULL), 0);
    free(folder);
    assert_int_equal(file_write(whole, 0600, text, strlen(text), NULL), 0);
}

static struct buf listing;

static int list_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    buf_add_format(&listing, "%s\n", path + strlen(root));
    return 0;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All paths, sorted; free. */
static char *tree(void)
{
    char *lines[512];
    size_t count = 0;
    buf_clear(&listing);
    assert_int_equal(nftw(root, list_one, 16, FTW_PHYS), 0);
    for (char *line = strtok(listing.data, "\n"); line && count < 512; line = strtok(NULL, "\n"))
        lines[count++] = line;
    qsort(lines, count, sizeof *lines, compare_lines);
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < count; i++)
        buf_add_format(&text, "%s\n", lines[i]);
    return buf_take(&text);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static void new_root(void)
{
    snprintf(root, sizeof root, "/tmp/wgdeck-join-test-XXXXXX");
    assert_non_null(mkdtemp(root));
    change_root = root;
    assert_int_equal(mkdir(at("/run"), 0755), 0);
    assert_int_equal(mkdir(at("/run/systemd"), 0755), 0);
    assert_int_equal(mkdir(at("/run/systemd/system"), 0755), 0);
    assert_int_equal(mkdir(at("/etc"), 0755), 0);
    assert_int_equal(file_make_folders(at("/etc/systemd/system"), 0755, NULL), 0);
    assert_int_equal(file_make_folders(at("/usr/local"), 0755, NULL), 0);
    assert_int_equal(file_make_folders(at("/var/lib"), 0755, NULL), 0);
}

static void remove_root(void)
{
    nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- the machine as it is seen */

#define V4(a, b, c, d, bits) {.address = {.family = AF_INET, .bytes = {a, b, c, d}}, .length = bits}
static struct prefix eth0_addresses[] = {V4(198, 51, 100, 20, 24), {.address = {.family = AF_INET6, .bytes = {0xfe, 0x80, [15] = 1}}, .length = 64},
                                         {.address = {.family = AF_INET6, .bytes = {0x20, 1, 0xd, 0xb8, [15] = 5}}, .length = 64}};
static struct prefix lan_addresses[] = {V4(192, 168, 7, 2, 24)}, lo_addresses[] = {V4(127, 0, 0, 1, 8)};
static struct observed_link links[] = {
    {.name = "eth0", .up = true, .mtu = 1500, .addresses = eth0_addresses, .address_count = 3},
    {.name = "lan", .up = true, .mtu = 1500, .addresses = lan_addresses, .address_count = 1},
    {.name = "lo", .up = true, .addresses = lo_addresses, .address_count = 1},
    {.name = "wg0", .up = true, .kind = "wireguard"}, /* only where a case wants it */
};
static struct observed_table_route table_routes[] = {
    {.to = V4(0, 0, 0, 0, 0), .device = "eth0", .table = 254},
    {.to = V4(172, 20, 0, 0, 16), .device = "lan", .table = 254},
    {.to = V4(128, 0, 0, 0, 1), .device = "eth0", .table = 254}, /* half of a VPN's default route: no reason to refuse */
};
static struct observation seen = {.links = links, .link_count = 3, .table_routes = table_routes, .table_route_count = 3, .kernel_has_wireguard = true};

/* --- the scripts */

enum { LOST = 1, SILENT, GARBLED, STOP, LOST_ONCE };

static struct script {
    struct { const char *op, *error, *code; int how; unsigned from; } hub[3], helper[3]; /* what becomes of OP (from its FROM-th time on) */
    const char *operations;       /* instead of the good ones */
    const char *name, *mesh, *interface; /* instead of the good ones */
    const char *hub_members;      /* of "hub" in the answer */
    bool relay;
    bool open_fails;
    bool dead;                    /* the tunnel: verify fails after keep */
    int64_t clock_apart;
} script;

static struct side {
    bool is_hub, gone, open;
    struct buf answers;
    char log[1024];
} hub, helper;
static unsigned opens, helpers, port;
static char said[8192];

static bool did(const struct side *side, const char *op)
{
    char word[64];
    snprintf(word, sizeof word, " %s ", op);
    return strstr(side->log, word) != NULL;
}

static unsigned times(const struct side *side, const char *op)
{
    char word[64];
    unsigned count = 0;
    snprintf(word, sizeof word, " %s ", op);
    for (const char *found = side->log; (found = strstr(found, word)); found++)
        count++;
    return count;
}

static void good_operations(struct buf *text)
{
    buf_add_format(text,
                   "[{\"do\":\"interface\",\"running\":true,\"saved\":true,\"engine\":\"auto\"},{\"do\":\"listen-port\",\"running\":true,\"saved\":true,\"number\":%u},"
                   "{\"do\":\"address\",\"running\":true,\"saved\":true,\"prefix\":\"10.44.0.193/32\"},"
                   "{\"do\":\"row\",\"running\":true,\"saved\":true,\"key\":\"%s\",\"name\":\"hub\",\"new\":true,\"allowed\":[\"10.44.0.0/24\"],\"endpoint\":\"203.0.113.9:51820\",\"keepalive\":25},"
                   "{\"do\":\"route\",\"running\":true,\"saved\":false,\"prefix\":\"10.44.0.0/24\"},{\"do\":\"file\",\"running\":false,\"saved\":true},"
                   "{\"do\":\"service\",\"running\":false,\"saved\":true}]", port, hub_text);
}

static void answer_join(uint64_t id, struct buf *line)
{
    struct buf operations = BUF_EMPTY, members = BUF_EMPTY;
    const char *mark = script.operations ? strstr(script.operations, "%s") : NULL;
    if (!script.operations)
        good_operations(&operations);
    else if (mark)
        buf_add_format(&operations, "%.*s%s%s", (int)(mark - script.operations), script.operations, hub_text, mark + 2);
    else
        buf_add_text(&operations, script.operations);
    if (script.hub_members)
        buf_add_text(&members, script.hub_members);
    else
        buf_add_format(&members, "\"name\":\"hub\",\"key\":\"%s\",\"box\":\"%s\",\"addresses\":[\"10.44.0.1\"]", hub_text, other_text);
    buf_add_format(line,
                   "{\"id\":%llu,\"ok\":true,\"mesh\":\"%s\",\"interface\":\"%s\",\"name\":\"%s\",\"relay\":%s,\"operations\":%s,\"sealed\":[],\"hub\":{%s},\"seen\":\"198.51.100.20\","
                   "\"time\":%lld,\"within\":45,\"generation\":\"8-3fa94c12\"}", (unsigned long long)id, script.mesh ? script.mesh : "prod", script.interface ? script.interface : "wg0",
                   script.name ? script.name : "mail", script.relay ? "true" : "false", buf_text(&operations), buf_text(&members),
                   (long long)(clock_wall() / CLOCK_SECOND + script.clock_apart));
    buf_free(&operations);
    buf_free(&members);
}

static void answer_hub(const char *op, const cJSON *request, struct buf *line)
{
    uint64_t id = json_get_unsigned(request, "id", 0);
    if (!strcmp(op, "join")) {
        assert_string_equal(json_get_text(request, "public_key", ""), own_text);
        assert_int_equal(cJSON_GetArraySize(json_get_list(request, "candidates")), 3);
        answer_join(id, line);
    } else {
        buf_add_format(line, "{\"id\":%llu,\"ok\":true,\"rtt\":900}", (unsigned long long)id);
    }
}

/* What a real one leaves on the disk. */
static void answer_helper(const char *op, const cJSON *request, struct buf *line)
{
    static bool removes;
    uint64_t id = json_get_unsigned(request, "id", 0);
    if (!strcmp(op, "begin")) {
        removes = false;
        put("/run/wgdeck/wg0.lock", "");
        if (json_get_bool(request, "make_key", false) && !there("/etc/wireguard/wg0.conf"))
            put("/var/lib/wgdeck/wg0/private-key", "secret");
        buf_add_format(line, "{\"id\":%llu,\"ok\":true,\"public_key\":\"%s\",\"box\":\"%s\"}", (unsigned long long)id, own_text, other_text);
        return;
    }
    if (!strcmp(op, "stage")) {
        const cJSON *operations = json_get_list(request, "operations");
        removes = !strcmp(json_get_text(cJSON_GetArrayItem(operations, 0), "do", ""), "interface-remove");
        put("/run/wgdeck/wg0.turn", "");
        assert_int_equal(file_make_folders(at("/etc/wireguard"), 0700, NULL), 0);
    }
    if (!strcmp(op, "confirm") && removes) {
        (void)!rename(at("/etc/wireguard/wg0.conf"), at("/etc/wireguard/wg0.conf.removed-2026-11-23"));
        unlink(at("/etc/systemd/system/multi-user.target.wants/wgdeck@wg0.service"));
        put("/var/lib/wgdeck/wg0/generation", "\n");
    } else if (!strcmp(op, "confirm")) {
        put("/etc/wireguard/wg0.conf", "PrivateKey = secret");
        unlink(at("/var/lib/wgdeck/wg0/private-key"));
        put("/var/lib/wgdeck/wg0/generation", "8-3fa94c12\n");
        put("/usr/local/lib/wgdeck/wgdeck", "program");
        put("/etc/systemd/system/wgdeck@.service", "unit");
        put("/etc/systemd/system/wgdeck-engine@.service", "unit");
        file_make_folders(at("/etc/systemd/system/multi-user.target.wants"), 0755, NULL);
        if (!there("/etc/systemd/system/multi-user.target.wants/wgdeck@wg0.service"))
            assert_int_equal(symlink("/etc/systemd/system/wgdeck@.service", at("/etc/systemd/system/multi-user.target.wants/wgdeck@wg0.service")), 0);
    } else if (!strcmp(op, "revert")) {
        put("/var/lib/wgdeck/wg0/restored", "why");
    } else if (!strcmp(op, "verify")) {
        if (script.dead && did(&hub, "keep")) {
            buf_add_format(line, "{\"id\":%llu,\"ok\":true,\"failed\":[{\"key\":\"%s\",\"why\":\"no answer to 20 pings\"}]}", (unsigned long long)id, hub_text);
            return;
        }
        buf_add_format(line, "{\"id\":%llu,\"event\":\"link\",\"key\":\"%s\",\"rtt\":1234,\"age\":5}\n", (unsigned long long)id, hub_text);
    }
    buf_add_format(line, "{\"id\":%llu,\"ok\":true,\"failed\":[],\"warnings\":[]}", (unsigned long long)id);
}

static int side_send(void *context, const char *line, size_t length, struct err *err)
{
    struct side *side = context;
    struct buf text = BUF_EMPTY;
    if (side->gone)
        return err_set(err, "it is gone");
    assert_null(memchr(line, '\n', length));
    cJSON *request = json_parse(line, length, NULL);
    assert_non_null(request);
    const char *op = json_get_text(request, "op", "?");
    snprintf(side->log + strlen(side->log), sizeof side->log - strlen(side->log), " %s ", op);
    int how = 0;
    const char *error = NULL, *code = NULL;
    for (size_t i = 0; i < 3; i++) {
        const char *wanted = side->is_hub ? script.hub[i].op : script.helper[i].op;
        unsigned from = side->is_hub ? script.hub[i].from : script.helper[i].from;
        if (!wanted || strcmp(wanted, op) != 0 || times(side, op) < from)
            continue;
        how = side->is_hub ? script.hub[i].how : script.helper[i].how;
        error = side->is_hub ? script.hub[i].error : script.helper[i].error;
        code = side->is_hub ? script.hub[i].code : script.helper[i].code;
    }
    if (error)
        buf_add_format(&text, "{\"id\":%llu,\"ok\":false,\"error\":\"%s\",\"code\":\"%s\"}", (unsigned long long)json_get_unsigned(request, "id", 0), error, code ? code : "failed");
    else if (how == GARBLED)
        buf_add_text(&text, "Last login: yesterday {");
    else if (how == LOST || (how == LOST_ONCE && times(side, op) == 1))
        side->gone = true;
    else if (how == STOP)
        stop = 1;
    else if (how != SILENT)
        (side->is_hub ? answer_hub : answer_helper)(op, request, &text);
    if (text.length)
        buf_add_format(&side->answers, "%s\n", buf_text(&text));
    buf_free(&text);
    cJSON_Delete(request);
    return 0;
}

static int side_receive(void *context, double seconds, struct buf *line, struct err *err)
{
    struct side *side = context;
    const char *end = side->answers.length ? memchr(side->answers.data, '\n', side->answers.length) : NULL;
    if (end) {
        buf_add(line, side->answers.data, (size_t)(end - side->answers.data));
        buf_drop(&side->answers, line->length + 1);
        return 0;
    }
    if (side->gone)
        return err_set(err, "it is gone");
    usleep((useconds_t)((seconds < 0.001 ? seconds : 0.001) * 1e6));
    return 1;
}

static void side_close(void *context)
{
    struct side *side = context;
    assert_true(side->open);
    side->open = false;
    buf_free(&side->answers);
}

static int open_hub(void *context, struct join_channel *channel, struct address *from, char place[static 80], struct err *err)
{
    (void)context;
    opens++;
    if (script.open_fails)
        return err_set(err, "the hub is not reached");
    hub.is_hub = hub.open = true;
    hub.gone = false;
    assert_int_equal(address_parse("203.0.113.9", from), 0);
    snprintf(place, 80, "203.0.113.9:22");
    *channel = (struct join_channel){side_send, side_receive, side_close, &hub};
    return 0;
}

static int open_helper(void *context, struct join_channel *channel, struct err *err)
{
    (void)context, (void)err;
    helpers++;
    assert_false(helper.open);
    helper.open = true;
    helper.gone = false;
    *channel = (struct join_channel){side_send, side_receive, side_close, &helper};
    return 0;
}

static void say(void *context, bool warning, const char *text)
{
    (void)context;
    assert_true(text_is_safe(text, strlen(text)));
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s%s\n", warning ? "! " : "", text);
}

static struct join_outcome outcome;
static struct err err;
static struct join_options options;

static void fresh(void)
{
    script = (struct script){0};
    memset(hub.log, 0, sizeof hub.log);
    memset(helper.log, 0, sizeof helper.log);
    said[0] = '\0';
    stop = 0;
    hub.open = helper.open = false;
    opens = helpers = 0;
    seen.link_count = 3;
    join_haste = 200;
    options = (struct join_options){.invitation = &invitation, .stop = &stop, .open = open_hub, .helper = open_helper, .say = say, .seen = &seen};
}

static enum join_result join(void)
{
    memset(hub.log, 0, sizeof hub.log);
    memset(helper.log, 0, sizeof helper.log);
    err.text[0] = '\0';
    join_outcome_free(&outcome);
    enum join_result result = join_run(&options, &outcome, &err);
    assert_false(hub.open);
    assert_false(helper.open);
    return result;
}

/* --- all is well */

static void well(void **state)
{
    (void)state;
    fresh();
    new_root();
    if (join() != JOIN_OK)
        fail_msg("%s", err.text);
    assert_string_equal(hub.log, " join  check  keep  bye ");
    assert_string_equal(helper.log, " begin  stage  finish  verify  confirm ");
    assert_string_equal(outcome.interface, "wg0");
    assert_string_equal(outcome.mesh, "prod");
    assert_string_equal(outcome.name, "mail");
    assert_int_equal(outcome.address_count, 1);
    assert_non_null(outcome.boot);
    for (int step = 1; step <= 6; step++) {
        char word[8];
        snprintf(word, sizeof word, "%d/6 ", step);
        if (!strstr(said, word))
            fail_msg("no step %d in:\n%s", step, said);
    }
    assert_null(strstr(said, "! "));
    assert_true(there("/var/lib/wgdeck/wg0/joined"));

    /* The same again does nothing; another invitation is refused, and nothing is touched. */
    char *before = tree();
    seen.link_count = 4;
    assert_int_equal(join(), JOIN_ALREADY);
    assert_int_equal(opens, 1);
    struct invitation another = invitation;
    memcpy(another.id, "00000000000000ff", 16);
    options.invitation = &another;
    assert_int_equal(join(), JOIN_FAILED);
    assert_non_null(strstr(err.text, "wgdeck leave wg0"));
    assert_int_equal(opens, 1);
    char *after = tree();
    assert_string_equal(before, after);
    free(before);
    free(after);
    remove_root();
}

/* --- each step fails in each way */

static void failures(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        struct script script;
        const char *why;      /* in the error */
        bool give_up;         /* the hub is told */
        enum join_result result;
    } cases[] = {
        {"no hub", {.open_fails = true}, "the hub is not reached", false, JOIN_FAILED},
        {"expired", {.hub = {{"join", "it ended at noon", "expired", 0, 0}}}, "the hub says no: it ended at noon (ask for a new invitation)", false, JOIN_FAILED},
        {"revoked", {.hub = {{"join", "taken back", "revoked", 0, 0}}}, "ask for a new invitation", false, JOIN_FAILED},
        {"used", {.hub = {{"join", "used by 192.0.2.1", "used", 0, 0}}}, "if that was not you", false, JOIN_FAILED},
        {"taken", {.hub = {{"join", "mail is there", "taken", 0, 0}}}, "another name", false, JOIN_FAILED},
        {"locked for ever", {.hub = {{"join", "alice changes wg0", "locked", 0, 0}}}, "alice changes wg0", false, JOIN_FAILED},
        {"a hostile error", {.hub = {{"join", "\\u001b[2Jhello\\n", "x\\u0007", 0, 0}}}, "\\x1b[2Jhello", false, JOIN_FAILED},
        {"join: lost", {.hub = {{"join", NULL, NULL, LOST, 0}}}, "it is gone", false, JOIN_FAILED},
        {"join: no answer", {.hub = {{"join", NULL, NULL, SILENT, 0}}}, "does not answer", false, JOIN_FAILED},
        {"join: no JSON", {.hub = {{"join", NULL, NULL, GARBLED, 0}}}, "cannot be understood", false, JOIN_FAILED},
        {"join: ^C", {.hub = {{"join", NULL, NULL, STOP, 0}}}, "interrupted", false, JOIN_FAILED},
        {"begin: locked", {.helper = {{"begin", "bob changes wg0", "locked", 0, 0}}}, "bob changes wg0", false, JOIN_FAILED},
        {"begin: lost", {.helper = {{"begin", NULL, NULL, LOST, 0}}}, "it is gone", false, JOIN_FAILED},
        {"stage: failed", {.helper = {{"stage", "the port is taken", "failed", 0, 0}}}, "the port is taken", true, JOIN_FAILED},
        {"stage: lost", {.helper = {{"stage", NULL, NULL, LOST, 0}}}, "it is gone", true, JOIN_FAILED},
        {"stage: ^C", {.helper = {{"stage", NULL, NULL, STOP, 0}}}, "interrupted", true, JOIN_FAILED},
        {"finish: failed", {.helper = {{"finish", "no handshake", "failed", 0, 0}}}, "no handshake", true, JOIN_FAILED},
        {"verify: could not", {.helper = {{"verify", "no such interface", "refused", 0, 0}}}, "no such interface", true, JOIN_FAILED},
        {"verify: ^C", {.helper = {{"verify", NULL, NULL, STOP, 0}}}, "interrupted", true, JOIN_FAILED},
        {"check: failed", {.hub = {{"check", "no handshake", "failed", 0, 0}}}, "the hub cannot verify it: no handshake", true, JOIN_FAILED},
        {"check: lost", {.hub = {{"check", NULL, NULL, LOST, 0}}}, "it is gone", false, JOIN_FAILED},
        {"check: no answer", {.hub = {{"check", NULL, NULL, SILENT, 0}}}, "does not answer", true, JOIN_FAILED},
        {"confirm: put back", {.helper = {{"confirm", "the file has changed", "failed", 0, 0}}}, "the file has changed", true, JOIN_FAILED},
        {"confirm: lost", {.helper = {{"confirm", NULL, NULL, LOST_ONCE, 0}}}, "it is gone", true, JOIN_FAILED},
        {"confirm: lost, and the helper cannot be had again", {.helper = {{"confirm", NULL, NULL, LOST, 0}}}, "wg0 could not be put back at once", true, JOIN_LEFT_OVER},
        {"keep: refused", {.hub = {{"keep", "the guard was faster", "failed", 0, 0}}}, "does not keep this machine: the guard was faster", true, JOIN_FAILED},
        {"keep: lost, and not kept", {.hub = {{"keep", NULL, NULL, LOST, 0}}, .dead = true}, "has not kept this machine: it is gone", false, JOIN_FAILED},
        {"keep: no answer, and not kept", {.hub = {{"keep", NULL, NULL, SILENT, 0}}, .dead = true}, "has not kept this machine", false, JOIN_FAILED},
        {"all lost", {.hub = {{"check", NULL, NULL, LOST, 0}}, .helper = {{"revert", "the disk is gone", "guarded", 0, 0}}}, "could not be put back at once: the disk is gone", false, JOIN_LEFT_OVER},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fresh();
        new_root();
        char *before = tree();
        script = cases[i].script;
        enum join_result result = join();
        char *after = tree();
        if (result != cases[i].result || !strstr(err.text, cases[i].why))
            fail_msg("%s: result %d: %s\n%s", cases[i].label, (int)result, err.text, said);
        if (did(&hub, "give-up") != cases[i].give_up)
            fail_msg("%s: the hub was %s told: %s", cases[i].label, cases[i].give_up ? "not" : "", hub.log);
        if (result == JOIN_FAILED && strcmp(before, after) != 0)
            fail_msg("%s: not as it was:\n%s", cases[i].label, after);
        free(before);
        free(after);
        remove_root();
    }
}

/* --- what a hub may not want */

static void hostile(void **state)
{
    (void)state;
#define IFACE "{\"do\":\"interface\",\"running\":true,\"saved\":true,\"engine\":\"auto\"},"
#define ADDRESS(prefix) "{\"do\":\"address\",\"running\":true,\"saved\":true,\"prefix\":\"" prefix "\"},"
#define ROW(allowed) "{\"do\":\"row\",\"running\":true,\"saved\":true,\"key\":\"%s\",\"name\":\"hub\",\"new\":true,\"allowed\":[" allowed "],\"endpoint\":\"203.0.113.9:51820\"}"
#define MESH "\"10.44.0.0/24\""
    static const struct {
        const char *label, *operations, *why;
    } cases[] = {
        {"all traffic", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"0.0.0.0/0\"") "]", "0.0.0.0/0, which is all there is"},
        {"all of v6", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"::/0\"") "]", "::/0, which is all there is"},
        {"in halves", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"128.0.0.0/1\"") "]", "far more than a mesh's own"},
        {"somebody's network", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"8.0.0.0/9\"") "]", "far more than a mesh's own"},
        {"loopback", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"127.0.0.53/32\"") "]", "no tunnel can have"},
        {"link-local", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"fe80::/64\"") "]", "no tunnel can have"},
        {"metadata of clouds", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"169.254.169.254/32\"") "]", "no tunnel can have"},
        {"the hub's own address", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"203.0.113.0/24\"") "]", "203.0.113.0/24, which has the address at which the hub is reached"},
        {"this machine's own network", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"198.51.100.0/25\"") "]", "overlaps with an address of eth0"},
        {"its LAN", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"192.168.0.0/16\"") "]", "overlaps with an address of lan"},
        {"its route", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"172.20.3.0/24\"") "]", "overlaps with the route to 172.20.0.0/16 by lan"},
        {"an address of the LAN", "[" IFACE ADDRESS("192.168.7.9/24") ROW(MESH) "]", "overlaps with an address of lan"},
        {"a route into the LAN", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH) ",{\"do\":\"route\",\"running\":true,\"prefix\":\"192.168.7.1/32\"}]", "overlaps with an address of lan"},
        {"who types here", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"10.9.0.0/16\"") "]", "10.9.0.0/16, which has the address from which you are logged in"},
        {"a name server", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"9.9.9.9/32\"") "]", "9.9.9.9/32, which has a name server of this machine"},
        {"forwarding", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH) ",{\"do\":\"forwarding\",\"running\":true,\"prefix\":\"0.0.0.0/0\"}]", "no join needs"},
        {"an interface away", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH) ",{\"do\":\"interface-remove\",\"running\":true}]", "no join needs"},
        {"a new key", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH) ",{\"do\":\"private-key\",\"running\":true}]", "no join needs"},
        {"a word unknown", "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH) ",{\"do\":\"shell\",\"running\":true}]", "an operation cannot be read"},
        {"no interface", "[" ADDRESS("10.44.0.193/32") ROW(MESH) "]", "no interface, or no address"},
        {"no address", "[" IFACE ROW(MESH) "]", "no interface, or no address"},
        {"no row", "[" IFACE "{\"do\":\"address\",\"running\":true,\"prefix\":\"10.44.0.193/32\"}]", "where the hub's WireGuard is reached"},
        {"the hub's address elsewhere", "[" IFACE ADDRESS("10.44.0.193/32") ROW("\"10.44.0.192/26\"") "]", "does not take the hub's own address"},
        {"no list", "{}", "operations is no list"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fresh();
        new_root();
        put("/etc/resolv.conf", "# ours\nsearch example.org\nnameserver\t9.9.9.9\nnameserver fe80::1%eth0\n");
        setenv("SSH_CONNECTION", "10.9.8.7 50022 198.51.100.20 22", 1);
        char *before = tree();
        script.operations = cases[i].operations;
        enum join_result result = join();
        char *after = tree();
        if (result != JOIN_FAILED || !strstr(err.text, cases[i].why))
            fail_msg("%s: result %d: %s", cases[i].label, (int)result, err.text);
        if (!did(&hub, "give-up") || did(&helper, "stage"))
            fail_msg("%s: %s | %s", cases[i].label, hub.log, helper.log);
        if (strcmp(before, after) != 0)
            fail_msg("%s: not as it was:\n%s", cases[i].label, after);
        free(before);
        free(after);
        remove_root();
    }
    unsetenv("SSH_CONNECTION");

    /* What is only unusual is said. */
    fresh();
    new_root();
    script.operations = "[" IFACE ADDRESS("10.44.0.193/32") ROW(MESH ",\"8.8.8.0/24\"") "]";
    assert_int_equal(join(), JOIN_OK);
    assert_non_null(strstr(said, "! public addresses are reached through this mesh from now on: 8.8.8.0/24"));
    remove_root();
}

static void wrong_answers(void **state)
{
    (void)state;
    char own_as_hub[512], no_addresses[512], bad_name[512];
    snprintf(own_as_hub, sizeof own_as_hub, "\"name\":\"hub\",\"key\":\"%s\",\"addresses\":[\"10.44.0.1\"]", own_text);
    snprintf(no_addresses, sizeof no_addresses, "\"name\":\"hub\",\"key\":\"%s\",\"addresses\":[]", hub_text);
    snprintf(bad_name, sizeof bad_name, "\"name\":\"-rf\",\"key\":\"%s\",\"addresses\":[\"10.44.0.1\"]", hub_text);
    const struct {
        const char *label;
        struct script script;
        const char *why;
    } cases[] = {
        {"another name", {.name = "web"}, "it is for web in mesh prod"},
        {"another mesh", {.mesh = "test"}, "it is for mail in mesh test"},
        {"a name that is none", {.name = "../x"}, "name is missing, or none"},
        {"an interface that is none", {.interface = "../../etc"}, "interface is missing, or none"},
        {"by the relay after all", {.relay = true}, "says one thing of the relay"},
        {"our own key", {.hub_members = own_as_hub}, "this machine's own key"},
        {"no addresses", {.hub_members = no_addresses}, "has no addresses"},
        {"a hub without a name", {.hub_members = bad_name}, "name is missing, or none"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fresh();
        new_root();
        char *before = tree();
        script = cases[i].script;
        enum join_result result = join();
        char *after = tree();
        if (result != JOIN_FAILED || !strstr(err.text, cases[i].why) || !did(&hub, "give-up") || strcmp(before, after) != 0)
            fail_msg("%s: result %d: %s\n%s%s", cases[i].label, (int)result, err.text, hub.log, after);
        free(before);
        free(after);
        remove_root();
    }
}

/* --- before the hub is asked */

static void before_the_hub(void **state)
{
    (void)state;
    static const struct {
        const char *label, *file, *interface, *why;
        bool link, no_engine, taken;
        enum engine_choice engine;
    } cases[] = {
        {"a file", "/etc/wireguard/wg0.conf", NULL, "wg0.conf is there; choose another name with --interface", false, false, false, ENGINE_CHOICE_AUTO},
        {"an interface", NULL, NULL, "wg0 is in use here: it is an interface of another kind (wireguard)", true, false, false, ENGINE_CHOICE_AUTO},
        {"a name that is none", NULL, "a/b", "cannot be the name", false, false, false, ENGINE_CHOICE_AUTO},
        {"a name that is too long", NULL, "averyverylongname", "cannot be the name", false, false, false, ENGINE_CHOICE_AUTO},
        {"no WireGuard at all", NULL, NULL, "/dev/net/tun cannot be used here, and this kernel has no WireGuard", false, true, false, ENGINE_CHOICE_AUTO},
        {"not the kernel's", NULL, NULL, "this kernel has no WireGuard", false, true, false, ENGINE_CHOICE_KERNEL},
        {"no device for ours", NULL, NULL, "/dev/net/tun cannot be used here", false, false, false, ENGINE_CHOICE_EMBEDDED},
        {"the port", NULL, NULL, "is taken here", false, false, true, ENGINE_CHOICE_AUTO},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fresh();
        new_root();
        if (cases[i].file)
            put(cases[i].file, "somebody's");
        char *before = tree();
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        int taken = cases[i].taken ? socket(AF_INET, SOCK_DGRAM, 0) : -1;
        if (taken >= 0)
            assert_int_equal(bind(taken, (struct sockaddr *)&address, sizeof address), 0);
        seen.link_count = cases[i].link ? 4 : 3;
        seen.kernel_has_wireguard = !cases[i].no_engine;
        options.interface = cases[i].interface;
        options.engine = cases[i].engine;
        options.port = cases[i].taken ? (uint16_t)port : 0;
        enum join_result result = join();
        char *after = tree();
        seen.kernel_has_wireguard = true;
        if (result != JOIN_FAILED || !strstr(err.text, cases[i].why) || opens || helpers || strcmp(before, after) != 0)
            fail_msg("%s: result %d, %u, %u: %s\n%s", cases[i].label, (int)result, opens, helpers, err.text, after);
        if (taken >= 0)
            close(taken);
        free(before);
        free(after);
        remove_root();
    }
}

/* --- the rest */

static void the_last_answer_is_lost_but_it_is_kept(void **state)
{
    (void)state;
    fresh();
    new_root();
    script.hub[0].op = "keep";
    script.hub[0].how = LOST;
    assert_int_equal(join(), JOIN_OK);
    assert_true(times(&helper, "verify") > 1);
    assert_true(there("/etc/wireguard/wg0.conf"));
    assert_non_null(strstr(said, "looking through the tunnel"));
    remove_root();
}

static void stopped_while_nobody_knows(void **state)
{
    (void)state;
    fresh();
    new_root();
    script.hub[0].op = "keep";
    script.hub[0].how = STOP;
    assert_int_equal(join(), JOIN_UNKNOWN);
    assert_true(there("/etc/wireguard/wg0.conf"));
    assert_true(there("/var/lib/wgdeck/wg0/joined"));

    /* The same command again finishes it; when the hub has let nobody in, it is taken away. */
    fresh();
    seen.link_count = 4;
    assert_int_equal(join(), JOIN_OK);
    assert_non_null(strstr(said, "an earlier try"));
    struct leave_options leave = {.helper = open_helper};
    struct buf text = BUF_EMPTY;
    char *after = NULL;
    assert_int_equal(leave_run(&leave, &text, &err), 0);
    buf_free(&text);

    fresh();
    char *before = tree();
    script.hub[0].op = "keep";
    script.hub[0].how = STOP;
    assert_int_equal(join(), JOIN_UNKNOWN);
    fresh();
    seen.link_count = 4;
    script.hub[0].op = "join";
    script.hub[0].error = "its time is over";
    script.hub[0].code = "expired";
    assert_int_equal(join(), JOIN_FAILED);
    after = tree();
    assert_string_equal(before, after);
    free(before);
    free(after);
    remove_root();
}

static void a_hub_that_is_not_reached_leaves_an_earlier_try(void **state)
{
    (void)state;
    fresh();
    new_root();
    script.hub[0].op = "keep";
    script.hub[0].how = STOP;
    assert_int_equal(join(), JOIN_UNKNOWN);
    char *before = tree();
    fresh();
    seen.link_count = 4;
    script.open_fails = true;
    assert_int_equal(join(), JOIN_FAILED);
    assert_non_null(strstr(err.text, "but the hub answers through wg0"));
    script.helper[0].op = "verify";
    script.helper[0].error = "no such interface";
    assert_int_equal(join(), JOIN_FAILED);
    assert_string_equal(err.text, "the hub is not reached");
    char *after = tree();
    assert_string_equal(before, after);
    free(before);
    free(after);
    remove_root();
}

static void another_interface(void **state)
{
    (void)state;
    fresh();
    new_root();
    script.interface = "mesh0";
    assert_int_equal(join(), JOIN_OK);
    assert_string_equal(outcome.interface, "mesh0");
    assert_int_equal(opens, 2);
    assert_true(there("/var/lib/wgdeck/mesh0/joined"));
    assert_false(there("/var/lib/wgdeck/wg0/joined"));
    remove_root();
    fresh();
    new_root();
    script.interface = "mesh0";
    options.interface = "wg0"; /* whoever says so gets it */
    assert_int_equal(join(), JOIN_OK);
    assert_int_equal(opens, 1);
    assert_string_equal(outcome.interface, "wg0");
    remove_root();
}

static void clocks(void **state)
{
    (void)state;
    static const struct { int64_t apart; const char *warning; } cases[] = {{0, NULL}, {8, NULL}, {-8, NULL}, {30, "behind the hub's"}, {-4000, "ahead of the hub's"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fresh();
        new_root();
        script.clock_apart = cases[i].apart;
        CASE_ASSERT(i, join() == JOIN_OK);
        CASE_ASSERT(i, cases[i].warning ? strstr(said, cases[i].warning) != NULL : !strstr(said, "clock"));
        remove_root();
    }
}

static void locked_for_a_moment(void **state)
{
    (void)state;
    fresh();
    new_root();
    join_haste = 100;
    script.hub[0].op = "join";
    script.hub[0].error = "bob joins";
    script.hub[0].code = "locked";
    script.hub[1].op = "join"; /* from the third time on it goes */
    script.hub[1].from = 3;
    assert_int_equal(join(), JOIN_OK);
    assert_int_equal(times(&hub, "join"), 3);
    assert_non_null(strstr(said, "somebody else just now: waiting"));
    remove_root();
}

static bool no(void *context, const char *what)
{
    *(char **)context = mem_text(what);
    return false;
}

static void leaving(void **state)
{
    (void)state;
    struct buf text = BUF_EMPTY;
    char *what = NULL;
    fresh();
    new_root();
    char *before = tree();
    struct leave_options leave = {.helper = open_helper};
    assert_int_equal(leave_run(&leave, &text, &err), -1);
    assert_non_null(strstr(err.text, "joined no mesh"));
    assert_int_equal(join(), JOIN_OK);
    char *joined = tree();
    leave = (struct leave_options){.helper = open_helper, .confirm = no, .context = &what};
    assert_int_equal(leave_run(&leave, &text, &err), 1);
    char *still = tree();
    assert_string_equal(joined, still);
    assert_non_null(strstr(what, "wg0, by which this machine is mail in mesh prod"));
    leave = (struct leave_options){.helper = open_helper, .interface = "wg7"};
    assert_int_equal(leave_run(&leave, &text, &err), -1);
    leave = (struct leave_options){.helper = open_helper};
    if (leave_run(&leave, &text, &err))
        fail_msg("%s", err.text);
    char *after = tree();
    assert_string_equal(before, after);
    assert_non_null(strstr(buf_text(&text), "wgdeck remove mail"));
    buf_free(&text);
    free(what);
    free(before);
    free(joined);
    free(still);
    free(after);
    remove_root();
}

/* What was there before, or serves another interface, stays. */
static void what_is_not_ours_stays(void **state)
{
    (void)state;
    struct buf text = BUF_EMPTY;
    fresh();
    new_root();
    put("/etc/wireguard/wg5.conf", "another");
    put("/usr/local/lib/wgdeck/wgdeck", "program");
    char *before = tree();
    assert_int_equal(join(), JOIN_OK);
    struct leave_options leave = {.helper = open_helper};
    assert_int_equal(leave_run(&leave, &text, &err), 0);
    char *after = tree();
    assert_string_equal(before, after);
    free(before);
    free(after);
    remove_root();

    fresh();
    new_root();
    assert_int_equal(join(), JOIN_OK);
    put("/etc/wireguard/wg5.conf", "another that came later, and is brought up by the same program");
    assert_int_equal(symlink("/etc/systemd/system/wgdeck@.service", at("/etc/systemd/system/multi-user.target.wants/wgdeck@wg5.service")), 0);
    assert_int_equal(leave_run(&leave, &text, &err), 0);
    assert_true(there("/usr/local/lib/wgdeck/wgdeck"));
    assert_true(there("/etc/systemd/system/wgdeck@.service"));
    assert_false(there("/var/lib/wgdeck/wg0"));
    assert_false(there("/etc/wireguard/wg0.conf"));
    buf_free(&text);
    remove_root();
}

static int set_up(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    struct key private_key;
    if (sodium_init() < 0)
        return -1;
    key_make_private(&own_private);
    key_public(&own_private, &own);
    key_make_private(&private_key);
    key_public(&private_key, &hub_key);
    key_make_private(&private_key);
    key_public(&private_key, &other_key);
    key_text(&own, own_text);
    key_text(&hub_key, hub_text);
    key_text(&other_key, other_text);
    invitation = (struct invitation){.id = "0123456789abcdef", .mesh = "prod", .name = "mail", .hub = "hub", .user = "root", .expires = clock_wall() / CLOCK_SECOND + 600};
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(descriptor, (struct sockaddr *)&address, size) || getsockname(descriptor, (struct sockaddr *)&address, &size))
        return -1;
    port = ntohs(address.sin_port);
    close(descriptor);
    unsetenv("SSH_CONNECTION");
    unsetenv("SSH_CLIENT");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    join_outcome_free(&outcome);
    buf_free(&listing);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well), cmocka_unit_test(failures), cmocka_unit_test(hostile), cmocka_unit_test(wrong_answers), cmocka_unit_test(before_the_hub),
        cmocka_unit_test(the_last_answer_is_lost_but_it_is_kept), cmocka_unit_test(stopped_while_nobody_knows), cmocka_unit_test(a_hub_that_is_not_reached_leaves_an_earlier_try),
        cmocka_unit_test(another_interface), cmocka_unit_test(clocks), cmocka_unit_test(locked_for_a_moment), cmocka_unit_test(leaving), cmocka_unit_test(what_is_not_ours_stays),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("join", tests, set_up, tear_down);
}
