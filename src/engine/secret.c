/* Slabs for keys. A slab is a power of two of address space, aligned to its size, so that an object's slab is found from its address:
 * a guard page, this header, the objects, a guard page. Pages are locked as they are touched: an idle pool costs what is used of it. */
#include "secret.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sodium.h>

#include "wgdeck/log.h"
#include "wgdeck/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif
#ifdef ADDRESS_SANITIZER /* it then sees a use of what was given back */
#include <sanitizer/asan_interface.h>
#define HIDE(memory, size) __asan_poison_memory_region(memory, size)
#define SHOW(memory, size) __asan_unpoison_memory_region(memory, size)
#else
#define HIDE(memory, size) ((void)(memory), (void)(size))
#define SHOW(memory, size) ((void)(memory), (void)(size))
#endif

#define SLAB_PAGES 16
#define SLAB_OBJECTS 1024

struct slab {
    struct slab *next, **back;  /* among those with room */
    struct slab *all_next, **all_back;
    unsigned taken_count;
    uint64_t taken[SLAB_OBJECTS / 64];
};

struct secret_pool {
    pthread_mutex_t lock;
    size_t size, per_slab;      /* bytes an object; objects a slab */
    size_t page, slab_size;
    struct slab *roomy, *all;
    size_t slabs, empty;
};

static atomic_int unlocked;

int secret_unlocked(void)
{
    return atomic_load(&unlocked);
}

static size_t round_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

#define HEADER round_up(sizeof(struct slab), 64)

static uint8_t *slab_objects(struct slab *slab)
{
    return (uint8_t *)slab + HEADER;
}

static size_t slab_usable(const struct secret_pool *pool)
{
    return pool->slab_size - 2 * pool->page;
}

struct secret_pool *secret_pool_new(size_t size)
{
    struct secret_pool *pool = mem_alloc(1, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pool->size = round_up(size ? size : 1, 64);
    pool->page = (size_t)sysconf(_SC_PAGESIZE);
    pool->slab_size = SLAB_PAGES * pool->page;
    while ((slab_usable(pool) - HEADER) / pool->size < 4)
        pool->slab_size *= 2;
    pool->per_slab = (slab_usable(pool) - HEADER) / pool->size;
    if (pool->per_slab > SLAB_OBJECTS)
        pool->per_slab = SLAB_OBJECTS;
    return pool;
}

static void no_memory(void)
{
    log_error("out of memory: no room for keys: %s", strerror(errno));
    abort();
}

/* Address space of the slab's size, aligned to it; nothing may touch it yet. */
static uint8_t *reserve(const struct secret_pool *pool)
{
    size_t size = pool->slab_size, before;
    uint8_t *memory = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        no_memory();
    before = (size - (uintptr_t)memory % size) % size;
    if (before)
        munmap(memory, before);
    munmap(memory + before + size, size - before);
    return memory + before;
}

static void lock_pages(void *memory, size_t size)
{
    struct rlimit limit = {0};
    if (mlock2(memory, size, MLOCK_ONFAULT) == 0 || (errno == ENOSYS && mlock(memory, size) == 0))
        return;
    if (atomic_fetch_add(&unlocked, 1))
        return;
    getrlimit(RLIMIT_MEMLOCK, &limit);
    log_notice("memory for keys cannot be locked beyond %llu KB, some may be written to swap: raise the limit (LimitMEMLOCK=, ulimit -l) or give CAP_IPC_LOCK",
               (unsigned long long)limit.rlim_cur / 1024);
}

static void link_roomy(struct secret_pool *pool, struct slab *slab)
{
    slab->next = pool->roomy;
    slab->back = &pool->roomy;
    if (slab->next)
        slab->next->back = &slab->next;
    pool->roomy = slab;
}

static void unlink_roomy(struct slab *slab)
{
    *slab->back = slab->next;
    if (slab->next)
        slab->next->back = slab->back;
}

static struct slab *slab_new(struct secret_pool *pool)
{
    uint8_t *memory = reserve(pool) + pool->page;
    struct slab *slab;
    if (mprotect(memory, slab_usable(pool), PROT_READ | PROT_WRITE) != 0)
        no_memory();
    madvise(memory, slab_usable(pool), MADV_DONTDUMP);
    madvise(memory, slab_usable(pool), MADV_WIPEONFORK);
    lock_pages(memory, slab_usable(pool));
    slab = (struct slab *)(void *)memory;
    HIDE(slab_objects(slab), slab_usable(pool) - HEADER);
    slab->all_next = pool->all;
    slab->all_back = &pool->all;
    if (slab->all_next)
        slab->all_next->all_back = &slab->all_next;
    pool->all = slab;
    link_roomy(pool, slab);
    pool->slabs++;
    pool->empty++;
    return slab;
}

static void slab_free(struct secret_pool *pool, struct slab *slab)
{
    *slab->all_back = slab->all_next;
    if (slab->all_next)
        slab->all_next->all_back = slab->all_back;
    pool->slabs--;
    SHOW(slab, slab_usable(pool));
    sodium_memzero(slab, slab_usable(pool));
    munmap((uint8_t *)slab - pool->page, pool->slab_size);
}

void secret_pool_free(struct secret_pool *pool)
{
    if (!pool)
        return;
    while (pool->all)
        slab_free(pool, pool->all);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static size_t slab_claim(struct secret_pool *pool, struct slab *slab)
{
    size_t word = 0, at;
    while (!~slab->taken[word])
        word++;
    at = word * 64 + (size_t)__builtin_ctzll(~slab->taken[word]);
    slab->taken[word] |= UINT64_C(1) << at % 64;
    if (slab->taken_count++ == 0)
        pool->empty--;
    if (slab->taken_count == pool->per_slab)
        unlink_roomy(slab);
    return at;
}

void *secret_take(struct secret_pool *pool)
{
    struct slab *slab;
    uint8_t *object;
    pthread_mutex_lock(&pool->lock);
    slab = pool->roomy ? pool->roomy : slab_new(pool);
    object = slab_objects(slab) + slab_claim(pool, slab) * pool->size;
    SHOW(object, pool->size);
    pthread_mutex_unlock(&pool->lock);
    return object;
}

static void slab_return(struct secret_pool *pool, struct slab *slab, size_t at)
{
    if (at >= pool->per_slab || !(slab->taken[at / 64] >> at % 64 & 1)) {
        log_error("a key's memory was given back twice");
        abort();
    }
    slab->taken[at / 64] &= ~(UINT64_C(1) << at % 64);
    if (slab->taken_count-- == pool->per_slab)
        link_roomy(pool, slab);
    if (slab->taken_count)
        return;
    if (pool->empty) {
        unlink_roomy(slab);
        slab_free(pool, slab);
    } else {
        pool->empty++;
    }
}

void secret_give(struct secret_pool *pool, void *object)
{
    struct slab *slab;
    if (!object)
        return;
    sodium_memzero(object, pool->size);
    slab = (struct slab *)(void *)(((uintptr_t)object & ~(uintptr_t)(pool->slab_size - 1)) + pool->page);
    pthread_mutex_lock(&pool->lock);
    HIDE(object, pool->size);
    slab_return(pool, slab, (size_t)((uint8_t *)object - slab_objects(slab)) / pool->size);
    pthread_mutex_unlock(&pool->lock);
}

size_t secret_bytes(const struct secret_pool *pool)
{
    return pool->slabs * slab_usable(pool);
}
