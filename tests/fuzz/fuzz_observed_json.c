/* Any bytes as a node's reading: refused with a word of why, or read so that writing and reading it again gives the same. */
#include <stdint.h>
#include <stdlib.h>

#include "wgdeck/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_round_trip(const struct observation *one)
{
    struct observation two = {0};
    struct buf text = BUF_EMPTY;
    struct err err;
    struct json json = json_begin(&text);
    observation_to_json(one, true, &json, NULL);
    cJSON *object = json_parse(buf_text(&text), text.length, &err);
    if (!object || observation_from_json(object, true, &two, &err) != 0 || !observation_equal(one, &two, true))
        abort();
    cJSON_Delete(object);
    observation_clear(&two);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct err err = {""};
    struct observation observation = {0};
    cJSON *object = json_parse((const char *)bytes, length, &err);
    if (object && observation_from_json(object, true, &observation, &err) == 0) {
        check_round_trip(&observation);
        observation_hide_keys(&observation, "salt");
    } else if (err.text[0] == '\0') {
        abort();
    }
    observation_clear(&observation);
    cJSON_Delete(object);
    return 0;
}
