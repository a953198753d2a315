/* SPDX-License-Identifier: Apache-2.0 */
/* The plan's galera step as a value, shared by the step itself and by the coordinator's actions. */
#ifndef MUSTER_AGENT_GALERA_GALERA_H
#define MUSTER_AGENT_GALERA_GALERA_H

#include <jansson.h>

#include "agent/cluster/cluster.h"
#include "common/err.h"

#define GALERA_SERVICE "mariadb"
#define MARIADBD "/usr/sbin/mariadbd"
#define DATADIR_FRESH_MARK MOUNT_STATE "/datadir-fresh" /* below the mount */
#define DATADIR_MOVING_MARK MOUNT_STATE "/datadir-moving"
#define DATADIR_OURS_MARK MOUNT_STATE "/datadir"

struct galera {
    const char *cluster, *node, *address, *datadir, *mount;
    const json_t *members;
    uint64_t segment;
    uint64_t weight;        /* in Galera's quorum */
    const json_t *settings; /* of the file: texts by name; one with a '.' is Galera's */
    const json_t *tls;
    const char *ca, *cert, *key; /* of `tls`, PEM; the key is a reference to a secret */
};

/* Files of the server's certificate; only mysql and root read the key. */
#define GALERA_TLS "/etc/mysql/muster-tls"
#define GALERA_TLS_CA GALERA_TLS "/ca.pem"
#define GALERA_TLS_CERT GALERA_TLS "/cert.pem"
#define GALERA_TLS_KEY GALERA_TLS "/key.pem"

#define GALERA_WEIGHT_MAX 255

/* Each has a name and an address. */
int galera_read_members(const json_t *members, struct err *err);
/* Names and values can become lines of the server's file. */
bool galera_settings_valid(const json_t *settings);
/* Borrowed from `spec`. */
int galera_read(const json_t *spec, struct galera *ret, struct err *err);

/* What the coordinator's actions do (position.c, exec.c). They block: run them in a child. */
int galera_position(const struct galera *g, struct cluster_position *ret, struct err *err);
int galera_boot(const struct galera *g, uint64_t epoch, const struct cluster_position *p,
                struct err *err);
/* `small`: a whole copy is one of next to nothing. `whole`: nobody can send just what is missing.
 * `bytes`: of a donor's data directory, 0: not known. A copy for which there is no room here is not
 * begun (ERR_FAILED). */
int galera_join(const struct galera *g, uint64_t epoch, const struct cluster_position *p,
                bool small, bool whole, uint64_t bytes, struct err *err);
int galera_stop(struct err *err);
/* Gives the member the weight that the file says: it joins with none (provider.c). */
int galera_weight(const struct galera *g, struct err *err);
/* Kills a database that joins: what it has is not whole, and it need not listen. */
int galera_abandon(struct err *err);
/* Clients are answered no more, until the database is started again. */
int galera_reject(struct err *err);
/* The group drops the database of that UUID, when it still counts it. Its process has ended: one
 * that runs would have to start again. */
int galera_evict(const char *uuid, struct err *err);
/* What this process's action did besides, for the operator; "" for nothing. */
const char *galera_note(void);
/* The row of an epoch, readable everywhere once written here. */
int galera_row(const struct galera *g, uint64_t epoch, const struct cluster_value *v,
               struct err *err);

/* Has the database that runs read its certificate again (provider.c). */
int galera_read_certificate(struct err *err);

/* The operator's begin below this line in the server's file (settings.h). */
#define GALERA_OPERATORS "# database.settings of the deployment's file"

/* Galera's options as the file has them, with that weight. New text. */
char *galera_options(const struct galera *g, uint64_t weight);
/* The weight that the database has now; -1: it does not say. */
struct sql;
int galera_weight_now(struct sql *s);

/* A look at the local database: docs/protocol.md section 4, member `db`; never fails. `epoch` 0:
 * no row is looked for; `datadir`: whose size is told. For the supervisor `running` and, when it
 * answers, `pid` besides. New reference. */
json_t *galera_status(uint64_t epoch, const char *datadir);
/* The same, but only what steps and actions need. */
enum galera_seen {
    GALERA_UNKNOWN, /* it could not be asked: nothing may follow from that */
    GALERA_LEFT, /* it answers, and is connected to no group: it comes back by a new start only */
    GALERA_NOT_PRIMARY,
    GALERA_NOT_SYNCED, /* in a Primary: it joins */
    GALERA_SYNCED,     /* or a donor, which serves on */
};
enum galera_seen galera_synced(char *ret_state, size_t cap);

/* Makes the tables of other engines InnoDB, outside of the server's own schemas: {"changed":
 * [name...], "pending": some are left to another member or to a later look, "failed": text}.
 * `first`: of the members, for tables of which none has rows. New reference. */
json_t *galera_engines(bool first);

#endif
