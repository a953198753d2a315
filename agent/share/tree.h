/* SPDX-License-Identifier: Apache-2.0 */
/* What changes in the shared directories of an application, by inotify. */
#ifndef MUSTER_AGENT_SHARE_TREE_H
#define MUSTER_AGENT_SHARE_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/share/share.h"

#define CHANGES_MAX 1000

/* Paths relative to the home, each once. */
struct changes {
    size_t n;
    char *path[CHANGES_MAX];
    size_t deleted; /* of them, or of what was below: that much is not there any more, at least */
    bool all;   /* more than there is room for, or the kernel dropped some: look at everything */
    bool whole; /* a directory came or went with what is in it */
};
void changes_clear(struct changes *c);

struct tree;

/* Watches all that is there now. NULL: ERR_FAILED, such as for too few watches. `s` outlives it. */
struct tree *tree_open(const struct share *s, struct err *err);
void tree_free(struct tree *t);
int tree_fd(const struct tree *t);
/* Whether every shared directory is watched: one that was not there, or was replaced, is not. */
bool tree_whole(const struct tree *t);
/* Adds what happened since the last call; what Syncthing itself puts in place is not of it. -1: a
 * part of the tree is not watched any more; open another one. */
int tree_read(struct tree *t, struct changes *c, struct err *err);

#endif
