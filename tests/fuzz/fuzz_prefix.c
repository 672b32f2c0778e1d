/* Addresses, prefixes and endpoints: what is read can be written and read again; the first byte chooses. Also safe text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/mem.h"
#include "wgdeck/prefix.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_prefix(const char *text)
{
    struct prefix prefix, again, network;
    char shown[PREFIX_TEXT_SIZE];
    if (prefix_parse(text, &prefix))
        return;
    prefix_text(&prefix, shown);
    network = prefix_network(&prefix);
    if (prefix_parse(shown, &again) || memcmp(&prefix, &again, sizeof prefix) || !prefix_contains(&network, &prefix.address) ||
        prefix_compare(&network, &prefix) || !prefix_covers(&prefix, &network) || !prefix_overlaps(&network, &prefix))
        abort();
}

static void try_endpoint(const char *text)
{
    struct endpoint endpoint, again;
    char shown[ENDPOINT_TEXT_SIZE];
    if (endpoint_parse(text, &endpoint))
        return;
    endpoint_text(&endpoint, shown);
    if (endpoint_parse(shown, &again) || !endpoint_equal(&endpoint, &again) || !endpoint.port)
        abort();
}

static void try_text(const char *bytes, size_t size)
{
    struct buf safe = BUF_EMPTY, twice = BUF_EMPTY;
    text_add_safe(&safe, bytes, size);
    text_add_safe(&twice, buf_text(&safe), safe.length);
    if (!text_is_safe(buf_text(&safe), safe.length) || strcmp(buf_text(&safe), buf_text(&twice)))
        abort();
    text_width(buf_text(&safe));
    buf_free(&safe);
    buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    char *text = mem_text_part((const char *)data + 1, size - 1);
    if (data[0] == 'p')
        try_prefix(text);
    else if (data[0] == 'e')
        try_endpoint(text);
    else
        try_text((const char *)data, size);
    free(text);
    return 0;
}
