/* SPDX-License-Identifier: Apache-2.0 */
/* Backups on a node (docs/backup.md): the plan's step `backup` as a value, where things lie, and
 * what is done with them. What works on data blocks for as long as it takes: one at a time, in a
 * unit of its own. */
#ifndef MUSTER_AGENT_BACKUP_BACKUP_H
#define MUSTER_AGENT_BACKUP_BACKUP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/backup.h"
#include "common/err.h"

#define BACKUP_DIRECTORY "muster-backup"       /* below the mount; root, 0700 */
#define BACKUP_SCRATCH "muster-backup-scratch" /* beside it; of a server that is thrown away */
#define BACKUP_SERVICE "muster-backup"         /* the unit of one that is at work */
#define BACKUP_STATE "state.json"              /* how the last ones ended */
#define BACKUP_KEEP 7                          /* when nothing else is said */

struct backup_conf {
    const char *node, *deployment, *mount, *datadir;
    const char *key;              /* a reference to a secret; NULL: no backups are wanted */
    const json_t *apps;           /* directories below <mount>/muster-app */
    const json_t *members;        /* names, in the order of the file */
    const json_t *put, *get;      /* argument vectors, or NULL */
    uint64_t every, offset, keep; /* seconds; keep 0: all */
};

/* Borrowed from `spec`. */
int backup_conf_read(const json_t *spec, struct backup_conf *ret, struct err *err);

/* <mount>/muster-backup/NAME; the caller frees. */
char *backup_path(const struct backup_conf *c, const char *name);
int backup_directory(const struct backup_conf *c, struct err *err); /* makes it */

/* --- records: what is known of a backup, beside it --- */

/* New reference; an object without members that are not known. */
json_t *backup_record_load(const struct backup_conf *c, const char *name);
int backup_record_save(const struct backup_conf *c, const char *name, const json_t *record,
                       struct err *err);
/* [{name, at, bytes, …}], the newest first; *ret_strange counts what lies there and is none. NULL:
 * the directory is there and could not be read. */
json_t *backup_list(const struct backup_conf *c, unsigned *ret_strange, struct err *err);
/* The names that go when `keep` are to stay: never the last that was verified. Pure; new reference.
 */
json_t *backup_surplus(const json_t *list, const char *deployment, uint64_t keep);
int backup_delete(const struct backup_conf *c, const char *name, struct err *err);
/* Adds member `what` ("made", "verified", "failed", …) to the state that `status` shows. */
void backup_state_note(const struct backup_conf *c, const char *what, json_t *value);

/* --- work --- */

struct backup_work {
    const struct backup_conf *conf;
    const uint8_t *key;
    /* Says what it does; `bytes`: how much is done. May be NULL. */
    void (*say)(void *ctx, const char *phase, uint64_t bytes);
    void *ctx;
};

/* What stands against making one now: ERR_SAFETY with the reason. */
int backup_possible(const struct backup_conf *c, struct err *err);
/* ret: BACKUP_NAME_MAX bytes. */
int backup_make(const struct backup_work *w, char *ret_name, struct err *err);
/* Has the operator's command take it. */
int backup_put(const struct backup_work *w, const char *name, struct err *err);
/* Fetches one that is not here by the operator's command. */
int backup_get(const struct backup_work *w, const char *name, struct err *err);
/* *ret: what is added to its record: verified, tables, checksums, position. New reference. */
int backup_verify(const struct backup_work *w, const char *name, json_t **ret, struct err *err);
/* `path`: of the file; `sums`: the checksums that a verification has kept, or NULL. *ret:
 * {databases, kept, tables, files, links}; new reference. */
int backup_restore(const struct backup_work *w, const char *path, const json_t *sums, json_t **ret,
                   struct err *err);

/* What an end without warning has left: unfinished files, a server that was thrown away, a database
 * that does not take part in flow control. */
int backup_tidy(const struct backup_conf *c, struct err *err);

/* An operator, or a restore, has closed it; not before this machine started. */
bool backup_site_closed(void);
/* The site of this node answers 503 until it is opened again, or the machine starts again. */
int backup_close_site(const char *because, struct err *err);
int backup_open_site(struct err *err);

/* Whose turn a scheduled one is; by a row in the database, which is the same on all members. */
enum backup_turn { BACKUP_TURN_OURS, BACKUP_TURN_TAKEN, BACKUP_TURN_DONE };
int backup_turn_take(const struct backup_conf *c, uint64_t period, enum backup_turn *ret,
                     struct err *err);
/* It goes on; others leave it alone for some minutes. */
int backup_turn_beat(const struct backup_conf *c, uint64_t period, struct err *err);
int backup_turn_end(const struct backup_conf *c, uint64_t period, bool ok, struct err *err);

#endif
