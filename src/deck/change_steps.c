/* What a change asks of its nodes, phase by phase (apply.h has the requests). */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "change_private.h"
#include "look_private.h"
#include "wgdeck/apply.h"
#include "wgdeck/mem.h"

/* Seconds until an answer is late. A node that hangs delays nobody else's, and counts as failed. */
#define PATIENCE_BEGIN 25.0 /* what a power cut has left may have to be put back first */
#define PATIENCE_KEYS 10.0
#define PATIENCE_STAGE 25.0
#define PATIENCE_CONFIRM 15.0
#define FINISH_WITHIN 12

static bool takes_part(const struct change_actor *actor)
{
    return actor->takes_part && !actor->change->nodes[actor->index].failed;
}

static struct json begin_request(const struct change_actor *actor, const char *op, struct buf *text)
{
    struct json json = json_begin(text);
    json_text(&json, "op", op);
    json_text(&json, "change", actor->change->id);
    json_text(&json, "interface", actor->change->mesh->nodes[actor->index].interface);
    return json;
}

static void ask(struct change_actor *actor, struct helper *helper, const struct buf *members, double seconds, helper_done *done, helper_told *told)
{
    change_wait(actor->change);
    helper_ask(helper, buf_text(members), seconds, done, told, actor);
}

static bool is_gone(const char *code)
{
    return !strcmp(code, "lost") || !strcmp(code, "late");
}

/* It has not (yet) said that it is in its old state, whatever else it has said. */
static bool is_open(const char *code)
{
    return is_gone(code) || !strcmp(code, "guarded");
}

/* --- locking */

static void key_of_answer(const cJSON *answer, const char *member, struct key *key, bool *has)
{
    const char *text = json_get_text(answer, member, NULL);
    *has = text && !key_parse(text, key) && !key_is_zero(key);
}

/* A key that another node has: a mistake there, or a lie. With it rows of the other one would be changed. */
static bool is_of_another(const struct change *change, size_t node, const struct key *key)
{
    for (size_t i = 0; i < change->mesh->node_count; i++)
        if (i != node && change->plan->nodes[i].has_key && !key_compare(&change->plan->nodes[i].public_key, key))
            return true;
    return false;
}

static void took_lock(struct change_actor *actor, const cJSON *answer)
{
    struct change *change = actor->change;
    struct plan_node *node = &change->plan->nodes[actor->index];
    const char *box = json_get_text(answer, "box", ""), *recovered = json_get_text(answer, "recovered", NULL);
    struct key shown;
    bool has_key = false;
    actor->begun = true;
    if (recovered && *recovered)
        change_say(change, actor->index, "%s", recovered);
    bool again = (recovered && *recovered) || node->unfinished; /* all are looked at and planned anew. Of the latter: somebody else was quicker */
    change->recovered |= again;
    if (strlen(box) >= BOX_TEXT_MOST) {
        change_node_failed(change, actor->index, "its answer cannot be used: the box is no key");
        return;
    }
    memcpy(actor->box, box, strlen(box) + 1);
    key_of_answer(answer, "next_public_key", &actor->next_key, &actor->has_next);
    key_of_answer(answer, "public_key", &shown, &has_key);
    if (!has_key && !(change->options.plan.leaving && change->options.plan.leaving[actor->index])) {
        change_node_failed(change, actor->index, "it has no key, and could not make one");
        return;
    }
    if (!again && node->has_key && !node->make_key && has_key && key_compare(&node->public_key, &shown)) {
        change_node_failed(change, actor->index, "its key has changed since it was looked at: try again");
        return;
    }
    if ((has_key && is_of_another(change, actor->index, &shown)) || (actor->has_next && is_of_another(change, actor->index, &actor->next_key))) {
        change_node_failed(change, actor->index, "it shows a key that another node of the mesh has");
        return;
    }
    if (has_key) {
        node->public_key = shown;
        node->has_key = true;
    }
    change_node_text(change, actor->index, "locked");
}

static void on_begun(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct change_actor *actor = context;
    (void)code;
    if (answer)
        took_lock(actor, answer);
    else
        change_node_failed(actor->change, actor->index, "%s", why);
    change_answered(actor->change);
}

void change_step_lock(struct change *change)
{
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        struct change_actor *actor = &change->actors[i];
        struct fanout_session *session = look_session(change->look, i);
        struct buf members = BUF_EMPTY;
        if (!takes_part(actor))
            continue;
        if (!session) {
            change_node_failed(change, i, "it has no Ssh in the mesh file");
            continue;
        }
        actor->helper = helper_new(change->loop, session, &change->look->program, NULL, NULL);
        struct json json = begin_request(actor, "begin", &members);
        json_text(&json, "mesh", change->mesh->name);
        json_text(&json, "owner", change->owner);
        json_bool(&json, "make_key", change->plan->nodes[i].make_key);
        json_bool(&json, "next_key", change->rotating == i);
        change_node_text(change, i, "locking");
        ask(actor, actor->helper, &members, PATIENCE_BEGIN, on_begun, NULL);
        buf_free(&members);
    }
}

/* --- preshared keys: made by one end, sealed for the other */

static void keep_sealed(struct change *change, size_t from, const cJSON *item)
{
    const char *text = json_get_text(item, "key", ""), *sealed = json_get_text(item, "sealed", "");
    struct key key;
    if (key_parse(text, &key) || strlen(sealed) >= SEALED_TEXT_MOST || !*sealed)
        return;
    for (size_t to = 0; to < change->mesh->node_count; to++) {
        const struct plan_node *node = &change_working_plan(change)->nodes[to];
        if (!node->has_key || key_compare(&node->public_key, &key))
            continue;
        change->sealed = mem_resize(change->sealed, change->sealed_count + 1, sizeof *change->sealed);
        struct change_sealed *kept = &change->sealed[change->sealed_count++];
        kept->from = from;
        kept->to = to;
        memcpy(kept->text, sealed, strlen(sealed) + 1);
    }
}

static void on_preshared(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct change_actor *actor = context;
    const cJSON *item;
    (void)code;
    if (answer)
        cJSON_ArrayForEach(item, json_get_list(answer, "sealed"))
            keep_sealed(actor->change, actor->index, item);
    else
        change_node_failed(actor->change, actor->index, "%s", why);
    change_answered(actor->change);
}

static bool makes(const struct plan_operation *operation)
{
    return operation->kind == PLAN_ROW && operation->preshared == PLAN_PRESHARED_MAKE && operation->peer != SIZE_MAX;
}

void change_make_preshared(struct change *change)
{
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        struct change_actor *actor = &change->actors[i];
        const struct plan_node *node = &change_working_plan(change)->nodes[i];
        struct buf members = BUF_EMPTY;
        size_t count = 0;
        if (!takes_part(actor))
            continue;
        struct json json = begin_request(actor, "preshared", &members);
        json_list(&json, "for");
        for (size_t o = 0; o < node->count; o++) {
            char text[KEY_TEXT_SIZE];
            if (!makes(&node->operations[o]))
                continue;
            key_text(&node->operations[o].key, text);
            json_object(&json, NULL);
            json_text(&json, "key", text);
            json_text(&json, "box", change->actors[node->operations[o].peer].box);
            json_object_end(&json);
            count++;
        }
        json_list_end(&json);
        if (count)
            ask(actor, actor->helper, &members, PATIENCE_KEYS, on_preshared, NULL);
        buf_free(&members);
    }
}

/* --- staging */

static void on_did(void *context, const cJSON *event)
{
    struct change_actor *actor = context;
    struct change_node *node = &actor->change->nodes[actor->index];
    if (strcmp(json_get_text(event, "event", ""), "did") == 0 && node->done < node->operations)
        node->done++;
    change_touch(actor->change);
}

static void on_staged(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct change_actor *actor = context;
    if (answer) {
        change_node_text(actor->change, actor->index, "applied, under guard");
    } else {
        if (!is_open(code)) { /* it has put itself back, or had not begun */
            actor->staged = false;
            actor->end = END_OLD;
        }
        change_node_failed(actor->change, actor->index, "%s", why);
    }
    change_answered(actor->change);
}

static void add_sealed(const struct change *change, size_t to, struct json *json)
{
    json_list(json, "sealed");
    for (size_t i = 0; i < change->sealed_count; i++) {
        char text[KEY_TEXT_SIZE];
        if (change->sealed[i].to != to)
            continue;
        key_text(&change->plan->nodes[change->sealed[i].from].public_key, text);
        json_object(json, NULL);
        json_text(json, "key", text);
        json_text(json, "sealed", change->sealed[i].text);
        json_object_end(json);
    }
    json_list_end(json);
}

void change_step_stage(struct change *change)
{
    const struct plan *plan = change_working_plan(change);
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        struct change_actor *actor = &change->actors[i];
        struct buf members = BUF_EMPTY;
        if (!takes_part(actor))
            continue;
        struct json json = begin_request(actor, "stage", &members);
        json_unsigned(&json, "within", (uint64_t)change->options.within);
        json_text(&json, "generation", change->plan->generation);
        json_list(&json, "operations");
        for (size_t o = 0; o < plan->nodes[i].count; o++)
            plan_operation_to_json(&plan->nodes[i].operations[o], &json);
        json_list_end(&json);
        add_sealed(change, i, &json);
        change->nodes[i].done = 0;
        change->nodes[i].operations = plan->nodes[i].count;
        change->touched = true;
        actor->staged = true; /* from now on it is only its own word, or the guard's time, that says that it is not */
        change_node_text(change, i, "applying under guard");
        ask(actor, actor->helper, &members, PATIENCE_STAGE, on_staged, on_did);
        buf_free(&members);
    }
}

/* --- finishing */

static void on_finished(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct change_actor *actor = context;
    (void)code;
    if (answer) {
        actor->finished = true;
        change_node_text(actor->change, actor->index, "done, not confirmed yet");
    } else {
        change_node_failed(actor->change, actor->index, "%s", why);
    }
    change_answered(actor->change);
}

void change_step_finish(struct change *change)
{
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        struct change_actor *actor = &change->actors[i];
        struct buf members = BUF_EMPTY;
        if (!takes_part(actor))
            continue;
        struct json json = begin_request(actor, "finish", &members);
        json_unsigned(&json, "within", FINISH_WITHIN);
        change_node_text(change, i, "finishing");
        ask(actor, actor->helper, &members, FINISH_WITHIN + 5., on_finished, on_did);
        buf_free(&members);
    }
}

/* --- confirming: over the fresh connection; over the first one, when that breaks now */

static void take_warnings(struct change_actor *actor, const cJSON *answer)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get_list(answer, "warnings"))
        if (cJSON_IsString(item))
            change_say(actor->change, actor->index, "%s", item->valuestring);
}

static void confirmed(struct change_actor *actor, const cJSON *answer)
{
    actor->confirmed = true;
    actor->end = END_NEW;
    take_warnings(actor, answer);
    change_node_text(actor->change, actor->index, "confirmed");
}

static void not_confirmed(struct change_actor *actor, const char *why, const char *code)
{
    actor->end = !strcmp(code, "guarded") ? END_GUARDED : !strcmp(code, "failed") || !strcmp(code, "unknown-change") ? END_OLD : END_UNKNOWN;
    change_node_failed(actor->change, actor->index, "not confirmed: %s", why);
}

static void on_confirmed_at_last(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct change_actor *actor = context;
    if (answer)
        confirmed(actor, answer);
    else
        not_confirmed(actor, why, code);
    change_answered(actor->change);
}

static void ask_to_confirm(struct change_actor *actor, struct helper *helper, helper_done *done)
{
    struct buf members = BUF_EMPTY;
    begin_request(actor, "confirm", &members);
    ask(actor, helper, &members, PATIENCE_CONFIRM, done, NULL);
    buf_free(&members);
}

static void on_confirmed(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct change_actor *actor = context;
    if (answer)
        confirmed(actor, answer);
    else if (is_gone(code) && actor->helper && helper_is_ready(actor->helper))
        ask_to_confirm(actor, actor->helper, on_confirmed_at_last);
    else
        not_confirmed(actor, why, code);
    change_answered(actor->change);
}

void change_step_confirm(struct change *change)
{
    for (size_t i = 0; i < change->mesh->node_count; i++)
        if (takes_part(&change->actors[i])) {
            change_node_text(change, i, "confirming");
            ask_to_confirm(&change->actors[i], change->actors[i].verifier, on_confirmed);
        }
}

/* --- back */

static void ask_to_revert(struct change_actor *actor, struct helper *helper, helper_done *done)
{
    struct buf members = BUF_EMPTY;
    begin_request(actor, "revert", &members);
    ask(actor, helper, &members, PATIENCE_CONFIRM, done, NULL);
    buf_free(&members);
}

static void reverted(struct change_actor *actor, const cJSON *answer, const char *why, const char *code)
{
    if (answer || !strcmp(code, "unknown-change")) {
        actor->reverted = true;
        actor->end = END_OLD;
        if (!actor->change->nodes[actor->index].failed)
            change_node_text(actor->change, actor->index, "put back");
    } else {
        actor->end = END_GUARDED;
        change_say(actor->change, actor->index, "could not be told to put itself back (%s): its guard does it", why);
    }
}

static void on_reverted_at_last(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct change_actor *actor = context;
    reverted(actor, answer, why, code);
    change_answered(actor->change);
}

static void on_reverted(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct change_actor *actor = context;
    if (!answer && is_gone(code) && actor->verifier && helper_is_ready(actor->verifier))
        ask_to_revert(actor, actor->verifier, on_reverted_at_last);
    else
        reverted(actor, answer, why, code);
    change_answered(actor->change);
}

void change_step_revert(struct change *change)
{
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        struct change_actor *actor = &change->actors[i];
        if (!actor->staged || actor->confirmed)
            continue;
        change->nodes[i].phase = CHANGE_REVERTING;
        ask_to_revert(actor, actor->helper, on_reverted);
    }
}
