/* Rings of samples: precise enough, bounded, honest about what is not known. */
#include <math.h>

#include "unit.h"

#include "deck/trend_private.h"

static struct trend_sample sample_of(double value)
{
    return (struct trend_sample){.state = 3, .values = {value, value, value, NAN}};
}

static void add(struct trend *trend, int64_t step, double value, size_t fill)
{
    struct trend_sample sample = sample_of(value);
    trend_add(trend, step, &sample, fill);
}

static void test_values_are_near(void **state)
{
    (void)state;
    static const double cases[] = {0, 0.001, 0.5, 1, 30, 179.9, 181, 1000, 123456, 1.25e9, 1.25e10, 86400 * 30.0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct trend *trend = trend_new();
        double value;
        add(trend, 1000, cases[i], 0);
        CASE_ASSERT(i, trend_get(trend, TREND_A_TO_B_RATE, 0, &value));
        CASE_ASSERT(i, fabs(value - cases[i]) <= cases[i] * 0.001 + 0.0005);
        CASE_ASSERT(i, !trend_get(trend, TREND_B_AGE, 0, &value)); /* unknown */
        CASE_ASSERT(i, !trend_get(trend, TREND_RTT, 0, &value));
        CASE_ASSERT(i, trend_get(trend, TREND_STATE, 0, &value) && (int)value == 3);
        CASE_ASSERT(i, trend_get(trend, TREND_NODE_LIVE, 0, &value) && (cases[i] > 1000 || cases[i] < 1 || (int)value == (int)round(cases[i])));
        trend_free(trend);
    }
}

static void test_an_hour_is_kept(void **state)
{
    (void)state;
    struct trend *trend = trend_new();
    double value;
    assert_int_equal(trend_length(trend), 0);
    assert_false(trend_get(trend, TREND_STATE, 0, &value));
    for (int step = 0; step < 5000; step++) {
        add(trend, 900000000 + step, step, 0);
        CASE_ASSERT(step, trend_length(trend) == (size_t)(step < TREND_SAMPLES ? step + 1 : TREND_SAMPLES));
    }
    for (size_t ago = 0; ago < TREND_SAMPLES; ago++) {
        CASE_ASSERT(ago, trend_get(trend, TREND_A_AGE, ago, &value));
        CASE_ASSERT(ago, fabs(value - (4999 - (double)ago)) < 5);
    }
    assert_false(trend_get(trend, TREND_A_AGE, TREND_SAMPLES, &value));
    trend_free(trend);
}

static void test_gaps(void **state)
{
    (void)state;
    static const struct { int64_t step; size_t fill, length; bool known[5]; } cases[] = {
        {100, 0, 1, {true}},
        {103, 0, 4, {true, false, false, true}},
        {106, 5, 7, {true, true, true, true, false}},
        {109, 1, 10, {true, true, false, true, true}},
        {108, 0, 10, {true, true, false, true, true}},        /* older than the newest: dropped */
        {20, 0, 1, {true, false}},                            /* the clock was set back */
        {20 + TREND_SAMPLES - 1, 0, TREND_SAMPLES, {true, false}},
        {20 + 5 * TREND_SAMPLES, 0, 1, {true, false}},        /* all of it was long ago */
        {-5, 0, 1, {true, false}},
    };
    struct trend *trend = trend_new();
    double value;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        add(trend, cases[i].step, 7, cases[i].fill);
        CASE_ASSERT(i, trend_length(trend) == cases[i].length);
        for (size_t ago = 0; ago < 5; ago++)
            CASE_ASSERT(10 * i + ago, trend_get(trend, TREND_A_AGE, ago, &value) == cases[i].known[ago]);
    }
    trend_free(trend);
}

static void test_rewind(void **state)
{
    (void)state;
    struct trend *trend = trend_new();
    double value;
    for (int step = 100; step < 200; step++)
        add(trend, step, step, 0);
    trend_rewind(trend, 250);
    assert_int_equal(trend_length(trend), 100);
    trend_rewind(trend, 149);
    assert_int_equal(trend_length(trend), 50);
    assert_true(trend_get(trend, TREND_A_AGE, 0, &value));
    assert_true(fabs(value - 149) < 1);
    add(trend, 152, 1, 0);
    assert_false(trend_get(trend, TREND_A_AGE, 1, &value)); /* what was there is forgotten */
    trend_rewind(trend, 5);
    assert_int_equal(trend_length(trend), 0);
    add(trend, 7, 1, 0);
    assert_true(trend_get(trend, TREND_A_AGE, 0, &value));
    trend_free(trend);
    trend_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_near),
        cmocka_unit_test(test_an_hour_is_kept),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_rewind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
