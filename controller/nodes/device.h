/* SPDX-License-Identifier: Apache-2.0 */
/* What Syncthing calls a node: a digest of its certificate, by which the others know it. Pure.
 * Source: Syncthing's documentation of device IDs. */
#ifndef MUSTER_CONTROLLER_NODES_DEVICE_H
#define MUSTER_CONTROLLER_NODES_DEVICE_H

#include "common/err.h"

#define DEVICE_ID_SIZE 64 /* eight groups of seven, joined by '-', and the NUL */

/* `pem`: one certificate. */
int device_id(const char *pem, char ret[DEVICE_ID_SIZE], struct err *err);

#endif
