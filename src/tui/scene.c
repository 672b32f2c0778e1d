/* What a screen draws from: names, the filter, and which fault belongs to what. Cheap enough to be asked for every cell. */
#include "scene.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "privacy.h"
#include "wgdeck/mem.h"

/* Faults by what they name: of nodes one number each, of links sorted pairs. Numbers are positions in diagnosis->faults, worst first. */
struct link_fault { size_t a, b, fault; };
struct scene_index {
    size_t node_count, link_count;
    size_t *of_node;          /* SIZE_MAX: none */
    struct link_fault *links; /* by a, b, fault */
};

bool subject_equal(const struct subject *one, const struct subject *other)
{
    if (one->kind != other->kind)
        return false;
    switch (one->kind) {
    case SUBJECT_NONE:
        return true;
    case SUBJECT_NODE:
        return one->a == other->a;
    case SUBJECT_LINK:
        return one->a == other->a && one->b == other->b;
    case SUBJECT_FAULT:
    case SUBJECT_EVENT:
        return !strcmp(one->identity, other->identity);
    }
    return false;
}

const char *scene_name(const struct scene *scene, size_t node, struct buf *buf)
{
    buf_clear(buf);
    if (!scene->picture.mesh || node >= scene->picture.mesh->node_count)
        buf_add_char(buf, '?');
    else if (scene->privacy)
        buf_add_format(buf, "node-%zu", node + 1);
    else
        buf_add_text(buf, scene->picture.mesh->nodes[node].name);
    return buf_text(buf);
}

const char *scene_text(const struct scene *scene, const char *text, struct buf *buf)
{
    buf_clear(buf);
    if (scene->privacy && (!scene->hidden || !scene->picture.mesh))
        buf_add_text(buf, "hidden");
    else if (scene->privacy)
        privacy_hide(scene->hidden, scene->picture.mesh, scene->picture.observed, text ? text : "", buf);
    else
        buf_add_text(buf, text ? text : "");
    return buf_text(buf);
}

const char *scene_group(const struct scene *scene, size_t node)
{
    static char hidden[32]; /* one thread draws */
    const struct mesh *mesh = scene->picture.mesh;
    if (!mesh || node >= mesh->node_count || !mesh->nodes[node].group)
        return "";
    if (!scene->privacy)
        return mesh->nodes[node].group;
    snprintf(hidden, sizeof hidden, "group-%zu", scene->hidden ? privacy_group(scene->hidden, mesh, scene->picture.observed, node) : 0);
    return hidden;
}

bool scene_matches(const struct scene *scene, const char *text)
{
    if (!scene->filter || !*scene->filter)
        return true;
    return (strcasestr(text, scene->filter) != NULL) != scene->filter_not;
}

static bool address_matches(const struct mesh_node *node, const char *filter)
{
    char text[PREFIX_TEXT_SIZE];
    for (size_t i = 0; i < node->address_count; i++) {
        address_text(&node->addresses[i].address, text);
        if (strcasestr(text, filter))
            return true;
    }
    return node->endpoint_host && strcasestr(node->endpoint_host, filter);
}

void scene_match_nodes(const struct mesh *mesh, const char *filter, bool inverted, uint8_t *matches)
{
    bool address = strpbrk(filter, ".:") != NULL; /* "db" must not find every fd00::/8 */
    for (size_t i = 0; i < mesh->node_count; i++) {
        const struct mesh_node *node = &mesh->nodes[i];
        bool match = !*filter || strcasestr(node->name, filter) || (node->group && strcasestr(node->group, filter)) || (address && address_matches(node, filter));
        matches[i] = match != (inverted && *filter);
    }
}

bool link_is_well(const struct link *link)
{
    return (link->state == LINK_LIVE || link->state == LINK_IDLE) && link->a_to_b != DIRECTION_BLOCKED && link->b_to_a != DIRECTION_BLOCKED;
}

bool scene_shows_link(const struct scene *scene, const struct link *link)
{
    if (scene->faults_only && link_is_well(link))
        return false;
    const uint8_t *matches = scene->node_matches;
    if (!matches)
        return true;
    return scene->filter_not ? matches[link->a] && matches[link->b] : matches[link->a] || matches[link->b];
}

bool scene_shows_node(const struct scene *scene, size_t node)
{
    if (scene->node_matches && !scene->node_matches[node])
        return false;
    return !scene->faults_only || scene->picture.diagnosis->nodes[node].state != NODE_UP || scene_fault_of_node(scene, node);
}

const struct link *scene_link(const struct scene *scene, size_t a, size_t b)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    if (a > b) {
        size_t swap = a;
        a = b;
        b = swap;
    }
    size_t low = 0, high = diagnosis->link_count;
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

static int compare_link_faults(const void *left, const void *right)
{
    const struct link_fault *one = left, *other = right;
    if (one->a != other->a)
        return one->a < other->a ? -1 : 1;
    if (one->b != other->b)
        return one->b < other->b ? -1 : 1;
    return one->fault < other->fault ? -1 : one->fault > other->fault;
}

struct scene_index *scene_index_new(const struct live_picture *picture)
{
    const struct diagnosis *diagnosis = picture->diagnosis;
    struct scene_index *index = mem_alloc(1, sizeof *index);
    index->node_count = picture->mesh->node_count;
    index->of_node = mem_alloc(index->node_count + 1, sizeof *index->of_node);
    index->links = mem_alloc(diagnosis->fault_count + 1, sizeof *index->links);
    for (size_t i = 0; i < index->node_count; i++)
        index->of_node[i] = SIZE_MAX;
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        const struct fault *fault = &diagnosis->faults[i];
        for (int end = 0; end < 2; end++)
            if (fault->nodes[end] < index->node_count && index->of_node[fault->nodes[end]] == SIZE_MAX)
                index->of_node[fault->nodes[end]] = i;
        size_t a = fault->nodes[0], b = fault->nodes[1];
        if (a < index->node_count && b < index->node_count)
            index->links[index->link_count++] = (struct link_fault){a < b ? a : b, a < b ? b : a, i};
    }
    qsort(index->links, index->link_count, sizeof *index->links, compare_link_faults);
    return index;
}

void scene_index_free(struct scene_index *index)
{
    if (!index)
        return;
    free(index->of_node);
    free(index->links);
    free(index);
}

bool scene_is_silent(const struct scene *scene, size_t node)
{
    return scene->picture.nodes && scene->picture.nodes[node].silent && scene->picture.observed->nodes[node].reach == REACH_OK;
}

const struct fault *scene_fault_of_node(const struct scene *scene, size_t node)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    if (scene->index)
        return node < scene->index->node_count && scene->index->of_node[node] != SIZE_MAX ? &diagnosis->faults[scene->index->of_node[node]] : NULL;
    for (size_t i = 0; i < diagnosis->fault_count; i++)
        if (diagnosis->faults[i].nodes[0] == node || diagnosis->faults[i].nodes[1] == node)
            return &diagnosis->faults[i];
    return NULL;
}

static const struct fault *indexed_fault(const struct scene *scene, size_t a, size_t b)
{
    const struct scene_index *index = scene->index;
    size_t low = 0, high = index->link_count;
    while (low < high) { /* the first of this pair: the worst */
        size_t middle = low + (high - low) / 2;
        const struct link_fault *entry = &index->links[middle];
        if (entry->a < a || (entry->a == a && entry->b < b))
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < index->link_count && index->links[low].a == a && index->links[low].b == b;
    return found ? &scene->picture.diagnosis->faults[index->links[low].fault] : NULL;
}

const struct fault *scene_fault_of_link(const struct scene *scene, size_t a, size_t b)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    if (scene->index)
        return a < b ? indexed_fault(scene, a, b) : indexed_fault(scene, b, a);
    for (size_t i = 0; i < diagnosis->fault_count; i++) {
        const size_t *nodes = diagnosis->faults[i].nodes;
        if ((nodes[0] == a && nodes[1] == b) || (nodes[0] == b && nodes[1] == a))
            return &diagnosis->faults[i];
    }
    return NULL;
}
