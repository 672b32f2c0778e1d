/* Looking at all nodes of a mesh: the set of them. Each node's dialogue is in look_node.c. */
#include "wgdeck/look.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "look_private.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#define DEADLINE_DEFAULT 30.0

static void tell_first_round(struct look *look)
{
    if (look->first_round_told || look_waiting(look))
        return;
    look->first_round_told = true;
    if (look->events.first_round)
        look->events.first_round(look->context, look);
}

static void on_settled(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    tell_first_round(timer->data);
}

void look_node_changing(struct look_node *node, bool lost)
{
    struct look *look = node->look;
    if (look->events.changing)
        look->events.changing(look->context, look, node->index, &look->observed->nodes[node->index], lost);
}

void look_node_changed(struct look_node *node)
{
    struct look *look = node->look;
    node->waiting = false;
    if (look->events.changed)
        look->events.changed(look->context, look, node->index);
    if (!look->first_round_told && !ev_is_active(&look->settled)) {
        ev_timer_set(&look->settled, 0, 0);
        ev_timer_start(look->loop, &look->settled);
    }
}

static void make_salt(char salt[static LOOK_SALT_SIZE])
{
    unsigned char bytes[(LOOK_SALT_SIZE - 1) / 2];
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(salt, LOOK_SALT_SIZE, bytes, sizeof bytes);
}

static void set_failed(struct look *look, size_t index, const char *why)
{
    look->observed->nodes[index].reach = REACH_FAILED;
    look->observed->nodes[index].failure = FAILED_SETTINGS;
    look->observed->nodes[index].error = mem_text(why);
}

static void open_session(struct look *look, size_t index)
{
    const struct mesh_node *of_mesh = &look->mesh->nodes[index];
    struct look_node *node = &look->nodes[index];
    if (look->options.nodes && !text_matches(look->options.nodes, of_mesh->name))
        return;
    if (!of_mesh->ssh) {
        set_failed(look, index, "no Ssh target in the mesh file (add Ssh = user@host)");
        return;
    }
    node->waiting = true;
    look_node_begin(node);
    node->session = look_open_node(look->fanout, look->mesh, index, &look_session_events, node);
}

/* On its way to who answers it. */
static void on_question(void *context, const struct fanout_question *question)
{
    struct look *look = context;
    size_t index = question->session ? mesh_find_node(look->mesh, question->session) : SIZE_MAX;
    if (index != SIZE_MAX)
        look->nodes[index].questioned = true;
    look->options.fanout.ask(look->options.fanout.context, question);
}

static int load_program(struct look *look, struct err *err)
{
    struct err missing;
    if (look->options.mode == LOOK_BARE)
        return 0;
    look->has_program = !look_program_load(look->options.helper, &look->program, &missing);
    if (!look->has_program && (look->options.mode == LOOK_HELPER || look->options.helper))
        return err_set(err, "%s", missing.text);
    return 0; /* without it every look is a bare one */
}

struct look *look_new(struct ev_loop *loop, const struct mesh *mesh, const struct look_options *options,
                      const struct look_events *events, void *context, struct err *err)
{
    if (sodium_init() < 0) {
        err_set(err, "no random numbers on this machine");
        return NULL;
    }
    struct look *look = mem_alloc(1, sizeof *look);
    *look = (struct look){.loop = loop, .mesh = mesh, .options = *options, .events = *events, .context = context};
    if (!(look->options.deadline > 0))
        look->options.deadline = DEADLINE_DEFAULT;
    if (load_program(look, err)) {
        free(look);
        return NULL;
    }
    make_salt(look->salt);
    look->observed = observed_new(mesh->node_count);
    look->nodes = mem_alloc(mesh->node_count, sizeof *look->nodes);
    struct fanout_options fanout_options = look->options.fanout;
    if (fanout_options.ask) {
        fanout_options.ask = on_question;
        fanout_options.context = look;
    }
    look->fanout = fanout_new(loop, &fanout_options);
    ev_timer_init(&look->settled, on_settled, 0, 0);
    look->settled.data = look;
    ev_timer_start(loop, &look->settled); /* for a mesh without a session */
    for (size_t i = 0; i < mesh->node_count; i++) {
        look->nodes[i].look = look;
        look->nodes[i].index = i;
        look->nodes[i].held_end = &look->nodes[i].held;
        open_session(look, i);
    }
    return look;
}

void look_free(struct look *look)
{
    if (!look)
        return;
    ev_timer_stop(look->loop, &look->settled);
    for (size_t i = 0; i < look->mesh->node_count; i++)
        if (look->nodes[i].session)
            look_node_end(&look->nodes[i]);
    fanout_free(look->fanout);
    observed_free(look->observed);
    buf_free(&look->program.bytes);
    free(look->nodes);
    free(look);
}

const struct observed *look_observed(const struct look *look)
{
    return look->observed;
}

struct fanout_session *look_session(struct look *look, size_t node)
{
    return look->nodes[node].session;
}

struct fanout *look_fanout(struct look *look)
{
    return look->fanout;
}

void look_refresh(struct look *look)
{
    for (size_t i = 0; i < look->mesh->node_count; i++)
        if (look->nodes[i].session)
            look_node_refresh(&look->nodes[i]);
}

void look_set_every(struct look *look, double every)
{
    look->options.every = every;
    for (size_t i = 0; i < look->mesh->node_count; i++)
        if (look->nodes[i].session)
            look_node_set_every(&look->nodes[i]);
}

size_t look_waiting(const struct look *look)
{
    size_t waiting = 0;
    for (size_t i = 0; i < look->mesh->node_count; i++)
        waiting += look->nodes[i].waiting;
    return waiting;
}

bool look_is_waiting(const struct look *look, size_t node)
{
    return look->nodes[node].waiting;
}

int64_t look_silence(const struct look *look, size_t node)
{
    return look->nodes[node].session ? look_node_silence(&look->nodes[node]) : 0;
}
