/* A plan as JSON, for programs. */
#include "plan_private.h"

static const char *const states[] = {[PLAN_READY] = "ready", [PLAN_PENDING] = "pending", [PLAN_UNMANAGED] = "unmanaged", [PLAN_BLOCKED] = "blocked"};

static void key_out(struct json *json, const char *name, const struct key *key)
{
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    json_text(json, name, key_is_zero(key) ? NULL : text);
}

static void add_row(const struct plan_operation *operation, struct json *json)
{
    static const char *const preshared[] = {"keep", "make", "take", "copy", "none"};
    char prefix[PREFIX_TEXT_SIZE];
    json_bool(json, "new", operation->is_new);
    if (operation->set_allowed) {
        json_list(json, "allowed");
        for (size_t i = 0; i < operation->allowed_count; i++) {
            prefix_text(&operation->allowed[i], prefix);
            json_text(json, NULL, prefix);
        }
        json_list_end(json);
    }
    if (operation->set_endpoint)
        json_text(json, "endpoint", operation->endpoint);
    if (operation->set_keepalive)
        json_unsigned(json, "keepalive", operation->keepalive);
    json_text(json, "preshared", preshared[operation->preshared]);
}

static void add_operation(const struct plan_operation *operation, struct json *json)
{
    char prefix[PREFIX_TEXT_SIZE];
    struct buf text = BUF_EMPTY;
    json_object(json, NULL);
    json_text(json, "do", plan_kinds[operation->kind].word);
    json_bool(json, "running", operation->running);
    json_bool(json, "saved", operation->saved);
    if (operation->kind == PLAN_ROW || operation->kind == PLAN_ROW_MOVE || operation->kind == PLAN_ROW_REMOVE) {
        json_text(json, "peer", operation->name);
        key_out(json, "key", &operation->key);
    }
    if (operation->kind == PLAN_ROW)
        add_row(operation, json);
    if (operation->prefix.address.family && operation->kind != PLAN_FORWARDING) {
        prefix_text(&operation->prefix, prefix);
        json_text(json, "prefix", prefix);
    }
    if (operation->kind == PLAN_FORWARDING)
        json_text(json, "family", operation->prefix.address.family == AF_INET ? "ipv4" : "ipv6");
    if (operation->number)
        json_unsigned(json, "number", operation->number);
    if (operation->before)
        json_text(json, "before", operation->before);
    if (operation->why)
        json_text(json, "why", operation->why);
    plan_operation_text(operation, &text);
    json_text(json, "text", buf_text(&text));
    buf_free(&text);
    json_object_end(json);
}

static void add_node(const struct plan *plan, size_t index, struct json *json)
{
    const struct plan_node *node = &plan->nodes[index];
    json_object(json, NULL);
    json_text(json, "name", plan->mesh->nodes[index].name);
    json_text(json, "state", states[node->state]);
    json_text(json, "why", node->why);
    key_out(json, "public_key", &node->public_key);
    json_bool(json, "make_key", node->make_key);
    json_list(json, "operations");
    for (size_t i = 0; i < node->count; i++)
        add_operation(&node->operations[i], json);
    json_list_end(json);
    json_list(json, "notes");
    for (size_t i = 0; i < node->note_count; i++)
        json_text(json, NULL, node->notes[i]);
    json_list_end(json);
    json_object_end(json);
}

static void add_finding(const struct plan *plan, const struct lint_finding *finding, struct json *json)
{
    json_object(json, NULL);
    json_text(json, "id", finding->id);
    json_text(json, "severity", finding->error ? "error" : "warning");
    json_list(json, "nodes");
    for (size_t i = 0; i < 2; i++)
        if (finding->nodes[i] != SIZE_MAX)
            json_text(json, NULL, plan->mesh->nodes[finding->nodes[i]].name);
    json_list_end(json);
    json_text(json, "text", finding->text);
    json_object_end(json);
}

void plan_to_json(const struct plan *plan, struct json *json)
{
    json_object(json, NULL);
    json_number(json, "schema", 1);
    json_text(json, "mesh", plan->mesh->name);
    json_text(json, "generation", plan->generation);
    json_bool(json, "empty", plan_is_empty(plan));
    json_list(json, "nodes");
    for (size_t i = 0; i < plan->node_count; i++)
        add_node(plan, i, json);
    json_list_end(json);
    json_list(json, "lint");
    for (size_t i = 0; i < plan->lint.count; i++)
        add_finding(plan, &plan->lint.findings[i], json);
    json_list_end(json);
    json_object_end(json);
}
