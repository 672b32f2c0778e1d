/* wgdeck show: the WireGuard interfaces of this machine, as wg show prints them; for machines without wireguard-tools. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "columns.h"
#include "commands.h"
#include "counters_show.h"
#include "options.h"
#include "wgdeck/clock.h"
#include "wgdeck/device.h"
#include "wgdeck/json.h"
#include "wgdeck/log.h"
#include "wgdeck/mem.h"
#include "wgdeck/text.h"

static const struct cmd_option show_options[] = {
    {.name = "json", .help = "as JSON"},
    {.name = "counters", .help = "what this program's own engine dropped and why, and who knocked without a row"},
    {0},
};

/* Nothing is compared with other nodes here, so the salt does not matter. */
static const char no_salt[] = "0000000000000000000000000000000000000000000000000000000000000000";

static const struct device_source *const sources[] = {&device_source_netlink, &device_source_uapi};

struct shown {
    struct device *devices;
    size_t count, capacity;
    char **names; /* all that were there */
    size_t name_count, name_capacity;
    bool failed;
};

static void read_interface(const struct device_source *source, char *name, const char *only, struct shown *shown)
{
    struct err err;
    struct device device = {0};
    for (size_t i = 0; i < shown->name_count; i++)
        if (!strcmp(shown->names[i], name)) { /* an engine of its own and the kernel's at once: the first source has it */
            free(name);
            return;
        }
    MEM_GROW(shown->names, shown->name_count, shown->name_capacity);
    shown->names[shown->name_count++] = name;
    if (only && strcmp(only, name))
        return;
    int result = source->read(name, no_salt, &device, &err);
    if (result < 0) {
        log_error("show: %s: %s", name, result == -2 ? "nothing answers on its control socket: the engine is dead" : err.text);
        shown->failed = true;
        return;
    }
    MEM_GROW(shown->devices, shown->count, shown->capacity);
    shown->devices[shown->count++] = device;
}

static void read_all(const char *only, struct shown *shown)
{
    struct err errors[COUNT_OF(sources)];
    size_t failed = 0;
    for (size_t s = 0; s < COUNT_OF(sources); s++) {
        char **names = NULL;
        size_t count = 0;
        if (sources[s]->list(&names, &count, &errors[failed])) {
            failed++;
            continue;
        }
        for (size_t i = 0; i < count; i++)
            read_interface(sources[s], names[i], only, shown);
        free(names);
    }
    /* A kernel without WireGuard is no failure where an engine of its own answers. */
    if (!shown->name_count && failed) {
        for (size_t i = 0; i < failed; i++)
            log_error("show: %s", errors[i].text);
        shown->failed = true;
    }
}

static void add_peer(struct buf *buf, const struct device_peer *peer, const struct terminal *terminal)
{
    char key[KEY_TEXT_SIZE], endpoint[ENDPOINT_TEXT_SIZE], prefix[PREFIX_TEXT_SIZE], rx[BYTES_TEXT_SIZE], tx[BYTES_TEXT_SIZE], age[CLOCK_TEXT_SIZE];
    key_text(&peer->public_key, key);
    endpoint_text(&peer->endpoint, endpoint);
    buf_add_char(buf, '\n');
    add_bold(buf, terminal, "peer");
    buf_add_format(buf, ": %s\n", key);
    if (peer->has_preshared)
        buf_add_text(buf, "  preshared key: (hidden)\n");
    if (*endpoint)
        buf_add_format(buf, "  endpoint: %s\n", endpoint);
    buf_add_text(buf, "  allowed ips:");
    for (size_t i = 0; i < peer->allowed_count; i++) {
        prefix_text(&peer->allowed[i], prefix);
        buf_add_format(buf, "%s %s", i ? "," : "", prefix);
    }
    buf_add_text(buf, peer->allowed_count ? "\n" : " (none)\n");
    if (peer->handshake) {
        clock_ago_text(clock_wall() - peer->handshake, age);
        buf_add_format(buf, "  latest handshake: %s\n", age);
    }
    bytes_text(peer->rx_bytes, rx);
    bytes_text(peer->tx_bytes, tx);
    if (peer->rx_bytes || peer->tx_bytes)
        buf_add_format(buf, "  transfer: %s received, %s sent\n", rx, tx);
    if (peer->keepalive)
        buf_add_format(buf, "  persistent keepalive: every %u seconds\n", peer->keepalive);
}

static void add_device(struct buf *buf, const struct device *device, const struct terminal *terminal)
{
    char key[KEY_TEXT_SIZE];
    key_text(&device->public_key, key);
    add_bold(buf, terminal, "interface");
    buf_add_format(buf, ": %s (%s)\n", device->name, engine_kind_text(device->engine));
    buf_add_format(buf, "  public key: %s\n", device->has_private ? key : "(none)");
    buf_add_format(buf, "  private key: %s\n", device->has_private ? "(hidden)" : "(none)");
    if (device->listen_port)
        buf_add_format(buf, "  listening port: %u\n", device->listen_port);
    if (device->fwmark)
        buf_add_format(buf, "  fwmark: 0x%x\n", device->fwmark);
    for (size_t i = 0; i < device->peer_count; i++)
        add_peer(buf, &device->peers[i], terminal);
}

static void add_device_and_counters(struct buf *buf, const struct device *device, const struct terminal *terminal, bool counters, bool *failed)
{
    add_device(buf, device, terminal);
    if (counters && !counters_add(buf, device, terminal))
        *failed = true;
}

static void peer_to_json(const struct device_peer *peer, struct json *json)
{
    char text[PREFIX_TEXT_SIZE > ENDPOINT_TEXT_SIZE ? PREFIX_TEXT_SIZE : ENDPOINT_TEXT_SIZE], key[KEY_TEXT_SIZE];
    key_text(&peer->public_key, key);
    endpoint_text(&peer->endpoint, text);
    json_object(json, NULL);
    json_text(json, "public_key", key);
    json_bool(json, "preshared_key", peer->has_preshared);
    json_text(json, "endpoint", *text ? text : NULL);
    json_list(json, "allowed_ips");
    for (size_t i = 0; i < peer->allowed_count; i++) {
        prefix_text(&peer->allowed[i], text);
        json_text(json, NULL, text);
    }
    json_list_end(json);
    if (peer->handshake)
        json_decimal(json, "handshake_age", (double)(clock_wall() - peer->handshake) / (double)CLOCK_SECOND, 1);
    else
        json_null(json, "handshake_age");
    json_unsigned(json, "rx_bytes", peer->rx_bytes);
    json_unsigned(json, "tx_bytes", peer->tx_bytes);
    json_unsigned(json, "keepalive", peer->keepalive);
    json_object_end(json);
}

static void add_json(struct buf *buf, bool counters, struct shown *shown)
{
    struct json json = json_begin(buf);
    json_object(&json, NULL);
    json_number(&json, "schema", 1);
    json_list(&json, "interfaces");
    for (size_t d = 0; d < shown->count; d++) {
        const struct device *device = &shown->devices[d];
        char key[KEY_TEXT_SIZE];
        key_text(&device->public_key, key);
        json_object(&json, NULL);
        json_text(&json, "interface", device->name);
        json_text(&json, "engine", engine_kind_text(device->engine));
        json_text(&json, "public_key", device->has_private ? key : NULL);
        json_unsigned(&json, "listen_port", device->listen_port);
        json_unsigned(&json, "fwmark", device->fwmark);
        json_list(&json, "peers");
        for (size_t i = 0; i < device->peer_count; i++)
            peer_to_json(&device->peers[i], &json);
        json_list_end(&json);
        if (counters && !counters_to_json(device, &json))
            shown->failed = true;
        json_object_end(&json);
    }
    json_list_end(&json);
    json_object_end(&json);
    buf_add_char(buf, '\n');
}

static int explain_missing(const char *name, const struct shown *shown)
{
    const char *near = text_nearest(name, (const char *const *)shown->names, shown->name_count);
    if (near)
        log_error("show: no WireGuard interface %s: did you mean %s?", name, near);
    else
        log_error("show: no WireGuard interface %s on this machine", name);
    return CMD_FAILED;
}

static int print_shown(const struct options *options, struct shown *shown)
{
    struct terminal terminal = terminal_of(STDOUT_FILENO, &options->globals);
    struct buf text = BUF_EMPTY;
    bool counters = options_given(options, "counters");
    if (options_given(options, "json"))
        add_json(&text, counters, shown);
    else
        for (size_t i = 0; i < shown->count; i++) {
            buf_add_text(&text, i ? "\n" : "");
            add_device_and_counters(&text, &shown->devices[i], &terminal, counters, &shown->failed);
        }
    fwrite(buf_text(&text), 1, text.length, stdout);
    buf_free(&text);
    return shown->failed ? CMD_FAILED : CMD_OK;
}

static int run(const struct cmd *cmd, const struct cmd_globals *globals, int argc, char **argv)
{
    struct options options;
    struct shown shown = {0};
    if (!options_parse(cmd, globals, argc, argv, &options))
        return options.status;
    if (options.operand_count > 1)
        return options_usage_error(cmd, "one interface at a time, or none for all");
    const char *only = options.operand_count && strcmp(options.operands[0], "all") != 0 ? options.operands[0] : NULL;
    read_all(only, &shown);
    int status = only && !shown.count && !shown.failed ? explain_missing(only, &shown) : print_shown(&options, &shown);
    for (size_t i = 0; i < shown.count; i++)
        device_free(&shown.devices[i]);
    for (size_t i = 0; i < shown.name_count; i++)
        free(shown.names[i]);
    free(shown.devices);
    free(shown.names);
    return status;
}

const struct cmd cmd_show = {
    .name = "show",
    .arguments = "[IF]",
    .summary = "the WireGuard interfaces of this machine",
    .description = "As wg show, for machines without wireguard-tools. Reads the kernel's interfaces and those of userspace engines. Secrets are never shown. Needs root.\n\n"
                   "With --counters also what this program's own engine (wgdeck engine) dropped, which others drop without a word: counts other than 0 with their meaning, "
                   "those of single peers, and keys that asked for a handshake and have no row here, with the address they came from. What a stranger says of its "
                   "key is not proved.",
    .options = show_options,
    .run = run,
};
