/* Help on the screen, from the tables; the manual's generator reads the same ones. */
#include <string.h>

#include "columns.h"
#include "options.h"
#include "terminal.h"
#include "wgdeck/log.h"
#include "wgdeck/text.h"

enum { HELP_WIDTH_MOST = 100, HELP_COLUMN = 28 };

static void add_option(struct buf *buf, const struct cmd_option *option, size_t width)
{
    struct buf left = BUF_EMPTY, right = BUF_EMPTY;
    buf_add_format(&left, option->letter ? "  -%c, " : "      ", option->letter);
    buf_add_format(&left, "--%s%s%s", option->name, option->argument ? " " : "", option->argument ? option->argument : "");
    buf_add_text(&right, option->help);
    if (option->fallback)
        buf_add_format(&right, " (default: %s)", option->fallback);
    buf_add_text(buf, buf_text(&left));
    if (left.length + 2 > HELP_COLUMN)
        buf_add_format(buf, "\n%*s", HELP_COLUMN, "");
    else
        buf_add_format(buf, "%*s", (int)(HELP_COLUMN - left.length), "");
    add_filled(buf, buf_text(&right), HELP_COLUMN, HELP_COLUMN, width);
    buf_free(&left);
    buf_free(&right);
}

static void add_options(struct buf *buf, const char *title, const struct cmd_option *options, size_t width)
{
    if (!options || !options[0].name)
        return;
    buf_add_format(buf, "\n%s:\n", title);
    for (; options->name; options++)
        add_option(buf, options, width);
}

/* Paragraphs are divided by an empty line. */
static void add_paragraphs(struct buf *buf, const char *text, size_t width)
{
    while (text && *text) {
        const char *end = strstr(text, "\n\n");
        size_t length = end ? (size_t)(end - text) : strlen(text);
        struct buf paragraph = BUF_EMPTY;
        buf_add(&paragraph, text, length);
        buf_add_char(buf, '\n');
        add_filled(buf, buf_text(&paragraph), 0, 0, width);
        buf_free(&paragraph);
        text = end ? end + 2 : NULL;
    }
}

static void write_command(const struct cmd *cmd, size_t width, struct buf *buf)
{
    buf_add_format(buf, "usage: wgdeck %s [OPTION...]%s%s\n", cmd->name, *cmd->arguments ? " " : "", cmd->arguments);
    add_filled(buf, cmd->summary, 0, 0, width);
    add_paragraphs(buf, cmd->description, width);
    add_options(buf, "Options", cmd->options, width);
    add_options(buf, "Options of every command", cmd_global_options, width);
    if (cmd->examples)
        buf_add_text(buf, "\nExamples:\n");
    for (const char *const *line = cmd->examples; line && line[0] && line[1]; line += 2) {
        buf_add_format(buf, "  %s\n      ", line[0]);
        add_filled(buf, line[1], 6, 6, width);
    }
    const struct cmd_exit *exits = cmd->exits ? cmd->exits : cmd->judges ? cmd_judging_exits : cmd_common_exits;
    buf_add_text(buf, "\nExit status:\n");
    for (; exits->meaning; exits++) {
        buf_add_format(buf, "  %d  ", exits->status);
        add_filled(buf, exits->meaning, 5, 5, width);
    }
}

static void write_program(size_t width, struct buf *buf)
{
    buf_add_text(buf, "usage: wgdeck                     open the deck of the mesh file, as \"wgdeck tui\"\n"
                      "       wgdeck [OPTION...] COMMAND [ARGUMENT...]\n"
                      "The control deck of a WireGuard mesh: every node and every link, judged from both ends, over SSH.\n"
                      "\nCommands:\n");
    for (size_t i = 0; cmd_table[i]; i++) {
        if (cmd_table[i]->hidden)
            continue;
        buf_add_format(buf, "  %-10s ", cmd_table[i]->name);
        add_filled(buf, cmd_table[i]->summary, 13, 13, width);
    }
    add_options(buf, "Options of every command", cmd_global_options, width);
    buf_add_text(buf, "\nwgdeck COMMAND --help shows its options. Manuals: wgdeck(1), wgdeck-deck(7), wgdeck-mesh(5), wgdeck-faults(7).\n"
                      "A look at the deck without any host: wgdeck replay\n");
}

void help_write(const struct cmd *cmd, size_t width, struct buf *buf)
{
    if (width > HELP_WIDTH_MOST)
        width = HELP_WIDTH_MOST;
    if (cmd)
        write_command(cmd, width, buf);
    else
        write_program(width, buf);
}
