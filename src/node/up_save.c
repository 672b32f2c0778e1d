/* SaveConfig: what runs is written into the file before the interface goes. Only lines that differ are changed: comments, hooks and the names of
 * endpoints stay. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "up.h"
#include "wgdeck/file.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"

struct saving {
    struct up_file *file;
    const struct device *running;
    struct err *err;
};

/* --- rows */

static int set(struct saving *saving, size_t section, const char *key, const char *value)
{
    return conf_set(saving->file->conf, section, key, value, saving->err);
}

static bool same_allowed(const struct device_peer *a, const struct device_peer *b)
{
    bool same = a->allowed_count == b->allowed_count;
    for (size_t i = 0; same && i < a->allowed_count; i++)
        same = prefix_compare(&a->allowed[i], &b->allowed[i]) == 0;
    return same;
}

static int save_allowed(struct saving *saving, size_t section, const struct device_peer *running, const struct device_peer *saved)
{
    struct buf text = BUF_EMPTY;
    if (saved && same_allowed(running, saved))
        return 0;
    for (size_t i = 0; i < running->allowed_count; i++) {
        char prefix[PREFIX_TEXT_SIZE];
        prefix_text(&running->allowed[i], prefix);
        buf_add_format(&text, "%s%s", i ? ", " : "", prefix);
    }
    int result = set(saving, section, "AllowedIPs", text.length ? buf_text(&text) : NULL);
    buf_free(&text);
    return result;
}

static int save_endpoint(struct saving *saving, size_t section, const struct device_peer *running, const struct device_peer *saved, bool by_name)
{
    char text[ENDPOINT_TEXT_SIZE];
    endpoint_text(&running->endpoint, text);
    if (!*text || by_name || (saved && endpoint_equal(&running->endpoint, &saved->endpoint)))
        return 0;
    return set(saving, section, "Endpoint", text);
}

static int save_keepalive(struct saving *saving, size_t section, const struct device_peer *running, const struct device_peer *saved)
{
    char text[8];
    if (running->keepalive == (saved ? saved->keepalive : 0))
        return 0;
    snprintf(text, sizeof text, "%u", running->keepalive);
    return set(saving, section, "PersistentKeepalive", running->keepalive ? text : NULL);
}

/* A preshared key itself is not among what was read. */
static int save_preshared(struct saving *saving, size_t section, const struct device_peer *running, const struct device_peer *saved)
{
    char key[KEY_TEXT_SIZE];
    bool was = saved && saved->has_preshared;
    if (!running->has_preshared)
        return was ? set(saving, section, "PresharedKey", NULL) : 0;
    if (was && !memcmp(running->preshared_hash, saved->preshared_hash, KEY_HASH_SIZE))
        return 0;
    key_text(&running->public_key, key);
    log_notice("%s: the preshared key of %s was changed while it ran and is not saved: write it by hand", saving->file->path, key);
    return 0;
}

static const struct device_peer *saved_row(const struct saving *saving, const struct key *key, bool *by_name)
{
    const struct device *wanted = &saving->file->wanted.device;
    const struct device_peer *row = device_find_peer(wanted, key);
    *by_name = row && saving->file->wanted.endpoint_hosts[row - wanted->peers];
    return row;
}

static int save_row(struct saving *saving, size_t section, const struct device_peer *running)
{
    bool by_name;
    const struct device_peer *saved = saved_row(saving, &running->public_key, &by_name);
    return save_preshared(saving, section, running, saved) || save_allowed(saving, section, running, saved) ||
                   save_endpoint(saving, section, running, saved, by_name) || save_keepalive(saving, section, running, saved)
               ? -1
               : 0;
}

static int add_row(struct saving *saving, const struct device_peer *running)
{
    char key[KEY_TEXT_SIZE];
    size_t section = conf_add_section(saving->file->conf, "Peer", NULL);
    key_text(&running->public_key, key);
    return set(saving, section, "PublicKey", key) || save_row(saving, section, running) ? -1 : 0;
}

/* Sections from the last to the first, so that removing one moves none that is still to come. */
static int save_rows(struct saving *saving)
{
    struct conf *conf = saving->file->conf;
    bool *met = mem_alloc(saving->running->peer_count + 1, sizeof *met);
    int result = 0;
    for (size_t section = conf_section_count(conf); section-- > 0 && !result;) {
        const char *kind, *text = conf_get(conf, section, "PublicKey", NULL);
        struct key key;
        conf_section(conf, section, &kind, NULL, NULL);
        if (strcasecmp(kind, "Peer") != 0)
            continue;
        const struct device_peer *row = text && !key_parse(text, &key) ? device_find_peer(saving->running, &key) : NULL;
        if (!row || met[row - saving->running->peers]) {
            conf_remove_section(conf, section);
            continue;
        }
        met[row - saving->running->peers] = true;
        result = save_row(saving, section, row);
    }
    for (size_t i = 0; i < saving->running->peer_count && !result; i++)
        if (!met[i])
            result = add_row(saving, &saving->running->peers[i]);
    free(met);
    return result;
}

/* --- the interface */

static int save_addresses(struct saving *saving, size_t section, struct nl_sock *socket)
{
    const struct wgquick *wanted = &saving->file->wanted;
    struct prefix *addresses = NULL;
    struct buf text = BUF_EMPTY;
    size_t count = 0, same = 0;
    int result = up_addresses(socket, saving->file->name, &addresses, &count, saving->err);
    for (size_t i = 0; i < count; i++) {
        char prefix[PREFIX_TEXT_SIZE];
        prefix_text(&addresses[i], prefix);
        buf_add_format(&text, "%s%s", i ? ", " : "", prefix);
        for (size_t k = 0; k < wanted->address_count; k++)
            same += addresses[i].length == wanted->addresses[k].length && !address_compare(&addresses[i].address, &wanted->addresses[k].address);
    }
    if (!result && (count != wanted->address_count || same != count))
        result = set(saving, section, "Address", count ? buf_text(&text) : NULL);
    buf_free(&text);
    free(addresses);
    return result;
}

static int save_interface(struct saving *saving, struct nl_sock *socket)
{
    const struct device *running = saving->running, *wanted = &saving->file->wanted.device;
    size_t section = conf_find(saving->file->conf, "Interface", NULL, 0);
    char number[16];
    if (key_compare(&running->public_key, &wanted->public_key) != 0)
        log_notice("%s: the private key was changed while it ran and is not saved: write it by hand", saving->file->path);
    snprintf(number, sizeof number, "%u", running->listen_port);
    if (running->listen_port && running->listen_port != wanted->listen_port && set(saving, section, "ListenPort", number))
        return -1;
    /* A mark that stands only here was chosen at "up", and will be again. */
    snprintf(number, sizeof number, "0x%x", running->fwmark);
    if (running->fwmark != wanted->fwmark && wanted->fwmark && set(saving, section, "FwMark", running->fwmark ? number : NULL))
        return -1;
    return save_addresses(saving, section, socket);
}

int up_save(struct up_file *file, const struct device *running, struct nl_sock *socket, struct err *err)
{
    struct saving saving = {file, running, err};
    struct buf text = BUF_EMPTY;
    if (save_interface(&saving, socket) || save_rows(&saving))
        return -1;
    size_t size = 4096;
    for (size_t i = 0; i < running->peer_count; i++)
        size += 512 + running->peers[i].allowed_count * PREFIX_TEXT_SIZE;
    buf_reserve(&text, size); /* so that it need not move while keys stand in it */
    conf_write(file->conf, &text);
    int result = file_write(file->path, 0600, text.data, text.length, err);
    buf_wipe(&text);
    return result;
}
