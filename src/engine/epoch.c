/* Grace periods for what the data threads may still look at. Retired things carry the number of the epoch in which they were unpublished; a reader
 * that went online in a later one cannot have found them. */
#include "epoch.h"

#include <time.h>

void epoch_begin(struct epoch *epoch)
{
    atomic_init(&epoch->now, 1);
    for (unsigned i = 0; i < EPOCH_READERS; i++)
        atomic_init(&epoch->readers[i].seen, 0);
    epoch->retired = NULL;
    epoch->retired_end = &epoch->retired;
}

/* The oldest epoch that a reader online may have begun in; LATEST if there is none older. */
static uint64_t oldest(struct epoch *epoch, uint64_t latest)
{
    for (unsigned i = 0; i < EPOCH_READERS; i++) {
        uint64_t seen = atomic_load(&epoch->readers[i].seen);
        if (seen && seen < latest)
            latest = seen;
    }
    return latest;
}

void epoch_retire(struct epoch *epoch, struct epoch_retired *retired, void (*release)(struct epoch_retired *))
{
    retired->next = NULL;
    retired->release = release;
    retired->when = atomic_fetch_add(&epoch->now, 1);
    *epoch->retired_end = retired;
    epoch->retired_end = &retired->next;
}

int epoch_reclaim(struct epoch *epoch)
{
    /* What a release retires anew is of a later epoch: it waits for the next call. */
    uint64_t limit;
    if (!epoch->retired)
        return 0;
    limit = oldest(epoch, atomic_load(&epoch->now));
    while (epoch->retired && epoch->retired->when < limit) {
        struct epoch_retired *retired = epoch->retired;
        epoch->retired = retired->next;
        if (!epoch->retired)
            epoch->retired_end = &epoch->retired;
        retired->release(retired);
    }
    return epoch->retired != NULL;
}

void epoch_wait(struct epoch *epoch)
{
    uint64_t target = atomic_fetch_add(&epoch->now, 1) + 1;
    while (oldest(epoch, target) < target)
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}
