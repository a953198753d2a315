/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration files of an application. They may lie in directories that the web server owns.
 */
#ifndef MUSTER_AGENT_APP_CONFIG_H
#define MUSTER_AGENT_APP_CONFIG_H

#include "agent/app/files.h"

struct app_config {
    const char *path, *content;
    bool after_install;
};

int app_config_read(const json_t *j, struct app_config *ret, struct err *err);
/* The directory of the file `path` of the version `release`, by descriptor: in the version, or
 * below `home` in one of the directories `writable`, and nowhere else. Returns as beneath_open
 * does. */
int app_config_directory(const char *release, const char *home, const json_t *writable,
                         const char *path, bool make, struct err *err);
/* Looks at the configuration files (*ret_why: the first that differs), or writes them; with
 * `installed` those for after the installation, too. */
int app_config_each(const struct app *a, const struct run *run, bool installed, bool write,
                    const char **ret_why, struct err *err);
/* Removes the files for after the installation: to many an installer they say that it is done. */
int app_config_forget(const struct app *a, struct err *err);

#endif
