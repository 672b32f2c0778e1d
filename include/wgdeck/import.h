/* A mesh file from the files of other tools: wg-quick's (one for each node), and what "wgdeck export --format json" writes. Pure. Secrets in them become public keys, and are overwritten. */
#ifndef WGDECK_IMPORT_H
#define WGDECK_IMPORT_H

#include <stddef.h>

#include "wgdeck/buf.h"
#include "wgdeck/conf.h"
#include "wgdeck/err.h"

struct import; /* opaque */

enum { IMPORT_FILES_MAX = 10000, IMPORT_BYTES_MAX = 16 << 20 };

struct import *import_new(void);
void import_free(struct import *import);
/* One node's file. PATH is for messages, and tells the node's name ("api.conf", "api/wg0.conf"), as comments do. BYTES: private and preshared keys in it are overwritten, also
 * after an error. WARNINGS: lines. 0, or -1 with err, in which no key stands. */
int import_add(struct import *import, const char *path, char *bytes, size_t length, struct buf *warnings, struct err *err);
/* Fills the empty document CONF, as adopt_mesh does from nodes that were looked at; a key that stands in rows but has no file of its own becomes a node without Ssh when its
 * address is known. NOTES gets lines for a person. 0, or -1 with err. */
int import_mesh(struct import *import, struct conf *conf, struct buf *notes, struct err *err);

#endif
