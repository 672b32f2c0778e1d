/* wgdeck tui, or wgdeck alone: the live deck. */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "deck.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

static const struct cmd_option tui_options[] = {
    DECK_OPTION_ROWS,
    {.letter = 'r', .name = "read-only", .help = "nothing that can change a node is offered, and no shell"},
    {.letter = 'i', .name = "interval", .argument = "SECONDS", .help = "time between two looks", .fallback = "deck.conf's, else 2"},
    {.name = "bare", .help = "copy nothing to the nodes: one read-only shell command with what they have"},
    {.name = "push", .help = "copy the helper to nodes that do not have it yet, for faster and fuller looks"},
    {0},
};

static enum look_mode mode_of(const struct options *options)
{
    if (options_given(options, "bare"))
        return LOOK_BARE;
    return options_given(options, "push") ? LOOK_HELPER : LOOK_AUTO;
}

struct deck {
    const struct options *options;
    struct mesh_choice *choice;
    struct ev_loop *loop;
    struct tui *tui;
    struct live *live;
    double interval;
    char *state;
    struct err err;
};

static struct live *look_at(struct deck *deck)
{
    static const struct live_callbacks callbacks = {.changed = tui_live_changed};
    const struct live_options live_options = {
        .look = {.mode = mode_of(deck->options), .every = deck->interval > 0 ? deck->interval : 2, .interface = deck->choice->mesh->interface,
                 .nodes = deck->choice->look, .fanout = {.ssh_config = deck->options->globals.ssh_config}},
        .conf = deck->choice->conf,
        .state = deck->state,
    };
    return live_new(deck->loop, deck->choice->mesh, &live_options, &callbacks, deck->tui, &deck->err);
}

/* The mesh file was changed from the deck: the same terminal and screen, with the mesh that it describes now. */
static void reload(void *context)
{
    struct deck *deck = context;
    struct mesh_choice fresh;
    if (!deck->live || !mesh_choose(deck->options, &fresh))
        return;
    tui_swap_live(deck->tui, NULL);
    live_free(deck->live);
    mesh_choice_free(deck->choice);
    *deck->choice = fresh;
    deck->live = look_at(deck);
    if (deck->live)
        tui_swap_live(deck->tui, deck->live);
    else
        tui_quit(deck->tui);
}

/* Errors come after the terminal was given back. */
static int show(const struct options *options, struct mesh_choice *choice, const struct tui_options *given)
{
    struct tui_options wanted = *given;
    struct deck deck = {.options = options, .choice = choice, .loop = ev_loop_new(EVFLAG_AUTO), .interval = given->interval, .state = live_state_folder(choice->mesh)};
    char *path = choice->conf ? mem_text(conf_file(choice->conf)) : NULL;
    int status = CMD_FAILED;
    wanted.mesh_path = path;
    wanted.state = deck.state;
    wanted.reload = reload;
    wanted.context = &deck;
    deck.tui = tui_new(deck.loop, &wanted, &deck.err);
    deck.live = deck.tui ? look_at(&deck) : NULL;
    if (deck.live) {
        tui_set_live(deck.tui, deck.live);
        int signal_number = tui_run(deck.tui);
        status = signal_number ? 128 + signal_number : deck.live ? CMD_OK : CMD_FAILED;
    }
    tui_free(deck.tui);
    if (deck.live)
        live_free(deck.live);
    if (status == CMD_FAILED)
        log_error("tui: %s", deck.err.text);
    ev_loop_destroy(deck.loop);
    free(deck.state);
    free(path);
    return status;
}

static bool read_options(struct options *options, struct tui_options *wanted)
{
    deck_read_options(options, wanted);
    wanted->read_only = options_given(options, "read-only");
    if (!options_seconds(options, "interval", 0.5, 3600, 0, &wanted->interval))
        return false;
    if (options_given(options, "bare") && options_given(options, "push")) {
        options->status = options_usage_error(options->cmd, "--bare and --push exclude each other");
        return false;
    }
    return true;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct mesh_choice choice;
    struct tui_options wanted;
    struct err err;
    if (!options_parse(cmd, globals, argc, argv, &options) || !read_options(&options, &wanted))
        return options.status;
    char *path = mesh_file_path(globals->mesh_file ? globals : &options.globals);
    bool nothing = !path && !options.operand_count;
    free(path);
    if (nothing) {
        log_error("no mesh file here: name SSH targets (wgdeck tui HOST HOST), write a mesh file (wgdeck adopt HOST HOST -o mesh.conf), "
                  "or have a look without hosts (wgdeck replay)");
        return CMD_USAGE;
    }
    if (tui_check_terminal(&err)) {
        log_error("tui: %s", err.text);
        return CMD_FAILED;
    }
    if (!mesh_choose(&options, &choice))
        return CMD_USAGE;
    int status = show(&options, &choice, &wanted);
    mesh_choice_free(&choice);
    return status;
}

static const char *const examples[] = {
    "wgdeck", "the deck of the mesh file",
    "wgdeck tui root@192.0.2.1 root@192.0.2.2", "of a mesh that has no mesh file, by its SSH targets",
    "wgdeck tui --read-only --theme high-contrast --screen faults", "to be left on a wall", NULL,
};

const struct cmd cmd_tui = {
    .name = "tui",
    .arguments = "[HOST...]",
    .summary = "the live deck: the whole mesh on one screen",
    .description = "Shows the mesh, live, until it is left with q. Keys are shown at the bottom of each screen; ? explains the screen, its keys and its "
                   "colours. The first screen answers \"is it well?\" in its first line; a detail is never more than two keys away.\n\n"
                   "HOSTs are nodes of the mesh file, or SSH targets, for which no mesh file is needed. wgdeck alone, without a command, is the same "
                   "as wgdeck tui. Screens, keys, commands and the configuration are described in wgdeck-deck(7) and wgdeck-deck.conf(5).",
    .options = tui_options,
    .examples = examples,
    .run = run,
};
