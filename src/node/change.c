/* The helper's operations that begin and end a change (wgdeck/apply.h); stage and finish are in files of their own. */
#include "change_session.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/apply.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static const double idle_most = 45;     /* seconds between two requests while nothing is staged: a deck that is cut off must not lock others out */
static const double lock_patience = 2;  /* for a guard that is about to end */
static const double guard_patience = 3; /* the same, of a change of ours */

enum { GUARD_TRIES = 3 };

/* --- the session */

static void on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct change_session *session = timer->data;
    *server_change(session->server) = NULL;
    change_session_end(session);
}

/* The guard has ended: the change was confirmed or put back by another helper or by the guard itself; or the guard was killed, and another takes its place. */
static void on_guard_end(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct change_session *session = watcher->data;
    struct err err;
    ev_io_stop(loop, watcher);
    close(session->guard);
    session->guard = -1;
    if (change_journal_is_there(session->name, session->id) && change_lock_again(session->lock)) {
        int guard = -1;
        for (int i = 0; i < GUARD_TRIES && guard < 0 && clock_steady() < session->deadline; i++)
            guard = guard_start(session->name, session->lock, &err);
        if (guard >= 0) {
            change_session_guarded(session, guard);
            return;
        }
        (void)change_revert(session->name, session->id, "its guard was killed", &err);
    }
    change_say_unknown(session->name, session->id, &err);
    change_wait_end(session, err.text);
    *server_change(session->server) = NULL;
    change_session_end(session);
}

static struct change_session *session_new(struct server *server, const char *id, const char *name, const char *owner)
{
    struct change_session *session = mem_alloc(1, sizeof *session);
    session->server = server;
    session->lock = session->guard = -1;
    session->owner = mem_text(owner);
    snprintf(session->id, sizeof session->id, "%s", id);
    snprintf(session->name, sizeof session->name, "%s", name);
    ev_timer_init(&session->idle, on_idle, 0., idle_most);
    ev_init(&session->guard_end, on_guard_end);
    session->idle.data = session->guard_end.data = session;
    ev_timer_again(server_loop(server), &session->idle);
    return session;
}

void change_session_drop_operations(struct change_session *session)
{
    for (size_t i = 0; i < session->operation_count; i++)
        plan_operation_free(&session->operations[i]);
    free(session->operations);
    session->operations = NULL;
    session->operation_count = 0;
}

void change_session_end(struct change_session *session)
{
    if (!session)
        return;
    change_wait_end(session, NULL);
    ev_timer_stop(server_loop(session->server), &session->idle);
    ev_io_stop(server_loop(session->server), &session->guard_end);
    /* The guard, if there is one, has inherited the lock and keeps it. */
    if (session->guard >= 0)
        close(session->guard);
    if (session->lock >= 0)
        close(session->lock);
    change_session_drop_operations(session);
    change_secrets_free(session->secrets);
    free(session->owner);
    free(session);
}

void change_session_guarded(struct change_session *session, int guard)
{
    session->guard = guard;
    ev_timer_stop(server_loop(session->server), &session->idle);
    ev_io_set(&session->guard_end, guard, EV_READ);
    ev_io_start(server_loop(session->server), &session->guard_end);
}

bool change_session_unguarded(struct change_session *session)
{
    if (session->guard >= 0) {
        ev_io_stop(server_loop(session->server), &session->guard_end);
        (void)guard_wait_end(session->guard, guard_patience);
        session->guard = -1;
        ev_timer_again(server_loop(session->server), &session->idle);
    }
    return change_lock_again(session->lock);
}

static void end_session_of(struct server *server, const char *id)
{
    struct change_session *session = *server_change(server);
    if (!session || strcmp(session->id, id) != 0)
        return;
    (void)change_session_unguarded(session);
    *server_change(server) = NULL;
    change_session_end(session);
}

static void refuse(struct server *server, const cJSON *request, enum change_outcome outcome, const char *text)
{
    server_refuse(server, server_request(request), change_codes[outcome], text, SIZE_MAX);
}

struct change_session *change_session_of(struct server *server, const cJSON *request, bool staged)
{
    struct change_session *session = *server_change(server);
    const char *id = json_get_text(request, "change", "");
    if (!session || strcmp(session->id, id) != 0) {
        refuse(server, request, CHANGE_UNKNOWN, "no such change was begun over this channel, or it has ended since");
        return NULL;
    }
    if ((session->guard >= 0) != staged) {
        refuse(server, request, CHANGE_IS_REFUSED, staged ? "nothing is staged" : "it is staged already: finish, confirm or revert");
        return NULL;
    }
    if (!change_lock_again(session->lock)) {
        refuse(server, request, CHANGE_UNKNOWN, "the change has ended, and somebody else has the lock now");
        *server_change(server) = NULL;
        change_session_end(session);
        return NULL;
    }
    if (!staged)
        ev_timer_again(server_loop(server), &session->idle);
    return session;
}

struct state_keys *change_session_keys(const struct change_session *session, const struct plan_operation *operations, size_t count, struct err *err)
{
    struct state_keys *keys = sodium_malloc((sizeof *keys + 7) & ~(size_t)7);
    bool next = false;
    if (!keys) {
        err_set(err, "no guarded memory is left for keys");
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        next = next || operations[i].kind == PLAN_PRIVATE_KEY;
    *keys = (struct state_keys){.private_key = next ? session->secrets->next_key : session->secrets->private_key, .preshared = session->secrets->preshared};
    return keys;
}

/* --- what a request says */

/* The members that all have. False: refused. */
static bool read_names(struct server *server, const cJSON *request, const char **id, const char **name)
{
    *id = json_get_text(request, "change", "");
    *name = json_get_text(request, "interface", "");
    if (!change_id_is_valid(*id))
        refuse(server, request, CHANGE_IS_REFUSED, "change is not 16 hexadecimal digits");
    else if (!device_name_is_valid(*name))
        refuse(server, request, CHANGE_IS_REFUSED, "interface is not the name of one");
    else if (geteuid() != 0 && !*change_root)
        refuse(server, request, CHANGE_IS_REFUSED, "changes need root (log in as root, or allow sudo)");
    else
        return true;
    return false;
}

static const char *read_owner(const cJSON *request)
{
    const char *owner = json_get_text(request, "owner", "");
    size_t length = strlen(owner);
    return length && length <= CHANGE_OWNER_MAX && text_is_safe(owner, length) ? owner : NULL;
}

/* --- begin */

static void answer_locked(struct server *server, const cJSON *request, const char *name, const struct buf *holder)
{
    struct buf text = BUF_EMPTY;
    char *pending = change_pending(name);
    buf_add_text(&text, buf_text(holder));
    if (pending)
        buf_add_format(&text, " (not confirmed: %s)", pending);
    free(pending);
    server_refuse(server, server_request(request), "locked", buf_text(&text), SIZE_MAX);
    buf_free(&text);
}

static void add_public(struct json *json, const char *key, const struct key *private_key)
{
    struct key public_key;
    char text[KEY_TEXT_SIZE];
    if (key_is_zero(private_key)) {
        json_null(json, key);
        return;
    }
    key_public(private_key, &public_key);
    key_text(&public_key, text);
    json_text(json, key, text);
}

static void answer_begin(struct change_session *session, const cJSON *request, const char *recovered)
{
    struct json json = server_answer(session->server, server_request(request));
    char box[KEY_TEXT_SIZE];
    struct key public_box;
    memcpy(public_box.bytes, session->secrets->box_public, sizeof public_box.bytes);
    key_text(&public_box, box);
    add_public(&json, "public_key", &session->secrets->private_key);
    add_public(&json, "next_public_key", &session->secrets->next_key);
    json_text(&json, "box", box);
    json_text(&json, "recovered", recovered && *recovered ? recovered : NULL);
    server_send(session->server, &json);
}

static int find_keys(struct change_session *session, const cJSON *request, struct err *err)
{
    struct state state;
    int result = change_read_state(session->name, &state, err);
    if (!result)
        result = change_keys_find(session->name, &state, json_get_bool(request, "make_key", false), json_get_bool(request, "next_key", false), session->secrets, err);
    state_free(&state);
    return result;
}

static int begin_locked(struct change_session *session, const cJSON *request, struct err *err)
{
    struct buf recovered = BUF_EMPTY;
    int result = change_recover(session->name, &recovered, err);
    session->secrets = result ? NULL : change_secrets_new(err);
    if (!session->secrets || find_keys(session, request, err))
        result = -1;
    if (!result)
        answer_begin(session, request, buf_text(&recovered));
    buf_free(&recovered);
    return result;
}

/* One that was begun here before: the same again, or forgotten for a new one. False: refused. */
static bool leave_earlier(struct server *server, const cJSON *request)
{
    struct change_session *earlier = *server_change(server);
    if (!earlier)
        return true;
    /* Confirmed or put back over another channel, and the guard's end is not noticed yet. */
    if (earlier->guard >= 0 && !change_journal_is_there(earlier->name, earlier->id)) {
        change_wait_end(earlier, "the change has ended");
        (void)change_session_unguarded(earlier);
    }
    if (earlier->guard >= 0) {
        refuse(server, request, CHANGE_BUSY, "a change is staged over this channel: confirm or revert comes first");
        return false;
    }
    change_unlock(&earlier->lock);
    *server_change(server) = NULL;
    change_session_end(earlier);
    return true;
}

static void begin(struct server *server, const cJSON *request)
{
    const char *id, *name, *owner = read_owner(request);
    struct buf holder = BUF_EMPTY;
    struct err err;
    if (!read_names(server, request, &id, &name) || !leave_earlier(server, request))
        return;
    if (!owner) {
        refuse(server, request, CHANGE_IS_REFUSED, "owner is not 1 to 128 bytes of safe text");
        return;
    }
    struct change_session *session = session_new(server, id, name, owner);
    int result = change_make_folder(name, &err);
    if (!result)
        result = change_lock(name, id, owner, lock_patience, &session->lock, &holder, &err);
    if (!result)
        result = begin_locked(session, request, &err);
    if (result == 1)
        answer_locked(server, request, name, &holder);
    else if (result)
        refuse(server, request, CHANGE_FAILED, err.text);
    if (result) {
        change_unlock(&session->lock);
        change_session_end(session);
    } else {
        *server_change(server) = session;
    }
    buf_free(&holder);
}

/* --- preshared keys */

static int seal_one(struct change_session *session, const cJSON *item, struct json *json, struct err *err)
{
    struct key public_key;
    struct buf sealed = BUF_EMPTY;
    char text[KEY_TEXT_SIZE];
    if (key_parse(json_get_text(item, "key", ""), &public_key))
        return err_set(err, "key is not the key of a row");
    int result = change_preshared_make(session->secrets, &public_key, json_get_text(item, "box", ""), &sealed, err);
    if (!result) {
        key_text(&public_key, text);
        json_object(json, NULL);
        json_text(json, "key", text);
        json_text(json, "sealed", buf_text(&sealed));
        json_object_end(json);
    }
    buf_free(&sealed);
    return result;
}

static void preshared(struct server *server, const cJSON *request)
{
    struct change_session *session = change_session_of(server, request, false);
    const cJSON *list = json_get_list(request, "for"), *item;
    struct buf sealed = BUF_EMPTY;
    struct json json = json_begin(&sealed);
    struct err err;
    int result = 0;
    if (!session)
        return;
    cJSON_ArrayForEach(item, list)
        if (!result)
            result = seal_one(session, item, &json, &err);
    if (!list || result) {
        refuse(server, request, CHANGE_IS_REFUSED, list ? err.text : "for is not a list");
    } else {
        struct json answer = server_answer(server, server_request(request));
        json_list(&answer, "sealed");
        buf_add(answer.buf, buf_text(&sealed), sealed.length);
        json_list_end(&answer);
        server_send(server, &answer);
    }
    buf_free(&sealed);
}

/* --- the end of it */

static void answer_warnings(struct server *server, const cJSON *request, const struct buf *warnings)
{
    struct json json = server_answer(server, server_request(request));
    json_list(&json, "warnings");
    for (const char *at = buf_text(warnings); *at;) {
        size_t length = strcspn(at, "\n");
        json_text_part(&json, NULL, at, length);
        at += length + (at[length] == '\n');
    }
    json_list_end(&json);
    server_send(server, &json);
}

/* Over this channel it waits for handshakes, and what is asked would come in between. */
static bool is_waiting(struct server *server, const char *id)
{
    const struct change_session *session = *server_change(server);
    return session && session->wait && !strcmp(session->id, id);
}

static void confirm(struct server *server, const cJSON *request)
{
    const char *id, *name;
    struct buf warnings = BUF_EMPTY;
    struct err err;
    if (!read_names(server, request, &id, &name))
        return;
    if (is_waiting(server, id)) {
        refuse(server, request, CHANGE_BUSY, "finish is still under way");
        return;
    }
    enum change_outcome outcome = change_confirm(name, id, &warnings, &err);
    if (outcome == CHANGE_DONE || (outcome == CHANGE_FAILED && !change_journal_is_there(name, id)))
        end_session_of(server, id);
    if (outcome == CHANGE_DONE)
        answer_warnings(server, request, &warnings);
    else
        refuse(server, request, outcome, err.text);
    buf_free(&warnings);
}

static void revert(struct server *server, const cJSON *request)
{
    const char *id, *name;
    struct err err;
    if (!read_names(server, request, &id, &name))
        return;
    if (is_waiting(server, id))
        change_wait_end(*server_change(server), "the change is put back");
    enum change_outcome outcome = change_revert(name, id, "the operator's side asked for it", &err);
    if (outcome != CHANGE_DONE && outcome != CHANGE_IS_REFUSED) {
        refuse(server, request, outcome, err.text);
        return;
    }
    end_session_of(server, id);
    if (outcome == CHANGE_IS_REFUSED) {
        refuse(server, request, outcome, err.text);
        return;
    }
    struct json json = server_answer(server, server_request(request));
    json_bool(&json, "restored", true);
    server_send(server, &json);
}

static void release(struct server *server, const cJSON *request)
{
    const char *id = json_get_text(request, "change", "");
    struct change_session *session = *server_change(server);
    if (session && !strcmp(session->id, id)) {
        if (session->guard >= 0) {
            refuse(server, request, CHANGE_IS_REFUSED, "it is staged: confirm or revert");
            return;
        }
        change_unlock(&session->lock);
        *server_change(server) = NULL;
        change_session_end(session);
    }
    struct json json = server_answer(server, server_request(request));
    server_send(server, &json);
}

const struct server_operation serve_change_operations[] = {
    {"begin", begin}, {"preshared", preshared}, {"stage", change_stage}, {"finish", change_finish}, {"confirm", confirm}, {"revert", revert}, {"release", release}, {0},
};
