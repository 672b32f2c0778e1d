/* Recordings may be shown to others: every key in them is replaced, the same one by the same other one, so that the mesh's faults stay
 * to be seen. Without the salt a replacement cannot be checked against a guess. */
#include "wgdeck/observed.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct hiding {
    uint8_t secret[crypto_generichash_KEYBYTES];
};

static void hide_key(const struct hiding *hiding, struct key *key)
{
    struct key hidden;
    if (key_is_zero(key))
        return; /* no key: nothing to hide, and its absence is a finding */
    crypto_generichash(hidden.bytes, sizeof hidden.bytes, key->bytes, sizeof key->bytes, hiding->secret, sizeof hiding->secret);
    hidden.bytes[KEY_SIZE - 1] &= 0x7f; /* as every Curve25519 public key has it */
    *key = hidden;
}

static void hide_device(const struct hiding *hiding, struct device *device)
{
    hide_key(hiding, &device->public_key);
    for (size_t i = 0; i < device->peer_count; i++) {
        struct device_peer *row = &device->peers[i];
        uint8_t hash[KEY_HASH_SIZE];
        hide_key(hiding, &row->public_key);
        if (!row->has_preshared)
            continue;
        crypto_generichash(hash, sizeof hash, row->preshared_hash, sizeof row->preshared_hash, hiding->secret, sizeof hiding->secret);
        memcpy(row->preshared_hash, hash, sizeof hash);
    }
}

static void hide_engine(const struct hiding *hiding, struct observed_engine *engine)
{
    for (size_t i = 0; i < engine->peer_count; i++)
        hide_key(hiding, &engine->peers[i].public_key);
    for (size_t i = 0; i < engine->stranger_count; i++)
        hide_key(hiding, &engine->strangers[i].public_key);
}

void observation_hide_keys(struct observation *observation, const char *salt)
{
    observation_unpack(observation);
    struct hiding hiding;
    crypto_generichash(hiding.secret, sizeof hiding.secret, (const unsigned char *)salt, strlen(salt), NULL, 0);
    for (size_t i = 0; i < observation->device_count; i++)
        hide_device(&hiding, &observation->devices[i]);
    for (size_t i = 0; i < observation->engine_count; i++)
        hide_engine(&hiding, &observation->engines[i]);
    for (size_t i = 0; i < observation->config_count; i++)
        hide_device(&hiding, &observation->configs[i].device);
    for (size_t i = 0; i < observation->joined_count; i++)
        hide_key(&hiding, &observation->joined[i].key);
    for (size_t i = 0; i < observation->path_count; i++)
        hide_key(&hiding, &observation->paths[i].key);
    sodium_memzero(&hiding, sizeof hiding);
    observation_sort(observation);
}
