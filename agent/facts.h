/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about this machine that the controller plans with. */
#ifndef MUSTER_AGENT_FACTS_H
#define MUSTER_AGENT_FACTS_H

#include <jansson.h>

/* {"os","kernel","arch","hostname","cpus","memory" (bytes),"nics":[{"name","mac","addresses"}]};
 * what cannot be found out is left out. New reference. */
json_t *facts_collect(void);
/* The kernel's boot id, or "". */
void facts_boot_id(char ret[64]);

#endif
