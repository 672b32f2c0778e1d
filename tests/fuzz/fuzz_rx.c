/* UDP ingress: one receive after another with a real engine behind. The input is a row of datagram trains; what it says to seal is sealed with the session's
 * key, so that hostile packets of an authenticated peer are met too. What reaches the TUN must be an IP packet from the peer's own addresses. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../src/engine/engine.h"
#include "wgdeck/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define LOCAL 0x01020304
#define TRAIN_MOST 65535

static struct engine *engine;
static struct rx *rx;
static struct worker_tally tally;
static struct keypair *keypair;
static void *seal;
static int64_t now;

static void require(int condition)
{
    if (!condition)
        abort();
}

/* The TUN's write stands before the C library's: it looks at what would be written. */
ssize_t writev(int descriptor, const struct iovec *parts, int count)
{
    uint8_t start[40] = {0};
    size_t total = 0;
    (void)descriptor;
    for (int i = 0; i < count; i++) {
        const uint8_t *part = parts[i].iov_base;
        for (size_t j = 0; j < parts[i].iov_len; j++) { /* each byte is read: the sanitizer looks */
            if (i > 0 && total < sizeof start)
                start[total] = part[j];
            total += i > 0;
        }
    }
    require(total >= 20 && total <= 65535 + 40);
    require(start[0] >> 4 == 4 ? start[12] == 10 && start[15] == 2 : start[0] >> 4 == 6 && total >= 40 && start[8] == 0xfd && start[23] == 2);
    return (ssize_t)(total + parts[0].iov_len);
}

static struct peer *add_peer(uint8_t number)
{
    struct key key;
    struct prefix prefix4 = {{AF_INET, {10, 0, 0, number}}, 32}, prefix6 = {{AF_INET6, {0xfd}}, 128};
    memset(&key, number, sizeof key);
    prefix6.address.bytes[15] = number;
    struct peer *peer = peer_add(engine, &key);
    trie_insert(&engine->trie, &prefix4, peer);
    trie_insert(&engine->trie, &prefix6, peer);
    return peer;
}

static void begin(void)
{
    struct key private_key;
    engine = aligned_alloc(64, (sizeof *engine + 63) / 64 * 64);
    require(engine != NULL);
    memset(engine, 0, sizeof *engine);
    require(engine_begin(engine, "fuzz0", NULL) == 0);
    engine->seal = seal_choose("libcrypto", NULL);
    require(engine->seal != NULL);
    memset(&private_key, 0x42, sizeof private_key);
    engine_set_private_key(engine, &private_key);
    atomic_store(&engine->tun.vnet, true);
    engine->tun.descriptors[0] = -1;
    add_peer(3);
    now = 1000 * CLOCK_SECOND;
    seal = engine->seal->context_new();
}

/* A fresh session each time: an input alone decides what happens. */
static void renew(struct peer *peer)
{
    struct noise_keys keys = {.remote_index = 7};
    memset(keys.receive, 5, sizeof keys.receive);
    peer_expire(peer);
    keypair = keypair_install(peer, &keys, LOCAL, true, now);
    while (epoch_reclaim(&engine->epoch)) {}
    engine->handshakes->count = 0;
    engine_inbox_take(engine);
    atomic_store(&peer->events, 0);
}

/* Data of this session around what stands there. */
static void seal_at(uint8_t *message, size_t size, uint8_t counter)
{
    const uint32_t head[4] = {htole32(MESSAGE_DATA), htole32(LOCAL), htole32(counter), 0};
    if (size < sizeof head + SEAL_TAG)
        return;
    memcpy(message, head, sizeof head);
    engine->seal->seal(seal, keypair->receive_key, counter, message + sizeof head, size - sizeof head - SEAL_TAG, message + sizeof head);
}

/* A train: flags (1: sealed, 2: truncated, 4: TSO, 8: USO, 16: the next counter), traffic class, size of a datagram (2), length of all (2), its bytes. */
static size_t feed_train(const uint8_t *bytes, size_t left, uint8_t *counter)
{
    static uint8_t memory[4][TRAIN_MOST + 1];
    static unsigned turn;
    uint8_t *train = memory[turn++ % 4];
    const uint8_t flags = bytes[0];
    const size_t size = (size_t)bytes[2] << 8 | bytes[3];
    size_t length = (size_t)bytes[4] << 8 | bytes[5];
    if (length > left - 6)
        length = left - 6;
    memcpy(train, bytes + 6, length);
    struct udp_received received = {.length = length, .size = (uint16_t)(size && size < length ? size : length), .tos = bytes[1], .truncated = flags & 2};
    received.from.to.v4.sin_family = AF_INET;
    received.from.to.v4.sin_port = bytes[1];
    for (size_t at = 0; flags & 1 && received.size && at < length; at += received.size)
        seal_at(train + at, length - at < received.size ? length - at : received.size, flags & 16 ? (*counter)++ : *counter);
    atomic_store(&engine->tun.tso, flags & 4);
    atomic_store(&engine->tun.uso, flags & 8);
    rx_train(rx, train, &received, now);
    if (turn % 4 == 0)
        rx_flush(rx);
    return 6 + length;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct peer *peer;
    uint8_t counter = 0;
    if (!engine) {
        begin();
        peer = add_peer(2);
    }
    renew(peer);
    rx = rx_new(engine, 0, 0, &tally); /* its buffers are not used: nothing is touched */
    for (unsigned trains = 0; length >= 6 && trains < 64; trains++) {
        size_t used = feed_train(bytes, length, &counter);
        bytes += used;
        length -= used;
    }
    rx_flush(rx);
    rx_free(rx);
    return 0;
}
