/* The ladder of one pair: hub, then direct or by the relay, and back (ladder.h). Pure: views and a time come in, orders go out.
 *
 * Which NATs let two ends meet, where both know the address and port that the hub sees of the other (its hub row keeps that mapping open):
 *
 *                      none   full cone   restricted   port-restr.   symmetric
 *   none               yes    yes         yes          yes           yes (1)
 *   full cone                 yes         yes          yes           yes (1)
 *   restricted cone                       yes (2)      yes (2)       yes (3)
 *   port-restricted                                    yes (2)       no  (4)
 *   symmetric                                                        no  (4)
 *   (1) The symmetric side sends from another port than the hub sees, which nobody minds; the answer goes to where the initiation came from (roaming).
 *   (2) Both send: the first packet opens its own NAT and is lost at the other's, the second one passes.
 *   (3) The restricted side has sent to the address, and lets every port of it in: the next initiation of the symmetric side passes.
 *   (4) The port that the symmetric side sends from is not the one that the other has opened its NAT for, and nobody can tell it: the relay, else the hub.
 *
 * WireGuard sends one initiation for each row in 5 s to 5.33 s (REKEY_TIMEOUT and its jitter), the first one when keepalive goes 0 -> 25. What follows from that:
 * - A row that a trial makes sends at once, so a place can be given 3 s. A lasting row does not: there it is 5 s, and the next place is ordered a moment before the next initiation is due, so that each
 *   gets one: at 4.8 s, 9.8 s, 14.8 s... What the hub sees is given 7 s: case (3) can need the second one.
 * - Two initiations that cross on their way both fail: each end forgets its own when it takes the other's. So the ends are told 0.4 s apart. But a NAT gateway without a firewall of its own remembers a
 *   packet that it had no mapping for, and then gives the packets of its own node another port: there, sending at the same moment is what works, or that its node goes first. So the order changes
 *   with each climb: one end first, both at once, the other end first. What the first one sends finds no row yet; so that is the one that seems easier to reach.
 * - When something authentic came (rx of a row has grown) and there is no handshake yet, they have crossed, or it is on its way: one more interval for this place.
 * - With a live session nothing is initiated: the keepalive goes out as data. Then both rows' rx growing is the sign. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ladder_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"

#define SECONDS(n) ((int64_t)((n) * (double)CLOCK_SECOND))
#define PLACE_TIME SECONDS(3)
#define LASTING_TIME SECONDS(5)
#define ORDERED_EARLY SECONDS(0.2)
#define SEEN_TIME SECONDS(7)
#define HEARD_TIME SECONDS(6)      /* more, once a place, when something came by it */
#define APART SECONDS(0.4)
#define AGAIN SECONDS(2.5)         /* an order that shows no effect is given again */
#define CHANGE_TIME SECONDS(10)    /* both ends must say that they carry */
#define LEAVE_TIME SECONDS(3)
#define NO_ANSWER SECONDS(15)      /* an end without answers ends a climb */
#define OTHERS_TRIAL SECONDS(90)   /* a trial that is not ours is left alone for so long */
#define OTHERS_CARRY SECONDS(10)   /* and an end that carries alone */
#define SENT_BACK SECONDS(9)       /* for so long, ends that do not go back to the hub are told again */
#define SILENCE SECONDS(45)        /* nothing came by the way: it is dead, whatever its ends say; keepalive is 25 s */
#define SESSION SECONDS(180)       /* REJECT_AFTER_TIME */
#define FIRST_WAIT SECONDS(60)
#define LONGEST_WAIT SECONDS(3600)
#define FIRST_CHANGE_WAIT SECONDS(10)
#define STABLE SECONDS(600)
#define SOON SECONDS(10)           /* after a way that had been good for long */
#define TURN SECONDS(0.5)
#define REST SECONDS(15)
#define LONG_AGO (INT64_MIN / 2)

const char *const ladder_words[] = {
#define X(name, word, title) [LADDER_##name] = word,
    LADDER_STEPS(X)
#undef X
};

enum phase {
    RESTING,  /* by the hub */
    LEAVING,  /* the relay, to look for something better */
    KNOCKING, /* at one place after another */
    CHANGING, /* a place answered; both are told to carry */
    CARRIED,
    PHASES
};

struct end {
    int64_t answered;      /* when it was last heard */
    int64_t ordered;       /* and told something */
    int64_t age;           /* of the handshake, as last seen */
    uint64_t rx;
    int64_t rx_at;         /* when it last grew, or could not be seen */
    uint64_t fingerprint;  /* of its places; 0: not known */
    int64_t stray;         /* since when it does what this machine has not ordered; LONG_AGO: it does not */
    /* of the place that is tried */
    bool told, had_session, heard;
    uint64_t rx_before;
};

struct ladder {
    struct ladder_options options;
    enum phase phase;
    enum ladder_step way;         /* of CHANGING and CARRIED */
    struct end ends[2];
    struct ladder_try tries[LADDER_TRIES + 1];
    size_t try_count, current;
    struct ladder_try last;       /* what worked the last time */
    bool has_last, extended;
    bool second_first;            /* the second end is told first */
    int64_t begun, until;         /* of the place, or of the phase */
    int64_t wait, climb_at;       /* the next climb without a reason */
    int64_t change_wait, change_at; /* and the next one when places have changed */
    int64_t rested;               /* when both were sent back to the hub */
    uint64_t climbed_with;        /* the places that it has climbed with */
    unsigned climbs;
    int64_t next;
    char reason[320];
};

struct ladder *ladder_new(const struct ladder_options *options)
{
    struct ladder *ladder = mem_alloc(1, sizeof *ladder);
    ladder->options = *options;
    ladder->options.never = mem_copy(options->never, options->never_count, sizeof *options->never);
    ladder->wait = FIRST_WAIT;
    ladder->change_wait = FIRST_CHANGE_WAIT;
    ladder->climb_at = ladder->change_at = ladder->rested = LONG_AGO;
    for (size_t e = 0; e < 2; e++)
        ladder->ends[e] = (struct end){.answered = LONG_AGO, .ordered = LONG_AGO, .stray = LONG_AGO, .rx_at = LONG_AGO};
    snprintf(ladder->reason, sizeof ladder->reason, "not tried yet");
    return ladder;
}

void ladder_free(struct ladder *ladder)
{
    if (!ladder)
        return;
    free((void *)(uintptr_t)ladder->options.never);
    free(ladder);
}

enum ladder_step ladder_step(const struct ladder *ladder)
{
    switch (ladder->phase) {
    case KNOCKING:
    case CHANGING: return LADDER_TRYING;
    case CARRIED: return ladder->way;
    default: return LADDER_HUB;
    }
}

const char *ladder_reason(const struct ladder *ladder)
{
    return ladder->reason;
}

int64_t ladder_next(const struct ladder *ladder)
{
    return ladder->next;
}

unsigned ladder_climbs(const struct ladder *ladder)
{
    return ladder->climbs;
}

/* --- orders */

static void __attribute__((format(printf, 2, 3))) say(struct ladder *ladder, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ladder->reason, sizeof ladder->reason, format, arguments);
    va_end(arguments);
}

/* Reasons of orders come from what is said at that moment. */
static void order(struct ladder *ladder, int64_t now, struct ladder_order orders[2], size_t e, enum ladder_deed deed)
{
    orders[e] = (struct ladder_order){.deed = deed, .way = ladder->way, .forget = deed == LADDER_YIELD};
    if (deed == LADDER_TRY)
        orders[e].endpoint = ladder->tries[ladder->current].told[e];
    snprintf(orders[e].reason, sizeof orders[e].reason, "%.159s", ladder->reason);
    ladder->ends[e].ordered = now;
}

static void order_both(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2], enum ladder_deed deed)
{
    for (size_t e = 0; e < 2; e++)
        if (ends[e].answers)
            order(ladder, now, orders, e, deed);
}

static void double_wait(int64_t *wait)
{
    *wait = *wait < LONGEST_WAIT / 2 ? *wait * 2 : LONGEST_WAIT;
}

/* Back to the hub; the next climb is due after WAIT. */
static void rest(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2], int64_t wait, const char *why)
{
    char again[CLOCK_TEXT_SIZE];
    clock_age_text(wait, again);
    say(ladder, "%s; tried again after %s, or when an address changes", why, again);
    ladder->phase = RESTING;
    ladder->rested = now;
    ladder->climb_at = now + wait;
    order_both(ladder, now, ends, orders, LADDER_YIELD);
}

static void fail(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2], const char *why)
{
    int64_t wait = ladder->wait;
    double_wait(&ladder->wait);
    rest(ladder, now, ends, orders, wait, why);
}

/* --- climbing */

static int64_t time_of(const struct ladder *ladder)
{
    enum ladder_place place = ladder->tries[ladder->current].place;
    if (place == PLACE_LAST || place == PLACE_SEEN || place == PLACE_RELAY)
        return SEEN_TIME;
    if (!ladder->options.lasting_rows)
        return PLACE_TIME;
    return ladder->current ? LASTING_TIME : LASTING_TIME - ORDERED_EARLY;
}

/* How long after the other one an end is told. */
static int64_t later(const struct ladder *ladder, size_t e)
{
    static const struct { int64_t ends[2]; } turns[] = {{{0, APART}}, {{0, 0}}, {{APART, 0}}};
    return turns[(ladder->climbs - 1) % COUNT_OF(turns)].ends[ladder->second_first ? !e : e];
}

/* 0: the hub sees its own address; 1: its NAT keeps the port; 2: it does not, and may give another one to each. */
static int hardness(const struct ladder_end *end)
{
    bool kept = false;
    for (size_t i = 0; i < end->candidate_count && i < LADDER_CANDIDATES; i++) {
        if (endpoint_equal(&end->candidates[i], &end->observed))
            return 0;
        kept |= end->candidates[i].port == end->observed.port;
    }
    return kept ? 1 : 2;
}

static void begin_place(struct ladder *ladder, int64_t now)
{
    const struct ladder_try *try = &ladder->tries[ladder->current];
    char text[2][ENDPOINT_TEXT_SIZE];
    for (size_t e = 0; e < 2; e++) {
        endpoint_text(&try->told[e], text[e]);
        struct end *end = &ladder->ends[e];
        end->told = end->heard = false;
        end->rx_before = end->rx; /* from now on, not from when it is told: what the other one sends may be there before */
        end->had_session = end->age >= 0 && end->age < SESSION;
    }
    ladder->phase = KNOCKING;
    ladder->begun = now;
    ladder->until = now + time_of(ladder);
    ladder->extended = false;
    if (try->place == PLACE_RELAY)
        say(ladder, "trying the relay (%zu of %zu)", ladder->current + 1, ladder->try_count); /* its place may be a stand-in */
    else
        say(ladder, "trying %s and %s, %s (%zu of %zu)", text[1], text[0], ladder_place_words[try->place][1], ladder->current + 1, ladder->try_count);
}

static uint64_t places_now(const struct ladder *ladder)
{
    return ladder->ends[0].fingerprint && ladder->ends[1].fingerprint ? ladder->ends[0].fingerprint * 3 + ladder->ends[1].fingerprint : 0;
}

static bool has_changed(const struct ladder *ladder)
{
    return ladder->climbs && places_now(ladder) && places_now(ladder) != ladder->climbed_with;
}

static bool climb_is_due(const struct ladder *ladder, int64_t now)
{
    return now >= ladder->climb_at || (has_changed(ladder) && now >= ladder->change_at);
}

/* False: there is nothing to try. */
static bool climb(struct ladder *ladder, int64_t now, const struct ladder_end ends[2])
{
    bool for_change = now < ladder->climb_at;
    ladder->try_count = ladder->options.direct ? ladder_places(&ladder->options, ends, ladder->has_last ? &ladder->last : NULL, ladder->tries) : 0;
    if (ladder_may_try(&ladder->options, &ladder->options.relay))
        ladder->tries[ladder->try_count++] = (struct ladder_try){.told = {ladder->options.relay, ladder->options.relay}, .place = PLACE_RELAY};
    if (!ladder->try_count)
        return false;
    if (for_change)
        double_wait(&ladder->change_wait);
    ladder->change_at = now + ladder->change_wait;
    ladder->climbed_with = places_now(ladder);
    ladder->climbs++;
    ladder->second_first = hardness(&ends[0]) > hardness(&ends[1]);
    ladder->current = 0;
    begin_place(ladder, now);
    return true;
}

/* A view that is late makes an old handshake look young; but nothing has come since then. */
static bool has_new_handshake(const struct ladder *ladder, int64_t now, size_t e, const struct ladder_end *view)
{
    const struct end *end = &ladder->ends[e];
    return view->age >= 0 && view->age <= now - ladder->begun && (!end->had_session || end->heard);
}

static bool is_proven(const struct ladder *ladder, int64_t now, const struct ladder_end ends[2])
{
    unsigned handshakes = 0, data = 0;
    for (size_t e = 0; e < 2; e++) {
        const struct end *end = &ladder->ends[e];
        if (!end->told || !ends[e].answers)
            return false;
        handshakes += has_new_handshake(ladder, now, e, &ends[e]);
        data += end->had_session && end->heard;
    }
    return handshakes == 2 || data == 2;
}

static void tell(struct ladder *ladder, int64_t now, struct ladder_order orders[2], size_t e)
{
    struct end *end = &ladder->ends[e];
    int64_t late = now - ladder->begun - later(ladder, e);
    if (late > 2 * TURN) { /* it did not answer: the place's time begins now */
        ladder->begun += late;
        ladder->until += late;
    }
    end->told = true;
    order(ladder, now, orders, e, LADDER_TRY);
}

static void change_over(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2])
{
    const struct ladder_try *try = &ladder->tries[ladder->current];
    ladder->phase = CHANGING;
    ladder->way = try->place == PLACE_RELAY ? LADDER_RELAY : LADDER_DIRECT;
    ladder->until = now + CHANGE_TIME;
    bool as_told = true;
    char text[2][ENDPOINT_TEXT_SIZE];
    for (size_t e = 0; e < 2; e++) {
        const struct endpoint *at = ends[e].row.address.family ? &ends[e].row : &try->told[e];
        bool is_told = endpoint_equal(at, &try->told[e]);
        endpoint_text(at, text[e]);
        as_told &= is_told;
        if (ladder->way == LADDER_RELAY)
            say(ladder, "handshake by the relay");
        else
            say(ladder, "handshake by %s, %s", text[e], is_told ? ladder_place_words[try->place][0] : "where its NAT lets it out");
        order(ladder, now, orders, e, LADDER_CARRY);
    }
    if (ladder->way == LADDER_DIRECT)
        say(ladder, "handshake by %s and %s, %s", text[1], text[0], as_told ? ladder_place_words[try->place][1] : "where their NATs let them out");
}

/* Why nothing answered, as far as one can know it from outside. */
static void no_place_answered(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2])
{
    char why[160];
    unsigned moved = 0;
    bool relay = ladder->tries[ladder->try_count - 1].place == PLACE_RELAY;
    size_t direct = ladder->try_count - relay;
    for (size_t e = 0; e < 2; e++)
        moved += ends[e].observed.address.family && ends[e].candidate_count && hardness(&ends[e]) == 2;
    snprintf(why, sizeof why, "%s%s%s", !direct ? "" : direct == 1 ? "no answer at the one place tried" : "no answer at any place tried",
             !direct || !moved ? "" : moved == 2 ? " (both NATs change the port)" : " (a NAT changes the port)", !relay ? "" : direct ? ", nor by the relay" : "no answer by the relay");
    fail(ladder, now, ends, orders, why);
}

static void on_knocking(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2])
{
    bool heard = false;
    for (size_t e = 0; e < 2; e++) {
        struct end *end = &ladder->ends[e];
        if (now - end->answered >= NO_ANSWER) {
            fail(ladder, now, ends, orders, "one end does not answer");
            return;
        }
        if (ends[e].answers && ends[e].rx < end->rx_before)
            end->rx_before = 0; /* the row was made anew */
        end->heard |= end->told && ends[e].answers && ends[e].rx != end->rx_before;
        heard |= end->heard;
    }
    if (is_proven(ladder, now, ends)) {
        change_over(ladder, now, ends, orders);
        return;
    }
    if (ladder->ends[0].told && ladder->ends[1].told && now >= ladder->until) {
        if (heard && !ladder->extended) {
            ladder->extended = true;
            ladder->until = now + HEARD_TIME;
        } else if (++ladder->current < ladder->try_count) {
            begin_place(ladder, now);
        } else {
            no_place_answered(ladder, now, ends, orders);
            return;
        }
    }
    for (size_t e = 0; e < 2; e++) {
        const struct end *end = &ladder->ends[e];
        const struct endpoint *told = &ladder->tries[ladder->current].told[e];
        if (!ends[e].answers)
            continue;
        if (!end->told && now >= ladder->begun + later(ladder, e))
            tell(ladder, now, orders, e);
        else if (end->told && ends[e].carries != LADDER_TRYING && !end->heard && !endpoint_equal(&ends[e].row, told) && now - end->ordered >= AGAIN)
            order(ladder, now, orders, e, LADDER_TRY);
    }
}

/* --- carrying */

static bool both_carry(const struct ladder_end ends[2], enum ladder_step way)
{
    return ends[0].answers && ends[1].answers && ends[0].carries == way && ends[1].carries == way;
}

static void carried(struct ladder *ladder, int64_t now)
{
    ladder->phase = CARRIED;
    ladder->begun = now;
    ladder->climb_at = now + LONGEST_WAIT; /* from the relay */
    for (size_t e = 0; e < 2; e++)
        ladder->ends[e].rx_at = now;
}

static void on_changing(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2])
{
    if (both_carry(ends, ladder->way)) {
        ladder->last = ladder->tries[ladder->current];
        ladder->has_last = ladder->way == LADDER_DIRECT;
        carried(ladder, now);
        return;
    }
    if (now >= ladder->until) {
        fail(ladder, now, ends, orders, "a way was found, but one end did not change over to it");
        return;
    }
    for (size_t e = 0; e < 2; e++)
        if (ends[e].answers && ends[e].carries != ladder->way && now - ladder->ends[e].ordered >= AGAIN)
            order(ladder, now, orders, e, LADDER_CARRY);
}

static void died(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2], const char *how)
{
    char why[160], lived[CLOCK_TEXT_SIZE];
    bool stable = now - ladder->begun >= STABLE;
    clock_age_text(now - ladder->begun, lived);
    snprintf(why, sizeof why, "the %s way died after %s: %s", ladder->way == LADDER_RELAY ? "relay's" : "direct", lived, how);
    if (stable)
        rest(ladder, now, ends, orders, SOON, why);
    else
        fail(ladder, now, ends, orders, why);
}

static void on_carried(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2])
{
    if (now - ladder->begun >= STABLE) {
        ladder->wait = FIRST_WAIT;
        ladder->change_wait = FIRST_CHANGE_WAIT;
    }
    for (enum ladder_step way = LADDER_DIRECT; way <= LADDER_RELAY; way++)
        if (way != ladder->way && both_carry(ends, way)) { /* somebody else's work */
            ladder->way = way;
            carried(ladder, now);
            say(ladder, "carried so by both ends");
        }
    for (size_t e = 0; e < 2; e++) {
        if (ends[e].answers && ends[e].carries != ladder->way) {
            died(ladder, now, ends, orders, "an end heard nothing by it, and went back");
            return;
        }
        if (ends[e].answers && now - ladder->ends[e].rx_at >= SILENCE) {
            died(ladder, now, ends, orders, "nothing comes by it");
            return;
        }
    }
    if (ladder->way == LADDER_RELAY && ladder->options.direct && ends[0].answers && ends[1].answers && climb_is_due(ladder, now)) {
        say(ladder, "by the hub for a moment, to look for a direct way");
        ladder->phase = LEAVING;
        ladder->until = now + LEAVE_TIME;
        order_both(ladder, now, ends, orders, LADDER_YIELD);
    }
}

/* --- at the hub */

static void climb_or_rest(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2])
{
    if (climb(ladder, now, ends)) {
        on_knocking(ladder, now, ends, orders);
        return;
    }
    ladder->phase = RESTING;
    say(ladder, ladder->options.direct ? "nothing is known of where the two can be reached" : "direct ways are off, and there is no relay");
}

static void on_leaving(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2])
{
    if (both_carry(ends, LADDER_HUB) || (now >= ladder->until && ends[0].answers && ends[1].answers))
        climb_or_rest(ladder, now, ends, orders);
    else if (now >= ladder->until + NO_ANSWER)
        fail(ladder, now, ends, orders, "one end does not answer");
}

/* Who has been sent back and does not go is told again. */
static void send_back(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2])
{
    for (size_t e = 0; e < 2; e++)
        if (ends[e].answers && ends[e].carries != LADDER_HUB && now - ladder->ends[e].ordered >= AGAIN)
            order(ladder, now, orders, e, LADDER_YIELD);
}

static void on_resting(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2])
{
    bool strays = false;
    if (now - ladder->rested < SENT_BACK) {
        send_back(ladder, now, ends, orders);
        return;
    }
    for (enum ladder_step way = LADDER_DIRECT; way <= LADDER_RELAY; way++)
        if (both_carry(ends, way)) {
            ladder->way = way;
            carried(ladder, now);
            say(ladder, "carried so by both ends already");
            return;
        }
    for (size_t e = 0; e < 2; e++) {
        struct end *end = &ladder->ends[e];
        if (!ends[e].answers || ends[e].carries == LADDER_HUB) {
            end->stray = LONG_AGO;
            continue;
        }
        strays = true;
        if (end->stray == LONG_AGO)
            end->stray = now;
        if (now - end->stray >= (ends[e].carries == LADDER_TRYING ? OTHERS_TRIAL : OTHERS_CARRY) && now - end->ordered >= AGAIN)
            order(ladder, now, orders, e, LADDER_YIELD);
    }
    if (!strays && ends[0].answers && ends[1].answers && climb_is_due(ladder, now))
        climb_or_rest(ladder, now, ends, orders);
}

/* --- turns */

static void take_views(struct ladder *ladder, int64_t now, const struct ladder_end ends[2])
{
    for (size_t e = 0; e < 2; e++) {
        struct end *end = &ladder->ends[e];
        if (end->answered == LONG_AGO)
            end->answered = now;
        if (!ends[e].answers) {
            end->rx_at = now;
            continue;
        }
        end->answered = now;
        end->fingerprint = ladder_fingerprint(&ladder->options, &ends[e]);
        if (ends[e].rx != end->rx)
            end->rx_at = now;
        end->rx = ends[e].rx;
        end->age = ends[e].age;
    }
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_of(const struct ladder *ladder, int64_t now)
{
    int64_t next = now + (ladder->phase == RESTING || ladder->phase == CARRIED ? REST : TURN);
    if (ladder->phase == KNOCKING) {
        next = earliest(next, ladder->until);
        for (size_t e = 0; e < 2; e++)
            if (!ladder->ends[e].told)
                next = earliest(next, ladder->begun + later(ladder, e));
    }
    if (ladder->phase == RESTING) {
        next = earliest(next, ladder->climb_at);
        if (has_changed(ladder))
            next = earliest(next, ladder->change_at);
    }
    return next > now + TURN / 5 ? next : now + (ladder->phase == RESTING ? TURN : TURN / 5);
}

void ladder_turn(struct ladder *ladder, int64_t now, const struct ladder_end ends[2], struct ladder_order orders[2])
{
    static void (*const deeds[PHASES])(struct ladder *, int64_t, const struct ladder_end *, struct ladder_order *) = {
        [RESTING] = on_resting, [LEAVING] = on_leaving, [KNOCKING] = on_knocking, [CHANGING] = on_changing, [CARRIED] = on_carried,
    };
    orders[0] = orders[1] = (struct ladder_order){.deed = LADDER_NOTHING};
    take_views(ladder, now, ends);
    deeds[ladder->phase](ladder, now, ends, orders);
    ladder->next = next_of(ladder, now);
}
