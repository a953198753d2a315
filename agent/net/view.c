/* SPDX-License-Identifier: Apache-2.0 */
/* What the coordinator of this node knows of all members, for operators (docs/protocol.md,
 * section 5). */
#include "agent/net/internal.h"
#include "common/cleanup.h"
#include "common/js.h"

static json_t *position_of(const struct cluster_position *p, bool runs)
{
    return json_pack("{s:s, s:I, s:s, s:I}", "uuid", p->uuid, "seqno", (json_int_t)p->seqno, "read",
                     runs ? "live" : cluster_datadir_name(p->kind), "last_epoch",
                     (json_int_t)p->last_epoch);
}

static json_t *own(const struct cluster *c)
{
    return json_pack(
        "{s:s, s:b, s:s, s:i, s:b, s:b, s:I, s:o, s:s}", "name", c->cfg.names[c->cfg.self], "self",
        1, "state", cluster_state_name(c->state), "heard_ms", 0, "heard", 1, "votes",
        cluster_vote(&c->rec.votes, c->cfg.names[c->cfg.self]) % 2 == 0, "epoch",
        (json_int_t)c->rec.epoch, "position",
        position_of(c->running ? &c->live : &c->position, c->running), "held", c->rec.held);
}

static json_t *other(const struct cluster *c, unsigned i, uint64_t now)
{
    const struct cluster_peer *p = &c->peers[i];
    bool votes = cluster_vote(&c->rec.votes, c->cfg.names[i]) % 2 == 0;

    if (!p->heard)
        return json_pack("{s:s, s:b, s:s, s:n, s:b, s:b}", "name", c->cfg.names[i], "self", 0,
                         "state", "unknown", "heard_ms", "heard", 0, "votes", votes);
    return json_pack("{s:s, s:b, s:s, s:I, s:b, s:b, s:I, s:o, s:s}", "name", c->cfg.names[i],
                     "self", 0, "state", cluster_state_name(p->hb.state), "heard_ms",
                     (json_int_t)(now - p->at), "heard", cluster_heard(c, i, now), "votes", votes,
                     "epoch", (json_int_t)p->hb.epoch, "position",
                     position_of(&p->hb.position, p->hb.state == CLUSTER_PRIMARY), "held",
                     p->hb.held ? "by an operator" : "");
}

json_t *net_cluster_view(const struct cluster *c, uint64_t now)
{
    _cleanup_(strbuf_free) struct strbuf text = {0};
    json_t *members = json_array(), *waiting = json_array();

    cluster_explain(c, now, &text);
    for (unsigned i = 0; i < c->cfg.n + c->cfg.arbitrator; i++) {
        json_t *m = i == c->cfg.self ? own(c) : other(c, i, now);

        if (i == c->cfg.n)
            json_object_set_new(m, "votes", json_false()); /* it decides nothing */
        json_array_append_new(members, m);
        if (c->waiting & 1U << i)
            js_push_str(waiting, c->cfg.names[i]);
    }
    return json_pack("{s:s, s:s, s:o, s:I, s:I, s:s, s:b, s:o, s:o, s:o}", "node",
                     c->cfg.names[c->cfg.self], "state", cluster_state_name(c->state), "why",
                     js_string(c->why), "since_ms", (json_int_t)(now - c->since), "epoch",
                     (json_int_t)c->rec.epoch, "cluster_id", c->rec.cluster_id, "running",
                     c->running, "waiting_for", waiting, "members", members, "explain",
                     js_string(strbuf_str(&text)));
}
