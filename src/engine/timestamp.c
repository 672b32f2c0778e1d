/* Timestamps of initiations (TAI64N, section 5.1) that never go back, not even over a restart with a clock set back (a board without a battery, a restored
 * guest): a peer takes only what is newer than the last, so a node whose clock went back would be locked out until it caught up.
 *
 * The last one is kept in a small file, which is opened at the start, before the process is shut in. It is written ahead by a minute, at most once in half a
 * minute, without waiting for the disk: after a loss of power it is still not less than what was sent. At a clean end the exact one is written. While the
 * clock is behind, time goes on from the last one as the steady clock does.
 *
 * A clock set far ahead does not burn the key for ever: the node remembers how far it went and goes on from there, wherever its clock stands later. A jump of
 * more than ten years beyond the last one is not believed at all, so that one wrong answer of a time server is not stamped into every peer. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "protocol.h"
#include "wgdeck/file.h"
#include "wgdeck/log.h"
#include "wgdeck/text.h"

#define STEP (INT64_C(1) << 24)      /* what two timestamps must differ by: they are whitened to it */
#define AHEAD (60 * CLOCK_SECOND)    /* how far the file is ahead */
#define NEAR (30 * CLOCK_SECOND)     /* when it is written again */
#define TOO_FAR (10 * 366 * 86400 * CLOCK_SECOND)
#define LATEST (INT64_MAX - TOO_FAR) /* the year 2252 */
#define LINE 20                      /* 19 digits: ns since 1970; and the end of the line */

/* The folder that systemd gave (the first of them), or the usual one. Empty: it does not fit. */
static void state_path(const char *name, char *path, size_t size)
{
    const char *folder = getenv("STATE_DIRECTORY");
    if (!folder || folder[0] != '/')
        folder = "/var/lib/wgdeck";
    int length = snprintf(path, size, "%.*s/%s.tai64n", (int)strcspn(folder, ":"), folder, name);
    if (length < 0 || (size_t)length >= size || strchr(name, '/'))
        path[0] = '\0';
}

/* 0 when it says nothing useful. */
static int64_t read_floor(int descriptor)
{
    char line[LINE + 1] = "";
    unsigned long long number;
    if (pread(descriptor, line, LINE, 0) != LINE || line[LINE - 1] != '\n')
        return 0;
    line[LINE - 1] = '\0';
    return text_to_number(line, LATEST, &number) ? 0 : (int64_t)number;
}

static void write_floor(struct timestamp *timestamp, int64_t floor)
{
    char line[32];
    timestamp->written = floor;
    if (timestamp->descriptor < 0)
        return;
    snprintf(line, sizeof line, "%019" PRId64 "\n", floor);
    if (pwrite(timestamp->descriptor, line, LINE, 0) == LINE)
        return;
    log_error("the time of the last handshake cannot be kept: %s; a clock that is set back before the next start may lock this node out", strerror(errno));
    close(timestamp->descriptor);
    timestamp->descriptor = -1;
}

void timestamp_open(struct timestamp *timestamp, const char *name, int64_t steady)
{
    char path[512];
    *timestamp = (struct timestamp){.descriptor = -1};
    state_path(name, path, sizeof path);
    if (!path[0])
        return;
    char *slash = strrchr(path, '/');
    *slash = '\0';
    file_make_folders(path, 0755, NULL);
    *slash = '/';
    timestamp->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (timestamp->descriptor < 0) {
        log_notice("%s: %s; the engine goes on, but a clock that is set back before its next start may lock this node out", path, strerror(errno));
        return;
    }
    timestamp->last = timestamp->written = read_floor(timestamp->descriptor);
    timestamp->when = steady;
}

void timestamp_close(struct timestamp *timestamp)
{
    if (timestamp->given)
        write_floor(timestamp, timestamp->last + STEP);
    if (timestamp->descriptor >= 0)
        close(timestamp->descriptor);
    timestamp->descriptor = -1;
}

int64_t timestamp_at(struct timestamp *timestamp, int64_t wall, int64_t steady)
{
    int64_t least = timestamp->last ? timestamp->last + (steady - timestamp->when) : 0;
    if (wall > LATEST || (least && wall > least + TOO_FAR)) {
        if (!timestamp->told)
            log_error("the clock stands more than ten years after the last handshake: it is not believed (set the clock)");
        timestamp->told = true;
        wall = least;
    }
    timestamp->last = wall > least ? wall : least;
    timestamp->when = steady;
    timestamp->given = true;
    if (timestamp->last + NEAR > timestamp->written)
        write_floor(timestamp, timestamp->last + AHEAD);
    return timestamp->last;
}

void protocol_timestamp(struct engine *engine, int64_t now, uint8_t out[static TAI64N_SIZE])
{
    noise_tai64n(timestamp_at(&engine->protocol->timestamp, clock_wall(), now), out);
}
