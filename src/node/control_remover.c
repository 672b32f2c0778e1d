/* The row of a joined node that leaves is taken out here, in a process of its own (control.h): like any other row, under a guard, and only of who has joined by an invitation. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control.h"
#include "helper_pipe.h"
#include "invite_parts.h"
#include "wgdeck/clock.h"

enum { ASK_WITHIN = 10, GUARD_WITHIN = 15 };

static int ask(struct helper_pipe *pipe, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int ask(struct helper_pipe *pipe, const char *format, ...)
{
    struct buf members = BUF_EMPTY;
    char code[HELPER_PIPE_CODE];
    struct err err;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&members, format, arguments);
    va_end(arguments);
    cJSON *answer = helper_pipe_ask(pipe, buf_text(&members), ASK_WITHIN, code, &err);
    bool good = answer != NULL;
    cJSON_Delete(answer);
    buf_free(&members);
    return good ? 0 : -1;
}

/* What fails is put back by the guard, and stays for the operator to see. */
static int remove_row(const char *interface, const struct key *key)
{
    char text[KEY_TEXT_SIZE], id[CHANGE_ID_LENGTH + 1];
    struct err err;
    struct helper_pipe *pipe = helper_pipe_start(NULL, &err);
    int result = -1;
    if (!pipe)
        return -1;
    key_text(key, text);
    snprintf(id, sizeof id, "%08lx%08lx", (unsigned long)clock_wall() & 0xffffffffUL, (unsigned long)getpid() & 0xffffffffUL);
    if (!ask(pipe, "\"op\":\"begin\",\"change\":\"%s\",\"interface\":\"%s\",\"mesh\":\"\",\"owner\":\"wgdeck leave\"", id, interface) &&
        !ask(pipe,
             "\"op\":\"stage\",\"change\":\"%s\",\"within\":%d,\"operations\":[{\"do\":\"row-remove\",\"running\":true,\"saved\":true,\"key\":\"%s\"},{\"do\":\"file\",\"saved\":true}]", id,
             GUARD_WITHIN, text) &&
        !ask(pipe, "\"op\":\"finish\",\"change\":\"%s\",\"within\":5", id))
        result = ask(pipe, "\"op\":\"confirm\",\"change\":\"%s\",\"interface\":\"%s\"", id, interface);
    helper_pipe_end(pipe, 2);
    return result;
}

/* The record of a join stays for as long as the node has its row. */
static void let_go(const char *interface, const struct key *key)
{
    struct invite_list list = {0};
    struct buf warnings = BUF_EMPTY;
    struct err err;
    invite_list_read(interface, &list, &warnings);
    for (size_t i = 0; i < list.count; i++) {
        const struct invitation_record *record = &list.entries[i].record;
        if (record->state != INVITATION_USED || !record->has_key || key_compare(&record->key, key) || remove_row(interface, key))
            continue;
        int lock = invite_lock(interface, &err);
        if (lock >= 0)
            (void)invite_remove(&list.entries[i], &err);
        change_turn_end(lock);
    }
    invite_list_free(&list);
    buf_free(&warnings);
}

static void serve(const char *interface, int keys)
{
    struct key key;
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_NAME, "wgdeck-leave");
    while (read(keys, &key, sizeof key) == sizeof key)
        let_go(interface, &key);
}

int control_remover_start(const char *interface, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_DIRECT)) /* a key is a packet */
        return err_set(err, "%s: no pipe: %s", interface, strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        serve(interface, ends[0]);
        _exit(0);
    }
    close(ends[0]);
    fcntl(ends[1], F_SETFL, O_NONBLOCK | O_DIRECT);
    if (child < 0) {
        close(ends[1]);
        return err_set(err, "%s: no process: %s", interface, strerror(errno));
    }
    return ends[1];
}
