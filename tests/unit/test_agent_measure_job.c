/* SPDX-License-Identifier: Apache-2.0 */
/* The jobs of the network test: what the supervisor refuses and ends, and ping and iperf3 for real
 * on loopback. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/measure/measure.h"
#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/str.h"

static const struct nettest_order order = {
    .what = NETTEST_THROUGHPUT, .node = "par", .seconds = 10, .streams = 10};

/* ---- the supervisor ---- */

struct world {
    struct supervisor s;
    struct chan net;
};

static int setup(void **state)
{
    static struct world w;
    int pair[2];

    memset(&w, 0, sizeof(w));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    chan_open(&w.s.net.chan, pair[0]);
    chan_open(&w.net, pair[1]);
    w.s.net.pid = getpid();
    w.s.worker.phase = PHASE_READY;
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    if (w->s.measure.job.pid) {
        kill(w->s.measure.job.pid, SIGKILL);
        waitpid(w->s.measure.job.pid, NULL, 0);
        close(w->s.measure.job.answer);
    }
    sup_measure.stop(&w->s);
    json_decref(w->s.cluster.galera);
    json_decref(w->s.watch.db);
    chan_close(&w->s.net.chan);
    chan_close(&w->net);
    return 0;
}

static void take(struct world *w, uint64_t id, const struct nettest_order *o)
{
    _cleanup_json_ json_t *msg = ipc_make(
        IPC_MEASURE, json_pack("{s:I, s:o}", "id", (json_int_t)id, "order", nettest_order_json(o)));

    sup_measure_take(&w->s, msg);
}

/* The answer that went to the net process is of that number, and says so. */
static void answered(struct world *w, uint64_t id, bool ok, const char *why)
{
    bool broken;
    enum ipc_msg m = IPC_MSGS;
    struct err err;

    chan_fill(&w->net);
    _cleanup_json_ json_t *j = chan_next(&w->net, &broken);
    assert_int_equal(ipc_decode(j, IPC_TO_NET, &m, &err), 0);
    assert_int_equal(m, IPC_MEASURED);
    assert_int_equal(js_opt_u64(j, "id", 0), id);
    assert_int_equal(js_opt_bool(j, "ok", !ok), ok);
    if (!strstr(js_opt_str(j, "why", ""), why))
        fail_msg("not '%s': %s", why, js_opt_str(j, "why", ""));
}

static void ends(struct world *w)
{
    pid_t pid = w->s.measure.job.pid;
    int status = 0;

    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(sup_measure.died(&w->s, pid, status));
}

/* This machine was born with no key that a roster could be verified by. */
static void test_job(void **state)
{
    struct world *w = *state;

    if (access("/etc/muster-agent/bootstrap.json", F_OK) == 0)
        skip();
    take(w, 7, &order);
    ends(w);
    answered(w, 7, false, "");
    assert_int_equal(w->s.measure.job.pid, 0);
}

static void test_order_refused(void **state)
{
    struct world *w = *state;
    _cleanup_json_ json_t *msg =
        ipc_make(IPC_MEASURE, json_pack("{s:i, s:{s:s}}", "id", 9, "order", "what", "latency"));

    sup_measure_take(&w->s, msg);
    answered(w, 9, false, "'node'");
    assert_int_equal(w->s.measure.job.pid, 0);
}

static void database_is(struct world *w, const char *is)
{
    json_decref(w->s.watch.db);
    w->s.watch.db = json_pack("{s:s}", "state", is);
}

/* Refused while it would disturb a state transfer, ended when one begins; not with force. */
static void test_transfer_refused(void **state)
{
    struct world *w = *state;
    struct nettest_order forced = order;

    w->s.cluster.galera = json_object();
    take(w, 1, &order);
    answered(w, 1, false, "not known");
    database_is(w, "Donor/Desynced");
    take(w, 2, &order);
    answered(w, 2, false, "gives its data");
    assert_int_equal(w->s.measure.job.pid, 0);

    database_is(w, "Synced");
    take(w, 3, &order);
    kill(w->s.measure.job.pid, SIGSTOP);
    sup_measure.tick(&w->s, clock_mono_ms());
    assert_string_equal(w->s.measure.why, "");
    database_is(w, "Donor/Desynced");
    sup_measure.tick(&w->s, clock_mono_ms());
    ends(w);
    answered(w, 3, false, "gives its data");

    forced.force = true;
    take(w, 4, &forced);
    kill(w->s.measure.job.pid, SIGSTOP);
    sup_measure.tick(&w->s, clock_mono_ms());
    assert_string_equal(w->s.measure.why, "");
}

/* One that hangs has an end, and one that nobody waits for makes room. */
static void test_ended(void **state)
{
    struct world *w = *state;

    take(w, 1, &order);
    kill(w->s.measure.job.pid, SIGSTOP);
    uint64_t due = sup_measure.due(&w->s, clock_mono_ms());
    assert_true(due > clock_mono_ms() && due != UINT64_MAX);
    take(w, 2, &order);
    take(w, 3, &order);
    ends(w);
    answered(w, 1, false, "took its place");
    kill(w->s.measure.job.pid, SIGSTOP);
    sup_measure.tick(&w->s, sup_measure.due(&w->s, clock_mono_ms()));
    ends(w);
    answered(w, 3, false, "too long");
    assert_int_equal(w->s.measure.job.pid, 0);
}

/* Packages are installed beside no run of a plan, and no run begins beside them. */
static void test_prepare(void **state)
{
    struct world *w = *state;
    const struct nettest_order prepare = {.what = NETTEST_PREPARE, .seconds = 1, .streams = 1};

    w->s.worker.wanted = true;
    take(w, 1, &prepare);
    answered(w, 1, false, "a run of its plan");
    w->s.worker.wanted = false;
    if (access(MEASURE_PING, X_OK) != 0 || access(MEASURE_IPERF, X_OK) != 0)
        skip();
    take(w, 2, &prepare);
    assert_true(sup_measure_installs(&w->s));
    take(w, 3, &order);
    answered(w, 3, false, "installs");
    assert_true(sup_measure.due(&w->s, clock_mono_ms()) == UINT64_MAX);
    ends(w);
    answered(w, 2, true, "");
    assert_false(sup_measure_installs(&w->s));
}

/* ---- for real ---- */

static void test_real(void **state)
{
    const struct measure_node here = {"127.0.0.1", "127.0.0.1", 0};
    struct nettest_order o = {.node = "fra", .seconds = 1, .streams = 2};
    _cleanup_json_ json_t *pings = NULL;
    _cleanup_json_ json_t *bits = NULL;
    _cleanup_json_ json_t *closed = NULL;
    struct nettest_latency l;
    struct nettest_throughput t;
    struct err err = {0};
    int status;

    (void)state;
    if (geteuid() != 0 || access(MEASURE_PING, X_OK) != 0 || access(MEASURE_IPERF, X_OK) != 0)
        skip();
    o.what = NETTEST_LATENCY;
    if (measure_run(&o, &here, &here, &pings, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(nettest_latency_parse(pings, &l, &err), 0);
    assert_int_equal(l.sent, NETTEST_PINGS_PER_SECOND);
    assert_true(l.received > 0 && l.min <= l.avg && l.avg <= l.max && l.p99 <= l.max);

    pid_t server = fork();
    if (server == 0) {
        json_t *none = NULL;

        o.what = NETTEST_SERVE;
        _exit(measure_run(&o, &here, &here, &none, &err) < 0);
    }
    o.what = NETTEST_THROUGHPUT;
    if (measure_run(&o, &here, &here, &bits, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(waitpid(server, &status, 0), server);
    assert_int_equal(status, 0); /* one client, then it is gone */
    assert_int_equal(nettest_throughput_parse(bits, &t, &err), 0);
    assert_true(t.reachable && t.bits_per_second > 0 && t.bytes > 0);

    o.public_side = true; /* no port of the gateway leads there */
    assert_int_equal(measure_run(&o, &here, &here, &closed, &err), 0);
    assert_int_equal(nettest_throughput_parse(closed, &t, &err), 0);
    assert_false(t.reachable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_job, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transfer_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prepare, setup, teardown),
        cmocka_unit_test(test_real),
    };
    struct err err;

    assert_int_equal(keys_init(&err), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
