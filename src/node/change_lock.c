/* Who may change an interface (the lock, as long as helper or guard live), and who acts at this moment (the turn). Both are flocks: the kernel frees them when their holders die. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "change.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { LOCK_TEXT_MAX = 4096 };
static const int64_t look_again = 20 * CLOCK_MILLISECOND;

/* Where nothing survives a boot; else where all of it is. */
static int open_lock(const char *name, const char *suffix, struct err *err)
{
    char *path = mem_format("%s/run/wgdeck", change_root), *run = mem_format("%s/run", change_root);
    if (access(run, W_OK) || file_make_folders(path, 0700, err)) {
        free(path);
        path = mem_format("%s/var/lib/wgdeck", change_root);
        if (file_make_folders(path, 0700, err)) {
            free(path);
            free(run);
            return -1;
        }
    }
    free(run);
    char *file = mem_format("%s/%s.%s", path, name, suffix);
    int descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0)
        err_set(err, "%s: cannot lock: %s", file, strerror(errno));
    free(file);
    free(path);
    return descriptor;
}

/* 0: held; 1: somebody else has it to the end of the patience. */
static int take(int descriptor, double patience)
{
    int64_t until = clock_steady() + (int64_t)(patience * (double)CLOCK_SECOND);
    while (flock(descriptor, LOCK_EX | LOCK_NB)) {
        if (clock_steady() >= until)
            return 1;
        struct timespec pause = {.tv_nsec = look_again};
        nanosleep(&pause, NULL);
    }
    return 0;
}

static void read_text(int descriptor, char text[static LOCK_TEXT_MAX])
{
    ssize_t length = pread(descriptor, text, LOCK_TEXT_MAX - 1, 0);
    text[length > 0 ? length : 0] = '\0';
}

static void write_text(int descriptor, const struct buf *text)
{
    /* For people and for the guard; the lock holds without it, too. */
    if (ftruncate(descriptor, 0) || pwrite(descriptor, buf_text(text), text->length, 0) < 0)
        return;
}

/* --- the lock */

static void say_holder(int descriptor, const char *name, struct buf *holder)
{
    char text[LOCK_TEXT_MAX], when[32] = "";
    read_text(descriptor, text);
    cJSON *object = json_parse(text, strlen(text), NULL);
    time_t since = (time_t)(json_get_number(object, "since", 0, INT64_MAX, 0) / CLOCK_SECOND);
    struct tm parts;
    if (since && localtime_r(&since, &parts))
        strftime(when, sizeof when, "%H:%M:%S", &parts);
    char *owner = text_safe(json_get_text(object, "owner", "somebody"));
    buf_add_format(holder, "%s changes %s%s%s", owner, name, *when ? " since " : "", when);
    free(owner);
    cJSON_Delete(object);
}

static void sign(int descriptor, const char *id, const char *owner)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    json_object(&json, NULL);
    json_text(&json, "owner", owner);
    json_number(&json, "since", clock_wall());
    json_text(&json, "change", id);
    json_number(&json, "process", getpid());
    json_object_end(&json);
    buf_add_char(&text, '\n');
    write_text(descriptor, &text);
    buf_free(&text);
}

int change_lock(const char *name, const char *id, const char *owner, double patience, int *descriptor, struct buf *holder, struct err *err)
{
    *descriptor = open_lock(name, "lock", err);
    if (*descriptor < 0)
        return -1;
    if (take(*descriptor, patience)) {
        say_holder(*descriptor, name, holder);
        close(*descriptor);
        *descriptor = -1;
        return 1;
    }
    sign(*descriptor, id, owner);
    return 0;
}

bool change_lock_again(int descriptor)
{
    return descriptor >= 0 && !flock(descriptor, LOCK_EX | LOCK_NB);
}

void change_unlock(int *descriptor)
{
    if (*descriptor < 0)
        return;
    flock(*descriptor, LOCK_UN);
    close(*descriptor);
    *descriptor = -1;
}

bool change_lock_is_free(const char *name)
{
    int descriptor = open_lock(name, "lock", NULL);
    if (descriptor < 0)
        return false;
    /* Shared, so that two who look do not see one another; and let go at once. */
    bool is_free = !flock(descriptor, LOCK_SH | LOCK_NB);
    close(descriptor);
    return is_free;
}

/* --- the turn */

int change_turn(const char *name, double patience, pid_t *holder, struct err *err)
{
    char text[LOCK_TEXT_MAX];
    int descriptor = open_lock(name, "turn", err);
    if (holder)
        *holder = 0;
    if (descriptor < 0)
        return -1;
    if (take(descriptor, patience)) {
        read_text(descriptor, text);
        long pid = strtol(text, NULL, 10);
        if (holder && pid > 1)
            *holder = (pid_t)pid;
        close(descriptor);
        return err_set(err, "%s: another helper or the guard is at work on it and does not end (process %ld)", name, pid);
    }
    struct buf mine = BUF_EMPTY;
    buf_add_format(&mine, "%ld\n", (long)getpid());
    write_text(descriptor, &mine);
    buf_free(&mine);
    return descriptor;
}

void change_turn_end(int descriptor)
{
    if (descriptor < 0)
        return;
    if (ftruncate(descriptor, 0)) /* who has had it is of no interest any more */
        errno = 0;
    close(descriptor);
}
