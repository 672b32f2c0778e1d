/* What screens ask of a scene: the filter, faults only, links by their ends, and which fault belongs to what, with and without the index. */
#include "unit.h"

#include "diagnosis_world.h"
#include "tui/privacy.h"
#include "tui/scene.h"

struct stage {
    struct world world;
    struct diagnosis *diagnosis;
    struct scene scene;
};

static struct stage stage_new(void)
{
    struct stage stage = {.world = world_new(6, true)};
    world_remove(world_device(&stage.world, 'b'), 'a');
    world_fail(&stage.world, 'd');
    stage.diagnosis = diagnose(stage.world.mesh, stage.world.now, stage.world.before);
    stage.scene.picture = (struct live_picture){.mesh = stage.world.mesh, .observed = stage.world.now, .diagnosis = stage.diagnosis};
    return stage;
}

static void stage_free(struct stage *stage)
{
    diagnosis_free(stage->diagnosis);
    world_free(&stage->world);
}

static const struct { const char *filter; bool inverted; const char *matches; /* nodes a to f */ } filters[] = {
    {"", false, "abcdef"},
    {"", true, "abcdef"},
    {"a", false, "a"},
    {"A", false, "a"},
    {"a", true, "bcdef"},
    {"10.44.0.3", false, "c"},
    {"fd44::2", false, "b"},
    {"203.0.113.1", false, "abcdef"},
    {"203.0.113.11", false, "a"},
    {"fd", false, ""},  /* no address by letters alone */
    {"nonesuch", false, ""},
    {"nonesuch", true, "abcdef"},
    {"left", false, "ab"},
};

static void test_filters(void **state)
{
    (void)state;
    struct stage stage = stage_new();
    stage.world.mesh->nodes[0].group = mem_text("left");
    stage.world.mesh->nodes[1].group = mem_text("LEFT");
    for (size_t i = 0; i < COUNT_OF(filters); i++) {
        uint8_t matches[6];
        char seen[8] = "";
        scene_match_nodes(stage.world.mesh, filters[i].filter, filters[i].inverted, matches);
        for (int node = 0, at = 0; node < 6; node++)
            if (matches[node])
                seen[at++] = (char)('a' + node);
        if (strcmp(seen, filters[i].matches))
            fail_msg("case %zu: \"%s\" matches \"%s\"", i, filters[i].filter, seen);
    }
    stage_free(&stage);
}

static void test_links_shown(void **state)
{
    (void)state;
    struct stage stage = stage_new();
    uint8_t matches[6];
    for (int inverted = 0; inverted < 2; inverted++) {
        size_t shown = 0;
        scene_match_nodes(stage.world.mesh, "a", inverted, matches);
        stage.scene.node_matches = matches;
        stage.scene.filter_not = inverted;
        for (size_t i = 0; i < stage.diagnosis->link_count; i++) {
            const struct link *link = &stage.diagnosis->links[i];
            bool shows = scene_shows_link(&stage.scene, link), has_a = link->a == 0 || link->b == 0;
            CASE_ASSERT(i, shows == (has_a != (bool)inverted));
            shown += shows;
        }
        assert_int_equal(shown, inverted ? 10 : 5);
    }
    stage.scene.node_matches = NULL;
    stage.scene.faults_only = true;
    for (size_t i = 0; i < stage.diagnosis->link_count; i++)
        CASE_ASSERT(i, scene_shows_link(&stage.scene, &stage.diagnosis->links[i]) == !link_is_well(&stage.diagnosis->links[i]));
    stage_free(&stage);
}

static void test_links_found(void **state)
{
    (void)state;
    struct stage stage = stage_new();
    for (size_t a = 0; a < 7; a++)
        for (size_t b = 0; b < 7; b++) {
            const struct link *link = scene_link(&stage.scene, a, b);
            bool wanted = a != b && a < 6 && b < 6;
            assert_int_equal(link != NULL, wanted);
            if (link)
                assert_true(link->a == (a < b ? a : b) && link->b == (a < b ? b : a));
        }
    stage_free(&stage);
}

static void test_faults_found(void **state)
{
    (void)state;
    struct stage stage = stage_new();
    struct scene_index *index = scene_index_new(&stage.scene.picture);
    struct scene indexed = stage.scene;
    size_t found = 0;
    indexed.index = index;
    assert_true(stage.diagnosis->fault_count > 1);
    for (size_t a = 0; a < 7; a++) {
        assert_ptr_equal(scene_fault_of_node(&stage.scene, a), scene_fault_of_node(&indexed, a));
        for (size_t b = 0; b < 7; b++) {
            const struct fault *fault = scene_fault_of_link(&stage.scene, a, b);
            assert_ptr_equal(fault, scene_fault_of_link(&indexed, a, b));
            found += fault != NULL;
        }
    }
    assert_true(found > 0);
    scene_index_free(index);
    stage_free(&stage);
}

static void test_subjects(void **state)
{
    (void)state;
    static const struct subject subjects[] = {
        {.kind = SUBJECT_NONE}, {.kind = SUBJECT_NODE, .a = 1}, {.kind = SUBJECT_NODE, .a = 2}, {.kind = SUBJECT_LINK, .a = 1, .b = 2},
        {.kind = SUBJECT_LINK, .a = 1, .b = 3}, {.kind = SUBJECT_FAULT, .identity = "x"}, {.kind = SUBJECT_FAULT, .identity = "y"},
        {.kind = SUBJECT_EVENT, .identity = "x"},
    };
    for (size_t i = 0; i < COUNT_OF(subjects); i++)
        for (size_t k = 0; k < COUNT_OF(subjects); k++)
            CASE_ASSERT(i, subject_equal(&subjects[i], &subjects[k]) == (i == k));
}

static void test_names(void **state)
{
    (void)state;
    struct stage stage = stage_new();
    struct buf buf = BUF_EMPTY;
    stage.world.mesh->nodes[2].group = mem_text("hetzner");
    stage.world.mesh->nodes[4].group = mem_text("aws");
    assert_string_equal(scene_name(&stage.scene, 2, &buf), "c");
    assert_string_equal(scene_name(&stage.scene, 99, &buf), "?");
    assert_string_equal(scene_group(&stage.scene, 2), "hetzner");
    assert_string_equal(scene_group(&stage.scene, 0), "");
    stage.scene.privacy = true;
    stage.scene.hidden = privacy_new();
    assert_string_equal(scene_name(&stage.scene, 2, &buf), "node-3");
    assert_string_equal(scene_group(&stage.scene, 4), "group-1");
    assert_string_equal(scene_text(&stage.scene, "c in hetzner at 192.0.2.1", &buf), "node-3 in group-2 at address-1");
    privacy_free(stage.scene.hidden);
    buf_free(&buf);
    stage_free(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_links_shown),
        cmocka_unit_test(test_links_found),
        cmocka_unit_test(test_faults_found),
        cmocka_unit_test(test_subjects),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
