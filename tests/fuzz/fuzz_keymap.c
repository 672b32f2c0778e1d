/* deck.conf: whatever it holds, there is a way out of the deck, each key does one thing, and warnings are safe to show. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/tui/config.h"
#include "../../src/tui/keymap.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_keys(const struct keymap *keymap)
{
    int back = 0, quit = 0;
    for (size_t i = 0; i < keymap->count; i++) {
        char text[24];
        uint32_t code;
        bool alt;
        back |= keymap->keys[i].action == ACTION_BACK;
        quit |= keymap->keys[i].action == ACTION_QUIT;
        keystroke_text(keymap->keys[i].code, keymap->keys[i].alt, text);
        require(keystroke_parse(text, &code, &alt) && code == keymap->keys[i].code && alt == keymap->keys[i].alt);
        for (size_t k = 0; k < i; k++)
            require(keymap->keys[k].code != keymap->keys[i].code || keymap->keys[k].alt != keymap->keys[i].alt);
    }
    require(back && quit);
}

static void check_warnings(const struct buf *warnings)
{
    for (const char *at = buf_text(warnings); *at;) {
        size_t length = strcspn(at, "\n");
        require(text_is_safe(at, length) && at[length] == '\n');
        at += length + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct keymap keymap;
    struct config config = {0};
    struct buf warnings = BUF_EMPTY;
    struct conf *conf = conf_parse("deck.conf", (const char *)data, size, &err);
    if (!conf)
        return 0;
    keymap_begin(&keymap);
    config_read(&config, conf, &warnings);
    keymap_read(&keymap, conf, &warnings);
    check_keys(&keymap);
    check_warnings(&warnings);
    require(config.interval == 0 || (config.interval >= 0.5 && config.interval <= 3600));
    config_free(&config);
    keymap_free(&keymap);
    buf_free(&warnings);
    conf_free(conf);
    return 0;
}
