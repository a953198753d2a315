/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's driver: links to the other members, and the pure step function between them.
 * Actions run in order; after SAVE everything waits until the record is on disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cluster_codec.h"
#include "agent/net_internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/log.h"
#include "common/proto.h"
#include "common/str.h"

#define QUEUE_MAX 16

struct peer {
    uint8_t key[KEY_SIZE];
    struct zsock *link; /* NULL: this node itself */
};

struct net_cluster {
    char *roster;    /* verified text, or NULL */
    json_t *galera;  /* the plan's step, or NULL */
    json_t *record;  /* as the supervisor told it; json null: none */
    bool open;
    bool stale;      /* links and state must be made anew */
    struct zsock *server;
    struct peer peers[CLUSTER_MAX];
    struct cluster c;
    struct cluster_out out; /* actions that are not done yet */
    size_t done;
    bool saving;
    struct cluster_event queue[QUEUE_MAX]; /* from the supervisor, while saving */
    size_t queued;
    uint64_t tick_at;
    char *said; /* last "coordinator" text */
};

static struct net_cluster *get(struct net *n)
{
    if (!n->cluster)
        n->cluster = xcalloc(1, sizeof(*n->cluster));
    return n->cluster;
}

bool net_cluster_allow(struct net *n, const uint8_t key[KEY_SIZE], char ret_user[ZSOCK_USER_MAX])
{
    struct net_cluster *k = n->cluster;
    for (unsigned i = 0; k && k->open && i < k->c.cfg.n; i++)
        if (i != k->c.cfg.self && memcmp(k->peers[i].key, key, KEY_SIZE) == 0)
            return str_copy(ret_user, ZSOCK_USER_MAX, k->c.cfg.names[i]);
    return false;
}

/* --- opening ------------------------------------------------------------------------------- */

static void close_links(struct net_cluster *k)
{
    for (unsigned i = 0; i < CLUSTER_MAX; i++) {
        zsock_free(k->peers[i].link);
        k->peers[i].link = NULL;
    }
    zsock_free(k->server);
    k->server = NULL;
    k->open = false;
    k->saving = false;
    k->out.n = k->done = k->queued = 0;
}

static int member_compare(const void *a, const void *b)
{
    return strcmp(js_opt_str(*(json_t *const *)a, "name", ""),
                  js_opt_str(*(json_t *const *)b, "name", ""));
}

static bool is_member(const json_t *galera, const char *name)
{
    size_t i;
    json_t *m;
    json_array_foreach(json_object_get(galera, "members"), i, m)
    {
        if (strcmp(js_opt_str(m, "name", ""), name) == 0)
            return true;
    }
    return false;
}

/* The data members of the roster that the plan names, sorted. Borrowed from `roster`. */
static size_t members(const json_t *roster, const json_t *galera, json_t *ret[CLUSTER_MAX])
{
    size_t i, n = 0;
    json_t *m;
    json_array_foreach(json_object_get(roster, "members"), i, m)
    {
        if (n < CLUSTER_MAX && strcmp(js_opt_str(m, "role", "data"), "data") == 0 &&
            is_member(galera, js_opt_str(m, "name", "")))
            ret[n++] = m;
    }
    qsort(ret, n, sizeof(*ret), member_compare);
    return n;
}

static int configure(struct net *n, struct net_cluster *k, json_t *const m[], size_t count,
                     struct cluster_config *cfg, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf all = {0};
    char digest[SHA256_HEX_SIZE];
    bool self = false;
    *cfg = (struct cluster_config){.n = (unsigned)count};
    strbuf_addf(&all, "%s %s", n->boot->deployment, js_opt_str(k->galera, "cluster", ""));
    for (size_t i = 0; i < count; i++) {
        const char *name = js_opt_str(m[i], "name", "");
        if (keys_unhex(js_opt_str(m[i], "key", ""), k->peers[i].key, KEY_SIZE) < 0 ||
            !str_copy(cfg->names[i], sizeof(cfg->names[i]), name))
            return err_set(err, ERR_USAGE, "member '%.32s' of the roster has no usable key", name);
        cfg->weights[i] = (unsigned)js_opt_u64(m[i], "weight", 1);
        if (strcmp(name, n->boot->node) == 0) {
            cfg->self = (unsigned)i;
            self = true;
        }
        strbuf_addf(&all, " %s", name);
    }
    if (!self || count != json_array_size(json_object_get(k->galera, "members")))
        return err_set(err, ERR_FAILED, "the roster does not have all members yet");
    keys_sha256(all.s, all.len, digest);
    memcpy(cfg->manifest, digest, 16);
    keys_uuid(cfg->mint);
    keys_random(&cfg->seed, sizeof(cfg->seed));
    return 0;
}

static int open_links(struct net *n, struct net_cluster *k, json_t *const m[], struct err *err)
{
    const char *own = js_opt_str(m[k->c.cfg.self], "address", "");
    _cleanup_free_ char *listen =
        str_fmt("tcp://%s:%u", own, (unsigned)js_opt_u64(m[k->c.cfg.self], "port", 7410));
    k->server = zsock_server(n->z, PROTO_DOMAIN_PEER, &n->own, PROTO_PEER_MAX, listen, err);
    if (!k->server)
        return -1;
    for (unsigned i = 0; i < k->c.cfg.n; i++) {
        if (i == k->c.cfg.self)
            continue;
        _cleanup_free_ char *to = str_fmt("tcp://%s:%u", js_opt_str(m[i], "address", ""),
                                          (unsigned)js_opt_u64(m[i], "port", 7410));
        k->peers[i].link = zsock_client(n->z, &n->own, k->peers[i].key, PROTO_PEER_MAX, to, err);
        if (!k->peers[i].link)
            return -1;
    }
    return 0;
}

static void reopen(struct net *n, struct net_cluster *k, uint64_t now)
{
    struct err err = {0};
    struct cluster_record rec;
    struct cluster_config cfg;
    _cleanup_json_ json_t *roster = NULL;
    json_t *m[CLUSTER_MAX];
    if (!k->roster || !k->galera || !k->record)
        return;
    k->stale = false;
    close_links(k);
    bool found = json_is_object(k->record);
    if (js_parse(k->roster, strlen(k->roster), &roster, &err) < 0 ||
        configure(n, k, m, members(roster, k->galera, m), &cfg, &err) < 0 ||
        (found && cluster_record_from_json(k->record, &rec, &err) < 0)) {
        log_warn("coordinator: %s", err.msg);
        return;
    }
    cluster_init(&k->c, &cfg, found ? &rec : NULL, now);
    if (open_links(n, k, m, &err) < 0) {
        log_warn("coordinator: %s", err.msg);
        close_links(k);
        k->stale = true; /* the address may come with the route step: tried again */
        return;
    }
    k->open = true;
}

/* --- the step and its actions -------------------------------------------------------------- */

static void send_msg(struct net_cluster *k, const struct cluster_action *a)
{
    if (a->to >= k->c.cfg.n || !k->peers[a->to].link)
        return;
    json_t *j = cluster_msg_to_json(&a->msg);
    _cleanup_free_ char *text = js_text(j);
    json_decref(j);
    zsock_send(k->peers[a->to].link, NULL, text, strlen(text)); /* loss is expected */
}

static void tell_do(struct net *n, struct net_cluster *k, const char *what, uint64_t epoch)
{
    const struct cluster_value *v = cluster_entry(&k->c.rec, epoch);
    json_t *j = json_pack("{s:s, s:I, s:o}", "what", what, "epoch", (json_int_t)epoch, "position",
                          cluster_position_to_json(&k->c.position));
    if (v) {
        json_object_set_new(j, "cluster_id", json_string(v->cluster_id));
        json_object_set_new(j, "uuid", json_string(v->uuid));
        json_object_set_new(j, "base", json_integer((json_int_t)v->base));
    }
    net_tell(n, "do", j);
}

static void perform(struct net *n, struct net_cluster *k)
{
    while (!k->saving && k->done < k->out.n) {
        const struct cluster_action *a = &k->out.a[k->done++];
        switch (a->type) {
        case ACT_SAVE:
            json_decref(k->record);
            k->record = cluster_record_to_json(&k->c.rec);
            net_tell(n, "save", json_pack("{s:O}", "record", k->record));
            k->saving = true;
            break;
        case ACT_SEND:
            send_msg(k, a);
            break;
        case ACT_POSITION:
            tell_do(n, k, "position", 0);
            break;
        case ACT_BOOT:
            tell_do(n, k, "boot", a->epoch);
            break;
        case ACT_JOIN:
            tell_do(n, k, "join", a->epoch);
            break;
        case ACT_STOP:
            tell_do(n, k, "stop", 0);
            break;
        case ACT_ROW:
            tell_do(n, k, "row", a->epoch);
            break;
        }
    }
}

/* What the coordinator is at, when it changed. */
static void say(struct net *n, struct net_cluster *k)
{
    json_t *waiting = json_array();
    for (unsigned i = 0; i < k->c.cfg.n; i++)
        if (k->c.waiting & 1U << i)
            json_array_append_new(waiting, json_string(k->c.cfg.names[i]));
    json_t *j = json_pack("{s:s, s:s, s:o, s:I}", "state", cluster_state_name(k->c.state), "why",
                          k->c.why, "waiting_for", waiting, "epoch", (json_int_t)k->c.rec.epoch);
    char *text = js_text(j);
    if (str_eq(text, k->said)) {
        free(text);
        json_decref(j);
        return;
    }
    free(k->said);
    k->said = text;
    net_tell(n, "coordinator", j);
}

static void step(struct net *n, struct net_cluster *k, const struct cluster_event *ev)
{
    if (k->saving) { /* a queue that is full drops: looks at the database come again */
        if (k->queued < QUEUE_MAX)
            k->queue[k->queued++] = *ev;
        return;
    }
    k->done = 0;
    cluster_step(&k->c, ev, &k->out);
    perform(n, k);
    say(n, k);
}

static void on_saved(struct net *n, struct net_cluster *k)
{
    k->saving = false;
    perform(n, k);
    while (!k->saving && k->queued) {
        struct cluster_event ev = k->queue[0];
        memmove(k->queue, k->queue + 1, --k->queued * sizeof(k->queue[0]));
        step(n, k, &ev);
    }
}

static void receive(struct net *n, struct net_cluster *k, uint64_t now)
{
    struct zmsg msg = {0};
    while (!k->saving && zsock_recv(k->server, &msg) == 1) {
        struct err err;
        json_t *j = NULL;
        struct cluster_msg m;
        unsigned from = 0;
        while (from < k->c.cfg.n && strcmp(k->c.cfg.names[from], msg.user) != 0)
            from++;
        if (from < k->c.cfg.n && js_parse(msg.body, msg.len, &j, &err) == 0 &&
            cluster_msg_from_json(j, &m, &err) == 0) {
            m.from = from;
            step(n, k, &(struct cluster_event){.type = EV_MSG, .now = now, .msg = &m});
        }
        json_decref(j);
        zmsg_free(&msg);
    }
}

/* --- from outside this file ---------------------------------------------------------------- */

void net_cluster_roster(struct net *n, const char *text)
{
    struct net_cluster *k = get(n);
    if (str_eq(k->roster, text))
        return;
    free(k->roster);
    k->roster = xstrdup(text);
    k->stale = true;
}

static void on_db(struct net *n, struct net_cluster *k, const json_t *db)
{
    struct cluster_event ev = {.type = EV_DB, .now = clock_mono_ms()};
    ev.running = json_is_true(json_object_get(db, "running"));
    ev.primary = strcmp(js_opt_str(db, "status", ""), "Primary") == 0;
    ev.synced = strcmp(js_opt_str(db, "state", ""), "Synced") == 0 ||
                strcmp(js_opt_str(db, "state", ""), "Donor/Desynced") == 0;
    ev.position = (struct cluster_position){.kind = DATADIR_OK};
    ev.position.seqno = (int64_t)json_integer_value(json_object_get(db, "seqno"));
    ev.position.last_epoch = k->c.rec.last_epoch;
    str_copy(ev.position.uuid, sizeof(ev.position.uuid), js_opt_str(db, "uuid", ""));
    step(n, k, &ev);
}

static void on_result(struct net *n, struct net_cluster *k, const json_t *msg)
{
    const char *what = js_opt_str(msg, "what", "");
    struct cluster_event ev = {.now = clock_mono_ms()};
    struct err err;
    ev.ok = json_is_true(json_object_get(msg, "ok"));
    str_copy(ev.why, sizeof(ev.why), js_opt_str(msg, "why", ""));
    if (strcmp(what, "row") == 0)
        return;
    ev.type = strcmp(what, "position") == 0 ? EV_POSITION : EV_DONE;
    if (cluster_position_from_json(json_object_get(msg, "position"), &ev.position, &err) < 0)
        ev.position = (struct cluster_position){.kind = DATADIR_UNREADABLE, .seqno = -1};
    step(n, k, &ev);
}

void net_cluster_message(struct net *n, const char *m, const json_t *msg)
{
    struct net_cluster *k = get(n);
    if (strcmp(m, "cluster") == 0) {
        json_decref(k->galera);
        json_decref(k->record);
        k->galera = json_incref(json_object_get(msg, "galera"));
        k->record = json_incref(json_object_get(msg, "record"));
        k->stale = true;
    } else if (strcmp(m, "saved") == 0 && k->open) {
        on_saved(n, k);
    } else if (strcmp(m, "db") == 0 && k->open) {
        on_db(n, k, json_object_get(msg, "db"));
    } else if (strcmp(m, "result") == 0 && k->open) {
        on_result(n, k, msg);
    }
}

void net_cluster_serve(struct net *n, uint64_t now)
{
    struct net_cluster *k = n->cluster;
    if (!k)
        return;
    if (k->stale && now >= k->tick_at) {
        k->tick_at = now + 1000;
        reopen(n, k, now);
    }
    if (!k->open || k->saving)
        return;
    receive(n, k, now);
    if (now >= k->tick_at && !k->saving) {
        k->tick_at = now + 200;
        step(n, k, &(struct cluster_event){.type = EV_TICK, .now = now});
    }
}

int net_cluster_fds(struct net *n, int *fds, int max)
{
    struct net_cluster *k = n->cluster;
    int i = 0;
    if (!k || !k->open || max < 1)
        return 0;
    fds[i++] = zsock_fd(k->server);
    return i;
}

void net_cluster_close(struct net *n)
{
    struct net_cluster *k = n->cluster;
    if (!k)
        return;
    close_links(k);
    free(k->roster);
    free(k->said);
    json_decref(k->galera);
    json_decref(k->record);
    free(k);
    n->cluster = NULL;
}
