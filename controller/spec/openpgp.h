/* SPDX-License-Identifier: Apache-2.0 */
/* OpenPGP public keys (RFC 9580) as files of package repositories: told apart from what is none,
 * and brought into the one form that plans carry. No signature is looked at. Pure. */
#ifndef MUSTER_CONTROLLER_SPEC_OPENPGP_H
#define MUSTER_CONTROLLER_SPEC_OPENPGP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define OPENPGP_BEGIN "-----BEGIN PGP PUBLIC KEY BLOCK-----"
#define OPENPGP_SIZE_MAX 65536

/* Whole public keys, armored or binary, as armored text in *ret, which the caller frees. Else
 * ERR_USAGE; err says what it is instead. */
int openpgp_public(const void *data, size_t len, char **ret, struct err *err);

#endif
