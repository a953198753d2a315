/* SPDX-License-Identifier: Apache-2.0 */
#include "common/signed.h"

#include <stdlib.h>
#include <string.h>

#include "common/str.h"

/* The purpose is part of what is signed, so that no text can be taken for one of another. */
static char *bytes_of(const char *purpose, const char *text)
{
    return str_fmt("%s\n%s", purpose, text);
}

static void bytes_free(char *bytes)
{
    keys_wipe(bytes, strlen(bytes)); /* plans carry secrets */
    free(bytes);
}

void signed_make(const struct sign_pair *own, const char *purpose, const char *text,
                 char ret[SIGN_HEX_SIZE])
{
    char *bytes = bytes_of(purpose, text);
    uint8_t sig[SIGN_SIZE];

    keys_sign(own, bytes, strlen(bytes), sig);
    keys_hex(sig, SIGN_SIZE, ret);
    bytes_free(bytes);
}

bool signed_holds(const uint8_t pub[KEY_SIZE], const char *purpose, const char *text,
                  const char *sig)
{
    uint8_t raw[SIGN_SIZE];
    char *bytes;
    bool holds;

    if (keys_unhex(sig, raw, SIGN_SIZE) < 0)
        return false;
    bytes = bytes_of(purpose, text);
    holds = keys_verify(pub, bytes, strlen(bytes), raw) == 0;
    bytes_free(bytes);
    return holds;
}
