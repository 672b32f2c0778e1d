/* ssh-agent without waiting for it (trap 4). All talk with the agent is on the loop. libssh, which signs by a blocking call, does so in a worker
 * thread over a socket pair whose other end is here: it sees only the keys that are meant to be tried, in our order (IdentitiesOnly). */
#ifndef WGDECK_SSH_AGENT_H
#define WGDECK_SSH_AGENT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct agent;
struct agent *agent_new(struct ev_loop *loop);
void agent_free(struct agent *agent);

struct agent_key {
    unsigned char *blob;
    size_t length;
    char *base64, *comment;
};

struct agent_list {
    struct agent_key *keys;
    size_t count;
    char *why; /* the agent cannot be asked; NULL: it answered */
};

/* The keys of the agent at PATH: at once when they were asked for in the last seconds, else NULL, and LISTED is called when they are here. */
const struct agent_list *agent_keys(struct agent *agent, const char *path, void (*listed)(void *context), void *context);
const struct agent_list *agent_known(struct agent *agent, const char *path); /* as last told; NULL: never asked */
void agent_forget(struct agent *agent, void *context); /* nobody waits there any more */

/* One login's view of the agent. */
struct agent_offer;
struct agent_offer *agent_offer_new(struct agent *agent, const char *path);
int agent_offer_take(struct agent_offer *offer); /* libssh's end, from now on libssh's to close; -1: none could be had */
void agent_offer_add(struct agent_offer *offer, const struct agent_key *key);
void agent_offer_refuse(struct agent_offer *offer); /* the key that was signed with last, and those before it, are not offered again */
size_t agent_offer_count(const struct agent_offer *offer);
void agent_offer_free(struct agent_offer *offer);   /* libssh's end sees the end of file */

#endif
