/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor does when the controller asks it to look at its plan (the jobs' answers are
 * given by the test), and when a plan comes that a worker has to judge. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"
#include "agent/supervisor/signed_plan.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/signed.h"
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
    w.s.net.chan.fd = w.s.worker.chan.fd = w.s.watch.db_fd = -1;
    w.s.drift.next = UINT64_MAX;
    w.s.worker.phase = PHASE_READY;
    *state = &w;
    return 0;
}

static void end_job(struct supervisor *s)
{
    if (!s->drift.job.pid)
        return;
    kill(s->drift.job.pid, SIGKILL);
    waitpid(s->drift.job.pid, NULL, 0);
    close(s->drift.job.answer);
    s->drift.job.pid = 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    struct err err;

    end_job(&w->s);
    json_decref(w->s.drift.list);
    outbox_free(w->s.outbox);
    return fs_remove_tree(w->dir, &err);
}

/* The look that is due begins, and ends with this answer. */
static void look(struct supervisor *s, json_t *answer)
{
    sup_drift.tick(s, clock_mono_ms());
    assert_true(s->drift.job.pid > 0);
    end_job(s);
    sup_drift_answer(s, answer);
    json_decref(answer);
}

/* The run that was asked for: there is no plan here, so it did not start. */
static void run_ends(struct supervisor *s)
{
    assert_true(s->worker.wanted);
    s->worker.wanted = false;
    sup_drift_forget(s);
    s->drift.next = UINT64_MAX;
}

static json_t *drifted(void)
{
    return json_pack("{s:[{s:s, s:s}]}", "drift", "id", "file:f", "why", "content differs");
}

static void test_nothing_differs(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift.tick(s, clock_mono_ms());
    assert_int_equal(s->drift.job.pid, 0); /* nobody asked */
    sup_drift_ask(s, 7, true, false);
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->drift.done == 7);
    assert_false(s->worker.wanted);
    sup_drift_ask(s, 7, true, false); /* asked again on a new connection */
    s->drift.next = UINT64_MAX;
    sup_drift.tick(s, clock_mono_ms());
    assert_int_equal(s->drift.job.pid, 0);
}

static void test_mended(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift_ask(s, 7, true, false);
    look(s, drifted());
    assert_true(s->drift.done != 7);
    run_ends(s);
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->drift.done == 7);
    assert_null(s->drift.list);
}

/* A run that says it is done, and still it differs: told, not tried for ever. */
static void test_not_mended(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift_ask(s, 7, true, false);
    look(s, drifted());
    run_ends(s);
    look(s, drifted());
    assert_false(s->worker.wanted);
    assert_true(s->drift.done == 7);
    assert_int_equal(json_array_size(s->drift.list), 1);
}

/* Asked to look only: what differs is told and stays. */
static void test_only_told(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift_ask(s, 7, false, false);
    look(s, drifted());
    assert_false(s->worker.wanted);
    assert_true(s->drift.done == 7);
    assert_int_equal(json_array_size(s->drift.list), 1);
}

/* Somebody wants it repaired, and then somebody only looks: it is repaired all the same. */
static void test_both_ask(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift_ask(s, 7, true, false);
    sup_drift_ask(s, 8, false, false);
    look(s, drifted());
    assert_true(s->drift.done != 8);
    run_ends(s);
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->drift.done == 8);
    sup_drift_ask(s, 9, false, false); /* that is over */
    look(s, drifted());
    assert_false(s->worker.wanted);
    assert_true(s->drift.done == 9);
}

/* A careful repair leaves alone what may restart the database, also when that differs only since
 * the repair was asked for. */
static void test_careful(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift_ask(s, 7, true, true);
    look(s, json_pack("{s:[{s:s, s:s}, {s:s, s:s}]}", "drift", "id", "file:f", "why", "differs",
                      "id", "galera:d", "why", "differs"));
    assert_false(s->worker.wanted);
    assert_true(s->drift.done == 7);
    sup_drift_ask(s, 8, true, true);
    look(s, drifted());
    assert_true(s->drift.done != 8);
    run_ends(s);
    look(s, json_pack("{s:[{s:s, s:s}]}", "drift", "id", "mount:m", "why", "differs"));
    assert_false(s->worker.wanted);
    assert_true(s->drift.done == 8);
    sup_drift_ask(s, 9, true, true);
    sup_drift_ask(s, 10, true, false); /* somebody wants all of it */
    look(s, json_pack("{s:[{s:s, s:s}]}", "drift", "id", "mount:m", "why", "differs"));
    assert_true(s->drift.done != 10);
    run_ends(s);
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->drift.done == 10);
}

/* A look that fails is no answer. */
static void test_look_fails(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    sup_drift_ask(s, 7, true, false);
    look(s, json_object());
    assert_true(s->drift.done != 7);
    run_ends(s);
    look(s, NULL);
    assert_true(s->drift.done != 7);
    assert_false(s->worker.wanted);
    s->drift.at = 0; /* a while later */
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->drift.done == 7);
}

/* When the loop is to come back for it: not while a run is at work or a job under way. */
static void test_due(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    s->drift.next = 5000;
    s->drift.at = 1000;
    assert_true(sup_drift.due(s, 0) == 5000);
    sup_drift_ask(s, 7, true, false);
    s->drift.at = 1000;
    assert_true(sup_drift.due(s, 0) == 1000);
    s->worker.wanted = true;
    assert_true(sup_drift.due(s, 0) == UINT64_MAX);
    assert_true(sup_worker.due(s, 0) == s->worker.next);
    s->worker.wanted = false;
    s->drift.job.pid = 1;
    assert_true(sup_drift.due(s, 0) == UINT64_MAX);
    s->drift.job.pid = 0;
}

/* It was asked while a run was at work, or one that failed waits: first that, then the look. */
static void test_during_a_run(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    s->worker.wanted = true;
    s->worker.next = UINT64_MAX;
    sup_drift_ask(s, 7, true, false);
    assert_true(s->worker.next == 0);
    sup_drift.tick(s, clock_mono_ms());
    assert_int_equal(s->drift.job.pid, 0);
    run_ends(s);
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->drift.done == 7);
}

/* A look that began before the question does not answer it. */
static void test_older_look(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    s->drift.next = 0;
    sup_drift.tick(s, clock_mono_ms());
    assert_true(s->drift.job.pid > 0);
    sup_drift_ask(s, 7, true, false);
    end_job(s);
    json_t *answer = json_pack("{s:[]}", "drift");
    sup_drift_answer(s, answer);
    json_decref(answer);
    assert_true(s->drift.done != 7);
    look(s, json_pack("{s:[]}", "drift"));
    assert_true(s->drift.done == 7);
}

/* A plan that no worker takes. */
static json_t *bad_plan(const char *type)
{
    _cleanup_free_ char *id = str_fmt("%s:x", type);

    return json_pack("{s:i, s:s, s:s, s:s, s:[{s:s, s:s}]}", "version", 1, "deployment", "d",
                     "node", "n", "rev", "0123456789abcdef", "resources", "type", type, "id", id);
}

static void take(struct supervisor *s, const char *type)
{
    json_t *plan = bad_plan(type);

    str_copy(s->worker.node, sizeof(s->worker.node), "n");
    strcpy(s->boot.deployment, "d");
    sup_plan_take(s, plan);
    json_decref(plan);
}

static void check_ends(struct supervisor *s)
{
    int status = 0;
    pid_t pid = s->worker.check.pid;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(sup_worker.died(s, pid, status));
}

/* The supervisor does not wait for the worker that judges; of plans that come meanwhile the latest
 * is judged next. */
static void test_plan_is_judged_by_a_job(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    take(s, "one");
    assert_int_equal(outbox_count(s->outbox), 0);
    take(s, "two");
    take(s, "three");
    check_ends(s);
    assert_int_equal(outbox_count(s->outbox), 2); /* refused, aborted */
    assert_non_null(strstr(outbox_next(s->outbox), "type 'one' is not known"));
    check_ends(s);
    assert_int_equal(outbox_count(s->outbox), 4);
    outbox_next(s->outbox);
    assert_non_null(strstr(outbox_next(s->outbox), "type 'three' is not known"));
    assert_int_equal(s->worker.check.pid, 0);
    assert_null(s->worker.came);
    assert_string_equal(sup_plan_rev(s), "");
}

static void refused(struct supervisor *s, const char *text, const char *sig, const char *why)
{
    size_t before = outbox_count(s->outbox);

    sup_plan_came(s, text, sig);
    assert_int_equal(outbox_count(s->outbox), before + 2);
    if (!strstr(outbox_next(s->outbox), why))
        fail_msg("not refused because: %s", why);
    outbox_next(s->outbox);
    assert_int_equal(s->worker.check.pid, 0);
}

/* What the net process brings counts only when the controller signed it, and once. */
static void test_signed_plan(void **state)
{
    struct world *w = *state;
    struct supervisor *s = &w->s;
    static const char text[] = "{\"counter\":7,\"plan\":{}}", bare[] = "{\"counter\":9}";
    _cleanup_free_ char *path = str_fmt("%s/counter", w->dir);
    char sig[SIGN_HEX_SIZE], of_other[SIGN_HEX_SIZE], of_bare[SIGN_HEX_SIZE],
        other_use[SIGN_HEX_SIZE];
    struct sign_pair own, other;
    json_t *plan = NULL;
    uint64_t counter = 0;
    struct err err;

    keys_sign_new(&own);
    keys_sign_new(&other);
    memcpy(s->boot.sign_key, own.pub, KEY_SIZE);
    signed_make(&own, SIGNED_PLAN, text, sig);
    signed_make(&own, SIGNED_PLAN, bare, of_bare);
    signed_make(&own, "another use", text, other_use);
    signed_make(&other, SIGNED_PLAN, text, of_other);

    refused(s, text, "", "is not signed");
    refused(s, text, "00", "its signature");
    refused(s, text, of_other, "its signature");
    refused(s, text, other_use, "its signature");
    refused(s, "{\"counter\":8,\"plan\":{}}", sig, "its signature"); /* changed on the way */
    refused(s, bare, of_bare, "'plan'");
    s->worker.counter = 7; /* it came before */
    refused(s, text, sig, "an older one again");
    s->worker.counter = 100;
    refused(s, text, sig, "an older one again");
    strcpy(s->worker.no_counter, "torn");
    refused(s, text, sig, "torn");

    assert_int_equal(signed_plan_open(own.pub, text, sig, 6, &plan, &counter, &err), 0);
    assert_true(json_is_object(plan) && counter == 7);
    json_decref(plan);
    assert_int_equal(signed_plan_load(path, &counter, &err), 0);
    assert_int_equal(counter, 0);
    assert_int_equal(signed_plan_save(path, 7, &err), 0);
    assert_int_equal(signed_plan_load(path, &counter, &err), 0);
    assert_int_equal(counter, 7);
    assert_int_equal(fs_write_atomic(path, "x", 1, 0600, &err), 0);
    assert_int_equal(signed_plan_load(path, &counter, &err), -1);
}

/* A worker that hangs: its end is due, and is no verdict. */
static void test_plan_without_a_verdict(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;

    take(s, "one");
    kill(s->worker.check.pid, SIGSTOP);
    uint64_t due = sup_worker.due(s, clock_mono_ms());
    assert_true(due > clock_mono_ms() && due != UINT64_MAX);
    sup_worker.tick(s, due);
    check_ends(s);
    assert_non_null(strstr(outbox_next(s->outbox), "could not be checked"));
    assert_false(s->worker.wanted);
}

/* It waits like one that ended, whatever the reason is (here: no descriptor is left). */
static void test_look_cannot_be_started(void **state)
{
    struct supervisor *s = &((struct world *)*state)->s;
    struct rlimit usual, none;
    uint64_t now = clock_mono_ms();

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none = (struct rlimit){0, usual.rlim_max};
    s->watch.site = json_object();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    sup_watch.tick(s, now);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_int_equal(s->watch.job.pid, 0);
    assert_true(sup_watch.due(s, now) > now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_differs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_mended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_both_ask, setup, teardown),
        cmocka_unit_test_setup_teardown(test_careful, setup, teardown),
        cmocka_unit_test_setup_teardown(test_look_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_during_a_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plan_is_judged_by_a_job, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signed_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plan_without_a_verdict, setup, teardown),
        cmocka_unit_test_setup_teardown(test_due, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_look, setup, teardown),
        cmocka_unit_test_setup_teardown(test_look_cannot_be_started, setup, teardown),
    };

    if (fs_exists(PATH_PLAN)) /* a node: its plan is not for tests to run */
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
