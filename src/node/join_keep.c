/* The end of a join: verified from both ends, kept here, kept at the hub; and finding out which, when the hub's last answer does not come (join_steps.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "join_steps.h"
#include "paths.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* An interface of an earlier try has a session that the hub has forgotten: WireGuard begins another one after 15 s without an answer. */
enum { VERIFY_WITHIN = 10, VERIFY_RESUMED_WITHIN = 25, LOOK_EVERY = 5 };

static char *why_of(const cJSON *answer)
{
    const cJSON *failed = json_get_list(answer, "failed");
    return cJSON_GetArraySize(failed) ? text_safe(json_get_text(cJSON_GetArrayItem(failed, 0), "why", "it is dead")) : NULL;
}

struct rtt { int64_t microseconds; };

static void on_event(void *context, const cJSON *event)
{
    struct rtt *rtt = context;
    if (!strcmp(json_get_text(event, "event", ""), "link"))
        rtt->microseconds = json_get_number(event, "rtt", 0, INT64_MAX, -1);
}

/* The link to the hub, from here. 0; 1: it is dead, ERR says how; -1: it could not be asked. */
static int verify(struct join *join, int within, struct rtt *rtt, struct err *err)
{
    struct buf more = BUF_EMPTY;
    struct json json = json_begin(&more);
    char key[KEY_TEXT_SIZE];
    key_text(&join->answer.hub_key, key);
    json_number(&json, "within", within);
    json_list(&json, "links");
    json_object(&json, NULL);
    json_text(&json, "key", key);
    json_list(&json, "addresses");
    for (size_t i = 0; i < join->answer.hub_address_count; i++) {
        char text[ADDRESS_TEXT_SIZE];
        address_text(&join->answer.hub_addresses[i], text);
        json_text(&json, NULL, text);
    }
    json_list_end(&json);
    json_bool(&json, "lead", true);
    json_object_end(&json);
    json_list_end(&json);
    *rtt = (struct rtt){-1};
    join->helper.event = on_event;
    join->helper.context = rtt;
    cJSON *answer = join_local(join, "verify", buf_text(&more), within + 10, err);
    join->helper.event = NULL;
    buf_free(&more);
    if (!answer)
        return -1;
    char *why = why_of(answer);
    cJSON_Delete(answer);
    if (!why)
        return 0;
    err_set(err, "%s", why);
    free(why);
    return 1;
}

bool join_hub_answers(struct join *join)
{
    struct err ignored;
    struct rtt rtt;
    if (!join->trace.hub_address.family || join_helper_open(join->options->helper, join->options->context, &join->helper, &ignored))
        return false;
    join->helper.stop = join->options->stop;
    join->answer.hub_key = join->trace.hub_key;
    free(join->answer.hub_addresses);
    join->answer.hub_addresses = mem_copy(&join->trace.hub_address, 1, sizeof join->trace.hub_address);
    join->answer.hub_address_count = 1;
    bool answers = !verify(join, LOOK_EVERY, &rtt, &ignored);
    join_helper_close(&join->helper);
    return answers;
}

static int say_silent(const struct join *join, struct err *err)
{
    const char *endpoint = "?";
    struct err why = *err;
    for (size_t i = 0; i < join->answer.count; i++)
        if (join->answer.operations[i].kind == PLAN_ROW && key_equal(&join->answer.operations[i].key, &join->answer.hub_key))
            endpoint = join->answer.operations[i].endpoint;
    return err_set(err, "the hub's WireGuard does not answer at %s: %s (does a firewall on the way drop UDP, or is the hub's Endpoint wrong in the mesh file?)", endpoint, why.text);
}

int join_step_verify(struct join *join, struct err *err)
{
    struct rtt rtt;
    int result = verify(join, join->resumed ? VERIFY_RESUMED_WITHIN : VERIFY_WITHIN, &rtt, err);
    if (result)
        return result > 0 ? say_silent(join, err) : -1;
    cJSON *answer = join_ask(&join->hub, "\"op\":\"check\"", JOIN_CHECK, err);
    if (!answer)
        return join_is_own_code(join->hub.code) ? -1 : err_prefix(err, "this machine reaches the hub, but the hub cannot verify it");
    cJSON_Delete(answer);
    if (rtt.microseconds >= 0)
        join_say(join, false, "5/6 verified from both ends: the hub answers through %s in %.1f ms", join->interface, (double)rtt.microseconds / 1000.);
    else
        join_say(join, false, "5/6 verified from both ends");
    return 0;
}

/* --- kept */

static int confirm(struct join *join, struct err *err)
{
    cJSON *answer = join_local(join, "confirm", NULL, JOIN_CONFIRM, err);
    const cJSON *warning;
    if (!answer) {
        join->confirmed = !strcmp(join->helper.code, "lost") || !strcmp(join->helper.code, "late") || !strcmp(join->helper.code, "stopped"); /* it may be */
        if (!strcmp(join->helper.code, "failed"))
            join->staged = false; /* it has put itself back */
        return -1;
    }
    join->confirmed = true;
    cJSON_ArrayForEach(warning, json_get_list(answer, "warnings")) {
        char *safe = text_safe(cJSON_IsString(warning) ? warning->valuestring : NULL);
        if (safe)
            join_say(join, true, "%s", safe);
        free(safe);
    }
    cJSON_Delete(answer);
    return 0;
}

static void kept(struct join *join)
{
    struct err err;
    join->kept = join->trace.kept = true;
    if (join_trace_write(&join->trace, &err))
        join_say(join, true, "%s (wgdeck leave will not know what to take away)", err.text);
    if (path_watch_start(join->interface, &err))
        join_say(join, true, "%s: other nodes are reached through the hub only", err.text);
    join_say(join, false, "6/6 kept at both ends");
}

/* The hub either has kept it, or puts its side back before its guard's time is over: past that, who answers through the tunnel has kept it. */
static int find_out(struct join *join, struct err *err)
{
    struct err why = *err;
    struct rtt rtt;
    join_say(join, true, "the hub's last answer did not come (%s): looking through the tunnel whether it keeps this machine, for %lld s", why.text,
             (long long)((join->guard_until - clock_steady()) / CLOCK_SECOND + 1));
    while (clock_steady() < join->guard_until) {
        int64_t left = join->guard_until - clock_steady();
        if (join_is_stopped(join->options->stop) || verify(join, left > LOOK_EVERY * CLOCK_SECOND ? LOOK_EVERY : 1, &rtt, err) < 0)
            break;
        nanosleep(&(struct timespec){.tv_sec = left > 2 * CLOCK_SECOND, .tv_nsec = left > 2 * CLOCK_SECOND ? 0 : 100 * CLOCK_MILLISECOND}, NULL);
    }
    if (join_is_stopped(join->options->stop)) {
        err_set(err, "interrupted before it was known whether the hub keeps this machine: the same command again finds out, \"wgdeck leave %s\" takes all of it away", join->interface);
        return JOIN_STEP_UNKNOWN;
    }
    if (verify(join, VERIFY_WITHIN, &rtt, err))
        return err_set(err, "the hub has not kept this machine: %s", why.text);
    kept(join);
    /* By all that can be seen from here. Where the hub's guard was killed, too, its row runs and is not saved: the same command again brings that to an end. */
    join->trace.kept = false;
    if (!join_trace_write(&join->trace, err))
        join_say(join, true, "the hub could not say so itself: the same command again, once it is reached by SSH, makes sure of it");
    return 0;
}

int join_step_keep(struct join *join, struct err *err)
{
    if (confirm(join, err))
        return -1;
    cJSON *answer = join_ask(&join->hub, "\"op\":\"keep\"", JOIN_KEEP, err);
    if (answer) {
        struct err ignored;
        cJSON_Delete(answer);
        kept(join);
        cJSON_Delete(join_ask(&join->hub, "\"op\":\"bye\"", JOIN_GIVE_UP, &ignored)); /* now that it is noted here, nobody needs the invitation's line any more */
        return 0;
    }
    if (join_is_own_code(join->hub.code)) {
        join->let_in = false; /* it may be too late to give up */
        return find_out(join, err);
    }
    return err_prefix(err, "the hub does not keep this machine");
}
