/* New keys, one node after the other: each is a change of its own, over all nodes that hold a row of it. */
#include <stdlib.h>
#include <string.h>

#include "change_private.h"
#include "wgdeck/mem.h"

/* Those that know the node, or should: they get its new key. */
static void choose_actors(struct change *change, size_t node)
{
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        struct change_actor *actor = &change->actors[i];
        struct change_actor fresh = {.change = change, .index = i, .end = actor->end, .warning = actor->warning};
        *actor = fresh;
        actor->takes_part = i == node || (change->plan->nodes[i].state == PLAN_READY && mesh_wants_link(change->mesh, i, node));
        change->nodes[i].done = change->nodes[i].operations = change->nodes[i].verified = change->nodes[i].links = 0;
    }
}

bool change_rotation_next(struct change *change)
{
    size_t node = change->rotating == SIZE_MAX ? 0 : change->rotating + 1;
    for (; node < change->mesh->node_count; node++) {
        if (!change->options.rotate[node])
            continue;
        if (change->plan->nodes[node].state != PLAN_READY || !change->plan->nodes[node].has_key) {
            change_say(change, node, "its key stays as it is: %s", change->plan->nodes[node].why ? change->plan->nodes[node].why : "it has none yet (wgdeck apply)");
            continue;
        }
        break;
    }
    if (node == change->mesh->node_count)
        return false;
    change_close_actors(change);
    change->rotating = node;
    free(change->sealed);
    change->sealed = NULL;
    change->sealed_count = 0;
    choose_actors(change, node);
    return true;
}

/* A node whose plan has nothing for it lets its lock go with its helper. */
static void leave_out_idle(struct change *change)
{
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        struct change_actor *actor = &change->actors[i];
        if (!actor->takes_part || change->rotation->nodes[i].count)
            continue;
        actor->takes_part = false;
        helper_free(actor->helper);
        actor->helper = NULL;
    }
}

bool change_rotation_plan(struct change *change)
{
    const struct change_actor *actor = &change->actors[change->rotating];
    struct err err;
    if (!actor->has_next) {
        change_node_failed(change, change->rotating, "it could not make a new key");
        return false;
    }
    plan_free(change->rotation);
    change->rotation = plan_rotation(change->mesh, change->desired, change_observed(change), change->rotating, &actor->next_key, &change->options.plan, &err);
    if (!change->rotation) {
        const char *name = change->mesh->nodes[change->rotating].name;
        bool named = !strncmp(err.text, name, strlen(name)) && !strncmp(err.text + strlen(name), ": ", 2); /* the report names it itself */
        change_node_failed(change, change->rotating, "%s", err.text + (named ? strlen(name) + 2 : 0));
        return false;
    }
    leave_out_idle(change);
    return true;
}

/* Who still holds rows of the old key could not be reached: it stays in the file until they have been. */
static bool all_know(const struct change *change, size_t node)
{
    for (size_t i = 0; i < change->mesh->node_count; i++)
        if (mesh_wants_link(change->mesh, i, node) && change->plan->nodes[i].state != PLAN_READY)
            return false;
    return true;
}

void change_rotation_over(struct change *change)
{
    size_t node = change->rotating;
    const char *name = change->mesh->nodes[node].name;
    struct mesh_edits edits = {0};
    struct err err;
    if (all_know(change, node)) {
        mesh_edits_add(&edits, MESH_EDIT_SET, name, "FormerKey", NULL);
        if (mesh_file_edit(change->options.file, &edits, &err))
            change_say(change, node, "its old key stays in the mesh file: %s", err.text);
        mesh_edits_free(&edits);
    }
    change->plan->nodes[node].public_key = change->actors[node].next_key;
    change_log_rotated(change, node);
    change->rotated++;
    plan_free(change->rotation);
    change->rotation = NULL;
}
