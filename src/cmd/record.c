/* wgdeck record FILE: look at the mesh again and again, and keep what was seen, without keys. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "gather.h"
#include "wgdeck/clock.h"
#include "wgdeck/log.h"
#include "wgdeck/record.h"

#define EVERY_DEFAULT 2.0

static const struct cmd_option record_options[] = {
    {.letter = 'w', .name = "every", .argument = "SECONDS", .help = "time between two readings", .fallback = "2"},
    {.letter = 'd', .name = "duration", .argument = "SECONDS", .help = "end after this time", .fallback = "until ^C"},
    {.letter = 'f', .name = "force", .help = "replace FILE if it exists"},
    GATHER_OPTION_ROWS,
    {0},
};

struct session {
    struct recorder *recorder;
    struct gather *gather;
    size_t readings;
    struct err err;
    bool failed;
};

static void on_change(void *context, size_t node, const struct observation *seen)
{
    struct session *session = context;
    if (session->failed)
        return;
    if (recorder_add(session->recorder, node, seen, &session->err)) {
        session->failed = true;
        ev_break(gather_loop(session->gather), EVBREAK_ALL);
    }
    session->readings++;
}

static int run_session(struct session *session, double duration)
{
    int64_t end = clock_steady() + (int64_t)(duration * (double)CLOCK_SECOND);
    gather_on_change(session->gather, on_change, session);
    gather_first(session->gather);
    while (!session->failed && !gather_interrupted(session->gather)) {
        double left = duration > 0 ? (double)(end - clock_steady()) / (double)CLOCK_SECOND : 3600;
        if (left <= 0)
            break;
        gather_wait(session->gather, left, duration > 0 ? "recording ends" : NULL);
    }
    if (session->failed) {
        log_error("record: %s", session->err.text);
        return CMD_FAILED;
    }
    log_notice("record: %zu readings", session->readings);
    return session->readings ? CMD_OK : CMD_FAILED;
}

/* "-" is standard output. */
static FILE *open_output(const char *path, bool force)
{
    if (!strcmp(path, "-"))
        return stdout;
    int descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), 0600);
    FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (!file)
        log_error("record: %s: %s%s", path, strerror(errno), errno == EEXIST ? " (--force replaces it)" : "");
    return file;
}

static int record_to(const char *path, struct options *options, const struct mesh_choice *choice, const struct gather_options *wanted,
                     double duration)
{
    struct session session = {0};
    int status = CMD_FAILED;
    FILE *file = open_output(path, options_given(options, "force"));
    if (!file)
        return CMD_FAILED;
    session.recorder = recorder_new(file, path, choice->mesh, choice->conf, &session.err);
    if (session.recorder)
        session.gather = gather_new(options, choice, wanted);
    else
        log_error("record: %s", session.err.text);
    if (session.gather)
        status = run_session(&session, duration);
    gather_free(session.gather);
    recorder_free(session.recorder);
    if (file != stdout && fclose(file)) {
        log_error("record: %s: %s", path, strerror(errno));
        status = CMD_FAILED;
    }
    return status;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct gather_options wanted;
    struct mesh_choice choice;
    double duration;
    if (!options_parse(cmd, globals, argc, argv, &options) || !gather_read_options(&options, &wanted) ||
        !options_seconds(&options, "every", 0.2, 86400, EVERY_DEFAULT, &wanted.every) ||
        !options_seconds(&options, "duration", 0.1, 1e9, 0, &duration))
        return options.status;
    if (!options.operand_count)
        return options_usage_error(cmd, "which file? (- is standard output)");
    const char *path = options.operands[0];
    options.operands++;
    options.operand_count--;
    if (!mesh_choose(&options, &choice))
        return CMD_USAGE;
    int status = record_to(path, &options, &choice, &wanted, duration);
    mesh_choice_free(&choice);
    return status;
}

static const char *const examples[] = {
    "wgdeck record trouble.jsonl", "until ^C; give the file to someone who shall help",
    "wgdeck record -d 60 - | gzip > minute.gz", "one minute", NULL,
};

const struct cmd cmd_record = {
    .name = "record",
    .arguments = "FILE [HOST...]",
    .summary = "keep what is seen of the mesh in a file, with keys made unrecognisable",
    .description = "Looks at the mesh again and again and writes what changed, one JSON line for each node that did. Every key is replaced by another one, the "
                   "same for the same key, with a secret of this run that is thrown away; comments of the mesh file are left out. Names and addresses stay. "
                   "wgdeck replay shows the recording as status and doctor would have shown the mesh.",
    .options = record_options,
    .examples = examples,
    .run = run,
};
