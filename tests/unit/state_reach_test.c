/* Real engines brought from one state to another in network namespaces of this test: what is not touched keeps its session, and a change that was
 * killed anywhere can be put back. Needs root, /dev/net/tun, ip and ping; skips without. */
#include "unit.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/state_parts.h"
#include "wgdeck/file.h"

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, err.text);       \
            return 1;                                                                          \
        }                                                                                      \
    } while (0)

static struct err err;
static struct key key_a, key_b, public_a, public_b;

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *format, ...)
{
    char command[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    return system(command);
}

static struct prefix prefix_of(const char *text)
{
    struct prefix prefix = {.length = 0};
    if (prefix_parse(text, &prefix))
        abort();
    return prefix;
}

/* --- the world: this namespace with 192.0.2.1, and that of a process that sleeps with 192.0.2.2 and the interface wgb */

static pid_t other_side;

#define OWN_ENGINE "/run/wgdeck-engine" /* in this test's own mount namespace */

static char own_program[256];

/* "wgdeck", in the folder above this program's. */
static bool find_program(void)
{
    ssize_t length = readlink("/proc/self/exe", own_program, sizeof own_program - 16);
    for (int i = 0; i < 2 && length > 0; i++)
        while (length > 0 && own_program[--length] != '/')
            ;
    if (length <= 0)
        return false;
    strcpy(own_program + length, "/wgdeck");
    return access(own_program, X_OK) == 0;
}

static int make_world(void)
{
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("proc", "/proc", "proc", 0, NULL) || mount("tmpfs", "/run", "tmpfs", 0, NULL) ||
        access("/dev/net/tun", R_OK | W_OK) || system("command -v ip ping nsenter > /dev/null"))
        return 77;
    if (*own_program && symlink(own_program, OWN_ENGINE))
        return 77;
    other_side = fork();
    if (other_side == 0) {
        if (unshare(CLONE_NEWNET))
            _exit(1);
        pause();
        _exit(0);
    }
    usleep(100000);
    return shell("ip link set lo up; ip link add va type veth peer name vb netns %d && ip address add 192.0.2.1/24 dev va && ip link set va up &&"
                 " nsenter -t %d -n sh -c 'ip link set lo up; ip address add 192.0.2.2/24 dev vb && ip link set vb up'",
                 (int)other_side, (int)other_side)
               ? 77
               : 0;
}

static enum engine_choice choice = ENGINE_CHOICE_EMBEDDED;

static void use_engine(const char *engine)
{
    if (!strcmp(engine, "kernel"))
        choice = ENGINE_CHOICE_KERNEL;
    setenv("WG_QUICK_USERSPACE_IMPLEMENTATION", engine, 1);
}

static int set_in_other(const struct up_set *set)
{
    int status = 1;
    char *path = mem_format("/proc/%d/ns/net", (int)other_side);
    pid_t child = fork();
    if (child == 0) {
        int namespace = open(path, O_RDONLY | O_CLOEXEC);
        _exit(namespace < 0 || setns(namespace, CLONE_NEWNET) || up_set(ENGINE_KERNEL, set, &err) ? 1 : 0);
    }
    waitpid(child, &status, 0);
    free(path);
    return status;
}

/* wgb, by the same engine, with A as its only row. */
static int make_other(const char *engine)
{
    struct device_peer row = {.public_key = public_a};
    struct prefix allowed = prefix_of("10.9.0.1/32");
    struct up_row_set set_row = {.public_key = &row.public_key, .allowed = &allowed, .allowed_count = 1};
    const struct up_set set = {.name = "wgb", .private_key = &key_b, .set_port = true, .port = 51820, .rows = &set_row, .row_count = 1};
    bool is_kernel = choice == ENGINE_CHOICE_KERNEL;
    if (is_kernel ? shell("nsenter -t %d -n ip link add wgb type wireguard", (int)other_side) : shell("nsenter -t %d -n %s wgb >/dev/null 2>&1", (int)other_side, engine))
        return -1;
    if (is_kernel ? set_in_other(&set) : up_set(ENGINE_USERSPACE, &set, &err))
        return -1;
    return shell("nsenter -t %d -n sh -c 'ip address add 10.9.0.2/24 dev wgb && ip link set wgb up'", (int)other_side);
}

static int differ(const struct state *is, const struct state *should)
{
    struct buf first = BUF_EMPTY, second = BUF_EMPTY;
    state_write(is, &first);
    state_write(should, &second);
    fprintf(stderr, "%s\nshould be\n%s\n", buf_text(&first), buf_text(&second));
    return 1;
}

/* --- operations */

static struct plan_operation row_of(const struct key *key, const struct prefix *allowed, const char *endpoint)
{
    return (struct plan_operation){.kind = PLAN_ROW, .running = true, .key = *key, .set_allowed = true, .allowed = (struct prefix *)(uintptr_t)allowed, .allowed_count = 1,
                                   .set_endpoint = endpoint != NULL, .endpoint = (char *)(uintptr_t)endpoint, .set_keepalive = true, .keepalive = endpoint ? 25 : 0};
}

static int change(const char *name, const struct plan_operation *operations, size_t count, enum state_phase phase, const struct state_keys *keys)
{
    struct state now, to, then;
    size_t at = 0;
    if (state_read(name, &now, &err))
        return -1;
    if (state_after(&now, operations, count, phase, keys, &to, &at, &err)) {
        state_free(&now);
        return -1;
    }
    int result = state_reach(&now, &to, &err);
    if (!result && !state_read(name, &then, &err)) {
        if (!state_equal(&then, &to)) {
            differ(&then, &to);
            result = err_set(&err, "not reached");
        }
        state_free(&then);
    }
    state_free(&now);
    state_free(&to);
    return result;
}

static int64_t handshake_of(const char *name, const struct key *key)
{
    struct state state;
    int64_t handshake = -1;
    if (!state_read(name, &state, &err)) {
        const struct device_peer *row = device_find_peer(&state.device, key);
        handshake = row ? row->handshake : -1;
    }
    state_free(&state);
    return handshake;
}

/* --- the tests; each in a process of its own: 0, 77 skipped, else wrong */

static int make_interface(void)
{
    struct prefix allowed = prefix_of("10.9.0.2/32");
    const struct state_keys keys = {.private_key = key_a};
    const struct plan_operation operations[] = {
        {.kind = PLAN_INTERFACE, .running = true, .engine = choice},
        {.kind = PLAN_LISTEN_PORT, .running = true, .number = 51820},
        {.kind = PLAN_ADDRESS, .running = true, .prefix = prefix_of("10.9.0.1/24")},
        {.kind = PLAN_FORWARDING, .running = true, .prefix.address.family = AF_INET},
        row_of(&public_b, &allowed, "192.0.2.2:51820"),
    };
    CHECK(change("wga", operations, COUNT_OF(operations), STATE_STAGE, &keys) == 0);
    CHECK(change("wga", operations, COUNT_OF(operations), STATE_FINISH, &keys) == 0);
    return 0;
}

/* 30 rows come, change and go, addresses, routes, port of none: the link to B carries a ping every 5 ms meanwhile. */
static int churn(void)
{
    struct key others[30], preshared;
    struct up_secrets *secrets = NULL;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct key private_key;
        key_make_private(&private_key);
        key_public(&private_key, &others[i]);
        key_make_preshared(&preshared);
        state_secrets_set(&secrets, &others[i], &preshared);
    }
    const struct state_keys keys = {.preshared = secrets};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        struct prefix allowed = {{AF_INET, {10, 9, 1, (uint8_t)i}}, 32}, moved = {{AF_INET, {10, 9, 2, (uint8_t)i}}, 32};
        struct plan_operation add[] = {row_of(&others[i], &allowed, "192.0.2.2:9"), {.kind = PLAN_ROUTE, .running = true, .prefix = {{AF_INET, {10, 9, 1, (uint8_t)i}}, 32}},
                                       {.kind = PLAN_ADDRESS, .running = true, .prefix = {{AF_INET, {10, 88, 0, (uint8_t)(i + 1)}}, 24}}};
        add[0].preshared = PLAN_PRESHARED_MAKE;
        CHECK(change("wga", add, 3, STATE_STAGE, &keys) == 0);
        struct plan_operation edit = row_of(&others[i], &moved, NULL);
        CHECK(change("wga", &edit, 1, STATE_STAGE, &keys) == 0);
        if (i > 0) {
            struct plan_operation removal[] = {{.kind = PLAN_ROW_MOVE, .running = true, .key = others[i], .other_key = others[i - 1]},
                                               {.kind = PLAN_ROW_REMOVE, .running = true, .key = others[i - 1]},
                                               {.kind = PLAN_ROUTE_REMOVE, .running = true, .prefix = {{AF_INET, {10, 9, 1, (uint8_t)(i - 1)}}, 32}},
                                               {.kind = PLAN_ADDRESS_REMOVE, .running = true, .prefix = {{AF_INET, {10, 88, 0, (uint8_t)i}}, 24}}};
            CHECK(change("wga", removal, 4, STATE_FINISH, &keys) == 0);
        }
    }
    up_secrets_free(secrets);
    return 0;
}

/* The last may have been under way still. */
static int none_was_lost(void)
{
    struct buf text = BUF_EMPTY;
    unsigned count = 0, highest = 0;
    if (file_read("/run/ping", 1 << 20, &text, &err))
        return -1;
    for (const char *at = buf_text(&text); (at = strstr(at, "icmp_seq=")); at++) {
        unsigned number = (unsigned)atoi(at + 9);
        highest = number > highest ? number : highest;
        count++;
    }
    if (count != highest || count < 50)
        fprintf(stderr, "%u of %u pings were answered\n", count, highest);
    buf_free(&text);
    return count == highest && count >= 50 ? 0 : -1;
}

static int try_sessions(const char *engine)
{
    struct state nothing, old, now;
    use_engine(engine);
    int result = make_world();
    if (result)
        return result;
    CHECK(state_read("wga", &nothing, &err) == 0 && !nothing.exists);
    CHECK(make_other(engine) == 0);
    CHECK(make_interface() == 0);
    CHECK(shell("ping -q -c 1 -i 0.2 -w 12 10.9.0.2 > /dev/null") == 0);
    int64_t handshake = handshake_of("wga", &public_b);
    CHECK(handshake > 0);
    CHECK(state_read("wga", &old, &err) == 0);
    CHECK(old.exists && old.up && old.mtu == 1420 && old.forwarding4 == 1 && old.device.listen_port == 51820);
    CHECK(shell("ping -n -i 0.002 10.9.0.2 > /run/ping & echo $! > /run/pid") == 0);
    usleep(200000);
    CHECK(churn() == 0);
    /* and all of it put back, rows, addresses and routes */
    state_endpoints_stay(&old, NULL, 0);
    CHECK(state_read("wga", &now, &err) == 0 && !state_equal(&now, &old));
    CHECK(state_reach(&now, &old, &err) == 0);
    state_free(&now);
    CHECK(state_read("wga", &now, &err) == 0 && state_equal(&now, &old));
    CHECK(shell("kill -INT $(cat /run/pid); sleep 0.3") == 0);
    CHECK(none_was_lost() == 0);
    CHECK(handshake_of("wga", &public_b) == handshake);
    /* a port that is taken is said before anything is touched */
    const struct plan_operation port = {.kind = PLAN_LISTEN_PORT, .running = true, .number = 51999};
    const struct sockaddr_in6 taken = {.sin6_family = AF_INET6, .sin6_port = htons(51999)};
    int owner = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(bind(owner, (const struct sockaddr *)&taken, sizeof taken) == 0);
    CHECK(change("wga", &port, 1, STATE_STAGE, NULL) == -1 && strstr(err.text, "51999"));
    close(owner);
    state_free(&now);
    CHECK(state_read("wga", &now, &err) == 0 && state_equal(&now, &old));
    /* and to nothing */
    CHECK(state_reach(&now, &nothing, &err) == 0);
    CHECK(if_nametoindex("wga") == 0 && access("/run/wireguard/wga.sock", F_OK) != 0);
    state_free(&now);
    CHECK(state_read("wga", &now, &err) == 0 && state_equal(&now, &nothing));
    CHECK(now.forwarding4 == nothing.forwarding4);
    state_free(&now);
    state_free(&old);
    state_free(&nothing);
    return 0;
}

/* A change that stops behind any of its steps, as if it was killed there; the state that was is put back from what runs then. */
static int try_broken_off(const char *engine)
{
    struct state nothing, old, now, to, staged;
    struct prefix allowed = prefix_of("10.9.7.0/24"), other = prefix_of("10.9.0.2/32");
    size_t at, different = 0;
    use_engine(engine);
    int result = make_world();
    if (result)
        return result;
    const struct state_keys keys = {.private_key = key_b};
    const struct plan_operation operations[] = {
        {.kind = PLAN_INTERFACE, .running = true, .engine = choice},
        {.kind = PLAN_PRIVATE_KEY, .running = true},
        {.kind = PLAN_LISTEN_PORT, .running = true, .number = 51833},
        {.kind = PLAN_MTU, .running = true, .number = 1300},
        {.kind = PLAN_ADDRESS, .running = true, .prefix = prefix_of("10.9.0.3/16")},
        {.kind = PLAN_ADDRESS, .running = true, .prefix = prefix_of("fd09::1/64")},
        {.kind = PLAN_FORWARDING, .running = true, .prefix.address.family = AF_INET6},
        row_of(&public_a, &other, "192.0.2.2:7"),
        row_of(&public_b, &allowed, "192.0.2.2:8"),
        {.kind = PLAN_ROUTE, .running = true, .prefix = prefix_of("10.77.0.0/16")},
        {.kind = PLAN_ADDRESS_REMOVE, .running = true, .prefix = prefix_of("10.9.0.1/24")},
        {.kind = PLAN_ROW_REMOVE, .running = true, .key = public_b},
    };
    CHECK(state_read("wga", &nothing, &err) == 0);
    for (size_t i = 0; i <= 2 * STATE_REACH_STEPS + 1; i++) {
        bool from_nothing = i % 2;
        if (!from_nothing)
            CHECK(make_interface() == 0);
        CHECK(state_read("wga", &old, &err) == 0);
        CHECK(state_after(&old, operations, COUNT_OF(operations), STATE_STAGE, &keys, &staged, &at, &err) == 0);
        CHECK(state_after(&staged, operations, COUNT_OF(operations), STATE_FINISH, &keys, &to, &at, &err) == 0);
        CHECK(state_reach_some(&old, &to, i / 2, &err) == 0);
        CHECK(state_read("wga", &now, &err) == 0);
        different += !state_equal(&now, &old) && !state_equal(&now, &to);
        CHECK(i / 2 < STATE_REACH_STEPS || state_equal(&now, &to));
        CHECK(state_reach(&now, &old, &err) == 0);
        state_free(&now);
        CHECK(state_read("wga", &now, &err) == 0);
        if (!state_equal(&now, &old)) {
            fprintf(stderr, "behind step %zu: not as it was\n", i / 2);
            return differ(&now, &old);
        }
        CHECK(state_reach(&now, &nothing, &err) == 0);
        state_free(&now);
        state_free(&old);
        state_free(&to);
        state_free(&staged);
    }
    CHECK(different > 10);
    state_free(&nothing);
    return 0;
}

static int reach_in_time(const char *name, const struct state *to)
{
    int result = -1;
    for (int i = 0; i < 100 && result; i++) {
        struct state now, then;
        if (i)
            usleep(50000);
        if (state_read(name, &now, &err) == -1)
            continue;
        result = state_reach(&now, to, &err);
        state_free(&now);
        if (result)
            continue;
        result = state_read(name, &then, &err) == 0 && state_equal(&then, to) ? 0 : -1;
        state_free(&then);
    }
    return result;
}

/* The same, killed by the clock: also inside a step, and while an engine is being started. */
static int try_killed(const char *engine)
{
    struct state nothing, to;
    struct prefix allowed = prefix_of("10.9.7.0/24");
    const struct state_keys keys = {.private_key = key_a};
    size_t at;
    use_engine(engine);
    int result = make_world();
    if (result)
        return result;
    const struct plan_operation operations[] = {{.kind = PLAN_INTERFACE, .running = true, .engine = choice},
                                                {.kind = PLAN_ADDRESS, .running = true, .prefix = prefix_of("10.9.0.3/16")},
                                                row_of(&public_b, &allowed, "192.0.2.2:8")};
    CHECK(state_read("wga", &nothing, &err) == 0);
    CHECK(state_after(&nothing, operations, COUNT_OF(operations), STATE_STAGE, &keys, &to, &at, &err) == 0);
    for (unsigned i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(state_reach(&nothing, &to, &err) ? 1 : 0);
        usleep(i * 1000);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        /* As a guard does: an engine that was being started may still come, and then it is tried again. */
        CHECK(reach_in_time("wga", i % 2 ? &nothing : &to) == 0);
        CHECK(reach_in_time("wga", &nothing) == 0);
    }
    state_free(&nothing);
    state_free(&to);
    return 0;
}

/* The engine holds nothing of whoever had it started: not its output, not its session. */
static int try_engine_apart(const char *engine)
{
    int ends[2];
    char byte;
    use_engine(engine);
    int result = make_world();
    if (result || pipe(ends))
        return result ? result : 1;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        _exit(make_interface());
    }
    close(ends[1]);
    CHECK(waitpid(child, &result, 0) == child && result == 0);
    alarm(10);
    CHECK(read(ends[0], &byte, 1) == 0); /* nobody holds the other end */
    kill(-child, SIGHUP);
    usleep(100000);
    CHECK(handshake_of("wga", &public_b) == 0);
    /* an engine that was killed: what was is made anew */
    struct state old, now;
    CHECK(state_read("wga", &old, &err) == 0);
    CHECK(shell("for p in /proc/[0-9]*; do [ \"$(tr '\\0' ' ' < $p/cmdline | grep -c 'wga *$')\" = 1 ] && [ \"$(readlink $p/ns/net)\" = \"$(readlink /proc/self/ns/net)\" ] &&"
                " kill -9 ${p#/proc/}; done; sleep 0.3; ! [ -e /sys/class/net/wga ]") == 0);
    CHECK(state_read("wga", &now, &err) == -2 && !now.exists);
    CHECK(state_reach(&now, &old, &err) == 0);
    state_free(&now);
    CHECK(state_read("wga", &now, &err) == 0 && state_equal(&now, &old));
    /* and one that is no WireGuard is not touched */
    CHECK(shell("ip link add wgx type dummy 2>/dev/null || ip tuntap add wgx mode tun") == 0);
    struct state none;
    CHECK(state_read("wgx", &none, &err) == -1 && strstr(err.text, "no WireGuard"));
    return 0;
}

/* --- each with each engine */


/* All that is started ends with the namespace of processes. */
static int run_in_namespaces(int (*run)(const char *engine), const char *engine)
{
    int status = 0;
    if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET))
        return 77;
    pid_t first = fork();
    if (first == 0)
        _exit(run(engine));
    return waitpid(first, &status, 0) == first && WIFEXITED(status) ? WEXITSTATUS(status) : 99;
}

static bool is_here(const char *engine)
{
    if (!strcmp(engine, "kernel"))
        return !shell("modprobe wireguard 2>/dev/null; [ -d /sys/module/wireguard ]");
    if (!strcmp(engine, OWN_ENGINE))
        return find_program();
    return !shell("command -v %s > /dev/null", engine);
}

static void try_with(int (*run)(const char *engine), const char *engine)
{
    int status = 0;
    if (geteuid() != 0 || !is_here(engine))
        skip();
    pid_t child = fork();
    if (child == 0)
        _exit(run_in_namespaces(run, engine));
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static void test_sessions_wireguard_go(void **state)
{
    (void)state;
    try_with(try_sessions, "wireguard-go");
}

static void test_sessions_own(void **state)
{
    (void)state;
    try_with(try_sessions, OWN_ENGINE);
}

static void test_killed_wireguard_go(void **state)
{
    (void)state;
    try_with(try_killed, "wireguard-go");
}

static void test_killed_own(void **state)
{
    (void)state;
    try_with(try_killed, OWN_ENGINE);
}

static void test_broken_off_wireguard_go(void **state)
{
    (void)state;
    try_with(try_broken_off, "wireguard-go");
}

static void test_broken_off_own(void **state)
{
    (void)state;
    try_with(try_broken_off, OWN_ENGINE);
}

static void test_sessions_kernel(void **state)
{
    (void)state;
    try_with(try_sessions, "kernel");
}

static void test_killed_kernel(void **state)
{
    (void)state;
    try_with(try_killed, "kernel");
}

static void test_broken_off_kernel(void **state)
{
    (void)state;
    try_with(try_broken_off, "kernel");
}

static void test_apart_wireguard_go(void **state)
{
    (void)state;
    try_with(try_engine_apart, "wireguard-go");
}

static void test_apart_own(void **state)
{
    (void)state;
    try_with(try_engine_apart, OWN_ENGINE);
}

/* Where wgdeck's engine keeps the time of its handshakes: not on this machine's own place. */
static char engine_folder[] = "/tmp/wgdeck-state-XXXXXX";

static int end(void **state)
{
    static const char *const files[] = {"wga.tai64n", "wgb.tai64n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char *path = mem_format("%s/%s", engine_folder, files[i]);
        unlink(path);
        free(path);
    }
    rmdir(engine_folder);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    if (!mkdtemp(engine_folder))
        return -1;
    setenv("STATE_DIRECTORY", engine_folder, 1);
    key_make_private(&key_a);
    key_make_private(&key_b);
    key_public(&key_a, &public_a);
    key_public(&key_b, &public_b);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_wireguard_go), cmocka_unit_test(test_sessions_own), cmocka_unit_test(test_killed_wireguard_go),
        cmocka_unit_test(test_killed_own),            cmocka_unit_test(test_broken_off_wireguard_go), cmocka_unit_test(test_broken_off_own), cmocka_unit_test(test_sessions_kernel),       cmocka_unit_test(test_killed_kernel),       cmocka_unit_test(test_broken_off_kernel), cmocka_unit_test(test_apart_wireguard_go), cmocka_unit_test(test_apart_own),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
