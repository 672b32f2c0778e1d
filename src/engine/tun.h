/* The inner side: the TUN device (tun(4), IFF_VNET_HDR), its offloads, its state. */
#ifndef WGDECK_ENGINE_TUN_H
#define WGDECK_ENGINE_TUN_H

#include <net/if.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "wgdeck/err.h"

#define TUN_QUEUES 16
#define TUN_MTU 1420

struct tun {
    char name[IFNAMSIZ];
    unsigned queues;
    int descriptors[TUN_QUEUES];   /* O_NONBLOCK */
    atomic_bool vnet;              /* every read and write carries a struct virtio_net_hdr of 10 bytes */
    atomic_bool tso, uso;          /* what it hands out and takes */
    int mtu;                       /* the last that was read; control thread */
};

/* Make the device (or take DESCRIPTOR, >= 0) with QUEUES queues, MTU 1420, txqueuelen 1000, and gso_max_size and gso_max_segs such that a super-packet of full
 * segments fits into one UDP_SEGMENT send. OFFLOAD, USO false: switched off. 0; -1 with err: what is missing (/dev/net/tun, CAP_NET_ADMIN, name taken). */
int tun_open(struct tun *tun, const char *name, int descriptor, unsigned queues, bool offload, bool uso, struct err *err);
void tun_close(struct tun *tun);
/* Give an offload up at run time (a write failed that should not): TSO and USO both. 0, or -1. */
int tun_offload_off(struct tun *tun);

enum tun_state { TUN_UP, TUN_DOWN, TUN_GONE };
/* By poll(2): writable exactly while it is up. Works after a move to another namespace too, where netlink sees nothing. */
enum tun_state tun_state(const struct tun *tun);
/* MTU and name as netlink or ioctl give them here; after a move the last MTU known. */
int tun_mtu(struct tun *tun);
/* After the MTU changed: super-packets such that one fits into one UDP_SEGMENT send. Best effort. */
void tun_fit(const struct tun *tun, int mtu);

/* One packet, or super-packet, with its virtio header in parts[0] if vnet. 0, or -1 with errno. */
int tun_write(struct tun *tun, unsigned queue, const struct iovec *parts, unsigned count);

#endif
