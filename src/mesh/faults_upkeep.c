/* What works now and will not after a restart, and clocks (faults.md N5, N8). Last: what another fault explains is not named here again. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

/* ---- config-drift (N5) --------------------------------------------------------------------------------------------- */

struct drift {
    struct context *context;
    size_t node, fault; /* NONE until the first difference */
};

/* One fault a node; each difference is a line of its evidence. */
static void add_line(struct drift *drift, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_line(struct drift *drift, const char *format, ...)
{
    const struct node_view *view = &drift->context->views[drift->node];
    struct buf line = BUF_EMPTY;
    va_list arguments;
    if (drift->fault == NONE) {
        (void)fault_new(drift->context, "config-drift", drift->node, NONE);
        drift->fault = fault_index(drift->context);
    }
    buf_add_format(&line, "%s: ", view->name);
    va_start(arguments, format);
    buf_add_vformat(&line, format, arguments);
    va_end(arguments);
    fault_evidence(drift->context, drift->fault, "%s", buf_text(&line));
    buf_free(&line);
}

static char *name_of_row(const struct context *context, const struct device_peer *row)
{
    uint32_t target = context_find_key(context, &row->public_key);
    char key[KEY_TEXT_SIZE];
    key_text(&row->public_key, key);
    return target == TARGET_NONE ? mem_format("the key %s", key) : mem_text(context->views[target & ~TARGET_OLD].name);
}

/* What a fault already says of the row about this key. */
static unsigned named_of(const struct context *context, size_t node, const struct device_peer *row)
{
    uint32_t target = context_find_key(context, &row->public_key);
    struct pair *pair = target == TARGET_NONE || (target & ~TARGET_OLD) == node ? NULL : pair_of(context, node, target & ~TARGET_OLD);
    return pair ? end_of(pair, node)->faults : 0;
}

/* The row is named as a wrong one for some node, or as a ghost. */
static bool is_stranger_named(const struct context *context, size_t node, const struct device_peer *row)
{
    if (context->mesh->from_file && context_find_key(context, &row->public_key) == TARGET_NONE)
        return true;
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == node ? NULL : pair_of(context, node, i);
        if (pair && end_of(pair, node)->wrong == row && end_of(pair, node)->faults)
            return true;
    }
    return false;
}

static bool same_hash(const struct device_peer *a, const struct device_peer *b)
{
    static const uint8_t zero[KEY_HASH_SIZE];
    bool known = memcmp(a->preshared_hash, zero, sizeof zero) != 0 && memcmp(b->preshared_hash, zero, sizeof zero) != 0;
    return !known || memcmp(a->preshared_hash, b->preshared_hash, KEY_HASH_SIZE) == 0;
}

/* A running endpoint is learned as packets come: only that there is none, or that none was ever heard from another one, is drift. */
static bool endpoint_drifted(const struct device_peer *running, const struct device_peer *saved, const char *saved_host)
{
    if (!running->endpoint.address.family)
        return saved->endpoint.address.family || saved_host;
    return saved->endpoint.address.family && running->handshake == 0 && running->rx_bytes == 0 && !endpoint_equal(&running->endpoint, &saved->endpoint);
}

static bool rows_differ(const struct device_peer *running, const struct device_peer *saved, const char *saved_host)
{
    return !allowed_same(running, saved) || running->keepalive != saved->keepalive || running->has_preshared != saved->has_preshared ||
           (running->has_preshared && !same_hash(running, saved)) || endpoint_drifted(running, saved, saved_host);
}

/* What is saved and does not run is lent to a row of the ladder's. */
static bool same_but_lent(const struct context *context, size_t node, const struct device_peer *running, const struct device_peer *saved)
{
    for (size_t i = 0; i < running->allowed_count; i++)
        if (!allowed_has(saved, &running->allowed[i]))
            return false;
    for (size_t i = 0; i < saved->allowed_count; i++)
        if (!allowed_has(running, &saved->allowed[i]) && !paths_is_lent(context, node, &saved->allowed[i]))
            return false;
    return true;
}

/* Rows that the ladder makes while it runs; none of them is meant to be saved. */
static bool is_of_ladder(const struct context *context, size_t node, const struct device_peer *row)
{
    uint32_t target = context->joins ? context_find_key(context, &row->public_key) : TARGET_NONE;
    return target != TARGET_NONE && !(target & TARGET_OLD) && paths_may_link(context, node, target);
}

static void compare_rows(struct drift *drift, const struct device_peer *running, const struct device_peer *saved, const char *saved_host)
{
    unsigned named = named_of(drift->context, drift->node, running);
    char *name = name_of_row(drift->context, running);
    if (!(named & ROW_ALLOWED) && !allowed_same(running, saved) && !same_but_lent(drift->context, drift->node, running, saved)) {
        char *now = words_prefixes(running->allowed, running->allowed_count), *then = words_prefixes(saved->allowed, saved->allowed_count);
        add_line(drift, "row for %s: AllowedIPs %s runs, %s is saved", name, *now ? now : "(none)", *then ? then : "(none)");
        free(now);
        free(then);
    }
    if (!(named & ROW_KEEPALIVE) && running->keepalive != saved->keepalive)
        add_line(drift, "row for %s: a persistent keepalive of %u s runs, %u is saved", name, running->keepalive, saved->keepalive);
    if (!(named & ROW_PSK) && (running->has_preshared != saved->has_preshared || (running->has_preshared && !same_hash(running, saved))))
        add_line(drift, "row for %s: the preshared key that runs is not the saved one", name);
    if (!(named & ROW_ENDPOINT) && endpoint_drifted(running, saved, saved_host)) {
        char now[ENDPOINT_TEXT_SIZE], then[ENDPOINT_TEXT_SIZE];
        endpoint_text(&running->endpoint, now);
        endpoint_text(&saved->endpoint, then);
        add_line(drift, "row for %s: endpoint %s runs, %s is saved", name, *now ? now : "(none)", saved_host ? saved_host : then);
    }
    free(name);
}

static void report_alone(struct drift *drift, const struct device_peer *row, bool running)
{
    const struct context *context = drift->context;
    if ((named_of(context, drift->node, row) & (ROW_MISSING | ROW_KEY)) || (running && (is_stranger_named(context, drift->node, row) || is_of_ladder(context, drift->node, row))))
        return;
    char *name = name_of_row(context, row);
    add_line(drift, running ? "row for %s runs, and is not saved" : "row for %s is saved, and does not run", name);
    free(name);
}

/* Both lists are in order of their keys. */
static void compare_with_saved(struct drift *drift)
{
    const struct node_view *view = &drift->context->views[drift->node];
    const struct device *running = view->device, *saved = view->saved;
    size_t r = 0, s = 0;
    while (running != saved && (r < running->peer_count || s < saved->peer_count)) {
        int order = r == running->peer_count ? 1 : s == saved->peer_count ? -1 : key_compare(&running->peers[r].public_key, &saved->peers[s].public_key);
        if (order == 0) {
            const char *host = view->config->endpoint_hosts ? view->config->endpoint_hosts[s] : NULL;
            if (rows_differ(&running->peers[r], &saved->peers[s], host) && !is_of_ladder(drift->context, drift->node, &running->peers[r]))
                compare_rows(drift, &running->peers[r], &saved->peers[s], host);
            r++;
            s++;
        } else if (order < 0) {
            report_alone(drift, &running->peers[r++], true);
        } else {
            report_alone(drift, &saved->peers[s++], false);
        }
    }
    const struct device *file = &view->config->device;
    if (!view->key_named && !key_is_zero(&file->public_key) && key_compare(&running->public_key, &file->public_key) != 0)
        add_line(drift, "the private key that runs is not the saved one");
    if (file->fwmark && running->fwmark != file->fwmark)
        add_line(drift, "fwmark 0x%x runs, 0x%x is saved", running->fwmark, file->fwmark);
}

static bool mtu_is_named(const struct context *context, size_t node)
{
    for (size_t i = 0; i < context->finding_count; i++)
        if (context->findings[i].fault.nodes[0] == node && strcmp(context->findings[i].fault.kind->id, "mtu-mismatch") == 0)
            return true;
    return false;
}

/* What runs as it is saved, and differs from the mesh file where no fault of its own says so. */
static void compare_with_file(struct drift *drift)
{
    const struct context *context = drift->context;
    const struct node_view *view = &context->views[drift->node];
    if (view->node->mtu && view->interface && view->interface->mtu != view->node->mtu && !mtu_is_named(context, drift->node))
        add_line(drift, "MTU %u runs, the mesh file has %u", view->interface->mtu, view->node->mtu);
    for (size_t r = 0; r < view->device->peer_count; r++) {
        uint32_t target = view->targets[r];
        bool of_node = target != TARGET_NONE && !(target & TARGET_OLD) && target != drift->node;
        if (!of_node || mesh_wants_link(context->mesh, drift->node, target) || paths_may_link(context, drift->node, target))
            continue;
        struct pair *pair = pair_of(context, target, drift->node);
        if (!pair || pair->cause != NONE)
            continue;
        const struct end *far = end_of(pair, target);
        if (!pair->wanted && !far->row && context->views[target].looked)
            add_line(drift, "row for %s runs, which the mesh file does not ask for and %s does not answer", context->views[target].name,
                     context->views[target].name);
    }
}

static void finish(struct drift *drift)
{
    if (drift->fault == NONE)
        return;
    struct fault *fault = &drift->context->findings[drift->fault].fault;
    const struct node_view *view = &drift->context->views[drift->node];
    struct buf device = BUF_EMPTY;
    words_add_shell(&device, view->interface_name);
    if (fault->evidence_count == 1)
        fault_summary(fault, "%s", fault->evidence[0]);
    else
        fault_summary(fault, "%s runs something else than it has saved, in %zu places", view->name, fault->evidence_count);
    fault_remedy(fault, "if what runs is right, on %s: wg-quick save %s; if the saved file is right, as root: wg syncconf %s <(wg-quick strip %s)", view->name,
                 buf_text(&device), buf_text(&device), buf_text(&device));
    buf_free(&device);
}

static void detect_config_drift(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        struct drift drift = {.context = context, .node = i, .fault = NONE};
        if (!view->device || view->stopped)
            continue;
        /* With SaveConfig the file follows what runs, when the interface goes down. */
        if (view->config && !view->config->save_config) {
            compare_with_saved(&drift);
            if (view->config->mtu && view->interface && view->interface->mtu != view->config->mtu && !mtu_is_named(context, i))
                add_line(&drift, "MTU %u runs, %u is saved", view->interface->mtu, view->config->mtu);
        }
        if (context->mesh->from_file && drift.fault == NONE)
            compare_with_file(&drift);
        finish(&drift);
    }
}

/* ---- clock-skew (N8) ------------------------------------------------------------------------------------------------- */

static size_t clock_fault_of(const struct context *context, size_t node)
{
    for (size_t i = 0; i < context->finding_count; i++)
        if (context->findings[i].fault.nodes[0] == node && strcmp(context->findings[i].fault.kind->id, "clock-behind") == 0)
            return i;
    return NONE;
}

static void detect_skew(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        if (!view->skewed)
            continue;
        char skew[CLOCK_TEXT_SIZE], uncertainty[CLOCK_TEXT_SIZE];
        bool behind = view->skew < 0;
        size_t named = clock_fault_of(context, i);
        clock_age_text(behind ? -view->skew : view->skew, skew);
        if (named != NONE) {
            fault_explains(context, named, "%s's clock is %s %s the others'", view->name, skew, behind ? "behind" : "ahead of");
            continue;
        }
        struct fault *fault = fault_new(context, "clock-skew", i, NONE);
        fault_summary(fault, "%s's clock is %s %s the others'", view->name, skew, behind ? "behind" : "ahead of");
        fault_remedy(fault, "on %s: timedatectl set-ntp true; and see why time is not kept (timedatectl timesync-status, chronyc tracking)", view->name);
        clock_age_text(view->seen->clock_uncertainty, uncertainty);
        fault_evidence(context, fault_index(context), "%s: its clock differs by %s from the middle of all clocks, known to within %lld ms", view->name, skew,
                       (long long)(view->seen->clock_uncertainty / CLOCK_MILLISECOND));
    }
}

static const struct detector detectors[] = {
    {"config-drift", detect_config_drift},
    {"clock-skew", detect_skew},
};
const struct stage stage_upkeep = {detectors, COUNT_OF(detectors)};
