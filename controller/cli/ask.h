/* SPDX-License-Identifier: Apache-2.0 */
/* Asking every agent now: through the hub that runs or, without one, as the hub for as long as this
 * is open. Changes nothing on a node. */
#ifndef MUSTER_CONTROLLER_CLI_ASK_H
#define MUSTER_CONTROLLER_CLI_ASK_H

#include "common/chan.h"
#include "common/nettest.h"
#include "controller/own_hub.h"

struct ask {
    const char *file;  /* the deployment file */
    const char *state; /* its state directory */
    const char *role;  /* what others are told who is the hub */
    struct chan link;  /* fd -1: none */
    struct own_hub own;
};

void ask_init(struct ask *a, const char *file, const char *state, const char *role);
/* *ret: the hub's answer (docs/protocol.md), a new reference. Waits some seconds for agents that do
 * not answer. Fails, with why, when nobody could be asked: an `up` without a socket is the hub. */
int ask_nodes(struct ask *a, json_t **ret, struct err *err);
/* One measurement of the network, by that node. *ret: {ok, cause, why, figures} (docs/protocol.md,
 * section 11), a new reference. Waits for as long as it takes. */
int ask_measure(struct ask *a, const char *from, const struct nettest_order *o, json_t **ret,
                struct err *err);
void ask_close(struct ask *a);

#endif
