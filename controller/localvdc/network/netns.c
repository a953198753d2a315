/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/network/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"

static void ns_path(const char *name, char *ret, size_t cap)
{
    snprintf(ret, cap, "/run/netns/%s", name);
}

bool netns_exists(const char *name)
{
    char path[64];
    struct statfs st;

    ns_path(name, path, sizeof(path));
    return statfs(path, &st) == 0 && st.f_type == NSFS_MAGIC;
}

int netns_make(const char *name, struct err *err)
{
    char path[64];

    ns_path(name, path, sizeof(path));
    /* the networks of a group are made side by side and share its namespace */
    _cleanup_free_ char *lock = str_fmt(VDC_DIR "/lock/%s", name);
    _cleanup_close_ int held = fs_lock(lock, true, err);
    if (held < 0)
        return -1;
    if (netns_exists(name))
        return 0;
    unlink(path); /* what a kill between its two steps left */
    if (TOOL("ip", err, "netns", "add", name) < 0)
        return -1;
    return TOOL("ip", err, "-n", name, "link", "set", "lo", "up");
}

/* One of our programs in that namespace, alive; 0: none. */
static pid_t inhabitant(ino_t ns)
{
    _cleanup_closedir_ DIR *proc = opendir("/proc");

    for (struct dirent *e = proc ? readdir(proc) : NULL; e; e = readdir(proc)) {
        char path[300], comm[32] = "";
        struct stat st;
        struct err ignored = {0};
        _cleanup_free_ char *text = NULL;
        pid_t pid = atoi(e->d_name);

        snprintf(path, sizeof(path), "/proc/%s/ns/net", e->d_name);
        if (pid < 2 || pid == getpid() || stat(path, &st) < 0 || st.st_ino != ns)
            continue;
        snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
        if (fs_read(path, sizeof(comm), &text, NULL, &ignored) == 0)
            str_copy(comm, sizeof(comm), str_chomp(text));
        if ((str_eq(comm, "muster-vdc") || str_eq(comm, "dnsmasq")) && tool_starttime(pid) != 0)
            return pid;
    }
    return 0;
}

/* Services whose start was cut off before they wrote down their pid. */
static void end_inhabitants(const char *path)
{
    struct stat st;
    pid_t pid = 0;

    for (int i = 0; i < 100 && stat(path, &st) == 0 && (pid = inhabitant(st.st_ino)) != 0; i++) {
        kill(pid, SIGKILL);
        clock_pause_ms(20);
    }
}

int netns_remove(const char *name, struct err *err)
{
    char path[64];

    ns_path(name, path, sizeof(path));
    if (access(path, F_OK) < 0)
        return 0;
    end_inhabitants(path);
    return TOOL("ip", err, "netns", "del", name);
}

int netns_enter(const char *name, int *ret_back, struct err *err)
{
    char path[64];

    ns_path(name, path, sizeof(path));
    _cleanup_close_ int back = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int to = open(path, O_RDONLY | O_CLOEXEC);
    if (back < 0 || to < 0 || setns(to, CLONE_NEWNET) < 0)
        return err_errno(err, errno, "enter namespace %s", name);
    *ret_back = back;
    back = -1;
    return 0;
}

void netns_leave(int *back)
{
    if (*back < 0)
        return;
    if (setns(*back, CLONE_NEWNET) < 0)
        _exit(1); /* going on in the wrong namespace would change the wrong host */
    close(*back);
    *back = -1;
}

bool link_exists(const char *name)
{
    return if_nametoindex(name) != 0;
}

int link_remove(const char *name, struct err *err)
{
    return link_exists(name) ? TOOL("ip", err, "link", "del", name) : 0;
}

void link_bridge(const char *name, struct strbuf *host)
{
    if (!link_exists(name))
        strbuf_addf(host, "link add %s type bridge\n", name);
    strbuf_addf(host, "link set %s addrgenmode none up\n", name);
}

void link_veth(const char *name, const char *bridge, const char *ns, const char *peer,
               const char *address, struct strbuf *host, struct strbuf *inside)
{
    /* Both ends come into being at once, so that one of them tells of the other. */
    if (!link_exists(name))
        strbuf_addf(host, "link add %s type veth peer name %s netns %s\n", name, peer, ns);
    strbuf_addf(host, "link set %s addrgenmode none master %s up\n", name, bridge);
    strbuf_addf(inside, "addr replace %s dev %s\nlink set %s up\n", address, peer, peer);
}

int ip_run(const char *ns, const struct strbuf *lines, struct err *err)
{
    const char *const there[] = {"-n", ns, "-batch", "-", NULL};

    return lines->len ? tool_run("ip", ns ? there : there + 2, lines->s, err) : 0;
}

int sysctl_set(const char *key, const char *value, struct err *err)
{
    char path[128];

    snprintf(path, sizeof(path), "/proc/sys/%s", key);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return err_errno(err, errno, "write %s to %s", value, path);
    return 0;
}
