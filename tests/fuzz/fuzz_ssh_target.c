/* SSH targets as people write them (first line), and what ssh -G prints (the rest). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/ssh/ssh_config.h"
#include "../../src/ssh/ssh_config_class.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *user, *host;
    unsigned port;
    struct err err;
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    char *rest = strchr(text, '\n');
    if (rest)
        *rest++ = '\0';
    if (!ssh_target_parse(text, &user, &host, &port, &err)) {
        if (!*host || *host == '-' || port > 65535 || strpbrk(host, " \t\n'\"`$;"))
            abort();
        if (rest) {
            ssh_target_free(ssh_target_from_answer(rest, host, &err));
            if (ssh_config_class_shares(rest, host)) {
                char *renamed = ssh_config_class_rename(rest, host, "other");
                free(renamed);
            }
        }
        free(user);
        free(host);
    }
    free(text);
    return 0;
}
