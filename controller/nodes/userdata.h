/* SPDX-License-Identifier: Apache-2.0 */
/* The user-data that a VM is created with (docs/protocol.md, section 1). Pure. */
#ifndef MUSTER_CONTROLLER_NODES_USERDATA_H
#define MUSTER_CONTROLLER_NODES_USERDATA_H

#include <stdint.h>

#include "common/err.h"

#define USERDATA_MAX 4096 /* bytes before base64 */

struct userdata {
    const char *deployment;
    const char *node;
    const char *address;          /* of the controller, as the VM reaches it */
    uint16_t port;                /* enrolment; the main socket is the next, HTTP the one after */
    const char *controller_key;   /* hex */
    const char *sign_key;         /* hex */
    const char *bootstrap_secret; /* hex */
    uint64_t expires;             /* seconds since 1970 */
    const char *package_sha256;
};

/* The part of it that the agent reads; the caller wipes and frees it. NULL: a value is not UTF-8.
 */
char *userdata_bootstrap(const struct userdata *u);
/* The text; the caller wipes and frees it. */
int userdata_text(const struct userdata *u, char **ret, struct err *err);

#endif
