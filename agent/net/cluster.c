/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator's driver: links to the other members, and the pure step function between them.
 * Actions run in order; after SAVE everything waits until the record is on disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cluster/codec.h"
#include "agent/net/internal.h"
#include "agent/net/members.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/log.h"
#include "common/ports.h"
#include "common/proto.h"
#include "common/str.h"

#define QUEUE_MAX 16
#define LINGER_MS 500 /* for the last heartbeat of an agent that ends */
#define REOPEN_MS 1000

struct peer {
    struct zsock *link; /* our connection to it; NULL: this node itself */
    struct zmsg back;   /* its connection to us, when it has one: where to answer */
};

struct net_cluster {
    char *roster;   /* verified text, or NULL */
    json_t *galera; /* the plan's step, or NULL */
    json_t *record; /* as the supervisor told it; json null: none */
    bool open;
    bool stale; /* links and state must be recreated */
    struct zsock *server;
    struct peer peers[CLUSTER_MAX];
    uint8_t keys[CLUSTER_MAX][KEY_SIZE];
    struct cluster c;
    struct cluster_out out; /* actions that are not done yet */
    size_t done;
    bool saving;
    struct cluster_event queue[QUEUE_MAX]; /* from the supervisor, while saving */
    size_t queued;
    json_t *ask;        /* an operator's, while saving; NULL: none */
    uint64_t ticked;    /* when it last was */
    uint64_t reopen_at; /* while stale: not before; 0: at once */
    char *said;         /* last "coordinator" text */
};

static struct net_cluster *get(struct net *n)
{
    if (!n->cluster)
        n->cluster = xcalloc(1, sizeof(*n->cluster));
    return n->cluster;
}

/* The other members and the arbitrator. */
static unsigned peers_of(const struct net_cluster *k)
{
    return k->c.cfg.n + k->c.cfg.arbitrator;
}

bool net_cluster_allow(struct net *n, const uint8_t key[KEY_SIZE], char ret_user[ZSOCK_USER_MAX])
{
    struct net_cluster *k = n->cluster;

    for (unsigned i = 0; k && k->open && i < peers_of(k); i++)
        if (i != k->c.cfg.self && memcmp(k->keys[i], key, KEY_SIZE) == 0)
            return str_copy(ret_user, ZSOCK_USER_MAX, k->c.cfg.names[i]);
    return false;
}

/* --- sockets ------------------------------------------------------------------------------- */

static void close_links(struct net_cluster *k)
{
    for (unsigned i = 0; i < CLUSTER_MAX; i++) {
        zsock_free(k->peers[i].link);
        k->peers[i].link = NULL;
        k->peers[i].back.rid_len = 0;
    }
    zsock_free(k->server);
    k->server = NULL;
    k->open = false;
    k->saving = false;
    k->out.n = k->done = k->queued = 0;
    json_decref(k->ask);
    k->ask = NULL;
}

static int open_links(struct net *n, struct net_cluster *k, json_t *const m[], struct err *err)
{
    const char *own = js_opt_str(m[k->c.cfg.self], "address", "");
    _cleanup_free_ char *listen =
        str_fmt("tcp://%s:%u", own, (unsigned)js_opt_u64(m[k->c.cfg.self], "port", PORT_PEER));

    k->server = zsock_server(n->z, PROTO_DOMAIN_PEER, &n->own, PROTO_PEER_MAX, listen, err);
    if (!k->server)
        return -1;
    for (unsigned i = 0; i < peers_of(k); i++) {
        if (i == k->c.cfg.self)
            continue;
        _cleanup_free_ char *to = str_fmt("tcp://%s:%u", js_opt_str(m[i], "address", ""),
                                          (unsigned)js_opt_u64(m[i], "port", PORT_PEER));
        k->peers[i].link = zsock_client(n->z, &n->own, k->keys[i], PROTO_PEER_MAX, to, err);
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

    k->stale = false;
    if (!k->roster || !k->galera || !k->record)
        return;
    close_links(k);
    bool found = json_is_object(k->record);
    if (js_parse(k->roster, strlen(k->roster), &roster, &err) < 0 ||
        net_members_config(n->boot, k->galera, m, net_members(roster, k->galera, m), k->keys, &cfg,
                           &err) < 0 ||
        (found && cluster_record_from_json(k->record, &rec, &err) < 0)) {
        log_warn("coordinator: %s", err.msg);
        return;
    }
    cluster_init(&k->c, &cfg, found ? &rec : NULL, now);
    if (open_links(n, k, m, &err) < 0) {
        log_warn("coordinator: %s", err.msg);
        close_links(k);
        k->stale = true; /* the address may come with the route step: tried again */
        k->reopen_at = now + REOPEN_MS;
        return;
    }
    k->open = true;
}

/* --- the step and its actions -------------------------------------------------------------- */

/* Over our connection, or while that one is down over the peer's; loss is expected. */
static void send_msg(struct net_cluster *k, const struct cluster_action *a)
{
    if (a->to >= peers_of(k) || !k->peers[a->to].link)
        return;
    const struct peer *p = &k->peers[a->to];
    json_t *j = cluster_msg_to_json(&a->msg);
    _cleanup_free_ char *text = js_text(j);
    json_decref(j);
    if (zsock_send(p->link, NULL, text, strlen(text)) < 0 && p->back.rid_len)
        zsock_send(k->server, &p->back, text, strlen(text));
}

static void send_do(struct net *n, struct net_cluster *k, enum ipc_action what,
                    const struct cluster_action *a)
{
    const struct cluster_value *v = cluster_entry(&k->c.rec, a->epoch);
    json_t *j =
        json_pack("{s:s, s:I, s:b, s:b, s:I, s:o}", "what", ipc_action_name(what), "epoch",
                  (json_int_t)a->epoch, "small", a->small, "whole", a->whole, "bytes",
                  (json_int_t)a->bytes, "position", cluster_position_to_json(&k->c.position));

    if (v) {
        json_object_set_new(j, "cluster_id", json_string(v->cluster_id));
        json_object_set_new(j, "uuid", json_string(v->uuid));
        json_object_set_new(j, "base", json_integer((json_int_t)v->base));
        json_object_set_new(j, "lost", json_string(v->lost));
    }
    if (what == IPC_EVICT)
        json_object_set_new(j, "uuid", json_string(a->uuid));
    net_send(n, IPC_DO, j);
}

static void perform(struct net *n, struct net_cluster *k)
{
    while (!k->saving && k->done < k->out.n) {
        const struct cluster_action *a = &k->out.a[k->done++];

        switch (a->type) {
        case ACT_SAVE:
            json_decref(k->record);
            k->record = cluster_record_to_json(&k->c.rec);
            net_send(n, IPC_SAVE, json_pack("{s:O}", "record", k->record));
            k->saving = true;
            break;
        case ACT_SEND:
            send_msg(k, a);
            break;
        case ACT_POSITION:
            send_do(n, k, IPC_POSITION, a);
            break;
        case ACT_BOOT:
            send_do(n, k, IPC_BOOT, a);
            break;
        case ACT_JOIN:
            send_do(n, k, IPC_JOIN, a);
            break;
        case ACT_STOP:
            send_do(n, k, IPC_STOP, a);
            break;
        case ACT_ABANDON:
            send_do(n, k, IPC_ABANDON, a);
            break;
        case ACT_ROW:
            send_do(n, k, IPC_ROW, a);
            break;
        case ACT_REJECT:
            send_do(n, k, IPC_REJECT, a);
            break;
        case ACT_WEIGHT:
            send_do(n, k, IPC_WEIGHT, a);
            break;
        case ACT_EVICT:
            send_do(n, k, IPC_EVICT, a);
            break;
        }
    }
}

/* What the coordinator is at, when it changed. */
static void send_status(struct net *n, struct net_cluster *k, uint64_t now)
{
    json_t *waiting = json_array();

    for (unsigned i = 0; i < peers_of(k); i++)
        if (k->c.waiting & 1U << i)
            json_array_append_new(waiting, json_string(k->c.cfg.names[i]));
    json_t *j = json_pack("{s:s, s:o, s:o, s:I, s:b}", "state", cluster_state_name(k->c.state),
                          "why", js_string(k->c.why), "waiting_for", waiting, "epoch",
                          (json_int_t)k->c.rec.epoch, "stable", cluster_stable(&k->c, now));
    if (k->c.state == CLUSTER_JOINING && k->c.join_bytes)
        json_object_set_new(j, "join_bytes", json_integer((json_int_t)k->c.join_bytes));
    char *text = js_text(j);
    if (str_eq(text, k->said)) {
        free(text);
        json_decref(j);
        return;
    }
    free(k->said);
    k->said = text;
    net_send(n, IPC_COORDINATOR, j);
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
    send_status(n, k, ev->now);
}

static void on_ask(struct net *n, struct net_cluster *k, const json_t *msg);

static void on_saved(struct net *n, struct net_cluster *k)
{
    k->saving = false;
    perform(n, k);
    while (!k->saving && k->queued) {
        struct cluster_event ev = k->queue[0];

        memmove(k->queue, k->queue + 1, --k->queued * sizeof(k->queue[0]));
        step(n, k, &ev);
    }
    if (!k->saving && k->ask) {
        _cleanup_json_ json_t *msg = k->ask;

        k->ask = NULL;
        on_ask(n, k, msg);
    }
}

static void take(struct net *n, struct net_cluster *k, struct zmsg *msg, unsigned from,
                 uint64_t now)
{
    struct err err;
    json_t *j = NULL;
    struct cluster_msg m;

    if (js_parse(msg->body, msg->len, &j, &err) == 0 && cluster_msg_from_json(j, &m, &err) == 0) {
        m.from = from;
        step(n, k, &(struct cluster_event){.type = EV_MSG, .now = now, .msg = &m});
    }
    json_decref(j);
    zmsg_free(msg);
}

/* Whether anything came. */
static bool receive(struct net *n, struct net_cluster *k, uint64_t now)
{
    struct zmsg msg = {0};
    bool any = false;

    while (!k->saving && zsock_recv(k->server, &msg) == 1) {
        unsigned from = 0;

        any = true;
        while (from < peers_of(k) && strcmp(k->c.cfg.names[from], msg.user) != 0)
            from++;
        if (from == peers_of(k)) {
            zmsg_free(&msg);
            continue;
        }
        memcpy(k->peers[from].back.rid, msg.rid, msg.rid_len);
        k->peers[from].back.rid_len = msg.rid_len;
        take(n, k, &msg, from, now);
    }
    /* The other end of a link is the holder of the key that it was made with. */
    for (unsigned i = 0; i < peers_of(k); i++)
        while (!k->saving && k->peers[i].link && zsock_recv(k->peers[i].link, &msg) == 1) {
            any = true;
            take(n, k, &msg, i, now);
        }
    return any;
}

/* --- from outside this file ---------------------------------------------------------------- */

static void look_again(struct net_cluster *k)
{
    k->stale = true;
    k->reopen_at = 0;
}

void net_cluster_roster(struct net *n, const char *text)
{
    struct net_cluster *k = get(n);

    if (str_eq(k->roster, text))
        return;
    free(k->roster);
    k->roster = xstrdup(text);
    look_again(k);
}

static void answer(struct net *n, uint64_t id, bool ok, const char *why, json_t *view)
{
    net_send(n, IPC_ANSWER,
             json_pack("{s:I, s:b, s:o, s:o}", "id", (json_int_t)id, "ok", ok, "why",
                       js_string(why), "view", view ? view : json_null()));
}

/* What an operator typed on this node; the answer goes back to the verb. */
static void on_ask(struct net *n, struct net_cluster *k, const json_t *msg)
{
    static const struct {
        const char *what;
        enum cluster_event_type type;
        bool ok;
    } asks[] = {{"recover", EV_RECOVER, false},
                {"hold", EV_HOLD, true},
                {"resume", EV_HOLD, false},
                {"release", EV_RELEASE, false}};
    const char *what = js_opt_str(msg, "what", "");
    uint64_t id = js_opt_u64(msg, "id", 0);
    struct cluster_event ev = {.now = clock_mono_ms()};
    bool look = str_eq(what, "look");
    size_t i = 0;

    while (!look && i < ARRAY_LEN(asks) && !str_eq(asks[i].what, what))
        i++;
    if (!k->open || i == ARRAY_LEN(asks)) {
        answer(n, id, false,
               k->open ? "this agent does not know that question"
                       : "the coordinator does not run yet; see 'muster-agent status'",
               NULL);
        return;
    }
    if (look) {
        answer(n, id, true, "", net_cluster_view(&k->c, ev.now));
        return;
    }
    if (k->saving) { /* one at a time is asked */
        json_decref(k->ask);
        k->ask = json_deep_copy(msg);
        return;
    }
    ev.type = asks[i].type;
    ev.ok = asks[i].ok || js_opt_bool(msg, "keep", false);
    str_copy(ev.name, sizeof(ev.name), js_opt_str(msg, "node", ""));
    str_copy(ev.why, CLUSTER_BECAUSE, js_opt_str(msg, "because", ""));
    step(n, k, &ev);
    answer(n, id, k->c.accepted, k->c.answer, net_cluster_view(&k->c, ev.now));
}

static void on_result(struct net *n, struct net_cluster *k, const json_t *msg)
{
    struct cluster_event ev = {.now = clock_mono_ms()};
    enum ipc_action what;
    struct err err;

    if (ipc_action_find(js_opt_str(msg, "what", ""), &what) < 0)
        return;
    ev.ok = json_is_true(json_object_get(msg, "ok"));
    str_copy(ev.why, sizeof(ev.why), js_opt_str(msg, "why", ""));
    if (what != IPC_POSITION && what != IPC_BOOT && what != IPC_JOIN && what != IPC_STOP)
        return; /* nobody waits for it */
    ev.type = what == IPC_POSITION ? EV_POSITION : EV_DONE;
    if (cluster_position_from_json(json_object_get(msg, "position"), &ev.position, &err) < 0)
        ev.position = (struct cluster_position){.kind = DATADIR_UNKNOWN, .seqno = -1};
    step(n, k, &ev);
}

void net_cluster_message(struct net *n, enum ipc_msg m, const json_t *msg)
{
    struct net_cluster *k = get(n);

    if (m == IPC_CLUSTER) {
        json_decref(k->galera);
        json_decref(k->record);
        k->galera = json_incref(json_object_get(msg, "galera"));
        k->record = json_incref(json_object_get(msg, "record"));
        look_again(k);
    } else if (m == IPC_SAVED && k->open) {
        on_saved(n, k);
    } else if (m == IPC_DB && k->open) {
        struct cluster_event ev;

        net_look_event(&k->c, json_object_get(msg, "db"), &ev);
        ev.now = clock_mono_ms();
        ev.leaving = js_opt_bool(msg, "leaving", false);
        step(n, k, &ev);
    } else if (m == IPC_RESULT && k->open) {
        on_result(n, k, msg);
    } else if (m == IPC_ASK) {
        on_ask(n, k, msg);
    }
}

void net_cluster_serve(struct net *n, uint64_t now)
{
    struct net_cluster *k = n->cluster;

    if (!k)
        return;
    if (k->stale && now >= k->reopen_at)
        reopen(n, k, now);
    if (!k->open || k->saving)
        return;
    if (now >= cluster_tick_at(&k->c, k->ticked)) {
        k->ticked = now;
        step(n, k, &(struct cluster_event){.type = EV_TICK, .now = now});
    }
    /* The descriptors are edge-triggered, and what is sent may use up an edge. */
    while (receive(n, k, now))
        ;
}

bool net_cluster_left(const struct net *n)
{
    return n->cluster && n->cluster->open && n->cluster->c.leaving;
}

uint64_t net_cluster_due(const struct net *n)
{
    const struct net_cluster *k = n->cluster;
    uint64_t due = k && k->stale ? k->reopen_at : UINT64_MAX;

    if (k && k->open && !k->saving && cluster_tick_at(&k->c, k->ticked) < due)
        due = cluster_tick_at(&k->c, k->ticked);
    return due;
}

int net_cluster_fds(struct net *n, int *fds, int max)
{
    struct net_cluster *k = n->cluster;
    int i = 0;

    if (!k || !k->open || max < 2)
        return 0;
    fds[i++] = zsock_fd(k->server);
    fds[i++] = zsock_monitor_fd(k->server);
    for (unsigned p = 0; p < peers_of(k) && i < max; p++)
        if (k->peers[p].link)
            fds[i++] = zsock_fd(k->peers[p].link);
    return i;
}

void net_cluster_close(struct net *n)
{
    struct net_cluster *k = n->cluster;

    if (!k)
        return;
    for (unsigned i = 0; k->open && k->c.leaving && i < CLUSTER_MAX; i++)
        if (k->peers[i].link)
            zsock_linger(k->peers[i].link, LINGER_MS);
    if (k->open && k->c.leaving)
        zsock_linger(k->server, LINGER_MS);
    close_links(k);
    free(k->roster);
    free(k->said);
    json_decref(k->galera);
    json_decref(k->record);
    free(k);
    n->cluster = NULL;
}
