/* ssh-agent without waiting for it (trap 4). */
#ifndef WGDECK_SSH_AGENT_H
#define WGDECK_SSH_AGENT_H

#include <ev.h>

struct agent;
struct agent *agent_new(struct ev_loop *loop);
void agent_free(struct agent *agent);

#endif
