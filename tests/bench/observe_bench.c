/* What one reading of a userspace engine costs the helper: observe_bench [ROWS] prints the CPU of parsing its UAPI answer. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "wgdeck/buf.h"
#include "wgdeck/device.h"

enum { READINGS = 300 };

static double cpu_milliseconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
}

static void add_key(struct buf *text, const char *name, bool zero)
{
    unsigned char bytes[32] = {0};
    char hex[65];
    if (!zero)
        randombytes_buf(bytes, sizeof bytes);
    buf_add_format(text, "%s=%s\n", name, sodium_bin2hex(hex, sizeof hex, bytes, sizeof bytes));
}

/* As wireguard-go says it. */
static void add_row(struct buf *text, unsigned row, bool preshared)
{
    add_key(text, "public_key", false);
    add_key(text, "preshared_key", !preshared);
    buf_add_format(text, "protocol_version=1\nendpoint=203.0.113.%u:51820\nlast_handshake_time_sec=%u\nlast_handshake_time_nsec=%u\n", row % 254 + 1,
                   1763820000 + row, row * 1000);
    buf_add_format(text, "tx_bytes=%u\nrx_bytes=%u\npersistent_keepalive_interval=25\nallowed_ip=10.44.%u.%u/32\nallowed_ip=fd44::%x/128\n", row * 148,
                   row * 92, row / 250, row % 250 + 1, row + 1);
}

static int measure(unsigned rows, bool preshared)
{
    static const char salt[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct buf text = BUF_EMPTY;
    add_key(&text, "private_key", false);
    buf_add_text(&text, "listen_port=51820\n");
    for (unsigned row = 0; row < rows; row++)
        add_row(&text, row, preshared);
    buf_add_text(&text, "errno=0\n\n");
    double started = cpu_milliseconds();
    for (unsigned i = 0; i < READINGS; i++) {
        struct device device;
        struct err err;
        if (device_parse_uapi("wg0", text.data, text.length, salt, &device, &err)) {
            fprintf(stderr, "observe_bench: %s\n", err.text);
            return 1;
        }
        device_free(&device);
    }
    printf("%u rows%s: %.3f ms CPU a reading\n", rows, preshared ? " with preshared keys" : "", (cpu_milliseconds() - started) / READINGS);
    buf_free(&text);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned rows = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;
    return sodium_init() < 0 || rows == 0 || rows > 100000 || measure(rows, false) || measure(rows, true);
}
