/* The life of an invitation on the operator's side: which hubs are asked, what for, and what follows from their answers. All that ends it, or goes on, happens from the loop, never inside a call of
 * the session's. */
#include "invite_private.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "owner.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* Seconds until an answer is late, from when the session is open. */
#define PATIENCE_LIST 20.0
#define PATIENCE_INVITE 60.0 /* the hub installs its own program first */
#define PATIENCE_REVOKE 60.0 /* a join that is under way is put back */
#define PATIENCE_NODES 2.0   /* for the readings of other nodes, when the hub's is there: only warnings come of them */
#define POLL 1.0

/* --- what is told */

static void say_line(struct buf *to, const char *format, va_list arguments)
{
    struct buf text = BUF_EMPTY;
    buf_add_vformat(&text, format, arguments);
    text_add_safe(to, buf_text(&text), text.length);
    buf_free(&text);
}

void invite_work(struct invite *invite, const char *format, ...)
{
    va_list arguments;
    buf_clear(&invite->working);
    va_start(arguments, format);
    say_line(&invite->working, format, arguments);
    va_end(arguments);
    if (invite->callbacks.changed)
        invite->callbacks.changed(invite->context, invite);
}

void invite_warn(struct invite *invite, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_line(&invite->warnings, format, arguments);
    va_end(arguments);
    buf_add_char(&invite->warnings, '\n');
}

void invite_say(struct invite *invite, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say_line(&invite->said, format, arguments);
    va_end(arguments);
    buf_add_char(&invite->said, '\n');
}

static void close_helpers(struct invite *invite)
{
    for (size_t i = 0; i < invite->asked_count; i++) {
        helper_free(invite->asked[i].helper);
        invite->asked[i].helper = NULL;
    }
}

static void be_over(struct invite *invite, enum invite_result result)
{
    if (invite->step == STEP_OVER)
        return;
    invite->step = STEP_OVER;
    invite->result = result;
    ev_timer_stop(invite->loop, &invite->later);
    close_helpers(invite);
    if (invite->callbacks.done)
        invite->callbacks.done(invite->context, invite);
}

void invite_fail(struct invite *invite, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    if (invite->step == STEP_OVER)
        return;
    va_start(arguments, format);
    say_line(&text, format, arguments);
    va_end(arguments);
    free(invite->error);
    invite->error = buf_take(&text);
    be_over(invite, INVITE_FAILED);
}

void invite_end(struct invite *invite)
{
    be_over(invite, INVITE_DONE);
}

void invite_soon(struct invite *invite, double seconds)
{
    ev_timer_stop(invite->loop, &invite->later);
    ev_timer_set(&invite->later, seconds, 0.);
    ev_timer_start(invite->loop, &invite->later);
}

const char *invite_hub_name(const struct invite *invite)
{
    return invite->mesh->nodes[invite->asked[0].node].name;
}

/* An invitation ends by the hub's clock. */
int64_t invite_hub_time(const struct invite *invite)
{
    const struct observation *seen = &look_observed(invite->look)->nodes[invite->asked[0].node];
    int64_t now = clock_wall(), offset = seen->reach == REACH_OK && seen->clock_uncertainty != INT64_MAX ? seen->clock_offset : 0;
    if (offset > -5 * CLOCK_SECOND && offset < 5 * CLOCK_SECOND) /* not worth it: the estimate is no better over a slow line */
        offset = 0;
    return (now + offset) / CLOCK_SECOND;
}

/* --- lists */

static void ask_for_list(struct invite_asked *asked, helper_done *done, double seconds)
{
    struct buf members = BUF_EMPTY;
    struct json json = json_begin(&members);
    json_text(&json, "op", "invitations");
    json_text(&json, "interface", asked->invite->mesh->nodes[asked->node].interface);
    helper_ask(asked->helper, buf_text(&members), seconds, done, NULL, asked);
    buf_free(&members);
}

static void on_list(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct invite_asked *asked = context;
    struct invite *invite = asked->invite;
    struct err err;
    (void)code;
    asked->answered = answer && !invite_rows_read(invite, asked->node, answer, &err);
    asked->failed = !asked->answered;
    if (asked->failed && answer)
        invite_warn(invite, "%s", err.text);
    else if (asked->failed)
        invite_warn(invite, "%s could not be asked: %s", invite->mesh->nodes[asked->node].name, why);
    if (--invite->waiting == 0)
        invite_soon(invite, 0.);
}

static bool any_answered(const struct invite *invite)
{
    for (size_t i = 0; i < invite->asked_count; i++)
        if (invite->asked[i].answered)
            return true;
    return false;
}

/* The last warning says why: it becomes the error. */
static void fail_by_warning(struct invite *invite)
{
    char *text = buf_take(&invite->warnings), *line;
    text[strlen(text) - (*text ? 1 : 0)] = '\0';
    line = strrchr(text, '\n');
    if (line) {
        buf_add(&invite->warnings, text, (size_t)(line - text) + 1);
        line++;
    } else {
        line = text;
    }
    invite_fail(invite, "%s", line);
    free(text);
}

/* --- the tasks, when the lists are there */

/* Where it was looked for, since an invitation may be at any node that --hub has named. */
static char *nothing_found(const struct invite *invite)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < invite->asked_count; i++)
        buf_add_format(&text, "%s%s%s", i ? ", " : "", invite->mesh->nodes[invite->asked[i].node].name, invite->asked[i].failed ? " (which could not be asked)" : "");
    char *all = mem_format("no invitation of %s is known to %s: \"wgdeck invite list\" shows those that there are, with --hub NODE those of another node", invite->options.name, buf_text(&text));
    buf_free(&text);
    return all;
}

static void fail_with_nothing(struct invite *invite)
{
    char *text = nothing_found(invite);
    invite_fail(invite, "%s", text);
    free(text);
}

static void on_revoked(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct invite_asked *asked = context;
    struct invite *invite = asked->invite;
    const struct invite_row *row = invite_row_of(invite, invite->invitation.id, NULL);
    struct err err;
    (void)code;
    if (!answer) {
        invite_fail(invite, "%s: the invitation was not revoked: %s", invite->mesh->nodes[asked->node].name, why);
        return;
    }
    const char *was = json_get_text(answer, "was", "");
    if (!strcmp(was, "used")) {
        invite_fail(invite, "the invitation of %s was used just now: it has joined, and stays so until \"wgdeck remove %s\"", row->name, row->name);
        return;
    }
    invite_say(invite, "the invitation of %s %s: nobody can join with it any more", row->name, !strcmp(was, "open") ? "is revoked" : "was over already");
    if (invite_file_withdraw(invite, row, &err))
        invite_fail(invite, "the invitation of %s is revoked, but the mesh file could not be changed: %s", row->name, err.text);
    else
        invite_end(invite);
}

static struct invite_asked *asked_of(struct invite *invite, size_t node)
{
    for (size_t i = 0; i < invite->asked_count; i++)
        if (invite->asked[i].node == node)
            return &invite->asked[i];
    return NULL;
}

static void revoke_it(struct invite *invite)
{
    const struct invite_row *row = invite_row_of(invite, invite->options.name, invite_row_is_open);
    struct buf members = BUF_EMPTY;
    if (!row)
        row = invite_row_of(invite, invite->options.name, NULL);
    if (!row) {
        fail_with_nothing(invite);
        return;
    }
    if (row->state == INVITATION_USED) {
        invite_fail(invite, "the invitation of %s was used: it has joined, and stays so until \"wgdeck remove %s\"", row->name, row->name);
        return;
    }
    memcpy(invite->invitation.id, row->id, sizeof row->id);
    struct invite_asked *asked = asked_of(invite, row->hub);
    struct json json = json_begin(&members);
    json_text(&json, "op", "revoke");
    json_text(&json, "interface", invite->mesh->nodes[row->hub].interface);
    json_text(&json, "invitation", row->id);
    invite->step = STEP_REVOKING;
    invite_work(invite, "%s takes the invitation of %s away", invite->mesh->nodes[row->hub].name, row->name);
    helper_ask(asked->helper, buf_text(&members), PATIENCE_REVOKE, on_revoked, NULL, asked);
    buf_free(&members);
}

static void record_it(struct invite *invite)
{
    const struct invite_row *row = invite_row_of(invite, invite->options.name, invite_row_is_used), *any = invite_row_of(invite, invite->options.name, NULL);
    struct err err;
    if (!row && any)
        invite_fail(invite, "%s has not joined: its invitation is %s", invite->options.name, invitation_states[any->state]);
    else if (!row)
        fail_with_nothing(invite);
    else if (invite_file_record(invite, row, &err))
        invite_fail(invite, "%s", err.text);
    else
        invite_end(invite);
}

static void fail_made(struct invite *invite, const char *why)
{
    invite_file_put_back(invite);
    invite_fail(invite, "%s", why);
}

/* --- waiting until it was used */

static void on_polled(void *context, const cJSON *answer, const char *why, const char *code);

static void poll_again(struct invite *invite)
{
    if (invite->asked[0].helper)
        ask_for_list(&invite->asked[0], on_polled, PATIENCE_LIST);
}

static void was_used(struct invite *invite, const struct invite_row *row)
{
    struct err err;
    invite_say(invite, "%s has joined%s%s%s%s%s", row->name, row->from ? " from " : "", row->from ? row->from : "", row->hostname ? " (it calls itself " : "", row->hostname ? row->hostname : "",
               row->hostname ? ")" : "");
    if (invite_file_record(invite, row, &err))
        invite_fail(invite, "%s has joined, but the mesh file could not be changed: %s (wgdeck invite record %s)", row->name, err.text, row->name);
    else
        invite_end(invite);
}

static void look_at_row(struct invite *invite, const struct invite_row *row)
{
    if (invite_row_is_used(row)) {
        was_used(invite, row);
    } else if (row->state == INVITATION_EXPIRED || row->state == INVITATION_REVOKED) {
        invite_fail(invite, "%s has not joined: its invitation %s", row->name, row->state == INVITATION_EXPIRED ? "has expired; make another one" : "was revoked");
    } else {
        bool joining = row->state == INVITATION_JOINING;
        if (joining != (invite->joining > 0)) {
            if (joining)
                invite_work(invite, "%s is joining%s%s", row->name, row->from ? " from " : "", row->from ? row->from : "");
            else
                invite_work(invite, "%s has not joined: its attempt failed and was put back; the invitation is open again", row->name);
        }
        invite->joining = joining;
        invite_soon(invite, POLL);
    }
}

static void on_polled(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct invite_asked *asked = context;
    struct invite *invite = asked->invite;
    struct err err;
    (void)code;
    if (!answer || invite_rows_read(invite, asked->node, answer, &err)) {
        invite_fail(invite, "%s: %s; the invitation still holds (wgdeck invite list)", invite_hub_name(invite), answer ? err.text : why);
        return;
    }
    const struct invite_row *row = invite_row_of(invite, invite->invitation.id, NULL);
    if (row)
        look_at_row(invite, row);
    else
        invite_fail(invite, "%s knows nothing of the invitation any more", invite_hub_name(invite));
}

/* --- making */

static void on_taken_back(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct invite_asked *asked = context;
    struct invite *invite = asked->invite;
    char *error = mem_format("%s%s%s", invite->error, answer ? "" : "; it keeps the invitation: ", answer ? "" : why);
    (void)code;
    fail_made(invite, error);
    free(error);
}

/* What nobody can use does not stay there. */
static void take_back(struct invite *invite, const char *why)
{
    struct buf members = BUF_EMPTY;
    struct json json = json_begin(&members);
    free(invite->error);
    invite->error = text_safe(why);
    json_text(&json, "op", "revoke");
    json_text(&json, "interface", invite->mesh->nodes[invite->asked[0].node].interface);
    json_text(&json, "invitation", invite->invitation.id);
    invite->step = STEP_REVOKING;
    helper_ask(invite->asked[0].helper, buf_text(&members), PATIENCE_REVOKE, on_taken_back, NULL, &invite->asked[0]);
    buf_free(&members);
}

static void on_made(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct invite_asked *asked = context;
    struct invite *invite = asked->invite;
    struct err err;
    if (!answer) {
        bool unknown = !strcmp(code, "lost") || !strcmp(code, "late");
        char *text = mem_format("%s: %s%s", invite_hub_name(invite), why, unknown ? "; whether it keeps the invitation is not known: wgdeck invite list" : "");
        fail_made(invite, text);
        free(text);
        return;
    }
    if (invite_make_token(invite, answer, &err)) {
        take_back(invite, err.text);
        return;
    }
    if (invite->callbacks.made)
        invite->callbacks.made(invite->context, invite);
    if (!invite->options.wait) {
        invite_end(invite);
        return;
    }
    invite->step = STEP_WAITING;
    invite_work(invite, "waiting for %s to join", invite->options.name);
    invite_soon(invite, POLL);
}

static void send_invitation(struct invite *invite)
{
    struct buf members = BUF_EMPTY;
    struct err err;
    int result = invite_make_request(invite, &members, &err);
    if (!result)
        result = invite_file_reserve(invite, &err);
    if (result) {
        invite_fail(invite, "%s", err.text);
    } else {
        invite->step = STEP_SENDING;
        invite_work(invite, "%s prepares to let %s in", invite_hub_name(invite), invite->options.name);
        helper_ask(invite->asked[0].helper, buf_text(&members), PATIENCE_INVITE, on_made, NULL, &invite->asked[0]);
    }
    buf_free(&members);
}

static void lists_are_there(struct invite *invite)
{
    if (!any_answered(invite)) {
        fail_by_warning(invite);
        return;
    }
    switch (invite->options.task) {
    case INVITE_MAKE:
        invite->step = STEP_NODES;
        invite_work(invite, "looking at the nodes");
        invite_soon(invite, look_waiting(invite->look) ? PATIENCE_NODES : 0.);
        break;
    case INVITE_LIST: invite_end(invite); break;
    case INVITE_REVOKE: revoke_it(invite); break;
    case INVITE_RECORD: record_it(invite); break;
    }
}

/* The hub's own reading is needed; of the others what has come by now. */
static void nodes_are_there(struct invite *invite)
{
    if (look_is_waiting(invite->look, invite->asked[0].node))
        return; /* on_changed will say, and its deadline ends it */
    send_invitation(invite);
}

static void on_later(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct invite *invite = timer->data;
    (void)loop, (void)events;
    if (invite->step == STEP_LISTS)
        lists_are_there(invite);
    else if (invite->step == STEP_NODES)
        nodes_are_there(invite);
    else if (invite->step == STEP_WAITING)
        poll_again(invite);
}

static void on_changed(void *context, struct look *look, size_t node)
{
    struct invite *invite = context;
    bool hub = invite->asked_count && node == invite->asked[0].node;
    if (invite->step == STEP_NODES && (!look_waiting(look) || (hub && !ev_is_active(&invite->later))))
        invite_soon(invite, 0.);
}

/* --- life */

/* All of them that may have been told of one: who carries RelayNetwork, hubs and gateways, and the first that others reach. */
static void choose_all(struct invite *invite)
{
    const struct mesh *mesh = invite->mesh;
    size_t relay = mesh_relay(mesh);
    bool first = true;
    for (size_t i = 0; i < mesh->node_count; i++) {
        const struct mesh_node *node = &mesh->nodes[i];
        bool reached = node->ssh && node->endpoint_host, wanted = i == relay || node->role == ROLE_HUB || node->role == ROLE_GATEWAY || (reached && first);
        if (reached)
            first = false;
        if (node->ssh && wanted && invite->asked_count < INVITE_HUBS)
            invite->asked[invite->asked_count++] = (struct invite_asked){.invite = invite, .node = i};
    }
}

static int choose(struct invite *invite, struct err *err)
{
    if (invite->options.task == INVITE_MAKE) {
        char host[256];
        uint16_t port;
        if (invite->options.address && invite_read_address(invite->options.address, host, sizeof host, &port))
            return err_set(err, "\"%s\" is no HOST[:PORT]: an address or a name, as in hub.example.org:2222 or [2001:db8::1]:22", invite->options.address);
        return invite_check_name(invite, err) || invite_choose_hub(invite, err) ? -1 : 0;
    }
    if (!invite->options.hub) {
        choose_all(invite);
        return invite->asked_count ? 0 : err_set(err, "no node of %s that could keep invitations has Ssh", invite->options.file->path);
    }
    size_t hub = mesh_find_node(invite->mesh, invite->options.hub);
    if (hub == SIZE_MAX)
        return err_set(err, "no node \"%s\" in %s", invite->options.hub, invite->options.file->path);
    if (!invite->mesh->nodes[hub].ssh)
        return err_set(err, "%s has no Ssh in the mesh file", invite->options.hub);
    invite->asked[invite->asked_count++] = (struct invite_asked){.invite = invite, .node = hub};
    return 0;
}

static int open_look(struct invite *invite, struct err *err)
{
    static const struct look_events events = {.changed = on_changed};
    struct look_options options = invite->options.look;
    for (size_t i = 0; i < invite->asked_count; i++)
        buf_add_format(&invite->hubs, "%s%s", i ? "," : "", invite->mesh->nodes[invite->asked[i].node].name);
    options.mode = LOOK_AUTO;
    options.interface = NULL;
    options.nodes = invite->options.task == INVITE_MAKE && invite->options.relay ? NULL : buf_text(&invite->hubs); /* of an ordinary member the others learn by apply */
    invite->look = look_new(invite->loop, invite->mesh, &options, &events, invite, err);
    return invite->look ? 0 : -1;
}

static int begin(struct invite *invite, struct err *err)
{
    const struct mesh_file *file = invite->options.file;
    invite->conf = conf_parse(file->path, buf_text(&file->bytes), file->bytes.length, err);
    invite->mesh = invite->conf ? mesh_read(invite->conf, NULL, err) : NULL;
    if (!invite->mesh || choose(invite, err) || look_program_load(invite->options.look.helper, &invite->program, err) || open_look(invite, err))
        return -1;
    for (size_t i = 0; i < invite->asked_count; i++) {
        struct invite_asked *asked = &invite->asked[i];
        asked->helper = helper_new(invite->loop, look_session(invite->look, asked->node), &invite->program, NULL, NULL);
        ask_for_list(asked, on_list, PATIENCE_LIST);
        invite->waiting++;
    }
    invite_work(invite, "logging in to %s", invite_hub_name(invite));
    return 0;
}

struct invite *invite_new(struct ev_loop *loop, const struct invite_options *options, const struct invite_callbacks *callbacks, void *context, struct err *err)
{
    if (sodium_init() < 0) {
        err_set(err, "no random numbers on this machine");
        return NULL;
    }
    struct invite *invite = mem_alloc(1, sizeof *invite);
    *invite = (struct invite){.loop = loop, .options = *options, .context = context};
    invite->options.name = invite->name = mem_text(options->name);
    invite->options.hub = invite->hub = mem_text(options->hub);
    invite->options.address = invite->address = mem_text(options->address);
    if (!invite->options.seconds)
        invite->options.seconds = INVITE_SECONDS_DEFAULT;
    invite->owner = options->owner ? text_safe(options->owner) : owner_of_change();
    ev_init(&invite->later, on_later);
    invite->later.data = invite;
    if (begin(invite, err)) {
        invite_free(invite);
        return NULL;
    }
    invite->callbacks = *callbacks; /* nothing is told before its pointer is known */
    return invite;
}

void invite_free(struct invite *invite)
{
    if (!invite)
        return;
    ev_timer_stop(invite->loop, &invite->later);
    close_helpers(invite);
    look_free(invite->look);
    buf_free(&invite->program.bytes);
    if (invite->mesh)
        mesh_free(invite->mesh);
    if (invite->conf)
        conf_free(invite->conf);
    invite_rows_free(invite);
    invitation_wipe(&invite->invitation);
    buf_wipe(&invite->token);
    buf_free(&invite->working);
    buf_free(&invite->warnings);
    buf_free(&invite->said);
    buf_free(&invite->before);
    buf_free(&invite->hubs);
    free(invite->addresses);
    free(invite->error);
    free(invite->owner);
    free(invite->name);
    free(invite->hub);
    free(invite->address);
    free(invite);
}

enum invite_result invite_result(const struct invite *invite)
{
    return invite->result;
}

const char *invite_error(const struct invite *invite)
{
    return invite->error ? invite->error : "";
}

const char *invite_working(const struct invite *invite)
{
    return buf_text(&invite->working);
}

const char *invite_warnings(const struct invite *invite)
{
    return buf_text(&invite->warnings);
}

const char *invite_said(const struct invite *invite)
{
    return buf_text(&invite->said);
}

const struct mesh *invite_mesh(const struct invite *invite)
{
    return invite->mesh;
}

struct fanout *invite_fanout(const struct invite *invite)
{
    return look_fanout(invite->look);
}

const struct invite_row *invite_rows(const struct invite *invite, size_t *count)
{
    *count = invite->row_count;
    return invite->rows;
}

const char *invite_token(const struct invite *invite)
{
    return invite->token.length ? buf_text(&invite->token) : NULL;
}

const struct invitation *invite_invitation(const struct invite *invite)
{
    return &invite->invitation;
}

size_t invite_hub(const struct invite *invite)
{
    return invite->asked[0].node;
}

const struct prefix *invite_addresses(const struct invite *invite, size_t *count)
{
    *count = invite->address_count;
    return invite->addresses;
}
