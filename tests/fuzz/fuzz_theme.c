/* Theme files: whatever is in them, there is a theme after, its warnings are safe to show, and a pen for each style can be made of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/tui/theme.h"
#include "wgdeck/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int depths[] = {0, 8, 16, 256, 16777216};
    struct theme theme;
    struct buf warnings = BUF_EMPTY;
    require(!theme_parse("fuzz.theme", (const char *)data, size, &theme, &warnings));
    require(!strcmp(theme.name, "fuzz"));
    for (const char *at = buf_text(&warnings); *at;) {
        size_t length = strcspn(at, "\n");
        require(at[length] == '\n' && !strncmp(at, "fuzz.theme:", 11) && text_is_safe(at, length));
        at += length + 1;
    }
    for (int style = 0; style < STYLE_COUNT; style++)
        for (int ground = 0; ground < GROUND_COUNT; ground++) {
            struct theme_pen pen = theme_pen(&theme, (enum style)style, (enum ground)ground, false, depths[size % 5]);
            require(pen.foreground_index >= -1 && pen.foreground_index < 256 && pen.background_index >= -1 && pen.background_index < 256);
        }
    buf_free(&warnings);
    return 0;
}
