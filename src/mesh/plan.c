/* The plan of a mesh: which nodes can be changed, which keys they have, and their operations in the order in which they are done. */
#include "plan_private.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/apply.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

struct plan_operation *plan_add(struct plan_node *node, enum plan_kind kind, bool running, bool saved)
{
    MEM_GROW(node->operations, node->count, node->capacity);
    node->operations[node->count] = (struct plan_operation){.kind = kind, .running = running, .saved = saved, .peer = SIZE_MAX};
    return &node->operations[node->count++];
}

void plan_note(struct plan_node *node, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    MEM_GROW(node->notes, node->note_count, node->note_capacity);
    node->notes[node->note_count++] = text_safe(buf_text(&text));
    buf_free(&text);
}

/* --- what can be done with a node */

static void __attribute__((format(printf, 3, 4))) set_state(struct plan_node *node, enum plan_node_state state, const char *format, ...)
{
    struct buf text = BUF_EMPTY;
    va_list arguments;
    va_start(arguments, format);
    buf_add_vformat(&text, format, arguments);
    va_end(arguments);
    node->state = state;
    free(node->why);
    node->why = text_safe(buf_text(&text));
    buf_free(&text);
}

bool plan_engine_is_dead(const struct observation *seen, const char *name)
{
    for (size_t i = 0; i < seen->dead_socket_count; i++)
        if (!strcmp(seen->dead_sockets[i], name))
            return true;
    return false;
}

static void look_at(struct planning *planning, size_t index)
{
    struct plan_view *view = &planning->views[index];
    const char *name = planning->desired->nodes[index].interface;
    view->seen = &planning->seen->nodes[index];
    view->link = observation_link(view->seen, name);
    view->config = observation_config(view->seen, name);
    view->saved = view->config && !view->config->error ? observation_saved(view->seen, view->config) : NULL;
    for (size_t i = 0; i < view->seen->device_count; i++)
        if (!strcmp(view->seen->devices[i].name, name))
            view->running = &view->seen->devices[i];
}

static bool is_former(const struct mesh_node *node, const struct key *key)
{
    for (size_t i = 0; i < node->former_key_count; i++)
        if (!key_compare(&node->former_keys[i], key))
            return true;
    return false;
}

/* The key that the node shows counts: a pinned one that it does not have (yet) is only right where it is an older one of the same node, of a rotation that was put back. */
static void take_key(struct planning *planning, size_t index, const struct key *shown)
{
    struct plan_node *node = &planning->plan->nodes[index];
    const struct mesh_node *wanted = &planning->mesh->nodes[index];
    bool other = wanted->has_public_key && key_compare(&wanted->public_key, shown) && !is_former(wanted, shown);
    if (other && planning->seen->nodes[index].pending) /* a rotation that was cut off between its key and its end: whoever takes the lock next puts the pinned one back first */
        return;
    if (other) {
        char is[KEY_TEXT_SIZE], pinned[KEY_TEXT_SIZE];
        key_text(shown, is);
        key_text(&wanted->public_key, pinned);
        set_state(node, PLAN_BLOCKED, "it shows the key %.8s..., and the mesh file pins %.8s...: find out why; to accept the new one: wgdeck set %s PublicKey=%s", is, pinned,
                  wanted->name, is);
        return;
    }
    node->learn_key = !wanted->has_public_key || key_compare(&wanted->public_key, shown);
    if (node->learn_key && wanted->has_public_key)
        plan_note(node, "a rotation of its key was put back: the mesh file will say its present key again");
    node->has_key = true;
    node->public_key = *shown;
}

static void find_key(struct planning *planning, size_t index)
{
    const struct plan_view *view = &planning->views[index];
    struct plan_node *node = &planning->plan->nodes[index];
    if (view->running && view->running->has_private)
        take_key(planning, index, &view->running->public_key);
    else if (view->saved && view->config->device.has_private)
        take_key(planning, index, &view->config->device.public_key);
    else {
        if (node->has_key && !plan_leaves(planning, index))
            plan_note(node, "the key that the mesh file pins is not there: unless the node kept it, it makes a new one");
        node->make_key = true;
        node->has_key = false;
    }
}

static void judge(struct planning *planning, size_t index)
{
    const struct mesh_node *wanted = &planning->mesh->nodes[index];
    const struct observation *seen = &planning->seen->nodes[index];
    struct plan_node *node = &planning->plan->nodes[index];
    const char *interface = planning->desired->nodes[index].interface;
    node->has_key = wanted->has_public_key;
    node->public_key = wanted->public_key;
    if (!wanted->ssh && (wanted->has_public_key || seen->reach != REACH_OK)) { /* seen all the same: the bare host that an invitation is planned for (plan.h) */
        set_state(node, PLAN_UNMANAGED, "it has no Ssh: configure it by hand (wgdeck export %s)", wanted->name);
        return;
    }
    if (seen->reach != REACH_OK) {
        set_state(node, PLAN_PENDING, "%s", seen->error ? seen->error : "not reached");
        return;
    }
    look_at(planning, index);
    struct plan_view *view = &planning->views[index];
    if (!seen->privileged)
        set_state(node, PLAN_BLOCKED, "its configuration cannot be read: log in as root, or allow sudo");
    else if (view->link && !view->running && plan_engine_is_dead(seen, interface)) /* an engine that died takes its link along */
        set_state(node, PLAN_BLOCKED, "the engine of %s does not answer: it hangs (find it with: wgdeck exec -n %s 'ps ax'; end it, then apply)", interface, wanted->name);
    else if (view->link && !view->running)
        set_state(node, PLAN_BLOCKED, "it has an interface %s that is no WireGuard: rename it, or set Interface for this node", interface);
    else if (view->config && view->config->error)
        set_state(node, PLAN_BLOCKED, "%s cannot be read: %s", view->config->path, view->config->error);
    else
        find_key(planning, index);
    node->unfinished = node->state == PLAN_READY && seen->pending && strstr(seen->pending, APPLY_UNFINISHED) && (!planning->options->only || planning->options->only[index]);
    if (node->state == PLAN_READY && seen->pending)
        plan_note(node, "a change is under way there: %s", seen->pending);
}

/* --- the generation */

static void add_prefixes(crypto_generichash_state *hash, const struct prefix *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&prefixes[i], text);
        crypto_generichash_update(hash, (const unsigned char *)text, strlen(text) + 1);
    }
}

static void add_text(crypto_generichash_state *hash, const char *text)
{
    crypto_generichash_update(hash, (const unsigned char *)(text ? text : ""), text ? strlen(text) + 1 : 1);
}

static uint32_t hash_of(const struct planning *planning)
{
    crypto_generichash_state hash;
    unsigned char digest[crypto_generichash_BYTES];
    crypto_generichash_init(&hash, NULL, 0, sizeof digest);
    add_text(&hash, planning->mesh->name);
    for (size_t i = 0; i < planning->desired->node_count; i++) {
        const struct desired_node *node = &planning->desired->nodes[i];
        const struct plan_node *plan = &planning->plan->nodes[i];
        uint32_t numbers[] = {node->listen_port, node->mtu, node->engine, node->forwards4, node->forwards6, plan->has_key};
        if (plan_leaves(planning, i))
            continue;
        add_text(&hash, planning->mesh->nodes[i].name);
        add_text(&hash, node->interface);
        crypto_generichash_update(&hash, (const unsigned char *)numbers, sizeof numbers);
        crypto_generichash_update(&hash, plan->public_key.bytes, KEY_SIZE);
        add_prefixes(&hash, node->addresses, node->address_count);
        for (size_t r = 0; r < node->row_count; r++) {
            const struct desired_row *row = &node->rows[r];
            uint32_t values[] = {(uint32_t)row->peer, row->keepalive, row->preshared};
            crypto_generichash_update(&hash, (const unsigned char *)values, sizeof values);
            add_text(&hash, row->endpoint);
            add_prefixes(&hash, row->allowed, row->allowed_count);
        }
    }
    crypto_generichash_final(&hash, digest, sizeof digest);
    return (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3];
}

/* "8-3fa94c12", as nodes say it. */
static bool read_generation(const char *text, unsigned *number, unsigned *hash)
{
    int end = 0;
    return text && sscanf(text, "%9u-%8x%n", number, hash, &end) == 2 && text[end] == '\0';
}

void plan_set_generation(struct planning *planning)
{
    unsigned highest = 0, highest_hash = 0, number, hash;
    uint32_t own = hash_of(planning);
    for (size_t i = 0; i < planning->seen->node_count; i++)
        if (read_generation(planning->seen->nodes[i].generation, &number, &hash) && number >= highest) {
            highest = number;
            highest_hash = hash;
        }
    if (!highest || highest_hash != own)
        highest++;
    planning->plan->generation = mem_format("%u-%08x", highest, (unsigned)own);
}

/* --- the whole */

/* Does the SSH session to the node end at an address that it has in the mesh? */
static bool is_reached_by_mesh(const struct planning *planning, const struct plan_view *view)
{
    struct address address;
    if (!view->seen->reached_at || address_parse(view->seen->reached_at, &address))
        return false;
    for (size_t i = 0; i < planning->mesh->network_count; i++)
        if (prefix_contains(&planning->mesh->networks[i], &address))
            return true;
    return false;
}

/* One that is reached by its tunnel only could be told to take it down, and then nothing any more: its guard would put it up again. The others let it go. */
static void plan_leaving(struct planning *planning, size_t index)
{
    const struct plan_view *view = &planning->views[index];
    struct plan_node *node = &planning->plan->nodes[index];
    node->make_key = node->learn_key = false;
    if (!view->running && !view->config)
        return;
    if (is_reached_by_mesh(planning, view)) {
        plan_note(node, "its interface stays up there, since SSH reaches it by that alone: \"wgdeck leave %s\" there takes it down", planning->desired->nodes[index].interface);
        return;
    }
    struct plan_operation *operation = plan_add(node, PLAN_INTERFACE_REMOVE, view->running != NULL, view->config != NULL);
    operation->why = mem_text("it leaves the mesh");
}

static void plan_one(struct planning *planning, size_t index)
{
    if (planning->plan->nodes[index].state != PLAN_READY || (planning->options->only && !planning->options->only[index]))
        return;
    if (plan_leaves(planning, index)) {
        plan_leaving(planning, index);
        return;
    }
    plan_interface(planning, index);
    plan_rows(planning, index);
    plan_addresses(planning, index);
    plan_rows_removed(planning, index);
    plan_addresses_removed(planning, index);
    plan_upkeep(planning, index);
}

void plan_begin(struct planning *planning, const struct mesh *mesh, const struct desired *desired, const struct observed *seen, const struct plan_options *options)
{
    *planning = (struct planning){.mesh = mesh, .desired = desired, .seen = seen, .options = options};
    planning->plan = mem_alloc(1, sizeof *planning->plan);
    planning->plan->mesh = mesh;
    planning->plan->node_count = mesh->node_count;
    planning->plan->nodes = mem_alloc(mesh->node_count, sizeof *planning->plan->nodes);
    planning->views = mem_alloc(mesh->node_count, sizeof *planning->views);
    for (size_t i = 0; i < mesh->node_count; i++)
        judge(planning, i);
    for (size_t i = 0; i < mesh->node_count; i++)
        if (planning->plan->nodes[i].state == PLAN_UNMANAGED || planning->plan->nodes[i].state == PLAN_PENDING)
            plan_learn_joined(planning, i);
    plan_list_known(planning);
    plan_find_ladder(planning);
}

void plan_end(struct planning *planning)
{
    free(planning->views);
    free(planning->pairs);
    free(planning->known);
}

struct plan *plan_new(const struct mesh *mesh, const struct desired *desired, const struct observed *seen, const struct plan_options *options)
{
    struct planning planning;
    plan_begin(&planning, mesh, desired, seen, options);
    plan_decide_pairs(&planning);
    for (size_t i = 0; i < mesh->node_count; i++)
        plan_one(&planning, i);
    plan_set_generation(&planning);
    lint_mesh(mesh, desired, seen, &planning.plan->lint);
    if (options->leaving) {
        lint_leave_out(&planning.plan->lint, options->leaving);
        lint_leaving(mesh, options->leaving, &planning.plan->lint);
    }
    plan_end(&planning);
    return planning.plan;
}

void plan_free(struct plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->node_count; i++) {
        struct plan_node *node = &plan->nodes[i];
        for (size_t o = 0; o < node->count; o++)
            plan_operation_free(&node->operations[o]);
        for (size_t n = 0; n < node->note_count; n++)
            free(node->notes[n]);
        free(node->operations);
        free(node->notes);
        free(node->why);
    }
    lint_free(&plan->lint);
    free(plan->nodes);
    free(plan->generation);
    free(plan);
}

static void drop_operation(struct plan_node *node, size_t index)
{
    plan_operation_free(&node->operations[index]);
    node->count--;
    for (size_t i = index; i < node->count; i++)
        node->operations[i] = node->operations[i + 1];
}

void plan_set_key(struct plan *plan, size_t node, const struct key *key)
{
    plan->nodes[node].has_key = true;
    plan->nodes[node].public_key = *key;
    for (size_t i = 0; i < plan->node_count; i++)
        for (size_t o = plan->nodes[i].count; o-- > 0;) {
            struct plan_operation *operation = &plan->nodes[i].operations[o];
            if (operation->kind == PLAN_ROW && operation->peer == node && key_is_zero(&operation->key))
                operation->key = *key;
            else if (operation->kind == PLAN_ROW_REMOVE && !key_compare(&operation->key, key))
                drop_operation(&plan->nodes[i], o);
        }
}

size_t plan_operation_count(const struct plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->node_count; i++)
        count += plan->nodes[i].count;
    return count;
}

bool plan_is_empty(const struct plan *plan)
{
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].unfinished)
            return false;
    return plan_operation_count(plan) == 0;
}
