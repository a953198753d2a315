/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/share/lost.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/share/rest.h"
#include "agent/sys/beneath.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

#define QUIET_MS 10000  /* nothing came from the others */
#define HEARD_MS 120000 /* one was there for so long, whoever else is not */
#define ASK_S 5
#define LIST_S 30
#define PAGE 500
#define OWN_CHANGE 8 /* Syncthing's flag of what a node that only receives has changed itself */
#define TRASH "trash"
#define SECONDS_SIZE sizeof("2026-11-28T11:12:34") /* what follows is no whole second */

void lost_free(struct lost *l)
{
    for (size_t i = 0; i < l->n_directories; i++)
        free(l->directories[i]);
    free(l->directories);
    *l = (struct lost){0};
}

/* --- whether the others have spoken ----------------------------------------------------------- */

bool lost_heard(const struct share *s, const json_t *status, const json_t *connections,
                struct lost *l, uint64_t now)
{
    const json_t *all = json_object_get(connections, "connections");
    size_t i, others = 0, connected = 0;
    uint64_t bytes = 0;
    json_t *m;

    json_array_foreach(s->members, i, m)
    {
        const json_t *c = json_object_get(all, js_opt_str(m, "device", ""));

        if (strcmp(js_opt_str(m, "name", ""), s->node) == 0)
            continue;
        others++;
        connected += js_opt_bool(c, "connected", false);
        bytes += js_opt_u64(c, "inBytesTotal", 0);
    }
    /* Directories that they deleted are needed as long as there are files in them here. */
    bool idle = strcmp(js_opt_str(status, "state", ""), "idle") == 0 &&
                js_opt_u64(status, "needFiles", 1) == 0;

    if (!connected || !l->connected_at)
        l->connected_at = connected ? now : 0;
    if (connected < others || !idle || bytes != l->bytes)
        l->quiet_at = 0;
    else if (!l->quiet_at)
        l->quiet_at = now;
    l->bytes = bytes;
    return (l->quiet_at && now - l->quiet_at >= QUIET_MS) ||
           (l->connected_at && now - l->connected_at >= HEARD_MS);
}

static json_t *ask(const struct share *s, const char *api_key, const char *what, const char *file,
                   unsigned timeout_s, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf path = {0};
    json_t *ret = NULL;

    strbuf_addf(&path, "%sfolder=", what);
    rest_quote(&path, s->app);
    if (file) {
        strbuf_adds(&path, "&file=");
        rest_quote(&path, file);
    }
    if (rest_call(api_key, "GET", strbuf_str(&path), timeout_s, &ret, err) == 0 && !ret)
        err_set(err, ERR_FAILED, "Syncthing answered nothing");
    return ret;
}

int lost_ask(const struct share *s, const char *api_key, struct lost *l, uint64_t now,
             struct err *err)
{
    _cleanup_json_ json_t *status = ask(s, api_key, "/rest/db/status?", NULL, ASK_S, err);
    _cleanup_json_ json_t *connections =
        status ? ask(s, api_key, "/rest/system/connections?", NULL, ASK_S, err) : NULL;

    return connections ? lost_heard(s, status, connections, l, now) : -1;
}

/* --- what they deleted ------------------------------------------------------------------------ */

bool lost_deleted(const json_t *file)
{
    const json_t *global = json_object_get(file, "global"), *local = json_object_get(file, "local");
    char written[SECONDS_SIZE], deleted[SECONDS_SIZE];

    if (!js_opt_bool(global, "deleted", false) || js_opt_bool(local, "deleted", true) ||
        (js_opt_u64(global, "localFlags", OWN_CHANGE) & OWN_CHANGE))
        return false;
    /* Of what is deleted Syncthing says when. What was written after that is another file. */
    snprintf(written, sizeof(written), "%s", js_opt_str(local, "modified", ""));
    snprintf(deleted, sizeof(deleted), "%s", js_opt_str(global, "modified", ""));
    return strcmp(written, deleted) <= 0;
}

/* A name of Syncthing's that is one of a shared directory. */
static bool is_ours(const struct share *s, const char *name)
{
    _cleanup_free_ char *around = str_fmt("/%s/", name);

    return share_has(s, name) && strchr(name, '/') && !strstr(around, "/../") &&
           !strstr(around, "/./") && !strstr(around, "//");
}

/* Both in UTC. */
static bool is_same(const struct stat *st, const char *modified, uint64_t size)
{
    char text[32];
    struct tm tm;

    gmtime_r(&st->st_mtime, &tm);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    return str_starts(modified, text) && str_ends(modified, "Z") &&
           (!S_ISREG(st->st_mode) || (uint64_t)st->st_size == size);
}

int lost_aside(const struct share *s, const char *name, const char *modified, uint64_t size,
               struct err *err)
{
    _cleanup_free_ char *directory = xstrdup(name);
    char *base = strrchr(directory, '/');
    struct err ignored;
    struct stat st;

    if (!base || !is_ours(s, name))
        return err_set(err, ERR_SAFETY, "Syncthing named '%.200s', which is not shared", name);
    *base++ = '\0';
    _cleanup_close_ int from =
        beneath_open(s->home, directory, false, (uid_t)-1, (gid_t)-1, &ignored);
    if (from < 0 || fstatat(from, base, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode) ||
        !is_same(&st, modified, size))
        return 0; /* it went, or is another one by now */
    _cleanup_free_ char *below = str_fmt(TRASH "/%s", directory);
    _cleanup_close_ int to = beneath_open(s->state, below, true, (uid_t)-1, (gid_t)-1, err);
    if (to < 0)
        return -1;
    if (renameat(from, base, to, base) < 0)
        return err_errno(err, errno, "move %s to the trash", name);
    utimensat(to, base, NULL, AT_SYMLINK_NOFOLLOW); /* kept for 30 days from now on */
    return 1;
}

static int sort_one(const struct share *s, const char *api_key, const json_t *listed,
                    struct lost *l, struct err *err)
{
    const char *name = js_opt_str(listed, "name", "");
    bool is_directory = strstr(js_opt_str(listed, "type", ""), "DIRECTORY");
    _cleanup_json_ json_t *file = NULL;

    if (!is_ours(s, name))
        return 0;
    file = ask(s, api_key, "/rest/db/file?", name, ASK_S, err);
    if (!file)
        return -1;
    if (!lost_deleted(file))
        return 0;
    if (is_directory) { /* what is in it goes first, and what stays keeps it */
        l->directories = xrealloc(l->directories, (l->n_directories + 1) * sizeof(char *));
        l->directories[l->n_directories++] = xstrdup(name);
        return 0;
    }
    const json_t *local = json_object_get(file, "local");
    int r =
        lost_aside(s, name, js_opt_str(local, "modified", ""), js_opt_u64(local, "size", 0), err);
    l->aside += r > 0;
    return r < 0 ? -1 : 0;
}

static void remove_directories(const struct share *s, struct lost *l)
{
    struct err ignored;

    for (size_t i = l->n_directories; i-- > 0;) {
        _cleanup_free_ char *directory = xstrdup(l->directories[i]);
        char *base = strrchr(directory, '/');

        *base++ = '\0';
        _cleanup_close_ int fd =
            beneath_open(s->home, directory, false, (uid_t)-1, (gid_t)-1, &ignored);
        if (fd >= 0)
            unlinkat(fd, base, AT_REMOVEDIR);
    }
}

int lost_sort(const struct share *s, const char *api_key, struct lost *l, struct err *err)
{
    _cleanup_free_ char *what = str_fmt("/rest/db/localchanged?perpage=%d&page=%llu&", PAGE,
                                        (unsigned long long)l->page + 1);
    _cleanup_json_ json_t *list = ask(s, api_key, what, NULL, LIST_S, err);
    const json_t *files = json_object_get(list, "files");
    size_t i;
    json_t *f;

    if (!list)
        return -1;
    json_array_foreach(files, i, f)
    {
        if (sort_one(s, api_key, f, l, err) < 0)
            return -1;
    }
    l->page++;
    if (json_array_size(files) == PAGE)
        return 1;
    remove_directories(s, l);
    return 0;
}
