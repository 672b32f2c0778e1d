/* wgdeck invite: a machine that SSH does not reach gets a token, with which it joins by itself (DESIGN section 11). On standard output stands the token alone, so that it can be piped. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "carry_out.h"
#include "columns.h"
#include "commands.h"
#include "qr.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/invite.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wgdeck/tui.h"

#define TIMEOUT_DEFAULT 10.0

static const struct cmd_option invite_options[] = {
    {.name = "relay", .help = "only the hub is changed: the node gets an address of RelayNetwork and reaches all others through the hub at once"},
    {.name = "expires", .argument = "DURATION", .help = "how long the invitation holds: 90s, 30m, 2h or 1d", .fallback = "30m"},
    {.name = "hub", .argument = "NODE", .help = "the node that lets it in", .fallback = "the hub, gateway or relay of the mesh file, else the first node with an Endpoint"},
    {.name = "address", .argument = "HOST[:PORT]", .help = "where the new machine reaches the hub's sshd", .fallback = "the hub's Endpoint, and where it is reached from here"},
    {.name = "qr", .help = "show the token as a QR code, too (on standard error)"},
    {.name = "copy", .help = "copy the token to the clipboard of this terminal"},
    {.name = "wait", .help = "wait until the node has joined, and write it into the mesh file"},
    {.name = "json", .help = "as JSON, on standard output"},
    {.name = "timeout", .argument = "SECONDS", .help = "how long to wait for a node that cannot be reached", .fallback = "10"},
    {0},
};

struct inviting {
    struct options options;
    struct mesh_file file;
    struct invite_options wanted;
    struct ev_loop *loop;
    struct ask *ask;
    struct invite *invite;
    struct ev_signal ended_by[3];
    bool interrupted, made, failed_to_write;
};

/* --- the command line */

static bool read_duration(const char *text, int64_t *seconds)
{
    static const struct { char unit; int64_t seconds; } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    size_t digits = strspn(text, "0123456789");
    unsigned long long number;
    char *part = mem_text_part(text, digits);
    bool good = digits && text[digits] && !text[digits + 1] && !text_to_number(part, 1000000, &number);
    free(part);
    for (size_t i = 0; good && i < COUNT_OF(units); i++)
        if (text[digits] == units[i].unit) {
            *seconds = (int64_t)number * units[i].seconds;
            return *seconds >= INVITE_SECONDS_LEAST && *seconds <= INVITE_SECONDS_MOST;
        }
    return false;
}

static int read_task(struct inviting *inviting, const struct cmd *cmd)
{
    static const struct { const char *word; enum invite_task task; int operands; } tasks[] = {{"list", INVITE_LIST, 1}, {"revoke", INVITE_REVOKE, 2}, {"record", INVITE_RECORD, 2}};
    static const char *const of_making[] = {"relay", "expires", "address", "qr", "copy", "wait"};
    const struct options *options = &inviting->options;
    struct invite_options *wanted = &inviting->wanted;
    int operands = options->operand_count;
    wanted->task = INVITE_MAKE;
    wanted->name = operands ? options->operands[operands - 1] : NULL;
    for (size_t i = 0; operands && i < COUNT_OF(tasks); i++)
        if (!strcmp(options->operands[0], tasks[i].word)) {
            if (operands != tasks[i].operands)
                return options_usage_error(cmd, tasks[i].operands == 1 ? "\"invite list\" takes no name" : "which one? One name of a node, or the number that \"invite list\" shows");
            wanted->task = tasks[i].task;
        }
    if (wanted->task == INVITE_MAKE && operands != 1)
        return options_usage_error(cmd, operands ? "one name at a time: each machine needs a token of its own" : "whom? The name that the new node will have, as in \"wgdeck invite mail\"");
    for (size_t i = 0; wanted->task != INVITE_MAKE && i < COUNT_OF(of_making); i++)
        if (options_given(options, of_making[i]))
            return options_usage_error(cmd, "--%s goes with a new invitation only", of_making[i]);
    return CMD_OK;
}

static int read_command(struct inviting *inviting, const struct cmd *cmd)
{
    struct options *options = &inviting->options;
    struct invite_options *wanted = &inviting->wanted;
    const char *expires = options_value(options, "expires");
    double timeout;
    int status = read_task(inviting, cmd);
    if (status)
        return status;
    if (expires && !read_duration(expires, &wanted->seconds))
        return options_usage_error(cmd, "--expires %s is no duration from 60s to 7d: a number and s, m, h or d", expires);
    if (!options_seconds(options, "timeout", 0.1, 3600, TIMEOUT_DEFAULT, &timeout))
        return options->status;
    wanted->hub = options_value(options, "hub");
    wanted->relay = options_given(options, "relay");
    wanted->address = options_value(options, "address");
    wanted->wait = options_given(options, "wait");
    wanted->look = (struct look_options){
        .deadline = 3 * timeout,
        .fanout = {.ssh_config = options->globals.ssh_config, .deadlines = {.connect = timeout, .key_exchange = timeout, .login = timeout}},
    };
    return CMD_OK;
}

/* --- what is written */

static void notice_lines(const char *mark, const char *lines)
{
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        log_notice("invite: %s%.*s", mark, (int)length, lines);
        lines += length + (lines[length] == '\n');
    }
}

static void write_out(struct inviting *inviting, const struct buf *text)
{
    if (!file_write_all(STDOUT_FILENO, buf_text(text), text->length))
        return;
    log_error("invite: standard output: %s", strerror(errno));
    inviting->failed_to_write = true;
}

/* "10.44.0.193, fd44::c1" */
static void add_addresses(struct buf *text, const struct prefix *addresses, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char one[ADDRESS_TEXT_SIZE];
        address_text(&addresses[i].address, one);
        buf_add_format(text, "%s%s", i ? ", " : "", one);
    }
}

static void list_addresses(struct json *json, const struct prefix *addresses, size_t count)
{
    json_list(json, "addresses");
    for (size_t i = 0; i < count; i++) {
        char one[ADDRESS_TEXT_SIZE];
        address_text(&addresses[i].address, one);
        json_text(json, NULL, one);
    }
    json_list_end(json);
}

static void list_lines(struct json *json, const char *member, const char *lines)
{
    json_list(json, member);
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        json_text_part(json, NULL, lines, length);
        lines += length + (lines[length] == '\n');
    }
    json_list_end(json);
}

/* The day too, when it is not today. */
static void time_text(int64_t seconds, char *text, size_t size)
{
    time_t at = (time_t)seconds, now = time(NULL);
    struct tm then, today;
    localtime_r(&at, &then);
    localtime_r(&now, &today);
    strftime(text, size, then.tm_year == today.tm_year && then.tm_yday == today.tm_yday ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &then);
}

static void explain(const struct inviting *inviting)
{
    const struct invite *invite = inviting->invite;
    const struct invitation *invitation = invite_invitation(invite);
    int64_t seconds = inviting->wanted.seconds ? inviting->wanted.seconds : INVITE_SECONDS_DEFAULT;
    struct buf addresses = BUF_EMPTY, places = BUF_EMPTY;
    char until[64], age[CLOCK_TEXT_SIZE];
    size_t count;
    const struct prefix *list = invite_addresses(invite, &count);
    add_addresses(&addresses, list, count);
    for (size_t i = 0; i < invitation->place_count; i++)
        buf_add_format(&places, strchr(invitation->places[i].host, ':') ? "%s[%s]:%u" : "%s%s:%u", i ? ", " : "", invitation->places[i].host, invitation->places[i].port);
    time_text(clock_wall() / CLOCK_SECOND + seconds, until, sizeof until);
    clock_age_text(seconds * CLOCK_SECOND, age);
    notice_lines("warning: ", invite_warnings(invite));
    log_notice("invite: %s may join %s through %s once, until %s (%s), and will be %s", invitation->name, invitation->mesh, invitation->hub, until, age, buf_text(&addresses));
    log_notice("invite: the new machine must reach the sshd of %s: %s", invitation->hub, buf_text(&places));
    log_notice("invite: there, as root, type \"wgdeck join -\", paste the token, and press return");
    log_notice("invite: whoever has the token can join in its place; \"wgdeck invite revoke %s\" takes it back", invitation->name);
    if (!invitation->relay && !inviting->wanted.wait)
        log_notice("invite: when it has joined, \"wgdeck apply\" makes it known to the other nodes");
    buf_free(&addresses);
    buf_free(&places);
}

static void show_qr(const struct inviting *inviting)
{
    struct terminal terminal = terminal_of(STDERR_FILENO, &inviting->options.globals);
    struct buf picture = BUF_EMPTY;
    struct err err;
    if (qr_add(invite_token(inviting->invite), &terminal, &picture, &err))
        log_error("invite: no QR code: %s", err.text);
    else
        file_write_all(STDERR_FILENO, picture.data, picture.length);
    buf_wipe(&picture);
}

static void copy_token(const struct inviting *inviting)
{
    const char *token = invite_token(inviting->invite);
    struct buf sequence = BUF_EMPTY;
    int tty = open("/dev/tty", O_WRONLY | O_NOCTTY | O_CLOEXEC);
    tui_clipboard_sequence(token, strlen(token), &sequence);
    if (tty < 0 || file_write_all(tty, sequence.data, sequence.length))
        log_error("invite: the token was not copied: there is no terminal to ask for it");
    else
        log_notice("invite: the token was given to this terminal's clipboard (not every terminal takes it)");
    if (tty >= 0)
        close(tty);
    buf_wipe(&sequence);
}

static void token_json(const struct inviting *inviting, struct buf *text)
{
    const struct invite *invite = inviting->invite;
    const struct invitation *invitation = invite_invitation(invite);
    struct json json = json_begin(text);
    size_t count;
    const struct prefix *list = invite_addresses(invite, &count);
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_text(&json, "id", invitation->id);
    json_text(&json, "mesh", invitation->mesh);
    json_text(&json, "name", invitation->name);
    json_text(&json, "hub", invitation->hub);
    json_bool(&json, "relay", invitation->relay);
    json_number(&json, "expires", invitation->expires);
    list_addresses(&json, list, count);
    json_list(&json, "places");
    for (size_t i = 0; i < invitation->place_count; i++) {
        json_object(&json, NULL);
        json_text(&json, "host", invitation->places[i].host);
        json_unsigned(&json, "port", invitation->places[i].port);
        json_object_end(&json);
    }
    json_list_end(&json);
    list_lines(&json, "warnings", invite_warnings(invite));
    json_text(&json, "token", invite_token(invite));
    json_object_end(&json);
}

static void on_made(void *context, struct invite *invite)
{
    struct inviting *inviting = context;
    struct buf text = BUF_EMPTY;
    inviting->made = true;
    progress_clear();
    buf_reserve(&text, 8192); /* a secret: it is not moved */
    explain(inviting);
    if (options_given(&inviting->options, "qr"))
        show_qr(inviting);
    if (options_given(&inviting->options, "copy"))
        copy_token(inviting);
    if (options_given(&inviting->options, "json"))
        token_json(inviting, &text);
    else
        buf_add_text(&text, invite_token(invite));
    buf_add_char(&text, '\n');
    write_out(inviting, &text);
    if (inviting->failed_to_write)
        log_error("invite: nobody has the token now: \"wgdeck invite revoke %s\", and invite it again", inviting->wanted.name);
    buf_wipe(&text);
}

/* --- the list */

static bool is_open(const struct invite_row *row)
{
    return row->state == INVITATION_OPEN || row->state == INVITATION_JOINING;
}

static enum mark mark_of(const struct invite_row *row)
{
    return row->state == INVITATION_USED ? MARK_GOOD : is_open(row) ? MARK_NONE : MARK_UNKNOWN;
}

static void when_text(const struct invite_row *row, int64_t now, char text[static 64])
{
    char age[CLOCK_TEXT_SIZE];
    int64_t at = row->state == INVITATION_EXPIRED ? row->expires : row->at;
    *text = '\0';
    if (is_open(row)) {
        clock_age_text((row->expires - now) * CLOCK_SECOND, age);
        snprintf(text, 64, "%s left", age);
    } else if (at) { /* of a revoked one nobody says when */
        clock_ago_text((now - at) * CLOCK_SECOND, age);
        snprintf(text, 64, "%s", age);
    }
}

static void list_text(const struct inviting *inviting, struct buf *text)
{
    struct terminal terminal = terminal_of(STDOUT_FILENO, &inviting->options.globals);
    struct columns columns = {.count = 8, .titles = {"NODE", "STATE", "WHEN", "ADDRESS", "HUB", "BY", "FROM", "NUMBER"}};
    int64_t now = clock_wall() / CLOCK_SECOND;
    size_t count;
    const struct invite_row *rows = invite_rows(inviting->invite, &count);
    for (size_t i = 0; i < count; i++) {
        const struct invite_row *row = &rows[i];
        struct buf addresses = BUF_EMPTY, from = BUF_EMPTY;
        char when[64];
        when_text(row, now, when);
        add_addresses(&addresses, row->addresses, row->address_count);
        if (row->from)
            buf_add_format(&from, row->hostname ? "%s (%s)" : "%s", row->from, row->hostname);
        const char *const cells[] = {row->name, invitation_states[row->state], when, buf_text(&addresses), invite_mesh(inviting->invite)->nodes[row->hub].name,
                                     row->by, buf_text(&from), row->id};
        columns_row(&columns, mark_of(row), cells);
        buf_free(&addresses);
        buf_free(&from);
    }
    if (count)
        columns_write(&columns, &terminal, text);
    else
        buf_add_text(text, "no invitations (wgdeck invite NAME makes one)\n");
}

static void row_json(const struct inviting *inviting, const struct invite_row *row, struct json *json)
{
    char key[KEY_TEXT_SIZE];
    key_text(&row->key, key);
    json_object(json, NULL);
    json_text(json, "id", row->id);
    json_text(json, "name", row->name);
    json_text(json, "hub", invite_mesh(inviting->invite)->nodes[row->hub].name);
    json_text(json, "state", invitation_states[row->state]);
    json_bool(json, "relay", row->relay);
    json_text(json, "by", row->by);
    json_number(json, "made", row->made);
    json_number(json, "expires", row->expires);
    list_addresses(json, row->addresses, row->address_count);
    json_text(json, "key", row->has_key ? key : NULL);
    json_text(json, "from", row->from);
    json_text(json, "hostname", row->hostname);
    if (row->at)
        json_number(json, "at", row->at);
    else
        json_null(json, "at");
    json_object_end(json);
}

static void list_json(const struct inviting *inviting, struct buf *text)
{
    struct json json = json_begin(text);
    size_t count;
    const struct invite_row *rows = invite_rows(inviting->invite, &count);
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_list(&json, "invitations");
    for (size_t i = 0; i < count; i++)
        row_json(inviting, &rows[i], &json);
    json_list_end(&json);
    list_lines(&json, "warnings", invite_warnings(inviting->invite));
    json_object_end(&json);
    buf_add_char(text, '\n');
}

static void said_json(const struct inviting *inviting, struct buf *text)
{
    struct json json = json_begin(text);
    bool good = invite_result(inviting->invite) == INVITE_DONE;
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_text(&json, "name", inviting->wanted.task == INVITE_LIST ? NULL : inviting->wanted.name);
    json_bool(&json, "ok", good);
    list_lines(&json, "said", invite_said(inviting->invite));
    list_lines(&json, "warnings", inviting->made ? "" : invite_warnings(inviting->invite));
    json_text(&json, "error", good ? NULL : invite_error(inviting->invite));
    json_object_end(&json);
    buf_add_char(text, '\n');
}

static void show_end(struct inviting *inviting)
{
    struct buf text = BUF_EMPTY;
    bool json = options_given(&inviting->options, "json"), good = invite_result(inviting->invite) == INVITE_DONE;
    bool list = inviting->wanted.task == INVITE_LIST && good, making = inviting->wanted.task == INVITE_MAKE;
    if (!json && !inviting->made)
        notice_lines("warning: ", invite_warnings(inviting->invite));
    if (list)
        (json ? list_json : list_text)(inviting, &text);
    else if (json && (!making || !inviting->made || inviting->wanted.wait))
        said_json(inviting, &text);
    else
        notice_lines("", invite_said(inviting->invite));
    if (!good && !json)
        log_error("invite: %s", invite_error(inviting->invite));
    write_out(inviting, &text);
    buf_free(&text);
}

/* --- while it runs */

static void on_changed(void *context, struct invite *invite)
{
    struct inviting *inviting = context;
    if (inviting->made)
        log_notice("invite: %s", invite_working(invite));
    else if (isatty(STDERR_FILENO) && !ask_pending(inviting->ask))
        progress_show(invite_working(invite));
}

static void on_done(void *context, struct invite *invite)
{
    struct inviting *inviting = context;
    (void)invite;
    ev_break(inviting->loop, EVBREAK_ALL);
}

static void on_signal(struct ev_loop *loop, struct ev_signal *watcher, int events)
{
    struct inviting *inviting = watcher->data;
    (void)events;
    inviting->interrupted = true;
    ev_break(loop, EVBREAK_ALL);
}

static void on_question(void *context, const struct fanout_question *question)
{
    struct inviting *inviting = context;
    progress_clear();
    ask_question(inviting->ask, question);
}

static void watch(struct inviting *inviting)
{
    static const int signals[COUNT_OF(inviting->ended_by)] = {SIGINT, SIGHUP, SIGTERM};
    for (size_t i = 0; i < COUNT_OF(signals); i++) {
        ev_signal_init(&inviting->ended_by[i], on_signal, signals[i]);
        inviting->ended_by[i].data = inviting;
        ev_signal_start(inviting->loop, &inviting->ended_by[i]);
        ev_unref(inviting->loop);
    }
}

static void unwatch(struct inviting *inviting)
{
    for (size_t i = 0; i < COUNT_OF(inviting->ended_by); i++) {
        ev_ref(inviting->loop);
        ev_signal_stop(inviting->loop, &inviting->ended_by[i]);
    }
}

static int say_interrupted(const struct inviting *inviting)
{
    if (inviting->made)
        log_notice("invite: not waiting any longer: the invitation holds (\"wgdeck invite list\" shows it, \"wgdeck invite record %s\" writes the node into the mesh file when it has joined)",
                   inviting->wanted.name);
    else if (inviting->wanted.task == INVITE_MAKE || inviting->wanted.task == INVITE_REVOKE)
        log_error("invite: interrupted; \"wgdeck invite list\" shows what the hub keeps");
    else
        log_error("invite: interrupted");
    return CMD_FAILED;
}

static int run_loop(struct inviting *inviting)
{
    struct err err;
    static const struct invite_callbacks callbacks = {.changed = on_changed, .made = on_made, .done = on_done};
    inviting->wanted.file = &inviting->file;
    inviting->loop = ev_loop_new(EVFLAG_AUTO);
    inviting->ask = ask_new(inviting->loop);
    inviting->wanted.look.fanout.ask = inviting->ask ? on_question : NULL;
    inviting->wanted.look.fanout.context = inviting;
    watch(inviting);
    int status = CMD_FAILED;
    inviting->invite = invite_new(inviting->loop, &inviting->wanted, &callbacks, inviting, &err);
    if (!inviting->invite) {
        log_error("invite: %s", err.text);
    } else {
        if (inviting->ask)
            ask_attach(inviting->ask, invite_fanout(inviting->invite));
        while (invite_result(inviting->invite) == INVITE_RUNNING && !inviting->interrupted)
            ev_run(inviting->loop, 0);
        progress_clear();
        if (invite_result(inviting->invite) == INVITE_RUNNING) {
            status = say_interrupted(inviting);
        } else {
            show_end(inviting);
            status = invite_result(inviting->invite) == INVITE_DONE && !inviting->failed_to_write ? CMD_OK : CMD_FAILED;
        }
    }
    invite_free(inviting->invite);
    ask_free(inviting->ask);
    unwatch(inviting);
    ev_loop_destroy(inviting->loop);
    return status;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct inviting inviting = {0};
    if (!options_parse(cmd, globals, argc, argv, &inviting.options))
        return inviting.options.status;
    int status = read_command(&inviting, cmd);
    if (status)
        return status;
    if (!carry_out_open(&inviting.options, &inviting.file))
        return CMD_FAILED;
    status = run_loop(&inviting);
    mesh_file_free(&inviting.file);
    return status;
}

static const char *const examples[] = {
    "wgdeck invite mail --relay", "a token, with which one machine joins as mail from wherever it is; only the hub is changed",
    "wgdeck invite mail --relay --wait", "the same; when it has joined it is written into the mesh file, with SSH to it through the hub",
    "wgdeck invite web --expires 2h --hub fra-1", "an ordinary member, which fra-1 lets in; \"wgdeck apply\" makes it known to the others",
    "wgdeck invite list", "open and used ones, with who made them and who used them from where",
    "wgdeck invite revoke mail", "nobody can join with it any more",
    "wgdeck invite record mail", "a node that has joined, into the mesh file", NULL};

const struct cmd cmd_invite = {
    .name = "invite",
    .arguments = "NAME | list | revoke NAME | record NAME",
    .summary = "let a machine that SSH does not reach join by itself",
    .description = "Makes a token: one line with which one machine can join the mesh as NAME, once, until it expires. On that machine \"wgdeck join\" takes it. The machine needs the wgdeck program "
                   "and a way to the hub's sshd, and nothing else: it may be behind any NAT.\n\n"
                   "For this the hub gets one line in /root/.ssh/authorized_keys2 (or where its sshd looks): a key for this invitation alone, which can run nothing but the join, and which sshd itself "
                   "refuses when the time is over. The line goes away when the token was used, has expired or is revoked. The address and all that the node will be are fixed now; its private key is "
                   "made there and never leaves it. Whoever has the token can join in its place: pass it on as you would a password.\n\n"
                   "With --relay the node gets an address of RelayNetwork, which all nodes route to the hub already: it reaches all of them at once, and they it; no other node is changed. Without it, "
                   "the node becomes an ordinary member: it is written into the mesh file now, and after it has joined \"wgdeck apply\" makes it known to the others. A [Node NAME] that has an Address "
                   "and neither Ssh nor PublicKey can be invited too, with all that its section says.\n\n"
                   "Standard output has the token alone, on one line. \"invite list\" shows the invitations of the hubs, \"invite revoke\" ends one that nobody has used, and \"invite record\" writes a "
                   "node that has joined into the mesh file (--wait does it by itself).",
    .options = invite_options,
    .examples = examples,
    .run = run,
};
