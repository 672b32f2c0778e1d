/* known_hosts files, and what is asked of them. */
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/ssh/known_hosts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"host", "[host]:2222", "192.0.2.7", "a.wild.example", ""};
    const struct known_line *lines[8];
    if (sodium_init() < 0)
        abort();
    struct known_hosts *known = known_hosts_parse((const char *)data, size);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t count = known_hosts_find(known, names[i], lines, 8);
        for (size_t j = 0; j < count; j++) {
            char text[FINGERPRINT_SIZE];
            known_hosts_fingerprint(lines[j]->base64, text);
            if (strncmp(text, "SHA256:", 7) != 0 || !lines[j]->line || !*lines[j]->type)
                abort();
        }
    }
    known_hosts_free(known);
    return 0;
}
