/* Links that are dead though both configurations are right, judged by counters (faults.md section 1, signatures S1 to S4, S6):
 * clock-behind (N7), psk-mismatch where hashes were not to be had (K8), udp-blocked (E12), udp-blocked-one-way (E13). */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

static size_t other_of(const struct pair *pair, size_t holder)
{
    return holder == pair->a ? pair->b : pair->a;
}

static bool is_open_question(const struct pair *pair)
{
    return pair->troubled && pair->cause == NONE;
}

static enum direction_state state_from(const struct context *context, const struct pair *pair, size_t from)
{
    return *direction_of(context, pair, from);
}

static void add_rows(struct context *context, size_t fault, const struct pair *pair)
{
    for (int side = 0; side < 2; side++) {
        size_t holder = side ? pair->b : pair->a;
        char *row = words_row(context, holder, other_of(pair, holder), &pair->end[side]);
        fault_evidence(context, fault, "%s", row);
        free(row);
    }
}

/* ---- what is explained by a node that SSH cannot reach ------------------------------------------------------------ */

static void blame_unreachable(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        size_t root = context->views[pair->a].root != NONE ? context->views[pair->a].root : context->views[pair->b].root;
        if (is_open_question(pair) && root != NONE)
            pair_explained(context, pair, root);
    }
}

/* ---- clock-behind (N7) ---------------------------------------------------------------------------------------------- */

/* The far end refuses an initiation whose time stamp is not later than the last one that it took. The stamp is the sender's clock. Behind,
 * then, is a clock that stands before the last handshake that the sender remembers; or, if it remembers none (it was started anew), before the
 * last one that the far end does, unless that end's own clock was set back since, so that its memory cannot be placed in time. */
bool clock_is_behind(const struct context *context, const struct pair *pair, size_t sender, int64_t *by)
{
    const struct end *own = &pair->end[sender == pair->b], *far = &pair->end[sender != pair->b];
    const struct node_view *other = &context->views[other_of(pair, sender)];
    const struct observation *here = context->views[sender].seen, *there = other->seen;
    if (!own->row || here->reach != REACH_OK || here->node_time <= 0)
        return false;
    int64_t last = own->row->handshake;
    if (last == 0 && far->row && far->age >= 0 && there->reach == REACH_OK && there->clock_uncertainty != INT64_MAX)
        last = time_between(time_between(far->row->handshake, other->skew), there->clock_uncertainty);
    *by = time_between(last, here->node_time);
    return last > 0 && *by > SKEW_LEAST;
}

static void name_behind(struct context *context, struct pair *pair, size_t sender, int64_t by)
{
    size_t other = other_of(pair, sender);
    struct node_view *view = &context->views[sender];
    char text[CLOCK_TEXT_SIZE];
    clock_age_text(by, text);
    struct fault *fault = fault_new(context, "clock-behind", sender, other);
    char *set = words_set_peer(&context->views[other], &view->key);
    fault_direction(fault, sender, other);
    fault_summary(fault, "%s's clock is %s before its last handshake with %s, which therefore refuses all that %s begins", view->name, text,
                  context->views[other].name, view->name);
    fault_remedy(fault, "set the clock of %s (timedatectl set-ntp true); if that cannot be done now, on %s: %s remove, and set the row again; or let %s begin (ping from there)",
                 view->name, context->views[other].name, set, context->views[other].name);
    fault_folds(context, "");
    size_t index = fault_index(context);
    fault_evidence(context, index, "%s: the last handshake lies %s in the future of its clock", view->name, text);
    add_rows(context, index, pair);
    pair_explained(context, pair, index);
    free(set);
}

static void detect_behind(struct context *context)
{
    blame_unreachable(context);
    for (size_t i = 0; i < context->pair_count * 2; i++) {
        struct pair *pair = &context->pairs[i / 2];
        size_t sender = i % 2 ? pair->b : pair->a;
        int64_t by;
        if (is_open_question(pair) && state_from(context, pair, sender) != DIRECTION_OK && clock_is_behind(context, pair, sender, &by))
            name_behind(context, pair, sender, by);
    }
}

/* ---- psk-mismatch by signature (K8) --------------------------------------------------------------------------------- */

static bool is_unhashed(const struct device_peer *row)
{
    static const uint8_t zero[KEY_HASH_SIZE];
    return row && row->has_preshared && memcmp(row->preshared_hash, zero, sizeof zero) == 0;
}

/* Handshakes arrive at both ends and none completes: with equal keys only the preshared key is left. */
static void detect_psk_by_counters(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        const struct node_view *a = &context->views[pair->a], *b = &context->views[pair->b];
        if (!is_open_question(pair) || !(is_unhashed(pair->end[0].row) || is_unhashed(pair->end[1].row)) ||
            state_from(context, pair, pair->a) != DIRECTION_OK || state_from(context, pair, pair->b) != DIRECTION_OK)
            continue;
        struct fault *fault = fault_new(context, "psk-mismatch", pair->a, pair->b);
        char *set_a = words_set_peer(a, &b->key), *set_b = words_set_peer(b, &a->key);
        fault_summary(fault, "%s and %s hear each other's handshakes and complete none: their preshared keys probably differ", a->name, b->name);
        fault_remedy(fault, "make one with wg genpsk and set it at both ends from a file: on %s: %s preshared-key FILE; on %s: %s preshared-key FILE", b->name,
                     set_b, a->name, set_a);
        add_rows(context, fault_index(context), pair);
        fault_evidence(context, fault_index(context), "both ends have a preshared key; they could not be compared");
        pair_explained(context, pair, fault_index(context));
        free(set_a);
        free(set_b);
    }
}

/* ---- udp-blocked of a node (E12) -------------------------------------------------------------------------------------- */

/* One cause for many: what is sent to a node from several others never arrives there, and it hears fewer than it does not hear. */
static size_t count_inbound(const struct context *context, size_t node, bool *hears)
{
    size_t blocked = 0, heard = 0;
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == node ? NULL : pair_of(context, i, node);
        if (!pair)
            continue;
        enum direction_state state = state_from(context, pair, i);
        blocked += is_open_question(pair) && state == DIRECTION_BLOCKED;
        heard += state == DIRECTION_OK;
    }
    *hears = heard > 0;
    return blocked > heard ? blocked : 0;
}

static const char cannot_tell[] = "not to be told apart from here: a firewall or provider that drops UDP on the way or at the node, a filter that answers to "
                                  "nothing it did not ask for, or a path that is down for UDP only; keys, rows, ports and endpoints were compared and are right";

static void add_port_remedy(const struct context *context, struct fault *fault, size_t to, size_t from)
{
    const struct node_view *view = &context->views[to];
    unsigned port = view->device ? view->device->listen_port : 0;
    fault_remedy(fault, "open UDP %u towards %s in its provider's firewall and its own (nft list ruleset; iptables -S INPUT)%s%s%s; to see whether packets arrive, on %s: tcpdump -ni any udp port %u",
                 port, view->name, from == NONE ? "" : ", and outgoing UDP at ", from == NONE ? "" : context->views[from].name, from == NONE ? "" : "'s",
                 view->name, port);
}

static void name_blocked_node(struct context *context, size_t node, bool hears)
{
    size_t *senders = mem_alloc(context->count, sizeof *senders), count = 0;
    bool out_too = true;
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == node ? NULL : pair_of(context, i, node);
        if (!pair || !is_open_question(pair) || state_from(context, pair, i) != DIRECTION_BLOCKED)
            continue;
        senders[count++] = i;
        out_too &= state_from(context, pair, node) == DIRECTION_BLOCKED;
    }
    char *names = words_names(context, senders, count);
    const struct node_view *view = &context->views[node];
    struct fault *fault = fault_new(context, "udp-blocked", node, NONE);
    fault_summary(fault, "nothing that %s send to UDP %u of %s arrives there%s", names, view->device ? view->device->listen_port : 0, view->name,
                  out_too ? ", and nothing that it sends arrives at them" : "");
    add_port_remedy(context, fault, node, NONE);
    size_t index = fault_index(context);
    for (size_t i = 0; i < count; i++) {
        struct pair *pair = pair_of(context, senders[i], node);
        add_rows(context, index, pair);
        pair_explained(context, pair, index);
    }
    if (hears)
        fault_evidence(context, index, "%s: does hear some other node, so its port is open to it", view->name);
    fault_evidence(context, index, "%s", cannot_tell);
    free(names);
    free(senders);
}

/* How many links of each node are an open question: most often none are, and nothing need be counted. */
static size_t *count_open(const struct context *context)
{
    size_t *open = mem_alloc(context->count, sizeof *open);
    for (size_t i = 0; i < context->pair_count; i++) {
        open[context->pairs[i].a] += is_open_question(&context->pairs[i]);
        open[context->pairs[i].b] += is_open_question(&context->pairs[i]);
    }
    return open;
}

static void detect_blocked_nodes(struct context *context)
{
    for (;;) {
        size_t *open = count_open(context);
        size_t best = NONE, most = 1;
        bool best_hears = false;
        for (size_t i = 0; i < context->count; i++) {
            bool hears;
            size_t blocked = open[i] > most ? count_inbound(context, i, &hears) : 0;
            if (blocked > most) {
                most = blocked;
                best = i;
                best_hears = hears;
            }
        }
        free(open);
        if (best == NONE)
            return;
        name_blocked_node(context, best, best_hears);
    }
}

/* ---- udp-blocked-one-way (E13), udp-blocked of a pair (E12) -------------------------------------------------------------- */

/* Packets of one end arrive, those of the other do not (S2, or S1 while the other direction is heard). */
static void name_one_way(struct context *context, struct pair *pair, size_t from)
{
    size_t to = other_of(pair, from);
    const struct node_view *sender = &context->views[from], *hearer = &context->views[to];
    struct fault *fault = fault_new(context, "udp-blocked-one-way", to, from);
    fault_direction(fault, from, to);
    fault_summary(fault, "packets from %s to %s do not arrive, those from %s to %s do", sender->name, hearer->name, hearer->name, sender->name);
    add_port_remedy(context, fault, to, from);
    fault_folds(context, "");
    size_t index = fault_index(context);
    add_rows(context, index, pair);
    if (is_unhashed(pair->end[0].row) || is_unhashed(pair->end[1].row))
        fault_evidence(context, index, "the preshared keys could not be compared: different ones would look the same");
    fault_evidence(context, index, "%s", cannot_tell);
    pair_explained(context, pair, index);
}

/* S6: one end has a fresh handshake, and the other was never told that it succeeded. */
static bool is_unconfirmed(const struct context *context, const struct pair *pair)
{
    return link_of(context, pair)->state == LINK_HALF && !pair->counters && pair->end[0].row && pair->end[1].row;
}

static void name_unconfirmed(struct context *context, struct pair *pair)
{
    int64_t a = pair->end[0].age, b = pair->end[1].age;
    size_t from = a >= 0 && a <= AGE_LIVE ? pair->a : pair->b;
    name_one_way(context, pair, from);
    (void)b;
    struct fault *fault = &context->findings[fault_index(context)].fault;
    fault->severity = SEVERITY_WARNING;
    fault_summary(fault, "%s has a handshake with %s that %s never saw confirmed: what %s sends since then seems to be lost", context->views[from].name,
                  context->views[other_of(pair, from)].name, context->views[other_of(pair, from)].name, context->views[from].name);
    fault_evidence(context, fault_index(context), "this is one reading: losses, a moment of change, or a clock that was set look the same; take two (wgdeck doctor does)");
}

static void detect_one_way(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        if (!is_open_question(pair))
            continue;
        enum direction_state from_a = state_from(context, pair, pair->a), from_b = state_from(context, pair, pair->b);
        if (from_a == DIRECTION_BLOCKED && from_b == DIRECTION_OK)
            name_one_way(context, pair, pair->a);
        else if (from_b == DIRECTION_BLOCKED && from_a == DIRECTION_OK)
            name_one_way(context, pair, pair->b);
        else if (is_unconfirmed(context, pair))
            name_unconfirmed(context, pair);
    }
}

static void name_blocked(struct context *context, struct pair *pair)
{
    enum direction_state from_a = state_from(context, pair, pair->a), from_b = state_from(context, pair, pair->b);
    bool both = from_a == DIRECTION_BLOCKED && from_b == DIRECTION_BLOCKED;
    size_t from = from_a == DIRECTION_BLOCKED ? pair->a : pair->b, to = other_of(pair, from);
    const struct node_view *sender = &context->views[from], *hearer = &context->views[to];
    struct fault *fault = fault_new(context, "udp-blocked", to, from);
    if (both) {
        fault_summary(fault, "nothing that %s and %s send to each other arrives", sender->name, hearer->name);
    } else {
        fault_direction(fault, from, to);
        fault_summary(fault, "what %s sends to %s does not arrive; %s sends nothing, so the way back is not known", sender->name, hearer->name, hearer->name);
    }
    add_port_remedy(context, fault, to, both ? NONE : from);
    fault_folds(context, both ? "with" : "");
    add_rows(context, fault_index(context), pair);
    fault_evidence(context, fault_index(context), "%s", cannot_tell);
    pair_explained(context, pair, fault_index(context));
}

/* The link is dead, and what was seen does not say why: say that, and no more. */
static void name_unknown_cause(struct context *context, struct pair *pair)
{
    const struct node_view *a = &context->views[pair->a], *b = &context->views[pair->b];
    bool both_seen = pair->end[0].row && pair->end[1].row;
    struct fault *fault = fault_new(context, "udp-blocked", pair->a, pair->b);
    fault->severity = SEVERITY_WARNING;
    if (!both_seen)
        fault_summary(fault, "the link of %s and %s is dead; only %s could be looked at, so the cause is not known", a->name, b->name,
                      pair->end[0].row ? a->name : b->name);
    else if (pair->counters && pair->end[0].sent == 0 && pair->end[1].sent == 0)
        fault_summary(fault, "the link of %s and %s is dead, and neither sends anything to the other, though keepalives are set", a->name, b->name);
    else if (pair->counters)
        fault_summary(fault, "the link of %s and %s is dead; the counters do not show in which direction", a->name, b->name);
    else
        fault_summary(fault, "handshakes between %s and %s get no answer; one reading does not tell in which direction they are lost", a->name, b->name);
    fault_remedy(fault, "%s; then look at the firewalls of both (UDP %u at %s, UDP %u at %s)",
                 pair->counters ? "send something (ping) and look again" : "take two readings, 12 s apart or more (wgdeck doctor does)",
                 a->device ? a->device->listen_port : 0, a->name, b->device ? b->device->listen_port : 0, b->name);
    add_rows(context, fault_index(context), pair);
    if (both_seen)
        fault_evidence(context, fault_index(context), "%s", cannot_tell);
    pair_explained(context, pair, fault_index(context));
}

static void detect_blocked_pairs(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        if (!is_open_question(pair))
            continue;
        bool blocked = state_from(context, pair, pair->a) == DIRECTION_BLOCKED || state_from(context, pair, pair->b) == DIRECTION_BLOCKED;
        if (blocked)
            name_blocked(context, pair);
        else
            name_unknown_cause(context, pair);
    }
}

/* ---- a quiet link that may not be quiet ----------------------------------------------------------------------------------- */

/* Over the life of the rows: so much more was sent than arrived that it is no usual loss. When that was, one reading does not tell. */
bool end_lost_much(const struct end *sender, const struct end *hearer)
{
    uint64_t sent = sender->row->tx_bytes, heard = hearer->row->rx_bytes;
    return sent > heard && sent - heard > SENT_EVER && sent - heard > sent / 5;
}

/* Without keepalive and with one reading a dead link that somebody tries to use looks idle. The verdict stays; the doubt is noted. */
static void detect_doubtful_quiet(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        const struct end *one = &pair->end[0], *two = &pair->end[1];
        if (!pair->quiet || pair->cause != NONE || pair->counters || !one->row || !two->row)
            continue;
        bool from_a = end_lost_much(one, two);
        if (!from_a && !end_lost_much(two, one))
            continue;
        size_t from = from_a ? pair->a : pair->b, to = other_of(pair, from);
        const char *sender = context->views[from].name, *hearer = context->views[to].name;
        struct fault *fault = fault_new(context, "udp-blocked", to, from);
        fault->severity = SEVERITY_INFO;
        fault_direction(fault, from, to);
        fault_summary(fault, "the link of %s and %s looks idle, but much of what %s ever sent to %s did not arrive; one reading does not tell whether that is now",
                      sender, hearer, sender, hearer);
        fault_remedy(fault, "take two readings, 12 s apart or more (wgdeck doctor %s %s)", sender, hearer);
        fault_folds(context, "");
        add_rows(context, fault_index(context), pair);
    }
}

static const struct detector detectors[] = {
    {"clock-behind", detect_behind},
    {"psk-mismatch", detect_psk_by_counters},
    {"udp-blocked", detect_blocked_nodes},
    {"udp-blocked-one-way", detect_one_way},
    {"udp-blocked", detect_blocked_pairs},
    {"udp-blocked", detect_doubtful_quiet},
};
const struct stage stage_silence = {detectors, COUNT_OF(detectors)};
