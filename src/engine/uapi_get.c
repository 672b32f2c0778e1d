/* UAPI answers told at the reader's speed: a cursor over the peers and their rows, which survives that they change meanwhile. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "control.h"
#include "uapi.h"

/* --- the window */

void uapi_out_add(struct uapi_out *out, const char *text)
{
    size_t length = strlen(text);
    if (length > out->room - out->length)
        return; /* never: a piece is shorter than UAPI_PIECE */
    memcpy(out->bytes + out->length, text, length);
    out->length += length;
}

void uapi_out_number(struct uapi_out *out, const char *key, uint64_t number)
{
    char line[96];
    snprintf(line, sizeof line, "%s=%" PRIu64 "\n", key, number);
    uapi_out_add(out, line);
}

void uapi_out_key(struct uapi_out *out, const char *key, const struct key *value)
{
    char text[2 * KEY_SIZE + 1];
    sodium_bin2hex(text, sizeof text, value->bytes, KEY_SIZE);
    uapi_out_add(out, key);
    uapi_out_add(out, "=");
    uapi_out_add(out, text);
    uapi_out_add(out, "\n");
    sodium_memzero(text, sizeof text);
}

static bool has_room(const struct uapi_out *out)
{
    return out->room - out->length >= UAPI_PIECE;
}

/* --- pieces */

static void tell_device(struct engine *engine, struct uapi_out *out)
{
    const struct udp_sockets *sockets = atomic_load(&engine->sockets);
    uint16_t port = sockets ? sockets->port : engine->listen_port ? engine->listen_port : engine->bound_port;
    if (engine->identity->set)
        uapi_out_key(out, "private_key", &engine->identity->private_key);
    if (port)
        uapi_out_number(out, "listen_port", port);
    if (engine->fwmark)
        uapi_out_number(out, "fwmark", engine->fwmark);
}

static void tell_endpoint(const struct peer *peer, struct uapi_out *out)
{
    struct udp_endpoint inner;
    struct endpoint endpoint = {0};
    char text[ENDPOINT_TEXT_SIZE];
    peer_endpoint_get(peer, &inner);
    udp_endpoint_to(&inner, &endpoint);
    endpoint_text(&endpoint, text);
    if (!text[0])
        return;
    uapi_out_add(out, "endpoint=");
    uapi_out_add(out, text);
    uapi_out_add(out, "\n");
}

static void tell_peer(struct peer *peer, struct uapi_out *out)
{
    int64_t handshake = peer->last_handshake_wall;
    uapi_out_key(out, "public_key", &peer->noise.public_key);
    uapi_out_key(out, "preshared_key", &peer->noise.preshared);
    uapi_out_add(out, "protocol_version=1\n");
    tell_endpoint(peer, out);
    uapi_out_number(out, "last_handshake_time_sec", (uint64_t)(handshake / CLOCK_SECOND));
    uapi_out_number(out, "last_handshake_time_nsec", (uint64_t)(handshake % CLOCK_SECOND));
    uapi_out_number(out, "tx_bytes", atomic_load_explicit(&peer->tx_bytes, memory_order_relaxed));
    uapi_out_number(out, "rx_bytes", atomic_load_explicit(&peer->rx_bytes, memory_order_relaxed));
    uapi_out_number(out, "persistent_keepalive_interval", atomic_load(&peer->keepalive));
}

static void row_line(const struct prefix *prefix, char line[static PREFIX_TEXT_SIZE + 16])
{
    char text[PREFIX_TEXT_SIZE];
    prefix_text(prefix, text);
    snprintf(line, PREFIX_TEXT_SIZE + 16, "allowed_ip=%s\n", text);
}

/* --- the cursor */

void uapi_cursor_begin(struct uapi_cursor *cursor, struct engine *engine, enum uapi_question question)
{
    *cursor = (struct uapi_cursor){.engine = engine, .question = question};
}

void uapi_cursor_end(struct uapi_cursor *cursor)
{
    buf_free(&cursor->rest);
    *cursor = (struct uapi_cursor){.done = true};
}

static void tell_head(struct uapi_cursor *cursor, struct uapi_out *out)
{
    if (cursor->question == UAPI_GET)
        tell_device(cursor->engine, out);
    else if (!uapi_counters_head(cursor->engine, &cursor->part, out))
        return;
    cursor->head_told = true;
    cursor->peer = cursor->engine->peers;
}

static void tell_rest(struct uapi_cursor *cursor, struct uapi_out *out)
{
    size_t left = cursor->rest.length - cursor->rest_told, room = out->room - out->length, part = left < room ? left : room;
    memcpy(out->bytes + out->length, cursor->rest.data + cursor->rest_told, part);
    out->length += part;
    cursor->rest_told += part;
    if (part == left) {
        buf_free(&cursor->rest);
        cursor->rest_told = 0;
    }
}

/* The next line of a peer's rows; false: there is none, and the cursor stands on the next peer. */
static bool next_row(struct uapi_cursor *cursor, char line[static PREFIX_TEXT_SIZE + 16])
{
    struct prefix prefix;
    cursor->row = trie_next(&cursor->engine->trie, cursor->peer, cursor->row, &prefix);
    if (cursor->row) {
        row_line(&prefix, line);
        return true;
    }
    cursor->in_rows = false;
    cursor->peer = cursor->peer->list_next;
    return false;
}

static void tell_next_peer(struct uapi_cursor *cursor, struct uapi_out *out)
{
    if (cursor->question == UAPI_COUNTERS) {
        uapi_counters_peer(cursor->peer, out);
        cursor->peer = cursor->peer->list_next;
        return;
    }
    tell_peer(cursor->peer, out);
    cursor->in_rows = true;
    cursor->row = NULL;
}

void uapi_cursor_fill(struct uapi_cursor *cursor, struct uapi_out *out)
{
    char line[PREFIX_TEXT_SIZE + 16];
    while (!cursor->done && has_room(out)) {
        if (!cursor->head_told) {
            tell_head(cursor, out);
        } else if (cursor->rest.length) {
            tell_rest(cursor, out);
        } else if (cursor->in_rows) {
            if (next_row(cursor, line))
                uapi_out_add(out, line);
        } else if (cursor->peer) {
            tell_next_peer(cursor, out);
        } else {
            uapi_out_add(out, "errno=0\n\n");
            cursor->done = true;
        }
    }
}

void uapi_cursor_settle(struct uapi_cursor *cursor)
{
    char line[PREFIX_TEXT_SIZE + 16];
    while (cursor->in_rows)
        if (next_row(cursor, line))
            buf_add_text(&cursor->rest, line);
}

void uapi_cursor_peer_goes(struct uapi_cursor *cursor, const struct peer *peer)
{
    if (cursor->peer == peer && !cursor->in_rows)
        cursor->peer = peer->list_next;
}
