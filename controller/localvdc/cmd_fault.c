/* SPDX-License-Identifier: Apache-2.0 */
/* muster-vdc fault: the table of kinds, and the faults that are set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/cmd.h"
#include "controller/localvdc/cmd_fault.h"

int fault_put(struct vdb *db, json_t *doc, struct err *err)
{
    char now[32];
    long long number = 0;

    if (vdb_next(db, "fault", &number, err) < 0)
        return -1;
    _cleanup_free_ char *id = str_fmt("%lld", number);
    vdc_now(now);
    json_object_set_new(doc, "id", json_string(id));
    json_object_set_new(doc, "created", json_string(now));
    if (vdb_put(db, "fault", id, doc, err) < 0)
        return -1;
    printf("%s\n", id);
    return 0;
}

static int open_state(struct vdb **ret, struct err *err)
{
    return vdc_cmd_need_root(err) < 0 ? -1 : vdc_open(false, ret, err);
}

static void print_fault(const json_t *one)
{
    static const char *const shown[] = {"name", "account", "nth",        "times", "when",
                                        "code", "text",    "retryafter", "ms"};

    printf("%-4s %s %s:", vdc_str(one, "id"), vdc_str(one, "kind"), vdc_str(one, "action"));
    for (size_t i = 0; i < ARRAY_LEN(shown); i++) {
        _cleanup_free_ char *text =
            json_dumps(json_object_get(one, shown[i]), JSON_ENCODE_ANY | JSON_COMPACT);

        if (text)
            printf(" %s %s", shown[i], text);
    }
    printf("; matched %lld, fired %lld\n", json_integer_value(json_object_get(one, "matched")),
           json_integer_value(json_object_get(one, "fired")));
}

static int cmd_list(int argc, char **argv, struct err *err)
{
    bool json = argc == 2 && str_eq(argv[1], "--json");

    if (argc > 2 || (argc == 2 && !json))
        return err_set(err, ERR_USAGE, "fault list takes --json only");
    _cleanup_(vdb_close) struct vdb *db = NULL;
    if (open_state(&db, err) < 0)
        return -1;
    _cleanup_json_ json_t *all = vdb_list(db, "fault");
    if (json) {
        _cleanup_free_ char *text = json_dumps(all, JSON_COMPACT);

        printf("%s\n", text);
        return 0;
    }
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(all, i, one)
    {
        print_fault(one);
    }
    return 0;
}

static int cmd_clear(int argc, char **argv, struct err *err)
{
    if (argc > 2)
        return err_set(err, ERR_USAGE, "fault clear takes one ID, or nothing for all");
    _cleanup_(vdb_close) struct vdb *db = NULL;
    if (open_state(&db, err) < 0)
        return -1;
    _cleanup_json_ json_t *all = vdb_list(db, "fault");
    bool found = false;
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(all, i, one)
    {
        const char *id = vdc_str(one, "id");

        if (argc == 2 && !str_eq(id, argv[1]))
            continue;
        found = true;
        if (vdb_del(db, "fault", id, err) < 0)
            return -1;
    }
    if (argc == 2 && !found)
        return err_set(err, ERR_FAILED,
                       "there is no fault %s; 'muster-vdc fault list' names those that are set",
                       argv[1]);
    return 0;
}

const struct fault_kind fault_kinds[] = {
    {"call",
     "NAME|write|'*' [--nth N] [--times M] [--account A] [--when before|after]\n"
     "            --error CODE [--text T] | --http STATUS [--retry-after S] | --lose | --reset |\n"
     "            --delay MS | --fail-job | --kill-client",
     "make some calls of the API fail", fault_cmd_call},
    {"vm", "NAME|ID power-off|pause|resume",
     "end a guest as without electricity: what it did not sync is lost; or freeze it",
     fault_cmd_vm},
    {"volume", "NAME|ID detach", "pull a volume out while its guest uses it", fault_cmd_volume},
    {"disk", "NAME|ID fill [--volume NAME] [--undo]",
     "leave no byte free on a guest's root disk, or on a volume that it has mounted",
     fault_cmd_disk},
    {"link", "ZONE ZONE [--one-way] [--restore]",
     "cut the link between two zones; the verb 'link' can slow it, too", fault_cmd_link},
    {"list", "[--json]", "those that are set, and how often each matched and fired", cmd_list},
    {"clear", "[ID]", "take one back, or all", cmd_clear},
    {0},
};

static void usage(FILE *to)
{
    fputs("usage: muster-vdc fault KIND …\n\n", to);
    for (const struct fault_kind *k = fault_kinds; k->name; k++)
        fprintf(to, "  %s %s\n            %s\n", k->name, k->args, k->help);
}

int vdc_cmd_fault(int argc, char **argv, struct err *err)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (str_eq(name, "--help") || str_eq(name, "help")) {
        usage(stdout);
        return 0;
    }
    for (const struct fault_kind *k = fault_kinds; k->name; k++) {
        if (str_eq(k->name, name))
            return k->run(argc - 1, argv + 1, err);
    }
    return err_set(err, ERR_USAGE, "there is no fault '%s'; 'muster-vdc fault help' lists them",
                   name);
}
