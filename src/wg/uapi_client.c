/* The client of userspace engines: sockets NAME.sock in /var/run/wireguard, read with a deadline. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "uapi.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

enum { ANSWER_LIMIT = 64 << 20, READ_SIZE = 16384, DEAD = UAPI_DEAD };

const struct uapi_place uapi_system_place = {"/var/run/wireguard", 3 * CLOCK_SECOND, 20 * CLOCK_SECOND};

/* "wg0" of "wg0.sock" if that is a socket; else NULL. */
static char *socket_name(int folder, const char *entry)
{
    static const char suffix[] = ".sock";
    size_t length = strlen(entry), cut = sizeof suffix - 1;
    struct stat status;
    if (length <= cut || strcmp(entry + length - cut, suffix) || fstatat(folder, entry, &status, 0) || !S_ISSOCK(status.st_mode))
        return NULL;
    char *name = mem_text_part(entry, length - cut);
    if (device_name_is_valid(name))
        return name;
    free(name);
    return NULL;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *first = a, *const *second = b;
    return strcmp(*first, *second);
}

int uapi_list(const struct uapi_place *place, char ***names, size_t *count, struct err *err)
{
    size_t capacity = 0;
    *names = NULL;
    *count = 0;
    DIR *folder = opendir(place->folder);
    if (!folder)
        return errno == ENOENT ? 0 : err_set(err, "%s: %s", place->folder, strerror(errno));
    for (struct dirent *entry; (entry = readdir(folder));) {
        char *name = socket_name(dirfd(folder), entry->d_name);
        if (!name)
            continue;
        MEM_GROW(*names, *count, capacity);
        (*names)[(*count)++] = name;
    }
    closedir(folder);
    if (*count > 1)
        qsort(*names, *count, sizeof **names, compare_names);
    return 0;
}

static int dead(const char *name, const char *path, const char *why, struct err *err)
{
    err_set(err, "%s: nothing answers at %s: %s (the engine is dead or stuck; restart it)", name, path, why);
    return DEAD;
}

/* Until DEADLINE. 0; DEAD when it has passed. */
static int wait_for(int descriptor, short events, int64_t deadline)
{
    for (;;) {
        int64_t left = deadline - clock_steady();
        if (left <= 0)
            return DEAD;
        struct pollfd entry = {.fd = descriptor, .events = events};
        int ready = poll(&entry, 1, (int)(left / CLOCK_MILLISECOND) + 1);
        if (ready > 0)
            return 0;
    }
}

/* A socket whose queue is full of unanswered calls says EAGAIN, and poll would not tell when that ends. */
static int connect_until(int descriptor, const struct sockaddr_un *address, int64_t deadline)
{
    while (connect(descriptor, (const struct sockaddr *)address, sizeof *address)) {
        if (errno != EAGAIN && errno != EINTR)
            return -1;
        if (clock_steady() > deadline) {
            errno = ETIMEDOUT;
            return -1;
        }
        poll(NULL, 0, 10);
    }
    return 0;
}

/* A descriptor, or -1 or DEAD. */
static int open_socket(const struct uapi_place *place, const char *name, struct sockaddr_un *address, struct err *err)
{
    int length = snprintf(address->sun_path, sizeof address->sun_path, "%s/%s.sock", place->folder, name);
    if (!device_name_is_valid(name) || length < 0 || (size_t)length >= sizeof address->sun_path)
        return err_set(err, "'%.32s' is not the name of an interface", name);
    address->sun_family = AF_UNIX;
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return err_set(err, "%s: %s", name, strerror(errno));
    if (connect_until(descriptor, address, clock_steady() + place->silence) == 0)
        return descriptor;
    int reason = errno;
    close(descriptor);
    if (reason == ECONNREFUSED || reason == ETIMEDOUT)
        return dead(name, address->sun_path, strerror(reason), err);
    const char *advice = reason == EACCES || reason == EPERM ? " (log in as root, or allow sudo)" : "";
    return err_set(err, "%s: %s: %s%s", name, address->sun_path, strerror(reason), advice);
}

static int receive(int descriptor, const struct uapi_place *place, struct uapi_parser *parser, const char *path, char *bytes)
{
    const char *name = parser->build.device.name;
    int64_t end = clock_steady() + place->patience;
    for (size_t total = 0; total < ANSWER_LIMIT;) {
        int64_t silent = clock_steady() + place->silence;
        if (wait_for(descriptor, POLLIN, silent < end ? silent : end))
            return dead(name, path, total ? "it stopped in the middle of its answer" : "no answer in time", parser->err);
        ssize_t got = recv(descriptor, bytes, READ_SIZE, 0);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0 || (got == 0 && !total))
            return dead(name, path, got < 0 ? strerror(errno) : "it hangs up without an answer", parser->err);
        if (got == 0)
            return 0;
        total += (size_t)got;
        int result = uapi_parser_feed(parser, bytes, (size_t)got);
        if (result)
            return result;
    }
    return err_set(parser->err, "%s: the engine's answer is larger than %d MiB", name, ANSWER_LIMIT >> 20);
}

/* --- one request and its answer as text */

/* Room for READ_SIZE more; the old place is wiped when the text has to move. */
static void make_room(struct buf *answer)
{
    if (answer->capacity - answer->length > READ_SIZE)
        return;
    struct buf larger = BUF_EMPTY;
    buf_reserve(&larger, answer->length * 2 + 4 * READ_SIZE);
    buf_add(&larger, answer->data, answer->length);
    buf_wipe(answer);
    *answer = larger;
}

static int send_all(int descriptor, const char *bytes, size_t length, const struct uapi_place *place)
{
    for (int64_t end = clock_steady() + place->patience; length;) {
        ssize_t sent = send(descriptor, bytes, length, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            length -= (size_t)sent;
        } else if (errno != EINTR && (errno != EAGAIN || wait_for(descriptor, POLLOUT, end))) {
            return -1;
        }
    }
    return 0;
}

static bool is_whole(const struct buf *answer)
{
    return answer->length > 1 && !memcmp(answer->data + answer->length - 2, "\n\n", 2);
}

static int receive_text(int descriptor, const struct uapi_place *place, const char *name, const char *path, struct buf *answer, struct err *err)
{
    int64_t end = clock_steady() + place->patience;
    while (!is_whole(answer)) {
        if (answer->length > ANSWER_LIMIT)
            return err_set(err, "%s: the engine's answer is larger than %d MiB", name, ANSWER_LIMIT >> 20);
        int64_t silent = clock_steady() + place->silence;
        if (wait_for(descriptor, POLLIN, silent < end ? silent : end))
            return dead(name, path, answer->length ? "it stopped in the middle of its answer" : "no answer in time", err);
        make_room(answer);
        ssize_t got = recv(descriptor, answer->data + answer->length, READ_SIZE, 0);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got <= 0) {
            const char *why = got < 0 ? strerror(errno) : "it hangs up without a whole answer";
            bool wordless = !answer->length;
            dead(name, path, why, err);
            return wordless ? UAPI_HUNG_UP : DEAD;
        }
        answer->length += (size_t)got;
        answer->data[answer->length] = '\0';
    }
    return 0;
}

int uapi_ask(const struct uapi_place *place, const char *name, const void *request, size_t length, struct buf *answer, struct err *err)
{
    struct sockaddr_un address = {0};
    buf_clear(answer);
    int descriptor = open_socket(place, name, &address, err), result;
    if (descriptor < 0)
        return descriptor;
    if (send_all(descriptor, request, length, place))
        result = dead(name, address.sun_path, strerror(errno), err);
    else
        result = receive_text(descriptor, place, name, address.sun_path, answer, err);
    close(descriptor);
    return result;
}

int device_uapi_ask(const char *name, const void *request, size_t length, struct buf *answer, struct err *err)
{
    return uapi_ask(&uapi_system_place, name, request, length, answer, err) ? -1 : 0;
}

/* --- whose engine is it? */

/* Only an engine of wgdeck answers "counters=1". Others write a line to their log when they are asked, so each socket is asked once: what was
 * found is kept, and stands as long as the socket is the same file. */
struct known_socket {
    dev_t device;
    ino_t inode;
    struct timespec born;
    bool ours;
};

static struct known_socket known_sockets[64];
static size_t known_next;
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_known(const struct known_socket *wanted, bool *ours)
{
    bool found = false;
    pthread_mutex_lock(&known_lock);
    for (size_t i = 0; i < COUNT_OF(known_sockets) && !found; i++) {
        const struct known_socket *known = &known_sockets[i];
        found = known->inode == wanted->inode && known->device == wanted->device && known->born.tv_sec == wanted->born.tv_sec &&
                known->born.tv_nsec == wanted->born.tv_nsec;
        *ours = known->ours;
    }
    pthread_mutex_unlock(&known_lock);
    return found;
}

static void remember(const struct known_socket *socket)
{
    pthread_mutex_lock(&known_lock);
    known_sockets[known_next++ % COUNT_OF(known_sockets)] = *socket;
    pthread_mutex_unlock(&known_lock);
}

static bool is_wgdecks(const struct uapi_place *place, const char *name)
{
    struct engine_report report;
    struct stat status;
    char path[128];
    int length = snprintf(path, sizeof path, "%s/%s.sock", place->folder, name);
    if (length < 0 || (size_t)length >= sizeof path || stat(path, &status))
        return false;
    struct known_socket socket = {.device = status.st_dev, .inode = status.st_ino, .born = status.st_mtim};
    if (is_known(&socket, &socket.ours))
        return socket.ours;
    int result = engine_report_ask(place, name, &report, NULL);
    socket.ours = !result;
    engine_report_free(&report);
    if (result != -1)
        remember(&socket);
    return socket.ours;
}

/* --- the source of devices */

static int read_any(const struct uapi_place *place, const char *name, const char *salt, const struct device_secrets *secrets, struct device *device,
                    struct err *err)
{
    static const char request[] = "get=1\n\n";
    struct sockaddr_un address = {0};
    int descriptor = open_socket(place, name, &address, err);
    if (descriptor < 0)
        return descriptor;
    struct uapi_parser parser;
    char bytes[READ_SIZE]; /* secrets pass through it */
    uapi_parser_start(&parser, name, salt, err);
    parser.secrets = secrets;
    int result;
    if (send(descriptor, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)sizeof request - 1)
        result = dead(name, address.sun_path, strerror(errno), err);
    else
        result = receive(descriptor, place, &parser, address.sun_path, bytes);
    sodium_memzero(bytes, sizeof bytes);
    close(descriptor);
    int parsed = uapi_parser_end(&parser, result, device);
    if (result != DEAD && !parsed && is_wgdecks(place, name))
        device->engine = ENGINE_EMBEDDED;
    return result == DEAD ? DEAD : parsed;
}

int uapi_read(const struct uapi_place *place, const char *name, const char *salt, struct device *device, struct err *err)
{
    return read_any(place, name, salt, NULL, device, err);
}

static int list(char ***names, size_t *count, struct err *err)
{
    return uapi_list(&uapi_system_place, names, count, err);
}

static int read_device(const char *name, const char *salt, struct device *device, struct err *err)
{
    return uapi_read(&uapi_system_place, name, salt, device, err);
}

static int read_secrets(const char *name, const struct device_secrets *secrets, struct device *device, struct err *err)
{
    return read_any(&uapi_system_place, name, device_no_salt, secrets, device, err);
}

const struct device_source device_source_uapi = {"uapi", list, read_device, read_secrets};
