/* SPDX-License-Identifier: Apache-2.0 */
/* Simulation of the coordinator: what its parts share. sim_cluster.c runs schedules, world.c has
 * time, machines, agents and networks, faults.c what goes wrong, disk.c what survives, database.c
 * Galera, oracle.c what must hold. */
#ifndef MUSTER_TESTS_SIM_H
#define MUSTER_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/cluster/cluster.h"

#define NODES 4              /* machines with data; the file names some of them */
#define MACHINES (NODES + 1) /* and an arbitrator */
#define QUEUE 256
#define COMMITS 4096
#define FAULTS 24
#define TIMELINES 64
#define TICK 50 /* virtual milliseconds of a step */
#define OPERATOR                                                                                   \
    60000          /* after nothing fails any more: an operator looks when nothing is served       \
                    */
#define END 300000 /* likewise */
#define RESTORED (1U << 31) /* in commit.lost_with */

enum fault_kind {
    FAULT_POWER,      /* power loss of one */
    FAULT_POWER_ALL,  /* of all, back one after another */
    FAULT_POWER_AT,   /* at a boundary between two actions, or in the middle of a write */
    FAULT_AGENT,      /* only the agent is killed */
    FAULT_DB,         /* only the database is killed */
    FAULT_DB_STOP,    /* somebody stops the database */
    FAULT_CUT_AGENTS, /* the agents' network is in two parts */
    FAULT_CUT_DB,     /* the database's */
    FAULT_CUT,        /* both */
    FAULT_LOSSY,      /* messages are lost, doubled, late */
    FAULT_DISKS,      /* both disks are lost */
    FAULT_DATA_DISK,  /* the data disk is */
    FAULT_ROOT_DISK,  /* the root disk is */
    FAULT_AMNESIA,    /* no record can be read; the data is whole */
    FAULT_SNAPSHOT,   /* of both disks */
    FAULT_RESTORE,    /* of that snapshot */
    FAULT_FILE_ADD,   /* a member is added to the file */
    FAULT_FILE_OUT,   /* one is taken out; its machine is off until it is back */
    FAULT_DDL,        /* power loss during a change of a table's definition: tainted */
    FAULT_UNREADABLE, /* looks at the data fail for a while */
    FAULT_FULL,       /* the database cannot start for a while */
    FAULT_LOOK,       /* looks at the database get no answer for a while */
    FAULT_GIVEN_UP,   /* power loss of one for long; an operator accepts its loss meanwhile */
    FAULT_JOIN_DIES,  /* the next transfer to it ends half-way */
    FAULT_LEAVES,     /* its machine is stopped in order, and is off for long */
    FAULT_KINDS
};

struct fault {
    enum fault_kind kind;
    uint64_t at, lasts;
    unsigned node, arg;
};

/* One transaction, or a change of the component (`members` is not 0 then). 0: none. */
struct commit {
    int parent;
    int64_t seqno;
    int uuid;
    unsigned members;
    bool acked, gone;   /* gone: its loss was stated, or cannot be known */
    unsigned lost_with; /* machines whose disks were the last to hold it */
    unsigned knowers;   /* records that say that one of those had data */
};

struct slot {
    bool valid;
    uint64_t generation;
    struct cluster_record rec;
};

struct disks {
    struct slot root[2], data[2];
    enum cluster_datadir kind;
    int head;
    bool rest;           /* TAINTED by a transfer that did not end */
    bool clean, amnesia; /* amnesia: its records were lost once */
};

/* DB_ALONE: an arbitrator from which all members have left in order: a Primary for itself. */
enum db_state { DB_DOWN, DB_BOOTING, DB_STARTING, DB_TRANSFER, DB_PRIMARY, DB_NONPRIM, DB_ALONE };

struct node {
    char name[16];
    bool up, refused; /* refused: records of different clusters */
    uint64_t boots_at;
    unsigned file, next_file; /* bit set of machines; as its agent has it, as it will */
    uint64_t file_at;
    unsigned permit_file; /* as it was when the start of its database began */
    bool removed;         /* not in the file: off */
    struct cluster c;
    unsigned member[MACHINES]; /* the machine of each member of the agent's configuration */
    struct disks disks, snapshot;
    bool has_snapshot;
    uint64_t generation;
    /* the agent */
    uint64_t tick_at, look_at, saved_at;
    size_t done;
    bool refusal;
    enum cluster_action_type refusal_of;
    /* the action under way; what it began outlives the agent */
    bool acting;
    enum cluster_action_type act;
    uint64_t act_at;
    uint64_t permit_at, permit_epoch; /* the server starts then; 0: no permit */
    bool permit_new;
    /* the database */
    enum db_state db;
    uint64_t db_at, db_until;
    unsigned view; /* number of the component that it was part of */
    bool copies;   /* the transfer replaces all data */
    bool hangs;    /* and waits for ever when its donor is gone */
    /* faults at work */
    uint64_t unreadable_until, full_until, look_until;
    enum cluster_datadir unreadable_as;
    unsigned power_at; /* counts down at boundaries */
    bool join_dies, given_up;
    bool restored; /* its disks were replaced by older ones, and it has not been part of a Primary
                      since */
    bool lost;     /* an operator accepted its loss, and it has not been part of a Primary since */
    unsigned accepts; /* machines whose loss was accepted on it, until it is part of a Primary */
    unsigned
        gave_up; /* machines that it started without by his statement, and has not joined since */
    uint64_t off_at, off_for; /* its machine stops; 0: it does not */
};

struct wire {
    uint64_t at;
    unsigned from, to;
    unsigned slot; /* of its message in world_messages */
};
extern struct cluster_msg world_messages[QUEUE];
extern struct cluster_out world_outs[MACHINES]; /* actions that are not done yet */

struct timeline {
    char cluster_id[37];
    unsigned boots[TIMELINES], by[TIMELINES];
    unsigned forgotten[TIMELINES]; /* machines that have an older record since, or none */
};

struct world {
    unsigned n, file;           /* machines with data; those in the file */
    unsigned all;               /* n, or n + 1 with an arbitrator, which is the last one then */
    uint64_t now, seed, stable; /* from `stable` on nothing fails */
    struct node nodes[MACHINES];
    struct wire queue[QUEUE];
    unsigned queued;
    struct fault faults[FAULTS];
    unsigned n_faults;
    unsigned cut_agents, cut_db; /* one side of a network in two parts; 0: whole */
    uint64_t agents_whole_at, db_whole_at, lossless_at;
    struct commit commits[COMMITS];
    int n_commits;
    int uuids;
    unsigned pc, pc_members, views; /* the Primary: its number, 0: none; its members */
    unsigned heavy;                 /* members that count in the quorum; who joins does not yet */
    unsigned view_members[256];
    uint64_t pc_change_at, merge_at;
    int top; /* its newest commit */
    struct timeline timelines[TIMELINES / 4];
    unsigned minted, boots;
    bool forked, halted; /* forked: a second decision of one epoch is possible by the rules */
};

struct totals {
    unsigned long long runs, boots, boots_without, commits, acked, joins, quarantines, amnesiacs,
        operator_runs, acceptances, unknowable, gone, faults[FAULT_KINDS], left_to_operator,
        conflicts;
};
extern struct totals totals;
extern unsigned long long passed[CLUSTER_EDGES_MAX];
extern const char *const fault_names[FAULT_KINDS];

uint64_t rnd(uint64_t below);
void rnd_seed(uint64_t seed);

/* world.c */
void world_step(struct world *w, unsigned i, const struct cluster_event *ev);
void world_time(struct world *w);
void world_power_off(struct world *w, unsigned i, uint64_t lasts);
void world_agent_start(struct world *w, unsigned i);
void world_agent_kill(struct world *w, unsigned i);
bool world_arbitrates(const struct world *w, unsigned i);
bool world_connected(const struct world *w, unsigned cut, unsigned a, unsigned b);

/* faults.c */
void faults_make(struct world *w);
void faults_strike(struct world *w, uint64_t mask);

/* disk.c */
bool disk_record(const struct disks *d, struct cluster_record *ret, uint64_t *ret_generation,
                 bool *ret_refused);
const struct cluster_record *disk_newest(const struct disks *d);
void disk_save(struct node *nd, bool torn);
struct cluster_position disk_position(const struct world *w, const struct node *nd);
bool disk_has_data(const struct disks *d);
void disk_lose_data(struct world *w, unsigned i, enum cluster_datadir kind);
void disk_lose_records(struct world *w, unsigned i, bool root, bool data);

/* database.c */
void db_time(struct world *w);
void db_start(struct world *w, unsigned i);
void db_kill(struct world *w, unsigned i);
void db_leave(struct world *w, unsigned i);
void db_weigh(struct world *w, unsigned i);
int db_commit(struct world *w, int parent, unsigned members);
bool db_has(const struct world *w, int head, int commit);
struct cluster_event db_look(const struct world *w, unsigned i);

/* oracle.c */
void oracle_fail(const struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));
void oracle_boot(struct world *w, unsigned i);
void oracle_join(struct world *w, unsigned i);
void oracle_destroyed(struct world *w, unsigned i, int head, bool known);
void oracle_forgotten(struct world *w, unsigned i);
void oracle_halt(struct world *w, unsigned i);
void oracle_end(struct world *w);
void oracle_operator(struct world *w);
bool oracle_served(const struct world *w);
/* An operator types on node `i`, or with NODES on one that he chooses. */
void oracle_accept(struct world *w, unsigned i, const char *name);

#endif
