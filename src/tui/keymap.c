/* Keys: their names, the defaults of action.h, and what deck.conf makes of them. */
#include "keymap.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

const struct action_row action_rows[] = {
    [ACTION_NONE] = {"", "", "", "", ""},
#define X(name, word, keys, where, brief, help) [ACTION_##name] = {word, keys, where, brief, help},
    ACTIONS(X)
#undef X
};

static const struct { const char *name; uint32_t code; } named_keys[] = {
    {"space", ' '},
    {"up", KEY_CODE_UP},
    {"down", KEY_CODE_DOWN},
    {"left", KEY_CODE_LEFT},
    {"right", KEY_CODE_RIGHT},
    {"page-up", KEY_CODE_PAGE_UP},
    {"page-down", KEY_CODE_PAGE_DOWN},
    {"home", KEY_CODE_HOME},
    {"end", KEY_CODE_END},
    {"insert", KEY_CODE_INSERT},
    {"delete", KEY_CODE_DELETE},
    {"backspace", KEY_CODE_BACKSPACE},
    {"tab", KEY_CODE_TAB},
    {"back-tab", KEY_CODE_BACK_TAB},
    {"enter", KEY_CODE_ENTER},
    {"esc", KEY_CODE_ESCAPE},
};

static bool parse_named(const char *word, uint32_t *code)
{
    unsigned long long number;
    for (size_t i = 0; i < COUNT_OF(named_keys); i++)
        if (!strcasecmp(word, named_keys[i].name)) {
            *code = named_keys[i].code;
            return true;
        }
    if ((word[0] == 'f' || word[0] == 'F') && !text_to_number(word + 1, 12, &number) && number) {
        *code = KEY_CODE_F1 + (uint32_t)number - 1;
        return true;
    }
    return false;
}

bool keystroke_parse(const char *word, uint32_t *code, bool *alt)
{
    *alt = !strncasecmp(word, "alt-", 4) && word[4];
    if (*alt)
        word += 4;
    if (!strncasecmp(word, "ctrl-", 5)) {
        int letter = tolower((unsigned char)word[5]);
        /* ctrl-i, ctrl-m and ctrl-j are Tab and Enter to a terminal. */
        if (letter < 'a' || letter > 'z' || word[6] || strchr("ijm", letter))
            return false;
        *code = (uint32_t)(letter - 'a' + 1);
        return true;
    }
    uint32_t character;
    size_t length = strlen(word), taken = text_decode(word, length, &character);
    if (taken && taken == length && text_character_is_safe(character) && character != ' ') {
        *code = character;
        return true;
    }
    return parse_named(word, code);
}

static void add_character(char text[static 24], uint32_t code)
{
    size_t at = strlen(text);
    if (code < 0x80) {
        text[at++] = (char)code;
    } else if (code < 0x800) {
        text[at++] = (char)(0xc0 | code >> 6);
        text[at++] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        text[at++] = (char)(0xe0 | code >> 12);
        text[at++] = (char)(0x80 | (code >> 6 & 0x3f));
        text[at++] = (char)(0x80 | (code & 0x3f));
    } else {
        text[at++] = (char)(0xf0 | code >> 18);
        text[at++] = (char)(0x80 | (code >> 12 & 0x3f));
        text[at++] = (char)(0x80 | (code >> 6 & 0x3f));
        text[at++] = (char)(0x80 | (code & 0x3f));
    }
    text[at] = '\0';
}

void keystroke_text(uint32_t code, bool alt, char text[static 24])
{
    strcpy(text, alt ? "alt-" : "");
    for (size_t i = 0; i < COUNT_OF(named_keys); i++)
        if (named_keys[i].code == code) {
            strcat(text, named_keys[i].name);
            return;
        }
    if (code >= KEY_CODE_F1 && code <= KEY_CODE_F12)
        snprintf(text + strlen(text), 8, "f%u", (unsigned)(code - KEY_CODE_F1 + 1) % 100);
    else if (code >= 1 && code <= 26)
        snprintf(text + strlen(text), 8, "ctrl-%c", (char)('a' + code - 1));
    else if (code < KEY_CODE_BASE && text_character_is_safe(code))
        add_character(text, code);
    else
        strcat(text, "?");
}

static void drop(struct keymap *keymap, enum action action)
{
    size_t kept = 0;
    for (size_t i = 0; i < keymap->count; i++)
        if (keymap->keys[i].action != action)
            keymap->keys[kept++] = keymap->keys[i];
    keymap->count = kept;
}

static size_t find(const struct keymap *keymap, uint32_t code, bool alt)
{
    for (size_t i = 0; i < keymap->count; i++)
        if (keymap->keys[i].code == code && keymap->keys[i].alt == alt)
            return i;
    return SIZE_MAX;
}

static void add(struct keymap *keymap, uint32_t code, bool alt, enum action action)
{
    MEM_GROW(keymap->keys, keymap->count, keymap->capacity);
    keymap->keys[keymap->count].code = code;
    keymap->keys[keymap->count].alt = alt;
    keymap->keys[keymap->count++].action = action;
}

/* The next word of a list; false at its end. Words end at spaces, and at a comma that is not a word by itself. */
static bool next_word(const char **list, char word[static 32])
{
    *list += strspn(*list, " \t");
    size_t length = strcspn(*list, " \t");
    if (!length)
        return false;
    size_t kept = length > 1 && (*list)[length - 1] == ',' ? length - 1 : length;
    snprintf(word, 32, "%.*s", (int)(kept < 31 ? kept : 31), *list);
    *list += length;
    return true;
}

void keymap_begin(struct keymap *keymap)
{
    uint32_t code;
    bool alt;
    *keymap = (struct keymap){0};
    for (int action = ACTION_NONE + 1; action < ACTION_COUNT; action++) {
        char word[32];
        for (const char *list = action_rows[action].keys; next_word(&list, word);) {
            if (!keystroke_parse(word, &code, &alt) || find(keymap, code, alt) != SIZE_MAX)
                abort(); /* the table is wrong */
            add(keymap, code, alt, (enum action)action);
        }
    }
}

void keymap_free(struct keymap *keymap)
{
    free(keymap->keys);
    *keymap = (struct keymap){0};
}

static enum action action_by_name(const char *name)
{
    for (int action = ACTION_NONE + 1; action < ACTION_COUNT; action++)
        if (!strcasecmp(action_rows[action].name, name))
            return (enum action)action;
    return ACTION_NONE;
}

static const char *nearest_action(const char *name)
{
    const char *names[ACTION_COUNT];
    for (int action = 1; action < ACTION_COUNT; action++)
        names[action - 1] = action_rows[action].name;
    return text_nearest(name, names, ACTION_COUNT - 1);
}

static const char *nearest_key(const char *word)
{
    const char *names[COUNT_OF(named_keys)];
    for (size_t i = 0; i < COUNT_OF(named_keys); i++)
        names[i] = named_keys[i].name;
    return text_nearest(word, names, COUNT_OF(named_keys));
}

/* Where a warning is about: FILE:LINE. */
struct place { const char *file; size_t line; struct buf *warnings; };

static void warn(const struct place *place, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(const struct place *place, const char *format, ...)
{
    struct buf line = BUF_EMPTY;
    va_list arguments;
    buf_add_format(&line, "%s:%zu: ", place->file, place->line);
    va_start(arguments, format);
    buf_add_vformat(&line, format, arguments);
    va_end(arguments);
    text_add_safe(place->warnings, buf_text(&line), line.length);
    buf_add_char(place->warnings, '\n');
    buf_free(&line);
}

enum { KEYS_MOST = 16 };
struct keystroke { uint32_t code; bool alt; };

/* All words of a value, or 0 when one is no key: half a line would leave an action without the key that was meant. */
static size_t parse_value(const struct conf_entry *entry, const struct place *place, struct keystroke keys[static KEYS_MOST])
{
    char word[32];
    size_t count = 0;
    for (const char *list = entry->value; next_word(&list, word);) {
        if (count == KEYS_MOST) {
            warn(place, "more than %d keys for %s: the others are left out", KEYS_MOST, entry->key);
            return count;
        }
        if (!keystroke_parse(word, &keys[count].code, &keys[count].alt)) {
            const char *near = nearest_key(word);
            warn(place, "\"%s\" is no key%s%s%s (keys are written as in: q ctrl-l f1 alt-x page-down space)", word, near ? ": did you mean " : "",
                 near ? near : "", near ? "?" : "");
            return 0;
        }
        count++;
    }
    return count;
}

static void take_entry(struct keymap *keymap, const struct conf_entry *entry, const struct place *place, bool *given)
{
    struct keystroke keys[KEYS_MOST];
    enum action action = action_by_name(entry->key);
    if (action == ACTION_NONE) {
        const char *near = nearest_action(entry->key);
        warn(place, "unknown action %s%s%s%s", entry->key, near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
        return;
    }
    bool none = !strcasecmp(entry->value, "none");
    if (none && (action == ACTION_QUIT || action == ACTION_BACK)) {
        warn(place, "%s must have a key", entry->key);
        return;
    }
    size_t count = none ? 0 : parse_value(entry, place, keys);
    if (!count && !none) {
        if (!*entry->value)
            warn(place, "%s has no key (write \"none\" to take its keys away)", entry->key);
        return;
    }
    drop(keymap, action);
    given[action] = true;
    for (size_t i = 0; i < count; i++) {
        size_t other = find(keymap, keys[i].code, keys[i].alt);
        if (other == SIZE_MAX) {
            add(keymap, keys[i].code, keys[i].alt, action);
        } else if (keymap->keys[other].action != action) {
            /* What the file says is stronger than a default, and what it said first than what it says later. */
            char text[24];
            keystroke_text(keys[i].code, keys[i].alt, text);
            if (given[keymap->keys[other].action])
                warn(place, "%s is already the key of %s", text, action_rows[keymap->keys[other].action].name);
            else
                keymap->keys[other].action = action;
        }
    }
}

/* Without a way out the terminal would be a trap, and without others the deck is not what its manual says. */
static void mend(struct keymap *keymap, const struct conf *conf, struct buf *warnings)
{
    for (int action = ACTION_NONE + 1; action < ACTION_COUNT; action++) {
        bool has = false;
        for (size_t i = 0; i < keymap->count; i++)
            has |= keymap->keys[i].action == (enum action)action;
        if (has || (action != ACTION_QUIT && action != ACTION_BACK))
            continue;
        uint32_t code = action == ACTION_QUIT ? 3 : KEY_CODE_ESCAPE;
        size_t other = find(keymap, code, false);
        if (other == SIZE_MAX)
            add(keymap, code, false, (enum action)action);
        else
            keymap->keys[other].action = (enum action)action;
        buf_add_format(warnings, "%s: %s had no key left: it has %s\n", conf_file(conf), action_rows[action].name, action == ACTION_QUIT ? "ctrl-c" : "esc");
    }
}

void keymap_read(struct keymap *keymap, const struct conf *conf, struct buf *warnings)
{
    struct conf_entry entry;
    bool given[ACTION_COUNT] = {false};
    for (size_t cursor = 0; conf_next(conf, &cursor, &entry);) {
        if (strcasecmp(entry.section, "Keys"))
            continue;
        struct place place = {conf_file(conf), entry.line, warnings};
        take_entry(keymap, &entry, &place, given);
    }
    mend(keymap, conf, warnings);
}

enum action keymap_find(const struct keymap *keymap, const struct key_event *key)
{
    size_t at = find(keymap, key->code, key->alt);
    return at == SIZE_MAX ? ACTION_NONE : keymap->keys[at].action;
}

const char *keymap_text(const struct keymap *keymap, enum action action, struct buf *buf)
{
    buf_clear(buf);
    for (size_t i = 0; i < keymap->count; i++)
        if (keymap->keys[i].action == action) {
            char text[24];
            keystroke_text(keymap->keys[i].code, keymap->keys[i].alt, text);
            buf_add_format(buf, "%s%s", buf->length ? " " : "", text);
        }
    return buf_text(buf);
}
