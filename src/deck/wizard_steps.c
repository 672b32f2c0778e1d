/* The steps of the wizard, one row each: what is asked and why, what is proposed and why, and what is wrong with an answer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "wgdeck/desired.h"
#include "wgdeck/endpoint_guess.h"
#include "wgdeck/file.h"
#include "wgdeck/json.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wizard_private.h"

#define NETWORK_PROPOSED "10.44.0.0/24"

/* --- the edits of a new node; also to try an answer */

static bool has_role(const struct mesh *mesh, enum role role, const char *group);
static void propose_address(struct wizard *wizard, char **value, char **reason);

static bool is_none(const char *text)
{
    return !text || !*text || !strcasecmp(text, "none");
}

static void set_unless_none(struct mesh_edits *edits, const char *node, const char *key, const char *value)
{
    if (!is_none(value))
        mesh_edits_add(edits, MESH_EDIT_SET, node, key, value);
}

/* What the topology needs of a node, where it was not asked yet: so that an answer before it is not refused for it. */
static const char *group_for_now(const struct mesh *mesh)
{
    for (size_t i = 0; i < mesh->node_count; i++)
        if (mesh->nodes[i].group)
            return mesh->nodes[i].group;
    return "group";
}

static const char *role_for_now(const struct mesh *mesh, const char *group)
{
    if (mesh->topology == TOPOLOGY_HUB)
        return has_role(mesh, ROLE_HUB, NULL) ? NULL : "hub";
    return mesh->topology == TOPOLOGY_GROUPS && !has_role(mesh, ROLE_GATEWAY, group) ? "gateway" : NULL;
}

static void edits_with(const struct wizard *wizard, char *const *given, struct mesh_edits *edits)
{
    const struct mesh *mesh = wizard->file.mesh;
    const char *answers[AT_COUNT];
    for (int at = 0; at < AT_COUNT; at++)
        answers[at] = given[at];
    if (!answers[AT_GROUP] && mesh->topology == TOPOLOGY_GROUPS)
        answers[AT_GROUP] = group_for_now(mesh);
    if (!answers[AT_ROLE])
        answers[AT_ROLE] = role_for_now(mesh, answers[AT_GROUP]);
    static const struct { enum wizard_at at; const char *key; } keys[] = {
        {AT_TARGET, "Ssh"}, {AT_ADDRESS, "Address"}, {AT_ENDPOINT, "Endpoint"}, {AT_GROUP, "Group"}, {AT_ROLE, "Role"}};
    char *address = NULL, *reason = NULL;
    const char *name = answers[AT_NAME] ? answers[AT_NAME] : "new-node";
    if (!answers[AT_ADDRESS])
        propose_address((struct wizard *)(uintptr_t)wizard, &address, &reason);
    mesh_edits_add(edits, MESH_EDIT_ADD_NODE, name, NULL, NULL);
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        set_unless_none(edits, name, keys[i].key, keys[i].at == AT_ADDRESS && address ? address : answers[keys[i].at]);
    free(address);
    free(reason);
}

void wizard_make_edits(const struct wizard *wizard, struct mesh_edits *edits)
{
    edits_with(wizard, wizard->answers, edits);
}

/* Where in the file it stands is of no use: nothing stands there yet. */
static void drop_place(struct err *err, const char *path)
{
    static const char edited[] = "with this change: ";
    size_t length = strlen(path), before = strncmp(err->text, edited, sizeof edited - 1) ? 0 : sizeof edited - 1;
    if (strncmp(err->text + before, path, length) || err->text[before + length] != ':')
        return;
    const char *rest = err->text + before + length + 1;
    rest += strspn(rest, "0123456789");
    rest += strspn(rest, ": ");
    memmove(err->text, rest, strlen(rest) + 1);
}

/* Would the mesh file be a mesh with this answer? */
static int try_answer(const struct wizard *wizard, enum wizard_at at, const char *text, struct err *err)
{
    char *answers[AT_COUNT];
    struct mesh_edits edits = {0};
    memcpy(answers, wizard->answers, sizeof answers);
    answers[at] = (char *)(uintptr_t)text;
    for (int later = (int)at + 1; later < AT_COUNT; later++)
        answers[later] = NULL;
    edits_with(wizard, answers, &edits);
    struct conf *conf = conf_parse(wizard->file.path, buf_text(&wizard->file.bytes), wizard->file.bytes.length, err);
    int result = conf ? mesh_edits_do(&edits, conf, err) : -1;
    struct mesh *mesh = result ? NULL : mesh_read(conf, NULL, err);
    if (!mesh)
        drop_place(err, wizard->file.path);
    result = mesh ? 0 : -1;
    if (mesh)
        mesh_free(mesh);
    if (conf)
        conf_free(conf);
    mesh_edits_free(&edits);
    return result;
}

/* --- resume */

static bool can_resume(const struct wizard *wizard)
{
    return wizard->kept[AT_TARGET] && !wizard->options.node;
}

static void propose_resume(struct wizard *wizard, char **value, char **reason)
{
    *value = mem_text("yes");
    *reason = mem_format("it was left after: %s%s%s", wizard->kept[AT_TARGET], wizard->kept[AT_NAME] ? ", " : "", wizard->kept[AT_NAME] ? wizard->kept[AT_NAME] : "");
}

static int is_yes(const char *text)
{
    if (!strcasecmp(text, "y") || !strcasecmp(text, "yes"))
        return 1;
    return !strcasecmp(text, "n") || !strcasecmp(text, "no") ? 0 : -1;
}

static int check_resume(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    int yes = is_yes(text);
    (void)taken;
    if (yes < 0)
        return err_set(err, "\"%s\" is neither: write yes or no", text);
    for (int at = 0; !yes && at < AT_COUNT; at++) {
        free(wizard->kept[at]);
        wizard->kept[at] = NULL;
    }
    return 0;
}

/* --- the target */

static int check_target(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    const struct mesh *mesh = wizard->file.mesh;
    (void)taken;
    if (!*text)
        return err_set(err, "a target is needed: user@host, user@host:port, or an alias of ~/.ssh/config, as in root@192.0.2.7");
    if (is_none(text))
        return err_set(err, "a node that SSH does not reach is added on the command line: wgdeck add NAME none");
    if (*text == '-' || strpbrk(text, " \t\"'`$;&|<>()\\*?#"))
        return err_set(err, "\"%s\" is no SSH target: write user@host, user@host:port, or an alias of ~/.ssh/config, as in root@192.0.2.7", text);
    for (size_t i = 0; i < mesh->node_count; i++)
        if (mesh->nodes[i].ssh && !strcmp(mesh->nodes[i].ssh, text))
            return err_set(err, "%s is the node %s already, and one host cannot be two nodes: write another target", text, mesh->nodes[i].name);
    return try_answer(wizard, AT_TARGET, text, err);
}

/* --- name */

static void propose_name(struct wizard *wizard, char **value, char **reason)
{
    const char *host = wizard->has_seen ? wizard->seen.hostname : NULL;
    char name[64];
    if (!host || !*host)
        return;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(host, "."), host);
    if (!text_is_name(name))
        return;
    if (mesh_find_node(wizard->file.mesh, name) == SIZE_MAX) {
        *value = mem_text(name);
        *reason = mem_text("what the host calls itself");
        return;
    }
    for (unsigned number = 2; number < 10000; number++) {
        char *other = mem_format("%.55s-%u", name, number);
        if (mesh_find_node(wizard->file.mesh, other) == SIZE_MAX) {
            *value = other;
            *reason = mem_format("what the host calls itself, %s, is the name of a node already", name);
            return;
        }
        free(other);
    }
}

static int check_name(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    (void)taken;
    if (!*text)
        return err_set(err, "a name is needed: letters, digits, '.', '_' and '-', as in web-2");
    if (!text_is_name(text))
        return err_set(err, "\"%s\" is no name of a node: up to 63 letters, digits, '.', '_' and '-', not beginning with '-' or '.', as in web-2", text);
    if (mesh_find_node(wizard->file.mesh, text) != SIZE_MAX)
        return err_set(err, "the mesh has a node %s already: write another name", text);
    return try_answer(wizard, AT_NAME, text, err);
}

/* --- address, endpoint */

static void propose_address(struct wizard *wizard, char **value, char **reason)
{
    struct err err;
    struct prefix *addresses = NULL;
    size_t count = 0;
    struct buf text = BUF_EMPTY;
    if (mesh_allocate(wizard->file.mesh, NULL, 0, &addresses, &count, &err)) {
        *reason = mem_text(err.text);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        char address[ADDRESS_TEXT_SIZE];
        address_text(&addresses[i].address, address);
        buf_add_format(&text, "%s%s", i ? ", " : "", address);
    }
    free(addresses);
    *value = buf_take(&text);
    *reason = mem_text(count == 1 ? "the lowest of the mesh's network that is free" : "the lowest of the mesh's networks that are free");
}

static int check_address(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    (void)taken;
    if (!*text)
        return err_set(err, "an address is needed, one of each network of the mesh, as in 10.44.0.7");
    return try_answer(wizard, AT_ADDRESS, text, err);
}

static void propose_endpoint(struct wizard *wizard, char **value, char **reason)
{
    if (!wizard->has_seen)
        return;
    *value = endpoint_guess(wizard->file.mesh, &wizard->seen, wizard->file.mesh->listen_port, reason);
    if (!*value)
        *value = mem_text("none");
}

static int check_endpoint(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    (void)taken;
    if (!*text)
        return err_set(err, "write an address or a name, as in 203.0.113.7:%u, or none when the node is behind NAT", wizard->file.mesh->listen_port);
    return try_answer(wizard, AT_ENDPOINT, text, err);
}

/* --- group, role */

static bool has_groups(const struct wizard *wizard)
{
    return wizard->file.mesh->topology == TOPOLOGY_GROUPS;
}

static void propose_group(struct wizard *wizard, char **value, char **reason)
{
    const struct mesh *mesh = wizard->file.mesh;
    size_t best = SIZE_MAX, most = 0;
    for (size_t i = 0; i < mesh->node_count; i++) {
        size_t count = 0;
        for (size_t j = 0; mesh->nodes[i].group && j < mesh->node_count; j++)
            count += mesh->nodes[j].group && !strcmp(mesh->nodes[i].group, mesh->nodes[j].group);
        if (count > most) {
            most = count;
            best = i;
        }
    }
    if (best == SIZE_MAX)
        return;
    *value = mem_text(mesh->nodes[best].group);
    *reason = mem_format("the largest group: %zu node%s", most, most == 1 ? "" : "s");
}

static int check_group(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    (void)taken;
    if (is_none(text))
        return err_set(err, "in this mesh every node has a group: write its name, as in %s", wizard->proposal ? wizard->proposal : "berlin");
    if (!text_is_name(text))
        return err_set(err, "\"%s\" is no name of a group: letters, digits, '.', '_' and '-', as in berlin", text);
    return try_answer(wizard, AT_GROUP, text, err);
}

static bool has_role(const struct mesh *mesh, enum role role, const char *group)
{
    for (size_t i = 0; i < mesh->node_count; i++)
        if (mesh->nodes[i].role == role && (!group || (mesh->nodes[i].group && !strcmp(group, mesh->nodes[i].group))))
            return true;
    return false;
}

static bool asks_role(const struct wizard *wizard)
{
    return wizard->file.mesh->topology != TOPOLOGY_FULL;
}

static void propose_role(struct wizard *wizard, char **value, char **reason)
{
    const struct mesh *mesh = wizard->file.mesh;
    bool hub = mesh->topology == TOPOLOGY_HUB;
    const char *group = hub ? NULL : wizard->answers[AT_GROUP];
    if (has_role(mesh, hub ? ROLE_HUB : ROLE_GATEWAY, group)) {
        *value = mem_text("none");
        *reason = mem_text(hub ? "the mesh has its hub" : "the group has a gateway");
    } else {
        *value = mem_text(hub ? "hub" : "gateway");
        *reason = mem_text(hub ? "the mesh has no hub yet, and without one nobody has a link" : "the group has no gateway yet, and without one it reaches no other group");
    }
}

static int check_role(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    static const char *const roles[] = {"none", "hub", "gateway", "relay"};
    for (size_t i = 0; i < COUNT_OF(roles); i++)
        if (!strcasecmp(text, roles[i])) {
            *taken = mem_text(roles[i]);
            if (!try_answer(wizard, AT_ROLE, roles[i], err))
                return 0;
            free(*taken);
            *taken = NULL;
            return -1;
        }
    return err_set(err, "\"%s\" is no role: write none, hub, gateway or relay", text);
}

/* --- nodes to take out, or to give new keys */

static int choose_all(const struct mesh *mesh, bool *chosen, struct err *err)
{
    size_t count = 0;
    for (size_t i = 0; i < mesh->node_count; i++)
        count += chosen[i] = mesh->nodes[i].ssh != NULL;
    return count ? 0 : err_set(err, "no node has an Ssh line: a key is made on the node itself");
}

static int choose_one(const struct wizard *wizard, const struct mesh *mesh, const char *word, bool *chosen, struct err *err)
{
    size_t node = mesh_find_node(mesh, word);
    if (node != SIZE_MAX && wizard->options.kind == WIZARD_ROTATE && !mesh->nodes[node].ssh)
        return err_set(err, "%s has no Ssh line, and a key is made on the node itself: wgdeck export %s --new-key makes one for it", word, word);
    if (node != SIZE_MAX) {
        chosen[node] = true;
        return 0;
    }
    const char **names = mem_alloc(mesh->node_count, sizeof *names);
    for (size_t i = 0; i < mesh->node_count; i++)
        names[i] = mesh->nodes[i].name;
    const char *near = text_nearest(word, names, mesh->node_count);
    if (near)
        err_set(err, "no node \"%s\": did you mean %s?", word, near);
    else
        err_set(err, "no node \"%s\": write a name of the mesh, as in %s", word, mesh->nodes[0].name);
    free(names);
    return -1;
}

int wizard_choose_nodes(const struct wizard *wizard, const struct mesh *mesh, const char *text, bool **chosen, struct err *err)
{
    bool *set = mem_alloc(mesh->node_count + 1, sizeof *set);
    int result = 0;
    size_t words = 0;
    if (wizard->options.kind == WIZARD_ROTATE && !strcasecmp(text, "all") && mesh_find_node(mesh, text) == SIZE_MAX) {
        result = choose_all(mesh, set, err);
        words = 1;
    } else {
        for (const char *at = text; !result && *(at += strspn(at, ", \t"));) {
            size_t length = strcspn(at, ", \t");
            char *word = mem_text_part(at, length);
            result = choose_one(wizard, mesh, word, set, err);
            free(word);
            at += length;
            words++;
        }
    }
    if (!result && !words)
        result = err_set(err, "a node is needed: write its name, as in %s", mesh->node_count ? mesh->nodes[0].name : "web");
    if (result) {
        free(set);
        set = NULL;
    }
    *chosen = set;
    return result;
}

static int check_nodes(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    bool *chosen;
    (void)taken;
    int result = wizard_choose_nodes(wizard, wizard->file.mesh, text, &chosen, err);
    free(chosen);
    return result;
}

static void propose_nodes(struct wizard *wizard, char **value, char **reason)
{
    if (wizard->options.kind != WIZARD_ROTATE)
        return;
    *value = mem_text("all");
    *reason = mem_text("one node after the other, each with its old links kept until the new ones work");
}

/* --- a new mesh file */

static int start_with(const struct wizard *wizard, enum wizard_at at, const char *text, struct conf *conf, struct err *err)
{
    const char *const *answers = (const char *const *)wizard->answers;
    struct mesh_start start = {.name = at == AT_MESH_NAME ? text : answers[AT_MESH_NAME],
                               .networks = at == AT_NETWORK ? text : answers[AT_NETWORK] ? answers[AT_NETWORK] : NETWORK_PROPOSED,
                               .topology = at == AT_TOPOLOGY ? text : answers[AT_TOPOLOGY]};
    return mesh_start(&start, conf, err);
}

static int try_start(const struct wizard *wizard, enum wizard_at at, const char *text, struct err *err)
{
    struct conf *conf = conf_new(wizard->options.path);
    int result = start_with(wizard, at, text, conf, err);
    if (result)
        drop_place(err, wizard->options.path);
    conf_free(conf);
    return result;
}

static int check_mesh_name(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    (void)taken;
    if (!text_is_name(text))
        return err_set(err, "\"%s\" is no name of a mesh: letters, digits, '.', '_' and '-', as in prod", text);
    return try_start(wizard, AT_MESH_NAME, text, err);
}

static int check_network(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    (void)taken;
    if (!*text)
        return err_set(err, "a network is needed, as in %s", NETWORK_PROPOSED);
    return try_start(wizard, AT_NETWORK, text, err);
}

static int check_topology(struct wizard *wizard, const char *text, char **taken, struct err *err)
{
    static const char *const words[] = {"full", "hub", "groups"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (!strcasecmp(text, words[i])) {
            *taken = mem_text(words[i]);
            return try_start(wizard, AT_TOPOLOGY, words[i], err);
        }
    return err_set(err, "\"%s\" is no topology: write full, hub or groups", text);
}

static void propose_mesh_name(struct wizard *wizard, char **value, char **reason)
{
    (void)wizard;
    *value = mem_text("mesh");
    *reason = mem_text("any name; it is shown at the top of the deck");
}

static void propose_network(struct wizard *wizard, char **value, char **reason)
{
    (void)wizard;
    *value = mem_text(NETWORK_PROPOSED);
    *reason = mem_text("room for 254 nodes; Docker, cloud providers and homes seldom use it");
}

static void propose_topology(struct wizard *wizard, char **value, char **reason)
{
    (void)wizard;
    *value = mem_text("full");
    *reason = mem_text("every node talks to every other directly, and no node is needed by the others");
}

static void write_file(struct wizard *wizard)
{
    struct err err;
    struct buf text = BUF_EMPTY;
    const char *path = wizard->options.path;
    struct conf *conf = conf_new(path);
    int descriptor = -1, result = start_with(wizard, AT_END, NULL, conf, &err);
    if (!result)
        conf_write(conf, &text);
    if (!result && (descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) < 0)
        result = errno == EEXIST ? err_set(&err, "%s exists, and was left alone", path) : err_set(&err, "%s: %s", path, strerror(errno));
    if (descriptor >= 0) {
        close(descriptor);
        result = file_write(path, 0644, buf_text(&text), text.length, &err);
        if (result)
            unlink(path);
    }
    wizard->succeeded = wizard->file_changed = !result;
    if (result)
        buf_add_format(&wizard->report, "%s\n", err.text);
    else
        buf_add_format(&wizard->report, "%s is written. \"wgdeck%s%s add\" adds the first node.\n", path, strcmp(path, "mesh.conf") ? " -m " : "", strcmp(path, "mesh.conf") ? path : "");
    conf_free(conf);
    buf_free(&text);
    wizard_enter(wizard, AT_END);
}

/* --- the table */

#define OF_INIT (1u << WIZARD_INIT)
#define OF_ADD (1u << WIZARD_ADD)
#define OF_REMOVE (1u << WIZARD_REMOVE)
#define OF_ROTATE (1u << WIZARD_ROTATE)
#define OF_INVITE (1u << WIZARD_INVITE)
#define OF_RECORD (1u << WIZARD_RECORD)
#define OF_PATH (1u << WIZARD_PATH)
#define OF_CHANGES (OF_ADD | OF_REMOVE | OF_ROTATE | 1u << WIZARD_APPLY)

const struct wizard_row wizard_rows[AT_COUNT] = {
    [AT_RESUME] = {OF_ADD, WIZARD_ASKS, "resume", "Go on", "Go on with what was answered last time? (yes or no)",
                   "The wizard was left before it was over. Nothing was changed then. Yes: the same answers are proposed again.", "The host is looked at anew in any case.",
                   can_resume, propose_resume, check_resume, NULL},
    [AT_TARGET] = {OF_ADD, WIZARD_ASKS, "target", "SSH target", "How is the new host reached by SSH?",
                   "As ssh would take it: user@host, user@host:port, or an alias of ~/.ssh/config. It needs root, or sudo. One that SSH cannot reach is invited instead: :invite in the deck, or wgdeck invite.",
                   "Next: its host key and the login are checked, and what the host is is read. Nothing is changed there.", NULL, NULL, check_target, NULL},
    [AT_PROBE] = {OF_ADD, WIZARD_WORKS, "probe", "Host key and login", "", "", "Host key, login, then what the host is. Nothing is changed there.", NULL, NULL, NULL, wizard_probe},
    [AT_FACTS] = {OF_ADD, WIZARD_SHOWS, "facts", "What the host is", "This is what the host shows of itself.", "What could hinder a link is marked.",
                  "Next: name, address and endpoint, each proposed with its reason.", NULL, NULL, NULL, wizard_show_facts},
    [AT_NAME] = {OF_ADD, WIZARD_ASKS, "name", "Name", "What is it called in the mesh?", "The name stands in the mesh file, on the screens, and in comments of the nodes' files.", "Next: its address in the mesh.",
                 NULL, propose_name, check_name, NULL},
    [AT_ADDRESS] = {OF_ADD, WIZARD_ASKS, "address", "Address", "Which address does it have in the mesh?", "One of each network of the mesh, with commas between. The others reach it by this.",
                    "Next: where the others send UDP for it.", NULL, propose_address, check_address, NULL},
    [AT_ENDPOINT] = {OF_ADD, WIZARD_ASKS, "endpoint", "Endpoint", "Where do the others send UDP for it?",
                     "A public address or name, with or without :PORT; none when it is behind NAT: then it opens its links itself and keeps them open.", "Next: the plan, or what the topology asks for.", NULL,
                     propose_endpoint, check_endpoint, NULL},
    [AT_GROUP] = {OF_ADD, WIZARD_ASKS, "group", "Group", "Which group does it belong to?", "Nodes of one group have links with each other; groups meet through their gateways.", "Next: its role.", has_groups, propose_group,
                  check_group, NULL},
    [AT_ROLE] = {OF_ADD, WIZARD_ASKS, "role", "Role", "What does it do for others? (none, hub, gateway or relay)",
                 "A hub forwards for all; a gateway connects its group with the others; a relay carries for nodes that cannot meet.", "Next: all nodes are looked at, and the plan is made.", asks_role, propose_role,
                 check_role, NULL},
    [AT_NODES] = {OF_REMOVE | OF_ROTATE, WIZARD_ASKS, "nodes", "Nodes", "Which nodes?", "Names of the mesh, with commas between.", "Next: what follows from it is shown. Nothing is changed.", NULL, propose_nodes, check_nodes, NULL},
    [AT_CONSEQUENCES] = {OF_REMOVE, WIZARD_SHOWS, "consequences", "What follows", "This is what the others lose.", "Links that end, and what went through them.",
                         "Next: all nodes are looked at, and the plan is made. Nothing is changed.", NULL, NULL, NULL, wizard_show_consequences},
    [AT_PLANNING] = {OF_CHANGES, WIZARD_WORKS, "planning", "Plan", "", "", "All nodes are looked at, and the plan is made. Nothing is changed.", NULL, NULL, NULL, wizard_make_plan},
    [AT_PLAN] = {OF_CHANGES, WIZARD_PLANS, "plan", "Plan", "Apply now?", "This is all that would be done, node by node.",
                 "Applying: each node starts a guard that puts its old state back unless told in time that all is well; both ends of every new link are verified; only then is it kept.", NULL, NULL,
                 wizard_check_agreement, NULL},
    [AT_RUN] = {OF_CHANGES, WIZARD_RUNS, "run", "Apply", "", "", "", NULL, NULL, NULL, wizard_apply},
    [AT_MESH_NAME] = {OF_INIT, WIZARD_ASKS, "mesh-name", "Mesh", "What is the mesh called?", "It stands in the mesh file.", "Next: its network.", NULL, propose_mesh_name, check_mesh_name, NULL},
    [AT_NETWORK] = {OF_INIT, WIZARD_ASKS, "network", "Network", "Which private networks does it have?",
                    "IPv4, IPv6 or both, with commas between. Each node gets one address of each. Choose what nothing else uses that the nodes talk to.", "Next: who has a link with whom.", NULL, propose_network,
                    check_network, NULL},
    [AT_TOPOLOGY] = {OF_INIT, WIZARD_ASKS, "topology", "Topology", "Who has a link with whom? (full, hub or groups)",
                     "full: every pair. hub: all with one node, which forwards. groups: every pair within a group; groups meet through gateways.", "Next: the mesh file is written, if there is none yet. No node is touched.", NULL,
                     propose_topology, check_topology, NULL},
    [AT_WRITE] = {OF_INIT, WIZARD_WORKS, "write", "Mesh file", "", "", "The mesh file is written.", NULL, NULL, NULL, write_file},
    [AT_INVITE_NAME] = {OF_INVITE, WIZARD_ASKS, "invite-name", "Name", "What will the new machine be called in the mesh?",
                        "For a machine that you cannot log in to by SSH: behind a NAT, at somebody else's. It joins by itself, with one command and a token that you give it.", "Next: how it is reached by the others.", NULL,
                        wizard_propose_invite_name, wizard_check_invite_name, NULL},
    [AT_INVITE_WAY] = {OF_INVITE, WIZARD_ASKS, "invite-way", "Way", "Through the relay, or as a member like the others? (relay or member)",
                       "relay: only the relay is changed, and the machine reaches all others at once, through it; directly as soon as a way is found. member: it gets a row at every node, by the next apply.",
                       "Next: how long the invitation holds.", NULL, wizard_propose_invite_way, wizard_check_invite_way, NULL},
    [AT_INVITE_TIME] = {OF_INVITE, WIZARD_ASKS, "invite-time", "Holds for", "How long may it be used? (30m, 2h, 1d)", "It is used up by the first machine that joins with it, and can be revoked at any time.",
                        "Next: the nodes are looked at, and the hub is given the invitation: one line in a file of keys of its own. Nothing else is changed.", NULL, wizard_propose_invite_time, wizard_check_invite_time, NULL},
    [AT_INVITING] = {OF_INVITE, WIZARD_WORKS, "inviting", "Invitation", "", "", "The nodes are looked at, and the hub is given the invitation.", NULL, NULL, NULL, wizard_make_invitation},
    [AT_TOKEN] = {OF_INVITE, WIZARD_SHOWS, "token", "Token", "Give this to the new machine.", "On it, as root: \"wgdeck join -\", paste the token, Return. y copies it to the clipboard of this terminal. Nothing but the program's one static file is needed there.",
                  "It is seen here when it joins. Enter: leave it open, and wait no longer.", NULL, NULL, NULL, wizard_show_token},
    [AT_STAYS_OPEN] = {OF_INVITE, WIZARD_WORKS, "stays-open", "Report", "", "", "", NULL, NULL, NULL, wizard_leave_open},
    [AT_RECORDING] = {OF_RECORD, WIZARD_WORKS, "recording", "Record", "", "", "Its hub is asked for what it knows, and the mesh file gets a section for it. No node is changed.", NULL, NULL, NULL, wizard_record},
    [AT_PAIR] = {OF_PATH, WIZARD_SHOWS, "pair", "Two nodes", "Look for a better way between these two?", "Their traffic goes on by the hub meanwhile.",
                 "Next: both are told where the other one is, in the same second, and try to reach each other. Enter begins; Esc leaves.", NULL, NULL, NULL, wizard_show_pair},
    [AT_TRYING] = {OF_PATH, WIZARD_WORKS, "trying", "Ways", "", "", "Each way is tried for some seconds. Leaving gives it up: all stays with the hub.", NULL, NULL, NULL, wizard_try_path},
    [AT_END] = {OF_CHANGES | OF_INIT | OF_INVITE | OF_RECORD | OF_PATH, WIZARD_ENDS, "end", "Report", "", "", "", NULL, NULL, NULL, NULL},
};
