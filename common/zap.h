/* SPDX-License-Identifier: Apache-2.0 */
/* The ZAP handler (ZeroMQ RFC 27): decides, before any byte of a message is parsed, which CURVE
 * public key may speak on which domain. Without it libzmq would accept every key. It runs in
 * the same loop as the sockets that it guards. */
#ifndef MUSTER_ZAP_H
#define MUSTER_ZAP_H

#include "zsock.h"

struct zap;

/* Answers true and sets `ret_user` (at most ZSOCK_USER_MAX - 1 characters, not empty) when `key`
 * may connect from `address` (text of the peer's IP) to a socket of `domain`. */
typedef bool (*zap_allow_fn)(void *ctx, const char *domain, const char *address,
                             const uint8_t key[KEY_SIZE], char ret_user[ZSOCK_USER_MAX]);

struct zap *zap_new(struct zctx *c, zap_allow_fn allow, void *ctx, struct err *err);
int zap_fd(struct zap *z);     /* edge-triggered, as zsock_fd */
void zap_serve(struct zap *z); /* answers all requests that wait */
void zap_free(struct zap *z);

#endif
