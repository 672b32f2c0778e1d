/* The text of a state, as it is read back to be put back: what is taken must come out the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/node/state.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {{0}};
    struct state state, again;
    struct buf first = BUF_EMPTY, second = BUF_EMPTY;
    if (state_parse((const char *)data, size, &state, &err)) {
        if (!text_is_safe(err.text, strlen(err.text)))
            abort();
        return 0;
    }
    state_write(&state, &first);
    if (state_parse(first.data, first.length, &again, &err) || !state_equal(&state, &again))
        abort();
    state_write(&again, &second);
    if (first.length != second.length || memcmp(first.data, second.data, first.length))
        abort();
    buf_wipe(&first);
    buf_wipe(&second);
    state_free(&state);
    state_free(&again);
    return 0;
}
