/* SPDX-License-Identifier: Apache-2.0 */
/* The files of an application: getting, unpacking, swapping. */
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
    const char *home;         /* app_home; NULL: as in earlier versions */
    const char *site;         /* how visitors call it; NULL or "": not known */
};

char *app_release(const struct app *a); /* where its version is; the caller frees */
/* Where the directories are that the site writes to, and the directory that holds them. */
char *app_home(const struct app *a);
char *app_home_parent(const struct app *a);
/* Something of somebody else's is in the application's place: *ret says so. */
bool app_files_refused(const struct app *a, struct verdict *ret);
/* Whether the archive of the plan is the one in place, file by file, and the site can write where
 * it should. What others added is named, and stays. */
int app_files_check(const struct app *a, struct verdict *ret, struct err *err);
/* Makes it so; what is there already and differs is taken from the archive again. */
int app_files_repair(const struct app *a, struct run *run, struct err *err);
/* Goes down from the directory `path` to what the archive's `strip` leading directories hold. */
int app_files_strip(uint64_t strip, char *path, size_t cap, struct err *err);

#endif
