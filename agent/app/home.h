/* SPDX-License-Identifier: Apache-2.0 */
/* Where the directories are that the site writes to: on the data disk, so that they stay when the
 * machine is replaced; on a machine without one, and of earlier versions, in PATH_APPS. */
#ifndef MUSTER_AGENT_APP_HOME_H
#define MUSTER_AGENT_APP_HOME_H

#include "agent/app/files.h"

/* Copies what an earlier version has in PATH_APPS, before links lead to the new place. */
int app_home_begin(const struct app *a, struct err *err);
/* And what the site wrote there meanwhile; then that is removed. */
int app_home_end(const struct app *a, struct err *err);

#endif
