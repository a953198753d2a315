/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/device.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/keys.h"
#include "common/sign.h"
#include "common/str.h"

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"
#define BITS 5   /* of a digit of base 32 */
#define GROUP 13 /* digits that have one check digit */
#define PART 7   /* digits between two '-' */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* Luhn's check digit, modulo 32. */
static char check_digit(const char *group, size_t n)
{
    unsigned factor = 1, sum = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned add = factor * (unsigned)(strchr(digits, group[i]) - digits);

        factor = factor == 2 ? 1 : 2;
        sum += add / 32 + add % 32;
    }
    return digits[(32 - sum % 32) % 32];
}

/* 32 bytes are 52 digits, the last of which has zeros at its end. */
static void base32(const uint8_t sha[32], char ret[53])
{
    for (size_t i = 0; i < 52; i++) {
        unsigned value = 0;

        for (size_t bit = i * BITS; bit < (i + 1) * BITS; bit++)
            value = value << 1 | (bit < 256 ? sha[bit / 8] >> (7 - bit % 8) & 1 : 0);
        ret[i] = digits[value];
    }
    ret[52] = '\0';
}

int device_id(const char *pem, char ret[DEVICE_ID_SIZE], struct err *err)
{
    const char *begin = strstr(pem, BEGIN), *end = begin ? strstr(begin, END) : NULL;
    char hex[SHA256_HEX_SIZE], plain[53], checked[57];
    uint8_t sha[32];
    size_t len = 0, n = 0;

    if (!end)
        return err_set(err, ERR_FAILED, "a node's certificate for its files is none");
    begin += strlen(BEGIN);
    _cleanup_free_ char *text = strndup(begin, (size_t)(end - begin)), *der = NULL;
    if (base64_decode(text, &der, &len, err) < 0)
        return err_wrap(err, "a node's certificate for its files");
    keys_sha256(der, len, hex);
    keys_unhex(hex, sha, sizeof(sha));
    base32(sha, plain);
    for (size_t i = 0; i < 4; i++) {
        memcpy(checked + i * (GROUP + 1), plain + i * GROUP, GROUP);
        checked[i * (GROUP + 1) + GROUP] = check_digit(plain + i * GROUP, GROUP);
    }
    for (size_t i = 0; i < 56; i++) {
        if (i && i % PART == 0)
            ret[n++] = '-';
        ret[n++] = checked[i];
    }
    ret[n] = '\0';
    return 0;
}
