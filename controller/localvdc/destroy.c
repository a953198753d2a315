/* SPDX-License-Identifier: Apache-2.0 */
/* Taking the local cloud off the machine: by its documents first, then by the names that only it
 * uses. Goes on after a failure and reports the first. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/cmd.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/disk.h"
#include "controller/localvdc/machine/rootfs.h"
#include "controller/localvdc/network/host.h"
#include "controller/localvdc/network/netns.h"
#include "controller/localvdc/network/router.h"

static void note(int failed, const struct err *now, struct err *first)
{
    if (failed && first->code == ERR_NONE)
        *first = *now;
}

/* Ends the processes of jobs that are under way: "muster-vdc job <id>" with an id of ours. */
static void end_jobs(struct vdb *db)
{
    _cleanup_json_ json_t *open = vdb_find(db, "job", "_open", "yes");
    size_t i = 0;
    json_t *job = NULL;

    json_array_foreach(open, i, job)
    {
        const char *id = vdc_str(job, "jobid");
        _cleanup_closedir_ DIR *proc = opendir("/proc");

        for (struct dirent *e = proc ? readdir(proc) : NULL; e; e = readdir(proc)) {
            struct err err = {0};
            size_t len = 0;
            _cleanup_free_ char *cmdline = NULL, *path = str_fmt("/proc/%s/cmdline", e->d_name);
            int pid = atoi(e->d_name);

            if (pid < 2 || fs_read(path, 4096, &cmdline, &len, &err) < 0)
                continue;
            if (memmem(cmdline, len, "job", 4) && memmem(cmdline, len, id, strlen(id) + 1))
                kill(pid, SIGKILL);
        }
        _cleanup_free_ char *lock = str_fmt(VDC_DIR "/lock/job-%s", id);
        struct err err = {0};
        int held = fs_lock(lock, true, &err); /* it is gone when its lock is free */
        if (held >= 0)
            close(held);
    }
}

static void remove_guests(struct vdb *db, struct err *first)
{
    _cleanup_json_ json_t *vms = vdb_list(db, "vm");
    size_t i = 0;
    json_t *vm = NULL;

    json_array_foreach(vms, i, vm)
    {
        struct err err = {0};
        const char *id = vdc_str(vm, "id");

        printf("  guest %s\n", vdc_str(vm, "name"));
        fflush(stdout);
        note(compute_of(vm)->stop(vm, true, &err), &err, first);
        note(compute_of(vm)->clean(id, &err), &err, first);
        note(rootfs_remove(id, &err), &err, first);
    }
}

static void remove_volumes(struct vdb *db, struct err *first)
{
    _cleanup_json_ json_t *volumes = vdb_list(db, "volume");
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(volumes, i, one)
    {
        char path[128];
        struct err err = {0};

        volume_path(vdc_str(one, "id"), path, sizeof(path));
        printf("  volume %s\n", vdc_str(one, "name"));
        note(disk_release(path, &err), &err, first);
    }
}

static void remove_networks(struct vdb *db, struct err *first)
{
    _cleanup_json_ json_t *networks = vdb_list(db, "network");
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(networks, i, one)
    {
        struct err err = {0};

        printf("  network %s\n", vdc_str(one, "name"));
        note(router_remove(one, &err), &err, first);
    }
}

/* What no document tells of any more. */
static void remove_by_name(struct err *first)
{
    struct err err = {0};
    glob_t g = {0};

    if (glob(VDC_DIR "/vms/mvdc-*/qemu.pid", 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++)
            tool_stop(g.gl_pathv[i], "mvdc-");
    }
    globfree(&g);
    if (glob("/run/netns/" VDC_NETNS "*", 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++)
            note(netns_remove(strrchr(g.gl_pathv[i], '/') + 1, &err), &err, first);
    }
    globfree(&g);
    if (glob("/sys/class/net/mvdc*", 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++)
            note(link_remove(strrchr(g.gl_pathv[i], '/') + 1, &err), &err, first);
    }
    globfree(&g);
}

/* Mounts and loop devices of files in the cloud's directory, the innermost mount first. */
static void remove_mounts(struct err *first)
{
    struct err err = {0};
    _cleanup_free_ char *text = NULL;

    if (fs_read("/proc/self/mounts", 16 * 1024 * 1024, &text, NULL, &err) < 0)
        return;
    for (char *line = NULL; (line = strrchr(str_chomp(text), '\n')) != NULL; *line = '\0') {
        char at[PATH_MAX];

        if (sscanf(line + 1, "%*s %4095s", at) == 1 && str_starts(at, VDC_DIR "/") &&
            umount2(at, UMOUNT_NOFOLLOW | MNT_DETACH) < 0)
            note(err_errno(&err, errno, "unmount %s", at), &err, first);
    }
    glob_t g = {0};
    if (glob("/sys/block/loop*/loop/backing_file", 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++) {
            _cleanup_free_ char *file = NULL;

            /* A path of another machine-in-the-machine's may look like one of ours. */
            if (fs_read(g.gl_pathv[i], PATH_MAX, &file, NULL, &err) == 0 &&
                str_starts(str_chomp(file), VDC_DIR "/") && fs_exists(file))
                note(disk_release(file, &err), &err, first);
        }
    }
    globfree(&g);
}

/* "guests a, b; volumes c": what would be lost, nothing when there is neither. */
static void what_is_there(struct vdb *db, struct strbuf *out)
{
    static const char *const kinds[] = {"vm", "volume", "snapshot"}, *const titles[] = {
                                                                         "guests", "volumes",
                                                                         "snapshots"};

    for (size_t k = 0; db && k < ARRAY_LEN(kinds); k++) {
        _cleanup_json_ json_t *all = vdb_list(db, kinds[k]);
        size_t i = 0;
        json_t *one = NULL;

        json_array_foreach(all, i, one)
        {
            if (i == 0)
                strbuf_addf(out, "%s%s ", out->len > 0 ? "; " : "", titles[k]);
            strbuf_addf(out, "%s%s", i > 0 ? ", " : "", vdc_str(one, "name"));
        }
    }
}

static int ask(struct vdb *db, struct err *err)
{
    char answer[16] = "";
    _cleanup_(strbuf_free) struct strbuf lost = {0};

    what_is_there(db, &lost);
    if (lost.len == 0)
        return 0;
    if (!isatty(STDIN_FILENO))
        return err_set(err, ERR_SAFETY, "the local cloud holds %.150s; 'destroy -y' removes them",
                       strbuf_str(&lost));
    printf("The local cloud holds %s.\nRemove it all from this machine? [y/N] ", lost.s);
    fflush(stdout);
    if (fgets(answer, sizeof(answer), stdin) && answer[0] == 'y')
        return 0;
    return err_set(err, ERR_SAFETY, "nothing was removed");
}

static void remove_files(bool purge, struct err *first)
{
    struct err err = {0};

    note(fs_remove_tree(VDC_DIR, &err), &err, first);
    if (purge)
        note(fs_remove_tree(VDC_CACHE, &err), &err, first);
    /* Directories above, when nobody else has anything in them. */
    if (rmdir("/var/lib/muster") < 0 || rmdir("/var/cache/muster") < 0)
        return;
}

int vdc_cmd_destroy(int argc, char **argv, struct err *err)
{
    static const struct option options[] = {
        {"yes", no_argument, NULL, 'y'}, {"purge", no_argument, NULL, 'p'}, {0}};
    bool yes = false, purge = false;

    for (int c; (c = getopt_long(argc, argv, "y", options, NULL)) != -1;) {
        if (c == '?')
            return err_set(err, ERR_USAGE, "destroy takes -y and --purge");
        yes = yes || c == 'y';
        purge = purge || c == 'p';
    }
    if (vdc_cmd_need_root(err) < 0)
        return -1;
    struct err first = {0}, ignored = {0};
    _cleanup_(vdb_close) struct vdb *db = NULL;
    if (fs_exists(VDC_STATE) && vdc_open(false, &db, err) < 0)
        return -1;
    if (!yes && ask(db, err) < 0)
        return -1;
    tool_stop(DAEMON_LOCK, DAEMON_MARK);
    if (db) {
        end_jobs(db);
        remove_guests(db, &first);
        remove_volumes(db, &first);
        remove_networks(db, &first);
    }
    remove_by_name(&first);
    remove_mounts(&first);
    if (db && host_remove(db, &ignored) < 0)
        note(1, &ignored, &first);
    vdb_close(&db);
    if (first.code != ERR_NONE) { /* the state stays: a second run goes on from it */
        *err = first;
        return err_wrap(err, "not everything could be removed; run it again");
    }
    remove_files(purge, &first);
    *err = first;
    return first.code == ERR_NONE ? 0 : -1;
}
