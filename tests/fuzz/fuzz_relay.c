/* Packets of three sources to the opaque relay, some with the right mac1: no more comes out than went in, and nothing out of nothing. */
#include <arpa/inet.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/noise.h"
#include "wgdeck/relay.h"

enum { PLACES = 3, PACKET_MOST = 256 };

static struct key keys[PLACES];

/* One packet: where from, for whose key its mac1 is to be made (others: as it is), how long, then its bytes. */
static size_t take_packet(const uint8_t *data, size_t size, uint8_t *packet, size_t *length)
{
    size_t mac_of = data[1];
    *length = data[2] < size - 3 ? data[2] : size - 3;
    memcpy(packet, data + 3, *length);
    if (mac_of < PLACES && (*length == sizeof(struct message_initiation) || *length == sizeof(struct message_response))) {
        struct mac_key key;
        mac_key_make(&key, &keys[mac_of]);
        mac1_write(&key, packet, *length);
    }
    return 3 + *length;
}

static size_t received(const int *sockets)
{
    uint8_t packet[PACKET_MOST];
    size_t all = 0;
    ssize_t length;
    for (int i = 0; i < PLACES; i++)
        while ((length = recv(sockets[i], packet, sizeof packet, MSG_DONTWAIT)) > 0)
            all += (size_t)length;
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct relay_options options = {.port = 0, .sessions = 4};
    struct err err;
    int sockets[PLACES];
    for (int i = 0; i < PLACES; i++)
        memset(keys[i].bytes, i + 1, KEY_SIZE);
    struct relay *relay = sodium_init() < 0 ? NULL : relay_new(&options, &err);
    if (!relay)
        return 0;
    relay_set_nodes(relay, keys, NULL, PLACES);
    struct sockaddr_in hub = {.sin_family = AF_INET, .sin_port = htons(relay_port(relay)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < PLACES; i++) {
        sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
        if (sockets[i] < 0 || connect(sockets[i], (struct sockaddr *)&hub, sizeof hub))
            abort();
    }
    for (size_t at = 0, count = 0; size - at > 3 && size > at && count < 64; count++) {
        uint8_t packet[PACKET_MOST];
        size_t length, place = data[at] % PLACES;
        at += take_packet(data + at, size - at, packet, &length);
        if (send(sockets[place], packet, length, 0) != (ssize_t)length)
            continue;
        if (relay_turn(relay, &err) || received(sockets) > length)
            abort();
        if (count % 8 == 7)
            relay_set_nodes(relay, keys, NULL, PLACES - count / 8 % 2);
    }
    for (int i = 0; i < PLACES; i++)
        close(sockets[i]);
    relay_free(relay);
    return 0;
}
