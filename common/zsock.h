/* SPDX-License-Identifier: Apache-2.0 */
/* ZeroMQ sockets as Muster uses them: ROUTER and DEALER over TCP, always CURVE, one JSON text
 * per message, never blocking. A server takes a message only with the User-Id that our ZAP
 * handler (zap.h) gave its sender. Options and their reasons: docs/security.md. */
#ifndef MUSTER_ZSOCK_H
#define MUSTER_ZSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "keys.h"

struct zctx;
struct zsock;

struct zctx *zctx_new(void);
void zctx_free(struct zctx *c); /* after all its sockets */
void *zctx_raw(struct zctx *c); /* for zap.c only */

#define ZSOCK_RID_MAX 16
#define ZSOCK_USER_MAX 64

/* A message. `body` is NUL-terminated; the receiver frees it with zmsg_free. */
struct zmsg {
    uint8_t rid[ZSOCK_RID_MAX]; /* ROUTER: where it came from, and where an answer goes */
    size_t rid_len;
    char user[ZSOCK_USER_MAX]; /* ROUTER: User-Id set by our ZAP handler; never empty */
    char *body;
    size_t len;
};
void zmsg_free(struct zmsg *m);

/* CURVE server. The ZAP handler must be bound in this context before. `domain` selects the
 * rule of the handler; `max_msg` bounds a message in bytes before it is authenticated. */
struct zsock *zsock_server(struct zctx *c, const char *domain, const struct curve_pair *own,
                           size_t max_msg, const char *endpoint, struct err *err);
/* CURVE client that connects and keeps reconnecting. */
struct zsock *zsock_client(struct zctx *c, const struct curve_pair *own,
                           const uint8_t server_pub[KEY_SIZE], size_t max_msg, const char *endpoint,
                           struct err *err);
void zsock_free(struct zsock *s);
/* So long zctx_free waits until what was sent is on its way; without this not at all. */
void zsock_linger(struct zsock *s, int ms);

/* 1: *ret holds a message. 0: nothing there. Messages without User-Id or with other than the
 * expected frames are dropped inside, and their connection is shut down. */
int zsock_recv(struct zsock *s, struct zmsg *ret);
/* 0, or -1 when the peer is gone or its queue is full (the caller keeps its own outbox).
 * `to` is NULL for a client. */
int zsock_send(struct zsock *s, const struct zmsg *to, const char *body, size_t len);

/* A server that leaves messages for later calls this instead of going on to receive: connections
 * are watched all the same (zguard.h). */
void zsock_look(struct zsock *s);
/* Ends the connections of a server from which that user has sent anything: its key is void. */
void zsock_kick(struct zsock *s, const char *user);
/* How many connections of a server were shut down for what they sent, or left out. */
unsigned zsock_cuts(const struct zsock *s);

/* Something waits that zsock_fd may not tell of any more, as it is edge-triggered. */
bool zsock_pending(struct zsock *s);
/* Client: readable when zsock_handshakes or zsock_was_refused may have changed. Server: when
 * connections came or went, which zsock_recv and zsock_look take up. Edge-triggered; -1: none. */
int zsock_monitor_fd(struct zsock *s);
/* The descriptor to poll for reading. It is edge-triggered: after every wake-up, and after every
 * send, call zsock_recv until it answers 0 before polling again. */
int zsock_fd(struct zsock *s);

/* Whether the last handshake of a client was refused by the server's ZAP handler. */
bool zsock_was_refused(struct zsock *s);
/* How often a client has connected: when it rises, the server knows nothing of this peer yet. */
unsigned zsock_handshakes(struct zsock *s);

#endif
