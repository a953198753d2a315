/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent-worker job WHAT`: one look at the database and the web server, or for drift, or at
 * a plan that came, or one action of the coordinator. The request is a message (agent/ipc/msg.h) on
 * descriptor 3, the answer one on 4; WHAT is for those who list processes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cluster/codec.h"
#include "agent/frontdoor/frontdoor.h"
#include "agent/galera/arbitrator.h"
#include "agent/galera/galera.h"
#include "agent/ipc/cmd.h"
#include "agent/ipc/msg.h"
#include "agent/ipc/paths.h"
#include "agent/sys/webcheck.h"
#include "agent/worker/engine.h"
#include "agent/worker/measure.h"
#include "agent/worker/verbs.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/str.h"

#define REQUEST_MAX (PLAN_SIZE_MAX + 65536)

/* The site as its visitors see it on this node; `step`: the plan's. */
static json_t *look_web(const json_t *step)
{
    const char *page = js_opt_str(step, "page", NULL);
    const struct visit_wanted wanted = {page ? page : "/", page != NULL,
                                        js_opt_str(step, "expect", "")};
    struct webcheck seen;

    webcheck_visit(webcheck_port(step), js_opt_str(step, "site", ""), &wanted, &seen);
    if (seen.status && webcheck_php(WEBCHECK_PID_FILE) == 0)
        str_copy(seen.why, sizeof(seen.why), "PHP is not active in Apache");
    return json_pack("{s:i, s:o}", "status", seen.status, "why", js_string(seen.why));
}

/* At what is there of the group: a member's database, or the arbitrator. */
static json_t *look_group(const json_t *step, uint64_t epoch)
{
    if (!json_is_object(step) || !fs_exists(GALERA_READY))
        return json_null();
    return arbitrator_is(step) ? arbitrator_status()
                               : galera_status(epoch, js_opt_str(step, "datadir", ""));
}

static json_t *look(const json_t *request)
{
    const json_t *web = json_object_get(request, "web");
    struct err ignored; /* one that does not run is the step's to name */

    if (frontdoor_exists())
        frontdoor_follow(FRONTDOOR_SOCKET, &ignored);

    return json_pack(
        "{s:o, s:o}", "db",
        look_group(json_object_get(request, "galera"), js_opt_u64(request, "epoch", 0)), "web",
        json_is_object(web) ? look_web(web) : json_null());
}

static void note_drift(void *ctx, const struct event *ev)
{
    json_t *list = ctx;
    _cleanup_json_ json_t *j = event_to_json(ev); /* its message is UTF-8 */

    if ((ev->kind == EVENT_NOTE || ev->kind == EVENT_REFUSED) &&
        json_array_size(list) < IPC_DRIFT_MAX)
        json_array_append_new(
            list, json_pack("{s:s, s:O}", "id", ev->id, "why", json_object_get(j, "msg")));
}

/* What differs from the plan on disk; null when there is none to compare with. */
static json_t *drift(void)
{
    _cleanup_(plan_cleanup) struct plan *plan = NULL;
    struct engine_result res;
    struct err err = {0};

    if (plan_load(PATH_PLAN, &plan, &err) < 0)
        return json_pack("{s:n}", "drift");
    json_t *list = json_array();
    engine_check(plan, note_drift, list, &res, &err); /* a refusal is drift, too */
    return json_pack("{s:o}", "drift", list);
}

/* Would this agent take that plan? */
static json_t *judge(const json_t *request)
{
    _cleanup_(plan_cleanup) struct plan *plan = NULL;
    struct err err = {0};
    char *text = js_text(json_object_get(request, "plan"));
    int r = plan_parse(text, strlen(text), &plan, &err);

    keys_wipe(text, strlen(text));
    free(text);
    return json_pack("{s:b, s:o}", "ok", r == 0, "why", js_string(r < 0 ? err.msg : ""));
}

static int row(const struct galera *g, uint64_t epoch, const json_t *msg, struct err *err)
{
    struct cluster_value v = {0};

    str_copy(v.cluster_id, sizeof(v.cluster_id), js_opt_str(msg, "cluster_id", ""));
    str_copy(v.uuid, sizeof(v.uuid), js_opt_str(msg, "uuid", ""));
    str_copy(v.lost, sizeof(v.lost), js_opt_str(msg, "lost", ""));
    v.base = (int64_t)json_integer_value(json_object_get(msg, "base"));
    return galera_row(g, epoch, &v, err);
}

static int perform(enum ipc_action what, const json_t *request, struct cluster_position *p,
                   struct err *err)
{
    const json_t *step = json_object_get(request, "galera");
    struct galera g = {0};
    uint64_t epoch = js_opt_u64(request, "epoch", 0);

    if (arbitrator_is(step))
        return what == IPC_JOIN   ? arbitrator_start(err)
               : what == IPC_STOP ? arbitrator_stop(err)
                                  : err_set(err, ERR_USAGE, "an arbitrator has no data");
    if (galera_read(step, &g, err) < 0)
        return -1;
    if (what == IPC_POSITION)
        return galera_position(&g, p, err);
    if (cluster_position_from_json(json_object_get(request, "position"), p, err) < 0)
        return -1;
    switch (what) {
    case IPC_BOOT:
        return galera_boot(&g, epoch, p, err);
    case IPC_JOIN:
        return galera_join(&g, epoch, p, js_opt_bool(request, "small", false),
                           js_opt_bool(request, "whole", false), js_opt_u64(request, "bytes", 0),
                           err);
    case IPC_STOP:
        return galera_stop(err);
    case IPC_ABANDON:
        return galera_abandon(err);
    case IPC_REJECT:
        return galera_reject(err);
    case IPC_WEIGHT:
        return galera_weight(&g, err);
    case IPC_EVICT:
        return galera_evict(js_opt_str(request, "uuid", ""), err);
    case IPC_ROW:
        return row(&g, epoch, request, err);
    default:
        return err_set(err, ERR_USAGE, "no such action");
    }
}

static json_t *action(const json_t *request)
{
    struct cluster_position p = {.kind = DATADIR_UNKNOWN, .seqno = -1};
    struct err err = {0};
    enum ipc_action what;
    const char *name = js_opt_str(request, "what", "");
    int r = ipc_action_find(name, &what) < 0 ? err_set(&err, ERR_USAGE, "no action '%.20s'", name)
                                             : perform(what, request, &p, &err);

    return json_pack("{s:s, s:b, s:o, s:o, s:o}", "what", name, "ok", r == 0, "why",
                     js_string(err.msg), "note", js_string(galera_note()), "position",
                     cluster_position_to_json(&p));
}

static json_t *work(enum ipc_msg m, const json_t *request)
{
    switch (m) {
    case IPC_JOB_PLAN:
        return judge(request);
    case IPC_JOB_LOOK:
        return look(request);
    case IPC_JOB_DRIFT:
        return drift();
    case IPC_JOB_MEASURE:
        log_open("muster-agent[measure]");
        return measure_job(request);
    case IPC_JOB_ENGINES:
        log_open("muster-agent[db]");
        return galera_engines(json_is_true(json_object_get(request, "first")));
    default:
        log_open("muster-agent[db]");
        return action(request);
    }
}

int cmd_job(int argc, char **argv)
{
    struct err err = {0};
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *request = NULL;
    size_t len = 0;
    enum ipc_msg m;

    (void)argv;
    if (argc != 2)
        return cmd_usage("help", "job: needs a kind");
    if (fs_read("/proc/self/fd/3", REQUEST_MAX, &text, &len, &err) < 0 ||
        js_parse(text, len, &request, &err) < 0 || ipc_decode(request, IPC_TO_WORKER, &m, &err) < 0)
        return cmd_fail(&err);
    _cleanup_json_ json_t *answer = ipc_make(ipc_answer(m), work(m, request));
    _cleanup_free_ char *line = js_text(answer);
    return dprintf(4, "%s\n", line) < 0 ? ERR_FAILED : 0;
}
