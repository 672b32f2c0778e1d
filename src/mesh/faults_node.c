/* Faults of a node as a whole, by which all its links are dead: reach, engine, interface, private key (faults.md D10, N1, N3, K7). */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

/* How many others have heard from it within the life of a session; what it can still do is known only from them. */
static size_t heard_by_others(const struct context *context, size_t node, size_t *asked)
{
    size_t live = 0;
    *asked = 0;
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == node ? NULL : pair_of(context, i, node);
        const struct end *end = pair ? end_of(pair, i) : NULL;
        if (!end || !end->row)
            continue;
        ++*asked;
        live += end->age >= 0 && end->age <= AGE_LATE;
    }
    return live;
}

static void add_why(struct context *context, size_t node, size_t fault)
{
    const struct observation *seen = context->views[node].seen;
    if (seen->error || seen->reach != REACH_OK)
        fault_evidence(context, fault, "%s: %s", context->views[node].name, seen->error ? seen->error : "no usable answer");
    else
        fault_evidence(context, fault, "%s: none of its WireGuard interfaces could be read%s", context->views[node].name,
                       seen->privileged ? "" : "; the login is not allowed to");
    for (size_t i = 0; i < seen->skipped_count; i++)
        fault_evidence(context, fault, "%s: %s", context->views[node].name, seen->skipped[i]);
}

static void add_who_hears(struct context *context, size_t node, size_t fault)
{
    for (size_t i = 0; i < context->count; i++) {
        struct pair *pair = i == node ? NULL : pair_of(context, i, node);
        if (!pair || !end_of(pair, i)->row)
            continue;
        char *text = words_row(context, i, node, end_of(pair, i));
        fault_evidence(context, fault, "%s", text);
        free(text);
    }
}

/* @n: the node; @t: what ssh is given. */
static const char *const reach_remedies[] = {
    [FAILED_OTHERWISE] = "see whether @n runs and its sshd answers, by its provider's console if need be: ssh -v @t",
    [FAILED_UNRESOLVED] = "mend the name: Ssh in the mesh file, or HostName in the SSH configuration; what ssh makes of it: ssh -G @t",
    [FAILED_REFUSED] = "no sshd listens there, or a firewall refuses: start it by the provider's console (systemctl status ssh), or mend the port; "
                       "what ssh dials: ssh -G @t",
    [FAILED_TIMED_OUT] = "see by its provider's console whether @n runs, and whether firewalls let TCP through to its sshd; then: ssh -v @t",
    [FAILED_NETWORK] = "nothing leads there from this machine: see its routes and the address of @n; what ssh dials: ssh -G @t",
    [FAILED_HOST_KEY_UNKNOWN] = "compare the key with the host's own, shown by its console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; "
                                "only if they are the same, accept it: ssh -o StrictHostKeyChecking=ask @t",
    [FAILED_HOST_KEY_CHANGED] = "do not log in there and type no password before it is known why: someone may sit in between; if the host was "
                                "installed anew, compare its key by its console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; "
                                "only if they are the same, take the old key out of known_hosts, or out of HostKey in the mesh file",
    [FAILED_HOST_KEY_REVOKED] = "do not log in there: the key it shows is marked as revoked; give the host new keys by its console, and leave the mark",
    [FAILED_LOGIN] = "put your key into ~/.ssh/authorized_keys of that user there, or name the right user and key in the SSH configuration; "
                     "what is offered and refused: ssh -v @t",
    [FAILED_SETTINGS] = "mend the SSH settings that the evidence names; what ssh makes of them: ssh -G @t",
    [FAILED_AFTER_LOGIN] = "the login works, what runs there does not: see its disk, its memory and its load: ssh @t",
};

/* "host:port" is ours; ssh itself wants a URL for it. */
static void add_ssh_target(struct buf *buf, const char *target)
{
    const char *at = strrchr(target, '@'), *host = at ? at + 1 : target, *bracket = strrchr(host, ']'), *colon = strchr(bracket ? bracket : host, ':');
    bool port = colon && !strchr(colon + 1, ':') && strncmp(target, "ssh://", strlen("ssh://")) != 0;
    char *url = mem_format("%s%s", port ? "ssh://" : "", target);
    words_add_shell(buf, url);
    free(url);
}

static char *fill_in(const char *text, const char *name, const char *target)
{
    struct buf buf = BUF_EMPTY;
    for (; *text; text++)
        if (text[0] == '@' && (text[1] == 'n' || text[1] == 't'))
            buf_add_text(&buf, *++text == 'n' ? name : target);
        else
            buf_add_char(&buf, *text);
    return buf_take(&buf);
}

static void add_reach_remedy(const struct context *context, struct fault *fault, const struct node_view *view)
{
    const char *name = view->name;
    struct buf target = BUF_EMPTY;
    char *jump = mesh_jump_text(context->mesh, (size_t)(view - context->views));
    if (jump) {
        buf_add_text(&target, "-J ");
        words_add_shell(&target, jump);
        buf_add_char(&target, ' ');
    }
    free(jump);
    add_ssh_target(&target, view->node->ssh ? view->node->ssh : name);
    if (view->seen->reach == REACH_OK) {
        fault_remedy(fault, "log in to %s as root, or allow the login sudo, so that its WireGuard can be read", name);
    } else if (view->seen->reach == REACH_GARBLED) {
        fault_remedy(fault, "see what it prints to a command: ssh %s true", buf_text(&target));
    } else if (!view->node->ssh) {
        fault_remedy(fault, "give %s its Ssh = user@host in the mesh file", name);
    } else {
        char *text = fill_in(reach_remedies[view->seen->failure], name, buf_text(&target));
        fault_remedy(fault, "%s", text);
        free(text);
    }
    if (view->seen->reach != REACH_OK)
        fault_remedy_more(fault, "keep its rows on the other nodes");
    buf_free(&target);
}

/* D10. Never "down": SSH is one thing, its tunnels are another. */
static void name_unreachable(struct context *context, size_t node)
{
    struct node_view *view = &context->views[node];
    size_t asked, live = heard_by_others(context, node, &asked);
    struct fault *fault = fault_new(context, "host-unreachable", node, NONE);
    const char *what = view->seen->reach == REACH_FAILED ? "could not be looked at over SSH"
                       : view->seen->reach == REACH_GARBLED ? "answered over SSH with something that cannot be used"
                                                            : "was reached, but its WireGuard could not be read";
    if (live) {
        fault->severity = SEVERITY_WARNING;
        fault_summary(fault, "%s %s; its tunnels live: %zu of %zu nodes heard it within three minutes", view->name, what, live, asked);
    } else if (asked) {
        fault_summary(fault, "%s %s, and none of the %zu nodes with a row for it has heard it lately", view->name, what, asked);
    } else {
        fault_summary(fault, "%s %s; no other node tells anything of it", view->name, what);
    }
    if (view->seen->reach == REACH_OK)
        fault->severity = SEVERITY_WARNING;
    add_reach_remedy(context, fault, view);
    view->root = fault_index(context);
    add_why(context, node, view->root);
    add_who_hears(context, node, view->root);
}

static void detect_unreachable(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        bool failed = view->seen->reach == REACH_FAILED || view->seen->reach == REACH_GARBLED;
        if (failed || (view->seen->reach == REACH_OK && !view->looked))
            name_unreachable(context, i);
    }
}

static void stop(struct context *context, size_t node)
{
    context->views[node].stopped = true;
    context->views[node].root = fault_index(context);
}

static bool socket_is_dead(const struct node_view *view)
{
    for (size_t i = 0; i < view->seen->dead_socket_count; i++)
        if (strcmp(view->seen->dead_sockets[i], view->interface_name) == 0)
            return true;
    return false;
}

static void add_start_remedy(struct fault *fault, const struct node_view *view, const char *before)
{
    struct buf name = BUF_EMPTY;
    words_add_shell(&name, view->interface_name);
    if (view->config)
        fault_remedy(fault, "%son %s: systemctl restart wg-quick@%s (or wg-quick down %s && wg-quick up %s)", before, view->name, buf_text(&name),
                     buf_text(&name), buf_text(&name));
    else
        fault_remedy(fault, "%son %s: start whatever brings %s up there; no file /etc/wireguard/%s.conf was seen", before, view->name,
                     buf_text(&name), view->interface_name);
    buf_free(&name);
}

/* N3: a socket of a userspace engine that nothing answers, and no rows to be read in any other way. */
static void detect_engine_dead(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        if (view->seen->reach != REACH_OK || view->device || !socket_is_dead(view))
            continue;
        struct fault *fault = fault_new(context, "engine-dead", i, NONE);
        fault_summary(fault, "the WireGuard engine of %s on %s is dead: no tunnel of this node works", view->interface_name, view->name);
        add_start_remedy(fault, view, "");
        size_t index = fault_index(context);
        fault_evidence(context, index, "%s: nothing answers at the engine's socket of %s", view->name, view->interface_name);
        fault_evidence(context, index, "%s: the interface %s is %s", view->name, view->interface_name,
                       !view->interface ? "gone" : view->interface->up ? "still there and up" : "still there, and down");
        stop(context, i);
    }
}

static void name_interface_absent(struct context *context, size_t node)
{
    const struct node_view *view = &context->views[node];
    struct fault *fault = fault_new(context, "interface-down", node, NONE);
    fault_summary(fault, "%s has no interface %s: no tunnel of this node works", view->name, view->interface_name);
    add_start_remedy(fault, view, "");
    size_t index = fault_index(context);
    fault_evidence(context, index, "%s: no WireGuard interface %s is there", view->name, view->interface_name);
    for (size_t i = 0; i < view->seen->device_count; i++)
        fault_evidence(context, index, "%s: has the WireGuard interface %s", view->name, view->seen->devices[i].name);
    if (view->config)
        fault_evidence(context, index, "%s: %s is saved with %zu rows", view->name, view->config->path, view->saved->peer_count);
    if (!view->seen->kernel_has_wireguard)
        fault_evidence(context, index, "%s: its kernel has no WireGuard module", view->name);
    stop(context, node);
}

static void name_interface_down(struct context *context, size_t node)
{
    const struct node_view *view = &context->views[node];
    struct fault *fault = fault_new(context, "interface-down", node, NONE);
    struct buf name = BUF_EMPTY;
    words_add_shell(&name, view->interface_name);
    fault_summary(fault, "the interface %s of %s is down: no tunnel of this node works", view->interface_name, view->name);
    fault_remedy(fault, "on %s: ip link set %s up; routes and IPv6 addresses went with it, so better: wg-quick down %s && wg-quick up %s", view->name,
                 buf_text(&name), buf_text(&name), buf_text(&name));
    fault_evidence(context, fault_index(context), "%s: %s has %zu rows, and its flags lack UP", view->name, view->interface_name,
                   view->device->peer_count);
    buf_free(&name);
    stop(context, node);
}

/* N1. */
static void detect_interface_down(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        if (!view->looked || view->root != NONE)
            continue;
        if (!view->device)
            name_interface_absent(context, i);
        else if (view->interface && !view->interface->up)
            name_interface_down(context, i);
    }
}

/* K7: without its private key the engine can neither send nor answer a handshake. */
static void detect_no_private_key(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        struct node_view *view = &context->views[i];
        if (!view->device || view->device->has_private || view->root != NONE)
            continue;
        struct fault *fault = fault_new(context, "no-private-key", i, NONE);
        struct buf name = BUF_EMPTY;
        words_add_shell(&name, view->interface_name);
        bool saved = view->config && !key_is_zero(&view->config->device.public_key);
        fault_summary(fault, "%s holds no private key on %s: it can neither begin nor answer a handshake", view->name, view->interface_name);
        if (saved)
            fault_remedy(fault, "on %s, as root: put the saved key back: wg set %s private-key <(sed -n 's/^ *PrivateKey *= *//p' %s)",
                         view->name, buf_text(&name), view->config->path);
        else
            fault_remedy(fault, "on %s, as root: wg set %s private-key FILE; FILE is where its key is kept; if the key is lost, make a new one (wg genkey) and give its public key to the others",
                         view->name, buf_text(&name));
        size_t index = fault_index(context);
        fault_evidence(context, index, "%s: the private key of %s is (none)", view->name, view->interface_name);
        if (saved)
            fault_evidence(context, index, "%s: %s has one", view->name, view->config->path);
        buf_free(&name);
        view->key_named = true;
        stop(context, i);
    }
}

static const struct detector detectors[] = {
    {"host-unreachable", detect_unreachable},
    {"engine-dead", detect_engine_dead},
    {"interface-down", detect_interface_down},
    {"no-private-key", detect_no_private_key},
};
const struct stage stage_node = {detectors, COUNT_OF(detectors)};
