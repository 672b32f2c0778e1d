/* Private keys of files, each read once for all sessions, on a worker thread. */
#ifndef WGDECK_SSH_KEYRING_H
#define WGDECK_SSH_KEYRING_H

#include <ev.h>
#include <libssh/libssh.h>
#include <stdbool.h>

#include "worker.h"

enum key_state {
    KEY_LOADING,
    KEY_READY,     /* private and public are there */
    KEY_LOCKED,    /* only the public one: a passphrase is needed */
    KEY_ABSENT,    /* no such file */
    KEY_UNUSABLE,  /* not a key, or of a kind for which libssh needs ssh's help (sk-) */
};

struct key_file {
    char *path;
    enum key_state state;
    ssh_key private, public;
    char *base64;      /* of the public key, to find it in the agent */
    ssh_key certified; /* the private key with the certificate beside it (PATH-cert.pub); NULL: there is none */
    bool is_hardware;  /* sk-...: only the spawned ssh can use it */
};

struct keyring;
struct keyring *keyring_new(struct ev_loop *loop, struct worker_pool *pool);
void keyring_free(struct keyring *keyring);

/* The file's key: at once when it is known, else LOADED is called when it is (state is not KEY_LOADING any more). */
struct key_file *keyring_find(struct keyring *keyring, const char *path, void (*loaded)(void *context), void *context);
/* Try a passphrase: state goes to KEY_LOADING, then to KEY_READY or back to KEY_LOCKED. */
void keyring_unlock(struct keyring *keyring, struct key_file *file, const char *passphrase, void (*loaded)(void *context), void *context);
void keyring_forget(struct keyring *keyring, void *context); /* nobody waits there any more */

#endif
