/* A fault in a few lines: summary, since when, evidence, remedy in its parts. */
#include "fault_lines.h"

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

static int draw_remedy(const struct scene *scene, const char *remedy, const struct area *area, int row)
{
    struct buf shown = BUF_EMPTY, part = BUF_EMPTY;
    int used = 0;
    for (const char *rest = scene_text(scene, remedy, &shown); *rest;) {
        size_t length = words_remedy_part(rest), command = words_remedy_command(rest, length);
        buf_clear(&part);
        buf_add(&part, rest, length);
        area_glyph(area, row + used, 2, STYLE_ACCENT, GLYPH_ARROW);
        used += area_paragraph(area, row + used, 4, area->columns - 4, 8, command < length ? STYLE_ACCENT : STYLE_TEXT, buf_text(&part), true);
        rest += length;
        while (*rest == ';' || *rest == ' ')
            rest++;
    }
    buf_free(&shown);
    buf_free(&part);
    return used;
}

int fault_lines_draw(const struct scene *scene, const struct fault *fault, const struct area *area, int row, int evidence, bool remedy)
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
    for (size_t i = 0; i < fault->evidence_count && (int)i < evidence; i++)
        used += area_paragraph(area, row + used, 4, area->columns - 4, 3, STYLE_DIM, scene_text(scene, fault->evidence[i], &text), true);
    if (remedy && fault->remedy)
        used += draw_remedy(scene, fault->remedy, area, row + used);
    buf_free(&text);
    buf_free(&since);
    return used;
}
