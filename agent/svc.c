/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/svc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/paths.h"
#include "common/cleanup.h"
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

static void state_line(struct svc_state *st, char *line)
{
    char *value = strchr(line, '=');
    if (!value)
        return;
    *value++ = '\0';
    if (strcmp(line, "LoadState") == 0)
        st->exists = strcmp(value, "not-found") != 0;
    else if (strcmp(line, "UnitFileState") == 0)
        st->enabled = one_of(value, (const char *const[]){"enabled", "enabled-runtime", "static",
                                                          "alias", "generated", "indirect", NULL});
    else if (strcmp(line, "MainPID") == 0)
        st->main_pid = atoi(value);
    else if (strcmp(line, "ActiveState") == 0) {
        st->active = one_of(value, (const char *const[]){"active", "reloading", NULL});
        st->busy = one_of(value, (const char *const[]){"activating", "deactivating", NULL});
        st->failed = strcmp(value, "failed") == 0;
    }
}

int svc_look(const char *unit, struct svc_state *ret, struct err *err)
{
    struct proc_result out = {0};
    struct proc_opts opts = {.timeout_s = 60};
    const char *const *argv = PROC_ARGV(
        SYSTEMCTL, "show", "--property=LoadState,ActiveState,UnitFileState,MainPID", "--", unit);
    *ret = (struct svc_state){0};
    int r = proc_run(argv, &opts, &out, err);
    if (r == 0) {
        char *save = NULL, *text = xstrdup(strbuf_str(&out.out));
        for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            state_line(ret, line);
        free(text);
    }
    proc_result_free(&out);
    return r < 0 ? err_wrap(err, "look at service %s", unit) : 0;
}

int svc_do(const char *verb, const char *unit, struct err *err)
{
    if (proc_call(PROC_ARGV(SYSTEMCTL, "--no-ask-password", verb, "--", unit), err) < 0)
        return err_wrap(err, "%s %s", verb, unit);
    return 0;
}

int svc_daemon_reload(struct err *err)
{
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

int svc_notify_serve(const char *unit, struct err *err)
{
    struct svc_state st;
    char path[256];
    if (!svc_notify_pending(unit))
        return 0;
    if (svc_look(unit, &st, err) < 0)
        return -1;
    if ((st.active || st.busy) && svc_do("reload-or-restart", unit, err) < 0)
        return -1;
    notify_path(unit, path, sizeof(path));
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", path);
    return 0;
}
