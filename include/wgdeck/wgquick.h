/* wg-quick's configuration files (wg-quick(8)), as saved on a node: what the interface will be after a reboot. */
#ifndef WGDECK_WGQUICK_H
#define WGDECK_WGQUICK_H

#include "wgdeck/conf.h"
#include "wgdeck/device.h"

struct wgquick {
    struct device device;     /* rows in it: no handshake, no counters; endpoint only where it is written as an address */
    char **endpoint_hosts;    /* per row of device.peers, in its order: "host:port" where the file has a name, else NULL; owned */
    struct prefix *addresses; /* Address lines, host bits kept; owned */
    size_t address_count;
    unsigned mtu;             /* 0: not given */
    bool table_off;           /* Table = off */
    bool save_config;         /* SaveConfig = true: the file is rewritten when the interface goes down */
    unsigned hooks;           /* how many PreUp, PostUp, PreDown, PostDown lines */
    bool listen_port_given;
};

/* Read a document. Secrets become public key and hashes (salt as in key_hash), and nothing else of them is kept.
 * Unknown keys are warnings, added to WARNINGS one a line ("FILE:LINE: ..."; may be NULL). 0, or -1 with err. */
int wgquick_read(const struct conf *conf, const char *salt, struct wgquick *wgquick, struct buf *warnings, struct err *err);
void wgquick_free(struct wgquick *wgquick);

#endif
