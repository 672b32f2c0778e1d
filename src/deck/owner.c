/* Who asks for something: the person behind sudo, else the user, at this machine. */
#include "owner.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/mem.h"
#include "wgdeck/text.h"

char *owner_of_change(void)
{
    char host[256] = "";
    const char *user = getenv("SUDO_USER");
    if (!user || !*user)
        user = getenv("USER");
    if (!user || !*user)
        user = getenv("LOGNAME");
    if (gethostname(host, sizeof host - 1) != 0 || !*host)
        memcpy(host, "unknown", 8);
    char *whole = mem_format("%s@%s", user && *user ? user : "root", host), *safe = text_safe(whole);
    free(whole);
    return safe;
}
