/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the step function only. */
#ifndef MUSTER_AGENT_CLUSTER_INTERNAL_H
#define MUSTER_AGENT_CLUSTER_INTERNAL_H

#include "agent/cluster/cluster.h"

/* Timers, for liveness only (milliseconds). */
#define CLUSTER_HEARTBEAT_MS 1000
#define CLUSTER_TICK_MS 200
#define CLUSTER_SILENT_MS 5000 /* no heartbeat for so long: not heard */
#define CLUSTER_QUIET_MIN_MS 3000
#define CLUSTER_QUIET_MAX_MS 10000
#define CLUSTER_RETRY_MS 1000 /* of a proposal; doubles to 16 s */
#define CLUSTER_FROZEN_MAX_MS 10000
#define CLUSTER_FAULT_RETRY_MS 10000
#define CLUSTER_UNREADABLE_MS 60000 /* what a join left is a rest then */
#define CLUSTER_JOIN_RETRY_MS 2000
#define CLUSTER_AHEAD_MS 15000
#define CLUSTER_STALE_MS 20000
#define CLUSTER_HOPELESS_MS 10000
#define CLUSTER_UNJOINED_MS 30000 /* what it joined says that it is not a part of it */
#define CLUSTER_REFUSED_MS 10000  /* the rules chose nobody: proposed again after */
#define CLUSTER_LEFT_MS 10000     /* without a group beside a live Primary: it does not come back */
#define CLUSTER_APART_MS 10000    /* beside another Primary: none of the two is about to end */
#define CLUSTER_NONPRIM_SOON_MS 1000
#define CLUSTER_NONPRIM_WAIT_MS 60000
#define CLUSTER_EXCLUDE_MS 3000  /* without a member whose database is known to be down */
#define CLUSTER_ABSENT_MS 600000 /* without one that is not heard */

#define CLUSTER_SMALL 1000 /* write sets of a database that was founded just now */

void cluster_enter(struct cluster *c, enum cluster_state state, uint64_t now, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
struct cluster_action *cluster_act(struct cluster_out *out, enum cluster_action_type type);
bool cluster_stopped(const struct cluster *c);
bool cluster_ready(const struct cluster *c);
const struct cluster_msg *cluster_live_primary(const struct cluster *c, uint64_t now);

/* A start has failed: the next one is tried after a pause that grows. */
void cluster_join_later(struct cluster *c, uint64_t now);
uint64_t cluster_random(struct cluster *c, uint64_t from, uint64_t to);

/* gate.c */
void cluster_try_join(struct cluster *c, uint64_t now, struct cluster_out *out);
bool cluster_cannot_serve(enum cluster_state state);
void cluster_join_tick(struct cluster *c, uint64_t now, struct cluster_out *out);
bool cluster_decided_for_me(const struct cluster *c);
/* The BOOT permit of the last epoch is given back unused. */
void cluster_decline(struct cluster *c, struct cluster_out *out);
void cluster_try_boot(struct cluster *c, uint64_t now, struct cluster_out *out);

/* arbitrator.c */
/* This node is the arbitrator. */
bool cluster_arbitrates(const struct cluster *c);
/* It is heard, and may be part of a group still: no other one is founded beside it. */
bool cluster_arbitrator_runs(const struct cluster *c, uint64_t now);
void cluster_arbitrator_step(struct cluster *c, const struct cluster_event *ev,
                             struct cluster_out *out);

/* need.c */
/* An operator accepted the loss of member `i`: its data is not waited for. */
bool cluster_lost(const struct cluster *c, unsigned i);
/* Nor is its vote, nor that of one that is excluded. Whoever is there and can vote is asked, so
 * that two acceptances on two nodes end in one decision; and whoever is there and may run is waited
 * for. */
bool cluster_excused(const struct cluster *c, unsigned i, uint64_t now);
/* Member `i` had data, or may have had, by its own record or by that of another, and reports a disk
 * that never had any, or over which no join has ended well yet: its disk was lost or replaced. */
bool cluster_disk_is_new(const struct cluster *c, unsigned i, uint64_t now);
/* A decision cannot be made now; `why` and `waiting` say what for. */
bool cluster_blocked(struct cluster *c, uint64_t now);
/* The same, but only whether somebody's data is missing. */
bool cluster_copy_missing(struct cluster *c, uint64_t now);
/* A bootstrap from nothing would leave data behind that a member had and cannot use any more. */
bool cluster_data_gone(const struct cluster *c, const struct cluster_position *reports,
                       char why[CLUSTER_WHY_MAX]);
void cluster_recover(struct cluster *c, const char *name, const char *because, uint64_t now,
                     struct cluster_out *out);

/* look.c: EV_DB. A member that serves an epoch halts when another one has served a later one beside
 * it for long. Two members were given up, each to the other; that this one was, may not be on
 * record any more, since another try from the same place takes the place of the first. */
void cluster_look(struct cluster *c, const struct cluster_event *ev, struct cluster_out *out);
/* Of a Primary, after a word of member `i`: a database whose process has ended, as that member's
 * own agent says, leaves the group now. Galera by itself waits for evs.suspect_timeout, and with it
 * all writes do. */
void cluster_evict(struct cluster *c, unsigned i, uint64_t now, struct cluster_out *out);
/* It serves, or is part of what serves; `last`: the epoch that was decided last. */
void cluster_now_primary(struct cluster *c, bool last);
/* A member that has the data, until a look says otherwise. */
void cluster_add_holder(struct cluster *c, const char *name);

/* votes.c */
/* Another member, which the next decision needs no vote of while it is not heard. */
bool cluster_excluded(const struct cluster *c, unsigned i);
/* It is excluded, and not heard. */
bool cluster_gone(const struct cluster *c, unsigned i, uint64_t now);
/* Whether the list has changed. */
bool cluster_votes_join(struct cluster_votes *into, const struct cluster_votes *from);
/* For whoever votes, or does not any more. */
bool cluster_include(struct cluster_votes *votes, const char *name);
void cluster_exclude(struct cluster_votes *votes, const char *name);
/* Only those that are in the file. */
void cluster_votes_prune(struct cluster *c);
/* Of a Primary: members without which it goes on lose their vote, those that it has get it back. */
void cluster_votes_tick(struct cluster *c, uint64_t now, struct cluster_out *out);
/* Before a join: every member of the Primary that is heard knows that this node votes again. */
bool cluster_votes_again(struct cluster *c, uint64_t now, struct cluster_out *out);

/* operator.c */
void cluster_hold(struct cluster *c, bool hold, const char *because, struct cluster_out *out);
void cluster_release(struct cluster *c, bool keep, uint64_t now, struct cluster_out *out);
/* An operator keeps the gate closed; then it is said so. */
bool cluster_is_held(struct cluster *c);

/* agree.c */
void cluster_heartbeat(struct cluster *c, struct cluster_out *out);
void cluster_propose(struct cluster *c, uint64_t now, struct cluster_out *out);
void cluster_propose_again(struct cluster *c, uint64_t now, struct cluster_out *out);
void cluster_message(struct cluster *c, const struct cluster_msg *m, uint64_t now,
                     struct cluster_out *out);

#endif
