/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app_files.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/conf.h"
#include "agent/plan.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"

#define CACHE "/var/cache/muster-agent"
#define APT_HELPER "/usr/lib/apt/apt-helper"

const char *run_node(const struct run *run)
{
    return run->plan->node;
}

static char *release_path(const struct app *a)
{
    return str_fmt("%s.d/%.16s", a->root, a->sha256);
}

bool app_files_current(const struct app *a)
{
    char target[PATH_MAX];
    _cleanup_free_ char *release = release_path(a);
    ssize_t n = readlink(a->root, target, sizeof(target) - 1);
    if (n < 0)
        return false;
    target[n] = '\0';
    return strcmp(target, release) == 0 && fs_exists(release);
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

static int download(const struct app *a, const char *to, struct run *run, struct err *err)
{
    char digest[SHA256_HEX_SIZE];
    struct err ignored;
    _cleanup_free_ char *hash = str_fmt("SHA256:%s", a->sha256);
    if (keys_sha256_file(to, digest, &ignored) == 0 && strcmp(digest, a->sha256) == 0)
        return 0;
    run_progress(run, "download %s", a->url);
    if (fs_mkdirs(CACHE, 0700, err) < 0 || fs_remove_tree(to, err) < 0 ||
        proc_call(
            PROC_ARGV(APT_HELPER, "-oAPT::Sandbox::User=root", "download-file", a->url, to, hash),
            err) < 0)
        return err_wrap(err, "download %s", a->url);
    return 0;
}

/* Goes down `strip` folders, each the only thing in its parent. */
static int strip_folders(const struct app *a, char *path, size_t cap, struct err *err)
{
    for (uint64_t i = 0; i < a->strip; i++) {
        char only[NAME_MAX + 1] = "";
        unsigned n = 0;
        _cleanup_closedir_ DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));) {
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
                continue;
            str_copy(only, sizeof(only), e->d_name);
            n++;
        }
        size_t len = strlen(path);
        if (n != 1 || len + strlen(only) + 2 > cap)
            return err_set(
                err, ERR_FAILED,
                "the archive has %u entries at depth %llu where `strip` expects one folder", n,
                (unsigned long long)i);
        path[len] = '/';
        str_copy(path + len + 1, cap - len - 1, only);
    }
    return 0;
}

static int unpack(const struct app *a, const char *archive, const char *dir, struct err *err)
{
    bool zip = str_ends(a->file ? a->file : a->url, ".zip");
    if (zip && !fs_exists("/usr/bin/unzip"))
        return err_set(err, ERR_FAILED, "/usr/bin/unzip is missing; the plan must install unzip");
    return zip ? proc_call(PROC_ARGV("/usr/bin/unzip", "-q", "-o", archive, "-d", dir), err)
               : proc_call(PROC_ARGV("/usr/bin/tar", "-xf", archive, "-C", dir, "--no-same-owner"),
                           err);
}

static int make_writable(const struct app *a, const char *base, struct err *err)
{
    size_t i;
    json_t *item;
    json_array_foreach(a->writable, i, item)
    {
        _cleanup_free_ char *path = str_fmt("%s/%s", base, json_string_value(item));
        if (fs_mkdirs(path, 0755, err) < 0 ||
            proc_call(PROC_ARGV("/usr/bin/chown", "-R", "-h", APP_USER ":" APP_USER, path), err) <
                0)
            return -1;
    }
    return 0;
}

/* The link is replaced, never missing; a folder with the welcome page makes room. */
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

int app_files_put(const struct app *a, struct run *run, struct err *err)
{
    struct verdict refused;
    char top[PATH_MAX];
    _cleanup_free_ char *release = release_path(a);
    _cleanup_free_ char *fresh = str_fmt("%s.new", release);
    _cleanup_free_ char *archive = str_fmt(CACHE "/%s", a->sha256);
    if (app_files_refused(a, &refused))
        return err_set(err, ERR_SAFETY, "%s", refused.why);
    if (!fs_exists(release)) {
        if (download(a, archive, run, err) < 0 || fs_remove_tree(fresh, err) < 0 ||
            fs_mkdirs(fresh, 0755, err) < 0)
            return -1;
        run_progress(run, "unpack");
        str_copy(top, sizeof(top), fresh);
        if (unpack(a, archive, fresh, err) < 0 || strip_folders(a, top, sizeof(top), err) < 0 ||
            make_writable(a, top, err) < 0)
            return -1;
        if (rename(top, release) < 0)
            return err_errno(err, errno, "rename %s", top);
        if (fs_remove_tree(fresh, err) < 0 || fs_sync_parent(release, err) < 0)
            return -1;
    }
    return swap(a, release, err);
}

int app_config_each(const struct app *a, const struct run *run, bool installed, bool write,
                    const char **ret_why, struct err *err)
{
    size_t i;
    json_t *item;
    gid_t gid;
    if (json_array_size(a->config) == 0)
        return 0;
    if (conf_gid(APP_USER, &gid, err) < 0)
        return -1;
    json_array_foreach(a->config, i, item)
    {
        struct app_config c;
        if (app_config_read(item, &c, err) < 0)
            return -1;
        if (c.after_install && !installed)
            continue;
        _cleanup_free_ char *path = str_fmt("%s/%s", a->root, c.path);
        _cleanup_secret_ char *text = NULL;
        if (run_expand(run, c.content, &text, err) < 0)
            return err_wrap(err, "%s", path);
        /* It may hold a password: the web server reads it, nobody else. */
        struct conf conf = {.path = path, .content = text, .mode = 0640, .gid = gid};
        if (!*ret_why && conf_differs(&conf))
            *ret_why = c.path;
        if (write && conf_write(&conf, NULL, err) < 0)
            return -1;
    }
    return 0;
}
