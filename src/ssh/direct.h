/* A session with one given key to a host whose keys are given too (fanout_open_direct): nothing of the user's is read, nobody is asked. */
#ifndef WGDECK_SSH_DIRECT_H
#define WGDECK_SSH_DIRECT_H

#include <libssh/libssh.h>

#include "transport.h"
#include "wgdeck/fanout.h"

struct direct;

void direct_free(struct direct *direct); /* NULL is fine; wipes */
/* "ssh-ed25519 ...\nssh-rsa ...": the keys that the host may show, as host_key_algorithms reads them. */
const char *direct_pinned(const struct direct *direct);
enum host_key_decision direct_host_key(struct fanout_session *session, const char *type, const char *base64);
/* The key for the login, read when it is first wanted. NULL: it cannot be read, and the session has been told. */
ssh_key direct_key(struct fanout_session *session);

#endif
