/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/share/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/sys/beneath.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB |            \
     IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK)
#define COOKIES 256 /* renames under way */

struct tree {
    const struct share *share;
    int fd;
    char **path; /* of each watch, by its number; NULL: none */
    size_t cap;
    uint32_t own[COOKIES]; /* renames of what Syncthing has received */
    size_t n_own;
};

void changes_clear(struct changes *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->path[i]);
    *c = (struct changes){0};
}

static void add(struct changes *c, const char *path)
{
    for (size_t i = c->n; i-- > 0;)
        if (strcmp(c->path[i], path) == 0)
            return;
    if (c->n == CHANGES_MAX)
        c->all = true;
    else
        c->path[c->n++] = xstrdup(path);
}

int tree_fd(const struct tree *t)
{
    return t->fd;
}

void tree_free(struct tree *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->cap; i++)
        free(t->path[i]);
    free(t->path);
    close(t->fd);
    free(t);
}

static void note(struct tree *t, size_t wd, const char *path)
{
    if (wd >= t->cap) {
        size_t cap = wd + 256;

        t->path = xrealloc(t->path, cap * sizeof(*t->path));
        memset(t->path + t->cap, 0, (cap - t->cap) * sizeof(*t->path));
        t->cap = cap;
    }
    free(t->path[wd]);
    t->path[wd] = xstrdup(path);
}

/* The directory that the descriptor is, whatever is under its name by now. */
static int watch_one(struct tree *t, int dir, const char *path, struct err *err)
{
    char self[64];

    snprintf(self, sizeof(self), "/proc/self/fd/%d/.", dir);
    int wd = inotify_add_watch(t->fd, self, EVENTS);
    if (wd < 0 && errno == ENOENT) /* it is gone again */
        return 0;
    if (wd < 0)
        return err_errno(err, errno, "watch %s%s", path,
                         errno == ENOSPC ? " (fs.inotify.max_user_watches)" : "");
    note(t, (size_t)wd, path);
    return 0;
}

static bool is_directory(int dir, const struct dirent *e)
{
    struct stat st;

    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* It went meanwhile, or something else has its name, which is an event, too. */
static bool is_gone(void)
{
    return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
}

/* Takes the descriptor. */
static int watch_below(struct tree *t, int fd, const char *path, struct err *err)
{
    _cleanup_closedir_ DIR *dir = fdopendir(fd);

    if (!dir) {
        err_errno(err, errno, "watch %s", path);
        close(fd);
        return -1;
    }
    if (watch_one(t, dirfd(dir), path, err) < 0)
        return -1;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            !is_directory(dirfd(dir), e))
            continue;
        _cleanup_free_ char *inner = str_fmt("%s/%s", path, e->d_name);
        if (!share_has(t->share, inner))
            continue;
        int below = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0 && is_gone())
            continue;
        if (below < 0)
            return err_errno(err, errno, "watch %s", inner);
        if (watch_below(t, below, inner, err) < 0)
            return -1;
    }
    return 0;
}

static int watch(struct tree *t, const char *path, struct err *err)
{
    int fd = beneath_open(t->share->home, path, false, (uid_t)-1, (gid_t)-1, err);

    if (fd < 0)
        return is_gone() ? 0 : -1;
    return watch_below(t, fd, path, err);
}

struct tree *tree_open(const struct share *s, struct err *err)
{
    struct tree *t = xcalloc(1, sizeof(*t));
    size_t i;
    json_t *f;

    t->share = s;
    t->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (t->fd < 0) {
        err_errno(err, errno, "inotify");
        free(t);
        return NULL;
    }
    json_array_foreach(s->directories, i, f)
    {
        if (watch(t, js_opt_str(f, "path", ""), err) < 0) {
            tree_free(t);
            return NULL;
        }
    }
    return t;
}

bool tree_whole(const struct tree *t)
{
    size_t i;
    json_t *f;

    json_array_foreach(t->share->directories, i, f)
    {
        bool watched = false;

        for (size_t wd = 0; wd < t->cap && !watched; wd++)
            watched = t->path[wd] && strcmp(t->path[wd], js_opt_str(f, "path", "")) == 0;
        if (!watched)
            return false;
    }
    return true;
}

/* A directory that moved is under another path, or in no shared one any more. */
static void unwatch(struct tree *t, const char *path)
{
    size_t n = strlen(path);

    for (size_t wd = 0; wd < t->cap; wd++)
        if (t->path[wd] && strncmp(t->path[wd], path, n) == 0 &&
            (!t->path[wd][n] || t->path[wd][n] == '/')) {
            inotify_rm_watch(t->fd, (int)wd);
            free(t->path[wd]);
            t->path[wd] = NULL;
        }
}

static bool is_own(struct tree *t, const struct inotify_event *e)
{
    bool from = e->mask & IN_MOVED_FROM;

    if (str_starts(e->name, SHARE_TMP)) {
        if (from && e->cookie)
            t->own[t->n_own++ % COOKIES] = e->cookie;
        return true;
    }
    for (size_t i = 0; (e->mask & IN_MOVED_TO) && i < COOKIES; i++)
        if (t->own[i] == e->cookie && e->cookie)
            return true;
    return false;
}

/* A new file is told of when it was written and closed; a link is there at once. */
static bool is_written_later(const struct tree *t, const char *path)
{
    struct err ignored;
    struct stat st;
    _cleanup_free_ char *directory = xstrdup(path);
    char *name = strrchr(directory, '/');

    if (!name)
        return false;
    *name++ = '\0';
    _cleanup_close_ int fd =
        beneath_open(t->share->home, directory, false, (uid_t)-1, (gid_t)-1, &ignored);
    return fd >= 0 && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_nlink == 1;
}

static int take(struct tree *t, const struct inotify_event *e, struct changes *c, struct err *err)
{
    const char *directory = e->wd >= 0 && (size_t)e->wd < t->cap ? t->path[e->wd] : NULL;

    if (e->mask & IN_Q_OVERFLOW) {
        c->all = true;
        return 0;
    }
    if ((e->mask & IN_IGNORED) && directory) { /* the directory is gone */
        free(t->path[e->wd]);
        t->path[e->wd] = NULL;
        return 0;
    }
    if (!directory || !e->len || is_own(t, e))
        return 0;
    _cleanup_free_ char *path = str_fmt("%s/%s", directory, e->name);
    if (!share_has(t->share, path))
        return 0;
    bool dir = e->mask & IN_ISDIR, gone = e->mask & (IN_MOVED_FROM | IN_DELETE);
    if ((e->mask & IN_CREATE) && !dir && is_written_later(t, path))
        return 0;
    add(c, path);
    c->deleted += gone;
    c->whole = c->whole || dir;
    if (dir && (e->mask & IN_MOVED_FROM))
        unwatch(t, path);
    return dir && (e->mask & (IN_CREATE | IN_MOVED_TO)) ? watch(t, path, err) : 0;
}

int tree_read(struct tree *t, struct changes *c, struct err *err)
{
    _Alignas(struct inotify_event) char buf[64 * 1024];
    ssize_t n;

    while ((n = read(t->fd, buf, sizeof(buf))) > 0)
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const struct inotify_event *)(buf + at);

            at += (ssize_t)(sizeof(*e) + e->len);
            if (take(t, e, c, err) < 0)
                return -1;
        }
    return n < 0 && errno != EAGAIN && errno != EINTR ? err_errno(err, errno, "inotify") : 0;
}
