/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/machine/template.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
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
#include "controller/localvdc/base/tool.h"
#include "controller/localvdc/base/vdc.h"
#include "controller/localvdc/machine/disk.h"
#include "controller/localvdc/network/sources.h"

#define BUILD_TIMEOUT_S 1800
#define DISK_BYTES (2ULL << 30) /* sparse; grows in the guest */
#define KERNEL_MAX (256 << 20)
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

/* No timers that go out, no time sync. */
static const char *const masked[] = {
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "systemd-timesyncd.service",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    NULL,
};

/* What has no meaning in a container. */
static const char *const masked_in_container[] = {
    "systemd-udevd.service",         "systemd-udev-trigger.service",
    "systemd-networkd.service",      "systemd-networkd-wait-online.service",
    "sys-kernel-debug.mount",        "sys-kernel-config.mount",
    "sys-kernel-tracing.mount",      "dev-hugepages.mount",
    "systemd-modules-load.service",  "systemd-remount-fs.service",
    "console-getty.service",         "getty@tty1.service",
    "systemd-journald-audit.socket", "proc-sys-fs-binfmt_misc.automount",
    "systemd-binfmt.service",        NULL,
};

static const char *const masked_in_machine[] = {NULL};

/* The same system as a directory that containers share, with more in it, and as a disk with its
 * kernel. */
struct recipe {
    const char *prefix; /* of its directory below VDC_CACHE */
    const char *title;
    const char *packages; /* further ones */
    unsigned space_mib;   /* that the build needs */
    const char *const *masked;
    int (*finish)(const char *tree, const char *to, struct err *err);
};

static int finish_directory(const char *tree, const char *to, struct err *err);
static int finish_disk(const char *tree, const char *to, struct err *err);

static const struct recipe recipes[TEMPLATE_KINDS] = {
    [TEMPLATE_BARE] = {"debian-12", "for containers", "", 1500, masked_in_container,
                       finish_directory},
    [TEMPLATE_SERVERS] =
        {"debian-12-servers", "with MariaDB and PHP",
         ",mariadb-server,mariadb-backup,galera-4,socat,rsync,stunnel4,openssl,"
         "apache2,libapache2-mod-php,php-cli,php-mysql,php-gd,php-curl,php-mbstring,syncthing,"
         "libzmq5,libsodium23,libjansson4,libmnl0,libfdisk1",
         2500, masked_in_container, finish_directory},
    [TEMPLATE_MACHINE] = {"debian-12-kvm", "with a kernel",
                          ",linux-image-cloud-amd64,udev,kmod,initramfs-tools", 3000,
                          masked_in_machine, finish_disk},
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

static void recipe_dir(const struct recipe *r, char *ret, size_t cap)
{
    char digest[SHA256_HEX_SIZE];
    _cleanup_(strbuf_free) struct strbuf recipe = {0};

    sources_text(&recipe);
    strbuf_addf(&recipe, "%s%s", packages, r->packages);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        strbuf_addf(&recipe, "%s\n%s\n", files[i].path, files[i].text);
    for (size_t i = 0; masked[i]; i++)
        strbuf_adds(&recipe, masked[i]);
    for (size_t i = 0; r->masked[i]; i++)
        strbuf_adds(&recipe, r->masked[i]);
    keys_sha256(recipe.s, recipe.len, digest);
    snprintf(ret, cap, VDC_CACHE "/%s-%.12s", r->prefix, digest);
}

void template_dir(enum template_kind kind, char *ret, size_t cap)
{
    recipe_dir(&recipes[kind], ret, cap);
}

bool template_ready(enum template_kind kind)
{
    char dir[128];

    template_dir(kind, dir, sizeof(dir));
    return fs_exists(dir);
}

bool template_building(void)
{
    struct err err = {0};
    _cleanup_close_ int lock =
        fs_exists(VDC_CACHE "/lock") ? fs_lock(VDC_CACHE "/lock", false, &err) : -1;

    return lock < 0 && err.code == ERR_LOCKED;
}

void template_progress(char *ret, size_t cap)
{
    struct err err = {0};
    _cleanup_free_ char *text = NULL;

    *ret = '\0';
    if (fs_read(VDC_TEMPLATE_LOG, 16 * 1024 * 1024, &text, NULL, &err) < 0)
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

static void log_line(void *ctx, const char *line)
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

static int mask(const char *root, const char *const units[], struct err *err)
{
    for (size_t i = 0; units[i]; i++) {
        _cleanup_free_ char *unit = str_fmt("%s/etc/systemd/system/%s", root, units[i]);

        unlink(unit);
        if (symlink("/dev/null", unit) < 0)
            return err_errno(err, errno, "mask %s", unit);
    }
    return 0;
}

static int dress(const struct recipe *r, const char *root, const struct strbuf *sources,
                 struct err *err)
{
    char proxy[300];

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        if (put(root, files[i].path, files[i].text, err) < 0)
            return -1;
    }
    if (mask(root, masked, err) < 0 || mask(root, r->masked, err) < 0)
        return -1;
    static const char *const gone[] = {"etc/apt/sources.list.d", "var/lib/apt/lists",
                                       "var/cache/apt/archives", "var/lib/dbus/machine-id"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++) {
        _cleanup_free_ char *path = str_fmt("%s/%s", root, gone[i]);

        if (fs_remove_tree(path, err) < 0)
            return -1;
    }
    static const char *const made[] = {"etc/apt/sources.list.d", "var/lib/apt/lists/partial",
                                       "var/cache/apt/archives/partial"};
    for (size_t i = 0; i < ARRAY_LEN(made); i++) {
        _cleanup_free_ char *path = str_fmt("%s/%s", root, made[i]);

        if (fs_mkdirs(path, 0755, err) < 0)
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

        if (put(root, "etc/apt/apt.conf.d/91mvdc-proxy", conf, err) < 0)
            return -1;
    }
    return put(root, "etc/apt/sources.list", strbuf_str(sources), err);
}

static int check_space(const struct recipe *r, struct err *err)
{
    struct statvfs v;

    if (statvfs(VDC_CACHE, &v) < 0)
        return err_errno(err, errno, "look at " VDC_CACHE);
    unsigned long long mib = (unsigned long long)v.f_bavail * v.f_frsize >> 20;
    if (mib < r->space_mib)
        return err_set(err, ERR_FAILED,
                       "template: only %llu MiB are free below " VDC_CACHE
                       ", the build needs %u; free some space and try again",
                       mib, r->space_mib);
    return 0;
}

static int build_in(const struct recipe *r, const char *tmp, struct build *b, struct err *err)
{
    char tool[128];
    _cleanup_(strbuf_free) struct strbuf sources = {0};
    static const char scratch[] = VDC_CACHE "/scratch";
    const char *list = VDC_CACHE "/build.list";

    sources_text(&sources);
    if (sources.len == 0)
        return err_set(err, ERR_FAILED,
                       "this machine has no apt source for Debian " SOURCES_SUITE
                       ", from which the "
                       "template is built; add one below /etc/apt/sources.list.d");
    if (fs_remove_tree(tmp, err) < 0 || check_space(r, err) < 0 ||
        tool_find("mmdebstrap", tool, sizeof(tool), err) < 0 ||
        fs_write_atomic(list, sources.s, sources.len, 0644, err) < 0)
        return -1;
    _cleanup_free_ char *include = str_fmt("--include=%s%s", packages, r->packages);
    _cleanup_free_ char *tree = str_fmt("%s/tree", scratch);
    _cleanup_free_ char *title =
        str_fmt("building " TEMPLATE_NAME " %s from this machine's package "
                "sources (a minute or two)",
                r->title);
    /* What a killed build leaves goes with the next one, or with the cache. */
    const char *env[16] = {"TMPDIR=" VDC_CACHE "/scratch"};
    for (size_t i = 0; tool_env[i] && i + 2 < ARRAY_LEN(env); i++)
        env[i + 1] = tool_env[i];
    if (fs_remove_tree(scratch, err) < 0 || fs_mkdirs(scratch, 0755, err) < 0)
        return -1;
    struct proc_opts opts = {
        .env = env, .timeout_s = BUILD_TIMEOUT_S, .on_line = log_line, .ctx = b};
    log_line(b, title);
    if (proc_run(PROC_ARGV(tool, "--mode=root", "--variant=minbase", "--format=directory",
                           "--aptopt=Acquire::Languages \"none\"", include, SOURCES_SUITE, tree,
                           list),
                 &opts, NULL, err) < 0 ||
        dress(r, tree, &sources, err) < 0 || r->finish(tree, tmp, err) < 0) {
        if (b->full || strstr(err->msg, strerror(ENOSPC)))
            return err_set(err, ERR_FAILED,
                           "template: the disk became full below " VDC_CACHE
                           "; the build needs %u MiB: free some space and try again",
                           r->space_mib);
        if (*b->cause)
            err_set(err, ERR_FAILED, "%s", b->cause);
        return err_wrap(err,
                        "template: the build failed ('muster-vdc logs --template' has it all)");
    }
    return fs_remove_tree(scratch, err);
}

static int finish_directory(const char *tree, const char *to, struct err *err)
{
    return rename(tree, to) == 0 ? 0 : err_errno(err, errno, "rename %s to %s", tree, to);
}

/* The one file that matches the pattern below the tree. */
static int take_file(const char *tree, const char *pattern, const char *to, const char *name,
                     struct err *err)
{
    glob_t g = {0};
    size_t len = 0;
    _cleanup_free_ char *all = str_fmt("%s/%s", tree, pattern), *path = str_fmt("%s/%s", to, name);
    _cleanup_free_ char *data = NULL;
    int r = glob(all, 0, NULL, &g) == 0 ? fs_read(g.gl_pathv[0], KERNEL_MAX, &data, &len, err)
                                        : err_set(err, ERR_FAILED, "no %s was installed", pattern);

    globfree(&g);
    return r < 0 ? -1 : fs_write_atomic(path, data, len, 0644, err);
}

static int finish_disk(const char *tree, const char *to, struct err *err)
{
    _cleanup_free_ char *disk = str_fmt("%s/" TEMPLATE_DISK, to);

    if (fs_mkdirs(to, 0755, err) < 0 ||
        take_file(tree, "boot/vmlinuz-*", to, TEMPLATE_KERNEL, err) < 0 ||
        take_file(tree, "boot/initrd.img-*", to, TEMPLATE_INITRD, err) < 0)
        return -1;
    if (disk_make(disk, DISK_BYTES, err) < 0 ||
        TOOL("mkfs.ext4", err, "-q", "-F", "-m", "0", "-L", "root", "-d", tree, disk) < 0)
        return -1;
    return 0;
}

static int recipe_ensure(const struct recipe *r, const char *dir, struct err *err)
{
    if (fs_exists(dir))
        return 0;
    if (fs_mkdirs(VDC_CACHE, 0755, err) < 0)
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
    if (build_in(r, tmp, &b, err) < 0) {
        struct err ignored = {0};

        log_line(&b, err->msg);
        fs_remove_tree(tmp, &ignored);
        return -1;
    }
    sync(); /* many small files: one flush instead of one for each */
    if (rename(tmp, dir) < 0)
        return err_errno(err, errno, "rename %s to %s", tmp, dir);
    log_line(&b, "ready");
    return fs_sync_parent(dir, err);
}

int template_ensure(enum template_kind kind, struct err *err)
{
    char dir[128];

    template_dir(kind, dir, sizeof(dir));
    return recipe_ensure(&recipes[kind], dir, err);
}

int template_ensure_dir(const char *dir, struct err *err)
{
    char now[128];

    if (fs_exists(dir))
        return 0;
    for (size_t i = 0; i < TEMPLATE_KINDS; i++) {
        template_dir(i, now, sizeof(now));
        if (str_eq(now, dir))
            return recipe_ensure(&recipes[i], dir, err);
    }
    return err_set(err, ERR_FAILED,
                   "the template that this VM was deployed from (%s) is gone, and the package "
                   "sources or the recipe changed since; put it back, or deploy the VM again",
                   dir);
}
