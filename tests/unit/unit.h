/* What every unit test includes: cmocka's headers in the order it wants, and helpers for tables of cases. */
#ifndef WGDECK_UNIT_H
#define WGDECK_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"

/* Say which row of a table failed, then fail. */
#define CASE_ASSERT(row, condition)                                                                     \
    do {                                                                                                \
        if (!(condition))                                                                               \
            fail_msg("case %zu: %s (%s:%d)", (size_t)(row), #condition, __FILE__, __LINE__);             \
    } while (0)

#endif
