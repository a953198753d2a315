/* SPDX-License-Identifier: Apache-2.0 */
/* Step `package`: one apt transaction. No service is started by it: a policy-rc.d of ours denies
 * that while it runs, so that configuration comes first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/dpkg.h"
#include "agent/resource.h"
#include "agent/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define APT_GET "/usr/bin/apt-get"
#define DPKG "/usr/bin/dpkg"
#define DPKG_DIR "/var/lib/dpkg"
#define STATUS_MAX (64 * 1024 * 1024)
#define POLICY "/usr/sbin/policy-rc.d"
#define POLICY_KEPT "/usr/sbin/policy-rc.d.muster-kept"
#define POLICY_TEXT                                                                                \
    "#!/bin/sh\n# muster-agent: services start after their configuration\nexit 101\n"

struct package {
    const json_t *names;
};

static const struct field fields[] = {FIELD(package, names, FIELD_NAMES)};

static int package_parse(const json_t *spec, void **ret, struct err *err)
{
    return fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct package), ret, err);
}

static bool policy_ours(void)
{
    _cleanup_free_ char *text = NULL;
    struct err err;
    return fs_read(POLICY, 4096, &text, NULL, &err) == 0 && strcmp(text, POLICY_TEXT) == 0;
}

/* Restores what was there; harmless when nothing was replaced. */
static int policy_restore(struct err *err)
{
    if (policy_ours() && unlink(POLICY) < 0)
        return err_errno(err, errno, "remove %s", POLICY);
    if (!fs_exists(POLICY) && rename(POLICY_KEPT, POLICY) < 0 && errno != ENOENT)
        return err_errno(err, errno, "restore %s", POLICY);
    return 0;
}

static int policy_deny(struct err *err)
{
    if (policy_ours())
        return 0;
    if (fs_exists(POLICY) && rename(POLICY, POLICY_KEPT) < 0)
        return err_errno(err, errno, "set %s aside", POLICY);
    return fs_write_atomic(POLICY, POLICY_TEXT, strlen(POLICY_TEXT), 0755, err);
}

/* Which packages are not installed; *ret holds their names, "" for none. What an interrupted dpkg
 * has not yet merged into its status reads as before: apt then says so, and is helped. */
static int package_missing(const struct package *p, struct strbuf *ret, bool *ret_broken,
                           struct err *err)
{
    size_t n = json_array_size(p->names), len = 0;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ const char **names = xcalloc(n + 1, sizeof(*names));
    _cleanup_free_ enum dpkg_state *state = xcalloc(n + 1, sizeof(*state));
    for (size_t i = 0; i < n; i++)
        names[i] = json_string_value(json_array_get(p->names, i));
    if (fs_read(DPKG_DIR "/status", STATUS_MAX, &text, &len, err) < 0)
        return -1;
    dpkg_scan(text, len, names, n, state);
    *ret_broken = false;
    for (size_t i = 0; i < n; i++) {
        *ret_broken = *ret_broken || state[i] == DPKG_BROKEN;
        if (state[i] != DPKG_INSTALLED)
            strbuf_addf(ret, "%s%s", ret->len ? " " : "", names[i]);
    }
    return 0;
}

static int package_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run;
    _cleanup_(strbuf_free) struct strbuf missing = {0};
    bool broken = false;
    if (package_missing(self, &missing, &broken, err) < 0)
        return -1;
    if (missing.len)
        return verdict_differs(ret, "%s: %.300s", broken ? "half installed" : "not installed",
                               missing.s);
    if (fs_exists(POLICY_KEPT) || policy_ours())
        return verdict_differs(ret, "%s is still ours", POLICY);
    return verdict_ok(ret);
}

static void apt_line(void *ctx, const char *line)
{
    /* APT::Status-Fd: "pmstatus:package:percent:text" and "dlstatus:n:percent:text" */
    double percent;
    const char *text = NULL;
    if (!str_starts(line, "pmstatus:") && !str_starts(line, "dlstatus:"))
        return;
    const char *at = strchr(line + 9, ':');
    if (!at || sscanf(at + 1, "%lf", &percent) != 1)
        return;
    text = strchr(at + 1, ':');
    run_progress(ctx, "%s %.0f %%: %.120s", line[0] == 'd' ? "download" : "install", percent,
                 text ? text + 1 : "");
}

static int apt(struct run *run, const char *const *argv, struct err *err)
{
    static const char *const env[] = {"DEBIAN_FRONTEND=noninteractive",
                                      "LC_ALL=C.UTF-8",
                                      "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                      "HOME=/root",
                                      "NEEDRESTART_SUSPEND=1",
                                      NULL};
    struct proc_opts opts = {.env = env, .on_line = apt_line, .ctx = run};
    return proc_run(argv, &opts, NULL, err);
}

static int package_install(const struct package *p, struct run *run, struct err *err)
{
    size_t n = json_array_size(p->names), k = 0;
    _cleanup_free_ const char **argv = xcalloc(n + 16, sizeof(*argv));
    argv[k++] = APT_GET;
    argv[k++] = "install";
    argv[k++] = "-y";
    argv[k++] = "-q";
    argv[k++] = "--no-install-recommends";
    argv[k++] = "-oAPT::Status-Fd=1";
    argv[k++] = "-oDPkg::Lock::Timeout=600";
    argv[k++] = "-oDpkg::Use-Pty=0";
    argv[k++] = "-oDpkg::Options::=--force-confdef";
    argv[k++] = "-oDpkg::Options::=--force-confold";
    argv[k++] = "--";
    for (size_t i = 0; i < n; i++)
        argv[k++] = json_string_value(json_array_get(p->names, i));
    return apt(run, argv, err);
}

static int package_update(struct run *run, struct err *err)
{
    run_progress(run, "reading the package lists");
    return apt(run,
               PROC_ARGV(APT_GET, "update", "-q", "-oAPT::Status-Fd=1", "-oDPkg::Lock::Timeout=600",
                         "-oAcquire::Languages=none", "-oAPT::Update::Error-Mode=any"),
               err);
}

static int package_apply(const void *self, struct run *run, struct err *err)
{
    const struct package *p = self;
    _cleanup_(strbuf_free) struct strbuf missing = {0};
    struct err policy_err = {0};
    bool broken = false;
    if (package_missing(p, &missing, &broken, err) < 0)
        return -1;
    if (!missing.len)
        return policy_restore(err);
    svc_forget();
    if (policy_deny(err) < 0)
        return -1;
    int r = broken ? apt(run, PROC_ARGV(DPKG, "--configure", "-a"), err) : 0;
    if (r == 0 && (r = package_install(p, run, err)) < 0) {
        /* The usual reasons: dpkg was interrupted; lists that are missing or too old. */
        if ((r = apt(run, PROC_ARGV(DPKG, "--configure", "-a"), err)) == 0 &&
            (r = package_update(run, err)) == 0)
            r = package_install(p, run, err);
    }
    if (policy_restore(&policy_err) < 0 && r == 0)
        return err_set(err, policy_err.code, "%s", policy_err.msg);
    return r;
}

const struct resource_ops res_package = {"package", package_parse, package_check, package_apply,
                                         free};
