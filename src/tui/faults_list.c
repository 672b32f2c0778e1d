/* Faults as rows: the worst first, what each explains, since when. */
#include <string.h>

#include "faults.h"
#include "words.h"

static const struct fault *fault_at(const struct scene *scene, uint32_t row)
{
    return &scene->picture.diagnosis->faults[row];
}

static enum style what_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct fault *fault = fault_at(scene, row);
    struct look_of look = look_of_severity(fault->severity);
    words_glyph(look.glyph, buf);
    buf_add_char(buf, ' ');
    words_fault(scene, fault, buf);
    return look.style;
}

static enum style severity_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct fault *fault = fault_at(scene, row);
    buf_add_text(buf, severity_text(fault->severity));
    return look_of_severity(fault->severity).style;
}

static uint64_t severity_order(const struct scene *scene, uint32_t row)
{
    return (uint64_t)(SEVERITY_ERROR - fault_at(scene, row)->severity);
}

static enum style kind_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    buf_add_text(buf, fault_at(scene, row)->kind->id);
    return STYLE_DIM;
}

static uint64_t kind_order(const struct scene *scene, uint32_t row)
{
    return (uint64_t)(fault_at(scene, row)->kind - fault_kinds);
}

static enum style nodes_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct fault *fault = fault_at(scene, row);
    struct buf name = BUF_EMPTY;
    bool directed = fault->directed && fault->from != SIZE_MAX && fault->to != SIZE_MAX;
    size_t one = directed ? fault->from : fault->nodes[0], other = directed ? fault->to : fault->nodes[1];
    if (one != SIZE_MAX)
        buf_add_text(buf, scene_name(scene, one, &name));
    if (other != SIZE_MAX)
        buf_add_format(buf, "%s%s", directed ? " → " : ", ", scene_name(scene, other, &name));
    buf_free(&name);
    return STYLE_TEXT;
}

static uint64_t nodes_order(const struct scene *scene, uint32_t row)
{
    return words_name_rank(scene, fault_at(scene, row)->nodes[0]);
}

static enum style explains_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    const struct fault *fault = fault_at(scene, row);
    if (fault->consequence_count) {
        buf_add_format(buf, "%zu more", fault->consequence_count);
        words_export(buf);
        buf_add_format(buf, "%zu", fault->consequence_count);
    }
    return STYLE_DIM;
}

static uint64_t explains_order(const struct scene *scene, uint32_t row)
{
    return fault_at(scene, row)->consequence_count;
}

static enum style since_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    int64_t since = words_fault_since(scene, fault_at(scene, row));
    if (since) {
        char text[CLOCK_TEXT_SIZE];
        words_age(scene->picture.now - since, buf);
        words_export(buf);
        clock_text(since, text);
        buf_add_text(buf, text);
    }
    return STYLE_TEXT;
}

static uint64_t since_order(const struct scene *scene, uint32_t row)
{
    int64_t since = words_fault_since(scene, fault_at(scene, row));
    return since > 0 ? UINT64_MAX - 1 - (uint64_t)since : UINT64_MAX;
}

static enum style summary_cell(const struct scene *scene, uint32_t row, struct buf *buf)
{
    struct buf text = BUF_EMPTY;
    buf_add_text(buf, scene_text(scene, fault_at(scene, row)->summary, &text));
    buf_free(&text);
    return STYLE_TEXT;
}

static const struct table_column columns[] = {
    {.name = "what", .title = "WHAT IS WRONG", .help = "the fault", .width = 60, .share = 60, .cell = what_cell},
    {.name = "severity", .title = "SEVERITY", .help = "severity", .drop = 50, .hidden = true, .cell = severity_cell, .order = severity_order},
    {.name = "id", .title = "FAULT", .help = "the kind of fault", .drop = 40, .hidden = true, .cell = kind_cell, .order = kind_order},
    {.name = "nodes", .title = "WHERE", .help = "the node", .drop = 60, .most = 40, .hidden = true, .cell = nodes_cell, .order = nodes_order},
    {.name = "explains", .title = "EXPLAINS", .help = "how much it explains", .right = true, .descending = true, .drop = 30, .cell = explains_cell, .order = explains_order},
    {.name = "since", .title = "SINCE", .help = "how long it is there", .right = true, .width = 6, .drop = 20, .cell = since_cell, .order = since_order},
    {.name = "summary", .title = "SUMMARY", .help = "in a sentence", .width = 30, .drop = 90, .hidden = true, .cell = summary_cell},
    {0},
};

static size_t rows_most(const struct scene *scene, const void *view)
{
    (void)view;
    return scene->picture.diagnosis->fault_count;
}

/* By what is said of it, and by the nodes that it names. */
static bool matches(const struct scene *scene, const struct fault *fault, struct buf *text, struct buf *part)
{
    if (!scene->filter || !*scene->filter)
        return true;
    buf_clear(text);
    words_fault(scene, fault, text);
    buf_add_format(text, "\n%s\n", fault->kind->id);
    buf_add_text(text, scene_text(scene, fault->summary, part));
    for (size_t i = 0; i < fault->consequence_count; i++)
        buf_add_format(text, "\n%s", scene_text(scene, fault->consequences[i], part));
    return scene_matches(scene, buf_text(text));
}

static size_t rows(const struct scene *scene, const void *view, uint32_t *out, size_t most)
{
    (void)view;
    struct buf text = BUF_EMPTY, part = BUF_EMPTY;
    size_t count = 0;
    for (size_t i = 0; i < scene->picture.diagnosis->fault_count && count < most; i++)
        if (matches(scene, fault_at(scene, (uint32_t)i), &text, &part))
            out[count++] = (uint32_t)i;
    buf_free(&text);
    buf_free(&part);
    return count;
}

void faults_subject(const struct scene *scene, uint32_t row, struct subject *subject)
{
    const struct fault *fault = fault_at(scene, row);
    struct buf identity = BUF_EMPTY;
    *subject = (struct subject){.kind = SUBJECT_FAULT, .a = fault->nodes[0], .b = fault->nodes[1]};
    live_fault_identity(scene->picture.mesh, fault, &identity);
    snprintf(subject->identity, sizeof subject->identity, "%s", buf_text(&identity));
    buf_free(&identity);
}

const struct fault *faults_of(const struct scene *scene, const struct subject *subject)
{
    struct subject here;
    for (size_t i = 0; subject->kind == SUBJECT_FAULT && i < scene->picture.diagnosis->fault_count; i++) {
        faults_subject(scene, (uint32_t)i, &here);
        if (subject_equal(&here, subject))
            return fault_at(scene, (uint32_t)i);
    }
    return NULL;
}

bool faults_place(const struct scene *scene, const struct fault *fault, struct subject *subject)
{
    size_t one = fault->nodes[0], other = fault->nodes[1], count = scene->picture.mesh->node_count;
    if (fault->directed && fault->from < count && fault->to < count) {
        one = fault->from;
        other = fault->to;
    }
    if (one < count && other < count && scene_link(scene, one, other)) {
        *subject = (struct subject){.kind = SUBJECT_LINK, .a = one < other ? one : other, .b = one < other ? other : one};
        return true;
    }
    *subject = (struct subject){.kind = SUBJECT_NODE, .a = fault->nodes[0], .b = SIZE_MAX};
    return fault->nodes[0] < count;
}

static bool row_is_well(const struct scene *scene, uint32_t row)
{
    return fault_at(scene, row)->severity != SEVERITY_ERROR;
}

const struct table_list faults_list = {
    .columns = columns,
    .rows = rows,
    .rows_most = rows_most,
    .subject = faults_subject,
    .is_well = row_is_well,
    .empty = "Nothing is wrong in what could be seen.",
};
