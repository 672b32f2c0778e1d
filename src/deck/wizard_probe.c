/* What a new host is: its host key and login are checked, it is read as any node is, and its helper is asked for the facts that a change depends on. And what the others lose with a node. */
#include <stdlib.h>
#include <string.h>

#include "look_private.h"
#include "wgdeck/apply.h"
#include "wgdeck/desired.h"
#include "wgdeck/endpoint_guess.h"
#include "wgdeck/json.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wizard_private.h"

#define FACTS_PATIENCE 20.0
enum { NAMES_SHOWN = 8 };

void wizard_probe_end(struct wizard *wizard)
{
    helper_free(wizard->helper);
    wizard->helper = NULL;
    look_free(wizard->look);
    wizard->look = NULL;
    if (wizard->probe_mesh)
        mesh_free(wizard->probe_mesh);
    wizard->probe_mesh = NULL;
    wizard_drop_questions(wizard);
}

void wizard_probe_forget(struct wizard *wizard)
{
    wizard_probe_end(wizard);
    if (wizard->has_seen)
        observation_clear(&wizard->seen);
    wizard->has_seen = false;
    cJSON_Delete(wizard->facts);
    wizard->facts = NULL;
}

/* Back to the target, with what was wrong. */
static void give_up(struct wizard *wizard, const char *why)
{
    char *text = mem_format("%s: %s. Write another target, or mend that and press Enter to try again", wizard->answers[AT_TARGET], why);
    wizard_probe_end(wizard);
    wizard_text(&wizard->problem, "%s", text);
    free(text);
    wizard_enter(wizard, AT_TARGET);
}

static void on_over(struct wizard *wizard)
{
    wizard_probe_end(wizard);
    wizard_next(wizard);
}

static void on_facts(void *context, const cJSON *answer, const char *why, const char *code)
{
    struct wizard *wizard = context;
    const cJSON *facts = answer ? json_get_object(answer, "facts") : NULL;
    (void)code;
    cJSON_Delete(wizard->facts);
    wizard->facts = facts ? cJSON_Duplicate(facts, true) : NULL;
    if (!wizard->facts)
        wizard_text(&wizard->working, "%s", why ? why : "it has not told its facts");
    wizard_soon(wizard, on_over);
}

static void ask_facts(struct wizard *wizard)
{
    const char *interface = wizard->file.mesh->interface;
    struct buf members = BUF_EMPTY;
    struct json json = json_begin(&members);
    json_text(&json, "op", "facts");
    json_text(&json, "interface", interface ? interface : "wg0");
    wizard_text(&wizard->working, "reading what %s is", wizard->answers[AT_TARGET]);
    wizard->helper = helper_new(wizard->loop, look_session(wizard->look, 0), &wizard->look->program, NULL, NULL);
    helper_ask(wizard->helper, buf_text(&members), FACTS_PATIENCE, on_facts, NULL, wizard);
    buf_free(&members);
}

static void on_seen(struct wizard *wizard)
{
    const struct observation *seen = &look_observed(wizard->look)->nodes[0];
    if (seen->reach != REACH_OK) {
        char *why = mem_text(seen->error ? seen->error : "it cannot be reached");
        give_up(wizard, why);
        free(why);
        return;
    }
    if (wizard->has_seen)
        observation_clear(&wizard->seen);
    observation_copy(&wizard->seen, seen);
    wizard->has_seen = true;
    ask_facts(wizard);
}

static void on_first_round(void *context, struct look *look)
{
    (void)look;
    wizard_soon(context, on_seen);
}

static void on_changed(void *context, struct look *look, size_t node)
{
    (void)look, (void)node;
    wizard_tell(context);
}

static void begin_look(struct wizard *wizard)
{
    static const struct look_events events = {.changed = on_changed, .first_round = on_first_round};
    const char *target = wizard->answers[AT_TARGET];
    struct err err;
    struct look_options options = wizard->options.look;
    options.mode = LOOK_HELPER;
    options.nodes = NULL;
    options.interface = NULL;
    options.every = 0;
    wizard->probe_mesh = mesh_from_targets(&target, 1, &err);
    wizard->look = wizard->probe_mesh ? look_new(wizard->loop, wizard->probe_mesh, &options, &events, wizard, &err) : NULL;
    if (!wizard->look)
        give_up(wizard, err.text);
}

void wizard_probe(struct wizard *wizard)
{
    wizard_probe_forget(wizard);
    wizard_text(&wizard->working, "logging in to %s, to read what it is (nothing is changed there)", wizard->answers[AT_TARGET]);
    wizard_soon(wizard, begin_look);
}

/* --- what is shown of it */

static bool port_in_use(const cJSON *facts, unsigned port)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get_list(facts, "ports"))
        if (cJSON_IsNumber(item) && item->valuedouble == (double)port)
            return true;
    return false;
}

/* A list of texts or numbers as a line. */
static char *joined(const cJSON *list)
{
    struct buf text = BUF_EMPTY;
    const cJSON *item;
    size_t count = 0;
    cJSON_ArrayForEach(item, list) {
        if (count++ >= 12)
            continue;
        if (cJSON_IsString(item))
            buf_add_format(&text, "%s%s", text.length ? ", " : "", item->valuestring);
        else if (cJSON_IsNumber(item))
            buf_add_format(&text, "%s%.0f", text.length ? ", " : "", item->valuedouble);
    }
    if (count > 12)
        buf_add_format(&text, " and %zu more", count - 12);
    return buf_take(&text);
}

static void say_engine(struct wizard *wizard, const cJSON *facts)
{
    const char *engine = json_get_text(facts, "engine", NULL), *interface = wizard->file.mesh->interface;
    if (engine)
        wizard_say(wizard, false, "Engine", "%s is there already, by %s; rows that are in no mesh file are left alone", interface, !strcmp(engine, "kernel") ? "the kernel" : engine);
    else if (json_get_bool(facts, "kernel", false))
        wizard_say(wizard, false, "Engine", "the kernel's WireGuard will be used");
    else if (json_get_bool(facts, "tun", false))
        wizard_say(wizard, false, "Engine", "the kernel has no WireGuard: a userspace engine will be brought, as a service");
    else
        wizard_say(wizard, true, "Engine", "no WireGuard in the kernel and no /dev/net/tun: nothing can carry packets there. Enable TUN for this machine at its provider");
}

static void say_ports(struct wizard *wizard, const cJSON *facts)
{
    unsigned port = wizard->file.mesh->listen_port;
    char *ports = joined(json_get_list(facts, "ports"));
    if (port_in_use(facts, port) && !json_get_text(facts, "engine", NULL))
        wizard_say(wizard, true, "UDP ports", "%u, the mesh's, is in use by another program; in use: %s", port, ports);
    else
        wizard_say(wizard, false, "UDP ports", *ports ? "in use: %s" : "none in use%.0s", ports);
    free(ports);
}

static void say_firewall(struct wizard *wizard, const cJSON *facts)
{
    const cJSON *item;
    size_t count = 0;
    cJSON_ArrayForEach(item, json_get_list(facts, "firewall"))
        if (cJSON_IsString(item) && count++ < 4)
            wizard_say(wizard, true, "Firewall", "%s", item->valuestring);
    if (!count)
        wizard_say(wizard, false, "Firewall", "nothing seen on the host that would stop UDP (a provider's firewall cannot be seen from here)");
}

static void say_facts(struct wizard *wizard, const cJSON *facts)
{
    char *addresses = joined(json_get_list(facts, "addresses"));
    const char *service = json_get_text(facts, "service", NULL), *init = json_get_text(facts, "init", "none");
    bool root = json_get_bool(facts, "root", false);
    wizard_say(wizard, false, "System", "%s, %s", json_get_text(facts, "os", "unknown"), json_get_text(facts, "system", "unknown"));
    wizard_say(wizard, !root, "Login", root ? "works, with the rights of root" : "works, but without root: nothing can be changed there. Log in as root, or allow sudo");
    say_engine(wizard, facts);
    if (!strcmp(init, "none"))
        wizard_say(wizard, true, "At boot", "no init system was found that could bring it up after a restart");
    else
        wizard_say(wizard, false, "At boot", service ? "%s; %s is enabled" : "%s brings it up", init, service ? service : "");
    wizard_say(wizard, false, "Addresses", "%s", *addresses ? addresses : "none");
    free(addresses);
    say_ports(wizard, facts);
    say_firewall(wizard, facts);
    const cJSON *pending = json_get_object(facts, "pending");
    if (pending)
        wizard_say(wizard, true, "Change", "%s is changing it now", json_get_text(pending, "owner", "somebody"));
}

void wizard_show_facts(struct wizard *wizard)
{
    char *why = NULL, *endpoint = endpoint_guess(wizard->file.mesh, &wizard->seen, wizard->file.mesh->listen_port, &why);
    wizard_say(wizard, false, "Host", "%s%s%s", wizard->seen.hostname ? wizard->seen.hostname : "without a name", wizard->seen.dialled ? ", reached at " : "",
               wizard->seen.dialled ? wizard->seen.dialled : "");
    if (wizard->facts)
        say_facts(wizard, wizard->facts);
    else
        wizard_say(wizard, true, "Facts", "the host did not tell more: %s", wizard_working(wizard));
    wizard_say(wizard, false, endpoint ? "Public" : "NAT", "%s%s%s", endpoint ? endpoint : "", endpoint ? ": " : "", why ? why : "");
    free(endpoint);
    free(why);
}

/* --- what the others lose with a node */

static char *partners(const struct mesh *mesh, size_t node, size_t *count)
{
    struct buf text = BUF_EMPTY;
    *count = 0;
    for (size_t i = 0; i < mesh->node_count; i++) {
        if (i == node || !mesh_wants_link(mesh, node, i))
            continue;
        if (*count < NAMES_SHOWN)
            buf_add_format(&text, "%s%s", *count ? ", " : "", mesh->nodes[i].name);
        ++*count;
    }
    if (*count > NAMES_SHOWN)
        buf_add_format(&text, " and %zu more", *count - NAMES_SHOWN);
    return buf_take(&text);
}

/* Another node of the same role, in the same group if it has one, that stays. */
static bool another_stays(const struct mesh *mesh, size_t node, const bool *leaving)
{
    const struct mesh_node *gone = &mesh->nodes[node];
    for (size_t i = 0; i < mesh->node_count; i++)
        if (i != node && !leaving[i] && mesh->nodes[i].role == gone->role &&
            (!gone->group || (mesh->nodes[i].group && !strcmp(gone->group, mesh->nodes[i].group))))
            return true;
    return false;
}

static void say_role(struct wizard *wizard, const struct mesh *mesh, size_t node, const bool *leaving)
{
    static const char *const lost[] = {
        [ROLE_HUB] = "it is the hub, and there is no other: without it no two nodes reach each other",
        [ROLE_GATEWAY] = "it is the only gateway of its group: the group and the others do not reach each other without it",
        [ROLE_RELAY] = "it is the only relay: nodes that reach others through it lose them",
    };
    const struct mesh_node *gone = &mesh->nodes[node];
    if (gone->role == ROLE_NONE)
        return;
    if (another_stays(mesh, node, leaving))
        wizard_say(wizard, false, gone->name, "another node with its role stays");
    else
        wizard_say(wizard, true, gone->name, "%s", lost[gone->role]);
}

static void say_loss(struct wizard *wizard, const struct mesh *mesh, size_t node, const bool *leaving)
{
    size_t count;
    char *names = partners(mesh, node, &count);
    const struct mesh_node *gone = &mesh->nodes[node];
    wizard_say(wizard, false, gone->name, count ? "%zu link%s with it end%s: %s" : "it has no link%.0zu%s%s%s", count, count == 1 ? "" : "s", count == 1 ? "s" : "", names);
    free(names);
    say_role(wizard, mesh, node, leaving);
    for (size_t i = 0; i < gone->allowed_count && i < NAMES_SHOWN; i++) {
        char prefix[PREFIX_TEXT_SIZE];
        prefix_text(&gone->allowed[i], prefix);
        wizard_say(wizard, true, gone->name, "%s, behind it, is not reached any more", prefix);
    }
    if (!gone->ssh)
        wizard_say(wizard, true, gone->name, "it has no Ssh line: its own interface stays until somebody takes it down there");
}

void wizard_show_consequences(struct wizard *wizard)
{
    struct err err;
    bool *leaving;
    const struct mesh *mesh = wizard->file.mesh;
    if (!wizard->answers[AT_NODES] || wizard_choose_nodes(wizard, mesh, wizard->answers[AT_NODES], &leaving, &err))
        return;
    for (size_t i = 0; i < mesh->node_count; i++)
        if (leaving[i])
            say_loss(wizard, mesh, i, leaving);
    wizard_say(wizard, false, "Then", "their interfaces, files and boot services go; the others drop their rows; the mesh file keeps [Removed] sections");
    free(leaving);
}
