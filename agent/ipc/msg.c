/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ipc/msg.h"

#include <string.h>

#include "common/js.h"

#define MEMBERS_MAX 11

enum type {
    END,
    STR,
    U64,
    I64,
    BOOL,
    OBJ,
    OBJ_OR_NULL,
    NAMES,
    ACTION,
    DRIFT_OR_NULL,
    VISIT_OR_NULL
};

#define STATUS_MAX 999 /* of HTTP */

struct member {
    const char *name;
    enum type type;
    bool optional;
};

/* What an action on the database is told, by whoever orders it and by whoever passes it on. */
/* clang-format off */
#define ACTION_MEMBERS \
    {"what", ACTION, false}, {"epoch", U64, false}, {"small", BOOL, false}, \
    {"whole", BOOL, false}, {"bytes", U64, false}, {"position", OBJ, false}, \
    {"cluster_id", STR, true}, {"uuid", STR, true}, {"base", I64, true}, {"lost", STR, true}
/* clang-format on */

static const struct {
    const char *name;
    enum ipc_way way;
    struct member members[MEMBERS_MAX];
} table[IPC_MSGS] = {
    [IPC_INFO] = {"info",
                  IPC_TO_NET,
                  {{"rev", STR, false}, {"last_seq", U64, false}, {"counter", U64, false}}},
    [IPC_EVENT] = {"event", IPC_TO_NET, {{"event", OBJ, false}}},
    [IPC_STATE] = {"state", IPC_TO_NET, {{"state", OBJ, false}}},
    [IPC_TRIM] = {"trim", IPC_TO_NET, {{0}}},
    [IPC_CLUSTER] = {"cluster",
                     IPC_TO_NET,
                     {{"galera", OBJ, false}, {"record", OBJ_OR_NULL, false}}},
    [IPC_SAVED] = {"saved", IPC_TO_NET, {{0}}},
    [IPC_DB] = {"db", IPC_TO_NET, {{"db", OBJ, false}, {"leaving", BOOL, false}}},
    [IPC_RESULT] = {"result",
                    IPC_TO_NET,
                    {{"what", ACTION, false},
                     {"ok", BOOL, false},
                     {"why", STR, false},
                     {"position", OBJ, false}}},
    [IPC_ASK] = {"ask",
                 IPC_TO_NET,
                 {{"id", U64, false},
                  {"what", STR, false},
                  {"node", STR, false},
                  {"because", STR, false},
                  {"keep", BOOL, false}}},
    [IPC_MEASURED] = {"measured",
                      IPC_TO_NET,
                      {{"id", U64, false},
                       {"ok", BOOL, false},
                       {"why", STR, false},
                       {"figures", OBJ_OR_NULL, false}}},
    [IPC_BOUND] = {"bound", IPC_FROM_NET, {{0}}},
    [IPC_ONLINE] = {"online", IPC_FROM_NET, {{0}}},
    [IPC_ACK] = {"ack", IPC_FROM_NET, {{"seq", U64, false}}},
    [IPC_LOOK] = {"look",
                  IPC_FROM_NET,
                  {{"id", U64, false}, {"repair", BOOL, false}, {"careful", BOOL, false}}},
    [IPC_PLAN] = {"plan", IPC_FROM_NET, {{"text", STR, false}, {"sig", STR, false}}},
    [IPC_SAVE] = {"save", IPC_FROM_NET, {{"record", OBJ, false}}},
    [IPC_DO] = {"do", IPC_FROM_NET, {ACTION_MEMBERS}},
    [IPC_COORDINATOR] = {"coordinator",
                         IPC_FROM_NET,
                         {{"state", STR, false},
                          {"why", STR, false},
                          {"waiting_for", NAMES, false},
                          {"epoch", U64, false},
                          {"stable", BOOL, false},
                          {"join_bytes", U64, true}}},
    [IPC_ANSWER] = {"answer",
                    IPC_FROM_NET,
                    {{"id", U64, false},
                     {"ok", BOOL, false},
                     {"why", STR, false},
                     {"view", OBJ_OR_NULL, false}}},
    [IPC_MEASURE] = {"measure", IPC_FROM_NET, {{"id", U64, false}, {"order", OBJ, false}}},
    [IPC_JOB_PLAN] = {"job-plan", IPC_TO_WORKER, {{"plan", OBJ, false}}},
    [IPC_JOB_LOOK] = {"job-look",
                      IPC_TO_WORKER,
                      {{"epoch", U64, false},
                       {"web", OBJ_OR_NULL, false},
                       {"galera", OBJ_OR_NULL, false}}},
    [IPC_JOB_DRIFT] = {"job-drift", IPC_TO_WORKER, {{0}}},
    [IPC_JOB_ENGINES] = {"job-engines", IPC_TO_WORKER, {{"first", BOOL, false}}},
    [IPC_JOB_MEASURE] = {"job-measure", IPC_TO_WORKER, {{"order", OBJ, false}}},
    [IPC_JOB_ACTION] = {"job-action", IPC_TO_WORKER, {{"galera", OBJ, false}, ACTION_MEMBERS}},
    [IPC_RUN_EVENT] = {"run-event", IPC_FROM_WORKER, {{"event", OBJ, false}}},
    [IPC_DID_PLAN] = {"did-plan", IPC_FROM_WORKER, {{"ok", BOOL, false}, {"why", STR, false}}},
    [IPC_DID_LOOK] = {"did-look",
                      IPC_FROM_WORKER,
                      {{"db", OBJ_OR_NULL, false}, {"web", VISIT_OR_NULL, false}}},
    [IPC_DID_DRIFT] = {"did-drift", IPC_FROM_WORKER, {{"drift", DRIFT_OR_NULL, false}}},
    [IPC_DID_ENGINES] = {"did-engines",
                         IPC_FROM_WORKER,
                         {{"changed", NAMES, false},
                          {"pending", BOOL, false},
                          {"failed", STR, false}}},
    [IPC_DID_MEASURE] = {"did-measure",
                         IPC_FROM_WORKER,
                         {{"ok", BOOL, false},
                          {"why", STR, false},
                          {"figures", OBJ_OR_NULL, false}}},
    [IPC_DID_ACTION] = {"did-action",
                        IPC_FROM_WORKER,
                        {{"what", ACTION, false},
                         {"ok", BOOL, false},
                         {"why", STR, false},
                         {"note", STR, true},
                         {"position", OBJ, false}}},
};

static const char *const actions[IPC_ACTIONS] = {
    [IPC_POSITION] = "position", [IPC_BOOT] = "boot",       [IPC_JOIN] = "join",
    [IPC_STOP] = "stop",         [IPC_ABANDON] = "abandon", [IPC_ROW] = "row",
    [IPC_REJECT] = "reject",     [IPC_WEIGHT] = "weight",   [IPC_EVICT] = "evict",
};

const char *ipc_msg_name(enum ipc_msg m)
{
    return table[m].name;
}

enum ipc_msg ipc_answer(enum ipc_msg job)
{
    switch (job) {
    case IPC_JOB_PLAN:
        return IPC_DID_PLAN;
    case IPC_JOB_LOOK:
        return IPC_DID_LOOK;
    case IPC_JOB_DRIFT:
        return IPC_DID_DRIFT;
    case IPC_JOB_ENGINES:
        return IPC_DID_ENGINES;
    case IPC_JOB_MEASURE:
        return IPC_DID_MEASURE;
    case IPC_JOB_ACTION:
        return IPC_DID_ACTION;
    default:
        return IPC_MSGS;
    }
}

const char *ipc_action_name(enum ipc_action a)
{
    return actions[a];
}

int ipc_action_find(const char *name, enum ipc_action *ret)
{
    for (int i = 0; i < IPC_ACTIONS; i++) {
        if (strcmp(actions[i], name) == 0) {
            *ret = (enum ipc_action)i;
            return 0;
        }
    }
    return -1;
}

json_t *ipc_make(enum ipc_msg m, json_t *members)
{
    if (!members)
        members = json_object();
    json_object_set_new(members, "m", json_string(table[m].name));
    json_object_set_new(members, "v", json_integer(IPC_VERSION));
    return members;
}

static bool names(const json_t *v)
{
    size_t i;
    json_t *one;

    json_array_foreach(v, i, one)
    {
        if (!json_is_string(one))
            return false;
    }
    return json_is_array(v);
}

static bool drift(const json_t *v)
{
    size_t i;
    json_t *one;

    json_array_foreach(v, i, one)
    {
        if (json_object_size(one) != 2 || !json_is_string(json_object_get(one, "id")) ||
            !json_is_string(json_object_get(one, "why")))
            return false;
    }
    return json_is_array(v) && json_array_size(v) <= IPC_DRIFT_MAX;
}

static bool visit(const json_t *v)
{
    const json_t *status = json_object_get(v, "status");

    return json_object_size(v) == 2 && json_is_integer(status) && json_integer_value(status) >= 0 &&
           json_integer_value(status) <= STATUS_MAX && json_is_string(json_object_get(v, "why"));
}

static bool has_type(const json_t *v, enum type type)
{
    enum ipc_action action;

    switch (type) {
    case STR:
        return json_is_string(v);
    case U64:
        return json_is_integer(v) && json_integer_value(v) >= 0;
    case I64:
        return json_is_integer(v);
    case BOOL:
        return json_is_boolean(v);
    case OBJ:
        return json_is_object(v);
    case OBJ_OR_NULL:
        return json_is_object(v) || json_is_null(v);
    case NAMES:
        return names(v);
    case ACTION:
        return json_is_string(v) && ipc_action_find(json_string_value(v), &action) == 0;
    case DRIFT_OR_NULL:
        return drift(v) || json_is_null(v);
    case VISIT_OR_NULL:
        return visit(v) || json_is_null(v);
    case END:
        break;
    }
    return false;
}

int ipc_decode(const json_t *msg, enum ipc_way way, enum ipc_msg *ret, struct err *err)
{
    const char *name = js_opt_str(msg, "m", "");
    size_t known = 2; /* m and v */
    int m = 0;

    if (js_opt_u64(msg, "v", 0) != IPC_VERSION)
        return err_set(err, ERR_FAILED,
                       "the agent's programs are of different versions; restart muster-agent");
    while (m < IPC_MSGS && (strcmp(table[m].name, name) != 0 || table[m].way != way))
        m++;
    if (m == IPC_MSGS)
        return err_set(err, ERR_FAILED, "unknown message '%.20s'", name);
    for (const struct member *f = table[m].members;
         f < table[m].members + MEMBERS_MAX && f->type != END; f++) {
        const json_t *v = json_object_get(msg, f->name);

        known += v != NULL;
        if (v ? !has_type(v, f->type) : !f->optional)
            return err_set(err, ERR_FAILED, "message '%s': member '%s' is missing or malformed",
                           name, f->name);
    }
    if (json_object_size(msg) != known)
        return err_set(err, ERR_FAILED, "message '%s': it has a member that is not known", name);
    *ret = (enum ipc_msg)m;
    return 0;
}
