/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/proto.h"
#include "common/str.h"
#include "common/zap.h"
#include "controller/httpd.h"

#define BLOBS_MAX 8
#define BODY_MAX 1024

/* One node as this run sees it. */
struct peer {
    struct store_node node;
    struct zmsg at; /* where to send; rid_len 0: not connected */
    bool hello;
    bool answer_hello;           /* with what is stored of its events */
    char has_rev[EVENT_REV_MAX]; /* the plan that the agent said it has */
    bool drift_told;             /* it was sent the plan again to mend what drifted */
    char offered[EVENT_REV_MAX]; /* the plan that was sent on this connection */
    uint64_t to_ack;             /* answered once it is committed */
    uint64_t past;               /* events up to this one happened before the agent connected */
    uint64_t roster_sent;        /* epoch */
};

struct blob {
    char sha256[SHA256_HEX_SIZE];
    char *path;
};

struct hub {
    const struct spec *spec;
    struct store *store;
    struct hub_hooks hooks;
    const struct sign_pair *sign;
    struct zctx *ctx;
    struct zap *zap;
    struct zsock *enrol;
    struct zsock *main;
    struct httpd *httpd;
    struct peer *peers;
    struct blob blobs[BLOBS_MAX];
    size_t n_blobs;
    char *roster; /* current text */
    uint64_t roster_epoch;
};

/* ---- who may speak ---- */

static struct peer *peer_by_name(struct hub *h, const char *name)
{
    for (size_t i = 0; i < h->spec->n_nodes; i++)
        if (str_eq(h->spec->nodes[i].name, name))
            return &h->peers[i];
    return NULL;
}

/* User-Id on the main socket: the node's name and the start of its key, so that a connection made
 * with a key that was replaced is recognised with each message. */
static void main_user(const struct store_node *n, char ret[ZSOCK_USER_MAX])
{
    snprintf(ret, ZSOCK_USER_MAX, "%.40s:%.16s", n->name, n->curve_pub);
}

static bool allow(void *ctx, const char *domain, const char *address, const uint8_t key[KEY_SIZE],
                  char ret_user[ZSOCK_USER_MAX])
{
    struct hub *h = ctx;
    char hex[KEY_HEX_SIZE];

    (void)address; /* behind NAT it says nothing about the VM */
    keys_hex(key, KEY_SIZE, hex);
    for (size_t i = 0; i < h->spec->n_nodes; i++) {
        const struct store_node *n = &h->peers[i].node;

        if (!n->name[0] || n->conflict)
            continue;
        if (str_eq(domain, PROTO_DOMAIN_ENROL) && memcmp(n->enrol_pub, key, KEY_SIZE) == 0 &&
            (n->bound || (uint64_t)time(NULL) < n->enrol_expires)) {
            str_copy(ret_user, ZSOCK_USER_MAX, n->name);
            return true;
        }
        if (str_eq(domain, PROTO_DOMAIN_MAIN) && n->bound && str_eq(n->curve_pub, hex)) {
            main_user(n, ret_user);
            return true;
        }
    }
    return false;
}

static struct peer *main_peer(struct hub *h, const char *user)
{
    for (size_t i = 0; i < h->spec->n_nodes; i++) {
        char expected[ZSOCK_USER_MAX];

        if (!h->peers[i].node.bound || h->peers[i].node.conflict)
            continue;
        main_user(&h->peers[i].node, expected);
        if (str_eq(expected, user))
            return &h->peers[i];
    }
    return NULL;
}

static int reload(struct hub *h, struct peer *p, const char *name, struct err *err)
{
    struct store_node n = {0};
    int rc = store_node_get(h->store, name, &n, err);

    if (rc < 0)
        return -1;
    p->node = n;
    return 0;
}

/* ---- events that the hub itself makes ---- */

static int note(struct hub *h, const char *node, enum event_kind kind, const char *id,
                const char *msg, struct err *err)
{
    struct event ev = {.ts = clock_wall_ms(), .seq = store_event_next_seq(h->store)};

    str_copy(ev.node, sizeof(ev.node), node);
    str_copy(ev.rev, sizeof(ev.rev), "controller");
    event_fill(&ev, kind, id, "%s", msg);
    if (store_event_add(h->store, &ev, 0, err) < 0)
        return -1;
    h->hooks.event(h->hooks.ctx, &ev, false);
    return 0;
}

/* ---- enrolment ---- */

static void answer(struct zsock *s, const struct zmsg *to, enum proto_type t, json_t *members)
{
    _cleanup_free_ char *text = proto_text(t, members);

    zsock_send(s, to, text, strlen(text)); /* lost: the agent asks again */
}

static int enrol_message(struct hub *h, const struct zmsg *m, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    struct peer *p = peer_by_name(h, m->user);
    uint8_t raw[KEY_SIZE];
    enum proto_type t;
    const char *curve, *seal;
    struct err bad;
    bool was_bound;
    int rc;

    if (!p || proto_parse(m->body, m->len, &t, &j, &bad) < 0 || t != PROTO_ENROL ||
        js_str(j, "curve", &curve, &bad) < 0 || js_str(j, "seal", &seal, &bad) < 0 ||
        keys_unhex(curve, raw, KEY_SIZE) < 0 || keys_unhex(seal, raw, KEY_SIZE) < 0)
        return 0;
    was_bound = p->node.bound;
    rc = store_node_bind(h->store, m->user, curve, seal, err);
    if (rc < 0 || reload(h, p, m->user, err) < 0)
        return -1;
    if (rc == 0) {
        answer(h->enrol, m, PROTO_REFUSED,
               json_pack("{s:s}", "why", "other keys are bound to this node"));
        return note(h, m->user, EVENT_FAILED, "enrol-conflict",
                    "a second machine used this node's one-time key; the node is frozen. If you "
                    "did not expect this, treat the key as stolen: destroy the node and run up",
                    err);
    }
    answer(h->enrol, m, PROTO_BOUND, NULL);
    return was_bound ? 0 : note(h, m->user, EVENT_NOTE, "enrol", "enrolled", err);
}

/* ---- the main socket ---- */

static void send_roster(struct hub *h, struct peer *p)
{
    uint8_t sig[SIGN_SIZE];
    char hex[SIGN_HEX_SIZE];

    if (!h->roster || p->roster_sent == h->roster_epoch)
        return;
    keys_sign(h->sign, h->roster, strlen(h->roster), sig);
    keys_hex(sig, SIGN_SIZE, hex);
    answer(h->main, &p->at, PROTO_ROSTER, json_pack("{s:s, s:s}", "roster", h->roster, "sig", hex));
    p->roster_sent = h->roster_epoch;
}

/* Makes the roster anew; its epoch rises only when it differs. */
static int refresh_roster(struct hub *h, struct err *err)
{
    _cleanup_free_ char *same = h->hooks.roster(h->hooks.ctx, h->roster_epoch);
    char epoch[24];

    if (!same || (h->roster && str_eq(same, h->roster)))
        return 0;
    free(h->roster);
    h->roster = h->hooks.roster(h->hooks.ctx, h->roster_epoch + 1);
    h->roster_epoch++;
    snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)h->roster_epoch);
    if (store_set(h->store, "roster", h->roster, err) < 0)
        return -1;
    return store_set(h->store, "roster_epoch", epoch, err);
}

static int offer_plan(struct hub *h, size_t i, struct err *err)
{
    struct peer *p = &h->peers[i];
    _cleanup_json_ json_t *plan = h->hooks.plan(h->hooks.ctx, i);
    const char *rev = js_opt_str(plan, "rev", "");

    if (!plan || str_eq(rev, p->offered))
        return 0;
    str_copy(p->offered, sizeof(p->offered), rev);
    if (!str_eq(rev, p->has_rev))
        answer(h->main, &p->at, PROTO_PLAN, json_pack("{s:O}", "plan", plan));
    if (str_eq(rev, p->node.sent_rev))
        return 0;
    str_copy(p->node.sent_rev, sizeof(p->node.sent_rev), rev);
    return store_node_put(h->store, &p->node, err);
}

static int on_hello(struct hub *h, struct peer *p, const struct zmsg *m, const json_t *j,
                    struct err *err)
{
    const json_t *facts = json_object_get(j, "facts");
    _cleanup_free_ char *text = js_text(json_is_object(facts) ? facts : json_null());

    p->hello = true;
    p->at = *m;
    p->at.body = NULL;
    p->roster_sent = 0;
    p->offered[0] = '\0';
    p->drift_told = false;
    str_copy(p->has_rev, sizeof(p->has_rev), js_opt_str(j, "rev", ""));
    p->past = js_opt_u64(j, "last_seq", 0);
    if (json_is_object(facts) && store_node_set_facts(h->store, p->node.name, text, err) < 0)
        return -1;
    p->answer_hello = true;
    return 0;
}

static int on_event(struct hub *h, struct peer *p, const json_t *j, struct err *err)
{
    struct event ev;
    struct err bad;

    if (event_from_json(json_object_get(j, "event"), &ev, &bad) < 0)
        return 0;
    str_copy(ev.node, sizeof(ev.node), p->node.name); /* whatever it says, it is this node */
    if (store_event_add(h->store, &ev, p->node.incarnation, err) < 0)
        return -1;
    p->to_ack = ev.seq > p->to_ack ? ev.seq : p->to_ack;
    h->hooks.event(h->hooks.ctx, &ev, ev.seq <= p->past);
    return 0;
}

static int main_message(struct hub *h, const struct zmsg *m, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    struct peer *p = main_peer(h, m->user);
    const json_t *state;
    enum proto_type t;
    struct err bad;

    if (!p || proto_parse(m->body, m->len, &t, &j, &bad) < 0)
        return 0;
    p->node.seen = clock_wall_ms();
    switch (t) {
    case PROTO_HELLO:
        return on_hello(h, p, m, j, err);
    case PROTO_EVENT:
        return on_event(h, p, j, err);
    case PROTO_STATE:
        state = json_object_get(j, "state");
        if (json_is_object(state)) {
            _cleanup_free_ char *text = js_text(state);

            if (store_node_set_state(h->store, p->node.name, text, p->node.seen, err) < 0)
                return -1;
            h->hooks.state(h->hooks.ctx, (size_t)(p - h->peers), state);
            if (json_array_size(json_object_get(state, "drift")) && !p->drift_told) {
                p->drift_told = true;
                p->offered[0] = p->has_rev[0] = '\0';
            }
        }
        return 0;
    default:
        return 0; /* not for a controller */
    }
}

/* ---- the HTTP port ---- */

static void on_http(void *ctx, const struct httpd_request *rq, struct httpd_response *ret)
{
    struct hub *h = ctx;

    if (!str_eq(rq->method, "GET") && !str_eq(rq->method, "HEAD"))
        return;
    for (size_t i = 0; i < h->n_blobs; i++)
        if (str_starts(rq->path, "/blob/") && str_eq(rq->path + 6, h->blobs[i].sha256)) {
            ret->status = 200;
            ret->file = h->blobs[i].path;
        }
}

void hub_serve_file(struct hub *h, const char *sha256, const char *path)
{
    struct blob *b = &h->blobs[h->n_blobs];

    if (h->n_blobs == BLOBS_MAX)
        abort();
    h->n_blobs++;
    str_copy(b->sha256, sizeof(b->sha256), sha256);
    b->path = xstrdup(path);
}

/* ---- opening, running ---- */

static int bind_all(struct hub *h, const struct hub_config *c, struct err *err)
{
    _cleanup_free_ char *enrol = str_fmt("tcp://%s:%u", c->listen, c->port);
    _cleanup_free_ char *main_at = str_fmt("tcp://%s:%u", c->listen, c->port + 1u);

    h->ctx = zctx_new();
    h->zap = zap_new(h->ctx, allow, h, err);
    if (!h->zap)
        return -1;
    h->enrol = zsock_server(h->ctx, PROTO_DOMAIN_ENROL, c->keys, PROTO_ENROL_MAX, enrol, err);
    if (!h->enrol)
        return -1;
    h->main = zsock_server(h->ctx, PROTO_DOMAIN_MAIN, c->keys, PROTO_MAIN_MAX, main_at, err);
    if (!h->main)
        return -1;
    return httpd_open(str_eq(c->listen, "*") ? "0.0.0.0" : c->listen, (uint16_t)(c->port + 2),
                      BODY_MAX, on_http, h, &h->httpd, err);
}

int hub_open(const struct hub_config *config, const struct spec *s, struct store *st,
             const struct hub_hooks *hooks, struct hub **ret, struct err *err)
{
    struct hub *h = xcalloc(1, sizeof(*h));
    _cleanup_free_ char *epoch = NULL;
    int rc = 0;

    h->spec = s;
    h->store = st;
    h->hooks = *hooks;
    h->sign = config->sign;
    h->peers = xcalloc(s->n_nodes, sizeof(*h->peers));
    for (size_t i = 0; i < s->n_nodes && rc == 0; i++)
        rc = reload(h, &h->peers[i], s->nodes[i].name, err);
    if (rc == 0 && (rc = store_get(st, "roster", &h->roster, err)) == 0)
        rc = store_get(st, "roster_epoch", &epoch, err);
    if (rc == 0 && epoch)
        str_to_u64(epoch, UINT64_MAX, &h->roster_epoch);
    if (rc == 0 && (rc = bind_all(h, config, err)) < 0)
        err_wrap(err,
                 "the agents' ports %u to %u are needed (another muster, or 'controller: {port: "
                 "…}' chooses others)",
                 config->port, config->port + 2u);
    if (rc < 0) {
        hub_close(h);
        return -1;
    }
    *ret = h;
    return 0;
}

void hub_close(struct hub *h)
{
    if (!h)
        return;
    httpd_close(h->httpd);
    zsock_free(h->main);
    zsock_free(h->enrol);
    zap_free(h->zap);
    zctx_free(h->ctx);
    for (size_t i = 0; i < h->n_blobs; i++)
        free(h->blobs[i].path);
    free(h->roster);
    free(h->peers);
    free(h);
}

void hub_fds(struct hub *h, struct http_fd fds[HUB_FDS])
{
    fds[0].fd = zap_fd(h->zap);
    fds[1].fd = zsock_fd(h->enrol);
    fds[2].fd = zsock_fd(h->main);
    fds[3].fd = httpd_fd(h->httpd);
}

int hub_wait_ms(const struct hub *h, int wait_ms)
{
    int http_ms = httpd_timeout_ms(h->httpd);

    return http_ms >= 0 && http_ms < wait_ms ? http_ms : wait_ms;
}

/* Enrolments: each is stored before it is answered. Returns how many messages there were. */
static int drain_enrol(struct hub *h, struct err *err)
{
    struct zmsg m;
    int n = 0;

    for (; zsock_recv(h->enrol, &m) == 1; n++) {
        int rc = enrol_message(h, &m, err);

        zmsg_free(&m);
        if (rc < 0)
            return -1;
    }
    return n;
}

/* The main socket: all that waits in one transaction, then the acknowledgements. */
static int drain_main(struct hub *h, struct err *err)
{
    struct zmsg m;
    int n = 0, rc = 0;

    for (; rc == 0 && zsock_recv(h->main, &m) == 1; n++) {
        rc = n == 0 ? store_begin(h->store, err) : 0;
        if (rc == 0)
            rc = main_message(h, &m, err);
        zmsg_free(&m);
    }
    if (n && rc == 0)
        rc = store_commit(h->store, err);
    for (size_t i = 0; rc == 0 && i < h->spec->n_nodes; i++) {
        struct peer *p = &h->peers[i];

        if (p->answer_hello)
            p->to_ack = store_event_last(h->store, p->node.name, p->node.incarnation);
        if (p->answer_hello || (p->to_ack && p->hello))
            answer(h->main, &p->at, PROTO_ACK, json_pack("{s:I}", "seq", (json_int_t)p->to_ack));
        p->to_ack = 0;
        p->answer_hello = false;
    }
    return rc < 0 ? -1 : n;
}

int hub_run(struct hub *h, struct err *err)
{
    int busy = 1;

    /* nodes that the owner made in the meantime */
    for (size_t i = 0; i < h->spec->n_nodes; i++)
        if (!h->peers[i].node.name[0] && reload(h, &h->peers[i], h->spec->nodes[i].name, err) < 0)
            return -1;
    /* The descriptors are edge-triggered and sending may use up an edge: go round until a whole
     * pass finds nothing. */
    while (busy) {
        int enrolled, heard;

        zap_serve(h->zap);
        if ((enrolled = drain_enrol(h, err)) < 0 || (heard = drain_main(h, err)) < 0 ||
            refresh_roster(h, err) < 0)
            return -1;
        for (size_t i = 0; i < h->spec->n_nodes; i++)
            if (h->peers[i].hello) {
                send_roster(h, &h->peers[i]);
                if (offer_plan(h, i, err) < 0)
                    return -1;
            }
        busy = enrolled + heard;
    }
    httpd_run(h->httpd);
    return 0;
}

void hub_forget(struct hub *h, size_t node)
{
    h->peers[node] = (struct peer){0}; /* read again from the store by the next hub_run */
}
