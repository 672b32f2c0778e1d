/* The init systems, one row each: how one knows that it is there, what is written for an interface, and where to look for what brings it up. */
#include "boot_parts.h"

#include "unit_texts.h"

/* A network or a resolver that is late at boot: tried once at once, then from behind, for about five minutes more; the boot goes on meanwhile. */
#define START                                                                                                                     \
    "[ -e /sys/class/net/%i ] && exit 0\n"                                                                                        \
    "    @PROGRAM@ up %i && exit 0\n"                                                                                             \
    "    (for pause in 10 20 40 80 160; do sleep $pause; [ -e /sys/class/net/%i ] && break; @PROGRAM@ up %i && break; done) "     \
    "</dev/null >/dev/null 2>&1 &\n"
#define HEAD "# Made by wgdeck: brings WireGuard interface %i up at boot, as /etc/wireguard/%i.conf says.\n"

static const char sysv_script[] =
    "#!/bin/sh\n" HEAD
    "### BEGIN INIT INFO\n"
    "# Provides:          wgdeck-%i\n"
    "# Required-Start:    $remote_fs $network\n"
    "# Required-Stop:     $remote_fs $network\n"
    "# Should-Start:      $named\n"
    "# Default-Start:     2 3 4 5\n"
    "# Default-Stop:      0 1 6\n"
    "# Short-Description: WireGuard interface %i\n"
    "### END INIT INFO\n"
    "case \"$1\" in\n"
    "start)\n"
    "    " START
    "    exit 1 ;;\n"
    "stop) [ -e /sys/class/net/%i ] || exit 0; exec @PROGRAM@ down %i ;;\n"
    "restart|force-reload) \"$0\" stop; exec \"$0\" start ;;\n"
    "status) exec @PROGRAM@ show %i ;;\n"
    "*) echo \"usage: $0 start|stop|restart|status\" >&2; exit 2 ;;\n"
    "esac\n";

static const char openrc_script[] =
    "#!/sbin/openrc-run\n" HEAD
    "description=\"WireGuard interface %i\"\n"
    "depend() {\n    need localmount\n    after net dns\n    use net\n}\n"
    "bring_up() (\n    " START "    exit 1\n)\n"
    "start() {\n    ebegin \"Bringing %i up\"\n    bring_up\n    eend $? \"not yet: it is tried again\"\n}\n"
    "stop() {\n    [ -e /sys/class/net/%i ] || return 0\n    ebegin \"Taking %i down\"\n    @PROGRAM@ down %i\n    eend $?\n}\n";

static const char cron_line[] =
    HEAD "SHELL=/bin/sh\n"
    "@reboot root for pause in 0 5 10 20 40 80 160; do sleep $pause; [ -e /sys/class/net/%i ] && break; @PROGRAM@ up %i >/dev/null 2>&1 && break; done\n";

#define UNITS "/etc/systemd/system"
#define RUNLEVEL(n) {"/etc/rc" n ".d", NULL, "wgdeck-%i", true, "/etc/init.d/wgdeck-%i"}
#define RUNLEVEL_LINK(n, kind) {"/etc/rc" n ".d/" kind "wgdeck-%i", NULL, "../init.d/wgdeck-%i", 0}

const struct boot_system boot_systems[BOOT_SYSTEMS] = {
    {.name = "systemd", .signs = {"/run/systemd/system"},
     .files = {{UNITS "/wgdeck@.service", up_unit, NULL, 0644},
               {UNITS "/wgdeck-engine@.service", engine_unit, NULL, 0644},
               {UNITS "/multi-user.target.wants/wgdeck@%i.service", NULL, UNITS "/wgdeck@.service", 0}},
     .places = {{UNITS, "*.wants", "wg-quick@%i.service", false, "wg-quick@%i.service"},
                {UNITS, "*.requires", "wg-quick@%i.service", false, "wg-quick@%i.service"},
                {UNITS, "*.wants", "wgdeck@%i.service", false, "wgdeck@%i.service"},
                {UNITS, "*.requires", "wgdeck@%i.service", false, "wgdeck@%i.service"}},
     .commands = {{"systemctl", "daemon-reload"}}},
    {.name = "openrc", .signs = {"/run/openrc", "/sbin/openrc-run"},
     .files = {{"/etc/init.d/wgdeck.%i", openrc_script, NULL, 0755}, {"/etc/runlevels/default/wgdeck.%i", NULL, "/etc/init.d/wgdeck.%i", 0}},
     .places = {{"/etc/runlevels", "*", "wg-quick.%i", false, "wg-quick.%i"}, {"/etc/runlevels", "*", "wgdeck.%i", false, "wgdeck.%i"}}},
    /* Debian leaves /etc/rc2.d in images that have nothing to run it: the script that does so is the sign. */
    {.name = "sysv", .signs = {"/etc/init.d/rc", "/etc/rc.d/rc"},
     .files = {{"/etc/init.d/wgdeck-%i", sysv_script, NULL, 0755}, RUNLEVEL_LINK("0", "K01"), RUNLEVEL_LINK("1", "K01"), RUNLEVEL_LINK("2", "S90"),
               RUNLEVEL_LINK("3", "S90"), RUNLEVEL_LINK("4", "S90"), RUNLEVEL_LINK("5", "S90"), RUNLEVEL_LINK("6", "K01")},
     .places = {RUNLEVEL("2"), RUNLEVEL("3"), RUNLEVEL("4"), RUNLEVEL("5")},
     .commands = {{"update-rc.d", "wgdeck-%i", "defaults"}, {"insserv", "wgdeck-%i"}, {"chkconfig", "--add", "wgdeck-%i"}}},
    {.name = "cron", .signs = {"/usr/sbin/cron", "/usr/sbin/crond"}, .needs = "/etc/cron.d",
     .files = {{"/etc/cron.d/wgdeck-%i", cron_line, NULL, 0644}},
     .places = {{"/etc/cron.d", NULL, "wgdeck-%i", false, "cron"}}},
};
