/* The bare look: the parser of its answer on good, broken and hostile ones, and the script itself in the shells that are here. */
#include "unit.h"

#include <sys/wait.h>
#include <unistd.h>

#include "wgdeck/buf.h"
#include "wgdeck/clock.h"
#include "wgdeck/node.h"
#include "wgdeck/observed.h"

#define KEY_A "5E6lAzlLhGsjFH8QpHS6IxazULpiQ9n9LcZiy1fusjI="
#define KEY_B "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o="
#define HASH_B "399d043023bb2c05b4a6e1266ab108b5"
#define BEGIN "wgdeck bare 1\n"
#define END "wgdeck end\n"
#define DEVICE "d wg0\t(hidden)\t" KEY_A "\t51820\t0x10\n"
#define HASH "h " HASH_B "\n"
#define ROW HASH "d wg0\t" KEY_B "\t#1\t192.0.2.2:7\t10.0.0.2/32,0.0.0.0/0,fd00::/64\t1700000000\t5\t6\t25\n"

static int look(const char *text, struct observation *observation, struct err *err)
{
    memset(observation, 0, sizeof *observation);
    return observation_from_bare(text, strlen(text), observation, err);
}

static const char whole[] =
    "Welcome to this machine!\n" BEGIN "n evil\x1b[2J\nk 6.1.0\ng 1\np 198.51.100.7 40000 fe80::1%eth0 22\nu 1\nf 1 -\nq wg0\nQ wg9\nq wg7\n"
    "t 1700000100.250000000\n" DEVICE ROW "w Unable to access interface wg7: Protocol error\n"
    "o 750 0 60 /etc/wireguard\no 644 1000 9 /etc/wireguard/wg0.conf\n"
    "F /etc/wireguard/wg0.conf\nb wg-quick@wg0.service\x1b\nv -\nv 8-3fa94c12\nv 9-00000000\nc [Interface]\nK " KEY_A "\nc \nc ListenPort = 51820\nc [Peer]\nH #1\nc PublicKey = " KEY_B
    "\nc Endpoint = b.example:7\nc [Peer]\nc PublicKey = " KEY_A "\n"
    "F /etc/wireguard/bad.conf\nb \nc what is this\n"
    "E /etc/wireguard/hidden.conf\n"
    "[{\"ifname\":\"wg0\",\"flags\":[\"POINTOPOINT\",\"UP\"],\"mtu\":1420,\"linkinfo\":{\"info_kind\":\"wireguard\"},\"addr_info\":"
    "[{\"family\":\"inet\",\"local\":\"10.0.0.1\",\"prefixlen\":24}],\"stats64\":{\"rx\":{\"packets\":3,\"frame_errors\":2},\"tx\":{\"errors\":4}}},"
    "{},{\"ifname\":\"eth0\",\"flags\":[],\"mtu\":1500,\"stats64\":{\"rx\":{\"packets\":99}}}]\n"
    "[{\"type\":\"unicast\",\"dst\":\"default\",\"gateway\":\"192.0.2.1\",\"dev\":\"eth0\",\"table\":\"main\",\"metric\":7},"
    "{\"type\":\"unicast\",\"dst\":\"default\",\"dev\":\"wg0\",\"table\":\"51820\",\"pref\":\"medium\"},"
    "{\"type\":\"local\",\"dst\":\"10.0.0.1\",\"dev\":\"wg0\",\"table\":\"local\"}]\n"
    "[{\"dst\":\"192.0.2.2\",\"dev\":\"eth0\",\"metrics\":[{\"mtu\":1400}]}]\n"
    "[{\"dst\":\"10.0.0.2\",\"dev\":\"wg0\"}]\n"
    "[{\"type\":\"local\",\"dst\":\"127.0.0.1\",\"dev\":\"lo\"}]\n"
    "y an item of tomorrow\nx no tea here\n" END;

static const struct observed_route *route_to(const struct observation *observation, const char *text)
{
    struct address address;
    assert_int_equal(address_parse(text, &address), 0);
    return observation_route(observation, &address);
}

static void test_whole(void **state)
{
    (void)state;
    struct observation seen;
    struct err err;
    struct key key;
    assert_int_equal(look(whole, &seen, &err), 0);
    assert_string_equal(observation_config(&seen, "wg0")->boot, "wg-quick@wg0.service\\x1b");
    assert_string_equal(observation_config(&seen, "bad")->boot, "");
    assert_null(observation_config(&seen, "hidden")->boot);
    assert_string_equal(seen.generation, "8-3fa94c12");
    assert_string_equal(seen.hostname, "evil\\x1b[2J");
    assert_true(seen.node_time == 1700000100 * CLOCK_SECOND + 250000000 && seen.privileged && seen.kernel_has_wireguard);
    assert_true(seen.forwarding4 == 1 && seen.forwarding6 == -1);
    assert_string_equal(seen.seen_from, "198.51.100.7");
    assert_string_equal(seen.reached_at, "fe80::1");

    const struct device *device = observation_device(&seen, "wg0");
    key_parse(KEY_B, &key);
    const struct device_peer *peer = device_find_peer(device, &key);
    assert_true(device->engine == ENGINE_KERNEL && device->has_private && device->fwmark == 16 && peer && peer->has_preshared);
    assert_true(peer->allowed_count == 3 && peer->keepalive == 25 && peer->preshared_hash[0] == 0x39);

    assert_int_equal(seen.dead_socket_count, 1);
    assert_string_equal(seen.dead_sockets[0], "wg9");
    const struct observed_link *link = observation_link(&seen, "wg0");
    assert_true(link->up && link->mtu == 1420 && link->rx_frame_errors == 2 && link->tx_errors == 4 && link->address_count == 1);
    assert_true(observation_link(&seen, "eth0")->rx_packets == 0); /* tells nothing, changes always */
    assert_int_equal(seen.table_route_count, 2);

    assert_true(route_to(&seen, "192.0.2.2")->mtu == 1400);
    assert_string_equal(route_to(&seen, "10.0.0.2")->device, "wg0");
    assert_int_equal(route_to(&seen, "10.0.0.2")->mtu, 1420);
    assert_string_equal(route_to(&seen, "fd00::1")->device, ""); /* all were asked, and this one not answered */
    assert_string_equal(route_to(&seen, "1.0.0.1")->device, ""); /* stands for 0.0.0.0/0 */
    assert_null(route_to(&seen, "127.0.0.1"));
    assert_int_equal(seen.skipped_count, 2);
    observation_clear(&seen);
}

static void test_configs(void **state)
{
    (void)state;
    struct observation seen;
    struct err err;
    struct key key;
    assert_int_equal(look(whole, &seen, &err), 0);
    assert_int_equal(seen.config_count, 3);
    const struct observed_config *config = observation_config(&seen, "wg0");
    assert_true(config && config->mode == 0644 && config->folder_mode == 0750 && config->owner_other && !config->error);
    assert_true(config->device.has_private && config->device.peer_count == 2 && config->listen_port_given);
    key_parse(KEY_B, &key);
    const struct device_peer *peer = device_find_peer(&config->device, &key);
    assert_true(peer && peer->has_preshared && peer->preshared_hash[15] == 0xb5);
    assert_string_equal(config->endpoint_hosts[peer - config->device.peers], "b.example:7");
    key_parse(KEY_A, &key);
    assert_false(device_find_peer(&config->device, &key)->has_preshared);
    assert_non_null(observation_config(&seen, "bad")->error);
    assert_non_null(strstr(observation_config(&seen, "hidden")->error, "permission denied"));
    observation_clear(&seen);
}

/* Cut anywhere, it is an error and nothing is kept; so no half answer is taken for a node with fewer rows. */
static void test_cut(void **state)
{
    (void)state;
    for (size_t length = 0; length < sizeof whole - 1; length++) {
        struct observation seen = {0};
        struct err err = {0};
        CASE_ASSERT(length, observation_from_bare(whole, length, &seen, &err) == -1 && err.text[0]);
        CASE_ASSERT(length, !seen.devices && !seen.hostname && !seen.configs);
    }
}

static const struct {
    const char *text, *error;
} refused[] = {
    {"", "answered nothing"},
    {"bash: sh: command not found\n", "begins with: bash"},
    {"wgdeck error no sha256sum\n", "no sha256sum"},
    {BEGIN "n x\nwgdeck error sh has no printf\n", "sh has no printf"},
    {BEGIN "t soon\n" END, "clock"},
    {BEGIN "t 99999999999999999999\n" END, "clock"},
    {BEGIN DEVICE "d wg0\tonly three\tfields\n" END, ""},
    {BEGIN "d wg0\t(hidden)\t" KEY_A "\t99999\toff\n" END, ""},
    {BEGIN "c PublicKey = x\n" END, "no configuration"},
    {BEGIN "K " KEY_A "\n" END, "no configuration"},
    {BEGIN "F /etc/wireguard/wg0.conf\nH short\n" END, "is missing"},
    {BEGIN "h short\n" END, "32 hexadecimal"},
    {BEGIN "[{\"ifname\":\n" END, "the answer of ip"},
    {BEGIN "[{\"ifname\":\"a name that is far too long\"}]\n" END, "usable name"},
    {BEGIN "[{\"ifname\":\"\\u001b[2J\"}]\n" END, "usable name"},
    {BEGIN "W 2 /usr/bin/wg\n" END, "wg printed a line of 2 fields (5 or 9 expected): is /usr/bin/wg the real one?"},
    {BEGIN "W 12345678901234567890\n" END, "is it the real one?"},
    {BEGIN DEVICE "d wg0\t" KEY_B "\t#1\t(none)\t(none)\t0\t5\t6\toff\n" END, "hash of a preshared key is missing"},
    {BEGIN HASH DEVICE "d wg0\t" KEY_B "\t#0\t(none)\t(none)\t0\t5\t6\toff\n" END, "hash of a preshared key is missing"},
    {BEGIN HASH DEVICE "d wg0\t" KEY_B "\t#1", "cut off"},
    {BEGIN HASH DEVICE "d wg0\t" KEY_B "\t#1\n" END, "hash of a preshared key is missing"},
    {BEGIN DEVICE, "cut off"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        struct observation seen;
        struct err err = {0};
        CASE_ASSERT(i, look(refused[i].text, &seen, &err) == -1);
        CASE_ASSERT(i, strstr(err.text, refused[i].error) && err.text[0] && !strchr(err.text, '\x1b'));
    }
}

static void test_denied(void **state)
{
    (void)state;
    struct observation seen;
    struct err err;
    assert_int_equal(look(BEGIN "t 5.%N\nq wg0\nw Unable to access interface wg1: Operation not permitted\n" END, &seen, &err), 0);
    assert_true(seen.node_time == 5 * CLOCK_SECOND && !seen.privileged);
    assert_int_equal(seen.dead_socket_count, 0); /* who may not ask a socket does not know that it is dead */
    assert_int_equal(seen.skipped_count, 2);
    assert_non_null(strstr(seen.skipped[0], "log in as root"));
    observation_clear(&seen);
}

/* iproute2 before -json, and busybox: plain lines. */
static void test_plain(void **state)
{
    (void)state;
    struct observation seen;
    struct err err;
    assert_int_equal(look(BEGIN DEVICE ROW "A 2: wg0@if5: <POINTOPOINT,NOARP,UP> mtu 1420 qdisc\nA     inet 10.0.0.1/24 scope global wg0\n"
                                "A     inet6 fd00::9/64 scope global \nR default via 192.0.2.1 dev eth0 \n"
                                "R fd00::/64 dev wg0 table 7 metric 256 pref medium\nR local 10.0.0.1 dev wg0 table local \n"
                                "G 192.0.2.2|192.0.2.2 via 192.0.2.1 dev eth0  src 192.0.2.5 \nG 10.0.0.2|\n" END,
                     &seen, &err),
                     0);
    const struct observed_link *link = observation_link(&seen, "wg0");
    assert_true(link && link->up && link->mtu == 1420 && link->address_count == 2);
    assert_int_equal(seen.table_route_count, 2);
    assert_int_equal(seen.table_routes[1].table, 7);
    assert_string_equal(route_to(&seen, "192.0.2.2")->device, "eth0");
    assert_string_equal(route_to(&seen, "10.0.0.2")->device, "");
    assert_null(route_to(&seen, "fd00::1")); /* not asked: not unreachable */
    observation_clear(&seen);
}

/* Sockets: dead, not readable, silent; only the first is a claim. */
static void test_sockets(void **state)
{
    (void)state;
    struct observation seen;
    struct err err;
    assert_int_equal(look(BEGIN "u 1\nt 5\nQ wg1\nq wg2\nq wg3\nw Unable to access interface wg2: Protocol error\n" END, &seen, &err), 0);
    assert_int_equal(seen.dead_socket_count, 1);
    assert_string_equal(seen.dead_sockets[0], "wg1");
    assert_int_equal(seen.skipped_count, 2);
    assert_true(strstr(seen.skipped[0], "wg2: Protocol error") || strstr(seen.skipped[1], "wg2: Protocol error"));
    assert_true(strstr(seen.skipped[0], "cannot read wg3") || strstr(seen.skipped[1], "cannot read wg3"));
    assert_true(seen.privileged);
    observation_clear(&seen);
}

#define ROUTES                                                                                                                              \
    "[]\n[{\"dst\":\"default\",\"dev\":\"eth0\"},{\"dst\":\"10.1.0.0/16\",\"dev\":\"eth1\",\"metric\":9},"                                            \
    "{\"dst\":\"10.1.0.0/16\",\"dev\":\"wg0\",\"metric\":3,\"metrics\":[{\"mtu\":1300}]},{\"type\":\"unreachable\",\"dst\":\"10.2.0.0/16\"},"            \
    "{\"type\":\"throw\",\"dst\":\"10.3.0.0/16\"},{\"dst\":\"10.3.0.0/16\",\"dev\":\"wg1\",\"table\":\"default\"},"                                        \
    "{\"dst\":\"10.4.0.0/16\",\"dev\":\"wg1\",\"table\":\"77\"},{\"dst\":\"10.5.0.0/16\",\"dev\":\"wg1\",\"tos\":\"0x10\"},"                             \
    "{\"dst\":\"10.6.0.0/16\",\"dev\":\"wg1\",\"flags\":[\"dead\",\"linkdown\"]},{\"type\":\"local\",\"dst\":\"10.1.0.7\",\"dev\":\"wg0\",\"table\":\"local\"},"                                                          \
    "{\"dst\":\"fd00::/64\",\"dev\":\"eth0\",\"metric\":5,\"pref\":\"medium\"},{\"dst\":\"fd00::/64\",\"dev\":\"wg0\",\"metric\":5,\"pref\":\"high\"}]\n" \
    "[{\"dst\":\"10.1.0.9\",\"dev\":\"wg2\",\"metrics\":[{\"mtu\":1200}]}]\n[{\"type\":\"local\",\"dst\":\"127.0.0.1\",\"dev\":\"lo\"}]\n"

static const struct {
    const char *to, *device;
    uint32_t mtu;
} followed[] = {
    {"10.1.0.8", "wg0", 1300}, {"10.1.0.7", "lo", 0},  {"10.1.0.9", "wg2", 1200}, {"10.2.0.1", "", 0},   {"10.3.0.1", "wg1", 0},
    {"10.4.0.1", "eth0", 0},   {"10.5.0.1", "eth0", 0}, {"10.6.0.1", "eth0", 0},    {"fd00::1", "wg0", 0}, {"fd01::1", "", 0},
};

/* "r 1": what was not asked follows from the routes; without it, it is unreachable. */
static void test_followed(void **state)
{
    (void)state;
    struct buf text = BUF_EMPTY;
    struct observation seen, strict;
    struct err err;
    buf_add_text(&text, BEGIN DEVICE "d wg0\t" KEY_B "\t(none)\t(none)\t");
    for (size_t i = 0; i < COUNT_OF(followed); i++)
        buf_add_format(&text, "%s%s/%s", i ? "," : "", followed[i].to, strchr(followed[i].to, ':') ? "128" : "32");
    buf_add_text(&text, "\t0\t5\t6\toff\n" ROUTES);
    size_t without = text.length;
    buf_add_text(&text, "r 1\n" END);
    assert_int_equal(look(buf_text(&text), &seen, &err), 0);
    for (size_t i = 0; i < COUNT_OF(followed); i++) {
        const struct observed_route *route = route_to(&seen, followed[i].to);
        CASE_ASSERT(i, route && strcmp(route->device, followed[i].device) == 0 && route->mtu == followed[i].mtu);
    }
    text.length = without;
    text.data[without] = '\0';
    buf_add_text(&text, END);
    assert_int_equal(look(buf_text(&text), &strict, &err), 0);
    assert_string_equal(route_to(&strict, "10.1.0.8")->device, "");
    observation_clear(&seen);
    observation_clear(&strict);
    buf_free(&text);
}

static const struct {
    const char *allowed, *target;
} targets[] = {
    {"10.0.0.2/32", "10.0.0.2"}, {"10.0.0.0/24", "10.0.0.1"}, {"10.0.0.254/31", "10.0.0.255"}, {"0.0.0.0/0", "1.0.0.1"},
    {"0.0.0.0/1", "1.0.0.1"},    {"128.0.0.0/1", "128.0.0.1"}, {"fd00::5/128", "fd00::5"},     {"fd00::/64", "fd00::1"},
    {"fd00::a/127", "fd00::b"},  {"::/0", "2000::1"},          {"8000::/1", "8000::1"},
};

static void test_targets(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(targets); i++) {
        struct prefix prefix;
        char text[ADDRESS_TEXT_SIZE];
        CASE_ASSERT(i, prefix_parse(targets[i].allowed, &prefix) == 0);
        struct address target = observed_route_target(&prefix);
        address_text(&target, text);
        CASE_ASSERT(i, strcmp(text, targets[i].target) == 0);
    }
}

/* The commands */

/* SHELL -c COMMAND as sshd runs it, INPUT on stdin. Returns its output; NULL when there is no such shell. */
static char *run_shell(const char *const shell[], const char *command, const char *input)
{
    int in[2], out[2], status;
    struct buf text = BUF_EMPTY;
    assert_true(pipe(in) == 0 && pipe(out) == 0);
    pid_t process = fork();
    if (process == 0) {
        char *arguments[5] = {0};
        size_t count = 0;
        for (; shell[count]; count++)
            arguments[count] = mem_text(shell[count]);
        arguments[count] = mem_text("-c");
        arguments[count + 1] = mem_text(command);
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    assert_true(write(in[1], input, strlen(input)) == (ssize_t)strlen(input));
    close(in[1]);
    char bytes[4096];
    for (ssize_t length; (length = read(out[0], bytes, sizeof bytes)) > 0;)
        buf_add(&text, bytes, (size_t)length);
    close(out[0]);
    assert_int_equal(waitpid(process, &status, 0), process);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127 && text.length == 0) {
        buf_free(&text);
        return NULL;
    }
    buf_add_char(&text, '\0');
    return buf_take(&text);
}

static const char *const shells[][3] = {{"dash"}, {"bash"}, {"busybox", "sh"}, {"zsh"}, {"fish"}, {"csh"}, {"tcsh"}, {"mksh"}, {"ksh93"}};
#define SALT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_shells(void **state)
{
    (void)state;
    size_t tried = 0;
    for (size_t i = 0; i < COUNT_OF(shells); i++) {
        struct observation seen;
        struct err err = {0};
        char *text = run_shell(shells[i], node_bare_command, SALT "\n");
        if (!text)
            continue;
        tried++;
        if (look(text, &seen, &err) != 0)
            fail_msg("%s: %s", shells[i][0], err.text);
        CASE_ASSERT(i, seen.hostname && seen.node_time > 0);
        observation_clear(&seen);
        free(text);
        text = run_shell(shells[i], node_bare_command, "$(reboot)\n");
        CASE_ASSERT(i, strcmp(text, "wgdeck error the salt is not 64 hexadecimal digits\n") == 0);
        free(text);
    }
    assert_true(tried > 0);
}

/* What no login shell may see in a single-quoted word (bare.sh), and the first lines that the bootstrap refuses. */
static void test_commands(void **state)
{
    (void)state;
    static const char *const commands[] = {node_bare_command, node_bootstrap_command};
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        const char *first = strchr(commands[i], '\'');
        CASE_ASSERT(i, strncmp(commands[i], "exec sh -c '", 12) == 0 && strchr(first + 1, '\'') == commands[i] + strlen(commands[i]) - 1);
        CASE_ASSERT(i, !strpbrk(commands[i], "\n\r!") && !strstr(commands[i], "\\\\"));
        CASE_ASSERT(i, strncmp(first + 1, "set +xv; ", 9) == 0); /* with SHELLOPTS=xtrace all that follows would be told on stderr */
    }
    static const char *const lines[] = {"", "auto", "auto " SALT " 5 short", "other " SALT " 5 " SALT, "auto " SALT " x " SALT,
                                        "auto " SALT " 99999999999 " SALT, "auto " SALT "0 5 " SALT};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        char *line = mem_format("%s\n", lines[i]), *text = run_shell(shells[0], node_bootstrap_command, line);
        CASE_ASSERT(i, text && strncmp(text, "wgdeck error the first line ", 28) == 0);
        free(text);
        free(line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),   cmocka_unit_test(test_configs), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_denied),  cmocka_unit_test(test_plain),
        cmocka_unit_test(test_sockets), cmocka_unit_test(test_followed),
        cmocka_unit_test(test_targets), cmocka_unit_test(test_shells),  cmocka_unit_test(test_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
