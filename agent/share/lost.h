/* SPDX-License-Identifier: Apache-2.0 */
/* Syncthing's index is lost, and the files are there. To a new index each of them is a file that
 * this node has and others may lack: what these deleted meanwhile would come back. So Syncthing
 * only receives at first; what the others say is deleted goes to the trash, as if it had just been
 * told; then it sends, too. */
#ifndef MUSTER_AGENT_SHARE_LOST_H
#define MUSTER_AGENT_SHARE_LOST_H

#include "agent/share/share.h"

struct lost {
    uint64_t connected_at, quiet_at; /* monotonic; 0: not so */
    uint64_t bytes;                  /* that came from the others */
    uint64_t page;                   /* of the list that was read last */
    uint64_t aside;                  /* files that went to the trash */
    char **directories;              /* that others deleted, in the order of the list */
    size_t n_directories;
};

void lost_free(struct lost *l);

/* Whether the others have said all that they know. Of the answers of /rest/db/status and
 * /rest/system/connections. Pure. */
bool lost_heard(const struct share *s, const json_t *status, const json_t *connections,
                struct lost *l, uint64_t now);
/* The same, asked. -1: no answer. */
int lost_ask(const struct share *s, const char *api_key, struct lost *l, uint64_t now,
             struct err *err);
/* Whether the answer of /rest/db/file says that others have deleted what is here. Pure. */
bool lost_deleted(const json_t *file);
/* One page of what is here and differs from what the others have: 1: there is more of it; 0: that
 * was all; -1. In the directory of the state. */
int lost_sort(const struct share *s, const char *api_key, struct lost *l, struct err *err);
/* `name` goes to the trash, unless it is not the file any more that `modified` (as Syncthing says
 * it) and `size` are of: 1: it went, 0: it stayed. */
int lost_aside(const struct share *s, const char *name, const char *modified, uint64_t size,
               struct err *err);

#endif
