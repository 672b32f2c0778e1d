/* The picture that all screens draw from, and how the person wants it: filter, faults only, frozen. */
#include <stdlib.h>
#include <string.h>

#include "privacy.h"
#include "tui_private.h"
#include "wgdeck/mem.h"

static void match_nodes(struct tui *tui)
{
    const struct mesh *mesh = tui->scene.picture.mesh;
    tui->scene.node_matches = NULL;
    if (!mesh || !*tui->filter)
        return;
    if (tui->node_matches_count != mesh->node_count) {
        tui->node_matches = mem_resize(tui->node_matches, mesh->node_count + 1, 1);
        tui->node_matches_count = mesh->node_count;
    }
    scene_match_nodes(mesh, tui->filter, tui->scene.filter_not, tui->node_matches);
    tui->scene.node_matches = tui->node_matches;
}

void tui_scene_changed(struct tui *tui)
{
    tui->scene.number++;
    tui->dirty = true;
}

static void make_index(struct tui *tui)
{
    const struct live_picture *picture = &tui->scene.picture;
    if (tui->index && tui->indexed == picture->number && tui->indexed_diagnosis == picture->diagnosis)
        return;
    scene_index_free(tui->index);
    tui->index = scene_index_new(picture);
    privacy_renew(tui->scene.hidden);
    tui->indexed = picture->number;
    tui->indexed_diagnosis = picture->diagnosis;
    tui->scene.index = tui->index;
}

void tui_take_picture(struct tui *tui)
{
    const struct mesh *before = tui->scene.picture.mesh;
    if (tui->frozen)
        tui->scene.picture = live_frozen_picture(tui->frozen);
    else if (tui->live)
        tui->scene.picture = live_picture(tui->live);
    tui->has_picture = tui->scene.picture.mesh && tui->scene.picture.diagnosis;
    if (!tui->has_picture)
        return;
    make_index(tui);
    if (before != tui->scene.picture.mesh)
        match_nodes(tui);
    if (!tui->depth)
        tui_begin(tui);
    tui_refresh_screen(tui);
}

void tui_set_picture(struct tui *tui, const struct live_picture *picture)
{
    tui->scene.picture = *picture;
    tui->indexed_diagnosis = tui->links.of = NULL;
    match_nodes(tui);
    tui_scene_changed(tui);
    tui_take_picture(tui);
}

void tui_set_filter(struct tui *tui, const char *text, bool inverted)
{
    snprintf(tui->filter, sizeof tui->filter, "%s", text);
    tui->scene.filter = tui->filter;
    tui->scene.filter_not = inverted && *tui->filter;
    match_nodes(tui);
    tui_scene_changed(tui);
}

void tui_freeze(struct tui *tui, bool frozen)
{
    if (tui->frozen) {
        live_frozen_free(tui->frozen);
        tui->frozen = NULL;
    }
    if (frozen && tui->live)
        tui->frozen = live_freeze(tui->live);
    tui->scene.frozen = frozen;
    tui->indexed_diagnosis = tui->links.of = NULL;
    tui_scene_changed(tui);
    tui_take_picture(tui);
}
