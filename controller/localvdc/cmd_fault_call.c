/* SPDX-License-Identifier: Apache-2.0 */
/* muster-vdc fault call: sets a fault of some calls. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/cmd.h"
#include "controller/localvdc/cmd_fault.h"
#include "controller/localvdc/faults/fault.h"

#define DELAY_MAX_MS 600000

static int usage(struct err *err, const char *why)
{
    return err_set(err, ERR_USAGE,
                   "fault call: %s; try: muster-vdc fault call deployVirtualMachine --nth 2 "
                   "--when after --lose",
                   why);
}

static int to_number(const char *text, uint64_t min, uint64_t max, const char *option,
                     json_t *fault, const char *key, struct err *err)
{
    uint64_t value = 0;

    if (str_to_u64(text, max, &value) < 0 || value < min)
        return err_set(err, ERR_USAGE, "fault call: --%s takes a number from %llu to %llu, not %s",
                       option, (unsigned long long)min, (unsigned long long)max, text);
    json_object_set_new(fault, key, json_integer((json_int_t)value));
    return 0;
}

static int set_action(json_t *fault, const char *name, struct err *err)
{
    if (json_object_get(fault, "action"))
        return usage(err, "one action at a time");
    json_object_set_new(fault, "action", json_string(name));
    return 0;
}

static int set_option(json_t *fault, const char *name, const char *value, struct err *err)
{
    if (fault_action_of(name) != FAULT_NONE && set_action(fault, name, err) < 0)
        return -1;
    if (str_eq(name, "nth") || str_eq(name, "times"))
        return to_number(value, 1, 1000000000, name, fault, name, err);
    if (str_eq(name, "error") || str_eq(name, "http"))
        return to_number(value, 400, 599, name, fault, "code", err);
    if (str_eq(name, "delay"))
        return to_number(value, 1, DELAY_MAX_MS, name, fault, "ms", err);
    if (str_eq(name, "retry-after"))
        return to_number(value, 1, 86400, name, fault, "retryafter", err);
    if (str_eq(name, "when") && !str_eq(value, "before") && !str_eq(value, "after"))
        return usage(err, "--when takes before or after");
    if (value)
        json_object_set_new(fault, name, json_string(value));
    return 0;
}

static int check_call(json_t *fault, struct err *err)
{
    const char *name = vdc_str(fault, "name"), *action = vdc_str(fault, "action");
    bool when = json_object_get(fault, "when") != NULL;

    if (!*action)
        return usage(err, "give one of --error CODE, --http STATUS, --lose, --reset, --delay MS, "
                          "--fail-job, --kill-client");
    if (!str_eq(name, "*") && !str_eq(name, "write") && !api_call_find(&calls_table, name))
        return err_set(err, ERR_USAGE,
                       "fault call: there is no call %s; 'listApis' lists them, '*' means all, "
                       "'write' all that change something",
                       name);
    const struct api_call *call = api_call_find(&calls_table, name);
    if (call && !call->async && str_eq(action, "fail-job"))
        return usage(err, "the call has no job");
    if (json_object_get(fault, "text") && !str_eq(action, "error"))
        return usage(err, "--text belongs to --error");
    if (json_object_get(fault, "retryafter") && !str_eq(action, "http"))
        return usage(err, "--retry-after belongs to --http");
    bool fixed = str_eq(action, "delay") || str_eq(action, "fail-job");
    if (when && fixed)
        return usage(err,
                     "--when has no meaning for --delay and --fail-job: the call takes effect");
    if (!when && !fixed)
        json_object_set_new(fault, "when", json_string("before"));
    return 0;
}

int fault_cmd_call(int argc, char **argv, struct err *err)
{
    static const struct option options[] = {
        {"nth", required_argument, NULL, 0},     {"times", required_argument, NULL, 0},
        {"account", required_argument, NULL, 0}, {"when", required_argument, NULL, 0},
        {"error", required_argument, NULL, 0},   {"text", required_argument, NULL, 0},
        {"http", required_argument, NULL, 0},    {"retry-after", required_argument, NULL, 0},
        {"lose", no_argument, NULL, 0},          {"reset", no_argument, NULL, 0},
        {"delay", required_argument, NULL, 0},   {"fail-job", no_argument, NULL, 0},
        {"kill-client", no_argument, NULL, 0},   {0}};
    _cleanup_json_ json_t *fault = json_pack("{s:s,s:i,s:i,s:i,s:i}", "kind", "call", "nth", 1,
                                             "times", 1, "matched", 0, "fired", 0);
    int which = 0;

    for (int c; (c = getopt_long(argc, argv, "", options, &which)) != -1;) {
        if (c != 0)
            return usage(err, "no such option");
        if (set_option(fault, options[which].name, optarg, err) < 0)
            return -1;
    }
    if (argc - optind != 1)
        return usage(err, "one NAME of a call is needed");
    json_object_set_new(fault, "name", json_string(argv[optind]));
    if (check_call(fault, err) < 0)
        return -1;
    _cleanup_(vdb_close) struct vdb *db = NULL;
    if (vdc_cmd_need_root(err) < 0 || vdc_open(false, &db, err) < 0)
        return -1;
    return fault_put(db, fault, err);
}
