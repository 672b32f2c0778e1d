/* secret.h: memory for keys. */
#include "unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/secret.h"

static bool is_zero(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++)
        if (at[i])
            return false;
    return true;
}

static void test_take_and_give(void **state)
{
    static const size_t sizes[] = {1, 64, 65, 1000, 1408, 9000, 70000};
    (void)state;
    for (size_t row = 0; row < COUNT_OF(sizes); row++) {
        enum { COUNT = 300 };
        struct secret_pool *pool = secret_pool_new(sizes[row]);
        uint8_t *objects[COUNT];
        size_t full;
        for (size_t i = 0; i < COUNT; i++) {
            objects[i] = secret_take(pool);
            CASE_ASSERT(row, (uintptr_t)objects[i] % 64 == 0);
            CASE_ASSERT(row, is_zero(objects[i], sizes[row]));
            memset(objects[i], (int)i + 1, sizes[row]);
        }
        for (size_t i = 0; i < COUNT; i++)
            CASE_ASSERT(row, objects[i][0] == (uint8_t)(i + 1) && objects[i][sizes[row] - 1] == (uint8_t)(i + 1));
        full = secret_bytes(pool);
        CASE_ASSERT(row, full >= COUNT * sizes[row] && full < 2 * COUNT * sizes[row] + (1 << 20));
        for (size_t i = 0; i < COUNT; i += 2)
            secret_give(pool, objects[i]);
        for (size_t i = 0; i < COUNT; i += 2) { /* used again, and wiped before */
            objects[i] = secret_take(pool);
            CASE_ASSERT(row, is_zero(objects[i], sizes[row]));
        }
        CASE_ASSERT(row, secret_bytes(pool) <= full);
        for (size_t i = 0; i < COUNT; i++)
            secret_give(pool, objects[i]);
        secret_give(pool, NULL);
        CASE_ASSERT(row, secret_bytes(pool) < full || full < 300000); /* all but one slab went back */
        CASE_ASSERT(row, is_zero(secret_take(pool), sizes[row]));
        secret_pool_free(pool);
    }
    secret_pool_free(NULL);
}

/* How a child that does WORK with the object ends: its exit status, or minus a signal. */
static int child_of(void (*work)(struct secret_pool *, uint8_t *), struct secret_pool *pool, uint8_t *object)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(99);
        work(pool, object);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void look(struct secret_pool *pool, uint8_t *object)
{
    (void)pool;
    _exit(*(volatile uint8_t *)object);
}

__attribute__((no_sanitize("address"))) static void run_over(struct secret_pool *pool, uint8_t *object)
{
    (void)pool;
    for (volatile uint8_t *at = object;; at++)
        *at = 1;
}

__attribute__((no_sanitize("address"))) static void run_under(struct secret_pool *pool, uint8_t *object)
{
    (void)pool;
    for (volatile uint8_t *at = object;; at--)
        *at = 1;
}

static void test_guarded(void **state)
{
    struct secret_pool *pool = secret_pool_new(100);
    uint8_t *object = secret_take(pool);
    (void)state;
    *object = 42;
    assert_int_equal(child_of(look, pool, object), 0); /* wiped on fork */
    assert_int_equal(*object, 42);
    assert_int_equal(child_of(run_over, pool, object), -SIGSEGV);
    assert_int_equal(child_of(run_under, pool, object), -SIGSEGV);
    secret_pool_free(pool);
}

/* The flags that smaps shows for the mapping of OBJECT: lo locked, dd not dumped, wf wiped on fork. */
static void flags_of(const void *object, char flags[static 256])
{
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long from, to;
    bool here = false;
    *flags = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = from <= (uintptr_t)object && (uintptr_t)object < to;
        else if (here && !strncmp(line, "VmFlags:", 8))
            snprintf(flags, 256, "%.255s", line + 8);
    }
    fclose(file);
}

static void test_flags(void **state)
{
    struct secret_pool *pool = secret_pool_new(100);
    void *object = secret_take(pool);
    char flags[256];
    (void)state;
    flags_of(object, flags);
    assert_non_null(strstr(flags, " dd"));
    assert_non_null(strstr(flags, " wf"));
    if (secret_unlocked() == 0)
        assert_non_null(strstr(flags, " lo"));
    secret_give(pool, object);
    secret_pool_free(pool);
}

static void give_twice(struct secret_pool *pool, uint8_t *object)
{
    /* In the parent this would be the same; a child's pool is wiped, so that it makes one of its own. */
    pool = secret_pool_new(64);
    object = secret_take(pool);
    secret_take(pool);
    secret_give(pool, object);
#ifdef __SANITIZE_ADDRESS__
    abort(); /* the sanitizer ends it before we do */
#endif
    secret_give(pool, object);
}

static void test_given_twice(void **state)
{
    (void)state;
    assert_int_equal(child_of(give_twice, NULL, NULL), -SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_and_give),
        cmocka_unit_test(test_guarded),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_given_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
