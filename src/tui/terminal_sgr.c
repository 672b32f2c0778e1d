/* Fewer bytes for colours: ncurses says all of a cell's attributes wherever one of them changes. Here only what differs from what the terminal has is
 * sent on, and only when a character needs it: of a space, nobody sees more than its background. Pure. */
#include <string.h>

#include "terminal_private.h"

enum { PARAMETERS_MOST = 24, CONTROL_SPACE = 0x20 };
enum { BOLD = 1, DIM = 2, ITALIC = 4, UNDERLINE = 8, BLINK = 16, REVERSE = 32, INVISIBLE = 64, STRUCK = 128 };
/* A colour's form, as the terminal's own description writes it, over its 24 bits. */
enum { COLOUR_DEFAULT, COLOUR_PLAIN = 1 << 24, COLOUR_BRIGHT = 2 << 24, COLOUR_INDEX = 3 << 24, COLOUR_RGB = 4 << 24, COLOUR_RGB_COLONS = 5 << 24 };
enum { COLOUR_FORM = 0xFF << 24, COLOUR_VALUE = 0xFFFFFF };

static const struct { unsigned char number, bit, off; } attributes[] = {
    {1, BOLD, 22}, {2, DIM, 22}, {3, ITALIC, 23}, {4, UNDERLINE, 24}, {5, BLINK, 25}, {7, REVERSE, 27}, {8, INVISIBLE, 28}, {9, STRUCK, 29},
};

void sgr_forget(struct sgr *sgr)
{
    memset(sgr, 0, sizeof *sgr);
}

static void add_colour(struct buf *buf, uint32_t colour, unsigned base)
{
    unsigned value = colour & COLOUR_VALUE;
    switch (colour & COLOUR_FORM) {
    case COLOUR_PLAIN:
        buf_add_format(buf, "%u;", base + value);
        break;
    case COLOUR_BRIGHT:
        buf_add_format(buf, "%u;", base + 60 + value);
        break;
    case COLOUR_INDEX:
        buf_add_format(buf, "%u;5;%u;", base + 8, value);
        break;
    case COLOUR_RGB:
        buf_add_format(buf, "%u;2;%u;%u;%u;", base + 8, value >> 16, value >> 8 & 255, value & 255);
        break;
    case COLOUR_RGB_COLONS:
        buf_add_format(buf, "%u:2::%u:%u:%u;", base + 8, value >> 16, value >> 8 & 255, value & 255);
        break;
    default:
        buf_add_format(buf, "%u;", base + 9);
    }
}

static void add_difference(struct buf *buf, const struct sgr_state *from, const struct sgr_state *to)
{
    unsigned char gone = from->attributes & (unsigned char)~to->attributes, kept = from->attributes;
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        if (gone & attributes[i].bit) {
            buf_add_format(buf, "%u;", attributes[i].off);
            unsigned char also = attributes[i].off == 22 ? BOLD | DIM : attributes[i].bit;
            gone &= (unsigned char)~also;
            kept &= (unsigned char)~also;
        }
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        if (to->attributes & (unsigned char)~kept & attributes[i].bit)
            buf_add_format(buf, "%u;", attributes[i].number);
    if (to->foreground != from->foreground)
        add_colour(buf, to->foreground, 30);
    if (to->background != from->background)
        add_colour(buf, to->background, 40);
}

static void become(struct sgr *sgr, const struct sgr_state *state, struct buf *out)
{
    static const struct sgr_state plain;
    struct buf difference = BUF_EMPTY, anew = BUF_EMPTY;
    if (sgr->known && !memcmp(&sgr->shown, state, sizeof *state))
        return;
    add_difference(&difference, &sgr->shown, state);
    buf_add_text(&anew, "0;");
    add_difference(&anew, &plain, state);
    const struct buf *shorter = sgr->known && difference.length <= anew.length ? &difference : &anew;
    buf_add_text(out, "\033[");
    buf_add(out, shorter->data, shorter->length - 1);
    buf_add_char(out, 'm');
    buf_free(&difference);
    buf_free(&anew);
    sgr->shown = *state;
    sgr->known = true;
}

/* A character is about to be written, or an area to be cleared (a space). */
static void apply(struct sgr *sgr, bool space, struct buf *out)
{
    struct sgr_state state = sgr->wanted;
    const unsigned char seen = UNDERLINE | REVERSE | BLINK | STRUCK;
    if (space && sgr->known && !((sgr->shown.attributes | state.attributes) & seen)) {
        state.foreground = sgr->shown.foreground;
        state.attributes = sgr->shown.attributes;
    }
    become(sgr, &state, out);
}

/* 38 and 48 with what follows them. Returns the parameters used; 0: another form than we know. */
static size_t read_colour(const unsigned *numbers, size_t count, bool colons, uint32_t *colour)
{
    size_t at = colons && count > 5 ? 3 : 2; /* "38:2::r:g:b" has a place for the colour space */
    if (count >= 3 && numbers[1] == 5) {
        *colour = COLOUR_INDEX | (numbers[2] & 255);
        return colons ? 0 : 3;
    }
    if (count < at + 3 || numbers[1] != 2)
        return 0;
    *colour = (colons ? COLOUR_RGB_COLONS : COLOUR_RGB) | (numbers[at] & 255) << 16 | (numbers[at + 1] & 255) << 8 | (numbers[at + 2] & 255);
    return at + 3;
}

static bool read_attribute(struct sgr_state *state, unsigned number)
{
    bool known = false;
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        if (number == attributes[i].number)
            state->attributes |= attributes[i].bit;
        else if (number == attributes[i].off)
            state->attributes &= (unsigned char)~attributes[i].bit;
        else
            continue;
        known = true;
    }
    return known;
}

static bool read_parameters(struct sgr_state *state, const unsigned *numbers, size_t count, bool colons)
{
    for (size_t i = 0, used = 1; i < count; i += used, used = 1) {
        unsigned number = numbers[i];
        if (number == 0)
            memset(state, 0, sizeof *state);
        else if (number == 38 || number == 48)
            used = read_colour(numbers + i, count - i, colons, number == 38 ? &state->foreground : &state->background);
        else if ((number >= 30 && number <= 37) || (number >= 90 && number <= 97))
            state->foreground = (number < 90 ? COLOUR_PLAIN : COLOUR_BRIGHT) | number % 10;
        else if ((number >= 40 && number <= 47) || (number >= 100 && number <= 107))
            state->background = (number < 100 ? COLOUR_PLAIN : COLOUR_BRIGHT) | number % 10;
        else if (number == 39)
            state->foreground = COLOUR_DEFAULT;
        else if (number == 49)
            state->background = COLOUR_DEFAULT;
        else if (!read_attribute(state, number))
            return false;
        if (!used)
            return false;
    }
    return true;
}

/* "ESC [ ... m". False: there is something in it that we do not know. */
static bool read_sgr(struct sgr_state *state, const char *bytes, size_t length)
{
    unsigned numbers[PARAMETERS_MOST] = {0};
    size_t count = 1;
    bool colons = false;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] >= '0' && bytes[i] <= '9' && numbers[count - 1] < 10000)
            numbers[count - 1] = numbers[count - 1] * 10 + (unsigned)(bytes[i] - '0');
        else if ((bytes[i] == ';' || bytes[i] == ':') && count < PARAMETERS_MOST)
            count++;
        else
            return false;
        colons |= bytes[i] == ':';
    }
    return read_parameters(state, numbers, count, colons);
}

/* A sequence of ECMA-48 at BYTES. Returns its length. */
static size_t read_sequence(struct sgr *sgr, const char *bytes, size_t length, struct buf *out)
{
    size_t end = 2;
    if (length >= 3 && bytes[1] == '(') { /* the character set of G0: ncurses says it with each reset */
        if (sgr->charset != bytes[2])
            buf_add(out, bytes, 3);
        sgr->charset = bytes[2];
        return 3;
    }
    if (length < 3 || bytes[1] != '[') {
        buf_add(out, bytes, length < 2 ? length : 2);
        return length < 2 ? length : 2;
    }
    while (end < length && (bytes[end] < 0x40 || bytes[end] > 0x7E))
        end++;
    if (end == length) {
        buf_add(out, bytes, length);
        return length;
    }
    char last = bytes[end++];
    struct sgr_state state = sgr->wanted;
    if (last == 'm' && read_sgr(&state, bytes + 2, end - 3)) {
        sgr->wanted = state;
        return end;
    }
    if (last == 'm')
        become(sgr, &sgr->wanted, out), sgr->known = false;
    else if (strchr("JKXLMPST@", last))
        apply(sgr, true, out);
    buf_add(out, bytes, end);
    return end;
}

void sgr_add(struct sgr *sgr, const char *bytes, size_t length, struct buf *out)
{
    for (size_t at = 0; at < length;) {
        unsigned char byte = (unsigned char)bytes[at];
        if (byte == '\033') {
            at += read_sequence(sgr, bytes + at, length - at, out);
            continue;
        }
        if (byte >= CONTROL_SPACE)
            apply(sgr, byte == CONTROL_SPACE, out);
        buf_add_char(out, bytes[at++]);
    }
}
