/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"
#include "controller/localvdc/sources.h"
#include "controller/localvdc/tool.h"
#include "controller/localvdc/vdc.h"

#define BUILD_TIMEOUT_S 1800
#define SPACE_NEEDED_MIB 1500
#define KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"

static const char packages[] =
    "systemd,systemd-sysv,dbus,cloud-init,openssh-server,ifupdown,isc-dhcp-client,iproute2,"
    "iputils-ping,netbase,ca-certificates,curl,locales,sudo,python3,wget,e2fsprogs,xfsprogs,"
    "less,procps";

/* Files of the guest. cloud-init's own choice of user (debian, sudo without password) stays. */
static const struct {
    const char *path;
    const char *text;
} files[] = {
    {"etc/cloud/cloud.cfg.d/99-mvdc.cfg", "datasource_list: [ CloudStack, None ]\n"
                                          "apt:\n  preserve_sources_list: true\n"
                                          "manage_etc_hosts: true\n"},
    {"etc/apt/apt.conf.d/90mvdc", "Acquire::EnableSrvRecords \"false\";\n"
                                  "Acquire::Languages \"none\";\n"
                                  "APT::Periodic::Enable \"0\";\n"},
    {"etc/network/interfaces", "source /etc/network/interfaces.d/*\n\n"
                               "auto lo\niface lo inet loopback\n"},
    {"etc/default/locale", "LANG=C.UTF-8\n"},
    {"etc/hostname", "localhost\n"},
    {"etc/machine-id", ""},
    {"etc/resolv.conf", ""},
    {"etc/fstab", ""},
};

/* No timers that go out, no time sync, nothing that has no meaning in a container. */
static const char *const masked[] = {
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "systemd-timesyncd.service",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-networkd.service",
    "systemd-networkd-wait-online.service",
    "sys-kernel-debug.mount",
    "sys-kernel-config.mount",
    "sys-kernel-tracing.mount",
    "dev-hugepages.mount",
    "systemd-modules-load.service",
    "systemd-remount-fs.service",
    "console-getty.service",
    "getty@tty1.service",
    "systemd-journald-audit.socket",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-binfmt.service",
};

static void sources_text(struct strbuf *out)
{
    _cleanup_json_ json_t *sources = sources_read();
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(sources, i, one)
    {
        strbuf_addf(out, "deb %s%s %s %s\n", fs_exists(KEYRING) ? "[signed-by=" KEYRING "] " : "",
                    vdc_str(one, "uri"), vdc_str(one, "suite"), vdc_str(one, "components"));
    }
}

void template_dir(char *ret, size_t cap)
{
    char digest[SHA256_HEX_SIZE];
    _cleanup_(strbuf_free) struct strbuf recipe = {0};
    sources_text(&recipe);
    strbuf_adds(&recipe, packages);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        strbuf_addf(&recipe, "%s\n%s\n", files[i].path, files[i].text);
    for (size_t i = 0; i < ARRAY_LEN(masked); i++)
        strbuf_adds(&recipe, masked[i]);
    keys_sha256(recipe.s, recipe.len, digest);
    snprintf(ret, cap, VDC_CACHE "/debian-12-%.12s", digest);
}

bool template_ready(void)
{
    char dir[128];
    template_dir(dir, sizeof(dir));
    return fs_exists(dir);
}

void template_progress(char *ret, size_t cap)
{
    struct err err = {0};
    _cleanup_free_ char *text = NULL;
    *ret = '\0';
    if (fs_read(VDC_TEMPLATE_LOG, 16 * 1024 * 1024, &text, NULL, &err) != 0)
        return;
    str_chomp(text);
    const char *last = strrchr(text, '\n');
    snprintf(ret, cap, "%s", last ? last + 1 : text);
}

struct build {
    int log;
    uint64_t start;
    bool full;       /* a program said that there was no space left */
    char cause[160]; /* the first complaint of a program; those after it follow from it */
};

static void say(void *ctx, const char *line)
{
    struct build *b = ctx;
    unsigned s = (unsigned)((clock_mono_ms() - b->start) / 1000);
    /* mmdebstrap draws bars with carriage returns; the last state of a line is enough. */
    const char *last = strrchr(line, '\r');
    dprintf(b->log, "template: %3u s: %s\n", s, last && last[1] ? last + 1 : line);
    if (strstr(line, "No space left on device") || strstr(line, "enough free space"))
        b->full = true;
    if (!*b->cause && (str_starts(line, "E: ") || str_starts(line, "W: Failed to fetch")))
        str_copy(b->cause, sizeof(b->cause), line + strlen("E: "));
}

static int put(const char *root, const char *path, const char *text, struct err *err)
{
    _cleanup_free_ char *whole = str_fmt("%s/%s", root, path);
    unlink(whole);
    return fs_write_atomic(whole, text, strlen(text), 0644, err);
}

static int dress(const char *root, const struct strbuf *sources, struct err *err)
{
    char proxy[300];
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (put(root, files[i].path, files[i].text, err) != 0)
            return -1;
    }
    for (size_t i = 0; i < ARRAY_LEN(masked); i++) {
        _cleanup_free_ char *unit = str_fmt("%s/etc/systemd/system/%s", root, masked[i]);
        unlink(unit);
        if (symlink("/dev/null", unit) != 0)
            return err_errno(err, errno, "mask %s", unit);
    }
    static const char *const gone[] = {"etc/apt/sources.list.d", "var/lib/apt/lists",
                                       "var/cache/apt/archives", "var/lib/dbus/machine-id"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        _cleanup_free_ char *path = str_fmt("%s/%s", root, gone[i]);
        if (fs_remove_tree(path, err) != 0)
            return -1;
    }
    static const char *const made[] = {"etc/apt/sources.list.d", "var/lib/apt/lists/partial",
                                       "var/cache/apt/archives/partial"};
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        _cleanup_free_ char *path = str_fmt("%s/%s", root, made[i]);
        if (fs_mkdirs(path, 0755, err) != 0)
            return -1;
    }
    static const char *const types[] = {"rsa", "ecdsa", "ed25519"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        _cleanup_free_ char *key = str_fmt("%s/etc/ssh/ssh_host_%s_key", root, types[i]);
        _cleanup_free_ char *pub = str_fmt("%s.pub", key);
        unlink(key);
        unlink(pub);
    }
    sources_proxy(proxy, sizeof(proxy));
    if (*proxy) {
        _cleanup_free_ char *conf = str_fmt("Acquire::http::Proxy \"%s\";\n", proxy);
        if (put(root, "etc/apt/apt.conf.d/91mvdc-proxy", conf, err) != 0)
            return -1;
    }
    return put(root, "etc/apt/sources.list", strbuf_str(sources), err);
}

static int check_space(struct err *err)
{
    struct statvfs v;
    if (statvfs(VDC_CACHE, &v) != 0)
        return err_errno(err, errno, "look at " VDC_CACHE);
    unsigned long long mib = (unsigned long long)v.f_bavail * v.f_frsize >> 20;
    if (mib < SPACE_NEEDED_MIB)
        return err_set(err, ERR_FAILED,
                       "template: only %llu MiB are free below " VDC_CACHE
                       ", the build needs %d; free some space and try again",
                       mib, SPACE_NEEDED_MIB);
    return 0;
}

static int build_in(const char *tmp, struct build *b, struct err *err)
{
    char tool[128];
    _cleanup_(strbuf_free) struct strbuf sources = {0};
    const char *list = VDC_CACHE "/build.list";
    sources_text(&sources);
    if (sources.len == 0)
        return err_set(err, ERR_FAILED,
                       "this machine has no apt source for Debian " SOURCES_SUITE
                       ", from which the "
                       "template is built; add one below /etc/apt/sources.list.d");
    if (fs_remove_tree(tmp, err) != 0 || check_space(err) != 0 ||
        tool_find("mmdebstrap", tool, sizeof(tool), err) != 0 ||
        fs_write_atomic(list, sources.s, sources.len, 0644, err) != 0)
        return -1;
    _cleanup_free_ char *include = str_fmt("--include=%s", packages);
    /* What a killed build leaves goes with the next one, or with the cache. */
    static const char scratch[] = VDC_CACHE "/scratch";
    const char *env[16] = {"TMPDIR=" VDC_CACHE "/scratch"};
    for (size_t i = 0; tool_env[i] && i + 2 < ARRAY_LEN(env); i++)
        env[i + 1] = tool_env[i];
    if (fs_remove_tree(scratch, err) != 0 || fs_mkdirs(scratch, 0755, err) != 0)
        return -1;
    struct proc_opts opts = {.env = env, .timeout_s = BUILD_TIMEOUT_S, .on_line = say, .ctx = b};
    say(b, "building " TEMPLATE_NAME " from this machine's package sources (about a minute)");
    if (proc_run(PROC_ARGV(tool, "--mode=root", "--variant=minbase", "--format=directory",
                           "--aptopt=Acquire::Languages \"none\"", include, SOURCES_SUITE, tmp,
                           list),
                 &opts, NULL, err) != 0 ||
        dress(tmp, &sources, err) != 0) {
        if (b->full || strstr(err->msg, strerror(ENOSPC)))
            return err_set(err, ERR_FAILED,
                           "template: the disk became full below " VDC_CACHE
                           "; the build needs %d MiB: free some space and try again",
                           SPACE_NEEDED_MIB);
        if (*b->cause)
            err_set(err, ERR_FAILED, "%s", b->cause);
        return err_wrap(err,
                        "template: the build failed ('muster-vdc logs --template' has it all)");
    }
    return fs_remove_tree(scratch, err);
}

int template_ensure(struct err *err)
{
    char dir[128];
    template_dir(dir, sizeof(dir));
    if (fs_exists(dir))
        return 0;
    if (fs_mkdirs(VDC_CACHE, 0755, err) != 0)
        return -1;
    _cleanup_close_ int lock = fs_lock(VDC_CACHE "/lock", true, err);
    if (lock < 0)
        return -1;
    if (fs_exists(dir))
        return 0; /* somebody else built it meanwhile */
    _cleanup_free_ char *tmp = str_fmt("%s.tmp", dir);
    _cleanup_close_ int log =
        open(VDC_TEMPLATE_LOG, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (log < 0)
        return err_errno(err, errno, "write " VDC_TEMPLATE_LOG);
    struct build b = {.log = log, .start = clock_mono_ms()};
    if (build_in(tmp, &b, err) != 0) {
        struct err ignored = {0};
        say(&b, err->msg);
        fs_remove_tree(tmp, &ignored);
        return -1;
    }
    sync(); /* many small files: one flush instead of one for each */
    if (rename(tmp, dir) != 0)
        return err_errno(err, errno, "rename %s to %s", tmp, dir);
    say(&b, "ready");
    return fs_sync_parent(dir, err);
}
