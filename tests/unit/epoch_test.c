/* epoch.h: what is retired is released when no reader can see it, and not before. */
#include "unit.h"

#include <pthread.h>

#include "engine/epoch.h"

struct thing {
    struct epoch_retired retired;
    struct epoch *epoch;
    int released;
    bool again;
};

static void release(struct epoch_retired *retired)
{
    struct thing *thing = (void *)retired;
    thing->released++;
    if (thing->again) {
        thing->again = false;
        epoch_retire(thing->epoch, retired, release);
    }
}

static void test_order(void **state)
{
    struct epoch epoch;
    struct thing a = {0}, b = {0}, c = {.epoch = &epoch, .again = true};
    (void)state;
    epoch_begin(&epoch);
    assert_int_equal(epoch_reclaim(&epoch), 0);
    epoch_enter(&epoch, 0);
    epoch_retire(&epoch, &a.retired, release);
    epoch_enter(&epoch, 33); /* began after a was taken away, before b is */
    epoch_retire(&epoch, &b.retired, release);
    assert_int_equal(epoch_reclaim(&epoch), 1);
    assert_int_equal(a.released, 0);
    epoch_leave(&epoch, 0);
    assert_int_equal(epoch_reclaim(&epoch), 1);
    assert_int_equal(a.released, 1);
    assert_int_equal(b.released, 0);
    epoch_enter(&epoch, 0); /* a newer one does not hold b */
    epoch_leave(&epoch, 33);
    assert_int_equal(epoch_reclaim(&epoch), 0);
    assert_int_equal(b.released, 1);
    epoch_leave(&epoch, 0);
    /* Retired anew by its release: the next call's, not an endless loop. */
    epoch_retire(&epoch, &c.retired, release);
    assert_int_equal(epoch_reclaim(&epoch), 1);
    assert_int_equal(c.released, 1);
    assert_int_equal(epoch_reclaim(&epoch), 0);
    assert_int_equal(c.released, 2);
    epoch_wait(&epoch); /* nobody online: at once */
}

/* A pointer to a number that is never 0 while somebody may see it. */
enum { READERS = 3, ROUNDS = 4000 };
static struct shared { struct epoch_retired retired; int value; } *_Atomic shared;
static struct epoch shared_epoch;
static atomic_bool stop;

static void spoil(struct epoch_retired *retired)
{
    ((struct shared *)(void *)retired)->value = 0;
    free(retired);
}

static void *reader(void *number)
{
    size_t wrong = 0;
    while (!atomic_load(&stop)) {
        epoch_enter(&shared_epoch, (unsigned)(uintptr_t)number);
        wrong += atomic_load(&shared)->value == 0;
        epoch_leave(&shared_epoch, (unsigned)(uintptr_t)number);
    }
    return (void *)wrong;
}

static struct shared *shared_new(int value)
{
    struct shared *new = mem_alloc(1, sizeof *new);
    new->value = value;
    return new;
}

static void test_threads(void **state)
{
    pthread_t threads[READERS];
    void *wrong;
    (void)state;
    epoch_begin(&shared_epoch);
    atomic_store(&shared, shared_new(1));
    for (uintptr_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, (void *)i), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct shared *old = atomic_exchange(&shared, shared_new(i + 1));
        if (i % 100) {
            epoch_retire(&shared_epoch, &old->retired, spoil);
            epoch_reclaim(&shared_epoch);
        } else {
            epoch_wait(&shared_epoch);
            spoil(&old->retired);
        }
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(epoch_reclaim(&shared_epoch), 0);
    free(atomic_load(&shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
