/* The way to the hub for "wgdeck join": logged in with the invitation's key at the first of its places that answers, and a channel of lines to what runs there. */
#ifndef WGDECK_CMD_JOIN_SSH_H
#define WGDECK_CMD_JOIN_SSH_H

#include "wgdeck/join.h"

struct join_ssh;

struct join_ssh *join_ssh_new(const struct invitation *invitation, const volatile sig_atomic_t *stop); /* INVITATION is borrowed */
void join_ssh_free(struct join_ssh *ssh);
/* As join_options.open; a second one begins anew. */
int join_ssh_open(struct join_ssh *ssh, struct join_channel *hub, struct address *from, char place[static 80], struct err *err);

#endif
