/* SPDX-License-Identifier: Apache-2.0 */
/* The signature of a CloudStack API call: HMAC-SHA1 over the sorted, encoded, lower-cased
 * parameters, in base64. Follows what the server does (java.net.URLEncoder, '+' as "%20"):
 * A-Z a-z 0-9 . - * _ stay, everything else is escaped, '~' too; names are not encoded and are
 * sorted as sent. Pure. */
#ifndef MUSTER_SIGN_H
#define MUSTER_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/pairs.h"
#include "common/str.h"

#define SIGN_TEXT_SIZE 29 /* base64 of 20 bytes, with the NUL */

/* Appends the value as the server's URLEncoder writes it. */
void sign_encode(struct strbuf *out, const char *value);
/* The signature of the pairs, in base64; a pair named "signature" (any case) is left out. */
void sign_compute(const struct pair *v, size_t n, const char *secret, char ret[SIGN_TEXT_SIZE]);
/* "name=value&…&signature=…", ready for a query string or a form's body. The caller frees. */
char *sign_params(const struct pair *v, size_t n, const char *secret);
/* Whether `signature` (base64, decoded from the URL) is that of the pairs; constant time. */
bool sign_check(const struct pair *v, size_t n, const char *secret, const char *signature);

/* Base64 as the API uses it for user data. The caller frees. */
char *base64_text(const void *data, size_t len);
/* Missing padding is accepted, as the server does. *ret is NUL-terminated; the caller frees. */
int base64_decode(const char *text, char **ret, size_t *ret_len, struct err *err);

#define FINGERPRINT_SIZE 48
/* Fingerprint of an SSH public key ("ssh-ed25519 AAAA… comment") as CloudStack lists it: its MD5
 * in hex, with colons. "" when the text is no such key. */
void ssh_fingerprint(const char *public_key, char ret[FINGERPRINT_SIZE]);

#endif
