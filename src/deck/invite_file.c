/* What invitations change in the mesh file: an ordinary member stands in it as soon as it is invited, with its address; one that joins by the relay when it has joined. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "invite_private.h"
#include "wgdeck/mem.h"

static char *addresses_text(const struct prefix *addresses, size_t count)
{
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < count; i++) {
        char one[ADDRESS_TEXT_SIZE];
        address_text(&addresses[i].address, one);
        buf_add_format(&text, "%s%s", i ? ", " : "", one);
    }
    return buf_take(&text);
}

static void add_node(struct mesh_edits *edits, const char *name, const struct prefix *addresses, size_t count)
{
    char *text = addresses_text(addresses, count);
    mesh_edits_add(edits, MESH_EDIT_ADD_NODE, name, NULL, NULL);
    mesh_edits_add(edits, MESH_EDIT_SET, name, "Address", text);
    free(text);
}

void invite_file_newcomer(const struct invite *invite, struct mesh_edits *edits)
{
    const struct mesh_node *hub = &invite->mesh->nodes[invite->asked[0].node];
    add_node(edits, invite->options.name, invite->addresses, invite->address_count);
    if (invite->mesh->topology == TOPOLOGY_GROUPS && hub->group && !invite->options.relay)
        mesh_edits_add(edits, MESH_EDIT_SET, invite->options.name, "Group", hub->group); /* who lets it in is its gateway */
}

int invite_file_reserve(struct invite *invite, struct err *err)
{
    struct mesh_file *file = invite->options.file;
    struct mesh_edits edits = {0};
    if (invite->exists || invite->options.relay)
        return 0;
    buf_clear(&invite->before);
    buf_add(&invite->before, buf_text(&file->bytes), file->bytes.length);
    invite_file_newcomer(invite, &edits);
    int result = mesh_file_edit(file, &edits, err);
    mesh_edits_free(&edits);
    invite->edited = !result;
    return result;
}

/* Only what was written at its invitation: its addresses, and its group where it needs one. */
static bool is_bare(const struct mesh *mesh, const struct mesh_node *node)
{
    return !node->ssh && !node->has_public_key && !node->endpoint_host && !node->host_key && (!node->group || mesh->topology == TOPOLOGY_GROUPS) && node->role == ROLE_NONE && !node->allowed_count && !node->mtu && !node->jump &&
           !node->former_key_count;
}

static int take_out(struct invite *invite, const char *name, struct err *err)
{
    struct mesh_edits edits = {0};
    mesh_edits_add(&edits, MESH_EDIT_REMOVE_NODE, name, NULL, NULL);
    mesh_edits_add(&edits, MESH_EDIT_FORGET, name, NULL, NULL); /* nobody ever had its address */
    int result = mesh_file_edit(invite->options.file, &edits, err);
    mesh_edits_free(&edits);
    return result;
}

void invite_file_put_back(struct invite *invite)
{
    struct err err;
    if (!invite->edited)
        return;
    invite->edited = false;
    int result = mesh_file_undo(invite->options.file, &invite->before, &err);
    if (result > 0) /* somebody wrote into it meanwhile: only our section goes */
        result = take_out(invite, invite->options.name, &err);
    if (result)
        invite_warn(invite, "[Node %s], which was written into %s for the invitation, could not be taken out again: %s", invite->options.name, invite->options.file->path, err.text);
}

int invite_file_withdraw(struct invite *invite, const struct invite_row *row, struct err *err)
{
    const struct mesh *mesh = invite->options.file->mesh;
    size_t node = mesh_find_node(mesh, row->name);
    if (row->relay || node == SIZE_MAX || !is_bare(mesh, &mesh->nodes[node]))
        return 0;
    if (take_out(invite, row->name, err))
        return -1;
    invite_say(invite, "[Node %s] was taken out of %s again", row->name, invite->options.file->path);
    return 0;
}

/* --- who has joined */

static int check_recorded(const struct invite *invite, const struct mesh_node *node, const struct invite_row *row, struct err *err)
{
    char has[KEY_TEXT_SIZE], shows[KEY_TEXT_SIZE];
    if (!node->has_public_key || !key_compare(&node->public_key, &row->key))
        return 0;
    key_text(&node->public_key, has);
    key_text(&row->key, shows);
    return err_set(err, "%s says the key %.8s... of %s, and it joined with %.8s...: if that is the same machine: wgdeck set %s PublicKey=%s", invite->options.file->path, has, node->name, shows,
                   node->name, shows);
}

/* "SHA256:..." as ssh shows it. */
static char *fingerprint(const char *host_key)
{
    unsigned char bytes[1024], hash[crypto_hash_sha256_BYTES];
    char text[sodium_base64_ENCODED_LEN(sizeof hash, sodium_base64_VARIANT_ORIGINAL_NO_PADDING)];
    const char *gap = strchr(host_key, ' ');
    size_t length;
    if (!gap || sodium_base642bin(bytes, sizeof bytes, gap + 1, strlen(gap + 1), NULL, &length, NULL, sodium_base64_VARIANT_ORIGINAL))
        return mem_text("?");
    crypto_hash_sha256(hash, bytes, length);
    sodium_bin2base64(text, sizeof text, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    return mem_format("SHA256:%s", text);
}

/* The way of SSH to a node that joined by the relay: as root at its address in the mesh, through the hub; the host key is what it said of itself when it joined. */
static void add_ssh(const struct invite *invite, const struct invite_row *row, struct mesh_edits *edits)
{
    char address[ADDRESS_TEXT_SIZE];
    address_text(&row->addresses[0].address, address);
    char *ssh = mem_format("root@%s", address);
    mesh_edits_add(edits, MESH_EDIT_SET, row->name, "Ssh", ssh);
    mesh_edits_add(edits, MESH_EDIT_SET, row->name, "Jump", invite->mesh->nodes[row->hub].name);
    if (row->host_key)
        mesh_edits_add(edits, MESH_EDIT_SET, row->name, "HostKey", row->host_key);
    free(ssh);
}

static void say_ssh(struct invite *invite, const struct invite_row *row)
{
    char address[ADDRESS_TEXT_SIZE];
    address_text(&row->addresses[0].address, address);
    invite_say(invite, "SSH to it goes through %s (Ssh = root@%s, Jump = %s): your key must be among those that root takes there; \"wgdeck set %s Ssh=...\" changes it",
               invite->mesh->nodes[row->hub].name, address, invite->mesh->nodes[row->hub].name, row->name);
    if (!row->host_key)
        return;
    char *shown = fingerprint(row->host_key);
    invite_say(invite, "its SSH host key, as it told %s when it joined: %s", invite->mesh->nodes[row->hub].name, shown);
    free(shown);
}

static bool is_of_relay(const struct mesh *mesh, const struct invite_row *row)
{
    for (size_t i = 0; i < row->address_count; i++) {
        bool inside = false;
        for (size_t k = 0; k < mesh->relay_network_count; k++)
            inside |= prefix_covers(&mesh->relay_networks[k], &row->addresses[i]);
        if (!inside)
            return false;
    }
    return row->address_count > 0;
}

static bool has_addresses(const struct mesh_node *node, const struct invite_row *row)
{
    for (size_t i = 0; i < row->address_count; i++) {
        bool found = false;
        for (size_t k = 0; k < node->address_count; k++)
            found |= !address_compare(&node->addresses[k].address, &row->addresses[i].address);
        if (!found)
            return false;
    }
    return row->address_count == node->address_count;
}

/* A hub is believed about who has joined, not about what a mesh file gives to others: a node of the file has the addresses that stand there, and one that is not in it those of RelayNetwork. */
static int check_addresses(const struct invite *invite, size_t node, const struct invite_row *row, struct err *err)
{
    const struct mesh *mesh = invite->options.file->mesh;
    const char *hub = invite->mesh->nodes[row->hub].name;
    if (node != SIZE_MAX)
        return has_addresses(&mesh->nodes[node], row) ? 0 : err_set(err, "%s says that %s joined with other addresses than %s gives it: look into that before you record it", hub, row->name,
                                                                    invite->options.file->path);
    if (row->relay && is_of_relay(mesh, row))
        return 0;
    return err_set(err, "%s says that %s joined, which %s does not know, and not with an address of RelayNetwork: nothing is recorded", hub, row->name, invite->options.file->path);
}

int invite_file_record(struct invite *invite, const struct invite_row *row, struct err *err)
{
    struct mesh_file *file = invite->options.file;
    size_t node = mesh_find_node(file->mesh, row->name);
    struct mesh_edits edits = {0};
    char key[KEY_TEXT_SIZE];
    if ((node != SIZE_MAX && check_recorded(invite, &file->mesh->nodes[node], row, err)) || check_addresses(invite, node, row, err))
        return -1;
    bool had_key = node != SIZE_MAX && file->mesh->nodes[node].has_public_key, has_ssh = node != SIZE_MAX && file->mesh->nodes[node].ssh;
    key_text(&row->key, key);
    if (node == SIZE_MAX)
        add_node(&edits, row->name, row->addresses, row->address_count);
    mesh_edits_add(&edits, MESH_EDIT_SET, row->name, "PublicKey", key);
    if (row->relay && !has_ssh)
        add_ssh(invite, row, &edits);
    int result = mesh_file_edit(file, &edits, err);
    mesh_edits_free(&edits);
    if (result)
        return -1;
    if (had_key && (has_ssh || !row->relay))
        invite_say(invite, "%s is in %s already", row->name, file->path);
    else if (row->relay)
        invite_say(invite, "%s is in %s now", row->name, file->path);
    else
        invite_say(invite, "the key of %s is in %s now; \"wgdeck apply\" makes it known to the other nodes", row->name, file->path);
    if (row->relay && !has_ssh)
        say_ssh(invite, row);
    return 0;
}
