/* wgdeck replay [FILE]: the deck, or status or doctor of a recorded mesh, at any time of the recording. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "deck.h"
#include "options.h"
#include "output.h"
#include "wgdeck/clock.h"
#include "wgdeck/history.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/record.h"
#include "wgdeck/text.h"

static const struct cmd_option replay_options[] = {
    {.name = "json", .help = "as JSON, schema 1; with --watch one line each time"},
    {.name = "prom", .help = "in the text format of Prometheus"},
    {.letter = 'D', .name = "doctor", .help = "as doctor shows it: faults with evidence"},
    {.name = "at", .argument = "TIME", .help = "as it was at this time: 2026-11-22T14:00:00Z, or +SECONDS after the beginning", .fallback = "the end"},
    {.letter = 'w', .name = "watch", .argument = "SECONDS", .help = "one picture for every SECONDS of the recording, without waiting"},
    {.name = "speed", .argument = "X", .help = "in the deck: X times as fast as it was, 0.1 to 1000", .fallback = "1"},
    DECK_OPTION_ROWS,
    {.letter = 'a', .name = "all", .help = "list also what is fine, however much it is"},
    {0},
};

struct replay {
    struct options options;
    struct recording *recording;
    struct history *history;
    struct diagnosis *last;    /* what is known of a cut link goes on from one picture to the next */
    struct terminal terminal;
    const struct output *output;
    int status;
};

/* INT64_MAX: the end. False if TEXT is no time. */
static bool parse_time(const char *text, int64_t start, int64_t *at)
{
    struct tm parts = {0};
    unsigned long long seconds;
    *at = INT64_MAX;
    if (!text)
        return true;
    if (*text == '+' && !text_to_number(text + 1, 1000000000, &seconds)) {
        int64_t later = (int64_t)seconds * CLOCK_SECOND;
        *at = start < INT64_MAX - later ? start + later : INT64_MAX;
        return true;
    }
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    time_t whole = end && !*end ? timegm(&parts) : -1;
    if (whole < 0 || whole >= INT64_MAX / CLOCK_SECOND - 1)
        return false;
    *at = ((int64_t)whole + 1) * CLOCK_SECOND - 1; /* all of that second */
    return true;
}

static void print_picture(struct replay *replay, int64_t at)
{
    const struct mesh *mesh = recording_mesh(replay->recording);
    const struct observed *now = recording_observed(replay->recording);
    struct diagnosis *diagnosis = diagnose_after(replay->last, mesh, now, history_before(replay->history, at));
    struct report report = {.mesh = mesh, .observed = now, .diagnosis = diagnosis, .terminal = &replay->terminal,
                            .nodes = replay->options.globals.nodes, .about = {SIZE_MAX, SIZE_MAX}, .all = options_given(&replay->options, "all")};
    struct buf text = BUF_EMPTY;
    if (replay->output == &output_text) {
        char time_text[CLOCK_TEXT_SIZE];
        clock_text(diagnosis->at ? diagnosis->at : at, time_text);
        buf_add_format(&text, "as of %s\n", time_text);
    }
    if (options_given(&replay->options, "doctor"))
        replay->output->doctor(&report, &text);
    else
        replay->output->status(&report, &text);
    fwrite(buf_text(&text), 1, text.length, stdout);
    replay->status = report_exit_status(&report);
    buf_free(&text);
    diagnosis_free(replay->last);
    replay->last = diagnosis;
}

/* All lines up to AT; with EVERY, a picture at each step on the way. */
static int play(struct replay *replay, int64_t at, int64_t every)
{
    struct err err;
    int64_t due = 0, last = recording_start(replay->recording);
    for (;;) {
        int64_t next = recording_peek(replay->recording, &err);
        if (next < 0)
            break;
        if (next > at || next == INT64_MAX) {
            print_picture(replay, last);
            return replay->status;
        }
        if (every && due && next >= due) {
            print_picture(replay, last);
            if (fflush(stdout))
                return replay->status;
            int64_t steps = (next - due) / every * every;
            due = due < INT64_MAX - steps - every ? due + steps + every : INT64_MAX;
        }
        if (recording_next(replay->recording, &err) < 0)
            break;
        if (every && !due)
            due = next < INT64_MAX - every ? next + every : INT64_MAX;
        last = next;
        history_add(replay->history, recording_observed(replay->recording), next);
    }
    log_error("replay: %s", err.text);
    return STATUS_COULD_NOT_LOOK;
}

/* The deck, on a terminal, unless something is asked for that is written out. */
static bool wants_deck(const struct replay *replay)
{
    static const char *const written[] = {"json", "prom", "doctor", "watch", "all"};
    for (size_t i = 0; i < COUNT_OF(written); i++)
        if (options_given(&replay->options, written[i]))
            return false;
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

/* Where it begins: --at, else at the beginning. */
static int show_deck(struct replay *replay, FILE *file, const char *name)
{
    struct err err;
    int64_t at = 0;
    double speed;
    const char *wanted = options_value(&replay->options, "at");
    if (!options_seconds(&replay->options, "speed", 0.1, 1000, 1, &speed))
        return replay->options.status;
    if (wanted) {
        struct recording *recording = recording_open(file, name, &err);
        if (!recording) {
            log_error("replay: %s", err.text);
            return STATUS_COULD_NOT_LOOK;
        }
        bool good = parse_time(wanted, recording_start(recording), &at);
        recording_free(recording);
        if (!good)
            return options_usage_error(replay->options.cmd, "--at %s is neither a time such as 2026-11-22T14:00:00Z nor +SECONDS", wanted);
        rewind(file);
    }
    return deck_replay(&replay->options, file, name, at, speed);
}

static int replay_file(struct replay *replay, FILE *file, const char *name)
{
    struct err err;
    int64_t at;
    double every;
    if (!options_seconds(&replay->options, "watch", 0.1, 1e9, 0, &every))
        return replay->options.status;
    replay->recording = recording_open(file, name, &err);
    if (!replay->recording) {
        log_error("replay: %s", err.text);
        return STATUS_COULD_NOT_LOOK;
    }
    const char *wanted = options_value(&replay->options, "at");
    if (!parse_time(wanted, recording_start(replay->recording), &at))
        return options_usage_error(replay->options.cmd, "--at %s is neither a time such as 2026-11-22T14:00:00Z nor +SECONDS", wanted);
    replay->history = history_new();
    return play(replay, at, (int64_t)(every * (double)CLOCK_SECOND));
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct replay replay = {.output = &output_text};
    if (!options_parse(cmd, globals, argc, argv, &replay.options))
        return replay.options.status;
    if (replay.options.operand_count > 1)
        return options_usage_error(cmd, "one FILE is wanted (- is standard input)");
    if (options_given(&replay.options, "json") && options_given(&replay.options, "prom"))
        return options_usage_error(cmd, "--json and --prom exclude each other");
    if (options_given(&replay.options, "json"))
        replay.output = &output_json;
    if (options_given(&replay.options, "prom"))
        replay.output = &output_prom;
    replay.terminal = terminal_of(STDOUT_FILENO, &replay.options.globals);
    const char *path = replay.options.operand_count ? replay.options.operands[0] : NULL;
    bool from_input = path && !strcmp(path, "-");
    FILE *file = !path ? deck_incident() : from_input ? stdin : fopen(path, "re");
    if (!file) {
        log_error("replay: %s: %s", path ? path : deck_incident_name, strerror(errno));
        return STATUS_COULD_NOT_LOOK;
    }
    const char *name = !path ? deck_incident_name : from_input ? "standard input" : path;
    int status = !from_input && wants_deck(&replay) ? show_deck(&replay, file, name) : replay_file(&replay, file, name);
    diagnosis_free(replay.last);
    history_free(replay.history);
    recording_free(replay.recording);
    if (file != stdin)
        fclose(file);
    return status;
}

static const char *const examples[] = {
    "wgdeck replay", "an incident that comes with the program, in the deck: no host and no root is needed",
    "wgdeck replay trouble.jsonl", "the recording in the deck; z pauses, . and , step, + and - change its speed",
    "wgdeck replay --at 2026-11-22T14:00:00Z trouble.jsonl", "the deck, paused there",
    "wgdeck replay --doctor --at +60 trouble.jsonl", "faults with their evidence, one minute after the beginning, as text",
    "wgdeck replay --json trouble.jsonl", "the mesh as it was at the end of the recording, as JSON", NULL,
};

const struct cmd cmd_replay = {
    .name = "replay",
    .arguments = "[FILE]",
    .summary = "a recorded mesh, in the deck, or as status or doctor",
    .description = "Reads a recording of wgdeck record; without FILE, the incident that comes with the program. No node is contacted.\n\n"
                   "On a terminal the deck opens and plays it, from the beginning or from --at. With --json, --prom, --doctor, --all or --watch, when "
                   "standard output is no terminal, or with - as FILE, it shows what status or doctor would have shown, at the end or at --at.",
    .options = replay_options,
    .examples = examples,
    .run = run,
    .judges = true,
};
