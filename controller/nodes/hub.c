/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/hub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/httpd.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/signed.h"
#include "common/str.h"
#include "controller/nodes/internal.h"

#define BODY_MAX 1024

/* What one pass takes at most before it commits and answers. */
#define PASS_MESSAGES 256
#define PASS_MS 20
#define ALL_EVERY_MS 100
#define COUNTER_MAX (1ULL << 62) /* no agent has taken so many plans */
#define SEQ_JUMP_MAX (1u << 24)  /* an honest agent skips numbers, but not so many */

void hub_touch(struct hub *h, struct peer *p)
{
    if (!p->touched)
        h->touched[h->n_touched++] = (size_t)(p - h->peers);
    p->touched = true;
}

/* Those whose state waits stay in the list. */
static void untouch(struct hub *h)
{
    size_t kept = 0;

    for (size_t i = 0; i < h->n_touched; i++) {
        struct peer *p = &h->peers[h->touched[i]];

        p->touched = p->state != NULL;
        if (p->touched)
            h->touched[kept++] = h->touched[i];
    }
    h->n_touched = kept;
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
    hub_answer(h->main, &p->at, PROTO_ROSTER,
               json_pack("{s:s, s:s}", "roster", h->roster, "sig", hex));
    p->roster_sent = h->roster_epoch;
}

/* Makes the roster again when a node's keys may have changed; its epoch rises only when it differs.
 */
static int refresh_roster(struct hub *h, struct err *err)
{
    _cleanup_free_ char *same = NULL;
    char epoch[24];

    if (h->roster_made)
        return 0;
    same = h->hooks.roster(h->hooks.ctx, h->roster_epoch);
    h->roster_made = same != NULL;
    if (!same || (h->roster && str_eq(same, h->roster)))
        return 0;
    free(h->roster);
    /* The time, so that it is above all before also when the store is an older copy. */
    h->roster_epoch = h->roster_epoch < clock_wall_ms() ? clock_wall_ms() : h->roster_epoch + 1;
    h->roster = h->hooks.roster(h->hooks.ctx, h->roster_epoch);
    snprintf(epoch, sizeof(epoch), "%llu", (unsigned long long)h->roster_epoch);
    h->all = true;
    if (store_set(h->store, "roster", h->roster, err) < 0)
        return -1;
    return store_set(h->store, "roster_epoch", epoch, err);
}

/* The counter rises with each that is sent: the agent takes none twice. It is the time, or more: an
 * agent tells the highest that it took when it connects, so nothing of it is to be kept here. */
static void send_plan(struct hub *h, struct peer *p, json_t *plan)
{
    _cleanup_json_ json_t *j = NULL;
    char sig[SIGN_HEX_SIZE];
    char *text;

    if (!p->wants_signed) {
        hub_answer(h->main, &p->at, PROTO_PLAN, json_pack("{s:O}", "plan", plan));
        return;
    }
    if (p->counter < clock_wall_ms())
        p->counter = clock_wall_ms();
    j = json_pack("{s:I, s:O}", "counter", (json_int_t)++p->counter, "plan", plan);
    text = js_text(j);
    signed_make(h->sign, SIGNED_PLAN, text, sig);
    hub_answer(h->main, &p->at, PROTO_PLAN, json_pack("{s:s, s:s}", "text", text, "sig", sig));
    keys_wipe(text, strlen(text));
    free(text);
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
        send_plan(h, p, plan);
    if (str_eq(rev, p->node.sent_rev))
        return 0;
    str_copy(p->node.sent_rev, sizeof(p->node.sent_rev), rev);
    return store_node_set_rev(h->store, p->node.name, rev, err);
}

static int on_hello(struct hub *h, struct peer *p, const struct zmsg *m, const json_t *j,
                    struct err *err)
{
    const json_t *facts = json_object_get(j, "facts");
    _cleanup_free_ char *text = js_text(json_is_object(facts) ? facts : json_null());

    p->hello = true;
    twin_greeted(&p->twin, &p->at, m, clock_mono_ms());
    p->at = *m;
    p->at.body = NULL;
    p->roster_sent = 0;
    p->offered[0] = '\0';
    p->drift_told = false;
    p->looking = false;
    if (!p->look) {
        p->look = h->look_id;
        p->kind = h->first;
    }
    p->held = 0;
    str_copy(p->has_rev, sizeof(p->has_rev), js_opt_str(j, "rev", ""));
    p->wants_signed = js_opt_u64(j, "v", 1) >= PROTO_SIGNED_PLANS;
    if (js_opt_u64(j, "counter", 0) > p->counter && js_opt_u64(j, "counter", 0) < COUNTER_MAX)
        p->counter = js_opt_u64(j, "counter", 0);
    if (!p->has_past) /* what happens while a connection is down happens now */
        p->past = js_opt_u64(j, "last_seq", 0);
    p->has_past = true;
    if (json_is_object(facts) && store_node_set_facts(h->store, p->node.name, text, err) < 0)
        return -1;
    p->answer_hello = true;
    return 0;
}

/* What makes an event that an agent sent unfit to be stored; NULL: nothing. */
static const char *event_flaw(const struct peer *p, const struct event *ev)
{
    if (ev->origin != EVENT_OF_AGENT)
        return "it says that the controller made it";
    if (ev->rev[0] && (strlen(ev->rev) != EVENT_REV_MAX - 1 ||
                       ev->rev[strspn(ev->rev, "0123456789abcdef")] != '\0'))
        return "its revision is not one of a plan";
    if (ev->seq == 0 || ev->seq > p->last_seq + SEQ_JUMP_MAX)
        return "its number is far from the last one";
    return NULL;
}

static int on_event(struct hub *h, struct peer *p, const json_t *j, struct err *err)
{
    struct event ev;
    struct err bad;
    const char *flaw;
    int rc;

    flaw =
        event_from_json(json_object_get(j, "event"), &ev, &bad) < 0 ? bad.msg : event_flaw(p, &ev);
    if (flaw) {
        _cleanup_free_ char *why = str_fmt("an event of its agent is refused: %.200s", flaw);

        return hub_note_rarely(h, &p->said[RARE_EVENT], p->node.name, "event-refused", why, err);
    }
    if (!hub_has_credit(p, ev.seq))
        return hub_note_rarely(h, &p->said[RARE_FLOOD], p->node.name, "event-flood",
                               "its agent sends more events than any work makes: they are taken "
                               "slowly",
                               err);
    str_copy(ev.node, sizeof(ev.node), p->node.name); /* whatever it says, it is this node */
    rc = store_event_add(h->store, &ev, p->node.incarnation, err);
    if (rc < 0)
        return -1;
    p->to_ack = ev.seq > p->to_ack ? ev.seq : p->to_ack;
    p->last_seq = ev.seq > p->last_seq ? ev.seq : p->last_seq;
    if (rc == 1) /* else its acknowledgement was lost: it counted when it came first */
        h->hooks.event(h->hooks.ctx, &ev, ev.seq <= p->past);
    return 0;
}

static int on_state(struct hub *h, struct peer *p, const json_t *state, struct err *err)
{
    _cleanup_free_ char *text = js_text(state);

    if (store_node_set_state(h->store, p->node.name, text, p->node.seen, err) < 0)
        return -1;
    p->looked = js_opt_u64(state, "looked", 0);
    h->hooks.state(h->hooks.ctx, (size_t)(p - h->peers), state);
    if (p->kind == HUB_LOOK_REPAIRS && json_array_size(json_object_get(state, "drift")) &&
        !p->drift_told) {
        p->drift_told = true;
        p->offered[0] = p->has_rev[0] = '\0';
    }
    return 0;
}

/* Whether it came over the connection that was greeted last: an older one of the same key does not
 * count any more, what was on its way there comes again. */
static bool is_present(const struct peer *p, const struct zmsg *m)
{
    return !p->at.rid_len ||
           (p->at.rid_len == m->rid_len && memcmp(p->at.rid, m->rid, m->rid_len) == 0);
}

static int main_message(struct hub *h, const struct zmsg *m, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    struct peer *p = hub_main_peer(h, m->user);
    json_t *state;
    enum proto_type t;
    struct err bad;

    if (!p || proto_parse(m->body, m->len, &t, &j, &bad) < 0)
        return 0;
    hub_touch(h, p);
    p->node.seen = clock_wall_ms();
    if (twin_speaks(&p->twin, m, clock_mono_ms()) &&
        hub_note_rarely(
            h, &p->said[RARE_TWIN], p->node.name, "twin",
            "two machines speak with this node's key: a copy of its disk, or a template "
            "made from it? Stop one of them; if neither is yours, treat the key as "
            "stolen: up --replace",
            err) < 0)
        return -1;
    if (t == PROTO_HELLO)
        return hub_hello_due(p) ? on_hello(h, p, m, j, err) : 0;
    if (!is_present(p, m))
        return 0;
    switch (t) {
    case PROTO_EVENT:
        return on_event(h, p, j, err);
    case PROTO_STATE: /* only the newest of a pass counts */
        state = json_object_get(j, "state");
        if (json_is_object(state)) {
            json_decref(p->state);
            p->state = json_incref(state);
        }
        return 0;
    case PROTO_MEASURED:
        if (h->hooks.measured)
            h->hooks.measured(h->hooks.ctx, (size_t)(p - h->peers), j);
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

    if (h->n_blobs == HUB_BLOBS_MAX)
        abort();
    h->n_blobs++;
    str_copy(b->sha256, sizeof(b->sha256), sha256);
    b->path = xstrdup(path);
}

/* ---- start and run ---- */

static int bind_all(struct hub *h, const struct hub_config *c, struct err *err)
{
    _cleanup_free_ char *enrol = str_fmt("tcp://%s:%u", c->listen, c->port + PORT_ENROL);
    _cleanup_free_ char *main_at = str_fmt("tcp://%s:%u", c->listen, c->port + PORT_MAIN);

    h->ctx = zctx_new();
    if (hub_files(h->spec->n_nodes, err) < 0)
        return -1;
    h->zap = zap_new(h->ctx, hub_allow, h, err);
    if (!h->zap)
        return -1;
    h->enrol = zsock_server(h->ctx, PROTO_DOMAIN_ENROL, c->keys, PROTO_ENROL_MAX, enrol, err);
    if (!h->enrol)
        return -1;
    h->main = zsock_server(h->ctx, PROTO_DOMAIN_MAIN, c->keys, PROTO_UP_MAX, main_at, err);
    if (!h->main)
        return -1;
    return httpd_open(str_eq(c->listen, "*") ? "0.0.0.0" : c->listen,
                      (uint16_t)(c->port + PORT_BLOB), BODY_MAX, on_http, h, &h->httpd, err);
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
    h->look_id = h->measure_id = clock_wall_ms();
    h->service = config->service;
    h->first = config->first;
    h->peers = xcalloc(s->n_nodes, sizeof(*h->peers));
    h->touched = xcalloc(s->n_nodes, sizeof(*h->touched));
    for (size_t i = 0; i < s->n_nodes && rc == 0; i++)
        rc = hub_reload(h, &h->peers[i], s->nodes[i].name, err);
    if (rc == 0 && (rc = store_get(st, "roster", &h->roster, err)) == 0)
        rc = store_get(st, "roster_epoch", &epoch, err);
    if (rc == 0 && epoch)
        str_to_u64(epoch, UINT64_MAX, &h->roster_epoch);
    if (rc == 0 && (rc = bind_all(h, config, err)) < 0)
        err_wrap(err,
                 "the agents' ports %u to %u are needed (another muster, or 'controller: {port: "
                 "…}' chooses others)",
                 config->port, config->port + PORT_OFFSETS - 1);
    if (rc < 0 || hub_self_test(h, config, err) < 0) {
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
    for (size_t i = 0; i < h->spec->n_nodes; i++)
        json_decref(h->peers[i].state);
    free(h->roster);
    free(h->touched);
    keyindex_free(&h->keys);
    free(h->peers);
    free(h);
}

void hub_fds(struct hub *h, struct http_fd fds[HUB_FDS])
{
    fds[0].fd = zap_fd(h->zap);
    fds[1].fd = zsock_fd(h->enrol);
    fds[2].fd = zsock_fd(h->main);
    fds[3].fd = httpd_fd(h->httpd);
    fds[4].fd = zsock_monitor_fd(h->enrol);
    fds[5].fd = zsock_monitor_fd(h->main);
}

void hub_give_up(struct hub *h)
{
    store_rollback(h->store);
    h->reload = true;
    for (size_t i = 0; i < h->spec->n_nodes; i++) {
        h->peers[i].to_ack = 0;
        h->peers[i].node.name[0] = '\0'; /* read again by the next hub_run */
    }
}

/* The main socket: some of what waits in one transaction, then the acknowledgements. */
static int drain_main(struct hub *h, struct err *err)
{
    uint64_t end = clock_mono_ms() + PASS_MS;
    struct zmsg m;
    bool begun = false, stored = false;
    int n = 0, rc = 0;

    for (; rc == 0 && n < PASS_MESSAGES && clock_mono_ms() < end && zsock_recv(h->main, &m) == 1;
         n++) {
        rc = begun ? 0 : store_begin(h->store, err);
        begun = true;
        if (rc == 0)
            rc = main_message(h, &m, err);
        zmsg_free(&m);
    }
    zsock_look(h->main);
    for (size_t i = 0; rc == 0 && i < h->n_touched; i++) {
        struct peer *p = &h->peers[h->touched[i]];
        _cleanup_json_ json_t *state = NULL;

        if (!p->state || !hub_state_due(h, p))
            continue;
        stored = true;
        state = TAKE(p->state);
        if (!begun)
            rc = store_begin(h->store, err);
        begun = true;
        if (rc == 0)
            rc = on_state(h, p, state, err);
    }
    if (begun && rc == 0)
        rc = store_commit(h->store, err);
    if (stored)
        h->states_at = clock_mono_ms();
    if (rc < 0)
        hub_give_up(h);
    for (size_t i = 0; rc == 0 && i < h->n_touched; i++) {
        struct peer *p = &h->peers[h->touched[i]];

        /* A hello is answered with 0: nothing that it says it has sent is known to be stored until
         * it has come on this connection. */
        if (p->answer_hello || (p->to_ack && p->hello))
            hub_answer(h->main, &p->at, PROTO_ACK,
                       json_pack("{s:I}", "seq", (json_int_t)p->to_ack));
        p->to_ack = 0;
        p->answer_hello = false;
    }
    return rc < 0 ? -1 : n;
}

/* Plans, rosters and the question how it is, to one that is connected. */
static int send_to(struct hub *h, size_t i, struct err *err)
{
    struct peer *p = &h->peers[i];

    if (!p->hello)
        return 0;
    send_roster(h, p);
    if (offer_plan(h, i, err) < 0)
        return -1;
    if ((p->offered[0] || h->service) && !p->looking) {
        hub_answer(h->main, &p->at, PROTO_LOOK,
                   json_pack("{s:I, s:b, s:b}", "id", (json_int_t)p->look, "repair",
                             p->kind != HUB_LOOK_TELLS, "careful", p->kind == HUB_LOOK_CAREFUL));
        p->looking = true;
    }
    return 0;
}

/* The owner may have a plan now that it had not, and does not say so: all are asked for now and
 * then. */
static int send_all(struct hub *h, struct err *err)
{
    uint64_t now = clock_mono_ms();
    int rc = 0;

    if (refresh_roster(h, err) < 0)
        return -1;
    if (!h->all && now - h->all_at < ALL_EVERY_MS) {
        for (size_t i = 0; rc == 0 && i < h->n_touched; i++)
            rc = send_to(h, h->touched[i], err);
        return rc;
    }
    h->all = false;
    h->all_at = now;
    for (size_t i = 0; rc == 0 && i < h->spec->n_nodes; i++)
        rc = send_to(h, i, err);
    return rc;
}

int hub_run(struct hub *h, struct err *err)
{
    int enrolled, heard;

    /* nodes that the owner made in the meantime */
    for (size_t i = 0; h->reload && i < h->spec->n_nodes; i++)
        if (!h->peers[i].node.name[0] &&
            hub_reload(h, &h->peers[i], h->spec->nodes[i].name, err) < 0)
            return -1;
    h->reload = false;
    zap_serve(h->zap);
    if ((enrolled = hub_drain_enrol(h, err)) < 0 || (heard = drain_main(h, err)) < 0 ||
        hub_note_refusals(h, err) < 0 || send_all(h, err) < 0 || hub_prune(h, err) < 0)
        return -1;
    untouch(h);
    httpd_run(h->httpd);
    /* The descriptors are edge-triggered and sending may use up an edge: only a pass that finds
     * nothing is followed by waiting. */
    return enrolled || heard || zsock_pending(h->enrol) || zsock_pending(h->main);
}

uint64_t hub_look_id(const struct hub *h)
{
    return h->look_id;
}

void hub_look_at(struct hub *h, size_t node, enum hub_look kind)
{
    struct peer *p = &h->peers[node];

    if (!p->look || p->looked == p->look || kind < p->kind)
        p->kind = kind;
    p->look = ++h->look_id;
    p->looking = false;
    hub_touch(h, p);
    p->drift_told = p->drift_told && kind != HUB_LOOK_REPAIRS;
}

void hub_look(struct hub *h, enum hub_look kind)
{
    uint64_t id = h->look_id + 1;

    for (size_t i = 0; i < h->spec->n_nodes; i++) {
        h->look_id = id - 1;
        hub_look_at(h, i, kind);
    }
}

/* An id above the newest one is of another hub, whose clock was ahead. */
bool hub_has_looked(const struct hub *h, const json_t *state, uint64_t id)
{
    uint64_t looked = js_opt_u64(state, "looked", 0);

    return looked >= id && looked <= h->look_id;
}

uint64_t hub_measure(struct hub *h, size_t node, const struct nettest_order *o)
{
    const struct peer *p = &h->peers[node];

    if (!p->hello)
        return 0;
    hub_answer(
        h->main, &p->at, PROTO_MEASURE,
        json_pack("{s:I, s:o}", "id", (json_int_t)++h->measure_id, "order", nettest_order_json(o)));
    return h->measure_id;
}

struct hub_node hub_node(const struct hub *h, size_t node)
{
    return (struct hub_node){.heard = h->peers[node].hello, .seen = h->peers[node].node.seen};
}

void hub_plans_changed(struct hub *h)
{
    h->roster_made = false;
    h->all = true;
    for (size_t i = 0; i < h->spec->n_nodes; i++)
        h->peers[i].offered[0] = '\0';
}

void hub_serve_no_file(struct hub *h)
{
    for (size_t i = 0; i < h->n_blobs; i++)
        free(h->blobs[i].path);
    h->n_blobs = 0;
}

void hub_forget(struct hub *h, size_t node)
{
    char user[ZSOCK_USER_MAX];

    hub_main_user(h, &h->peers[node], user);
    zsock_kick(h->main, user);
    json_decref(h->peers[node].state);
    h->roster_made = false;
    h->reload = true;
    h->peers[node] = (struct peer){
        .touched = h->peers[node].touched}; /* read again from the store by the next hub_run */
}
