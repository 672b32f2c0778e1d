/* Keys that a change learns from nodes, what it writes into the mesh file, and what it leaves in the event log. */
#include <stdlib.h>
#include <string.h>

#include "change_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/events.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { LOGGED_NAMES = 8 };

/* A key that was made just now goes into all rows that wait for it. */
static bool fill_operations(struct change *change, struct plan *plan)
{
    for (size_t i = 0; i < plan->node_count; i++)
        for (size_t o = 0; o < plan->nodes[i].count; o++) {
            struct plan_operation *operation = &plan->nodes[i].operations[o];
            if (operation->kind != PLAN_ROW || !key_is_zero(&operation->key) || operation->peer == SIZE_MAX)
                continue;
            const struct plan_node *peer = &change->plan->nodes[operation->peer];
            if (!peer->has_key) {
                change_node_failed(change, i, "the key of %s is not known", change->mesh->nodes[operation->peer].name);
                return false;
            }
            operation->key = peer->public_key;
        }
    return true;
}

/* Before anything is done anywhere: whoever goes on after a crash finds them there. */
static bool write_keys(struct change *change)
{
    struct mesh_edits edits = {0};
    struct err err;
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        const struct plan_node *node = &change->plan->nodes[i];
        char text[KEY_TEXT_SIZE];
        bool joined = node->learn_key && (node->state == PLAN_UNMANAGED || node->state == PLAN_PENDING); /* seen at the node through which it joined */
        if (!node->has_key || !(node->learn_key || node->make_key) || !(joined || change->actors[i].begun))
            continue;
        key_text(&node->public_key, text);
        mesh_edits_add(&edits, MESH_EDIT_SET, change->mesh->nodes[i].name, "PublicKey", text);
    }
    int result = edits.count ? mesh_file_edit(change->options.file, &edits, &err) : 0;
    mesh_edits_free(&edits);
    if (result)
        change_say(change, SIZE_MAX, "the keys cannot be written into the mesh file: %s", err.text);
    return !result;
}

/* Where a node found the key again that it had made for a change that was put back, rows of that key stay. */
static void set_made_keys(struct change *change)
{
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        const struct plan_node *node = &change->plan->nodes[i];
        struct key key = node->public_key;
        if (node->make_key && node->has_key && change->actors[i].begun)
            plan_set_key(change_working_plan(change), i, &key);
    }
}

bool change_learn_keys(struct change *change)
{
    set_made_keys(change);
    return fill_operations(change, change_working_plan(change)) && write_keys(change);
}

static void edit_leaving(const struct change *change, struct mesh_edits *edits)
{
    for (size_t i = 0; i < change->mesh->node_count; i++)
        if (change->options.plan.leaving && change->options.plan.leaving[i])
            mesh_edits_add(edits, MESH_EDIT_REMOVE_NODE, change->mesh->nodes[i].name, NULL, change->options.leaving_date);
}

static void edit_rotated(const struct change *change, struct mesh_edits *edits)
{
    char old[KEY_TEXT_SIZE], new[KEY_TEXT_SIZE];
    if (change->rotating == SIZE_MAX)
        return;
    const char *name = change->mesh->nodes[change->rotating].name;
    key_text(&change->plan->nodes[change->rotating].public_key, old);
    key_text(&change->actors[change->rotating].next_key, new);
    mesh_edits_add(edits, MESH_EDIT_ADD_VALUE, name, "FormerKey", old);
    mesh_edits_add(edits, MESH_EDIT_SET, name, "PublicKey", new);
}

bool change_file_confirmed(struct change *change)
{
    struct mesh_edits edits = {0};
    struct err err;
    edit_leaving(change, &edits);
    edit_rotated(change, &edits);
    int result = edits.count ? mesh_file_edit(change->options.file, &edits, &err) : 0;
    mesh_edits_free(&edits);
    if (result)
        change_say(change, SIZE_MAX, "the mesh file cannot be written: %s", err.text);
    return !result;
}

/* --- the event log */

static void log_event(const struct change *change, enum event_kind kind, size_t node, const char *what)
{
    const char *slash = strrchr(change->options.events, '/');
    char *folder = slash ? mem_text_part(change->options.events, (size_t)(slash - change->options.events)) : NULL;
    if (folder && *folder)
        (void)file_make_folders(folder, 0700, NULL); /* where it cannot be made nothing is kept, as event_log_problem would say */
    free(folder);
    struct event_log *log = event_log_new(change->options.events);
    struct event event = {.at = clock_wall(), .kind = kind, .severity = event_kinds[kind].severity, .times = 1};
    event.nodes[0] = mem_text(node != SIZE_MAX ? change->mesh->nodes[node].name : "");
    event.nodes[1] = mem_text("");
    event.text = mem_format("%s: %s", change->owner, what);
    event_log_add(log, &event);
    free(event.nodes[0]);
    free(event.nodes[1]);
    free(event.text);
    event_log_free(log);
}

void change_log_rotated(struct change *change, size_t node)
{
    char text[KEY_TEXT_SIZE];
    if (!change->options.events)
        return;
    key_text(&change->actors[node].next_key, text);
    char *what = mem_format("%s has a new key, %.8s...", change->mesh->nodes[node].name, text);
    log_event(change, EVENT_KEY_ROTATED, node, what);
    free(what);
}

/* "a, b, c and 17 more" of those that took part. */
static void add_names(const struct change *change, struct buf *text)
{
    size_t count = 0;
    for (size_t i = 0; i < change->mesh->node_count; i++) {
        if (!change->actors[i].takes_part)
            continue;
        if (count < LOGGED_NAMES)
            buf_add_format(text, "%s%s", count ? ", " : " on ", change->mesh->nodes[i].name);
        count++;
    }
    if (count > LOGGED_NAMES)
        buf_add_format(text, " and %zu more", count - LOGGED_NAMES);
}

void change_log_result(struct change *change)
{
    static const char *const words[] = {
        [CHANGE_CONFIRMED] = "applied", [CHANGE_PUT_BACK] = "failed, and was put back", [CHANGE_PARTLY] = "was confirmed on some nodes only",
        [CHANGE_GUARDED] = "failed; who could not be told is put back by its guard",
    };
    struct buf text = BUF_EMPTY;
    if (!change->options.events || (size_t)change->result >= COUNT_OF(words) || !words[change->result] || (change->options.rotate && change->result == CHANGE_CONFIRMED))
        return;
    buf_add_format(&text, "a change (%zu operations, generation %s)", change->plan ? plan_operation_count(change_working_plan(change)) : 0, change->plan ? change->plan->generation : "");
    add_names(change, &text);
    buf_add_format(&text, ": %s", words[change->result]);
    log_event(change, change->result == CHANGE_CONFIRMED ? EVENT_CHANGE_APPLIED : EVENT_CHANGE_PUT_BACK, SIZE_MAX, buf_text(&text));
    buf_free(&text);
}
