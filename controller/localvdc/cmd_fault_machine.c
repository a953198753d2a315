/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of machines, disks and links: they happen at once, in the process that asks for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/calls/calls.h"
#include "controller/localvdc/cmd.h"
#include "controller/localvdc/cmd_fault.h"
#include "controller/localvdc/machine/compute.h"

/* `name` is all of it, or what follows a '-': the node fra of deployment saas is saas-fra. */
static bool is_called(const json_t *doc, const char *name, bool whole)
{
    const char *own = vdc_str(doc, "name");
    size_t n = strlen(own), m = strlen(name);

    if (whole)
        return str_eq(own, name);
    return m && n > m + 1 && own[n - m - 1] == '-' && str_eq(own + n - m, name);
}

/* The document of that id or name; a new reference, or NULL and an error with those that there are.
 */
static json_t *find(struct vdb *db, const char *kind, const char *title, const char *name,
                    struct err *err)
{
    json_t *byid = vdb_get(db, kind, name), *one;
    _cleanup_json_ json_t *all = byid ? NULL : vdb_list(db, kind);
    _cleanup_(strbuf_free) struct strbuf names = {0};
    const json_t *found = NULL;
    size_t i, n = 0;

    if (byid)
        return byid;
    for (int whole = 1; whole >= 0 && !n; whole--)
        json_array_foreach(all, i, one)
        {
            if (!is_called(one, name, whole == 1))
                continue;
            found = one;
            n++;
            strbuf_addf(&names, " %s (%s)", vdc_str(one, "name"), vdc_str(one, "id"));
        }
    if (n == 1)
        return json_incref((json_t *)found);
    if (n > 1) {
        err_set(err, ERR_USAGE, "%s means several %ss:%s; give the id", name, title,
                strbuf_str(&names));
        return NULL;
    }
    json_array_foreach(all, i, one)
    {
        strbuf_addf(&names, "%s %s", names.len ? "," : "", vdc_str(one, "name"));
    }
    err_set(err, ERR_USAGE, "there is no %s with the name or id %s; %s%s", title, name,
            names.len ? "there are:" : "there is none at all", strbuf_str(&names));
    return NULL;
}

/* A guest that runs, with its lock held in *ret_lock. */
static json_t *running(struct vdb *db, const char *name, int *ret_lock, struct err *err)
{
    _cleanup_json_ json_t *vm = find(db, "vm", "virtual machine", name, err);

    if (!vm)
        return NULL;
    if (compute_of(vm)->record_only) {
        err_set(err, ERR_USAGE, "virtual machine %s is a record only: nothing of it can break",
                vdc_str(vm, "name"));
        return NULL;
    }
    *ret_lock = guest_lock(vdc_str(vm, "id"), err);
    if (*ret_lock < 0)
        return NULL;
    if (!guest_alive(vdc_str(vm, "id"))) {
        err_set(err, ERR_FAILED, "virtual machine %s does not run; start it first",
                vdc_str(vm, "name"));
        return NULL;
    }
    return json_incref(vm);
}

static int open_state(struct vdb **ret, struct err *err)
{
    return vdc_cmd_need_root(err) < 0 ? -1 : vdc_open(false, ret, err);
}

int fault_cmd_vm(int argc, char **argv, struct err *err)
{
    const char *what = argc == 3 ? argv[2] : "";
    bool off = str_eq(what, "power-off"), pause = str_eq(what, "pause");

    if (!off && !pause && !str_eq(what, "resume"))
        return err_set(err, ERR_USAGE,
                       "fault vm takes a name or id, and power-off, pause or resume");
    _cleanup_(vdb_close) struct vdb *db = NULL;
    _cleanup_close_ int lock = -1;
    _cleanup_json_ json_t *vm = open_state(&db, err) == 0 ? running(db, argv[1], &lock, err) : NULL;
    if (!vm)
        return -1;
    if (!off)
        return compute_of(vm)->pause(vm, pause, err);
    if (compute_of(vm)->power_off(db, vm, err) < 0)
        return err_wrap(err, "power off %s", vdc_str(vm, "name"));
    return vdb_patch(db, "vm", vdc_str(vm, "id"), json_pack("{s:s}", "state", "Stopped"), err);
}

int fault_cmd_volume(int argc, char **argv, struct err *err)
{
    if (argc != 3 || !str_eq(argv[2], "detach"))
        return err_set(err, ERR_USAGE, "fault volume takes a name or id, and detach");
    _cleanup_(vdb_close) struct vdb *db = NULL;
    _cleanup_close_ int lock = -1;
    if (open_state(&db, err) < 0)
        return -1;
    _cleanup_json_ json_t *volume = find(db, "volume", "volume", argv[1], err);
    const char *holder = vdc_str(volume, "virtualmachineid");
    if (!volume)
        return -1;
    if (!*holder)
        return err_set(err, ERR_FAILED, "volume %s is not attached", vdc_str(volume, "name"));
    _cleanup_json_ json_t *vm = running(db, holder, &lock, err);
    if (!vm || compute_of(vm)->unplug(db, vm, volume, true, err) < 0)
        return -1;
    return volume_set_loose(db, vdc_str(volume, "id"), err);
}

int fault_cmd_disk(int argc, char **argv, struct err *err)
{
    const char *name = NULL, *volume_name = NULL;
    bool fill = false, undo = false, wrong = false;

    for (int i = 1; i < argc; i++) {
        if (str_eq(argv[i], "--undo"))
            undo = true;
        else if (str_eq(argv[i], "--volume") && i + 1 < argc)
            volume_name = argv[++i];
        else if (!name && argv[i][0] != '-')
            name = argv[i];
        else if (!fill && str_eq(argv[i], "fill"))
            fill = true;
        else
            wrong = true;
    }
    if (wrong || !name || !fill)
        return err_set(err, ERR_USAGE,
                       "fault disk takes the name or id of a virtual machine, and "
                       "fill [--volume NAME] [--undo]");
    _cleanup_(vdb_close) struct vdb *db = NULL;
    _cleanup_close_ int lock = -1;
    _cleanup_json_ json_t *vm = open_state(&db, err) == 0 ? running(db, name, &lock, err) : NULL;
    _cleanup_json_ json_t *volume =
        vm && volume_name ? find(db, "volume", "volume", volume_name, err) : NULL;
    if (!vm || (volume_name && !volume))
        return -1;
    if (volume && !str_eq(vdc_str(volume, "virtualmachineid"), vdc_str(vm, "id")))
        return err_set(err, ERR_USAGE, "volume %s is not attached to %s", volume_name, name);
    if (compute_of(vm)->fill(vm, volume, undo, err) < 0)
        return err_wrap(err, "%s", volume ? vdc_str(volume, "name") : vdc_str(vm, "name"));
    return 0;
}

/* The same as the verb "link", which can do more. */
int fault_cmd_link(int argc, char **argv, struct err *err)
{
    char *args[8] = {0};
    bool restore = false;

    if (argc < 3 || argc + 1 >= (int)ARRAY_LEN(args))
        return err_set(err, ERR_USAGE, "fault link takes two zones, and --one-way or --restore");
    for (int i = 0; i < argc; i++) {
        args[i] = argv[i];
        restore = restore || str_eq(argv[i], "--restore");
    }
    static char cut[] = "--cut";
    if (!restore)
        args[argc++] = cut;
    return vdc_cmd_link(argc, args, err);
}
