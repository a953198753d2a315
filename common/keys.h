/* SPDX-License-Identifier: Apache-2.0 */
/* Key material (libsodium): CURVE pairs of the transport, Ed25519 pairs that sign rosters,
 * sealed boxes for what is stored, digests. Secret halves live in fixed buffers that their
 * owner wipes with keys_wipe. Text form of a key is 64 lower-case hex digits. */
#ifndef MUSTER_KEYS_H
#define MUSTER_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define KEY_SIZE 32
#define KEY_HEX_SIZE 65 /* with the NUL */
#define SIGN_SECRET_SIZE 64
#define SIGN_SIZE 64
#define SIGN_HEX_SIZE 129
#define SHA256_HEX_SIZE 65

struct curve_pair {
    uint8_t pub[KEY_SIZE];
    uint8_t sec[KEY_SIZE];
};

struct sign_pair {
    uint8_t pub[KEY_SIZE];
    uint8_t sec[SIGN_SECRET_SIZE];
};

int keys_init(struct err *err); /* once, before any call but those of hex and wipe */

void keys_curve_new(struct curve_pair *ret);
/* The public half that belongs to a secret one. */
void keys_curve_public(const uint8_t sec[KEY_SIZE], uint8_t ret_pub[KEY_SIZE]);
void keys_sign_new(struct sign_pair *ret);
void keys_sign(const struct sign_pair *pair, const void *msg, size_t len, uint8_t ret[SIGN_SIZE]);
/* 0 when the signature holds. */
int keys_verify(const uint8_t pub[KEY_SIZE], const void *msg, size_t len,
                const uint8_t sig[SIGN_SIZE]);

void keys_hex(const uint8_t *data, size_t len, char *ret); /* ret: 2 * len + 1 */
/* Exactly `len` bytes from exactly 2 * len lower-case digits, else -1. */
int keys_unhex(const char *hex, uint8_t *ret, size_t len);

/* A random token of `chars` letters and digits (at most 64), 5.9 bits each. */
void keys_token(char *ret, size_t chars);
void keys_random(void *buf, size_t len);
/* A random (version 4) UUID in lower-case text; ret holds 37 bytes. */
void keys_uuid(char ret[37]);
/* A UUID derived from a name within a namespace text: same input, same UUID. */
void keys_uuid_derived(const char *space, const char *name, char ret[37]);

void keys_sha256(const void *data, size_t len, char ret[SHA256_HEX_SIZE]);
/* 64 lower-case hexadecimal digits. */
bool keys_sha256_valid(const char *hex);
int keys_sha256_file(const char *path, char ret[SHA256_HEX_SIZE], struct err *err);
/* HMAC-SHA1 and base64 for the cloud's signature are in the controller (sign.c). */

/* Seals a text (at most KEYS_SEALED_MAX bytes) under a symmetric key for storage, as hex;
 * authenticated. */
#define KEYS_SEALED_MAX 8191 /* a private key of 8192 bits as PEM */
#define KEYS_SEALED_HEX_SIZE(len) (2 * ((len) + 40) + 1)
void keys_seal(const uint8_t key[KEY_SIZE], const char *text, char *ret, size_t cap);
/* -1 when it was not sealed with that key or does not fit `cap`. */
int keys_unseal(const uint8_t key[KEY_SIZE], const char *sealed, char *ret, size_t cap);

/* A stream of messages under one key: none can be changed, left out, put elsewhere or added, and
 * the last one is marked, so that a stream that was cut is known. `ad` is authenticated with a
 * message and not in it. The caller frees with keys_stream_free, which wipes. */
#define KEYS_STREAM_HEADER 24
#define KEYS_STREAM_OVERHEAD 17 /* bytes by which a sealed message is longer */
struct keys_stream;
struct keys_stream *keys_stream_begin(const uint8_t key[KEY_SIZE],
                                      uint8_t ret_header[KEYS_STREAM_HEADER]);
void keys_stream_seal(struct keys_stream *s, const void *data, size_t len, const void *ad,
                      size_t ad_len, bool last, uint8_t *ret);
/* For reading; NULL: no stream begins with that header. */
struct keys_stream *keys_stream_follow(const uint8_t key[KEY_SIZE],
                                       const uint8_t header[KEYS_STREAM_HEADER]);
/* -1: that is not the next message of this stream. `ret` gets len - KEYS_STREAM_OVERHEAD bytes. */
int keys_stream_unseal(struct keys_stream *s, const uint8_t *data, size_t len, const void *ad,
                       size_t ad_len, uint8_t *ret, bool *ret_last);
void keys_stream_free(struct keys_stream *s);

/* SHA-256 of what comes piece by piece. */
struct keys_hash;
struct keys_hash *keys_hash_new(void);
void keys_hash_add(struct keys_hash *h, const void *data, size_t len);
void keys_hash_end(struct keys_hash *h, char ret[SHA256_HEX_SIZE]); /* frees it; NULL: nothing */

void keys_wipe(void *buf, size_t len);

/* Reads a pair from `path` (the secret half in hex), or makes it there: O_EXCL, 0600, fsync.
 * A file that is there but unreadable or malformed is an error, never replaced; one that others
 * than its owner may use is ERR_SAFETY. */
int keys_curve_load_or_new(const char *path, struct curve_pair *ret, struct err *err);
int keys_sign_load_or_new(const char *path, struct sign_pair *ret, struct err *err);

#endif
