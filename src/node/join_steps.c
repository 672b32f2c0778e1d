/* The steps of a join up to the moment when this machine is in the mesh under a guard (join_steps.h). */
#include "join_steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "state_parts.h"
#include "wgdeck/clock.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wgdeck/version.h"

enum { PREFIXES_SHOWN = 200, CLOCKS_APART = 10, LOCKED_PATIENCE = 60 };

cJSON *join_local(struct join *join, const char *operation, const char *more, double seconds, struct err *err)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    json_text(&json, "op", operation);
    json_text(&json, "change", join->id);
    json_text(&json, "interface", join->interface);
    if (more)
        buf_add_format(&text, ",%s", more);
    cJSON *answer = join_ask(&join->helper, buf_text(&text), seconds, err);
    buf_free(&text);
    return answer;
}

/* --- 1: this machine */

/* An earlier join by this interface: the same one goes on, another one is in the way, unless nothing came of it. */
static int judge_trace(struct join *join, struct err *err)
{
    const char *id = join->options->invitation->id;
    int result = join_trace_read(join->interface, &join->trace, err);
    if (result)
        return result < 0 ? err_prefix(err, "an earlier join") : 0;
    join->traced = true;
    bool same = !strcmp(join->trace.id, id), runs = observation_link(join->machine.seen, join->interface) != NULL;
    char *file = change_config_path(join->interface);
    bool saved = access(file, F_OK) == 0;
    free(file);
    if (same && join->trace.kept)
        return JOIN_STEP_ALREADY;
    join->resumed = same && (runs || saved);
    if (same || !(runs || saved))
        return 0;
    join->traced = false;
    return err_set(err, "%s is in mesh %s as %s already: take it away with \"wgdeck leave %s\", or join another mesh beside it with --interface (wg1, say)", join->interface,
                   join->trace.mesh, join->trace.name, join->interface);
}

static void fill_trace(struct join *join)
{
    const struct invitation *invitation = join->options->invitation;
    struct join_trace *trace = &join->trace;
    free(trace->mesh);
    free(trace->name);
    free(trace->hub);
    trace->mesh = mem_text(invitation->mesh);
    trace->name = mem_text(invitation->name);
    trace->hub = mem_text(invitation->hub);
    trace->relay = invitation->relay;
    trace->at = clock_wall() / CLOCK_SECOND;
    snprintf(trace->interface, sizeof trace->interface, "%s", join->interface);
    snprintf(trace->id, sizeof trace->id, "%s", invitation->id);
    if (!join->traced)
        join_trace_survey(trace);
}

int join_step_look(struct join *join, struct err *err)
{
    if (join_end_earlier(join->options->helper, join->options->context, join->interface, err) || join_machine_look(&join->machine, join->options->seen, err))
        return -1;
    int result = judge_trace(join, err);
    if (!result)
        result = join_machine_check(&join->machine, join->interface, join->options->port, join->options->engine, join->resumed, err);
    if (result) {
        join->traced = false; /* what is there stays */
        return result;
    }
    fill_trace(join);
    if (join->resumed)
        join_say(join, false, "1/6 an earlier try with this invitation has got as far as %s: it goes on (20 s at most)", join->interface);
    else
        join_say(join, false, "1/6 this machine can join: %s is free, and %s has WireGuard", join->interface,
                 join->machine.seen->kernel_has_wireguard && join->options->engine != ENGINE_CHOICE_EMBEDDED ? "the kernel" : "this program");
    return 0;
}

/* --- 2: the hub */

int join_step_log_in(struct join *join, struct err *err)
{
    const struct invitation *invitation = join->options->invitation;
    char place[80] = "";
    join->hub = (struct join_talk){.who = "the hub", .stop = join->options->stop};
    bool had_trace = join->traced;
    join->traced = false; /* nothing is touched yet: an earlier try's stays as it is when the hub is not reached */
    if (join->options->open(join->options->context, &join->hub.channel, &join->machine.connection, place, err)) {
        struct err why = *err;
        if (join->resumed && join_hub_answers(join))
            err_set(err, "%s; but the hub answers through %s: this machine seems to be in mesh %s already (wgdeck show %s)", why.text, join->interface, join->trace.mesh, join->interface);
        return -1;
    }
    join->traced = had_trace;
    join->hub.open = true;
    join_say(join, false, "2/6 logged in to the hub %s at %s; its host key is the one in the invitation", invitation->hub, place);
    return 0;
}

/* --- 3: the key */

int join_step_key(struct join *join, struct err *err)
{
    struct buf more = BUF_EMPTY;
    struct json json = json_begin(&more);
    const char *box;
    if (join_trace_write(&join->trace, err))
        return -1;
    join->traced = true;
    if (join_helper_open(join->options->helper, join->options->context, &join->helper, err))
        return -1;
    join->helper.stop = join->options->stop;
    json_text(&json, "mesh", join->trace.mesh);
    json_text(&json, "owner", JOIN_OWNER);
    json_bool(&json, "make_key", true);
    join->begun = true;
    cJSON *answer = join_local(join, "begin", buf_text(&more), JOIN_BEGIN, err);
    buf_free(&more);
    if (!answer)
        return -1;
    box = json_get_text(answer, "box", "");
    int result = key_parse(json_get_text(answer, "public_key", ""), &join->own) || strlen(box) != KEY_TEXT_SIZE - 1 ? err_set(err, "the helper of this machine has made no key") : 0;
    if (!result)
        memcpy(join->box, box, KEY_TEXT_SIZE);
    cJSON_Delete(answer);
    if (!result)
        join_say(join, false, "3/6 key made here; it does not leave this machine");
    return result;
}

/* --- 4: let in */

/* Of this machine's own sshd, if it has one: type and key, without the comment. */
static void add_host_key(struct json *json)
{
    static const char *const types[] = {"ed25519", "ecdsa", "rsa"};
    struct buf text = BUF_EMPTY;
    bool found = false;
    for (size_t i = 0; !found && i < COUNT_OF(types); i++) {
        char path[64];
        snprintf(path, sizeof path, "/etc/ssh/ssh_host_%s_key.pub", types[i]);
        if (file_read(path, 16 << 10, &text, NULL))
            continue;
        const char *line = buf_text(&text), *key = line + strcspn(line, " ");
        size_t length = (size_t)(key - line) + strspn(key, " ");
        length += strcspn(line + length, " \t\r\n");
        char *both = mem_text_part(line, length);
        found = invitation_is_host_key(both);
        if (found)
            json_text(json, "host_key", both);
        free(both);
    }
    buf_free(&text);
}

static void add_request(const struct join *join, struct json *json)
{
    char key[KEY_TEXT_SIZE], host[256] = "";
    key_text(&join->own, key);
    if (gethostname(host, sizeof host - 1))
        host[0] = '\0';
    json_text(json, "op", "join");
    json_text(json, "public_key", key);
    json_text(json, "box", join->box);
    json_text(json, "hostname", text_is_safe(host, strlen(host)) ? host : "");
    json_text(json, "version", WGDECK_VERSION);
    json_number(json, "time", clock_wall() / CLOCK_SECOND);
    json_list(json, "candidates");
    join_machine_candidates(&join->machine, join->interface, join->port, json);
    json_list_end(json);
    add_host_key(json);
}

/* While another one joins through the hub it is locked; that takes seconds. */
static cJSON *ask_hub(struct join *join, int64_t *asked, struct err *err)
{
    struct buf text = BUF_EMPTY;
    struct json json = json_begin(&text);
    int64_t until = clock_steady() + (int64_t)(LOCKED_PATIENCE / join_haste * (double)CLOCK_SECOND);
    bool said = false;
    cJSON *answer = NULL;
    add_request(join, &json);
    for (;;) {
        *asked = clock_wall();
        answer = join_ask(&join->hub, buf_text(&text), JOIN_ASK, err);
        bool busy = !strcmp(join->hub.code, "busy");
        if (answer || (!busy && strcmp(join->hub.code, "locked") != 0) || clock_steady() >= until || join_is_stopped(join->options->stop))
            break;
        if (!said)
            join_say(join, false, busy ? "the last try with this invitation has not ended at the hub yet: waiting (at most %d s; ^C ends it)"
                                       : "the hub is being changed by somebody else just now: waiting (at most %d s; ^C ends it)", LOCKED_PATIENCE);
        said = true;
        nanosleep(&(struct timespec){.tv_nsec = (long)(500 / join_haste * (double)CLOCK_MILLISECOND)}, NULL);
    }
    buf_free(&text);
    return answer;
}

static int say_refusal(const struct join *join, struct err *err)
{
    static const struct {
        const char *code, *advice;
    } advices[] = {
        {"expired", "ask for a new invitation"},
        {"revoked", "ask for a new invitation"},
        {"used", "if that was not you, tell who invited you; ask for a new invitation"},
        {"busy", "if that is not you, tell who invited you"},
        {"locked", "try again in a minute"},
        {"taken", "ask for an invitation under another name"},
    };
    for (size_t i = 0; i < COUNT_OF(advices); i++)
        if (!strcmp(join->hub.code, advices[i].code)) {
            struct err why = *err;
            return err_set(err, "the hub says no: %s (%s)", why.text, advices[i].advice);
        }
    return join_is_own_code(join->hub.code) ? -1 : err_prefix(err, "the hub");
}

/* Certificates and logs suffer from a wrong clock; WireGuard does when it is set back later: then the hub refuses its handshakes. */
static void compare_clocks(const struct join *join, int64_t asked)
{
    int64_t now = clock_wall(), middle = (asked + now) / 2 / CLOCK_SECOND, apart = middle - join->answer.time;
    char text[CLOCK_TEXT_SIZE];
    if (!join->answer.time || (apart <= CLOCKS_APART && apart >= -CLOCKS_APART))
        return;
    clock_age_text((apart < 0 ? -apart : apart) * CLOCK_SECOND, text);
    join_say(join, true, "this machine's clock is %s %s the hub's: set one of them right (timedatectl set-ntp true); when it is set back later, WireGuard refuses its handshakes for that long", text,
             apart < 0 ? "behind" : "ahead of");
}

static void choose(struct join_answer *answer, const struct join_options *options)
{
    bool port = false;
    for (size_t i = 0; i < answer->count; i++) {
        struct plan_operation *operation = &answer->operations[i];
        if (operation->kind == PLAN_INTERFACE && options->engine != ENGINE_CHOICE_AUTO)
            operation->engine = options->engine;
        if (operation->kind == PLAN_LISTEN_PORT && options->port) {
            operation->number = options->port;
            port = true;
        }
    }
    if (options->port && !port) {
        answer->operations = mem_resize(answer->operations, answer->count + 1, sizeof *answer->operations);
        answer->operations[answer->count++] = (struct plan_operation){.kind = PLAN_LISTEN_PORT, .running = true, .saved = true, .number = options->port};
    }
    if (options->port)
        answer->port = options->port;
}

/* What could not be known before the hub has said which engine and port. */
static int check_choice(const struct join *join, struct err *err)
{
    const struct join_answer *answer = &join->answer;
    enum engine_choice engine = ENGINE_CHOICE_AUTO;
    for (size_t i = 0; i < answer->count; i++)
        if (answer->operations[i].kind == PLAN_INTERFACE)
            engine = answer->operations[i].engine;
    return join_machine_check(&join->machine, join->interface, answer->port, engine, join->resumed, err);
}

/* Whoever has the hub decides what this machine sends it: what is more than a mesh's usual is said. */
static void warn_public(const struct join *join)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < join->answer.count; i++)
        for (size_t a = 0; a < join->answer.operations[i].allowed_count && text.length < PREFIXES_SHOWN; a++) {
            char prefix[PREFIX_TEXT_SIZE];
            if (join_is_private(&join->answer.operations[i].allowed[a]))
                continue;
            prefix_text(&join->answer.operations[i].allowed[a], prefix);
            buf_add_format(&text, "%s%s", text.length ? ", " : "", prefix);
        }
    if (text.length)
        join_say(join, true, "public addresses are reached through this mesh from now on: %s", buf_text(&text));
    buf_free(&text);
}

static void say_let_in(const struct join *join)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < join->answer.count; i++)
        if (join->answer.operations[i].kind == PLAN_ADDRESS) {
            char address[ADDRESS_TEXT_SIZE];
            address_text(&join->answer.operations[i].prefix.address, address);
            buf_add_format(&text, "%s%s", text.length ? ", " : "", address);
        }
    join_say(join, false, "4/6 the hub lets %s into mesh %s: %s", join->answer.name, join->answer.mesh, buf_text(&text));
    buf_free(&text);
}

int join_step_ask(struct join *join, struct err *err)
{
    int64_t asked;
    cJSON *answer = ask_hub(join, &asked, err);
    if (!answer)
        return say_refusal(join, err);
    join->let_in = true;
    int result = join_answer_read(answer, join->options->invitation, &join->own, &join->answer, err);
    cJSON_Delete(answer);
    if (result)
        return -1;
    join->guard_until = clock_steady() + (int64_t)((join->answer.within + 5) / join_haste * (double)CLOCK_SECOND);
    if (!join->options->interface && !join->resumed && strcmp(join->answer.interface, join->interface) != 0)
        return JOIN_STEP_OTHER;
    compare_clocks(join, asked);
    choose(&join->answer, join->options);
    if (join_answer_check(&join->answer, &join->machine, join->interface, err) || check_choice(join, err))
        return -1;
    say_let_in(join);
    warn_public(join);
    return 0;
}

/* --- 5: under the guard */

int join_step_stage(struct join *join, struct err *err)
{
    const struct join_answer *answer = &join->answer;
    join->trace.hub_key = answer->hub_key;
    join->trace.hub_address = answer->hub_addresses[0];
    if (join_trace_write(&join->trace, err))
        return -1;
    struct buf more = BUF_EMPTY;
    struct json json = json_begin(&more);
    json_decimal(&json, "within", answer->within + 15, 0);
    json_text(&json, "generation", answer->generation);
    json_list(&json, "operations");
    for (size_t i = 0; i < answer->count; i++)
        plan_operation_to_json(&answer->operations[i], &json);
    json_list_end(&json);
    buf_add_format(&more, ",\"sealed\":%s", answer->sealed);
    join->staged = true; /* from now on it may be */
    cJSON *staged = join_local(join, "stage", buf_text(&more), JOIN_STAGE, err), *finished = NULL;
    if (!staged && (!strcmp(join->helper.code, "failed") || !strcmp(join->helper.code, "refused") || !strcmp(join->helper.code, "busy")))
        join->staged = false;
    if (staged)
        finished = join_local(join, "finish", "\"within\":20", JOIN_FINISH, err);
    buf_free(&more);
    cJSON_Delete(staged);
    cJSON_Delete(finished);
    return staged && finished ? 0 : -1;
}
