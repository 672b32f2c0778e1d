/* How a link or a node was: a ring of compact samples, which takes memory only as it fills. Rates and ages are kept as logarithms in 16 bits
 * (steps of 0.05 %). */
#include "wgdeck/trend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trend_private.h"
#include "wgdeck/mem.h"

enum { CHUNK_SAMPLES = 60, CHUNKS = TREND_SAMPLES / CHUNK_SAMPLES, UNKNOWN = 65535, CODES_PER_OCTAVE = 1500 };
#define FINENESS 1000.0 /* of the smallest differences: milliseconds, thousandths of a byte per second */
#define SET_BACK 60     /* steps that a clock may go back before all begins anew */

struct chunk {
    uint8_t state[CHUNK_SAMPLES];
    uint16_t values[TREND_VALUES][CHUNK_SAMPLES];
};

struct trend {
    struct chunk *chunks[CHUNKS];
    int64_t newest;  /* step */
    size_t length;   /* steps up to the newest one */
};

static uint16_t encode(double value)
{
    if (isnan(value) || value < 0)
        return UNKNOWN;
    double code = log2(1 + value * FINENESS) * CODES_PER_OCTAVE;
    return code >= UNKNOWN - 1 ? UNKNOWN - 1 : (uint16_t)(code + 0.5);
}

static double decode(uint16_t code)
{
    return (exp2((double)code / CODES_PER_OCTAVE) - 1) / FINENESS;
}

struct trend *trend_new(void)
{
    return mem_alloc(1, sizeof(struct trend));
}

void trend_free(struct trend *trend)
{
    if (!trend)
        return;
    for (size_t i = 0; i < CHUNKS; i++)
        free(trend->chunks[i]);
    free(trend);
}

static struct chunk *chunk_of(const struct trend *trend, int64_t step, size_t *index)
{
    size_t place = (size_t)(step % TREND_SAMPLES);
    *index = place % CHUNK_SAMPLES;
    return trend->chunks[place / CHUNK_SAMPLES];
}

static void put(struct trend *trend, int64_t step, const struct trend_sample *sample)
{
    size_t index;
    struct chunk *chunk = chunk_of(trend, step, &index);
    if (!chunk) {
        if (!sample)
            return; /* unknown, as all of a chunk that is not there */
        chunk = trend->chunks[(size_t)(step % TREND_SAMPLES) / CHUNK_SAMPLES] = mem_alloc(1, sizeof *chunk);
        memset(chunk, 255, sizeof *chunk); /* nothing is known */
    }
    chunk->state[index] = sample ? (uint8_t)sample->state : TREND_NO_STATE;
    for (size_t i = 0; i < TREND_VALUES; i++)
        chunk->values[i][index] = sample ? encode(sample->values[i]) : UNKNOWN;
}

void trend_add(struct trend *trend, int64_t step, const struct trend_sample *sample, size_t fill)
{
    if (step < 0)
        return;
    if (trend->length && step < trend->newest && trend->newest - step <= SET_BACK)
        return;
    if (!trend->length || step < trend->newest || step - trend->newest >= TREND_SAMPLES) {
        for (size_t i = 0; i < CHUNKS; i++) {
            free(trend->chunks[i]);
            trend->chunks[i] = NULL;
        }
        trend->length = 1;
    } else {
        for (int64_t gap = trend->newest + 1; gap < step; gap++)
            put(trend, gap, (uint64_t)(step - gap) <= fill ? sample : NULL);
        trend->length += (size_t)(step - trend->newest);
    }
    if (trend->length > TREND_SAMPLES)
        trend->length = TREND_SAMPLES;
    trend->newest = step;
    put(trend, step, sample);
}

void trend_rewind(struct trend *trend, int64_t step)
{
    if (!trend->length || step >= trend->newest)
        return;
    uint64_t gone = (uint64_t)(trend->newest - step);
    for (int64_t i = step + 1; i <= trend->newest && gone < trend->length; i++)
        put(trend, i, NULL);
    trend->length = gone < trend->length ? trend->length - (size_t)gone : 0;
    trend->newest = step;
}

size_t trend_length(const struct trend *trend)
{
    return trend->length;
}

static int value_of(enum trend_series series)
{
    switch (series) {
    case TREND_STATE: return -1;
    case TREND_A_TO_B_RATE:
    case TREND_NODE_RX_RATE: return 0;
    case TREND_B_TO_A_RATE:
    case TREND_NODE_TX_RATE: return 1;
    case TREND_A_AGE:
    case TREND_NODE_LIVE: return 2;
    case TREND_B_AGE: return 3;
    case TREND_RTT: break;
    }
    return TREND_VALUES;
}

bool trend_get(const struct trend *trend, enum trend_series series, size_t samples_ago, double *value)
{
    size_t index;
    int which = value_of(series);
    if (samples_ago >= trend->length || which >= TREND_VALUES)
        return false;
    const struct chunk *chunk = chunk_of(trend, trend->newest - (int64_t)samples_ago, &index);
    if (!chunk)
        return false;
    if (which < 0) {
        *value = chunk->state[index];
        return chunk->state[index] != TREND_NO_STATE;
    }
    uint16_t code = chunk->values[which][index];
    if (code == UNKNOWN)
        return false;
    *value = decode(code);
    if (series == TREND_NODE_LIVE)
        *value = round(*value);
    return true;
}
