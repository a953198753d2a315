/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/machine/qemu_args.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/str.h"
#include "controller/localvdc/machine/disk.h"
#include "controller/localvdc/machine/rootfs.h"
#include "controller/localvdc/machine/template.h"

#define PATH_SIZE 160

void qemu_args_free(struct qemu_args *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->v[i]);
    free(a->v);
}

/* Takes the text over. */
static void add(struct qemu_args *a, char *text)
{
    a->v = xrealloc(a->v, (a->n + 2) * sizeof(*a->v));
    a->v[a->n++] = text;
    a->v[a->n] = NULL;
}

static void add_option(struct qemu_args *a, const char *option, char *value)
{
    add(a, xstrdup(option));
    add(a, value);
}

void qemu_serial(const json_t *volume, char ret[21])
{
    size_t n = 0;

    for (const char *p = vdc_str(volume, "id"); *p && n < 20; p++) {
        if (*p != '-')
            ret[n++] = *p;
    }
    ret[n] = '\0';
}

void qemu_tap(const char *vm_id, size_t i, char ret[VDC_NAME_MAX])
{
    snprintf(ret, VDC_NAME_MAX, "mvdcv%.8s%u", vm_id, (unsigned)(i % 100));
}

static void add_volumes(const json_t *volumes, struct qemu_args *a)
{
    size_t i = 0;
    json_t *volume = NULL;

    json_array_foreach(volumes, i, volume)
    {
        char path[PATH_SIZE], serial[21];

        qemu_serial(volume, serial);
        volume_path(vdc_str(volume, "id"), path, sizeof(path));
        add_option(
            a, "-blockdev",
            str_fmt("driver=raw,node-name=v%s,file.driver=file,file.filename=%s", serial, path));
        add_option(a, "-device",
                   str_fmt("virtio-blk-pci,drive=v%s,id=d%s,serial=%s", serial, serial, serial));
    }
}

static void add_nics(const json_t *vm, struct qemu_args *a)
{
    size_t i = 0;
    json_t *nic = NULL;

    json_array_foreach(json_object_get(vm, "nic"), i, nic)
    {
        char tap[VDC_NAME_MAX];

        qemu_tap(vdc_str(vm, "id"), i, tap);
        add_option(a, "-netdev", str_fmt("tap,id=n%zu,ifname=%s,script=no,downscript=no", i, tap));
        add_option(
            a, "-device",
            str_fmt("virtio-net-pci,netdev=n%zu,mac=%s,romfile=", i, vdc_str(nic, "macaddress")));
    }
}

void qemu_args_build(struct qemu_args *a, const char *program, const json_t *vm,
                     const json_t *volumes, bool kvm)
{
    char dir[PATH_SIZE];
    const char *id = vdc_str(vm, "id");

    guest_path(id, NULL, dir, sizeof(dir));
    add(a, xstrdup(program));
    add_option(a, "-name", str_fmt("mvdc-%.8s", id));
    add_option(a, "-machine", xstrdup("pc"));
    add(a, xstrdup("-nodefaults"));
    add(a, xstrdup("-no-user-config"));
    add_option(a, "-display", xstrdup("none"));
    add_option(a, "-accel", xstrdup(kvm ? "kvm" : "tcg,thread=multi"));
    add_option(a, "-cpu", xstrdup(kvm ? "host" : "max"));
    add_option(a, "-smp", str_fmt("%lld", json_integer_value(json_object_get(vm, "cpunumber"))));
    add_option(a, "-m", str_fmt("%lld", json_integer_value(json_object_get(vm, "memory"))));
    add_option(a, "-smbios",
               str_fmt("type=1,manufacturer=Apache Software Foundation,product=CloudStack KVM "
                       "Hypervisor,uuid=%s",
                       id));
    add_option(a, "-kernel", str_fmt("%s/image/" TEMPLATE_KERNEL, dir));
    add_option(a, "-initrd", str_fmt("%s/image/" TEMPLATE_INITRD, dir));
    add_option(a, "-append",
               xstrdup("root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off"));
    add_option(
        a, "-blockdev",
        str_fmt("driver=qcow2,node-name=root,file.driver=file,file.filename=%s/root.qcow2", dir));
    add_option(a, "-device", xstrdup("virtio-blk-pci,drive=root,id=root"));
    add_volumes(volumes, a);
    add_nics(vm, a);
    add_option(a, "-chardev", str_fmt("file,id=console,path=%s/console.log,append=on", dir));
    add_option(a, "-serial", xstrdup("chardev:console"));
    add_option(a, "-qmp", str_fmt("unix:%s/qmp.sock,server=on,wait=off", dir));
    add_option(a, "-pidfile", str_fmt("%s/qemu.pid", dir));
    add(a, xstrdup("-daemonize"));
}
