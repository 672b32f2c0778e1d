/* What comes through the tunnel: a hello at the hub, an order at a node. Nothing read out of it is longer than its place, nor unsafe to show. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/control_wire.h"
#include "node/paths.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t most)
{
    if (strnlen(text, most) == most)
        abort();
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    cJSON *object = size <= CONTROL_BYTES ? json_parse((const char *)data, size, &err) : NULL;
    if (object && cJSON_IsObject(object)) {
        struct control_hello hello;
        struct path_order order;
        control_read_hello(object, &hello);
        check_text(hello.name, sizeof hello.name);
        if (hello.row_count > CONTROL_ROWS || hello.candidate_count > CONTROL_CANDIDATES)
            abort();
        if (path_order_read(object, &order, &err) == 0) {
            check_text(order.name, sizeof order.name);
            check_text(order.reason, sizeof order.reason);
            if (order.allowed_count > PATH_ALLOWED_MOST || (order.deed == PATH_DEED_TRY && !path_endpoint_is_sane(&order.endpoint)))
                abort();
        }
    }
    cJSON_Delete(object);
    return 0;
}
