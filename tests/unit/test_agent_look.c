/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor does when the controller asks it to look at its plan. The jobs' answers are
 * given by the test. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"

struct world {
    char dir[32];
    struct supervisor s;
};

static int setup(void **state)
{
    static struct world w;
    struct err err;

    memset(&w, 0, sizeof(w));
    strcpy(w.dir, "/tmp/muster-look-XXXXXX");
    assert_non_null(mkdtemp(w.dir));
    assert_int_equal(outbox_open(w.dir, &w.s.outbox, &err), 0);
    w.s.net.fd = w.s.worker.fd = w.s.db_fd = -1;
    w.s.drift_next = UINT64_MAX;
    str_copy(w.s.phase, sizeof(w.s.phase), "ready");
    *state = &w;
    return 0;
}

static void end_job(struct supervisor *s)
{
    if (!s->jobs[JOB_DRIFT].pid)
        return;
    kill(s->jobs[JOB_DRIFT].pid, SIGKILL);
    waitpid(s->jobs[JOB_DRIFT].pid, NULL, 0);
    close(s->jobs[JOB_DRIFT].answer);
    s->jobs[JOB_DRIFT].pid = 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    end_job(&w->s);
    json_decref(w->s.drift);
    outbox_free(w->s.outbox);
    return fs_remove_tree(w->dir, &err);
}

/* The look that is due begins, and ends with this answer. */
static void look(struct supervisor *s, json_t *answer)
{
    sup_drift_tick(s, clock_mono_ms());
    assert_true(s->jobs[JOB_DRIFT].pid > 0);
    end_job(s);
    sup_drift_answer(s, answer);
    json_decref(answer);
}

/* The run that was asked for: there is no plan here, so it did not start. */
static void run_ends(struct supervisor *s)
{
    assert_true(s->wanted);
    s->wanted = false;
    sup_drift_forget(s);
    s->drift_next = UINT64_MAX;
}

static json_t *drifted(void)
{
    return json_pack("{s:[{s:s, s:s}]}", "drift", "id", "file:f", "why", "content differs");
}

static void test_nothing_differs(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift_tick(s, clock_mono_ms());
    assert_int_equal(s->jobs[JOB_DRIFT].pid, 0); /* nobody asked */
    sup_drift_ask(s, 7);
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->look_done == 7);
    assert_false(s->wanted);
    sup_drift_ask(s, 7); /* asked again on a new connection */
    s->drift_next = UINT64_MAX;
    sup_drift_tick(s, clock_mono_ms());
    assert_int_equal(s->jobs[JOB_DRIFT].pid, 0);
}

static void test_mended(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift_ask(s, 7);
    look(s, drifted());
    assert_true(s->look_done != 7);
    run_ends(s);
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->look_done == 7);
    assert_null(s->drift);
}

/* A run that says it is done, and still it differs: told, not tried for ever. */
static void test_not_mended(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift_ask(s, 7);
    look(s, drifted());
    run_ends(s);
    look(s, drifted());
    assert_false(s->wanted);
    assert_true(s->look_done == 7);
    assert_int_equal(json_array_size(s->drift), 1);
}

/* A look that fails is no answer. */
static void test_look_fails(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift_ask(s, 7);
    look(s, json_object());
    assert_true(s->look_done != 7);
    run_ends(s);
    look(s, NULL);
    assert_true(s->look_done != 7);
    assert_false(s->wanted);
    s->look_at = 0; /* a while later */
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->look_done == 7);
}

/* It was asked while a run was at work, or one that failed waits: first that, then the look. */
static void test_during_a_run(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    s->wanted = true;
    s->worker_next = UINT64_MAX;
    sup_drift_ask(s, 7);
    assert_true(s->worker_next == 0);
    sup_drift_tick(s, clock_mono_ms());
    assert_int_equal(s->jobs[JOB_DRIFT].pid, 0);
    run_ends(s);
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->look_done == 7);
}

/* A look that began before the question does not answer it. */
static void test_older_look(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    s->drift_next = 0;
    sup_drift_tick(s, clock_mono_ms());
    assert_true(s->jobs[JOB_DRIFT].pid > 0);
    sup_drift_ask(s, 7);
    end_job(s);
    json_t *answer = json_pack("{s:[]}", "drift");
    sup_drift_answer(s, answer);
    json_decref(answer);
    assert_true(s->look_done != 7);
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->look_done == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_differs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_mended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_look_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_during_a_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_look, setup, teardown),
    };

    if (fs_exists(PATH_PLAN)) /* a node: its plan is not for tests to run */
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
