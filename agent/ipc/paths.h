/* SPDX-License-Identifier: Apache-2.0 */
/* Where the agent keeps things. One place, so that packaging and code agree. */
#ifndef MUSTER_AGENT_IPC_PATHS_H
#define MUSTER_AGENT_IPC_PATHS_H

#define PATH_BOOTSTRAP "/etc/muster-agent/bootstrap.json"
#define PATH_HOOKS "/etc/muster-agent/hooks.d"
#define PATH_STATE "/var/lib/muster-agent"           /* root, 0711 */
#define PATH_PLAN PATH_STATE "/plan.json"            /* root, 0600 */
#define PATH_PLAN_COUNTER PATH_STATE "/plan.counter" /* of the newest plan that was taken */
#define PATH_OUTBOX PATH_STATE "/outbox"             /* root, 0600: events not acknowledged */
#define PATH_DISK_JOURNAL PATH_STATE "/disk"         /* intents of the disk step */
#define PATH_CLUSTER PATH_STATE "/cluster"           /* the coordinator's record, root disk copy */
#define PATH_NOTIFY PATH_STATE "/notify"             /* services that still need a reload */
#define PATH_NET PATH_STATE "/net"                   /* the net process's own: keys, roster */
#define PATH_ROSTER PATH_NET "/roster.json"          /* as the controller signed it */
#define PATH_RUN "/run/muster-agent"                 /* tmpfs: a reboot closes the start gate */
#define PATH_PERMIT PATH_RUN "/start-permit"
/* The galera step is through with its configuration: the coordinator may act. */
#define GALERA_READY PATH_RUN "/galera-ready"
#define GALERA_ENV PATH_RUN "/mariadb.env" /* options of the database's next start */
/* Values that the server that runs made of others; what it takes at its next start only. */
#define PATH_SETTINGS_TAKEN PATH_RUN "/settings-taken"
#define PATH_SETTINGS_PENDING PATH_RUN "/settings-pending"
#define PATH_DATADIR_SIZE PATH_RUN "/datadir-size" /* bytes; measured once a minute */
#define PATH_STATUS PATH_RUN "/status.json"
#define PATH_LOCK PATH_RUN "/apply.lock"
#define PATH_COORDINATOR PATH_RUN "/coordinator.json" /* what the coordinator waits for */
#define PATH_ASK PATH_RUN "/cluster-ask.json"         /* what an operator typed, taken once */
#define PATH_ANSWER PATH_RUN "/cluster-answer.json"   /* and the answer */
#define PATH_ASK_LOCK PATH_RUN "/cluster-ask.lock"    /* one at a time */
#define PATH_HISTORY PATH_CLUSTER "/history"       /* decisions and operators' acts, a line each */
#define PATH_MAINTENANCE PATH_STATE "/maintenance" /* the reason why this node gets no traffic */
/* Why this node finishes what it has and gets nothing new: until an operator ends it, and while
 * maintenance begins. */
#define PATH_DRAIN PATH_STATE "/drain"
#define PATH_DRAIN_NOW PATH_RUN "/drain"
#define PATH_BACKUP PATH_RUN "/backup.json"          /* what a backup or restore is doing */
#define PATH_BACKUP_LOCK PATH_RUN "/backup.lock"     /* one at a time */
#define PATH_BACKUP_DESYNC PATH_RUN "/backup-desync" /* the server that was told so */
#define PATH_BACKUP_KEY PATH_RUN "/backup.key"       /* another deployment's, once */
#define PATH_CLOSED PATH_RUN "/closed"               /* why the site answers 503 */
#define PATH_DB_LOGIN PATH_STATE "/database.login"   /* root, 0600: password of the look */

#define PATH_APPS "/var/lib/muster-app" /* what a site writes, on a machine without a data disk */

#define PATH_SHARE_RUN "/run/muster-share" /* of the service of the shared directories */
#define PATH_SHARE_STATUS PATH_SHARE_RUN "/status.json"

#define PATH_OUTPUT_DIRECTORY "/var/log/muster-agent"  /* root, 0750 */
#define PATH_OUTPUT PATH_OUTPUT_DIRECTORY "/steps.log" /* what the programs of steps say */
#define PATH_OUTPUT_OLD PATH_OUTPUT ".1"

#define PLAN_SIZE_MAX (1024 * 1024) /* bytes of PATH_PLAN */

#define SYSTEMCTL "/usr/bin/systemctl"
#define AGENT_USER "muster-agent"
/* On the data disk: the copy of the record that belongs to the data, and the FRESH mark. */
#define MOUNT_STATE ".muster-agent"
#define MOUNT_MARKER ".muster-volume"

#endif
