/* SPDX-License-Identifier: Apache-2.0 */
/* Simulation of the coordinator: the step function that ships, on machines that lose power at any
 * action, disks, records and files, on networks that are cut and lose messages, beside databases
 * that commit, lag and lose quorum. After each step an oracle that knows each commit and where it
 * is on disk judges what is started and what is overwritten (oracle.c).
 *
 *   sim_cluster [SEED [RUNS]]      a failing seed is printed with those of its faults that it needs
 *   sim_cluster SEED 1 MASK        with some of its faults only; with what happens, on stderr
 *   sim_cluster --first SEED RUNS  ends at the first failure, without looking for less faults
 *   sim_cluster --for SECONDS SEED new seeds from SEED on, for so long
 *   sim_cluster --edges            the states and what leads from one to another, for
 *                                  docs/galera.md
 *
 * After many runs an edge that was never passed must be one of `elsewhere`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/run.h"
#include "tests/sim/sim.h"

struct failure failure;
struct totals totals;
unsigned long long passed[CLUSTER_EDGES_MAX];

static uint64_t prng;
static struct world w;
static bool verbose;

/* Edges that this world seldom or never passes: what does. The position is asked for as soon as a
 * new agent has looked, and takes the permit of a start that was not seen yet away. */
static const struct {
    enum cluster_state from, to;
    const char *by;
} elsewhere[] = {
    {CLUSTER_STOPPED, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_RECOVERING_POS, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_FAULT, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_FROZEN, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_PROPOSING, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_BOOT_PERMIT, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_JOIN_WAIT, CLUSTER_UNCONF, "test_agent_edges: test_found_running"},
    {CLUSTER_RECOVERING_POS, CLUSTER_AMNESIAC, "test_agent_edges: test_amnesiac"},
    {CLUSTER_AMNESIAC, CLUSTER_JOINING, "test_agent_edges: test_amnesiac"},
    {CLUSTER_AMNESIAC, CLUSTER_QUARANTINE, "test_agent_edges: test_amnesiac"},
    {CLUSTER_RECOVERING_POS, CLUSTER_QUARANTINE, "test_agent_edges: test_quarantine"},
    {CLUSTER_JOIN_WAIT, CLUSTER_QUARANTINE, "test_agent_edges: test_quarantine"},
    {CLUSTER_QUARANTINE, CLUSTER_STOPPED, "test_agent_operator: test_release"},
    {CLUSTER_HALT, CLUSTER_STOPPED, "test_agent_edges: test_halt"},
    {CLUSTER_JOIN_WAIT, CLUSTER_FROZEN, "test_agent_edges: test_promise_while_it_waits"},
    {CLUSTER_ANY, CLUSTER_HALT, "test_agent_edges: test_halt; a run ends there"},
};

uint64_t rnd(uint64_t below)
{
    prng ^= prng << 13;
    prng ^= prng >> 7;
    prng ^= prng << 17;
    return prng % below;
}

void rnd_seed(uint64_t seed)
{
    prng = seed * 0x9e3779b97f4a7c15ULL | 1;
    for (unsigned i = 0; i < 4; i++)
        rnd(2);
}

/* --- one run --------------------------------------------------------------------------------- */

static void begin(uint64_t seed)
{
    memset(&w, 0, sizeof(w));
    w.seed = seed;
    rnd_seed(seed);
    for (unsigned k = 0; k < QUEUE; k++)
        w.queue[k].slot = k;
    for (unsigned k = 0; k < MACHINES; k++)
        world_outs[k].n = 0;
    w.n = 2 + (unsigned)rnd(NODES - 1);
    w.all = w.n + (rnd(3) == 0);
    w.stable = 30000 + rnd(3) * 40000;
    faults_make(&w);
    w.file = (1U << w.n) - 1;
    if (w.n > 2 && rnd(4) == 0)
        w.file &= ~1U; /* may be added later: its name goes before all others */
    for (unsigned i = 0; i < w.all; i++) {
        struct node *nd = &w.nodes[i];

        snprintf(nd->name, sizeof(nd->name), "n%u", i);
        nd->disks.kind = DATADIR_FRESH;
        nd->removed = i < w.n && !(w.file & 1U << i);
        nd->boots_at = rnd(rnd(4) ? 1000 : 10000);
    }
}

static void print_states(FILE *to)
{
    for (unsigned i = 0; i < w.all; i++) {
        const struct node *nd = &w.nodes[i];

        fprintf(to, "    %s%s %s %s:%" PRId64 " epoch %" PRIu64 " %s: %s\n", nd->name,
                nd->removed ? " (not in the file)" : "", nd->up ? "up" : "down",
                cluster_datadir_name(nd->disks.kind), w.commits[nd->disks.head].seqno,
                nd->c.rec.epoch, cluster_state_name(nd->c.state), nd->c.why);
    }
}

/* What it knows of who votes, and of who had the data. */
static void print_votes(const struct cluster *c)
{
    fprintf(stderr, "            votes");
    for (unsigned i = 0; i < c->rec.votes.n; i++)
        fprintf(stderr, " %s:%" PRIu64, c->rec.votes.of[i].name, c->rec.votes.of[i].version);
    fprintf(stderr, "; data");
    for (unsigned i = 0; i < c->rec.holders.n; i++)
        fprintf(stderr, " %s", c->rec.holders.name[i]);
    fprintf(stderr, "\n");
}

/* With a mask on the command line: each change of a state. */
static void follow(void)
{
    static enum cluster_state states[MACHINES];
    static enum db_state dbs[MACHINES];
    static const char *const db[] = {"down",    "boots",       "starts", "transfer",
                                     "primary", "non-primary", "alone"};

    for (unsigned i = 0; verbose && i < w.all; i++) {
        const struct node *nd = &w.nodes[i];

        if (nd->c.state == states[i] && nd->db == dbs[i] && w.now)
            continue;
        states[i] = nd->c.state;
        dbs[i] = nd->db;
        fprintf(
            stderr,
            "%7" PRIu64 " %s %-4s db %-11s %s:%" PRId64 " top %" PRId64 " e%" PRIu64 " %s: %s\n",
            w.now, nd->name, nd->up ? "up" : "down", db[nd->db],
            cluster_datadir_name(nd->disks.kind), w.commits[nd->disks.head].seqno,
            w.commits[w.top].seqno, nd->c.rec.epoch, cluster_state_name(nd->c.state), nd->c.why);
        print_votes(&nd->c);
    }
}

static bool settled(void)
{
    for (unsigned i = 0; i < w.n; i++)
        if ((w.file & 1U << i) &&
            (w.nodes[i].file != w.file || w.nodes[i].saved_at || w.nodes[i].db != DB_PRIMARY ||
             w.nodes[i].c.state != CLUSTER_PRIMARY || !cluster_stable(&w.nodes[i].c, w.now)))
            return false;
    return w.all == w.n || (w.pc_members & 1U << w.n);
}

/* Whether all held. */
static bool run(uint64_t seed, uint64_t mask)
{
    static uint64_t settled_since;

    begin(seed);
    settled_since = 0;
    if (setjmp(failure.back))
        return false;
    for (w.now = 0; w.now < w.stable + END; w.now += TICK) {
        faults_strike(&w, mask);
        world_time(&w);
        oracle_operator(&w);
        follow();
        if (w.now < w.stable || !settled())
            settled_since = w.now;
        if (w.halted || w.now > settled_since + 3000)
            break;
    }
    oracle_end(&w);
    totals.runs++;
    return true;
}

/* --- what failed ----------------------------------------------------------------------------- */

/* Fewer faults with which it fails in the same way: each that can be left out is. */
static uint64_t shrink(uint64_t seed, uint64_t mask, const char *what)
{
    char kind[64];

    snprintf(kind, sizeof(kind), "%.40s", strpbrk(what, " ") ? strpbrk(what, " ") : what);
    for (unsigned size = FAULTS / 2; size; size /= 2)
        for (unsigned at = 0; at < FAULTS; at += size) {
            uint64_t less = mask & ~(((1ULL << size) - 1) << at);

            if (less != mask && !run(seed, less) &&
                strncmp(kind, strpbrk(failure.what, " "), 12) == 0)
                mask = less;
        }
    return mask;
}

static void report(uint64_t seed, uint64_t mask)
{
    run(seed, mask);
    fprintf(stderr, "seed %" PRIu64 " at %" PRIu64 " ms: %s\n", seed, failure.at, failure.what);
    print_states(stderr);
    fprintf(stderr, "  of its faults, with mask %" PRIu64 ":\n", mask);
    for (unsigned k = 0; k < w.n_faults; k++)
        if (mask >> k & 1)
            fprintf(stderr, "    %6" PRIu64 " ms %s of n%u for %" PRIu64 " ms (%u)\n",
                    w.faults[k].at, fault_names[w.faults[k].kind], w.faults[k].node,
                    w.faults[k].lasts, w.faults[k].arg);
}

/* --- what was covered ------------------------------------------------------------------------ */

static const char *name_of(enum cluster_state s)
{
    return s == CLUSTER_ANY ? "any" : cluster_state_name(s);
}

static void print_edges(void)
{
    enum cluster_state from = CLUSTER_HALT;

    for (unsigned i = 0; cluster_edges[i].why; i++) {
        const struct cluster_edge *e = &cluster_edges[i];

        printf("%-16s --> %-16s  %s\n", e->from == from ? "" : name_of(e->from), name_of(e->to),
               e->why);
        from = e->from;
    }
}

/* How often each was passed; how many never were, and should have been. */
static unsigned coverage(void)
{
    unsigned bad = 0;

    for (unsigned i = 0; cluster_edges[i].why; i++) {
        const struct cluster_edge *e = &cluster_edges[i];
        const char *by = passed[i] ? "" : "NEVER";

        for (size_t k = 0; !passed[i] && k < sizeof(elsewhere) / sizeof(elsewhere[0]); k++)
            if (elsewhere[k].from == e->from && elsewhere[k].to == e->to)
                by = elsewhere[k].by;
        bad += strcmp(by, "NEVER") == 0;
        printf("%10llu  %-16s --> %-16s  %s\n", passed[i], name_of(e->from), name_of(e->to), by);
    }
    return bad;
}

static void print_totals(uint64_t seed)
{
    printf("%llu schedules from seed %" PRIu64
           ": %llu bootstraps (%llu without a member that is off), "
           "%llu joins, %llu acknowledged "
           "commits; %llu losses accepted, %llu commits left behind by them or unknowably (%llu); "
           "%llu in quarantine at the end (%llu without a record), %llu left to an operator; "
           "%llu databases met an arbitrator that was a Primary for itself\n",
           totals.runs, seed, totals.boots, totals.boots_without, totals.joins, totals.acked,
           totals.acceptances, totals.gone, totals.unknowable, totals.quarantines, totals.amnesiacs,
           totals.left_to_operator, totals.conflicts);
    for (unsigned k = 0; k < FAULT_KINDS; k++)
        printf("%10llu  %s\n", totals.faults[k], fault_names[k]);
}

static bool go_on(uint64_t s, uint64_t first, uint64_t runs, time_t until)
{
    return until ? time(NULL) < until : s < first + runs;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 && strncmp(argv[1], "--", 2) == 0 ? argv[1] : "";
    char **args = how[0] ? argv + 2 : argv + 1;
    int n = how[0] ? argc - 2 : argc - 1;
    uint64_t a = n > 0 ? strtoull(args[0], NULL, 10) : 1;
    uint64_t b = n > 1 ? strtoull(args[1], NULL, 10) : n > 0 ? 1 : 40;
    time_t until = strcmp(how, "--for") == 0 ? time(NULL) + (time_t)a : 0;
    uint64_t first = until ? b : a,
             mask = n > 2 ? strtoull(args[2], NULL, 10) : (1ULL << FAULTS) - 1;
    unsigned failed = 0;

    if (strcmp(how, "--edges") == 0) {
        print_edges();
        return 0;
    }
    verbose = n > 2;
    for (uint64_t s = first; go_on(s, first, b, until) && failed < 10; s++) {
        if (run(s, mask))
            continue;
        failed++;
        if (strcmp(how, "--first") == 0) {
            printf("seed %" PRIu64 ": %s\n", s, failure.what);
            return 1;
        }
        report(s, verbose ? mask : shrink(s, mask, failure.what));
    }
    if (strcmp(how, "--first") == 0)
        return 0;
    print_totals(first);
    unsigned uncovered = coverage();
    return failed || (uncovered && totals.runs >= 1000);
}
