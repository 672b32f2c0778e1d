/* Command lines: getopt_long's arrays are built from the tables, and its bare errors turned into helpful ones. */
#include "options.h"

#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "terminal.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wgdeck/version.h"

enum { LONG_BASE = 256 }; /* getopt's value of row N is LONG_BASE + N, beyond all letters */

static const struct cmd_option no_options[] = {{0}};

const struct cmd_option cmd_global_options[] = {
    {.letter = 'm', .name = "mesh", .argument = "FILE", .help = "the mesh file",
     .fallback = "$WGDECK_MESH, ./mesh.conf, then $XDG_CONFIG_HOME/wgdeck/mesh.conf"},
    {.letter = 'F', .name = "ssh-config", .argument = "FILE", .help = "OpenSSH configuration to use", .fallback = "OpenSSH's own"},
    {.letter = 'n', .name = "nodes", .argument = "GLOB,...", .help = "only nodes whose name matches one of the patterns; !GLOB leaves out"},
    {.letter = 'v', .name = "verbose", .help = "say more about what is done"},
    {.letter = 'q', .name = "quiet", .help = "errors only"},
    {.name = "ascii", .help = "no character beyond ASCII on the screen", .fallback = "from the locale"},
    {.letter = 'h', .name = "help", .help = "show help and end"},
    {.name = "version", .help = "show the version and end"},
    {0},
};

const struct cmd_exit cmd_common_exits[] = {
    {0, "done"},
    {1, "failed; standard error says what, where and why"},
    {2, "the command line was wrong"},
    {0, NULL},
};

const struct cmd_exit cmd_judging_exits[] = {
    {0, "healthy"},
    {1, "warnings"},
    {2, "faults"},
    {3, "could not look, at one node or at all; or the command line was wrong"},
    {0, NULL},
};

/* Both tables as getopt_long wants them. */
struct grammar {
    const struct cmd_option *rows[OPTIONS_MAXIMUM];
    size_t count, own; /* rows below OWN are the command's */
    struct option longs[OPTIONS_MAXIMUM + 1];
    char shorts[2 * OPTIONS_MAXIMUM + 4];
};

static void add_row(struct grammar *grammar, const struct cmd_option *row)
{
    if (grammar->count == OPTIONS_MAXIMUM)
        abort(); /* a table has grown: raise the number */
    grammar->longs[grammar->count] = (struct option){row->name, row->argument ? required_argument : no_argument, NULL,
                                                     LONG_BASE + (int)grammar->count};
    if (row->letter)
        snprintf(grammar->shorts + strlen(grammar->shorts), 3, "%c%s", row->letter, row->argument ? ":" : "");
    grammar->rows[grammar->count++] = row;
}

static void build_grammar(struct grammar *grammar, const struct cmd_option *own, bool stop_at_operand)
{
    *grammar = (struct grammar){0};
    snprintf(grammar->shorts, sizeof grammar->shorts, "%s:", stop_at_operand ? "+" : "");
    for (const struct cmd_option *row = own; row->name; row++)
        add_row(grammar, row);
    grammar->own = grammar->count;
    for (const struct cmd_option *row = cmd_global_options; row->name; row++)
        add_row(grammar, row);
}

static size_t find_row(const struct grammar *grammar, int value)
{
    if (value >= LONG_BASE)
        return (size_t)(value - LONG_BASE);
    for (size_t i = 0; i < grammar->count; i++)
        if (grammar->rows[i]->letter == value)
            return i;
    return SIZE_MAX;
}

int options_usage_error(const struct cmd *cmd, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    va_end(arguments);
    if (cmd)
        log_error("%s: %s (wgdeck %s --help shows what can be given)", cmd->name, text, cmd->name);
    else
        log_error("%s (wgdeck --help shows what can be given)", text);
    free(text);
    return cmd && cmd->judges ? STATUS_COULD_NOT_LOOK : CMD_USAGE;
}

static int unknown_long(const struct cmd *cmd, const struct grammar *grammar, const char *word)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    const char *names[OPTIONS_MAXIMUM], *first = NULL, *second = NULL;
    for (size_t i = 0; i < grammar->count; i++) {
        names[i] = grammar->rows[i]->name;
        if (!strncmp(names[i], name, strlen(name))) {
            second = first;
            first = names[i];
        }
    }
    if (first && second)
        return options_usage_error(cmd, "--%s can mean --%s or --%s", name, second, first);
    const char *near = text_nearest(name, names, grammar->count);
    if (near)
        return options_usage_error(cmd, "unknown option --%s: did you mean --%s?", name, near);
    return options_usage_error(cmd, "unknown option --%s", name);
}

/* getopt_long has said '?' or ':'. */
static int explain(const struct cmd *cmd, const struct grammar *grammar, int result, char **argv)
{
    size_t row = optopt ? find_row(grammar, optopt) : SIZE_MAX;
    if (result == ':' && row < grammar->count)
        return options_usage_error(cmd, "--%s needs a value: --%s %s", grammar->rows[row]->name, grammar->rows[row]->name,
                                   grammar->rows[row]->argument);
    if (row < grammar->count)
        return options_usage_error(cmd, "--%s takes no value", grammar->rows[row]->name);
    if (optopt)
        return options_usage_error(cmd, "unknown option -%c", optopt);
    return unknown_long(cmd, grammar, argv[optind - 1] + 2);
}

static void print_and_drop(struct buf *buf)
{
    fwrite(buf_text(buf), 1, buf->length, stdout);
    buf_free(buf);
}

/* True if the option ends the program (help, version). */
static bool take_global(const struct cmd *cmd, const struct cmd_option *row, const char *value, struct cmd_globals *globals)
{
    struct buf text = BUF_EMPTY;
    if (!strcmp(row->name, "mesh"))
        globals->mesh_file = value;
    else if (!strcmp(row->name, "ssh-config"))
        globals->ssh_config = value;
    else if (!strcmp(row->name, "nodes"))
        globals->nodes = value;
    else if (!strcmp(row->name, "verbose"))
        log_set_level(LOG_LEVEL_VERBOSE);
    else if (!strcmp(row->name, "quiet"))
        log_set_level(LOG_LEVEL_QUIET);
    else if (!strcmp(row->name, "ascii"))
        globals->ascii = true;
    else if (!strcmp(row->name, "version"))
        buf_add_text(&text, "wgdeck " WGDECK_VERSION "\n");
    else
        help_write(cmd, terminal_width(STDOUT_FILENO), &text);
    bool ends = text.length > 0;
    print_and_drop(&text);
    return ends;
}

/* The loop that both levels of the command line share. */
static bool parse(const struct cmd *cmd, const struct grammar *grammar, int argc, char **argv, struct options *options)
{
    opterr = 0;
    optind = 0; /* glibc: start anew, and look at the '+' again */
    for (;;) {
        int result = getopt_long(argc, argv, grammar->shorts, grammar->longs, NULL);
        if (result == -1)
            return true;
        if (result == '?' || result == ':') {
            options->status = explain(cmd, grammar, result, argv);
            return false;
        }
        size_t row = find_row(grammar, result);
        if (row < grammar->own) {
            options->values[row] = optarg ? optarg : "";
        } else if (take_global(cmd, grammar->rows[row], optarg, &options->globals)) {
            options->status = CMD_OK;
            return false;
        }
    }
}

bool options_parse(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv, struct options *options)
{
    struct grammar grammar;
    build_grammar(&grammar, cmd->options ? cmd->options : no_options, cmd->options_first);
    *options = (struct options){.cmd = cmd, .globals = *globals};
    if (!parse(cmd, &grammar, argc, argv, options))
        return false;
    options->operands = argv + optind;
    options->operand_count = argc - optind;
    return true;
}

const char *options_value(const struct options *options, const char *name)
{
    for (size_t i = 0; options->cmd->options[i].name; i++)
        if (!strcmp(options->cmd->options[i].name, name))
            return options->values[i];
    abort(); /* a name that its table does not have */
}

bool options_given(const struct options *options, const char *name)
{
    return options_value(options, name) != NULL;
}

bool options_seconds(struct options *options, const char *name, double minimum, double maximum, double fallback, double *seconds)
{
    const char *text = options_value(options, name);
    *seconds = fallback;
    if (!text)
        return true;
    char *end = NULL;
    double value = strtod(text, &end);
    if (strspn(text, "0123456789.") != strlen(text) || end == text || *end || !(value >= minimum && value <= maximum)) {
        options->status = options_usage_error(options->cmd, "--%s wants seconds from %g to %g, not \"%s\"", name, minimum, maximum, text);
        return false;
    }
    *seconds = value;
    return true;
}

const struct cmd *cmd_find(const char *name)
{
    for (size_t i = 0; cmd_table[i]; i++)
        if (!strcmp(cmd_table[i]->name, name))
            return cmd_table[i];
    return NULL;
}

int options_unknown_command(const char *word)
{
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; cmd_planned[i]; i++)
        if (!strcmp(cmd_planned[i], word)) {
            log_error("%s is not built yet (wgdeck --help shows what is)", word);
            return CMD_USAGE;
        }
    for (size_t i = 0; cmd_table[i] && count < COUNT_OF(names); i++)
        if (!cmd_table[i]->hidden)
            names[count++] = cmd_table[i]->name;
    const char *near = text_nearest(word, names, count);
    if (near)
        return options_usage_error(NULL, "unknown command \"%s\": did you mean %s?", word, near);
    return options_usage_error(NULL, "unknown command \"%s\"", word);
}

/* The names under which the program is its engine: wg-quick and others call "NAME INTERFACE". */
static bool is_called_as_engine(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL, *name = slash ? slash + 1 : path;
    return name && (!strcmp(name, "wgdeck-engine") || !strcmp(name, "wireguard-go"));
}

int cmd_main(int argc, char **argv)
{
    struct grammar grammar;
    struct options options = {0};
    terminal_begin();
    if (is_called_as_engine(argv[0]))
        return terminal_end(cmd_find("engine")->run(cmd_find("engine"), &options.globals, argc, argv));
    build_grammar(&grammar, no_options, true);
    if (!parse(NULL, &grammar, argc, argv, &options))
        return terminal_end(options.status);
    char deck[] = "tui", *alone[] = {deck, NULL}; /* wgdeck alone */
    int count = optind < argc ? argc - optind : 1;
    char **rest = optind < argc ? argv + optind : alone;
    const struct cmd *cmd = cmd_find(rest[0]);
    int status = cmd ? cmd->run(cmd, &options.globals, count, rest) : options_unknown_command(rest[0]);
    return terminal_end(status);
}
