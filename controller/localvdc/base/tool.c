/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/base/tool.h"

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

#define TOOL_MAX_S 60

static const struct {
    const char *name;
    const char *package;
    bool optional; /* wanted by some guests only */
} tools[] = {
    {"qemu-system-x86_64", "qemu-system-x86 qemu-utils", true},
    {"qemu-img", "qemu-system-x86 qemu-utils", true},
    {"ip", "iproute2", false},
    {"nft", "nftables", false},
    {"dnsmasq", "dnsmasq-base", false},
    {"mmdebstrap", "mmdebstrap", false},
    {"mkfs.ext4", "e2fsprogs", false},
    {"apt-config", "apt", false},
    {"partx", "util-linux", false},
    {"ssh-keygen", "openssh-client", false},
};

static const char *const directories[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};

const char *const tool_env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                                "HOME=/root", "DEBIAN_FRONTEND=noninteractive", NULL};

int tool_find(const char *name, char *ret, size_t cap, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
        snprintf(ret, cap, "%s/%s", directories[i], name);
        if (access(ret, X_OK) == 0)
            return 0;
    }
    const char *package = name;
    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        if (str_eq(tools[i].name, name))
            package = tools[i].package;
    }
    return err_set(err, ERR_FAILED, "%s is not installed; run 'apt-get install %s'", name, package);
}

int tool_check_all(struct err *err)
{
    char path[128];
    _cleanup_(strbuf_free) struct strbuf missing = {0};

    for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
        if (!tools[i].optional && tool_find(tools[i].name, path, sizeof(path), err) < 0)
            strbuf_addf(&missing, " %s", tools[i].package);
    }
    if (!fs_exists("/usr/share/lxc/config/common.conf"))
        strbuf_adds(&missing, " lxc");
    if (missing.len > 0)
        return err_set(err, ERR_FAILED,
                       "programs that the local cloud needs are missing; run 'apt-get install%s'",
                       missing.s);
    return 0;
}

int tool_run(const char *name, const char *const args[], const char *input, struct err *err)
{
    char path[128];
    const char *argv[TOOL_ARGS_MAX] = {path};

    if (tool_find(name, path, sizeof(path), err) < 0)
        return -1;
    for (size_t i = 0; args[i]; i++) {
        if (i + 2 >= TOOL_ARGS_MAX)
            return err_set(err, ERR_FAILED, "%s: too many arguments", name);
        argv[i + 1] = args[i];
    }
    struct proc_opts opts = {.env = tool_env, .input = input, .timeout_s = TOOL_MAX_S};
    return proc_run(argv, &opts, NULL, err);
}

pid_t tool_pid(const char *pidfile, const char *mark)
{
    struct err err = {0};
    _cleanup_free_ char *text = NULL, *cmdline = NULL;
    uint64_t pid = 0;
    size_t len = 0;

    if (fs_read(pidfile, 32, &text, NULL, &err) < 0 ||
        str_to_u64(str_chomp(text), INT32_MAX, &pid) < 0 || pid < 2)
        return 0;
    _cleanup_free_ char *path = str_fmt("/proc/%d/cmdline", (int)pid);
    if (fs_read(path, 65536, &cmdline, &len, &err) < 0 || len == 0)
        return 0;
    return memmem(cmdline, len, mark, strlen(mark)) ? (pid_t)pid : 0;
}

void tool_stop(const char *pidfile, const char *mark)
{
    for (int i = 0; i < 200; i++) {
        pid_t pid = tool_pid(pidfile, mark);

        if (pid == 0)
            return;
        if (i == 0)
            kill(pid, SIGTERM);
        if (i == 100)
            kill(pid, SIGKILL);
        clock_pause_ms(20);
    }
}

unsigned long long tool_starttime(pid_t pid)
{
    struct err err = {0};
    _cleanup_free_ char *path = str_fmt("/proc/%d/stat", (int)pid), *text = NULL;

    if (fs_read(path, 4096, &text, NULL, &err) < 0)
        return 0;
    /* Field 22; the name in field 2 may hold anything, so counting starts after its ')'. */
    char *p = strrchr(text, ')');
    if (p && (str_starts(p, ") Z") || str_starts(p, ") X")))
        return 0; /* dead; its parent has not asked for it yet */
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p ? strtoull(p + 1, NULL, 10) : 0;
}

ino_t tool_namespace(pid_t pid, const char *kind)
{
    struct stat st;
    _cleanup_free_ char *path = str_fmt("/proc/%d/ns/%s", (int)pid, kind);

    return stat(path, &st) == 0 ? st.st_ino : 0;
}
