/* SPDX-License-Identifier: Apache-2.0 */
/* What `up` says of nodes that do not answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/internal.h"

#define PATIENCE_MS 60000

struct world {
    char dir[32];
    struct spec_node nodes[2];
    struct deployment d;
    struct survey survey;
    struct node_run runs[2];
    struct up up;
};

static int setup(void **state)
{
    static struct world w;
    struct err err;

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-up-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    assert_int_equal(store_open(w.dir, true, &w.d.store, &err), 0);
    str_copy(w.nodes[0].name, sizeof(w.nodes[0].name), "fra");
    str_copy(w.nodes[1].name, sizeof(w.nodes[1].name), "par");
    w.d.spec.nodes = w.nodes;
    w.d.spec.n_nodes = 2;
    w.up = (struct up){.d = &w.d, .survey = &w.survey, .runs = w.runs, .cloud_done = true};
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    store_close(w->d.store);
    return fs_remove_tree(w->dir, &err);
}

static void enrolled(struct world *w, const char *name, uint64_t age_s)
{
    struct store_node n = {.bound = true, .incarnation = 1};
    struct err err;

    str_copy(n.name, sizeof(n.name), name);
    n.seen = clock_wall_ms() - age_s * 1000;
    assert_int_equal(store_node_put(w->d.store, &n, &err), 0);
}

static void test_silent_nodes(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    bool ready = true;

    enrolled(w, "fra", 10);
    enrolled(w, "par", 2 * 60 * 60 + 9);
    assert_int_equal(up_expect_nodes(&w->up, &err), 0);
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0); /* they have a minute */
    assert_false(ready);
    w->up.waiting_since = clock_mono_ms() - PATIENCE_MS - 1000;
    w->runs[0].heard = clock_mono_ms();
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.msg, "par (last word: 2 h ago)"));
    assert_null(strstr(err.msg, "fra"));
    w->runs[1].heard = clock_mono_ms();
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
}

/* It is there, and does not do what it is asked. */
static void test_idle_node(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    bool ready;

    enrolled(w, "fra", 10);
    w->up.waiting_since = clock_mono_ms();
    w->runs[0].idle = clock_mono_ms() - PATIENCE_MS + 5000;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
    w->runs[0].idle = clock_mono_ms() - PATIENCE_MS - 1000;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.msg, "fra: its agent is at rest"));
}

/* A machine that is still being installed is no silent one. */
static void test_new_nodes(void **state)
{
    struct world *w = *state;
    struct store_node n = {.incarnation = 1};
    struct err err = {0};
    bool ready;

    str_copy(n.name, sizeof(n.name), "fra");
    assert_int_equal(store_node_put(w->d.store, &n, &err), 0); /* pending; par: none yet */
    assert_int_equal(up_expect_nodes(&w->up, &err), 0);
    w->up.waiting_since = clock_mono_ms() - PATIENCE_MS - 1000;
    assert_int_equal(up_check_nodes(&w->up, &ready, &err), 0);
    assert_false(ready);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_silent_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_nodes, setup, teardown),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
