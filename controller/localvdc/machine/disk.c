/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of attached volumes in a guest, and the kernel's events about them. */
#include "controller/localvdc/machine/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"

#define LETTERS 26

void volume_path(const char *id, char *ret, size_t cap)
{
    snprintf(ret, cap, VDC_DIR "/volumes/%s.img", id);
}

/* "virtio-" and the first 20 hex digits of the UUID, as a virtio disk's serial shows it. */
static void link_name(const char *id, char ret[32])
{
    size_t n = (size_t)snprintf(ret, 32, "virtio-");

    for (const char *p = id; *p && n < 27; p++) {
        if (*p != '-')
            ret[n++] = *p;
    }
    ret[n] = '\0';
}

static int read_dev(const char *path, dev_t *ret)
{
    struct err err = {0};
    _cleanup_free_ char *text = NULL;
    unsigned major = 0, minor = 0;

    if (access(path, R_OK) < 0 || fs_read(path, 64, &text, NULL, &err) < 0 ||
        sscanf(text, "%u:%u", &major, &minor) != 2)
        return -1;
    *ret = makedev(major, minor);
    return 0;
}

static int put_node(int dev, const char *name, dev_t number, struct err *err)
{
    struct stat st;

    if (fstatat(dev, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISBLK(st.st_mode) && st.st_rdev == number)
            return 0;
        unlinkat(dev, name, 0);
    }
    if (mknodat(dev, name, S_IFBLK | 0660, number) < 0)
        return err_errno(err, errno, "make node %s", name);
    return fchownat(dev, name, 0, 6, 0) < 0 ? err_errno(err, errno, "own node %s", name) : 0;
}

static int put_link(int byid, const char *name, const char *target, struct err *err)
{
    char old[64] = "", want[64];

    snprintf(want, sizeof(want), "../../%s", target);
    ssize_t n = readlinkat(byid, name, old, sizeof(old) - 1);
    if (n > 0 && str_eq(old, want))
        return 0;
    unlinkat(byid, name, 0);
    return symlinkat(want, byid, name) < 0 ? err_errno(err, errno, "link %s", name) : 0;
}

struct guest {
    int dev;        /* its /dev */
    int byid;       /* its /dev/disk/by-id */
    json_t *wanted; /* names that are to be there, with the names of links */
};

static int show(struct guest *g, const char *node, const char *link, const char *dev_file,
                struct err *err)
{
    dev_t number = 0;

    if (read_dev(dev_file, &number) < 0)
        return 0; /* gone between listing and looking: its event is on the way */
    json_object_set_new(g->wanted, node, json_true());
    json_object_set_new(g->wanted, link, json_true());
    return put_node(g->dev, node, number, err) < 0 ? -1 : put_link(g->byid, link, node, err);
}

static int show_volume(struct guest *g, const json_t *volume, struct err *err)
{
    char path[128], link[32], node[8];
    const char *id = vdc_str(volume, "id");
    json_int_t device = json_integer_value(json_object_get(volume, "deviceid"));

    volume_path(id, path, sizeof(path));
    int loop = disk_loop_of(path);
    if (loop < 0 || device < 0 || device >= LETTERS)
        return 0;
    snprintf(node, sizeof(node), "sd%c", (char)('a' + device));
    link_name(id, link);
    _cleanup_free_ char *sys = str_fmt("/sys/block/loop%d", loop);
    _cleanup_free_ char *whole = str_fmt("%s/dev", sys);
    _cleanup_free_ char *prefix = str_fmt("loop%dp", loop);
    if (show(g, node, link, whole, err) < 0)
        return -1;
    _cleanup_closedir_ DIR *dir = opendir(sys);
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (!str_starts(e->d_name, prefix))
            continue;
        const char *number = e->d_name + strlen(prefix);
        _cleanup_free_ char *part = str_fmt("%s%s", node, number);
        _cleanup_free_ char *part_link = str_fmt("%s-part%s", link, number);
        _cleanup_free_ char *file = str_fmt("%s/%s/dev", sys, e->d_name);
        if (show(g, part, part_link, file, err) < 0)
            return -1;
    }
    return 0;
}

static void sweep(int fd, const char *prefix, const json_t *wanted)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;

    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        if (str_starts(e->d_name, prefix) && !json_object_get(wanted, e->d_name))
            unlinkat(fd, e->d_name, 0);
    }
}

/* Opens a directory below `at` without following links, made when missing: the guest owns its /dev
 * and must not lead us elsewhere. */
static int sub_dir(int at, const char *name)
{
    if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
        return -1;
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int disk_sync_guest(struct vdb *db, const char *vm_id, pid_t init, struct err *err)
{
    _cleanup_free_ char *root = str_fmt("/proc/%d/root", (int)init);
    _cleanup_close_ int top = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int dev =
        top < 0 ? -1 : openat(top, "dev", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_close_ int disk = dev < 0 ? -1 : sub_dir(dev, "disk");
    _cleanup_close_ int byid = disk < 0 ? -1 : sub_dir(disk, "by-id");

    if (byid < 0)
        return err_errno(err, errno, "open the guest's /dev");
    _cleanup_json_ json_t *wanted = json_object();
    _cleanup_json_ json_t *volumes = vdb_find(db, "volume", "virtualmachineid", vm_id);
    struct guest g = {dev, byid, wanted};
    size_t i = 0;
    json_t *volume = NULL;
    mode_t old = umask(0);
    int r = 0;
    json_array_foreach(volumes, i, volume)
    {
        if (r == 0)
            r = show_volume(&g, volume, err);
    }
    umask(old);
    if (r < 0)
        return -1;
    sweep(dev, "sd", wanted);
    sweep(byid, "virtio-", wanted);
    return 0;
}

int disk_events_open(struct err *err)
{
    struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = 1};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
        return fd;
    err_errno(err, errno, "listen to the kernel's device events");
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A message is "action@path" and then NAME=value texts, each with its NUL. */
int disk_events_next(int fd)
{
    for (;;) {
        char text[8192];
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

        if (n < 0)
            return errno == ENOBUFS ? -2 : -1;
        text[n] = '\0';
        const char *block = strstr(text, "/devices/virtual/block/loop");
        if (block)
            return atoi(block + strlen("/devices/virtual/block/loop"));
    }
}

int volume_plug(const char *id, struct err *err)
{
    char path[128], dev[32];

    volume_path(id, path, sizeof(path));
    if (disk_attach(path, dev, err) < 0)
        return -1;
    /* A kernel without partition parsers finds none by itself; partx tells it. No table: it
     * fails, and there is nothing to tell. */
    _cleanup_free_ char *pattern =
        str_fmt("/sys/block/%s/%sp*", dev + strlen("/dev/"), dev + strlen("/dev/"));
    glob_t g = {0};
    struct err ignored = {0};
    if (glob(pattern, 0, NULL, &g) != 0)
        TOOL("partx", &ignored, "--add", dev);
    globfree(&g);
    return 0;
}
