/* The way of the judgement: who is who, links and their states, detectors in the order of faults.md section 1, grouping, verdict. */
#include "diagnosis_private.h"

#include <stdlib.h>

#include "wgdeck/mem.h"

static const char *const link_states[] = {"live", "late", "idle", "dead", "never", "half", "unknown"};
static const char *const direction_states[] = {"ok", "blocked", "unknown"};
static const char *const link_paths[] = {"direct", "hub", "relay"};
static const char *const node_states[] = {"up", "degraded", "down", "unreachable"};
static const char *const severities[] = {"info", "warning", "error"};
static const char *const verdicts[] = {"ok", "warning", "fault", "unknown"};

const char *link_state_text(enum link_state state)
{
    return link_states[state];
}

const char *direction_state_text(enum direction_state state)
{
    return direction_states[state];
}

const char *link_path_text(enum link_path path)
{
    return link_paths[path];
}

const char *node_state_text(enum node_state state)
{
    return node_states[state];
}

const char *severity_text(enum severity severity)
{
    return severities[severity];
}

const char *verdict_text(enum verdict verdict)
{
    return verdicts[verdict];
}

/* Configurations of both ends, then the nodes, then counters: each stage names only what the ones before it leave unexplained. */
const struct stage *const stages[] = {&stage_identity, &stage_rows,    &stage_secrets,   &stage_tunnel,  &stage_addressing,
                                     &stage_allowed,  &stage_routing, &stage_transport, &stage_silence, &stage_upkeep};
const size_t stage_count = COUNT_OF(stages);

static void run(struct context *context, const struct stage *stage)
{
    for (size_t i = 0; i < stage->count; i++)
        stage->detectors[i].detect(context);
}

/* A node whose interface does not work explains all its links; their states rest on that, so it comes before them. */
static void blame_stopped(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        for (int side = 0; side < 2; side++) {
            const struct node_view *view = &context->views[side ? pair->b : pair->a];
            if (view->stopped)
                pair_explained(context, pair, view->root);
        }
    }
}

static bool is_degraded(const struct diagnosis *diagnosis, size_t node)
{
    for (size_t i = 0; i < diagnosis->fault_count; i++)
        if (diagnosis->faults[i].severity >= SEVERITY_WARNING && (diagnosis->faults[i].nodes[0] == node || diagnosis->faults[i].nodes[1] == node))
            return true;
    return false;
}

static void sum_up_node(const struct context *context, size_t node, struct node_summary *summary)
{
    const struct node_view *view = &context->views[node];
    summary->device = view->device;
    if (view->seen->reach != REACH_OK)
        summary->state = NODE_UNREACHABLE;
    else if (view->stopped || (view->looked && !view->device))
        summary->state = NODE_DOWN;
    else
        summary->state = !view->looked || is_degraded(context->diagnosis, node) ? NODE_DEGRADED : NODE_UP;
    for (size_t i = 0; view->device && i < view->device->peer_count; i++) {
        summary->rx_bytes += view->device->peers[i].rx_bytes;
        summary->tx_bytes += view->device->peers[i].tx_bytes;
        summary->rows++;
    }
}

static void sum_up(struct context *context)
{
    struct diagnosis *diagnosis = context->diagnosis;
    bool looked = false, failed = false;
    for (size_t i = 0; i < context->count; i++) {
        sum_up_node(context, i, &diagnosis->nodes[i]);
        looked |= context->views[i].looked;
        failed |= context->views[i].seen->reach == REACH_FAILED || context->views[i].seen->reach == REACH_GARBLED;
        if (context->views[i].seen->at > diagnosis->at)
            diagnosis->at = context->views[i].seen->at;
    }
    for (size_t i = 0; i < diagnosis->link_count; i++)
        if (diagnosis->links[i].path != PATH_HUB && (diagnosis->links[i].state == LINK_LIVE || diagnosis->links[i].state == LINK_LATE)) {
            diagnosis->nodes[diagnosis->links[i].a].live++;
            diagnosis->nodes[diagnosis->links[i].b].live++;
        }
    diagnosis->verdict = looked ? VERDICT_OK : VERDICT_UNKNOWN;
    if (looked && diagnosis->fault_count && diagnosis->faults[0].severity != SEVERITY_INFO)
        diagnosis->verdict = diagnosis->faults[0].severity == SEVERITY_ERROR ? VERDICT_FAULT : VERDICT_WARNING;
    /* What could not be seen may be worse than what was: only a fault outweighs it. */
    if (failed && diagnosis->verdict != VERDICT_FAULT)
        diagnosis->verdict = VERDICT_UNKNOWN;
}

static struct diagnosis *judge(const struct mesh *mesh, const struct observed *now, const struct counters *before, const struct known_ways *known,
                               struct known_ways *ways)
{
    struct diagnosis *diagnosis = mem_alloc(1, sizeof *diagnosis);
    struct context context = {.mesh = mesh, .now = now, .before = before, .known = known, .diagnosis = diagnosis};
    diagnosis->known = ways;
    context_fill(&context);
    diagnosis->nodes = mem_alloc(context.count, sizeof *diagnosis->nodes);
    diagnosis->node_count = context.count;
    links_build(&context);
    paths_find(&context);
    context_find_nats(&context);
    run(&context, &stage_node);
    links_judge(&context);
    basis_note_links(&context);
    blame_stopped(&context);
    for (size_t i = 0; i < stage_count; i++)
        run(&context, stages[i]);
    findings_fold(&context);
    findings_add_consequences(&context);
    findings_hand_over(&context);
    sum_up(&context);
    basis_note_nodes(&context);
    context_clear(&context);
    return diagnosis;
}

struct diagnosis *diagnose(const struct mesh *mesh, const struct observed *now, const struct counters *before)
{
    return judge(mesh, now, before, NULL, NULL);
}

struct diagnosis *diagnose_after(const struct diagnosis *earlier, const struct mesh *mesh, const struct observed *now, const struct counters *before)
{
    return judge(mesh, now, before, earlier ? earlier->known : NULL, mem_alloc(1, sizeof(struct known_ways)));
}
