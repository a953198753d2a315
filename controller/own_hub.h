/* SPDX-License-Identifier: Apache-2.0 */
/* Being the hub of a deployment: `serve`, and `watch` while no other is. */
#ifndef MUSTER_CONTROLLER_OWN_HUB_H
#define MUSTER_CONTROLLER_OWN_HUB_H

#include "controller/deployment.h"
#include "controller/serve/service.h"

enum own_hub_mode {
    OWN_HUB_SERVES, /* hands out what the last `up` left, and repairs when the file says so */
    OWN_HUB_LOOKS   /* changes nothing on a node */
};

struct own_hub {
    struct deployment d;
    int lock_fd;
    struct service *service;
};

/* Reads the file and takes the hub's lock, as `role`. ERR_LOCKED: somebody else is the hub;
 * ERR_USAGE: the file; anything else may be gone a moment later. `problems` as deployment_read. */
int own_hub_open(const char *file, const char *role, enum own_hub_mode mode, struct own_hub *ret,
                 struct strbuf *problems, struct err *err);
void own_hub_close(struct own_hub *h); /* a closed one, too */

#endif
