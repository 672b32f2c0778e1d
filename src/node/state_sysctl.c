/* Whether the kernel forwards, and making it do so without harm to the node's own way out. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state_parts.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

#define FORWARDING4 "/proc/sys/net/ipv4/ip_forward"
#define FORWARDING6 "/proc/sys/net/ipv6/conf/all/forwarding"
#define INTERFACES6 "/proc/sys/net/ipv6/conf"

static int read_number(const char *path)
{
    struct buf text = BUF_EMPTY;
    int number = file_read(path, 64, &text, NULL) || !text.length ? -1 : atoi(text.data);
    buf_free(&text);
    return number;
}

static int write_text(const char *path, const char *text)
{
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    int result = descriptor < 0 ? -1 : file_write_all(descriptor, text, strlen(text));
    int reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    errno = reason;
    return result;
}

int state_forwarding(int family)
{
    int number = read_number(family == AF_INET6 ? FORWARDING6 : FORWARDING4);
    return number < 0 ? -1 : number > 0;
}

/* A node that forwards IPv6 no longer listens to routers, and would lose its default route: 2 says that it still does (Linux, ip-sysctl, "accept_ra"). */
static void keep_listening_to_routers(void)
{
    DIR *folder = opendir(INTERFACES6);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char *path = mem_format(INTERFACES6 "/%s/accept_ra", entry->d_name), *forwarding = mem_format(INTERFACES6 "/%s/forwarding", entry->d_name);
        bool is_interface = entry->d_name[0] != '.' && strcmp(entry->d_name, "all") != 0 && strcmp(entry->d_name, "default") != 0;
        if (is_interface && read_number(path) == 1 && read_number(forwarding) == 0)
            (void)write_text(path, "2\n");
        free(path);
        free(forwarding);
    }
    if (folder)
        closedir(folder);
}

int state_set_forwarding(int family, bool on, struct err *err)
{
    const char *path = family == AF_INET6 ? FORWARDING6 : FORWARDING4;
    if (family == AF_INET6 && on)
        keep_listening_to_routers();
    if (!write_text(path, on ? "1\n" : "0\n"))
        return 0;
    return err_set(err, "forwarding of IPv%d cannot be switched %s: %s: %s (a container? set it on its host)", family == AF_INET6 ? 6 : 4, on ? "on" : "off", path,
                   strerror(errno));
}
