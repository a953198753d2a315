/* SPDX-License-Identifier: Apache-2.0 */
/* Watches the TCP connections of one CURVE server. libzmq bounds a frame, not a message: frames of
 * a message that never ends are queued where nobody sees them. So the bytes that came over each
 * connection are compared with the messages that were taken from it, and a connection that holds
 * back too much is shut down. It also bounds how many connections one user has, and how many have
 * not yet said anything. Used by zsock.c only. */
#ifndef MUSTER_ZGUARD_H
#define MUSTER_ZGUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zguard;
struct zctx;

/* `socket` is not bound yet; `max_msg`: bytes of its longest message; `queue`: how many complete
 * ones libzmq may hold for each connection. NULL when the socket cannot be watched. */
struct zguard *zguard_new(struct zctx *c, void *socket, size_t max_msg, unsigned queue);
void zguard_free(struct zguard *g, void *socket);

int zguard_fd(struct zguard *g); /* edge-triggered, as zsock_fd */
bool zguard_pending(struct zguard *g);
/* A whole message of `len` bytes in all its frames was taken from the connection `fd`. `user`: who
 * sent it, NULL when it was no message of ours: then the connection is shut down. */
void zguard_took(struct zguard *g, int fd, const char *user, size_t len);
/* Takes up what happened to the connections and, a few times a second, compares. `drained`: all
 * complete messages were just taken. */
void zguard_look(struct zguard *g, bool drained);
/* Shuts down all connections of that user. */
void zguard_kick(struct zguard *g, const char *user);
/* How many connections were shut down so far, but for those. */
unsigned zguard_cuts(const struct zguard *g);

#endif
