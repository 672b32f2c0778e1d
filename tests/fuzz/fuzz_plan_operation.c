/* One operation of a plan: anything may come to a node; what is read is written and read back the same, and as a line for people it is safe. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/plan.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_operation(const struct plan_operation *operation, struct buf *buf)
{
    struct json json = json_begin(buf);
    plan_operation_to_json(operation, &json);
}

static void check(const struct plan_operation *operation)
{
    struct buf first = BUF_EMPTY, second = BUF_EMPTY, line = BUF_EMPTY;
    struct plan_operation again;
    write_operation(operation, &first);
    cJSON *object = json_parse(buf_text(&first), first.length, NULL);
    if (!object || plan_operation_from_json(object, &again, NULL))
        abort();
    write_operation(&again, &second);
    if (first.length != second.length || memcmp(first.data, second.data, first.length) != 0)
        abort();
    plan_operation_text(&again, &line);
    if (!text_is_safe(buf_text(&line), line.length))
        abort();
    plan_operation_free(&again);
    cJSON_Delete(object);
    buf_free(&first);
    buf_free(&second);
    buf_free(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan_operation operation;
    struct err err;
    cJSON *object = json_parse((const char *)data, size, &err);
    if (object && !plan_operation_from_json(object, &operation, &err)) {
        check(&operation);
        plan_operation_free(&operation);
    }
    cJSON_Delete(object);
    return 0;
}
