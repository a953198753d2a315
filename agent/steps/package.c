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

#include "agent/app/web.h"
#include "agent/apt/apt.h"
#include "agent/apt/dpkg.h"
#include "agent/apt/journal.h"
#include "agent/steps/step.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define DPKG_DIR "/var/lib/dpkg"
#define STATUS_MAX (64 * 1024 * 1024)
#define POLICY "/usr/sbin/policy-rc.d"
#define POLICY_KEPT "/usr/sbin/policy-rc.d.muster-kept"
#define POLICY_TEXT                                                                                \
    "#!/bin/sh\n# muster-agent: services start after their configuration\nexit 101\n"

#define LOCK_TIMEOUT_S 600 /* with others that use apt */
#define LOCK_TIMEOUT_MAX_S 86400

struct package {
    const json_t *names;
    const json_t *repository; /* NULL: the machine's own */
    uint64_t lock_timeout;    /* seconds */
    struct apt_repo repo;
};

static const struct field fields[] = {
    FIELD(package, names, FIELD_NAMES),
    FIELD_OPT(package, repository, FIELD_OBJECT),
    FIELD_OPT(package, lock_timeout, FIELD_U64),
};

static int package_parse(const json_t *spec, void **ret, struct err *err)
{
    void *obj = NULL;

    if (fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct package), &obj, err) < 0)
        return -1;
    struct package *p = obj;
    if (!json_object_get(spec, "lock_timeout"))
        p->lock_timeout = LOCK_TIMEOUT_S;
    int r = p->lock_timeout > LOCK_TIMEOUT_MAX_S
                ? err_set(err, ERR_USAGE, "member 'lock_timeout' must be at most %d s",
                          LOCK_TIMEOUT_MAX_S)
                : 0;
    if (r == 0)
        r = apt_repo_parse(p->repository, js_opt_str(spec, "id", ""), &p->repo, err);
    if (r < 0) {
        free(obj);
        return -1;
    }
    *ret = obj;
    return 0;
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
    const struct package *p = self;
    _cleanup_(strbuf_free) struct strbuf missing = {0};
    bool broken = false;
    const char *repo = apt_repo_differs(&p->repo);

    if (repo)
        return verdict_differs(ret, "repository %.200s: %s",
                               p->repo.url ? p->repo.url : p->repo.name, repo);
    if (package_missing(p, &missing, &broken, err) < 0)
        return -1;
    if (missing.len)
        return verdict_differs(ret, "%s: %.300s", broken ? "half installed" : "not installed",
                               missing.s);
    if (apt_journal_open())
        return verdict_differs(ret, "an installation was interrupted");
    if (fs_exists(POLICY_KEPT) || policy_ours())
        return verdict_differs(ret, "%s is still ours", POLICY);
    return verdict_ok(ret);
}

/* A name of a module may be one that several packages provide. */
static bool is_module(const char *name)
{
    return str_starts(name, "php-") && !str_eq(name, "php-cli");
}

enum which { ALL, NO_MODULES, NONE /* only what is half done is brought to an end */ };

static int package_install(const struct package *p, enum which which, struct run *run,
                           struct err *err)
{
    size_t n = json_array_size(p->names), k = 0;
    _cleanup_free_ const char **argv = xcalloc(n + 20, sizeof(*argv));

    if (apt_journal_rolled_back()) {
        argv[k++] = "/usr/bin/env";
        argv[k++] = "UCF_FORCE_CONFFNEW=1";
    }
    argv[k++] = APT_GET;
    argv[k++] = "install";
    argv[k++] = "-y";
    argv[k++] = "-q";
    argv[k++] = "--no-install-recommends";
    if (which == NONE)
        argv[k++] = "--fix-broken";
    /* Not 1: apt keeps its status descriptor from dpkg, and scripts need a standard output. */
    argv[k++] = "-oAPT::Status-Fd=3";
    argv[k++] = "-oDPkg::Lock::Timeout=0"; /* apt_run waits, and says so */
    argv[k++] = "-oDpkg::Use-Pty=0";
    argv[k++] = "-oDpkg::Options::=--force-confdef";
    argv[k++] = "-oDpkg::Options::=--force-confold";
    argv[k++] = "--";
    for (size_t i = 0; i < n && which != NONE; i++) {
        const char *name = json_string_value(json_array_get(p->names, i));

        if (which == ALL || !is_module(name))
            argv[k++] = name;
    }
    return apt_run(run, "install", argv, (unsigned)p->lock_timeout, err);
}

static int package_update(const struct package *p, struct run *run, struct err *err)
{
    run_progress(run, "reading the package lists");
    return apt_run(run, "package lists",
                   PROC_ARGV(APT_GET, "update", "-q", "-oAPT::Status-Fd=3",
                             "-oAcquire::Languages=none", "-oAPT::Update::Error-Mode=any"),
                   (unsigned)p->lock_timeout, err);
}

/* Ends what an interrupted dpkg left. What it cannot end (a dependency that is not unpacked yet,
 * an archive that was cut off) apt can, so its failure is not final. */
static void package_configure(const struct package *p, struct run *run)
{
    struct err ignored = {0};

    run_progress(run, "completing what was interrupted");
    apt_run(run, "dpkg --configure -a",
            PROC_ARGV(DPKG, "--force-confdef", "--force-confold", "--configure", "-a"),
            (unsigned)p->lock_timeout, &ignored);
}

/* apt does not choose among several packages that provide a name. One of them may come with the
 * others: PHP itself has modules built in, and says so. *err: why the whole failed. */
static int package_by_parts(const struct package *p, struct run *run, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf missing = {0};
    _cleanup_json_ json_t *names = json_array();
    struct package rest = *p;
    struct err ignored = {0};
    bool broken = false;

    if (package_install(p, NO_MODULES, run, &ignored) < 0 ||
        package_missing(p, &missing, &broken, &ignored) < 0)
        return -1;
    if (!missing.len)
        return 0;
    for (char *save = NULL, *name = strtok_r(missing.s, " ", &save); name;
         name = strtok_r(NULL, " ", &save))
        json_array_append_new(names, json_string(name));
    rest.names = names;
    return package_install(&rest, ALL, run, err);
}

static int package_transaction(const struct package *p, bool broken, struct run *run,
                               struct err *err)
{
    struct err first = {0}, ignored = {0};

    if (broken)
        package_configure(p, run);
    if (package_install(p, ALL, run, &first) == 0)
        return 0;
    if (first.code == ERR_TIMEOUT) {
        *err = first;
        return -1;
    }
    /* The usual reasons: dpkg was interrupted; lists that are missing or too old. */
    package_configure(p, run);
    if (package_update(p, run, err) < 0)
        return -1;
    package_install(p, NONE, run, &ignored);
    return package_install(p, ALL, run, err) == 0 ? 0 : package_by_parts(p, run, err);
}

/* Apache's own script enables mpm_event when it is configured for the first time, and fails beside
 * another one. PHP's had enabled that, at the end of a first time that was interrupted before dpkg
 * knew of it. The step `web` enables it again. */
static int package_forget_mpm(struct err *err)
{
    static const char *const mpms[] = {"prefork.load", "prefork.conf", "worker.load",
                                       "worker.conf"};
    _cleanup_(strbuf_free) struct strbuf apache = {0};
    _cleanup_free_ char *text = NULL;
    size_t len = 0;

    if (fs_read(DPKG_DIR "/status", STATUS_MAX, &text, &len, err) < 0)
        return -1;
    dpkg_keep(text, len, "\napache2\n", &apache);
    if (strstr(strbuf_str(&apache), "\nStatus: install ok installed") ||
        strstr(strbuf_str(&apache), "\nConfig-Version:"))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(mpms); i++) {
        _cleanup_free_ char *path = str_fmt(WEB_ETC "/mods-enabled/mpm_%s", mpms[i]);

        if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
            return err_errno(err, errno, "remove %s", path);
    }
    return 0;
}

static int package_all(const struct package *p, struct run *run, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf missing = {0};
    bool broken = false;

    if (apt_journal_lost()) {
        run_progress(run, "the machine stopped while packages were installed: once more");
        if (apt_journal_roll_back(err) < 0 || package_update(p, run, err) < 0)
            return -1;
    }
    if (package_missing(p, &missing, &broken, err) < 0 || package_forget_mpm(err) < 0)
        return -1;
    return missing.len ? package_transaction(p, broken, run, err) : 0;
}

static int package_apply(const void *self, struct run *run, struct err *err)
{
    const struct package *p = self;
    _cleanup_(strbuf_free) struct strbuf missing = {0};
    struct err policy_err = {0};
    bool broken = false;

    if (apt_repo_apply(&p->repo, run, (unsigned)p->lock_timeout, err) < 0)
        return -1;
    if (package_missing(p, &missing, &broken, err) < 0)
        return -1;
    if (!missing.len && !apt_journal_open())
        return policy_restore(err);
    svc_forget();
    if (policy_deny(err) < 0 || apt_journal_begin(err) < 0)
        return -1;
    int r = package_all(p, run, err);
    /* It stays open while it was not rolled back. */
    if (!apt_journal_lost() && apt_journal_done(&policy_err) < 0 && r == 0) {
        *err = policy_err;
        r = -1;
    }
    if (policy_restore(&policy_err) < 0 && r == 0)
        return err_set(err, policy_err.code, "%s", policy_err.msg);
    return r;
}

const struct step_ops step_package = {"package",     package_parse, package_check,
                                      package_apply, free,          NULL};
