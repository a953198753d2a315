/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces and links of the host. Single-threaded programs only: entering a namespace
 * moves the whole process. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_NETWORK_NETNS_H
#define MUSTER_CONTROLLER_LOCALVDC_NETWORK_NETNS_H

#include <stdbool.h>

#include "common/err.h"
#include "common/str.h"

bool netns_exists(const char *name);
int netns_make(const char *name, struct err *err); /* with "lo" up; there already: success */
int netns_remove(const char *name, struct err *err);

/* Moves into the namespace. *ret_back is the way back, for netns_leave. */
int netns_enter(const char *name, int *ret_back, struct err *err);
void netns_leave(int *back); /* a cleanup function, too; -1: nothing */

bool link_exists(const char *name);                 /* in the namespace that we are in */
int link_remove(const char *name, struct err *err); /* missing is success */
/* Lines for ip_run that make it when it is missing: a bridge without addresses of any kind, up. */
void link_bridge(const char *name, struct strbuf *host);
/* The same for a veth pair: `name` on the host, plugged into `bridge`; `peer` in namespace `ns`
 * with the address ("a.b.c.d/len"), up. `inside`: the lines for `ns`, which come after those for
 * the host. */
void link_veth(const char *name, const char *bridge, const char *ns, const char *peer,
               const char *address, struct strbuf *host, struct strbuf *inside);
/* Lines of commands of ip(8), in the namespace `ns`, NULL: in the one that we are in; ended by the
 * first that fails. One process for all: what is ensured again and again is mostly there. */
int ip_run(const char *ns, const struct strbuf *lines, struct err *err);
/* Writes one of the files below /proc/sys in the namespace that we are in. */
int sysctl_set(const char *key, const char *value, struct err *err);

#endif
