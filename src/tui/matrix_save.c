/* The matrix as text, JSON and CSV: all of it, not only what is seen. */
#include "matrix_view.h"
#include "wgdeck/json.h"

static const char *direction_text(const struct link *link, size_t from)
{
    return direction_state_text(from == link->a ? link->a_to_b : link->b_to_a);
}

/* Rows hear columns: a letter each, and what the letters mean. */
static const char letters[COURSE_COUNT] = {' ', 'o', '.', '?', '~', '-', '/', 'X'};

static void save_text(const struct view_matrix *matrix, const struct scene *scene, struct buf *buf)
{
    const struct matrix_order *order = &matrix->order;
    struct buf name = BUF_EMPTY;
    buf_add_text(buf, "rows hear columns:");
    for (unsigned i = COURSE_LIVE; i < COURSE_COUNT; i++)
        buf_add_format(buf, " %c %s", letters[i], course_text(i));
    buf_add_text(buf, "\ncolumns:");
    for (size_t c = 0; c < order->column_count; c++)
        buf_add_format(buf, " %s", scene_name(scene, order->columns[c], &name));
    buf_add_char(buf, '\n');
    for (size_t r = 0; r < order->row_count; r++) {
        buf_add_format(buf, "%-*s ", matrix->nodes.row.widest, scene_name(scene, order->rows[r], &name));
        for (size_t c = 0; c < order->column_count; c++) {
            uint32_t to = order->rows[r], from = order->columns[c];
            const struct link *link = link_index_find(&order->links, scene, to, from);
            buf_add_char(buf, ' ');
            buf_add_char(buf, to == from ? '\\' : letters[course_of(link, link && from == link->a)]);
        }
        buf_add_char(buf, '\n');
    }
    buf_free(&name);
}

static void save_one(const struct scene *scene, const struct link *link, size_t from, size_t to, struct json *json, struct buf *csv)
{
    struct buf one = BUF_EMPTY, other = BUF_EMPTY;
    int64_t age = to == link->a ? link->a_age : link->b_age;
    double rate;
    bool rated = course_rate(scene, link, from == link->a, &rate);
    if (csv) {
        buf_add_format(csv, "%s,%s,%s,%s,", scene_name(scene, from, &one), scene_name(scene, to, &other), link_state_text(link->state), direction_text(link, from));
        if (age >= 0)
            buf_add_format(csv, "%.1f", (double)age / (double)CLOCK_SECOND);
        buf_add_char(csv, ',');
        if (rated)
            buf_add_format(csv, "%.0f", rate);
        buf_add_char(csv, '\n');
    } else {
        json_object(json, NULL);
        json_text(json, "from", scene_name(scene, from, &one));
        json_text(json, "to", scene_name(scene, to, &other));
        json_text(json, "state", link_state_text(link->state));
        json_text(json, "direction", direction_text(link, from));
        if (age >= 0)
            json_decimal(json, "handshake_age", (double)age / (double)CLOCK_SECOND, 1);
        else
            json_null(json, "handshake_age");
        if (rated)
            json_decimal(json, "bytes_per_second", rate, 0);
        else
            json_null(json, "bytes_per_second");
        json_object_end(json);
    }
    buf_free(&one);
    buf_free(&other);
}

static void save_all(const struct view_matrix *matrix, const struct scene *scene, struct json *json, struct buf *csv)
{
    const struct matrix_order *order = &matrix->order;
    for (size_t r = 0; r < order->row_count; r++)
        for (size_t c = 0; c < order->column_count; c++) {
            const struct link *link = link_index_find(&order->links, scene, order->rows[r], order->columns[c]);
            if (link)
                save_one(scene, link, order->columns[c], order->rows[r], json, csv);
        }
}

void matrix_save(const struct view_matrix *matrix, const struct scene *scene, enum save_format format, struct buf *buf)
{
    if (format == SAVE_TEXT) {
        save_text(matrix, scene, buf);
    } else if (format == SAVE_CSV) {
        buf_add_text(buf, "from,to,state,direction,handshake_age,bytes_per_second\n");
        save_all(matrix, scene, NULL, buf);
    } else {
        struct json json = json_begin(buf);
        json_list(&json, NULL);
        save_all(matrix, scene, &json, NULL);
        json_list_end(&json);
        buf_add_char(buf, '\n');
    }
}
