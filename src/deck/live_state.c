/* What outlives a run: the last good reading of each node, as JSON lines in the state folder, so that the next deck shows something at once and can
 * say what changed meanwhile. There is no secret in a reading. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "live_private.h"
#include "wgdeck/file.h"
#include "wgdeck/json.h"
#include "wgdeck/mem.h"

enum {
    STATE_LIMIT = 16 << 20, /* bytes; a mesh that has more is seen again before it could be read */
    STATE_ROWS = 40000,
    NAME_MOST = 60,
};
static const char file_name[] = "last.jsonl";

/* Out */

static const struct observation *good_reading(const struct live *live, size_t node)
{
    const struct observation *now = &live->observed->nodes[node], *last = &live->last[node];
    return now->reach == REACH_OK ? now : last->reach == REACH_OK ? last : NULL;
}

static bool is_too_large(const struct live *live)
{
    size_t rows = 0;
    for (size_t i = 0; i < live->mesh->node_count; i++) {
        const struct observation *seen = good_reading(live, i);
        for (size_t k = 0; seen && k < seen->device_count; k++)
            rows += seen->devices[k].peer_count;
    }
    return rows > STATE_ROWS;
}

static void write_node(const struct live *live, size_t node, const struct observation *seen, struct buf *text)
{
    struct json json = json_begin(text);
    json_object(&json, NULL);
    json_text(&json, "node", live->mesh->nodes[node].name);
    json_bool(&json, "lost", live_events_lost(live, node));
    observation_to_json(seen, true, &json, "observation");
    json_object_end(&json);
    buf_add_char(text, '\n');
}

void live_state_save(struct live *live)
{
    struct buf text = BUF_EMPTY;
    struct err err;
    if (!live->state || !live->begun || live->replay)
        return; /* what this run knows is not more than what is kept already */
    char *path = mem_format("%s/%s", live->state, file_name);
    bool any = false;
    if (!is_too_large(live))
        for (size_t i = 0; i < live->mesh->node_count && text.length <= STATE_LIMIT; i++) {
            const struct observation *seen = good_reading(live, i);
            if (!seen)
                continue;
            write_node(live, i, seen, &text);
            any = true;
        }
    if (any && text.length <= STATE_LIMIT)
        file_write(path, 0600, text.data, text.length, &err); /* without it the next deck only begins with less */
    else if (any || is_too_large(live))
        unlink(path);
    buf_free(&text);
    free(path);
}

/* In */

/* One line; false if it cannot be used. */
static bool read_node(struct live *live, struct observed *observed, bool *lost, const char *line, size_t length)
{
    struct err err;
    struct observation seen = {0};
    cJSON *object = json_parse(line, length, &err);
    const cJSON *reading = object ? json_get_object(object, "observation") : NULL;
    size_t node = object ? mesh_find_node(live->mesh, json_get_text(object, "node", "")) : SIZE_MAX;
    bool good = reading && node != SIZE_MAX && !observation_from_json(reading, true, &seen, &err) && seen.reach == REACH_OK &&
                observed->nodes[node].reach != REACH_OK;
    if (good) {
        observed->nodes[node] = seen;
        lost[node] = json_get_bool(object, "lost", false);
    } else {
        observation_clear(&seen);
    }
    cJSON_Delete(object);
    return good;
}

void live_state_load(struct live *live)
{
    struct err err;
    struct buf text = BUF_EMPTY;
    if (!live->state)
        return;
    char *path = mem_format("%s/%s", live->state, file_name);
    bool any = false, *lost = mem_alloc(live->mesh->node_count, sizeof *lost);
    struct observed *observed = observed_new(live->mesh->node_count);
    if (!file_read(path, STATE_LIMIT, &text, &err))
        for (const char *line = buf_text(&text), *end; (end = strchr(line, '\n')); line = end + 1)
            any |= read_node(live, observed, lost, line, (size_t)(end - line));
    buf_free(&text);
    free(path);
    if (!any) {
        observed_free(observed);
        free(lost);
        return;
    }
    live->old_observed = observed;
    live->old_diagnosis = diagnose(live->mesh, observed, NULL);
    live_events_compare(live, live->old_diagnosis, observed, COMPARE_REMEMBER);
    for (size_t i = 0; i < live->mesh->node_count; i++)
        if (lost[i])
            live_events_set_lost(live, i);
    free(lost);
}

/* The folder */

static uint32_t checksum(const char *text, uint32_t hash)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT32_C(16777619);
    return hash * UINT32_C(16777619);
}

static bool is_plain(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_' || byte == '.';
}

/* TEXT as the name of a folder; what cannot stand there makes a checksum stand behind it. */
static void add_name(struct buf *buf, const char *text, bool marked, uint32_t mark)
{
    size_t begin = buf->length, length = strlen(text);
    bool same = length && length <= NAME_MOST && *text != '.';
    if (*text == '.' || !*text)
        buf_add_char(buf, '_');
    for (size_t i = 0; i < length && buf->length - begin < NAME_MOST; i++) {
        same &= is_plain(text[i]);
        buf_add_char(buf, is_plain(text[i]) ? text[i] : '_');
    }
    if (marked || !same)
        buf_add_format(buf, "-%08x", mark);
}

char *live_state_folder(const struct mesh *mesh)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    struct buf path = BUF_EMPTY;
    uint32_t mark = UINT32_C(2166136261);
    if (state && *state == '/')
        buf_add_format(&path, "%s/wgdeck/", state);
    else if (home && *home == '/')
        buf_add_format(&path, "%s/.local/state/wgdeck/", home);
    else
        return NULL;
    if (mesh->from_file) {
        const char *name = mesh->name ? mesh->name : "";
        add_name(&path, name, false, checksum(name, mark));
        return buf_take(&path);
    }
    for (size_t i = 0; i < mesh->node_count; i++)
        mark = checksum(mesh->nodes[i].ssh ? mesh->nodes[i].ssh : "", mark);
    add_name(&path, mesh->node_count ? mesh->nodes[0].name : "none", true, mark);
    return buf_take(&path);
}
