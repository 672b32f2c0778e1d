/* Recordings, out: the mesh without keys and comments, then readings as differences. */
#include "wgdeck/record.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wgdeck/clock.h"
#include "wgdeck/json.h"
#include "wgdeck/mem.h"
#include "wgdeck/version.h"

struct recorder {
    FILE *file;
    const char *name;
    const struct mesh *mesh;
    struct observed *last;  /* with hidden keys, as written */
    bool *written;          /* per node */
    char salt[65];
};

/* The same replacement for a key of the mesh file as for the rows: one function knows how. */
static void hide_key(const struct key *key, const char *salt, char text[static KEY_TEXT_SIZE])
{
    struct observation carrier = {0};
    carrier.devices = mem_alloc(1, sizeof *carrier.devices);
    carrier.device_count = 1;
    carrier.devices[0].has_private = true;
    carrier.devices[0].public_key = *key;
    observation_hide_keys(&carrier, salt);
    key_text(&carrier.devices[0].public_key, text);
    observation_clear(&carrier);
}

static bool is_known(const struct conf_entry *entry)
{
    for (size_t i = 0; i < mesh_key_count; i++)
        if (!strcasecmp(mesh_keys[i].section, entry->section) && !strcasecmp(mesh_keys[i].name, entry->key))
            return true;
    return false;
}

/* Only what the mesh is made of goes along: no comment, no unknown key, no host key. */
static int copy_entry(const struct conf_entry *entry, struct conf *copy, size_t section, const char *salt, struct err *err)
{
    struct key key;
    char text[KEY_TEXT_SIZE];
    const char *value = entry->value;
    if (!is_known(entry) || !strcasecmp(entry->key, "HostKey"))
        return 0;
    if (!strcasecmp(entry->key, "PublicKey") || !strcasecmp(entry->key, "FormerKey")) {
        if (key_parse(value, &key))
            return 0;
        hide_key(&key, salt, text);
        value = text;
    }
    return conf_add(copy, section, entry->key, value, err);
}

static int write_mesh_text(const struct conf *conf, const char *salt, struct buf *text, struct err *err)
{
    struct conf *copy = conf_new("recording");
    struct conf_entry entry;
    size_t cursor = 0, section = SIZE_MAX, last = SIZE_MAX;
    int result = 0;
    for (size_t i = 0; i < conf_section_count(conf); i++) { /* also those without a line */
        const char *kind, *name;
        conf_section(conf, i, &kind, &name, NULL);
        conf_add_section(copy, kind, name && *name ? name : NULL);
    }
    while (!result && conf_next(conf, &cursor, &entry)) {
        if (entry.section_index == SIZE_MAX)
            continue;
        if (entry.section_index != last)
            section = last = entry.section_index;
        result = copy_entry(&entry, copy, section, salt, err);
    }
    conf_write(copy, text);
    conf_free(copy);
    return result;
}

static int write_line(struct recorder *recorder, struct buf *line, struct err *err)
{
    buf_add_char(line, '\n');
    errno = 0;
    bool good = fwrite(line->data, 1, line->length, recorder->file) == line->length && !fflush(recorder->file);
    buf_free(line);
    return good ? 0 : err_set(err, "%s: %s", recorder->name, strerror(errno));
}

static int write_head(struct recorder *recorder, const struct conf *conf, struct err *err)
{
    struct buf line = BUF_EMPTY, text = BUF_EMPTY;
    char at[CLOCK_TEXT_SIZE];
    clock_text(clock_wall(), at);
    if (conf && write_mesh_text(conf, recorder->salt, &text, err)) {
        buf_free(&text);
        return -1;
    }
    struct json json = json_begin(&line);
    json_object(&json, NULL);
    json_number(&json, "recording", 1);
    json_text(&json, "version", WGDECK_VERSION);
    json_text(&json, "at", at);
    if (conf)
        json_text(&json, "mesh", buf_text(&text));
    else
        json_list(&json, "targets");
    for (size_t i = 0; !conf && i < recorder->mesh->node_count; i++)
        json_text(&json, NULL, recorder->mesh->nodes[i].ssh);
    if (!conf)
        json_list_end(&json);
    json_object_end(&json);
    buf_free(&text);
    return write_line(recorder, &line, err);
}

struct recorder *recorder_new(FILE *file, const char *name, const struct mesh *mesh, const struct conf *conf, struct err *err)
{
    unsigned char bytes[32];
    if (sodium_init() < 0) {
        err_set(err, "no random numbers on this machine");
        return NULL;
    }
    struct recorder *recorder = mem_alloc(1, sizeof *recorder);
    *recorder = (struct recorder){.file = file, .name = name, .mesh = mesh, .last = observed_new(mesh->node_count)};
    recorder->written = mem_alloc(mesh->node_count, sizeof *recorder->written);
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(recorder->salt, sizeof recorder->salt, bytes, sizeof bytes);
    if (write_head(recorder, conf, err)) {
        recorder_free(recorder);
        return NULL;
    }
    return recorder;
}

void recorder_free(struct recorder *recorder)
{
    if (!recorder)
        return;
    sodium_memzero(recorder->salt, sizeof recorder->salt); /* with it, keys could be tried out */
    observed_free(recorder->last);
    free(recorder->written);
    free(recorder);
}

static void begin_line(struct json *json, const struct recorder *recorder, size_t node, const struct observation *seen)
{
    json_object(json, NULL);
    json_text(json, "node", recorder->mesh->nodes[node].name);
    json_number(json, "at", seen->at);
}

int recorder_add(struct recorder *recorder, size_t node, const struct observation *seen, struct err *err)
{
    struct buf line = BUF_EMPTY;
    struct json json = json_begin(&line);
    struct observation hidden = {0}, *last = &recorder->last->nodes[node];
    observation_copy(&hidden, seen);
    observation_hide_keys(&hidden, recorder->salt);
    begin_line(&json, recorder, node, &hidden);
    if (recorder->written[node] && hidden.reach == REACH_OK && last->reach == REACH_OK) {
        json_number(&json, "clock_offset", hidden.clock_offset);
        json_number(&json, "clock_uncertainty", hidden.clock_uncertainty);
        observation_change_to_json(last, &hidden, &json, "change");
    } else {
        observation_to_json(&hidden, true, &json, "observation");
    }
    json_object_end(&json);
    observation_clear(last);
    *last = hidden;
    recorder->written[node] = true;
    return write_line(recorder, &line, err);
}
