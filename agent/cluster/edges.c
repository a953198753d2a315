/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "agent/cluster/cluster.h"

const struct cluster_edge cluster_edges[] = {
    {CLUSTER_UNCONF, CLUSTER_STOPPED, "the database does not run"},
    {CLUSTER_UNCONF, CLUSTER_PRIMARY, "the database is Synced in a Primary"},
    {CLUSTER_UNCONF, CLUSTER_NONPRIM, "the database has run without a Primary for a minute"},

    {CLUSTER_STOPPED, CLUSTER_RECOVERING_POS, "the position is not known"},
    {CLUSTER_STOPPED, CLUSTER_JOIN_WAIT, "a live Primary is heard"},
    {CLUSTER_STOPPED, CLUSTER_PROPOSING, "all who are needed are heard and ready"},
    {CLUSTER_STOPPED, CLUSTER_FROZEN, "promised or accepted what another member proposes"},
    {CLUSTER_STOPPED, CLUSTER_BOOT_PERMIT, "the decision names this node"},
    {CLUSTER_STOPPED, CLUSTER_UNCONF, "the database runs: its start outlived its action"},

    {CLUSTER_RECOVERING_POS, CLUSTER_STOPPED, "the position is known"},
    {CLUSTER_RECOVERING_POS, CLUSTER_FAULT, "the data cannot be read, or is not mounted"},
    {CLUSTER_RECOVERING_POS, CLUSTER_AMNESIAC, "the record is lost, the data is not"},
    {CLUSTER_RECOVERING_POS, CLUSTER_QUARANTINE, "this data was put into quarantine before"},
    {CLUSTER_RECOVERING_POS, CLUSTER_UNCONF, "the database runs: its start outlived its action"},

    {CLUSTER_FAULT, CLUSTER_STOPPED, "looks again after 10 s"},
    {CLUSTER_FAULT, CLUSTER_UNCONF, "the database runs: its start outlived its action"},

    {CLUSTER_FROZEN, CLUSTER_STOPPED, "the epoch is decided, or no decision came within 10 s"},
    {CLUSTER_FROZEN, CLUSTER_JOIN_WAIT, "a live Primary is heard"},
    {CLUSTER_FROZEN, CLUSTER_UNCONF, "the database runs: its start outlived its action"},

    {CLUSTER_PROPOSING, CLUSTER_STOPPED, "decided; or the rules chose nobody, or not all answered"},
    {CLUSTER_PROPOSING, CLUSTER_FROZEN, "another member proposes with a higher ballot"},
    {CLUSTER_PROPOSING, CLUSTER_JOIN_WAIT, "a live Primary is heard"},
    {CLUSTER_PROPOSING, CLUSTER_UNCONF, "the database runs: its start outlived its action"},

    {CLUSTER_BOOT_PERMIT, CLUSTER_BOOTSTRAPPING,
     "all others are heard and stopped, the position is the decided one"},
    {CLUSTER_BOOT_PERMIT, CLUSTER_STOPPED, "declined: the decision does not fit any more"},
    {CLUSTER_BOOT_PERMIT, CLUSTER_UNCONF, "the database runs: its start outlived its action"},

    {CLUSTER_BOOTSTRAPPING, CLUSTER_PRIMARY, "it serves"},
    {CLUSTER_BOOTSTRAPPING, CLUSTER_STOPPED, "it failed; the next try is another epoch"},

    {CLUSTER_JOIN_WAIT, CLUSTER_JOINING, "the history here is an ancestor of the cluster's (I8)"},
    {CLUSTER_JOIN_WAIT, CLUSTER_QUARANTINE, "the history here is not the cluster's"},
    {CLUSTER_JOIN_WAIT, CLUSTER_STOPPED, "no Primary is heard any more"},
    {CLUSTER_JOIN_WAIT, CLUSTER_FROZEN, "promised or accepted what another member proposes"},
    {CLUSTER_JOIN_WAIT, CLUSTER_UNCONF, "the database runs: its start outlived its action"},

    {CLUSTER_JOINING, CLUSTER_PRIMARY, "it is Synced"},
    {CLUSTER_JOINING, CLUSTER_STOPPED, "the join failed, or was given up"},

    {CLUSTER_AMNESIAC, CLUSTER_JOINING, "the history here is an ancestor of the cluster's (I8)"},
    {CLUSTER_AMNESIAC, CLUSTER_QUARANTINE, "the history here is not the cluster's"},

    {CLUSTER_PRIMARY, CLUSTER_STOPPED, "the database stopped"},
    {CLUSTER_PRIMARY, CLUSTER_NONPRIM, "the database itself says that it lost its quorum"},

    {CLUSTER_NONPRIM, CLUSTER_PRIMARY, "the quorum is back"},
    {CLUSTER_NONPRIM, CLUSTER_STOPPED, "the database stopped, by the agent or by itself"},
    {CLUSTER_NONPRIM, CLUSTER_UNCONF, "the agent could not stop the database"},

    {CLUSTER_QUARANTINE, CLUSTER_STOPPED, "released by an operator"},
    {CLUSTER_HALT, CLUSTER_STOPPED, "released by an operator"},

    {CLUSTER_UNCONF, CLUSTER_ARBITRATING, "an arbitrator, and its garbd runs"},
    {CLUSTER_STOPPED, CLUSTER_ARBITRATING, "an arbitrator hears a member that serves"},
    {CLUSTER_ARBITRATING, CLUSTER_STOPPED, "members are down, or found without it; or garbd ended"},

    {CLUSTER_ANY, CLUSTER_HALT, "two decisions of one epoch (I15)"},
    {CLUSTER_ANY, CLUSTER_ANY, NULL},
};

_Static_assert(sizeof(cluster_edges) / sizeof(cluster_edges[0]) <= CLUSTER_EDGES_MAX + 1,
               "a bit for each in cluster.passed");

int cluster_edge(enum cluster_state from, enum cluster_state to)
{
    for (int i = 0; cluster_edges[i].why; i++)
        if ((cluster_edges[i].from == from || cluster_edges[i].from == CLUSTER_ANY) &&
            cluster_edges[i].to == to)
            return i;
    return -1;
}
