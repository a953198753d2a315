/* SPDX-License-Identifier: Apache-2.0 */
/* Directories of an application that all its nodes have the same of. Syncthing carries their files;
 * this says to it what changed, after it is on the disk: what another node was told of is here
 * after a loss of power, too.
 *
 *   <home>             the directory that Syncthing knows: what the site of an application writes
 *   <home>/<path>      what is shared of it; the rest is ignored
 *   <state>            beside the home, on the same disk, since one is worth nothing without the
 *                      other: Syncthing's index, and for 30 days what others replaced or deleted
 *   /run/muster-share  its configuration and socket; status.json */
#ifndef MUSTER_AGENT_SHARE_SHARE_H
#define MUSTER_AGENT_SHARE_SHARE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/ipc/paths.h"
#include "common/err.h"

#define SHARE_SERVICE "muster-share"
#define SHARE_RUN PATH_SHARE_RUN
#define SHARE_STATE_NAME ".muster-share" /* beside the home */
#define SHARE_SOCKET SHARE_RUN "/syncthing.sock"
#define SHARE_MARKER ".stfolder" /* Syncthing leaves a directory without it alone */
#define SHARE_IGNORE ".stignore"
#define SHARE_TMP ".syncthing."          /* what Syncthing has not received whole */
#define SHARE_CONFLICT ".sync-conflict-" /* in the name of what was changed in two places */
#define SHARE_SETTINGS_MAX (256 * 1024)

struct share {
    json_t *root; /* what the others are borrowed from */
    const char *app, *node;
    const char *home;
    char *state;
    const json_t *directories; /* of {path, ignore} */
    const json_t *members;     /* of {name, address, device}, this node among them */
};

/* The members "app", "node", "home", "directories" and "members" of an object; its others are not
 * looked at. Takes a reference to it. */
int share_read(json_t *root, struct share *ret, struct err *err);
void share_free(struct share *s);

/* Syncthing's configuration file. Of a pair of members, the earlier one in the list dials.
 * `receives`: nothing is told to the others. */
char *share_config_text(const struct share *s, const char *api_key, bool receives);
/* What of the directory it leaves alone. */
char *share_ignore_text(const struct share *s);
/* Whether `path`, relative to the home, is in a shared directory and not left out of it. */
bool share_has(const struct share *s, const char *path);

/* Regular files that are shared and on the disk, without what Syncthing receives; *ret_conflicts:
 * of them, those that were changed in two places. -1: it could not be seen. */
int64_t share_count(const struct share *s, uint64_t *ret_conflicts);

/* More than half of `known` files are not there: nothing is told to the others until somebody says
 * that it is meant. Pure. */
bool share_mass_delete(uint64_t known, uint64_t there);

/* Serves until SIGTERM; the exit code. `credentials`: the directory with settings.json, cert.pem
 * and key.pem. */
int share_run(const char *credentials);

#endif
