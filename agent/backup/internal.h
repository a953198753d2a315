/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MUSTER_AGENT_BACKUP_INTERNAL_H
#define MUSTER_AGENT_BACKUP_INTERNAL_H

#include <stddef.h>
#include <sys/types.h>

#include "agent/backup/backup.h"
#include "agent/galera/sql.h"

#define BACKUP_TOOL "/usr/bin/mariadb-backup"
#define BACKUP_SQL_S (24 * 3600) /* a table takes as long as it takes */

/* place.c */
char *backup_work_path(const struct backup_conf *c, const char *name); /* below .work */
char *backup_scratch_path(const struct backup_conf *c);
uint64_t backup_tree_bytes(const char *path);
/* So much of the filesystem is left free, whatever a backup needs. */
int backup_reserve(const char *mount, uint64_t *ret, struct err *err);
int backup_room(const struct backup_conf *c, uint64_t bytes, const char *what, struct err *err);

/* pipeline.c: two programs, one behind the other, and this process before or behind them. */
struct pipeline {
    pid_t pid[2];
    int said[2]; /* what each wrote on stderr */
    int fd;      /* to read from the second one, or to write to the first */
    const char *program[2];
    int tolerated; /* exit code of the first one that is no failure, besides 0 */
};
/* a | b | we read. */
int pipeline_read(const char *const a[], const char *const b[], struct pipeline *ret,
                  struct err *err);
/* We write | a | b. */
int pipeline_write(const char *const a[], const char *const b[], struct pipeline *ret,
                   struct err *err);
/* Closes our end and waits. -1: which failed, and the last that it said. */
int pipeline_end(struct pipeline *p, struct err *err);
void pipeline_abort(struct pipeline *p);
/* The caller frees. */
char *pipeline_said(const struct pipeline *p, int which);
const char *const *pipeline_compress(const char *how);
const char *const *pipeline_decompress(const char *how);

/* unpack.c: all of it is read and authenticated; its parts go to <scratch>/data, and when `files`
 * to <.work>/files. */
int backup_unpack(const struct backup_work *w, const char *path, bool files, json_t **ret_info,
                  struct err *err);

/* scratch.c: a server over what was unpacked. */
struct scratch {
    char *dir, *socket;
    pid_t pid;
};
int scratch_start(const struct backup_work *w, struct scratch *ret, struct err *err);
void scratch_stop(struct scratch *s);
/* Ends one that an earlier life left, and removes all of it. */
int scratch_remove(const struct backup_conf *c, struct err *err);

/* sums.c */
/* {"database.table": checksum} of all tables that are not the server's or Muster's. New reference.
 * `only`: array of databases, or NULL. */
int backup_sums(struct sql *s, const json_t *only, json_t **ret, struct err *err);
int backup_check_tables(struct sql *s, const json_t *sums, struct err *err);
json_t *backup_databases(struct sql *s, struct err *err);
/* ERR_SAFETY: the first tables that differ, by name. Pure. */
int backup_sums_compare(const json_t *wanted, const json_t *found, struct err *err);

/* files.c: brings what was unpacked to where the site has it. */
struct files_done {
    uint64_t files, links;
};
int backup_files_place(const struct backup_conf *c, struct files_done *ret, struct err *err);

/* desync.c */
struct desync {
    bool on;
    unsigned members;
};
void desync_begin(struct desync *d);
void desync_look(struct desync *d); /* others went or came: it takes part again */
void desync_end(struct desync *d);
void desync_left(void);

void backup_say(const struct backup_work *w, const char *phase, uint64_t bytes);

#endif
