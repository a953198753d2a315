/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about this machine that the controller plans with. */
#ifndef MUSTER_AGENT_NET_FACTS_H
#define MUSTER_AGENT_NET_FACTS_H

#include <jansson.h>

#define FACTS_MAX 32768 /* bytes: their text is never longer */
#define FACTS_ROUTES_MAX 64

/* {"os","os_id","os_version","kernel","arch","hostname","cpus","cpu" (model),"memory" (bytes),
 * "disks":[{"name","size" (bytes),"serial"}],"nics":[{"name","mac","state","addresses"}],
 * "routes":[{"to","via","dev"}]}; what cannot be found out is left out. New reference. */
json_t *facts_collect(void);
/* Pure: the routes of a /proc/net/route text. New reference. */
json_t *facts_routes(const char *text);
/* The kernel's boot id, or "". */
void facts_boot_id(char ret[64]);

#endif
