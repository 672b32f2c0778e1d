/* The lint of a desired mesh, before anything is sent: the table of its kinds, and the list of what they find. */
#include "lint_parts.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* Errors are what would break something; a node that the plan leaves alone anyway is no reason to leave all others alone: a warning. */
static const struct lint_kind kinds[] = {
    {"prefix-twice", true, lint_look_prefix_twice},
    {"endpoint-twice", true, lint_look_endpoint_twice},
    {"ssh-twice", true, lint_look_ssh_twice},
    {"endpoint-in-mesh", true, lint_look_endpoint_in_mesh},
    {"mtu-below-ipv6", true, lint_look_mtu_below_ipv6},
    {"role-unreachable", true, lint_look_role_unreachable},
    {"key-twice", true, lint_look_key_twice},
    {"key-gone", true, lint_look_key_gone},
    {"address-collision", true, lint_look_address_collision},
    {"route-collision", true, lint_look_route_collision},
    {"ssh-cut-off", true, lint_look_ssh_cut_off},
    {"port-taken", true, lint_look_port_taken},
    {"endpoint-port", true, lint_look_endpoint_port},
    {"key-differs", false, lint_look_key_differs},
    {"interface-taken", false, lint_look_interface_taken},
    {"ssh-through-tunnel", false, lint_look_ssh_through_tunnel},
    {"route-overlap", false, lint_look_route_overlap},
    {"docker-pool", false, lint_look_docker_pool},
    {"endpoint-through-tunnel", false, lint_look_endpoint_through_tunnel},
    {"nat-port-clash", false, lint_look_nat_port_clash},
    {"no-way-between", false, lint_look_no_way_between},
    {"mtu-too-large", false, lint_look_mtu_too_large},
    {"preshared-without-ssh", false, lint_look_preshared_without_ssh},
};

const char *lint_name(const struct lint_context *context, size_t node)
{
    return context->mesh->nodes[node].name;
}

const struct observation *lint_seen(const struct lint_context *context, size_t node)
{
    if (!context->seen || node >= context->seen->node_count || context->seen->nodes[node].reach != REACH_OK)
        return NULL;
    return &context->seen->nodes[node];
}

const struct device *lint_device(const struct lint_context *context, size_t node)
{
    const struct observation *seen = lint_seen(context, node);
    return seen ? observation_device(seen, context->desired->nodes[node].interface) : NULL;
}

bool lint_key(const struct lint_context *context, size_t node, struct key *key)
{
    const struct mesh_node *wanted = &context->mesh->nodes[node];
    const struct device *device = lint_device(context, node);
    if (wanted->has_public_key)
        *key = wanted->public_key;
    else if (device && device->has_private)
        *key = device->public_key;
    else
        return false;
    return true;
}

__attribute__((format(printf, 5, 0))) static void add_finding(struct lint_context *context, bool error, size_t a, size_t b, const char *format, va_list arguments)
{
    struct lint *lint = context->lint;
    struct buf raw = BUF_EMPTY, safe = BUF_EMPTY;
    buf_add_vformat(&raw, format, arguments);
    text_add_safe(&safe, buf_text(&raw), raw.length);
    MEM_GROW(lint->findings, lint->count, lint->capacity);
    lint->findings[lint->count++] = (struct lint_finding){context->kind->id, error, {a, b}, buf_take(&safe)};
    buf_free(&raw);
}

void lint_find(struct lint_context *context, size_t a, size_t b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_finding(context, context->kind->error, a, b, format, arguments);
    va_end(arguments);
}

void lint_warn(struct lint_context *context, size_t a, size_t b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_finding(context, false, a, b, format, arguments);
    va_end(arguments);
}

static void claim(struct lint_context *context, const struct prefix *prefixes, size_t count, size_t node)
{
    for (size_t i = 0; i < count; i++) {
        MEM_GROW(context->claims, context->claim_count, context->claim_capacity);
        context->claims[context->claim_count++] = (struct lint_claim){prefixes[i], node};
    }
}

static size_t rank(const char *id)
{
    size_t i = 0;
    while (i < COUNT_OF(kinds) && strcmp(kinds[i].id, id) != 0)
        i++;
    return i;
}

static int compare_numbers(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int compare_findings(const void *a, const void *b)
{
    const struct lint_finding *one = a, *two = b;
    int order = two->error - one->error;
    order = order ? order : compare_numbers(one->nodes[0], two->nodes[0]);
    order = order ? order : compare_numbers(one->nodes[1], two->nodes[1]);
    order = order ? order : compare_numbers(rank(one->id), rank(two->id));
    return order ? order : strcmp(one->text, two->text);
}

void lint_mesh(const struct mesh *mesh, const struct desired *desired, const struct observed *seen, struct lint *lint)
{
    struct lint_context context = {.mesh = mesh, .desired = desired, .seen = seen, .lint = lint};
    claim(&context, mesh->networks, mesh->network_count, NONE);
    for (size_t i = 0; i < mesh->node_count; i++) {
        claim(&context, mesh->nodes[i].addresses, mesh->nodes[i].address_count, i);
        claim(&context, mesh->nodes[i].allowed, mesh->nodes[i].allowed_count, i);
    }
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        context.kind = &kinds[i];
        kinds[i].look(&context);
    }
    if (lint->count)
        qsort(lint->findings, lint->count, sizeof *lint->findings, compare_findings);
    free(context.claims);
}

void lint_leave_out(struct lint *lint, const bool *leaving)
{
    size_t kept = 0;
    for (size_t i = 0; i < lint->count; i++) {
        struct lint_finding *finding = &lint->findings[i];
        bool leaves = false;
        for (int n = 0; n < 2; n++)
            leaves |= finding->nodes[n] != NONE && leaving[finding->nodes[n]];
        if (leaves)
            free(finding->text);
        else
            lint->findings[kept++] = *finding;
    }
    lint->count = kept;
}

static void __attribute__((format(printf, 4, 5))) put_first(struct lint *lint, size_t stays, size_t leaves, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    MEM_GROW(lint->findings, lint->count, lint->capacity);
    memmove(&lint->findings[1], lint->findings, lint->count++ * sizeof *lint->findings);
    lint->findings[0] = (struct lint_finding){.id = "needed-by-others", .error = true, .nodes = {stays, leaves}, .text = text_safe(buf_text(&text))};
    buf_free(&text);
}

void lint_leaving(const struct mesh *mesh, const bool *leaving, struct lint *lint)
{
    size_t relay = mesh_relay(mesh);
    for (size_t i = mesh->node_count; i-- > 0;) {
        size_t hop = mesh->nodes[i].jump && !leaving[i] ? mesh_find_node(mesh, mesh->nodes[i].jump) : NONE;
        if (hop != NONE && leaving[hop])
            put_first(lint, i, hop, "%s is reached through the SSH of %s (Jump): write another node there, or take it out too", mesh->nodes[i].name, mesh->nodes[hop].name);
        if (relay != NONE && leaving[relay] && !leaving[i] && mesh_joins_by_relay(mesh, i))
            put_first(lint, i, relay, "%s has joined through %s, the relay, and reaches nobody without it: take it out too", mesh->nodes[i].name, mesh->nodes[relay].name);
    }
}

void lint_free(struct lint *lint)
{
    for (size_t i = 0; i < lint->count; i++)
        free(lint->findings[i].text);
    free(lint->findings);
    *lint = (struct lint){0};
}

bool lint_has_error(const struct lint *lint)
{
    return lint->count > 0 && lint->findings[0].error;
}
