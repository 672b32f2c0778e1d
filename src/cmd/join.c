/* wgdeck join: this machine into a mesh, with an invitation. */
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

#include "commands.h"
#include "join_ssh.h"
#include "options.h"
#include "wgdeck/clock.h"
#include "wgdeck/join.h"
#include "wgdeck/log.h"
#include "wgdeck/text.h"

enum { INPUT_MAX = 64 << 10 };

static const struct cmd_option join_options[] = {
    {.name = "relay", .help = "expect an invitation by which everything goes through the hub at first; the invitation decides, this only checks it"},
    {.name = "interface", .argument = "IF", .help = "the name of the interface here", .fallback = "as in the mesh"},
    {.name = "engine", .argument = "auto|kernel|embedded", .help = "whose WireGuard: the kernel's, or this program's", .fallback = "auto: the kernel's if it has it"},
    {.name = "port", .argument = "PORT", .help = "the UDP port to listen on", .fallback = "as in the mesh"},
    {0},
};

static const char *const examples[] = {
    "wgdeck join -", "Ask for the invitation, and join with it: so it is in no process list and in no history of the shell.",
    "wgdeck join wgdeck1.AbCd...", "The same with the invitation on the command line.",
    "wgdeck join --interface wg1 - <invitation", "From a file, beside a wg0 that is there already.",
    NULL,
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void catch_signals(void)
{
    static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
        struct sigaction old;
        if (!sigaction(caught[i], NULL, &old) && old.sa_handler != SIG_IGN) /* nohup */
            sigaction(caught[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

/* --- the token */

/* Whoever looks at the list of processes from now on sees none. */
static void take_argument(char *argument, struct buf *text)
{
    buf_reserve(text, strlen(argument) + 1);
    buf_add_text(text, argument);
    sodium_memzero(argument, strlen(argument));
}

static bool set_echo(bool on)
{
    struct termios settings;
    if (tcgetattr(STDIN_FILENO, &settings))
        return false;
    settings.c_lflag = on ? settings.c_lflag | ECHO : settings.c_lflag & ~(tcflag_t)ECHO;
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &settings) == 0;
}

/* To its end; on a terminal to the end of the line that completes the token (mails fold lines). */
static int read_input(struct buf *text, struct invitation *invitation, struct err *err)
{
    bool terminal = isatty(STDIN_FILENO) && set_echo(false);
    int result = -1;
    if (terminal)
        fputs("Paste the invitation (it is not shown), then Enter: ", stderr);
    buf_reserve(text, INPUT_MAX); /* it is not moved once the secret is in it */
    for (;;) {
        ssize_t length = text->length < INPUT_MAX ? read(STDIN_FILENO, text->data + text->length, INPUT_MAX - text->length) : 0;
        if (length > 0) {
            text->length += (size_t)length;
            text->data[text->length] = '\0';
        }
        if (length <= 0 || (terminal && text->data[text->length - 1] == '\n'))
            result = invitation_decode(buf_text(text), text->length, invitation, err);
        if (length <= 0 || !result || stop)
            break;
        if (terminal && text->data[text->length - 1] == '\n' && !strstr(err->text, " cut"))
            break;
    }
    if (terminal) {
        set_echo(true);
        fputc('\n', stderr);
    }
    return stop ? err_set(err, "interrupted") : result;
}

static int read_token(char *operand, struct invitation *invitation, struct err *err)
{
    struct buf text = BUF_EMPTY;
    int result;
    if (!strcmp(operand, "-")) {
        result = read_input(&text, invitation, err);
    } else {
        take_argument(operand, &text);
        result = invitation_decode(buf_text(&text), text.length, invitation, err);
    }
    buf_wipe(&text);
    return result;
}

/* --- joining */

static void say(void *context, bool warning, const char *text)
{
    (void)context;
    log_notice("%s%s", warning ? "warning: " : "", text);
}

static int open_hub(void *context, struct join_channel *hub, struct address *from, char place[static 80], struct err *err)
{
    return join_ssh_open(context, hub, from, place, err);
}

static void remark(const struct invitation *invitation, bool relay_given)
{
    int64_t over = clock_wall() - invitation->expires * CLOCK_SECOND;
    if (invitation->relay != relay_given)
        log_notice(invitation->relay ? "the invitation is one with --relay: the other nodes are reached through the hub at first"
                                     : "the invitation is one without --relay: this node gets an address and rows like the others");
    if (over > 0) {
        char age[CLOCK_TEXT_SIZE];
        clock_ago_text(over, age);
        log_notice("by this machine's clock the invitation ended %s; the hub's clock decides", age);
    }
}

static int tell(enum join_result result, const struct join_outcome *outcome, const struct err *err)
{
    struct buf addresses = BUF_EMPTY;
    switch (result) {
    case JOIN_OK:
        for (size_t i = 0; i < outcome->address_count; i++) {
            char text[ADDRESS_TEXT_SIZE];
            address_text(&outcome->addresses[i].address, text);
            buf_add_format(&addresses, "%s%s", i ? ", " : "", text);
        }
        if (!outcome->boot)
            log_notice("warning: nothing brings %s up at boot here: have \"/usr/local/lib/wgdeck/wgdeck up %s\" run when the network is up", outcome->interface, outcome->interface);
        printf("joined mesh %s as %s (%s) through %s; \"wgdeck show %s\" shows it, \"wgdeck leave %s\" takes it away\n", outcome->mesh, outcome->name, buf_text(&addresses), outcome->hub,
               outcome->interface, outcome->interface);
        buf_free(&addresses);
        return CMD_OK;
    case JOIN_ALREADY:
        printf("this machine has joined mesh %s as %s by %s already: nothing was done (\"wgdeck show %s\" shows it)\n", outcome->mesh, outcome->name, outcome->interface, outcome->interface);
        return CMD_OK;
    case JOIN_FAILED:
        log_error("join: %s", err->text);
        log_notice("this machine is as it was before");
        return CMD_FAILED;
    default:
        log_error("join: %s", err->text);
        return CMD_FAILED;
    }
}

static int join(const struct join_options *given, struct invitation *invitation)
{
    struct join_options wanted = *given;
    struct join_outcome outcome;
    struct err err = {""};
    struct join_ssh *ssh = join_ssh_new(invitation, &stop);
    wanted.invitation = invitation;
    wanted.stop = &stop;
    wanted.open = open_hub;
    wanted.say = say;
    wanted.context = ssh;
    enum join_result result = join_run(&wanted, &outcome, &err);
    join_ssh_free(ssh);
    int status = tell(result, &outcome, &err);
    join_outcome_free(&outcome);
    return status;
}

/* 0, or the exit status. */
static int read_options(struct options *options, struct join_options *wanted)
{
    static const char *const engines[] = {[ENGINE_CHOICE_AUTO] = "auto", [ENGINE_CHOICE_KERNEL] = "kernel", [ENGINE_CHOICE_EMBEDDED] = "embedded"};
    const char *engine = options_value(options, "engine"), *port = options_value(options, "port");
    unsigned long long number = 0;
    bool known = !engine;
    for (size_t i = 0; engine && i < sizeof engines / sizeof *engines; i++)
        if (!strcmp(engine, engines[i])) {
            wanted->engine = (enum engine_choice)i;
            known = true;
        }
    if (!known)
        return options_usage_error(options->cmd, "--engine is auto, kernel or embedded, not \"%s\"", engine);
    if (port && (text_to_number(port, UINT16_MAX, &number) || !number))
        return options_usage_error(options->cmd, "--port wants a number from 1 to 65535, not \"%s\"", port);
    wanted->port = (uint16_t)number;
    wanted->interface = options_value(options, "interface");
    return 0;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct join_options wanted = {0};
    struct invitation invitation;
    struct err err = {""};
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count != 1) {
        for (int i = 0; i < options.operand_count; i++)
            sodium_memzero(options.operands[i], strlen(options.operands[i]));
        return options_usage_error(cmd, options.operand_count ? "one invitation at a time (is it torn apart by a line end? Then: wgdeck join -)"
                                                              : "say the invitation, or - to be asked for it");
    }
    prctl(PR_SET_DUMPABLE, 0);
    int status = read_options(&options, &wanted);
    if (!status && geteuid() != 0) {
        log_error("join: it makes a network interface, and needs root: sudo wgdeck join -");
        status = CMD_FAILED;
    }
    if (status) {
        sodium_memzero(options.operands[0], strlen(options.operands[0]));
        return status;
    }
    catch_signals();
    if (read_token(options.operands[0], &invitation, &err)) {
        log_error("join: %s", err.text);
        return CMD_FAILED;
    }
    remark(&invitation, options_given(&options, "relay"));
    status = join(&wanted, &invitation);
    invitation_wipe(&invitation);
    return status;
}

const struct cmd cmd_join = {
    .name = "join",
    .arguments = "[--relay] INVITATION|-",
    .summary = "put this machine into a mesh, with an invitation",
    .description =
        "An invitation is the line that \"wgdeck invite\" printed on the operator's machine. This file alone is enough here: no ssh, no wg, nothing to install before; root is needed.\n\n"
        "The WireGuard key is made here and does not leave this machine. The hub is reached by SSH at the addresses in the invitation, and its host key must be the one in it. The hub says which "
        "addresses and rows this machine gets; anything that would take over addresses or routes that are here already is refused. Then the interface comes up, is verified "
        "from both ends, is written to /etc/wireguard and brought up at boot, by the program, which is copied to /usr/local/lib/wgdeck.\n\n"
        "When any step fails, or at ^C, everything is put back at both ends, and nothing is left here. Killed or cut off, this machine puts itself back within a minute; the same command "
        "again goes on.\n\n"
        "With - the invitation is read from standard input. Given as an argument it is taken out of the process list at once, but others on this machine could have seen it there for a moment, and "
        "the shell may keep it in its history; a used invitation is worth nothing.",
    .options = join_options,
    .examples = examples,
    .run = run,
};
