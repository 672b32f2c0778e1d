/* What hubs are asked for, step by step (invitation.h has the requests), and what follows from their answers. */
#include <stdlib.h>
#include <string.h>

#include "invite_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* Seconds until an answer is late, from when the session is open. */
#define PATIENCE_LIST 20.0
#define PATIENCE_INVITE 60.0 /* the hub installs its own program first */
#define PATIENCE_REVOKE 60.0 /* a join that is under way is put back */
#define PATIENCE_NODES 2.0   /* for the readings of other nodes, when the hub's is there: only warnings come of them */
#define POLL 1.0
#define RECONNECT 3.0
enum { GIVE_UP = 120 /* seconds after the invitation's end */, TRIES = 5 /* for an address that nobody else takes meanwhile */ };

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

void invite_ask_list(struct invite_asked *asked)
{
    asked->invite->waiting++;
    ask_for_list(asked, on_list, PATIENCE_LIST);
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

/* It is a node of the mesh now, whether the file knows it or not. */
static void fail_as_used(struct invite *invite, const char *name)
{
    bool in_file = mesh_find_node(invite->options.file->mesh, name) != SIZE_MAX;
    invite_fail(invite, "the invitation of %s was used: it has joined, and stays so until %s%s%s\"wgdeck remove %s\"", name, in_file ? "" : "\"wgdeck invite record ", in_file ? "" : name,
                in_file ? "" : "\" and ", name);
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
        fail_as_used(invite, row->name);
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
        fail_as_used(invite, row->name);
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

/* Such a wait outlives many a connection. */
static void go_on_later(struct invite *invite, const char *why)
{
    if (clock_wall() / CLOCK_SECOND > invite->invitation.expires + GIVE_UP) {
        invite_fail(invite, "%s cannot be reached (%s), and the invitation is over by now: \"wgdeck invite list\" shows what came of it", invite_hub_name(invite), why);
        return;
    }
    if (!invite->lost)
        invite_work(invite, "%s cannot be reached (%s): trying again; the invitation holds", invite_hub_name(invite), why);
    invite->lost = true;
    invite_soon(invite, RECONNECT);
}

void invite_poll(struct invite *invite)
{
    struct err err;
    if (invite->lost && !invite->asked[0].helper && invite_reconnect(invite, &err))
        invite_fail(invite, "%s", err.text);
    else
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
        struct err err;
        if (invite_file_withdraw(invite, row, &err))
            invite_warn(invite, "%s", err.text);
        invite_fail(invite, "%s has not joined: its invitation %s", row->name, row->state == INVITATION_EXPIRED ? "has expired; make another one" : "was revoked");
    } else {
        bool joining = row->state == INVITATION_JOINING;
        if (joining != invite->joining) {
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
    if (!answer && (!strcmp(code, "lost") || !strcmp(code, "late"))) {
        helper_free(asked->helper);
        asked->helper = NULL;
        go_on_later(invite, why);
        return;
    }
    if (!answer || invite_rows_read(invite, asked->node, answer, &err)) {
        invite_fail(invite, "%s: %s; the invitation still holds (wgdeck invite list)", invite_hub_name(invite), answer ? err.text : why);
        return;
    }
    if (invite->lost)
        invite_work(invite, "%s is reached again", invite_hub_name(invite));
    invite->lost = false;
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

/* Somebody else was a moment quicker with this address, or name: what there is now decides. */
static void try_again(struct invite *invite)
{
    invite->tries++;
    invite_file_put_back(invite);
    free(invite->addresses);
    invite->addresses = NULL;
    invite->address_count = 0;
    buf_clear(&invite->warnings);
    invite->step = STEP_LISTS;
    invite_ask_list(&invite->asked[0]);
}

static void on_made(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct invite_asked *asked = context;
    struct invite *invite = asked->invite;
    struct err err;
    if (!answer && !strcmp(code, "taken") && invite->tries < TRIES) {
        try_again(invite);
        return;
    }
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

void invite_lists_are_there(struct invite *invite)
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
void invite_nodes_are_there(struct invite *invite)
{
    if (look_is_waiting(invite->look, invite->asked[0].node))
        return; /* on_changed will say, and its deadline ends it */
    send_invitation(invite);
}
