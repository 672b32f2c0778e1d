/* Names, addresses, keys and hosts hidden in any text: names of the mesh become node-1, what looks like an address, a key, a login or a host is
 * numbered in the order in which it was seen. The same thing is the same word as long as the deck runs. */
#include "privacy.h"

#include <ctype.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/key.h"
#include "wgdeck/mem.h"

enum { SEEN_MOST = 4096, TOKEN_MOST = 256 };

/* What was hidden, sorted by text, with the number it has. */
struct seen { char *text; size_t number; };
struct seen_list { struct seen *list; size_t count, capacity; };

/* What the mesh itself is called by, sorted; made anew with each picture, since hosts tell their names late. */
struct word { char *text, *shown; };
struct privacy {
    struct seen_list addresses, keys, hosts;
    struct word *words;
    size_t word_count, word_capacity;
    size_t *groups;           /* per node: the number of its group */
    const struct mesh *mesh;  /* that words are of; NULL: to be made */
};

struct privacy *privacy_new(void)
{
    return mem_alloc(1, sizeof(struct privacy));
}

void privacy_renew(struct privacy *privacy)
{
    for (size_t i = 0; i < privacy->word_count; i++) {
        free(privacy->words[i].text);
        free(privacy->words[i].shown);
    }
    free(privacy->groups);
    privacy->groups = NULL;
    privacy->word_count = 0;
    privacy->mesh = NULL;
}

static void free_list(struct seen_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->list[i].text);
    free(list->list);
}

void privacy_free(struct privacy *privacy)
{
    if (!privacy)
        return;
    privacy_renew(privacy);
    free(privacy->words);
    free_list(&privacy->addresses);
    free_list(&privacy->keys);
    free_list(&privacy->hosts);
    free(privacy);
}

/* The number of TEXT, which is kept; 0 when too many were seen. */
static size_t number_of(struct seen_list *list, const char *text)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcasecmp(list->list[middle].text, text);
        if (!order)
            return list->list[middle].number;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (list->count == SEEN_MOST)
        return 0;
    MEM_GROW(list->list, list->count, list->capacity);
    memmove(list->list + low + 1, list->list + low, (list->count - low) * sizeof *list->list);
    list->list[low] = (struct seen){mem_text(text), ++list->count};
    return list->list[low].number;
}

static void add_numbered(struct seen_list *list, const char *word, const char *text, struct buf *buf)
{
    size_t number = number_of(list, text);
    buf_add_text(buf, word);
    if (number)
        buf_add_format(buf, "-%zu", number);
}

static void add_word(struct privacy *privacy, const char *text, size_t length, char *shown)
{
    if (!text || !length) {
        free(shown);
        return;
    }
    MEM_GROW(privacy->words, privacy->word_count, privacy->word_capacity);
    privacy->words[privacy->word_count++] = (struct word){mem_text_part(text, length), shown};
}

static void add_whole(struct privacy *privacy, const char *text, char *shown)
{
    add_word(privacy, text, text ? strlen(text) : 0, shown);
}

/* The host of [user@]host[:port]; an IPv6 address is known without. */
static void add_target(struct privacy *privacy, const char *target, size_t number)
{
    if (!target)
        return;
    const char *host = strrchr(target, '@') ? strrchr(target, '@') + 1 : target;
    add_word(privacy, host, strcspn(host, ":"), mem_format("host-%zu", number));
    add_whole(privacy, target, mem_format("host-%zu", number));
}

static int compare_words(const void *left, const void *right)
{
    const struct word *one = left, *other = right;
    return strcasecmp(one->text, other->text);
}

static int compare_group_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Groups are numbered by name: the same whatever the order of nodes. */
static void number_groups(struct privacy *privacy, const struct mesh *mesh)
{
    const char **names = mem_alloc(mesh->node_count + 1, sizeof *names);
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < mesh->node_count; i++)
        if (mesh->nodes[i].group)
            names[count++] = mesh->nodes[i].group;
    qsort(names, count, sizeof *names, compare_group_names);
    for (size_t i = 0; i < count; i++)
        if (!kept || strcmp(names[kept - 1], names[i]))
            names[kept++] = names[i];
    privacy->groups = mem_alloc(mesh->node_count + 1, sizeof *privacy->groups);
    for (size_t i = 0; i < mesh->node_count; i++) {
        const char *group = mesh->nodes[i].group;
        const char **at = group && kept ? bsearch(&group, names, kept, sizeof *names, compare_group_names) : NULL;
        privacy->groups[i] = at ? (size_t)(at - names) + 1 : 0;
    }
    for (size_t i = 0; i < kept; i++)
        add_whole(privacy, names[i], mem_format("group-%zu", i + 1));
    free(names);
}

/* The first of equal words counts: a node's name is stronger than a host's, and both than a group's. */
static void make_words(struct privacy *privacy, const struct mesh *mesh, const struct observed *observed)
{
    struct privacy weaker = {.mesh = mesh};
    if (privacy->mesh == mesh)
        return;
    privacy_renew(privacy);
    privacy->mesh = mesh;
    for (size_t i = 0; i < mesh->node_count; i++) {
        const struct mesh_node *node = &mesh->nodes[i];
        add_whole(privacy, node->name, mem_format("node-%zu", i + 1));
        add_target(&weaker, node->ssh, i + 1);
        add_whole(&weaker, node->endpoint_host, mem_format("host-%zu", i + 1));
        if (observed && i < observed->node_count)
            add_whole(&weaker, observed->nodes[i].hostname, mem_format("host-%zu", i + 1));
    }
    number_groups(&weaker, mesh);
    add_whole(&weaker, mesh->name, mem_text("mesh"));
    privacy->groups = weaker.groups;
    qsort(privacy->words, privacy->word_count, sizeof *privacy->words, compare_words);
    size_t strong = privacy->word_count;
    for (size_t i = 0; i < weaker.word_count; i++) {
        if (bsearch(&weaker.words[i], privacy->words, strong, sizeof *privacy->words, compare_words)) {
            free(weaker.words[i].text);
            free(weaker.words[i].shown);
            continue;
        }
        MEM_GROW(privacy->words, privacy->word_count, privacy->word_capacity);
        privacy->words[privacy->word_count++] = weaker.words[i];
    }
    free(weaker.words);
    qsort(privacy->words, privacy->word_count, sizeof *privacy->words, compare_words);
}

size_t privacy_group(struct privacy *privacy, const struct mesh *mesh, const struct observed *observed, size_t node)
{
    make_words(privacy, mesh, observed);
    return privacy->groups[node];
}

/* A word of the mesh itself. */
static bool hide_name(const struct privacy *privacy, const char *token, struct buf *buf)
{
    struct word wanted = {(char *)(uintptr_t)token, NULL};
    const struct word *found = bsearch(&wanted, privacy->words, privacy->word_count, sizeof wanted, compare_words);
    if (found)
        buf_add_text(buf, found->shown);
    return found != NULL;
}

static bool hide_address(struct privacy *privacy, const char *token, struct buf *buf)
{
    struct endpoint endpoint;
    struct prefix prefix;
    struct address address;
    char text[ADDRESS_TEXT_SIZE], bare[TOKEN_MOST];
    struct seen_list *list = &privacy->addresses;
    size_t length = strlen(token);
    if (!strpbrk(token, ".:"))
        return false;
    if (token[0] == '[' && token[length - 1] == ']') { /* an IPv6 address alone in brackets */
        snprintf(bare, sizeof bare, "%.*s", (int)length - 2, token + 1);
        token = bare;
    }
    if (!address_parse(token, &address)) {
        address_text(&address, text);
        add_numbered(list, "address", text, buf);
        return true;
    }
    if (!endpoint_parse(token, &endpoint)) {
        address_text(&endpoint.address, text);
        add_numbered(list, "address", text, buf);
        buf_add_text(buf, ":port");
        return true;
    }
    if (!prefix_parse(token, &prefix)) {
        address_text(&prefix.address, text);
        add_numbered(list, "address", text, buf);
        buf_add_format(buf, "/%u", prefix.length);
        return true;
    }
    return false;
}

static bool is_base64(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '+' && text[i] != '/')
            return false;
    return true;
}

static bool hide_key(struct privacy *privacy, const char *token, struct buf *buf)
{
    size_t length = strlen(token);
    bool key = length == 44 && token[43] == '=' && is_base64(token, 43);
    bool fingerprint = !strncmp(token, "SHA256:", 7) && length >= 40;
    if (!key && !fingerprint)
        return false;
    add_numbered(&privacy->keys, key ? "key" : "fingerprint", token, buf);
    return true;
}

/* Names of files and units look like host names; these are not. */
static bool is_file_ending(const char *ending)
{
    static const char *const endings[] = {"conf", "service", "json", "jsonl", "txt", "csv", "target", "timer", "network", "netdev", "log", "theme", "sh"};
    for (size_t i = 0; i < COUNT_OF(endings); i++)
        if (!strcasecmp(ending, endings[i]))
            return true;
    return false;
}

static bool is_host_name(const char *token)
{
    const char *dot = strrchr(token, '.');
    if (!dot || dot == token || strlen(dot) < 3 || is_file_ending(dot + 1))
        return false;
    for (const char *at = dot + 1; *at; at++)
        if (!isalpha((unsigned char)*at))
            return false;
    for (const char *at = token; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr(".-", *at))
            return false;
    return isalnum((unsigned char)*token);
}

static void hide_token(struct privacy *privacy, const char *token, struct buf *buf);

/* user@host, host:port, node->node, name's: parts that are hidden one by one. True if it was one of these. */
static bool hide_parts(struct privacy *privacy, const char *token, struct buf *buf)
{
    static const char *const dividers[] = {"->", ">", "<", "@", "=", ",", "/", ":"};
    char part[TOKEN_MOST];
    for (size_t i = 0; i < COUNT_OF(dividers); i++) {
        const char *at = strstr(token, dividers[i]);
        size_t length = strlen(dividers[i]);
        if (!at || at == token || !at[length])
            continue;
        snprintf(part, sizeof part, "%.*s", (int)(at - token), token);
        if (!strcmp(dividers[i], "@"))
            buf_add_text(buf, "user");
        else
            hide_token(privacy, part, buf);
        buf_add_text(buf, dividers[i]);
        hide_token(privacy, at + length, buf);
        return true;
    }
    return false;
}

/* One word without the punctuation around it. */
static void hide_token(struct privacy *privacy, const char *token, struct buf *buf)
{
    if (hide_name(privacy, token, buf) || hide_key(privacy, token, buf) || hide_address(privacy, token, buf) ||
        hide_parts(privacy, token, buf))
        return;
    if (is_host_name(token))
        add_numbered(&privacy->hosts, "name", token, buf);
    else
        buf_add_text(buf, token);
}

static bool is_token(char byte)
{
    return isalnum((unsigned char)byte) || strchr("._-:/@+=[]%<>,", byte) != NULL;
}

/* What stands around a word and is no part of it. "[" begins an address. */
static void hide_word(struct privacy *privacy, const char *word, size_t length, struct buf *buf)
{
    char token[TOKEN_MOST];
    size_t start = 0, end = length;
    while (start < end && strchr(".,:;/<>=+%]-", word[start]) && strncmp(word + start, "::", 2))
        start++;
    while (end > start && strchr(".,:;/<>+%-", word[end - 1]) && !(end - start >= 2 && word[end - 1] == ':' && word[end - 2] == ':'))
        end--;
    if (end > start && word[end - 1] == ']' && !memchr(word + start, '[', end - start))
        end--;
    buf_add(buf, word, start);
    if (end - start >= sizeof token) {
        buf_add_text(buf, "hidden"); /* no word is so long */
    } else {
        memcpy(token, word + start, end - start);
        token[end - start] = '\0';
        /* "[wg0]" or "[Node": brackets of a text, not of an address. */
        if (token[0] == '[' && !memchr(token, ':', end - start)) {
            buf_add_char(buf, '[');
            bool closed = token[end - start - 1] == ']';
            token[end - start - (closed ? 1 : 0)] = '\0';
            hide_token(privacy, token + 1, buf);
            if (closed)
                buf_add_char(buf, ']');
        } else {
            hide_token(privacy, token, buf);
        }
    }
    buf_add(buf, word + end, length - end);
}

void privacy_hide(struct privacy *privacy, const struct mesh *mesh, const struct observed *observed, const char *text, struct buf *buf)
{
    make_words(privacy, mesh, observed);
    while (*text) {
        size_t length = 0;
        while (text[length] && is_token(text[length]))
            length++;
        if (length) {
            hide_word(privacy, text, length, buf);
            text += length;
        } else {
            buf_add_char(buf, *text++);
        }
    }
}
