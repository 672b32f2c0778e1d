/* The screens that are lists: what the overview answers, what comes first, what is copied and saved, where Enter leads. */
#include "unit.h"

#include <ev.h>

#include "diagnosis_world.h"
#include "tui/view.h"
#include "tui/words.h"
#include "wgdeck/live.h"

struct stage {
    struct world world;
    struct diagnosis *diagnosis;
    struct live_node *nodes;
    struct scene scene;
    struct view *view;
    struct wish wish;
};

static void look(struct stage *stage)
{
    scene_index_free((struct scene_index *)(uintptr_t)stage->scene.index);
    diagnosis_free(stage->diagnosis);
    world_sort(&stage->world);
    stage->diagnosis = diagnose(stage->world.mesh, stage->world.now, stage->world.before);
    for (size_t i = 0; i < stage->diagnosis->fault_count; i++)
        stage->diagnosis->faults[i].since = WORLD_NOW - 60 * CLOCK_SECOND;
    stage->scene.picture = (struct live_picture){.mesh = stage->world.mesh, .observed = stage->world.now, .diagnosis = stage->diagnosis, .nodes = stage->nodes,
                                                 .now = WORLD_NOW + 2 * CLOCK_SECOND};
    stage->scene.index = scene_index_new(&stage->scene.picture);
    stage->scene.number++;
    if (stage->view)
        view_ops_of(stage->view)->refresh(stage->view, &stage->scene);
}

static struct stage begin(size_t count)
{
    struct stage stage = {.world = world_new(count, true), .scene = {.filter = ""}};
    stage.nodes = mem_alloc(count + 1, sizeof *stage.nodes);
    for (size_t i = 0; i < count; i++)
        stage.nodes[i].seen_at = WORLD_NOW;
    world_keep_as_before(&stage.world);
    look(&stage);
    return stage;
}

static void show(struct stage *stage, const struct view_ops *ops)
{
    view_free(stage->view);
    stage->view = view_new(ops);
    ops->open(stage->view, &stage->scene, NULL);
}

static void end(struct stage *stage)
{
    view_free(stage->view);
    scene_index_free((struct scene_index *)(uintptr_t)stage->scene.index);
    diagnosis_free(stage->diagnosis);
    free(stage->nodes);
    world_free(&stage->world);
}

static char *drawn(struct stage *stage, int height, int width)
{
    struct surface surface = {.ascii = true};
    struct buf buf = BUF_EMPTY;
    surface_resize(&surface, height, width);
    struct area area = area_whole(&surface);
    view_ops_of(stage->view)->draw(stage->view, &stage->scene, &area);
    surface_to_text(&surface, false, &buf);
    surface_free(&surface);
    return buf_take(&buf);
}

static void assert_shows(struct stage *stage, int height, int width, const char *text)
{
    char *screen = drawn(stage, height, width);
    if (!strstr(screen, text))
        fail_msg("\"%s\" is not on the screen:\n%s", text, screen);
    free(screen);
}

static void assert_hides(struct stage *stage, int height, int width, const char *text)
{
    char *screen = drawn(stage, height, width);
    if (strstr(screen, text))
        fail_msg("\"%s\" is on the screen:\n%s", text, screen);
    free(screen);
}

static bool act(struct stage *stage, enum action action)
{
    stage->wish = (struct wish){.open = false};
    return view_ops_of(stage->view)->act(stage->view, &stage->scene, action, &stage->wish);
}

static void wrong_psk(struct stage *stage, char one, char other)
{
    struct device_peer *row = world_row(&stage->world, one, other);
    row->has_preshared = true;
    memset(row->preshared_hash, 7, sizeof row->preshared_hash);
}

/* ---- overview ---------------------------------------------------------------------------------------------------- */

static void test_is_it_well(void **state)
{
    (void)state;
    struct stage stage = begin(4);
    show(&stage, &view_overview);
    assert_shows(&stage, 24, 80, " + ALL WELL: 4 nodes up");
    assert_shows(&stage, 24, 80, "6 links: 6 live");
    assert_shows(&stage, 24, 80, "seen 2s ago");
    assert_hides(&stage, 24, 80, "EXPLAINS");

    world_node(&stage.world, 'b')->clock_offset = 90 * CLOCK_SECOND;
    look(&stage);
    assert_shows(&stage, 24, 80, " ! WELL, BUT 1 WARNING: the clock of b is off");

    wrong_psk(&stage, 'c', 'd');
    look(&stage);
    assert_shows(&stage, 24, 80, " X NOT WELL: 1 fault: preshared keys of ");
    assert_shows(&stage, 24, 80, "EXPLAINS");

    stage.scene.picture.old = true;
    assert_shows(&stage, 24, 80, " X LAST KNOWN, NOT WELL: 1 fault");
    stage.scene.picture.old = false;
    end(&stage);
}

/* A node that says nothing any more is not well, though all that was last seen of it is. */
static void test_silent(void **state)
{
    (void)state;
    struct stage stage = begin(3);
    show(&stage, &view_overview);
    stage.nodes[1] = (struct live_node){.silent = true, .phase = "no answer for 12s"};
    look(&stage);
    assert_shows(&stage, 24, 80, "1 node is silent");
    assert_shows(&stage, 24, 80, "no answer for 12s");
    assert_hides(&stage, 24, 80, "ALL WELL");
    end(&stage);
}

static void test_what_is_not_known(void **state)
{
    (void)state;
    struct stage stage = begin(3);
    show(&stage, &view_overview);
    for (char name = 'a'; name <= 'c'; name++)
        observation_clear(world_node(&stage.world, name));
    for (size_t i = 0; i < 3; i++)
        stage.nodes[i] = (struct live_node){.waiting = true, .phase = "connecting"};
    snprintf(stage.nodes[0].phase, sizeof stage.nodes[0].phase, "logging in");
    look(&stage);
    assert_shows(&stage, 24, 80, " ? LOOKING: no node has answered yet");
    assert_shows(&stage, 24, 80, "logging in");
    assert_hides(&stage, 24, 80, "ALL WELL");
    end(&stage);
}

static void test_nodes_that_are_not_well_come_first(void **state)
{
    (void)state;
    struct stage stage = begin(6);
    world_fail(&stage.world, 'e');
    wrong_psk(&stage, 'c', 'd');
    look(&stage);
    show(&stage, &view_overview);
    char *screen = drawn(&stage, 24, 80);
    const char *nodes = strstr(screen, "NODE  ");
    assert_non_null(nodes);
    const char *broken = strstr(nodes, "! c"), *unreached = strstr(nodes, "? e"), *well = strstr(nodes, "o a");
    assert_true(broken && unreached && well);
    assert_true(broken < unreached && unreached < well);
    assert_non_null(strstr(unreached, "connection refused"));
    free(screen);
    stage.scene.faults_only = true;
    look(&stage);
    assert_hides(&stage, 24, 80, "o a");
    end(&stage);
}

static void test_panes(void **state)
{
    (void)state;
    struct stage stage = begin(4);
    show(&stage, &view_overview);
    assert_true(act(&stage, ACTION_PANE)); /* nothing to go to */
    assert_non_null(strstr(stage.wish.notice, "no faults"));
    assert_true(act(&stage, ACTION_ENTER));
    assert_true(stage.wish.open);
    assert_int_equal(stage.wish.subject.kind, SUBJECT_NODE);
    wrong_psk(&stage, 'c', 'd');
    look(&stage);
    free(drawn(&stage, 24, 80));
    act(&stage, ACTION_PANE);
    act(&stage, ACTION_ENTER);
    assert_true(stage.wish.open);
    assert_int_equal(stage.wish.subject.kind, SUBJECT_FAULT);
    assert_string_equal(stage.wish.subject.identity, "psk-mismatch c d");
    end(&stage);
}

/* ---- links ------------------------------------------------------------------------------------------------------- */

static size_t saved(struct stage *stage, enum save_format format, struct buf *buf)
{
    size_t lines = 0;
    buf_clear(buf);
    view_ops_of(stage->view)->save(stage->view, &stage->scene, format, buf);
    for (size_t i = 0; i < buf->length; i++)
        lines += buf->data[i] == '\n';
    return lines;
}

static void test_links(void **state)
{
    (void)state;
    struct stage stage = begin(5);
    struct buf buf = BUF_EMPTY;
    uint8_t matches[5] = {0, 1, 0, 0, 0};
    world_age(&stage.world, 'c', 'e', -1);
    look(&stage);
    show(&stage, &view_links);
    free(drawn(&stage, 24, 80));
    assert_int_equal(saved(&stage, SAVE_CSV, &buf), 1 + 10);
    assert_true(act(&stage, ACTION_ENTER)); /* the cursor is on the worst */
    assert_int_equal(stage.wish.subject.kind, SUBJECT_LINK);
    assert_int_equal(stage.wish.subject.a, 2);
    assert_int_equal(stage.wish.subject.b, 4);

    stage.scene.faults_only = true;
    look(&stage);
    assert_int_equal(saved(&stage, SAVE_CSV, &buf), 1 + 1);
    stage.scene.faults_only = false;
    stage.scene.node_matches = matches;
    look(&stage);
    assert_int_equal(saved(&stage, SAVE_CSV, &buf), 1 + 4);
    stage.scene.node_matches = NULL;
    look(&stage);

    assert_int_equal(saved(&stage, SAVE_JSON, &buf), 1);
    assert_non_null(strstr(buf_text(&buf), "\"state\":\"live\",\"a\":\"a\",\"a-to-b\":\"ok\",\"b-to-a\":\"ok\",\"b\":\"b\",\"handshake\":30.0"));
    assert_non_null(strstr(buf_text(&buf), "\"a-rx\":100000"));
    act(&stage, ACTION_GROUP);
    assert_string_equal(stage.wish.notice, "by group");
    act(&stage, ACTION_GROUP);
    assert_string_equal(stage.wish.notice, "as in the mesh file");
    saved(&stage, SAVE_CSV, &buf);
    assert_non_null(strstr(buf_text(&buf), "\r\nlive,a,ok,ok,b"));
    act(&stage, ACTION_GROUP);
    buf_free(&buf);
    end(&stage);
}

static void test_links_by_group(void **state)
{
    (void)state;
    struct stage stage = begin(4);
    struct buf buf = BUF_EMPTY;
    static const char *const groups[] = {"x", "y", "x", "y"};
    for (size_t i = 0; i < 4; i++)
        stage.world.mesh->nodes[i].group = mem_text(groups[i]);
    look(&stage);
    show(&stage, &view_links);
    act(&stage, ACTION_GROUP);
    view_ops_of(stage.view)->menu(stage.view, &stage.scene, ACTION_COLUMNS, "a,b,group");
    saved(&stage, SAVE_CSV, &buf);
    assert_string_equal(buf_text(&buf), "a,b,group\r\na,c,x\r\na,b,x - y\r\na,d,x - y\r\nc,d,x - y\r\nb,c,y - x\r\nb,d,y\r\n");
    buf_free(&buf);
    end(&stage);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static void test_faults(void **state)
{
    (void)state;
    struct stage stage = begin(4);
    struct buf buf = BUF_EMPTY;
    show(&stage, &view_faults);
    assert_shows(&stage, 24, 80, "+ Nothing is wrong.");
    act(&stage, ACTION_ENTER);
    assert_false(stage.wish.open);

    wrong_psk(&stage, 'c', 'd');
    world_node(&stage.world, 'b')->clock_offset = 90 * CLOCK_SECOND;
    look(&stage);
    assert_shows(&stage, 40, 80, "> X preshared keys of c and d differ");
    assert_shows(&stage, 40, 80, "Evidence");
    assert_shows(&stage, 40, 80, "What to do");
    assert_shows(&stage, 40, 80, "psk-mismatch in wgdeck-faults(7)");
    assert_shows(&stage, 40, 200, "| X Preshared keys differ  error, since ");
    assert_shows(&stage, 40, 200, "1m02s ago");

    view_ops_of(stage.view)->copy(stage.view, &stage.scene, &buf);
    assert_non_null(strstr(buf_text(&buf), "psk-mismatch (error): "));
    assert_non_null(strstr(buf_text(&buf), "\nevidence:\n"));
    assert_non_null(strstr(buf_text(&buf), "\nwhat to do:\n"));
    assert_null(strstr(buf_text(&buf), "clock-skew"));
    act(&stage, ACTION_PANE);
    buf_clear(&buf);
    view_ops_of(stage.view)->copy(stage.view, &stage.scene, &buf);
    assert_null(strstr(buf_text(&buf), "evidence"));
    assert_non_null(strstr(buf_text(&buf), "wg set wg0 peer "));
    act(&stage, ACTION_PANE);

    act(&stage, ACTION_ENTER);
    assert_int_equal(stage.wish.subject.kind, SUBJECT_LINK);
    assert_int_equal(stage.wish.subject.a, 2);
    assert_int_equal(stage.wish.subject.b, 3);
    act(&stage, ACTION_DOWN);
    act(&stage, ACTION_ENTER);
    assert_int_equal(stage.wish.subject.kind, SUBJECT_NODE);
    assert_int_equal(stage.wish.subject.a, 1);

    saved(&stage, SAVE_JSON, &buf);
    assert_non_null(strstr(buf_text(&buf), "\"severity\":\"error\",\"id\":\"psk-mismatch\",\"nodes\":\"c, d\""));
    assert_non_null(strstr(buf_text(&buf), "\"since\":\"20"));
    stage.scene.filter = "clock";
    look(&stage);
    assert_int_equal(saved(&stage, SAVE_CSV, &buf), 1 + 1);
    buf_free(&buf);
    end(&stage);
}

static void test_a_fault_of_each_kind_has_words(void **state)
{
    (void)state;
    struct stage stage = begin(2);
    for (size_t i = 0; i < fault_kind_count; i++)
        for (int nodes = 0; nodes < 3; nodes++) {
            struct fault fault = {.kind = &fault_kinds[i], .nodes = {nodes ? 0 : SIZE_MAX, nodes > 1 ? 1 : SIZE_MAX}, .from = SIZE_MAX, .to = SIZE_MAX};
            struct buf buf = BUF_EMPTY;
            words_fault(&stage.scene, &fault, &buf);
            CASE_ASSERT(i, buf.length > 4);
            CASE_ASSERT(i, !strchr(buf_text(&buf), '%'));
            buf_free(&buf);
        }
    end(&stage);
}

static void test_remedies_have_parts(void **state)
{
    (void)state;
    static const struct { const char *remedy; size_t part, command; } cases[] = {
        {"", 0, 0},
        {"do this; then that", 7, 7},
        {"on a: wg set wg0 peer x remove; and save it", 30, 6},
        {"wg-quick up wg0", 15, 0},
        {"put it back (as it was; really); or not", 31, 31},
        {"sed 's/a; b/' file; more", 18, 18},
        {"on a: ", 6, 6},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t part = remedy_part(cases[i].remedy);
        CASE_ASSERT(i, part == cases[i].part);
        CASE_ASSERT(i, remedy_command(cases[i].remedy, part) == cases[i].command);
    }
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void add_event(struct live *live, int64_t at, enum event_kind kind, const char *one, const char *other, const char *text)
{
    struct event event = {.at = at, .kind = kind, .severity = event_kinds[kind].severity, .times = 1};
    event.nodes[0] = (char *)(uintptr_t)one;
    event.nodes[1] = (char *)(uintptr_t)other;
    event.text = (char *)(uintptr_t)text;
    event_log_add((struct event_log *)(uintptr_t)live_events(live), &event);
}

static void test_events(void **state)
{
    (void)state;
    struct stage stage = begin(3);
    struct err err;
    struct buf buf = BUF_EMPTY;
    FILE *file = fopen("tests/golden/diagnosis/healthy.jsonl", "r");
    if (!file)
        skip(); /* not run from the top of the checkout */
    struct ev_loop *loop = ev_loop_new(0);
    static const struct live_callbacks callbacks;
    struct live *live = live_replay(loop, file, "healthy", &callbacks, NULL, &err);
    assert_non_null(live);
    show(&stage, &view_events);
    assert_shows(&stage, 24, 80, "Nothing has happened yet");
    stage.scene.live = live;
    size_t before = event_log_count(live_events(live));
    int64_t now = stage.scene.picture.now;
    add_event(live, now - 3600 * CLOCK_SECOND, EVENT_NODE_LOST, "b", "", "b does not answer any more");
    ((struct event *)(uintptr_t)event_log_get(live_events(live), 0))->earlier = true;
    add_event(live, now - 60 * CLOCK_SECOND, EVENT_LINK_BROKEN, "a", "c", "link a-c is dead");
    for (int i = 0; i < 14; i++)
        add_event(live, now - 30 * CLOCK_SECOND, EVENT_NODE_BACK, "b", "", "b answers again");
    look(&stage);
    assert_int_equal(event_log_count(live_events(live)), before + 3);
    assert_shows(&stage, 24, 80, "+ x14 b answers again");
    assert_shows(&stage, 24, 160, "node-back");
    assert_shows(&stage, 24, 80, "before this deck was opened");
    act(&stage, ACTION_ENTER);
    assert_int_equal(stage.wish.subject.kind, SUBJECT_NODE);
    assert_int_equal(stage.wish.subject.a, 1);
    act(&stage, ACTION_DOWN);
    act(&stage, ACTION_ENTER);
    assert_int_equal(stage.wish.subject.kind, SUBJECT_LINK);
    assert_int_equal(stage.wish.subject.a, 0);
    assert_int_equal(stage.wish.subject.b, 2);
    act(&stage, ACTION_DOWN); /* the dividing line leads nowhere */
    act(&stage, ACTION_ENTER);
    assert_false(stage.wish.open);

    saved(&stage, SAVE_JSON, &buf); /* and is not saved */
    assert_null(strstr(buf_text(&buf), "before this deck"));
    assert_non_null(strstr(buf_text(&buf), "\"kind\":\"node-back\",\"text\":\"b answers again\""));
    stage.scene.filter = "dead";
    look(&stage);
    assert_int_equal(saved(&stage, SAVE_CSV, &buf), 1 + 1);
    stage.scene.filter = "";
    stage.scene.faults_only = true;
    look(&stage);
    saved(&stage, SAVE_CSV, &buf);
    assert_null(strstr(buf_text(&buf), "node-back"));
    assert_non_null(strstr(buf_text(&buf), "node-lost"));
    buf_free(&buf);
    end(&stage);
    live_free(live);
    ev_loop_destroy(loop);
    fclose(file);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static void test_every_size_and_key(void **state)
{
    (void)state;
    static const struct view_ops *const lists[] = {&view_overview, &view_links, &view_faults, &view_events};
    static const int sizes[][2] = {{0, 0}, {1, 1}, {3, 10}, {5, 20}, {10, 40}, {24, 80}, {60, 200}, {100, 400}};
    for (size_t count = 0; count < 6; count += count ? 4 : 1) {
        struct stage stage = begin(count);
        if (count > 3) {
            world_fail(&stage.world, 'd');
            wrong_psk(&stage, 'a', 'b');
            look(&stage);
        }
        for (size_t i = 0; i < COUNT_OF(lists); i++) {
            show(&stage, lists[i]);
            for (size_t size = 0; size < COUNT_OF(sizes); size++) {
                free(drawn(&stage, sizes[size][0], sizes[size][1]));
                for (int action = 0; action < ACTION_COUNT; action++)
                    act(&stage, (enum action)action);
                stage.scene.privacy = size % 2;
                look(&stage);
                free(drawn(&stage, sizes[size][0], sizes[size][1]));
                for (int row = 0; row < sizes[size][0]; row += 3)
                    lists[i]->mouse(stage.view, &stage.scene, row, row * 2, row % 4 == 1 ? 1 : 0, row % 2, &stage.wish);
            }
        }
        end(&stage);
    }
}

static void test_privacy(void **state)
{
    (void)state;
    static const struct view_ops *const lists[] = {&view_overview, &view_links, &view_faults};
    struct stage stage = begin(4);
    for (size_t i = 0; i < 4; i++) {
        free(stage.world.mesh->nodes[i].name);
        stage.world.mesh->nodes[i].name = mem_format("secret%zu", i);
    }
    world_fail(&stage.world, 'd');
    wrong_psk(&stage, 'a', 'b');
    stage.scene.privacy = true;
    look(&stage);
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        struct buf buf = BUF_EMPTY;
        show(&stage, lists[i]);
        assert_hides(&stage, 60, 200, "secret");
        assert_hides(&stage, 60, 200, "203.0.113.");
        for (int format = SAVE_TEXT; format <= SAVE_CSV; format++)
            lists[i]->save(stage.view, &stage.scene, (enum save_format)format, &buf);
        lists[i]->copy(stage.view, &stage.scene, &buf);
        CASE_ASSERT(i, !strstr(buf_text(&buf), "secret"));
        CASE_ASSERT(i, !strstr(buf_text(&buf), "203.0.113."));
        buf_free(&buf);
    }
    end(&stage);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct { double rate; const char *long_text, *short_text; } rates[] = {{0, "0", "0"}, {0.2, "0", "0"}, {-1, "0", "0"}, {830, "830 B/s", "830"},
        {1234, "1.2 kB/s", "1.2k"}, {99999, "100 kB/s", "100k"}, {1.2e6, "1.2 MB/s", "1.2M"}, {999.7, "1.0 kB/s", "1.0k"}, {3e15, "3000 TB/s", "3000T"}};
    static const struct { int64_t offset; const char *text; } offsets[] = {{0, "0"}, {3000000, "0"}, {-120000000, "-120ms"}, {3200000000, "+3.2s"}, {-3840000000000, "-1h04m"}};
    static const struct { uint64_t number; const char *text; } counts[] = {{0, "0"}, {999, "999"}, {1000, "1,000"}, {499500, "499,500"}, {1234567, "1,234,567"}};
    struct buf buf = BUF_EMPTY;
#define SAYS(i, call, expected) \
    do { \
        buf_clear(&buf); \
        call; \
        CASE_ASSERT(i, !strcmp(buf_text(&buf), expected)); \
    } while (0)
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        SAYS(i, words_rate(rates[i].rate, &buf), rates[i].long_text);
        SAYS(i, words_rate_short(rates[i].rate, &buf), rates[i].short_text);
    }
    for (size_t i = 0; i < COUNT_OF(offsets); i++)
        SAYS(i, words_offset(offsets[i].offset, &buf), offsets[i].text);
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        SAYS(i, words_count(counts[i].number, &buf), counts[i].text);
    SAYS(0, words_many(1, "link", "links", &buf), "1 link");
    SAYS(1, words_many(2000, "link", "links", &buf), "2,000 links");
    SAYS(2, words_bytes(1288490188, &buf), "1.2 GiB");
    buf_free(&buf);
}

static void test_names_in_order(void **state)
{
    (void)state;
    static const char *const names[] = {"n10", "n2", "B", "a", "n02x", "n"};
    static const size_t expected[] = {5, 3, 1, 0, 4, 2};
    struct stage stage = begin(6);
    for (size_t i = 0; i < 6; i++) {
        free(stage.world.mesh->nodes[i].name);
        stage.world.mesh->nodes[i].name = mem_text(names[i]);
    }
    stage.scene.number = 77;
    for (size_t i = 0; i < 6; i++)
        CASE_ASSERT(i, words_name_rank(&stage.scene, i) == expected[i]);
    end(&stage);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_it_well), cmocka_unit_test(test_what_is_not_known), cmocka_unit_test(test_silent),
        cmocka_unit_test(test_nodes_that_are_not_well_come_first), cmocka_unit_test(test_panes),
        cmocka_unit_test(test_links), cmocka_unit_test(test_links_by_group), cmocka_unit_test(test_faults), cmocka_unit_test(test_a_fault_of_each_kind_has_words),
        cmocka_unit_test(test_remedies_have_parts), cmocka_unit_test(test_events), cmocka_unit_test(test_every_size_and_key), cmocka_unit_test(test_privacy),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_names_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
