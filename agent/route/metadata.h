/* SPDX-License-Identifier: Apache-2.0 */
/* The cloud's metadata service, which gives user-data to whoever asks from this machine: routing
 * rules by which only root reaches it. They are the kernel's, and made again after a boot. */
#ifndef MUSTER_AGENT_ROUTE_METADATA_H
#define MUSTER_AGENT_ROUTE_METADATA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define METADATA_MAX 8

/* Addresses, each once. */
struct metadata {
    char address[METADATA_MAX][16];
    size_t n;
};

/* Pure: the gateways of `routes` and the well-known address; the servers of a lease as dhclient or
 * networkd keeps it. */
void metadata_add_routes(struct metadata *m, const json_t *routes);
void metadata_add_lease(struct metadata *m, const char *text);
/* Pure: those of `m` that `rules` keep others than root from; false: our place in the list has
 * something else, too. Both as ip(8) prints them as JSON. */
bool metadata_kept(const struct metadata *m, const json_t *rules, bool ret_kept[METADATA_MAX]);

/* Where this machine's may be; none where cloud-init was never at work. */
int metadata_find(struct metadata *ret, struct err *err);
/* *ret_missing: the first address that others than root reach, "" when there is none and nothing
 * else is in the place of our rules. */
int metadata_check(const struct metadata *m, char ret_missing[16], bool *ret_same, struct err *err);
int metadata_apply(const struct metadata *m, struct err *err);

#endif
