/* Recordings come from anyone: reading one to its end must neither crash nor leak, and what it gives must be safe to judge and to show. */
#include <stdio.h>

#include "wgdeck/diagnosis.h"
#include "wgdeck/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct err err;
    FILE *file = length ? fmemopen((void *)(uintptr_t)bytes, length, "r") : NULL;
    if (!file)
        return 0;
    struct recording *recording = recording_open(file, "fuzz", &err);
    if (recording) {
        while (recording_peek(recording, &err) >= 0 && recording_next(recording, &err) > 0)
            ;
        struct buf text = BUF_EMPTY;
        struct json json = json_begin(&text);
        struct diagnosis *diagnosis = diagnose(recording_mesh(recording), recording_observed(recording), NULL);
        diagnosis_to_json(recording_mesh(recording), recording_observed(recording), diagnosis, &json);
        diagnosis_free(diagnosis);
        buf_free(&text);
    }
    recording_free(recording);
    fclose(file);
    return 0;
}
