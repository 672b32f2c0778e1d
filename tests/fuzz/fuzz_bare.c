/* The answer of a bare look, as a hostile node may write it. What is accepted must survive its own JSON form. */
#include <stdio.h>
#include <stdlib.h>

#include "wgdeck/observed.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct observation observation = {0}, again = {0};
    struct err err;
    if (observation_from_bare((const char *)bytes, length, &observation, &err) == 0) {
        struct buf text = BUF_EMPTY;
        struct json json = json_begin(&text);
        observation_to_json(&observation, false, &json, NULL);
        cJSON *object = json_parse(buf_text(&text), text.length, &err);
        if (!object || observation_from_json(object, false, &again, &err) != 0 || !observation_equal(&observation, &again, false))
            { fprintf(stderr,"%s\n%s\n", err.text, buf_text(&text)); abort(); }
        cJSON_Delete(object);
        buf_free(&text);
    }
    observation_clear(&observation);
    observation_clear(&again);
    return 0;
}
