/* SPDX-License-Identifier: Apache-2.0 */
/* The database coordinator: agents agree among themselves which node starts first. Pure: the
 * clock comes in events, the disk and the network are actions. docs/galera.md has the protocol
 * and its invariants (I1..I17); names here follow it.
 *
 * One decision per epoch: slot e+1 is decided by a two-phase agreement in which EVERY member of
 * the configuration promises (gate closed, position frozen) and accepts. Times: milliseconds. */
#ifndef MUSTER_AGENT_CLUSTER_CLUSTER_H
#define MUSTER_AGENT_CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

#define CLUSTER_MAX 16   /* members */
#define CLUSTER_NAME 64  /* of a member, with its NUL */
#define CLUSTER_CHAIN 16 /* decisions that are remembered with their base */
#define CLUSTER_LOST 256 /* names of members whose loss an operator accepted */
#define CLUSTER_WHY_MAX 384
#define CLUSTER_BECAUSE 160 /* of an operator's reason, with its NUL */

enum cluster_state {
    CLUSTER_UNCONF,         /* the database was not looked at yet, or starts */
    CLUSTER_STOPPED,        /* gate closed, database down */
    CLUSTER_RECOVERING_POS, /* reading this node's position */
    CLUSTER_FROZEN,         /* promised; the gate stays closed for lower ballots */
    CLUSTER_PROPOSING,
    CLUSTER_BOOT_PERMIT, /* a decision names this node */
    CLUSTER_BOOTSTRAPPING,
    CLUSTER_PRIMARY,
    CLUSTER_JOIN_WAIT,
    CLUSTER_JOINING,
    CLUSTER_NONPRIM,    /* runs without quorum */
    CLUSTER_QUARANTINE, /* its history is not the cluster's */
    CLUSTER_FAULT,
    CLUSTER_AMNESIAC,    /* lost its record: votes, is not chosen */
    CLUSTER_HALT,        /* an invariant does not hold */
    CLUSTER_ARBITRATING, /* of an arbitrator: its garbd takes part in the group */
    CLUSTER_STATES,
    CLUSTER_ANY = CLUSTER_STATES, /* in the table of edges */
};

enum cluster_datadir {
    DATADIR_OK,
    DATADIR_FRESH,       /* made by the agent, never joined */
    DATADIR_EMPTY,       /* nothing there, and we did not make it so */
    DATADIR_SST_PARTIAL, /* a state transfer did not finish */
    DATADIR_TAINTED,     /* the database itself does not trust its state */
    DATADIR_NOT_MOUNTED,
    DATADIR_UNREADABLE, /* was looked at; the database cannot make a position of it */
    DATADIR_UNKNOWN,    /* could not be looked at: says nothing about the data */
    DATADIR_KINDS
};

struct cluster_names {
    unsigned n;
    char name[CLUSTER_MAX][CLUSTER_NAME];
};

/* Who has a vote. The version of a member rises with each change: even, it votes; odd, it is
 * excluded: a Primary went on without it, and decisions are made without it while it is not heard.
 * A name that is not here votes. Two lists are joined by the higher version of each name. */
struct cluster_votes {
    unsigned n;
    struct cluster_vote {
        char name[CLUSTER_NAME];
        uint64_t version;
    } of[CLUSTER_MAX];
};

struct cluster_position {
    enum cluster_datadir kind;
    char uuid[37];
    int64_t seqno; /* -1: none */
    bool clean;    /* from a clean stop, not from recovery */
    bool safe;     /* safe_to_bootstrap */
    uint64_t last_epoch;
    bool opened;   /* the record on this very disk says that the gate was opened over it */
    bool aria;     /* its InnoDB is whole; the log of the Aria engine is not */
    bool diverged; /* this data is in quarantine */
    bool replaced; /* as in the record */
    char incarnation[37];
    unsigned failures; /* bootstraps that failed here since it was last part of a Primary */
};

struct cluster_ballot {
    uint64_t round; /* 0: none */
    char node[CLUSTER_NAME];
};

/* What is decided: who bootstraps an epoch, from which position. Members are named, since an index
 * in the sorted members is another one's as soon as the file changes. Records and messages of the
 * first version have an index: it is read as the name "#N", which no member has. */
struct cluster_value {
    uint64_t epoch;
    char node[CLUSTER_NAME];
    char incarnation[37]; /* of that node's record: another one under its name starts nothing */
    char cluster_id[37];
    char uuid[37]; /* "" for the first formation */
    int64_t base;
    char lost[CLUSTER_LOST]; /* decided without these, accepted by an operator; separated by blanks
                              */
    char because[CLUSTER_BECAUSE]; /* the operator's reason */
};

struct cluster_record {   /* durable; A/B slots on two disks (store.h) */
    char incarnation[37]; /* of this record; "": of the first version */
    char cluster_id[37];
    uint64_t epoch; /* last decided epoch known here; 0: none */
    /* The decisions from `chain_from` on, by rising epoch, without those whose base is not below
     * that of a later one: they bound nothing that the later one does not. */
    uint64_t chain_from;
    unsigned n_chain;
    struct cluster_value chain[CLUSTER_CHAIN];
    struct cluster_ballot promised; /* in slot epoch + 1 */
    struct cluster_ballot accepted_at;
    struct cluster_value accepted;
    uint64_t permit_used; /* highest epoch whose BOOT permit was used or declined here */
    uint64_t booted;      /* highest epoch that is known to have served, here or elsewhere */
    uint64_t last_epoch;  /* under which this node's gate was last opened */
    uint64_t joining;     /* a join under that epoch began and has not ended well */
    int64_t join_from;    /* where data that the database distrusts was then; -1: it was none */
    bool data;            /* the gate was opened once: never FRESH again */
    bool amnesiac;        /* there was data here and no record: not chosen, boots nothing */
    bool diverged;        /* the data here is in quarantine, until it is moved aside */
    /* The data disk came without a record to a member that had data; until the gate opens over it.
     * The record is written to that disk, too, and says nothing of what was on it. */
    bool new_disk;
    /* A join began over a disk that replaces another one, and this member has not been part of a
     * Primary since: what the earlier disk had is missing still. */
    bool replaced;
    unsigned failures; /* bootstraps that failed here since the last Primary */
    /* Members that had the data when the Primary was last looked at. A recovery waits for them. */
    bool holders_known; /* false: a record of the first version */
    struct cluster_names holders;
    struct cluster_votes votes;
    char lost[CLUSTER_LOST]; /* an operator accepted the loss of these; until it is decided so */
    char because[CLUSTER_BECAUSE]; /* and why */
    char held[CLUSTER_BECAUSE];    /* an operator keeps the gate closed, and why; "": nobody does */
    char hw_uuid[37];              /* highest durable position ever reported by a stopped member */
    int64_t hw;
};

enum cluster_msg_type {
    MSG_HEARTBEAT, /* heartbeat: state, decided epochs, live position */
    MSG_PREPARE,
    MSG_PROMISE,
    MSG_NACK,
    MSG_ACCEPT,
    MSG_ACCEPTED,
    MSG_TYPES
};

struct cluster_msg {
    enum cluster_msg_type type;
    unsigned from;     /* set by the receiver from the authenticated link */
    char manifest[17]; /* digest of the members; others are not talked to */
    uint64_t epoch;    /* HB: last decided; others: the slot */
    struct cluster_ballot ballot;
    struct cluster_position position;  /* PROMISE; heartbeat of a Primary: uuid and live seqno */
    struct cluster_ballot accepted_at; /* PROMISE */
    struct cluster_value value;        /* PROMISE: accepted; ACCEPT */
    /* HB: as in the record of its sender */
    enum cluster_state state;
    bool ready;      /* stopped, position known: may take part in a decision */
    unsigned size;   /* of a Primary: members that its database sees; 0: it cannot be asked now */
    bool arbitrated; /* and whether an arbitrator counts in it */
    bool data;
    bool held;
    uint64_t bytes;  /* of its data directory; 0: not known */
    uint64_t cached; /* it can send write sets from this number on; 0: not known */
    uint64_t permit_used, booted;
    struct cluster_names holders;
    bool votes_known; /* false: of an agent that knows of no votes */
    struct cluster_votes votes;
    char hw_uuid[37];
    int64_t hw;
    uint64_t chain_from;
    unsigned n_chain;
    struct cluster_value chain[CLUSTER_CHAIN];
};

enum cluster_action_type {
    ACT_SAVE,     /* make the record durable before anything that follows */
    ACT_SEND,     /* msg to member `to` */
    ACT_POSITION, /* find out the position; answered by EV_POSITION */
    ACT_BOOT,     /* start with a BOOT permit of `epoch`; EV_DONE */
    ACT_JOIN,     /* start with a JOIN permit; EV_DONE */
    ACT_STOP,     /* stop the database; EV_DONE */
    ACT_ABANDON, /* kill the database of a join that cannot end; the join's own EV_DONE, or EV_DB */
    ACT_ROW,     /* write the row of `epoch` into the database; no answer */
    ACT_REJECT,  /* the database that runs here answers no client any more; no answer */
    ACT_WEIGHT,  /* give the database the weight of the file in its quorum; no answer */
    ACT_EVICT,   /* have the group drop the database `uuid`, whose process has ended; no answer */
};

struct cluster_action {
    enum cluster_action_type type;
    unsigned to;
    uint64_t epoch;
    bool small;     /* JOIN: nothing is here, and next to nothing is there */
    bool whole;     /* JOIN: nobody can send just what is missing: it is a whole copy */
    uint64_t bytes; /* JOIN: that a member of the Primary has; 0: not known */
    char uuid[37];  /* EVICT */
    struct cluster_msg msg;
};

#define CLUSTER_ACTIONS_MAX 64
struct cluster_out {
    size_t n;
    struct cluster_action a[CLUSTER_ACTIONS_MAX];
};

enum cluster_event_type {
    EV_TICK,
    EV_MSG,
    EV_POSITION,
    EV_DONE, /* the action BOOT, JOIN or STOP ended */
    EV_DB,   /* what the database says: every other second, seldom while all is stable */
    /* An operator's; `why` is the reason, and the answer is in cluster.answer. */
    EV_RECOVER, /* accepts the loss of member `name` */
    EV_HOLD,    /* keeps the gate of this node closed, or (`ok` false) lets it open again */
    EV_RELEASE, /* the data in quarantine was moved aside, or (`ok`) stays: looks again */
};

struct cluster_event {
    enum cluster_event_type type;
    uint64_t now;
    const struct cluster_msg *msg;
    struct cluster_position position;
    bool ok;                       /* DONE; HOLD and RELEASE: see there */
    char why[CLUSTER_WHY_MAX];     /* DONE and POSITION: what failed; an operator's reason */
    bool running, primary, synced; /* DB; position has uuid and seqno */
    bool answers;                  /* DB: SQL is open; false: it starts or stops */
    bool left;                     /* DB: it answers, and is connected to no group */
    bool unknown;                  /* DB: it runs and could not be asked; `why` */
    bool leaving;                  /* DB: the agent ends after this; what is down stays so */
    bool rowless;                  /* DB: the row of this node's epoch is not there */
    uint64_t bytes;                /* DB: of its data directory; 0: not known */
    uint64_t cached; /* DB: it can send write sets from this number on; 0: not known */
    bool weightless; /* DB: its weight in the quorum is not that of the file */
    /* DB: what that row says; "": it was not read */
    char row_node[CLUSTER_NAME], row_cluster[37];
    unsigned size;
    bool arbitrated;                 /* DB: an arbitrator counts in its component, too */
    struct cluster_names members;    /* DB: of its component; none: not known */
    char instances[CLUSTER_MAX][37]; /* DB: the group's UUIDs of their databases, in that order */
    char name[CLUSTER_NAME];         /* RECOVER */
};

struct cluster_config {
    unsigned n, self;
    /* names[n], which `n` leaves room for, is the arbitrator: it counts in the quorum of the group,
     * and has no data and no vote here. Its own agent has self == n. */
    bool arbitrator;
    char names[CLUSTER_MAX][CLUSTER_NAME];
    unsigned weights[CLUSTER_MAX];
    char manifest[17];
    char mint[37];        /* a UUID for a new cluster, should this node propose one */
    char incarnation[37]; /* a UUID for a new record */
    uint64_t absent_ms;   /* unheard for so long, a member is excluded; 0: 10 minutes */
    uint64_t seed;
};

struct cluster_peer {
    bool heard;
    uint64_t at;
    char instance[37]; /* its database in the group while it was last said to serve, or "" */
    struct cluster_msg hb;
};

struct cluster_proposal {
    struct cluster_ballot ballot;
    bool accepting; /* phase 2 */
    bool promised[CLUSTER_MAX], accepted[CLUSTER_MAX];
    struct cluster_position position[CLUSTER_MAX];
    struct cluster_ballot highest;
    struct cluster_value value;
    uint64_t again; /* send again */
    unsigned tries;
};

struct cluster {
    struct cluster_config cfg;
    struct cluster_record rec;
    enum cluster_state state;
    uint64_t passed; /* bit set of edges since the start; not in a release */
    char why[CLUSTER_WHY_MAX];
    unsigned waiting; /* bit set of members */
    bool accepted;    /* what the last operator's event asked for */
    char answer[CLUSTER_WHY_MAX];

    uint64_t born; /* when this agent began */
    bool db_seen;  /* an EV_DB came since the start */
    bool running, primary;
    bool joins;   /* the last look said that its database answers, and is not Synced yet */
    bool leaving; /* the agent ends, and the database is down */
    bool left;    /* the last look said that its database is connected to no group */
    bool unknown; /* it runs, and the last look got no answer: running and primary are older */
    unsigned size;
    bool arbitrated;
    uint64_t bytes;               /* of its data directory */
    uint64_t cached;              /* write sets from this number on */
    uint64_t join_bytes;          /* that the Primary had when the last join began */
    bool component_known;         /* the last look said of whom its Primary consists: rec.holders */
    struct cluster_position live; /* of the running database */

    bool asked;    /* ACT_POSITION, or an arbitrator's action, without an answer */
    bool starting; /* it is an arbitrator's start */
    bool known;    /* position is valid: nothing ran since */
    struct cluster_position position;

    struct cluster_peer peers[CLUSTER_MAX];
    struct cluster_proposal prop;
    uint64_t max_round;            /* highest round seen anywhere in this slot */
    uint64_t since;                /* when the state was entered */
    uint64_t propose_at;           /* the rules chose nobody: not before */
    unsigned refusals;             /* so often in a row, up to 3 */
    char refused[CLUSTER_WHY_MAX]; /* and why the last time; "": not since the last decision */
    uint64_t unreadable_since;     /* no look since has found anything else; 0: not so */
    uint64_t hb_at, quiet_at, retry_at, ahead_since, stale_since, hopeless_since, unjoined_since,
        apart_since;
    unsigned join_failures;
    bool claimed; /* the vote, for the join that is waited for */
    uint64_t
        without_since[CLUSTER_MAX]; /* the Primary goes on without that member; 0: it does not */
    uint64_t prng;
};

/* `rec` NULL: none was found. */
void cluster_init(struct cluster *c, const struct cluster_config *cfg,
                  const struct cluster_record *rec, uint64_t now);
void cluster_step(struct cluster *c, const struct cluster_event *ev, struct cluster_out *out);
/* When it wants an EV_TICK after the one at `last`: for its heartbeat alone, or, where a decision
 * waits for time to pass, soon. */
uint64_t cluster_tick_at(const struct cluster *c, uint64_t last);

/* Member `i`, another one, gave a sign of life lately. */
bool cluster_heard(const struct cluster *c, unsigned i, uint64_t now);
/* Serves with all members, and each of them says so, too: nothing is about to change. */
bool cluster_stable(const struct cluster *c, uint64_t now);

/* explain.c: for operators. What it waits for, from whom, since when, and what can be done at what
 * price: lines of text, appended. */
void cluster_explain(const struct cluster *c, uint64_t now, struct strbuf *out);

/* edges.c: every change of the state that there is. */
#define CLUSTER_EDGES_MAX 64
struct cluster_edge {
    enum cluster_state from, to;
    const char *why;
};
extern const struct cluster_edge cluster_edges[]; /* the last one has no `why` */
/* Its number; -1: there is none. */
int cluster_edge(enum cluster_state from, enum cluster_state to);

/* choose.c: the decision rules. Which member bootstraps, given everybody's report; -1
 * and why when the rules leave it to the operator. Members in `lost` are not looked at, and those
 * of which there is no report (`here`): they have no vote. */
int cluster_choose(const struct cluster_config *cfg, const struct cluster_record *rec,
                   const struct cluster_position *reports, const bool *here, const char *lost,
                   char why[CLUSTER_WHY_MAX]);
/* I8: 1: this position is an ancestor of the history in `rec` whose last epoch is live at
 * `live`. 0: not yet known. -1: it is not, and why. */
int cluster_ancestor(const struct cluster_record *rec, const struct cluster_position *own,
                     const struct cluster_position *live, char why[CLUSTER_WHY_MAX]);

/* Data whose history is a part of the one in `rec`. */
bool cluster_on_chain(const struct cluster_record *rec, const struct cluster_position *p);

/* chain.c: the decisions that a record remembers. */
const struct cluster_value *cluster_entry(const struct cluster_record *rec, uint64_t epoch);
/* The lowest base of all epochs after `epoch`; false: not all of them are on record. */
bool cluster_base_after(const struct cluster_record *rec, uint64_t epoch, int64_t *ret);
void cluster_append(struct cluster_record *rec, const struct cluster_value *v);

/* votes.c: 0: nothing is known of that name. */
uint64_t cluster_vote(const struct cluster_votes *votes, const char *name);

/* Lists of names. `lost` is text, names separated by blanks. */
bool cluster_names_have(const struct cluster_names *names, const char *name);
bool cluster_names_same(const struct cluster_names *a, const struct cluster_names *b);
bool cluster_lost_has(const char *lost, const char *name);

const char *cluster_state_name(enum cluster_state s);
/* 0, or -1 for a name that is none. */
int cluster_state_find(const char *name, enum cluster_state *ret);
const char *cluster_datadir_name(enum cluster_datadir d);

#endif
