/* Rates: so many an interval with a burst, for one thing (pace) or for each source address (limiter). */
#include "limiter.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

enum { WAYS = 4, SETS = 2048 }; /* 128 KB; touched only where addresses fall */

struct limiter_entry {
    uint64_t address; /* 0: free */
    int64_t ready;
};

struct limiter {
    uint8_t key[crypto_shorthash_KEYBYTES];
    struct limiter_entry entries[SETS][WAYS];
};

/* READY is the time at which the next one is due if they came evenly (the generic cell rate algorithm): one number instead of tokens and their time. */
bool pace_take(int64_t *ready, int64_t interval, unsigned burst, int64_t now)
{
    int64_t due = *ready > now ? *ready : now;
    if (due - now > interval * (int64_t)(burst - 1))
        return false;
    *ready = due + interval;
    return true;
}

struct limiter *limiter_new(void)
{
    struct limiter *limiter = mem_alloc(1, sizeof *limiter);
    randombytes_buf(limiter->key, sizeof limiter->key);
    return limiter;
}

void limiter_free(struct limiter *limiter)
{
    free(limiter);
}

uint64_t limiter_address(const struct limiter *limiter, const struct udp_endpoint *from)
{
    uint8_t bytes[9] = {0};
    if (from->to.plain.sa_family == AF_INET6) {
        bytes[0] = 6;
        memcpy(bytes + 1, &from->to.v6.sin6_addr, 8);
    } else {
        bytes[0] = 4;
        memcpy(bytes + 1, &from->to.v4.sin_addr, 4);
    }
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES, "one number");
    crypto_shorthash((uint8_t *)&hash, bytes, sizeof bytes, limiter->key);
    hash &= ~UINT64_C(1); /* the lowest bit tells the two rates of an address apart */
    return hash ? hash : 2;
}

bool limiter_take(struct limiter *limiter, uint64_t address, bool proved, int64_t now)
{
    address |= proved;
    struct limiter_entry *set = limiter->entries[(address >> 1) % SETS], *entry = &set[0];
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].address == address)
            return pace_take(&set[i].ready, LIMITER_INTERVAL, LIMITER_BURST, now);
        if (set[i].ready < entry->ready)
            entry = &set[i];
    }
    *entry = (struct limiter_entry){.address = address};
    return pace_take(&entry->ready, LIMITER_INTERVAL, LIMITER_BURST, now);
}
