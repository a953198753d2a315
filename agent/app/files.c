/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/app/archive.h"
#include "agent/app/data.h"
#include "agent/app/home.h"
#include "agent/app/manifest.h"
#include "agent/app/php.h"
#include "agent/app/unpack.h"
#include "agent/sys/conf.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

char *app_release(const struct app *a)
{
    return archive_release(a->root, a->sha256);
}

/* The version in place, "" for none of ours; the caller frees. */
static char *current_release(const struct app *a)
{
    char target[PATH_MAX];
    _cleanup_free_ char *ours = str_fmt("%s.d/", a->root);
    ssize_t n = readlink(a->root, target, sizeof(target) - 1);

    target[n < 0 ? 0 : n] = '\0';
    return xstrdup(str_starts(target, ours) ? target : "");
}

static bool is_current(const struct app *a)
{
    _cleanup_free_ char *release = app_release(a);
    _cleanup_free_ char *current = current_release(a);
    _cleanup_free_ char *home = app_home(a);
    const struct app_data d = {.home = home, .directories = a->writable};

    return strcmp(current, release) == 0 && fs_exists(release) && app_data_linked(&d, release);
}

/* Nothing is in it but the page that Apache's package puts there. */
static bool only_welcome_page(const char *dir)
{
    _cleanup_closedir_ DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strcmp(e->d_name, "index.html") != 0)
            return false;
    return d != NULL;
}

bool app_files_refused(const struct app *a, struct verdict *ret)
{
    struct stat st;

    if (lstat(a->root, &st) < 0 || S_ISLNK(st.st_mode))
        return false;
    if (S_ISDIR(st.st_mode) && only_welcome_page(a->root))
        return false;
    verdict_refused(ret, "%s holds files that are not the agent's; move them away first", a->root);
    return true;
}

/* Goes down `strip` directories, each the only thing in its parent; what macOS adds to a zip beside
 * them is left behind. */
int app_files_strip(uint64_t strip, char *path, size_t cap, struct err *err)
{
    for (uint64_t i = 0; i < strip; i++) {
        char only[NAME_MAX + 1] = "";
        unsigned n = 0;
        _cleanup_closedir_ DIR *d = opendir(path);

        for (struct dirent *e; d && (e = readdir(d));) {
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                strcmp(e->d_name, "__MACOSX") == 0)
                continue;
            str_copy(only, sizeof(only), e->d_name);
            n++;
        }
        size_t len = strlen(path);
        if (n != 1 || len + strlen(only) + 2 > cap)
            return err_set(
                err, ERR_FAILED,
                "the archive has %u entries at depth %llu where `strip` expects one directory", n,
                (unsigned long long)i);
        path[len] = '/';
        str_copy(path + len + 1, cap - len - 1, only);
        struct stat st;
        if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
            return err_set(err, ERR_FAILED,
                           "'%s' is no directory; `strip` drops leading directories of the archive",
                           only);
    }
    return 0;
}

/* The link is replaced, never missing; a directory with the welcome page makes room. */
static int swap(const struct app *a, const char *release, struct err *err)
{
    struct stat st;
    _cleanup_free_ char *link = str_fmt("%s.link", a->root);

    if (lstat(a->root, &st) == 0 && S_ISDIR(st.st_mode) && fs_remove_tree(a->root, err) < 0)
        return -1;
    if (unlink(link) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", link);
    if (symlink(release, link) < 0 || rename(link, a->root) < 0)
        return err_errno(err, errno, "swap %s", a->root);
    return fs_sync_parent(a->root, err);
}

/* Beside the version in place only the one before it stays, for one step back. */
static int keep_two(const struct app *a, const char *release, const char *before, struct err *err)
{
    _cleanup_free_ char *dir_path = str_fmt("%s.d", a->root);
    _cleanup_closedir_ DIR *dir = opendir(dir_path);

    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_free_ char *path = str_fmt("%s/%s", dir_path, e->d_name);
        size_t n = strlen(dir_path) + 1 + RELEASE_LEN;

        if (e->d_name[0] == '.' || strncmp(path, release, n) == 0 || strncmp(path, before, n) == 0)
            continue;
        if (fs_remove_tree(path, err) < 0)
            return -1;
    }
    return 0;
}

/* Beside each version: what it consists of, and what was in the way when it was repaired. */
static char *manifest_of(const char *release)
{
    return str_fmt("%s.manifest", release);
}

/* Unpacks the archive below `fresh`; `top` is what the version is made of. */
static int unpack(const struct app *a, const struct app_data *d, const char *fresh,
                  const char *dist, char top[PATH_MAX], struct run *run, struct err *err)
{
    _cleanup_free_ char *archive = archive_path(a->sha256);

    if (archive_get(a->url, a->sha256, run, err) < 0 || fs_remove_tree(fresh, err) < 0 ||
        fs_remove_tree(dist, err) < 0 || fs_mkdirs(fresh, 0755, err) < 0)
        return -1;
    run_progress(run, "unpack");
    str_copy(top, PATH_MAX, fresh);
    if (unpack_archive(archive, fresh, &UNPACK_LIMITS, err) < 0 ||
        app_files_strip(a->strip, top, PATH_MAX, err) < 0 ||
        unpack_take(top, &UNPACK_LIMITS, err) < 0) {
        struct err ignored;

        fs_remove_tree(fresh, &ignored);
        return -1;
    }
    return app_data_split(d, top, dist, err);
}

static int archive_drop(const struct app *a, struct err *err)
{
    _cleanup_free_ char *archive = archive_path(a->sha256);

    return unlink(archive) < 0 ? err_errno(err, errno, "remove %s", archive) : 0;
}

/* A version is complete as soon as it has its name. */
static int release_make(const struct app *a, const struct app_data *d, const char *release,
                        const char *dist, struct run *run, struct err *err)
{
    char top[PATH_MAX];
    _cleanup_free_ char *fresh = str_fmt("%s.new", release);
    _cleanup_free_ char *manifest = manifest_of(release);

    if (unpack(a, d, fresh, dist, top, run, err) < 0 || manifest_write(top, manifest, err) < 0 ||
        fs_sync_filesystem(fresh, err) < 0)
        return -1;
    if (rename(top, release) < 0)
        return err_errno(err, errno, "rename %s", top);
    if (fs_sync_parent(release, err) < 0 || fs_remove_tree(fresh, err) < 0)
        return -1;
    return archive_drop(a, err);
}

/* What is not the archive's any more is taken from it again. */
static int release_repair(const struct app *a, const struct app_data *d, const char *release,
                          struct run *run, struct err *err)
{
    char top[PATH_MAX];
    const struct manifest_others others = {a->writable, a->config};
    _cleanup_free_ char *fresh = str_fmt("%s.new", release);
    _cleanup_free_ char *dist = str_fmt("%s.new.dist", release); /* the site has its own */
    _cleanup_free_ char *aside = str_fmt("%s.aside", release);
    _cleanup_free_ char *manifest = manifest_of(release);

    /* PHP may have the changed code in memory: a file with the old time is not read again. */
    if (unpack(a, d, fresh, dist, top, run, err) < 0 || manifest_write(top, manifest, err) < 0 ||
        svc_notify_note(WEB_SERVICE, err) < 0 ||
        manifest_repair(top, release, aside, &others, err) < 0 ||
        fs_sync_filesystem(release, err) < 0 || svc_notify_serve(WEB_SERVICE, err) < 0 ||
        fs_remove_tree(fresh, err) < 0 || fs_remove_tree(dist, err) < 0)
        return -1;
    return archive_drop(a, err);
}

static int data_of(const struct app *a, const char *home, struct app_data *ret, struct err *err)
{
    *ret = (struct app_data){.home = home, .directories = a->writable};
    return conf_uid(APP_USER, &ret->uid, err) < 0 || conf_gid(APP_USER, &ret->gid, err) < 0 ? -1
                                                                                            : 0;
}

static int put(const struct app *a, struct run *run, struct err *err)
{
    struct verdict refused;
    _cleanup_free_ char *home = app_home(a);
    _cleanup_free_ char *release = app_release(a);
    _cleanup_free_ char *dist = str_fmt("%s.dist", release);
    _cleanup_free_ char *before = current_release(a);
    _cleanup_free_ char *before_dist = str_fmt("%s.dist", before);
    struct app_data d;
    struct stat st;
    bool other = before[0] && strcmp(before, release) != 0;
    bool elsewhere = strcmp(before, release) != 0 && lstat(a->root, &st) == 0 &&
                     S_ISLNK(st.st_mode); /* not ours, maybe */

    if (app_files_refused(a, &refused))
        return err_set(err, ERR_SAFETY, "%s", refused.why);
    if (data_of(a, home, &d, err) < 0)
        return -1;
    if (!fs_exists(release) && release_make(a, &d, release, dist, run, err) < 0)
        return -1;
    if (app_home_begin(a, err) < 0 ||
        (other && fs_exists(before) && app_data_adopt(&d, before, err) < 0) ||
        app_data_adopt(&d, release, err) < 0 ||
        app_data_merge(&d, dist, other ? before_dist : NULL, err) < 0 || app_home_end(a, err) < 0)
        return -1;
    if (!elsewhere)
        return swap(a, release, err);
    /* PHP remembers where links led: it must read them again. */
    if (svc_notify_note(WEB_SERVICE, err) < 0 || swap(a, release, err) < 0 ||
        svc_notify_serve(WEB_SERVICE, err) < 0)
        return -1;
    return !other ? 0 : keep_two(a, release, before, err);
}

/* What the web server goes through on its way to the files. */
struct way {
    char *directory[3];
};

static void way_cleanup(struct way *w)
{
    for (size_t i = 0; i < ARRAY_LEN(w->directory); i++)
        free(w->directory[i]);
}

static struct way way_of(const struct app *a)
{
    return (struct way){{str_fmt("%s.d", a->root), app_home_parent(a), app_home(a)}};
}

int app_files_check(const struct app *a, struct verdict *ret, struct err *err)
{
    const struct manifest_others others = {a->writable, a->config};
    struct manifest_seen seen;
    struct app_data d;
    _cleanup_free_ char *home = app_home(a);
    _cleanup_free_ char *release = app_release(a);
    _cleanup_free_ char *manifest = manifest_of(release);

    if (!is_current(a))
        return verdict_differs(ret, "%s is not this archive", a->root);
    if (data_of(a, home, &d, err) < 0)
        return -1;
    _cleanup_(way_cleanup) struct way way = way_of(a);
    for (size_t i = 0; i < ARRAY_LEN(way.directory); i++)
        if (conf_directory_differs(way.directory[i]))
            return verdict_differs(ret, "%s has another mode or owner than 0755, root",
                                   way.directory[i]);
    const char *directory = app_data_unusable(&d);
    if (directory)
        return verdict_differs(ret, "%s/%s is not the web server's to write to", home, directory);
    if (!fs_exists(manifest))
        return verdict_differs(ret, "%s is missing", manifest);
    if (manifest_check(release, manifest, &others, &seen, err) < 0)
        return -1;
    if (seen.n_differ)
        return verdict_differs(ret, "%zu of the archive's files are not as it brought them: %s",
                               seen.n_differ, seen.differs);
    return seen.n_added ? verdict_note(ret, "%zu files in %s are not the archive's: %s",
                                       seen.n_added, release, seen.added)
                        : verdict_ok(ret);
}

int app_files_repair(const struct app *a, struct run *run, struct err *err)
{
    const struct manifest_others others = {a->writable, a->config};
    struct manifest_seen seen = {.n_differ = 1};
    struct err damaged; /* a manifest that cannot be read is written again */
    struct app_data d;
    _cleanup_free_ char *home = app_home(a);
    _cleanup_free_ char *release = app_release(a);
    _cleanup_free_ char *manifest = manifest_of(release);

    if (!is_current(a) && put(a, run, err) < 0)
        return -1;
    _cleanup_(way_cleanup) struct way way = way_of(a);
    for (size_t i = 0; i < ARRAY_LEN(way.directory); i++)
        if (conf_directory(way.directory[i], err) < 0)
            return -1;
    if (data_of(a, home, &d, err) < 0 || app_data_own(&d, err) < 0)
        return -1;
    if (fs_exists(manifest) && manifest_check(release, manifest, &others, &seen, &damaged) == 0 &&
        !seen.n_differ)
        return 0;
    return release_repair(a, &d, release, run, err);
}
