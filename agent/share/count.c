/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/share/share.h"
#include "agent/sys/beneath.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

#define MASS_MIN 10 /* files of which losing half is no accident */

bool share_mass_delete(uint64_t known, uint64_t there)
{
    return known >= MASS_MIN && there < known / 2;
}

struct count {
    const struct share *share;
    int64_t files;
    uint64_t conflicts;
};

static int entry(struct count *c, int dir, const char *path, const char *name);

/* Takes the descriptor. */
static int below(struct count *c, int fd, const char *path)
{
    _cleanup_closedir_ DIR *dir = fdopendir(fd);

    if (!dir) {
        close(fd);
        return -1;
    }
    errno = 0;
    for (struct dirent *e; (e = readdir(dir)); errno = 0)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            !str_starts(e->d_name, SHARE_TMP) && entry(c, dirfd(dir), path, e->d_name) < 0)
            return -1;
    return errno ? -1 : 0;
}

static int entry(struct count *c, int dir, const char *path, const char *name)
{
    _cleanup_free_ char *inner = str_fmt("%s/%s", path, name);
    struct stat st;

    if (!share_has(c->share, inner))
        return 0;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -1; /* it went meanwhile */
    if (S_ISREG(st.st_mode)) {
        c->files++;
        c->conflicts += strstr(name, SHARE_CONFLICT) != NULL;
    }
    if (!S_ISDIR(st.st_mode))
        return 0;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? (errno == ENOENT ? 0 : -1) : below(c, fd, inner);
}

int64_t share_count(const struct share *s, uint64_t *ret_conflicts)
{
    struct count c = {.share = s};
    struct err ignored;
    size_t i;
    json_t *f;

    *ret_conflicts = 0;
    json_array_foreach(s->directories, i, f)
    {
        const char *path = js_opt_str(f, "path", "");
        int fd = beneath_open(s->home, path, false, (uid_t)-1, (gid_t)-1, &ignored);

        if (fd < 0 ? errno != ENOENT : below(&c, fd, path) < 0)
            return -1;
    }
    *ret_conflicts = c.conflicts;
    return c.files;
}
