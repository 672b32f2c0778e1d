/* finish: keepalives and a new key first; then it waits until new rows that take over have had their handshake; then what is subtractive. While it waits, others (the guard, a revert)
 * may act. */
#include "change_session.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

enum { WITHIN_DEFAULT = 20, WITHIN_MOST = 600 };
static const double look_every = 0.05, turn_patience = 10;

struct change_wait {
    uint64_t request;
    int64_t since;      /* wall clock: a handshake since then counts */
    int64_t until;      /* clock_steady */
    ev_timer timer;
    struct key missing; /* of the row that was looked at last */
    size_t index;
};

static void wait_free(struct change_session *session)
{
    ev_timer_stop(server_loop(session->server), &session->wait->timer);
    free(session->wait);
    session->wait = NULL;
}

void change_wait_end(struct change_session *session, const char *why)
{
    if (!session->wait)
        return;
    if (why)
        server_refuse(session->server, session->wait->request, "failed", why, SIZE_MAX);
    wait_free(session);
}

/* --- reaching */

/* Those that may be done before the handshakes; borrowed from the session's. */
static struct plan_operation *additive(const struct change_session *session, size_t *count)
{
    struct plan_operation *operations = mem_alloc(session->operation_count + 1, sizeof *operations);
    *count = 0;
    for (size_t i = 0; i < session->operation_count; i++)
        if (!plan_kinds[session->operations[i].kind].subtractive)
            operations[(*count)++] = session->operations[i];
    return operations;
}

static int reach(const struct change_session *session, const struct plan_operation *operations, size_t count, size_t *at, struct err *err)
{
    struct state now = {0}, after = {0};
    struct state_keys *keys = change_session_keys(session, session->operations, session->operation_count, err);
    int result = keys ? change_read_state(session->name, &now, err) : -1;
    if (!result)
        result = state_after(&now, operations, count, STATE_FINISH, keys, &after, at, err);
    if (!result) {
        *at = SIZE_MAX;
        result = state_reach(&now, &after, err);
    }
    state_free(&now);
    state_free(&after);
    sodium_free(keys);
    return result;
}

static void tell_did(struct change_session *session, uint64_t request, bool subtractive)
{
    for (size_t i = 0; i < session->operation_count; i++) {
        enum plan_kind kind = session->operations[i].kind;
        if (subtractive ? !plan_kinds[kind].subtractive : kind != PLAN_PRIVATE_KEY)
            continue;
        struct json json = server_event(session->server, request, "did");
        json_unsigned(&json, "index", i);
        server_send(session->server, &json);
    }
}

/* --- a new key of ours: nobody would notice it before there is traffic, and rows that wait for its handshake would wait */

static void nudge(int descriptor, struct prefix to)
{
    static const uint16_t discard = 9;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(discard)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(discard)};
    struct prefix network = prefix_network(&to);
    if (to.length < address_bits(&to.address))
        network.address.bytes[to.address.family == AF_INET ? 3 : 15] |= 1;
    memcpy(&v4.sin_addr, network.address.bytes, sizeof v4.sin_addr);
    memcpy(&v6.sin6_addr, network.address.bytes, sizeof v6.sin6_addr);
    bool is_v4 = to.address.family == AF_INET;
    if (sendto(descriptor, "", 0, MSG_DONTWAIT | MSG_NOSIGNAL, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6, is_v4 ? sizeof v4 : sizeof v6) < 0)
        errno = 0; /* a row without an endpoint cannot be the first to speak */
}

/* An empty packet through each row: the engine begins a handshake for it. */
static void nudge_rows(const struct change_session *session)
{
    struct state state;
    int v4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), v6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (v4 >= 0)
        setsockopt(v4, SOL_SOCKET, SO_BINDTODEVICE, session->name, (socklen_t)strlen(session->name));
    if (v6 >= 0)
        setsockopt(v6, SOL_SOCKET, SO_BINDTODEVICE, session->name, (socklen_t)strlen(session->name));
    (void)state_read(session->name, &state, NULL);
    for (size_t i = 0; i < state.device.peer_count; i++) {
        const struct device_peer *row = &state.device.peers[i];
        if (row->allowed_count)
            nudge(row->allowed[0].address.family == AF_INET ? v4 : v6, row->allowed[0]);
    }
    state_free(&state);
    if (v4 >= 0)
        close(v4);
    if (v6 >= 0)
        close(v6);
}

static bool has_new_key(const struct change_session *session)
{
    bool found = false;
    for (size_t i = 0; i < session->operation_count; i++)
        found = found || session->operations[i].kind == PLAN_PRIVATE_KEY;
    return found;
}

/* The turn, and the journal as it is now. Else refused, and -1. */
static int take_turn(struct change_session *session, uint64_t request, struct change_journal *journal)
{
    struct err err;
    int turn = change_turn(session->name, turn_patience, NULL, &err);
    if (turn < 0) {
        server_refuse(session->server, request, "busy", err.text, SIZE_MAX);
        return -1;
    }
    int result = change_journal_read(session->name, journal, &err);
    if (!result && !strcmp(journal->id, session->id))
        return turn;
    if (!result)
        change_journal_free(journal);
    if (result >= 0)
        change_say_unknown(session->name, session->id, &err);
    server_refuse(session->server, request, result < 0 ? "failed" : "unknown-change", err.text, SIZE_MAX);
    change_turn_end(turn);
    return -1;
}

/* All is put back at once, and the session is one that has nothing staged. */
static void fail(struct change_session *session, uint64_t request, struct change_journal *journal, const char *why, size_t at)
{
    struct err back, err;
    if (change_put_back(journal, why, &back)) {
        err_set(&err, "%s; and the old state cannot be put back yet, the guard goes on trying: %s", why, back.text);
    } else {
        err_set(&err, "%s; the old state is put back", why);
        (void)change_session_unguarded(session);
        change_session_drop_operations(session);
    }
    server_refuse(session->server, request, session->guard < 0 ? "failed" : "guarded", err.text, at);
}

/* --- the two parts */

static void finish_last(struct change_session *session, uint64_t request)
{
    struct change_journal journal;
    struct err err;
    size_t at = SIZE_MAX;
    int turn = take_turn(session, request, &journal);
    if (turn < 0)
        return;
    int result = reach(session, session->operations, session->operation_count, &at, &err);
    if (!result) {
        journal.step = CHANGE_FINISHED;
        result = change_journal_write(&journal, &err);
    }
    if (result) {
        fail(session, request, &journal, err.text, at);
    } else {
        tell_did(session, request, true);
        struct json json = server_answer(session->server, request);
        server_send(session->server, &json);
    }
    change_journal_free(&journal);
    change_turn_end(turn);
}

/* Have all rows that take over had a handshake since the change began? Else the first that has not, in WAIT. */
static bool have_handshakes(const struct change_session *session, struct change_wait *wait)
{
    struct device device = {.name = ""};
    bool known = false, all = true;
    for (size_t i = 0; i < session->operation_count && all; i++) {
        const struct plan_operation *operation = &session->operations[i];
        if (operation->kind != PLAN_ROW_MOVE || !operation->running)
            continue;
        if (!known) {
            struct state state;
            if (state_read(session->name, &state, NULL)) {
                state_free(&state);
                return false;
            }
            device = state.device;
            state.device = (struct device){.name = ""};
            state_free(&state);
            known = true;
        }
        const struct device_peer *row = device_find_peer(&device, &operation->key);
        all = row && row->handshake >= wait->since;
        wait->missing = operation->key;
        wait->index = i;
    }
    if (known)
        device_free(&device);
    return all;
}

static void fail_waiting(struct change_session *session)
{
    struct change_wait wait = *session->wait;
    struct change_journal journal;
    struct buf why = BUF_EMPTY;
    char key[KEY_TEXT_SIZE];
    const char *name = session->operations[wait.index].name;
    wait_free(session);
    key_text(&wait.missing, key);
    buf_add_format(&why, "the row %s (%s) that is to take over has had no handshake", key, name ? name : "of no node's section");
    int turn = take_turn(session, wait.request, &journal);
    if (turn >= 0) {
        fail(session, wait.request, &journal, buf_text(&why), wait.index);
        change_journal_free(&journal);
        change_turn_end(turn);
    }
    buf_free(&why);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct change_session *session = timer->data;
    uint64_t request = session->wait->request;
    if (have_handshakes(session, session->wait)) {
        wait_free(session);
        finish_last(session, request);
    } else if (clock_steady() >= session->wait->until) {
        fail_waiting(session);
    }
}

static void wait_for_handshakes(struct change_session *session, uint64_t request, double within, int64_t since)
{
    struct change_wait *wait = session->wait = mem_alloc(1, sizeof *wait);
    wait->request = request;
    wait->since = since;
    wait->until = clock_steady() + (int64_t)(within * (double)CLOCK_SECOND);
    if (have_handshakes(session, wait)) {
        free(wait);
        session->wait = NULL;
        finish_last(session, request);
        return;
    }
    ev_timer_init(&wait->timer, on_look, look_every, look_every);
    wait->timer.data = session;
    ev_timer_start(server_loop(session->server), &wait->timer);
}

void change_finish(struct server *server, const cJSON *request)
{
    struct change_session *session = change_session_of(server, request, true);
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(request, "within");
    double within = !given ? WITHIN_DEFAULT : cJSON_IsNumber(given) ? given->valuedouble : -1;
    uint64_t id = server_request(request);
    struct change_journal journal;
    struct err err;
    size_t count, at = SIZE_MAX;
    if (!session)
        return;
    if (session->wait || !(within >= 0 && within <= WITHIN_MOST)) {
        server_refuse(server, id, session->wait ? "busy" : "refused", session->wait ? "finish is under way" : "within is not a number of seconds from 0 to 600", SIZE_MAX);
        return;
    }
    int turn = take_turn(session, id, &journal);
    if (turn < 0)
        return;
    struct plan_operation *operations = additive(session, &count);
    int result = reach(session, operations, count, &at, &err);
    int64_t since = journal.began;
    if (result)
        fail(session, id, &journal, err.text, SIZE_MAX);
    else
        tell_did(session, id, false);
    if (!result && has_new_key(session))
        nudge_rows(session);
    free(operations);
    change_journal_free(&journal);
    change_turn_end(turn);
    if (!result)
        wait_for_handshakes(session, id, within, since);
}
