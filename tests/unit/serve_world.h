/* SPDX-License-Identifier: Apache-2.0 */
/* A hub as a service with a store, a client of its socket and an agent's connection. For tests. */
#ifndef MUSTER_TEST_SERVE_WORLD_H
#define MUSTER_TEST_SERVE_WORLD_H

#ifndef PORT
#define PORT 17440
#endif
#define WAIT_MS 8000

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#include "controller/serve/internal.h"
#include "controller/serve/link.h"

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct world {
    char dir[32];
    struct spec spec;
    struct spec_node nodes[2];
    struct store *store;
    struct curve_pair keys, once;
    struct sign_pair sign;
    struct service *service;
    struct chan link;
    struct zctx *z;
    struct zsock *agent;
};

static void open_service(struct world *w, bool only_looks)
{
    const struct service_config config = {.state = w->dir,
                                          .digest = DIGEST,
                                          .file = "muster.yaml",
                                          .spec = &w->spec,
                                          .store = w->store,
                                          .keys = &w->keys,
                                          .sign = &w->sign,
                                          .only_looks = only_looks};
    struct err err;

    if (service_open(&config, &w->service, &err) < 0)
        fail_msg("%s", err.msg);
}

static void put_node(struct world *w, size_t i, const char *name)
{
    struct store_node n = {.enrol_expires = (uint64_t)time(NULL) + 60, .incarnation = 1};
    struct err err;

    str_copy(w->nodes[i].name, sizeof(w->nodes[i].name), name);
    str_copy(n.name, sizeof(n.name), name);
    keys_curve_new(&w->once);
    memcpy(n.enrol_pub, w->once.pub, KEY_SIZE);
    assert_int_equal(store_node_put(w->store, &n, &err), 0);
}

static int setup(void **state)
{
    static struct world w;
    struct err err;

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-serve-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    keys_curve_new(&w.keys);
    keys_sign_new(&w.sign);
    w.spec = (struct spec){.nodes = w.nodes, .n_nodes = 2, .controller_port = PORT};
    assert_int_equal(store_open(w.dir, true, &w.store, &err), 0);
    put_node(&w, 1, "par");
    put_node(&w, 0, "fra"); /* last: the one-time key is its */
    open_service(&w, false);
    w.link.fd = -1;
    w.z = zctx_new();
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    chan_close(&w->link);
    service_close(w->service);
    zsock_free(w->agent);
    zctx_free(w->z);
    store_close(w->store);
    return fs_remove_tree(w->dir, &err);
}

/* Runs the service until the client gets a message with that member; NULL: its end, or none. */
static json_t *wait_for(struct world *w, const char *member)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    json_t *j = NULL;
    struct err err;
    int rc;

    while (clock_mono_ms() < end) {
        assert_int_equal(service_run(w->service, 5, &err), 0);
        while ((rc = link_next(&w->link, &j)) == 1) {
            if (json_object_get(j, member))
                return j;
            json_decref(j);
        }
        if (rc < 0)
            return NULL;
    }
    return NULL;
}

static void client(struct world *w)
{
    struct err err;

    chan_close(&w->link);
    assert_int_equal(link_open(w->dir, &w->link, &err), 0);
}

/* ---- with an agent ---- */

static void say(struct world *w, const char *text)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct err err;

    while (zsock_send(w->agent, NULL, text, strlen(text)) < 0 && clock_mono_ms() < end)
        service_run(w->service, 5, &err);
}

/* Runs the service until the agent gets a message with that text; the caller frees. */
static char *hears(struct world *w, const char *part)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    struct zmsg m;
    struct err err;

    while (clock_mono_ms() < end) {
        assert_int_equal(service_run(w->service, 5, &err), 0);
        while (zsock_recv(w->agent, &m) == 1) {
            if (strstr(m.body, part))
                return m.body;
            zmsg_free(&m);
        }
    }
    fail_msg("the agent was not told: %s", part);
    return NULL;
}

static struct zsock *dial(struct world *w, const struct curve_pair *own, unsigned port)
{
    _cleanup_free_ char *endpoint = str_fmt("tcp://127.0.0.1:%u", port);
    struct err err;

    return zsock_client(w->z, own, w->keys.pub, PROTO_MAIN_MAX, endpoint, &err);
}

#define HELLO "{\"t\":\"hello\",\"v\":1,\"rev\":\"\",\"facts\":{}}"

#endif
