/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ipc/msg.h"

#include <string.h>

#include "common/js.h"

#define MEMBERS_MAX 8

enum type { END, STR, U64, I64, BOOL, OBJ, OBJ_OR_NULL, NAMES, ACTION };

struct member {
    const char *name;
    enum type type;
    bool optional;
};

static const struct {
    const char *name;
    enum ipc_side to;
    struct member members[MEMBERS_MAX];
} table[IPC_MSGS] = {
    [IPC_INFO] = {"info", IPC_NET, {{"rev", STR, false}, {"last_seq", U64, false}}},
    [IPC_EVENT] = {"event", IPC_NET, {{"event", OBJ, false}}},
    [IPC_STATE] = {"state", IPC_NET, {{"state", OBJ, false}}},
    [IPC_TRIM] = {"trim", IPC_NET, {{0}}},
    [IPC_CLUSTER] = {"cluster", IPC_NET, {{"galera", OBJ, false}, {"record", OBJ_OR_NULL, false}}},
    [IPC_SAVED] = {"saved", IPC_NET, {{0}}},
    [IPC_DB] = {"db", IPC_NET, {{"db", OBJ, false}}},
    [IPC_RESULT] = {"result",
                    IPC_NET,
                    {{"what", ACTION, false},
                     {"ok", BOOL, false},
                     {"why", STR, false},
                     {"position", OBJ, false}}},
    [IPC_RECOVER] = {"recover", IPC_NET, {{"lost", STR, false}}},
    [IPC_BOUND] = {"bound", IPC_SUPERVISOR, {{0}}},
    [IPC_ONLINE] = {"online", IPC_SUPERVISOR, {{0}}},
    [IPC_ACK] = {"ack", IPC_SUPERVISOR, {{"seq", U64, false}}},
    [IPC_LOOK] = {"look", IPC_SUPERVISOR, {{"id", U64, false}}},
    [IPC_PLAN] = {"plan", IPC_SUPERVISOR, {{"plan", OBJ, false}}},
    [IPC_SAVE] = {"save", IPC_SUPERVISOR, {{"record", OBJ, false}}},
    [IPC_DO] = {"do",
                IPC_SUPERVISOR,
                {{"what", ACTION, false},
                 {"epoch", U64, false},
                 {"small", BOOL, false},
                 {"position", OBJ, false},
                 {"cluster_id", STR, true},
                 {"uuid", STR, true},
                 {"base", I64, true},
                 {"lost", STR, true}}},
    [IPC_COORDINATOR] = {"coordinator",
                         IPC_SUPERVISOR,
                         {{"state", STR, false},
                          {"why", STR, false},
                          {"waiting_for", NAMES, false},
                          {"epoch", U64, false},
                          {"stable", BOOL, false}}},
    [IPC_RECOVERED] = {"recovered", IPC_SUPERVISOR, {{"ok", BOOL, false}, {"why", STR, false}}},
};

static const char *const actions[IPC_ACTIONS] = {
    [IPC_POSITION] = "position", [IPC_BOOT] = "boot",       [IPC_JOIN] = "join",
    [IPC_STOP] = "stop",         [IPC_ABANDON] = "abandon", [IPC_ROW] = "row",
};

const char *ipc_msg_name(enum ipc_msg m)
{
    return table[m].name;
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
    case END:
        break;
    }
    return false;
}

int ipc_decode(const json_t *msg, enum ipc_side side, enum ipc_msg *ret, struct err *err)
{
    const char *name = js_opt_str(msg, "m", "");
    size_t known = 2; /* m and v */
    int m = 0;
    if (js_opt_u64(msg, "v", 0) != IPC_VERSION)
        return err_set(err, ERR_FAILED,
                       "the agent's programs are of different versions; restart muster-agent");
    while (m < IPC_MSGS && (strcmp(table[m].name, name) != 0 || table[m].to != side))
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
