/* Faults of mesh addresses (faults.md A1, A7): which node has which. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

/* ---- duplicate-address (A1) ------------------------------------------------------------------------------------ */

/* It has the address; or it should, and nobody could look. */
static bool holds(const struct context *context, const struct address_entry *entry)
{
    const struct node_view *view = &context->views[entry->node];
    return view->interface ? view_has_address(view, &entry->address) : entry->meant && !view->looked;
}

static bool saved_has(const struct node_view *view, const struct address *address)
{
    for (size_t i = 0; view->config && i < view->config->address_count; i++)
        if (address_compare(&view->config->addresses[i].address, address) == 0)
            return true;
    return false;
}

/* The one that has a right to it: the mesh file's, else the one that has it saved, else the first. */
static const struct address_entry *rightful(const struct context *context, const struct address_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (entries[i].meant)
            return &entries[i];
    for (size_t i = 0; i < count; i++)
        if (holds(context, &entries[i]) && saved_has(&context->views[entries[i].node], &entries[i].address))
            return &entries[i];
    for (size_t i = 0; i < count; i++)
        if (holds(context, &entries[i]))
            return &entries[i];
    return entries;
}

static size_t find_same_fault(const struct context *context, const char *id, size_t first, size_t second)
{
    for (size_t i = 0; i < context->finding_count; i++) {
        const struct fault *fault = &context->findings[i].fault;
        if (strcmp(fault->kind->id, id) == 0 && fault->nodes[0] == first && fault->nodes[1] == second)
            return i;
    }
    return NONE;
}

static void name_duplicate(struct context *context, size_t other, size_t owner, const struct address *address)
{
    char text[ADDRESS_TEXT_SIZE];
    struct node_view *thief = &context->views[other], *right = &context->views[owner];
    address_text(address, text);
    size_t index = find_same_fault(context, "duplicate-address", other, owner);
    if (index == NONE) {
        struct fault *fault = fault_new(context, "duplicate-address", other, owner);
        struct buf name = BUF_EMPTY;
        words_add_shell(&name, thief->interface_name);
        fault_summary(fault, "%s has the address %s of %s: packets from %s to %s end in itself, and others may be answered by the wrong one", thief->name,
                      text, right->name, thief->name, right->name);
        fault_remedy(fault, "on %s: ip address del %s/%u dev %s; and out of its saved file; give it an address of its own", thief->name, text,
                     address_bits(address), buf_text(&name));
        buf_free(&name);
        index = fault_index(context);
    }
    fault_evidence(context, index, "%s: %s has the address %s", thief->name, thief->interface_name, text);
    fault_evidence(context, index, "%s: %s the address %s", right->name, right->interface ? "has" : "could not be read; the mesh file gives it", text);
    thief->address_fault = index;
    if (right->address_fault == NONE)
        right->address_fault = index;
}

static void detect_duplicate_address(struct context *context)
{
    for (size_t first = 0, next; first < context->address_count; first = next) {
        for (next = first + 1; next < context->address_count &&
                               address_compare(&context->addresses[first].address, &context->addresses[next].address) == 0;)
            next++;
        size_t holding = 0;
        for (size_t i = first; i < next; i++)
            holding += holds(context, &context->addresses[i]);
        if (holding < 2)
            continue;
        const struct address_entry *owner = rightful(context, &context->addresses[first], next - first);
        for (size_t i = first; i < next; i++)
            if (&context->addresses[i] != owner && holds(context, &context->addresses[i]))
                name_duplicate(context, context->addresses[i].node, owner->node, &owner->address);
    }
}

/* ---- address-drift (A7) ---------------------------------------------------------------------------------------- */

static const struct prefix *find_on_interface(const struct node_view *view, const struct address *address)
{
    for (size_t i = 0; i < view->interface->address_count; i++)
        if (address_compare(&view->interface->addresses[i].address, address) == 0)
            return &view->interface->addresses[i];
    return NULL;
}

static bool file_has(const struct node_view *view, const struct address *address)
{
    for (size_t i = 0; i < view->node->address_count; i++)
        if (address_compare(&view->node->addresses[i].address, address) == 0)
            return true;
    return false;
}

struct drift {
    struct prefix_list missing, extra, other_length; /* other_length: as saved */
    const char *missing_from;                        /* who says that it should be there */
};

/* With neither a saved address nor a mesh file there are still the rows of the others: all of two or more agree on one address, and none
 * covers an address that the node has. */
static void drift_by_rows(const struct context *context, size_t node, uint8_t family, struct drift *drift)
{
    const struct node_view *view = &context->views[node];
    struct prefix common = {0};
    size_t agree = 0;
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == node ? NULL : pair_of(context, i, node);
        const struct device_peer *row = pair ? end_of(pair, i)->row : NULL;
        for (size_t k = 0; row && k < view->interface->address_count; k++) {
            struct prefix own = prefix_host(&view->interface->addresses[k].address);
            if (own.address.family == family && allowed_covers(row, &own))
                return;
        }
        for (size_t k = 0; row && k < row->allowed_count; k++) {
            if (row->allowed[k].address.family != family || !prefix_is_host(&row->allowed[k]))
                continue;
            if (agree && prefix_compare(&common, &row->allowed[k]) != 0)
                return;
            common = row->allowed[k];
            agree++;
            break;
        }
    }
    if (agree >= 2) {
        prefix_list_add(&drift->missing, &common);
        drift->missing_from = "the rows of all others";
    }
}

static void find_drift(const struct context *context, size_t node, struct drift *drift)
{
    const struct node_view *view = &context->views[node];
    for (size_t i = 0; i < view->node->address_count; i++)
        if (!find_on_interface(view, &view->node->addresses[i].address)) {
            prefix_list_add(&drift->missing, &view->node->addresses[i]);
            drift->missing_from = "the mesh file";
        }
    size_t saved_count = view->config ? view->config->address_count : 0;
    for (size_t i = 0; i < saved_count; i++) {
        const struct prefix *saved = &view->config->addresses[i], *there = find_on_interface(view, &saved->address);
        bool listed = file_has(view, &saved->address);
        if (!there && !listed && !view->node->address_count) {
            prefix_list_add(&drift->missing, saved);
            drift->missing_from = view->config->path;
        } else if (there && there->length != saved->length) {
            prefix_list_add(&drift->other_length, saved);
        }
    }
    for (size_t i = 0; (saved_count || view->node->address_count) && i < view->interface->address_count; i++) {
        const struct prefix *there = &view->interface->addresses[i];
        if (!address_is_link_local(&there->address) && !saved_has(view, &there->address) && !file_has(view, &there->address))
            prefix_list_add(&drift->extra, there);
    }
    if (!saved_count && !view->node->address_count) {
        drift_by_rows(context, node, AF_INET, drift);
        drift_by_rows(context, node, AF_INET6, drift);
    }
}

static void name_drift(struct context *context, size_t node, const struct drift *drift)
{
    struct node_view *view = &context->views[node];
    struct fault *fault = fault_new(context, "address-drift", node, NONE);
    struct buf device = BUF_EMPTY;
    char *missing = words_prefixes(drift->missing.items, drift->missing.count), *extra = words_prefixes(drift->extra.items, drift->extra.count);
    char *length = words_prefixes(drift->other_length.items, drift->other_length.count);
    words_add_shell(&device, view->interface_name);
    fault->severity = drift->missing.count ? SEVERITY_ERROR : SEVERITY_WARNING;
    if (drift->missing.count)
        fault_summary(fault, "%s of %s lacks the address %s%s%s: packets to it find nobody", view->interface_name, view->name, missing,
                      drift->extra.count ? " and has " : "", extra);
    else if (drift->extra.count)
        fault_summary(fault, "%s of %s has the address %s that is neither saved nor in the mesh file", view->interface_name, view->name, extra);
    else
        fault_summary(fault, "%s of %s has its address with another prefix length than the saved %s", view->interface_name, view->name, length);
    for (size_t i = 0; i < drift->missing.count; i++) {
        char *one = words_prefixes(&drift->missing.items[i], 1);
        fault_remedy_more(fault, "on %s: ip address add %s dev %s", view->name, one, buf_text(&device));
        free(one);
    }
    for (size_t i = 0; i < drift->extra.count; i++) {
        char *one = words_prefixes(&drift->extra.items[i], 1);
        fault_remedy_more(fault, "on %s: ip address del %s dev %s (or save it)", view->name, one, buf_text(&device));
        free(one);
    }
    if (!drift->missing.count && !drift->extra.count)
        fault_remedy_more(fault, "on %s: ip address replace %s dev %s, and delete the one with the other length", view->name, length, buf_text(&device));
    size_t index = fault_index(context);
    char *there = words_prefixes(view->interface->addresses, view->interface->address_count);
    fault_evidence(context, index, "%s: %s has the addresses %s", view->name, view->interface_name, *there ? there : "(none)");
    if (drift->missing_from)
        fault_evidence(context, index, "%s: %s %s %s", view->name, drift->missing_from, view->config && drift->missing_from == view->config->path ? "has" : "gives it", missing);
    if (view->config && view->config->address_count) {
        char *saved = words_prefixes(view->config->addresses, view->config->address_count);
        fault_evidence(context, index, "%s: %s has %s", view->name, view->config->path, saved);
        free(saved);
    }
    view->address_fault = index;
    buf_free(&device);
    free(missing);
    free(extra);
    free(length);
    free(there);
}

static void detect_address_drift(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        if (!view->device || !view->interface || view->stopped || view->address_fault != NONE)
            continue;
        struct drift drift = {0};
        find_drift(context, i, &drift);
        if (drift.missing.count || drift.extra.count || drift.other_length.count)
            name_drift(context, i, &drift);
        free(drift.missing.items);
        free(drift.extra.items);
        free(drift.other_length.items);
    }
}

static const struct detector detectors[] = {
    {"duplicate-address", detect_duplicate_address},
    {"address-drift", detect_address_drift},
};
const struct stage stage_addressing = {detectors, COUNT_OF(detectors)};
