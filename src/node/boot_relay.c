/* The relay of a hub at boot (relay_service.h): a table of init systems like that of the interfaces (boot_systems.c), and the file that says on which port. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot_parts.h"
#include "change.h"
#include "relay_service.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

#include "unit_texts.h"

#define HEAD "# Made by wgdeck: the relay for those who join through WireGuard interface %i.\n"
/* It ends when the interface is not there: tried until that is up, from behind. */
#define START                                                                                                                      \
    "(for pause in 0 5 10 20 40 80 160; do sleep $pause; [ -e /sys/class/net/%i ] && @PROGRAM@ relay --detach %i && break; done) " \
    "</dev/null >/dev/null 2>&1 &\n"
#define STOP                                                                                                                       \
    "read -r number 2>/dev/null < /run/wgdeck/%i.relay && [ \"$(cat /proc/$number/comm 2>/dev/null)\" = wgdeck-relay ] && kill $number || :\n"

static const char sysv_script[] =
    "#!/bin/sh\n" HEAD
    "### BEGIN INIT INFO\n"
    "# Provides:          wgdeck-relay-%i\n"
    "# Required-Start:    $remote_fs $network\n"
    "# Required-Stop:     $remote_fs $network\n"
    "# Should-Start:      wgdeck-%i\n"
    "# Default-Start:     2 3 4 5\n"
    "# Default-Stop:      0 1 6\n"
    "# Short-Description: relay of WireGuard interface %i\n"
    "### END INIT INFO\n"
    "case \"$1\" in\n"
    "start)\n    " START "    ;;\n"
    "stop)\n    " STOP "    ;;\n"
    "restart|force-reload) \"$0\" stop; sleep 1; exec \"$0\" start ;;\n"
    "*) echo \"usage: $0 start|stop|restart\" >&2; exit 2 ;;\n"
    "esac\n";
static const char openrc_script[] =
    "#!/sbin/openrc-run\n" HEAD
    "description=\"relay of WireGuard interface %i\"\n"
    "depend() {\n    need localmount\n    after net wgdeck.%i wg-quick.%i\n}\n"
    "start() {\n    ebegin \"Starting the relay of %i\"\n    " START "    eend 0\n}\n"
    "stop() {\n    ebegin \"Ending the relay of %i\"\n    " STOP "    eend 0\n}\n";
static const char cron_line[] = HEAD "SHELL=/bin/sh\n@reboot root " START;

#define UNITS "/etc/systemd/system"
#define RUNLEVEL_LINK(n, kind) {"/etc/rc" n ".d/" kind "wgdeck-relay-%i", NULL, "../init.d/wgdeck-relay-%i", 0}

/* As boot_systems, in its order. */
static const struct boot_system relay_systems[] = {
    {.name = "systemd",
     .files = {{UNITS "/wgdeck-relay@.service", relay_unit, NULL, 0644},
               {UNITS "/multi-user.target.wants/wgdeck-relay@%i.service", NULL, UNITS "/wgdeck-relay@.service", 0}},
     .commands = {{"systemctl", "daemon-reload"}}},
    {.name = "openrc",
     .files = {{"/etc/init.d/wgdeck-relay.%i", openrc_script, NULL, 0755}, {"/etc/runlevels/default/wgdeck-relay.%i", NULL, "/etc/init.d/wgdeck-relay.%i", 0}}},
    {.name = "sysv",
     .files = {{"/etc/init.d/wgdeck-relay-%i", sysv_script, NULL, 0755}, RUNLEVEL_LINK("0", "K01"), RUNLEVEL_LINK("1", "K01"), RUNLEVEL_LINK("2", "S95"), RUNLEVEL_LINK("3", "S95"),
               RUNLEVEL_LINK("4", "S95"), RUNLEVEL_LINK("5", "S95"), RUNLEVEL_LINK("6", "K01")},
     .commands = {{"update-rc.d", "wgdeck-relay-%i", "defaults"}, {"insserv", "wgdeck-relay-%i"}, {"chkconfig", "--add", "wgdeck-relay-%i"}}},
    {.name = "cron", .files = {{"/etc/cron.d/wgdeck-relay-%i", cron_line, NULL, 0644}}},
};

uint16_t relay_service_port(const char *interface)
{
    char *path = change_path(interface, "relay");
    struct buf text = BUF_EMPTY;
    unsigned long long port = 0;
    if (!file_read(path, 64, &text, NULL)) {
        char *line = mem_text_part(buf_text(&text), strcspn(buf_text(&text), "\n"));
        if (text_to_number(line, 65535, &port) < 0)
            port = 0;
        free(line);
    }
    buf_free(&text);
    free(path);
    return (uint16_t)port;
}

int boot_relay_enable(const char *root, const char *name, uint16_t port, struct err *err)
{
    const struct boot_system *system = boot_system_of(root);
    char *path = change_path(name, "relay"), *program = NULL, number[8];
    int length = snprintf(number, sizeof number, "%u\n", port);
    int result = !boot_name_is_plain(name) ? err_set(err, "%s: such a name cannot be brought up at boot", name) : 0;
    if (!result)
        result = change_make_folder(name, err) || file_write(path, 0600, number, (size_t)length, err) || boot_install(root, &program, err) ? -1 : 0;
    for (size_t i = 0; !result && system && i < COUNT_OF(relay_systems); i++)
        if (!strcmp(relay_systems[i].name, system->name))
            result = boot_put_files(root, &relay_systems[i], name, err);
    if (!result && !system)
        result = err_set(err, "there is no init system here that wgdeck knows: have \"" BOOT_PROGRAM " relay %s\" run when the interface is up", name);
    free(program);
    free(path);
    return result;
}

void boot_relay_disable(const char *root, const char *name)
{
    char *path = change_path(name, "relay");
    for (size_t i = 0; i < COUNT_OF(relay_systems); i++)
        for (size_t f = BOOT_FILES; f-- > 0;)
            if (relay_systems[i].files[f].path && strstr(relay_systems[i].files[f].path, "%i")) {
                char *file = boot_fill(root, relay_systems[i].files[f].path, name);
                (void)unlink(file);
                free(file);
            }
    (void)unlink(path);
    free(path);
}
