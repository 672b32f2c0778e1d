/* How much may be under way to the terminal. Between us and the screen there may be a slow line behind much memory (a pty, ssh), where what was sent
 * waits for a minute before it is seen, and a key's effect behind it. So the terminal is asked for its status now and then (DSR 5); its answer tells
 * that all before the question is on the screen, and how long that took. One question at a time. Pure: no clock, no I/O. */
#include "terminal_private.h"
#include "wgdeck/clock.h"

#define FRAME_GAP (250 * CLOCK_MILLISECOND)   /* between frames that no key asked for, on any line */
#define GAP_MOST (3 * CLOCK_SECOND)
#define FIRST_WAIT (3 * CLOCK_SECOND)         /* then it is a terminal that does not answer */
#define LOST_WAIT (10 * CLOCK_SECOND)         /* then an answer was lost; and a while more for each byte before the question */
#define LOST_WAIT_BYTE (2 * CLOCK_MILLISECOND)
#define NOTICED (20 * CLOCK_MILLISECOND)      /* a line that needs less is fast */
#define SHARE 3                               /* news take one part in so many of the line */
#define LEAVE_WAIT (200 * CLOCK_MILLISECOND)
#define LEAVE_WAIT_MOST CLOCK_SECOND

enum { WINDOW_FIRST = 4096, WINDOW_LEAST = 200, WINDOW_MOST = 65536, SAMPLE_LEAST = 100 };

void pace_begin(struct pace *pace, bool able)
{
    *pace = (struct pace){.deaf = !able, .least = INT64_MAX, .window = WINDOW_FIRST};
}

static void give_up(struct pace *pace, int64_t now)
{
    if (!pace->asked)
        return;
    if (!pace->answered && now - pace->asked_at >= FIRST_WAIT) {
        pace->deaf = true;
        pace->asked = false;
    } else if (pace->answered && now - pace->asked_at >= LOST_WAIT + (int64_t)pace->before * LOST_WAIT_BYTE) {
        pace->asked = false;
    }
}

void pace_sent(struct pace *pace, size_t bytes, int64_t now)
{
    if (!pace->behind)
        pace->behind_from = now;
    pace->behind += bytes;
}

bool pace_asks(struct pace *pace, int64_t now)
{
    give_up(pace, now);
    if (pace->deaf || pace->asked || !pace->behind)
        return false;
    pace->asked = true;
    pace->asked_at = now;
    pace->before = pace->behind;
    pace->before_from = pace->behind_from;
    pace->behind = 0;
    return true;
}

/* From two answers that many bytes lie between: bytes a second, and so how long the last ones took. */
static void learn(struct pace *pace, int64_t took)
{
    if (took < pace->least) {
        pace->least = took;
        pace->least_bytes = pace->before;
    }
    int64_t longer = took - pace->least;
    bool is_sample = pace->before >= pace->least_bytes + SAMPLE_LEAST;
    if (is_sample && longer > NOTICED)
        pace->rate = (double)(pace->before - pace->least_bytes) * (double)CLOCK_SECOND / (double)longer;
    else if (is_sample)
        pace->rate = 0;
    pace->busy = longer;
    if (pace->rate > 0) {
        double busy = (double)pace->before / pace->rate * (double)CLOCK_SECOND;
        if (busy > (double)pace->busy)
            pace->busy = busy < (double)GAP_MOST ? (int64_t)busy : GAP_MOST;
        double window = pace->rate * 0.3;
        pace->window = window < WINDOW_LEAST ? WINDOW_LEAST : window > WINDOW_MOST ? WINDOW_MOST : (size_t)window;
    } else if (longer <= NOTICED && pace->before >= pace->window / 2 && pace->window < WINDOW_MOST) {
        pace->window *= 2;
    }
}

void pace_answered(struct pace *pace, int64_t now)
{
    if (!pace->asked && !pace->deaf)
        return;
    pace->deaf = false; /* late, but it does answer */
    pace->answered = true;
    pace->answered_at = now;
    if (pace->asked)
        learn(pace, now - pace->before_from);
    pace->asked = false;
}

void pace_frame(struct pace *pace, int64_t now)
{
    pace->frame_at = now;
}

int64_t pace_wait(struct pace *pace, bool urgent, int64_t now)
{
    give_up(pace, now);
    int64_t lost = pace->asked_at + LOST_WAIT + (int64_t)pace->before * LOST_WAIT_BYTE;
    bool waits = pace->asked && pace->answered;
    if (urgent)
        return waits && pace->before + pace->behind >= pace->window ? lost - now : 0;
    if (waits)
        return lost - now;
    int64_t gap = pace->busy * (SHARE - 1), next = pace->frame_at ? pace->frame_at + FRAME_GAP : now;
    if (pace->answered && pace->answered_at + (gap < GAP_MOST ? gap : GAP_MOST) > next)
        next = pace->answered_at + (gap < GAP_MOST ? gap : GAP_MOST);
    return next > now ? next - now : 0;
}

int64_t pace_last_wait(struct pace *pace, int64_t now)
{
    give_up(pace, now);
    if (!pace->asked)
        return 0;
    int64_t usual = pace->rate > 0 ? (int64_t)((double)pace->before / pace->rate * (double)CLOCK_SECOND) + pace->least : 0;
    int64_t wait = pace->asked_at + 2 * usual - now;
    return wait < LEAVE_WAIT ? LEAVE_WAIT : wait > LEAVE_WAIT_MOST ? LEAVE_WAIT_MOST : wait;
}
