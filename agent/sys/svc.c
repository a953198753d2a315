/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/svc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

static bool one_of(const char *s, const char *const *set)
{
    for (; *set; set++)
        if (strcmp(s, *set) == 0)
            return true;
    return false;
}

int64_t svc_time(const char *text)
{
    struct tm tm = {0};
    long us = 0;

    if (sscanf(text, "%*s %d-%d-%d %d:%d:%d.%6ld UTC", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &us) != 7)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000000 + us;
}

static void unit_file_state(struct svc_state *st, const char *value)
{
    st->enabled = one_of(value, (const char *const[]){"enabled", "enabled-runtime", "static",
                                                      "alias", "generated", "indirect", NULL});
    st->masked = st->masked || str_starts(value, "masked");
}

static void state_line(struct svc_state *st, char *line)
{
    char *value = strchr(line, '=');

    if (!value)
        return;
    *value++ = '\0';
    if (strcmp(line, "LoadState") == 0) {
        st->exists = strcmp(value, "not-found") != 0;
        st->masked = st->masked || strcmp(value, "masked") == 0;
    } else if (strcmp(line, "UnitFileState") == 0) {
        unit_file_state(st, value);
    } else if (strcmp(line, "MainPID") == 0)
        st->main_pid = atoi(value);
    else if (strcmp(line, "StateChangeTimestamp") == 0)
        st->changed = svc_time(value);
    else if (strcmp(line, "ActiveState") == 0) {
        st->active = one_of(value, (const char *const[]){"active", "reloading", NULL});
        st->busy = one_of(value, (const char *const[]){"activating", "deactivating", NULL});
        st->failed = strcmp(value, "failed") == 0;
    }
}

/* --- looking ------------------------------------------------------------------------------- */

#define CALL_MAX_S 60
#define EXPECT_MAX 16
#define FRESH_MS 1000
#define TIMES "--timestamp=us+utc"
#define PROPERTIES "--property=LoadState,ActiveState,UnitFileState,MainPID,StateChangeTimestamp"
#define ARGS_BEFORE_UNITS 5

static struct {
    char unit[EXPECT_MAX][64];
    struct svc_state state[EXPECT_MAX];
    size_t n;
    uint64_t at; /* when the states were asked for; 0: not known */
} expected;

/* The answers are blocks of lines, one block a unit in the order asked, with an empty line between.
 */
static int ask(const char *const argv[], struct svc_state *ret, size_t n, struct err *err)
{
    struct proc_result out = {0};
    struct proc_opts opts = {.timeout_s = CALL_MAX_S};
    int r = proc_run(argv, &opts, &out, err);
    size_t k = 0;
    bool said = false; /* something of the unit k */

    memset(ret, 0, n * sizeof(*ret));
    if (r == 0 && out.out.s)
        for (char *line = out.out.s, *end; k < n && *line; line = end) {
            end = line + strcspn(line, "\n");
            bool more = *end == '\n';
            *end = '\0';
            if (*line)
                state_line(&ret[k], line);
            else
                k++;
            said = *line != '\0';
            end += more;
        }
    proc_result_free(&out);
    if (r == 0 && k + said < n)
        return err_set(err, ERR_FAILED, SYSTEMCTL " show: nothing about %s",
                       argv[ARGS_BEFORE_UNITS + k]);
    return r;
}

int svc_status(const char *unit, struct svc_state *ret, struct err *err)
{
    expected.at = 0;
    if (ask(PROC_ARGV(SYSTEMCTL, "show", TIMES, PROPERTIES, "--", unit), ret, 1, err) < 0)
        return err_wrap(err, "look at service %s", unit);
    return 0;
}

static struct {
    int64_t when;
    uint64_t at; /* when it was asked for; 0: not known */
} units_loaded;

/* What systemd remembers of links that say what starts at boot, it does not look at again before it
 * reads all units; another call does. */
static int from_disk(const char *unit, struct svc_state *st, struct err *err)
{
    static const char *const directories[] = {"/etc/systemd/system",
                                              "/etc/systemd/system/multi-user.target.wants",
                                              "/run/systemd/system"};
    struct proc_result out = {0};
    struct proc_opts opts = {.timeout_s = CALL_MAX_S};
    struct err no; /* says that it is not enabled */
    int64_t loaded = 0;
    bool newer = false;

    if (svc_units_loaded(&loaded, err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(directories); i++)
        newer = newer || svc_changed_after(directories[i], loaded);
    if (!newer || !st->exists)
        return 0;
    proc_run(PROC_ARGV(SYSTEMCTL, "is-enabled", "--", unit), &opts, &out, &no);
    const char *said = str_chomp(out.out.s ? out.out.s : (char[]){""});
    if (*said)
        unit_file_state(st, said);
    proc_result_free(&out);
    return 0;
}

static size_t expected_find(const char *unit)
{
    size_t i = 0;

    while (i < expected.n && strcmp(expected.unit[i], unit) != 0)
        i++;
    return i;
}

void svc_expect_none(void)
{
    expected.n = 0;
    svc_forget();
}

void svc_expect(const char *unit)
{
    if (expected.n < EXPECT_MAX && expected_find(unit) == expected.n &&
        str_copy(expected.unit[expected.n], sizeof(expected.unit[0]), unit))
        expected.n++;
    expected.at = 0;
}

void svc_forget(void)
{
    expected.at = 0;
    units_loaded.at = 0;
}

int svc_status_boot(const char *unit, struct svc_state *ret, struct err *err)
{
    return svc_status(unit, ret, err) < 0 || from_disk(unit, ret, err) < 0 ? -1 : 0;
}

int svc_status_soon(const char *unit, struct svc_state *ret, struct err *err)
{
    size_t i = expected_find(unit), k = 0;
    const char *argv[EXPECT_MAX + ARGS_BEFORE_UNITS + 1];
    uint64_t now = clock_mono_ms();

    if (i == expected.n)
        return svc_status_boot(unit, ret, err);
    if (!expected.at || now - expected.at > FRESH_MS) {
        argv[k++] = SYSTEMCTL;
        argv[k++] = "show";
        argv[k++] = TIMES;
        argv[k++] = PROPERTIES;
        argv[k++] = "--";
        for (size_t u = 0; u < expected.n; u++)
            argv[k++] = expected.unit[u];
        argv[k] = NULL;
        if (ask(argv, expected.state, expected.n, err) < 0)
            return err_wrap(err, "look at services");
        for (size_t u = 0; u < expected.n; u++)
            if (from_disk(expected.unit[u], &expected.state[u], err) < 0)
                return -1;
        expected.at = now;
    }
    *ret = expected.state[i];
    return 0;
}

/* --- what was loaded ------------------------------------------------------------------------ */

int svc_units_loaded(int64_t *ret, struct err *err)
{
    static const char name[] = "UnitsLoadTimestamp=";
    struct proc_result out = {0};
    struct proc_opts opts = {.timeout_s = CALL_MAX_S};
    uint64_t now = clock_mono_ms();

    if (units_loaded.at && now - units_loaded.at <= FRESH_MS) {
        *ret = units_loaded.when;
        return 0;
    }
    int r = proc_run(PROC_ARGV(SYSTEMCTL, "show", TIMES, "--property=UnitsLoadTimestamp"), &opts,
                     &out, err);

    if (r == 0) {
        const char *text = strbuf_str(&out.out);

        *ret = str_starts(text, name) ? svc_time(text + strlen(name)) : 0;
        units_loaded.when = *ret;
        units_loaded.at = now;
    }
    proc_result_free(&out);
    return r < 0 ? err_wrap(err, "when were the units loaded") : 0;
}

bool svc_changed_after(const char *path, int64_t loaded)
{
    struct stat st;
    struct timespec now;

    if (loaded <= 0 || lstat(path, &st) < 0 || clock_gettime(CLOCK_REALTIME, &now) < 0)
        return false;
    int64_t at = (int64_t)st.st_ctim.tv_sec * 1000000 + st.st_ctim.tv_nsec / 1000;
    return at > loaded && at <= (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- changing ------------------------------------------------------------------------------ */

int svc_do(const char *verb, const char *unit, struct err *err)
{
    svc_forget();
    if (proc_call(PROC_ARGV(SYSTEMCTL, "--no-ask-password", verb, "--", unit), err) < 0)
        return err_wrap(err, "%s %s", verb, unit);
    return 0;
}

int svc_daemon_reload(struct err *err)
{
    svc_forget();
    return proc_call(PROC_ARGV(SYSTEMCTL, "daemon-reload"), err);
}

static void notify_path(const char *unit, char *ret, size_t cap)
{
    snprintf(ret, cap, "%s/%s", PATH_NOTIFY, unit);
}

int svc_notify_note(const char *unit, struct err *err)
{
    char path[256];

    notify_path(unit, path, sizeof(path));
    if (fs_mkdirs(PATH_NOTIFY, 0700, err) < 0)
        return -1;
    return fs_write_atomic(path, "", 0, 0600, err);
}

bool svc_notify_pending(const char *unit)
{
    char path[256];

    notify_path(unit, path, sizeof(path));
    return fs_exists(path);
}

int svc_notify_drop(const char *unit, struct err *err)
{
    char path[256];

    notify_path(unit, path, sizeof(path));
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", path);
    return 0;
}

int svc_notify_serve(const char *unit, struct err *err)
{
    struct svc_state st;

    if (!svc_notify_pending(unit))
        return 0;
    if (svc_status(unit, &st, err) < 0)
        return -1;
    /* Apache that was started a moment ago cannot be reloaded yet. */
    if ((st.active || st.busy) && svc_do("reload-or-restart", unit, err) < 0 &&
        svc_do("restart", unit, err) < 0)
        return -1;
    return svc_notify_drop(unit, err);
}
