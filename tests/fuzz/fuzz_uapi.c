/* UAPI answers of an engine: whole and in pieces must come to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/wg/uapi.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char salt[] = "00";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct device whole, pieces;
    struct err err = {{0}}, other = {{0}};
    struct uapi_parser parser;
    int result = 0, first = device_parse_uapi("wg0", (const char *)data, size, salt, &whole, &err);
    uapi_parser_start(&parser, "wg0", salt, &other);
    for (size_t at = 0; at < size && result >= 0; at += 7)
        result = uapi_parser_feed(&parser, (const char *)data + at, size - at < 7 ? size - at : 7);
    int second = uapi_parser_end(&parser, result, &pieces);
    if (first != second || (first && (strcmp(err.text, other.text) || !err.text[0] || !text_is_safe(err.text, strlen(err.text)))))
        abort();
    if (first)
        return 0;
    if (whole.peer_count != pieces.peer_count || whole.listen_port != pieces.listen_port)
        abort();
    device_free(&whole);
    device_free(&pieces);
    return 0;
}
