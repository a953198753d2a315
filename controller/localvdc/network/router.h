/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual routers: a namespace per network with a gateway, and one per Direct Connect Group that
 * joins its private networks. All of it is made from the documents, again and again. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_NETWORK_ROUTER_H
#define MUSTER_CONTROLLER_LOCALVDC_NETWORK_ROUTER_H

#include <jansson.h>
#include <stdbool.h>

#include "controller/localvdc/base/vdb.h"

/* Brings the network's bridge, router and services to what the state says. */
int router_ensure(struct vdb *db, const char *network_id, struct err *err);
/* Whether it is to be there: one that CloudStack's own createNetwork made comes into being with its
 * first guest. */
bool router_wanted(const json_t *network);
/* As router_ensure, when it is to be there. */
int router_update(struct vdb *db, const char *network_id, struct err *err);
/* As router_update, with services that begin again. */
int router_restart(struct vdb *db, const char *network_id, struct err *err);
/* Takes one of the further public addresses off. */
void router_drop_address(const json_t *network, const char *address);
/* Held while a network's router is made, or removed together with the document; a descriptor. */
int router_lock(const char *network_id, struct err *err);
/* Removes what router_ensure made, by the document. The caller holds the lock until that document
 * is gone, too: else a job that was asked to keep the router up makes it again. */
int router_remove(const json_t *network, struct err *err);
/* Whether its services run. */
bool router_alive(const json_t *network);
bool router_is_private(const json_t *network);

/* The metadata and password service of a network, in its router's namespace; returns on failure
 * only. */
int metadata_run(const char *network_id, struct err *err);

#endif
