/* The lines of a wg-quick file, before it is read: a private key is turned into its public one and overwritten, a preshared key into one that only says that there is one; and
 * comments are looked at for names, which wg-quick's form has no key for. */
#include "import_parts.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/key.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

/* Stands where a preshared key stood: 32 bytes of one. */
static const char some_key[] = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

enum { NAME_SIZE = 64 };

struct scanning {
    struct import *import;
    struct import_scan *scan;
    enum { BEFORE, INTERFACE, PEER, OTHER } section;
    char name[NAME_SIZE];        /* of the section, as its comments say */
    char above[NAME_SIZE];       /* of comments that may belong to the next section's header */
    bool has_key;
    struct key key;              /* of the peer */
};

/* What people and tools write before a name, in comments. */
static const char *const labels[] = {"Name", "friendly_name", "Client", "Peer", "BEGIN_PEER", "begin", "Host", "Node"};

static size_t skip(const char *text, const char *bytes)
{
    return strspn(text, bytes);
}

/* A comment's text as a node's name: one word, or one behind a label. False: it is prose. */
static bool name_of_comment(const char *text, char name[static NAME_SIZE])
{
    text += skip(text, "# \t");
    for (size_t i = 0; i < COUNT_OF(labels); i++) {
        size_t length = strlen(labels[i]);
        if (!strncasecmp(text, labels[i], length) && strchr(" \t:=", text[length]) && text[length]) {
            text += length + skip(text + length, " \t:=");
            break;
        }
    }
    size_t length = strcspn(text, " \t\r#"), rest = length + skip(text + length, " \t\r#");
    if (!length || length >= NAME_SIZE || text[rest])
        return false;
    memcpy(name, text, length);
    name[length] = '\0';
    return text_is_name(name);
}

/* "# api of the mesh prod, from wgdeck export: ..." */
static bool take_own_header(struct scanning *scanning, const char *text)
{
    static const char between[] = " of the mesh ", behind[] = ", from wgdeck export";
    text += skip(text, "# ");
    const char *middle = strstr(text, between), *end = middle ? strstr(middle, behind) : NULL;
    if (!end || scanning->scan->mesh)
        return false;
    char *name = mem_text_part(text, (size_t)(middle - text));
    bool good = text_is_name(name);
    if (good)
        snprintf(scanning->above, sizeof scanning->above, "%s", name);
    if (good)
        scanning->scan->mesh = mem_text_part(middle + strlen(between), (size_t)(end - middle) - strlen(between));
    free(name);
    return good;
}

static void take_comment(struct scanning *scanning, const char *text)
{
    char name[NAME_SIZE];
    if (take_own_header(scanning, text) || !name_of_comment(text, name))
        return;
    memcpy(scanning->above, name, sizeof name);
    if (!scanning->name[0])
        memcpy(scanning->name, name, sizeof name);
}

static void end_section(struct scanning *scanning)
{
    if (scanning->section == PEER && scanning->has_key && scanning->name[0])
        import_add_label(scanning->import, &scanning->key, scanning->name);
    if (scanning->section == INTERFACE && scanning->name[0] && !scanning->scan->name)
        scanning->scan->name = mem_text(scanning->name);
    scanning->name[0] = '\0';
    scanning->has_key = false;
}

static void begin_section(struct scanning *scanning, const char *text)
{
    char above[NAME_SIZE];
    memcpy(above, scanning->above, sizeof above);
    /* A comment directly above a header is the new section's, not the one's that ends there. */
    if (above[0] && !strcmp(above, scanning->name))
        scanning->name[0] = '\0';
    end_section(scanning);
    scanning->section = !strncasecmp(text, "[Interface]", 11) ? INTERFACE : !strncasecmp(text, "[Peer]", 6) ? PEER : OTHER;
    memcpy(scanning->name, above, sizeof above);
    scanning->above[0] = '\0';
}

/* VALUE, in the file's own bytes, of LENGTH. */
static void take_secret(struct scanning *scanning, char *value, size_t length, bool is_private)
{
    struct key key;
    char text[KEY_TEXT_SIZE];
    if (length != KEY_TEXT_SIZE - 1) {
        memset(value, 'x', length);
        return;
    }
    memcpy(text, value, length);
    text[length] = '\0';
    bool good = !key_parse(text, &key), zero = good && key_is_zero(&key);
    if (good && is_private && !zero) {
        key_public(&key, &scanning->scan->public_key);
        scanning->scan->has_key = true;
    }
    if (!good)
        memset(value, 'x', length);
    else if (!zero)
        memcpy(value, some_key, length);
    key_wipe(&key);
    sodium_memzero(text, sizeof text);
}

static void take_public(struct scanning *scanning, const char *value, size_t length)
{
    char text[KEY_TEXT_SIZE];
    if (length != KEY_TEXT_SIZE - 1)
        return;
    memcpy(text, value, length);
    text[length] = '\0';
    scanning->has_key = !key_parse(text, &scanning->key);
}

/* LINE ends with a NUL. */
static void take_line(struct scanning *scanning, char *line)
{
    line += skip(line, " \t\r");
    scanning->above[0] = *line == '#' || *line == '[' ? scanning->above[0] : '\0';
    if (*line == '#') {
        take_comment(scanning, line);
    } else if (*line == '[') {
        begin_section(scanning, line);
    } else {
        size_t key = strcspn(line, " \t=");
        char *value = line + key + skip(line + key, " \t");
        if (*value != '=')
            return;
        value += 1 + skip(value + 1, " \t");
        size_t length = strcspn(value, " \t\r#");
        if (key == 10 && !strncasecmp(line, "PrivateKey", key))
            take_secret(scanning, value, length, true);
        else if (key == 12 && !strncasecmp(line, "PresharedKey", key))
            take_secret(scanning, value, length, false);
        else if (key == 9 && !strncasecmp(line, "PublicKey", key))
            take_public(scanning, value, length);
    }
}

void import_scan(struct import *import, char *bytes, size_t length, struct import_scan *scan)
{
    struct scanning scanning = {.import = import, .scan = scan};
    *scan = (struct import_scan){0};
    for (char *line = bytes, *end = bytes + length; line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline) {
            /* The last line has no end to put the NUL at: a copy of it, and back. */
            size_t rest = (size_t)(end - line);
            char *copy = mem_text_part(line, rest);
            size_t copied = strlen(copy);
            take_line(&scanning, copy);
            memcpy(line, copy, copied);
            sodium_memzero(copy, copied);
            free(copy);
            break;
        }
        *newline = '\0';
        take_line(&scanning, line);
        *newline = '\n';
        line = newline + 1;
    }
    end_section(&scanning);
}
