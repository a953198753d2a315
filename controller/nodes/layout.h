/* SPDX-License-Identifier: Apache-2.0 */
/* What the cloud gave to each node, drawn from the listed entities; and when a node counts as
 * ready. Pure. */
#ifndef MUSTER_CONTROLLER_NODES_LAYOUT_H
#define MUSTER_CONTROLLER_NODES_LAYOUT_H

#include <jansson.h>

#include "controller/cloud/resource.h"
#include "controller/nodes/planner.h"

#define ARBITRATOR "Arbitrator" /* state of a garbd that runs (docs/protocol.md, section 4) */

/* All resources are done. Fills one record per node. */
void layout_facts(const struct spec *s, const struct resources *resources, struct node_facts *ret);
/* The public address of a node's facts, by what the layout or the file says; "" for a name. */
void layout_public(const char *text, char ret[16]);
/* Array of {name, zone, vm, public_ip, private_ip, url, ssh_port}; new reference. */
json_t *layout_json(const struct spec *s, const struct resources *resources,
                    const struct node_facts *facts);
/* The steps that a node's state says differ from the plan: "file:f, web:x". */
void layout_drift(const json_t *state, char *ret, size_t cap);
/* Whether a database in that state takes part: Synced, or giving its data to another member. */
bool layout_db_serves(const char *state);
/* What keeps its shared files from being the same as the others'; "": nothing, or it shares none.
 */
void layout_share_trouble(const json_t *state, char *ret, size_t cap);
/* Whether visitors may be sent to a node, by its state; one whose database cannot be asked is taken
 * by what its site answers. */
bool layout_takes_visitors(const struct spec *s, const json_t *state);
/* Why a node whose plan is carried out does not do its whole work, by its state; "": it does. */
void layout_trouble(const struct spec *s, const json_t *state, char *ret, size_t cap);
/* Whether a node's state (docs/protocol.md, section 4) says that it holds the plan `rev`, nothing
 * drifted from it, and it is a synced member of the whole cluster. */
bool layout_state_ready(const struct spec *s, const json_t *state, const char *rev);

#endif
