/* SPDX-License-Identifier: Apache-2.0 */
/* The hub's door: keys, one-time keys, and what is said of those that were refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/nodes/internal.h"

#define PASS_ENROLMENTS 32             /* in one transaction */
#define NOTE_EVERY_MS (60 * 60 * 1000) /* of what a peer can make the hub say */

static struct peer *peer_by_name(struct hub *h, const char *name)
{
    for (size_t i = 0; i < h->spec->n_nodes; i++)
        if (str_eq(h->spec->nodes[i].name, name))
            return &h->peers[i];
    return NULL;
}

void hub_main_user(const struct hub *h, const struct peer *p, char ret[ZSOCK_USER_MAX])
{
    snprintf(ret, ZSOCK_USER_MAX, "%zu:%.32s", (size_t)(p - h->peers), p->node.curve_pub);
}

static bool allow_enrol(struct hub *h, struct peer *p, const uint8_t key[KEY_SIZE],
                        char ret_user[ZSOCK_USER_MAX])
{
    const struct store_node *n = &p->node;

    if (!n->name[0] || memcmp(n->enrol_pub, key, KEY_SIZE) != 0)
        return false;
    if (n->bound || n->conflict || (uint64_t)time(NULL) >= n->enrol_expires) {
        p->used_key = h->refused = true;
        return false;
    }
    return str_copy(ret_user, ZSOCK_USER_MAX, n->name);
}

static bool allow_main(struct hub *h, struct peer *p, const uint8_t key[KEY_SIZE],
                       char ret_user[ZSOCK_USER_MAX])
{
    const struct store_node *n = &p->node;
    char hex[KEY_HEX_SIZE];

    keys_hex(key, KEY_SIZE, hex);
    if (!n->name[0] || n->conflict || !n->bound || !str_eq(n->curve_pub, hex))
        return false;
    hub_main_user(h, p, ret_user);
    return true;
}

bool hub_allow(void *ctx, const char *domain, const char *address, const uint8_t key[KEY_SIZE],
               char ret_user[ZSOCK_USER_MAX])
{
    struct hub *h = ctx;
    bool enrols = str_eq(domain, PROTO_DOMAIN_ENROL), allowed = false;
    size_t at = 0, i;

    (void)address; /* behind NAT it says nothing about the VM */
    if (!enrols && !str_eq(domain, PROTO_DOMAIN_MAIN))
        return false;
    while (!allowed && keyindex_next(&h->keys, key, &at, &i))
        allowed = enrols ? allow_enrol(h, &h->peers[i], key, ret_user)
                         : allow_main(h, &h->peers[i], key, ret_user);
    return allowed;
}

struct peer *hub_main_peer(struct hub *h, const char *user)
{
    char expected[ZSOCK_USER_MAX];
    unsigned long i = strtoul(user, NULL, 10);

    if (i >= h->spec->n_nodes || !h->peers[i].node.bound || h->peers[i].node.conflict)
        return NULL;
    hub_main_user(h, &h->peers[i], expected);
    return str_eq(expected, user) ? &h->peers[i] : NULL;
}

int hub_reload(struct hub *h, struct peer *p, const char *name, struct err *err)
{
    struct store_node n = {0};
    uint8_t key[KEY_SIZE];
    int rc = store_node_get(h->store, name, &n, err);

    if (rc < 0)
        return -1;
    p->node = n;
    if (rc) {
        keyindex_add(&h->keys, n.enrol_pub, (size_t)(p - h->peers));
        if (keys_unhex(n.curve_pub, key, KEY_SIZE) == 0)
            keyindex_add(&h->keys, key, (size_t)(p - h->peers));
    }
    h->roster_made = false;
    p->last_seq = rc ? store_event_last(h->store, name, n.incarnation) : 0;
    return 0;
}

/* ---- events that the hub itself makes ---- */

static int note(struct hub *h, const char *node, enum event_kind kind, const char *id,
                const char *msg, struct err *err)
{
    struct event ev = {.ts = clock_wall_ms(), .origin = EVENT_OF_CONTROLLER};

    str_copy(ev.node, sizeof(ev.node), node);
    event_fill(&ev, kind, id, "%s", msg);
    if (store_event_own(h->store, &ev, err) < 0)
        return -1;
    h->hooks.event(h->hooks.ctx, &ev, false);
    return 0;
}

/* The same, but a peer cannot fill the store with it. */
int hub_note_rarely(struct hub *h, uint64_t *said, const char *node, const char *id,
                    const char *msg, struct err *err)
{
    uint64_t now = clock_mono_ms();

    if (*said && now - *said < NOTE_EVERY_MS)
        return 0;
    *said = now ? now : 1;
    return note(h, node, EVENT_NOTE, id, msg, err);
}

int hub_note_refusals(struct hub *h, struct err *err)
{
    unsigned cuts = zsock_cuts(h->enrol) + zsock_cuts(h->main);
    char text[EVENT_MSG_MAX];

    for (size_t i = 0; h->refused && i < h->spec->n_nodes; i++) {
        struct peer *p = &h->peers[i];

        if (p->used_key && hub_note_rarely(h, &p->said[RARE_ENROL], p->node.name, "enrol-refused",
                                           "its one-time key was offered again, used or expired: "
                                           "refused, nothing else happened",
                                           err) < 0)
            return -1;
        p->used_key = false;
    }
    h->refused = false;
    if (cuts == h->cuts || (h->cuts_said && clock_mono_ms() - h->cuts_said < NOTE_EVERY_MS))
        return 0;
    snprintf(text, sizeof(text),
             "%u connections to the agents' ports were shut down: messages without end, more of "
             "one node than it needs, or silent ones",
             cuts - h->cuts);
    h->cuts = cuts;
    return hub_note_rarely(h, &h->cuts_said, "", "connections", text, err);
}

/* ---- enrolment ---- */

void hub_answer(struct zsock *s, const struct zmsg *to, enum proto_type t, json_t *members)
{
    _cleanup_free_ char *text = proto_text(t, members);

    zsock_send(s, to, text, strlen(text)); /* lost: the agent asks again */
}

/* An enrolment that is answered once it is committed. */
struct enrolled {
    struct zmsg to;
    bool bound;
};

static int enrol_message(struct hub *h, const struct zmsg *m, bool *ret_answer, bool *ret_bound,
                         struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    struct peer *p = peer_by_name(h, m->user);
    uint8_t raw[KEY_SIZE];
    enum proto_type t;
    const char *curve, *seal;
    struct err bad;
    bool was_bound, was_frozen;
    int rc;

    *ret_answer = false;
    if (!p || proto_parse(m->body, m->len, &t, &j, &bad) < 0 || t != PROTO_ENROL ||
        js_str(j, "curve", &curve, &bad) < 0 || js_str(j, "seal", &seal, &bad) < 0 ||
        keys_unhex(curve, raw, KEY_SIZE) < 0 || keys_unhex(seal, raw, KEY_SIZE) < 0)
        return 0;
    was_bound = p->node.bound;
    was_frozen = p->node.conflict;
    rc = store_node_bind(h->store, m->user, curve, seal, (uint64_t)time(NULL), err);
    if (rc < 0 || hub_reload(h, p, m->user, err) < 0)
        return -1;
    *ret_answer = true;
    *ret_bound = rc == 1;
    if (rc == 1)
        return was_bound ? 0 : note(h, m->user, EVENT_NOTE, "enrol", "enrolled", err);
    if (was_frozen || !p->node.conflict) {
        p->used_key = h->refused = true;
        return 0;
    }
    p->hello = false; /* no plan, which has secrets, goes to either of the two */
    return note(h, m->user, EVENT_FAILED, "enrol-conflict",
                "a second machine used this node's one-time key; the node is frozen. If you "
                "did not expect this, treat the key as stolen: destroy the node and run up",
                err);
}

/* Enrolments: stored, then answered. Returns how many messages there were. */
int hub_drain_enrol(struct hub *h, struct err *err)
{
    struct enrolled answers[PASS_ENROLMENTS];
    size_t n_answers = 0;
    struct zmsg m;
    int n = 0, rc = 0;

    for (; rc == 0 && n < PASS_ENROLMENTS && zsock_recv(h->enrol, &m) == 1; n++) {
        struct enrolled *e = &answers[n_answers];
        bool to_answer = false;

        rc = n == 0 ? store_begin(h->store, err) : 0;
        if (rc == 0)
            rc = enrol_message(h, &m, &to_answer, &e->bound, err);
        e->to = m;
        e->to.body = NULL;
        n_answers += to_answer;
        zmsg_free(&m);
    }
    if (n && rc == 0)
        rc = store_commit(h->store, err);
    if (rc < 0)
        hub_give_up(h);
    for (size_t i = 0; rc == 0 && i < n_answers; i++)
        hub_answer(h->enrol, &answers[i].to, answers[i].bound ? PROTO_BOUND : PROTO_REFUSED,
                   answers[i].bound ? NULL
                                    : json_pack("{s:s}", "why",
                                                "other keys are bound to this node, "
                                                "or its one-time key has expired"));
    return rc < 0 ? -1 : n;
}
