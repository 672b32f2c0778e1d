/* Names and accounts in the static program: from files and by DNS alone, which are built into it. Whatever else /etc/nsswitch.conf names would be loaded from the node's own libraries, of
 * another glibc, and crash there. */
#include <nss.h>
#include <stddef.h>

__attribute__((constructor)) static void only_what_is_built_in(void)
{
    static const char *const sources[][2] = {{"hosts", "files dns"}, {"passwd", "files"}, {"group", "files"}, {"services", "files"}, {"networks", "files"}, {"protocols", "files"}};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        __nss_configure_lookup(sources[i][0], sources[i][1]);
}
