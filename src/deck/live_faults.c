/* Which faults are known, since when, and which have come or gone. A fault of a node that cannot be seen now is neither there nor gone. What is
 * told by counters is an event only when it has stayed so: nodes are read one after the other, and at the edges of a cut half of it is seen. */
#include <stdlib.h>
#include <string.h>

#include "live_events.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

struct known_fault {
    char *identity;
    char *summary;
    const struct fault_kind *kind;
    enum severity severity;
    size_t nodes[2];
    int64_t since;          /* 0: not known */
    bool told;              /* its coming is in the log, or need not be */
    int64_t gone_at;        /* it was not there any more, and may be back; 0: it is there */
    struct fault *fault;    /* in the diagnosis in hand; NULL: of an earlier one */
};

struct live_faults {
    struct known_fault *items; /* by identity */
    size_t count;
    bool log_checked;          /* for faults that were open when the last deck was closed */
};

static const char *node_text(const struct mesh *mesh, size_t node)
{
    return node < mesh->node_count ? mesh->nodes[node].name : "-";
}

void live_fault_identity(const struct mesh *mesh, const struct fault *fault, struct buf *buf)
{
    buf_add_format(buf, "%s %s %s", fault->kind->id, node_text(mesh, fault->nodes[0]), node_text(mesh, fault->nodes[1]));
    if (fault->directed)
        buf_add_format(buf, " %s>%s", node_text(mesh, fault->from), node_text(mesh, fault->to));
}

struct live_faults *live_faults_new(void)
{
    return mem_alloc(1, sizeof(struct live_faults));
}

static void known_clear(struct known_fault *known)
{
    free(known->identity);
    free(known->summary);
}

void live_faults_free(struct live_faults *faults)
{
    for (size_t i = 0; i < faults->count; i++)
        known_clear(&faults->items[i]);
    free(faults->items);
    free(faults);
}

static int by_identity(const void *one, const void *two)
{
    return strcmp(((const struct known_fault *)one)->identity, ((const struct known_fault *)two)->identity);
}

static struct known_fault *list_faults(const struct mesh *mesh, struct diagnosis *diagnosis)
{
    struct known_fault *items = mem_alloc(diagnosis->fault_count, sizeof *items);
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        struct fault *fault = &diagnosis->faults[i];
        struct buf identity = BUF_EMPTY;
        live_fault_identity(mesh, fault, &identity);
        items[i] = (struct known_fault){.identity = buf_take(&identity), .summary = mem_text(fault->summary), .kind = fault->kind,
                                        .severity = fault->severity, .nodes = {fault->nodes[0], fault->nodes[1]}, .fault = fault};
    }
    if (diagnosis->fault_count > 1)
        qsort(items, diagnosis->fault_count, sizeof *items, by_identity);
    return items;
}

static void log_fault(struct live *live, enum event_kind kind, const struct known_fault *known, int64_t at, const char *text)
{
    char *names[2], *id = mem_text(known->kind->id);
    for (size_t i = 0; i < 2; i++)
        names[i] = known->nodes[i] < live->mesh->node_count ? live->mesh->nodes[known->nodes[i]].name : NULL;
    char *copy = mem_text(text);
    event_log_add(live->log, &(struct event){.at = at, .kind = kind, .severity = kind == EVENT_FAULT_OPENED ? known->severity : SEVERITY_INFO,
                                             .nodes = {names[0], names[1]}, .fault = id, .identity = known->identity, .text = copy});
    free(copy);
    free(id);
}

static bool is_by_counters(const struct known_fault *known)
{
    return !strncmp(known->kind->id, "udp-blocked", strlen("udp-blocked"));
}

/* WHEN is so long ago that what began then is no passing sight. */
static bool has_stayed(const struct live *live, const struct known_fault *known, int64_t when)
{
    return !is_by_counters(known) || (double)(live_now(live) - when) >= 2 * live_interval(live) * (double)CLOCK_SECOND;
}

static void tell_opened(struct live *live, struct known_fault *known, bool tell)
{
    if (known->told || (tell && !has_stayed(live, known, known->since)))
        return;
    known->told = true;
    if (tell)
        log_fault(live, EVENT_FAULT_OPENED, known, known->since, known->summary);
}

static void appeared(struct live *live, struct known_fault *known, bool tell)
{
    known->since = event_log_open_since(live->log, known->identity);
    known->told = known->since || !tell;
    if (known->told)
        return;
    known->since = live_now(live);
    tell_opened(live, known, tell);
}

static bool is_seen(const struct observed *observed, size_t node)
{
    return node >= observed->node_count || observed->nodes[node].reach == REACH_OK;
}

static bool may_be_there(const struct known_fault *known, const struct observed *observed)
{
    return !is_seen(observed, known->nodes[0]) || !is_seen(observed, known->nodes[1]);
}

/* Nothing has to be seen of a node to say that it cannot be reached. */
static bool stays_unseen(const struct known_fault *known, const struct observed *observed)
{
    return strcmp(known->kind->id, "host-unreachable") != 0 && may_be_there(known, observed);
}

static void gone(struct live *live, const struct known_fault *known, bool tell)
{
    if (!tell || !known->told)
        return;
    char *text = mem_format("gone: %s", known->summary ? known->summary : known->identity);
    log_fault(live, EVENT_FAULT_CLOSED, known, known->gone_at ? known->gone_at : live_now(live), text);
    free(text);
}

static const struct known_fault *find(const struct live_faults *faults, const char *identity)
{
    struct known_fault wanted = {.identity = (char *)(uintptr_t)identity};
    return faults->count ? bsearch(&wanted, faults->items, faults->count, sizeof wanted, by_identity) : NULL;
}

/* Not there now, and for so short a time that it may be back. */
static bool may_be_back(const struct live *live, struct known_fault *known, bool tell)
{
    if (!tell || !known->told)
        return false;
    if (!known->gone_at)
        known->gone_at = live_now(live);
    return !has_stayed(live, known, known->gone_at);
}

/* Faults that the log has as open and that are no more: mended while nobody looked. */
static void close_in_log(struct live *live, const struct live_faults *faults, const struct observed *observed)
{
    for (size_t i = 0; i < event_log_count(live->log); i++) {
        const struct event *event = event_log_get(live->log, i);
        const struct fault_kind *kind = event->fault ? fault_kind_find(event->fault) : NULL;
        if (!event->earlier || event->kind != EVENT_FAULT_OPENED || !event->identity || !kind || find(faults, event->identity) ||
            event_log_open_since(live->log, event->identity) != event->at)
            continue;
        struct known_fault known = {.identity = mem_text(event->identity), .summary = mem_text(event->text), .kind = kind,
                                    .told = true,
                                    .nodes = {mesh_find_node(live->mesh, event->nodes[0]), mesh_find_node(live->mesh, event->nodes[1])}};
        if (!stays_unseen(&known, observed))
            gone(live, &known, true);
        known_clear(&known);
    }
}

/* The two lists, in order: what is in both keeps its since; what is only in one has come, or gone, or cannot be seen. */
static void merge(struct live *live, struct live_faults *faults, struct known_fault *now, size_t now_count, const struct observed *observed, bool tell)
{
    struct known_fault *result = mem_alloc(now_count + faults->count, sizeof *result), *items = faults->items;
    size_t count = 0, i = 0, k = 0;
    while (i < now_count || k < faults->count) {
        struct known_fault *old = k < faults->count ? &items[k] : NULL, *new = i < now_count ? &now[i] : NULL;
        if (new && count && !strcmp(result[count - 1].identity, new->identity)) { /* one more of the same */
            new->fault->since = result[count - 1].since;
            known_clear(new);
            i++;
            continue;
        }
        int order = !old ? -1 : !new ? 1 : strcmp(new->identity, old->identity);
        if (order > 0 && (stays_unseen(old, observed) || may_be_back(live, old, tell))) {
            result[count++] = *old;
            k++;
            continue;
        }
        if (order > 0)
            gone(live, old, tell);
        if (order == 0) {
            new->since = old->since;
            new->told = old->told;
            tell_opened(live, new, tell);
        }
        if (order < 0)
            appeared(live, new, tell);
        if (order >= 0) {
            known_clear(old);
            k++;
        }
        if (order <= 0) {
            new->fault->since = new->since;
            new->fault = NULL;
            result[count++] = *new;
            i++;
        }
    }
    free(items);
    faults->items = result;
    faults->count = count;
}

static void only_since(struct live *live, const struct live_faults *faults, struct known_fault *now, size_t now_count)
{
    for (size_t i = 0; i < now_count; i++) {
        const struct known_fault *old = find(faults, now[i].identity);
        now[i].fault->since = old ? old->since : event_log_open_since(live->log, now[i].identity);
        known_clear(&now[i]);
    }
}

void live_faults_compare(struct live *live, struct live_faults *faults, struct diagnosis *diagnosis, const struct observed *observed,
                         enum live_compare how)
{
    size_t count = diagnosis->fault_count;
    struct known_fault *now = list_faults(live->mesh, diagnosis);
    if (how == COMPARE_SINCE)
        only_since(live, faults, now, count);
    else
        merge(live, faults, now, count, observed, how == COMPARE_EVENTS);
    free(now);
    if (live->begun && how != COMPARE_SINCE && !faults->log_checked) {
        faults->log_checked = true;
        close_in_log(live, faults, observed);
    }
}
