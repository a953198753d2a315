/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a backup to where the site has them, one by one: what the site has besides stays. The
 * site may change its directories meanwhile: no link is followed on the way. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "agent/sys/conf.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define DEPTH_MAX 256

struct placing {
    uid_t uid;
    gid_t gid;
    struct files_done done;
};

/* Relative, and without a way up. */
static bool link_stays(int dir, const char *name)
{
    char to[4096];
    ssize_t n = readlinkat(dir, name, to, sizeof(to) - 1);

    if (n <= 0 || (size_t)n == sizeof(to) - 1)
        return false;
    to[n] = '\0';
    return to[0] != '/' && !str_eq(to, "..") && !str_starts(to, "../") && !strstr(to, "/../") &&
           !str_ends(to, "/..");
}

static int place(struct placing *p, int from, int to, const char *at, unsigned depth,
                 struct err *err);

static int place_directory(struct placing *p, int from, int to, const char *name, mode_t mode,
                           const char *at, unsigned depth, struct err *err)
{
    _cleanup_close_ int source =
        openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool made = mkdirat(to, name, 0700) == 0;

    if (!made && errno != EEXIST)
        return err_errno(err, errno, "make %s", at);
    _cleanup_close_ int target = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target < 0 || source < 0)
        return err_set(err, ERR_SAFETY, "%s is a directory in the backup, and none here", at);
    if (made && (fchown(target, p->uid, p->gid) < 0 || fchmod(target, mode & 0777) < 0))
        return err_errno(err, errno, "%s", at);
    return place(p, source, target, at, depth + 1, err);
}

static int place_file(struct placing *p, int from, int to, const char *name, mode_t mode,
                      const char *at, struct err *err)
{
    struct stat st;

    if (fchownat(from, name, p->uid, p->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        (S_ISREG(mode) && fchmodat(from, name, mode & 0777, 0) < 0))
        return err_errno(err, errno, "%s", at);
    if (fstatat(to, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        return err_set(err, ERR_SAFETY, "%s is a directory here, and none in the backup", at);
    return renameat(from, name, to, name) < 0 ? err_errno(err, errno, "%s", at) : 0;
}

static int place_one(struct placing *p, int from, int to, const char *name, const char *at,
                     unsigned depth, struct err *err)
{
    struct stat st;

    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, errno, "%s", at);
    if (S_ISDIR(st.st_mode))
        return place_directory(p, from, to, name, st.st_mode, at, depth, err);
    if (S_ISLNK(st.st_mode) && !link_stays(from, name)) {
        p->done.links++;
        return 0;
    }
    if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
        return err_set(err, ERR_SAFETY, "%s of the backup is neither a file nor a directory", at);
    p->done.files++;
    return place_file(p, from, to, name, st.st_mode, at, err);
}

static int place(struct placing *p, int from, int to, const char *at, unsigned depth,
                 struct err *err)
{
    int fd = fcntl(from, F_DUPFD_CLOEXEC, 3);
    _cleanup_closedir_ DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (!d || depth > DEPTH_MAX)
        return err_set(err, ERR_FAILED, "%s cannot be read", at);
    for (struct dirent *e; (e = readdir(d));) {
        _cleanup_free_ char *inner = str_fmt("%s/%s", at, e->d_name);

        if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, "..") &&
            place_one(p, from, to, e->d_name, inner, depth, err) < 0)
            return -1;
    }
    return 0;
}

static int place_app(struct placing *p, const char *source, const char *home, struct err *err)
{
    _cleanup_close_ int from = open(source, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_close_ int to = -1;

    if (from < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "%s", source);
    if (fs_mkdirs(home, 0755, err) < 0)
        return -1;
    to = open(home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return to < 0 ? err_errno(err, errno, "%s", home) : place(p, from, to, home, 0, err);
}

int backup_files_place(const struct backup_conf *c, struct files_done *ret, struct err *err)
{
    _cleanup_free_ char *from = backup_work_path(c, "files");
    struct placing p = {0};
    size_t i;
    json_t *app;

    if (!json_array_size(c->apps)) {
        *ret = p.done;
        return 0;
    }
    if (conf_uid("www-data", &p.uid, err) < 0 || conf_gid("www-data", &p.gid, err) < 0 ||
        fs_sync_filesystem(from, err) < 0) /* nothing is told to other nodes before */
        return -1;
    json_array_foreach(c->apps, i, app)
    {
        _cleanup_free_ char *source = str_fmt("%s/%s", from, json_string_value(app));
        _cleanup_free_ char *home = str_fmt("%s/muster-app/%s", c->mount, json_string_value(app));

        if (place_app(&p, source, home, err) < 0)
            return -1;
    }
    *ret = p.done;
    return fs_sync_filesystem(c->mount, err);
}
