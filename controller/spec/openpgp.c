/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/spec/openpgp.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/sign.h"
#include "common/str.h"

#define OPENPGP_END "-----END PGP PUBLIC KEY BLOCK-----"
#define LINE 64

enum tag { TAG_SECRET_KEY = 5, TAG_PUBLIC_KEY = 6, TAG_SECRET_SUBKEY = 7 };

struct bytes {
    const uint8_t *p;
    size_t len;
};

static bool take_number(struct bytes *b, unsigned octets, size_t *ret)
{
    if (b->len < octets)
        return false;
    for (*ret = 0; octets; octets--, b->p++, b->len--)
        *ret = *ret << 8 | *b->p;
    return true;
}

/* The length that follows a packet's first octet. Those of unknown and of partial length are not in
 * key files. */
static bool take_length(struct bytes *b, uint8_t first, size_t *ret)
{
    if (!(first & 0x40))
        return (first & 3) != 3 && take_number(b, 1u << (first & 3), ret);
    if (!take_number(b, 1, ret))
        return false;
    if (*ret < 192 || *ret == 255)
        return *ret < 192 || take_number(b, 4, ret);
    size_t low = 0;
    if (*ret >= 224 || !take_number(b, 1, &low))
        return false;
    *ret = ((*ret - 192) << 8) + low + 192;
    return true;
}

/* Whole packets to the end, the first a public key, none a secret one. */
static int packets_check(struct bytes b, struct err *err)
{
    for (bool begun = false; b.len || !begun; begun = true) {
        uint8_t first = b.len ? b.p[0] : 0;
        unsigned tag = first & 0x40 ? first & 0x3f : first >> 2 & 0xf;
        size_t len = 0;

        if (first & 0x80 && (tag == TAG_SECRET_KEY || tag == TAG_SECRET_SUBKEY))
            return err_set(err, ERR_USAGE, "holds a private key; export the public one");
        if (!(first & 0x80) || (!begun && tag != TAG_PUBLIC_KEY))
            return err_set(err, ERR_USAGE, begun ? "is damaged" : "is not an OpenPGP public key");
        b.p++, b.len--;
        if (!take_length(&b, first, &len) || len > b.len)
            return err_set(err, ERR_USAGE, "is cut off");
        b.p += len, b.len -= len;
    }
    return 0;
}

static char *armor(const void *data, size_t len)
{
    _cleanup_free_ char *text = base64_text(data, len);
    struct strbuf out = {0};

    strbuf_adds(&out, OPENPGP_BEGIN "\n\n");
    for (size_t at = 0, all = strlen(text); at < all; at += LINE) {
        strbuf_add(&out, text + at, all - at < LINE ? all - at : LINE);
        strbuf_adds(&out, "\n");
    }
    strbuf_adds(&out, OPENPGP_END "\n");
    return out.s;
}

/* Appends what is between the empty line after the headers and the checksum or the end. */
static int block_read(const char *text, const char *end, struct strbuf *ret, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf body = {0};
    _cleanup_free_ char *data = NULL;
    bool in_body = false;
    size_t len = 0;

    for (const char *next; text < end; text = next) {
        size_t n = strcspn(text, "\r\n");

        next = text + n + (text[n] == '\r') + (text[n + (text[n] == '\r')] == '\n');
        if (next == text)
            break;
        if (in_body && *text == '=')
            break;
        if (in_body)
            strbuf_add(&body, text, n);
        in_body = in_body || strspn(text, " \t") == n;
    }
    if (base64_decode(strbuf_str(&body), &data, &len, err) < 0 || len == 0)
        return err_set(err, ERR_USAGE, "is damaged between its BEGIN and END lines");
    if (packets_check((struct bytes){(const uint8_t *)data, len}, err) < 0)
        return -1;
    strbuf_add(ret, data, len);
    return 0;
}

/* A file may have several blocks, one after the other. */
static int dearmor(const char *text, struct strbuf *ret, struct err *err)
{
    const char *begin = strstr(text, OPENPGP_BEGIN);

    for (; begin; begin = strstr(begin, OPENPGP_BEGIN)) {
        const char *end = strstr(begin, OPENPGP_END);

        if (!end)
            return err_set(err, ERR_USAGE, "is cut off: '" OPENPGP_END "' is missing");
        begin += strlen(OPENPGP_BEGIN);
        begin += strcspn(begin, "\n") + 1;
        if (begin > end || block_read(begin, end, ret, err) < 0)
            return begin > end ? err_set(err, ERR_USAGE, "is damaged") : -1;
        begin = end;
    }
    return 0;
}

int openpgp_public(const void *data, size_t len, char **ret, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf text = {0};
    _cleanup_(strbuf_free) struct strbuf binary = {0};

    if (len > OPENPGP_SIZE_MAX)
        return err_set(err, ERR_USAGE, "is larger than %d bytes", OPENPGP_SIZE_MAX);
    strbuf_add(&text, data, len);
    if (strstr(strbuf_str(&text), "-----BEGIN PGP PRIVATE KEY BLOCK-----"))
        return err_set(err, ERR_USAGE, "holds a private key; export the public one");
    if (!strstr(strbuf_str(&text), OPENPGP_BEGIN))
        strbuf_add(&binary, data, len);
    else if (dearmor(text.s, &binary, err) < 0)
        return -1;
    if (packets_check((struct bytes){(const uint8_t *)strbuf_str(&binary), binary.len}, err) < 0)
        return -1;
    *ret = armor(binary.s, binary.len);
    return 0;
}
