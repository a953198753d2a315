/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cluster_codec.h"

#include <string.h>

#include "common/js.h"
#include "common/str.h"

#define ROUND_MAX ((uint64_t)1 << 40)
#define EPOCH_MAX ((uint64_t)1 << 40)

static const char *const msg_names[MSG_TYPES] = {
    [MSG_HB] = "hb",     [MSG_PREP] = "prep", [MSG_PROM] = "prom",
    [MSG_NACK] = "nack", [MSG_ACC] = "acc",   [MSG_ACCED] = "acced",
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
static int uuid_member(const json_t *j, const char *key, char ret[37], struct err *err)
{
    const char *s;
    if (js_str(j, key, &s, err) < 0)
        return -1;
    size_t len = strlen(s);
    if ((len != 0 && len != 36) || strspn(s, "0123456789abcdef-") != len)
        return err_set(err, ERR_USAGE, "member '%s' must be a UUID", key);
    memcpy(ret, s, len + 1);
    return 0;
}

static json_t *ballot_to_json(const struct cluster_ballot *b)
{
    return json_pack("[I,i]", (json_int_t)b->round, (int)b->node);
}

static int ballot_member(const json_t *j, const char *key, struct cluster_ballot *ret,
                         struct err *err)
{
    const json_t *a = json_object_get(j, key);
    json_int_t round = json_integer_value(json_array_get(a, 0));
    json_int_t node = json_integer_value(json_array_get(a, 1));
    if (json_array_size(a) != 2 || round < 0 || (uint64_t)round > ROUND_MAX || node < 0 ||
        node >= CLUSTER_MAX)
        return err_set(err, ERR_USAGE, "member '%s' must be a ballot", key);
    *ret = (struct cluster_ballot){(uint64_t)round, (unsigned)node};
    return 0;
}

static json_t *value_to_json(const struct cluster_value *v)
{
    return json_pack("{s:i, s:s, s:s, s:I}", "node", (int)v->node, "cluster_id", v->cluster_id,
                     "uuid", v->uuid, "base", (json_int_t)v->base);
}

static int value_from_json(const json_t *j, struct cluster_value *ret, struct err *err)
{
    uint64_t node;
    *ret = (struct cluster_value){0};
    if (bounded(j, "node", CLUSTER_MAX - 1, &node, err) < 0 ||
        uuid_member(j, "cluster_id", ret->cluster_id, err) < 0 ||
        uuid_member(j, "uuid", ret->uuid, err) < 0 || signed_member(j, "base", &ret->base, err) < 0)
        return err_wrap(err, "decision");
    ret->node = (unsigned)node;
    return 0;
}

json_t *cluster_position_to_json(const struct cluster_position *p)
{
    return json_pack("{s:i, s:s, s:I, s:b, s:b, s:I}", "kind", (int)p->kind, "uuid", p->uuid,
                     "seqno", (json_int_t)p->seqno, "clean", p->clean, "safe", p->safe,
                     "last_epoch", (json_int_t)p->last_epoch);
}

int cluster_position_from_json(const json_t *j, struct cluster_position *ret, struct err *err)
{
    uint64_t kind;
    *ret = (struct cluster_position){0};
    if (bounded(j, "kind", DATADIR_KINDS - 1, &kind, err) < 0 ||
        uuid_member(j, "uuid", ret->uuid, err) < 0 ||
        signed_member(j, "seqno", &ret->seqno, err) < 0 ||
        bounded(j, "last_epoch", EPOCH_MAX, &ret->last_epoch, err) < 0)
        return err_wrap(err, "position");
    ret->kind = (enum cluster_datadir)kind;
    ret->clean = js_opt_bool(j, "clean", false);
    ret->safe = js_opt_bool(j, "safe", false);
    return 0;
}

static json_t *chain_to_json(const struct cluster_value *chain, unsigned n)
{
    json_t *a = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(a, value_to_json(&chain[i]));
    return a;
}

json_t *cluster_msg_to_json(const struct cluster_msg *m)
{
    return json_pack("{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:i, s:b, s:i, s:o}", "t",
                     msg_names[m->type], "manifest", m->manifest, "epoch", (json_int_t)m->epoch,
                     "ballot", ballot_to_json(&m->ballot), "position",
                     cluster_position_to_json(&m->position), "accepted_at",
                     ballot_to_json(&m->accepted_at), "value", value_to_json(&m->value), "state",
                     (int)m->state, "ready", m->ready, "size", (int)m->size, "chain",
                     chain_to_json(m->chain, m->n_chain));
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
        js_obj(j, "value", &value, err) < 0 || value_from_json(value, &m.value, err) < 0 ||
        bounded(j, "state", CLUSTER_STATES - 1, &state, err) < 0 ||
        bounded(j, "size", 1024, &size, err) < 0 || js_arr(j, "chain", &chain, err) < 0)
        return err_wrap(err, "peer message");
    for (m.type = 0; m.type < MSG_TYPES && strcmp(msg_names[m.type], t) != 0;)
        m.type++;
    if (m.type == MSG_TYPES || !str_copy(m.manifest, sizeof(m.manifest), manifest))
        return err_set(err, ERR_USAGE, "peer message: type or manifest not understood");
    m.state = (enum cluster_state)state;
    m.ready = js_opt_bool(j, "ready", false);
    m.size = (unsigned)size;
    m.n_chain = (unsigned)json_array_size(chain);
    if (m.n_chain > CLUSTER_CHAIN || m.n_chain > m.epoch)
        return err_set(err, ERR_USAGE, "peer message: chain is too long");
    for (unsigned i = 0; i < m.n_chain; i++)
        if (value_from_json(json_array_get(chain, i), &m.chain[i], err) < 0)
            return -1;
    *ret = m;
    return 0;
}

json_t *cluster_record_to_json(const struct cluster_record *r)
{
    return json_pack(
        "{s:s, s:I, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:b, s:s, s:I}", "cluster_id", r->cluster_id,
        "epoch", (json_int_t)r->epoch, "chain", chain_to_json(r->chain, CLUSTER_CHAIN), "promised",
        ballot_to_json(&r->promised), "accepted_at", ballot_to_json(&r->accepted_at), "accepted",
        value_to_json(&r->accepted), "permit_used", (json_int_t)r->permit_used, "last_epoch",
        (json_int_t)r->last_epoch, "joining", (json_int_t)r->joining, "data", r->data, "hw_uuid",
        r->hw_uuid, "hw", (json_int_t)r->hw);
}

int cluster_record_from_json(const json_t *j, struct cluster_record *ret, struct err *err)
{
    struct cluster_record r = {0};
    json_t *chain, *accepted;
    if (uuid_member(j, "cluster_id", r.cluster_id, err) < 0 ||
        bounded(j, "epoch", EPOCH_MAX, &r.epoch, err) < 0 || js_arr(j, "chain", &chain, err) < 0 ||
        ballot_member(j, "promised", &r.promised, err) < 0 ||
        ballot_member(j, "accepted_at", &r.accepted_at, err) < 0 ||
        js_obj(j, "accepted", &accepted, err) < 0 ||
        value_from_json(accepted, &r.accepted, err) < 0 ||
        bounded(j, "permit_used", EPOCH_MAX, &r.permit_used, err) < 0 ||
        bounded(j, "last_epoch", EPOCH_MAX, &r.last_epoch, err) < 0 ||
        bounded(j, "joining", EPOCH_MAX, &r.joining, err) < 0 ||
        uuid_member(j, "hw_uuid", r.hw_uuid, err) < 0 || signed_member(j, "hw", &r.hw, err) < 0)
        return err_wrap(err, "cluster record");
    if (json_array_size(chain) != CLUSTER_CHAIN)
        return err_set(err, ERR_USAGE, "cluster record: chain has a wrong length");
    for (unsigned i = 0; i < CLUSTER_CHAIN; i++)
        if (value_from_json(json_array_get(chain, i), &r.chain[i], err) < 0)
            return -1;
    r.data = js_opt_bool(j, "data", false);
    *ret = r;
    return 0;
}
