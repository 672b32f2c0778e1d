/* The life of the ladder's run: which pairs, a look at the nodes that take part, then turns for as many pairs at once as are wanted. */
#include <stdlib.h>
#include <string.h>

#include "ladder_run_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

enum { AT_ONCE = 16 };
#define TURN 0.25 /* seconds */

/* --- which pairs */

static bool sees_both(const struct mesh *mesh, size_t hub, size_t a, size_t b)
{
    return hub != a && hub != b && mesh->nodes[hub].ssh && mesh->nodes[hub].endpoint_host && mesh_wants_link(mesh, hub, a) && mesh_wants_link(mesh, hub, b);
}

size_t ladder_pair_hub(const struct mesh *mesh, size_t a, size_t b, struct err *err)
{
    const char *one = mesh->nodes[a].name, *two = mesh->nodes[b].name;
    size_t relay = mesh_relay(mesh), found = SIZE_MAX;
    if (a == b) {
        err_set(err, "%s and %s are the same node", one, two);
    } else if (mesh_may_link(mesh, a, b)) {
        found = relay;
        if (!mesh->nodes[relay].ssh) {
            found = SIZE_MAX;
            err_set(err, "%s, the hub of both, has no Ssh in the mesh file", mesh->nodes[relay].name);
        }
    } else if (!mesh_wants_link(mesh, a, b)) {
        err_set(err, "the mesh file links %s and %s by other nodes: a row between them is not the ladder's to make", one, two);
    } else if (mesh->nodes[a].endpoint_host || mesh->nodes[b].endpoint_host) {
        err_set(err, "%s has an Endpoint: its row to %s is direct already; \"wgdeck doctor\" says why when nothing comes through", mesh->nodes[a].endpoint_host ? one : two,
                mesh->nodes[a].endpoint_host ? two : one);
    } else {
        for (size_t i = 0; i < mesh->node_count; i++)
            if (sees_both(mesh, i, a, b) && (found == SIZE_MAX || (mesh->nodes[i].role != ROLE_NONE && mesh->nodes[found].role == ROLE_NONE)))
                found = i;
        if (found == SIZE_MAX)
            err_set(err, "no node with an Endpoint and Ssh has rows of both %s and %s: nobody sees where they are", one, two);
    }
    return found;
}

static void add_pair(struct ladder_run *run, size_t a, size_t b, size_t hub)
{
    run->pairs = mem_resize(run->pairs, run->pair_count + 1, sizeof *run->pairs);
    run->pairs[run->pair_count++] = (struct run_pair){.run = run, .ends = {a, b}, .hub = hub, .begun = clock_steady()};
    run->nodes[a].wanted = run->nodes[b].wanted = run->nodes[hub].wanted = true;
}

static int choose_all(struct ladder_run *run, struct err *err)
{
    const struct mesh *mesh = run->mesh;
    size_t joined = 0;
    for (size_t a = 0; a < mesh->node_count; a++) {
        joined += mesh_joins_by_relay(mesh, a);
        for (size_t b = a + 1; b < mesh->node_count; b++)
            if (mesh_may_link(mesh, a, b) && mesh->nodes[a].ssh && mesh->nodes[b].ssh) {
                size_t hub = ladder_pair_hub(mesh, a, b, err);
                if (hub == SIZE_MAX)
                    return -1;
                add_pair(run, a, b, hub);
            }
    }
    if (!joined)
        return err_set(err, "no node of this mesh has joined by the relay: name two nodes");
    return run->pair_count ? 0 : err_set(err, "no node that has joined by the relay has Ssh in the mesh file: the hub looks for better ways by itself");
}

static int choose_given(struct ladder_run *run, struct err *err)
{
    for (size_t i = 0; i < run->options.pair_count; i++) {
        const size_t *ends = run->options.pairs[i];
        size_t hub = ladder_pair_hub(run->mesh, ends[0], ends[1], err);
        for (size_t e = 0; hub != SIZE_MAX && e < 2; e++)
            if (!run->mesh->nodes[ends[e]].ssh)
                return err_set(err, "%s has no Ssh in the mesh file: both ends must be told from here", run->mesh->nodes[ends[e]].name);
        if (hub == SIZE_MAX)
            return -1;
        add_pair(run, ends[0], ends[1], hub);
    }
    return 0;
}

/* --- turns */

static void be_over(struct ladder_run *run)
{
    run->over = true;
    ev_timer_stop(run->loop, &run->tick);
    if (run->callbacks.done)
        run->callbacks.done(run->context, run);
}

static void begin_more(struct ladder_run *run)
{
    unsigned running = 0;
    for (size_t i = 0; i < run->pair_count; i++)
        running += run->pairs[i].state == LADDER_PAIR_RUNNING;
    for (size_t i = 0; i < run->pair_count && running < run->options.at_once; i++)
        if (run->pairs[i].state == LADDER_PAIR_WAITING) {
            if (run->stopped)
                ladder_run_end(&run->pairs[i], LADDER_PAIR_FAILED, "stopped before it was begun");
            else
                ladder_run_begin(&run->pairs[i]);
            running += run->pairs[i].state == LADDER_PAIR_RUNNING;
        }
}

static void on_tick(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct ladder_run *run = timer->data;
    int64_t now = clock_steady();
    size_t open = 0;
    (void)loop, (void)events;
    if (!run->looked)
        return;
    begin_more(run);
    for (size_t i = 0; i < run->pair_count; i++) {
        if (run->pairs[i].state == LADDER_PAIR_RUNNING)
            ladder_run_turn(&run->pairs[i], now);
        open += run->pairs[i].state <= LADDER_PAIR_RUNNING;
    }
    for (size_t i = 0; i < run->mesh->node_count; i++)
        if (run->nodes[i].ready)
            ladder_run_look(run, &run->nodes[i]);
    if (!open)
        be_over(run);
}

/* --- the look before */

static void on_lost(void *context, struct helper *helper, const char *why)
{
    struct run_node *node = context;
    (void)helper;
    free(node->problem);
    node->problem = mem_text(why);
    node->ready = false;
}

static void meet(struct ladder_run *run, struct run_node *node)
{
    static const struct helper_events events = {.lost = on_lost};
    const struct mesh_node *of_mesh = &run->mesh->nodes[node->index];
    const struct observation *seen = &look_observed(run->look)->nodes[node->index];
    const struct device *device = seen->reach == REACH_OK ? observation_device(seen, of_mesh->interface ? of_mesh->interface : run->mesh->interface) : NULL;
    if (seen->reach != REACH_OK) {
        node->problem = mem_text(seen->error ? seen->error : "cannot be reached");
    } else if (!device || !device->has_private) {
        node->problem = mem_text("its WireGuard interface is not up");
    } else {
        node->key = device->public_key;
        memcpy(node->interface, device->name, sizeof node->interface);
        node->helper = helper_new(run->loop, look_session(run->look, node->index), &run->program, &events, node);
        node->ready = true;
    }
}

static void on_first_round(void *context, struct look *look)
{
    struct ladder_run *run = context;
    (void)look;
    for (size_t i = 0; i < run->mesh->node_count; i++)
        if (run->nodes[i].wanted)
            meet(run, &run->nodes[i]);
    run->looked = true;
}

static void on_changed(void *context, struct look *look, size_t node)
{
    (void)context, (void)look, (void)node;
}

/* --- life */

static int open_look(struct ladder_run *run, struct err *err)
{
    static const struct look_events events = {.changed = on_changed, .first_round = on_first_round};
    struct look_options options = run->options.look;
    for (size_t i = 0; i < run->mesh->node_count; i++)
        if (run->nodes[i].wanted)
            buf_add_format(&run->names, "%s%s", run->names.length ? "," : "", run->mesh->nodes[i].name);
    options.mode = LOOK_AUTO;
    options.interface = NULL;
    options.nodes = buf_text(&run->names);
    run->look = look_new(run->loop, run->mesh, &options, &events, run, err);
    return run->look ? 0 : -1;
}

struct ladder_run *ladder_run_new(struct ev_loop *loop, const struct mesh *mesh, const struct ladder_run_options *options, const struct ladder_run_callbacks *callbacks, void *context,
                                  struct err *err)
{
    struct ladder_run *run = mem_alloc(1, sizeof *run);
    *run = (struct ladder_run){.loop = loop, .mesh = mesh, .options = *options, .callbacks = *callbacks, .context = context};
    ev_timer_init(&run->tick, on_tick, 0., TURN);
    run->tick.data = run;
    run->nodes = mem_alloc(mesh->node_count, sizeof *run->nodes);
    for (size_t i = 0; i < mesh->node_count; i++)
        run->nodes[i] = (struct run_node){.run = run, .index = i, .heard = INT64_MIN};
    if (!run->options.at_once)
        run->options.at_once = AT_ONCE;
    if ((options->pairs ? choose_given(run, err) : choose_all(run, err)) || look_program_load(options->look.helper, &run->program, err) || open_look(run, err)) {
        ladder_run_free(run);
        return NULL;
    }
    run->options.pairs = NULL;
    for (size_t i = 0; i < run->pair_count; i++) /* they move no more */
        for (size_t e = 0; e < 2; e++)
            run->pairs[i].states[e] = (struct run_end){.pair = &run->pairs[i], .index = e, .view.age = -1};
    ev_timer_start(loop, &run->tick);
    return run;
}

void ladder_run_free(struct ladder_run *run)
{
    if (!run)
        return;
    ev_timer_stop(run->loop, &run->tick);
    for (size_t i = 0; i < run->pair_count; i++)
        if (run->pairs[i].state == LADDER_PAIR_RUNNING && run->pairs[i].ladder && ladder_step(run->pairs[i].ladder) == LADDER_TRYING)
            ladder_run_leave(&run->pairs[i]);
    for (size_t i = 0; i < run->mesh->node_count; i++) {
        helper_free(run->nodes[i].helper);
        free(run->nodes[i].problem);
    }
    for (size_t i = 0; i < run->pair_count; i++) {
        ladder_free(run->pairs[i].ladder);
        free(run->pairs[i].text);
        free(run->pairs[i].refusal);
    }
    look_free(run->look);
    buf_free(&run->program.bytes);
    buf_free(&run->names);
    free(run->nodes);
    free(run->pairs);
    free(run);
}

void ladder_run_stop(struct ladder_run *run)
{
    run->stopped = true;
    for (size_t i = 0; i < run->pair_count; i++) {
        struct run_pair *pair = &run->pairs[i];
        if (pair->state == LADDER_PAIR_WAITING || (pair->state == LADDER_PAIR_RUNNING && !pair->has_before))
            ladder_run_end(pair, LADDER_PAIR_FAILED, "stopped before it was begun");
        else if (pair->state == LADDER_PAIR_RUNNING)
            ladder_run_leave(pair);
    }
    run->looked = true; /* nothing is waited for any more but what is under way */
}

size_t ladder_run_count(const struct ladder_run *run)
{
    return run->pair_count;
}

struct ladder_pair ladder_run_pair(const struct ladder_run *run, size_t index)
{
    const struct run_pair *pair = &run->pairs[index];
    int64_t end = pair->state > LADDER_PAIR_RUNNING ? pair->ended : clock_steady();
    enum ladder_step now = !pair->ladder ? LADDER_HUB : ladder_step(pair->ladder);
    if (pair->state == LADDER_PAIR_CHANGED && run->options.aim == LADDER_AIM_HUB)
        now = LADDER_HUB;
    return (struct ladder_pair){
        .ends = {pair->ends[0], pair->ends[1]}, .hub = pair->hub, .state = pair->state, .before = pair->before, .now = now,
        .seconds = (double)(end - pair->begun) / (double)CLOCK_SECOND, .text = pair->text ? pair->text : "",
    };
}

bool ladder_run_is_over(const struct ladder_run *run)
{
    return run->over;
}

struct fanout *ladder_run_fanout(const struct ladder_run *run)
{
    return look_fanout(run->look);
}
