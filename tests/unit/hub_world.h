/* SPDX-License-Identifier: Apache-2.0 */
/* A hub with a store and clients that speak as agents do. For tests. */
#ifndef MUSTER_TEST_HUB_WORLD_H
#define MUSTER_TEST_HUB_WORLD_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proto.h"
#include "common/str.h"
#include "common/zsock.h"
#include "controller/nodes/hub.h"

#ifndef PORT
#define PORT 17400
#endif
#define WAIT_MS 8000
#define NODES 4 /* fra, n1, n2, n3 */

struct world {
    char dir[32];
    struct spec spec;
    struct spec_node nodes[NODES];
    struct store *store;
    struct curve_pair keys;
    struct sign_pair sign;
    struct curve_pair once; /* one-time key of fra */
    struct curve_pair once_of[NODES];
    struct hub *hub;
    struct zctx *clients;
    struct zsock *open[8]; /* of the clients; a failed test leaves some */
    bool past;             /* of the last event */
    unsigned events, own_events, states;
    char last_own[EVENT_ID_MAX]; /* id of the controller's last event */
};

static json_t *give_plan(void *ctx, size_t node)
{
    (void)ctx;
    (void)node;
    return json_pack("{s:s, s:[]}", "rev", "0123456789abcdef", "resources");
}

static char *no_roster(void *ctx, uint64_t epoch)
{
    (void)ctx;
    (void)epoch;
    return NULL;
}

static void on_event(void *ctx, const struct event *ev, bool past)
{
    struct world *w = ctx;

    w->past = past;
    if (ev->origin == EVENT_OF_CONTROLLER) {
        w->own_events++;
        str_copy(w->last_own, sizeof(w->last_own), ev->id);
    } else {
        w->events++;
    }
}

static void on_state(void *ctx, size_t node, const json_t *state)
{
    struct world *w = ctx;

    (void)node;
    (void)state;
    w->states++;
}

static void add_node(struct world *w, size_t i, const char *name)
{
    struct store_node n = {.enrol_expires = (uint64_t)time(NULL) + 60, .incarnation = 1};
    struct err err;

    str_copy(w->nodes[i].name, sizeof(w->nodes[i].name), name);
    str_copy(n.name, sizeof(n.name), name);
    keys_curve_new(&w->once_of[i]);
    memcpy(n.enrol_pub, w->once_of[i].pub, KEY_SIZE);
    assert_int_equal(store_node_put(w->store, &n, &err), 0);
}

static int setup(void **state)
{
    static struct world w;
    struct err err;
    const struct hub_hooks hooks = {&w, give_plan, no_roster, on_event, on_state, NULL};
    const struct hub_config config = {"127.0.0.1", PORT, &w.keys, &w.sign, false, HUB_LOOK_REPAIRS};

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-hub-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    keys_curve_new(&w.keys);
    keys_sign_new(&w.sign);
    w.spec.nodes = w.nodes;
    w.spec.n_nodes = NODES;
    assert_int_equal(store_open(w.dir, true, &w.store, &err), 0);
    add_node(&w, 0, "fra");
    add_node(&w, 1, "n1");
    add_node(&w, 2, "n2");
    add_node(&w, 3, "n3");
    w.once = w.once_of[0];
    assert_int_equal(hub_open(&config, &w.spec, w.store, &hooks, &w.hub, &err), 0);
    w.clients = zctx_new();
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    hub_close(w->hub);
    for (size_t i = 0; i < ARRAY_LEN(w->open); i++)
        zsock_free(w->open[i]);
    zctx_free(w->clients);
    store_close(w->store);
    return fs_remove_tree(w->dir, &err);
}

/* Sends (again and again, as an agent does; NULL: nothing) and runs the hub until an answer with
 * `part` in it comes; NULL: none within the time, or the handshake was refused. */
static char *ask_for(struct world *w, struct zsock *s, const char *text, const char *part,
                     unsigned wait_ms)
{
    uint64_t end = clock_mono_ms() + wait_ms, next = 0;
    struct zmsg m;
    struct err err;

    while (clock_mono_ms() < end && !zsock_was_refused(s)) {
        if (text && clock_mono_ms() >= next && zsock_send(s, NULL, text, strlen(text)) == 0)
            next = clock_mono_ms() + 500;
        if (hub_run(w->hub, &err) == 0)
            clock_pause_ms(1);
        while (zsock_recv(s, &m) == 1) {
            if (strstr(m.body, part))
                return m.body;
            zmsg_free(&m);
        }
    }
    return NULL;
}

/* The same, where only that it comes counts. */
static bool answered(struct world *w, struct zsock *s, const char *text, const char *part)
{
    _cleanup_free_ char *got = ask_for(w, s, text, part, WAIT_MS);

    return got != NULL;
}

static struct zsock *client(struct world *w, const struct curve_pair *own, unsigned port)
{
    char endpoint[64];
    struct err err;
    struct zsock *s;

    snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%u", port);
    s = zsock_client(w->clients, own, w->keys.pub, PROTO_MAIN_MAX, endpoint, &err);
    assert_non_null(s);
    for (size_t i = 0; i < ARRAY_LEN(w->open); i++)
        if (!w->open[i])
            return w->open[i] = s;
    fail();
    return NULL;
}

static void leave(struct world *w, struct zsock *s)
{
    for (size_t i = 0; i < ARRAY_LEN(w->open); i++)
        if (w->open[i] == s)
            w->open[i] = NULL;
    zsock_free(s);
}

static char *enrol_text(const struct curve_pair *own)
{
    char hex[KEY_HEX_SIZE];

    keys_hex(own->pub, KEY_SIZE, hex);
    return proto_text(PROTO_ENROL, json_pack("{s:i, s:s, s:s}", "v", 1, "curve", hex, "seal", hex));
}

#define REV "0123456789abcdef"

static char *event_message_of(const char *origin, const char *rev, uint64_t seq, const char *id,
                              const char *kind)
{
    return proto_text(PROTO_EVENT,
                      json_pack("{s:{s:i, s:s, s:s, s:s, s:I, s:s, s:s, s:i, s:s}}", "event", "ts",
                                1, "node", "other", "origin", origin, "rev", rev, "seq",
                                (json_int_t)seq, "id", id, "kind", kind, "ms", 0, "msg", ""));
}

static char *event_message(const char *rev, uint64_t seq, const char *id, const char *kind)
{
    return event_message_of("agent", rev, seq, id, kind);
}

/* Enrols node `i` with new keys and says hello; its connection to the main socket. */
static struct zsock *join(struct world *w, size_t i, struct curve_pair *own)
{
    _cleanup_free_ char *text = NULL;
    struct zsock *s = client(w, &w->once_of[i], PORT);

    keys_curve_new(own);
    text = enrol_text(own);
    assert_true(answered(w, s, text, "bound"));
    leave(w, s);
    s = client(w, own, PORT + 1);
    assert_true(answered(w, s, "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"facts\":{}}", "\"ack\""));
    return s;
}

/* Sends an event; whether exactly its number was acknowledged. */
static bool event_taken(struct world *w, struct zsock *s, const char *rev, uint64_t seq,
                        const char *id, const char *kind)
{
    _cleanup_free_ char *text = event_message(rev, seq, id, kind);
    _cleanup_free_ char *ack = str_fmt("{\"seq\":%llu,\"t\":\"ack\"}", (unsigned long long)seq);

    return answered(w, s, text, ack);
}

#endif
