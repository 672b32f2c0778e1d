/* Is this key the host's? All known_hosts files of a target together, and what to say when it is not. */
#ifndef WGDECK_SSH_HOST_KEY_H
#define WGDECK_SSH_HOST_KEY_H

#include "known_hosts.h"
#include "ssh_config.h"

struct host_keys;     /* files read, by path; read again when they change */
struct host_key_list; /* what they say of one host */

struct host_keys *host_keys_new(void);
void host_keys_free(struct host_keys *keys);

struct host_key_list *host_keys_find(struct host_keys *keys, const struct ssh_target *target);
void host_key_list_free(struct host_key_list *list);

/* Algorithms as libssh wants them ("ssh-ed25519,rsa-sha2-256,..."; free), those of known keys first, so that a host with a known ed25519 key
 * is not unknown because it shows its rsa key first. A key of another type than the known ones counts as changed, not as unknown:
 * else a man in the middle would only have to leave out the known types. */
char *host_key_algorithms(const struct host_key_list *list, const char *pinned);
bool host_key_by_authority(const struct host_key_list *list); /* a @cert-authority line speaks of it, and no key */

/* Why a file of them could not be read, or NULL: then nothing is known for certain, and nobody logs in. */
const char *host_key_unreadable(const struct host_key_list *list);
/* "@revoked NAME type key" for each key of the list that is revoked. */
void host_key_add_revoked(struct buf *lines, const struct host_key_list *list, const char *name);

/* WHY is set for CHANGED and REVOKED (both fingerprints, file and line), and for UNREADABLE. */
enum known_verdict host_key_check(const struct host_key_list *list, const char *pinned, const char *type, const char *base64,
                                  struct err *why);
/* Remember the key in the first of the user's files. 0, or -1. */
int host_key_learn(struct host_keys *keys, const struct ssh_target *target, const char *type, const char *base64, struct err *err);

#endif
