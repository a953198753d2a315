/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sign.h"

#include <ctype.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"

void sign_encode(struct strbuf *out, const char *value)
{
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        bool plain = (*p < 0x80 && isalnum(*p)) || strchr(".-*_", *p);

        if (plain)
            strbuf_add(out, p, 1);
        else
            strbuf_addf(out, "%%%02X", *p);
    }
}

static int by_name(const void *a, const void *b)
{
    const struct pair *const *x = a;
    const struct pair *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

void sign_compute(const struct pair *v, size_t n, const char *secret, char ret[SIGN_TEXT_SIZE])
{
    _cleanup_free_ const struct pair **sorted = xcalloc(n + 1, sizeof(*sorted));
    size_t m = 0;

    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(v[i].name, "signature") != 0)
            sorted[m++] = &v[i];
    }
    qsort(sorted, m, sizeof(*sorted), by_name);

    _cleanup_(strbuf_free) struct strbuf text = {0};
    for (size_t i = 0; i < m; i++) {
        strbuf_addf(&text, "%s%s=", i ? "&" : "", sorted[i]->name);
        sign_encode(&text, sorted[i]->value);
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.s[i] >= 'A' && text.s[i] <= 'Z')
            text.s[i] = (char)(text.s[i] - 'A' + 'a');
    }

    struct hmac_sha1_ctx hmac;
    uint8_t digest[SHA1_DIGEST_SIZE];
    hmac_sha1_set_key(&hmac, strlen(secret), (const uint8_t *)secret);
    hmac_sha1_update(&hmac, text.len, (const uint8_t *)strbuf_str(&text));
    hmac_sha1_digest(&hmac, sizeof(digest), digest);
    explicit_bzero(&hmac, sizeof(hmac));
    base64_encode_raw(ret, sizeof(digest), digest);
    ret[SIGN_TEXT_SIZE - 1] = '\0';
}

char *sign_params(const struct pair *v, size_t n, const char *secret)
{
    char signature[SIGN_TEXT_SIZE];

    sign_compute(v, n, secret, signature);
    struct strbuf out = {0};
    for (size_t i = 0; i < n; i++) {
        strbuf_addf(&out, "%s=", v[i].name);
        sign_encode(&out, v[i].value);
        strbuf_adds(&out, "&");
    }
    strbuf_adds(&out, "signature=");
    sign_encode(&out, signature);
    return out.s;
}

bool sign_check(const struct pair *v, size_t n, const char *secret, const char *signature)
{
    char want[SIGN_TEXT_SIZE];

    if (strlen(signature) != SIGN_TEXT_SIZE - 1)
        return false;
    sign_compute(v, n, secret, want);
    return memeql_sec(want, signature, SIGN_TEXT_SIZE - 1) != 0;
}

char *base64_text(const void *data, size_t len)
{
    char *out = xcalloc(1, BASE64_ENCODE_RAW_LENGTH(len) + 1);

    base64_encode_raw(out, len, data);
    return out;
}

int base64_decode(const char *text, char **ret, size_t *ret_len, struct err *err)
{
    size_t len = strlen(text);
    struct base64_decode_ctx ctx;

    base64_decode_init(&ctx);
    _cleanup_free_ char *out = xcalloc(1, BASE64_DECODE_LENGTH(len) + 4);
    size_t n = BASE64_DECODE_LENGTH(len) + 3;
    if (!base64_decode_update(&ctx, &n, (uint8_t *)out, len, text))
        return err_set(err, ERR_USAGE, "not base64 encoded");
    size_t data = 0; /* characters that carry data; white space and '=' do not */
    bool padded = strchr(text, '=') != NULL;
    for (size_t i = 0; i < len; i++)
        data += isalnum((unsigned char)text[i]) || text[i] == '+' || text[i] == '/';
    if (!padded && data % 4 >= 2) {
        size_t more = 3;
        const char *pad = data % 4 == 2 ? "==" : "=";

        if (!base64_decode_update(&ctx, &more, (uint8_t *)out + n, strlen(pad), pad))
            return err_set(err, ERR_USAGE, "not base64 encoded");
        n += more;
    }
    if (!base64_decode_final(&ctx))
        return err_set(err, ERR_USAGE, "not base64 encoded");
    out[n] = '\0';
    *ret = TAKE(out);
    *ret_len = n;
    return 0;
}

void ssh_fingerprint(const char *public_key, char ret[FINGERPRINT_SIZE])
{
    const char *start = strchr(public_key, ' ');
    _cleanup_free_ char *base64 = start ? xstrdup(start + 1) : NULL;
    _cleanup_free_ char *blob = NULL;
    struct md5_ctx md5;
    uint8_t digest[MD5_DIGEST_SIZE];
    struct err ignored;
    size_t len = 0;

    ret[0] = '\0';
    if (!base64)
        return;
    base64[strcspn(base64, " \n")] = '\0';
    if (base64_decode(base64, &blob, &len, &ignored) < 0)
        return;
    md5_init(&md5);
    md5_update(&md5, len, (const uint8_t *)blob);
    md5_digest(&md5, sizeof(digest), digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret + 3 * i, 4, "%02x%s", digest[i], i + 1 < sizeof(digest) ? ":" : "");
}
