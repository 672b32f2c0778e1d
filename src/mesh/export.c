/* One node of the mesh as other tools want it. What the tools cannot say (a preshared key that stays on the nodes, a row without a key) is a comment and a note. */
#include "wgdeck/export.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "wgdeck/json.h"
#include "wgdeck/mem.h"

struct exporting {
    const struct mesh *mesh;
    const struct mesh_node *node;
    const struct desired_node *wants;
    const struct key *private_key;
    struct exported *exported;
    size_t without_preshared;   /* rows whose preshared key is not in the file */
};

/* Larger than any file of 1,000 rows, so that no copy of a private key is left behind by growing: the key stands near the beginning. */
enum { ROOM = 1 << 20 };

static struct buf *begin_part(struct exporting *exporting, const char *suffix)
{
    struct export_part *part = &exporting->exported->parts[exporting->exported->count++];
    part->suffix = suffix;
    if (exporting->private_key)
        buf_reserve(&part->text, ROOM);
    return &part->text;
}

static const struct key *key_of_row(const struct exporting *exporting, const struct desired_row *row)
{
    const struct mesh_node *peer = &exporting->mesh->nodes[row->peer];
    return peer->has_public_key ? &peer->public_key : NULL;
}

/* A node that SSH does not reach can be given no preshared key, and its rows on the others have none. */
static bool is_preshared(const struct exporting *exporting, const struct desired_row *row)
{
    return row->preshared && exporting->node->ssh && exporting->mesh->nodes[row->peer].ssh;
}

static void note_rows(struct exporting *exporting)
{
    struct buf *notes = &exporting->exported->notes;
    for (size_t i = 0; i < exporting->wants->row_count; i++) {
        const struct desired_row *row = &exporting->wants->rows[i];
        if (!key_of_row(exporting, row))
            buf_add_format(notes, "%s is left out: its public key is not known yet (\"wgdeck apply\" learns it, then export again)\n",
                           exporting->mesh->nodes[row->peer].name);
        else
            exporting->without_preshared += is_preshared(exporting, row);
    }
    if (exporting->without_preshared)
        buf_add_format(notes, "the mesh has preshared keys, which stay on the nodes: %zu row%s here %s without one (set it on both ends with \"wg set\", or PresharedKeys = no)\n",
                       exporting->without_preshared, exporting->without_preshared == 1 ? "" : "s", exporting->without_preshared == 1 ? "is" : "are");
}

static void add_key(struct buf *out, const char *before, const struct key *key)
{
    char text[KEY_TEXT_SIZE];
    key_text(key, text);
    buf_add_format(out, "%s%s\n", before, text);
    sodium_memzero(text, sizeof text);
}

static void add_prefixes(struct buf *out, const char *before, const struct prefix *prefixes, size_t count)
{
    char text[PREFIX_TEXT_SIZE];
    buf_add_text(out, before);
    for (size_t i = 0; i < count; i++) {
        prefix_text(&prefixes[i], text);
        buf_add_format(out, "%s%s", i ? ", " : "", text);
    }
    buf_add_char(out, '\n');
}

/* What wg-quick's and networkd's [Peer] have in common, but for the spelling of '='. */
static void add_row(const struct exporting *exporting, const struct desired_row *row, const char *header, const char *equals, struct buf *out)
{
    const struct key *key = key_of_row(exporting, row);
    char *text;
    if (!key)
        return;
    buf_add_format(out, "\n%s\n# %s\n", header, exporting->mesh->nodes[row->peer].name);
    text = mem_format("PublicKey%s", equals);
    add_key(out, text, key);
    free(text);
    if (is_preshared(exporting, row))
        buf_add_text(out, "# this pair has a preshared key, which stays on the nodes\n");
    text = mem_format("AllowedIPs%s", equals);
    if (row->allowed_count)
        add_prefixes(out, text, row->allowed, row->allowed_count);
    free(text);
    if (row->endpoint)
        buf_add_format(out, "Endpoint%s%s\n", equals, row->endpoint);
    if (row->keepalive)
        buf_add_format(out, "PersistentKeepalive%s%u\n", equals, row->keepalive);
}

/* A phone, which nobody looks for at a port, takes any. */
static bool listens(const struct exporting *exporting)
{
    return exporting->wants->listen_port && (exporting->node->endpoint_host || exporting->node->ssh);
}

static void write_wg_quick(struct exporting *exporting)
{
    const struct desired_node *wants = exporting->wants;
    struct buf *out = begin_part(exporting, "");
    buf_add_format(out, "# %s of the mesh %s, from wgdeck export: /etc/wireguard/%s.conf, mode 0600\n[Interface]\n", exporting->node->name,
                   exporting->mesh->name, wants->interface);
    if (exporting->private_key)
        add_key(out, "PrivateKey = ", exporting->private_key);
    else
        buf_add_text(out, "# its private key stays on the node, alone in this file (mode 0600)\nPostUp = wg set %i private-key /etc/wireguard/%i.key\n");
    add_prefixes(out, "Address = ", wants->addresses, wants->address_count);
    if (listens(exporting))
        buf_add_format(out, "ListenPort = %u\n", wants->listen_port);
    if (wants->mtu)
        buf_add_format(out, "MTU = %u\n", wants->mtu);
    for (size_t i = 0; i < wants->row_count; i++)
        add_row(exporting, &wants->rows[i], "[Peer]", " = ", out);
}

/* The addresses' own networks are routed by having the address. */
static bool is_on_link(const struct desired_node *wants, const struct prefix *prefix)
{
    for (size_t i = 0; i < wants->address_count; i++) {
        struct prefix network = prefix_network(&wants->addresses[i]);
        if (prefix_covers(&network, prefix))
            return true;
    }
    return false;
}

static void write_network(struct exporting *exporting)
{
    const struct desired_node *wants = exporting->wants;
    struct buf *out = begin_part(exporting, ".network");
    char text[PREFIX_TEXT_SIZE];
    buf_add_format(out, "# %s of the mesh %s, from wgdeck export: /etc/systemd/network/%s.network\n[Match]\nName=%s\n\n[Network]\n", exporting->node->name,
                   exporting->mesh->name, wants->interface, wants->interface);
    for (size_t i = 0; i < wants->address_count; i++) {
        prefix_text(&wants->addresses[i], text);
        buf_add_format(out, "Address=%s\n", text);
    }
    if (wants->forwards4 || wants->forwards6)
        buf_add_format(out, "# networkd before 256 calls both of these IPForward=\n%s%s", wants->forwards4 ? "IPv4Forwarding=yes\n" : "",
                       wants->forwards6 ? "IPv6Forwarding=yes\n" : "");
    for (size_t i = 0; i < wants->row_count; i++)
        for (size_t j = 0; key_of_row(exporting, &wants->rows[i]) && j < wants->rows[i].allowed_count; j++) {
            if (is_on_link(wants, &wants->rows[i].allowed[j]))
                continue;
            prefix_text(&wants->rows[i].allowed[j], text);
            buf_add_format(out, "\n[Route]\nDestination=%s\nScope=link\n", text);
        }
}

static void write_networkd(struct exporting *exporting)
{
    const struct desired_node *wants = exporting->wants;
    struct buf *out = begin_part(exporting, ".netdev");
    buf_add_format(out, "# %s of the mesh %s, from wgdeck export: /etc/systemd/network/%s.netdev, root:systemd-network, mode 0640\n", exporting->node->name,
                   exporting->mesh->name, wants->interface);
    buf_add_format(out, "[NetDev]\nName=%s\nKind=wireguard\n", wants->interface);
    if (wants->mtu)
        buf_add_format(out, "MTUBytes=%u\n", wants->mtu);
    buf_add_text(out, "\n[WireGuard]\n");
    if (exporting->private_key)
        add_key(out, "PrivateKey=", exporting->private_key);
    else
        buf_add_format(out, "# its private key stays on the node, alone in this file (root:systemd-network, mode 0640)\nPrivateKeyFile=/etc/wireguard/%s.key\n",
                       wants->interface);
    if (listens(exporting))
        buf_add_format(out, "ListenPort=%u\n", wants->listen_port);
    for (size_t i = 0; i < wants->row_count; i++)
        add_row(exporting, &wants->rows[i], "[WireGuardPeer]", "=", out);
    write_network(exporting);
}

static void add_prefix_list(struct json *json, const char *key, const struct prefix *prefixes, size_t count)
{
    char text[PREFIX_TEXT_SIZE];
    json_list(json, key);
    for (size_t i = 0; i < count; i++) {
        prefix_text(&prefixes[i], text);
        json_text(json, NULL, text);
    }
    json_list_end(json);
}

static void add_key_member(struct json *json, const char *name, const struct key *key)
{
    char text[KEY_TEXT_SIZE];
    if (key)
        key_text(key, text);
    json_text(json, name, key ? text : NULL);
    sodium_memzero(text, sizeof text);
}

static void write_json(struct exporting *exporting)
{
    const struct desired_node *wants = exporting->wants;
    struct buf *out = begin_part(exporting, "");
    struct json json = json_begin(out);
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_text(&json, "mesh", exporting->mesh->name);
    json_text(&json, "node", exporting->node->name);
    json_text(&json, "ssh", exporting->node->ssh);
    json_text(&json, "interface", wants->interface);
    add_key_member(&json, "public_key", exporting->node->has_public_key ? &exporting->node->public_key : NULL);
    if (exporting->private_key)
        add_key_member(&json, "private_key", exporting->private_key);
    json_number(&json, "listen_port", listens(exporting) ? wants->listen_port : 0);
    if (wants->mtu)
        json_number(&json, "mtu", wants->mtu);
    add_prefix_list(&json, "addresses", wants->addresses, wants->address_count);
    json_list(&json, "peers");
    for (size_t i = 0; i < wants->row_count; i++) {
        const struct desired_row *row = &wants->rows[i];
        json_object(&json, NULL);
        json_text(&json, "name", exporting->mesh->nodes[row->peer].name);
        add_key_member(&json, "public_key", key_of_row(exporting, row));
        add_prefix_list(&json, "allowed_ips", row->allowed, row->allowed_count);
        json_text(&json, "endpoint", row->endpoint);
        json_number(&json, "keepalive", row->keepalive);
        json_bool(&json, "preshared", is_preshared(exporting, row));
        json_object_end(&json);
    }
    json_list_end(&json);
    json_object_end(&json);
    buf_add_char(out, '\n');
}

static void (*const writers[EXPORT_FORMAT_COUNT])(struct exporting *exporting) = {
    [EXPORT_WG_QUICK] = write_wg_quick,
    [EXPORT_NETWORKD] = write_networkd,
    [EXPORT_JSON] = write_json,
};

int export_format_parse(const char *word, enum export_format *format)
{
#define X(name, text, help) text,
    static const char *const words[] = {EXPORT_FORMATS(X)};
#undef X
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (!strcmp(words[i], word)) {
            *format = (enum export_format)i;
            return 0;
        }
    return -1;
}

void export_node(const struct mesh *mesh, const struct desired *desired, size_t node, enum export_format format, const struct key *private_key,
                 struct exported *exported)
{
    struct exporting exporting = {.mesh = mesh, .node = &mesh->nodes[node], .wants = &desired->nodes[node], .private_key = private_key, .exported = exported};
    *exported = (struct exported){.count = 0};
    writers[format](&exporting);
    note_rows(&exporting);
    if (!private_key && format != EXPORT_JSON)
        buf_add_format(&exported->notes, "the private key stays on the node: it has to stand alone in /etc/wireguard/%s.key there\n", exporting.wants->interface);
}

void exported_free(struct exported *exported)
{
    for (size_t i = 0; i < exported->count; i++)
        buf_wipe(&exported->parts[i].text);
    buf_free(&exported->notes);
    *exported = (struct exported){.count = 0};
}
