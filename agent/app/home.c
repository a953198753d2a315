/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/home.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "agent/sys/conf.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define CP "/usr/bin/cp"

static char *earlier(const struct app *a)
{
    return str_fmt(PATH_APPS "/%s", a->name);
}

char *app_home(const struct app *a)
{
    return a->home ? xstrdup(a->home) : earlier(a);
}

char *app_home_parent(const struct app *a)
{
    _cleanup_free_ char *home = app_home(a);

    return xstrdup(dirname(home));
}

int app_home_begin(const struct app *a, struct err *err)
{
    _cleanup_free_ char *home = app_home(a), *parent = app_home_parent(a), *old = earlier(a);
    _cleanup_free_ char *fresh = str_fmt("%s.new", home);

    if (strcmp(home, old) == 0 || !fs_exists(old) || fs_exists(home))
        return 0;
    if (conf_directory(parent, err) < 0 || fs_remove_tree(fresh, err) < 0 ||
        proc_call(PROC_ARGV(CP, "-aT", old, fresh), err) < 0 || fs_sync_filesystem(fresh, err) < 0)
        return err_wrap(err, "move %s to the data disk", old);
    return rename(fresh, home) < 0 ? err_errno(err, errno, "rename %s", fresh) : 0;
}

int app_home_end(const struct app *a, struct err *err)
{
    _cleanup_free_ char *home = app_home(a), *old = earlier(a);

    if (strcmp(home, old) == 0 || !fs_exists(old))
        return 0;
    if (proc_call(PROC_ARGV(CP, "-aTu", old, home), err) < 0 || fs_sync_filesystem(home, err) < 0)
        return err_wrap(err, "move %s to the data disk", old);
    return fs_remove_tree(old, err);
}
