/* The helper's side: readings of a folder that stands for the system, of namespaces of our own, and of an empty chroot; its JSON lines. */
#include "unit.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/observer.h"
#include "wgdeck/buf.h"
#include "wgdeck/file.h"
#include "wgdeck/json.h"
#include "wgdeck/node.h"

#define KEY_A "5E6lAzlLhGsjFH8QpHS6IxazULpiQ9n9LcZiy1fusjI="
#define KEY_B "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o="
#define SALT "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_SALT "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A folder that stands for the system */

static char root[] = "/tmp/wgdeck-node-test-XXXXXX";

static void put(const char *path, mode_t mode, const char *text)
{
    struct err err;
    char *whole = mem_format("%s%s", root, path), *slash = strrchr(whole, '/');
    *slash = '\0';
    assert_int_equal(file_make_folders(whole, 0700, &err), 0);
    *slash = '/';
    assert_int_equal(file_write(whole, mode, text, strlen(text), &err), 0);
    free(whole);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char *command = mem_format("rm -rf '%s'", root);
    int result = system(command);
    free(command);
    return result;
}

static void test_configs(void **state)
{
    (void)state;
    struct err err;
    struct observation seen = {0};
    put("/etc/wireguard/wg0.conf", 0640, "[Interface]\nPrivateKey = " KEY_B "\nListenPort = 5\n[Peer]\nPublicKey = " KEY_A "\nPresharedKey = " KEY_B
                                         "\nEndpoint = b.example:7\nAllowedIPs = 10.0.0.2/32\n");
    put("/etc/wireguard/broken.conf", 0600, "PrivateKey " KEY_B "\n");
    put("/etc/wireguard/wrong.conf", 0600, "[Interface]\nMTU = 5 " KEY_B "\n");
    put("/etc/wireguard/a name.conf", 0600, "[Interface]\n");
    put("/etc/wireguard/notes.txt", 0600, "x");
    put("/proc/sys/net/ipv4/ip_forward", 0644, "1\n");
    put("/sys/module/wireguard/version", 0644, "1\n");
    char *fifo = mem_format("%s/etc/wireguard/pipe.conf", root);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    free(fifo);

    struct node_observer *observer = node_observer_new(root, &err);
    assert_int_equal(node_observe(observer, SALT, &seen, &err), 0);
    assert_int_equal(seen.config_count, 4);
    const struct observed_config *config = observation_config(&seen, "wg0");
    assert_true(config && !config->error && config->mode == 0640 && config->folder_mode == 0700);
    assert_int_equal(config->owner_other, geteuid() != 0);
    assert_string_equal(config->path, "/etc/wireguard/wg0.conf");
    assert_string_equal(config->endpoint_hosts[0], "b.example:7");
    assert_true(config->device.has_private && config->device.peers[0].has_preshared);
    uint8_t hash = config->device.peers[0].preshared_hash[0];
    assert_non_null(observation_config(&seen, "broken")->error);
    assert_null(strstr(observation_config(&seen, "broken")->error, KEY_B)); /* a line that cannot be read may hold a key */
    assert_string_equal(observation_config(&seen, "wrong")->error,
                        "/etc/wireguard/wrong.conf:2: MTU = 5 (not shown) is not usable; write 68 to 65535");
    assert_string_equal(observation_config(&seen, "pipe")->error, "not a file");
    assert_true(seen.forwarding4 == 1 && seen.forwarding6 == -1 && seen.kernel_has_wireguard && seen.node_time > 0);
    assert_true(seen.hostname && seen.kernel && seen.version);

    /* Another salt and another content are noticed. */
    assert_int_equal(node_observe(observer, OTHER_SALT, &seen, &err), 0);
    assert_true(observation_config(&seen, "wg0")->device.peers[0].preshared_hash[0] != hash);
    put("/etc/wireguard/wg0.conf", 0600, "[Interface]\nListenPort = 6\n");
    assert_int_equal(node_observe(observer, SALT, &seen, &err), 0);
    config = observation_config(&seen, "wg0");
    assert_true(config->mode == 0600 && config->device.listen_port == 6 && !config->device.has_private);
    observation_clear(&seen);
    node_observer_free(observer);
}

/* The static program in a chroot that holds nothing but itself: everything that is not there is said, nothing is refused. */
static void test_chroot(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    char *empty = mem_format("%s/empty", root);
    assert_int_equal(mkdir(empty, 0700), 0);
    pid_t process = fork();
    if (process == 0) {
        struct err err;
        struct observation seen = {0};
        if (chroot(empty) != 0 || chdir("/") != 0)
            _exit(1);
        struct node_observer *observer = node_observer_new("", &err);
        if (!observer || node_observe(observer, SALT, &seen, &err) != 0)
            _exit(2);
        bool fits = seen.link_count > 0 && seen.forwarding4 == -1 && seen.config_count == 0 && seen.hostname && seen.skipped_count >= 2;
        observation_clear(&seen);
        node_observer_free(observer);
        _exit(fits ? 0 : 3);
    }
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    free(empty);
}

/* The lines */

struct helper {
    pid_t process;
    int to, from;
    struct buf input;
};

/* In namespaces of its own when NAMESPACE and we are root. */
static struct helper start_helper(bool namespace)
{
    int in[2], out[2];
    assert_true(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
    struct helper helper = {.process = fork(), .to = in[1], .from = out[0]};
    if (helper.process == 0) {
        close(in[1]);
        close(out[0]);
        if (namespace && (unshare(CLONE_NEWNET) != 0 || system("ip link set lo up") != 0))
            _exit(99);
        _exit(node_serve(in[0], out[1]));
    }
    close(in[0]);
    close(out[1]);
    return helper;
}

static void tell(struct helper *helper, const char *text)
{
    assert_int_equal(write(helper->to, text, strlen(text)), (ssize_t)strlen(text));
}

/* The next line as JSON; NULL at the end, or after SECONDS without one. */
static cJSON *hear(struct helper *helper, int seconds)
{
    char *end;
    while (!(end = helper->input.length ? memchr(helper->input.data, '\n', helper->input.length) : NULL)) {
        char bytes[65536];
        struct pollfd entry = {.fd = helper->from, .events = POLLIN};
        ssize_t length = poll(&entry, 1, seconds * 1000) == 1 ? read(helper->from, bytes, sizeof bytes) : 0;
        if (length <= 0)
            return NULL;
        buf_add(&helper->input, bytes, (size_t)length);
    }
    struct err err;
    size_t length = (size_t)(end - helper->input.data);
    cJSON *object = json_parse(helper->input.data, length, &err);
    assert_non_null(object);
    buf_drop(&helper->input, length + 1);
    return object;
}

static int finish(struct helper *helper)
{
    int status = 0;
    close(helper->to);
    for (cJSON *object; (object = hear(helper, 5));)
        cJSON_Delete(object);
    close(helper->from);
    buf_free(&helper->input);
    assert_int_equal(waitpid(helper->process, &status, 0), helper->process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const struct {
    const char *line, *error; /* NULL: ok */
    bool ends;
} requests[] = {
    {"{\"id\":7,\"op\":\"hello\"}\n", NULL, false},
    {"\n{\"id\":7,\"op\":\"observe\",\"salt\":\"" SALT "\"}\n", NULL, false},
    {"{\"id\":7,\"op\":\"observe\"}\n", "salt", false},
    {"{\"id\":7,\"op\":\"observe\",\"salt\":\"" SALT "x\"}\n", "salt", false},
    {"{\"id\":7,\"op\":\"observe\",\"salt\":\"" SALT "\",\"every\":0}\n", "every", false},
    {"{\"id\":7,\"op\":\"observe\",\"salt\":\"" SALT "\",\"every\":\"2\"}\n", "every", false},
    {"{\"id\":7,\"op\":\"stop\",\"stop\":9}\n", "watched", false},
    {"{\"id\":7,\"op\":\"reboot\"}\n", "does not know", false},
    {"{\"id\":7}\n", "does not know", false},
    {"[7]\n", "not a JSON object", true},
    {"hello\n", "JSON", true},
};

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        struct helper helper = start_helper(false);
        tell(&helper, requests[i].line);
        cJSON *answer = hear(&helper, 5);
        CASE_ASSERT(i, answer && json_get_bool(answer, "ok", false) == !requests[i].error);
        CASE_ASSERT(i, json_get_number(answer, "id", 0, 100, -1) == (requests[i].ends ? 0 : 7));
        CASE_ASSERT(i, !requests[i].error || strstr(json_get_text(answer, "error", ""), requests[i].error));
        cJSON_Delete(answer);
        CASE_ASSERT(i, finish(&helper) == (requests[i].ends ? 1 : 0));
    }
}

/* The input's end comes with the request: what was asked is still answered. */
static void test_end_of_input(void **state)
{
    (void)state;
    struct helper helper = start_helper(false);
    tell(&helper, "{\"id\":1,\"op\":\"observe\",\"salt\":\"" SALT "\"}\n{\"id\":2,\"op\":\"hello\"}\n");
    close(helper.to);
    helper.to = open("/dev/null", O_WRONLY);
    for (int id = 1; id <= 2; id++) {
        cJSON *answer = hear(&helper, 5);
        CASE_ASSERT(id, answer && json_get_number(answer, "id", 0, 9, 0) == id && json_get_bool(answer, "ok", false));
        cJSON_Delete(answer);
    }
    assert_null(hear(&helper, 5));
    assert_int_equal(finish(&helper), 0);
}

static void test_long_line(void **state)
{
    (void)state;
    struct helper helper = start_helper(false);
    char *piece = mem_alloc(1, (1 << 16) + 1);
    memset(piece, '"', 1 << 16);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 1024 && write(helper.to, piece, 1 << 16) > 0; i++)
        continue;
    cJSON *answer = hear(&helper, 5);
    assert_non_null(strstr(json_get_text(answer, "error", ""), "32 MiB"));
    cJSON_Delete(answer);
    free(piece);
    assert_int_equal(finish(&helper), 1);
}

static void test_signals(void **state)
{
    (void)state;
    static const int signals[] = {SIGTERM, SIGHUP};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        struct helper helper = start_helper(false);
        tell(&helper, "{\"id\":1,\"op\":\"hello\"}\n");
        cJSON_Delete(hear(&helper, 5));
        kill(helper.process, signals[i]);
        CASE_ASSERT(i, hear(&helper, 5) == NULL);
        CASE_ASSERT(i, finish(&helper) == 0);
    }
}

static void in_network_of(const struct helper *helper, const char *command)
{
    char *whole = mem_format("nsenter -t %d -n %s", (int)helper->process, command);
    assert_int_equal(system(whole), 0);
    free(whole);
}

static cJSON *hear_event(struct helper *helper, const char *event)
{
    for (cJSON *object; (object = hear(helper, 5));) {
        if (strcmp(json_get_text(object, "event", ""), event) == 0)
            return object;
        cJSON_Delete(object);
    }
    return NULL;
}

static bool has_network_namespaces(void)
{
    return geteuid() == 0 && system("unshare -n true 2>/dev/null && nsenter --version >/dev/null && ip -V >/dev/null") == 0;
}

/* A change in the network comes at once, long before the next reading is due, and alone. */
static void test_watch(void **state)
{
    (void)state;
    if (!has_network_namespaces())
        skip();
    struct helper helper = start_helper(true);
    tell(&helper, "{\"id\":3,\"op\":\"observe\",\"salt\":\"" SALT "\",\"every\":60}\n");
    cJSON *answer = hear(&helper, 5);
    assert_non_null(json_get_object(answer, "observation"));
    cJSON_Delete(answer);
    in_network_of(&helper, "ip tuntap add dev wgtest mode tun");
    answer = hear_event(&helper, "change");
    const cJSON *change = json_get_object(answer, "change");
    assert_non_null(json_get_list(change, "links"));
    assert_null(cJSON_GetObjectItemCaseSensitive(change, "hostname"));
    cJSON_Delete(answer);
    tell(&helper, "{\"id\":4,\"op\":\"observe\",\"salt\":\"" SALT "\",\"every\":0.2}\n"); /* takes the place of the first */
    answer = hear_event(&helper, "same");
    assert_int_equal(json_get_number(answer, "id", 0, 9, 0), 4);
    cJSON_Delete(answer);
    tell(&helper, "{\"id\":5,\"op\":\"stop\",\"stop\":4}\n");
    while ((answer = hear(&helper, 5)) && json_get_number(answer, "id", 0, 9, 0) != 5)
        cJSON_Delete(answer);
    assert_true(json_get_bool(answer, "ok", false));
    cJSON_Delete(answer);
    assert_null(hear(&helper, 1));
    assert_int_equal(finish(&helper), 0);
}

/* A deck that asks and asks and reads nothing: the helper stops taking questions, and holds a few answers, not all of them. */
static void test_unread(void **state)
{
    (void)state;
    struct helper helper = start_helper(false);
    static const char question[] = "{\"id\":1,\"op\":\"observe\",\"salt\":\"" SALT "\"}\n";
    const ssize_t length = sizeof question - 1;
    fcntl(helper.to, F_SETFL, O_NONBLOCK);
    size_t asked = 0;
    for (int refused_for = 0; asked < 100000 && refused_for < 500; refused_for++) {
        if (write(helper.to, question, (size_t)length) == length) {
            asked++;
            refused_for = 0;
        } else {
            usleep(1000);
        }
    }
    assert_true(asked > 100 && asked < 100000);
    fcntl(helper.to, F_SETFL, 0);
    size_t answered = 0;
    for (cJSON *answer; answered < asked && (answer = hear(&helper, 5)); answered++)
        cJSON_Delete(answer);
    assert_int_equal(answered, asked); /* none is lost, and it goes on when it is read */
    assert_int_equal(finish(&helper), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configs),   cmocka_unit_test(test_chroot),       cmocka_unit_test(test_requests),
        cmocka_unit_test(test_end_of_input), cmocka_unit_test(test_long_line), cmocka_unit_test(test_signals),
        cmocka_unit_test(test_watch),     cmocka_unit_test(test_unread),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
