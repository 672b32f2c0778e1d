/* What time does to invitations on their hub: those that are over lose their line, joins that broke off are settled by what the interface holds (invite_parts.h). */
#include <stdlib.h>
#include <string.h>

#include "invite_parts.h"
#include "wgdeck/clock.h"

static const int64_t reread = 600;           /* seconds in which a newcomer that did not get its last answer can ask again */
static const int64_t forgotten = 7 * 86400;  /* so long one that is over is still told of */
static const int64_t gone = 86400;           /* a row that is away for less may come back */

static int read_device(const char *interface, struct device *device, struct err *err)
{
    const struct device_source *source = device_source_find(interface);
    if (!source)
        return err_set(err, "%s: no WireGuard interface of this name is here", interface);
    return source->read(interface, device_no_salt, device, err) ? -1 : 0;
}

int (*invite_device)(const char *interface, struct device *device, struct err *err) = read_device;

static int64_t now_seconds(void)
{
    return clock_wall() / CLOCK_SECOND;
}

int invite_burn(struct invite_entry *entry, struct err *err)
{
    struct account account;
    int result = 0;
    if (entry->burnt)
        return 0;
    if (entry->file && entry->user && !account_find(entry->user, &account)) {
        result = invite_line_set(&account, entry->file, entry->record.id, NULL, NULL, err);
        account_free(&account);
    }
    if (result)
        return -1;
    entry->burnt = true;
    return invite_write(entry, err);
}

static bool is_pending(const char *interface)
{
    char *pending = change_pending(interface);
    bool is = pending != NULL;
    free(pending);
    return is;
}

bool invite_settle(struct invite_entry *entry, const struct device *device)
{
    struct invitation_record *record = &entry->record;
    if (record->state != INVITATION_JOINING || !record->has_key || !device || is_pending(record->interface))
        return false;
    if (device_find_peer(device, &record->key)) {
        record->state = INVITATION_USED;
    } else {
        record->state = INVITATION_OPEN;
        record->has_key = false;
        record->at = 0;
        free(record->from);
        free(record->hostname);
        record->from = record->hostname = NULL;
    }
    return !invite_write(entry, NULL);
}

/* True: its record is of no use to anybody any more. */
static bool is_forgotten(const struct invite_entry *entry, const struct device *device, int64_t now)
{
    const struct invitation_record *record = &entry->record;
    if (!entry->burnt)
        return false;
    if (record->state == INVITATION_USED)
        return device && now - record->at > gone && !device_find_peer(device, &record->key);
    return record->state != INVITATION_JOINING && now - record->expires > forgotten;
}

static int sweep_one(struct invite_entry *entry, const struct device *device, int64_t now, struct err *err)
{
    struct invitation_record *record = &entry->record;
    bool used = record->state == INVITATION_USED, joining = !used && invite_is_joining(record->id);
    if (!joining)
        (void)invite_settle(entry, device);
    if (record->state == INVITATION_OPEN && now >= record->expires && !joining) {
        record->state = INVITATION_EXPIRED;
        if (invite_write(entry, err))
            return -1;
    }
    bool over = record->state == INVITATION_EXPIRED || record->state == INVITATION_REVOKED;
    if (record->state == INVITATION_USED)
        over = now >= record->expires || now - record->at > reread;
    if (over && invite_burn(entry, err))
        return -1;
    return is_forgotten(entry, device, now) ? invite_remove(entry, err) : 0;
}

void invite_sweep(const char *interface, const struct device *device, struct buf *warnings)
{
    struct invite_list list;
    struct err err;
    int64_t now = now_seconds();
    invite_list_read(interface, &list, warnings);
    for (size_t i = 0; i < list.count; i++)
        if (sweep_one(&list.entries[i], device, now, &err) && warnings)
            buf_add_format(warnings, "the invitation of %s is over, but its line is there still: %s\n", list.entries[i].record.name, err.text);
    invite_list_free(&list);
}
