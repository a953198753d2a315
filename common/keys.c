/* SPDX-License-Identifier: Apache-2.0 */
#include "common/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

int keys_init(struct err *err)
{
    if (sodium_init() < 0)
        return err_set(err, ERR_FAILED, "libsodium cannot start: no source of randomness");
    return 0;
}

void keys_curve_new(struct curve_pair *ret)
{
    crypto_box_keypair(ret->pub, ret->sec);
}

void keys_curve_public(const uint8_t sec[KEY_SIZE], uint8_t ret_pub[KEY_SIZE])
{
    crypto_scalarmult_base(ret_pub, sec);
}

void keys_sign_new(struct sign_pair *ret)
{
    crypto_sign_keypair(ret->pub, ret->sec);
}

void keys_sign(const struct sign_pair *pair, const void *msg, size_t len, uint8_t ret[SIGN_SIZE])
{
    crypto_sign_detached(ret, NULL, msg, len, pair->sec);
}

int keys_verify(const uint8_t pub[KEY_SIZE], const void *msg, size_t len,
                const uint8_t sig[SIGN_SIZE])
{
    return crypto_sign_verify_detached(sig, msg, len, pub);
}

void keys_hex(const uint8_t *data, size_t len, char *ret)
{
    sodium_bin2hex(ret, 2 * len + 1, data, len);
}

int keys_unhex(const char *hex, uint8_t *ret, size_t len)
{
    if (strlen(hex) != 2 * len || strspn(hex, "0123456789abcdef") != 2 * len)
        return -1;
    return sodium_hex2bin(ret, len, hex, 2 * len, NULL, NULL, NULL);
}

void keys_token(char *ret, size_t chars)
{
    static const char set[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789";

    for (size_t i = 0; i < chars; i++)
        ret[i] = set[randombytes_uniform(sizeof(set) - 1)];
    ret[chars] = '\0';
}

void keys_random(void *buf, size_t len)
{
    randombytes_buf(buf, len);
}

static void uuid_text(uint8_t b[16], uint8_t version, char ret[37])
{
    char hex[33];

    b[6] = (uint8_t)((b[6] & 0x0f) | (version << 4));
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    keys_hex(b, 16, hex);
    snprintf(ret, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

void keys_uuid(char ret[37])
{
    uint8_t b[16];

    randombytes_buf(b, sizeof(b));
    uuid_text(b, 4, ret);
}

void keys_uuid_derived(const char *space, const char *name, char ret[37])
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state st;

    crypto_hash_sha256_init(&st);
    crypto_hash_sha256_update(&st, (const uint8_t *)space, strlen(space) + 1);
    crypto_hash_sha256_update(&st, (const uint8_t *)name, strlen(name));
    crypto_hash_sha256_final(&st, digest);
    uuid_text(digest, 8, ret); /* RFC 9562: version 8 is free for one's own derivation */
}

void keys_sha256(const void *data, size_t len, char ret[SHA256_HEX_SIZE])
{
    uint8_t digest[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(digest, data, len);
    keys_hex(digest, sizeof(digest), ret);
}

bool keys_sha256_valid(const char *hex)
{
    uint8_t digest[crypto_hash_sha256_BYTES];

    return keys_unhex(hex, digest, sizeof(digest)) == 0;
}

int keys_sha256_file(const char *path, char ret[SHA256_HEX_SIZE], struct err *err)
{
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state st;
    uint8_t buf[65536];
    size_t n;

    if (!f)
        return err_errno(err, errno, "%s", path);
    crypto_hash_sha256_init(&st);
    while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
        crypto_hash_sha256_update(&st, buf, n);
    if (ferror(f))
        return err_errno(err, errno, "%s", path);
    crypto_hash_sha256_final(&st, digest);
    keys_hex(digest, sizeof(digest), ret);
    return 0;
}

#define SEAL_OVERHEAD (crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)

void keys_seal(const uint8_t key[KEY_SIZE], const char *text, char *ret, size_t cap)
{
    uint8_t box[SEAL_OVERHEAD + KEYS_SEALED_MAX];
    size_t len = strlen(text);

    if (len > KEYS_SEALED_MAX || cap < KEYS_SEALED_HEX_SIZE(len))
        abort();
    randombytes_buf(box, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(box + crypto_secretbox_NONCEBYTES, (const uint8_t *)text, len, box, key);
    keys_hex(box, SEAL_OVERHEAD + len, ret);
}

int keys_unseal(const uint8_t key[KEY_SIZE], const char *sealed, char *ret, size_t cap)
{
    uint8_t box[SEAL_OVERHEAD + KEYS_SEALED_MAX];
    size_t len = strlen(sealed) / 2;

    if (len < SEAL_OVERHEAD || len > sizeof(box) || len - SEAL_OVERHEAD >= cap ||
        keys_unhex(sealed, box, len) < 0 ||
        crypto_secretbox_open_easy((uint8_t *)ret, box + crypto_secretbox_NONCEBYTES,
                                   len - crypto_secretbox_NONCEBYTES, box, key) < 0)
        return -1;
    ret[len - SEAL_OVERHEAD] = '\0';
    return 0;
}

struct keys_stream {
    crypto_secretstream_xchacha20poly1305_state state;
};

_Static_assert(KEYS_STREAM_HEADER == crypto_secretstream_xchacha20poly1305_HEADERBYTES, "header");
_Static_assert(KEYS_STREAM_OVERHEAD == crypto_secretstream_xchacha20poly1305_ABYTES, "overhead");

struct keys_stream *keys_stream_begin(const uint8_t key[KEY_SIZE],
                                      uint8_t ret_header[KEYS_STREAM_HEADER])
{
    struct keys_stream *s = xcalloc(1, sizeof(*s));

    crypto_secretstream_xchacha20poly1305_init_push(&s->state, ret_header, key);
    return s;
}

void keys_stream_seal(struct keys_stream *s, const void *data, size_t len, const void *ad,
                      size_t ad_len, bool last, uint8_t *ret)
{
    crypto_secretstream_xchacha20poly1305_push(
        &s->state, ret, NULL, data, len, ad, ad_len,
        last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0);
}

struct keys_stream *keys_stream_follow(const uint8_t key[KEY_SIZE],
                                       const uint8_t header[KEYS_STREAM_HEADER])
{
    struct keys_stream *s = xcalloc(1, sizeof(*s));

    if (crypto_secretstream_xchacha20poly1305_init_pull(&s->state, header, key) == 0)
        return s;
    keys_stream_free(s);
    return NULL;
}

int keys_stream_unseal(struct keys_stream *s, const uint8_t *data, size_t len, const void *ad,
                       size_t ad_len, uint8_t *ret, bool *ret_last)
{
    unsigned char tag = 0;

    if (len < KEYS_STREAM_OVERHEAD || crypto_secretstream_xchacha20poly1305_pull(
                                          &s->state, ret, NULL, &tag, data, len, ad, ad_len) != 0)
        return -1;
    *ret_last = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    return 0;
}

void keys_stream_free(struct keys_stream *s)
{
    if (s)
        sodium_memzero(s, sizeof(*s));
    free(s);
}

struct keys_hash {
    crypto_hash_sha256_state state;
};

struct keys_hash *keys_hash_new(void)
{
    struct keys_hash *h = xcalloc(1, sizeof(*h));

    crypto_hash_sha256_init(&h->state);
    return h;
}

void keys_hash_add(struct keys_hash *h, const void *data, size_t len)
{
    crypto_hash_sha256_update(&h->state, data, len);
}

void keys_hash_end(struct keys_hash *h, char ret[SHA256_HEX_SIZE])
{
    uint8_t digest[32];

    if (!h)
        return;
    crypto_hash_sha256_final(&h->state, digest);
    keys_hex(digest, sizeof(digest), ret);
    free(h);
}

void keys_wipe(void *buf, size_t len)
{
    sodium_memzero(buf, len);
}

/* Whether nobody but its owner may read it. */
static int is_private(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_errno(err, errno, "%s", path);
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return err_set(err, ERR_SAFETY,
                       "%s: others than its owner may use it (mode %04o), so it may be known to "
                       "them; it is not used. 'chmod 600' when it is not",
                       path, (unsigned)st.st_mode & 07777);
    return 0;
}

/* Reads the secret from the file, or has `make` fill it and keeps it there. A crash leaves either
 * nothing or the whole key: the file is written under another name and linked into place, which
 * fails when the name exists. */
static int secret_load_or_new(const char *path, uint8_t *sec, size_t len,
                              void (*make)(uint8_t *sec), struct err *err)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *tmp = NULL;
    char hex[2 * SIGN_SECRET_SIZE + 2];
    int rc;

    if (!fs_exists(path)) {
        tmp = str_fmt("%s.new", path);
        make(sec);
        keys_hex(sec, len, hex);
        strcat(hex, "\n");
        rc = fs_write_atomic(tmp, hex, strlen(hex), 0600, err);
        keys_wipe(hex, sizeof(hex));
        if (rc < 0)
            return -1;
        if (link(tmp, path) < 0 && errno != EEXIST)
            return err_errno(err, errno, "%s", path);
        unlink(tmp);
        if (fs_sync_parent(path, err) < 0)
            return -1;
    }
    if (is_private(path, err) < 0 || fs_read(path, 4096, &text, NULL, err) < 0)
        return -1;
    rc = keys_unhex(str_chomp(text), sec, len);
    keys_wipe(text, strlen(text));
    if (rc < 0)
        return err_set(err, ERR_FAILED, "%s: is not a key; it is left as it is", path);
    return 0;
}

static void make_curve(uint8_t *sec)
{
    struct curve_pair p;

    keys_curve_new(&p);
    memcpy(sec, p.sec, sizeof(p.sec));
    keys_wipe(&p, sizeof(p));
}

int keys_curve_load_or_new(const char *path, struct curve_pair *ret, struct err *err)
{
    if (secret_load_or_new(path, ret->sec, sizeof(ret->sec), make_curve, err) < 0)
        return -1;
    keys_curve_public(ret->sec, ret->pub);
    return 0;
}

static void make_sign(uint8_t *sec)
{
    struct sign_pair p;

    keys_sign_new(&p);
    memcpy(sec, p.sec, sizeof(p.sec));
    keys_wipe(&p, sizeof(p));
}

int keys_sign_load_or_new(const char *path, struct sign_pair *ret, struct err *err)
{
    if (secret_load_or_new(path, ret->sec, sizeof(ret->sec), make_sign, err) < 0)
        return -1;
    crypto_sign_ed25519_sk_to_pk(ret->pub, ret->sec);
    return 0;
}
