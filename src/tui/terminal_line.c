/* Bytes on their way to the terminal: a queue before a descriptor of our own, which does not block. (The descriptor that the shell gave is shared with
 * it, and must stay as it is.) */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "terminal_private.h"
#include "wgdeck/clock.h"

enum { CHUNK_SHARED = 128 }; /* at once, where the descriptor blocks */

static struct {
    int descriptor;
    bool own, dead, cut;
    struct buf queue;
    size_t sent; /* of the queue */
} line = {.descriptor = -1};

bool line_open(struct err *err)
{
    char name[128];
    line.dead = line.cut = false;
    line.own = true;
    line.descriptor = ttyname_r(STDOUT_FILENO, name, sizeof name) ? -1 : open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (line.descriptor < 0) { /* another user's terminal, after su */
        line.own = false;
        line.descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    }
    if (line.descriptor < 0) {
        err_set(err, "cannot write to the terminal: %s", strerror(errno));
        return false;
    }
    return true;
}

void line_close(void)
{
    if (line.descriptor >= 0)
        close(line.descriptor);
    line.descriptor = -1;
    buf_free(&line.queue);
    line.sent = 0;
}

int line_descriptor(void)
{
    return line.descriptor;
}

bool line_is_dead(void)
{
    return line.dead;
}

void line_add(const char *bytes, size_t length)
{
    if (!line.dead)
        buf_add(&line.queue, bytes, length);
}

void line_drop(void)
{
    line.cut |= line.queue.length > line.sent;
    buf_clear(&line.queue);
    line.sent = 0;
}

static bool is_writable(int wait)
{
    struct pollfd poller = {.fd = line.descriptor, .events = POLLOUT};
    return poll(&poller, 1, wait) == 1 && poller.revents & (POLLOUT | POLLERR | POLLHUP);
}

static ssize_t write_some(const char *bytes, size_t length)
{
    if (!line.own && length > CHUNK_SHARED)
        length = CHUNK_SHARED;
    if (!line.own && !is_writable(0)) {
        errno = EAGAIN;
        return -1;
    }
    return write(line.descriptor, bytes, length);
}

bool line_flush(void)
{
    while (line.sent < line.queue.length) {
        ssize_t written = write_some(line.queue.data + line.sent, line.queue.length - line.sent);
        if (written > 0) {
            line.sent += (size_t)written;
        } else if (written == 0 || errno == EAGAIN) {
            return false;
        } else if (errno != EINTR) {
            line.dead = true;
            line.sent = line.queue.length;
        }
    }
    buf_clear(&line.queue);
    line.sent = 0;
    return true;
}

static bool write_waiting(const char *bytes, size_t length, int64_t deadline)
{
    while (length) {
        ssize_t written = write_some(bytes, length);
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
            continue;
        }
        int64_t left = deadline - clock_steady();
        if ((written < 0 && errno != EAGAIN && errno != EINTR) || left <= 0)
            return false;
        is_writable((int)(left / CLOCK_MILLISECOND) + 1);
    }
    return true;
}

void line_last(const char *bytes, size_t length)
{
    static const char cancel[] = "\030"; /* CAN: what was begun of a sequence is void */
    int64_t deadline = clock_steady() + CLOCK_SECOND;
    if (line.descriptor < 0 || line.dead)
        return;
    if (line.cut || line.queue.length > line.sent)
        write_waiting(cancel, 1, deadline);
    line.cut = false;
    if (!write_waiting(bytes, length, deadline))
        line.dead = errno == EIO;
}
