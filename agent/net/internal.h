/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the net process only. */
#ifndef MUSTER_AGENT_NET_INTERNAL_H
#define MUSTER_AGENT_NET_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/cluster/cluster.h"
#include "agent/ipc/bootstrap.h"
#include "agent/ipc/msg.h"
#include "common/chan.h"
#include "common/event.h"
#include "common/keys.h"
#include "common/zap.h"
#include "common/zsock.h"

struct net_cluster;
struct net_health;

struct net {
    struct bootstrap *boot;
    struct chan sup;
    struct zctx *z;
    struct zap *zap;
    struct curve_pair own, seal;

    struct zsock *enrol;                 /* NULL when bound */
    struct zsock *main;                  /* NULL before */
    unsigned handshakes;                 /* of main, when the last hello was sent */
    unsigned connected;                  /* the newest that is known */
    uint64_t next;                       /* when to enrol or greet again */
    bool answered;                       /* something came since the last hello */
    bool complained;                     /* a refusal was logged */
    uint64_t roster_epoch;               /* of the roster in use; an older one is refused */
    char roster_digest[SHA256_HEX_SIZE]; /* and another text of the same; "": none yet */

    char rev[EVENT_REV_MAX];
    uint64_t last_seq;
    uint64_t counter; /* of the newest plan that the supervisor took */

    struct net_cluster *cluster; /* NULL: no database here, or no roster yet */
    struct net_health *health;
};

/* To the supervisor: {"m": m, ...members}; takes members (NULL for none). */
void net_send(struct net *n, enum ipc_msg m, json_t *members);

/* look.c: an EV_DB of what IPC_DB has; the caller sets its time and `leaving`. Pure. */
void net_look_event(const struct cluster *c, const json_t *db, struct cluster_event *ret);

/* ctrl.c: enrolment, then the main socket. */
int net_ctrl_open(struct net *n, struct err *err);
void net_ctrl_serve(struct net *n, uint64_t now); /* takes what came, sends what is due */
uint64_t net_ctrl_due(struct net *n);             /* when to serve it at the latest */
void net_ctrl_send_event(struct net *n, json_t *event);
void net_ctrl_send_state(struct net *n, json_t *state);
void net_ctrl_send_measured(struct net *n, const json_t *measured); /* an IPC_MEASURED */
void net_ctrl_close(struct net *n);
/* Takes a roster that the controller signed, by the key that user-data brought, and that is not
 * older than the last one. */
int net_ctrl_roster(struct net *n, const char *text, const char *sig_hex, struct err *err);

/* cluster.c: the coordinator's links and driver. */
void net_cluster_roster(struct net *n, const char *text); /* a verified roster */
void net_cluster_message(struct net *n, enum ipc_msg m,
                         const json_t *msg); /* from the supervisor */
void net_cluster_serve(struct net *n, uint64_t now);
/* view.c: what the coordinator knows of all members; new reference. */
json_t *net_cluster_view(const struct cluster *c, uint64_t now);
/* The others were told that this agent ends, and its database is down. */
bool net_cluster_left(const struct net *n);
uint64_t net_cluster_due(const struct net *n); /* when to serve it at the latest */
int net_cluster_fds(struct net *n, int *fds, int max);
void net_cluster_close(struct net *n);
bool net_cluster_allow(struct net *n, const uint8_t key[KEY_SIZE], char ret_user[ZSOCK_USER_MAX]);

/* health.c: this node's health for load balancers and monitors. */
void net_health_open(struct net *n, int http_port, int line_port); /* on all IPv4 addresses */
void net_health_state(struct net *n, json_t *state); /* the state that the supervisor reports */
void net_health_serve(struct net *n, uint64_t now);
uint64_t net_health_due(const struct net *n); /* when to serve it at the latest */
int net_health_fds(const struct net *n, int *fds, int max);
void net_health_close(struct net *n);

#endif
