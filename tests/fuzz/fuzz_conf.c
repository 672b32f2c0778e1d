/* Documents: what is accepted is written back byte for byte; what is set is read back, and nothing else changes its meaning. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static size_t count_entries(const struct conf *conf)
{
    struct conf_entry entry;
    size_t count = 0;
    for (size_t cursor = 0; conf_next(conf, &cursor, &entry);)
        count++;
    return count;
}

/* Change the document, then see that its bytes are a document in which the change can be read. */
static void change(struct conf *conf, const struct conf_entry *first)
{
    struct err err;
    size_t section = first->section_index;
    char *key = strdup(first->key), *value = strdup(first->value);
    if (conf_set(conf, section, key, "fuzzed value", &err) == 0)
        require(!strcmp(conf_get(conf, section, key, NULL), "fuzzed value"));
    if (conf_add(conf, section, key, value, &err) == 0)
        require(!strcmp(conf_get(conf, section, key, NULL), value));
    if (conf_set(conf, section, "Another", "1", &err) == 0)
        require(!strcmp(conf_get(conf, section, "another", NULL), "1"));
    size_t added = conf_add_section(conf, "New", "one");
    require(conf_find(conf, "new", "one", added) == added);
    conf_remove_section(conf, section == SIZE_MAX ? 0 : section);
    struct buf bytes = BUF_EMPTY;
    conf_write(conf, &bytes);
    struct conf *again = conf_parse("fuzz", buf_text(&bytes), bytes.length, &err);
    require(again && count_entries(again) == count_entries(conf) && conf_section_count(again) == conf_section_count(conf));
    conf_free(again);
    buf_free(&bytes);
    free(key);
    free(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct conf_entry entry;
    size_t cursor = 0;
    struct conf *conf = conf_parse("fuzz", (const char *)data, size, &err);
    if (!conf)
        return 0;
    struct buf bytes = BUF_EMPTY;
    conf_write(conf, &bytes);
    require(bytes.length == size && !memcmp(buf_text(&bytes), data, size));
    buf_free(&bytes);
    if (conf_next(conf, &cursor, &entry))
        change(conf, &entry);
    conf_free(conf);
    return 0;
}
