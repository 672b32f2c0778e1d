/* What a node is besides its interfaces: names, forwarding, whether its kernel has WireGuard, and from where the deck came. Where /proc
 * or /sys is missing (a bare chroot) it says so, and looks at the rest. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "change.h"
#include "login.h"
#include "observer.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"
#include "wgdeck/version.h"

static bool exists(const struct node_observer *observer, const char *path)
{
    char *whole = mem_format("%s%s", observer->root, path);
    bool found = access(whole, F_OK) == 0;
    free(whole);
    return found;
}

/* A sysctl that is a small number; -1 if it is not there. */
static int32_t read_sysctl(const struct node_observer *observer, const char *path)
{
    char text[16] = "";
    char *whole = mem_format("%s%s", observer->root, path);
    int file = open(whole, O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, sizeof text - 1) : 0;
    if (file >= 0)
        close(file);
    free(whole);
    unsigned long long number;
    text[length > 0 ? length : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return text_to_number(text, INT32_MAX, &number) == 0 ? (int32_t)number : -1;
}

/* Loaded or built in, or a module that could be loaded: the distribution's or a self-built one, compressed or not. */
static bool find_module(const struct node_observer *observer, const char *release)
{
    static const char *const folders[] = {"kernel/drivers/net/wireguard", "updates/dkms", "updates", "extra", "extra/wireguard",
                                          "weak-updates/wireguard"};
    static const char *const endings[] = {"", ".xz", ".zst", ".gz"};
    bool found = exists(observer, "/sys/module/wireguard");
    for (size_t i = 0; i < COUNT_OF(folders) * COUNT_OF(endings) && !found; i++) {
        char *path = mem_format("/lib/modules/%s/%s/wireguard.ko%s", release, folders[i / COUNT_OF(endings)], endings[i % COUNT_OF(endings)]);
        found = exists(observer, path);
        free(path);
    }
    return found;
}

/* The way here */

static char *address_only(char *text)
{
    struct address address;
    text[strcspn(text, "%")] = '\0';
    return address_parse(text, &address) == 0 ? mem_text(text) : NULL;
}

static void read_connection(struct observation *facts)
{
    char from[64], at[64];
    char *connection = login_connection();
    if (connection && sscanf(connection, "%63s %*s %63s", from, at) == 2) {
        facts->seen_from = address_only(from);
        facts->reached_at = address_only(at);
    }
    free(connection);
}

static void read_names(struct node_observer *observer)
{
    struct observation *facts = &observer->facts;
    struct utsname names;
    if (uname(&names) == 0) {
        facts->hostname = text_safe(names.nodename);
        facts->kernel = text_safe(names.release);
        facts->kernel_has_wireguard = find_module(observer, names.release);
    }
    facts->version = mem_text(WGDECK_VERSION);
    read_connection(facts);
    observer->names_known = true;
}

/* What changes have left here for the interface that is looked at; for all, the first that a change was made to. */
static void read_change(const struct node_observer *observer, struct observation *observation)
{
    char *path = change_path("", "");
    DIR *folder = observer->only ? NULL : opendir(path);
    if (observer->only) {
        observation->generation = change_generation(observer->only);
        observation->pending = change_pending(observer->only);
    }
    for (struct dirent *entry; folder && !observation->generation && !observation->pending && (entry = readdir(folder));)
        if (entry->d_name[0] != '.') {
            observation->generation = change_generation(entry->d_name);
            observation->pending = change_pending(entry->d_name);
        }
    if (folder)
        closedir(folder);
    free(path);
}

void observe_node(struct node_observer *observer, struct observation *observation)
{
    const struct observation *facts = &observer->facts;
    if (!observer->names_known) {
        read_names(observer);
        observation->hostname = mem_text(facts->hostname);
        observation->kernel = mem_text(facts->kernel);
        observation->version = mem_text(facts->version);
        observation->seen_from = mem_text(facts->seen_from);
        observation->reached_at = mem_text(facts->reached_at);
    }
    read_change(observer, observation);
    observation->kernel_has_wireguard = facts->kernel_has_wireguard || exists(observer, "/sys/module/wireguard");
    observation->forwarding4 = read_sysctl(observer, "/proc/sys/net/ipv4/ip_forward");
    observation->forwarding6 = read_sysctl(observer, "/proc/sys/net/ipv6/conf/all/forwarding");
    for (size_t i = 0; i < observation->device_count; i++)
        observation->kernel_has_wireguard = observation->kernel_has_wireguard || observation->devices[i].engine == ENGINE_KERNEL;
    if (!exists(observer, "/proc/sys"))
        observe_skip(observation, "no /proc here: forwarding is unknown");
    if (!exists(observer, "/sys/module"))
        observe_skip(observation, "no /sys here: whether the kernel has WireGuard is known only if it is in use");
}
