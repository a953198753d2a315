/* SPDX-License-Identifier: Apache-2.0 */
/* Settings of the database: those of its file, and those of the server that runs. */
#ifndef MUSTER_AGENT_GALERA_SETTINGS_H
#define MUSTER_AGENT_GALERA_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"

/* What the running server has otherwise than its file says. */
struct settings_seen {
    char now[128];   /* can be set in it; "" for nothing */
    char later[128]; /* takes effect when it starts next; "" for nothing */
    bool unasked;    /* it could not be asked: nothing is known of it */
};

/* `text`: lines "name = value"; of a section other than [mariadbd] nothing counts. Fails when a
 * server is there and refuses to say what it has; one that does not answer, or has no quorum, is
 * `unasked`: the step `synced` waits for it. */
int settings_look(const char *text, struct settings_seen *ret, struct err *err);
/* Sets what can be set, as root. */
int settings_repair(const char *text, struct err *err);

/* Asks the server's program whether it would start with the operator's of these lines: nothing is
 * written that would keep the database from its next start. */
int settings_try(const char *text, struct err *err);
#define SETTINGS_MAX 64 /* of an operator */

/* What the running server `server` has otherwise until its next start, for those who ask often. */
void settings_note_pending(pid_t server, const char *what);
char *settings_pending(pid_t server); /* new text; NULL: nothing */

/* Whether two texts of a setting's value mean the same: 1 and ON, 128M and 134217728. Pure. */
bool settings_same(const char *want, const char *have);
/* The value of `key` in Galera's own "key = value; ..."; false: it is not there. Pure. */
bool settings_option(const char *options, const char *key, char *ret, size_t cap);

#endif
