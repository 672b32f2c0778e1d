/* Joining (wgdeck/join.h): the sequence, from the look at this machine to "kept" at both ends. What is done at each step is in join_steps.c; here is what follows what, and that all of it is
 * taken back when one fails. */
#include <errno.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "boot.h"
#include "join_steps.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

void join_say(const struct join *join, bool warning, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    if (join->options->say)
        join->options->say(join->options->context, warning, buf_text(&text));
    buf_free(&text);
}

/* --- alone: an abstract socket is free again whatever becomes of us, and is no file */

int join_be_alone(struct err *err)
{
    static const char name[] = "wgdeck-join";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path + 1, name, sizeof name - 1);
    if (descriptor >= 0 && bind(descriptor, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof name)) && errno == EADDRINUSE) {
        close(descriptor);
        return err_set(err, "another \"wgdeck join\" or \"wgdeck leave\" is at work on this machine: wait for its end");
    }
    return descriptor >= 0 ? descriptor : err_set(err, "%s", strerror(errno));
}

/* --- taking back */

/* Before anything else: the hub need not wait for its guard. */
static void give_up(struct join *join, const char *why)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    struct err ignored;
    if (!join->let_in || join->hub.lost)
        return;
    join->let_in = false;
    json_text(&json, "op", "give-up");
    json_text(&json, "why", why);
    cJSON_Delete(join_ask(&join->hub, buf_text(&text), JOIN_GIVE_UP, &ignored));
    buf_free(&text);
}

/* Of the helper's own change: what is staged is put back, over another channel when this one is dead. */
static int revert(struct join *join, struct err *err)
{
    if (!join->staged)
        return 0;
    for (int i = 0; i < 2; i++) {
        cJSON *answer = join_local(join, "revert", NULL, JOIN_REVERT, err);
        cJSON_Delete(answer);
        if (answer)
            return 0;
        join_helper_close(&join->helper);
        if (i == 0 && join_helper_open(join->options->helper, join->options->context, &join->helper, err))
            return -1;
    }
    return -1;
}

static int take_away_interface(struct join *join, struct err *err)
{
    if (!join->helper.open || join->helper.lost) {
        join_helper_close(&join->helper);
        if (join_helper_open(join->options->helper, join->options->context, &join->helper, err))
            return -1;
    }
    return join_clean_interface(&join->helper, join->interface, join->trace.mesh, err);
}

/* The hub has never kept this join, and never will: what an earlier try with the same invitation has left here is nobody's. */
static bool is_orphan(const struct join *join)
{
    static const char *const codes[] = {"expired", "revoked", "used"};
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (!strcmp(join->hub.code, codes[i]))
            return true;
    return false;
}

/* 0: as it was before. -1: ERR, which says why the join failed, also says what is left. */
static int undo(struct join *join, struct err *err)
{
    struct err why = *err, problem = {""};
    struct buf left = BUF_EMPTY;
    bool orphan = join->resumed && is_orphan(join), all = !join->resumed || orphan;
    int result = 0;
    join->hub.stop = join->helper.stop = NULL;
    give_up(join, why.text);
    if (join->begun) {
        if (!join->confirmed)
            result = revert(join, &problem);
        if (!result && (join->confirmed || orphan))
            result = take_away_interface(join, &problem);
        if (!join->staged && join->helper.open && !join->helper.lost)
            cJSON_Delete(join_local(join, "release", NULL, JOIN_REVERT, &(struct err){""}));
    }
    join_helper_close(&join->helper);
    if (join->traced && all && !result)
        join_trace_remove(&join->trace, &left);
    if (result)
        err_set(err, "%s; and %s could not be put back at once: %s (its guard does it within a minute; then look with: wgdeck show %s)", why.text, join->interface, problem.text, join->interface);
    else if (left.length)
        err_set(err, "%s; and %.*s", why.text, (int)strcspn(buf_text(&left), "\n"), buf_text(&left));
    result = result || left.length ? -1 : 0;
    buf_free(&left);
    return result;
}

/* --- the sequence */

static int sequence(struct join *join, struct err *err)
{
    static int (*const steps[])(struct join *join, struct err *err) = {
        join_step_look, join_step_log_in, join_step_key, join_step_ask, join_step_stage, join_step_verify, join_step_keep,
    };
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (join_is_stopped(join->options->stop) && !join->kept)
            return err_set(err, "interrupted");
        int result = steps[i](join, err);
        if (result)
            return result;
    }
    return 0;
}

static void join_free(struct join *join)
{
    join_helper_close(&join->helper);
    join_helper_close(&join->hub);
    join_machine_free(&join->machine);
    join_trace_free(&join->trace);
    join_answer_free(&join->answer);
}

static void join_init(struct join *join, const struct join_options *options, const char *interface)
{
    uint8_t bytes[CHANGE_ID_LENGTH / 2];
    *join = (struct join){.options = options};
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(join->id, sizeof join->id, bytes, sizeof bytes);
    snprintf(join->interface, sizeof join->interface, "%s", interface);
    join->port = options->port ? options->port : JOIN_PORT;
}

static void fill_outcome(const struct join *join, struct join_outcome *outcome)
{
    snprintf(outcome->interface, sizeof outcome->interface, "%s", join->interface);
    snprintf(outcome->mesh, sizeof outcome->mesh, "%s", join->trace.mesh);
    snprintf(outcome->name, sizeof outcome->name, "%s", join->trace.name);
    snprintf(outcome->hub, sizeof outcome->hub, "%s", join->trace.hub);
    outcome->addresses = mem_alloc(join->answer.count + 1, sizeof *outcome->addresses);
    for (size_t i = 0; i < join->answer.count; i++)
        if (join->answer.operations[i].kind == PLAN_ADDRESS)
            outcome->addresses[outcome->address_count++] = join->answer.operations[i].prefix;
    outcome->boot = boot_find(change_root, join->interface);
    if (outcome->boot && !*outcome->boot) {
        free(outcome->boot);
        outcome->boot = NULL;
    }
}

void join_outcome_free(struct join_outcome *outcome)
{
    free(outcome->addresses);
    free(outcome->boot);
    *outcome = (struct join_outcome){0};
}

/* *OTHER: the mesh has another interface than was thought; everything is taken back, and it is to be tried with that. */
static enum join_result attempt(const struct join_options *options, const char *interface, char other[static 16], struct join_outcome *outcome, struct err *err)
{
    struct join join;
    join_init(&join, options, interface);
    int result = sequence(&join, err);
    enum join_result outcome_is = result == 0 ? JOIN_OK : result == JOIN_STEP_ALREADY ? JOIN_ALREADY : result == JOIN_STEP_UNKNOWN ? JOIN_UNKNOWN : JOIN_FAILED;
    if (result < 0 || result == JOIN_STEP_OTHER) {
        if (result == JOIN_STEP_OTHER) {
            snprintf(other, 16, "%s", join.answer.interface);
            join_say(&join, false, "in mesh %s the interface is %s: once more, with that name", join.answer.mesh, other);
            err_set(err, "the interface has another name here: the next try comes at once");
        }
        if (undo(&join, err)) {
            other[0] = '\0';
            outcome_is = JOIN_LEFT_OVER;
        }
    } else {
        fill_outcome(&join, outcome);
    }
    join_free(&join);
    return outcome_is;
}

/* An earlier try with this invitation has its interface already. */
static char *first_interface(const struct join_options *options)
{
    size_t count;
    char **names = join_trace_list(&count), *found = mem_text(options->interface);
    for (size_t i = 0; i < count; i++) {
        struct join_trace trace;
        int result = join_trace_read(names[i], &trace, NULL);
        if (!found && !result && !strcmp(trace.id, options->invitation->id))
            found = mem_text(names[i]);
        join_trace_free(&trace);
        free(names[i]);
    }
    free(names);
    return found ? found : mem_text(JOIN_INTERFACE);
}

static int may_join(const struct join_options *options, struct err *err)
{
    if (geteuid() != 0 && !*change_root)
        return err_set(err, "joining needs root: sudo wgdeck join -");
    return options->interface ? join_interface_check(options->interface, err) : 0;
}

enum join_result join_run(const struct join_options *options, struct join_outcome *outcome, struct err *err)
{
    char other[16] = "";
    *outcome = (struct join_outcome){0};
    if (may_join(options, err))
        return JOIN_FAILED;
    int alone = join_be_alone(err);
    if (alone < 0)
        return JOIN_FAILED;
    char *interface = first_interface(options);
    enum join_result result = attempt(options, interface, other, outcome, err);
    if (other[0]) {
        struct join_options again = *options;
        char name[16];
        again.interface = memcpy(name, other, sizeof name);
        result = attempt(&again, name, other, outcome, err);
    }
    free(interface);
    close(alone);
    return result;
}
