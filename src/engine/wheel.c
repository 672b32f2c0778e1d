/* A hierarchical timing wheel: one deadline a peer, O(1) to arm and to disarm, nothing to sweep. Control thread.
 *
 * Time is a number of ticks (2^22 ns, about 4.2 ms), read as digits of 6 bits. A deadline stands on the level of the highest digit in which it differs from now,
 * in the slot of that digit; so all of a level lie before all of the next, and the earliest slot is found by its bit. When now reaches a slot of a
 * higher level, its deadlines move down. */
#include "wheel.h"

#include <stdlib.h>

#include "engine.h"
#include "wgdeck/mem.h"

enum { TICK_BITS = 22, DIGIT_BITS = 6, SLOTS = 1 << DIGIT_BITS, LEVELS = 7 /* 42 bits: all that 63 bits of nanoseconds have */ };

struct wheel {
    uint64_t now;                   /* ticks; all up to it have fired but for what is in DUE */
    struct peer *due;               /* fires at once */
    uint64_t occupied[LEVELS];      /* a bit a slot; may stay set for a slot that was emptied by disarming */
    struct peer *slots[LEVELS][SLOTS];
};

struct wheel *wheel_new(int64_t now)
{
    struct wheel *wheel = mem_alloc(1, sizeof *wheel);
    wheel->now = (uint64_t)now >> TICK_BITS;
    return wheel;
}

static void unlink_peer(struct peer *peer)
{
    if (!peer->timer_back)
        return;
    *peer->timer_back = peer->timer_next;
    if (peer->timer_next)
        peer->timer_next->timer_back = peer->timer_back;
    peer->timer_back = NULL;
    peer->timer_next = NULL;
}

static void link_peer(struct peer **list, struct peer *peer)
{
    peer->timer_next = *list;
    peer->timer_back = list;
    if (*list)
        (*list)->timer_back = &peer->timer_next;
    *list = peer;
}

void wheel_free(struct wheel *wheel)
{
    if (!wheel)
        return;
    while (wheel->due)
        unlink_peer(wheel->due);
    for (unsigned level = 0; level < LEVELS; level++)
        for (unsigned slot = 0; slot < SLOTS; slot++)
            while (wheel->slots[level][slot])
                unlink_peer(wheel->slots[level][slot]);
    free(wheel);
}

/* peer->timer_slot is its tick. */
static void place(struct wheel *wheel, struct peer *peer)
{
    uint64_t tick = peer->timer_slot;
    if (tick <= wheel->now) {
        link_peer(&wheel->due, peer);
        return;
    }
    unsigned level = (unsigned)(63 - __builtin_clzll(tick ^ wheel->now)) / DIGIT_BITS;
    unsigned slot = (unsigned)(tick >> (level * DIGIT_BITS)) % SLOTS;
    wheel->occupied[level] |= UINT64_C(1) << slot;
    link_peer(&wheel->slots[level][slot], peer);
}

void wheel_arm(struct wheel *wheel, struct peer *peer, int64_t deadline)
{
    unlink_peer(peer);
    uint64_t tick = 0; /* rounded up: never early */
    if (deadline > 0)
        tick = ((uint64_t)deadline + (UINT64_C(1) << TICK_BITS) - 1) >> TICK_BITS;
    peer->timer_slot = tick;
    place(wheel, peer);
}

void wheel_disarm(struct wheel *wheel, struct peer *peer)
{
    (void)wheel; /* the slot's bit stays; the turn that finds it empty clears it */
    unlink_peer(peer);
}

/* The tick at which the earliest occupied slot begins, and which it is; UINT64_MAX: none. */
static uint64_t earliest(const struct wheel *wheel, unsigned *level, unsigned *slot)
{
    for (*level = 0; *level < LEVELS; (*level)++)
        if (wheel->occupied[*level]) {
            unsigned shift = *level * DIGIT_BITS;
            *slot = (unsigned)__builtin_ctzll(wheel->occupied[*level]);
            return ((wheel->now >> shift >> DIGIT_BITS) << DIGIT_BITS | *slot) << shift;
        }
    return UINT64_MAX;
}

int64_t wheel_next(const struct wheel *wheel)
{
    if (wheel->due)
        return 0;
    unsigned level, slot;
    uint64_t tick = earliest(wheel, &level, &slot);
    return tick == UINT64_MAX ? INT64_MAX : (int64_t)(tick << TICK_BITS);
}

struct peer *wheel_fire(struct wheel *wheel, int64_t now)
{
    uint64_t target = (uint64_t)now >> TICK_BITS;
    unsigned level, slot;
    while (!wheel->due) {
        uint64_t tick = earliest(wheel, &level, &slot);
        if (tick > target) {
            if (target > wheel->now)
                wheel->now = target;
            return NULL;
        }
        wheel->now = tick;
        wheel->occupied[level] &= ~(UINT64_C(1) << slot);
        struct peer *peer;
        while ((peer = wheel->slots[level][slot]) != NULL) {
            unlink_peer(peer);
            place(wheel, peer);
        }
    }
    struct peer *peer = wheel->due;
    unlink_peer(peer);
    return peer;
}
