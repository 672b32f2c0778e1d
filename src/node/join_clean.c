/* This machine's helper for who joins or leaves (join_parts.h), and an interface taken away through it. */
#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "helper_pipe.h"
#include "join_parts.h"
#include "wgdeck/mem.h"

static const double begin_patience = 20, stage_patience = 60, finish_patience = 40, confirm_patience = 40, end_patience = 5;

/* --- the helper */

static int pipe_send(void *context, const char *line, size_t length, struct err *err)
{
    return helper_pipe_send(context, line, length, err);
}

static int pipe_receive(void *context, double seconds, struct buf *line, struct err *err)
{
    return helper_pipe_receive(context, seconds, line, err);
}

static void pipe_close(void *context)
{
    helper_pipe_end(context, end_patience);
}

static int open_pipe(void *context, struct join_channel *helper, struct err *err)
{
    struct helper_pipe *pipe = helper_pipe_start(NULL, err);
    (void)context;
    *helper = (struct join_channel){.send = pipe_send, .receive = pipe_receive, .close = pipe_close, .context = pipe};
    return pipe ? 0 : -1;
}

int join_helper_open(int (*open)(void *context, struct join_channel *helper, struct err *err), void *context, struct join_talk *talk, struct err *err)
{
    *talk = (struct join_talk){.who = "the helper of this machine"};
    if (open ? open(context, &talk->channel, err) : open_pipe(NULL, &talk->channel, err))
        return -1;
    talk->open = true;
    return 0;
}

void join_helper_close(struct join_talk *talk)
{
    if (talk->open && talk->channel.close)
        talk->channel.close(talk->channel.context);
    talk->open = false;
}

/* --- what was left */

int join_end_earlier(int (*open)(void *context, struct join_channel *helper, struct err *err), void *context, const char *name, struct err *err)
{
    struct change_journal journal;
    struct join_talk talk = {0};
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    if (change_journal_read(name, &journal, NULL))
        return 0;
    bool ours = !strcmp(journal.owner, JOIN_OWNER);
    int result = 0;
    if (ours && !(result = join_helper_open(open, context, &talk, err))) {
        json_text(&json, "op", "revert");
        json_text(&json, "change", journal.id);
        json_text(&json, "interface", name);
        cJSON *answer = join_ask(&talk, buf_text(&text), confirm_patience, err);
        result = answer || !strcmp(talk.code, "refused") ? 0 : -1; /* refused: it was being confirmed, and is now */
        cJSON_Delete(answer);
    }
    join_helper_close(&talk);
    change_journal_free(&journal);
    buf_free(&text);
    return result;
}

/* --- the interface away */

static void add_change(struct json *json, const char *operation, const char *id, const char *interface)
{
    json_text(json, "op", operation);
    json_text(json, "change", id);
    json_text(json, "interface", interface);
}

static void add_removal(struct json *json)
{
    struct plan_operation operation = {.kind = PLAN_INTERFACE_REMOVE, .running = true, .saved = true};
    json_list(json, "operations");
    plan_operation_to_json(&operation, json);
    json_list_end(json);
}

static int ask(struct join_talk *talk, const char *operation, const char *id, const char *name, const char *mesh, double patience, struct err *err)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    add_change(&json, operation, id, name);
    if (!strcmp(operation, "begin")) {
        json_text(&json, "mesh", mesh);
        json_text(&json, "owner", JOIN_OWNER);
    } else if (!strcmp(operation, "stage")) {
        add_removal(&json);
    }
    cJSON *answer = join_ask(talk, buf_text(&text), patience, err);
    cJSON_Delete(answer);
    buf_free(&text);
    return answer ? 0 : -1;
}

/* The helper puts a saved file aside under another name. This one was made by joining, and holds a key: it goes. It is known by its inode. */
static void remove_aside(const char *name, const struct stat *saved)
{
    char *path = mem_format("%s/etc/wireguard", change_root), *begin = mem_format("%s.conf.removed-", name);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        struct stat status;
        if (!strncmp(entry->d_name, begin, strlen(begin)) && !fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) && status.st_ino == saved->st_ino &&
            status.st_dev == saved->st_dev)
            unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder)
        closedir(folder);
    free(begin);
    free(path);
}

int join_clean_interface(struct join_talk *talk, const char *name, const char *mesh, struct err *err)
{
    static const struct {
        const char *operation;
        const double *patience;
    } steps[] = {{"begin", &begin_patience}, {"stage", &stage_patience}, {"finish", &finish_patience}, {"confirm", &confirm_patience}};
    uint8_t bytes[CHANGE_ID_LENGTH / 2];
    char id[CHANGE_ID_LENGTH + 1];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(id, sizeof id, bytes, sizeof bytes);
    char *file = change_config_path(name);
    struct stat saved;
    bool is_saved = stat(file, &saved) == 0;
    free(file);
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (ask(talk, steps[i].operation, id, name, mesh, *steps[i].patience, err)) {
            struct err ignored;
            (void)ask(talk, i == 1 ? "release" : "revert", id, name, mesh, confirm_patience, &ignored);
            return err_prefix(err, "%s cannot be taken away", name);
        }
    if (is_saved)
        remove_aside(name, &saved);
    return 0;
}
