/* One node of the mesh in the forms of other tools: wg-quick's file, systemd-networkd's two files, JSON. Pure. No private key of a node that wgdeck reaches is in them: it stays on
 * the node, and the file says where. */
#ifndef WGDECK_EXPORT_H
#define WGDECK_EXPORT_H

#include "wgdeck/buf.h"
#include "wgdeck/desired.h"

#define EXPORT_FORMATS(X) \
    X(WG_QUICK, "wg-quick", "a file for wg-quick(8) and the WireGuard programs of other systems") \
    X(NETWORKD, "networkd", "a .netdev and a .network file for systemd-networkd") \
    X(JSON, "json", "JSON, schema 1, which \"wgdeck import\" reads")

enum export_format {
#define X(name, word, help) EXPORT_##name,
    EXPORT_FORMATS(X)
#undef X
    EXPORT_FORMAT_COUNT
};
int export_format_parse(const char *word, enum export_format *format); /* 0, or -1 */

enum { EXPORT_PARTS_MAX = 2 };
struct export_part {
    const char *suffix;  /* ".netdev", ".network"; "" when there is one part only */
    struct buf text;     /* holds PRIVATE_KEY when there is one: buf_wipe */
};
struct exported {
    struct export_part parts[EXPORT_PARTS_MAX];
    size_t count;
    struct buf notes;    /* lines for a person: what could not be written, and what is left to do */
};

/* PRIVATE_KEY: made just now for this node, and written into it; or NULL: it stays where it is. Rows of nodes whose public key is not known yet are left out, with a note. */
void export_node(const struct mesh *mesh, const struct desired *desired, size_t node, enum export_format format, const struct key *private_key,
                 struct exported *exported);
void exported_free(struct exported *exported); /* wipes */

#endif
