/* Keys that are made on this node for a change. What is not yet in the saved file is kept beside the journal, so that it is the same key when the change is tried again; a
 * preshared key leaves sealed to the helper at its other end. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "wgdeck/file.h"
#include "wgdeck/mem.h"

enum { KEY_FILE_MAX = 256, CONFIG_MAX = 64 << 20, SEALED_SIZE = KEY_SIZE + crypto_box_SEALBYTES };

struct change_secrets *change_secrets_new(struct err *err)
{
    struct change_secrets *secrets = sodium_init() < 0 ? NULL : sodium_malloc((sizeof *secrets + 7) & ~(size_t)7);
    if (!secrets) {
        err_set(err, "no guarded memory is left for keys (ulimit -l says how much may be locked)");
        return NULL;
    }
    sodium_memzero(secrets, sizeof *secrets);
    crypto_box_keypair(secrets->box_public, secrets->box_secret);
    return secrets;
}

void change_secrets_free(struct change_secrets *secrets)
{
    if (!secrets)
        return;
    if (secrets->preshared)
        up_secrets_free(secrets->preshared);
    sodium_free(secrets);
}

/* --- kept keys */

/* 0; 1: there is none. */
static int read_kept(const char *name, const char *file, struct key *key, struct err *err)
{
    struct buf text = BUF_EMPTY;
    char *path = change_path(name, file);
    int result = 0;
    if (access(path, F_OK))
        result = 1;
    else if (file_read(path, KEY_FILE_MAX, &text, err))
        result = -1;
    else {
        while (text.length && text.data[text.length - 1] == '\n')
            text.data[--text.length] = '\0';
        if (key_parse(buf_text(&text), key) || key_is_zero(key))
            result = err_set(err, "%s: it holds no key (when it is not needed, remove it)", path);
    }
    buf_wipe(&text);
    free(path);
    return result;
}

static int make_kept(const char *name, const char *file, struct key *key, struct err *err)
{
    char text[KEY_TEXT_SIZE + 1], *path = change_path(name, file);
    key_make_private(key);
    key_text(key, text);
    memcpy(text + KEY_TEXT_SIZE - 1, "\n", 2);
    int result = file_write(path, 0600, text, KEY_TEXT_SIZE, err);
    sodium_memzero(text, sizeof text);
    free(path);
    return result;
}

/* 1: the file has none, or there is no file. */
static int read_saved(const char *file, struct key *key, struct err *err)
{
    struct buf text = BUF_EMPTY;
    int result = 1;
    if (access(file, F_OK))
        return 1;
    if (file_read(file, CONFIG_MAX, &text, err))
        return -1;
    struct conf *conf = conf_parse(file, buf_text(&text), text.length, err);
    struct up_secrets *secrets = conf ? up_secrets_of_file(conf) : NULL;
    if (!conf)
        result = -1;
    else if (!secrets)
        result = err_set(err, "no guarded memory is left for keys");
    else if (!key_is_zero(&secrets->private_key)) {
        *key = secrets->private_key;
        result = 0;
    }
    if (secrets)
        up_secrets_free(secrets);
    conf_free(conf);
    buf_wipe(&text);
    return result;
}

/* What runs, what is saved, what is kept; else a new one. */
static int find_private(const char *name, const struct state *state, bool make, struct key *key, struct err *err)
{
    if (state->exists && state->secrets && !key_is_zero(&state->secrets->private_key)) {
        *key = state->secrets->private_key;
        return 0;
    }
    char *file = change_config_path(name);
    int result = read_saved(file, key, err);
    free(file);
    if (result == 1)
        result = read_kept(name, "private-key", key, err);
    if (result == 1)
        result = make ? make_kept(name, "private-key", key, err) : 0;
    return result;
}

int change_keys_find(const char *name, const struct state *state, bool make, bool next, struct change_secrets *secrets, struct err *err)
{
    if (find_private(name, state, make, &secrets->private_key, err))
        return -1;
    if (!next)
        return 0;
    int result = read_kept(name, "next-key", &secrets->next_key, err);
    if (result < 0)
        return -1;
    if (result == 1 || key_equal(&secrets->next_key, &secrets->private_key)) /* one that is in use already is no next one */
        return make_kept(name, "next-key", &secrets->next_key, err);
    return 0;
}

void change_keys_saved(const char *name, const char *file)
{
    static const char *const kept[] = {"private-key", "next-key"};
    struct key *keys = sodium_init() < 0 ? NULL : sodium_allocarray(2, sizeof *keys);
    if (!keys)
        return;
    sodium_memzero(keys, 2 * sizeof *keys);
    if (!read_saved(file, &keys[0], NULL))
        for (size_t i = 0; i < COUNT_OF(kept); i++) {
            char *path = change_path(name, kept[i]);
            if (!read_kept(name, kept[i], &keys[1], NULL) && key_equal(&keys[0], &keys[1]))
                unlink(path);
            free(path);
        }
    sodium_free(keys);
}

/* --- preshared keys */

int change_preshared_make(struct change_secrets *secrets, const struct key *public_key, const char *box, struct buf *sealed, struct err *err)
{
    struct key other;
    uint8_t bytes[SEALED_SIZE];
    char text[sodium_base64_ENCODED_LEN(SEALED_SIZE, sodium_base64_VARIANT_ORIGINAL)];
    if (key_parse(box, &other))
        return err_set(err, "box is not a key");
    const struct key *known = secrets->preshared ? up_secrets_preshared(secrets->preshared, public_key) : NULL;
    if (!known) {
        struct key *made = sodium_malloc(sizeof *made);
        if (!made)
            return err_set(err, "no guarded memory is left for keys");
        key_make_preshared(made);
        state_secrets_set(&secrets->preshared, public_key, made);
        sodium_free(made);
        known = up_secrets_preshared(secrets->preshared, public_key);
    }
    if (!known || crypto_box_seal(bytes, known->bytes, sizeof known->bytes, other.bytes))
        return err_set(err, "the preshared key cannot be sealed: the other end's box is no good key");
    buf_add_text(sealed, sodium_bin2base64(text, sizeof text, bytes, sizeof bytes, sodium_base64_VARIANT_ORIGINAL));
    return 0;
}

int change_preshared_take(struct change_secrets *secrets, const struct key *public_key, const char *sealed, struct err *err)
{
    uint8_t bytes[SEALED_SIZE];
    size_t length = 0;
    const char *end = NULL;
    if (sodium_base642bin(bytes, sizeof bytes, sealed, strlen(sealed), NULL, &length, &end, sodium_base64_VARIANT_ORIGINAL) || *end || length != sizeof bytes)
        return err_set(err, "a sealed preshared key is not base64 of %d bytes", SEALED_SIZE);
    struct key *opened = sodium_malloc(sizeof *opened);
    if (!opened)
        return err_set(err, "no guarded memory is left for keys");
    int result = crypto_box_seal_open(opened->bytes, bytes, sizeof bytes, secrets->box_public, secrets->box_secret);
    if (result || key_is_zero(opened))
        result = err_set(err, "a sealed preshared key is not for this change");
    else
        state_secrets_set(&secrets->preshared, public_key, opened);
    sodium_free(opened);
    return result;
}
