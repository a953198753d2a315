/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to the hub that runs: the client's side of its socket. Never blocks but where it
 * says so. And the lock that says who is the hub. */
#ifndef MUSTER_CONTROLLER_SERVE_LINK_H
#define MUSTER_CONTROLLER_SERVE_LINK_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "common/chan.h"
#include "common/err.h"
#include "controller/serve/request.h"

/* `state`: the deployment's state directory. Fails when no hub listens there. */
int link_open(const char *state, struct chan *ret, struct err *err);
/* Sends a request; `members` is taken, NULL for none. */
void link_ask(struct chan *c, enum request_kind kind, json_t *members);
/* 1: *ret is a message of the hub (new reference); 0: none now; -1: the hub is gone. */
int link_next(struct chan *c, json_t **ret);
/* Waits for a message that has this member; others are dropped. */
int link_wait(struct chan *c, const char *member, int timeout_ms, json_t **ret, struct err *err);

/* Takes the hub's lock of that deployment, for `role` ("muster serve"). Returns its descriptor;
 * ERR_LOCKED names who has it. */
int link_lock(const char *state, const char *role, struct err *err);
/* A socket at `state`/hub.sock: bound (server) or connected. -1 with errno. */
int link_socket(const char *state, bool server);

#endif
