/* The control socket's file: made so that nobody ever meets one that does not listen, and taken over only from an engine that is dead. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "uapi.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"

enum { LOCK_TRIES = 100, LOCK_PAUSE = 50000, QUEUE = 64 };

static int fail(const char *path, const char *advice, struct err *err)
{
    int error = errno;
    err_set(err, "%s: %s%s", path, strerror(error), advice);
    errno = error;
    return -1;
}

/* Engines of one folder begin one after the other. 0, or -1. */
static int lock_folder(struct uapi_place *place, const char *folder, struct err *err)
{
    if (file_make_folders(folder, 0755, err))
        return -1;
    place->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->folder < 0)
        return fail(folder, " (an engine must be started as root)", err);
    for (int tries = 0; flock(place->folder, LOCK_EX | LOCK_NB); tries++) {
        if (errno != EWOULDBLOCK || tries == LOCK_TRIES)
            return fail(folder, ": another engine is being started and does not come to an end", err);
        usleep(LOCK_PAUSE);
    }
    return 0;
}

static void unlock_folder(struct uapi_place *place)
{
    if (place->folder >= 0)
        close(place->folder);
    place->folder = -1;
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

/* Whether somebody listens there; a full queue is somebody too. */
static bool is_alive(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return true; /* not known: what may answer is not taken away */
    bool alive = connect(descriptor, (const struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
    close(descriptor);
    return alive;
}

int uapi_place_lock(struct uapi_place *place, const char *folder, const char *name, struct err *err)
{
    *place = (struct uapi_place){.folder = -1, .listening = -1};
    int length = snprintf(place->path, sizeof place->path, "%s/%s.sock", folder, name);
    if (length < 0 || (size_t)length + 4 >= sizeof place->path || !*name || strchr(name, '/')) {
        place->path[0] = '\0';
        errno = EINVAL;
        return err_set(err, "\"%s\" is no name for an interface", name);
    }
    if (lock_folder(place, folder, err))
        return -1;
    if (!is_alive(place->path))
        return 0;
    unlock_folder(place);
    place->path[0] = '\0';
    errno = EADDRINUSE;
    return err_set(err, "an engine of %s runs already: it answers at %s/%s.sock (to end it: ip link del %s)", name, folder, name, name);
}

/* Bound under a name that no client looks for. */
static int listen_at(const char *path, struct err *err)
{
    struct sockaddr_un address = address_of(path);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return fail(path, "", err);
    unlink(path);
    mode_t mask = umask(0177);
    int result = bind(descriptor, (const struct sockaddr *)&address, sizeof address);
    umask(mask);
    if (result == 0 && listen(descriptor, QUEUE) == 0)
        return descriptor;
    fail(path, "", err);
    close(descriptor);
    return -1;
}

/* Remember which file it is. */
static int identify(struct uapi_place *place)
{
    struct stat status;
    if (lstat(place->path, &status))
        return -1;
    place->device = status.st_dev;
    place->inode = status.st_ino;
    return 0;
}

/* Where a socket of FINAL (FOLDER/NAME.sock) is bound before it gets its name: two folders below, so that the path which the kernel shows of it ever after
 * (ss, /proc/net/unix) ends as the final one does. Those who list sockets to find engines look for that end. False: there is no room for such a path. */
struct birth_place { char upper[108], lower[108], path[108]; };
static bool find_birth_place(struct birth_place *birth, const char *final)
{
    const char *slash = strrchr(final, '/'), *last = slash;
    while (last > final && last[-1] != '/')
        last--;
    int length = snprintf(birth->upper, sizeof birth->upper, "%.*s/.new", (int)(slash - final), final);
    if (length >= 0 && (size_t)length < sizeof birth->upper)
        length = snprintf(birth->lower, sizeof birth->lower, "%s/%.*s", birth->upper, (int)(slash - last), last);
    if (length >= 0 && (size_t)length < sizeof birth->lower)
        length = snprintf(birth->path, sizeof birth->path, "%s%s", birth->lower, slash);
    return length >= 0 && (size_t)length < sizeof birth->path;
}

int uapi_place_listen(struct uapi_place *place, struct err *err)
{
    struct birth_place birth;
    const bool apart = find_birth_place(&birth, place->path);
    int result = -1;
    if (apart) { /* what goes wrong here, bind tells */
        (void)mkdir(birth.upper, 0700);
        (void)mkdir(birth.lower, 0700);
    } else {
        snprintf(birth.path, sizeof birth.path, "%.*s.new", (int)(strlen(place->path) - strlen(".sock")), place->path);
    }
    place->listening = listen_at(birth.path, err);
    if (place->listening >= 0 && (rename(birth.path, place->path) || identify(place))) {
        fail(place->path, "", err);
        unlink(birth.path);
    } else if (place->listening >= 0) {
        result = 0;
        unlock_folder(place);
    }
    if (apart) {
        (void)rmdir(birth.lower);
        (void)rmdir(birth.upper);
    }
    return result;
}

int uapi_place_given(struct uapi_place *place, int descriptor, struct err *err)
{
    struct sockaddr_un address = {0};
    socklen_t length = sizeof address;
    int listens = 0;
    socklen_t size = sizeof listens;
    *place = (struct uapi_place){.folder = -1, .listening = -1};
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) || !listens ||
        getsockname(descriptor, (struct sockaddr *)&address, &length) || address.sun_family != AF_UNIX) {
        errno = EINVAL;
        return err_set(err, "the descriptor %d given in WG_UAPI_FD is no listening socket of the UNIX kind", descriptor);
    }
    (void)fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    (void)fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    place->listening = descriptor;
    size_t used = strnlen(address.sun_path, sizeof address.sun_path);
    if (address.sun_path[0] == '/' && used < sizeof place->path) {
        memcpy(place->path, address.sun_path, used);
        if (identify(place))
            place->path[0] = '\0'; /* it was removed before: then its file says nothing */
    }
    return 0;
}

bool uapi_place_stands(const struct uapi_place *place)
{
    struct stat status;
    if (!place->path[0])
        return true;
    return lstat(place->path, &status) == 0 && status.st_dev == place->device && status.st_ino == place->inode;
}

void uapi_place_leave(struct uapi_place *place)
{
    if (place->listening >= 0) {
        if (place->path[0] && uapi_place_stands(place))
            unlink(place->path);
        close(place->listening);
    }
    unlock_folder(place);
    *place = (struct uapi_place){.folder = -1, .listening = -1};
}
