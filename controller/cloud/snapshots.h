/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of a deployment's data disks: those that it made are in its journal, or carry its tags.
 * Others, whatever their names, are neither shown nor deleted. */
#ifndef MUSTER_CONTROLLER_CLOUD_SNAPSHOTS_H
#define MUSTER_CONTROLLER_CLOUD_SNAPSHOTS_H

#include "controller/cloud/survey.h"

/* What to work with; borrowed. `say`, which gets a line for each thing done, may be NULL. */
struct snapshots {
    struct reach *reach;
    struct store *store;
    const struct resources *resources; /* as surveyed */
    void (*say)(const char *line);
};

/* Of each data disk that is ours (`node`, not NULL: of that node's), all begun before the first is
 * waited for, each journaled before it is asked for. The caller holds the deployment's lock; so it
 * does for snapshots_delete. *ret: what was made, as snapshots_list has it, also when some failed;
 * a new reference. */
int snapshots_create(const struct snapshots *s, const char *node, const char *because, json_t **ret,
                     struct err *err);
/* Array of {id, name, node, volume, created, state, size, physical, because}, oldest first as the
 * cloud lists them; sizes in bytes, 0: not known. New reference. */
int snapshots_list(const struct snapshots *s, json_t **ret, struct err *err);
/* ERR_SAFETY when it is not ours; one of ours that is gone already is success. */
int snapshots_delete(const struct snapshots *s, const char *id, struct err *err);

/* Pure. Those of `listed` (the cloud's answer) that are ours, as snapshots_list has them; `rows` is
 * the journal: array of {name, id}. New reference. */
json_t *snapshots_ours(const struct resources *resources, const json_t *listed, const json_t *rows);

#endif
