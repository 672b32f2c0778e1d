/* From findings to faults: several of a kind around one node become one, and each link that does not work is told under its cause. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

enum { REMEDIES_KEPT = 8 };

static bool folds_like(const struct finding *finding, const struct finding *like)
{
    return finding->folds && finding->merged_into == NONE && finding->fault.kind == like->fault.kind && finding->fault.nodes[1] != NONE;
}

/* Where the node stands in a finding: 0 or 1, or -1. In one whose nodes are alike, either place is as good. */
static bool has_at(const struct finding *finding, size_t node, int place)
{
    if (strcmp(finding->folds, "with") == 0)
        return finding->fault.nodes[0] == node || finding->fault.nodes[1] == node;
    return finding->fault.nodes[place] == node;
}

struct centre {
    size_t node, count;
    int place;
};

/* The node that most findings of a kind have in common. COUNTS: room for two numbers a node. */
static struct centre find_centre(const struct context *context, const struct finding *like, size_t *counts)
{
    struct centre best = {.node = NONE, .count = 1};
    memset(counts, 0, 2 * context->count * sizeof *counts);
    bool alike = strcmp(like->folds, "with") == 0;
    for (size_t i = 0; i < context->finding_count; i++) {
        const struct finding *finding = &context->findings[i];
        if (!folds_like(finding, like))
            continue;
        counts[2 * finding->fault.nodes[0]]++;
        counts[2 * finding->fault.nodes[1] + !alike]++;
    }
    for (size_t i = 0; i < 2 * context->count; i++)
        if (counts[i] > best.count)
            best = (struct centre){.node = i / 2, .count = counts[i], .place = (int)(i % 2)};
    return best;
}

static void append(char ***to, size_t *to_count, size_t *capacity, char **from, size_t from_count)
{
    for (size_t i = 0; i < from_count; i++) {
        MEM_GROW(*to, *to_count, *capacity);
        (*to)[(*to_count)++] = from[i];
    }
}

static void take_over(struct context *context, size_t into, size_t from, size_t count)
{
    struct finding *leader = &context->findings[into], *finding = &context->findings[from];
    append(&leader->fault.evidence, &leader->fault.evidence_count, &leader->evidence_capacity, finding->fault.evidence, finding->fault.evidence_count);
    append(&leader->fault.consequences, &leader->fault.consequence_count, &leader->consequence_capacity, finding->fault.consequences,
           finding->fault.consequence_count);
    if (finding->fault.remedy && count < REMEDIES_KEPT)
        fault_remedy_more(&leader->fault, "%s", finding->fault.remedy);
    if (finding->fault.severity > leader->fault.severity)
        leader->fault.severity = finding->fault.severity;
    finding->merged_into = into;
    finding->fault.evidence_count = finding->fault.consequence_count = 0;
}

static void fold_around(struct context *context, size_t first, const struct centre *centre)
{
    size_t *others = mem_alloc(centre->count, sizeof *others), count = 0, leader = NONE;
    struct finding like = context->findings[first];
    for (size_t i = first; i < context->finding_count; i++) {
        struct finding *finding = &context->findings[i];
        if (!folds_like(finding, &like) || !has_at(finding, centre->node, centre->place))
            continue;
        if (leader == NONE) {
            leader = i;
            continue;
        }
        others[count++] = finding->fault.nodes[finding->fault.nodes[0] == centre->node];
        take_over(context, leader, i, count);
    }
    struct fault *fault = &context->findings[leader].fault;
    char *names = words_names(context, others, count);
    const char *how = strcmp(like.folds, "with") == 0 ? "with" : centre->place == 0 ? "for" : "at";
    fault_summary(fault, "%s; the same %s %s", fault->summary, how, names);
    /* What is common to them is the place to look at. */
    fault->nodes[0] = centre->node;
    fault->nodes[1] = NONE;
    fault->directed = false;
    fault->from = fault->to = NONE;
    context->findings[leader].folds = NULL;
    free(names);
    free(others);
}

void findings_fold(struct context *context)
{
    size_t *counts = mem_alloc(2 * context->count, sizeof *counts);
    for (size_t i = 0; i < context->finding_count; i++) {
        const struct finding *finding = &context->findings[i];
        while (finding->folds && finding->merged_into == NONE && finding->fault.nodes[1] != NONE) {
            struct centre centre = find_centre(context, finding, counts);
            if (centre.node == NONE)
                break;
            fold_around(context, i, &centre);
        }
    }
    free(counts);
}

static size_t leader_of(const struct context *context, size_t fault)
{
    while (fault != NONE && context->findings[fault].merged_into != NONE)
        fault = context->findings[fault].merged_into;
    return fault;
}

void findings_add_consequences(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        const struct pair *pair = &context->pairs[i];
        const struct link *link = link_of(context, pair);
        size_t fault = leader_of(context, pair->cause);
        bool broken = pair->troubled || link->a_to_b == DIRECTION_BLOCKED || link->b_to_a == DIRECTION_BLOCKED;
        if (fault == NONE || !broken)
            continue;
        const char *a = context->views[pair->a].name, *b = context->views[pair->b].name;
        if (link->a_to_b == DIRECTION_BLOCKED && link->b_to_a != DIRECTION_BLOCKED)
            fault_explains(context, fault, "link %s-%s: nothing gets from %s to %s", a, b, a, b);
        else if (link->b_to_a == DIRECTION_BLOCKED && link->a_to_b != DIRECTION_BLOCKED)
            fault_explains(context, fault, "link %s-%s: nothing gets from %s to %s", a, b, b, a);
        else
            fault_explains(context, fault, "link %s-%s is dead", a, b);
    }
}

/* Worst first, then by node, then as the reasoning found them. */
static int compare_faults(const void *a, const void *b)
{
    const struct finding *one = *(const struct finding *const *)a, *two = *(const struct finding *const *)b;
    if (one->fault.severity != two->fault.severity)
        return one->fault.severity > two->fault.severity ? -1 : 1;
    for (int i = 0; i < 2; i++)
        if (one->fault.nodes[i] != two->fault.nodes[i])
            return one->fault.nodes[i] < two->fault.nodes[i] ? -1 : 1;
    return one < two ? -1 : 1;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void clear_fault(struct fault *fault)
{
    free(fault->summary);
    free(fault->remedy);
    free_texts(fault->evidence, fault->evidence_count);
    free_texts(fault->consequences, fault->consequence_count);
}

void findings_hand_over(struct context *context)
{
    struct diagnosis *diagnosis = context->diagnosis;
    struct finding **order = mem_alloc(context->finding_count, sizeof *order);
    size_t count = 0;
    for (size_t i = 0; i < context->finding_count; i++) {
        if (context->findings[i].merged_into == NONE)
            order[count++] = &context->findings[i];
        else
            clear_fault(&context->findings[i].fault);
    }
    qsort(order, count, sizeof *order, compare_faults);
    diagnosis->faults = mem_alloc(count, sizeof *diagnosis->faults);
    diagnosis->fault_count = count;
    for (size_t i = 0; i < count; i++)
        diagnosis->faults[i] = order[i]->fault;
    free(order);
}

static char **copy_texts(char *const *texts, size_t count)
{
    char **copy = mem_alloc(count, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = mem_text(texts[i]);
    return copy;
}

struct diagnosis *diagnosis_copy(const struct diagnosis *diagnosis)
{
    struct diagnosis *copy = mem_alloc(1, sizeof *copy);
    *copy = *diagnosis;
    copy->nodes = mem_copy(diagnosis->nodes, diagnosis->node_count, sizeof *copy->nodes);
    copy->links = mem_copy(diagnosis->links, diagnosis->link_count, sizeof *copy->links);
    copy->faults = mem_copy(diagnosis->faults, diagnosis->fault_count, sizeof *copy->faults);
    for (size_t i = 0; i < copy->fault_count; i++) {
        struct fault *fault = &copy->faults[i];
        fault->summary = mem_text(fault->summary);
        fault->remedy = mem_text(fault->remedy);
        fault->evidence = copy_texts(fault->evidence, fault->evidence_count);
        fault->consequences = copy_texts(fault->consequences, fault->consequence_count);
    }
    copy->basis = basis_copy(diagnosis->basis, diagnosis);
    copy->ways = NULL;
    link_ways_copy(diagnosis->ways, copy);
    copy->known = known_ways_copy(diagnosis->known);
    return copy;
}

void diagnosis_free(struct diagnosis *diagnosis)
{
    if (!diagnosis)
        return;
    for (size_t i = 0; i < diagnosis->fault_count; i++)
        clear_fault(&diagnosis->faults[i]);
    basis_free(diagnosis->basis);
    link_ways_free(diagnosis->ways);
    known_ways_free(diagnosis->known);
    free(diagnosis->faults);
    free(diagnosis->links);
    free(diagnosis->nodes);
    free(diagnosis);
}
