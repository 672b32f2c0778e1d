/* A look that is held: what the fan-out tells of each node waits, in its order, until the look is let go. */
#include <stdlib.h>

#include "look_private.h"
#include "wgdeck/mem.h"

enum { HELD_LIMIT = 32 << 20, HELD_ALL_LIMIT = 256 << 20 }; /* bytes that may wait: of one node, of all */

struct look_held *look_held_add(struct look_node *node, enum look_held_kind kind, const char *why)
{
    struct look_held *held = mem_alloc(1, sizeof *held);
    held->kind = kind;
    held->why = mem_text(why);
    *node->held_end = held;
    node->held_end = &held->next;
    return held;
}

static void held_free(struct look_node *node, struct look_held *held)
{
    node->held_bytes -= held->bytes.length;
    node->look->held_bytes -= held->bytes.length;
    buf_free(&held->bytes);
    free(held->why);
    free(held);
}

/* The last thing that waits, if it is output of REQUEST. */
static struct look_held *last_output(struct look_node *node, const struct fanout_request *request)
{
    struct look_held *last = NULL;
    for (struct look_held *held = node->held; held; held = held->next)
        last = held;
    return last && last->kind == HELD_OUTPUT && last->request == request ? last : NULL;
}

void look_held_output(struct look_node *node, struct fanout_request *request, const char *bytes, size_t length)
{
    if (request != node->request)
        return;
    struct look_held *held = last_output(node, request);
    if (!held) {
        held = look_held_add(node, HELD_OUTPUT, NULL);
        held->request = request;
    }
    if (length > HELD_LIMIT - node->held_bytes || length > HELD_ALL_LIMIT - node->look->held_bytes)
        held->too_much = true;
    if (held->too_much)
        return;
    buf_add(&held->bytes, bytes, length);
    node->held_bytes += length;
    node->look->held_bytes += length;
}

static void drop(struct look_node *node, bool all)
{
    struct look_held **at = &node->held;
    while (*at) {
        struct look_held *held = *at;
        if (all || held->kind == HELD_OUTPUT || held->kind == HELD_DONE) {
            *at = held->next;
            held_free(node, held);
        } else {
            at = &held->next;
        }
    }
    node->held_end = at;
}

void look_held_drop_request(struct look_node *node)
{
    drop(node, false);
}

void look_held_drop(struct look_node *node)
{
    drop(node, true);
}

static void let_go(struct look_node *node)
{
    struct look_held *held;
    while ((held = node->held)) {
        node->held = held->next;
        if (!node->held)
            node->held_end = &node->held;
        switch (held->kind) {
        case HELD_OUTPUT:
            if (held->too_much && held->request == node->request)
                look_node_too_much(node);
            else
                look_node_output(node, held->request, buf_text(&held->bytes), held->bytes.length);
            break;
        case HELD_DONE: look_node_done(node, held->request, held->status, held->why); break;
        case HELD_OPEN: look_node_open(node, held->session); break;
        case HELD_FAILED: look_node_failed(node, held->session, held->failure, held->why); break;
        }
        held_free(node, held);
    }
    if (node->refresh_wanted) {
        node->refresh_wanted = false;
        look_node_refresh(node);
    }
}

void look_hold(struct look *look, bool hold)
{
    look->is_held = hold;
    for (size_t i = 0; !hold && i < look->mesh->node_count; i++)
        if (look->nodes[i].held || look->nodes[i].refresh_wanted)
            let_go(&look->nodes[i]);
}
