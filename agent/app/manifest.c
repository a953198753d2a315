/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/app/internal.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/str.h"

#define DEPTH_MAX 128
#define SIZE_MAX_BYTES (512UL << 20)
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
/* A file that is changed again in the same tick of the kernel's clock has the same change time. */
#define TICK_NS 20000000

struct entry {
    char kind; /* d, f, l */
    mode_t mode;
    uint64_t size, ino;
    int64_t ctime; /* ns; 0: not seen since */
    char digest[SHA256_HEX_SIZE];
    char *path; /* "" for the top */
    bool met;   /* in this walk */
};

struct manifest {
    struct entry *list;
    size_t n, cap;
};

static void manifest_free(struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++)
        free(m->list[i].path);
    free(m->list);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

/* --- whose a path is -------------------------------------------------------------------------- */

/* `path` is `top`, or below it. */
static bool within(const char *path, const char *top)
{
    size_t len = strlen(top);

    return *top && strncmp(path, top, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static void judge(const char *path, const char *other, enum manifest_owner *ret)
{
    if (within(path, other))
        *ret = OWNER_OTHERS;
    else if (within(other, path) && *ret == OWNER_ARCHIVE)
        *ret = OWNER_WAY;
}

enum manifest_owner manifest_owner(const struct manifest_others *o, const char *path)
{
    enum manifest_owner owner = OWNER_ARCHIVE;
    size_t i;
    json_t *item;

    json_array_foreach((json_t *)o->writable, i, item) judge(path, json_string_value(item), &owner);
    json_array_foreach((json_t *)o->config, i, item)
        judge(path, js_opt_str(item, "path", ""), &owner);
    return owner;
}

/* --- looking at one entry -------------------------------------------------------------------- */

static int64_t ctime_of(const struct stat *st)
{
    return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

/* What is known of the entry from here on without reading it again. */
static void note(struct entry *e, const struct stat *st)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - ctime_of(st);
    e->ino = st->st_ino;
    e->ctime = age > TICK_NS ? ctime_of(st) : 0;
}

/* Of a file's bytes or of a link's target; "-" for a directory. */
static int digest(int dir, const char *name, const struct stat *st, char ret[SHA256_HEX_SIZE],
                  struct err *err)
{
    char target[PATH_MAX], fd_path[32];

    strcpy(ret, "-");
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(dir, name, target, sizeof(target));

        if (n < 0)
            return err_errno(err, errno, "read the link '%s'", name);
        keys_sha256(target, (size_t)n, ret);
        return 0;
    }
    if (!S_ISREG(st->st_mode))
        return 0;
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "open '%s'", name);
    snprintf(fd_path, sizeof(fd_path), "/proc/self/fd/%d", fd);
    return keys_sha256_file(fd_path, ret, err);
}

static char kind_of(mode_t mode)
{
    return S_ISDIR(mode) ? 'd' : S_ISREG(mode) ? 'f' : S_ISLNK(mode) ? 'l' : '?';
}

/* --- the file -------------------------------------------------------------------------------- */

static int save(struct manifest *m, const char *path, struct err *err)
{
    struct strbuf b = {0};

    for (size_t i = 0; i < m->n; i++) {
        const struct entry *e = &m->list[i];

        strbuf_addf(&b, "%c %o %llu %llu %lld %s %s", e->kind, (unsigned)e->mode,
                    (unsigned long long)e->size, (unsigned long long)e->ino, (long long)e->ctime,
                    e->digest, e->path);
        strbuf_add(&b, "", 1);
    }
    int r = fs_write_atomic(path, strbuf_str(&b), b.len, 0600, err);
    strbuf_free(&b);
    return r;
}

static struct entry *add(struct manifest *m)
{
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 1024;
        m->list = xrealloc(m->list, m->cap * sizeof(*m->list));
    }
    memset(&m->list[m->n], 0, sizeof(*m->list));
    return &m->list[m->n++];
}

static bool parse(const char *line, struct entry *e)
{
    char *at = NULL;

    e->kind = line[0];
    if (!e->kind || !strchr("dfl", e->kind) || line[1] != ' ')
        return false;
    e->mode = (mode_t)strtoul(line + 2, &at, 8);
    e->size = strtoull(at, &at, 10);
    e->ino = strtoull(at, &at, 10);
    e->ctime = strtoll(at, &at, 10);
    if (*at++ != ' ')
        return false;
    size_t len = strcspn(at, " ");
    if (len >= sizeof(e->digest) || at[len] != ' ')
        return false;
    memcpy(e->digest, at, len);
    e->path = xstrdup(at + len + 1);
    return true;
}

static int load(struct manifest *m, const char *path, bool *ret_damaged, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len = 0;

    if (fs_read(path, SIZE_MAX_BYTES, &text, &len, err) < 0)
        return -1;
    *ret_damaged = len == 0;
    for (const char *at = text; at < text + len && !*ret_damaged; at += strlen(at) + 1)
        *ret_damaged = !parse(at, add(m));
    for (size_t i = 1; i < m->n && !*ret_damaged; i++)
        *ret_damaged = strcmp(m->list[i - 1].path, m->list[i].path) >= 0;
    return 0;
}

/* --- walking --------------------------------------------------------------------------------- */

struct walk {
    struct manifest *m;
    bool make;
    const struct manifest_others *others;
    struct manifest_seen *seen;
    bool dirty; /* something was read again */
    char path[PATH_MAX];
};

static int differ(struct walk *w, const char *path, const char *what)
{
    if (!w->seen->n_differ++)
        snprintf(w->seen->differs, sizeof(w->seen->differs), "%.160s %s",
                 *path ? path : "its directory", what);
    return 0;
}

static int make_entry(struct walk *w, int dir, const char *name, const struct stat *st,
                      struct err *err)
{
    struct entry *e = add(w->m);

    e->path = xstrdup(w->path);
    e->kind = kind_of(st->st_mode);
    e->mode = st->st_mode & 07777;
    e->size = S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size;
    note(e, st);
    return digest(dir, name, st, e->digest, err);
}

static int compare_entry(struct walk *w, struct entry *e, int dir, const char *name,
                         const struct stat *st, struct err *err)
{
    char have[SHA256_HEX_SIZE];

    e->met = true;
    if (kind_of(st->st_mode) != e->kind)
        return differ(w, w->path, "is something else than the archive's");
    if (st->st_uid != 0 || st->st_gid != 0)
        return differ(w, w->path, "is not root's");
    if (e->kind != 'l' && (st->st_mode & 07777) != e->mode)
        return differ(w, w->path, "has another mode");
    if (e->kind == 'd')
        return 0;
    if ((uint64_t)st->st_size != e->size)
        return differ(w, w->path, "has other content");
    if (st->st_ino == e->ino && ctime_of(st) == e->ctime)
        return 0;
    if (digest(dir, name, st, have, err) < 0)
        return -1;
    if (strcmp(have, e->digest) != 0)
        return differ(w, w->path, "has other content");
    note(e, st);
    w->dirty = true;
    return 0;
}

/* *ret_down: what is in it counts, too. */
static int meet(struct walk *w, int dir, const char *name, const struct stat *st, bool *ret_down,
                struct err *err)
{
    *ret_down = S_ISDIR(st->st_mode);
    if (w->make)
        return make_entry(w, dir, name, st, err);
    enum manifest_owner owner = manifest_owner(w->others, w->path);
    struct entry key = {.path = w->path};
    struct entry *e = owner == OWNER_OTHERS || !w->m->n
                          ? NULL
                          : bsearch(&key, w->m->list, w->m->n, sizeof(key), by_path);
    if (e)
        return compare_entry(w, e, dir, name, st, err);
    *ret_down = *ret_down && owner == OWNER_WAY;
    if (owner == OWNER_ARCHIVE && !w->seen->n_added++)
        snprintf(w->seen->added, sizeof(w->seen->added), "%.120s", w->path);
    return 0;
}

static int walk_directory(struct walk *w, int fd, unsigned depth, struct err *err)
{
    size_t len = strlen(w->path);
    int own = openat(fd, ".", DIR_FLAGS); /* closed with the stream */
    _cleanup_closedir_ DIR *d = own < 0 ? NULL : fdopendir(own);
    struct stat st;
    bool down;

    if (!d)
        return err_errno(err, errno, "read the directory '%s'", w->path);
    for (struct dirent *e; (errno = 0, e = readdir(d));) {
        size_t n = strlen(e->d_name);

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (depth >= DEPTH_MAX || len + n + 2 > sizeof(w->path))
            return err_set(err, ERR_FAILED, "'%.200s' is too deep", w->path);
        if (len)
            w->path[len] = '/';
        memcpy(w->path + len + (len > 0), e->d_name, n + 1);
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return err_errno(err, errno, "look at '%s'", w->path);
        if (meet(w, fd, e->d_name, &st, &down, err) < 0)
            return -1;
        if (down) {
            _cleanup_close_ int sub = openat(fd, e->d_name, DIR_FLAGS);

            if (sub < 0)
                return err_errno(err, errno, "open '%s'", w->path);
            if (walk_directory(w, sub, depth + 1, err) < 0)
                return -1;
        }
        w->path[len] = '\0';
    }
    return errno ? err_errno(err, errno, "read the directory '%s'", w->path) : 0;
}

static int walk_tree(struct walk *w, const char *top, struct err *err)
{
    _cleanup_close_ int fd = open(top, DIR_FLAGS);
    struct stat st;
    bool down;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "open %s", top);
    return meet(w, fd, ".", &st, &down, err) < 0 || walk_directory(w, fd, 0, err) < 0
               ? err_wrap(err, "%s", top)
               : 0;
}

int manifest_write(const char *top, const char *path, struct err *err)
{
    _cleanup_(manifest_free) struct manifest m = {0};
    struct walk w = {.m = &m, .make = true};

    if (walk_tree(&w, top, err) < 0)
        return -1;
    if (m.n)
        qsort(m.list, m.n, sizeof(*m.list), by_path);
    return save(&m, path, err);
}

int manifest_check(const char *top, const char *path, const struct manifest_others *others,
                   struct manifest_seen *ret, struct err *err)
{
    _cleanup_(manifest_free) struct manifest m = {0};
    struct walk w = {.m = &m, .others = others, .seen = ret};
    struct err ignored; /* it is read again then */
    bool damaged = false;

    *ret = (struct manifest_seen){0};
    if (load(&m, path, &damaged, err) < 0)
        return -1;
    if (damaged)
        return differ(&w, path, "is damaged");
    if (walk_tree(&w, top, err) < 0)
        return -1;
    for (size_t i = 0; i < m.n; i++)
        if (!m.list[i].met && manifest_owner(others, m.list[i].path) != OWNER_OTHERS)
            differ(&w, m.list[i].path, "is missing");
    if (w.dirty && geteuid() == 0)
        save(&m, path, &ignored);
    return 0;
}
