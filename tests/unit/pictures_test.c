/* Matrix, map, node and link: order and its patience, folding, what is left out, the map's places, and every size without a mark outside. */
#include "unit.h"

#include "diagnosis_world.h"
#include "tui/map.h"
#include "tui/matrix_view.h"
#include "tui/view.h"

/* A mesh as a diagnosis says it, made by hand: full, well, with the first letters of GROUPS as groups ("" none). */
struct pictures {
    struct mesh *mesh;
    struct observed *observed;
    struct diagnosis diagnosis;
    struct scene scene;
};

static void begin(struct pictures *pictures, size_t nodes, const char *groups)
{
    *pictures = (struct pictures){.mesh = world_mesh(nodes, true), .observed = observed_new(nodes)};
    struct diagnosis *diagnosis = &pictures->diagnosis;
    diagnosis->nodes = mem_alloc(nodes + 1, sizeof *diagnosis->nodes);
    diagnosis->node_count = nodes;
    diagnosis->links = mem_alloc(nodes * nodes / 2 + 1, sizeof *diagnosis->links);
    for (size_t a = 0; a < nodes; a++) {
        if (*groups)
            pictures->mesh->nodes[a].group = mem_format("%c", groups[a % strlen(groups)]);
        pictures->observed->nodes[a].reach = REACH_OK;
        for (size_t b = a + 1; b < nodes; b++)
            diagnosis->links[diagnosis->link_count++] = (struct link){.a = a, .b = b, .a_age = CLOCK_SECOND, .b_age = CLOCK_SECOND, .rtt = -1};
    }
    pictures->scene = (struct scene){.picture = {.mesh = pictures->mesh, .observed = pictures->observed, .diagnosis = diagnosis, .now = WORLD_NOW},
                                     .filter = "", .number = 1};
}

static void end(struct pictures *pictures)
{
    mesh_free(pictures->mesh);
    observed_free(pictures->observed);
    free(pictures->diagnosis.nodes);
    free(pictures->diagnosis.links);
}

static struct link *link_between(struct pictures *pictures, size_t a, size_t b)
{
    for (size_t i = 0; i < pictures->diagnosis.link_count; i++) {
        struct link *link = &pictures->diagnosis.links[i];
        if (link->a == a && link->b == b)
            return link;
    }
    fail_msg("no link %zu %zu", a, b);
    return NULL;
}

static void set_link(struct pictures *pictures, size_t a, size_t b, enum link_state state, enum direction_state ahead, enum direction_state back)
{
    struct link *link = link_between(pictures, a, b);
    link->state = state;
    link->a_to_b = ahead;
    link->b_to_a = back;
    pictures->scene.picture.number++;
}

static void break_node(struct pictures *pictures, size_t node)
{
    for (size_t i = 0; i < pictures->mesh->node_count; i++)
        if (i != node)
            set_link(pictures, i < node ? i : node, i < node ? node : i, LINK_DEAD, DIRECTION_BLOCKED, DIRECTION_BLOCKED);
}

/* Names in the order of the axis, one letter each. */
static const char *names(const struct pictures *pictures, const uint32_t *nodes, size_t count)
{
    static char text[128];
    for (size_t i = 0; i < count; i++)
        text[i] = *pictures->mesh->nodes[nodes[i]].name;
    text[count] = '\0';
    return text;
}

static struct matrix_order order_new(enum matrix_sort sort)
{
    return (struct matrix_order){.sort = sort, .row_group = SIZE_MAX, .column_group = SIZE_MAX};
}

/* ---- cells ------------------------------------------------------------------------------------------------------ */

static void test_courses(void **state)
{
    (void)state;
    static const struct { enum link_state state; enum direction_state ahead, back; enum course to_b, to_a; } rows[] = {
        {LINK_LIVE, DIRECTION_OK, DIRECTION_OK, COURSE_LIVE, COURSE_LIVE},
        {LINK_LIVE, DIRECTION_OK, DIRECTION_BLOCKED, COURSE_LIVE, COURSE_DEAD},
        {LINK_DEAD, DIRECTION_BLOCKED, DIRECTION_BLOCKED, COURSE_DEAD, COURSE_DEAD},
        {LINK_LATE, DIRECTION_OK, DIRECTION_OK, COURSE_LATE, COURSE_LATE},
        {LINK_IDLE, DIRECTION_UNKNOWN, DIRECTION_UNKNOWN, COURSE_IDLE, COURSE_IDLE},
        {LINK_NEVER, DIRECTION_UNKNOWN, DIRECTION_UNKNOWN, COURSE_NEVER, COURSE_NEVER},
        {LINK_UNKNOWN, DIRECTION_UNKNOWN, DIRECTION_UNKNOWN, COURSE_UNKNOWN, COURSE_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct link link = {.state = rows[i].state, .a_to_b = rows[i].ahead, .b_to_a = rows[i].back};
        CASE_ASSERT(i, course_of(&link, true) == rows[i].to_b);
        CASE_ASSERT(i, course_of(&link, false) == rows[i].to_a);
    }
    assert_int_equal(course_of(NULL, true), COURSE_NONE);
}

static void test_sentence(void **state)
{
    (void)state;
    struct pictures pictures;
    struct buf text = BUF_EMPTY;
    begin(&pictures, 3, "");
    set_link(&pictures, 0, 1, LINK_DEAD, DIRECTION_BLOCKED, DIRECTION_UNKNOWN);
    link_between(&pictures, 0, 2)->b_age = 12 * CLOCK_SECOND;
    course_sentence(&pictures.scene, 0, 2, link_between(&pictures, 0, 2), &text);
    assert_string_equal(buf_text(&text), "c hears a: live, handshake 12s ago");
    buf_clear(&text);
    course_sentence(&pictures.scene, 0, 1, link_between(&pictures, 0, 1), &text);
    assert_string_equal(buf_text(&text), "b hears a: blocked, handshake 1s ago");
    buf_clear(&text);
    course_sentence(&pictures.scene, 2, 1, NULL, &text);
    assert_string_equal(buf_text(&text), "b hears c: no link between them");
    buf_free(&text);
    end(&pictures);
}

static void test_pairs_are_found(void **state)
{
    (void)state;
    struct pictures pictures;
    struct link_index index = {0};
    begin(&pictures, 6, "");
    struct diagnosis *diagnosis = &pictures.diagnosis;
    memmove(&diagnosis->links[2], &diagnosis->links[3], (--diagnosis->link_count - 2) * sizeof *diagnosis->links); /* without a-d */
    link_index_build(&index, &pictures.scene);
    for (size_t a = 0; a < 8; a++)
        for (size_t b = 0; b < 8; b++)
            assert_ptr_equal(link_index_find(&index, &pictures.scene, a, b), a == b ? NULL : scene_link(&pictures.scene, a, b));
    assert_null(link_index_find(&index, &pictures.scene, 3, 0));
    assert_non_null(link_index_find(&index, &pictures.scene, 5, 0));
    link_index_free(&index);
    end(&pictures);
}

/* ---- order ------------------------------------------------------------------------------------------------------ */

static void test_order(void **state)
{
    (void)state;
    static const struct { enum matrix_sort sort; const char *rows; } rows[] = {
        {MATRIX_FILE, "abcdef"}, {MATRIX_GROUPS, "acebdf"}, {MATRIX_PROBLEMS, "dfabce"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pictures pictures;
        struct matrix_order order = order_new(rows[i].sort);
        begin(&pictures, 6, "xy");
        break_node(&pictures, 3);
        pictures.diagnosis.nodes[5].state = NODE_DEGRADED;
        matrix_order_build(&order, &pictures.scene);
        if (strcmp(names(&pictures, order.rows, order.row_count), rows[i].rows) != 0)
            print_message("case %zu: %s\n", i, names(&pictures, order.rows, order.row_count));
        CASE_ASSERT(i, strcmp(names(&pictures, order.rows, order.row_count), rows[i].rows) == 0);
        matrix_order_free(&order);
        end(&pictures);
    }
}

/* Worse: at once. Better: only when it has been so for a while. */
static void test_order_is_patient(void **state)
{
    (void)state;
    struct pictures pictures;
    struct matrix_order order = order_new(MATRIX_PROBLEMS);
    begin(&pictures, 4, "");
    matrix_order_build(&order, &pictures.scene);
    assert_string_equal(names(&pictures, order.rows, order.row_count), "abcd");
    break_node(&pictures, 2);
    matrix_order_build(&order, &pictures.scene);
    assert_string_equal(names(&pictures, order.rows, order.row_count), "cabd");
    for (size_t i = 0; i < pictures.diagnosis.link_count; i++)
        pictures.diagnosis.links[i].state = LINK_LIVE, pictures.diagnosis.links[i].a_to_b = pictures.diagnosis.links[i].b_to_a = DIRECTION_OK;
    pictures.scene.picture.number++;
    for (int second = 0; second < TROUBLE_PATIENCE; second += 2) {
        pictures.scene.picture.now = WORLD_NOW + second * CLOCK_SECOND;
        matrix_order_build(&order, &pictures.scene);
        assert_string_equal(names(&pictures, order.rows, order.row_count), "cabd");
    }
    pictures.scene.picture.now = WORLD_NOW + TROUBLE_PATIENCE * CLOCK_SECOND;
    matrix_order_build(&order, &pictures.scene);
    assert_string_equal(names(&pictures, order.rows, order.row_count), "abcd");
    matrix_order_free(&order);
    end(&pictures);
}

static void test_left_out(void **state)
{
    (void)state;
    struct pictures pictures;
    struct matrix_order order = order_new(MATRIX_FILE);
    static const uint8_t matches[] = {0, 1, 1, 0, 0};
    begin(&pictures, 5, "");
    set_link(&pictures, 1, 3, LINK_LIVE, DIRECTION_BLOCKED, DIRECTION_OK); /* d does not hear b */
    pictures.scene.faults_only = true;
    matrix_order_build(&order, &pictures.scene);
    assert_string_equal(names(&pictures, order.rows, order.row_count), "d");
    assert_string_equal(names(&pictures, order.columns, order.column_count), "b");
    pictures.diagnosis.nodes[4].state = NODE_UNREACHABLE;
    matrix_order_build(&order, &pictures.scene);
    assert_string_equal(names(&pictures, order.rows, order.row_count), "de");
    pictures.scene.faults_only = false;
    pictures.scene.node_matches = matches;
    matrix_order_build(&order, &pictures.scene);
    assert_string_equal(names(&pictures, order.rows, order.row_count), "bc");
    assert_int_equal(order.column_count, 5);
    matrix_order_free(&order);
    end(&pictures);
}

static void test_folding(void **state)
{
    (void)state;
    struct pictures pictures;
    struct matrix_order order = order_new(MATRIX_PROBLEMS);
    begin(&pictures, 9, "xyz");
    free(pictures.mesh->nodes[8].group);
    pictures.mesh->nodes[8].group = NULL;                                   /* i: in none */
    set_link(&pictures, 1, 2, LINK_LIVE, DIRECTION_BLOCKED, DIRECTION_OK);  /* c (z) does not hear b (y) */
    set_link(&pictures, 1, 5, LINK_LATE, DIRECTION_OK, DIRECTION_OK);       /* b (y) and f (z), both ways */
    matrix_order_build(&order, &pictures.scene);
    assert_int_equal(order.groups.count, 4);
    const struct fold *fold = matrix_fold(&order, 2, 1);                    /* z hears y */
    assert_int_equal(fold->directions, 6);
    assert_int_equal(fold->bad, 2);
    assert_int_equal(fold->worst, COURSE_DEAD);
    fold = matrix_fold(&order, 1, 2);
    assert_int_equal(fold->bad, 1);
    assert_int_equal(fold->worst, COURSE_LATE);
    fold = matrix_fold(&order, 0, 0);                                       /* a, d, g among themselves: both ways of three links */
    assert_int_equal(fold->directions, 6);
    assert_int_equal(fold->worst, COURSE_LIVE);
    assert_string_equal(node_group_name(&order.groups, 3, &pictures.scene), "(no group)");
    assert_int_equal(order.group_order[0], 1);
    assert_int_equal(order.group_order[1], 2);
    matrix_order_free(&order);
    end(&pictures);
}

/* ---- the matrix as a person uses it ----------------------------------------------------------------------------- */

static char *drawn(struct view *view, const struct scene *scene, int rows, int columns, bool ascii)
{
    struct surface surface = {.ascii = ascii};
    surface_resize(&surface, rows, columns);
    struct area area = area_whole(&surface);
    view_ops_of(view)->draw(view, scene, &area);
    struct buf text = BUF_EMPTY;
    surface_to_text(&surface, false, &text);
    surface_free(&surface);
    return buf_take(&text);
}

static void test_matrix_screen(void **state)
{
    (void)state;
    struct pictures pictures;
    begin(&pictures, 4, "");
    set_link(&pictures, 0, 1, LINK_LIVE, DIRECTION_BLOCKED, DIRECTION_OK);
    struct view *view = view_new(&view_matrix);
    struct wish wish = {0};
    view_matrix.open(view, &pictures.scene, NULL);
    char *text = drawn(view, &pictures.scene, 6, 24, true);
    assert_string_equal(text, "    a b c d\n>a [\\]o o o\n b  X \\ o o\n c  o o \\ o\n d  o o o \\\na itself: up\n");
    free(text);
    assert_true(view_matrix.act(view, &pictures.scene, ACTION_NEXT, &wish));
    assert_true(view_matrix.act(view, &pictures.scene, ACTION_ENTER, &wish));
    assert_true(wish.open && wish.subject.kind == SUBJECT_LINK && wish.subject.a == 0 && wish.subject.b == 1);
    view_free(view);
    end(&pictures);
}

static void test_matrix_cursor_stays_on_its_link(void **state)
{
    (void)state;
    struct pictures pictures;
    begin(&pictures, 6, "");
    struct view *view = view_new(&view_matrix);
    struct wish wish = {0};
    struct subject subject;
    view_matrix.open(view, &pictures.scene, NULL);
    view_matrix.act(view, &pictures.scene, ACTION_DOWN, &wish);
    view_matrix.act(view, &pictures.scene, ACTION_RIGHT, &wish);
    view_matrix.act(view, &pictures.scene, ACTION_RIGHT, &wish);
    break_node(&pictures, 5); /* f comes first now */
    view_matrix.refresh(view, &pictures.scene);
    assert_true(view_matrix.subject(view, &pictures.scene, &subject));
    assert_true(subject.kind == SUBJECT_LINK && subject.a == 1 && subject.b == 2);
    view_free(view);
    end(&pictures);
}

static void test_matrix_folds_and_opens(void **state)
{
    (void)state;
    struct pictures pictures;
    begin(&pictures, 120, "xyz");
    struct view *view = view_new(&view_matrix);
    struct view_matrix *matrix = (struct view_matrix *)view;
    struct wish wish = {0};
    struct subject subject;
    view_matrix.open(view, &pictures.scene, NULL);
    free(drawn(view, &pictures.scene, 22, 80, false));
    assert_true(matrix->folded);                     /* by itself: they do not fit */
    assert_false(view_matrix.subject(view, &pictures.scene, &subject));
    view_matrix.act(view, &pictures.scene, ACTION_RIGHT, &wish);
    view_matrix.act(view, &pictures.scene, ACTION_ENTER, &wish);
    free(drawn(view, &pictures.scene, 22, 80, false));
    assert_false(matrix->folded);
    assert_int_equal(matrix->order.row_count, 40);   /* x hears y */
    assert_int_equal(matrix->order.columns[0] % 3, 1);
    assert_true(view_matrix.act(view, &pictures.scene, ACTION_BACK, &wish));
    free(drawn(view, &pictures.scene, 22, 80, false));
    assert_true(matrix->folded);
    assert_false(view_matrix.act(view, &pictures.scene, ACTION_BACK, &wish));
    view_matrix.act(view, &pictures.scene, ACTION_PANE, &wish);
    free(drawn(view, &pictures.scene, 22, 80, false));
    assert_false(matrix->folded);
    view_free(view);
    end(&pictures);
}

static void test_matrix_saved(void **state)
{
    (void)state;
    struct pictures pictures;
    struct buf text = BUF_EMPTY;
    begin(&pictures, 3, "");
    set_link(&pictures, 0, 1, LINK_DEAD, DIRECTION_BLOCKED, DIRECTION_OK);
    struct view *view = view_new(&view_matrix);
    view_matrix.open(view, &pictures.scene, NULL);
    view_matrix.act(view, &pictures.scene, ACTION_GROUP, &(struct wish){0}); /* as in the file */
    view_matrix.save(view, &pictures.scene, SAVE_CSV, &text);
    assert_string_equal(buf_text(&text), "from,to,state,direction,handshake_age,bytes_per_second\nb,a,dead,ok,1.0,\nc,a,live,ok,1.0,\na,b,dead,blocked,1.0,\n"
                                         "c,b,live,ok,1.0,\na,c,live,ok,1.0,\nb,c,live,ok,1.0,\n");
    buf_clear(&text);
    view_matrix.save(view, &pictures.scene, SAVE_JSON, &text);
    struct err err;
    cJSON *json = json_parse(buf_text(&text), text.length, &err);
    assert_non_null(json);
    assert_int_equal(cJSON_GetArraySize(json), 6);
    assert_string_equal(json_get_text(cJSON_GetArrayItem(json, 2), "direction", ""), "blocked");
    cJSON_Delete(json);
    buf_free(&text);
    view_free(view);
    end(&pictures);
}

/* ---- the map ---------------------------------------------------------------------------------------------------- */

struct map_case { size_t nodes; const char *groups; int rows, columns; enum map_kind kind; };

static const struct map_case map_cases[] = {
    {1, "", 20, 80, MAP_RING},    {2, "", 20, 80, MAP_RING},      {20, "", 20, 80, MAP_RING},   {20, "wxyz", 20, 80, MAP_BOXES},
    {200, "", 20, 80, MAP_COUNTS}, {200, "uvwxyz", 20, 80, MAP_COUNTS}, {60, "uvwxyz", 56, 200, MAP_BOXES}, {1, "", 1, 1, MAP_RING},
    {0, "", 20, 80, MAP_RING},
};

static void test_map_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(map_cases); i++) {
        const struct map_case *row = &map_cases[i];
        struct pictures pictures;
        struct map_layout *layout = mem_alloc(1, sizeof *layout);
        struct node_groups groups = {0};
        struct map_stats stats = {0};
        begin(&pictures, row->nodes, row->groups);
        node_groups_build(&groups, &pictures.scene);
        map_stats_build(&stats, &pictures.scene);
        map_lay_out(layout, &pictures.scene, &groups, &stats, NULL, 0, true, row->rows, row->columns);
        CASE_ASSERT(i, layout->kind == row->kind || row->rows == 1);
        CASE_ASSERT(i, layout->count == row->nodes);
        for (size_t k = 0; k < layout->spot_count && row->rows > 1; k++) {
            const struct map_spot *spot = &layout->spots[k];
            CASE_ASSERT(i, spot->row >= 0 && spot->row < row->rows && spot->column >= 0 && spot->column + spot->width <= row->columns);
            for (size_t j = 0; j < k; j++) /* no name on another */
                CASE_ASSERT(i, layout->spots[j].row != spot->row || layout->spots[j].column + layout->spots[j].width <= spot->column ||
                                   spot->column + spot->width <= layout->spots[j].column);
        }
        size_t members = 0;
        for (size_t k = 0; k < layout->cluster_count; k++)
            members += layout->clusters[k].count;
        CASE_ASSERT(i, members == row->nodes);
        map_layout_free(layout);
        free(layout);
        node_groups_free(&groups);
        map_stats_free(&stats);
        end(&pictures);
    }
}

/* A node that lost all its links explains them; a broken link of two others stands for itself. */
static void test_map_stars(void **state)
{
    (void)state;
    struct pictures pictures;
    struct map_stats stats = {0};
    begin(&pictures, 8, "");
    break_node(&pictures, 2);
    set_link(&pictures, 0, 1, LINK_LIVE, DIRECTION_BLOCKED, DIRECTION_OK);
    map_stats_build(&stats, &pictures.scene);
    for (size_t i = 0; i < 8; i++)
        CASE_ASSERT(i, map_is_star(&stats, i) == (i == 2));
    assert_int_equal(stats.own[0], 1);
    assert_int_equal(stats.own[5], 0);
    assert_true(map_is_unwell(&pictures.scene, &stats, 1));
    assert_false(map_is_unwell(&pictures.scene, &stats, 5));
    map_stats_free(&stats);
    end(&pictures);
}

static void test_map_arrows(void **state)
{
    (void)state;
    struct pictures pictures;
    begin(&pictures, 4, "");
    struct view *view = view_new(&view_map);
    struct wish wish = {0};
    struct subject subject;
    view_map.open(view, &pictures.scene, NULL);
    view_map.refresh(view, &pictures.scene);
    free(drawn(view, &pictures.scene, 20, 80, false));
    static const struct { enum action action; size_t node; } steps[] = { /* a and b on the right, d and c on the left */
        {ACTION_DOWN, 1}, {ACTION_LEFT, 2}, {ACTION_UP, 3}, {ACTION_RIGHT, 0}, {ACTION_RIGHT, 0}};
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        view_map.act(view, &pictures.scene, steps[i].action, &wish);
        CASE_ASSERT(i, view_map.subject(view, &pictures.scene, &subject) && subject.a == steps[i].node);
    }
    view_map.act(view, &pictures.scene, ACTION_ENTER, &wish);
    assert_true(wish.open && wish.subject.kind == SUBJECT_NODE && wish.subject.a == 0);
    view_free(view);
    end(&pictures);
}

/* ---- every screen in every size --------------------------------------------------------------------------------- */

static const enum action presses[] = {ACTION_DOWN, ACTION_RIGHT, ACTION_PAGE_DOWN, ACTION_LAST, ACTION_NEXT, ACTION_PANE, ACTION_GROUP, ACTION_ENTER,
                                      ACTION_LEFT, ACTION_UP, ACTION_PREVIOUS, ACTION_FIRST, ACTION_PAGE_UP, ACTION_BACK, ACTION_PANE};

static void draw_everywhere(const struct view_ops *ops, struct pictures *pictures, const struct subject *subject)
{
    static const int sizes[][2] = {{0, 0}, {1, 1}, {1, 40}, {2, 3}, {5, 20}, {8, 30}, {14, 60}, {22, 80}, {60, 200}, {22, 12}, {100, 9}};
    struct view *view = view_new(ops);
    ops->open(view, &pictures->scene, subject);
    ops->refresh(view, &pictures->scene);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        for (size_t k = 0; k < COUNT_OF(presses); k++) {
            struct wish wish = {0};
            free(drawn(view, &pictures->scene, sizes[i][0], sizes[i][1], i % 2));
            ops->act(view, &pictures->scene, presses[k], &wish);
            if (ops->mouse)
                ops->mouse(view, &pictures->scene, (int)k, (int)(i * 5), (int)k % 3 - 1, k % 2, &wish);
            if (k % 4 == 0) {
                pictures->scene.faults_only = !pictures->scene.faults_only;
                pictures->scene.number++;
                ops->refresh(view, &pictures->scene);
            }
        }
    view_free(view);
}

static void test_every_size(void **state)
{
    (void)state;
    static const struct { size_t nodes; const char *groups; } rows[] = {{0, ""}, {1, ""}, {2, "xy"}, {5, ""}, {20, "wxyz"}, {20, ""}, {130, "uvwxyz"}, {130, ""}};
    static const struct view_ops *const ops[] = {&view_matrix, &view_map, &view_node, &view_link};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t k = 0; k < COUNT_OF(ops); k++) {
            struct pictures pictures;
            begin(&pictures, rows[i].nodes, rows[i].groups);
            if (rows[i].nodes > 1)
                break_node(&pictures, rows[i].nodes / 2);
            draw_everywhere(ops[k], &pictures, NULL);
            struct subject subject = {.kind = ops[k] == &view_link ? SUBJECT_LINK : SUBJECT_NODE, .a = 0, .b = ops[k] == &view_link ? 1 : SIZE_MAX};
            draw_everywhere(ops[k], &pictures, &subject); /* also where there is no such node */
            pictures.scene.privacy = true;
            draw_everywhere(ops[k], &pictures, &subject);
            end(&pictures);
        }
}

/* Real readings, with rows, faults and an unreachable node, in Node and Link. */
static void test_real_readings(void **state)
{
    (void)state;
    struct world world = world_new(5, true);
    world_keep_as_before(&world);
    world_age(&world, 'a', 'b', 400);
    world_send(&world, 'a', 'b', 1000, false);
    world_remove(world_device(&world, 'c'), 'd');
    world_fail(&world, 'e');
    world_sort(&world);
    struct diagnosis *diagnosis = diagnose(world.mesh, world.now, world.before);
    struct live_node nodes[5] = {0};
    nodes[4].last = &world.now->nodes[0];
    nodes[4].seen_at = WORLD_NOW - 60 * CLOCK_SECOND;
    struct pictures pictures = {.mesh = world.mesh, .observed = world.now};
    pictures.scene = (struct scene){.picture = {.mesh = world.mesh, .observed = world.now, .diagnosis = diagnosis, .nodes = nodes, .now = WORLD_NOW}, .filter = ""};
    for (size_t a = 0; a < 5; a++) {
        draw_everywhere(&view_node, &pictures, &(struct subject){.kind = SUBJECT_NODE, .a = a, .b = SIZE_MAX});
        for (size_t b = a + 1; b < 5; b++)
            draw_everywhere(&view_link, &pictures, &(struct subject){.kind = SUBJECT_LINK, .a = a, .b = b});
    }
    struct view *view = view_new(&view_link);
    view_link.open(view, &pictures.scene, &(struct subject){.kind = SUBJECT_LINK, .a = 0, .b = 1});
    char *text = drawn(view, &pictures.scene, 50, 100, false);
    assert_non_null(strstr(text, "blocked"));
    assert_non_null(strstr(text, "203.0.113.12:51820"));
    free(text);
    view_free(view);
    diagnosis_free(diagnosis);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_courses),       cmocka_unit_test(test_sentence),        cmocka_unit_test(test_pairs_are_found),
        cmocka_unit_test(test_order),         cmocka_unit_test(test_order_is_patient), cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_folding),       cmocka_unit_test(test_matrix_screen),   cmocka_unit_test(test_matrix_cursor_stays_on_its_link),
        cmocka_unit_test(test_matrix_folds_and_opens), cmocka_unit_test(test_matrix_saved), cmocka_unit_test(test_map_places),
        cmocka_unit_test(test_map_stars),     cmocka_unit_test(test_map_arrows),      cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_real_readings),
    };
    return cmocka_run_group_tests_name("pictures", tests, NULL, NULL);
}
