/* What comes from the terminal: any bytes, in any pieces. Keys are known ones, nothing is kept for ever, and what was pasted ends. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/tui/terminal_private.h"
#include "wgdeck/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static int64_t drain(struct key_reader *reader, int64_t now)
{
    struct key_event event;
    while (key_reader_next(reader, now, &event))
        require(event.code && event.code <= KEY_CODE_PASTE_END && (event.code != KEY_CODE_MOUSE || (event.row >= 0 && event.column >= 0)));
    return now;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key_reader reader = {.length = 0};
    int64_t now = CLOCK_SECOND;
    for (size_t at = 0; at + 1 < size;) { /* a byte of length and of time, then the piece */
        size_t piece = data[at] & 31, left = size - at - 1, room = sizeof reader.bytes - reader.length;
        piece = piece < left ? piece : left;
        piece = piece < room ? piece : room;
        require(room);
        now += (data[at] >> 5) * 10 * CLOCK_MILLISECOND;
        memcpy(reader.bytes + reader.length, data + at + 1, piece);
        reader.length += piece;
        reader.at = now;
        now = drain(&reader, now);
        at += 1 + piece;
    }
    for (int i = 0; i < 3; i++)
        drain(&reader, now += 2 * CLOCK_SECOND);
    require(!reader.length && !reader.pasting);
    return 0;
}
