/* The command line of ssh(1) for a target. */
#include "wgdeck/ssh_command.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/mem.h"

/* user@host:port is not known to ssh(1): "-p port user@host" is. An address in brackets loses them. TARGET is changed. */
static const char *split_port(char *target)
{
    if (!strncmp(target, "ssh://", 6))
        return NULL;
    char *host = strrchr(target, '@') ? strrchr(target, '@') + 1 : target;
    if (*host == '[') {
        char *end = strchr(host, ']');
        if (!end)
            return NULL;
        char *port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
        memmove(host, host + 1, strlen(host));
        return port;
    }
    char *colon = strchr(host, ':');
    if (!colon || strchr(colon + 1, ':')) /* none, or an IPv6 address */
        return NULL;
    *colon = '\0';
    return colon + 1;
}

char **ssh_command_words(const char *config, const char *target, const char *const *more, size_t count)
{
    return ssh_command_words_through(config, NULL, NULL, target, more, count);
}

/* What ssh asks for the keys of a host (ssh_config(5), KnownHostsCommand, since 8.5): no file is left behind, and no key of known_hosts is put aside. NULL where there is no echo. */
static char *host_key_option(const char *host_key)
{
    static const char *const echoes[] = {"/bin/echo", "/usr/bin/echo", "/run/current-system/sw/bin/echo"};
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-@. ";
    for (size_t i = 0; host_key && strspn(host_key, allowed) == strlen(host_key) && i < COUNT_OF(echoes); i++)
        if (!access(echoes[i], X_OK))
            return mem_format("KnownHostsCommand=%s %%H %s", echoes[i], host_key);
    return NULL;
}

char **ssh_command_words_through(const char *config, const char *jump, const char *host_key, const char *target, const char *const *more, size_t count)
{
    char *copy = mem_text(target);
    const char *port = split_port(copy);
    char **words = mem_alloc(count + 11, sizeof *words), *option = host_key_option(host_key);
    size_t used = 0;
    words[used++] = mem_text("ssh");
    if (config) {
        words[used++] = mem_text("-F");
        words[used++] = mem_text(config);
    }
    if (jump) {
        words[used++] = mem_text("-J");
        words[used++] = mem_text(jump);
    }
    if (option) {
        words[used++] = mem_text("-o");
        words[used++] = option;
    }
    if (port) {
        words[used++] = mem_text("-p");
        words[used++] = mem_text(port);
    }
    words[used++] = mem_text(copy);
    for (size_t i = 0; i < count; i++)
        words[used++] = mem_text(more[i]);
    free(copy);
    return words;
}

void ssh_command_free(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}
