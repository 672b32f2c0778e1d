/* From a terminal's bytes to keys: UTF-8, the sequences that terminals of today send for keys (ECMA-48, VT220, xterm, rxvt, the Linux console), the
 * mouse (SGR, 1006) and pasted text (2004). What is not known is swallowed whole, so that no part of it is taken for a key. */
#include <string.h>

#include "terminal_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/text.h"

#define ESCAPE_WAIT (20 * CLOCK_MILLISECOND)    /* then Esc is a key of its own */
#define SEQUENCE_WAIT (500 * CLOCK_MILLISECOND) /* then a sequence that has begun is given up */
#define ESCAPE_WAIT_ANSWER (300 * CLOCK_MILLISECOND) /* both, while the terminal has been asked something */
#define SEQUENCE_WAIT_ANSWER (3 * CLOCK_SECOND)
#define PASTE_WAIT (1 * CLOCK_SECOND)           /* then its end was lost */
#define DOUBLE_CLICK (400 * CLOCK_MILLISECOND)

enum { ESC = 0x1B, PARAMETERS = 8 };

struct sequence { const unsigned char *bytes; size_t length; bool over; }; /* over: nothing more will come */

static const struct { char last; uint32_t code; } letters[] = {
    {'A', KEY_CODE_UP},   {'B', KEY_CODE_DOWN},     {'C', KEY_CODE_RIGHT},  {'D', KEY_CODE_LEFT},   {'H', KEY_CODE_HOME},
    {'F', KEY_CODE_END},  {'Z', KEY_CODE_BACK_TAB}, {'P', KEY_CODE_F1},     {'Q', KEY_CODE_F1 + 1}, {'R', KEY_CODE_F1 + 2},
    {'S', KEY_CODE_F1 + 3}, {'a', KEY_CODE_UP},     {'b', KEY_CODE_DOWN},   {'c', KEY_CODE_RIGHT},  {'d', KEY_CODE_LEFT},
};

static const struct { unsigned number; uint32_t code; } numbered[] = {
    {1, KEY_CODE_HOME},       {2, KEY_CODE_INSERT},     {3, KEY_CODE_DELETE},     {4, KEY_CODE_END},         {5, KEY_CODE_PAGE_UP},
    {6, KEY_CODE_PAGE_DOWN},  {7, KEY_CODE_HOME},       {8, KEY_CODE_END},        {11, KEY_CODE_F1},         {12, KEY_CODE_F1 + 1},
    {13, KEY_CODE_F1 + 2},    {14, KEY_CODE_F1 + 3},    {15, KEY_CODE_F1 + 4},    {17, KEY_CODE_F1 + 5},     {18, KEY_CODE_F1 + 6},
    {19, KEY_CODE_F1 + 7},    {20, KEY_CODE_F1 + 8},    {21, KEY_CODE_F1 + 9},    {23, KEY_CODE_F1 + 10},    {24, KEY_CODE_F12},
};

static uint32_t letter_code(unsigned char last)
{
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
        if (letters[i].last == last)
            return letters[i].code;
    return 0;
}

static uint32_t numbered_code(unsigned number)
{
    for (size_t i = 0; i < sizeof numbered / sizeof numbered[0]; i++)
        if (numbered[i].number == number)
            return numbered[i].code;
    return 0;
}

static uint32_t plain_code(uint32_t character)
{
    switch (character) {
    case '\r':
    case '\n':
        return KEY_CODE_ENTER;
    case '\t':
        return KEY_CODE_TAB;
    case 0x08:
    case 0x7F:
        return KEY_CODE_BACKSPACE;
    case ESC:
        return KEY_CODE_ESCAPE;
    default:
        return character;
    }
}

/* A button pressed or the wheel turned; anything else the mouse does is nothing. */
static void mouse(struct key_reader *reader, int64_t now, const unsigned *numbers, bool pressed, struct key_event *event)
{
    unsigned button = numbers[0];
    bool wheel = button & 64;
    if (!pressed || button & 32 || button >= 128 || (button & 3) > (wheel ? 1 : 0) || !numbers[1] || !numbers[2])
        return;
    *event = (struct key_event){.code = KEY_CODE_MOUSE, .row = (int)numbers[2] - 1, .column = (int)numbers[1] - 1};
    if (wheel) {
        event->wheel = button & 3 ? 1 : -1;
        return;
    }
    event->double_click = reader->click_at && now - reader->click_at < DOUBLE_CLICK && reader->click_row == event->row &&
                          reader->click_column == event->column;
    reader->click_at = event->double_click ? 0 : now;
    reader->click_row = event->row;
    reader->click_column = event->column;
}

/* CSI u: "CSI 97 ; 5 u" is ctrl-a. */
static void written_out(const unsigned *numbers, unsigned modifiers, struct key_event *event)
{
    uint32_t character = numbers[0];
    if (modifiers & 4 && character >= 'a' && character <= 'z')
        character -= 'a' - 1;
    if (character < 0x110000)
        event->code = plain_code(character);
}

static void control_sequence(struct key_reader *reader, int64_t now, const unsigned *numbers, unsigned char mark, unsigned char last, struct key_event *event)
{
    unsigned modifiers = numbers[1] ? numbers[1] - 1 : 0;
    if (mark == '<') {
        if (last == 'M' || last == 'm')
            mouse(reader, now, numbers, last == 'M', event);
        return;
    }
    if (mark)
        return;
    if (last == '~' && numbers[0] == 200) {
        reader->pasting = true;
        event->code = KEY_CODE_PASTE;
        return;
    }
    if (last == 'n') /* the answer to PACE_QUESTION */
        reader->answers++;
    else if (last == '~')
        event->code = numbered_code(numbers[0]);
    else if (last == 'u')
        written_out(numbers, modifiers, event);
    else if (numbers[0] <= 1) /* "CSI 24 ; 80 R" tells where the cursor is */
        event->code = letter_code(last);
    event->alt = event->code && modifiers & 2;
}

/* Behind "ESC [". Returns the bytes of the whole sequence; 0: more must come. */
static size_t read_control(struct key_reader *reader, int64_t now, const struct sequence *in, struct key_event *event)
{
    unsigned numbers[PARAMETERS] = {0}, count = 0;
    unsigned char mark = 0;
    size_t at = 2;
    if (at < in->length && in->bytes[at] == '[') { /* the Linux console's F1 to F5 */
        if (at + 1 < in->length && in->bytes[at + 1] >= 'A' && in->bytes[at + 1] <= 'E')
            event->code = KEY_CODE_F1 + (uint32_t)(in->bytes[at + 1] - 'A');
        return at + 1 < in->length ? at + 2 : 0;
    }
    if (at < in->length && in->bytes[at] == 'M') /* the mouse, as it was before 1006 */
        return in->length >= 6 ? 6 : 0;
    for (; at < in->length; at++) {
        unsigned char byte = in->bytes[at];
        if (byte >= '0' && byte <= '9') {
            if (count < PARAMETERS && numbers[count] < 10000000)
                numbers[count] = numbers[count] * 10 + (byte - '0');
        } else if (byte == ';') {
            count++;
        } else if (byte >= '<' && byte <= '?') {
            mark = byte;
        } else if (byte >= 0x40 && byte <= 0x7E) {
            control_sequence(reader, now, numbers, mark, byte, event);
            return at + 1;
        } else if (byte < 0x20 || byte > 0x7E) { /* it was none */
            return at;
        } else if (byte == '$') { /* rxvt: shift */
            mark = byte;
        }
    }
    return 0;
}

/* Behind "ESC O". */
static size_t read_shifted(const struct sequence *in, struct key_event *event)
{
    if (in->length < 3)
        return 0;
    unsigned char last = in->bytes[2];
    if (last >= 'j' && last <= 'y')
        event->code = (uint32_t)(last - 0x40); /* the keypad */
    else
        event->code = last == 'M' ? (uint32_t)KEY_CODE_ENTER : letter_code(last);
    return 3;
}

/* A string that the terminal answers with: up to BEL or ST. */
static size_t read_string(const struct sequence *in)
{
    for (size_t at = 2; at < in->length; at++) {
        if (in->bytes[at] == 0x07)
            return at + 1;
        if (in->bytes[at] == ESC && at + 1 < in->length)
            return in->bytes[at + 1] == '\\' ? at + 2 : at;
    }
    return 0;
}

static size_t read_character(const struct sequence *in, size_t at, struct key_event *event)
{
    uint32_t character;
    size_t left = in->length - at, used = text_decode((const char *)in->bytes + at, left, &character);
    if (used) {
        event->code = plain_code(character);
        return at + used;
    }
    size_t following = 1;
    while (following < left && (in->bytes[at + following] & 0xC0) == 0x80)
        following++;
    if (in->bytes[at] >= 0xC2 && in->bytes[at] < 0xF5 && following == left && left < 4 && !in->over)
        return 0; /* its other bytes are to come */
    return at + 1;
}

static size_t read_escape(struct key_reader *reader, int64_t now, const struct sequence *in, struct key_event *event)
{
    size_t used = 0;
    if (in->length == 1 || in->bytes[1] == ESC) {
        if (in->length == 1 && !in->over)
            return 0;
        reader->cut = in->length == 1;
        event->code = KEY_CODE_ESCAPE;
        return 1;
    }
    if (in->length > 2 || !in->over)
        switch (in->bytes[1]) {
        case '[':
            return read_control(reader, now, in, event);
        case 'O':
            return read_shifted(in, event);
        case ']':
        case 'P':
        case '_':
        case '^':
        case 'X':
            return in->length > 2 || !in->over ? read_string(in) : 0;
        }
    used = read_character(in, 1, event);
    event->alt = event->code != 0;
    return used;
}

static bool begins(const unsigned char *bytes, size_t length, const char *text, bool *partly)
{
    size_t size = strlen(text);
    *partly = length < size && !memcmp(bytes, text, length);
    return length >= size && !memcmp(bytes, text, size);
}

/* The answer that is expected, though its Esc was taken for a key already. */
static size_t read_rest_of_answer(struct key_reader *reader, bool over, bool *partly)
{
    *partly = false;
    if (!reader->cut || !reader->expecting)
        return 0;
    if (begins(reader->bytes, reader->length, "[0n", partly)) {
        reader->answers++;
        reader->cut = false;
        return 3;
    }
    *partly &= !over;
    return 0;
}

static size_t read_event(struct key_reader *reader, int64_t now, struct key_event *event)
{
    int64_t age = now - reader->at, escape = reader->expecting ? ESCAPE_WAIT_ANSWER : ESCAPE_WAIT;
    int64_t sequence = reader->expecting ? SEQUENCE_WAIT_ANSWER : SEQUENCE_WAIT;
    struct sequence in = {reader->bytes, reader->length, age >= (reader->length <= 2 ? escape : sequence)};
    bool full = in.length == sizeof reader->bytes, partly;
    size_t rest = read_rest_of_answer(reader, in.over, &partly);
    if (rest || partly)
        return rest;
    reader->cut = false;
    size_t used = in.bytes[0] == ESC ? read_escape(reader, now, &in, event) : read_character(&in, 0, event);
    if (!used && (in.over || full)) /* never whole: given up */
        return in.length;
    return used;
}

/* Text between the marks: characters and line ends; what else is in it is left out. */
static size_t read_pasted(struct key_reader *reader, int64_t now, struct key_event *event)
{
    struct sequence in = {reader->bytes, reader->length, now - reader->at >= SEQUENCE_WAIT};
    bool partly, partly_answer;
    if (begins(in.bytes, in.length, "\033[201~", &partly)) {
        reader->pasting = false;
        event->code = KEY_CODE_PASTE_END;
        return 6;
    }
    if (begins(in.bytes, in.length, "\033[0n", &partly_answer) && reader->expecting) {
        reader->answers++;
        return 4;
    }
    if (partly && !in.over)
        return 0;
    size_t used = read_character(&in, 0, event);
    if (event->code < 0x20 || (event->code >= KEY_CODE_BASE && event->code != KEY_CODE_ENTER && event->code != KEY_CODE_TAB) ||
        (event->code < KEY_CODE_BASE && !text_character_is_safe(event->code)))
        event->code = 0;
    return used;
}

bool key_reader_next(struct key_reader *reader, int64_t now, struct key_event *event)
{
    if (reader->pasting && !reader->length && now - reader->at >= PASTE_WAIT) {
        reader->pasting = false;
        *event = (struct key_event){.code = KEY_CODE_PASTE_END};
        return true;
    }
    while (reader->length) {
        *event = (struct key_event){.code = 0};
        size_t used = reader->pasting ? read_pasted(reader, now, event) : read_event(reader, now, event);
        if (!used)
            return false;
        used = used > reader->length ? reader->length : used;
        memmove(reader->bytes, reader->bytes + used, reader->length - used);
        reader->length -= used;
        if (event->code)
            return true;
    }
    return false;
}
