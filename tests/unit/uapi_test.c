/* The UAPI source: its parser on good and bad answers, its client against sockets that behave badly, and against wireguard-go. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device_compare.h"
#include "wg/uapi.h"
#include "wgdeck/buf.h"
#include "wgdeck/clock.h"

#define HEX_A "b8f71d57800bfbb80b587c7e376bfd2ae550e33c84ac87a8178b33bd1684d34a"
#define HEX_B "d9cddeb84dc5d864bc14796984dcc773ce209975f501e1e8476d23d2c0c5fbac"
#define HEX_0 "0000000000000000000000000000000000000000000000000000000000000000"
#define TEXT_A "uPcdV4AL+7gLWHx+N2v9KuVQ4zyErIeoF4szvRaE00o="
#define PUBLIC_A "5E6lAzlLhGsjFH8QpHS6IxazULpiQ9n9LcZiy1fusjI="

static const char salt[] = "0000000000000000000000000000000000000000000000000000000000000001";
static const uint8_t hash_a[KEY_HASH_SIZE] = {0x39, 0x9d, 0x04, 0x30, 0x23, 0xbb, 0x2c, 0x05, 0xb4, 0xa6, 0xe1, 0x26, 0x6a, 0xb1, 0x08, 0xb5};

static const char answer[] = "private_key=" HEX_A "\nlisten_port=51820\nfwmark=4919\nawg_jc=4\n"
                             "public_key=" HEX_B "\npreshared_key=" HEX_A "\nprotocol_version=1\nendpoint=192.0.2.1:51820\n"
                             "last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=5\ntx_bytes=7\nrx_bytes=18446744073709551615\n"
                             "persistent_keepalive_interval=25\nallowed_ip=10.1.0.7/16\nallowed_ip=10.0.0.2/32\nallowed_ip=fd00::5/128\n"
                             "public_key=" HEX_A "\npreshared_key=" HEX_0 "\nendpoint=[fe80::1%eth0]:5\nlast_handshake_time_nsec=0\n"
                             "last_handshake_time_sec=0\nerrno=0\n\n";

static void assert_answer(const struct device *device)
{
    struct key key;
    char text[KEY_TEXT_SIZE], endpoint[ENDPOINT_TEXT_SIZE];
    assert_string_equal(device->name, "wg0");
    assert_int_equal(device->engine, ENGINE_USERSPACE);
    key_text(&device->public_key, text);
    assert_string_equal(text, PUBLIC_A);
    assert_true(device->has_private && device->listen_port == 51820 && device->fwmark == 4919 && device->peer_count == 2);
    key_parse_hex(HEX_B, &key);
    const struct device_peer *peer = device_find_peer(device, &key);
    assert_non_null(peer);
    assert_true(peer->has_preshared && peer->keepalive == 25 && peer->tx_bytes == 7 && peer->rx_bytes == UINT64_MAX);
    assert_memory_equal(peer->preshared_hash, hash_a, sizeof hash_a);
    assert_true(peer->handshake == 1700000000 * CLOCK_SECOND + 5);
    assert_int_equal(peer->allowed_count, 3);
    prefix_text(&peer->allowed[1], endpoint);
    assert_string_equal(endpoint, "10.1.0.0/16");
    key_parse_hex(HEX_A, &key);
    peer = device_find_peer(device, &key);
    assert_non_null(peer);
    assert_true(!peer->has_preshared && peer->handshake == 0 && peer->allowed_count == 0);
    endpoint_text(&peer->endpoint, endpoint);
    assert_string_equal(endpoint, "[fe80::1]:5");
}

static void test_answer_in_any_pieces(void **state)
{
    (void)state;
    for (size_t piece = 1; piece <= sizeof answer - 1; piece = piece < 130 ? piece + 1 : piece * 2) {
        struct uapi_parser parser;
        struct device device;
        struct err err;
        int result = 0;
        uapi_parser_start(&parser, "wg0", salt, &err);
        for (size_t at = 0; at < sizeof answer - 1 && result == 0; at += piece) {
            size_t left = sizeof answer - 1 - at;
            result = uapi_parser_feed(&parser, answer + at, piece < left ? piece : left);
        }
        CASE_ASSERT(piece, result == 1);
        CASE_ASSERT(piece, uapi_parser_end(&parser, result, &device) == 0);
        assert_answer(&device);
        for (size_t i = 0; i < sizeof parser.line; i++)
            CASE_ASSERT(piece, parser.line[i] == 0);
        device_free(&device);
    }
}

#define PEER "public_key=" HEX_B "\n"
#define TAIL "errno=0\n\n"

static void test_refused(void **state)
{
    static const struct { const char *text, *error; } cases[] = {
        {"", "wg0: the engine's answer is garbled: line 0: it is incomplete"},
        {"errno=0\n", "line 1: it is incomplete"},
        {"\n", "line 1: the answer ends without errno"},
        {"errno=0\n\nx", "line 2: more behind the empty line"},
        {"errno=0\nlisten_port=1\n\n", "line 2: more behind errno"},
        {"errno=-98\n\n", "wg0: the engine refuses to be read: Address already in use"},
        {"errno=x\n\n", "line 1: errno = x"},
        {"garbage\n" TAIL, "line 1: no '='"},
        {"private_key=" HEX_A "0\n" TAIL, "line 1: private_key = (not shown"},
        {"listen_port=65536\n" TAIL, "line 1: listen_port = 65536"},
        {"fwmark=4294967296\n" TAIL, "line 1: fwmark"},
        {"public_key=x\n" TAIL, "line 1: public_key = x"},
        {"endpoint=192.0.2.1:1\n" TAIL, "line 1: endpoint before any public_key"},
        {PEER "listen_port=1\n" TAIL, "line 2: listen_port behind a peer"},
        {PEER "preshared_key=" HEX_A HEX_A "\n" TAIL, "line 2: preshared_key = (not shown"},
        {PEER "protocol_version=2\n" TAIL, "line 2: protocol_version = 2"},
        {PEER "endpoint=a.example:1\n" TAIL, "line 2: endpoint"},
        {PEER "last_handshake_time_sec=-5\n" TAIL, "line 2: last_handshake_time_sec"},
        {PEER "last_handshake_time_sec=9223372036\n" TAIL, "line 2: last_handshake_time_sec"},
        {PEER "last_handshake_time_nsec=1000000000\n" TAIL, "line 2: last_handshake_time_nsec"},
        {PEER "rx_bytes=18446744073709551616\n" TAIL, "line 2: rx_bytes"},
        {PEER "persistent_keepalive_interval=65536\n" TAIL, "line 2: persistent_keepalive_interval"},
        {PEER "allowed_ip=10.0.0.0\x1b/8\n" TAIL, "line 2: allowed_ip = 10.0.0.0\\x1b/8"},
        {PEER PEER TAIL, "is there twice"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct device device;
        struct err err = {{0}};
        CASE_ASSERT(i, device_parse_uapi("wg0", cases[i].text, strlen(cases[i].text), salt, &device, &err) == -1);
        if (!strstr(err.text, cases[i].error))
            fail_msg("case %zu: %s", i, err.text);
        CASE_ASSERT(i, !strstr(err.text, HEX_A));
    }
    struct device device;
    struct err err;
    assert_int_equal(device_parse_uapi("wg0", "fwmark=\0" "1\n" TAIL, 18, salt, &device, &err), -1);
}

/* What has no meaning may be long; what has one may not. */
static void test_long_lines(void **state)
{
    struct buf buf = BUF_EMPTY;
    struct device device;
    struct err err;
    (void)state;
    for (int known = 0; known < 2; known++) {
        buf_clear(&buf);
        buf_add_text(&buf, known ? "listen_port=" : "fancy=");
        for (int i = 0; i < 5000; i++)
            buf_add_char(&buf, '1');
        buf_add_text(&buf, "\n" TAIL);
        assert_int_equal(device_parse_uapi("wg0", buf.data, buf.length, salt, &device, &err), -known);
        if (!known)
            device_free(&device);
    }
    assert_non_null(strstr(err.text, "listen_port has an over-long value"));
    buf_free(&buf);
}

/* A server for the client: what it does with one connection. */
enum manner { REFUSE, SILENT, HANG_UP, HALF, SLOW, WHOLE, ENDLESS };

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/wgdeck-uapi-test-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void serve(int client, enum manner manner)
{
    static char junk[1 << 20];
    char request[16];
    ssize_t got = read(client, request, 7);
    size_t length = sizeof answer - 1;
    if (got != 7 || memcmp(request, "get=1\n\n", 7) || manner == HANG_UP)
        return;
    for (size_t at = 0; at < length && manner == SLOW; at++)
        if (write(client, answer + at, 1) != 1)
            return;
    if (manner == WHOLE && write(client, answer, length) < 0)
        return;
    if (manner == HALF && write(client, answer, length / 2) < 0)
        return;
    memset(junk, 'x', sizeof junk);
    while (manner == ENDLESS && send(client, junk, sizeof junk, MSG_NOSIGNAL) > 0)
        ;
    pause();
}

static pid_t start_server(enum manner manner)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/wg0.sock", folder);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    if (manner != REFUSE)
        assert_int_equal(listen(listener, 1), 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        if (manner == SILENT || manner == REFUSE)
            pause();
        int client = accept(listener, NULL, NULL);
        serve(client, manner);
        _exit(0);
    }
    close(listener);
    return child;
}

static void test_client(void **state)
{
    static const struct { enum manner manner; int result; const char *error; } cases[] = {
        {REFUSE, -2, "Connection refused (the engine is dead or stuck; restart it)"},
        {SILENT, -2, "no answer in time"},
        {HANG_UP, -2, "without an answer"},
        {HALF, -2, "stopped in the middle"},
        {SLOW, 0, NULL},
        {WHOLE, 0, NULL},
        {ENDLESS, -1, "larger than 64 MiB"},
    };
    const struct uapi_place place = {folder, CLOCK_SECOND / 2, 20 * CLOCK_SECOND};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct device device;
        struct err err = {{0}};
        char **names = NULL;
        size_t count;
        make_folder(NULL);
        pid_t child = start_server(cases[i].manner);
        assert_int_equal(uapi_list(&place, &names, &count, &err), 0);
        CASE_ASSERT(i, count == 1 && !strcmp(names[0], "wg0"));
        free(names[0]);
        free(names);
        int64_t start = clock_steady();
        int result = uapi_read(&place, "wg0", salt, &device, &err);
        int64_t took = clock_steady() - start;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        remove_folder(NULL);
        if (result != cases[i].result || (cases[i].error && !strstr(err.text, cases[i].error)))
            fail_msg("case %zu: %d, %s", i, result, err.text);
        CASE_ASSERT(i, took < 15 * CLOCK_SECOND);
        if (result == 0) {
            assert_answer(&device);
            device_free(&device);
        }
    }
}

static void test_no_client(void **state)
{
    const struct uapi_place place = {folder, CLOCK_SECOND, CLOCK_SECOND}, nowhere = {"/nonexistent/wireguard", CLOCK_SECOND, CLOCK_SECOND};
    struct device device;
    struct err err;
    char path[128], **names;
    size_t count = 9;
    (void)state;
    assert_int_equal(uapi_read(&place, "wg0", salt, &device, &err), -1);
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(uapi_read(&place, "../x", salt, &device, &err), -1);
    assert_int_equal(uapi_list(&nowhere, &names, &count, &err), 0);
    assert_int_equal(count, 0);
    snprintf(path, sizeof path, "%s/wg0.sock", folder); /* a file of that name is no socket */
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(uapi_list(&place, &names, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(uapi_read(&place, "wg0", salt, &device, &err), -2);
}

/* Everything below is in namespaces of its own: /run is empty, and no interface is there. */

static pid_t start_wireguard_go(void)
{
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, 1);
        dup2(nowhere, 2);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("wireguard-go", "wireguard-go", "-f", "wg0", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500 && access("/var/run/wireguard/wg0.sock", F_OK); i++)
        usleep(10000);
    return child;
}

static const char set_up[] = "umask 077; echo " TEXT_A " > /run/key; wg set wg0 private-key /run/key listen-port 51820 fwmark 0x1337 peer " PUBLIC_A
                             " allowed-ips 1.2.3.4/32; wg set wg0 peer xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg= preshared-key /run/key"
                             " endpoint 192.0.2.1:51820 persistent-keepalive 25 allowed-ips 10.1.0.0/16,10.0.0.2/32,fd00::5/128";
static int live(void)
{
    struct device device;
    struct err err;
    char **names;
    size_t count;
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("tmpfs", "/run", "tmpfs", 0, NULL) ||
        access("/dev/net/tun", R_OK | W_OK) || system("command -v wireguard-go wg awk > /dev/null"))
        return 77;
    pid_t engine = start_wireguard_go();
    int result = system(set_up) ? 1 : 0;
    if (!result && (device_source_uapi.list(&names, &count, &err) || count != 1 || strcmp(names[0], "wg0")))
        result = 2;
    if (!result && (device_source_uapi.read("wg0", salt, &device, &err) || device.peer_count != 1))
        result = 3; /* a peer with the device's own key is not taken */
    if (!result)
        result = device_differs_from_wg(&device, "399d043023bb2c05b4a6e1266ab108b5");
    kill(engine, SIGSTOP);
    waitpid(engine, NULL, WUNTRACED); /* until all of its threads stand */
    if (!result && device_source_uapi.read("wg0", salt, &device, &err) != -2)
        result = 4;
    kill(engine, SIGKILL);
    waitpid(engine, NULL, 0);
    if (!result && (device_source_uapi.read("wg0", salt, &device, &err) != -2 || !strstr(err.text, "refused")))
        result = 5;
    return result;
}

static void test_wireguard_go(void **state)
{
    int status = 0;
    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(live());
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("needs root, namespaces, /dev/net/tun, wireguard-go and wg\n");
        skip();
    }
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer_in_any_pieces),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_client),
        cmocka_unit_test_setup_teardown(test_no_client, make_folder, remove_folder),
        cmocka_unit_test(test_wireguard_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
