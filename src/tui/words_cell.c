/* Cell text: one string with glyphs, styles and what is exported instead in it. Drawn, measured, made plain. */
#include "words.h"

#include <string.h>

#include "wgdeck/text.h"

/* Places of a private range; what nodes and files say is not shown with it (words_draw). */
enum { GLYPH_FIRST = 0xE000, STYLE_FIRST = 0xE100, EXPORT_MARK = 0xE1FF };

static const char *const utf8_glyphs[GLYPH_COUNT] = {
#define X(name, utf8, ascii) [GLYPH_##name] = utf8,
    GLYPHS(X)
#undef X
};

static void add_mark(uint32_t character, struct buf *buf)
{
    char bytes[3] = {(char)(0xE0 | character >> 12), (char)(0x80 | ((character >> 6) & 0x3F)), (char)(0x80 | (character & 0x3F))};
    buf_add(buf, bytes, sizeof bytes);
}

void words_glyph(enum glyph glyph, struct buf *buf)
{
    add_mark(GLYPH_FIRST + glyph, buf);
}

void words_style(enum style style, struct buf *buf)
{
    add_mark(STYLE_FIRST + style, buf);
}

void words_export(struct buf *buf)
{
    add_mark(EXPORT_MARK, buf);
}

static bool is_style(uint32_t character)
{
    return character >= STYLE_FIRST && character < (uint32_t)STYLE_FIRST + STYLE_COUNT;
}

static bool is_glyph(uint32_t character)
{
    return character >= GLYPH_FIRST && character < (uint32_t)GLYPH_FIRST + GLYPH_COUNT;
}

/* The next character of *TEXT and its bytes; 0 at the end of what is shown. */
static uint32_t next_character(const char **text, size_t *length)
{
    uint32_t character = 0;
    if (!**text)
        return 0;
    *length = text_decode(*text, strnlen(*text, 4), &character);
    if (!*length) {
        *length = 1;
        character = '?';
    }
    *text += *length;
    return character == EXPORT_MARK ? 0 : character;
}

static int character_width(uint32_t character)
{
    return is_style(character) ? 0 : is_glyph(character) ? 1 : (int)text_character_width(character);
}

int words_width(const char *text)
{
    int width = 0;
    size_t length;
    uint32_t character;
    while ((character = next_character(&text, &length)))
        width += character_width(character);
    return width;
}

/* A literal arrow or dot that has an ASCII form is drawn as the glyph it is. */
static bool literal_glyph(const char *bytes, size_t length, enum glyph *glyph)
{
    for (unsigned i = 0; length > 1 && i < GLYPH_COUNT; i++)
        if (strlen(utf8_glyphs[i]) == length && !memcmp(utf8_glyphs[i], bytes, length)) {
            *glyph = i;
            return true;
        }
    return false;
}

/* Draws what fits into WIDTH columns; what does not ends in an ellipsis. Returns the columns used. */
static int draw(const struct area *area, int row, int column, int width, enum style style, const char *text)
{
    int used = 0, room = words_width(text) > width ? width - 1 : width;
    bool cut = room < width;
    char run[256];
    size_t filled = 0, length;
    int run_column = column;
    for (;;) {
        const char *before = text;
        enum glyph glyph = GLYPH_UNKNOWN;
        uint32_t character = next_character(&text, &length);
        bool fits = character && used + character_width(character) <= room;
        bool special = !fits || is_style(character) || is_glyph(character) || literal_glyph(before, length, &glyph);
        if (special || filled + 4 >= sizeof run) {
            run[filled] = '\0';
            if (filled)
                area_text(area, row, run_column, style, run);
            filled = 0;
            run_column = column + used;
        }
        if (!fits)
            break;
        if (is_style(character)) {
            style = (enum style)(character - STYLE_FIRST);
            continue;
        }
        if (special) {
            area_glyph(area, row, column + used, style, is_glyph(character) ? (enum glyph)(character - GLYPH_FIRST) : glyph);
            run_column = column + used + 1;
        } else {
            memcpy(run + filled, before, length);
            filled += length;
        }
        used += character_width(character);
    }
    if (cut && width > 0) {
        area_glyph(area, row, column + used, style, GLYPH_ELLIPSIS);
        used++;
    }
    return used;
}

int words_draw(const struct area *area, int row, int column, enum style style, const char *text)
{
    return column < area->columns ? draw(area, row, column, area->columns - column, style, text) : 0;
}

int words_field(const struct area *area, int row, int column, int width, bool right, enum style style, const char *text)
{
    if (width <= 0)
        return 0;
    int needs = words_width(text), indent = right && needs < width ? width - needs : 0;
    for (int i = 0; i < indent; i++)
        area_text(area, row, column + i, style, " ");
    int used = indent + draw(area, row, column + indent, width - indent, style, text);
    for (; used < width; used++)
        area_text(area, row, column + used, style, " ");
    return width;
}

void words_plain(const char *text, bool exported, struct buf *buf)
{
    size_t start = buf->length, length;
    const char *shown = text, *before = text;
    uint32_t character;
    while (before = shown, (character = next_character(&shown, &length)))
        if (!is_style(character) && !is_glyph(character))
            buf_add(buf, before, length);
    while (buf->length > start && buf->data[buf->length - 1] == ' ')
        buf->data[--buf->length] = '\0';
    size_t spaces = buf->length > start ? strspn(buf->data + start, " ") : 0;
    if (spaces) {
        memmove(buf->data + start, buf->data + start + spaces, buf->length - start - spaces + 1);
        buf->length -= spaces;
    }
    bool mark = shown != before; /* stopped behind the mark, not at the end */
    if (mark && (exported || buf->length == start)) {
        buf->length = start;
        buf_add_text(buf, shown);
    }
}
