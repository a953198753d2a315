/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of calls: which call, and what happens to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/faults/fault.h"

static const char *const actions[] = {
    [FAULT_ERROR] = "error",
    [FAULT_HTTP] = "http",
    [FAULT_LOSE] = "lose",
    [FAULT_RESET] = "reset",
    [FAULT_DELAY] = "delay",
    [FAULT_FAIL_JOB] = "fail-job",
    [FAULT_KILL_CLIENT] = "kill-client",
};

bool fault_name_matches(const char *pattern, const char *command)
{
    if (strcmp(pattern, "*") == 0)
        return true;
    if (strcmp(pattern, "write") == 0)
        return !str_starts(command, "list") && !str_starts(command, "query") &&
               !str_starts(command, "get");
    return strcasecmp(pattern, command) == 0;
}

static json_int_t number(const json_t *fault, const char *key)
{
    return json_integer_value(json_object_get(fault, key));
}

enum fault_action fault_action_of(const char *name)
{
    for (size_t i = FAULT_ERROR; i < ARRAY_LEN(actions); i++) {
        if (str_eq(actions[i], name))
            return (enum fault_action)i;
    }
    return FAULT_NONE;
}

bool fault_count(json_t *fault, const char *command, const char *account, bool has_job,
                 struct fault_hit *ret)
{
    const char *only = vdc_str(fault, "account");

    if (!str_eq(vdc_str(fault, "kind"), "call") ||
        !fault_name_matches(vdc_str(fault, "name"), command) || (*only && !str_eq(only, account)))
        return false;
    if (str_eq(vdc_str(fault, "action"), actions[FAULT_FAIL_JOB]) && !has_job)
        return false;
    json_int_t matched = number(fault, "matched") + 1, nth = number(fault, "nth");
    json_object_set_new(fault, "matched", json_integer(matched));
    if (matched < nth || matched >= nth + number(fault, "times"))
        return true;
    json_object_set_new(fault, "fired", json_integer(number(fault, "fired") + 1));
    const char *action = vdc_str(fault, "action"), *when = vdc_str(fault, "when");
    *ret = (struct fault_hit){
        .action = fault_action_of(action),
        .after = str_eq(when, "after"),
        .code = (int)number(fault, "code"),
        .ms = (int)number(fault, "ms"),
        .retry_after_s = (int)number(fault, "retryafter"),
    };
    str_copy(ret->text, sizeof(ret->text), vdc_str(fault, "text"));
    snprintf(ret->note, sizeof(ret->note), "%.12s %s%s%s", vdc_str(fault, "id"), action,
             *when ? " " : "", when);
    return true;
}

static int take_within(struct vdb *db, const char *command, const char *account, bool has_job,
                       struct fault_hit *ret, struct err *err)
{
    _cleanup_json_ json_t *all = vdb_list(db, "fault");
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        struct fault_hit hit = {0};

        if (!fault_count(one, command, account, has_job, &hit))
            continue;
        if (vdb_put(db, "fault", vdc_str(one, "id"), one, err) < 0)
            return -1;
        if (hit.action != FAULT_NONE) {
            *ret = hit;
            return 0; /* those behind it do not see this call */
        }
    }
    return 0;
}

int fault_take(struct vdb *db, const char *command, const char *account, bool has_job,
               struct fault_hit *ret, struct err *err)
{
    _cleanup_json_ json_t *all = vdb_list(db, "fault");

    if (json_array_size(all) == 0)
        return 0;
    if (vdb_begin(db, err) < 0)
        return -1;
    if (take_within(db, command, account, has_job, ret, err) < 0) {
        vdb_rollback(db);
        return -1;
    }
    return vdb_commit(db, err);
}
