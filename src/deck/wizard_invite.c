/* Invitations in the wizard (wizard_private.h): a name, a way and a time are asked for; then the token is shown, until the machine has joined, and it is written into the mesh file. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wizard_private.h"

#define TIME_PROPOSED "30m"
enum { TOKEN_LINE = 64 };

/* --- what is asked */

int wizard_check_invite_name(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    (void)taken;
    if (!*text)
        return err_set(err, "a name is needed, as in mail");
    if (!text_is_name(text) || strlen(text) >= INVITATION_NAME)
        return err_set(err, "\"%s\" is no name of a node: letters, digits, '.', '_' and '-', as in mail", text);
    size_t node = mesh_find_node(wizard->file.mesh, text);
    if (node != SIZE_MAX && wizard->file.mesh->nodes[node].has_public_key)
        return err_set(err, "the mesh has a node %s already: choose another name", text);
    return 0;
}

void wizard_propose_invite_name(struct wizard *wizard, char **value, char **reason)
{
    (void)reason;
    if (wizard->options.node)
        *value = mem_text(wizard->options.node);
}

int wizard_check_invite_way(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    static const char *const words[] = {"relay", "member"};
    struct prefix *addresses = NULL;
    size_t count;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (!strcasecmp(text, words[i])) {
            *taken = mem_text(words[i]);
            if (i)
                return 0;
            int result = mesh_allocate_relay(wizard->file.mesh, NULL, 0, &addresses, &count, err); /* says what to write where there is no RelayNetwork */
            free(addresses);
            return result;
        }
    return err_set(err, "\"%s\" is neither relay nor member", text);
}

void wizard_propose_invite_way(struct wizard *wizard, char **value, char **reason)
{
    size_t relay = mesh_relay(wizard->file.mesh);
    *value = mem_text(relay == SIZE_MAX ? "member" : "relay");
    *reason = relay == SIZE_MAX ? mem_text("no node is a relay here: RelayNetwork in [Mesh] and Role = relay would make one")
                                : mem_format("%s is the relay; nothing else has to be changed", wizard->file.mesh->nodes[relay].name);
}

int wizard_check_invite_time(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    int64_t seconds;
    (void)wizard, (void)taken;
    return invite_read_seconds(text, &seconds) ? 0 : err_set(err, "\"%s\" is no time from 60s to 7d: a number and s, m, h or d, as in 30m", text);
}

void wizard_propose_invite_time(struct wizard *wizard, char **value, char **reason)
{
    (void)wizard;
    *value = mem_text(TIME_PROPOSED);
    *reason = mem_text("enough to send it over, too short to be found later");
}

/* --- what is done */

static void end(struct wizard *wizard)
{
    struct invite *invite = wizard->invite;
    bool good = invite_result(invite) == INVITE_DONE;
    if (*invite_warnings(invite))
        buf_add_text(&wizard->report, invite_warnings(invite));
    buf_add_format(&wizard->report, "%s\n", good ? invite_said(invite) : invite_error(invite));
    wizard->succeeded = good;
    wizard->file_changed = wizard->file.bytes.length != wizard->before.length || memcmp(buf_text(&wizard->file.bytes), buf_text(&wizard->before), wizard->before.length) != 0;
    wizard_enter(wizard, AT_END);
}

static void on_changed(void *context, struct invite *invite)
{
    struct wizard *wizard = context;
    wizard_text(&wizard->working, "%s", invite_working(invite));
    if (wizard->at == AT_TOKEN)
        wizard_show_token(wizard);
    wizard_tell(wizard);
}

static void on_made(void *context, struct invite *invite)
{
    (void)invite;
    wizard_next(context);
}

static void on_done(void *context, struct invite *invite)
{
    struct wizard *wizard = context;
    (void)invite;
    wizard_drop_questions(wizard);
    wizard_soon(wizard, end); /* not inside the invitation's own call */
}

static void begin(struct wizard *wizard, enum invite_task task, const char *name)
{
    static const struct invite_callbacks callbacks = {.changed = on_changed, .made = on_made, .done = on_done};
    struct invite_options options = {.task = task, .file = &wizard->file, .look = wizard->options.look, .name = name, .wait = task == INVITE_MAKE};
    struct err err;
    buf_clear(&wizard->before);
    buf_add(&wizard->before, buf_text(&wizard->file.bytes), wizard->file.bytes.length);
    options.look.nodes = NULL;
    if (task == INVITE_MAKE) {
        options.relay = !strcmp(wizard->answers[AT_INVITE_WAY], "relay");
        (void)invite_read_seconds(wizard->answers[AT_INVITE_TIME], &options.seconds);
    }
    wizard_text(&wizard->working, "looking at the nodes");
    wizard->invite = invite_new(wizard->loop, &options, &callbacks, wizard, &err);
    if (wizard->invite)
        return;
    buf_add_format(&wizard->report, "%s\n", err.text);
    wizard_enter(wizard, AT_END);
}

void wizard_make_invitation(struct wizard *wizard)
{
    begin(wizard, INVITE_MAKE, wizard->answers[AT_INVITE_NAME]);
}

void wizard_record(struct wizard *wizard)
{
    begin(wizard, INVITE_RECORD, wizard->options.node);
}

const char *wizard_token(const struct wizard *wizard)
{
    return wizard->invite && wizard->options.kind == WIZARD_INVITE ? invite_token(wizard->invite) : NULL;
}

/* Folded: whoever takes it from the screen by hand gets line ends into it, which do not matter. */
void wizard_show_token(struct wizard *wizard)
{
    const struct invitation *invitation = invite_invitation(wizard->invite);
    const char *token = invite_token(wizard->invite);
    time_t expires = invitation ? (time_t)invitation->expires : 0;
    struct tm local;
    char until[32] = "";
    wizard_clear_lines(wizard);
    for (size_t at = 0, length = token ? strlen(token) : 0; at < length; at += TOKEN_LINE)
        wizard_say(wizard, false, at ? "" : "token", "%.*s", TOKEN_LINE, token + at);
    if (invitation && localtime_r(&expires, &local) && strftime(until, sizeof until, "%H:%M:%S on %Y-%m-%d", &local))
        wizard_say(wizard, false, "holds until", "%s, for one machine, once", until);
    if (invitation && invitation->place_count)
        wizard_say(wizard, false, "it reaches", "the sshd of %s at %s, port %u", invitation->hub, invitation->places[0].host, invitation->places[0].port);
    if (*invite_warnings(wizard->invite))
        wizard_say(wizard, true, "mind", "%s", invite_warnings(wizard->invite));
    wizard_say(wizard, false, "now", "%s", invite_working(wizard->invite));
}

static void left_open(struct wizard *wizard)
{
    wizard_enter(wizard, AT_END);
}

void wizard_leave_open(struct wizard *wizard)
{
    const char *name = wizard->answers[AT_INVITE_NAME];
    buf_add_format(&wizard->report, "The invitation of %s stays open on %s. When it has joined, \":record %s\" writes it into the mesh file; \"wgdeck invite revoke %s\" takes the invitation back.\n", name,
                   invite_mesh(wizard->invite)->nodes[invite_hub(wizard->invite)].name, name, name);
    wizard->succeeded = true;
    wizard->file_changed = wizard->file.bytes.length != wizard->before.length || memcmp(buf_text(&wizard->file.bytes), buf_text(&wizard->before), wizard->before.length) != 0;
    wizard_soon(wizard, left_open);
}

void wizard_invite_end(struct wizard *wizard)
{
    invite_free(wizard->invite);
    wizard->invite = NULL;
}
