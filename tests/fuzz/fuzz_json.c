/* JSON: the reader takes anything, and the writer's strings can be read back. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/json.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const cJSON *item, unsigned depth)
{
    if (depth > 33)
        abort();
    for (const cJSON *child = item->child; child; child = child->next) {
        if (child->string) {
            json_get_number(item, child->string, -5, 5, 0);
            json_get_unsigned(item, child->string, 0);
            json_get_text(item, child->string, "");
        }
        read_all(child, depth + 1);
    }
}

static void write_and_read(const char *bytes, size_t size)
{
    struct buf buf = BUF_EMPTY;
    struct json json = json_begin(&buf);
    json_object(&json, NULL);
    json_text_part(&json, "text", bytes, size);
    json_number(&json, "number", (int64_t)size - 5);
    json_object_end(&json);
    if (!text_is_safe(buf_text(&buf), buf.length))
        abort();
    cJSON *root = json_parse(buf_text(&buf), buf.length, NULL);
    if (!root && !memchr(bytes, 0, size)) /* a NUL is written as \u0000, which the reader refuses */
        abort();
    if (root && json_get_number(root, "number", INT64_MIN, INT64_MAX, -77) != (int64_t)size - 5)
        abort();
    if (root && text_is_safe(bytes, size) && (strlen(json_get_text(root, "text", "")) != size || memcmp(json_get_text(root, "text", ""), bytes, size)))
        abort();
    cJSON_Delete(root);
    buf_free(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = {{0}};
    cJSON *root = json_parse((const char *)data, size, &err);
    if (root)
        read_all(root, 0);
    else if (!err.text[0])
        abort();
    cJSON_Delete(root);
    if (size < 4096)
        write_and_read((const char *)data, size);
    return 0;
}
