/* The command line of ssh(1) for a target, as wgdeck ssh and the deck's shell start it. */
#ifndef WGDECK_SSH_COMMAND_H
#define WGDECK_SSH_COMMAND_H

#include <stddef.h>

/* Words for execvp ("ssh" first, NULL last); ssh_command_free. CONFIG: of -F, or NULL. TARGET: [user@]host[:port], ssh://..., or an alias.
 * MORE: COUNT further words. JUMP: targets with commas between them, for -J; NULL: none. HOST_KEY: "ssh-ed25519 AAAA...", as HostKey in the mesh file has it: taken besides those that
 * known_hosts has; NULL: none. */
char **ssh_command_words(const char *config, const char *target, const char *const *more, size_t count);
char **ssh_command_words_through(const char *config, const char *jump, const char *host_key, const char *target, const char *const *more, size_t count);
void ssh_command_free(char **words);

#endif
