/* ssh-agent (agent.h). */
#include "agent.h"

#include <stdlib.h>

#include "wgdeck/mem.h"

struct agent {
    struct ev_loop *loop;
};

struct agent *agent_new(struct ev_loop *loop)
{
    struct agent *agent = mem_alloc(1, sizeof *agent);
    agent->loop = loop;
    return agent;
}

void agent_free(struct agent *agent)
{
    free(agent);
}
