/* What the requests of a newcomer do on the hub (join_hub.h). All that changes the interface is done by a helper of our own, under its guard: whenever this process dies, the guard puts the
 * hub back. The record says "joining" by which key before the hub confirms, and "used" after: from the row that is there or not, whoever comes later knows which it was (invite_settle). */
#include "join_hub.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { CHECK_WITHIN = 10 };
static const double begin_patience = 20, stage_patience = 40, confirm_patience = 30, revert_patience = 30, end_patience = 5, lock_patience = 1;

static int fail(struct join_hub *hub, const char *code)
{
    snprintf(hub->code, sizeof hub->code, "%s", code);
    return -1;
}

static int64_t now_seconds(void)
{
    return clock_wall() / CLOCK_SECOND;
}

/* --- the record */

static int read_entry(struct join_hub *hub, struct err *err)
{
    invite_entry_free(&hub->entry);
    int result = hub->interface ? invite_read(hub->interface, hub->id, &hub->entry, err) : 1;
    if (result == 1) {
        err_set(err, "the invitation is not known here any more");
        return fail(hub, "revoked");
    }
    return result ? fail(hub, "failed") : 0;
}

static bool is_ours(const struct join_hub *hub)
{
    return hub->entry.record.has_key && key_equal(&hub->entry.record.key, &hub->key);
}

/* Who was kept before may ask again, for an answer that was lost. */
static int check_state(struct join_hub *hub, struct err *err)
{
    const struct invitation_record *record = &hub->entry.record;
    if (record->state == INVITATION_REVOKED) {
        err_set(err, "the invitation of %s was revoked", record->name);
        return fail(hub, "revoked");
    }
    if (record->state == INVITATION_USED && !is_ours(hub)) {
        err_set(err, "the invitation of %s was used already, from %s", record->name, record->from ? record->from : "somewhere");
        return fail(hub, "used");
    }
    if (record->state == INVITATION_EXPIRED || now_seconds() >= record->expires) {
        char when[CLOCK_TEXT_SIZE];
        clock_text(record->expires * CLOCK_SECOND, when);
        err_set(err, "the invitation of %s was good until %s", record->name, when);
        return fail(hub, "expired");
    }
    return 0;
}

/* --- the helper */

static cJSON *ask(struct join_hub *hub, const char *operation, const char *more, double seconds, struct err *err)
{
    struct buf members = BUF_EMPTY;
    struct json json = json_begin(&members);
    json_text(&json, "op", operation);
    json_text(&json, "change", hub->change);
    json_text(&json, "interface", hub->interface);
    if (more)
        buf_add_format(&members, ",%s", more);
    cJSON *answer = helper_pipe_ask(hub->helper, buf_text(&members), seconds, hub->code, err);
    if (!answer && strcmp(hub->code, "locked") != 0)
        snprintf(hub->code, sizeof hub->code, "failed");
    buf_free(&members);
    return answer;
}

static void end_helper(struct join_hub *hub)
{
    helper_pipe_end(hub->helper, end_patience);
    hub->helper = NULL;
}

static cJSON *begin(struct join_hub *hub, struct err *err)
{
    struct buf members = BUF_EMPTY;
    struct json json = json_begin(&members);
    uint8_t bytes[CHANGE_ID_LENGTH / 2];
    char owner[CHANGE_OWNER_MAX];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(hub->change, sizeof hub->change, bytes, sizeof bytes);
    hub->helper = helper_pipe_start(NULL, err);
    if (!hub->helper)
        return NULL;
    snprintf(owner, sizeof owner, "join of %s%s%s", hub->entry.record.name, hub->from ? " from " : "", hub->from ? hub->from : "");
    json_text(&json, "mesh", hub->entry.record.mesh);
    json_text(&json, "owner", owner);
    cJSON *answer = ask(hub, "begin", buf_text(&members), begin_patience, err);
    buf_free(&members);
    return answer;
}

int join_hub_put_back(struct join_hub *hub, struct err *err)
{
    int result = 0;
    if (hub->helper && hub->step == JOIN_HUB_STAGED) {
        cJSON *answer = ask(hub, "revert", NULL, revert_patience, err);
        result = answer ? 0 : -1;
        cJSON_Delete(answer);
    }
    end_helper(hub);
    if (hub->step == JOIN_HUB_STAGED)
        hub->step = JOIN_HUB_NEW;
    change_turn_end(hub->lock);
    hub->lock = -1;
    return result;
}

void join_hub_free(struct join_hub *hub)
{
    end_helper(hub);
    invite_entry_free(&hub->entry);
    buf_free(&hub->answer);
    free(hub->interface);
    free(hub->from);
}

/* --- join: may this key come? */

static int read_request(struct join_hub *hub, const cJSON *request, struct err *err)
{
    const char *box = json_get_text(request, "box", ""), *hostname = json_get_text(request, "hostname", ""),
               *host_key = json_get_text(request, "host_key", "");
    struct key box_key;
    if (key_parse(json_get_text(request, "public_key", ""), &hub->key) || key_is_zero(&hub->key) || key_parse(box, &box_key) || key_is_zero(&box_key)) {
        err_set(err, "public_key or box is no key");
        return fail(hub, "refused");
    }
    key_text(&box_key, hub->box);
    size_t length = strlen(hostname);
    if (length >= sizeof hub->hostname || !text_is_safe(hostname, length))
        hostname = "";
    snprintf(hub->hostname, sizeof hub->hostname, "%s", hostname);
    snprintf(hub->host_key, sizeof hub->host_key, "%s", invitation_is_host_key(host_key) ? host_key : "");
    return 0;
}

static int check_addresses(struct join_hub *hub, const struct device_peer *row, struct err *err)
{
    const struct invitation_record *record = &hub->entry.record;
    for (size_t i = 0; i < row->allowed_count; i++)
        for (size_t a = 0; a < record->address_count; a++)
            if (!prefix_compare(&row->allowed[i], &record->addresses[a])) {
                char text[PREFIX_TEXT_SIZE];
                prefix_text(&record->addresses[a], text);
                err_set(err, "%s, which the invitation is for, has been given to another node since", text);
                return fail(hub, "taken");
            }
    return 0;
}

/* With the lock of the interface held: what it holds now is what was put back or kept. */
static int check_rows(struct join_hub *hub, const struct device *device, struct err *err)
{
    (void)invite_settle(&hub->entry, device);
    if (check_state(hub, err))
        return -1;
    bool again = hub->entry.record.state == INVITATION_USED;
    if (again && !device_find_peer(device, &hub->key)) {
        err_set(err, "%s has joined by this invitation, and was taken out of the mesh again", hub->entry.record.name);
        return fail(hub, "used");
    }
    if (key_equal(&hub->key, &device->public_key) || (!again && device_find_peer(device, &hub->key))) {
        err_set(err, "this key is of another node of the mesh already (a copy of its disk, or a node that has joined before: wgdeck leave there, wgdeck remove on the operator's machine)");
        return fail(hub, "taken");
    }
    for (size_t i = 0; i < device->peer_count; i++)
        if (!key_equal(&device->peers[i].public_key, &hub->key) && check_addresses(hub, &device->peers[i], err))
            return -1;
    return 0;
}

/* --- join: what is answered */

/* The newcomer's row of us. */
static int find_own_row(const struct invitation_record *record, const struct key *own, struct plan_operation *row, struct err *err)
{
    cJSON *list = json_parse(record->node, strlen(record->node), err);
    const cJSON *item;
    bool found = false;
    cJSON_ArrayForEach(item, list)
        if (!found && !plan_operation_from_json(item, row, NULL)) {
            found = row->kind == PLAN_ROW && key_equal(&row->key, own);
            if (!found)
                plan_operation_free(row);
        }
    cJSON_Delete(list);
    return found ? 0 : err_set(err, "the hub's key is another one since the invitation was made: a new invitation is needed");
}

static bool takes(const struct plan_operation *row, const struct address *address)
{
    for (size_t i = 0; i < row->allowed_count; i++)
        if (prefix_contains(&row->allowed[i], address))
            return true;
    return false;
}

/* Of the interface, those that the newcomer sends here. */
static void add_addresses(const char *interface, const struct plan_operation *row, struct json *json)
{
    struct ifaddrs *all = NULL;
    json_list(json, "addresses");
    if (getifaddrs(&all))
        all = NULL;
    for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
        struct address address = {0};
        char text[ADDRESS_TEXT_SIZE];
        if (!one->ifa_addr || strcmp(one->ifa_name, interface) != 0 || (one->ifa_addr->sa_family != AF_INET && one->ifa_addr->sa_family != AF_INET6))
            continue;
        address.family = (uint8_t)one->ifa_addr->sa_family;
        if (address.family == AF_INET)
            memcpy(address.bytes, &((const struct sockaddr_in *)(const void *)one->ifa_addr)->sin_addr, 4);
        else
            memcpy(address.bytes, &((const struct sockaddr_in6 *)(const void *)one->ifa_addr)->sin6_addr, 16);
        if (!takes(row, &address))
            continue;
        address_text(&address, text);
        json_text(json, NULL, text);
    }
    if (all)
        freeifaddrs(all);
    json_list_end(json);
}

static int write_answer(struct join_hub *hub, const struct device *device, const char *box, const struct buf *sealed, struct err *err)
{
    const struct invitation_record *record = &hub->entry.record;
    struct json json = json_begin(&hub->answer);
    struct plan_operation row;
    char own[KEY_TEXT_SIZE];
    if (find_own_row(record, &device->public_key, &row, err))
        return -1;
    key_text(&device->public_key, own);
    json_text(&json, "mesh", record->mesh);
    json_text(&json, "interface", record->interface);
    json_text(&json, "name", record->name);
    json_bool(&json, "relay", record->relay);
    buf_add_format(&hub->answer, ",\"operations\":%s", record->node); /* as it was checked and written */
    json_list(&json, "sealed");
    if (sealed->length) {
        json_object(&json, NULL);
        json_text(&json, "key", own);
        json_text(&json, "sealed", buf_text(sealed));
        json_object_end(&json);
    }
    json_list_end(&json);
    json_object(&json, "hub");
    json_text(&json, "name", row.name ? row.name : "hub");
    json_text(&json, "key", own);
    json_text(&json, "box", box);
    add_addresses(record->interface, &row, &json);
    json_object_end(&json);
    json_text(&json, "seen", hub->from);
    json_number(&json, "time", now_seconds());
    json_number(&json, "within", JOIN_HUB_WITHIN);
    json_text(&json, "generation", record->generation);
    plan_operation_free(&row);
    return 0;
}

/* --- join: our side under a guard */

static bool makes_preshared(const char *operations)
{
    cJSON *list = json_parse(operations, strlen(operations), NULL);
    const cJSON *item;
    bool makes = false;
    cJSON_ArrayForEach(item, list)
        makes = makes || !strcmp(json_get_text(item, "preshared", ""), "make");
    cJSON_Delete(list);
    return makes;
}

/* For the newcomer, sealed to its box. */
static int make_preshared(struct join_hub *hub, struct buf *sealed, struct err *err)
{
    char members[256], key[KEY_TEXT_SIZE];
    if (!makes_preshared(hub->entry.record.hub))
        return 0;
    key_text(&hub->key, key);
    snprintf(members, sizeof members, "\"for\":[{\"key\":\"%s\",\"box\":\"%s\"}]", key, hub->box);
    cJSON *answer = ask(hub, "preshared", members, begin_patience, err);
    const char *text = json_get_text(cJSON_GetArrayItem(json_get_list(answer, "sealed"), 0), "sealed", NULL);
    if (text)
        buf_add_text(sealed, text);
    int result = text ? 0 : answer ? err_set(err, "the hub's helper has made no preshared key") : -1;
    cJSON_Delete(answer);
    return result;
}

static int stage(struct join_hub *hub, struct err *err)
{
    const struct invitation_record *record = &hub->entry.record;
    struct buf members = BUF_EMPTY;
    struct json json = json_begin(&members);
    json_number(&json, "within", JOIN_HUB_WITHIN);
    json_text(&json, "generation", record->generation ? record->generation : "");
    buf_add_text(&members, ",\"operations\":");
    int result = invitation_operations(record->hub, &record->place, &hub->key, &members, err);
    hub->guard = clock_steady() + JOIN_HUB_WITHIN * CLOCK_SECOND;
    cJSON *answer = result ? NULL : ask(hub, "stage", buf_text(&members), stage_patience, err);
    if (answer) {
        hub->step = JOIN_HUB_STAGED;
        cJSON_Delete(answer);
        answer = ask(hub, "finish", "\"within\":0", stage_patience, err);
    }
    result = answer ? 0 : -1;
    cJSON_Delete(answer);
    buf_free(&members);
    return result;
}

static int let_in(struct join_hub *hub, struct err *err)
{
    struct device device = {0};
    struct buf sealed = BUF_EMPTY;
    cJSON *begun = begin(hub, err);
    const char *box = json_get_text(begun, "box", "");
    int result = begun ? invite_device(hub->interface, &device, err) : -1;
    if (!result)
        result = check_rows(hub, &device, err) || make_preshared(hub, &sealed, err) || write_answer(hub, &device, box, &sealed, err) || stage(hub, err) ? -1 : 0;
    if (result && hub->helper) {
        struct err back;
        char code[HELPER_PIPE_CODE];
        memcpy(code, hub->code, sizeof code);
        if (hub->step != JOIN_HUB_STAGED)
            cJSON_Delete(ask(hub, "release", NULL, begin_patience, &back));
        (void)join_hub_put_back(hub, &back);
        memcpy(hub->code, code, sizeof code);
    }
    cJSON_Delete(begun);
    device_free(&device);
    buf_free(&sealed);
    return result;
}

/* The record under the lock of all of them; lines of others that are over are burnt on the way. */
static int look_up(struct join_hub *hub, struct err *err)
{
    int lock = hub->interface ? invite_lock(hub->interface, err) : -1;
    if (hub->interface && lock < 0)
        return fail(hub, "busy");
    if (lock >= 0)
        invite_sweep(hub->interface, NULL, NULL);
    int result = read_entry(hub, err);
    change_turn_end(lock);
    /* Joining, of one that broke off: what came of it is told by the interface, once its lock is ours. */
    return result || (hub->entry.record.state == INVITATION_JOINING ? 0 : check_state(hub, err)) ? -1 : 0;
}

int join_hub_join(struct join_hub *hub, const cJSON *request, struct err *err)
{
    if (hub->step != JOIN_HUB_NEW) {
        err_set(err, "this was asked for already");
        return fail(hub, "refused");
    }
    if (read_request(hub, request, err))
        return -1;
    if (hub->lock < 0 && (hub->lock = invite_join_lock(hub->id, lock_patience, NULL)) < 0) {
        err_set(err, "somebody joins with this invitation just now");
        return fail(hub, "busy");
    }
    return look_up(hub, err) ? -1 : let_in(hub, err);
}

/* --- check */

struct seen_link { int64_t rtt; };

static void on_link(void *context, const cJSON *event)
{
    struct seen_link *link = context;
    if (!strcmp(json_get_text(event, "event", ""), "link"))
        link->rtt = json_get_number(event, "rtt", 0, INT64_MAX, -1);
}

static int need(struct join_hub *hub, enum join_hub_step step, struct err *err)
{
    if (hub->step == step)
        return 0;
    err_set(err, step == JOIN_HUB_KEPT || hub->step == JOIN_HUB_NEW ? "nothing was asked for yet" : "it is kept already");
    return fail(hub, "refused");
}

int join_hub_check(struct join_hub *hub, const cJSON *request, struct err *err)
{
    const struct invitation_record *record = &hub->entry.record;
    struct seen_link link = {-1};
    struct buf members = BUF_EMPTY;
    struct json json = json_begin(&members);
    char key[KEY_TEXT_SIZE];
    (void)request;
    if (need(hub, JOIN_HUB_STAGED, err))
        return -1;
    key_text(&hub->key, key);
    json_number(&json, "within", CHECK_WITHIN);
    json_list(&json, "links");
    json_object(&json, NULL);
    json_text(&json, "key", key);
    json_list(&json, "addresses");
    for (size_t i = 0; i < record->address_count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        address_text(&record->addresses[i].address, text);
        json_text(&json, NULL, text);
    }
    json_list_end(&json);
    json_bool(&json, "lead", false);
    json_object_end(&json);
    json_list_end(&json);
    helper_pipe_events(hub->helper, on_link, &link);
    cJSON *answer = ask(hub, "verify", buf_text(&members), CHECK_WITHIN + 5, err);
    helper_pipe_events(hub->helper, NULL, NULL);
    buf_free(&members);
    const cJSON *failed = cJSON_GetArrayItem(json_get_list(answer, "failed"), 0);
    int result = !answer ? -1 : failed ? err_set(err, "%s", json_get_text(failed, "why", "the link is dead")) : 0;
    struct json out = json_begin(&hub->answer);
    if (!result && link.rtt >= 0)
        json_number(&out, "rtt", link.rtt);
    cJSON_Delete(answer);
    return result ? fail(hub, "failed") : 0;
}

/* --- keep */

static void note(struct join_hub *hub)
{
    struct invitation_record *record = &hub->entry.record;
    record->has_key = true;
    record->key = hub->key;
    record->at = now_seconds();
    free(record->from);
    free(record->hostname);
    free(record->host_key);
    record->from = mem_text(hub->from);
    record->hostname = *hub->hostname ? mem_text(hub->hostname) : NULL;
    record->host_key = *hub->host_key ? mem_text(hub->host_key) : NULL;
}

/* The helper has put the row back, or is about to. */
static void open_again(struct join_hub *hub)
{
    struct device device = {0};
    if (hub->entry.record.state == INVITATION_JOINING && !invite_device(hub->interface, &device, NULL))
        (void)invite_settle(&hub->entry, &device);
    device_free(&device);
}

static int keep_locked(struct join_hub *hub, struct err *err)
{
    if (read_entry(hub, err))
        return -1;
    struct invitation_record *record = &hub->entry.record;
    bool again = record->state == INVITATION_USED && is_ours(hub);
    if (!again && record->state != INVITATION_OPEN && record->state != INVITATION_JOINING && record->state != INVITATION_EXPIRED)
        return check_state(hub, err); /* who began in time may finish */
    if (!again) {
        record->state = INVITATION_JOINING;
        note(hub);
        if (invite_write(&hub->entry, err))
            return -1;
    }
    cJSON *answer = ask(hub, "confirm", NULL, confirm_patience, err);
    if (!answer) {
        (void)join_hub_put_back(hub, NULL);
        open_again(hub);
        return fail(hub, "failed");
    }
    cJSON_Delete(answer);
    hub->step = JOIN_HUB_KEPT;
    record->state = INVITATION_USED;
    (void)invite_write(&hub->entry, NULL); /* "joining" with a row that is kept means the same */
    return 0;
}

int join_hub_keep(struct join_hub *hub, const cJSON *request, struct err *err)
{
    (void)request;
    if (hub->step == JOIN_HUB_KEPT)
        return 0;
    if (need(hub, JOIN_HUB_STAGED, err))
        return -1;
    int lock = invite_lock(hub->interface, err);
    if (lock < 0)
        return fail(hub, "failed");
    int result = keep_locked(hub, err);
    change_turn_end(lock);
    if (result) {
        struct err back;
        char code[HELPER_PIPE_CODE];
        memcpy(code, hub->code, sizeof code);
        (void)join_hub_put_back(hub, &back);
        memcpy(hub->code, code, sizeof code);
        hub->over = true;
    }
    return result;
}

/* --- the ends */

int join_hub_give_up(struct join_hub *hub, const cJSON *request, struct err *err)
{
    (void)request;
    if (hub->step == JOIN_HUB_KEPT) {
        err_set(err, "it is kept already");
        return fail(hub, "refused");
    }
    hub->over = true;
    return join_hub_put_back(hub, err) ? fail(hub, "failed") : 0;
}

/* The newcomer knows that it is kept: nobody needs the line any more. */
int join_hub_bye(struct join_hub *hub, const cJSON *request, struct err *err)
{
    (void)request;
    if (need(hub, JOIN_HUB_KEPT, err))
        return -1;
    hub->over = true;
    int lock = invite_lock(hub->interface, err);
    int result = lock < 0 || read_entry(hub, err) || invite_burn(&hub->entry, err) ? fail(hub, "failed") : 0;
    change_turn_end(lock);
    return result;
}
