/* SPDX-License-Identifier: Apache-2.0 */
/* A job of the network test: its programs are installed as a plan's are; whom it may reach stands
 * in the signed roster, never in the order. */
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "agent/measure/measure.h"
#include "agent/steps/step.h"
#include "agent/worker/measure.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proto.h"

#define LOCK_WAIT_S 60 /* for others that use apt */

static void emit_nothing(void *ctx, const struct event *ev)
{
    (void)ctx;
    (void)ev;
}

static bool have(const char *program)
{
    return access(program, X_OK) == 0;
}

static int install(json_t *names, struct err *err)
{
    const struct step_ops *ops = step_ops_find("package");
    _cleanup_json_ json_t *spec =
        json_pack("{s:s, s:s, s:o, s:i}", "type", "package", "id", "package:nettest", "names",
                  names, "lock_timeout", LOCK_WAIT_S);
    struct run run = {.node = "", .rev = "", .id = "package:nettest", .emit = emit_nothing};
    void *step = NULL;
    int rc = ops->parse(spec, &step, err);

    if (rc == 0)
        rc = ops->apply(step, &run, err);
    ops->free(step);
    return rc;
}

static int prepare(struct err *err)
{
    json_t *names = json_array();

    if (!have(MEASURE_PING))
        js_push_str(names, "iputils-ping");
    if (!have(MEASURE_IPERF))
        js_push_str(names, "iperf3");
    if (!json_array_size(names)) {
        json_decref(names);
        return 0;
    }
    return install(names, err);
}

static int measure(const struct nettest_order *o, json_t **ret, struct err *err)
{
    _cleanup_free_ char *file = NULL;
    struct measure_node self, other;
    struct bootstrap boot;
    size_t len = 0;

    if (!have(o->what == NETTEST_LATENCY ? MEASURE_PING : MEASURE_IPERF))
        return err_set(err, ERR_FAILED, "%s is not installed",
                       o->what == NETTEST_LATENCY ? MEASURE_PING : MEASURE_IPERF);
    if (bootstrap_load(PATH_BOOTSTRAP, &boot, err) < 0)
        return -1;
    if (fs_read(PATH_ROSTER, PROTO_MAIN_MAX, &file, &len, err) < 0)
        return err_wrap(err, "no roster yet");
    if (measure_roster_find(file, len, &boot, boot.node, &self, err) < 0 ||
        measure_roster_find(file, len, &boot, o->node, &other, err) < 0)
        return -1;
    return measure_run(o, &self, &other, ret, err);
}

json_t *measure_job(const json_t *request)
{
    _cleanup_json_ json_t *figures = NULL;
    struct nettest_order o;
    struct err err = {0};
    int rc = nettest_order_parse(json_object_get(request, "order"), &o, &err);

    if (rc == 0)
        rc = o.what == NETTEST_PREPARE ? prepare(&err) : measure(&o, &figures, &err);
    return json_pack("{s:b, s:o, s:O}", "ok", rc == 0, "why", js_string(rc < 0 ? err.msg : ""),
                     "figures", figures ? figures : json_null());
}
