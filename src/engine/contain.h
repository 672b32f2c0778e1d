/* Containment: the least that an engine needs. Each step that this system does not allow is left out and said with LOG_LEVEL=verbose. */
#ifndef WGDECK_ENGINE_CONTAIN_H
#define WGDECK_ENGINE_CONTAIN_H

void contain_begin(void);        /* before keys are there: memory may be locked, no core dump, no tracing */
void contain_capabilities(void); /* before the threads: CAP_NET_ADMIN only, and never more */
void contain_calls(void);        /* after them, for all: the system calls that an engine makes */

#endif
