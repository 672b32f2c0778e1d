/* A fault in a few lines: summary, since when, evidence, remedy in its parts. */
#include "fault_lines.h"

#include <string.h>

#include "words.h"

bool fault_is_of_node(const struct fault *fault, size_t node)
{
    return fault->nodes[0] == node || fault->nodes[1] == node;
}

bool fault_is_of_link(const struct fault *fault, size_t a, size_t b)
{
    if (fault->nodes[1] == SIZE_MAX)
        return fault->nodes[0] == a || fault->nodes[0] == b;
    return (fault->nodes[0] == a && fault->nodes[1] == b) || (fault->nodes[0] == b && fault->nodes[1] == a);
}

/* The node whose name TEXT begins with, and then one of FOLLOWED; SIZE_MAX: none. */
static size_t begins_with_node(const struct scene *scene, const char *text, const char *followed)
{
    size_t length = strcspn(text, followed);
    const struct mesh *mesh = scene->picture.mesh;
    for (size_t i = 0; text[length] && i < mesh->node_count; i++)
        if (strlen(mesh->nodes[i].name) == length && strncmp(mesh->nodes[i].name, text, length) == 0)
            return i;
    return SIZE_MAX;
}

static bool is_another(size_t node, const struct fault_extent *extent)
{
    return node != SIZE_MAX && node != extent->a && node != extent->b;
}

/* "db: ...", "db's row for api: ...": of a node, or about one, that is not asked for. */
static bool is_of_another(const struct scene *scene, const char *text, const struct fault_extent *extent)
{
    static const char about[] = "'s row for ";
    if (extent->a == SIZE_MAX)
        return false;
    const char *row = strstr(text, about);
    return is_another(begins_with_node(scene, text, ":'"), extent) || (row && is_another(begins_with_node(scene, row + strlen(about), ": "), extent));
}

static int draw_evidence(const struct scene *scene, const struct fault *fault, const struct area *area, int row, const struct fault_extent *extent)
{
    struct buf text = BUF_EMPTY;
    int used = 0, lines = 0;
    for (size_t i = 0; i < fault->evidence_count && lines < extent->evidence; i++) {
        if (is_of_another(scene, fault->evidence[i], extent))
            continue;
        used += area_paragraph(area, row + used, 4, area->columns - 4, 3, STYLE_DIM, scene_text(scene, fault->evidence[i], &text), true);
        lines++;
    }
    buf_free(&text);
    return used;
}

/* "on db: ..." and what follows it up to the next node is for db. */
static int draw_remedy(const struct scene *scene, const char *remedy, const struct area *area, int row, const struct fault_extent *extent)
{
    struct buf part = BUF_EMPTY, shown = BUF_EMPTY;
    int used = 0, parts = 0, left_out = 0;
    bool other = false;
    for (const char *rest = remedy; *rest;) {
        size_t length = remedy_part(rest), command = remedy_command(rest, length);
        if (strncmp(rest, "on ", 3) == 0)
            other = is_of_another(scene, rest + 3, extent);
        if (!other && parts >= extent->remedies)
            left_out++;
        if (!other && parts++ < extent->remedies) {
            buf_clear(&part);
            buf_add(&part, rest, length);
            area_glyph(area, row + used, 2, STYLE_ACCENT, GLYPH_ARROW);
            used += area_paragraph(area, row + used, 4, area->columns - 4, 8, command < length ? STYLE_ACCENT : STYLE_TEXT,
                                   scene_text(scene, buf_text(&part), &shown), true);
        }
        rest += length;
        while (*rest == ';' || *rest == ' ')
            rest++;
    }
    if (left_out)
        used += area_format(area, row + used, 4, STYLE_DIM, "and %d more steps: the screen Faults has them all", left_out) > 0;
    buf_free(&part);
    buf_free(&shown);
    return used;
}

int fault_lines_draw(const struct scene *scene, const struct fault *fault, const struct area *area, int row, const struct fault_extent *extent)
{
    struct buf text = BUF_EMPTY, since = BUF_EMPTY;
    struct look_of look = look_of_severity(fault->severity);
    area_glyph(area, row, 0, look.style, look.glyph);
    buf_add_text(&since, scene_text(scene, fault->summary, &text));
    if (fault->since) {
        buf_add_text(&since, area->surface->ascii ? " - since " : " · since ");
        words_since(fault->since, scene->picture.now, &since);
    }
    int used = area_paragraph(area, row, 2, area->columns - 2, 4, look.style, buf_text(&since), true);
    used += draw_evidence(scene, fault, area, row + used, extent);
    if (fault->remedy)
        used += draw_remedy(scene, fault->remedy, area, row + used, extent);
    buf_free(&text);
    buf_free(&since);
    return used;
}
