/* What brings an interface up when the node boots, in each init system that nodes have; and the place of the program that it starts. Private to src/node. */
#ifndef WGDECK_NODE_BOOT_H
#define WGDECK_NODE_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "wgdeck/buf.h"
#include "wgdeck/device.h"
#include "wgdeck/err.h"

/* ROOT "" for the system itself; tests give another folder. One row of a table each: systemd, openrc, sysv, cron; in this order the first that is there. */
const char *boot_init(const char *root);                       /* "systemd", "openrc", "sysv", "cron", "none" */
/* What brings NAME up at boot now, of any kind: "wg-quick@wg0.service"…; "" nothing. malloc'd; NULL: cannot be told. Cheap: files only, no process started (it is asked at each reading). */
char *boot_find(const char *root, const char *name);
/* Have NAME brought up at boot: what is enabled already stays; else wgdeck's own, started from the installed program (boot_install), for all engines. 0 (SAID: what was done), 1: no init
 * system here can (SAID says so), -1 with err. Nothing is started or stopped now. */
int boot_enable(const char *root, const char *name, struct buf *said, struct err *err);
int boot_disable(const char *root, const char *name, struct buf *said, struct err *err); /* whatever brings it up; files of ours go */
/* Copy the running program to /usr/local/lib/wgdeck/wgdeck (atomically, 0755), unless it is there already. PATH: malloc'd. 0, or -1 with err. */
int boot_install(const char *root, char **path, struct err *err);
/* The same for the relay of a hub, on PORT (relay_service.h): started at boot, behind the interface. boot_relay.c */
int boot_relay_enable(const char *root, const char *name, uint16_t port, struct err *err);
void boot_relay_disable(const char *root, const char *name); /* files of ours go; boot_disable does it, too */
/* Before a change: would enable and install work (folders writable, room)? 0, or -1 with err. */
int boot_check(const char *root, const char *name, struct err *err);

#endif
