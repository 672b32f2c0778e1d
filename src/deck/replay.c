/* Recordings, in: line by line, so that hours of them need no memory. They may come from anyone, and everything is checked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wgdeck/clock.h"
#include "wgdeck/json.h"
#include "wgdeck/mem.h"
#include "wgdeck/record.h"

enum { RECORD_LINE_LIMIT = 64 << 20, RECORD_TARGETS_MOST = 10000 };

struct recording {
    FILE *file;
    char *name;
    size_t line;
    long offset, next_offset; /* of the line after the last one read; of the one in next */
    struct buf text;    /* what was read and not yet taken */
    bool at_end;
    cJSON *next;        /* the next line, parsed; NULL: not read yet, or none */
    struct conf *conf;
    struct mesh *mesh;
    struct observed *observed;
    int64_t start;
};

static int refuse(const struct recording *recording, struct err *err)
{
    return err_prefix(err, "%s:%zu", recording->name, recording->line);
}

/* One line without its end into recording->text. 1, 0 at the end, -1. A last line without an end was cut off: it is not there. */
static int read_line(struct recording *recording, struct err *err)
{
    char piece[65536];
    buf_clear(&recording->text);
    while (fgets(piece, sizeof piece, recording->file)) {
        size_t length = strlen(piece);
        buf_add(&recording->text, piece, length);
        recording->offset += (long)length;
        if (length && piece[length - 1] == '\n') {
            recording->line++;
            return 1;
        }
        if (recording->text.length > RECORD_LINE_LIMIT) {
            recording->line++;
            err_set(err, "a line longer than %d MiB", RECORD_LINE_LIMIT >> 20);
            return refuse(recording, err);
        }
    }
    return ferror(recording->file) ? err_set(err, "%s: %s", recording->name, strerror(errno)) : 0;
}

static int read_next(struct recording *recording, struct err *err)
{
    if (recording->next || recording->at_end)
        return recording->next ? 1 : 0;
    recording->next_offset = recording->offset;
    int result = read_line(recording, err);
    if (result <= 0) {
        recording->at_end = true;
        return result;
    }
    recording->next = json_parse(buf_text(&recording->text), recording->text.length, err);
    buf_free(&recording->text);
    return recording->next ? 1 : refuse(recording, err);
}

static void take_start(struct recording *recording, const char *text)
{
    struct tm parts = {0};
    recording->start = 0;
    if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts))
        return;
    time_t seconds = timegm(&parts);
    if (seconds > 0 && seconds < INT64_MAX / CLOCK_SECOND) /* 1970 to 2262 */
        recording->start = (int64_t)seconds * CLOCK_SECOND;
}

static int take_targets(struct recording *recording, const cJSON *list, struct err *err)
{
    size_t count = 0;
    const char **targets = NULL;
    size_t capacity = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || count == RECORD_TARGETS_MOST) {
            free(targets);
            return err_set(err, "\"targets\" is not a list of at most %d SSH targets", RECORD_TARGETS_MOST);
        }
        MEM_GROW(targets, count, capacity);
        targets[count++] = item->valuestring;
    }
    recording->mesh = mesh_from_targets(targets, count, err);
    free(targets);
    return recording->mesh ? 0 : -1;
}

static int take_head(struct recording *recording, struct err *err)
{
    const cJSON *head = recording->next;
    int64_t schema = json_get_number(head, "recording", 0, INT64_MAX, 0);
    if (schema != 1)
        return err_set(err, schema ? "a recording of a newer wgdeck" : "not a recording of wgdeck");
    take_start(recording, json_get_text(head, "at", NULL));
    const char *text = json_get_text(head, "mesh", NULL);
    const cJSON *targets = json_get_list(head, "targets");
    if (!text && !targets)
        return err_set(err, "the first line has neither \"mesh\" nor \"targets\"");
    if (!text)
        return take_targets(recording, targets, err);
    recording->conf = conf_parse("mesh of the recording", text, strlen(text), err);
    if (!recording->conf)
        return -1;
    recording->mesh = mesh_read(recording->conf, NULL, err);
    return recording->mesh ? 0 : -1;
}

struct recording *recording_open(FILE *file, const char *name, struct err *err)
{
    struct recording *recording = mem_alloc(1, sizeof *recording);
    *recording = (struct recording){.file = file, .name = mem_text(name)};
    int result = read_next(recording, err);
    if (!result)
        err_set(err, "%s: empty, or not a recording of wgdeck", name);
    else if (result > 0 && take_head(recording, err))
        result = refuse(recording, err);
    if (result <= 0) {
        recording_free(recording);
        return NULL;
    }
    cJSON_Delete(recording->next);
    recording->next = NULL;
    recording->observed = observed_new(recording->mesh->node_count);
    return recording;
}

void recording_free(struct recording *recording)
{
    if (!recording)
        return;
    cJSON_Delete(recording->next);
    buf_free(&recording->text);
    if (recording->observed)
        observed_free(recording->observed);
    if (recording->mesh)
        mesh_free(recording->mesh);
    if (recording->conf)
        conf_free(recording->conf);
    free(recording->name);
    free(recording);
}

const struct mesh *recording_mesh(const struct recording *recording)
{
    return recording->mesh;
}

const struct observed *recording_observed(const struct recording *recording)
{
    return recording->observed;
}

int64_t recording_start(const struct recording *recording)
{
    return recording->start;
}

int64_t recording_peek(struct recording *recording, struct err *err)
{
    int result = read_next(recording, err);
    if (result <= 0)
        return result ? -1 : INT64_MAX;
    return json_get_number(recording->next, "at", 0, INT64_MAX - 1, 0);
}

static int apply(struct recording *recording, const cJSON *line, struct err *err)
{
    const char *name = json_get_text(line, "node", "");
    size_t node = mesh_find_node(recording->mesh, name);
    const cJSON *whole = json_get_object(line, "observation"), *change = json_get_object(line, "change");
    if (node == SIZE_MAX)
        return err_set(err, "\"node\" is not a node of the recorded mesh");
    struct observation *seen = &recording->observed->nodes[node];
    if (whole) {
        struct observation fresh = {0};
        if (observation_from_json(whole, true, &fresh, err))
            return -1;
        observation_pack(&fresh);
        observation_replace(seen, &fresh);
        return 0;
    }
    if (!change)
        return err_set(err, "neither \"observation\" nor \"change\"");
    if (seen->reach != REACH_OK)
        return err_set(err, "a change of a node that was not seen before");
    if (observation_merge(seen, change, err))
        return -1;
    seen->at = json_get_number(line, "at", 0, INT64_MAX, seen->at);
    seen->clock_offset = json_get_number(line, "clock_offset", INT64_MIN, INT64_MAX, seen->clock_offset);
    seen->clock_uncertainty = json_get_number(line, "clock_uncertainty", 0, INT64_MAX, seen->clock_uncertainty);
    return 0;
}

int recording_next(struct recording *recording, struct err *err)
{
    int result = read_next(recording, err);
    if (result <= 0)
        return result;
    if (apply(recording, recording->next, err))
        result = refuse(recording, err);
    cJSON_Delete(recording->next);
    recording->next = NULL;
    return result;
}

size_t recording_next_node(const struct recording *recording, bool *whole)
{
    *whole = recording->next && json_get_object(recording->next, "observation");
    return recording->next ? mesh_find_node(recording->mesh, json_get_text(recording->next, "node", "")) : SIZE_MAX;
}

struct recording_mark recording_mark(const struct recording *recording)
{
    if (recording->next)
        return (struct recording_mark){recording->next_offset, recording->line - 1};
    return (struct recording_mark){recording->offset, recording->line};
}

int recording_return(struct recording *recording, struct recording_mark mark, struct observed *observed, struct err *err)
{
    if (fseek(recording->file, mark.offset, SEEK_SET))
        return err_set(err, "%s: cannot go back in it: %s", recording->name, strerror(errno));
    cJSON_Delete(recording->next);
    recording->next = NULL;
    recording->at_end = false;
    recording->offset = recording->next_offset = mark.offset;
    recording->line = mark.line;
    for (size_t i = 0; i < recording->mesh->node_count; i++) {
        observation_clear(&recording->observed->nodes[i]);
        if (observed) {
            recording->observed->nodes[i] = observed->nodes[i];
            observed->nodes[i] = (struct observation){0};
        }
    }
    return 0;
}
