/* A plan for people: per node, like a diff. What is the same on many nodes is told once. */
#include "plan_private.h"

#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static void add_name(const struct plan_operation *operation, struct buf *buf)
{
    char text[KEY_TEXT_SIZE];
    if (operation->name) {
        text_add_safe(buf, operation->name, strlen(operation->name));
        return;
    }
    key_text(&operation->key, text);
    buf_add_format(buf, "%.8s...", text);
}

static const char *const preshared_texts[] = {
    [PLAN_PRESHARED_KEEP] = "", [PLAN_PRESHARED_MAKE] = "new preshared key, made here", [PLAN_PRESHARED_TAKE] = "new preshared key, made at the other end",
    [PLAN_PRESHARED_COPY] = "the same preshared key", [PLAN_PRESHARED_NONE] = "no preshared key",
};

/* A row's line is cells, which stand below each other in the rows of one node. */
enum { CELL_NAME, CELL_ALLOWED, CELL_ENDPOINT, CELL_KEEPALIVE, CELL_PRESHARED, CELLS, CELL_WIDTH_MOST = 64 };

struct cells {
    struct buf texts[CELLS];
};

static void make_cells(const struct plan_operation *operation, struct cells *cells)
{
    buf_add_text(&cells->texts[CELL_NAME], operation->kind == PLAN_ROW_REMOVE ? "- row " : operation->is_new ? "+ row " : "~ row ");
    add_name(operation, &cells->texts[CELL_NAME]);
    if (operation->kind != PLAN_ROW)
        return;
    if (operation->set_allowed) {
        char *allowed = plan_prefixes_text(operation->allowed, operation->allowed_count);
        buf_add_format(&cells->texts[CELL_ALLOWED], "allows %s", allowed);
        free(allowed);
    }
    if (operation->set_endpoint) {
        const char *endpoint = operation->endpoint ? operation->endpoint : "none";
        buf_add_text(&cells->texts[CELL_ENDPOINT], "endpoint ");
        text_add_safe(&cells->texts[CELL_ENDPOINT], endpoint, strlen(endpoint));
        if (operation->endpoint_saved_only && operation->running)
            buf_add_text(&cells->texts[CELL_ENDPOINT], " (in the file; what runs stays)");
    }
    if (operation->set_keepalive && operation->keepalive)
        buf_add_format(&cells->texts[CELL_KEEPALIVE], "keepalive %u", operation->keepalive);
    else if (operation->set_keepalive)
        buf_add_text(&cells->texts[CELL_KEEPALIVE], "keepalive off");
    buf_add_text(&cells->texts[CELL_PRESHARED], preshared_texts[operation->preshared]);
}

static void free_cells(struct cells *cells)
{
    for (size_t i = 0; i < CELLS; i++)
        buf_free(&cells->texts[i]);
}

/* WIDTHS: of the cells above and below, 0: none of them has this one. */
static void add_row(const struct plan_operation *operation, const size_t *widths, struct buf *buf)
{
    struct cells cells = {0};
    size_t missing = 0; /* spaces that are due before the next cell */
    make_cells(operation, &cells);
    for (size_t i = 0; i < CELLS; i++) {
        size_t width = text_width(buf_text(&cells.texts[i])), wanted = widths ? widths[i] : width;
        if (width && i)
            missing += 2;
        if (width)
            buf_add_format(buf, "%*s%s", (int)missing, "", buf_text(&cells.texts[i]));
        missing = width ? 0 : missing + (i && wanted ? 2 : 0);
        missing += wanted > width ? wanted - width : 0;
    }
    free_cells(&cells);
}

static bool is_row(const struct plan_operation *operation)
{
    return operation->kind == PLAN_ROW || operation->kind == PLAN_ROW_REMOVE;
}

static void find_widths(const struct plan_node *node, size_t *widths)
{
    for (size_t o = 0; o < node->count; o++) {
        struct cells cells = {0};
        if (!is_row(&node->operations[o]))
            continue;
        make_cells(&node->operations[o], &cells);
        for (size_t i = 0; i < CELLS; i++) {
            size_t width = text_width(buf_text(&cells.texts[i]));
            if (width > widths[i] && width <= CELL_WIDTH_MOST)
                widths[i] = width;
        }
        free_cells(&cells);
    }
}

static const char *engine_text(enum engine_choice engine)
{
    static const char *const texts[] = {"the kernel's WireGuard, or wgdeck's engine where there is none", "the kernel's WireGuard", "wgdeck's engine"};
    return texts[engine];
}

static void add_operation(const struct plan_operation *operation, const size_t *widths, struct buf *buf)
{
    char prefix[PREFIX_TEXT_SIZE] = "";
    if (operation->prefix.address.family)
        prefix_text(&operation->prefix, prefix);
    switch (operation->kind) {
    case PLAN_INTERFACE:
        if (operation->before)
            buf_add_text(buf, "~ interface  up");
        else
            buf_add_format(buf, "+ interface  %s", engine_text(operation->engine));
        break;
    case PLAN_INTERFACE_REMOVE:
        buf_add_text(buf, "- interface  down; its file is kept under another name, nothing starts it at boot");
        break;
    case PLAN_PRIVATE_KEY:
        buf_add_text(buf, "~ private key  a new one, made on the node");
        break;
    case PLAN_LISTEN_PORT:
        buf_add_format(buf, "~ listen port %u", operation->number);
        break;
    case PLAN_MTU:
        buf_add_format(buf, "~ MTU %u", operation->number);
        break;
    case PLAN_ADDRESS:
        buf_add_format(buf, "+ address %s", prefix);
        break;
    case PLAN_ADDRESS_REMOVE:
        buf_add_format(buf, "- address %s", prefix);
        break;
    case PLAN_ROUTE:
        buf_add_format(buf, "+ route %s", prefix);
        break;
    case PLAN_ROUTE_REMOVE:
        buf_add_format(buf, "- route %s", prefix);
        break;
    case PLAN_FORWARDING:
        buf_add_format(buf, "~ forwarding on (IPv%c)", operation->prefix.address.family == AF_INET ? '4' : '6');
        break;
    case PLAN_ROW:
    case PLAN_ROW_REMOVE:
        add_row(operation, widths, buf);
        break;
    case PLAN_ROW_MOVE:
        buf_add_text(buf, "~ row ");
        add_name(operation, buf);
        buf_add_text(buf, "  takes over what the old key's row allows, as soon as it has a handshake");
        break;
    case PLAN_FILE:
        buf_add_text(buf, "+ file  the configuration is saved");
        break;
    case PLAN_SERVICE:
        buf_add_text(buf, "+ service  brings it up at boot");
        break;
    case PLAN_KIND_COUNT:
        break;
    }
    if (operation->before) {
        buf_add_text(buf, "  (was: ");
        text_add_safe(buf, operation->before, strlen(operation->before));
        buf_add_char(buf, ')');
    }
    if (operation->why) {
        buf_add_text(buf, "  (");
        text_add_safe(buf, operation->why, strlen(operation->why));
        buf_add_char(buf, ')');
    } else if (!operation->running && operation->saved && operation->kind != PLAN_FILE && operation->kind != PLAN_SERVICE) {
        buf_add_text(buf, "  (in the file)");
    }
}

void plan_operation_text(const struct plan_operation *operation, struct buf *buf)
{
    add_operation(operation, NULL, buf);
}

/* --- nodes */

static char *operations_text(const struct plan_node *node)
{
    struct buf text = BUF_EMPTY;
    size_t widths[CELLS] = {0};
    find_widths(node, widths);
    for (size_t i = 0; i < node->count; i++) {
        buf_add_text(&text, "  ");
        add_operation(&node->operations[i], widths, &text);
        buf_add_char(&text, '\n');
    }
    for (size_t i = 0; i < node->note_count; i++)
        buf_add_format(&text, "  . %s\n", node->notes[i]);
    if (text.length && node->learn_key)
        buf_add_text(&text, "  . its public key is written into the mesh file\n");
    return text.length ? buf_take(&text) : NULL;
}

/* The names of all nodes that have the text of node FIRST; those are done then. */
static void add_group(const struct plan *plan, char **texts, size_t first, bool brief, struct buf *buf)
{
    char *text = texts[first];
    size_t count = 0;
    for (size_t i = first; i < plan->node_count; i++) {
        if (i != first && (!brief || !texts[i] || strcmp(texts[i], text) != 0))
            continue;
        buf_add_format(buf, "%s%s", count++ ? ", " : "", plan->mesh->nodes[i].name);
        if (i != first) {
            free(texts[i]);
            texts[i] = NULL;
        }
    }
    if (count > 1)
        buf_add_format(buf, "  (%zu nodes)", count);
    buf_add_format(buf, "\n%s", text);
    free(text);
    texts[first] = NULL;
}

static void add_left_out(const struct plan *plan, enum plan_node_state state, const char *word, struct buf *buf)
{
    for (size_t i = 0; i < plan->node_count; i++)
        if (plan->nodes[i].state == state)
            buf_add_format(buf, "%s  %s: %s\n", plan->mesh->nodes[i].name, word, plan->nodes[i].why ? plan->nodes[i].why : "");
}

static void add_lint(const struct plan *plan, struct buf *buf)
{
    for (size_t i = 0; i < plan->lint.count; i++)
        buf_add_format(buf, "%s: %s\n", plan->lint.findings[i].error ? "error" : "warning", plan->lint.findings[i].text);
    if (plan->lint.count)
        buf_add_char(buf, '\n');
}

static void add_end(const struct plan *plan, size_t changed, size_t ready, struct buf *buf)
{
    size_t operations = plan_operation_count(plan);
    if (operations)
        buf_add_format(buf, "%zu operation%s on %zu of %zu nodes; generation %s\n", operations, operations == 1 ? "" : "s", changed, plan->node_count, plan->generation);
    else if (ready == plan->node_count)
        buf_add_text(buf, "Nothing to do: every node is as the mesh file asks.\n");
    else if (ready)
        buf_add_format(buf, "Nothing to do on the other nodes: %zu of %zu are as the mesh file asks.\n", ready, plan->node_count);
    else
        buf_add_text(buf, "Nothing can be done on any node: what stands in the way is named above.\n");
}

void plan_to_text(const struct plan *plan, bool brief, struct buf *buf)
{
    char **texts = mem_alloc(plan->node_count, sizeof *texts);
    size_t changed = 0, ready = 0;
    add_lint(plan, buf);
    for (size_t i = 0; i < plan->node_count; i++) {
        texts[i] = operations_text(&plan->nodes[i]);
        changed += plan->nodes[i].count > 0;
        ready += plan->nodes[i].state == PLAN_READY;
    }
    for (size_t i = 0; i < plan->node_count; i++)
        if (texts[i])
            add_group(plan, texts, i, brief, buf);
    free(texts);
    add_left_out(plan, PLAN_BLOCKED, "not touched", buf);
    add_left_out(plan, PLAN_PENDING, "pending, not reached", buf);
    add_left_out(plan, PLAN_UNMANAGED, "by hand", buf);
    add_end(plan, changed, ready, buf);
}
