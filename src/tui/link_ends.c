/* Both ends of a link as a table: what each has about the other. One row of the table below is one line. */
#include <string.h>

#include "link_view.h"
#include "matrix.h"
#include "words.h"

/* One end: HOLDER's side of its link with OTHER. */
struct end {
    const struct scene *scene;
    const struct link *link;
    size_t holder, other;
    const struct device_peer *row, *back; /* the holder's row, the other's; NULL */
    int64_t age;
    bool seen;                            /* was the holder reached? */
};

typedef enum style add_value(const struct end *end, struct buf *buf);

static enum style nothing(const struct end *end, struct buf *buf)
{
    buf_add_text(buf, end->seen ? "-" : "not seen");
    return end->seen ? STYLE_DIM : STYLE_UNKNOWN;
}

static enum style add_row(const struct end *end, struct buf *buf)
{
    if (!end->seen)
        return nothing(end, buf);
    bool by_hub = end->link && end->link->path == PATH_HUB;
    buf_add_text(buf, end->row ? "yes" : by_hub ? "none that carries: the hub's does" : "none");
    return end->row || by_hub ? STYLE_TEXT : STYLE_BAD;
}

static void add_endpoint(const struct scene *scene, const struct endpoint *endpoint, struct buf *buf)
{
    char text[ENDPOINT_TEXT_SIZE];
    struct buf shown = BUF_EMPTY;
    endpoint_text(endpoint, text);
    buf_add_text(buf, scene_text(scene, text, &shown));
    buf_free(&shown);
}

static enum style add_sends_to(const struct end *end, struct buf *buf)
{
    if (!end->row)
        return nothing(end, buf);
    if (!end->row->endpoint.address.family) {
        buf_add_text(buf, "nowhere: no endpoint yet");
        return STYLE_WARNING;
    }
    add_endpoint(end->scene, &end->row->endpoint, buf);
    return STYLE_TEXT;
}

/* The other end's row has where this one's packets came from, once a handshake was made. */
static enum style add_heard_at(const struct end *end, struct buf *buf)
{
    if (!end->back || !end->back->endpoint.address.family || end->back->handshake == 0) {
        buf_add_char(buf, '-');
        return STYLE_DIM;
    }
    add_endpoint(end->scene, &end->back->endpoint, buf);
    return STYLE_TEXT;
}

static enum style add_in_file(const struct end *end, struct buf *buf)
{
    const struct mesh_node *node = &end->scene->picture.mesh->nodes[end->holder];
    struct buf shown = BUF_EMPTY;
    if (node->endpoint_host) {
        struct buf text = BUF_EMPTY;
        bool six = strchr(node->endpoint_host, ':') != NULL;
        buf_add_format(&text, six ? "[%s]:%u" : "%s:%u", node->endpoint_host, node->endpoint_port);
        buf_add_text(buf, scene_text(end->scene, buf_text(&text), &shown));
        buf_free(&text);
    } else {
        buf_add_text(buf, end->scene->picture.mesh->from_file ? "none: behind NAT" : "-");
    }
    buf_free(&shown);
    return STYLE_DIM;
}

static enum style add_listens(const struct end *end, struct buf *buf)
{
    const struct device *device = end->scene->picture.diagnosis->nodes[end->holder].device;
    if (!device)
        return nothing(end, buf);
    buf_add_format(buf, "UDP %u", device->listen_port);
    return STYLE_TEXT;
}

static enum style add_handshake(const struct end *end, struct buf *buf)
{
    if (!end->row)
        return nothing(end, buf);
    if (end->age < 0) {
        buf_add_text(buf, "never");
        return STYLE_NEVER;
    }
    words_ago(end->age, buf);
    return end->age > 180 * CLOCK_SECOND && end->link && !link_is_well(end->link) ? STYLE_BAD : STYLE_TEXT;
}

static enum style add_bytes(const struct end *end, uint64_t bytes, bool from_holder, struct buf *buf)
{
    if (!end->row)
        return nothing(end, buf);
    words_bytes(bytes, buf);
    double rate;
    bool a_to_b = (end->holder == end->link->a) == from_holder;
    if (course_rate(end->scene, end->link, a_to_b, &rate)) {
        buf_add_text(buf, ", now ");
        words_rate(rate, buf);
    }
    return STYLE_TEXT;
}

static enum style add_received(const struct end *end, struct buf *buf)
{
    return add_bytes(end, end->row ? end->row->rx_bytes : 0, false, buf);
}

static enum style add_sent(const struct end *end, struct buf *buf)
{
    return add_bytes(end, end->row ? end->row->tx_bytes : 0, true, buf);
}

static enum style add_keepalive(const struct end *end, struct buf *buf)
{
    if (!end->row)
        return nothing(end, buf);
    if (end->row->keepalive)
        buf_add_format(buf, "every %us", end->row->keepalive);
    else
        buf_add_text(buf, "off");
    return STYLE_TEXT;
}

static enum style add_allowed(const struct end *end, struct buf *buf)
{
    if (!end->row)
        return nothing(end, buf);
    struct buf shown = BUF_EMPTY;
    for (size_t i = 0; i < end->row->allowed_count && i < 12; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&end->row->allowed[i], text);
        buf_add_format(buf, "%s%s", i ? ", " : "", scene_text(end->scene, text, &shown));
    }
    if (end->row->allowed_count > 12)
        buf_add_format(buf, " and %zu more", end->row->allowed_count - 12);
    if (end->row->allowed_count == 0)
        buf_add_text(buf, "none");
    buf_free(&shown);
    return end->row->allowed_count ? STYLE_TEXT : STYLE_WARNING;
}

static enum style add_preshared(const struct end *end, struct buf *buf)
{
    if (!end->row)
        return nothing(end, buf);
    buf_add_text(buf, end->row->has_preshared ? "yes" : "no");
    if (!end->back)
        return STYLE_TEXT;
    if (end->row->has_preshared != end->back->has_preshared) {
        buf_add_text(buf, ", the other end differs");
        return STYLE_BAD;
    }
    if (!end->row->has_preshared)
        return STYLE_TEXT;
    bool same = memcmp(end->row->preshared_hash, end->back->preshared_hash, sizeof end->row->preshared_hash) == 0;
    buf_add_text(buf, same ? ", the same at both ends" : ", not the same at both ends");
    return same ? STYLE_TEXT : STYLE_BAD;
}

static const struct { const char *label; add_value *add; bool needs_link; } lines[] = {
    {"row for the other", add_row, false},
    {"sends to", add_sends_to, false},
    {"is heard from", add_heard_at, false},
    {"in the mesh file", add_in_file, false},
    {"listens on", add_listens, false},
    {"last handshake", add_handshake, true},
    {"received", add_received, true},
    {"sent", add_sent, true},
    {"keepalive", add_keepalive, false},
    {"allowed IPs", add_allowed, false},
    {"preshared key", add_preshared, false},
};

enum { LINES = sizeof lines / sizeof *lines, LABEL = 19, SIDE_LEAST = 24 };

static struct end end_of(const struct scene *scene, const struct link *link, size_t holder, size_t other)
{
    struct end end = {.scene = scene, .link = link, .holder = holder, .other = other, .age = -1};
    end.seen = scene->picture.observed->nodes[holder].reach == REACH_OK;
    if (link) {
        bool first = holder == link->a;
        end.row = first ? link->a_row : link->b_row;
        end.back = first ? link->b_row : link->a_row;
        end.age = first ? link->a_age : link->b_age;
    }
    return end;
}

static int draw_value(const struct end *end, size_t line, const struct area *area, int row, int column, int width)
{
    struct buf text = BUF_EMPTY;
    enum style style = lines[line].add(end, &text);
    int used = area_paragraph(area, row, column, width, 3, style, buf_text(&text), true);
    buf_free(&text);
    return used > 0 ? used : 1;
}

static int draw_beside(const struct end *left, const struct end *right, const struct area *area, int row)
{
    int width = (area->columns - LABEL) / 2, used = 0;
    width = width > 64 ? 64 : width;
    struct buf name = BUF_EMPTY;
    area_field(area, row, LABEL, width - 1, false, STYLE_HEADING, scene_name(left->scene, left->holder, &name));
    area_field(area, row, LABEL + width, width - 1, false, STYLE_HEADING, scene_name(left->scene, right->holder, &name));
    buf_free(&name);
    used++;
    for (size_t i = 0; i < LINES; i++) {
        if (lines[i].needs_link && !left->link)
            continue;
        area_text(area, row + used, 0, STYLE_DIM, lines[i].label);
        int one = draw_value(left, i, area, row + used, LABEL, width - 1), other = draw_value(right, i, area, row + used, LABEL + width, width - 1);
        used += one > other ? one : other;
    }
    return used;
}

static int draw_below(const struct end *end, const struct area *area, int row)
{
    struct buf name = BUF_EMPTY;
    int used = 1, label = area->columns < 40 ? 13 : LABEL;
    area_text(area, row, 0, STYLE_HEADING, scene_name(end->scene, end->holder, &name));
    buf_free(&name);
    for (size_t i = 0; i < LINES; i++) {
        if (lines[i].needs_link && !end->link)
            continue;
        area_field(area, row + used, 1, label - 2, false, STYLE_DIM, lines[i].label);
        used += draw_value(end, i, area, row + used, label, area->columns - label);
    }
    return used;
}

int link_draw_ends(const struct scene *scene, size_t a, size_t b, const struct link *link, const struct area *area, int row)
{
    struct end left = end_of(scene, link, a, b), right = end_of(scene, link, b, a);
    if (area->columns >= LABEL + 2 * SIDE_LEAST)
        return draw_beside(&left, &right, area, row);
    int used = draw_below(&left, area, row);
    return used + draw_below(&right, area, row + used);
}
