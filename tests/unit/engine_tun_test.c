/* tun.h: the device, in a network namespace of the test's own. Skipped where that, or a TUN, is not allowed. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/tun.h"

static bool allowed;

static int begin(void **state)
{
    struct tun tun;
    struct err err;
    (void)state;
    allowed = unshare(CLONE_NEWNET) == 0 && tun_open(&tun, "probe0", -1, 1, true, true, &err) == 0;
    if (allowed)
        tun_close(&tun);
    return 0;
}

static void need(void)
{
    if (!allowed)
        skip();
}

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    if (system(command) != 0)
        fail_msg("%s", command);
}

static bool link_says(const char *name, const char *words)
{
    char command[256];
    snprintf(command, sizeof command, "ip -d link show %s | grep -q '%s'", name, words);
    return system(command) == 0;
}

static void test_opens(void **state)
{
    static const struct { unsigned queues; bool offload, uso; } cases[] = {{1, true, true}, {1, true, false}, {1, false, true}, {4, true, true}, {2, false, false}};
    (void)state;
    need();
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tun tun;
        struct err err;
        CASE_ASSERT(i, tun_open(&tun, "wgt0", -1, cases[i].queues, cases[i].offload, cases[i].uso, &err) == 0);
        CASE_ASSERT(i, tun.queues == cases[i].queues);
        CASE_ASSERT(i, atomic_load(&tun.vnet) == cases[i].offload && atomic_load(&tun.tso) == cases[i].offload);
        CASE_ASSERT(i, !atomic_load(&tun.uso) || (cases[i].offload && cases[i].uso));
        for (unsigned j = 0; j < TUN_QUEUES; j++)
            CASE_ASSERT(i, (tun.descriptors[j] >= 0) == (j < cases[i].queues));
        CASE_ASSERT(i, tun_mtu(&tun) == 1420);
        CASE_ASSERT(i, link_says("wgt0", "qlen 1000"));
        CASE_ASSERT(i, link_says("wgt0", "gso_max_segs 45 ") == cases[i].offload);
        CASE_ASSERT(i, link_says("wgt0", "multi_queue") == (cases[i].queues > 1));
        tun_close(&tun);
        CASE_ASSERT(i, system("ip link show wgt0 2>/dev/null >&2") != 0);
    }
}

static void test_fit(void **state)
{
    static const struct { int mtu; const char *segments; } cases[] = {{1280, "gso_max_segs 49 "}, {1500, "gso_max_segs 42 "}, {8920, "gso_max_segs 7 "},
                                                                      {576, "gso_max_segs 64 "}};
    struct tun tun;
    struct err err;
    (void)state;
    need();
    assert_int_equal(tun_open(&tun, "wgt0", -1, 1, true, true, &err), 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        run("ip link set wgt0 mtu %d", cases[i].mtu);
        CASE_ASSERT(i, tun_mtu(&tun) == cases[i].mtu);
        tun_fit(&tun, cases[i].mtu);
        CASE_ASSERT(i, link_says("wgt0", cases[i].segments));
    }
    tun_close(&tun);
}

static void test_refused(void **state)
{
    static const struct { const char *name; int error; const char *words; } cases[] = {
        {"", ENAMETOOLONG, "1 to 15 characters"}, {"sixteencharacter", ENAMETOOLONG, "1 to 15 characters"},
        {"wgt0", EBUSY, "used by another program"}, {"lo", EINVAL, "taken by another kind"}, {"a/b", EINVAL, "no valid name"},
    };
    struct tun tun, other;
    struct err err;
    (void)state;
    need();
    assert_int_equal(tun_open(&tun, "wgt0", -1, 1, true, true, &err), 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        errno = 0;
        CASE_ASSERT(i, tun_open(&other, cases[i].name, -1, 1, true, true, &err) == -1);
        CASE_ASSERT(i, errno == cases[i].error);
        CASE_ASSERT(i, strstr(err.text, cases[i].words));
    }
    tun_close(&tun);
}

static void test_no_permission(void **state)
{
    int status;
    (void)state;
    need();
    pid_t child = fork();
    if (child == 0) {
        struct tun tun;
        struct err err;
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _exit(2);
        _exit(tun_open(&tun, "wgt1", -1, 1, true, true, &err) == -1 && (errno == EPERM || errno == EACCES) && strstr(err.text, "CAP_NET_ADMIN") ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_state(void **state)
{
    struct tun tun;
    struct err err;
    int ready[2];
    char byte = 0;
    (void)state;
    need();
    assert_int_equal(tun_open(&tun, "wgt0", -1, 1, true, true, &err), 0);
    assert_int_equal(tun_state(&tun), TUN_DOWN);
    run("ip link set wgt0 up");
    assert_int_equal(tun_state(&tun), TUN_UP);
    run("ip link set wgt0 down");
    assert_int_equal(tun_state(&tun), TUN_DOWN);
    run("ip link set wgt0 name wgt9");
    run("ip link set wgt9 mtu 1300");
    assert_int_equal(tun_mtu(&tun), 1300);
    assert_string_equal(tun.name, "wgt9");
    /* In another namespace it still tells. */
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNET) != 0 || write(ready[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    run("ip link set wgt9 netns %d", (int)child);
    assert_int_equal(tun_state(&tun), TUN_DOWN);
    assert_int_equal(tun_mtu(&tun), 1300); /* the last known */
    run("nsenter -t %d -n ip link set wgt9 up", (int)child);
    assert_int_equal(tun_state(&tun), TUN_UP);
    run("nsenter -t %d -n ip link del wgt9", (int)child);
    assert_int_equal(tun_state(&tun), TUN_GONE);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    tun_close(&tun);
}

/* A device that somebody else made, with and without a header. */
static void test_takes_over(void **state)
{
    (void)state;
    need();
    for (int vnet = 0; vnet < 2; vnet++) {
        struct ifreq ifr = {.ifr_name = "theirs0", .ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0))};
        struct tun tun;
        struct err err;
        int descriptor = open("/dev/net/tun", O_RDWR);
        assert_int_equal(ioctl(descriptor, TUNSETIFF, &ifr), 0);
        assert_int_equal(tun_open(&tun, "ignored", descriptor, 1, true, true, &err), 0);
        assert_string_equal(tun.name, "theirs0");
        assert_int_equal(atomic_load(&tun.vnet), vnet);
        assert_int_equal(atomic_load(&tun.tso), vnet);
        assert_true(fcntl(descriptor, F_GETFL) & O_NONBLOCK);
        tun_close(&tun);
    }
    struct tun tun;
    struct err err;
    int descriptor = open("/dev/null", O_RDWR);
    assert_int_equal(tun_open(&tun, "", descriptor, 1, true, true, &err), -1);
    assert_non_null(strstr(err.text, "WG_TUN_FD"));
    close(descriptor);
}

/* A super-packet is taken; after tun_offload_off it is not, and a plain packet is. */
static void test_write(void **state)
{
    static uint8_t packet[20 + 20 + 2000] = {0x45, 0, 0x07, 0xf8, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 9, 8, 2, 10, 9, 8, 1, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10};
    struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .hdr_len = 40, .gso_size = 1000, .csum_start = 20,
                                    .csum_offset = 16};
    struct iovec parts[2] = {{&header, sizeof header}, {packet, sizeof packet}};
    struct tun tun;
    struct err err;
    (void)state;
    need();
    assert_int_equal(tun_open(&tun, "wgt0", -1, 1, true, true, &err), 0);
    assert_int_equal(tun_write(&tun, 0, parts, 2), -1); /* down */
    assert_int_equal(errno, EIO);
    run("ip link set wgt0 up");
    assert_int_equal(tun_write(&tun, 0, parts, 2), 0);
    assert_int_equal(tun_offload_off(&tun), 0);
    assert_false(atomic_load(&tun.tso) || atomic_load(&tun.uso));
    header = (struct virtio_net_hdr){0};
    parts[1].iov_len = 40;
    packet[2] = 0;
    packet[3] = 40;
    assert_int_equal(tun_write(&tun, 0, parts, 2), 0);
    tun_close(&tun);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens), cmocka_unit_test(test_fit), cmocka_unit_test(test_refused), cmocka_unit_test(test_no_permission),
        cmocka_unit_test(test_state), cmocka_unit_test(test_takes_over), cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
