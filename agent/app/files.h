/* SPDX-License-Identifier: Apache-2.0 */
/* The files of an application: getting, unpacking, swapping, configuring. */
#ifndef MUSTER_AGENT_APP_FILES_H
#define MUSTER_AGENT_APP_FILES_H

#include "agent/sys/run.h"
#include "agent/sys/verdict.h"

#define APP_USER "www-data" /* user and group that the web server runs as */

struct app {
    const char *name, *root, *database;
    const json_t *archive, *writable, *config, *install;
    uint64_t strip;
    bool installer;
    const char *url, *sha256; /* of `archive` */
};

struct app_config {
    const char *path, *content;
    bool after_install;
};

int app_config_read(const json_t *j, struct app_config *ret, struct err *err);
/* Something of somebody else's is in the application's place: *ret says so. */
bool app_files_refused(const struct app *a, struct verdict *ret);
/* The archive of the plan is the one in place. */
bool app_files_current(const struct app *a);
int app_files_put(const struct app *a, struct run *run, struct err *err);
/* Goes down from the folder `path` to what the archive's `strip` leading folders hold. */
int app_files_strip(uint64_t strip, char *path, size_t cap, struct err *err);
/* Looks at the configuration files (*ret_why: the first that differs), or writes them; with
 * `installed` those for after the installation, too. */
int app_config_each(const struct app *a, const struct run *run, bool installed, bool write,
                    const char **ret_why, struct err *err);
/* Removes the files for after the installation: to many an installer they say that it is done. */
int app_config_forget(const struct app *a, struct err *err);

#endif
