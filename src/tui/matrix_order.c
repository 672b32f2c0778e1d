/* Rows and columns of the matrix: order, what is left out, and groups. */
#include <stdlib.h>
#include <string.h>

#include "matrix.h"
#include "wgdeck/mem.h"

const char *const matrix_sort_names[MATRIX_SORTS] = {"problems first", "by group", "as in the mesh file"};

enum { GROUPS_MOST = 256, LEVEL_LOST = 255 };

/* ---- pairs ---------------------------------------------------------------------------------------------------- */

void link_index_build(struct link_index *index, const struct scene *scene)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    size_t count = scene->picture.mesh->node_count, link = 0;
    index->starts = mem_resize(index->starts, count + 1, sizeof *index->starts);
    index->nodes = count;
    for (size_t i = 0; i <= count; i++) {
        while (link < diagnosis->link_count && diagnosis->links[link].a < i)
            link++;
        index->starts[i] = link;
    }
}

void link_index_free(struct link_index *index)
{
    free(index->starts);
    *index = (struct link_index){0};
}

const struct link *link_index_find(const struct link_index *index, const struct scene *scene, size_t a, size_t b)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    if (a > b) {
        size_t swap = a;
        a = b;
        b = swap;
    }
    if (b >= index->nodes || a == b || index->starts[a + 1] > diagnosis->link_count)
        return NULL;
    size_t low = index->starts[a], high = index->starts[a + 1], guess = low + (b - a - 1); /* where it is in a full mesh */
    if (guess < high && diagnosis->links[guess].b == b && diagnosis->links[guess].a == a)
        return &diagnosis->links[guess];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct link *link = &diagnosis->links[middle];
        if (link->a == a && link->b == b)
            return link;
        if (link->a < a || (link->a == a && link->b < b))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- groups --------------------------------------------------------------------------------------------------- */

static size_t group_named(const struct node_groups *groups, const struct mesh *mesh, const char *name)
{
    for (size_t i = 0; i < groups->count; i++) {
        const char *other = mesh->nodes[groups->list[i].first].group;
        if (other && strcmp(name, other) == 0)
            return i;
    }
    return SIZE_MAX;
}

static size_t group_add(struct node_groups *groups, size_t node)
{
    groups->list = mem_resize(groups->list, groups->count + 1, sizeof *groups->list);
    groups->list[groups->count] = (struct node_group){.first = node};
    return groups->count++;
}

void node_groups_build(struct node_groups *groups, const struct scene *scene)
{
    const struct mesh *mesh = scene->picture.mesh;
    node_groups_free(groups);
    groups->nodes = mesh->node_count;
    groups->of = mem_alloc(mesh->node_count + 1, sizeof *groups->of);
    for (size_t i = 0; i < mesh->node_count; i++) {
        const char *name = mesh->nodes[i].group;
        size_t group = SIZE_MAX;
        if (name && *name && (group = group_named(groups, mesh, name)) == SIZE_MAX && groups->count < GROUPS_MOST)
            group = group_add(groups, i);
        groups->of[i] = group == SIZE_MAX ? UINT32_MAX : (uint32_t)group;
    }
    size_t rest = SIZE_MAX;
    for (size_t i = 0; i < mesh->node_count; i++) {
        if (groups->of[i] == UINT32_MAX) {
            if (rest == SIZE_MAX)
                rest = group_add(groups, i);
            groups->of[i] = (uint32_t)rest;
        }
        groups->list[groups->of[i]].size++;
    }
    groups->named = groups->count > 1 && groups->count < groups->nodes;
}

void node_groups_free(struct node_groups *groups)
{
    free(groups->of);
    free(groups->list);
    *groups = (struct node_groups){0};
}

const char *node_group_name(const struct node_groups *groups, size_t group, const struct scene *scene)
{
    const char *name = scene_group(scene, groups->list[group].first);
    return name && *name ? name : "(no group)";
}

/* ---- trouble -------------------------------------------------------------------------------------------------- */

static uint8_t level_of(uint32_t bad, enum node_state state)
{
    if (state == NODE_DOWN || state == NODE_UNREACHABLE)
        return LEVEL_LOST;
    uint8_t level = state == NODE_DEGRADED;
    for (; bad; bad >>= 1) /* only doublings count */
        level++;
    return level;
}

static void trouble_settle(struct trouble *trouble, size_t node, uint8_t level, int64_t now)
{
    if (level >= trouble->level[node]) {
        trouble->level[node] = level;
        trouble->better_since[node] = 0;
    } else if (trouble->better_since[node] == 0) {
        trouble->better_since[node] = now;
    } else if (now - trouble->better_since[node] >= TROUBLE_PATIENCE * CLOCK_SECOND || now < trouble->better_since[node]) {
        trouble->level[node] = level;
        trouble->better_since[node] = 0;
    }
}

static void trouble_begin(struct trouble *trouble, size_t count)
{
    if (trouble->nodes != count || !trouble->level) {
        trouble_free(trouble);
        trouble->nodes = count;
        trouble->bad_in = mem_alloc(count + 1, sizeof *trouble->bad_in);
        trouble->bad_out = mem_alloc(count + 1, sizeof *trouble->bad_out);
        trouble->level = mem_alloc(count + 1, sizeof *trouble->level);
        trouble->better_since = mem_alloc(count + 1, sizeof *trouble->better_since);
    }
    memset(trouble->counts, 0, sizeof trouble->counts);
    memset(trouble->bad_in, 0, count * sizeof *trouble->bad_in);
    memset(trouble->bad_out, 0, count * sizeof *trouble->bad_out);
}

static void trouble_add(struct trouble *trouble, const struct link *link, enum course ahead, enum course back)
{
    trouble->counts[ahead]++;
    trouble->counts[back]++;
    bool to_b = course_is_bad(ahead), to_a = course_is_bad(back);
    trouble->bad_out[link->a] += to_b;
    trouble->bad_in[link->b] += to_b;
    trouble->bad_out[link->b] += to_a;
    trouble->bad_in[link->a] += to_a;
}

static void trouble_end(struct trouble *trouble, const struct scene *scene)
{
    for (size_t i = 0; i < trouble->nodes; i++)
        trouble_settle(trouble, i, level_of(trouble->bad_in[i] + trouble->bad_out[i], scene->picture.diagnosis->nodes[i].state), scene->picture.now);
}

void trouble_build(struct trouble *trouble, const struct scene *scene)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    trouble_begin(trouble, scene->picture.mesh->node_count);
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        trouble_add(trouble, link, course_of(link, true), course_of(link, false));
    }
    trouble_end(trouble, scene);
}

void trouble_free(struct trouble *trouble)
{
    free(trouble->bad_in);
    free(trouble->bad_out);
    free(trouble->level);
    free(trouble->better_since);
    *trouble = (struct trouble){0};
}

/* ---- order ---------------------------------------------------------------------------------------------------- */

/* A counting sort: nodes by KEY (smaller first), then as in the file. */
static void sort_by(uint32_t *nodes, size_t count, const uint32_t *keys, size_t key_count)
{
    uint32_t *sorted = mem_alloc(count + 1, sizeof *sorted);
    size_t *starts = mem_alloc(key_count + 1, sizeof *starts);
    for (size_t i = 0; i < count; i++)
        starts[keys[nodes[i]] + 1]++;
    for (size_t i = 1; i <= key_count; i++)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < count; i++)
        sorted[starts[keys[nodes[i]]]++] = nodes[i];
    memcpy(nodes, sorted, count * sizeof *nodes);
    free(sorted);
    free(starts);
}

static void sort_nodes(const struct matrix_order *order, uint32_t *nodes, size_t count)
{
    if (order->sort == MATRIX_GROUPS)
        sort_by(nodes, count, order->groups.of, order->groups.count);
    if (order->sort != MATRIX_PROBLEMS)
        return;
    uint32_t *keys = mem_alloc(order->trouble.nodes + 1, sizeof *keys);
    for (size_t i = 0; i < order->trouble.nodes; i++)
        keys[i] = 255U - order->trouble.level[i];
    sort_by(nodes, count, keys, 256);
    free(keys);
}

static bool is_lost(const struct scene *scene, size_t node)
{
    enum node_state state = scene->picture.diagnosis->nodes[node].state;
    return state == NODE_DOWN || state == NODE_UNREACHABLE;
}

/* Rows are those that the filter shows; columns stay whole, since the question is whom these hear. With faults only, a row or column in which
 * nothing is wrong goes. */
static void choose(struct matrix_order *order, const struct scene *scene)
{
    size_t count = scene->picture.mesh->node_count;
    if (order->capacity <= count) {
        order->capacity = count + 1;
        order->rows = mem_resize(order->rows, count + 1, sizeof *order->rows);
        order->columns = mem_resize(order->columns, count + 1, sizeof *order->columns);
    }
    order->row_count = order->column_count = 0;
    for (size_t i = 0; i < count; i++) {
        bool lost = is_lost(scene, i), row = true, column = true;
        if (scene->faults_only) {
            row = lost || order->trouble.bad_in[i];
            column = lost || order->trouble.bad_out[i];
        }
        if (scene->node_matches && !scene->node_matches[i])
            row = false;
        if (order->row_group != SIZE_MAX && order->groups.of[i] != order->row_group)
            row = false;
        if (order->column_group != SIZE_MAX && order->groups.of[i] != order->column_group)
            column = false;
        if (row)
            order->rows[order->row_count++] = (uint32_t)i;
        if (column)
            order->columns[order->column_count++] = (uint32_t)i;
    }
    sort_nodes(order, order->rows, order->row_count);
    sort_nodes(order, order->columns, order->column_count);
}

static void fold_add(struct matrix_order *order, size_t hearer, size_t heard, enum course course)
{
    struct fold *fold = &order->folds[hearer * order->groups.count + heard];
    fold->directions++;
    fold->bad += course_is_bad(course);
    if (course > fold->worst)
        fold->worst = (uint8_t)course;
}

/* All that is counted over the links, in one go: half a million of them take their time to be fetched. */
static void count_links(struct matrix_order *order, const struct scene *scene)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    size_t count = order->groups.named ? order->groups.count : 0;
    order->folds = mem_resize(order->folds, count * count + 1, sizeof *order->folds);
    memset(order->folds, 0, count * count * sizeof *order->folds);
    trouble_begin(&order->trouble, scene->picture.mesh->node_count);
    for (size_t i = 0; i < diagnosis->link_count; i++) {
        const struct link *link = &diagnosis->links[i];
        enum course ahead = course_of(link, true), back = course_of(link, false);
        trouble_add(&order->trouble, link, ahead, back);
        if (!count)
            continue;
        uint32_t a = order->groups.of[link->a], b = order->groups.of[link->b];
        fold_add(order, b, a, ahead);
        fold_add(order, a, b, back);
    }
}

/* Groups with most that is wrong first; else as in the file. */
static void order_groups(struct matrix_order *order, const struct scene *scene)
{
    size_t count = order->groups.count;
    uint32_t *keys = mem_alloc(count + 1, sizeof *keys);
    for (size_t i = 0; i < count; i++)
        keys[i] = 255;
    order->group_order = mem_resize(order->group_order, count + 1, sizeof *order->group_order);
    for (size_t i = 0; i < order->trouble.nodes; i++) {
        uint32_t *key = &keys[order->groups.of[i]], mine = 255U - order->trouble.level[i];
        *key = mine < *key ? mine : *key;
    }
    order->group_order_count = 0;
    for (size_t i = 0; i < count; i++)
        if (!scene->faults_only || keys[i] < 255)
            order->group_order[order->group_order_count++] = (uint32_t)i;
    if (order->sort == MATRIX_PROBLEMS)
        sort_by(order->group_order, order->group_order_count, keys, 256);
    free(keys);
}

void matrix_order_build(struct matrix_order *order, const struct scene *scene)
{
    const struct live_picture *picture = &scene->picture;
    if (!order->counted || order->counted != picture->diagnosis || order->counted_number != picture->number || order->trouble.nodes != picture->mesh->node_count) {
        link_index_build(&order->links, scene);
        node_groups_build(&order->groups, scene);
        count_links(order, scene);
        order->counted = picture->diagnosis;
        order->counted_number = picture->number;
    }
    trouble_end(&order->trouble, scene);
    if (order->row_group != SIZE_MAX && order->row_group >= order->groups.count)
        order->row_group = SIZE_MAX;
    if (order->column_group != SIZE_MAX && order->column_group >= order->groups.count)
        order->column_group = SIZE_MAX;
    choose(order, scene);
    order->group_order_count = 0;
    if (order->groups.named)
        order_groups(order, scene);
}

const struct fold *matrix_fold(const struct matrix_order *order, size_t hearer, size_t heard)
{
    return &order->folds[hearer * order->groups.count + heard];
}

void matrix_order_free(struct matrix_order *order)
{
    link_index_free(&order->links);
    node_groups_free(&order->groups);
    trouble_free(&order->trouble);
    free(order->rows);
    free(order->columns);
    free(order->folds);
    free(order->group_order);
    *order = (struct matrix_order){.row_group = SIZE_MAX, .column_group = SIZE_MAX};
}
