/* What the parts of an invitation share: the checks of what may stand in one. Private to src/mesh/invitation*.c. */
#ifndef WGDECK_MESH_INVITATION_PARTS_H
#define WGDECK_MESH_INVITATION_PARTS_H

#include "wgdeck/invitation.h"

bool invitation_is_id(const char *text);   /* 16 hex digits, small */
bool invitation_is_public_line(const char *text); /* "ssh-ed25519 AAAA...", without a comment */
bool invitation_is_user(const char *text); /* a login name */
/* "ssh-ed25519 AAAA...": into the key as it goes over the wire (RFC 4253 section 6.6). The bytes written; 0: it is none, or has no room. */
size_t invitation_key_bytes(const char *text, unsigned char *bytes, size_t capacity);
/* The other way: false when the bytes are no such key or TEXT has no room. */
bool invitation_key_text(const unsigned char *bytes, size_t length, char *text, size_t capacity);

#endif
