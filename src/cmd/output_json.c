/* status and doctor as JSON, schema 1: the diagnosis writes it itself. */
#include "output.h"

static void write_json(const struct report *report, struct buf *buf)
{
    struct json json = json_begin(buf);
    diagnosis_to_json(report->mesh, report->observed, report->diagnosis, &json);
    buf_add_char(buf, '\n');
}

const struct output output_json = {.name = "json", .status = write_json, .doctor = write_json};
