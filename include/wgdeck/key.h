/* WireGuard's keys: 32 bytes, Curve25519 (whitepaper section 5), shown in base64. */
#ifndef WGDECK_KEY_H
#define WGDECK_KEY_H

#include <stdbool.h>
#include <stdint.h>

#define KEY_SIZE 32
#define KEY_TEXT_SIZE 45 /* 44 characters of base64 and the NUL */
#define KEY_HASH_SIZE 16

struct key {
    uint8_t bytes[KEY_SIZE];
};

/* Constant time in the key's value. parse: exactly 44 characters ending in '='; 0, or -1. */
int key_parse(const char *text, struct key *key);
void key_text(const struct key *key, char text[static KEY_TEXT_SIZE]);
int key_parse_hex(const char *text, struct key *key); /* exactly 64 hexadecimal digits, as UAPI has them; 0, or -1 */

bool key_is_zero(const struct key *key);                       /* constant time */
bool key_equal(const struct key *a, const struct key *b);      /* constant time; for secrets */
int key_compare(const struct key *a, const struct key *b);     /* memcmp; for sorting public keys */

void key_make_private(struct key *key);                               /* random, clamped (RFC 7748 section 5) */
void key_make_preshared(struct key *key);                             /* random */
void key_public(const struct key *private_key, struct key *public_key);
void key_wipe(struct key *key);

/* What may leave a node instead of a preshared key: the first 16 bytes of SHA-256(SALT text, the key's base64, a newline). SALT is 64
 * hexadecimal digits, fresh for each run of the deck, so that hashes of two runs or two decks say nothing about each other. The shell
 * of a bare look computes the same with sha256sum, from here-documents (hence the newline). */
void key_hash(const struct key *key, const char *salt, uint8_t hash[static KEY_HASH_SIZE]);

#endif
