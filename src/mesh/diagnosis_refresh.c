/* A diagnosis brought up to date without looking for faults again, as long as all that the detectors look at is as it was.
 * What they look at: the nodes' settings, of which each reading's serial tells; and of what moves (counters, handshakes, time), a few
 * facts of each pair, which are kept as a signature. DETECTORS AND SIGNATURES BELONG TOGETHER: a detector that looks at another thing
 * that moves needs a bit here, and the random worlds of refresh_test.c show where one is missing. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

/* State, 3 bits, and both directions, 2 bits each, stand in the lowest ones. */
enum {
    A_TO_B_SHIFT = 3,
    B_TO_A_SHIFT = 5,
    STATE_BITS = 0x7,
    DIRECTION_BITS = 0xf << A_TO_B_SHIFT,
    IS_TROUBLED = 1 << 7,
    HAS_COUNTERS = 1 << 8,
    /* Of a's end; of b's, one bit higher. */
    WAS_EVER = 1 << 9,        /* had a handshake */
    IS_RECENT = 1 << 11,      /* had one within the life of a session */
    IS_UNTOUCHED = 1 << 13,   /* had none, and received nothing */
    IS_BEHIND = 1 << 15,      /* its clock is before its last handshake */
    IS_SILENT = 1 << 17,      /* counted, and sent nothing */
    IS_DOUBTFUL = 1 << 19,    /* looks idle, and much of what it ever sent was lost */
    JUDGED = (1 << 21) - 1,   /* all above: as judged anew each time */
    IS_PLAIN = 1 << 21,       /* no fault explains the pair, and none names one of its rows */
    BLOCKED_A_TO_B = 1 << 22, /* a fault blocks the direction, whatever the counters say */
    BLOCKED_B_TO_A = 1 << 23,
    /* A change of these may change a fault of any pair. */
    ALWAYS = IS_TROUBLED | 3 * (WAS_EVER | IS_UNTOUCHED | IS_DOUBTFUL),
};

#define NO_ROW UINT32_MAX

struct basis_link {
    uint32_t rows[2];   /* numbers of a's and b's row in their devices, or NO_ROW */
    uint32_t signature;
};

struct basis_node {
    uint64_t serial;
    size_t rows;
    bool looked, has_key, stopped, skewed, watched;
    bool in_trouble;    /* one of its links is troubled */
    bool other_rows;    /* it has rows that are of no link */
};

/* A row with another key than that of the node it is meant for. */
struct stray {
    uint32_t node, row;
    bool ever, recent;
};

struct diagnosis_basis {
    struct basis_node *nodes;
    struct basis_link *links;
    struct stray *strays;
    size_t stray_count, stray_capacity;
};

/* ---- signatures --------------------------------------------------------------------------------------------------- */

static bool is_recent(int64_t age)
{
    return age >= 0 && age <= AGE_LATE;
}

static uint32_t sign_end(const struct context *context, const struct pair *pair, int side)
{
    const struct end *end = &pair->end[side], *far = &pair->end[!side];
    uint32_t signature = 0;
    int64_t by;
    if (!end->row)
        return 0;
    if (end->row->handshake > 0)
        signature |= WAS_EVER;
    else if (end->row->rx_bytes == 0)
        signature |= IS_UNTOUCHED;
    if (is_recent(end->age))
        signature |= IS_RECENT;
    if (pair->troubled && clock_is_behind(context, pair, side ? pair->b : pair->a, &by))
        signature |= IS_BEHIND;
    if (end->counted && end->sent == 0)
        signature |= IS_SILENT;
    if (pair->quiet && !pair->counters && far->row && end_lost_much(end, far))
        signature |= IS_DOUBTFUL;
    return signature << side;
}

static uint32_t sign(const struct context *context, const struct pair *pair, const struct link *link)
{
    uint32_t signature = (uint32_t)link->state | (uint32_t)link->a_to_b << A_TO_B_SHIFT | (uint32_t)link->b_to_a << B_TO_A_SHIFT;
    if (pair->troubled)
        signature |= IS_TROUBLED;
    if (pair->counters)
        signature |= HAS_COUNTERS;
    return signature | sign_end(context, pair, 0) | sign_end(context, pair, 1);
}

/* ---- what a refresh rests on, noted by diagnose() ------------------------------------------------------------------ */

static uint32_t row_number(const struct node_view *view, const struct device_peer *row)
{
    return row ? (uint32_t)(row - view->device->peers) : NO_ROW;
}

static void note_stray(struct diagnosis_basis *basis, const struct context *context, size_t node, const struct device_peer *row)
{
    const struct node_view *view = &context->views[node];
    MEM_GROW(basis->strays, basis->stray_count, basis->stray_capacity);
    basis->strays[basis->stray_count++] = (struct stray){.node = (uint32_t)node, .row = row_number(view, row), .ever = row->handshake > 0,
                                                         .recent = is_recent(row_age(view, row))};
}

void basis_note_links(struct context *context)
{
    struct diagnosis_basis *basis = mem_alloc(1, sizeof *basis);
    context->diagnosis->basis = basis;
    basis->links = mem_alloc(context->pair_count, sizeof *basis->links);
    for (size_t i = 0; i < context->pair_count; i++) {
        const struct pair *pair = &context->pairs[i];
        struct basis_link *noted = &basis->links[i];
        noted->signature = sign(context, pair, link_of(context, pair));
        for (int side = 0; side < 2; side++) {
            size_t holder = side ? pair->b : pair->a;
            noted->rows[side] = row_number(&context->views[holder], pair->end[side].row);
            if (pair->end[side].wrong)
                note_stray(basis, context, holder, pair->end[side].wrong);
        }
    }
}

static void note_faults(struct context *context, size_t index)
{
    const struct pair *pair = &context->pairs[index];
    const struct link *link = link_of(context, pair);
    struct basis_link *noted = &context->diagnosis->basis->links[index];
    unsigned judged_a = noted->signature >> A_TO_B_SHIFT & 3, judged_b = noted->signature >> B_TO_A_SHIFT & 3;
    if (pair->cause == NONE && !pair->end[0].faults && !pair->end[1].faults)
        noted->signature |= IS_PLAIN;
    if (judged_a != (unsigned)link->a_to_b)
        noted->signature |= BLOCKED_A_TO_B;
    if (judged_b != (unsigned)link->b_to_a)
        noted->signature |= BLOCKED_B_TO_A;
}

void basis_note_nodes(struct context *context)
{
    struct diagnosis_basis *basis = context->diagnosis->basis;
    size_t *of_links = mem_alloc(context->count, sizeof *of_links);
    basis->nodes = mem_alloc(context->count, sizeof *basis->nodes);
    for (size_t i = 0; i < context->pair_count; i++) {
        const struct pair *pair = &context->pairs[i];
        note_faults(context, i);
        basis->nodes[pair->a].in_trouble |= pair->troubled;
        basis->nodes[pair->b].in_trouble |= pair->troubled;
        of_links[pair->a] += basis->links[i].rows[0] != NO_ROW;
        of_links[pair->b] += basis->links[i].rows[1] != NO_ROW;
    }
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        struct basis_node *noted = &basis->nodes[i];
        noted->serial = view->seen->serial;
        noted->rows = view->device ? view->device->peer_count : 0;
        noted->looked = view->looked;
        noted->has_key = view->has_key;
        noted->stopped = view->stopped;
        noted->skewed = view->skewed;
        noted->watched = view->seen_elsewhere || view->natted || !view->looked;
        noted->other_rows = noted->rows != of_links[i];
    }
    free(of_links);
}

void basis_free(struct diagnosis_basis *basis)
{
    if (!basis)
        return;
    free(basis->nodes);
    free(basis->links);
    free(basis->strays);
    free(basis);
}

struct diagnosis_basis *basis_copy(const struct diagnosis_basis *basis, const struct diagnosis *diagnosis)
{
    if (!basis)
        return NULL;
    struct diagnosis_basis *copy = mem_alloc(1, sizeof *copy);
    copy->nodes = mem_copy(basis->nodes, diagnosis->node_count, sizeof *copy->nodes);
    copy->links = mem_copy(basis->links, diagnosis->link_count, sizeof *copy->links);
    copy->strays = mem_copy(basis->strays, basis->stray_count, sizeof *copy->strays);
    copy->stray_count = copy->stray_capacity = basis->stray_count;
    return copy;
}

/* ---- refreshing --------------------------------------------------------------------------------------------------- */

/* The nodes are as they were, and so are the places of all rows. */
static bool nodes_are_the_same(struct context *context)
{
    const struct diagnosis_basis *basis = context->diagnosis->basis;
    for (size_t i = 0; i < context->count; i++) {
        struct node_view *view = &context->views[i];
        const struct basis_node *noted = &basis->nodes[i];
        if (view->seen->serial != noted->serial || (view->device ? view->device->peer_count : 0) != noted->rows || view->looked != noted->looked)
            return false;
        view->has_key = noted->has_key;
        view->stopped = noted->stopped;
    }
    return true;
}

static bool strays_are_the_same(const struct context *context)
{
    const struct diagnosis_basis *basis = context->diagnosis->basis;
    for (size_t i = 0; i < basis->stray_count; i++) {
        const struct stray *stray = &basis->strays[i];
        const struct node_view *view = &context->views[stray->node];
        const struct device_peer *row = &view->device->peers[stray->row];
        if ((row->handshake > 0) != stray->ever || is_recent(row_age(view, row)) != stray->recent)
            return false;
    }
    return true;
}

/* Whatever state a link is in, nothing can be said against this end: it sends to where the other one is, and not through the tunnel. */
static bool end_is_plain(const struct context *context, size_t holder, size_t other, const struct device_peer *row)
{
    const struct node_view *view = &context->views[holder], *peer = &context->views[other];
    if (!row || !peer->device || row->endpoint.port != peer->device->listen_port ||
        !address_list_has(peer->own, peer->own_count, &row->endpoint.address))
        return false;
    const struct observed_route *route = observation_route(view->seen, &row->endpoint.address);
    return !route || strcmp(route->device, view->interface_name) != 0;
}

static bool pair_is_plain(const struct context *context, const struct pair *pair, uint32_t signature)
{
    const struct basis_node *nodes = context->diagnosis->basis->nodes;
    return (signature & IS_PLAIN) && !nodes[pair->a].watched && !nodes[pair->b].watched &&
           end_is_plain(context, pair->a, pair->b, pair->end[0].row) && end_is_plain(context, pair->b, pair->a, pair->end[1].row);
}

static unsigned class_of(uint32_t signature)
{
    unsigned state = signature & STATE_BITS;
    return state == LINK_LATE ? LINK_LIVE : state;
}

/* Do the faults stand when a pair's signature has become another one? */
static bool faults_stand(const struct context *context, const struct pair *pair, uint32_t before, uint32_t now)
{
    const struct basis_node *a = &context->diagnosis->basis->nodes[pair->a], *b = &context->diagnosis->basis->nodes[pair->b];
    uint32_t changed = (before ^ now) & JUDGED;
    if (!changed)
        return true;
    if ((changed & ALWAYS) || (now & IS_TROUBLED))
        return false;
    if (((changed & IS_RECENT) && b->watched) || ((changed & IS_RECENT << 1) && a->watched))
        return false;
    if ((changed & DIRECTION_BITS) && (a->in_trouble || b->in_trouble))
        return false;
    return class_of(before) == class_of(now) || pair_is_plain(context, pair, before);
}

static void sum_up_rows(const struct context *context, struct diagnosis *diagnosis, const struct pair *pair)
{
    for (int side = 0; side < 2; side++) {
        struct node_summary *summary = &diagnosis->nodes[side ? pair->b : pair->a];
        const struct device_peer *row = pair->end[side].row;
        if (!row || context->diagnosis->basis->nodes[side ? pair->b : pair->a].other_rows)
            continue;
        summary->rx_bytes += row->rx_bytes;
        summary->tx_bytes += row->tx_bytes;
    }
}

static bool refresh_link(const struct context *context, size_t index, struct known_ways *ways)
{
    struct basis_link *noted = &context->diagnosis->basis->links[index];
    struct link *link = &context->diagnosis->links[index];
    if (link->path == PATH_HUB)
        return true; /* it follows from others */
    struct pair pair = {.a = link->a, .b = link->b, .end = {{.age = -1}, {.age = -1}}};
    enum link_path path = link->path;
    const char *path_reason = link->path_reason;
    if (noted->rows[0] != NO_ROW)
        end_count(&context->views[pair.a], &pair.end[0], noted->rows[0]);
    if (noted->rows[1] != NO_ROW)
        end_count(&context->views[pair.b], &pair.end[1], noted->rows[1]);
    pair_judge(context, &pair, link, ways);
    link->path = path;
    link->path_reason = path_reason;
    uint32_t before = noted->signature, now = sign(context, &pair, link);
    noted->signature = now | (before & ~(uint32_t)JUDGED);
    if (before & BLOCKED_A_TO_B)
        link->a_to_b = DIRECTION_BLOCKED;
    if (before & BLOCKED_B_TO_A)
        link->b_to_a = DIRECTION_BLOCKED;
    sum_up_rows(context, context->diagnosis, &pair);
    if (link->state == LINK_LIVE || link->state == LINK_LATE) {
        context->diagnosis->nodes[link->a].live++;
        context->diagnosis->nodes[link->b].live++;
    }
    return faults_stand(context, &pair, before, now);
}

static void begin_sums(const struct context *context)
{
    struct diagnosis *diagnosis = context->diagnosis;
    diagnosis->at = 0;
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        struct node_summary *summary = &diagnosis->nodes[i];
        summary->device = view->device;
        summary->live = 0;
        summary->rx_bytes = summary->tx_bytes = 0;
        for (size_t r = 0; diagnosis->basis->nodes[i].other_rows && r < diagnosis->basis->nodes[i].rows; r++) {
            summary->rx_bytes += view->device->peers[r].rx_bytes;
            summary->tx_bytes += view->device->peers[r].tx_bytes;
        }
        if (view->seen->at > diagnosis->at)
            diagnosis->at = view->seen->at;
    }
}

/* Rows lie all over the memory: those of the links to come are fetched while this one is looked at. */
static void fetch_ahead(const struct context *context, size_t index)
{
    enum { AHEAD = 16 };
    if (index + AHEAD >= context->diagnosis->link_count)
        return;
    const struct basis_link *next = &context->diagnosis->basis->links[index + AHEAD];
    const struct link *link = &context->diagnosis->links[index + AHEAD];
    for (int side = 0; side < 2; side++) {
        const struct node_view *view = &context->views[side ? link->b : link->a];
        if (next->rows[side] == NO_ROW)
            continue;
        __builtin_prefetch(&view->device->peers[next->rows[side]]);
        __builtin_prefetch(&view->device->peers[next->rows[side]].handshake);
        __builtin_prefetch(&view->device->peers[next->rows[side]].keepalive);
        if (view->device_earlier && next->rows[side] < view->device_earlier->row_count)
            __builtin_prefetch(&view->device_earlier->rows[next->rows[side]]);
    }
}

static bool clocks_are_the_same(const struct context *context)
{
    for (size_t i = 0; i < context->count; i++)
        if (context->views[i].skewed != context->diagnosis->basis->nodes[i].skewed)
            return false;
    return true;
}

static bool refresh_all(struct context *context)
{
    if (!nodes_are_the_same(context))
        return false;
    bool stand = strays_are_the_same(context) && clocks_are_the_same(context);
    struct known_ways *ways = context->known ? mem_alloc(1, sizeof *ways) : NULL;
    begin_sums(context);
    for (size_t i = 0; i < context->diagnosis->link_count; i++) {
        fetch_ahead(context, i);
        stand &= refresh_link(context, i, ways);
    }
    link_ways_judge(context->diagnosis);
    known_ways_free(context->diagnosis->known);
    context->diagnosis->known = ways;
    return stand;
}

bool diagnosis_refresh(struct diagnosis *diagnosis, const struct mesh *mesh, const struct observed *now, const struct counters *before)
{
    struct context context = {.mesh = mesh, .now = now, .before = before, .known = diagnosis->known, .diagnosis = diagnosis};
    if (!diagnosis->basis || diagnosis->node_count != mesh->node_count)
        return false;
    context_look(&context);
    bool stand = refresh_all(&context);
    context_clear(&context);
    return stand;
}
