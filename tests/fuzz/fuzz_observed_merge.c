/* Two lines: a reading and a change to it. What a hostile change makes of a reading is in order and can be written; and from any reading to
 * any other, the change between them leads exactly there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_exact(const struct observation *before, const struct observation *now)
{
    struct observation merged;
    struct buf text = BUF_EMPTY;
    struct err err;
    struct json json = json_begin(&text);
    observation_change_to_json(before, now, &json, NULL);
    cJSON *change = json_parse(buf_text(&text), text.length, &err);
    observation_copy(&merged, before);
    if (!change || observation_merge(&merged, change, &err) != 0 || !observation_equal(&merged, now, false))
        abort();
    observation_clear(&merged);
    cJSON_Delete(change);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    const uint8_t *line = memchr(bytes, '\n', length);
    struct err err = {""};
    struct observation observation = {0}, before, none = {0};
    if (!line)
        return 0;
    observation_clear(&none);
    cJSON *object = json_parse((const char *)bytes, (size_t)(line - bytes), &err);
    cJSON *change = json_parse((const char *)line + 1, length - (size_t)(line + 1 - bytes), &err);
    if (object && change && observation_from_json(object, false, &observation, &err) == 0) {
        observation_copy(&before, &observation);
        if (observation_merge(&observation, change, &err) == 0) {
            check_exact(&before, &observation);
            check_exact(&observation, &before);
            check_exact(&none, &observation);
            check_exact(&observation, &none);
        }
        observation_clear(&before);
    }
    observation_clear(&observation);
    cJSON_Delete(object);
    cJSON_Delete(change);
    return 0;
}
