/* What an engine of wgdeck counts that others drop silently: names, UAPI keys and words, one row each. Read by the UAPI client of src/wg,
 * written by src/engine, shown by "wgdeck show IF --counters" and carried by observe. Counts only; no secret, no payload. */
#ifndef WGDECK_ENGINE_COUNTERS_H
#define WGDECK_ENGINE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "wgdeck/err.h"
#include "wgdeck/key.h"
#include "wgdeck/prefix.h"

/* X(field, "words for people"). The UAPI key is the field's name. */
#define ENGINE_COUNTERS(X)                                                                          \
    X(malformed, "datagrams that are no WireGuard message (wrong type, length or reserved bytes)")   \
    X(bad_mac1, "handshake messages that are not for this node's public key (mac1)")                \
    X(unknown_initiator, "handshakes by a key that has no row here")                                \
    X(replayed_timestamp, "initiations with a timestamp not newer than the last one")               \
    X(flooded_initiation, "initiations of one peer less than 20 ms apart")                          \
    X(bad_initiation, "initiations that did not decrypt")                                           \
    X(bad_response, "responses that did not decrypt (preshared key or key differs)")                \
    X(unasked_response, "responses nobody waits for")                                               \
    X(bad_cookie, "cookie replies that did not decrypt or that nobody asked for")                   \
    X(unknown_index, "data for a session that does not exist (any more)")                           \
    X(bad_data, "data that did not decrypt")                                                        \
    X(replayed_data, "data received a second time, or too late")                                    \
    X(expired_data, "data under a key too old or used too often")                                   \
    X(bad_packet, "decrypted data that is no IP packet")                                            \
    X(wrong_source, "decrypted packets from an inner address that is not the sender's")             \
    X(no_route, "packets to an address that no row allows")                                         \
    X(no_endpoint, "packets to a peer whose endpoint is not known")                                 \
    X(looped, "own datagrams that a route sent into the tunnel to the very peer they are for")      \
    X(staged_overflow, "packets dropped because too many waited for a handshake")                   \
    X(handshake_overflow, "handshake messages dropped because too many waited")                     \
    X(handshake_limited, "handshake messages dropped by the rate limit of their address")           \
    X(cookies_sent, "cookie replies sent (under load)")                                             \
    X(cookies_received, "cookie replies received (the other side is under load)")                   \
    X(send_errors, "datagrams that the kernel refused to send")                                     \
    X(tun_errors, "packets that the kernel refused to take from the tunnel")                        \
    X(udp_segment_off, "times UDP_SEGMENT was given up")                                            \
    X(udp_gro_off, "times UDP_GRO was given up")                                                    \
    X(tun_offload_off, "times an offload of the TUN was given up")

/* Of one peer; the same, told apart by whom they concern. */
#define ENGINE_PEER_COUNTERS(X)                                                     \
    X(bad_handshake, "handshakes that did not decrypt (preshared key differs)")     \
    X(replayed_timestamp, "initiations with a timestamp not newer than the last")   \
    X(bad_data, "data that did not decrypt")                                        \
    X(replayed_data, "data received a second time, or too late")                    \
    X(wrong_source, "decrypted packets from an inner address that is not its own")  \
    X(no_endpoint, "packets that could not be sent: no endpoint")                   \
    X(staged_overflow, "packets dropped while waiting for a handshake")

struct engine_counters {
#define FIELD(name, words) uint64_t name;
    ENGINE_COUNTERS(FIELD)
#undef FIELD
};

struct engine_peer_counters {
    struct key public_key;
#define FIELD(name, words) uint64_t name;
    ENGINE_PEER_COUNTERS(FIELD)
#undef FIELD
};

/* A key that knocked and has no row: what it claims to be (proved by the handshake's first part only to the extent that the sender knew our
 * public key; the key itself is unproved) and from where. */
struct engine_stranger {
    struct key public_key;
    struct endpoint endpoint;
    uint64_t count;
    int64_t last; /* wall clock, ns since 1970 */
};

#define ENGINE_STRANGERS 32 /* at most; the one seen longest ago makes room */

struct engine_report {
    struct engine_counters counters;
    struct engine_peer_counters *peers; /* only those with a count; sorted by key; owned */
    size_t peer_count;
    struct engine_stranger strangers[ENGINE_STRANGERS];
    size_t stranger_count;
    char features[256]; /* words: "udp_segment udp_gro tun_tso tun_uso ipsec-mb queues=2" */
};

/* On the UAPI socket: the request "counters=1\n\n" (no other engine knows it: they answer errno=-22, or close). The answer is lines
 * key=value: the counters above; features=...; stranger=HEX KEY, then stranger_endpoint=, stranger_count=, stranger_time= (seconds); public_key=HEX, then
 * that peer's counters; errno=0. */

/* src/wg: ask the engine of interface NAME. 0; -1 with err; -2 when it is not an engine of wgdeck. */
int engine_report_read(const char *name, struct engine_report *report, struct err *err);
/* Pure; for the client and its fuzzer. 0, or -1 with err. */
int engine_report_parse(const char *bytes, size_t length, struct engine_report *report, struct err *err);
void engine_report_free(struct engine_report *report);

#endif
