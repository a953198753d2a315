/* SPDX-License-Identifier: Apache-2.0 */
/* The host's part of the cloud's network: the public bridge, forwarding, masquerading. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_NETWORK_HOST_H
#define MUSTER_CONTROLLER_LOCALVDC_NETWORK_HOST_H

#include "controller/localvdc/base/vdb.h"

/* Makes what is missing; remembers what was there before. */
int host_ensure(struct vdb *db, struct err *err);
/* Takes it all away and puts back what was there. Goes on after failures and reports the first. */
int host_remove(struct vdb *db, struct err *err);

#endif
