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

/* --- what is told */

static void __attribute__((format(printf, 2, 0))) say_line(struct buf *to, const char *format, va_list arguments)
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

/* --- steps */

static void on_later(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct invite *invite = timer->data;
    (void)loop, (void)events;
    if (invite->step == STEP_LISTS)
        invite_lists_are_there(invite);
    else if (invite->step == STEP_NODES)
        invite_nodes_are_there(invite);
    else if (invite->step == STEP_WAITING)
        invite_poll(invite);
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
    buf_clear(&invite->hubs);
    for (size_t i = 0; i < invite->asked_count; i++)
        buf_add_format(&invite->hubs, "%s%s", i ? "," : "", invite->mesh->nodes[invite->asked[i].node].name);
    options.mode = LOOK_AUTO;
    options.interface = NULL;
    options.nodes = invite->options.task == INVITE_MAKE && invite->options.relay && !invite->token.length ? NULL : buf_text(&invite->hubs); /* of an ordinary member the others learn by apply */
    invite->look = look_new(invite->loop, invite->mesh, &options, &events, invite, err);
    return invite->look ? 0 : -1;
}

int invite_reconnect(struct invite *invite, struct err *err)
{
    close_helpers(invite);
    look_free(invite->look);
    invite->look = NULL;
    if (open_look(invite, err))
        return -1;
    invite->asked[0].helper = helper_new(invite->loop, look_session(invite->look, invite->asked[0].node), &invite->program, NULL, NULL);
    return 0;
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
        invite_ask_list(asked);
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
