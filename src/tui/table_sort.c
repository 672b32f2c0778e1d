/* Sorting of a table's rows: 500,000 of them within a frame, in the order of 64-bit keys, stable. */
#include <stdlib.h>
#include <string.h>

#include "table_private.h"
#include "wgdeck/mem.h"

enum { DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

struct keyed { uint64_t key; uint32_t row; };

/* One pass of a radix sort: by the digit at SHIFT. */
static void sort_by_digit(const struct keyed *from, struct keyed *to, size_t count, unsigned shift)
{
    size_t starts[DIGITS] = {0}, at = 0;
    for (size_t i = 0; i < count; i++)
        starts[(from[i].key >> shift) & (DIGITS - 1)]++;
    for (size_t i = 0; i < DIGITS; i++) {
        size_t here = starts[i];
        starts[i] = at;
        at += here;
    }
    for (size_t i = 0; i < count; i++)
        to[starts[(from[i].key >> shift) & (DIGITS - 1)]++] = from[i];
}

void table_sort_rows(struct table *table, const struct scene *scene)
{
    const struct table_column *column = &table->list->columns[table->sort];
    uint32_t *rows = table->rows;
    size_t count = table->count;
    if (!column->order || count < 2)
        return;
    if (table->sort_room < count) {
        table->sort_room = count;
        table->sort_space = mem_resize(table->sort_space, count, 2 * sizeof(struct keyed));
    }
    struct keyed *keyed = table->sort_space, *other = keyed + count;
    uint64_t all = UINT64_MAX, any = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t key = column->order(scene, rows[i]);
        if (table->inverted && key != UINT64_MAX)
            key = UINT64_MAX - 1 - key;
        all &= key;
        any |= key;
        keyed[i] = (struct keyed){key, rows[i]};
    }
    uint64_t differing = all ^ any; /* digits that are the same in all keys need no pass */
    for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
        if (!((differing >> shift) & (DIGITS - 1)))
            continue;
        sort_by_digit(keyed, other, count, shift);
        struct keyed *swap = keyed;
        keyed = other;
        other = swap;
    }
    for (size_t i = 0; i < count; i++)
        rows[i] = keyed[i].row;
}
