/* Drawing the map: faint lines first, then boxes, then what is broken, then names, so that what matters lies above what does not. */
#include <stdio.h>
#include <string.h>

#include "map.h"
#include "words.h"
#include "wgdeck/text.h"

enum { IMPORTANCE_WELL = 1, MARKS_MOST = 40, WELL_MANY = 40 };

static const struct map_spot *spot_of(const struct map_layout *layout, size_t node)
{
    int32_t index = layout->spot_of[node];
    return index < 0 ? NULL : &layout->spots[index];
}

struct point { int x, y; }; /* in dots */

static struct point cell_point(int row, int column)
{
    return (struct point){column * 2 + 1, row * 4 + 2};
}

static struct point node_point(const struct map_layout *layout, size_t node)
{
    const struct map_spot *spot = spot_of(layout, node);
    if (spot)
        return cell_point(spot->row, spot->glyph_column);
    const struct map_cluster *cluster = &layout->clusters[layout->cluster_of[node]];
    return cell_point(cluster->row + cluster->rows / 2, cluster->column + cluster->columns / 2);
}

static struct point cluster_point(const struct map_layout *layout, size_t cluster)
{
    const struct map_cluster *of = &layout->clusters[cluster];
    return cell_point(of->row + of->rows / 2, of->column + of->columns / 2);
}

static void line_between(struct canvas *canvas, struct point one, struct point other, enum style style, uint8_t importance, int gap)
{
    canvas_line(canvas, one.x, one.y, other.x, other.y, style, importance, gap);
}

/* Well links of a ring: each a dotted line, the more of them the fewer dots. */
static void draw_well_links(const struct map_layout *layout, const struct scene *scene, struct canvas *canvas)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    size_t well = layout->links - layout->not_well;
    int gap = well <= 12 ? 0 : well <= WELL_MANY ? 2 : 3 + (int)(well / WELL_MANY);
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        if (!spot_of(layout, link->a) || !spot_of(layout, link->b))
            continue;
        enum course ahead = course_of(link, true), back = course_of(link, false);
        if (course_is_bad(ahead) || course_is_bad(back))
            continue;
        bool unknown = ahead == COURSE_UNKNOWN || back == COURSE_UNKNOWN;
        line_between(canvas, node_point(layout, link->a), node_point(layout, link->b), unknown ? STYLE_UNKNOWN : STYLE_BORDER, IMPORTANCE_WELL, unknown ? gap + 4 : gap);
    }
}

static void draw_bundles(const struct map_layout *layout, struct canvas *canvas)
{
    size_t count = layout->cluster_count;
    int gap = count <= 4 ? 0 : count <= 8 ? 1 : 3;
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if (layout->bundles[i * count + k].well)
                line_between(canvas, cluster_point(layout, i), cluster_point(layout, k), STYLE_BORDER, IMPORTANCE_WELL, gap);
}

static void draw_bad_links(const struct map_layout *layout, const struct scene *scene, struct canvas *canvas)
{
    for (size_t i = layout->bad_count; i-- > 0;) { /* the worst last */
        const struct link *link = &scene->picture.diagnosis->links[layout->bad[i].link];
        struct look_of look = course_look(layout->bad[i].course);
        line_between(canvas, node_point(layout, link->a), node_point(layout, link->b), look.style, layout->bad[i].course, 0);
    }
}

/* Between boxes with counts: one line for all bad links of the two. */
static void draw_bad_bundles(const struct map_layout *layout, struct canvas *canvas)
{
    size_t count = layout->cluster_count;
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++) {
            const struct map_bundle *bundle = &layout->bundles[i * count + k];
            if (bundle->bad)
                line_between(canvas, cluster_point(layout, i), cluster_point(layout, k), course_look(bundle->worst).style, bundle->worst, 0);
        }
}

static bool is_written_on(const struct map_layout *layout, int row, int column)
{
    for (size_t i = 0; i < layout->spot_count; i++)
        if (layout->spots[i].row == row && column >= layout->spots[i].column && column < layout->spots[i].column + layout->spots[i].width)
            return true;
    return false;
}

/* A mark near the middle of a line, where no name is. */
static void draw_mark(const struct map_layout *layout, const struct area *area, struct point one, struct point other, struct look_of look, uint32_t count)
{
    static const int places[] = {50, 42, 58, 34, 66};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int x = one.x + (other.x - one.x) * places[i] / 100, y = one.y + (other.y - one.y) * places[i] / 100, row = y / 4, column = x / 2;
        if (is_written_on(layout, row, column))
            continue;
        area_glyph(area, row, column, look.style, look.glyph);
        if (count > 1)
            area_format(area, row, column + 1, look.style, "%u", count);
        return;
    }
}

static void draw_marks(const struct map_layout *layout, const struct scene *scene, const struct area *area)
{
    size_t count = layout->cluster_count;
    if (layout->kind == MAP_COUNTS) {
        for (size_t i = 0; i < count; i++)
            for (size_t k = i + 1; k < count; k++) {
                const struct map_bundle *bundle = &layout->bundles[i * count + k];
                if (bundle->bad)
                    draw_mark(layout, area, cluster_point(layout, i), cluster_point(layout, k), course_look(bundle->worst), bundle->bad);
            }
        return;
    }
    for (size_t i = layout->bad_count < MARKS_MOST ? layout->bad_count : MARKS_MOST; i-- > 0;) {
        const struct link *link = &scene->picture.diagnosis->links[layout->bad[i].link];
        draw_mark(layout, area, node_point(layout, link->a), node_point(layout, link->b), course_look(layout->bad[i].course), 1);
    }
}

/* ---- boxes and names -------------------------------------------------------------------------------------------- */

static enum style frame_style(const struct map_layout *layout, size_t cluster)
{
    const struct map_bundle *inside = &layout->bundles[cluster * layout->cluster_count + cluster];
    return inside->bad ? course_look(inside->worst).style : STYLE_BORDER;
}

static void draw_box(const struct map_layout *layout, const struct scene *scene, const struct node_groups *groups, size_t index, bool selected, const struct area *area)
{
    const struct map_cluster *cluster = &layout->clusters[index];
    struct area box = area_part(area, cluster->row, cluster->column, cluster->rows, cluster->columns);
    struct buf name = BUF_EMPTY;
    map_cluster_name(layout, scene, groups, index, &name);
    area_fill(&box);
    area_frame(&box, selected ? STYLE_ACCENT : frame_style(layout, index), buf_text(&name));
    if (layout->kind == MAP_COUNTS) {
        const struct map_bundle *inside = &layout->bundles[index * layout->cluster_count + index];
        struct area line = area_part(&box, 1, 2, 1, box.columns - 4);
        struct area on = area_on(&line, selected ? GROUND_SELECTED : line.ground);
        area_fill(&on);
        buf_clear(&name);
        words_many(cluster->count, "node", "nodes", &name);
        int column = area_text(&on, 0, 0, STYLE_TEXT, buf_text(&name));
        if (cluster->unwell)
            column += area_format(&on, 0, column, STYLE_WARNING, ", %zu not well", cluster->unwell);
        if (inside->bad)
            area_format(&on, 0, column, course_look(inside->worst).style, ", %u bad links inside", inside->bad);
    }
    buf_free(&name);
}

static void draw_name(const struct map_layout *layout, const struct scene *scene, const struct trouble *trouble, const struct map_spot *spot, bool selected,
                      const struct area *area)
{
    enum node_state state = scene->picture.diagnosis->nodes[spot->item].state;
    struct look_of look = look_of_node(state);
    if (state == NODE_UP && map_is_unwell(scene, trouble, spot->item))
        look.style = STYLE_WARNING;
    struct area on = area_on(area, selected ? GROUND_SELECTED : area->ground);
    struct buf name = BUF_EMPTY;
    scene_name(scene, spot->item, &name);
    int width = (int)text_width(buf_text(&name));
    width = width < spot->width - 2 ? width : spot->width - 2;
    bool left = layout->kind == MAP_RING && spot->glyph_column != spot->column; /* the name to the left of its glyph */
    area_field(&on, spot->row, left ? spot->glyph_column - 1 - width : spot->column + 2, width, false, selected ? STYLE_ACCENT : state == NODE_UP ? STYLE_TEXT : look.style,
               buf_text(&name));
    area_character(&on, spot->row, left ? spot->glyph_column - 1 : spot->glyph_column + 1, STYLE_TEXT, ' ');
    area_glyph(&on, spot->row, spot->glyph_column, look.style, look.glyph);
    buf_free(&name);
}

void map_draw(const struct map_layout *layout, const struct scene *scene, const struct node_groups *groups, const struct trouble *trouble,
              size_t selected, const struct area *area)
{
    struct canvas well = {0}, bad = {0};
    canvas_resize(&well, layout->rows, layout->columns);
    canvas_resize(&bad, layout->rows, layout->columns);
    if (layout->kind == MAP_RING)
        draw_well_links(layout, scene, &well);
    else
        draw_bundles(layout, &well);
    if (layout->kind == MAP_COUNTS)
        draw_bad_bundles(layout, &bad);
    else
        draw_bad_links(layout, scene, &bad);
    canvas_draw(&well, area, 0, 0);
    const struct map_spot *cursor = selected < layout->spot_count ? &layout->spots[selected] : NULL;
    if (layout->kind == MAP_COUNTS)
        canvas_draw(&bad, area, 0, 0);
    for (size_t i = 0; layout->kind != MAP_RING && i < layout->cluster_count; i++)
        draw_box(layout, scene, groups, i, cursor && cursor->cluster && cursor->item == i, area);
    if (layout->kind != MAP_COUNTS)
        canvas_draw(&bad, area, 0, 0);
    draw_marks(layout, scene, area);
    for (size_t i = 0; i < layout->spot_count; i++)
        if (!layout->spots[i].cluster)
            draw_name(layout, scene, trouble, &layout->spots[i], i == selected, area);
    canvas_free(&well);
    canvas_free(&bad);
}

/* One after the other, as many as have room: "✖ api → db blocked". */
void map_draw_broken(const struct map_layout *layout, const struct scene *scene, const struct area *area)
{
    struct buf text = BUF_EMPTY, name = BUF_EMPTY;
    int row = 0, column = 0;
    for (size_t i = 0; i < layout->bad_count; i++) {
        const struct link *link = &scene->picture.diagnosis->links[layout->bad[i].link];
        enum course ahead = course_of(link, true), back = course_of(link, false);
        struct look_of look = course_look(layout->bad[i].course);
        bool both = ahead == back;
        size_t from = back > ahead ? link->b : link->a, to = back > ahead ? link->a : link->b;
        buf_clear(&text);
        buf_add_format(&text, "%s", scene_name(scene, from, &name));
        buf_add_text(&text, area->surface->ascii ? (both ? " = " : " > ") : both ? " ↔ " : " → ");
        buf_add_format(&text, "%s %s", scene_name(scene, to, &name), course_text(layout->bad[i].course));
        int width = 2 + (int)text_width(buf_text(&text));
        bool last_row = row == area->rows - 1;
        int rest = i + 1 < layout->bad_count && last_row ? 14 : 0;
        if (column > 0 && column + width + rest > area->columns) {
            if (last_row) {
                area_format(area, row, column, STYLE_DIM, "and %zu more", layout->not_well - i);
                break;
            }
            row++;
            column = 0;
        }
        area_glyph(area, row, column, look.style, look.glyph);
        area_text(area, row, column + 2, STYLE_TEXT, buf_text(&text));
        column += width + 3;
    }
    buf_free(&text);
    buf_free(&name);
}
