/* Names, addresses and keys hidden in texts, before a screen is shown around. */
#ifndef WGDECK_TUI_PRIVACY_H
#define WGDECK_TUI_PRIVACY_H

#include "wgdeck/buf.h"
#include "wgdeck/mesh.h"
#include "wgdeck/observed.h"

/* What was hidden so far: the same address is address-3 everywhere. */
struct privacy;
struct privacy *privacy_new(void);
void privacy_free(struct privacy *privacy);

void privacy_renew(struct privacy *privacy); /* there is a new picture: hosts may tell their names now */
/* Adds TEXT with everything hidden that tells whose mesh it is. OBSERVED may be NULL. */
void privacy_hide(struct privacy *privacy, const struct mesh *mesh, const struct observed *observed, const char *text, struct buf *buf);
size_t privacy_group(struct privacy *privacy, const struct mesh *mesh, const struct observed *observed, size_t node); /* its number, from 1; 0: none */

#endif
