/* Faults of what must stay secret (faults.md K8, K9), by hashes and permission bits only. */
#include <stdlib.h>
#include <string.h>

#include "diagnosis_private.h"
#include "wgdeck/mem.h"

/* ---- psk-mismatch (K8) --------------------------------------------------------------------------------------------- */

static bool hash_is_known(const struct device_peer *row)
{
    static const uint8_t zero[KEY_HASH_SIZE];
    return memcmp(row->preshared_hash, zero, sizeof zero) != 0;
}

static void name_psk(struct context *context, struct pair *pair)
{
    const struct device_peer *one = pair->end[0].row, *two = pair->end[1].row;
    const struct node_view *a = &context->views[pair->a], *b = &context->views[pair->b];
    struct fault *fault = fault_new(context, "psk-mismatch", pair->a, pair->b);
    char *set_a = words_set_peer(a, &b->key), *set_b = words_set_peer(b, &a->key);
    if (one->has_preshared && two->has_preshared)
        fault_summary(fault, "%s and %s hold different preshared keys for each other: their next handshake fails", a->name, b->name);
    else
        fault_summary(fault, "%s holds a preshared key for %s, and %s holds none: their next handshake fails", one->has_preshared ? a->name : b->name,
                      one->has_preshared ? b->name : a->name, one->has_preshared ? b->name : a->name);
    fault_remedy(fault, "make one with wg genpsk and set it at both ends from a file, first on %s: %s preshared-key FILE; then on %s: %s preshared-key FILE; and in both saved files",
                 b->name, set_b, a->name, set_a);
    fault_folds(context, "with");
    size_t index = fault_index(context);
    for (int side = 0; side < 2; side++) {
        const struct device_peer *row = side ? two : one;
        fault_evidence(context, index, "%s: the row for %s has %s", side ? b->name : a->name, side ? a->name : b->name,
                       !row->has_preshared ? "no preshared key" : one->has_preshared && two->has_preshared ? "a preshared key of another hash" : "a preshared key");
    }
    end_name(pair, pair->a, ROW_PSK);
    end_name(pair, pair->b, ROW_PSK);
    pair_explained(context, pair, index);
    free(set_a);
    free(set_b);
}

static void detect_psk(struct context *context)
{
    for (size_t i = 0; i < context->pair_count; i++) {
        struct pair *pair = &context->pairs[i];
        const struct device_peer *one = pair->end[0].row, *two = pair->end[1].row;
        if (!one || !two || pair->cause != NONE)
            continue;
        if (pair->end[0].preshared == pair->end[1].preshared)
            continue;
        bool differ = one->has_preshared != two->has_preshared;
        if (one->has_preshared && two->has_preshared && hash_is_known(one) && hash_is_known(two))
            differ = memcmp(one->preshared_hash, two->preshared_hash, KEY_HASH_SIZE) != 0;
        if (differ)
            name_psk(context, pair);
    }
}

/* ---- key-exposed (K9) ---------------------------------------------------------------------------------------------- */

/* Public keys of private keys that stand in manuals, and are copied from there. */
static const char *const published_keys[] = {
    "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=", /* wg(8), section CONFIGURATION FILE FORMAT EXAMPLE */
};

static bool is_published(const struct key *key)
{
    for (size_t i = 0; i < COUNT_OF(published_keys); i++) {
        struct key known;
        if (key_parse(published_keys[i], &known) == 0 && key_compare(&known, key) == 0)
            return true;
    }
    return false;
}

static void name_readable(struct context *context, size_t node, const struct observed_config *config)
{
    const char *name = context->views[node].name;
    struct fault *fault = fault_new(context, "key-exposed", node, NONE);
    struct buf path = BUF_EMPTY, folder = BUF_EMPTY;
    const char *slash = strrchr(config->path, '/');
    words_add_shell(&path, config->path);
    buf_add(&folder, config->path, slash ? (size_t)(slash - config->path) : 0);
    if (config->mode & 077)
        fault_summary(fault, "others than root can read the private key of %s in %s", name, config->path);
    else
        fault_summary(fault, "others than root can replace %s on %s", config->path, name);
    fault_remedy(fault, "on %s: chown root:root %s && chmod 600 %s%s%s; if anyone may have read it, rotate the key of %s", name, buf_text(&path),
                 buf_text(&path), config->folder_mode & 022 ? " && chmod 700 " : "", config->folder_mode & 022 ? buf_text(&folder) : "", name);
    size_t index = fault_index(context);
    fault_evidence(context, index, "%s: %s has mode %04o%s, its folder %04o", name, config->path, config->mode & 07777,
                   config->owner_other ? " and is not root's" : "", config->folder_mode & 07777);
    buf_free(&path);
    buf_free(&folder);
}

static void detect_exposed(struct context *context)
{
    for (size_t i = 0; i < context->count; i++) {
        const struct node_view *view = &context->views[i];
        const struct observed_config *config = view->seen->reach == REACH_OK ? observation_config(view->seen, view->interface_name) : NULL;
        /* A mode of 0 was not told. */
        if (config && config->path && ((config->mode & 077) || (config->folder_mode & 022) || config->owner_other))
            name_readable(context, i, config);
        if (!view->has_key || !view->looked || !is_published(&view->key))
            continue;
        struct fault *fault = fault_new(context, "key-exposed", i, NONE);
        fault->severity = SEVERITY_ERROR;
        fault_summary(fault, "%s uses a private key that is printed in a manual: anyone can be %s", view->name, view->name);
        fault_remedy(fault, "make a new key on %s (wg genkey) and give its public key to the other nodes", view->name);
        char key[KEY_TEXT_SIZE];
        key_text(&view->key, key);
        fault_evidence(context, fault_index(context), "%s: its public key is %s, which is the example's in wg(8)", view->name, key);
    }
}

static const struct detector detectors[] = {
    {"psk-mismatch", detect_psk},
    {"key-exposed", detect_exposed},
};
const struct stage stage_secrets = {detectors, COUNT_OF(detectors)};
