/* The helper's operation "invite" on the hub (wgdeck/invitation.h); the others are in invite_list.c. What an invite has done is undone when a later step of it fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "boot.h"
#include "boot_parts.h"
#include "invite_parts.h"
#include "login.h"
#include "relay_service.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { OPEN_MOST = 256, DAYS_MOST = 31 };
static const double sudo_patience = 10;

static int64_t now_seconds(void)
{
    return clock_wall() / CLOCK_SECOND;
}

/* --- one invite and what it has done so far */

struct inviting {
    struct invite_entry entry;
    struct account account;
    struct device device;
    char *program, *connection;
    char *host_keys[INVITATION_HOST_KEYS];
    size_t host_key_count;
    unsigned port;
    struct buf warnings;
    const char *code;
    bool with_sudo, recorded, installed, made_folder;
};

static void inviting_free(struct inviting *inviting)
{
    invite_entry_free(&inviting->entry);
    account_free(&inviting->account);
    device_free(&inviting->device);
    free(inviting->program);
    free(inviting->connection);
    for (size_t i = 0; i < inviting->host_key_count; i++)
        free(inviting->host_keys[i]);
    buf_free(&inviting->warnings);
}

static int fail(struct inviting *inviting, const char *code)
{
    inviting->code = code;
    return -1;
}

/* --- may it be? */

static int read_record(const cJSON *request, struct invitation_record *record, struct err *err)
{
    const char *id = invite_request_id(request);
    cJSON *object = cJSON_Duplicate(request, true);
    if (!object)
        return err_set(err, "the request cannot be read");
    cJSON_DeleteItemFromObjectCaseSensitive(object, "id");
    if (id)
        cJSON_AddStringToObject(object, "id", id);
    int result = invitation_record_read(object, record, err);
    cJSON_Delete(object);
    return result;
}

static int read_request(struct inviting *inviting, const cJSON *request, struct err *err)
{
    struct invitation_record *record = &inviting->entry.record;
    char now[CLOCK_TEXT_SIZE];
    int64_t today = now_seconds();
    if (read_record(request, record, err))
        return fail(inviting, "refused");
    record->state = INVITATION_OPEN;
    record->made = today;
    record->has_key = false;
    record->at = 0;
    free(record->from);
    free(record->hostname);
    record->from = record->hostname = NULL;
    clock_text(clock_wall(), now);
    if (record->expires > today && record->expires - today <= DAYS_MOST * INT64_C(86400))
        return 0;
    err_set(err, record->expires <= today ? "the invitation would be over already: it is %s here (are the clocks right?)"
                                            : "the invitation would hold for more than 31 days: it is %s here (are the clocks right?)", now);
    return fail(inviting, "refused");
}

static bool share_address(const struct invitation_record *one, const struct invitation_record *other)
{
    for (size_t i = 0; i < one->address_count; i++)
        for (size_t k = 0; k < other->address_count; k++)
            if (!prefix_compare(&one->addresses[i], &other->addresses[k]))
                return true;
    return false;
}

static bool holds(const struct invite_entry *entry, const struct device *device)
{
    if (entry->record.state == INVITATION_USED)
        return device_find_peer(device, &entry->record.key) != NULL;
    return entry->record.state == INVITATION_OPEN || entry->record.state == INVITATION_JOINING;
}

static int check_others(struct inviting *inviting, const struct invite_list *list, struct err *err)
{
    const struct invitation_record *record = &inviting->entry.record;
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct invitation_record *other = &list->entries[i].record;
        if (!holds(&list->entries[i], &inviting->device))
            continue;
        bool used = other->state == INVITATION_USED, same_name = !strcmp(other->name, record->name);
        if (!strcmp(other->id, record->id))
            return err_set(err, "there is an invitation of this number already");
        if (same_name || share_address(record, other))
            return err_set(err, used ? "%s has joined already%s" : "%s is invited already%s (wgdeck invite list; wgdeck invite revoke)", other->name, same_name ? "" : ", with the same address");
        count += !used;
    }
    return count >= OPEN_MOST ? err_set(err, "%d invitations are open: revoke some first", OPEN_MOST) : 0;
}

/* An address that a row has for itself is somebody's. */
static int check_rows(const struct inviting *inviting, struct err *err)
{
    const struct invitation_record *record = &inviting->entry.record;
    for (size_t i = 0; i < inviting->device.peer_count; i++)
        for (size_t k = 0; k < inviting->device.peers[i].allowed_count; k++)
            for (size_t a = 0; a < record->address_count; a++)
                if (!prefix_compare(&inviting->device.peers[i].allowed[k], &record->addresses[a])) {
                    char address[PREFIX_TEXT_SIZE], key[KEY_TEXT_SIZE];
                    prefix_text(&record->addresses[a], address);
                    key_text(&inviting->device.peers[i].public_key, key);
                    return err_set(err, "%s has a row with %s already (key %.8s…)", record->interface, address, key);
                }
    return 0;
}

static int check_taken(struct inviting *inviting, struct err *err)
{
    struct invite_list list;
    invite_list_read(inviting->entry.record.interface, &list, NULL);
    int result = check_others(inviting, &list, err) || check_rows(inviting, err) ? fail(inviting, "taken") : 0;
    invite_list_free(&list);
    return result;
}

/* --- which account, which file */

static void take_port(struct inviting *inviting, const struct sshd_says *says)
{
    unsigned long long number = 22;
    const char *port = inviting->connection ? strrchr(inviting->connection, ' ') : NULL, *said = sshd_value(says, "port", 0);
    if ((!port || text_to_number(port + 1, 65535, &number)) && (!said || text_to_number(said, 65535, &number)))
        number = 22;
    inviting->port = (unsigned)number;
}

/* Everything that can be told without touching anything. */
static int try_account(struct inviting *inviting, const char *name, struct err *err)
{
    struct sshd_says says = {0};
    if (account_find(name, &inviting->account))
        return err_set(err, "no account %s is in the password file here", name);
    gid_t ids[ACCOUNT_GROUPS];
    size_t count;
    char **groups = account_groups(&inviting->account, ids, &count);
    int result = sshd_ask(name, inviting->connection, &says, err);
    if (!result)
        result = sshd_accepts(&says, &inviting->account, (const char *const *)groups, &inviting->warnings, err);
    if (!result && !(inviting->entry.file = sshd_choose_file(&says, &inviting->account, err)))
        result = -1;
    if (!result && !(inviting->host_key_count = sshd_host_keys(&says, inviting->host_keys, err)))
        result = -1;
    take_port(inviting, &says);
    login_words_free(groups);
    sshd_free(&says);
    if (result)
        return -1;
    inviting->entry.user = mem_text(name);
    inviting->with_sudo = inviting->account.uid != 0;
    return 0;
}

static void forget_account(struct inviting *inviting)
{
    account_free(&inviting->account);
    for (size_t i = 0; i < inviting->host_key_count; i++)
        free(inviting->host_keys[i]);
    inviting->host_key_count = 0;
    free(inviting->entry.file);
    free(inviting->entry.user);
    inviting->entry.file = inviting->entry.user = NULL;
    inviting->with_sudo = false;
    buf_clear(&inviting->warnings);
}

/* --- doing it */

static const char *find_sudo(void)
{
    static const char *const places[] = {"/usr/bin/sudo", "/usr/local/bin/sudo", "/bin/sudo"};
    for (size_t i = 0; i < COUNT_OF(places); i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

static char *command_of(const struct inviting *inviting)
{
    const char *sudo = inviting->with_sudo ? find_sudo() : NULL;
    return mem_format("%s%s" BOOT_PROGRAM " node --join %s", sudo ? sudo : "", sudo ? " -n " : "", inviting->entry.record.id);
}

/* The very command, which ends at once since nothing is said to it: may this account run it as root, without being asked for a password? */
static int try_sudo(const struct inviting *inviting, struct err *err)
{
    struct buf said = BUF_EMPTY;
    const char *sudo = find_sudo();
    const char *const words[] = {sudo, "-n", BOOT_PROGRAM, "node", "--join", inviting->entry.record.id, NULL};
    int status = sudo ? invite_run(words, &inviting->account, sudo_patience, NULL, &said, err) : err_set(err, "no sudo is here");
    if (status > 0)
        err_set(err, "sudo does not let %s run %s without a password: %.*s", inviting->account.name, BOOT_PROGRAM, (int)strcspn(buf_text(&said), "\r\n"), buf_text(&said));
    buf_free(&said);
    return status ? -1 : 0;
}

/* As sshd reads it: local time, whatever this login's TZ is. */
static void local_text(int64_t seconds, char text[static 16])
{
    time_t time = (time_t)seconds;
    struct tm parts;
    char *zone = mem_text(getenv("TZ"));
    unsetenv("TZ");
    tzset();
    if (!localtime_r(&time, &parts) || !strftime(text, 16, "%Y%m%d%H%M%S", &parts))
        text[0] = '\0';
    if (zone)
        setenv("TZ", zone, 1);
    tzset();
    free(zone);
}

static int add_line(struct inviting *inviting, struct err *err)
{
    struct buf line = BUF_EMPTY;
    char expires[16], *command = command_of(inviting);
    const struct invitation_record *record = &inviting->entry.record;
    local_text(record->expires, expires);
    int result = invitation_line(record->id, record->name, record->public_line, expires, command, &line, err);
    if (!result)
        result = invite_line_set(&inviting->account, inviting->entry.file, record->id, buf_text(&line), &inviting->made_folder, err);
    buf_free(&line);
    free(command);
    return result;
}

static int install(struct inviting *inviting, struct err *err)
{
    char *place = mem_format("%s" BOOT_PROGRAM, change_root);
    bool was_there = access(place, F_OK) == 0;
    free(place);
    free(inviting->program);
    if (boot_install(change_root, &inviting->program, err))
        return -1;
    inviting->installed = inviting->installed || !was_there;
    return 0;
}

static void undo(struct inviting *inviting)
{
    if (inviting->recorded)
        (void)invite_remove(&inviting->entry, NULL);
    if (inviting->installed && unlink(inviting->program) == 0) {
        char *slash = strrchr(inviting->program, '/');
        *slash = '\0';
        rmdir(inviting->program); /* when nothing else is in it */
    }
}

static int invite_as(struct inviting *inviting, const char *user, struct err *err)
{
    struct err why;
    if (try_account(inviting, user, &why))
        return err_set(err, "%s", why.text);
    if (invite_write(&inviting->entry, err))
        return -1;
    inviting->recorded = true;
    if (install(inviting, err) || (inviting->with_sudo && try_sudo(inviting, err)))
        return -1;
    return add_line(inviting, err);
}

/* Root's own login; else the account that became root, then root. All that was in the way is said. */
static int invite_as_any(struct inviting *inviting, struct err *err)
{
    const char *by_sudo = getenv("SUDO_USER");
    const char *users[2] = {by_sudo && *by_sudo && strcmp(by_sudo, "root") != 0 ? by_sudo : "root", NULL};
    struct buf why = BUF_EMPTY;
    struct err each;
    if (strcmp(users[0], "root") != 0)
        users[1] = "root";
    int result = -1;
    for (size_t i = 0; i < COUNT_OF(users) && users[i] && result; i++) {
        result = invite_as(inviting, users[i], &each);
        if (!result)
            break;
        buf_add_format(&why, "%s%s", why.length ? "; and as root: " : "", each.text);
        forget_account(inviting);
    }
    if (result) {
        undo(inviting);
        err_set(err, "%s", buf_text(&why));
        inviting->code = "refused";
    }
    buf_free(&why);
    return result;
}

static int invite_locked(struct inviting *inviting, struct err *err)
{
    const char *interface = inviting->entry.record.interface;
    if (invite_device(interface, &inviting->device, err))
        return fail(inviting, "refused");
    invite_sweep(interface, &inviting->device, &inviting->warnings);
    if (check_taken(inviting, err))
        return -1;
    inviting->connection = login_connection();
    return invite_as_any(inviting, err);
}

static void answer_invite(struct server *server, const cJSON *request, const struct inviting *inviting)
{
    struct json json = server_answer(server, server_request(request));
    json_text(&json, "user", inviting->entry.user);
    json_unsigned(&json, "port", inviting->port);
    json_list(&json, "host_keys");
    for (size_t i = 0; i < inviting->host_key_count; i++)
        json_text(&json, NULL, inviting->host_keys[i]);
    json_list_end(&json);
    json_text(&json, "file", inviting->entry.file);
    invite_add_lines(&json, "warnings", &inviting->warnings);
    server_send(server, &json);
}

/* Who joins by the relay finds it there. Without it the invitation holds all the same: the newcomer reaches everything through the hub. */
static void start_relay(struct inviting *inviting)
{
    const struct invitation_record *record = &inviting->entry.record;
    struct err err;
    if (!record->relay || !record->relay_port || *change_root)
        return;
    if (relay_service_start(record->interface, record->relay_port, &err))
        buf_add_format(&inviting->warnings, "%s; without it newcomers reach the others through the hub only\n", err.text);
    if (boot_relay_enable(change_root, record->interface, record->relay_port, &err))
        buf_add_format(&inviting->warnings, "the relay will not be there after the next boot: %s\n", err.text);
}

static void invite(struct server *server, const cJSON *request)
{
    struct inviting inviting = {.code = "failed"};
    struct err err;
    const char *interface = invite_request_interface(server, request);
    if (!interface)
        return;
    int result = read_request(&inviting, request, &err), lock = -1;
    if (!result && (lock = invite_lock(interface, &err)) < 0)
        result = fail(&inviting, "busy");
    if (!result)
        result = invite_locked(&inviting, &err);
    change_turn_end(lock);
    if (!result)
        start_relay(&inviting);
    if (result)
        server_refuse(server, server_request(request), inviting.code, err.text, SIZE_MAX);
    else
        answer_invite(server, request, &inviting);
    inviting_free(&inviting);
}

const struct server_operation serve_invite_operations[] = {{"invite", invite}, {"invitations", invite_show_all}, {"revoke", invite_revoke}, {0}};
