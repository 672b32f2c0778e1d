/* Drawing the map: faint lines first, then boxes, then what is broken, then names, so that what matters lies above what does not. */
#include <stdio.h>
#include <string.h>

#include "map.h"
#include "words.h"
#include "wgdeck/text.h"

enum { IMPORTANCE_WELL = 1, MARKS_MOST = 40, SPOKES_MOST = 80, WELL_MANY = 40 };

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

static bool is_well(const struct link *link)
{
    return !course_is_bad(course_of(link, true)) && !course_is_bad(course_of(link, false));
}

/* In a dense mesh lines between all would be a grey haze in which nothing stands out: then only neighbours are joined. */
static bool is_dense(const struct map_layout *layout)
{
    size_t well = layout->links - layout->not_well;
    return well > WELL_MANY && well > layout->count * 3;
}

static void draw_well_links(const struct map_layout *layout, const struct scene *scene, struct canvas *canvas)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    if (is_dense(layout)) {
        for (size_t i = 0; i < layout->count; i++) {
            size_t a = layout->members[i], b = layout->members[(i + 1) % layout->count];
            const struct link *link = scene_link(scene, a, b);
            if (link && is_well(link))
                line_between(canvas, node_point(layout, a), node_point(layout, b), STYLE_BORDER, IMPORTANCE_WELL, 0);
        }
        return;
    }
    int gap = layout->links > 12 ? 2 : 0;
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        if (!spot_of(layout, link->a) || !spot_of(layout, link->b) || !is_well(link))
            continue;
        bool unknown = link->state == LINK_UNKNOWN;
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

/* Those of a star are dotted: the star itself is what is looked for. */
static void draw_bad_links(const struct map_layout *layout, const struct scene *scene, struct canvas *canvas)
{
    size_t spokes = layout->bad_count - layout->single;
    for (size_t i = layout->bad_count; i-- > 0;) { /* the worst last */
        const struct link *link = &scene->picture.diagnosis->links[layout->bad[i].link];
        bool star = layout->bad[i].star;
        if (star ? spokes > SPOKES_MOST : i >= MARKS_MOST)
            continue; /* they would hide what they are about; the list below has them */
        line_between(canvas, node_point(layout, link->a), node_point(layout, link->b), course_look(layout->bad[i].course).style,
                     star ? IMPORTANCE_WELL + 1 : IMPORTANCE_WELL + layout->bad[i].course, !star ? 0 : spokes <= 12 ? 1 : 3);
    }
}

/* The worst bundles between boxes: more than these would hide each other. */
struct bad_bundle { uint32_t from, to; struct map_bundle bundle; };
enum { BUNDLES_MOST = 12 };

static bool is_worse(const struct map_bundle *one, const struct map_bundle *other)
{
    return one->worst != other->worst ? one->worst > other->worst : one->bad > other->bad;
}

static size_t worst_bundles(const struct map_layout *layout, struct bad_bundle list[static BUNDLES_MOST + 1])
{
    size_t count = layout->cluster_count, used = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = i + 1; k < count; k++) {
            struct bad_bundle one = {i, k, layout->bundles[i * count + k]};
            if (!one.bundle.bad)
                continue;
            size_t at = used;
            for (; at > 0 && is_worse(&one.bundle, &list[at - 1].bundle); at--)
                list[at] = list[at - 1];
            list[at] = one;
            used = used < BUNDLES_MOST ? used + 1 : BUNDLES_MOST;
        }
    return used;
}

/* Between boxes with counts: one line for all bad links of the two. */
static void draw_bad_bundles(const struct map_layout *layout, struct canvas *canvas)
{
    struct bad_bundle list[BUNDLES_MOST + 1];
    for (size_t i = worst_bundles(layout, list); i-- > 0;)
        line_between(canvas, cluster_point(layout, list[i].from), cluster_point(layout, list[i].to), course_look(list[i].bundle.worst).style,
                     list[i].bundle.worst, 0);
}

static bool is_written_on(const struct map_layout *layout, int row, int column)
{
    for (size_t i = 0; i < layout->spot_count; i++)
        if (layout->spots[i].row == row && column >= layout->spots[i].column && column < layout->spots[i].column + layout->spots[i].width)
            return true;
    for (size_t i = 0; layout->kind == MAP_COUNTS && i < layout->cluster_count; i++) {
        const struct map_cluster *box = &layout->clusters[i];
        if (row >= box->row && row < box->row + box->rows && column >= box->column && column < box->column + box->columns)
            return true;
    }
    return false;
}

/* Marks that stand already; one thread draws. */
static struct { int row, column, width; } marks[MARKS_MOST];
static size_t mark_count;

static bool is_free(const struct map_layout *layout, int row, int column, int width)
{
    for (size_t i = 0; i < mark_count; i++)
        if (marks[i].row == row && column < marks[i].column + marks[i].width + 1 && marks[i].column < column + width + 1)
            return false;
    for (int k = 0; k < width; k++)
        if (is_written_on(layout, row, column + k))
            return false;
    return true;
}

/* A mark near the middle of a line, where neither a name nor another mark is. */
static void draw_mark(const struct map_layout *layout, const struct area *area, struct point one, struct point other, struct look_of look, uint32_t count)
{
    static const int places[] = {50, 45, 55, 40, 60, 35, 65, 30, 70, 25, 75, 20, 80};
    char text[16] = "";
    int width = count > 1 ? 1 + snprintf(text, sizeof text, "%u", count) : 1;
    for (size_t i = 0; i < sizeof places / sizeof *places && mark_count < MARKS_MOST; i++) {
        int x = one.x + (other.x - one.x) * places[i] / 100, y = one.y + (other.y - one.y) * places[i] / 100, row = y / 4, column = x / 2;
        if (!is_free(layout, row, column, width))
            continue;
        area_glyph(area, row, column, look.style, look.glyph);
        area_text(area, row, column + 1, look.style, text);
        marks[mark_count].row = row;
        marks[mark_count].column = column;
        marks[mark_count++].width = width;
        return;
    }
}

static void draw_marks(const struct map_layout *layout, const struct scene *scene, const struct area *area)
{
    mark_count = 0;
    if (layout->kind == MAP_COUNTS) {
        struct bad_bundle list[BUNDLES_MOST + 1];
        size_t count = worst_bundles(layout, list);
        for (size_t i = 0; i < count; i++)
            draw_mark(layout, area, cluster_point(layout, list[i].from), cluster_point(layout, list[i].to), course_look(list[i].bundle.worst), list[i].bundle.bad);
        return;
    }
    for (size_t i = 0; i < layout->single && i < MARKS_MOST; i++) {
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

static void draw_frame(const struct map_layout *layout, const struct scene *scene, const struct node_groups *groups, size_t index, bool selected, const struct area *area)
{
    const struct map_cluster *cluster = &layout->clusters[index];
    struct area box = area_part(area, cluster->row, cluster->column, cluster->rows, cluster->columns);
    struct buf name = BUF_EMPTY;
    map_cluster_name(layout, scene, groups, index, &name);
    area_frame(&box, selected ? STYLE_ACCENT : frame_style(layout, index), buf_text(&name));
    buf_free(&name);
}

static void draw_box(const struct map_layout *layout, const struct scene *scene, const struct node_groups *groups, size_t index, bool selected, const struct area *area)
{
    const struct map_cluster *cluster = &layout->clusters[index];
    struct area box = area_part(area, cluster->row, cluster->column, cluster->rows, cluster->columns);
    struct buf name = BUF_EMPTY;
    area_fill(&box);
    draw_frame(layout, scene, groups, index, selected, area);
    if (layout->kind == MAP_COUNTS) {
        struct area line = area_part(&box, 1, 2, 1, box.columns - 4);
        struct area on = area_on(&line, selected ? GROUND_SELECTED : line.ground);
        area_fill(&on);
        buf_clear(&name);
        words_many(cluster->count, "node", "nodes", &name);
        int column = area_text(&on, 0, 0, STYLE_TEXT, buf_text(&name));
        if (cluster->unwell && on.columns - column >= 14) {
            area_format(&on, 0, column, STYLE_WARNING, ", %zu not well", cluster->unwell);
        } else if (cluster->unwell) {
            area_glyph(&on, 0, column + 1, STYLE_WARNING, GLYPH_WARNING);
            area_format(&on, 0, column + 2, STYLE_WARNING, "%zu", cluster->unwell);
        }
    }
    buf_free(&name);
}

static void draw_name(const struct map_layout *layout, const struct scene *scene, const struct map_stats *stats, const struct map_spot *spot, bool selected,
                      const struct area *area)
{
    enum node_state state = scene->picture.diagnosis->nodes[spot->item].state;
    struct look_of look = look_of_node(state);
    if (map_is_star(stats, spot->item))
        look = (struct look_of){state == NODE_UP ? GLYPH_ERROR : look.glyph, STYLE_BAD};
    else if (state == NODE_UP && map_is_unwell(scene, stats, spot->item))
        look.style = STYLE_WARNING;
    struct area on = area_on(area, selected ? GROUND_SELECTED : area->ground);
    struct buf name = BUF_EMPTY;
    scene_name(scene, spot->item, &name);
    int width = (int)text_width(buf_text(&name));
    width = width < spot->width - 2 ? width : spot->width - 2;
    bool left = layout->kind == MAP_RING && spot->glyph_column != spot->column; /* the name to the left of its glyph */
    area_field(&on, spot->row, left ? spot->glyph_column - 1 - width : spot->column + 2, width, false, selected ? STYLE_ACCENT : look.style == STYLE_GOOD ? STYLE_TEXT : look.style,
               buf_text(&name));
    area_character(&on, spot->row, left ? spot->glyph_column - 1 : spot->glyph_column + 1, STYLE_TEXT, ' ');
    area_glyph(&on, spot->row, spot->glyph_column, look.style, look.glyph);
    buf_free(&name);
}

void map_draw(const struct map_layout *layout, const struct scene *scene, const struct node_groups *groups, const struct map_stats *stats,
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
    for (size_t i = 0; layout->kind != MAP_RING && i < layout->cluster_count; i++) /* what is broken goes through boxes, not over their names */
        draw_frame(layout, scene, groups, i, cursor && cursor->cluster && cursor->item == i, area);
    draw_marks(layout, scene, area);
    for (size_t i = 0; i < layout->spot_count; i++)
        if (!layout->spots[i].cluster)
            draw_name(layout, scene, stats, &layout->spots[i], i == selected, area);
    canvas_free(&well);
    canvas_free(&bad);
}

/* ---- the list below --------------------------------------------------------------------------------------------- */

/* Items one after the other in the rows of an area; the last place is kept for how many are left out. */
struct flow { const struct area *area; int row, column; size_t left; };

static bool flow_add(struct flow *flow, struct look_of look, const char *text)
{
    int width = 2 + (int)text_width(text), columns = flow->area->columns, rest = flow->row == flow->area->rows - 1 && flow->left > 1 ? 16 : 0;
    if (flow->column > 0 && flow->column + width + rest > columns) {
        if (flow->row == flow->area->rows - 1) {
            area_format(flow->area, flow->row, flow->column, STYLE_DIM, "and %zu more", flow->left);
            return false;
        }
        flow->row++;
        flow->column = 0;
    }
    area_glyph(flow->area, flow->row, flow->column, look.style, look.glyph);
    area_text(flow->area, flow->row, flow->column + 2, STYLE_TEXT, text);
    flow->column += width + 3;
    flow->left--;
    return true;
}

/* "✖ api → db blocked" */
static void add_link(const struct scene *scene, const struct link *link, bool ascii, struct buf *text)
{
    struct buf name = BUF_EMPTY;
    enum course ahead = course_of(link, true), back = course_of(link, false);
    size_t from = back > ahead ? link->b : link->a, to = back > ahead ? link->a : link->b;
    buf_add_text(text, scene_name(scene, from, &name));
    buf_add_text(text, ascii ? (ahead == back ? " = " : " > ") : ahead == back ? " ↔ " : " → ");
    buf_add_format(text, "%s %s", scene_name(scene, to, &name), course_text(ahead > back ? ahead : back));
    buf_free(&name);
}

static bool is_lost(const struct scene *scene, size_t node)
{
    enum node_state state = scene->picture.diagnosis->nodes[node].state;
    return state == NODE_DOWN || state == NODE_UNREACHABLE;
}

void map_draw_broken(const struct map_layout *layout, const struct scene *scene, const struct map_stats *stats, const struct area *area)
{
    struct buf text = BUF_EMPTY, name = BUF_EMPTY;
    struct flow flow = {.area = area, .left = layout->single};
    for (size_t i = 0; i < layout->count; i++)
        flow.left += map_is_star(stats, layout->members[i]) || is_lost(scene, layout->members[i]);
    bool room = area->rows > 0;
    for (size_t i = 0; i < layout->count && room; i++) {
        uint32_t node = layout->members[i];
        enum node_state node_state = scene->picture.diagnosis->nodes[node].state;
        if (!is_lost(scene, node) || map_is_star(stats, node))
            continue;
        buf_clear(&text);
        buf_add_format(&text, "%s %s", scene_name(scene, node, &name), node_state_text(node_state));
        room = flow_add(&flow, look_of_node(node_state), buf_text(&text));
    }
    for (size_t i = 0; i < layout->count && room; i++) {
        uint32_t node = layout->members[i];
        if (!map_is_star(stats, node))
            continue;
        buf_clear(&text);
        const struct fault *fault = scene_fault_of_node(scene, node);
        buf_add_format(&text, "%s: %u of %u links bad", scene_name(scene, node, &name), stats->bad[node], stats->links[node]);
        if (fault)
            buf_add_format(&text, " (%s)", fault->kind->title);
        room = flow_add(&flow, (struct look_of){GLYPH_ERROR, STYLE_BAD}, buf_text(&text));
    }
    for (size_t i = 0; i < layout->single && room; i++) {
        buf_clear(&text);
        add_link(scene, &scene->picture.diagnosis->links[layout->bad[i].link], area->surface->ascii, &text);
        room = flow_add(&flow, course_look(layout->bad[i].course), buf_text(&text));
    }
    buf_free(&text);
    buf_free(&name);
}
