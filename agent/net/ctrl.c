/* SPDX-License-Identifier: Apache-2.0 */
/* The link to the controller (docs/protocol.md, section 2).
 *
 *   ENROL --bound--> erase the key --> MAIN: hello -> roster, plan, look; events -> ack
 *
 * The controller lets a one-time key in until it is bound. An agent whose answer was lost is
 * refused from then on; so it tries the main socket: who is let in there is bound.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ipc/paths.h"
#include "agent/net/facts.h"
#include "agent/net/internal.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/log.h"
#include "common/proto.h"
#include "common/str.h"

#define ENROL_AGAIN_MS 3000
#define REFUSED_AGAIN_MS 60000
#define HELLO_AGAIN_MS 5000
#define UNSENT_AGAIN_MS 200

static int open_enrol(struct net *n, struct err *err)
{
    struct curve_pair pair;

    memcpy(pair.sec, n->boot->secret, KEY_SIZE);
    keys_curve_public(pair.sec, pair.pub);
    n->enrol =
        zsock_client(n->z, &pair, n->boot->controller_key, PROTO_ENROL_MAX, n->boot->enrol, err);
    keys_wipe(&pair, sizeof(pair));
    return n->enrol ? 0 : -1;
}

static int open_main(struct net *n, struct err *err)
{
    n->main =
        zsock_client(n->z, &n->own, n->boot->controller_key, PROTO_MAIN_MAX, n->boot->main, err);
    n->next = 0;
    n->connected = 0;
    n->complained = false;
    return n->main ? 0 : -1;
}

static uint64_t roster_epoch(const char *text)
{
    struct err err;
    json_t *j = NULL;
    uint64_t epoch = 0;

    if (js_parse(text, strlen(text), &j, &err) == 0)
        epoch = js_opt_u64(j, "epoch", 0);
    json_decref(j);
    return epoch;
}

int net_ctrl_roster(struct net *n, const char *text, const char *sig_hex, struct err *err)
{
    char digest[SHA256_HEX_SIZE];
    uint8_t sig[SIGN_SIZE];

    if (keys_unhex(sig_hex, sig, SIGN_SIZE) < 0 ||
        keys_verify(n->boot->sign_key, text, strlen(text), sig) != 0)
        return err_set(err, ERR_SAFETY, "roster: the signature does not hold; it is ignored");
    uint64_t epoch = roster_epoch(text);
    if (epoch < n->roster_epoch)
        return err_set(err, ERR_SAFETY, "roster: epoch %llu is older than %llu; it is ignored",
                       (unsigned long long)epoch, (unsigned long long)n->roster_epoch);
    keys_sha256(text, strlen(text), digest);
    if (epoch == n->roster_epoch && n->roster_digest[0] && !str_eq(digest, n->roster_digest))
        return err_set(err, ERR_SAFETY, "roster: epoch %llu comes with another text; it is ignored",
                       (unsigned long long)epoch);
    n->roster_epoch = epoch;
    str_copy(n->roster_digest, sizeof(n->roster_digest), digest);
    net_cluster_roster(n, text);
    return 0;
}

static void roster_load(struct net *n)
{
    struct err err = {0};
    _cleanup_free_ char *file = NULL;
    _cleanup_json_ json_t *j = NULL;
    size_t len = 0;

    if (fs_read(PATH_ROSTER, PROTO_MAIN_MAX, &file, &len, &err) < 0)
        return;
    const char *text, *sig;
    if (js_parse(file, len, &j, &err) < 0 || js_str(j, "roster", &text, &err) < 0 ||
        js_str(j, "sig", &sig, &err) < 0 || net_ctrl_roster(n, text, sig, &err) < 0)
        log_warn("%s: %s", PATH_ROSTER, err.msg);
}

static void on_roster(struct net *n, const json_t *msg)
{
    struct err err = {0};
    const char *text, *sig;

    if (js_str(msg, "roster", &text, &err) < 0 || js_str(msg, "sig", &sig, &err) < 0 ||
        net_ctrl_roster(n, text, sig, &err) < 0) {
        log_warn("%s", err.msg);
        return;
    }
    json_t *j = json_pack("{s:s, s:s}", "roster", text, "sig", sig);
    _cleanup_free_ char *file = js_text(j);
    json_decref(j);
    if (fs_write_atomic(PATH_ROSTER, file, strlen(file), 0600, &err) < 0)
        log_warn("%s", err.msg);
}

int net_ctrl_open(struct net *n, struct err *err)
{
    roster_load(n);
    return n->boot->has_secret ? open_enrol(n, err) : open_main(n, err);
}

void net_ctrl_close(struct net *n)
{
    zsock_free(n->enrol);
    zsock_free(n->main);
    n->enrol = n->main = NULL;
}

static int send_record(struct zsock *s, enum proto_type t, json_t *members)
{
    _cleanup_free_ char *text = proto_text(t, members);

    return zsock_send(s, NULL, text, strlen(text));
}

static void log_refused(struct net *n, const char *what, const char *why)
{
    if (!n->complained)
        log_warn("%s: the controller refused this node: %s; trying on, slowly", what, why);
    n->complained = true;
}

/* From one socket to the other, at most every few seconds. */
static void try_other(struct net *n, uint64_t now)
{
    struct err err = {0};
    bool was_enrol = n->enrol != NULL, complained = n->complained;

    net_ctrl_close(n);
    if ((was_enrol ? open_main(n, &err) : open_enrol(n, &err)) < 0)
        log_warn("%s", err.msg);
    n->complained = complained;
    n->next = now + ENROL_AGAIN_MS;
}

static void on_bound(struct net *n)
{
    n->boot->has_secret = false;
    keys_wipe(n->boot->secret, KEY_SIZE);
    net_send(n, IPC_BOUND, NULL);
}

static void send_enrol(struct net *n, uint64_t now)
{
    char curve[KEY_HEX_SIZE], seal[KEY_HEX_SIZE];

    keys_hex(n->own.pub, KEY_SIZE, curve);
    keys_hex(n->seal.pub, KEY_SIZE, seal);
    json_t *members =
        json_pack("{s:i, s:s, s:s}", "v", PROTO_VERSION, "curve", curve, "seal", seal);
    bool sent = send_record(n->enrol, PROTO_ENROL, members) == 0;
    if (!sent && zsock_was_refused(n->enrol)) {
        log_refused(n, "enrolment", "the bootstrap key is expired or used");
        try_other(n, now);
        return;
    }
    n->next = now + (sent ? ENROL_AGAIN_MS : UNSENT_AGAIN_MS);
}

static void serve_enrol(struct net *n, uint64_t now)
{
    struct zmsg msg = {0};
    struct err err = {0};
    bool bound = false;

    while (n->enrol && zsock_recv(n->enrol, &msg) == 1) {
        enum proto_type t;
        json_t *j = NULL;

        if (proto_parse(msg.body, msg.len, &t, &j, &err) == 0) {
            if (t == PROTO_BOUND) {
                bound = true;
            } else if (t == PROTO_REFUSED) {
                log_refused(n, "enrolment", js_opt_str(j, "why", "no reason given"));
                n->next = now + REFUSED_AGAIN_MS;
            }
            json_decref(j);
        }
        zmsg_free(&msg);
    }
    if (!bound) {
        if (now >= n->next)
            send_enrol(n, now);
        return;
    }
    zsock_free(n->enrol);
    n->enrol = NULL;
    on_bound(n);
    if (open_main(n, &err) < 0)
        log_warn("%s", err.msg);
}

static void send_hello(struct net *n, uint64_t now, unsigned handshakes)
{
    char boot[64];

    facts_boot_id(boot);
    json_t *members =
        json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:o}", "v", PROTO_VERSION, "agent",
                  MUSTER_VERSION, "boot", boot, "rev", n->rev, "last_seq", (json_int_t)n->last_seq,
                  "counter", (json_int_t)n->counter, "facts", facts_collect());
    bool sent = send_record(n->main, PROTO_HELLO, members) == 0;
    n->next = now + (sent ? HELLO_AGAIN_MS : UNSENT_AGAIN_MS);
    if (!sent)
        return;
    n->answered = false;
    n->handshakes = handshakes;
    net_send(n, IPC_ONLINE, NULL);
}

/* Passed on as it was signed. A controller of version 1 signs none: that is for the supervisor to
 * refuse, who says so. */
static void on_plan(struct net *n, const json_t *j)
{
    net_send(n, IPC_PLAN,
             json_pack("{s:s, s:s}", "text", js_opt_str(j, "text", ""), "sig",
                       js_opt_str(j, "sig", "")));
}

static void on_main(struct net *n, enum proto_type t, const json_t *j, uint64_t now)
{
    n->answered = true;
    n->complained = false;
    switch (t) {
    case PROTO_PLAN:
        on_plan(n, j);
        break;
    case PROTO_ROSTER:
        on_roster(n, j);
        break;
    case PROTO_ACK:
        net_send(n, IPC_ACK, json_pack("{s:I}", "seq", (json_int_t)js_opt_u64(j, "seq", 0)));
        break;
    case PROTO_LOOK:
        net_send(n, IPC_LOOK,
                 json_pack("{s:I, s:b, s:b}", "id", (json_int_t)js_opt_u64(j, "id", 0), "repair",
                           js_opt_bool(j, "repair", true), "careful",
                           js_opt_bool(j, "careful", false)));
        break;
    case PROTO_MEASURE:
        if (json_is_object(json_object_get(j, "order")))
            net_send(n, IPC_MEASURE,
                     json_pack("{s:I, s:O}", "id", (json_int_t)js_opt_u64(j, "id", 0), "order",
                               json_object_get(j, "order")));
        break;
    case PROTO_REFUSED:
        n->answered = false;
        log_refused(n, "main socket", js_opt_str(j, "why", "no reason given"));
        n->next = now + REFUSED_AGAIN_MS;
        break;
    default:
        break;
    }
}

/* Nothing is to be sent before a new connection, which tells of itself. */
static bool greeted(const struct net *n, unsigned handshakes)
{
    return n->answered && handshakes == n->handshakes;
}

/* A new connection is greeted at once: whoever is there now has not heard the last hello. */
static unsigned connections(struct net *n)
{
    unsigned handshakes = zsock_handshakes(n->main);

    if (handshakes != n->connected)
        n->next = 0;
    n->connected = handshakes;
    return handshakes;
}

uint64_t net_ctrl_due(struct net *n)
{
    struct zsock *s = n->enrol ? n->enrol : n->main;

    if (!s)
        return UINT64_MAX;
    /* also takes what its monitor has */
    unsigned handshakes = n->enrol ? zsock_handshakes(s) : connections(n);
    if (zsock_pending(s))
        return 0;
    return n->enrol || n->boot->has_secret || (handshakes && !greeted(n, handshakes)) ? n->next
                                                                                      : UINT64_MAX;
}

void net_ctrl_serve(struct net *n, uint64_t now)
{
    struct zmsg msg = {0};

    if (n->enrol) {
        serve_enrol(n, now);
        return;
    }
    if (!n->main)
        return;
    while (zsock_recv(n->main, &msg) == 1) {
        struct err err;
        enum proto_type t;
        json_t *j = NULL;

        if (proto_parse(msg.body, msg.len, &t, &j, &err) == 0)
            on_main(n, t, j, now);
        json_decref(j);
        keys_wipe(msg.body, msg.len); /* plans carry secrets */
        zmsg_free(&msg);
    }
    unsigned handshakes = connections(n);
    if (n->boot->has_secret) {
        if (handshakes)
            on_bound(n);
        else if (now >= n->next)
            try_other(n, now);
        if (!handshakes)
            return;
    }
    if (handshakes && now >= n->next && !greeted(n, handshakes))
        send_hello(n, now, handshakes);
    if (!handshakes && zsock_was_refused(n->main))
        log_refused(n, "main socket", "its key is not known there");
}

void net_ctrl_send_event(struct net *n, json_t *event)
{
    if (n->main && event)
        send_record(n->main, PROTO_EVENT, json_pack("{s:O}", "event", event));
}

void net_ctrl_send_state(struct net *n, json_t *state)
{
    if (n->main && state)
        send_record(n->main, PROTO_STATE, json_pack("{s:O}", "state", state));
}

void net_ctrl_send_measured(struct net *n, const json_t *measured)
{
    json_t *members = json_copy((json_t *)measured);

    json_object_del(members, "m");
    json_object_del(members, "v");
    if (n->main)
        send_record(n->main, PROTO_MEASURED, members);
    else
        json_decref(members);
}
