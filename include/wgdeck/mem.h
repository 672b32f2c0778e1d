/* Allocation that ends the program when memory is gone, so that no caller checks. */
#ifndef WGDECK_MEM_H
#define WGDECK_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *mem_alloc(size_t count, size_t size);              /* zeroed; count * size is checked */
void *mem_resize(void *old, size_t count, size_t size);  /* as reallocarray; not zeroed */
void *mem_copy(const void *from, size_t count, size_t size); /* an array as it is, pointers in it too; NULL with COUNT 0 */
char *mem_text(const char *text);                        /* as strdup; NULL gives NULL */
char *mem_text_part(const char *text, size_t length);    /* as strndup */
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Make room for one more element in a growing array: ITEMS (pointer), COUNT and CAPACITY (size_t) are
 * the caller's variables. The new element is at ITEMS[COUNT]; the caller zeroes it and raises COUNT. */
#define MEM_GROW(items, count, capacity)                                          \
    do {                                                                          \
        if ((count) == (capacity)) {                                              \
            (capacity) = (capacity) ? (capacity) * 2 : 8;                         \
            (items) = mem_resize((items), (capacity), sizeof *(items));           \
        }                                                                         \
    } while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
