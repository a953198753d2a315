/* SPDX-License-Identifier: Apache-2.0 */
/* The local cloud's fixed places and names. Everything that it makes on the host is named
 * mvdc*, so that destroy finds it by name. */
#ifndef MUSTER_CONTROLLER_LOCALVDC_BASE_VDC_H
#define MUSTER_CONTROLLER_LOCALVDC_BASE_VDC_H

#include <jansson.h>
#include <stddef.h>

#include "common/err.h"
#include "common/ports.h"
#include "controller/localvdc/base/vdb.h"

#define VDC_DIR "/var/lib/muster/vdc"
#define VDC_CACHE "/var/cache/muster/vdc"
#define VDC_CONF "/etc/muster/vdc.conf"
#define VDC_STATE VDC_DIR "/state.db"
#define VDC_LOG VDC_DIR "/vdc.log"
#define VDC_CALLS VDC_DIR "/calls.log"
#define VDC_TEMPLATE_LOG VDC_DIR "/template.log"

#define VDC_ADDRESS "127.0.0.1"
#define VDC_PORT 8899
#define VDC_PASSWORD_PORT 8080 /* of a network's router */
#define VDC_PATH "/client/api"
#define VDC_ENDPOINT "http://" VDC_ADDRESS ":" PORT_TEXT(VDC_PORT) VDC_PATH

#define VDC_POOL "198.51.100.0/24"
#define VDC_POOL_PREFIX "198.51.100."
#define VDC_POOL_FIRST 10 /* last octet of the first address that is handed out */
#define VDC_POOL_LAST 250
#define VDC_HOST_ADDRESS "198.51.100.1"
#define VDC_PUBLIC_BRIDGE "mvdcpub"
#define VDC_NFT_TABLE "mvdc"
#define VDC_NETNS "mvdc-" /* + short id: the router of a network; + "g": of a group */
#define VDC_NETNS_MAX 32

#define VDC_ACCOUNT "local"
#define VDC_DOMAIN "ROOT"

#define VDC_NAME_MAX 16 /* interface names, namespaces and containers fit with their NUL */

/* The first eight hex digits of a UUID: what names on the host carry. */
void vdc_short(const char *uuid, char ret[9]);
/* "<prefix><short id>". */
void vdc_name(const char *prefix, const char *uuid, char ret[VDC_NAME_MAX]);
/* The running program's own path, for children and hooks. */
int vdc_self(char *ret, size_t cap, struct err *err);
#define VDC_TIME_FORMAT "%Y-%m-%dT%H:%M:%S+0000" /* texts of it sort by time */
/* "2024-01-31T10:20:30+0000". */
void vdc_now(char ret[32]);
/* The kernel's boot id. */
void vdc_boot_id(char ret[40]);
/* A member's text or "". */
const char *vdc_str(const json_t *doc, const char *key);
/* Opens the state; `make`: with its directories when there is none. */
int vdc_open(bool make, struct vdb **ret, struct err *err);

#endif
