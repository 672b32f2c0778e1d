/* Keys for Wireshark (keylog.h). */
#include "keylog.h"

#ifdef DEBUG_KEYLOG
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wgdeck/file.h"
#include "wgdeck/log.h"

static int keylog_file = -1;
static const struct noise_identity *keylog_identity;

void keylog_begin(const struct noise_identity *identity)
{
    const char *path = getenv("WGDECK_KEYLOG");
    keylog_identity = identity;
    if (!path || !*path || keylog_file >= 0)
        return;
    keylog_file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (keylog_file < 0)
        log_error("WGDECK_KEYLOG: %s cannot be opened", path);
    else
        log_error("keys are written to %s (this build is for debugging only)", path);
}

static void write_key(const char *name, const struct key *key)
{
    char text[KEY_TEXT_SIZE], line[128];
    key_text(key, text);
    int length = snprintf(line, sizeof line, "%s = %s\n", name, text);
    (void)file_write_all(keylog_file, line, (size_t)length);
}

void keylog_handshake(const struct noise_static *peer, const uint8_t ephemeral[static KEY_SIZE])
{
    struct key key;
    if (keylog_file < 0)
        return;
    memcpy(key.bytes, ephemeral, KEY_SIZE);
    write_key("LOCAL_STATIC_PRIVATE_KEY", &keylog_identity->private_key);
    write_key("REMOTE_STATIC_PUBLIC_KEY", &peer->public_key);
    write_key("LOCAL_EPHEMERAL_PRIVATE_KEY", &key);
    if (!key_is_zero(&peer->preshared))
        write_key("PRESHARED_KEY", &peer->preshared);
}
#else
typedef int keylog_is_off; /* a file of C needs something in it */
#endif
