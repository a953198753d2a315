/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's values as JSON: between agents, between processes, on disk. Decoding treats
 * its input as hostile: everything is bounded and checked. Pure. */
#ifndef MUSTER_AGENT_CLUSTER_CODEC_H
#define MUSTER_AGENT_CLUSTER_CODEC_H

#include <jansson.h>

#include "agent/cluster/cluster.h"
#include "common/err.h"

json_t *cluster_msg_to_json(const struct cluster_msg *m); /* `from` is not sent */
int cluster_msg_from_json(const json_t *j, struct cluster_msg *ret, struct err *err);
json_t *cluster_record_to_json(const struct cluster_record *r);
int cluster_record_from_json(const json_t *j, struct cluster_record *ret, struct err *err);
json_t *cluster_position_to_json(const struct cluster_position *p);
int cluster_position_from_json(const json_t *j, struct cluster_position *ret, struct err *err);
/* Names of members; refuses what a record could not be read back with. */
int cluster_names_from_json(const json_t *j, struct cluster_names *ret, struct err *err);

#endif
