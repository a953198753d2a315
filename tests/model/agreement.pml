/* SPDX-License-Identifier: Apache-2.0 */
/* A model of the agreement (docs/galera.md), for spin. tests/model/run.sh checks it.
 *
 * Agents decide by PREPARE, PROMISE, ACCEPT, ACCEPTED of all who starts the next epoch. What was
 * ever sent may arrive at any time, any number of times, or never. A crash takes what is not on
 * disk. Below, a database: a commit is acknowledged when its originator has it on disk; the others
 * write it later; what was not written is dropped when quorum is lost. The agents compare positions
 * only (numbers of commits); the assertions compare the commits themselves.
 *
 * Asserted: one decision for a slot; one start for an epoch; whoever starts has every acknowledged
 * commit, and nobody serves beside; who joins has a part of what is served; and when nothing can
 * happen any more, somebody serves, unless epochs or ballots of the model are used up.
 *
 * Bounds: N agents, EPOCHS, BALLOTS for each slot, COMMITS, CRASHES. M_… are faults, each of which
 * must lead to an assertion. */
#ifndef N
#define N 2
#endif
#ifndef EPOCHS
#define EPOCHS 2
#endif
#ifndef BALLOTS
#define BALLOTS 2
#endif
#ifndef COMMITS
#define COMMITS 2
#endif
#ifndef CRASHES
#define CRASHES 2
#endif

#define SLOTS (EPOCHS + 1)       /* slot 0 is not used */
#define ROUNDS (BALLOTS + 1)     /* nor is ballot 0 */
#define AT(e, b) ((e) * ROUNDS + (b))
#define OF(e, b, i) (AT(e, b) * N + (i))
#define OWNER(b) ((b) % N)
#define ALL ((1 << N) - 1)

#define COUNT(m) (((m) & 1) + ((m) >> 1 & 1) + ((m) >> 2 & 1) + ((m) >> 3 & 1))
#if defined(M_MAJORITY)
#define ENOUGH_ACCEPTED(m) (2 * COUNT(m) > N)
#else
#define ENOUGH_ACCEPTED(m) ((m) == ALL)
#endif
#if defined(M_REPORTS)
#define ENOUGH_PROMISED(m) (2 * COUNT(m) > N)
#else
#define ENOUGH_PROMISED(m) ((m) == ALL)
#endif

/* On disk. */
byte epoch[N];    /* decided, as known there */
byte promised[N]; /* in slot epoch + 1 */
byte accepted_at[N];
byte accepted[N]; /* node + 1 */
byte accepted_base[N];
byte used[N];     /* highest epoch whose permit was used */
byte opened[N];   /* epoch under which the gate was last opened */
byte commits[N];  /* the data: a bit for each commit */

/* Not on disk. */
bool serves[N];
byte proposes[N]; /* ballot; 0: none */

/* What was sent. */
bool prepare[SLOTS * ROUNDS];
byte promise[SLOTS * ROUNDS]; /* who promised */
byte report[SLOTS * ROUNDS * N];
byte report_opened[SLOTS * ROUNDS * N];
byte report_at[SLOTS * ROUNDS * N];
byte report_value[SLOTS * ROUNDS * N];
byte report_base[SLOTS * ROUNDS * N];
byte value[SLOTS * ROUNDS]; /* node + 1; 0: no ACCEPT */
byte base[SLOTS * ROUNDS];
byte acceptance[SLOTS * ROUNDS];
byte decided[SLOTS]; /* node + 1 */
byte decided_base[SLOTS];
byte told_used[N]; /* the highest permit_used that a node ever told */

/* The database. */
byte view;        /* members of the Primary; 0: none */
byte top;         /* its commits */
byte acked;       /* ever */
byte n_commits, n_crashes;
byte starts[SLOTS];

/* The lowest base of all epochs after `e` that node `i` knows, and whether `p` is within. */
#define WITHIN(i, e, p) \
    ((epoch[i] < 1 || (e) >= 1 || (p) <= decided_base[1]) && \
     (epoch[i] < 2 || (e) >= 2 || (p) <= decided_base[2]) && \
     (EPOCHS < 3 || epoch[i] < 3 || (e) >= 3 || (p) <= decided_base[EPOCHS]))

#define SETTLED(i) (epoch[i] == 0 || told_used[decided[epoch[i]] - 1] >= epoch[i])
#define MAY_PROPOSE(b)                                                                     \
    ((b) <= BALLOTS && epoch[_pid] < EPOCHS && !serves[_pid] &&                            \
     proposes[_pid] == 0 && SETTLED(_pid) && promised[_pid] < (b) && OWNER(b) == _pid &&   \
     !prepare[AT(epoch[_pid] + 1, b)])
#ifdef M_NO_FREEZE
#define FROZEN(i) true
#else
#define FROZEN(i) (!serves[i])
#endif
#define MAY_PROMISE(b)                                                                     \
    ((b) <= BALLOTS && epoch[_pid] < EPOCHS && FROZEN(_pid) && promised[_pid] < (b) &&     \
     OWNER(b) != _pid && prepare[AT(epoch[_pid] + 1, b)] &&                                \
     !(decided[epoch[_pid]] == _pid + 1 && used[_pid] < epoch[_pid]))

inline learn(i)
{
    epoch[i]++;
    promised[i] = 0;
    accepted_at[i] = 0;
    accepted[i] = 0;
    accepted_base[i] = 0;
    proposes[i] = 0;
}

inline give_promise(i, e, b)
{
    promised[i] = b;
    promise[AT(e, b)] = promise[AT(e, b)] | 1 << i;
    report[OF(e, b, i)] = COUNT(commits[i]);
    report_opened[OF(e, b, i)] = opened[i];
    report_at[OF(e, b, i)] = accepted_at[i];
    report_value[OF(e, b, i)] = accepted[i];
    report_base[OF(e, b, i)] = accepted_base[i];
}

inline propose(i, e, b)
{
    proposes[i] = b;
    prepare[AT(e, b)] = true;
    give_promise(i, e, b)
}

inline accept(i, e, b)
{
    accepted_at[i] = b;
    accepted[i] = value[AT(e, b)];
    accepted_base[i] = base[AT(e, b)];
    acceptance[AT(e, b)] = acceptance[AT(e, b)] | 1 << i;
}

/* The value that was accepted at the highest ballot; else the one with the highest position. */
inline choose(i, e, b)
{
    k = 0;
    best = 0;
    high = 0;
    do
    :: k < N ->
        if
        :: (promise[AT(e, b)] & 1 << k) && report_at[OF(e, b, k)] > high ->
            high = report_at[OF(e, b, k)];
            value[AT(e, b)] = report_value[OF(e, b, k)];
            base[AT(e, b)] = report_base[OF(e, b, k)]
        :: else
        fi;
        if
        :: (promise[AT(e, b)] & 1 << k) && WITHIN(i, report_opened[OF(e, b, k)], report[OF(e, b, k)]) &&
#ifdef M_NOT_HIGHEST
            (best == 0 || report[OF(e, b, k)] < report[OF(e, b, best - 1)]) ->
#else
            (best == 0 || report[OF(e, b, k)] > report[OF(e, b, best - 1)]) ->
#endif
            best = k + 1
        :: else
        fi;
        k++
    :: else -> break
    od;
    if
    :: high == 0 ->
        value[AT(e, b)] = best;
        base[AT(e, b)] = (best -> report[OF(e, b, best - 1)] : 0)
    :: else
    fi
}

inline gate_opens(i)
{
#ifndef M_PROMISES_STAY
    promised[i] = promised[i] + 1;
#endif
    proposes[i] = 0;
    opened[i] = epoch[i];
}

inline lose(i)
{
    if
    :: view & 1 << i ->
        if
        :: 2 * COUNT(view & ~(1 << i)) > COUNT(view) -> view = view & ~(1 << i)
        :: else ->
            /* Without quorum the agents stop it; what is not written is dropped. */
            k = 0;
            do
            :: k < N -> serves[k] = false; k++
            :: else -> break
            od;
            view = 0
        fi
    :: else
    fi;
    serves[i] = false
}

active [N] proctype agent()
{
    byte k, best, high;

end:
    do
    /* The decision of the next slot is heard of. */
    :: d_step { epoch[_pid] < EPOCHS && decided[epoch[_pid] + 1] && !serves[_pid] -> learn(_pid) }

    /* Proposes: nobody serves that it could join, and the last permit is used. */
    :: d_step { MAY_PROPOSE(1) -> propose(_pid, epoch[_pid] + 1, 1) }
    :: d_step { MAY_PROPOSE(2) -> propose(_pid, epoch[_pid] + 1, 2) }
    :: d_step { MAY_PROPOSE(3) -> propose(_pid, epoch[_pid] + 1, 3) }
    /* Hears PREPARE. */
    :: d_step { MAY_PROMISE(1) -> give_promise(_pid, epoch[_pid] + 1, 1); proposes[_pid] = 0 }
    :: d_step { MAY_PROMISE(2) -> give_promise(_pid, epoch[_pid] + 1, 2); proposes[_pid] = 0 }
    :: d_step { MAY_PROMISE(3) -> give_promise(_pid, epoch[_pid] + 1, 3); proposes[_pid] = 0 }

    :: d_step {
        epoch[_pid] < EPOCHS && proposes[_pid] && promised[_pid] == proposes[_pid] &&
        value[AT(epoch[_pid] + 1, proposes[_pid])] == 0 &&
        ENOUGH_PROMISED(promise[AT(epoch[_pid] + 1, proposes[_pid])]) ->
        choose(_pid, epoch[_pid] + 1, proposes[_pid]);
        if
        :: value[AT(epoch[_pid] + 1, proposes[_pid])] ->
            accept(_pid, epoch[_pid] + 1, proposes[_pid])
        :: else -> proposes[_pid] = 0
        fi;
        k = 0; best = 0; high = 0
    }

    :: d_step {
        epoch[_pid] < EPOCHS && FROZEN(_pid) && promised[_pid] && promised[_pid] <= BALLOTS &&
        value[AT(epoch[_pid] + 1, promised[_pid])] &&
        !(acceptance[AT(epoch[_pid] + 1, promised[_pid])] & 1 << _pid) ->
        accept(_pid, epoch[_pid] + 1, promised[_pid])
    }

    :: d_step {
        epoch[_pid] < EPOCHS && proposes[_pid] && value[AT(epoch[_pid] + 1, proposes[_pid])] &&
        ENOUGH_ACCEPTED(acceptance[AT(epoch[_pid] + 1, proposes[_pid])]) ->
        assert(decided[epoch[_pid] + 1] == 0 ||
               (decided[epoch[_pid] + 1] == value[AT(epoch[_pid] + 1, proposes[_pid])] &&
                decided_base[epoch[_pid] + 1] == base[AT(epoch[_pid] + 1, proposes[_pid])]));
        decided[epoch[_pid] + 1] = value[AT(epoch[_pid] + 1, proposes[_pid])];
        decided_base[epoch[_pid] + 1] = base[AT(epoch[_pid] + 1, proposes[_pid])];
        learn(_pid)
    }

    /* Starts the epoch, or gives its permit back. */
    :: d_step {
        epoch[_pid] && !serves[_pid] && decided[epoch[_pid]] == _pid + 1 &&
        used[_pid] < epoch[_pid] ->
#ifndef M_PERMIT_AGAIN
        used[_pid] = epoch[_pid];
        told_used[_pid] = used[_pid];
#endif
        if
        :: promised[_pid] == 0 && COUNT(commits[_pid]) == decided_base[epoch[_pid]] ->
            starts[epoch[_pid]]++;
            assert(starts[epoch[_pid]] == 1);
            assert(view == 0);
            assert((acked & ~commits[_pid]) == 0);
            gate_opens(_pid);
#ifdef M_PERMIT_AGAIN
            promised[_pid] = 0;
#endif
            serves[_pid] = true;
            view = 1 << _pid;
            top = commits[_pid];
            opened[_pid] = epoch[_pid]
        :: else
        fi
    }

    /* Joins: its history is an ancestor of the cluster's (I8). */
    :: d_step {
        !serves[_pid] && view && epoch[_pid] && starts[epoch[_pid]] &&
        (epoch[_pid] == EPOCHS || decided[epoch[_pid] + 1] == 0) &&
        WITHIN(_pid, opened[_pid], COUNT(commits[_pid])) &&
        COUNT(commits[_pid]) <= COUNT(top) ->
        assert((commits[_pid] & ~top) == 0);
        gate_opens(_pid);
        serves[_pid] = true;
        view = view | 1 << _pid
    }

    /* The database: the next commit, which its originator has with all before; then the others. */
    :: d_step {
        serves[_pid] && n_commits < COMMITS ->
        top = top | 1 << n_commits;
        n_commits++;
        commits[_pid] = top;
        acked = acked | top;
        opened[_pid] = epoch[_pid]
    }
    :: d_step { serves[_pid] && commits[_pid] != top -> commits[_pid] = top; opened[_pid] = epoch[_pid] }

    /* Power is lost, and comes back. */
    :: d_step {
        n_crashes < CRASHES && (serves[_pid] || proposes[_pid] || promised[_pid]) ->
        n_crashes++;
        lose(_pid);
        proposes[_pid] = 0;
#ifdef M_PROMISE_LOST
        promised[_pid] = 0;
#endif
        k = 0
    }

    /* Nothing else can happen. */
    :: timeout ->
        assert(view || epoch[_pid] == EPOCHS || promised[0] >= BALLOTS || promised[1] >= BALLOTS ||
               promised[N - 1] >= BALLOTS);
        break
    od
}
