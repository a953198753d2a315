/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator tells this member's coordinator besides the acceptance of a loss (need.c). */
#include <stdio.h>
#include <string.h>

#include "agent/cluster/internal.h"

bool cluster_is_held(struct cluster *c)
{
    if (!c->rec.held[0])
        return false;
    snprintf(c->why, sizeof(c->why),
             "held by an operator (%s); 'muster cluster resume %s' ends that", c->rec.held,
             c->cfg.names[c->cfg.self]);
    c->waiting = 0;
    return true;
}

void cluster_hold(struct cluster *c, bool hold, const char *because, struct cluster_out *out)
{
    bool was = c->rec.held[0] != '\0';

    c->accepted = true;
    if (hold) {
        snprintf(c->rec.held, sizeof(c->rec.held), "%s", because[0] ? because : "no reason given");
        snprintf(c->answer, sizeof(c->answer),
                 "the database of this node is not started, and not stopped, until it is resumed%s",
                 c->state == CLUSTER_PRIMARY ? "; it serves on" : "");
    } else {
        c->rec.held[0] = '\0';
        snprintf(c->answer, sizeof(c->answer), was ? "resumed" : "it was not held");
    }
    if (hold || was)
        cluster_act(out, ACT_SAVE);
    c->hb_at = 0; /* the others are told at once */
}

/* Quarantine: the data was moved aside, or an operator says that it is the cluster's: what a look
 * finds is judged again. Halt: two members knew different decisions; the one that gives way begins
 * a new record, as a member that nobody knows. */
void cluster_release(struct cluster *c, bool keep, uint64_t now, struct cluster_out *out)
{
    c->accepted = (c->state == CLUSTER_QUARANTINE || c->state == CLUSTER_HALT) && !c->running;
    if (!c->accepted) {
        snprintf(c->answer, sizeof(c->answer), "%s",
                 c->running ? "the database runs; stop it first: systemctl stop mariadb"
                            : "this member is neither in quarantine nor halted");
        return;
    }
    if (!keep && c->state == CLUSTER_HALT) {
        struct cluster_record rec = {.holders_known = true};

        memcpy(rec.incarnation, c->cfg.incarnation, sizeof(rec.incarnation));
        c->rec = rec;
        c->max_round = 0;
    }
    c->rec.diverged = c->position.diverged = false;
    c->known = c->asked = false;
    c->retry_at = 0;
    cluster_act(out, ACT_SAVE);
    cluster_enter(c, CLUSTER_STOPPED, now, "released by an operator; looks at its data");
    snprintf(c->answer, sizeof(c->answer), "released; it looks at its data and joins the others");
}
