/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine's network manager reads at boot so that a NIC has an address and
 * routes. Pure. */
#ifndef MUSTER_AGENT_ROUTE_NETCONF_H
#define MUSTER_AGENT_ROUTE_NETCONF_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

enum netconf_manager {
    NETCONF_NONE,
    NETCONF_NETPLAN,
    NETCONF_NETWORKD,
    NETCONF_NETWORKMANAGER,
    NETCONF_IFUPDOWN,
    NETCONF_MANAGERS
};

const char *netconf_manager_name(enum netconf_manager m);

/* What was seen on the machine. */
struct netconf_seen {
    bool netplan;        /* the program is there and has a file */
    bool networkd;       /* the service is active */
    bool networkmanager; /* the service is active */
    bool ifupdown;       /* the program is there */
    bool ifupdown_nic;   /* its files name a NIC besides lo */
};

/* Who brings up a NIC at boot. */
enum netconf_manager netconf_choose(const struct netconf_seen *seen);

struct netconf {
    const char *nic, *mac, *address, *via;
    const json_t *to;   /* array of texts */
    const char *beside; /* networkd: the .network file that has the NIC already; NULL: none */
};

struct netconf_file {
    char *path, *text; /* owned */
    mode_t mode;
};

void netconf_file_free(struct netconf_file *f);
/* Not for NETCONF_NONE. The caller calls netconf_file_free. */
void netconf_write(enum netconf_manager m, const struct netconf *c, struct netconf_file *ret);

#endif
