/* wgdeck invite: a machine that SSH does not reach gets a token, with which it joins by itself (DESIGN section 11). On standard output stands the token alone, so that it can be piped. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carry_out.h"
#include "commands.h"
#include "invite_command.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

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

/* --- the command line */

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
                return options_usage_error(cmd, tasks[i].operands == 1 ? "\"invite list\" takes no name" : "which one? One name of a node, or the id that \"invite list --json\" shows");
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
    if (expires && !invite_read_seconds(expires, &wanted->seconds))
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

/* --- while it runs */

static void on_made(void *context, struct invite *invite)
{
    (void)invite;
    progress_clear();
    invite_show_made(context);
}

static void on_changed(void *context, struct invite *invite)
{
    struct inviting *inviting = context;
    if (inviting->ask)
        ask_attach(inviting->ask, invite_fanout(invite));
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
            invite_show_end(inviting);
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
