/* SPDX-License-Identifier: Apache-2.0 */
/* What only the files of this directory share. */
#ifndef MUSTER_AGENT_APP_INTERNAL_H
#define MUSTER_AGENT_APP_INTERNAL_H

#include <stdbool.h>

#include "agent/app/manifest.h"

enum manifest_owner {
    OWNER_ARCHIVE,
    OWNER_WAY,    /* it leads to what is others', and may be the archive's as well */
    OWNER_OTHERS, /* or below */
};

enum manifest_owner manifest_owner(const struct manifest_others *o, const char *path);
/* Both directories have the same bytes under this name. */
bool app_data_same(int dir_a, int dir_b, const char *name);

struct strbuf;
struct web_peers;
/* Code that PHP would run, by the name of its file. */
#define WEB_CODE "\\.(php[0-9]?|phps|pht|phtml|phar|inc)$"
/* The rules of the site by which a file that is not here comes from a peer. */
void web_peers_rules(struct strbuf *b, const char *root, const struct web_peers *p);

#endif
