/* RFC 6479: a ring of words, cleared word by word as the highest counter moves on. One word of the ring is always being refilled, so the window that can be
 * told apart is one word less than the ring. */
#include "replay.h"

#define WORDS (REPLAY_BITS / 64)
#define WINDOW (REPLAY_BITS - 64)

static void advance(struct replay *replay, uint64_t counter)
{
    uint64_t top = replay->next ? (replay->next - 1) / 64 : 0;
    uint64_t words = counter / 64 - top;
    if (words > WORDS)
        words = WORDS;
    for (uint64_t i = 1; i <= words; i++)
        replay->window[(top + i) % WORDS] = 0;
    replay->next = counter + 1;
}

bool replay_take(struct replay *replay, uint64_t counter)
{
    uint64_t *word = &replay->window[counter / 64 % WORDS], bit = UINT64_C(1) << counter % 64;
    if (counter >= REJECT_AFTER_MESSAGES)
        return false;
    if (counter >= replay->next)
        advance(replay, counter);
    else if (replay->next - 1 - counter > WINDOW)
        return false;
    if (*word & bit)
        return false;
    *word |= bit;
    return true;
}
