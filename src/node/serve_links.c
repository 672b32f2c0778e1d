/* The helper's operations that look at a node before a change, and at its links after: facts, verify (wgdeck/apply.h). */
#include "serve.h"

void serve_links_end(struct serve_links *links)
{
    (void)links;
}

const struct server_operation serve_link_operations[] = {{0}};
