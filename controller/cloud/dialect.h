/* SPDX-License-Identifier: Apache-2.0 */
/* What each kind of resource is called at the cloud, and with which parameters: one table for the
 * VDC's API, one for stock CloudStack. Pure. */
#ifndef MUSTER_CONTROLLER_CLOUD_DIALECT_H
#define MUSTER_CONTROLLER_CLOUD_DIALECT_H

#include "controller/cloud/resource.h"

/* What parameters are made from. */
struct request {
    const struct resources *resources;
    const struct spec *spec;
    const struct inventory *inv;
    const char *user_data;  /* base64, of VMs */
    const char *public_key; /* of the key pair */
};

const struct dialect *dialect_of(const struct spec *s);

/* A call that changes an resource in place, or removes it. */
void params_destroy(const struct resource *it, bool expunge, struct pairs *ret);
void params_tags(const struct resources *resources, const struct resource *it, struct pairs *ret);
void params_grow(const struct request *m, const struct resource *it, struct pairs *ret);
/* Of snapshots; `because` may be NULL. */
void params_snapshot(const char *volume_id, const char *name, struct pairs *ret);
void params_snapshot_tags(const struct resources *resources, const char *id, const char *volume,
                          const char *because, struct pairs *ret);

#endif
