/* Makes manual pages and completions at build time: copies a frame (man/NAME.in, completions/NAME.in) and puts what the program's own
 * tables say in the place of each line "@WORD@". Usage: generate FRAME > PAGE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/buf.h"
#include "wgdeck/cmd.h"
#include "wgdeck/diagnosis.h"
#include "wgdeck/engine_counters.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/mesh.h"
#include "wgdeck/tui.h"

/* mdoc */

enum { MDOC_LINE = 78 };

/* A word of text as mdoc: nothing in it is a request, and no dash of it is taken for a pause. */
static void add_mdoc_word(struct buf *out, const char *word, size_t length, bool line_start)
{
    if (line_start && length && (*word == '.' || *word == '\''))
        buf_add_text(out, "\\&");
    if (length == 2 && !strncmp(word, "--", 2)) {
        buf_add_text(out, "-\\&-");
        return;
    }
    for (size_t i = 0; i < length; i++)
        if (word[i] == '\\')
            buf_add_text(out, "\\e");
        else
            buf_add_char(out, word[i]);
}

/* Does a sentence end with this word? Three dots and abbreviations end none. */
static bool ends_sentence(const char *word, size_t length)
{
    while (length && strchr(")\"'", word[length - 1]))
        length--;
    return length && strchr(".!?", word[length - 1]) && !(length > 1 && word[length - 2] == '.');
}

/* Text as mdoc: each sentence begins a line, as mdoc wants it, and no line is long. */
static void add_mdoc(struct buf *out, const char *text)
{
    size_t line = 0;
    for (const char *at = text; *at;) {
        if (*at == '\n' && at[1] == '\n') {
            buf_add_text(out, line ? "\n.Pp\n" : ".Pp\n");
            line = 0;
        }
        at += strspn(at, " \n");
        size_t length = strcspn(at, " \n");
        if (!length)
            break;
        if (line && line + 1 + length > MDOC_LINE) {
            buf_add_char(out, '\n');
            line = 0;
        }
        if (line)
            buf_add_char(out, ' ');
        add_mdoc_word(out, at, length, !line);
        line += (line ? 1 : 0) + length;
        at += length;
        if (ends_sentence(at - length, length) && *at == ' ') {
            buf_add_char(out, '\n');
            line = 0;
        }
    }
    if (line)
        buf_add_char(out, '\n');
}

/* One argument of a macro. */
static void add_argument(struct buf *out, const char *text)
{
    buf_add_char(out, '"');
    if (*text && !text[1] && !((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')))
        buf_add_text(out, "\\&"); /* a punctuation mark alone would be set outside of the macro */
    for (; *text; text++)
        if (*text == '"')
            buf_add_text(out, "\\(dq");
        else if (*text == '\\')
            buf_add_text(out, "\\e");
        else if (text[0] == '-' && text[1] == '-')
            buf_add_text(out, "-\\&"); /* no pause */
        else
            buf_add_char(out, *text);
    buf_add_char(out, '"');
}

static void add_options(struct buf *out, const struct cmd_option *options)
{
    if (!options || !options[0].name)
        return;
    buf_add_text(out, ".Bl -tag -width Ds\n");
    for (; options->name; options++) {
        buf_add_text(out, ".It ");
        if (options->letter)
            buf_add_format(out, "Fl %c , ", options->letter);
        buf_add_format(out, "Fl -%s", options->name);
        if (options->argument) {
            buf_add_text(out, " Ar ");
            add_argument(out, options->argument);
        }
        buf_add_char(out, '\n');
        struct buf help = BUF_EMPTY;
        buf_add_text(&help, options->help);
        help.data[0] = (char)(help.data[0] >= 'a' && help.data[0] <= 'z' ? help.data[0] - 'a' + 'A' : help.data[0]);
        buf_add_char(&help, '.');
        if (options->fallback)
            buf_add_format(&help, " Default: %s.", options->fallback);
        add_mdoc(out, buf_text(&help));
        buf_free(&help);
    }
    buf_add_text(out, ".El\n");
}

static void add_exits(struct buf *out, const struct cmd_exit *exits)
{
    buf_add_text(out, ".Bl -tag -width Ds -compact\n");
    for (; exits->meaning; exits++) {
        buf_add_format(out, ".It %d\n", exits->status);
        add_mdoc(out, exits->meaning);
    }
    buf_add_text(out, ".El\n");
}

static void add_examples(struct buf *out, const char *const *examples)
{
    if (!examples)
        return;
    buf_add_text(out, ".Pp\nExamples:\n.Bl -tag -width Ds\n");
    for (; examples[0] && examples[1]; examples += 2) {
        buf_add_text(out, ".It Ic ");
        add_argument(out, examples[0]);
        buf_add_char(out, '\n');
        add_mdoc(out, examples[1]);
    }
    buf_add_text(out, ".El\n");
}

static void add_command(struct buf *out, const struct cmd *cmd)
{
    buf_add_format(out, ".Ss %s\n.Nm\n.Cm %s\n.Op Ar option ...\n", cmd->name, cmd->name);
    if (*cmd->arguments) {
        buf_add_text(out, ".Ar ");
        add_argument(out, cmd->arguments);
        buf_add_char(out, '\n');
    }
    buf_add_text(out, ".Pp\n");
    char *summary = mem_format("%c%s.", cmd->summary[0] >= 'a' && cmd->summary[0] <= 'z' ? cmd->summary[0] - 'a' + 'A' : cmd->summary[0],
                               cmd->summary + 1);
    add_mdoc(out, summary);
    free(summary);
    if (cmd->description && *cmd->description) {
        buf_add_text(out, ".Pp\n");
        add_mdoc(out, cmd->description);
    }
    add_options(out, cmd->options);
    add_examples(out, cmd->examples);
    if (cmd->exits) {
        buf_add_text(out, ".Pp\nExit status:\n");
        add_exits(out, cmd->exits);
    }
}

static void generate_commands(struct buf *out)
{
    for (size_t i = 0; cmd_table[i]; i++)
        if (!cmd_table[i]->hidden)
            add_command(out, cmd_table[i]);
}

static void generate_global_options(struct buf *out)
{
    add_options(out, cmd_global_options);
}

static void generate_exits(struct buf *out)
{
    add_exits(out, cmd_common_exits);
    buf_add_text(out, ".Pp\nThe commands that judge,");
    const char *before = "";
    for (size_t i = 0; cmd_table[i]; i++)
        if (cmd_table[i]->judges && !cmd_table[i]->hidden) {
            buf_add_format(out, "%s\n.Cm %s", before, cmd_table[i]->name);
            before = " ,";
        }
    buf_add_text(out, " ,\nspeak as monitoring plugins do:\n");
    add_exits(out, cmd_judging_exits);
}

static void add_mesh_keys(struct buf *out, const char *section)
{
    buf_add_text(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < mesh_key_count; i++) {
        if (strcmp(mesh_keys[i].section, section) != 0)
            continue;
        buf_add_format(out, ".It Cm %s No = Ar ", mesh_keys[i].name);
        add_argument(out, mesh_keys[i].values);
        buf_add_char(out, '\n');
        add_mdoc(out, mesh_keys[i].help);
    }
    buf_add_text(out, ".El\n");
}

static void generate_mesh_section(struct buf *out)
{
    add_mesh_keys(out, "Mesh");
}

static void generate_node_section(struct buf *out)
{
    add_mesh_keys(out, "Node");
}

static void generate_removed_section(struct buf *out)
{
    add_mesh_keys(out, "Removed");
}

static void generate_faults(struct buf *out)
{
    for (size_t i = 0; i < fault_kind_count; i++) {
        const struct fault_kind *kind = &fault_kinds[i];
        buf_add_format(out, ".Ss %s\n%s (%s).\n.Pp\n", kind->id, kind->title, severity_text(kind->severity));
        add_mdoc(out, kind->meaning);
        buf_add_text(out, ".Bl -tag -width Ds\n.It Detection\n");
        add_mdoc(out, kind->detection);
        buf_add_text(out, ".It Remedy\n");
        add_mdoc(out, kind->remedy);
        buf_add_text(out, ".El\n");
    }
}

/* The deck */

enum { DECK_ROWS = 128 };

/* A list of names, as they are written, and what they do. */
static void add_named(struct buf *out, size_t (*table)(struct tui_named *rows, size_t most))
{
    struct tui_named rows[DECK_ROWS];
    size_t count = table(rows, DECK_ROWS);
    buf_add_text(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < count && i < DECK_ROWS; i++) {
        buf_add_text(out, ".It Ic ");
        add_argument(out, rows[i].name);
        buf_add_char(out, '\n');
        struct buf help = BUF_EMPTY;
        buf_add_text(&help, rows[i].help);
        help.data[0] = (char)(help.data[0] >= 'a' && help.data[0] <= 'z' ? help.data[0] - 'a' + 'A' : help.data[0]);
        if (!ends_sentence(help.data, help.length))
            buf_add_char(&help, '.');
        add_mdoc(out, buf_text(&help));
        buf_free(&help);
    }
    buf_add_text(out, ".El\n");
}

static void generate_deck_screens(struct buf *out)
{
    add_named(out, tui_screen_rows);
}

static void generate_deck_commands(struct buf *out)
{
    add_named(out, tui_command_rows);
}

static void generate_deck_config(struct buf *out)
{
    add_named(out, tui_config_rows);
}

static void generate_deck_styles(struct buf *out)
{
    add_named(out, tui_style_rows);
}

static void generate_deck_keys(struct buf *out)
{
    struct tui_key_row rows[DECK_ROWS];
    size_t count = tui_key_rows(rows, DECK_ROWS);
    buf_add_text(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < count && i < DECK_ROWS; i++) {
        char *help = mem_format("%s: %s%s%s%s.", rows[i].action, rows[i].help, strcmp(rows[i].where, "everywhere") ? " (" : "",
                                strcmp(rows[i].where, "everywhere") ? rows[i].where : "", strcmp(rows[i].where, "everywhere") ? ")" : "");
        buf_add_text(out, ".It Ic ");
        add_argument(out, rows[i].keys);
        buf_add_char(out, '\n');
        add_mdoc(out, help);
        free(help);
    }
    buf_add_text(out, ".El\n");
}

/* The engine */

struct counter_words {
    const char *name, *words;
};

static void add_counters(struct buf *out, const struct counter_words *rows, size_t count)
{
    buf_add_text(out, ".Bl -tag -width Ds -compact\n");
    for (size_t i = 0; i < count; i++) {
        char *words = mem_format("%c%s.", rows[i].words[0] >= 'a' && rows[i].words[0] <= 'z' ? rows[i].words[0] - 'a' + 'A' : rows[i].words[0],
                                 rows[i].words + 1);
        buf_add_format(out, ".It Li %s\n", rows[i].name);
        add_mdoc(out, words);
        free(words);
    }
    buf_add_text(out, ".El\n");
}

#define COUNTER_WORDS(name, words) {#name, words},

static void generate_engine_counters(struct buf *out)
{
    static const struct counter_words rows[] = {ENGINE_COUNTERS(COUNTER_WORDS)};
    add_counters(out, rows, COUNT_OF(rows));
}

static void generate_engine_peer_counters(struct buf *out)
{
    static const struct counter_words rows[] = {ENGINE_PEER_COUNTERS(COUNTER_WORDS)};
    add_counters(out, rows, COUNT_OF(rows));
}

/* Completions */

static void generate_command_words(struct buf *out)
{
    buf_add_text(out, "    local commands=\"");
    for (size_t i = 0, shown = 0; cmd_table[i]; i++)
        if (!cmd_table[i]->hidden)
            buf_add_format(out, "%s%s", shown++ ? " " : "", cmd_table[i]->name);
    buf_add_text(out, "\"\n");
}

static void add_option_words(struct buf *out, const struct cmd_option *options)
{
    for (; options && options->name; options++) {
        if (options->letter)
            buf_add_format(out, " -%c", options->letter);
        buf_add_format(out, " --%s", options->name);
    }
}

static void generate_bash_options(struct buf *out)
{
    buf_add_text(out, "    local global=\"");
    add_option_words(out, cmd_global_options);
    buf_add_text(out, "\"\n    case $command in\n");
    for (size_t i = 0; cmd_table[i]; i++) {
        if (cmd_table[i]->hidden)
            continue;
        buf_add_format(out, "    %s) options=\"", cmd_table[i]->name);
        add_option_words(out, cmd_table[i]->options);
        buf_add_text(out, "\" ;;\n");
    }
    buf_add_text(out, "    esac\n");
}

/* Options whose value stands in the next word. */
static void generate_bash_values(struct buf *out)
{
    buf_add_text(out, "    local valued=\" ");
    for (size_t i = 0; cmd_table[i]; i++)
        for (const struct cmd_option *option = cmd_table[i]->options; option && option->name; option++)
            if (option->argument && !cmd_table[i]->hidden)
                buf_add_format(out, "--%s ", option->name);
    for (const struct cmd_option *option = cmd_global_options; option->name; option++)
        if (option->argument)
            buf_add_format(out, "-%c --%s ", option->letter, option->name);
    buf_add_text(out, "\"\n");
}

/* In single quotes, for zsh and fish. COLONS: zsh wants them escaped, and brackets too. */
static void add_described(struct buf *out, const char *text, bool zsh)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_add_text(out, zsh ? "'\\''" : "\\'");
        else if (zsh && strchr(":[]", *text))
            buf_add_format(out, "\\%c", *text);
        else
            buf_add_char(out, *text);
    }
}

static void add_fish_options(struct buf *out, const char *condition, const struct cmd_option *options)
{
    for (; options && options->name; options++) {
        buf_add_format(out, "complete -c wgdeck%s -l %s", condition, options->name);
        if (options->letter)
            buf_add_format(out, " -s %c", options->letter);
        if (options->argument)
            buf_add_text(out, " -r");
        buf_add_text(out, " -d '");
        add_described(out, options->help, false);
        buf_add_text(out, "'\n");
    }
}

static void generate_fish(struct buf *out)
{
    for (size_t i = 0; cmd_table[i]; i++) {
        if (cmd_table[i]->hidden)
            continue;
        buf_add_format(out, "complete -c wgdeck -n __fish_use_subcommand -f -a %s -d '", cmd_table[i]->name);
        add_described(out, cmd_table[i]->summary, false);
        buf_add_text(out, "'\n");
        char *condition = mem_format(" -n '__fish_seen_subcommand_from %s'", cmd_table[i]->name);
        add_fish_options(out, condition, cmd_table[i]->options);
        free(condition);
    }
    add_fish_options(out, "", cmd_global_options);
}

static void add_zsh_options(struct buf *out, const struct cmd_option *options)
{
    for (; options && options->name; options++) {
        const char *file = options->argument && !strcmp(options->argument, "FILE") ? "_files" : "";
        for (int form = options->letter ? 0 : 1; form < 2; form++) {
            if (form)
                buf_add_format(out, "            '--%s%s[", options->name, options->argument ? "=" : "");
            else
                buf_add_format(out, "            '-%c%s[", options->letter, options->argument ? "+" : "");
            add_described(out, options->help, true);
            buf_add_char(out, ']');
            if (options->argument) {
                buf_add_char(out, ':');
                add_described(out, options->argument, true);
                buf_add_format(out, ":%s", file);
            }
            buf_add_text(out, "' \\\n");
        }
    }
}

static void generate_zsh_commands(struct buf *out)
{
    for (size_t i = 0; cmd_table[i]; i++) {
        if (cmd_table[i]->hidden)
            continue;
        buf_add_format(out, "            '%s:", cmd_table[i]->name);
        add_described(out, cmd_table[i]->summary, true);
        buf_add_text(out, "'\n");
    }
}

static void generate_zsh_options(struct buf *out)
{
    for (size_t i = 0; cmd_table[i]; i++) {
        if (cmd_table[i]->hidden)
            continue;
        buf_add_format(out, "        %s)\n            _arguments -s \\\n", cmd_table[i]->name);
        add_zsh_options(out, cmd_table[i]->options);
        add_zsh_options(out, cmd_global_options);
        buf_add_text(out, "            '*:: :_wgdeck_operands'\n            ;;\n");
    }
}

/* Frames */

static const struct {
    const char *word;
    void (*generate)(struct buf *out);
} parts[] = {
    {"@COMMANDS@", generate_commands},
    {"@GLOBAL_OPTIONS@", generate_global_options},
    {"@EXIT_STATUS@", generate_exits},
    {"@MESH_SECTION@", generate_mesh_section},
    {"@NODE_SECTION@", generate_node_section},
    {"@REMOVED_SECTION@", generate_removed_section},
    {"@FAULTS@", generate_faults},
    {"@DECK_SCREENS@", generate_deck_screens},
    {"@DECK_KEYS@", generate_deck_keys},
    {"@DECK_COMMANDS@", generate_deck_commands},
    {"@DECK_CONFIG@", generate_deck_config},
    {"@DECK_STYLES@", generate_deck_styles},
    {"@ENGINE_COUNTERS@", generate_engine_counters},
    {"@ENGINE_PEER_COUNTERS@", generate_engine_peer_counters},
    {"@COMMAND_WORDS@", generate_command_words},
    {"@BASH_OPTIONS@", generate_bash_options},
    {"@BASH_VALUES@", generate_bash_values},
    {"@FISH@", generate_fish},
    {"@ZSH_COMMANDS@", generate_zsh_commands},
    {"@ZSH_OPTIONS@", generate_zsh_options},
};

static int expand_line(const char *line, size_t length, struct buf *out, struct err *err)
{
    if (length < 3 || line[0] != '@' || line[length - 1] != '@') {
        buf_add(out, line, length);
        buf_add_char(out, '\n');
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (strlen(parts[i].word) == length && !strncmp(parts[i].word, line, length)) {
            parts[i].generate(out);
            return 0;
        }
    return err_set(err, "nothing is known of %.*s", (int)length, line);
}

int generate_page(const char *frame, struct buf *out, struct err *err);

int generate_page(const char *frame, struct buf *out, struct err *err)
{
    struct buf text = BUF_EMPTY;
    int result = file_read(frame, 1 << 20, &text, err);
    for (const char *at = buf_text(&text); !result && *at;) {
        size_t length = strcspn(at, "\n");
        result = expand_line(at, length, out, err);
        at += length + (at[length] == '\n');
    }
    buf_free(&text);
    return result;
}

#ifndef WITHOUT_MAIN
int main(int argc, char **argv)
{
    struct err err;
    struct buf page = BUF_EMPTY;
    if (argc != 2) {
        fputs("usage: generate FRAME > PAGE\n", stderr);
        return 2;
    }
    if (generate_page(argv[1], &page, &err)) {
        fprintf(stderr, "generate: %s: %s\n", argv[1], err.text);
        return 1;
    }
    return fwrite(buf_text(&page), 1, page.length, stdout) == page.length && !fflush(stdout) ? 0 : 1;
}
#endif
