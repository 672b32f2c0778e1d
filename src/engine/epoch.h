/* Reclamation at quiescent points: what the data threads may still look at is freed only when none of them can (as RCU's grace periods).
 * A reader is ONLINE between two system calls that may wait; between epoch_enter and epoch_leave it may hold pointers that it loaded. */
#ifndef WGDECK_ENGINE_EPOCH_H
#define WGDECK_ENGINE_EPOCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define EPOCH_READERS 34 /* two a queue, the control thread, one to spare */

/* Each reader's mark on a cache line that no other writes; by distance, not alignment, so that any allocator will do for what embeds this. */
struct epoch {
    _Atomic uint64_t now; /* from 1 */
    char apart[56];
    struct epoch_reader {
        _Atomic uint64_t seen; /* 0: offline */
        char apart[56];
    } readers[EPOCH_READERS];
    struct epoch_retired *retired; /* control thread only; oldest first */
    struct epoch_retired **retired_end;
};

struct epoch_retired { /* embedded in what is retired */
    struct epoch_retired *next;
    uint64_t when;
    void (*release)(struct epoch_retired *retired);
};

void epoch_begin(struct epoch *epoch);
static inline void epoch_enter(struct epoch *epoch, unsigned reader)
{
    /* Sequentially consistent: the mark must stand before any pointer is loaded. Acquire: who saw an epoch sees all that was unpublished before it. */
    atomic_store(&epoch->readers[reader].seen, atomic_load_explicit(&epoch->now, memory_order_acquire));
}
static inline void epoch_leave(struct epoch *epoch, unsigned reader)
{
    atomic_store_explicit(&epoch->readers[reader].seen, 0, memory_order_release);
}
/* Control thread: RETIRED was unpublished before; its release is called by a later epoch_reclaim. */
void epoch_retire(struct epoch *epoch, struct epoch_retired *retired, void (*release)(struct epoch_retired *));
/* Control thread, now and then (each turn of its loop): releases what nobody can see any more. Returns whether something still waits. */
int epoch_reclaim(struct epoch *epoch);
/* Control thread, not online itself: returns when nobody can see what was unpublished before (short sleeps; readers never stay online for long). */
void epoch_wait(struct epoch *epoch);

#endif
