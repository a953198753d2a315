/* SPDX-License-Identifier: Apache-2.0 */
/* The directories of an application that the web server writes to. They live outside of every
 * version of the archive, so that a new version finds them as they were:
 *
 *   <home>/<directory>              what the site has now
 *   <release>/<directory>           a link to it
 *   <release>.dist/<directory>      what the archive brought; never written to
 *
 * A file that the site has not changed since its archive brought it becomes the new archive's;
 * a file that it has changed stays. */
#ifndef MUSTER_AGENT_APP_DATA_H
#define MUSTER_AGENT_APP_DATA_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"

struct app_data {
    const char *home;          /* app_home() */
    const json_t *directories; /* relative paths */
    uid_t uid;                 /* who owns what is written there */
    gid_t gid;
};

/* Moves the directories of a freshly unpacked tree to `dist`, and leaves links. */
int app_data_split(const struct app_data *d, const char *tree, const char *dist, struct err *err);
/* Directories of a version in place that are not links yet (it was unpacked before they were
 * declared) become the site's. */
int app_data_adopt(const struct app_data *d, const char *release, struct err *err);
/* Brings what is in `dist` to the site; `old` is what the version before it brought, or NULL. */
int app_data_merge(const struct app_data *d, const char *dist, const char *old, struct err *err);
/* The first that is not the site's to write to, or NULL; and making all of them so. */
const char *app_data_unusable(const struct app_data *d);
int app_data_own(const struct app_data *d, struct err *err);
bool app_data_linked(const struct app_data *d, const char *release);

#endif
