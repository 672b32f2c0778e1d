/* The helper's operations "invitations" and "revoke" on the hub (wgdeck/invitation.h), and what the three have in common of reading a request. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "invite_parts.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

static const double join_patience = 15;

static int64_t now_seconds(void)
{
    return clock_wall() / CLOCK_SECOND;
}

/* --- requests and answers */

void invite_add_lines(struct json *json, const char *key, const struct buf *lines)
{
    json_list(json, key);
    for (const char *at = buf_text(lines); *at;) {
        size_t length = strcspn(at, "\n");
        json_text_part(json, NULL, at, length);
        at += length + (at[length] == '\n');
    }
    json_list_end(json);
}

const char *invite_request_interface(struct server *server, const cJSON *request)
{
    const char *interface = json_get_text(request, "interface", "");
    if (!device_name_is_valid(interface))
        server_refuse(server, server_request(request), "refused", "interface is not the name of one", SIZE_MAX);
    else if (geteuid() != 0 && !*change_root)
        server_refuse(server, server_request(request), "refused", "invitations need root (log in as root, or allow sudo)", SIZE_MAX);
    else
        return interface;
    return NULL;
}

/* The request's number is its "id": the invitation's is "invitation". */
const char *invite_request_id(const cJSON *request)
{
    const char *id = json_get_text(request, "invitation", "");
    return invite_id_is_valid(id) ? id : NULL;
}

/* --- the list */

static void sweep_now(const char *interface, struct buf *warnings)
{
    struct device device = {0};
    bool known = !invite_device(interface, &device, NULL);
    invite_sweep(interface, known ? &device : NULL, warnings);
    device_free(&device);
}

void invite_show_all(struct server *server, const cJSON *request)
{
    struct buf warnings = BUF_EMPTY;
    struct invite_list list;
    struct err err;
    int64_t now = now_seconds();
    const char *interface = invite_request_interface(server, request);
    if (!interface)
        return;
    int lock = invite_lock(interface, &err);
    if (lock >= 0)
        sweep_now(interface, &warnings);
    invite_list_read(interface, &list, &warnings); /* also while somebody is at work on them */
    change_turn_end(lock);
    struct json json = server_answer(server, server_request(request));
    json_list(&json, "invitations");
    for (size_t i = 0; i < list.count; i++) {
        struct invitation_record *record = &list.entries[i].record;
        if (record->state == INVITATION_OPEN && invite_is_joining(record->id))
            record->state = INVITATION_JOINING;
        invitation_record_show(record, now, &json);
    }
    json_list_end(&json);
    invite_add_lines(&json, "warnings", &warnings);
    server_send(server, &json);
    invite_list_free(&list);
    buf_free(&warnings);
}

/* --- revoke */

/* Is PROCESS the one that joins by ID? Its arguments say so; it is root's. */
static bool joins_by(pid_t process, const char *id)
{
    char *path = mem_format("/proc/%ld/cmdline", (long)process);
    struct buf line = BUF_EMPTY;
    bool is = !file_read(path, 1 << 16, &line, NULL) && memmem(buf_text(&line), line.length, "--join", 7) && memmem(buf_text(&line), line.length, id, strlen(id));
    buf_free(&line);
    free(path);
    return is;
}

/* A join that is under way puts back what it has done, and ends. True: nobody joins by it any more. */
static bool end_join(const char *id)
{
    pid_t process = 0;
    int descriptor = invite_join_lock(id, 0, &process);
    if (descriptor < 0 && process > 1 && joins_by(process, id))
        kill(process, SIGTERM);
    if (descriptor < 0)
        descriptor = invite_join_lock(id, join_patience, NULL);
    change_turn_end(descriptor);
    return descriptor >= 0;
}

/* 0 with the state that it was in; the record is written. */
static int revoke_locked(struct invite_entry *entry, enum invitation_state *was, struct err *err)
{
    struct device device = {0};
    bool known = !invite_device(entry->record.interface, &device, NULL);
    if (!invite_is_joining(entry->record.id))
        (void)invite_settle(entry, known ? &device : NULL);
    device_free(&device);
    *was = entry->record.state;
    if ((*was == INVITATION_OPEN || *was == INVITATION_JOINING) && now_seconds() >= entry->record.expires)
        *was = INVITATION_EXPIRED;
    if (*was == INVITATION_JOINING)
        *was = INVITATION_OPEN;
    if (entry->record.state != INVITATION_USED) {
        entry->record.state = INVITATION_REVOKED;
        if (invite_write(entry, err))
            return -1;
    }
    return invite_burn(entry, err);
}

void invite_revoke(struct server *server, const cJSON *request)
{
    struct invite_entry entry = {0};
    enum invitation_state was = INVITATION_OPEN;
    struct err err;
    uint64_t number = server_request(request);
    const char *interface = invite_request_interface(server, request), *id = invite_request_id(request);
    if (!interface)
        return;
    if (!id) {
        server_refuse(server, number, "refused", "invitation is not 16 hexadecimal digits", SIZE_MAX);
        return;
    }
    int lock = invite_lock(interface, &err), result = lock < 0 ? -1 : invite_read(interface, id, &entry, &err);
    if (result == 1)
        err_set(&err, "there is no such invitation (it may have been forgotten: wgdeck invite list)");
    else if (!result && revoke_locked(&entry, &was, &err))
        result = -1;
    change_turn_end(lock);
    if (!result && was != INVITATION_USED && !end_join(id))
        result = err_set(&err, "it is revoked, but a join by it is under way and does not end: look again in a minute (wgdeck invite list)");
    if (result) {
        server_refuse(server, number, result == 1 ? "refused" : "failed", err.text, SIZE_MAX);
    } else {
        struct json json = server_answer(server, number);
        json_text(&json, "was", invitation_states[was]);
        server_send(server, &json);
    }
    invite_entry_free(&entry);
}
