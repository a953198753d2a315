/* SPDX-License-Identifier: Apache-2.0 */
/* Guests as real machines: QEMU with KVM where it works, else emulated. The kernel comes from the
 * template, the root disk is a layer over the template's. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/machine/compute.h"
#include "controller/localvdc/machine/disk.h"
#include "controller/localvdc/machine/qemu_args.h"
#include "controller/localvdc/machine/qmp.h"
#include "controller/localvdc/machine/rootfs.h"
#include "controller/localvdc/machine/template.h"
#include "controller/localvdc/network/netns.h"

#define PATH_SIZE 160
#define NICS_MAX 8
#define START_S 60
#define SHUTDOWN_MS 120000 /* an emulated machine takes its time */
#define UNPLUG_MS 60000
#define PAUSE_MS 50

static pid_t qemu_pid(const char *vm_id)
{
    char pidfile[PATH_SIZE], name[VDC_NAME_MAX];

    guest_path(vm_id, "qemu.pid", pidfile, sizeof(pidfile));
    vdc_name("mvdc-", vm_id, name);
    pid_t pid = tool_pid(pidfile, name);
    return pid > 0 && tool_starttime(pid) != 0 ? pid : 0;
}

static int make_taps(const json_t *vm, struct err *err)
{
    size_t i = 0;
    json_t *nic = NULL;

    json_array_foreach(json_object_get(vm, "nic"), i, nic)
    {
        char tap[VDC_NAME_MAX], bridge[VDC_NAME_MAX];

        qemu_tap(vdc_str(vm, "id"), i, tap);
        vdc_name("mvdcb", vdc_str(nic, "networkid"), bridge);
        if ((!link_exists(tap) &&
             TOOL("ip", err, "tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr") < 0) ||
            TOOL("ip", err, "link", "set", tap, "addrgenmode", "none", "master", bridge, "up") < 0)
            return -1;
    }
    return 0;
}

static int remove_taps(const char *vm_id, struct err *err)
{
    for (size_t i = 0; i < NICS_MAX; i++) {
        char tap[VDC_NAME_MAX];

        qemu_tap(vm_id, i, tap);
        if (link_remove(tap, err) < 0)
            return -1;
    }
    return 0;
}

/* The link "image" tells which template the root disk lies on, for as long as the guest is there.
 */
static int ensure_root(const json_t *vm, struct err *err)
{
    char dir[PATH_SIZE], image[PATH_SIZE], root[PATH_SIZE], base[PATH_SIZE];
    char from[PATH_SIZE], tmp[PATH_SIZE], size[32];
    const char *id = vdc_str(vm, "id");

    guest_path(id, NULL, dir, sizeof(dir));
    guest_path(id, "image", image, sizeof(image));
    guest_path(id, "image/" TEMPLATE_DISK, base, sizeof(base));
    guest_path(id, "root.qcow2", root, sizeof(root));
    guest_path(id, "root.tmp", tmp, sizeof(tmp));
    if (fs_exists(root))
        return 0;
    template_dir(TEMPLATE_BARE, from, sizeof(from));
    if (!str_eq(from, vdc_str(vm, "_template")))
        return err_set(err, ERR_FAILED, "the template %s is for containers only: it has no kernel",
                       vdc_str(vm, "templatename"));
    template_dir(TEMPLATE_MACHINE, from, sizeof(from));
    if (fs_mkdirs(dir, 0711, err) < 0 || template_ensure(TEMPLATE_MACHINE, err) < 0)
        return -1;
    unlink(image);
    if (symlink(from, image) < 0)
        return err_errno(err, errno, "link %s", image);
    snprintf(size, sizeof(size), "%lld",
             (long long)json_integer_value(json_object_get(vm, "_rootsize")));
    if (TOOL("qemu-img", err, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, tmp, size))
        return -1;
    return rename(tmp, root) == 0 ? fs_sync_parent(root, err)
                                  : err_errno(err, errno, "rename %s", tmp);
}

static int run(struct vdb *db, const json_t *vm, bool kvm, struct err *err)
{
    char tool[128];
    _cleanup_(qemu_args_free) struct qemu_args a = {0};
    _cleanup_json_ json_t *volumes = vdb_find(db, "volume", "virtualmachineid", vdc_str(vm, "id"));
    struct proc_opts opts = {.env = tool_env, .timeout_s = START_S};

    if (tool_find("qemu-system-x86_64", tool, sizeof(tool), err) < 0)
        return -1;
    qemu_args_build(&a, tool, vm, volumes, kvm);
    return proc_run((const char *const *)a.v, &opts, NULL, err);
}

static int qemu_start(struct vdb *db, const json_t *vm, struct err *err)
{
    char tool[128];
    struct err ignored = {0};
    const char *id = vdc_str(vm, "id");

    if (guest_alive(id))
        return 0;
    if (tool_find("qemu-system-x86_64", tool, sizeof(tool), err) < 0 ||
        tool_find("qemu-img", tool, sizeof(tool), err) < 0 || ensure_root(vm, err) < 0 ||
        make_taps(vm, err) < 0)
        return -1;
    /* One that runs already was started by a job that was killed before it wrote that down. A
     * machine may have KVM in name only, which shows when it is used. */
    bool runs = qemu_pid(id) != 0 ||
                (access("/dev/kvm", R_OK | W_OK) == 0 && run(db, vm, true, &ignored) == 0);
    if (!runs && run(db, vm, false, err) < 0)
        return err_wrap(err, "start of %s", vdc_str(vm, "name"));
    return guest_record(id, 0, qemu_pid(id), err);
}

/* Its monitor; fails when it does not run. */
static int monitor(const char *vm_id, FILE **ret, struct err *err)
{
    char path[PATH_SIZE];

    guest_path(vm_id, "qmp.sock", path, sizeof(path));
    return qmp_open(path, ret, err);
}

static bool gone_within(const char *vm_id, unsigned ms)
{
    uint64_t end = clock_mono_ms() + ms;

    while (qemu_pid(vm_id) != 0) {
        if (clock_mono_ms() >= end)
            return false;
        clock_pause_ms(PAUSE_MS);
    }
    return true;
}

static int kill_it(const char *vm_id, struct err *err)
{
    pid_t pid = qemu_pid(vm_id);

    if (pid > 0)
        kill(pid, SIGKILL);
    return gone_within(vm_id, SHUTDOWN_MS)
               ? 0
               : err_set(err, ERR_FAILED, "QEMU, pid %d, does not end", (int)pid);
}

static int qemu_stop(const json_t *vm, bool forced, struct err *err)
{
    const char *id = vdc_str(vm, "id");
    struct err ignored = {0};
    _cleanup_fclose_ FILE *qmp = NULL;
    /* A paused one would not hear the button. */
    bool asked = !forced && qemu_pid(id) > 0 && monitor(id, &qmp, &ignored) == 0 &&
                 qmp_call(qmp, "cont", NULL, NULL, &ignored) == 0 &&
                 qmp_call(qmp, "system_powerdown", NULL, NULL, &ignored) == 0;

    if (asked)
        gone_within(id, SHUTDOWN_MS);
    return kill_it(id, err) < 0 ? -1 : remove_taps(id, err);
}

static int qemu_clean(const char *vm_id, struct err *err)
{
    return kill_it(vm_id, err) < 0 ? -1 : remove_taps(vm_id, err);
}

/* Whether the array of objects has one whose member is the text. */
static bool has(const json_t *all, const char *member, const char *text)
{
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(all, i, one)
    {
        if (str_eq(vdc_str(one, member), text))
            return true;
    }
    return false;
}

/* Whether the volume's two parts are there: what QEMU writes to, and what the guest sees. */
static int look(FILE *qmp, const char *node, const char *device, bool *ret_node, bool *ret_device,
                struct err *err)
{
    _cleanup_json_ json_t *nodes = NULL, *devices = NULL;

    if (qmp_call(qmp, "query-named-block-nodes", json_pack("{s:b}", "flat", 1), &nodes, err) < 0 ||
        qmp_call(qmp, "qom-list", json_pack("{s:s}", "path", "/machine/peripheral"), &devices,
                 err) < 0)
        return -1;
    *ret_node = has(nodes, "node-name", node);
    *ret_device = has(devices, "name", device);
    return 0;
}

static int qemu_plug(const json_t *vm, const json_t *volume, struct err *err)
{
    char path[PATH_SIZE], serial[21], node[24], device[24];
    const char *id = vdc_str(vm, "id");
    bool has_node = false, has_device = false;
    _cleanup_fclose_ FILE *qmp = NULL;

    if (qemu_pid(id) == 0)
        return 0;
    qemu_serial(volume, serial);
    snprintf(node, sizeof(node), "v%s", serial);
    snprintf(device, sizeof(device), "d%s", serial);
    volume_path(vdc_str(volume, "id"), path, sizeof(path));
    if (monitor(id, &qmp, err) < 0 || look(qmp, node, device, &has_node, &has_device, err) < 0)
        return -1;
    if (!has_node && qmp_call(qmp, "blockdev-add",
                              json_pack("{s:s,s:s,s:{s:s,s:s}}", "driver", "raw", "node-name", node,
                                        "file", "driver", "file", "filename", path),
                              NULL, err) < 0)
        return -1;
    struct stat st;
    if (stat(path, &st) < 0)
        return err_errno(err, errno, "look at %s", path);
    if (has_device)
        return qmp_call(qmp, "block_resize",
                        json_pack("{s:s,s:I}", "node-name", node, "size", (json_int_t)st.st_size),
                        NULL, err);
    return qmp_call(qmp, "device_add",
                    json_pack("{s:s,s:s,s:s,s:s}", "driver", "virtio-blk-pci", "id", device,
                              "drive", node, "serial", serial),
                    NULL, err);
}

/* The guest's kernel has to let go of the device, and does so even when it is in use. */
static int qemu_unplug(struct vdb *db, const json_t *vm, const json_t *volume, bool pulled,
                       struct err *err)
{
    (void)db;
    (void)pulled;
    char serial[21], node[24], device[24];
    const char *id = vdc_str(vm, "id");
    bool has_node = false, has_device = false;
    _cleanup_fclose_ FILE *qmp = NULL;

    if (qemu_pid(id) == 0)
        return 0;
    qemu_serial(volume, serial);
    snprintf(node, sizeof(node), "v%s", serial);
    snprintf(device, sizeof(device), "d%s", serial);
    if (monitor(id, &qmp, err) < 0 || look(qmp, node, device, &has_node, &has_device, err) < 0)
        return -1;
    /* Refused while an earlier wish is under way; that one will do. */
    struct err ignored = {0};
    if (has_device)
        qmp_call(qmp, "device_del", json_pack("{s:s}", "id", device), NULL, &ignored);
    for (uint64_t end = clock_mono_ms() + UNPLUG_MS; has_device; clock_pause_ms(PAUSE_MS)) {
        if (look(qmp, node, device, &has_node, &has_device, err) < 0)
            return -1;
        if (has_device && clock_mono_ms() >= end)
            return err_set(err, ERR_FAILED,
                           "%s does not let go of volume %s; try again when it has booted",
                           vdc_str(vm, "name"), vdc_str(volume, "name"));
    }
    return has_node
               ? qmp_call(qmp, "blockdev-del", json_pack("{s:s}", "node-name", node), NULL, err)
               : 0;
}

static int qemu_power_off(struct vdb *db, const json_t *vm, struct err *err)
{
    (void)db;
    return qemu_stop(vm, true, err);
}

static int qemu_pause(const json_t *vm, bool on, struct err *err)
{
    _cleanup_fclose_ FILE *qmp = NULL;

    if (monitor(vdc_str(vm, "id"), &qmp, err) < 0)
        return -1;
    return qmp_call(qmp, on ? "stop" : "cont", NULL, NULL, err);
}

/* Stopped, it has no write under way. One that a test paused stays so. */
static int qemu_hold(const json_t *vm, const json_t *volume, struct held *ret, struct err *err)
{
    (void)volume;
    _cleanup_fclose_ FILE *qmp = NULL;
    _cleanup_json_ json_t *status = NULL;

    if (monitor(vdc_str(vm, "id"), &qmp, err) < 0 ||
        qmp_call(qmp, "query-status", NULL, &status, err) < 0)
        return -1;
    if (!json_is_true(json_object_get(status, "running")))
        return 0;
    ret->paused = true;
    return qmp_call(qmp, "stop", NULL, NULL, err);
}

static int qemu_let_go(const json_t *vm, struct held *held, struct err *err)
{
    return held->paused ? qemu_pause(vm, false, err) : 0;
}

static int qemu_let_all_go(const json_t *vm, const json_t *volume, struct err *err)
{
    (void)volume;
    return qemu_pause(vm, false, err);
}

static int qemu_fill(const json_t *vm, const json_t *volume, bool undo, struct err *err)
{
    (void)volume;
    (void)undo;
    return err_set(err, ERR_FAILED,
                   "%s has a kernel of its own: its filesystems cannot be filled from outside; "
                   "type there: fallocate -l $(df --output=avail -B1 / | tail -1) /fill",
                   vdc_str(vm, "name"));
}

const struct compute_ops compute_qemu = {.name = "KVM",
                                         .start = qemu_start,
                                         .stop = qemu_stop,
                                         .clean = qemu_clean,
                                         .plug = qemu_plug,
                                         .unplug = qemu_unplug,
                                         .power_off = qemu_power_off,
                                         .pause = qemu_pause,
                                         .fill = qemu_fill,
                                         .hold = qemu_hold,
                                         .let_go = qemu_let_go,
                                         .let_all_go = qemu_let_all_go};
