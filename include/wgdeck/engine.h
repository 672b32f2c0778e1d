/* The embedded engine: WireGuard in userspace (whitepaper; reference: wireguard.com/xplatform for its control socket). */
#ifndef WGDECK_ENGINE_H
#define WGDECK_ENGINE_H

#include <stdbool.h>

#include "wgdeck/err.h"

struct engine_options {
    const char *interface;
    bool foreground;     /* -f, or WG_PROCESS_FOREGROUND=1; else: returns in the calling process when the control socket answers */
    int tun_descriptor;  /* WG_TUN_FD, or -1 */
    int uapi_descriptor; /* WG_UAPI_FD (a listening socket), or -1 */
    int log_level;       /* LOG_LEVEL: 0 silent, 1 error, 2 verbose */
};

/* Runs until SIGTERM, SIGINT, the link or the control socket's file is gone. 0, or -1 with err (what is missing and how to give it).
 * Switches, from the environment, each "0" or "1": WGDECK_UDP_GSO, WGDECK_UDP_GRO, WGDECK_TUN_OFFLOAD, WGDECK_TUN_USO; WGDECK_SEAL=ipsec-mb|libcrypto;
 * WGDECK_QUEUES=N; WGDECK_KEYLOG=FILE (only in a build with DEBUG_KEYLOG). */
int engine_run(const struct engine_options *options, struct err *err);

#endif
