/* Memory for keys: slabs between guard pages, locked, kept out of core dumps and of forked children, wiped when given back.
 * Objects of one size share slabs, so that 10,000 peers cost little more than their bytes. Any thread (one short lock). */
#ifndef WGDECK_ENGINE_SECRET_H
#define WGDECK_ENGINE_SECRET_H

#include <stddef.h>

struct secret_pool;
struct secret_pool *secret_pool_new(size_t size);  /* SIZE bytes an object, aligned to 64 */
void secret_pool_free(struct secret_pool *pool);   /* wipes and unmaps all */
void *secret_take(struct secret_pool *pool);       /* zeroed; never NULL (ends the program when memory is gone) */
void secret_give(struct secret_pool *pool, void *object); /* wiped; empty slabs beyond one go back to the system; NULL is nothing */
size_t secret_bytes(const struct secret_pool *pool); /* mapped */
int secret_unlocked(void); /* how many slabs could not be locked (RLIMIT_MEMLOCK); said once in the log */

#endif
