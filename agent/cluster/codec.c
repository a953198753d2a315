/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cluster/codec.h"

#include <stdio.h>
#include <string.h>

#include "common/js.h"
#include "common/str.h"
#include "common/uuid.h"

#define ROUND_MAX ((uint64_t)1 << 40)
#define FAILURES_MAX 1000
#define RECORD_VERSION 2
#define OLD_CHAIN 8
#define EPOCH_MAX ((uint64_t)1 << 40)

static const char *const msg_names[MSG_TYPES] = {
    [MSG_HEARTBEAT] = "hb", [MSG_PREPARE] = "prep", [MSG_PROMISE] = "prom",
    [MSG_NACK] = "nack",    [MSG_ACCEPT] = "acc",   [MSG_ACCEPTED] = "acced",
};

static int bounded(const json_t *j, const char *key, uint64_t max, uint64_t *ret, struct err *err)
{
    if (js_u64(j, key, ret, err) < 0)
        return -1;
    return *ret > max ? err_set(err, ERR_USAGE, "member '%s' is too large", key) : 0;
}

static int signed_member(const json_t *j, const char *key, int64_t *ret, struct err *err)
{
    const json_t *v = json_object_get(j, key);

    if (!json_is_integer(v) || json_integer_value(v) < -1)
        return err_set(err, ERR_USAGE, "member '%s' must be a whole number, -1 or more", key);
    *ret = json_integer_value(v);
    return 0;
}

/* "" or a UUID. */
static int uuid_member(const json_t *j, const char *key, char ret[UUID_SIZE], struct err *err)
{
    const char *s;

    if (js_str(j, key, &s, err) < 0)
        return -1;
    if (s[0] && !uuid_valid(s))
        return err_set(err, ERR_USAGE, "member '%s' must be a UUID", key);
    str_copy(ret, UUID_SIZE, s);
    return 0;
}

static int name_member(const json_t *j, const char *key, char ret[CLUSTER_NAME], struct err *err)
{
    const char *s = js_opt_str(j, key, "");

    if (strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.#") !=
            strlen(s) ||
        !str_copy(ret, CLUSTER_NAME, s))
        return err_set(err, ERR_USAGE, "member '%s' must be the name of a member", key);
    return 0;
}

static json_t *names_to_json(const struct cluster_names *names)
{
    json_t *a = json_array();

    for (unsigned i = 0; i < names->n; i++)
        json_array_append_new(a, json_string(names->name[i]));
    return a;
}

static json_t *votes_to_json(const struct cluster_votes *votes)
{
    json_t *j = json_object();

    for (unsigned i = 0; i < votes->n; i++)
        json_object_set_new(j, votes->of[i].name, json_integer((json_int_t)votes->of[i].version));
    return j;
}

static int votes_member(const json_t *j, struct cluster_votes *ret, struct err *err)
{
    const json_t *all = json_object_get(j, "votes");
    const char *name;
    json_t *version;

    *ret = (struct cluster_votes){0};
    json_object_foreach((json_t *)all, name, version)
    {
        struct cluster_vote *v = &ret->of[ret->n];
        json_int_t n = json_integer_value(version);
        json_t *one = json_pack("{s:s}", "name", name);
        int r = ret->n < CLUSTER_MAX && *name && n > 0 && (uint64_t)n <= EPOCH_MAX
                    ? name_member(one, "name", v->name, err)
                    : err_set(err, ERR_USAGE, "the list of votes is malformed or too long");

        json_decref(one);
        if (r < 0)
            return -1;
        v->version = (uint64_t)n;
        ret->n++;
    }
    return 0;
}

int cluster_names_from_json(const json_t *j, struct cluster_names *ret, struct err *err)
{
    size_t i;
    json_t *name;

    ret->n = 0;
    json_array_foreach(j, i, name)
    {
        json_t *one = json_pack("{s:O}", "name", name);
        int r = i < CLUSTER_MAX && json_string_length(name) > 0
                    ? name_member(one, "name", ret->name[ret->n++], err)
                    : err_set(err, ERR_USAGE, "a list of members is malformed or too long");

        json_decref(one);
        if (r < 0)
            return -1;
    }
    return 0;
}

/* [round, name]; of the first version [round, index]. */
static json_t *ballot_to_json(const struct cluster_ballot *b)
{
    return json_pack("[I,s]", (json_int_t)b->round, b->node);
}

static int ballot_member(const json_t *j, const char *key, struct cluster_ballot *ret,
                         struct err *err)
{
    const json_t *a = json_object_get(j, key), *node = json_array_get(a, 1);
    json_int_t round = json_integer_value(json_array_get(a, 0));

    *ret = (struct cluster_ballot){.round = (uint64_t)round};
    if (json_array_size(a) != 2 || round < 0 || (uint64_t)round > ROUND_MAX)
        return err_set(err, ERR_USAGE, "member '%s' must be a ballot", key);
    if (json_is_integer(node))
        snprintf(ret->node, sizeof(ret->node), "#%d", (int)json_integer_value(node));
    else if (!json_is_string(node) ||
             !str_copy(ret->node, sizeof(ret->node), json_string_value(node)))
        return err_set(err, ERR_USAGE, "member '%s' must be a ballot", key);
    return 0;
}

static json_t *value_to_json(const struct cluster_value *v)
{
    json_t *j =
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:s}", "epoch", (json_int_t)v->epoch, "node",
                  v->node, "incarnation", v->incarnation, "cluster_id", v->cluster_id, "uuid",
                  v->uuid, "base", (json_int_t)v->base, "lost", v->lost);

    if (v->because[0])
        json_object_set_new(j, "because", js_string(v->because));
    return j;
}

/* `epoch`: of a value of the first version, which has an index for its node. */
static int value_from_json(const json_t *j, uint64_t epoch, struct cluster_value *ret,
                           struct err *err)
{
    json_t *node = json_object_get(j, "node");

    *ret = (struct cluster_value){.epoch = epoch};
    if (uuid_member(j, "cluster_id", ret->cluster_id, err) < 0 ||
        uuid_member(j, "uuid", ret->uuid, err) < 0 || signed_member(j, "base", &ret->base, err) < 0)
        return err_wrap(err, "decision");
    if (json_is_integer(node)) {
        snprintf(ret->node, sizeof(ret->node), "#%d", (int)json_integer_value(node));
        return 0;
    }
    if (name_member(j, "node", ret->node, err) < 0 ||
        uuid_member(j, "incarnation", ret->incarnation, err) < 0 ||
        bounded(j, "epoch", EPOCH_MAX, &ret->epoch, err) < 0)
        return err_wrap(err, "decision");
    str_copy(ret->because, sizeof(ret->because), js_opt_str(j, "because", ""));
    if (!str_copy(ret->lost, sizeof(ret->lost), js_opt_str(j, "lost", "")))
        return err_set(err, ERR_USAGE, "decision: too many lost members");
    return 0;
}

json_t *cluster_position_to_json(const struct cluster_position *p)
{
    return json_pack("{s:i, s:s, s:I, s:b, s:b, s:I, s:b, s:b, s:b, s:b, s:i, s:s}", "kind",
                     (int)p->kind, "uuid", p->uuid, "seqno", (json_int_t)p->seqno, "clean",
                     p->clean, "safe", p->safe, "last_epoch", (json_int_t)p->last_epoch, "opened",
                     p->opened, "aria", p->aria, "diverged", p->diverged, "replaced", p->replaced,
                     "failures", (int)p->failures, "incarnation", p->incarnation);
}

int cluster_position_from_json(const json_t *j, struct cluster_position *ret, struct err *err)
{
    uint64_t kind, failures = js_opt_u64(j, "failures", 0);

    *ret = (struct cluster_position){0};
    if (bounded(j, "kind", DATADIR_KINDS - 1, &kind, err) < 0 ||
        uuid_member(j, "uuid", ret->uuid, err) < 0 ||
        signed_member(j, "seqno", &ret->seqno, err) < 0 ||
        bounded(j, "last_epoch", EPOCH_MAX, &ret->last_epoch, err) < 0)
        return err_wrap(err, "position");
    ret->kind = (enum cluster_datadir)kind;
    ret->clean = js_opt_bool(j, "clean", false);
    ret->safe = js_opt_bool(j, "safe", false);
    ret->opened = js_opt_bool(j, "opened", false);
    ret->aria = js_opt_bool(j, "aria", false);
    ret->diverged = js_opt_bool(j, "diverged", false);
    ret->replaced = js_opt_bool(j, "replaced", false);
    ret->failures = failures < FAILURES_MAX ? (unsigned)failures : FAILURES_MAX;
    return json_object_get(j, "incarnation") ? uuid_member(j, "incarnation", ret->incarnation, err)
                                             : 0;
}

static json_t *chain_to_json(const struct cluster_value *chain, unsigned n)
{
    json_t *a = json_array();

    for (unsigned i = 0; i < n; i++)
        json_array_append_new(a, value_to_json(&chain[i]));
    return a;
}

/* Rising epochs up to `last`; those of the first version follow each other and end with it. */
static int chain_from_json(const json_t *a, uint64_t last, uint64_t *from,
                           struct cluster_value ret[CLUSTER_CHAIN], unsigned *ret_n,
                           struct err *err)
{
    size_t n = json_array_size(a);

    if (n > CLUSTER_CHAIN || n > last)
        return err_set(err, ERR_USAGE, "chain is too long");
    for (size_t i = 0; i < n; i++) {
        if (value_from_json(json_array_get(a, i), last - n + 1 + i, &ret[i], err) < 0)
            return -1;
        if (ret[i].epoch > last || ret[i].epoch == 0 || (i && ret[i].epoch <= ret[i - 1].epoch))
            return err_set(err, ERR_USAGE, "chain is not in order");
    }
    if (n && ret[n - 1].epoch != last)
        return err_set(err, ERR_USAGE, "chain does not end with its epoch");
    if (n && (*from == 0 || *from > ret[0].epoch))
        *from = ret[0].epoch;
    *ret_n = (unsigned)n;
    return 0;
}

json_t *cluster_msg_to_json(const struct cluster_msg *m)
{
    return json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:i, s:b, s:i, s:b, s:I, s:I, s:b, s:b, "
        "s:I, s:I, s:o, s:o, s:s, s:I, s:I, s:o}",
        "t", msg_names[m->type], "manifest", m->manifest, "epoch", (json_int_t)m->epoch, "ballot",
        ballot_to_json(&m->ballot), "position", cluster_position_to_json(&m->position),
        "accepted_at", ballot_to_json(&m->accepted_at), "value", value_to_json(&m->value), "state",
        (int)m->state, "ready", m->ready, "size", (int)m->size, "arbitrated", m->arbitrated,
        "bytes", (json_int_t)m->bytes, "cached", (json_int_t)m->cached, "data", m->data, "held",
        m->held, "permit_used", (json_int_t)m->permit_used, "booted", (json_int_t)m->booted,
        "holders", names_to_json(&m->holders), "votes", votes_to_json(&m->votes), "hw_uuid",
        m->hw_uuid, "hw", (json_int_t)m->hw, "chain_from", (json_int_t)m->chain_from, "chain",
        chain_to_json(m->chain, m->n_chain));
}

/* What heartbeats of the first version do not have follows from what they say. */
static int heartbeat_from_json(const json_t *j, struct cluster_msg *m, struct err *err)
{
    m->ready = js_opt_bool(j, "ready", false);
    m->data = js_opt_bool(j, "data", false);
    m->held = js_opt_bool(j, "held", false);
    m->bytes = js_opt_u64(j, "bytes", 0);
    m->cached = js_opt_u64(j, "cached", 0);
    m->arbitrated = js_opt_bool(j, "arbitrated", true); /* of an agent that knows of none */
    m->votes_known = json_is_object(json_object_get(j, "votes"));
    if (votes_member(j, &m->votes, err) < 0)
        return -1;
    if (!json_object_get(j, "booted")) {
        m->permit_used = m->ready ? m->epoch : 0; /* a stopped one uses its permit at once */
        m->booted = m->position.last_epoch;
        m->hw = -1;
        return 0;
    }
    if (bounded(j, "permit_used", EPOCH_MAX, &m->permit_used, err) < 0 ||
        bounded(j, "booted", EPOCH_MAX, &m->booted, err) < 0 ||
        bounded(j, "chain_from", EPOCH_MAX, &m->chain_from, err) < 0 ||
        cluster_names_from_json(json_object_get(j, "holders"), &m->holders, err) < 0 ||
        uuid_member(j, "hw_uuid", m->hw_uuid, err) < 0)
        return -1;
    return signed_member(j, "hw", &m->hw, err);
}

int cluster_msg_from_json(const json_t *j, struct cluster_msg *ret, struct err *err)
{
    const char *t, *manifest;
    struct cluster_msg m = {0};
    json_t *position, *value, *chain;
    uint64_t state, size;

    if (js_str(j, "t", &t, err) < 0 || js_str(j, "manifest", &manifest, err) < 0 ||
        bounded(j, "epoch", EPOCH_MAX, &m.epoch, err) < 0 ||
        ballot_member(j, "ballot", &m.ballot, err) < 0 ||
        js_obj(j, "position", &position, err) < 0 ||
        cluster_position_from_json(position, &m.position, err) < 0 ||
        ballot_member(j, "accepted_at", &m.accepted_at, err) < 0 ||
        js_obj(j, "value", &value, err) < 0 || value_from_json(value, m.epoch, &m.value, err) < 0 ||
        bounded(j, "state", CLUSTER_STATES - 1, &state, err) < 0 ||
        bounded(j, "size", 1024, &size, err) < 0 || js_arr(j, "chain", &chain, err) < 0 ||
        heartbeat_from_json(j, &m, err) < 0 ||
        chain_from_json(chain, m.epoch, &m.chain_from, m.chain, &m.n_chain, err) < 0)
        return err_wrap(err, "peer message");
    for (m.type = 0; m.type < MSG_TYPES && strcmp(msg_names[m.type], t) != 0;)
        m.type++;
    if (m.type == MSG_TYPES || !str_copy(m.manifest, sizeof(m.manifest), manifest))
        return err_set(err, ERR_USAGE, "peer message: type or manifest not understood");
    m.state = (enum cluster_state)state;
    m.size = (unsigned)size;
    *ret = m;
    return 0;
}

json_t *cluster_record_to_json(const struct cluster_record *r)
{
    json_t *j = json_pack(
        "{s:i, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "version", RECORD_VERSION,
        "cluster_id", r->cluster_id, "epoch", (json_int_t)r->epoch, "chain_from",
        (json_int_t)r->chain_from, "chain", chain_to_json(r->chain, r->n_chain), "promised",
        ballot_to_json(&r->promised), "accepted_at", ballot_to_json(&r->accepted_at), "accepted",
        value_to_json(&r->accepted), "permit_used", (json_int_t)r->permit_used, "booted",
        (json_int_t)r->booted, "last_epoch", (json_int_t)r->last_epoch, "joining",
        (json_int_t)r->joining);
    json_t *rest = json_pack(
        "{s:s, s:b, s:b, s:b, s:b, s:i, s:o, s:o, s:s, s:s, s:I}", "incarnation", r->incarnation,
        "data", r->data, "amnesiac", r->amnesiac, "diverged", r->diverged, "new_disk", r->new_disk,
        "failures", (int)r->failures, "holders", names_to_json(&r->holders), "votes",
        votes_to_json(&r->votes), "lost", r->lost, "hw_uuid", r->hw_uuid, "hw", (json_int_t)r->hw);

    json_object_update(j, rest);
    json_decref(rest);
    if (r->replaced)
        json_object_set_new(j, "replaced", json_true());
    if (r->joining && r->join_from >= 0)
        json_object_set_new(j, "join_from", json_integer((json_int_t)r->join_from));
    if (r->because[0])
        json_object_set_new(j, "because", js_string(r->because));
    if (r->held[0])
        json_object_set_new(j, "held", js_string(r->held));
    return j;
}

/* The first version's chain is a ring of eight: epoch e at e % 8; entries without a cluster id are
 * empty. */
static int old_chain_from_json(const json_t *ring, struct cluster_record *r, struct err *err)
{
    if (json_array_size(ring) != OLD_CHAIN)
        return err_set(err, ERR_USAGE, "chain has a wrong length");
    json_t *a = json_array();
    uint64_t from = r->epoch >= OLD_CHAIN ? r->epoch - OLD_CHAIN + 1 : 1;
    for (uint64_t e = from; e <= r->epoch; e++) {
        json_t *v = json_array_get(ring, e % OLD_CHAIN);

        if (js_opt_str(v, "cluster_id", "")[0])
            json_array_append(a, v);
        else
            json_array_clear(a);
    }
    int n = chain_from_json(a, r->epoch, &r->chain_from, r->chain, &r->n_chain, err);
    json_decref(a);
    return n;
}

/* Members that the second version added. Without them: what is the safe side of each. */
static int record_rest(const json_t *j, const json_t *chain, struct cluster_record *r,
                       struct err *err)
{
    uint64_t failures = js_opt_u64(j, "failures", 0);

    r->data = js_opt_bool(j, "data", false);
    if (!json_object_get(j, "version")) {
        r->booted = r->last_epoch;
        return old_chain_from_json(chain, r, err);
    }
    r->amnesiac = js_opt_bool(j, "amnesiac", false);
    r->diverged = js_opt_bool(j, "diverged", false);
    r->new_disk = js_opt_bool(j, "new_disk", false);
    r->replaced = js_opt_bool(j, "replaced", false);
    r->failures = failures < FAILURES_MAX ? (unsigned)failures : FAILURES_MAX;
    r->holders_known = true;
    if (json_object_get(j, "join_from") && signed_member(j, "join_from", &r->join_from, err) < 0)
        return -1;
    str_copy(r->because, sizeof(r->because), js_opt_str(j, "because", ""));
    str_copy(r->held, sizeof(r->held), js_opt_str(j, "held", ""));
    if (!str_copy(r->lost, sizeof(r->lost), js_opt_str(j, "lost", "")) ||
        js_opt_u64(j, "version", 0) > RECORD_VERSION)
        return err_set(err, ERR_USAGE, "it was written by a newer agent");
    if (uuid_member(j, "incarnation", r->incarnation, err) < 0 ||
        bounded(j, "booted", EPOCH_MAX, &r->booted, err) < 0 ||
        bounded(j, "chain_from", EPOCH_MAX, &r->chain_from, err) < 0 ||
        cluster_names_from_json(json_object_get(j, "holders"), &r->holders, err) < 0 ||
        votes_member(j, &r->votes, err) < 0)
        return -1;
    return chain_from_json(chain, r->epoch, &r->chain_from, r->chain, &r->n_chain, err);
}

int cluster_record_from_json(const json_t *j, struct cluster_record *ret, struct err *err)
{
    struct cluster_record r = {.join_from = -1};
    json_t *chain, *accepted;

    if (uuid_member(j, "cluster_id", r.cluster_id, err) < 0 ||
        bounded(j, "epoch", EPOCH_MAX, &r.epoch, err) < 0 || js_arr(j, "chain", &chain, err) < 0 ||
        ballot_member(j, "promised", &r.promised, err) < 0 ||
        ballot_member(j, "accepted_at", &r.accepted_at, err) < 0 ||
        js_obj(j, "accepted", &accepted, err) < 0 ||
        value_from_json(accepted, r.epoch + 1, &r.accepted, err) < 0 ||
        bounded(j, "permit_used", EPOCH_MAX, &r.permit_used, err) < 0 ||
        bounded(j, "last_epoch", EPOCH_MAX, &r.last_epoch, err) < 0 ||
        bounded(j, "joining", EPOCH_MAX, &r.joining, err) < 0 ||
        uuid_member(j, "hw_uuid", r.hw_uuid, err) < 0 || signed_member(j, "hw", &r.hw, err) < 0 ||
        record_rest(j, chain, &r, err) < 0)
        return err_wrap(err, "cluster record");
    *ret = r;
    return 0;
}
