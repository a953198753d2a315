/* SPDX-License-Identifier: Apache-2.0 */
/* The links of one Direct Connect Group: each of its zones has a router (a namespace) whose default
 * route is a TUN device, and one process carries packets from device to device, late. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_NETWORK_RELAY_H
#define MUSTER_CONTROLLER_LOCALVDC_NETWORK_RELAY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller/localvdc/base/vdb.h"
#include "controller/localvdc/base/vdc.h"

#define RELAY_DEVICE "wan"
#define RELAY_ZONES 64 /* at most; zones are counted by their place in the catalog */

struct relay_count {
    uint64_t bytes, frames, lost;
};

/* Shared with who looks at them through a file; [from][to]. */
struct relay_counts {
    struct relay_count of[RELAY_ZONES][RELAY_ZONES];
};

/* "mvdc-g<group>-<short id>": the router of a zone in a group. */
void relay_zone_ns(const char *group, const char *zone_id, char ret[VDC_NETNS_MAX]);
/* "mvdc-g<group>": where the process of the group lives. */
void relay_ns(const char *group, char ret[VDC_NETNS_MAX]);

/* The zone's router and its device; the caller holds relay_lock. */
int relay_zone_ensure(const char *group, const char *zone_id, struct err *err);
/* Removes the zone's router when no network's veth leads into it any more, and the group's process
 * with the last zone; the caller holds relay_lock. */
int relay_zone_remove(const char *group, const char *zone_id, struct err *err);
/* The process runs and knows the group's present networks, or is about to. */
int relay_ensure(const char *group, struct err *err);
bool relay_alive(const char *group);
int relay_lock(const char *group, struct err *err);
/* Makes all relays read the settings of the links again. */
void relay_reload_all(struct vdb *db);
/* Sums the counters of all groups; zeroes when there are none. */
void relay_read_counts(struct vdb *db, struct relay_counts *ret);

void relay_path(const char *group, const char *file, char ret[128]);
/* Settings of the direction between two zones (documents). */
struct link_set relay_link(struct vdb *db, const json_t *from, const json_t *to);
void relay_link_id(const json_t *from, const json_t *to, char ret[80]);

/* The process; returns on failure only. */
int relay_run(const char *group, struct err *err);

#endif
