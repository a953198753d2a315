/* SPDX-License-Identifier: Apache-2.0 */
/* Guests as system containers. liblxc forks: only a job's own process calls it. */
#include <dirent.h>
#include <limits.h>
#include <lxc/lxccontainer.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/disk.h"
#include "controller/localvdc/machine/power.h"
#include "controller/localvdc/machine/rootfs.h"
#include "controller/localvdc/machine/template.h"

#define VMS_DIR VDC_DIR "/vms"
#define SHUTDOWN_S 30

static void container_put(struct lxc_container **c)
{
    if (*c)
        lxc_container_put(*c);
}

#define _cleanup_container_ _cleanup_(container_put)

static void add_nics(const json_t *vm, struct strbuf *out)
{
    size_t i = 0;
    json_t *nic = NULL;

    json_array_foreach(json_object_get(vm, "nic"), i, nic)
    {
        char bridge[VDC_NAME_MAX];

        vdc_name("mvdcb", vdc_str(nic, "networkid"), bridge);
        strbuf_addf(out,
                    "lxc.net.%zu.type = veth\nlxc.net.%zu.link = %s\nlxc.net.%zu.name = eth%zu\n"
                    "lxc.net.%zu.hwaddr = %s\nlxc.net.%zu.veth.pair = mvdcv%.8s%zu\n",
                    i, i, bridge, i, i, i, vdc_str(nic, "macaddress"), i, vdc_str(vm, "id"), i);
        if (i == 0) /* the others are configured by whoever needs them */
            strbuf_addf(out, "lxc.net.%zu.flags = up\n", i);
    }
}

/* Where the machine's groups can limit memory, in the kind of groups that it has; a limit that the
 * container's start could not set would make it fail. */
static void add_memory(const json_t *vm, struct strbuf *out)
{
    struct err err = {0};
    _cleanup_free_ char *controllers = NULL;
    long long mib = json_integer_value(json_object_get(vm, "memory"));

    if (mib <= 0)
        return;
    if (access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0)
        strbuf_addf(out, "lxc.cgroup.memory.limit_in_bytes = %lldM\n", mib);
    else if (fs_read("/sys/fs/cgroup/cgroup.controllers", 4096, &controllers, NULL, &err) == 0 &&
             strstr(controllers, "memory"))
        strbuf_addf(out, "lxc.cgroup2.memory.max = %lldM\n", mib);
}

/* The hook runs each time the guest starts, by us or by itself, when its /dev is there and
 * before its first program runs. */
static int write_config(const json_t *vm, struct err *err)
{
    char self[PATH_MAX], path[160], dir[160];
    const char *id = vdc_str(vm, "id");
    _cleanup_(strbuf_free) struct strbuf text = {0};

    if (vdc_self(self, sizeof(self), err) < 0)
        return -1;
    guest_path(id, NULL, dir, sizeof(dir));
    guest_path(id, "config", path, sizeof(path));
    strbuf_addf(&text,
                "lxc.include = /usr/share/lxc/config/common.conf\n"
                "lxc.uts.name = %s\n"
                "lxc.rootfs.path = dir:%s/rootfs\n"
                "lxc.mount.auto = proc:mixed sys:mixed cgroup:mixed\n"
                "lxc.apparmor.profile = unconfined\n"
                "lxc.cgroup.devices.allow = b 7:* rwm\n"
                "lxc.cgroup.devices.allow = b 259:* rwm\n"
                "lxc.cgroup2.devices.allow = b 7:* rwm\n"
                "lxc.cgroup2.devices.allow = b 259:* rwm\n"
                "lxc.signal.halt = SIGRTMIN+3\n"
                "lxc.tty.max = 0\n"
                "lxc.hook.start-host = %s hook %s\n"
                "lxc.log.file = %s/lxc.log\nlxc.log.level = WARN\n"
                "lxc.console.logfile = %s/console.log\n",
                vdc_str(vm, "name"), dir, self, id, dir, dir);
    add_memory(vm, &text);
    add_nics(vm, &text);
    return fs_write_atomic(path, text.s, text.len, 0600, err);
}

static struct lxc_container *container_of(const char *vm_id, struct err *err)
{
    char name[VDC_NAME_MAX];

    vdc_name("mvdc-", vm_id, name);
    struct lxc_container *c = lxc_container_new(name, VMS_DIR);
    if (!c)
        err_set(err, ERR_FAILED, "container %s: out of memory or no such configuration", name);
    return c;
}

/* Only directories can be removed in a group's directory, the innermost first. */
static void remove_group(const char *path)
{
    _cleanup_closedir_ DIR *dir = opendir(path);

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (e->d_type == DT_DIR && !str_eq(e->d_name, ".") && !str_eq(e->d_name, "..")) {
            _cleanup_free_ char *sub = str_fmt("%s/%s", path, e->d_name);

            remove_group(sub);
        }
    }
    rmdir(path);
}

/* liblxc's lock of a container stays behind in a directory named after its path. */
static void remove_lock(const char *name)
{
    _cleanup_free_ char *path = str_fmt("/run/lxc/lock" VMS_DIR "/.%s", name);

    unlink(path);
    for (char *slash = strrchr(path, '/'); slash && slash > path; slash = strrchr(path, '/')) {
        *slash = '\0';
        if (str_eq(path, "/run") || rmdir(path) < 0)
            return; /* somebody else's containers have theirs here */
    }
}

static void remove_groups(const char *parent, const char *name)
{
    static const char *const kinds[] = {"lxc.payload.", "lxc.monitor."};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        _cleanup_free_ char *dir = str_fmt("/sys/fs/cgroup/%s/%s%s", parent, kinds[i], name);

        if (fs_exists(dir))
            remove_group(dir);
    }
}

/* Empty groups of containers that were killed. liblxc makes them below the group of process 1, in
 * each hierarchy: a line "NUMBER:CONTROLLERS:PATH", without controllers for the unified one. */
static int lxc_clean(const char *vm_id, struct err *err)
{
    char name[VDC_NAME_MAX], *save = NULL;
    _cleanup_free_ char *groups = NULL;

    vdc_name("mvdc-", vm_id, name);
    remove_lock(name);
    if (fs_read("/proc/1/cgroup", 64 * 1024, &groups, NULL, err) < 0)
        return -1;
    for (char *line = strtok_r(groups, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;

        if (!path)
            continue;
        *path++ = '\0';
        controllers += str_starts(controllers, ":name=") ? strlen(":name=") : 1;
        char *scope = str_ends(path, "/init.scope") ? strrchr(path, '/') : NULL;
        if (scope)
            *scope = '\0'; /* systemd's own; containers are beside it */
        _cleanup_free_ char *mounted =
            str_fmt("%s%s", *controllers ? controllers : "unified", path);
        remove_groups(mounted, name);
        if (!*controllers)
            remove_groups(path, name);
    }
    return 0;
}

static int start_failed(const json_t *vm, struct err *err)
{
    char path[160];

    guest_path(vdc_str(vm, "id"), "lxc.log", path, sizeof(path));
    struct err ignored = {0};
    _cleanup_free_ char *log = NULL;
    const char *last = "it says nothing";
    if (fs_read(path, 1024 * 1024, &log, NULL, &ignored) == 0) {
        /* The first error is the cause; those after it follow from it. */
        char *first = strstr(log, " ERROR ");

        last = first ? first + strspn(first, " ") : last;
        if (first)
            *strchrnul(first, '\n') = '\0';
    }
    return err_set(err, ERR_FAILED, "start of %s: the container did not start: %s (all of it: %s)",
                   vdc_str(vm, "name"), last, path);
}

/* A root that is still mounted may be one that lost power: it must be mounted again. */
static int mount_disks(struct vdb *db, const json_t *vm, struct err *err)
{
    const char *id = vdc_str(vm, "id");

    if (template_ensure_dir(vdc_str(vm, "_template"), err) < 0 || rootfs_unmount(id, err) < 0 ||
        rootfs_mount(vm, err) < 0)
        return -1;
    _cleanup_json_ json_t *volumes = vdb_find(db, "volume", "virtualmachineid", id);
    size_t i = 0;
    json_t *volume = NULL;
    json_array_foreach(volumes, i, volume)
    {
        if (volume_plug(vdc_str(volume, "id"), err) < 0)
            return -1;
    }
    return 0;
}

static int lxc_start(struct vdb *db, const json_t *vm, struct err *err)
{
    char log[160];
    const char *id = vdc_str(vm, "id");

    if (guest_alive(id))
        return 0;
    if (mount_disks(db, vm, err) < 0)
        return -1;
    guest_path(id, "lxc.log", log, sizeof(log));
    unlink(log);
    /* Groups of one that was killed: beside them liblxc would make others under other names. */
    if (lxc_clean(id, err) < 0 || write_config(vm, err) < 0)
        return -1;
    _cleanup_container_ struct lxc_container *c = container_of(id, err);
    if (!c)
        return -1;
    /* The container's keeper must hold nothing of ours: a lock that it inherited would stay. */
    c->want_daemonize(c, true);
    c->want_close_all_fds(c, true);
    if (!c->start(c, 0, NULL))
        return start_failed(vm, err);
    return 0;
}

static int end_container(const json_t *vm, bool forced, struct err *err)
{
    const char *id = vdc_str(vm, "id");
    char config[160];

    guest_path(id, "config", config, sizeof(config));
    if (!fs_exists(config))
        return 0; /* was never started */
    _cleanup_container_ struct lxc_container *c = container_of(id, err);
    if (!c)
        return -1;
    if (!forced && c->is_running(c))
        c->shutdown(c, SHUTDOWN_S);
    if (c->is_running(c))
        c->stop(c);
    /* The keeper goes a moment after the guest: it takes down what it had set up. */
    for (int i = 0; guest_alive(id); i++) {
        if (i >= 500)
            return err_set(err, ERR_FAILED, "stop of %s: its container does not end",
                           vdc_str(vm, "name"));
        clock_pause_ms(20);
    }
    return 0;
}

static int lxc_stop(const json_t *vm, bool forced, struct err *err)
{
    return end_container(vm, forced, err) < 0 ? -1 : rootfs_unmount(vdc_str(vm, "id"), err);
}

static int lxc_plug(const json_t *vm, const json_t *volume, struct err *err)
{
    (void)vm; /* its nodes follow from what is plugged */
    return volume_plug(vdc_str(volume, "id"), err);
}

static int lxc_unplug(struct vdb *db, const json_t *vm, const json_t *volume, bool pulled,
                      struct err *err)
{
    char path[128];
    const char *id = vdc_str(vm, "id");
    pid_t init = guest_init(id);

    volume_path(vdc_str(volume, "id"), path, sizeof(path));
    if (!pulled)
        return disk_detach(path, init, err);
    if (power_shut_image(init, path, err) < 0 || disk_forsake(path, err) < 0)
        return -1;
    return init > 0 ? disk_sync_guest(db, id, init, err) : 0;
}

static int lxc_pause(const json_t *vm, bool on, struct err *err)
{
    _cleanup_container_ struct lxc_container *c = container_of(vdc_str(vm, "id"), err);

    if (!c)
        return -1;
    if (on ? c->freeze(c) : c->unfreeze(c))
        return 0;
    return err_set(err, ERR_FAILED, "%s of %s: the machine's control groups cannot do it",
                   on ? "pause" : "resume", vdc_str(vm, "name"));
}

/* Nothing of it runs while its filesystems go one after another, so that no process sees half of
 * it. Volumes are taken off: they are plugged again at its next start. */
static int lxc_power_off(struct vdb *db, const json_t *vm, struct err *err)
{
    char path[160];
    const char *id = vdc_str(vm, "id");
    pid_t init = guest_init(id);
    _cleanup_json_ json_t *volumes = vdb_find(db, "volume", "virtualmachineid", id);
    size_t i = 0;
    json_t *volume = NULL;

    if (lxc_pause(vm, true, err) < 0)
        return -1;
    json_array_foreach(volumes, i, volume)
    {
        volume_path(vdc_str(volume, "id"), path, sizeof(path));
        if (power_shut_image(init, path, err) < 0)
            return -1;
    }
    guest_path(id, "disk", path, sizeof(path));
    if (power_shut_path(path, err) < 0 || lxc_stop(vm, true, err) < 0)
        return -1;
    guest_path(id, "disk.img", path, sizeof(path));
    if (disk_forsake(path, err) < 0)
        return -1;
    json_array_foreach(volumes, i, volume)
    {
        volume_path(vdc_str(volume, "id"), path, sizeof(path));
        if (disk_forsake(path, err) < 0)
            return -1;
    }
    return 0;
}

static int lxc_fill(const json_t *vm, const json_t *volume, bool undo, struct err *err)
{
    char path[160];
    const char *id = vdc_str(vm, "id");

    if (volume) {
        volume_path(vdc_str(volume, "id"), path, sizeof(path));
        return power_fill_image(guest_init(id), path, undo, err);
    }
    guest_path(id, "disk", path, sizeof(path));
    return power_fill_path(path, "fill", undo, err); /* beside what the guest sees */
}

static int lxc_hold(const json_t *vm, const json_t *volume, struct held *ret, struct err *err)
{
    char path[160];

    volume_path(vdc_str(volume, "id"), path, sizeof(path));
    return power_freeze_image(guest_init(vdc_str(vm, "id")), path, ret, err);
}

static int lxc_let_go(const json_t *vm, struct held *held, struct err *err)
{
    (void)vm;
    return power_thaw(held, err);
}

static int lxc_let_all_go(const json_t *vm, const json_t *volume, struct err *err)
{
    char path[160];

    volume_path(vdc_str(volume, "id"), path, sizeof(path));
    return power_thaw_image(guest_init(vdc_str(vm, "id")), path, err);
}

const struct compute_ops compute_lxc = {.name = "LXC",
                                        .start = lxc_start,
                                        .stop = lxc_stop,
                                        .clean = lxc_clean,
                                        .plug = lxc_plug,
                                        .unplug = lxc_unplug,
                                        .power_off = lxc_power_off,
                                        .pause = lxc_pause,
                                        .fill = lxc_fill,
                                        .hold = lxc_hold,
                                        .let_go = lxc_let_go,
                                        .let_all_go = lxc_let_all_go};
