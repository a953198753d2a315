/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/cluster/cluster.h"

const char *cluster_state_name(enum cluster_state s)
{
    static const char *const names[CLUSTER_STATES] = {
        [CLUSTER_UNCONF] = "unconfigured",
        [CLUSTER_STOPPED] = "stopped",
        [CLUSTER_RECOVERING_POS] = "reading-position",
        [CLUSTER_FROZEN] = "frozen",
        [CLUSTER_PROPOSING] = "proposing",
        [CLUSTER_BOOT_PERMIT] = "boot-permit",
        [CLUSTER_BOOTSTRAPPING] = "bootstrapping",
        [CLUSTER_PRIMARY] = "primary",
        [CLUSTER_JOIN_WAIT] = "join-wait",
        [CLUSTER_JOINING] = "joining",
        [CLUSTER_NONPRIM] = "non-primary",
        [CLUSTER_QUARANTINE] = "quarantine",
        [CLUSTER_FAULT] = "fault",
        [CLUSTER_AMNESIAC] = "amnesiac",
        [CLUSTER_HALT] = "halt",
        [CLUSTER_ARBITRATING] = "arbitrating",
    };

    return names[s];
}

int cluster_state_find(const char *name, enum cluster_state *ret)
{
    for (int i = 0; i < CLUSTER_STATES; i++) {
        if (strcmp(cluster_state_name((enum cluster_state)i), name) == 0) {
            *ret = (enum cluster_state)i;
            return 0;
        }
    }
    return -1;
}

const char *cluster_datadir_name(enum cluster_datadir d)
{
    static const char *const names[DATADIR_KINDS] = {
        [DATADIR_OK] = "ok",
        [DATADIR_FRESH] = "fresh",
        [DATADIR_EMPTY] = "empty",
        [DATADIR_SST_PARTIAL] = "sst-partial",
        [DATADIR_TAINTED] = "tainted",
        [DATADIR_NOT_MOUNTED] = "not-mounted",
        [DATADIR_UNREADABLE] = "unreadable",
        [DATADIR_UNKNOWN] = "unknown",
    };

    return names[d];
}

static bool electable(const struct cluster_position *p)
{
    return (p->kind == DATADIR_OK || p->kind == DATADIR_TAINTED) && !p->diverged;
}

/* Its history is a part of the one in `rec`: it ends under the newest epoch, or not beyond the base
 * of any later one. */
bool cluster_on_chain(const struct cluster_record *rec, const struct cluster_position *p)
{
    int64_t base;

    if (!electable(p))
        return false;
    if (p->last_epoch == rec->epoch)
        return true;
    return p->last_epoch && cluster_base_after(rec, p->last_epoch, &base) && p->seqno <= base;
}

/* True when a goes before b: ties of equal seqno are broken in this order. */
static bool better(const struct cluster_config *cfg, const struct cluster_position *r, int a, int b)
{
    if (r[a].seqno != r[b].seqno)
        return r[a].seqno > r[b].seqno;
    if (r[a].kind != r[b].kind)
        return r[a].kind == DATADIR_OK;
    if (r[a].failures != r[b].failures)
        return r[a].failures < r[b].failures;
    if (r[a].aria != r[b].aria)
        return !r[a].aria;
    if (r[a].clean != r[b].clean)
        return r[a].clean;
    if (r[a].safe != r[b].safe)
        return r[a].safe;
    if (cfg->weights[a] != cfg->weights[b])
        return cfg->weights[a] > cfg->weights[b];
    return a < b;
}

/* A directory that the agent made and that has no history yet: it may be the first of all. One that
 * was opened and whose server died before it wrote anything is as good as one that never was. */
static bool blank(const struct cluster_position *p)
{
    return p->kind == DATADIR_FRESH || (p->kind == DATADIR_EMPTY && p->opened);
}

/* Nobody has a history. -1: somebody has something that is not known. */
static int choose_first(const struct cluster_config *cfg, const struct cluster_position *r,
                        const bool *here, const char *lost, char why[CLUSTER_WHY_MAX])
{
    int best = -1;

    for (int i = 0; i < (int)cfg->n; i++) {
        /* It was excluded since the others had all that it had: none of them has it any more. */
        if (!here[i] && !cluster_lost_has(lost, cfg->names[i])) {
            snprintf(
                why, CLUSTER_WHY_MAX,
                "no member that is heard has data, and %s, which is not, may have it; bring it "
                "back, or accept the loss: muster cluster recover --without %s",
                cfg->names[i], cfg->names[i]);
            return -1;
        }
        /* Whose loss was accepted, and who is here with a new disk, may be the first of all. */
        if (!here[i] || (cluster_lost_has(lost, cfg->names[i]) && !blank(&r[i])))
            continue;
        if (!blank(&r[i]) && r[i].kind != DATADIR_SST_PARTIAL) {
            snprintf(why, CLUSTER_WHY_MAX,
                     "%s has a database that was never part of this cluster (%s); an operator must "
                     "decide",
                     cfg->names[i], cluster_datadir_name(r[i].kind));
            return -1;
        }
        if (blank(&r[i]) &&
            (best < 0 || r[i].failures < r[best].failures ||
             (r[i].failures == r[best].failures && cfg->weights[i] > cfg->weights[best])))
            best = i;
    }
    if (best < 0)
        snprintf(why, CLUSTER_WHY_MAX, "no member has usable data; an operator must decide");
    return best;
}

/* The most advanced one whose history is the cluster's; -1: none; -2: an operator must decide. */
static int choose_newest(const struct cluster_config *cfg, const struct cluster_record *rec,
                         const struct cluster_position *r, const bool *here, const char *lost,
                         char why[CLUSTER_WHY_MAX])
{
    int best = -1;

    for (int i = 0; i < (int)cfg->n; i++) {
        if (!here[i] || cluster_lost_has(lost, cfg->names[i]) || !cluster_on_chain(rec, &r[i]))
            continue;
        if (best >= 0 && strcmp(r[i].uuid, r[best].uuid) != 0) {
            snprintf(why, CLUSTER_WHY_MAX,
                     "%s and %s have different histories (%.8s, %.8s) of the same epoch; an "
                     "operator must choose",
                     cfg->names[best], cfg->names[i], r[best].uuid, r[i].uuid);
            return -2;
        }
        if (best < 0 || better(cfg, r, i, best))
            best = i;
    }
    /* Data whose place in the history is not on record may still be the newest there is. */
    for (int i = 0; i < (int)cfg->n; i++) {
        if (!here[i] || cluster_lost_has(lost, cfg->names[i]) || !electable(&r[i]) ||
            r[i].last_epoch)
            continue;
        if (best >= 0 && strcmp(r[i].uuid, r[best].uuid) == 0 && r[i].seqno <= r[best].seqno)
            continue;
        snprintf(why, CLUSTER_WHY_MAX,
                 "%s has data (%.8s:%lld) and no record of its history; an operator must decide",
                 cfg->names[i], r[i].uuid, (long long)r[i].seqno);
        return -2;
    }
    return best;
}

/* A member whose data is not the cluster's as a whole has more of what is than the one that is
 * chosen: what the others went on from, and lost since; or what it wrote while no later epoch is
 * known to have served. -1: nobody. */
static int has_more(const struct cluster_config *cfg, const struct cluster_record *rec,
                    const struct cluster_position *r, const bool *here, const char *lost, int best)
{
    for (int i = 0; i < (int)cfg->n; i++) {
        bool data = r[i].kind == DATADIR_OK || r[i].kind == DATADIR_TAINTED;
        int64_t base;

        if (here[i] && data && !cluster_lost_has(lost, cfg->names[i]) &&
            strcmp(r[i].uuid, r[best].uuid) == 0 && r[i].seqno > r[best].seqno && r[i].last_epoch &&
            cluster_base_after(rec, r[i].last_epoch, &base) &&
            (base > r[best].seqno || r[i].last_epoch >= rec->booted))
            return i;
    }
    return -1;
}

int cluster_choose(const struct cluster_config *cfg, const struct cluster_record *rec,
                   const struct cluster_position *reports, const bool *here, const char *lost,
                   char why[CLUSTER_WHY_MAX])
{
    int best = choose_newest(cfg, rec, reports, here, lost, why);

    if (best == -1)
        return choose_first(cfg, reports, here, lost, why);
    if (best < 0)
        return -1;
    int more = has_more(cfg, rec, reports, here, lost, best);
    if (more >= 0) {
        snprintf(why, CLUSTER_WHY_MAX,
                 "%s has more of the cluster's data (%lld) than %s (%lld), and is not usable as a "
                 "whole; to go on without it: muster cluster recover --without %s",
                 cfg->names[more], (long long)reports[more].seqno, cfg->names[best],
                 (long long)reports[best].seqno, cfg->names[more]);
        return -1;
    }
    if (strcmp(rec->hw_uuid, reports[best].uuid) == 0 && reports[best].seqno < rec->hw &&
        !lost[0]) {
        snprintf(why, CLUSTER_WHY_MAX,
                 "position %lld of %s is behind %lld, which was durable once; an operator must "
                 "decide",
                 (long long)reports[best].seqno, cfg->names[best], (long long)rec->hw);
        return -1;
    }
    return best;
}

int cluster_ancestor(const struct cluster_record *rec, const struct cluster_position *own,
                     const struct cluster_position *live, char why[CLUSTER_WHY_MAX])
{
    int64_t base;

    if (own->kind == DATADIR_EMPTY && !own->opened) {
        snprintf(why, CLUSTER_WHY_MAX,
                 "the data here was never part of this cluster; nothing is overwritten");
        return -1;
    }
    if (!electable(own))
        return own->diverged ? -1 : 1; /* else there is nothing to lose */
    if (strcmp(own->uuid, live->uuid) != 0) {
        snprintf(why, CLUSTER_WHY_MAX,
                 "the data here has history %.8s, the cluster %.8s; nothing is overwritten",
                 own->uuid, live->uuid);
        return -1;
    }
    if (own->last_epoch == rec->epoch)
        return own->seqno <= live->seqno ? 1 : 0;
    if (own->last_epoch == 0 || !cluster_base_after(rec, own->last_epoch, &base)) {
        snprintf(why, CLUSTER_WHY_MAX,
                 "it is not on record how the data here (epoch %llu) relates to epoch %llu",
                 (unsigned long long)own->last_epoch, (unsigned long long)rec->epoch);
        return -1;
    }
    if (own->seqno > base) {
        snprintf(why, CLUSTER_WHY_MAX,
                 "the data here has %lld..%lld, which the cluster left behind after epoch %llu; "
                 "nothing is overwritten",
                 (long long)base + 1, (long long)own->seqno, (unsigned long long)own->last_epoch);
        return -1;
    }
    return 1;
}
