/* Which targets the SSH configuration cannot tell apart, so that one ssh -G serves a hundred plain hosts. */
#ifndef WGDECK_SSH_CONFIG_CLASS_H
#define WGDECK_SSH_CONFIG_CLASS_H

#include <stdbool.h>

struct ssh_config_class;

/* Read the patterns of all Host lines that ssh would read: FILE (-F), or the user's and the system's. Never NULL. */
struct ssh_config_class *ssh_config_class_read(const char *file);
void ssh_config_class_free(struct ssh_config_class *class);

/* A text that is equal for two hosts when no Host line treats them differently (free). NULL: this cannot be said. */
char *ssh_config_class_of(const struct ssh_config_class *class, const char *host);

/* Is HOST in the answer of ssh -G only as the name to connect to? Then the answer serves its whole class. */
bool ssh_config_class_shares(const char *answer, const char *host);
char *ssh_config_class_rename(const char *answer, const char *from, const char *to);

#endif
