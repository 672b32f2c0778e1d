/* Faults in a few words, for headlines and rows; and a remedy in its parts. */
#include "words.h"

#include <ctype.h>
#include <string.h>

#include "wgdeck/mem.h"

/* %0, %1: the node to look at first, and the other one; %f, %t: of the direction that suffers. The first that all is known for is taken, one with +
 * only of a fault that explains more than one other thing; a kind without a row here is named by its title. */
static const struct { const char *id, *words; } phrases[] = {
    {"peer-missing", "%0 has no row for %1"},
    {"peers-missing-both", "%0 and %1 have no rows for each other"},
    {"wrong-key", "+%0 has another key than others hold"},
    {"wrong-key", "keys of %0 and %1 do not match"},
    {"wrong-key", "%0 shows another key"},
    {"key-half-rotated", "the new key of %1 is not everywhere"},
    {"ghost-peer", "%0 has a row for nobody"},
    {"duplicate-key", "%0 and %1 have the same key"},
    {"no-private-key", "%0 has no private key"},
    {"psk-mismatch", "preshared keys of %0 and %1 differ"},
    {"key-exposed", "the private key of %0 is exposed"},
    {"duplicate-address", "%0 and %1 have the same address"},
    {"allowed-ips-stolen", "AllowedIPs on %0 taken by another row"},
    {"allowed-ips-overlap", "AllowedIPs on %0 overlap"},
    {"allowed-ips-missing", "AllowedIPs missing on %0 for %1"},
    {"allowed-ips-too-wide", "AllowedIPs too wide on %0 for %1"},
    {"subnet-collision", "a network of %0 collides with another"},
    {"address-drift", "%0 has another address than it should"},
    {"endpoint-unknown", "%0 and %1 have no endpoint for each other"},
    {"endpoint-stale", "%0 calls %1 at a wrong address"},
    {"endpoint-port", "%0 calls %1 at a wrong port"},
    {"listen-port-drift", "%0 listens on another port than it should"},
    {"endpoint-in-tunnel", "%0 sends its own tunnel to %1 into the tunnel"},
    {"keepalive-missing", "%0 is behind NAT and sends no keepalive"},
    {"no-path-nat", "%0 and %1 are both behind NAT"},
    {"nat-port-clash", "%0 and %1 share one NAT port"},
    {"udp-blocked", "nothing from %f reaches %t by UDP"},
    {"udp-blocked", "UDP between %0 and %1 is blocked"},
    {"udp-blocked", "%0 cannot be reached by UDP"},
    {"udp-blocked-one-way", "nothing from %f reaches %t by UDP"},
    {"mtu-blackhole", "big packets from %f to %t vanish"},
    {"mtu-mismatch", "the MTU of %0 does not fit"},
    {"route-missing", "%0 has no route into the tunnel"},
    {"route-shadowed", "on %0 another route wins over the tunnel's"},
    {"routes-flushed", "routes of %0 were flushed"},
    {"forwarding-off", "%0 does not forward"},
    {"host-unreachable", "%0 cannot be looked at"},
    {"interface-down", "the interface of %0 is down"},
    {"module-missing", "the kernel of %0 has no WireGuard"},
    {"engine-dead", "the engine of %0 is dead"},
    {"not-enabled-at-boot", "%0 would not start at boot"},
    {"config-drift", "%0 runs something else than it has saved"},
    {"clock-behind", "the clock of %0 is behind"},
    {"clock-skew", "the clock of %0 is off"},
};

static size_t phrase_node(const struct fault *fault, char which)
{
    return which == '0' ? fault->nodes[0] : which == '1' ? fault->nodes[1] : !fault->directed ? SIZE_MAX : which == 'f' ? fault->from : fault->to;
}

/* Adds the phrase if all its nodes are known. */
static bool add_phrase(const struct scene *scene, const struct fault *fault, const char *words, struct buf *buf)
{
    for (const char *at = words; (at = strchr(at, '%')); at++)
        if (phrase_node(fault, at[1]) >= scene->picture.mesh->node_count)
            return false;
    struct buf name = BUF_EMPTY;
    for (; *words; words++)
        if (*words == '%')
            buf_add_text(buf, scene_name(scene, phrase_node(fault, *++words), &name));
        else
            buf_add_char(buf, *words);
    buf_free(&name);
    return true;
}

static void add_title(const struct fault *fault, struct buf *buf)
{
    const char *title = fault->kind->title;
    bool word = isupper((unsigned char)title[0]) && islower((unsigned char)title[1]); /* not "UDP", "MTU", "AllowedIPs" */
    if (word && strncmp(title, "AllowedIPs", 10) != 0) {
        buf_add_char(buf, (char)tolower((unsigned char)title[0]));
        title++;
    }
    buf_add_text(buf, title);
}

void words_fault(const struct scene *scene, const struct fault *fault, struct buf *buf)
{
    for (size_t i = 0; i < COUNT_OF(phrases); i++)
        if (!strcmp(phrases[i].id, fault->kind->id)) {
            bool wide = *phrases[i].words == '+';
            if ((!wide || fault->consequence_count > 1) && add_phrase(scene, fault, phrases[i].words + wide, buf))
                return;
        }
    if (!add_phrase(scene, fault, "%0 and %1: ", buf))
        add_phrase(scene, fault, "%0: ", buf);
    add_title(fault, buf);
}

void words_fault_beside(const struct scene *scene, const struct fault *fault, size_t node, struct buf *buf)
{
    size_t other = fault->nodes[0] == node ? fault->nodes[1] : fault->nodes[0];
    buf_add_text(buf, fault->kind->title);
    if (node == SIZE_MAX || (node == fault->nodes[0] && fault->consequence_count > 1) || other >= scene->picture.mesh->node_count)
        return;
    struct buf name = BUF_EMPTY;
    buf_add_format(buf, ": %s", scene_name(scene, other, &name));
    buf_free(&name);
}

int64_t words_fault_since(const struct scene *scene, const struct fault *fault)
{
    (void)scene; /* the live mesh has asked its log already */
    return fault->since;
}

struct look_of words_event_look(const struct event *event)
{
    bool mended = event->kind == EVENT_NODE_BACK || event->kind == EVENT_INTERFACE_UP || event->kind == EVENT_LINK_MENDED || event->kind == EVENT_FAULT_CLOSED;
    return mended ? (struct look_of){GLYPH_GOOD, STYLE_GOOD} : look_of_severity(event->severity);
}

/* A node's own fault explains its links when it stops them all. */
static const struct fault *stopping_fault(const struct scene *scene, size_t node)
{
    const struct fault *fault = scene_fault_of_node(scene, node);
    return fault && fault->severity == SEVERITY_ERROR && fault->nodes[1] == SIZE_MAX ? fault : NULL;
}

/* A fault of one of its ends that names it among what it explains: "link api-db is dead". */
static const struct fault *explaining_fault(const struct scene *scene, const struct link *link)
{
    const struct diagnosis *diagnosis = scene->picture.diagnosis;
    const struct mesh_node *nodes = scene->picture.mesh->nodes;
    struct buf begin = BUF_EMPTY;
    const struct fault *found = NULL;
    buf_add_format(&begin, "link %s-%s", nodes[link->a].name, nodes[link->b].name);
    for (size_t i = 0; i < diagnosis->fault_count && !found; i++) {
        const struct fault *fault = &diagnosis->faults[i];
        bool of_end = fault->nodes[0] == link->a || fault->nodes[0] == link->b || fault->nodes[1] == link->a || fault->nodes[1] == link->b;
        for (size_t k = 0; of_end && !found && k < fault->consequence_count; k++)
            if (!strncmp(fault->consequences[k], buf_text(&begin), begin.length) && strchr(" :", fault->consequences[k][begin.length]))
                found = fault;
    }
    buf_free(&begin);
    return found;
}

const struct fault *words_link_fault(const struct scene *scene, const struct link *link)
{
    const struct fault *fault = scene_fault_of_link(scene, link->a, link->b);
    if (fault || link_is_well(link))
        return fault;
    fault = stopping_fault(scene, link->a);
    fault = fault ? fault : stopping_fault(scene, link->b);
    return fault ? fault : explaining_fault(scene, link);
}

void words_link_trouble(const struct scene *scene, const struct link *link, struct buf *buf)
{
    const struct fault *fault = words_link_fault(scene, link);
    bool own = fault && fault->nodes[1] != SIZE_MAX && scene_fault_of_link(scene, link->a, link->b) == fault;
    if (own)
        words_fault_beside(scene, fault, SIZE_MAX, buf);
    else if (fault) { /* said of another place: say of which */
        struct buf name = BUF_EMPTY;
        buf_add_format(buf, "%s: %s", fault->kind->title, scene_name(scene, fault->nodes[0], &name));
        buf_free(&name);
    } else if (link->state == LINK_HALF)
        buf_add_text(buf, "one end only has a row");
    else if (link->state == LINK_UNKNOWN)
        buf_add_text(buf, "neither end could be seen");
    else if (link->state == LINK_NEVER)
        buf_add_text(buf, "there never was a handshake");
    else if (link->state == LINK_LATE)
        buf_add_text(buf, "handshake older than it should be");
}
