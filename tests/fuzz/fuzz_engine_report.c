/* What an engine says of its counters: any bytes are read or refused with a safe line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/engine_counters.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct engine_report report;
    struct err err = {{0}};
    int result = engine_report_parse((const char *)data, size, &report, &err);
    if (result && (!err.text[0] || !text_is_safe(err.text, strlen(err.text)) || report.peers))
        abort();
    if (!result && (report.stranger_count > ENGINE_STRANGERS || strlen(report.features) >= sizeof report.features))
        abort();
    engine_report_free(&report);
    return 0;
}
