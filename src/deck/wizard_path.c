/* A better way between two nodes, in the wizard (wizard_private.h): what will be tried, how it goes, what came of it. Only what runs is changed, at both ends. */
#include <stdlib.h>
#include <string.h>

#include "wgdeck/ladder_run.h"
#include "wgdeck/mem.h"
#include "wizard_private.h"

/* The two of "a,b". */
static int read_pair(const struct wizard *wizard, size_t pair[2], struct err *err)
{
    const struct mesh *mesh = wizard->file.mesh;
    const char *text = wizard->options.node ? wizard->options.node : "", *comma = strchr(text, ',');
    char *one = mem_text_part(text, comma ? (size_t)(comma - text) : strlen(text));
    pair[0] = mesh_find_node(mesh, one);
    pair[1] = comma ? mesh_find_node(mesh, comma + 1) : SIZE_MAX;
    int result = 0;
    if (pair[0] == SIZE_MAX || pair[1] == SIZE_MAX)
        result = err_set(err, "%s: two nodes of the mesh are needed, as in :path mail db", text);
    free(one);
    return result;
}

void wizard_show_pair(struct wizard *wizard)
{
    const struct mesh *mesh = wizard->file.mesh;
    size_t pair[2], hub;
    struct err err;
    if (read_pair(wizard, pair, &err) || (hub = ladder_pair_hub(mesh, pair[0], pair[1], &err)) == SIZE_MAX) {
        buf_add_format(&wizard->report, "%s\n", err.text);
        wizard_enter(wizard, AT_END);
        return;
    }
    wizard_say(wizard, false, "nodes", "%s and %s", mesh->nodes[pair[0]].name, mesh->nodes[pair[1]].name);
    wizard_say(wizard, false, "hub", "%s sees both, and carries their traffic until a better way is proven", mesh->nodes[hub].name);
    wizard_say(wizard, false, "tried", "direct, at each place where they may find each other; then the relay on %s, which cannot read what it forwards", mesh->nodes[hub].name);
    wizard_say(wizard, false, "afterwards", "both ends watch it, and are back at the hub within 15 s when it dies; no saved file is changed");
}

static void end(struct wizard *wizard)
{
    struct ladder_pair pair = ladder_run_pair(wizard->path, 0);
    const struct mesh_node *nodes = wizard->file.mesh->nodes;
    const char *one = nodes[pair.ends[0]].name, *two = nodes[pair.ends[1]].name;
    wizard->succeeded = pair.state == LADDER_PAIR_CHANGED || pair.state == LADDER_PAIR_KEPT;
    if (pair.state == LADDER_PAIR_FAILED)
        buf_add_format(&wizard->report, "%s - %s: %s\n", one, two, pair.text);
    else
        buf_add_format(&wizard->report, "%s - %s: %s%s%s, after %.1f s: %s\n", one, two, pair.before == pair.now ? "" : ladder_words[pair.before], pair.before == pair.now ? "" : " -> ",
                       ladder_words[pair.now], pair.seconds, pair.text);
    wizard_enter(wizard, AT_END);
}

static void on_changed(void *context, struct ladder_run *run, size_t index)
{
    struct wizard *wizard = context;
    struct ladder_pair pair = ladder_run_pair(run, index);
    if (pair.text)
        wizard_text(&wizard->working, "%s", pair.text);
    wizard_tell(wizard);
}

static void on_done(void *context, struct ladder_run *run)
{
    (void)run;
    wizard_soon(context, end); /* not inside its own call */
}

void wizard_try_path(struct wizard *wizard)
{
    static const struct ladder_run_callbacks callbacks = {.changed = on_changed, .done = on_done};
    size_t pair[1][2];
    struct ladder_run_options options = {.look = wizard->options.look, .pairs = pair, .pair_count = 1};
    struct err err;
    options.look.nodes = NULL;
    wizard_text(&wizard->working, "logging in at both ends");
    wizard->path = read_pair(wizard, pair[0], &err) ? NULL : ladder_run_new(wizard->loop, wizard->file.mesh, &options, &callbacks, wizard, &err);
    if (wizard->path)
        return;
    buf_add_format(&wizard->report, "%s\n", err.text);
    wizard_enter(wizard, AT_END);
}

void wizard_path_end(struct wizard *wizard)
{
    ladder_run_free(wizard->path);
    wizard->path = NULL;
}
