/* An invitation is made: by which hub, with which address, and what both ends will do when the new machine joins. The newcomer is planned as a host on which nothing is; its key, which it will make
 * itself, has a place held for it. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "invite_private.h"
#include "wgdeck/clock.h"
#include "wgdeck/mem.h"
#include "wgdeck/plan.h"
#include "wgdeck/text.h"

/* --- the hub */

static size_t first_of(const struct mesh *mesh, bool (*is)(const struct mesh_node *node))
{
    for (size_t i = 0; i < mesh->node_count; i++)
        if (is(&mesh->nodes[i]))
            return i;
    return SIZE_MAX;
}

static bool leads(const struct mesh_node *node)
{
    return node->role == ROLE_HUB || node->role == ROLE_GATEWAY;
}

static bool can_let_in(const struct mesh_node *node)
{
    return node->endpoint_host && node->ssh;
}

static bool leads_and_can(const struct mesh_node *node)
{
    return leads(node) && can_let_in(node);
}

static int find_named(const struct invite *invite, size_t *hub, struct err *err)
{
    const struct mesh *mesh = invite->mesh;
    *hub = mesh_find_node(mesh, invite->options.hub);
    if (*hub != SIZE_MAX)
        return 0;
    const char **names = mem_alloc(mesh->node_count, sizeof *names);
    for (size_t i = 0; i < mesh->node_count; i++)
        names[i] = mesh->nodes[i].name;
    const char *near = text_nearest(invite->options.hub, names, mesh->node_count);
    free(names);
    return near ? err_set(err, "no node \"%s\" in %s: did you mean %s?", invite->options.hub, invite->options.file->path, near)
                : err_set(err, "no node \"%s\" in %s", invite->options.hub, invite->options.file->path);
}

/* Who joins by the relay is reached through it by all: it can be no other. */
static int find_relay(const struct invite *invite, size_t *hub, struct err *err)
{
    struct prefix *addresses = NULL;
    size_t count, relay = mesh_relay(invite->mesh);
    if (relay == SIZE_MAX) { /* it says what to write */
        if (mesh_allocate_relay(invite->mesh, NULL, 0, &addresses, &count, err))
            return -1;
        free(addresses);
        return err_set(err, "no node carries RelayNetwork: write Role = relay in the section of the node that is to forward for it, then \"wgdeck apply\"");
    }
    if (*hub != SIZE_MAX && *hub != relay)
        return err_set(err, "who joins with --relay is reached through %s, which carries RelayNetwork: leave --hub out", invite->mesh->nodes[relay].name);
    *hub = relay;
    return 0;
}

int invite_choose_hub(struct invite *invite, struct err *err)
{
    size_t hub = SIZE_MAX;
    if ((invite->options.hub && find_named(invite, &hub, err)) || (invite->options.relay && find_relay(invite, &hub, err)))
        return -1;
    if (hub == SIZE_MAX)
        hub = first_of(invite->mesh, leads_and_can);
    if (hub == SIZE_MAX)
        hub = first_of(invite->mesh, can_let_in);
    if (hub == SIZE_MAX)
        return err_set(err, "no node of %s could let it in: one with an Endpoint and Ssh is needed", invite->options.file->path);
    const struct mesh_node *node = &invite->mesh->nodes[hub];
    if (!node->ssh)
        return err_set(err, "%s has no Ssh in the mesh file, so it cannot be told of the invitation: wgdeck set %s Ssh=root@HOST, or another --hub", node->name, node->name);
    if (!node->endpoint_host)
        return err_set(err, "%s has no Endpoint in the mesh file, so a new machine could not reach it: wgdeck set %s Endpoint=HOST, or another --hub", node->name, node->name);
    invite->asked[0] = (struct invite_asked){.invite = invite, .node = hub};
    invite->asked_count = 1;
    return 0;
}

int invite_check_name(struct invite *invite, struct err *err)
{
    const char *name = invite->options.name, *path = invite->options.file->path;
    if (!text_is_name(name))
        return err_set(err, "\"%s\" is no name of a node: letters, digits, '.', '_' and '-'", name);
    size_t index = mesh_find_node(invite->mesh, name);
    invite->exists = index != SIZE_MAX;
    if (!invite->exists)
        return 0;
    const struct mesh_node *node = &invite->mesh->nodes[index];
    if (node->has_public_key)
        return err_set(err, "%s has a node %s already, with a key: take another name, or take that one out first (wgdeck remove %s)", path, name, name);
    if (node->ssh)
        return err_set(err, "%s has a node %s already, which SSH reaches: \"wgdeck apply\" sets it up, without an invitation", path, name);
    if (invite->options.relay != mesh_joins_by_relay(invite->mesh, index))
        return err_set(err, "%s has a node %s already, with an address %s RelayNetwork: invite it %s --relay, or take another name", path, name, invite->options.relay ? "outside of" : "in",
                       invite->options.relay ? "without" : "with");
    return 0;
}

/* --- the address */

struct reserved {
    struct prefix *prefixes;
    size_t count, capacity;
};

static void reserve(struct reserved *reserved, const struct prefix *prefixes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (prefixes[i].length != address_bits(&prefixes[i].address)) /* whole networks are no node's */
            continue;
        MEM_GROW(reserved->prefixes, reserved->count, reserved->capacity);
        reserved->prefixes[reserved->count++] = prefixes[i];
    }
}

static void reserve_rows(struct reserved *reserved, const struct device *device)
{
    for (size_t i = 0; device && i < device->peer_count; i++)
        reserve(reserved, device->peers[i].allowed, device->peers[i].allowed_count);
}

/* What others may have that no mesh file says: other invitations, and rows on the hub. */
static struct reserved list_reserved(const struct invite *invite, const struct observation *seen)
{
    struct reserved reserved = {0};
    const char *interface = invite->mesh->nodes[invite->asked[0].node].interface;
    const struct observed_config *config = observation_config(seen, interface);
    for (size_t i = 0; i < invite->row_count; i++)
        if (invite_row_is_open(&invite->rows[i]))
            reserve(&reserved, invite->rows[i].addresses, invite->rows[i].address_count);
    reserve_rows(&reserved, observation_device(seen, interface));
    reserve_rows(&reserved, config && !config->error ? observation_saved(seen, config) : NULL);
    return reserved;
}

static int choose_addresses(struct invite *invite, const struct observation *seen, struct err *err)
{
    if (invite->exists) {
        const struct mesh_node *node = &invite->mesh->nodes[mesh_find_node(invite->mesh, invite->options.name)];
        invite->addresses = mem_copy(node->addresses, node->address_count, sizeof *node->addresses);
        invite->address_count = node->address_count;
        return invite->address_count ? 0 : err_set(err, "%s has no Address in %s", invite->options.name, invite->options.file->path);
    }
    struct reserved reserved = list_reserved(invite, seen);
    int result = (invite->options.relay ? mesh_allocate_relay : mesh_allocate)(invite->mesh, reserved.prefixes, reserved.count, &invite->addresses, &invite->address_count, err);
    free(reserved.prefixes);
    return result;
}

/* --- what is there already */

static int check_open(const struct invite *invite, struct err *err)
{
    const struct invite_row *open = invite_row_of(invite, invite->options.name, invite_row_is_open);
    char until[CLOCK_TEXT_SIZE];
    if (!open)
        return 0;
    clock_age_text((open->expires - invite_hub_time(invite)) * CLOCK_SECOND, until);
    return err_set(err, "%s has an open invitation already (by %s, for %s more): \"wgdeck invite revoke %s\" ends it", open->name, open->by, until, open->name);
}

static int check_joined(const struct invite *invite, const struct observation *seen, struct err *err)
{
    const char *name = invite->options.name, *interface = invite->mesh->nodes[invite->asked[0].node].interface;
    const struct device *device = observation_device(seen, interface);
    bool joined = false;
    for (size_t i = 0; device && i < invite->row_count; i++) /* one whose row is gone has left, or was taken out */
        joined |= invite_row_is_used(&invite->rows[i]) && !strcmp(invite->rows[i].name, name) && device_find_peer(device, &invite->rows[i].key);
    return joined ? err_set(err, "a node %s has joined already: \"wgdeck invite record %s\" writes it into the mesh file; or take another name", name, name) : 0;
}

static int check_hub(const struct invite *invite, const struct observation *seen, struct err *err)
{
    const struct mesh_node *hub = &invite->mesh->nodes[invite->asked[0].node];
    if (seen->reach != REACH_OK)
        return err_set(err, "%s cannot be reached: %s", hub->name, seen->error ? seen->error : "no answer");
    if (!seen->privileged)
        return err_set(err, "%s: its configuration cannot be read: log in as root, or allow sudo", hub->name);
    const struct device *device = NULL;
    for (size_t i = 0; i < seen->device_count; i++)
        if (!strcmp(seen->devices[i].name, hub->interface))
            device = &seen->devices[i];
    if (!device || !device->has_private)
        return err_set(err, "%s is not in the mesh yet (no WireGuard interface %s runs there): \"wgdeck apply\" first", hub->name, hub->interface);
    return 0;
}

/* --- the plan of both ends */

/* The mesh with the newcomer in it. Its section has no Ssh: nobody will log in there. */
static struct mesh *mesh_with(const struct invite *invite, struct conf **conf, struct err *err)
{
    const struct mesh_file *file = invite->options.file;
    struct mesh_edits edits = {0};
    struct mesh *mesh = NULL;
    *conf = conf_parse(file->path, buf_text(&file->bytes), file->bytes.length, err);
    if (!*conf)
        return NULL;
    if (!invite->exists)
        invite_file_newcomer(invite, &edits);
    if (!edits.count || !mesh_edits_do(&edits, *conf, err))
        mesh = mesh_read(*conf, NULL, err);
    mesh_edits_free(&edits);
    return mesh;
}

static int64_t newest(const struct observed *seen)
{
    int64_t at = 0;
    for (size_t i = 0; i < seen->node_count; i++)
        if (seen->nodes[i].at > at)
            at = seen->nodes[i].at;
    return at;
}

/* As if all had been looked at, and the newcomer were a host with nothing on it. The readings are borrowed. */
static void see(const struct invite *invite, const struct mesh *mesh, size_t newcomer, struct observed *seen)
{
    const struct observed *looked = look_observed(invite->look);
    seen->node_count = mesh->node_count;
    seen->nodes = mem_alloc(mesh->node_count, sizeof *seen->nodes);
    for (size_t i = 0; i < mesh->node_count && i < looked->node_count; i++)
        seen->nodes[i] = looked->nodes[i];
    seen->nodes[newcomer] = (struct observation){.reach = REACH_OK, .privileged = true, .kernel_has_wireguard = true, .forwarding4 = -1, .forwarding6 = -1, .at = newest(looked)};
    seen->nodes[newcomer].node_time = seen->nodes[newcomer].at;
}

static bool is_covered(const struct prefix *prefix, const struct prefix *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (prefix_covers(&list[i], prefix))
            return true;
    return false;
}

/* The hub may differ from the mesh file in other things as well: these are "wgdeck apply"'s. */
static bool is_for_newcomer(const struct plan_operation *operation, size_t newcomer, const struct plan_operation *row)
{
    switch (operation->kind) {
    case PLAN_ROW: return operation->peer == newcomer;
    case PLAN_FORWARDING:
    case PLAN_FILE: return true;
    case PLAN_ROUTE: return is_covered(&operation->prefix, row->allowed, row->allowed_count);
    default: return false;
    }
}

static const struct plan_operation *row_for(const struct plan_node *node, size_t peer)
{
    for (size_t i = 0; i < node->count; i++)
        if (node->operations[i].kind == PLAN_ROW && node->operations[i].peer == peer)
            return &node->operations[i];
    return NULL;
}

static int check_plan(const struct invite *invite, const struct plan *plan, size_t hub, size_t newcomer, struct err *err)
{
    const struct mesh *mesh = plan->mesh;
    const char *name = invite->options.name, *hub_name = mesh->nodes[hub].name;
    if (plan->nodes[hub].state != PLAN_READY)
        return err_set(err, "%s: %s", hub_name, plan->nodes[hub].why ? plan->nodes[hub].why : "it cannot be changed now");
    for (size_t i = 0; i < plan->lint.count; i++) {
        const struct lint_finding *finding = &plan->lint.findings[i];
        if (finding->error && (finding->nodes[0] == newcomer || finding->nodes[1] == newcomer))
            return err_set(err, "%s", finding->text);
    }
    if (!plan->nodes[hub].has_key)
        return err_set(err, "%s has no key yet: \"wgdeck apply\" first", hub_name);
    if (!row_for(&plan->nodes[hub], newcomer) || !row_for(&plan->nodes[newcomer], hub))
        return err_set(err, "in this topology %s and %s have no link: take another --hub, or write [Node %s] with its Address and Group into %s first", name, hub_name, name,
                       invite->options.file->path);
    return 0;
}

static void write_operations(struct json *json, const char *member, const struct plan_node *node, size_t newcomer, const struct plan_operation *row)
{
    json_list(json, member);
    for (size_t i = 0; i < node->count; i++)
        if (!row || is_for_newcomer(&node->operations[i], newcomer, row))
            plan_operation_to_json(&node->operations[i], json);
    json_list_end(json);
}

static void write_request(const struct invite *invite, const struct plan *plan, size_t hub, size_t newcomer, struct buf *members)
{
    struct json json = json_begin(members);
    struct buf public_line = BUF_EMPTY;
    char place[KEY_TEXT_SIZE];
    key_text(&invite->place, place);
    invitation_public(&invite->invitation, &public_line);
    json_text(&json, "op", "invite");
    json_text(&json, "interface", plan->mesh->nodes[hub].interface);
    json_text(&json, "invitation", invite->invitation.id);
    json_text(&json, "mesh", invite->invitation.mesh);
    json_text(&json, "name", invite->invitation.name);
    json_bool(&json, "relay", invite->invitation.relay);
    json_number(&json, "expires", invite->invitation.expires);
    json_text(&json, "by", invite->owner);
    json_text(&json, "public", buf_text(&public_line));
    json_text(&json, "place", place);
    write_operations(&json, "hub", &plan->nodes[hub], newcomer, row_for(&plan->nodes[hub], newcomer));
    write_operations(&json, "node", &plan->nodes[newcomer], newcomer, NULL);
    json_list(&json, "addresses");
    for (size_t i = 0; i < invite->address_count; i++) {
        char text[PREFIX_TEXT_SIZE];
        prefix_text(&invite->addresses[i], text);
        json_text(&json, NULL, text);
    }
    json_list_end(&json);
    json_unsigned(&json, "relay_port", mesh_relay(plan->mesh) == hub ? plan->mesh->relay_port : 0);
    buf_free(&public_line);
}

/* Others that would send the newcomer's packets elsewhere, or nowhere. */
static void warn_of_routes(struct invite *invite)
{
    struct desired *desired = desired_new(invite->mesh);
    struct plan_options options = {.now = newest(look_observed(invite->look))};
    struct plan *plan = plan_new(invite->mesh, desired, look_observed(invite->look), &options);
    struct buf names = BUF_EMPTY;
    size_t count = 0;
    for (size_t i = 0; i < plan->node_count; i++)
        for (size_t o = 0; o < plan->nodes[i].count; o++) {
            const struct plan_operation *operation = &plan->nodes[i].operations[o];
            bool lacks = operation->kind == PLAN_ROW && operation->set_allowed && operation->running;
            for (size_t a = 0; lacks && a < invite->address_count; a++)
                if (is_covered(&invite->addresses[a], operation->allowed, operation->allowed_count)) {
                    buf_add_format(&names, "%s%s", count++ ? ", " : "", invite->mesh->nodes[i].name);
                    lacks = false;
                }
        }
    if (count)
        invite_warn(invite, "%s %s not yet what the mesh file says of the way to RelayNetwork, and will not reach %s until \"wgdeck apply\"", buf_text(&names), count == 1 ? "has" : "have",
                    invite->options.name);
    buf_free(&names);
    plan_free(plan);
    desired_free(desired);
}

static void fill_invitation(struct invite *invite)
{
    unsigned char id[INVITATION_ID_LENGTH / 2];
    struct invitation *invitation = &invite->invitation;
    randombytes_buf(id, sizeof id);
    sodium_bin2hex(invitation->id, sizeof invitation->id, id, sizeof id);
    randombytes_buf(invitation->seed, sizeof invitation->seed);
    key_make_preshared(&invite->place);
    snprintf(invitation->mesh, sizeof invitation->mesh, "%s", invite->mesh->name ? invite->mesh->name : "mesh");
    snprintf(invitation->name, sizeof invitation->name, "%s", invite->options.name);
    snprintf(invitation->hub, sizeof invitation->hub, "%s", invite_hub_name(invite));
    invitation->relay = invite->options.relay;
    invitation->expires = invite_hub_time(invite) + invite->options.seconds;
}

static int plan_both(struct invite *invite, struct buf *members, struct err *err)
{
    struct conf *conf;
    struct mesh *mesh = mesh_with(invite, &conf, err);
    int result = -1;
    if (mesh) {
        size_t newcomer = mesh_find_node(mesh, invite->options.name), hub = mesh_find_node(mesh, invite_hub_name(invite));
        bool *only = mem_alloc(mesh->node_count, sizeof *only);
        struct observed seen;
        struct desired *desired = desired_new(mesh);
        only[hub] = only[newcomer] = true;
        see(invite, mesh, newcomer, &seen);
        struct plan_options options = {.now = newest(&seen), .only = only};
        struct plan *plan = plan_new(mesh, desired, &seen, &options);
        result = check_plan(invite, plan, hub, newcomer, err);
        if (!result) {
            plan_set_key(plan, newcomer, &invite->place);
            write_request(invite, plan, hub, newcomer, members);
        }
        plan_free(plan);
        desired_free(desired);
        free(seen.nodes);
        free(only);
        mesh_free(mesh);
    }
    if (conf)
        conf_free(conf);
    return result;
}

int invite_make_request(struct invite *invite, struct buf *members, struct err *err)
{
    const struct observation *seen = &look_observed(invite->look)->nodes[invite->asked[0].node];
    if (check_hub(invite, seen, err) || check_open(invite, err) || check_joined(invite, seen, err) || choose_addresses(invite, seen, err))
        return -1;
    if (!invite_has_place(invite))
        return err_set(err, "no address is known by which a new machine would reach the sshd of %s: give it one with --address HOST[:PORT]", invite_hub_name(invite));
    fill_invitation(invite);
    if (invite->options.relay)
        warn_of_routes(invite);
    return plan_both(invite, members, err);
}
