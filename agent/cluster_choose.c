/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "agent/cluster.h"

const char *cluster_state_name(enum cluster_state s)
{
    static const char *const names[CLUSTER_STATES] = {
        [CLUSTER_UNCONF] = "unconfigured",
        [CLUSTER_PREP] = "preparing",
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
        [CLUSTER_LEAVING] = "leaving",
        [CLUSTER_QUARANTINE] = "quarantine",
        [CLUSTER_FAULT] = "fault",
        [CLUSTER_AMNESIAC] = "amnesiac",
        [CLUSTER_HALT] = "halt",
    };
    return names[s];
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
    };
    return names[d];
}

const struct cluster_value *cluster_entry(const struct cluster_record *rec, uint64_t epoch)
{
    if (epoch == 0 || epoch > rec->epoch || epoch + CLUSTER_CHAIN <= rec->epoch)
        return NULL;
    const struct cluster_value *v = &rec->chain[epoch % CLUSTER_CHAIN];
    return v->cluster_id[0] ? v : NULL;
}

static bool electable(const struct cluster_position *p)
{
    return p->kind == DATADIR_OK || p->kind == DATADIR_TAINTED;
}

/* True when a goes before b: ties of equal seqno are broken in this order. */
static bool better(const struct cluster_config *cfg, const struct cluster_position *r, int a, int b)
{
    if (r[a].seqno != r[b].seqno)
        return r[a].seqno > r[b].seqno;
    if (r[a].kind != r[b].kind)
        return r[a].kind == DATADIR_OK;
    if (r[a].clean != r[b].clean)
        return r[a].clean;
    if (r[a].safe != r[b].safe)
        return r[a].safe;
    if (cfg->weights[a] != cfg->weights[b])
        return cfg->weights[a] > cfg->weights[b];
    return a < b;
}

static int choose_first(const struct cluster_config *cfg)
{
    int best = 0;
    for (int i = 1; i < (int)cfg->n; i++)
        if (cfg->weights[i] > cfg->weights[best])
            best = i;
    return best;
}

int cluster_choose(const struct cluster_config *cfg, const struct cluster_record *rec,
                   const struct cluster_position *reports, char why[CLUSTER_WHY_MAX])
{
    uint64_t newest = 0;
    unsigned fresh = 0;
    int best = -1;
    for (unsigned i = 0; i < cfg->n; i++) {
        fresh += reports[i].kind == DATADIR_FRESH;
        if (electable(&reports[i]) && reports[i].last_epoch > newest)
            newest = reports[i].last_epoch;
    }
    if (fresh == cfg->n && rec->epoch == 0)
        return choose_first(cfg);
    /* Any other mixture is a recovery: fresh members only say that they have nothing. */
    for (int i = 0; i < (int)cfg->n; i++) {
        if (!electable(&reports[i]) || reports[i].last_epoch != newest)
            continue;
        if (best >= 0 && strcmp(reports[i].uuid, reports[best].uuid) != 0) {
            snprintf(why, CLUSTER_WHY_MAX,
                     "%s and %s have different histories (%.8s, %.8s) of the same epoch; an "
                     "operator must choose",
                     cfg->names[best], cfg->names[i], reports[best].uuid, reports[i].uuid);
            return -1;
        }
        if (best < 0 || better(cfg, reports, i, best))
            best = i;
    }
    if (best < 0) {
        /* A first formation whose bootstrap died before it wrote anything. */
        if (fresh == cfg->n)
            return choose_first(cfg);
        snprintf(why, CLUSTER_WHY_MAX, "no member has usable data; an operator must decide");
        return -1;
    }
    if (reports[best].kind == DATADIR_TAINTED) {
        snprintf(why, CLUSTER_WHY_MAX,
                 "%s is the most advanced (%lld) but does not trust its own state; an operator "
                 "must decide",
                 cfg->names[best], (long long)reports[best].seqno);
        return -1;
    }
    if (strcmp(rec->hw_uuid, reports[best].uuid) == 0 && reports[best].seqno < rec->hw) {
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
    if (!electable(own))
        return 1; /* nothing to lose */
    if (strcmp(own->uuid, live->uuid) != 0) {
        snprintf(why, CLUSTER_WHY_MAX,
                 "the data here has history %.8s, the cluster %.8s; nothing is overwritten",
                 own->uuid, live->uuid);
        return -1;
    }
    if (own->last_epoch == rec->epoch)
        return own->seqno <= live->seqno ? 1 : 0;
    const struct cluster_value *next = cluster_entry(rec, own->last_epoch + 1);
    if (own->last_epoch == 0 || !next) {
        snprintf(why, CLUSTER_WHY_MAX,
                 "it is not on record how the data here (epoch %llu) relates to epoch %llu",
                 (unsigned long long)own->last_epoch, (unsigned long long)rec->epoch);
        return -1;
    }
    if (own->seqno > next->base) {
        snprintf(why, CLUSTER_WHY_MAX,
                 "the data here has %lld..%lld, which the cluster left behind at epoch %llu; "
                 "nothing is overwritten",
                 (long long)next->base + 1, (long long)own->seqno,
                 (unsigned long long)own->last_epoch + 1);
        return -1;
    }
    return 1;
}
