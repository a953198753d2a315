/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent-worker job WHAT`: one look at the database and the web server, or for drift, or at
 * a plan that came, or one action of the coordinator. The request is a JSON text on descriptor 3,
 * the answer a line on 4. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/cluster/codec.h"
#include "agent/galera/galera.h"
#include "agent/ipc/cmd.h"
#include "agent/ipc/msg.h"
#include "agent/ipc/paths.h"
#include "agent/sys/webcheck.h"
#include "agent/worker/engine.h"
#include "agent/worker/verbs.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/str.h"

#define REQUEST_MAX (PLAN_SIZE_MAX + 65536)

static json_t *look(const json_t *request)
{
    json_t *answer = json_object();
    const char *health = js_opt_str(request, "health", "");
    if (json_object_get(request, "galera") && fs_exists(GALERA_READY))
        json_object_set_new(answer, "db", galera_look(js_opt_u64(request, "epoch", 0)));
    if (*health)
        json_object_set_new(answer, "web", json_integer(webcheck_status(health)));
    return answer;
}

#define DRIFT_MAX 32

static void note_drift(void *ctx, const struct event *ev)
{
    json_t *list = ctx;
    _cleanup_json_ json_t *j = event_to_json(ev); /* its message is UTF-8 */
    if ((ev->kind == EVENT_NOTE || ev->kind == EVENT_REFUSED) && json_array_size(list) < DRIFT_MAX)
        json_array_append_new(
            list, json_pack("{s:s, s:O}", "id", ev->id, "why", json_object_get(j, "msg")));
}

/* What differs from the plan on disk; NULL when there is none to compare with. */
static json_t *drift(void)
{
    _cleanup_(plan_cleanup) struct plan *plan = NULL;
    struct engine_result res;
    struct err err = {0};
    if (plan_load(PATH_PLAN, &plan, &err) < 0)
        return json_object();
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
    return json_pack("{s:b, s:s}", "ok", r == 0, "why", err.msg);
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
    struct galera g = {0};
    const json_t *msg = json_object_get(request, "msg");
    uint64_t epoch = js_opt_u64(msg, "epoch", 0);
    if (galera_read(json_object_get(request, "galera"), &g, err) < 0)
        return -1;
    if (what == IPC_POSITION)
        return galera_position(&g, p, err);
    if (cluster_position_from_json(json_object_get(msg, "position"), p, err) < 0)
        return -1;
    switch (what) {
    case IPC_BOOT:
        return galera_boot(&g, epoch, p, err);
    case IPC_JOIN:
        return galera_join(&g, epoch, p, json_is_true(json_object_get(msg, "small")), err);
    case IPC_STOP:
        return galera_stop(err);
    case IPC_ABANDON:
        return galera_abandon(err);
    case IPC_ROW:
        return row(&g, epoch, msg, err);
    default:
        return err_set(err, ERR_USAGE, "no such action");
    }
}

static json_t *action(const char *name, const json_t *request)
{
    struct cluster_position p = {.kind = DATADIR_UNKNOWN, .seqno = -1};
    struct err err = {0};
    enum ipc_action what;
    int r = ipc_action_find(name, &what) < 0 ? err_set(&err, ERR_USAGE, "no job '%.20s'", name)
                                             : perform(what, request, &p, &err);
    return json_pack("{s:s, s:b, s:s, s:o}", "what", name, "ok", r == 0, "why", err.msg, "position",
                     cluster_position_to_json(&p));
}

int cmd_job(int argc, char **argv)
{
    struct err err = {0};
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *request = NULL;
    size_t len = 0;
    if (argc != 2)
        return cmd_usage("help", "job: needs a kind");
    bool looks = strcmp(argv[1], "look") == 0, drifts = strcmp(argv[1], "drift") == 0;
    bool engines = strcmp(argv[1], "engines") == 0, plan = strcmp(argv[1], "plan") == 0;
    if (!looks && !drifts && !plan)
        log_open("muster-agent[db]");
    if (fs_read("/proc/self/fd/3", REQUEST_MAX, &text, &len, &err) < 0 ||
        js_parse(text, len, &request, &err) < 0)
        return cmd_fail(&err);
    json_t *answer = engines  ? galera_engines(json_is_true(json_object_get(request, "first")))
                     : drifts ? drift()
                     : looks  ? look(request)
                     : plan   ? judge(request)
                              : action(argv[1], request);
    _cleanup_free_ char *line = js_text(answer);
    json_decref(answer);
    return dprintf(4, "%s\n", line) < 0 ? ERR_FAILED : 0;
}
