/* stage: everything that can be found out is found out, the old state is written down, the guard starts; only then is anything touched, and only added. */
#include "change_session.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot.h"
#include "state_parts.h"
#include "wgdeck/apply.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

static const double turn_patience = 10;

/* What stage works with; all of it goes at the end. */
struct staging {
    struct change_session *session;
    const cJSON *request;
    double within;
    struct state_keys *keys;
    struct change_journal journal; /* .old is what runs */
    struct state staged, final;
    struct buf old_file, file;     /* hold secrets */
    size_t at;                     /* of the operation that cannot be; SIZE_MAX: none in particular */
};

/* --- reading the request */

static int read_operations(struct staging *staging, struct err *err)
{
    struct change_session *session = staging->session;
    const cJSON *list = json_get_list(staging->request, "operations"), *item;
    size_t count = list ? (size_t)cJSON_GetArraySize(list) : 0;
    if (!list || count > APPLY_OPERATIONS_MAX)
        return err_set(err, list ? "more than %d operations" : "operations is not a list of at most %d", APPLY_OPERATIONS_MAX);
    session->operations = mem_alloc(count + 1, sizeof *session->operations);
    cJSON_ArrayForEach(item, list) {
        if (plan_operation_from_json(item, &session->operations[session->operation_count], err)) {
            staging->at = session->operation_count;
            return -1;
        }
        session->operation_count++;
    }
    return 0;
}

static int read_sealed(struct staging *staging, struct err *err)
{
    const cJSON *list = json_get_list(staging->request, "sealed"), *item;
    cJSON_ArrayForEach(item, list) {
        struct key public_key;
        if (key_parse(json_get_text(item, "key", ""), &public_key))
            return err_set(err, "sealed: key is not the key of a row");
        if (change_preshared_take(staging->session->secrets, &public_key, json_get_text(item, "sealed", ""), err))
            return -1;
    }
    return 0;
}

static int read_request(struct staging *staging, struct err *err)
{
    const cJSON *within = cJSON_GetObjectItemCaseSensitive(staging->request, "within");
    const char *generation = json_get_text(staging->request, "generation", "");
    staging->within = !within ? APPLY_WITHIN_DEFAULT : cJSON_IsNumber(within) ? within->valuedouble : 0;
    if (!(staging->within >= APPLY_WITHIN_LEAST && staging->within <= APPLY_WITHIN_MOST))
        return err_set(err, "within is not a number of seconds from %d to %d", APPLY_WITHIN_LEAST, APPLY_WITHIN_MOST);
    if (strlen(generation) > CHANGE_GENERATION_MAX || strspn(generation, "0123456789abcdef-") != strlen(generation))
        return err_set(err, "generation is not one");
    staging->journal.generation = *generation ? mem_text(generation) : NULL;
    return read_operations(staging, err) || read_sealed(staging, err) ? -1 : 0;
}

/* --- what will be */

static bool names_kind(const struct change_session *session, enum plan_kind kind)
{
    for (size_t i = 0; i < session->operation_count; i++)
        if (session->operations[i].kind == kind)
            return true;
    return false;
}

static bool is_saved(const struct change_session *session)
{
    for (size_t i = 0; i < session->operation_count; i++)
        if (session->operations[i].saved || session->operations[i].kind == PLAN_FILE)
            return true;
    return false;
}

static int compute(struct staging *staging, struct err *err)
{
    const struct change_session *session = staging->session;
    struct change_journal *journal = &staging->journal;
    if (change_read_state(session->name, &journal->old, err))
        return -1;
    staging->keys = change_session_keys(session, session->operations, session->operation_count, err);
    if (!staging->keys)
        return -1;
    if (state_after(&journal->old, session->operations, session->operation_count, STATE_STAGE, staging->keys, &staging->staged, &staging->at, err) ||
        state_after(&staging->staged, session->operations, session->operation_count, STATE_FINISH, staging->keys, &staging->final, &staging->at, err))
        return -1;
    staging->at = SIZE_MAX;
    journal->finish_needed = !state_equal(&staging->staged, &staging->final);
    return 0;
}

/* --- what could be in the way */

static int check_port(const struct staging *staging, struct err *err)
{
    const struct state *old = &staging->journal.old;
    uint16_t port = staging->final.exists ? staging->final.device.listen_port : 0;
    if (!port || (old->exists && old->up && old->device.listen_port == port))
        return 0;
    return state_port_is_free(old->name, port, err);
}

static int prepare_file(struct staging *staging, struct err *err)
{
    struct change_session *session = staging->session;
    struct change_journal *journal = &staging->journal;
    if (change_file_look(session->name, journal, &staging->old_file, err))
        return -1;
    journal->takes_away = names_kind(session, PLAN_INTERFACE_REMOVE);
    if (journal->takes_away)
        return change_file_check_folders(journal, err);
    if (!is_saved(session))
        return 0;
    if (state_file(journal->file, journal->file_exists ? buf_text(&staging->old_file) : NULL, staging->old_file.length, &staging->final, session->operations, session->operation_count,
                   staging->keys, &staging->file, err))
        return -1;
    if (journal->file_exists && staging->file.length == staging->old_file.length && !memcmp(staging->file.data, staging->old_file.data, staging->file.length))
        return 0;
    return change_file_prepare(journal, &staging->file, err);
}

static int check(struct staging *staging, struct err *err)
{
    struct change_journal *journal = &staging->journal;
    if (check_port(staging, err) || prepare_file(staging, err))
        return -1;
    journal->service = !journal->takes_away && names_kind(staging->session, PLAN_SERVICE);
    return journal->service ? boot_check(change_root, staging->session->name, err) : 0;
}

/* --- doing it */

static int write_journal(struct staging *staging, struct err *err)
{
    struct change_session *session = staging->session;
    struct change_journal *journal = &staging->journal;
    snprintf(journal->id, sizeof journal->id, "%s", session->id);
    snprintf(journal->name, sizeof journal->name, "%s", session->name);
    journal->owner = mem_text(session->owner);
    change_boot_identity(journal->boot);
    journal->began = clock_wall();
    journal->deadline = session->deadline = clock_steady() + (int64_t)(staging->within * (double)CLOCK_SECOND);
    journal->step = CHANGE_STAGED;
    state_endpoints_stay(&journal->old, session->operations, session->operation_count);
    return change_journal_write(journal, err);
}

static void tell_did(struct staging *staging)
{
    const struct change_session *session = staging->session;
    for (size_t i = 0; i < session->operation_count; i++) {
        enum plan_kind kind = session->operations[i].kind;
        if (plan_kinds[kind].subtractive || kind == PLAN_PRIVATE_KEY)
            continue;
        struct json json = server_event(session->server, server_request(staging->request), "did");
        json_unsigned(&json, "index", i);
        server_send(session->server, &json);
    }
}

/* From the journal on. -1: all is put back, or ERR says that it is not. */
static int touch(struct staging *staging, struct err *err)
{
    struct change_session *session = staging->session;
    struct err back;
    if (write_journal(staging, err))
        return -1;
    int guard = guard_start(session->name, session->lock, err);
    if (guard < 0) {
        (void)change_journal_remove(session->name, NULL);
        return -1;
    }
    change_session_guarded(session, guard);
    if (!state_reach(&staging->journal.old, &staging->staged, err))
        return 0;
    if (change_put_back(&staging->journal, err->text, &back))
        return err_set(err, "%s; and the old state cannot be put back yet, the guard goes on trying: %s", err->text, back.text);
    (void)change_session_unguarded(session);
    return -1;
}

static int stage(struct staging *staging, struct err *err)
{
    if (change_journal_is_there(staging->session->name, staging->session->id))
        return err_set(err, "a change that was staged under this ID is there still");
    if (compute(staging, err) || check(staging, err) || touch(staging, err)) {
        if (staging->session->guard < 0)
            change_file_drop(&staging->journal);
        return -1;
    }
    tell_did(staging);
    return 0;
}

static void staging_free(struct staging *staging)
{
    change_journal_free(&staging->journal);
    state_free(&staging->staged);
    state_free(&staging->final);
    buf_wipe(&staging->old_file);
    buf_wipe(&staging->file);
    sodium_free(staging->keys);
}

void change_stage(struct server *server, const cJSON *request)
{
    struct staging staging = {.request = request, .at = SIZE_MAX};
    uint64_t id = server_request(request);
    struct err err;
    staging.session = change_session_of(server, request, false);
    if (!staging.session)
        return;
    int result = read_request(&staging, &err), turn = -1;
    if (result) {
        server_refuse(server, id, "refused", err.text, staging.at);
    } else if ((turn = change_turn(staging.session->name, turn_patience, NULL, &err)) < 0) {
        result = -1;
        server_refuse(server, id, "busy", err.text, SIZE_MAX);
    } else if ((result = stage(&staging, &err)) != 0) {
        server_refuse(server, id, staging.session->guard < 0 ? "failed" : "guarded", err.text, staging.at);
    } else {
        struct json json = server_answer(server, id);
        server_send(server, &json);
    }
    change_turn_end(turn);
    if (result && staging.session->guard < 0)
        change_session_drop_operations(staging.session);
    staging_free(&staging);
}
