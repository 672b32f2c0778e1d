/* How much may be under way to the terminal, on lines that are slow, far away, or both, with any amount of memory in between; and colours in few bytes.
 * Virtual time: a line is a rate, a latency, and whether the terminal at its end answers. */
#include "unit.h"

#include "tui/terminal_private.h"
#include "wgdeck/clock.h"

enum { QUESTION_BYTES = 4 };

struct line {
    double rate;                /* bytes a second */
    int64_t latency;            /* there and back */
    bool answers;
    int64_t free_at;            /* when all that was sent is on the screen */
    int64_t answer_at;          /* 0: no question is under way */
    size_t sent, news, news_frames, questions;
};

static void send_bytes(struct line *line, size_t bytes, int64_t now)
{
    if (line->free_at < now)
        line->free_at = now;
    line->free_at += (int64_t)((double)bytes / line->rate * (double)CLOCK_SECOND);
    line->sent += bytes;
}

static void ask(struct line *line, struct pace *pace, int64_t now)
{
    if (!pace_asks(pace, now))
        return;
    assert_int_equal(line->answer_at, 0); /* one at a time */
    send_bytes(line, QUESTION_BYTES, now);
    line->questions++;
    if (line->answers)
        line->answer_at = line->free_at + line->latency;
}

static void send_frame(struct line *line, struct pace *pace, size_t bytes, int64_t now)
{
    send_bytes(line, bytes, now);
    pace_sent(pace, bytes, now);
    pace_frame(pace, now);
    ask(line, pace, now);
}

static const struct {
    double rate;
    int milliseconds;           /* latency */
    bool answers;
    size_t first, news, key;    /* bytes of a frame */
    double lag, share, frames;  /* at most: seconds beside the key's own bytes; of the line; at least: news frames a second */
} lines[] = {
    {960, 20, true, 3000, 260, 90, 1.5, 0.45, 0.5},
    {960, 20, true, 3000, 120, 2200, 1.5, 0.45, 0.5},
    {960, 300, true, 3000, 260, 90, 1.5, 0.45, 0.5},
    {960, 300, true, 3000, 900, 2200, 1.5, 0.45, 0.1},
    {240, 50, true, 3000, 100, 40, 1.5, 0.45, 0.4},
    {11520, 30, true, 3000, 260, 2200, 0.5, 0.45, 2},
    {1e6, 2, true, 3000, 260, 2200, 0.1, 0.1, 3.5},
    {1e6, 300, true, 3000, 260, 2200, 0.5, 0.1, 1.5},
    {1e7, 0, true, 20000, 260, 90, 0.1, 0.1, 3.5},
    {1e6, 2, false, 3000, 260, 90, 0.1, 0.1, 3.5},
    {9600, 2, false, 3000, 260, 90, 0.5, 0.5, 3.5},
};

/* A minute of news 20 times a second, and a key now and then, which must not have to wait for what was sent before it. */
static void run_line(size_t i)
{
    struct line line = {.rate = lines[i].rate, .latency = lines[i].milliseconds * CLOCK_MILLISECOND, .answers = lines[i].answers};
    struct pace pace;
    int64_t begin = 1000 * CLOCK_SECOND, pressed = 0, end = begin + 60 * CLOCK_SECOND;
    bool news = false;
    unsigned seed = 7;
    pace_begin(&pace, true);
    pace_sent(&pace, 60, begin);
    send_bytes(&line, 60, begin);
    ask(&line, &pace, begin);
    send_frame(&line, &pace, lines[i].first, begin);
    int64_t next_key = begin + 15 * CLOCK_SECOND; /* when the first screen is there, on any of them */
    for (int64_t now = begin; now < end; now += CLOCK_MILLISECOND) {
        if (line.answer_at && now >= line.answer_at) {
            line.answer_at = 0;
            pace_answered(&pace, now);
            ask(&line, &pace, now);
        }
        news |= now % (50 * CLOCK_MILLISECOND) == 0;
        if (now >= next_key && !pressed) {
            pressed = now;
            next_key = now + (int64_t)(1 + (double)lines[i].key / lines[i].rate * 3) * CLOCK_SECOND + rand_r(&seed) % 1000 * CLOCK_MILLISECOND;
        }
        if (pressed && !pace_wait(&pace, true, now)) {
            send_frame(&line, &pace, lines[i].key, now);
            double lag = (double)(line.free_at - pressed) / (double)CLOCK_SECOND - (double)lines[i].key / lines[i].rate;
            CASE_ASSERT(i, lag < lines[i].lag);
            pressed = 0;
            news = false;
        } else if (news && !pace_wait(&pace, false, now)) {
            send_frame(&line, &pace, lines[i].news, now);
            line.news += now > begin + 10 * CLOCK_SECOND ? lines[i].news : 0;
            line.news_frames++;
            news = false;
        }
    }
    CASE_ASSERT(i, (double)line.news / lines[i].rate / 50 < lines[i].share);
    CASE_ASSERT(i, (double)line.news_frames / 60 > lines[i].frames);
    CASE_ASSERT(i, lines[i].answers ? line.questions > 10 : line.questions == 1);
    CASE_ASSERT(i, pace.deaf == !lines[i].answers);
}

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        run_line(i);
}

/* Keys that repeat 30 times a second: states are left out, and the last is not far. */
static void test_repeated_keys(void **state)
{
    struct line line = {.rate = 960, .latency = 20 * CLOCK_MILLISECOND, .answers = true};
    struct pace pace;
    int64_t now = 1000 * CLOCK_SECOND, end = now + 20 * CLOCK_SECOND, pressed = 0;
    (void)state;
    pace_begin(&pace, true);
    pace_sent(&pace, 60, now);
    ask(&line, &pace, now);
    send_frame(&line, &pace, 3000, now);
    for (; now < end; now += CLOCK_MILLISECOND) {
        if (line.answer_at && now >= line.answer_at) {
            line.answer_at = 0;
            pace_answered(&pace, now);
            ask(&line, &pace, now);
        }
        if (!pressed && now > end - 14 * CLOCK_SECOND && now % (33 * CLOCK_MILLISECOND) == 0)
            pressed = now;
        if (!pressed || pace_wait(&pace, true, now))
            continue;
        send_frame(&line, &pace, 90, now);
        assert_true(line.free_at - pressed < CLOCK_SECOND);
        pressed = 0;
    }
}

static void test_lost_answer(void **state)
{
    struct pace pace;
    int64_t now = 1000 * CLOCK_SECOND;
    (void)state;
    pace_begin(&pace, true);
    pace_sent(&pace, 100, now);
    assert_true(pace_asks(&pace, now));
    assert_true(pace_last_wait(&pace, now) == 200 * CLOCK_MILLISECOND);
    pace_answered(&pace, now += 10 * CLOCK_MILLISECOND);
    assert_true(pace_last_wait(&pace, now) == 0);
    pace_sent(&pace, 100, now);
    assert_true(pace_asks(&pace, now));
    int64_t wait = pace_wait(&pace, false, now);
    assert_true(wait > CLOCK_SECOND && wait < 15 * CLOCK_SECOND);
    assert_true(pace_wait(&pace, true, now) == 0);
    assert_true(pace_wait(&pace, false, now + wait) == 0);
    pace_sent(&pace, 100, now + wait);
    assert_true(pace_asks(&pace, now + wait)); /* it has answered before: asked again */
    pace_begin(&pace, false);
    pace_sent(&pace, 100, now);
    assert_false(pace_asks(&pace, now));
}

/* --- Colours */

static const struct { const char *from, *to; } colours[] = {
    {"plain", "\033[0mplain"},
    {"\033(B\033[0;1m\033[38;5;221m\033[48;5;58mn\033(B\033[0;1m\033[38;5;221m\033[48;5;58mn", "\033(B\033[0;1;38;5;221;48;5;58mnn"},
    {"\033[38;5;1ma\033[38;5;2m \033[38;5;1mb", "\033[0;38;5;1ma b"},               /* a space has no colour */
    {"\033[48;5;1ma\033[48;5;2m \033[48;5;1mb", "\033[0;48;5;1ma\033[48;5;2m \033[48;5;1mb"}, /* but a ground */
    {"\033[7ma\033[31m \033[32mb", "\033[0;7ma\033[31m \033[32mb"},                    /* and that is the colour, when reversed */
    {"\033[4ma\033[24m b", "\033[0;4ma\033[0m b"},
    {"\033[1;31ma\033[mb", "\033[0;1;31ma\033[0mb"},
    {"\033[1;34;41ma\033[0;34;41mb", "\033[0;1;34;41ma\033[22mb"},
    {"\033[1;2ma\033[0;2mb", "\033[0;1;2ma\033[0;2mb"},
    {"\033[91;102ma\033[39mb\033[49mc", "\033[0;91;102ma\033[39mb\033[0mc"},
    {"\033[38:2::1:2:3ma\033[48;2;4;5;6mb", "\033[0;38:2::1:2:3ma\033[48;2;4;5;6mb"},
    {"\033[31m\033[K\033[32m\033[2;3H\033[33mx", "\033[0;31m\033[K\033[2;3H\033[33mx"},
    {"\033[31m\033[77mx\033[31my", "\033[0;31m\033[77m\033[0;31mxy"},                 /* what is not known is sent as it is */
    {"\033[99999999999999999999m\033[1;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9;1;2;3;4;5;6;7;8;9m", NULL},
    {"\033[38m\033[38;5m\033[38;2;1m\033[48:5:1m\033[\033", NULL},
};

static void test_colours(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(colours); i++) {
        struct sgr sgr;
        struct buf out = BUF_EMPTY;
        sgr_forget(&sgr);
        sgr_add(&sgr, colours[i].from, strlen(colours[i].from), &out);
        if (colours[i].to && strcmp(buf_text(&out), colours[i].to))
            fail_msg("case %zu: %s", i, buf_text(&out) + 1);
        buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines), cmocka_unit_test(test_repeated_keys), cmocka_unit_test(test_lost_answer), cmocka_unit_test(test_colours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
