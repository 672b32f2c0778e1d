/* What the ladder's run asks nodes, and what it takes from their answers (wgdeck/ladder.h): hostile until checked. */
#include <stdlib.h>
#include <string.h>

#include "ladder_run_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

#define LOOK_PATIENCE 8.0
#define ORDER_PATIENCE 10.0
enum { AGE_MOST = 1 << 30 }; /* seconds */

static bool is_active(const struct run_pair *pair)
{
    return pair->state == LADDER_PAIR_RUNNING;
}

/* --- path-look */

static void take_row(struct ladder_end *view, const cJSON *row)
{
    static const enum ladder_step steps[] = {LADDER_TRYING, LADDER_DIRECT, LADDER_RELAY};
    const char *path = json_get_text(row, "path", "");
    int64_t age = json_get_number(row, "age", 0, INT64_C(1000) * AGE_MOST, -1);
    *view = (struct ladder_end){.answers = true, .observed = view->observed, .age = age < 0 ? -1 : age * CLOCK_MILLISECOND, .carries = LADDER_HUB};
    if (!row)
        return;
    if (endpoint_parse(json_get_text(row, "endpoint", ""), &view->row))
        view->row = (struct endpoint){.port = 0};
    view->rx = json_get_unsigned(row, "rx", 0);
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        if (!strcmp(path, ladder_words[steps[i]]))
            view->carries = steps[i];
}

static const cJSON *row_of(const cJSON *answer, const struct key *key)
{
    const cJSON *row;
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    cJSON_ArrayForEach(row, json_get_list(answer, "rows"))
        if (!strcmp(json_get_text(row, "key", ""), text))
            return row;
    return NULL;
}

static void take_candidates(struct run_node *node, const cJSON *answer)
{
    const cJSON *item;
    node->candidate_count = 0;
    cJSON_ArrayForEach(item, json_get_list(answer, "candidates"))
        if (node->candidate_count < LADDER_CANDIDATES && cJSON_IsString(item) && !endpoint_parse(item->valuestring, &node->candidates[node->candidate_count]))
            node->candidate_count++;
}

static void take_of_pair(struct run_pair *pair, const struct run_node *node, const cJSON *answer)
{
    pair->hub_seen |= pair->hub == node->index;
    for (size_t e = 0; e < 2; e++) {
        struct run_end *end = &pair->states[e];
        if (pair->ends[e] == node->index) {
            take_row(&end->view, row_of(answer, &pair->run->nodes[pair->ends[!e]].key));
            end->seen = true;
        } else if (pair->hub == node->index) {
            const cJSON *row = row_of(answer, &pair->run->nodes[pair->ends[e]].key);
            if (endpoint_parse(json_get_text(row, "endpoint", ""), &end->view.observed) || json_get_number(row, "age", 0, INT64_C(1000) * AGE_MOST, -1) < 0)
                end->view.observed = (struct endpoint){.port = 0};
        }
    }
}

static void on_look(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct run_node *node = context;
    struct ladder_run *run = node->run;
    (void)code;
    node->asking = false;
    if (!answer) {
        free(node->problem);
        node->problem = mem_text(why);
        return;
    }
    node->heard = clock_steady();
    take_candidates(node, answer);
    for (size_t i = 0; i < run->pair_count; i++)
        if (is_active(&run->pairs[i]))
            take_of_pair(&run->pairs[i], node, answer);
}

void ladder_run_look(struct ladder_run *run, struct run_node *node)
{
    struct buf members = BUF_EMPTY;
    struct json json = json_begin(&members);
    bool any = false;
    if (node->asking || !node->helper)
        return;
    json_text(&json, "op", "path-look");
    json_text(&json, "interface", node->interface);
    json_list(&json, "keys");
    for (size_t i = 0; i < run->pair_count; i++) {
        const struct run_pair *pair = &run->pairs[i];
        for (size_t e = 0; is_active(pair) && e < 2; e++)
            if (pair->ends[!e] == node->index || pair->hub == node->index) {
                char text[KEY_TEXT_SIZE];
                key_text(&run->nodes[pair->ends[e]].key, text);
                json_text(&json, NULL, text);
                any = true;
            }
    }
    json_list_end(&json);
    if (any) {
        node->asking = true;
        helper_ask(node->helper, buf_text(&members), LOOK_PATIENCE, on_look, NULL, node);
    }
    buf_free(&members);
}

/* --- path */

static void on_order(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct run_end *end = context;
    struct run_pair *pair = end->pair;
    struct run_node *node = &pair->run->nodes[pair->ends[end->index]];
    (void)code;
    end->pending--;
    if (!answer) {
        free(pair->refusal);
        pair->refusal = mem_format("%s: %s", pair->run->mesh->nodes[node->index].name, why);
    }
    ladder_run_look(pair->run, node);
}

static bool has_family(const struct mesh_node *node, uint8_t family)
{
    for (size_t i = 0; i < node->address_count; i++)
        if (node->addresses[i].address.family == family)
            return true;
    return false;
}

static void add_key(struct json *json, const char *member, const struct key *key)
{
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    json_text(json, member, text);
}

void ladder_run_order(struct run_pair *pair, size_t end, const struct ladder_order *order)
{
    static const char *const deeds[] = {[LADDER_TRY] = "try", [LADDER_CARRY] = "carry", [LADDER_YIELD] = "yield"};
    struct ladder_run *run = pair->run;
    struct run_node *node = &run->nodes[pair->ends[end]], *peer = &run->nodes[pair->ends[!end]];
    const struct mesh_node *self = &run->mesh->nodes[node->index], *other = &run->mesh->nodes[peer->index];
    struct buf members = BUF_EMPTY;
    struct json json = json_begin(&members);
    if (order->deed == LADDER_NOTHING || !node->helper)
        return;
    json_text(&json, "op", "path");
    json_text(&json, "interface", node->interface);
    add_key(&json, "key", &peer->key);
    add_key(&json, "hub", &run->nodes[pair->hub].key);
    json_text(&json, "name", other->name);
    json_text(&json, "do", deeds[order->deed]);
    json_text(&json, "reason", order->reason);
    if (order->deed == LADDER_TRY) {
        char text[ENDPOINT_TEXT_SIZE];
        endpoint_text(&order->endpoint, text);
        json_text(&json, "endpoint", text);
        json_number(&json, "keepalive", 25);
    } else {
        json_list(&json, "allowed");
        for (size_t i = 0; i < other->address_count; i++) {
            char text[PREFIX_TEXT_SIZE];
            prefix_text(&other->addresses[i], text);
            if (has_family(self, other->addresses[i].address.family))
                json_text(&json, NULL, text);
        }
        json_list_end(&json);
    }
    if (order->deed == LADDER_CARRY)
        json_text(&json, "path", ladder_words[order->way]);
    if (order->deed == LADDER_YIELD)
        json_bool(&json, "forget", order->forget);
    pair->states[end].pending++;
    helper_ask(node->helper, buf_text(&members), ORDER_PATIENCE, on_order, NULL, &pair->states[end]);
    buf_free(&members);
}
