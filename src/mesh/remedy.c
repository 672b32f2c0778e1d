/* A remedy in its parts, so that each can stand on its line and a command be copied. */
#include <string.h>

#include "wgdeck/diagnosis.h"
#include "wgdeck/mem.h"

size_t remedy_part(const char *remedy)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; remedy[i]; i++) {
        if (remedy[i] == '\'' && (quoted || !i || remedy[i - 1] == ' '))
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (remedy[i] == '(')
            depth++;
        else if (remedy[i] == ')' && depth)
            depth--;
        else if (!depth && remedy[i] == ';' && remedy[i + 1] == ' ')
            return i;
    }
    return strlen(remedy);
}

static bool begins_command(const char *text, size_t length)
{
    static const char *const commands[] = {"wg",      "wg-quick", "wgdeck",   "ip",          "ssh",   "ssh-keygen", "systemctl",
                                           "tcpdump", "nft",      "iptables", "timedatectl", "chown", "chmod",      "sysctl"};
    size_t word = strcspn(text, " ;,)");
    for (size_t i = 0; word < length && text[word] == ' ' && i < COUNT_OF(commands); i++)
        if (strlen(commands[i]) == word && !strncmp(text, commands[i], word))
            return true;
    return false;
}

size_t remedy_command(const char *part, size_t length)
{
    if (begins_command(part, length))
        return 0;
    for (size_t i = 0; i + 2 < length; i++)
        if (part[i] == ':' && part[i + 1] == ' ' && begins_command(part + i + 2, length - i - 2))
            return i + 2;
    return length;
}
