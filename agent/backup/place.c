/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "agent/sys/fields.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define RECORD_MAX (16 * 1024 * 1024) /* it has a checksum of each table */
#define RESERVE_MAX (5ull << 30)
#define MB 1000000

static const struct field fields[] = {
    FIELD(backup_conf, node, FIELD_NAME),     FIELD(backup_conf, deployment, FIELD_NAME),
    FIELD(backup_conf, mount, FIELD_PATH),    FIELD(backup_conf, datadir, FIELD_PATH),
    FIELD_OPT(backup_conf, key, FIELD_STR),   FIELD(backup_conf, apps, FIELD_NAMES),
    FIELD(backup_conf, members, FIELD_NAMES), FIELD_OPT(backup_conf, put, FIELD_STRS),
    FIELD_OPT(backup_conf, get, FIELD_STRS),  FIELD(backup_conf, every, FIELD_U64),
    FIELD(backup_conf, offset, FIELD_U64),    FIELD(backup_conf, keep, FIELD_U64),
};

int backup_conf_read(const json_t *spec, struct backup_conf *ret, struct err *err)
{
    struct backup_conf c = {0};
    size_t i;
    json_t *app;

    if (fields_read(spec, fields, ARRAY_LEN(fields), &c, err) < 0)
        return -1;
    if (c.every &&
        (c.every < BACKUP_EVERY_MIN_S || c.every > BACKUP_EVERY_MAX_S || c.offset >= c.every))
        return err_set(err, ERR_USAGE, "a period is %d s to %d s, and begins within itself",
                       BACKUP_EVERY_MIN_S, BACKUP_EVERY_MAX_S);
    json_array_foreach(c.apps, i, app)
    {
        if (json_string_value(app)[0] == '.')
            return err_set(err, ERR_USAGE, "no application is called '%s'", json_string_value(app));
    }
    *ret = c;
    return 0;
}

char *backup_path(const struct backup_conf *c, const char *name)
{
    return str_fmt("%s/" BACKUP_DIRECTORY "/%s" BACKUP_SUFFIX, c->mount, name);
}

static char *record_path(const struct backup_conf *c, const char *name)
{
    return str_fmt("%s/" BACKUP_DIRECTORY "/%s.json", c->mount, name);
}

char *backup_work_path(const struct backup_conf *c, const char *name)
{
    return str_fmt("%s/" BACKUP_DIRECTORY "/.work/%s", c->mount, name);
}

char *backup_scratch_path(const struct backup_conf *c)
{
    return str_fmt("%s/" BACKUP_SCRATCH, c->mount);
}

int backup_directory(const struct backup_conf *c, struct err *err)
{
    _cleanup_free_ char *dir = str_fmt("%s/" BACKUP_DIRECTORY, c->mount);
    struct stat st;

    if (fs_mkdirs(dir, 0700, err) < 0)
        return -1;
    if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(err, ERR_SAFETY, "%s is no directory", dir);
    return chown(dir, 0, 0) < 0 || chmod(dir, 0700) < 0 ? err_errno(err, errno, "%s", dir) : 0;
}

json_t *backup_record_load(const struct backup_conf *c, const char *name)
{
    _cleanup_free_ char *path = record_path(c, name);
    _cleanup_free_ char *text = NULL;
    json_t *j = NULL;
    struct err ignored;
    size_t len = 0;

    if (fs_read(path, RECORD_MAX, &text, &len, &ignored) < 0 ||
        js_parse(text, len, &j, &ignored) < 0 || !json_is_object(j)) {
        json_decref(j);
        return json_object();
    }
    return j;
}

int backup_record_save(const struct backup_conf *c, const char *name, const json_t *record,
                       struct err *err)
{
    _cleanup_free_ char *path = record_path(c, name);
    _cleanup_free_ char *text = js_text(record);

    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

static json_t *entry(const struct backup_conf *c, const char *name)
{
    _cleanup_free_ char *path = backup_path(c, name);
    _cleanup_json_ json_t *record = backup_record_load(c, name);
    struct backup_head h;
    struct err err = {0};
    struct stat st;

    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    json_t *j = json_pack("{s:s, s:I}", "name", name, "bytes", (json_int_t)st.st_size);
    if (backup_head_read(path, &h, &err) < 0 || !str_eq(h.name, name)) {
        json_object_set_new(j, "problem",
                            js_string(err.msg[0] ? err.msg : "it was made under another name"));
        return j;
    }
    /* Whether it was verified is not known: it is not one of those that may go. */
    _cleanup_free_ char *noted = record_path(c, name);
    if (!json_object_size(record) && (access(noted, F_OK) == 0 || errno != ENOENT))
        json_object_set_new(j, "problem", js_string("what is known of it cannot be read"));
    json_object_del(record, "checksums"); /* many */
    json_object_update_missing(j, record);
    json_object_set_new(j, "deployment", js_string(h.deployment));
    json_object_set_new(j, "node", js_string(h.node));
    json_object_set_new(j, "server", js_string(h.server));
    json_object_set_new(j, "at", json_integer((json_int_t)h.at));
    return j;
}

static int newest_first(const void *a, const void *b)
{
    uint64_t x = js_opt_u64(*(json_t *const *)a, "at", 0),
             y = js_opt_u64(*(json_t *const *)b, "at", 0);

    return x < y ? 1 : x > y ? -1 : 0;
}

static json_t *sorted(json_t *list)
{
    size_t n = json_array_size(list);
    _cleanup_free_ json_t **all = xcalloc(n ? n : 1, sizeof(*all));
    json_t *ret = json_array();

    for (size_t i = 0; i < n; i++)
        all[i] = json_array_get(list, i);
    qsort(all, n, sizeof(*all), newest_first);
    for (size_t i = 0; i < n; i++)
        json_array_append(ret, all[i]);
    json_decref(list);
    return ret;
}

json_t *backup_list(const struct backup_conf *c, unsigned *ret_strange, struct err *err)
{
    _cleanup_free_ char *dir = str_fmt("%s/" BACKUP_DIRECTORY, c->mount);
    _cleanup_closedir_ DIR *d = opendir(dir);

    *ret_strange = 0;
    if (!d && errno != ENOENT) {
        err_errno(err, errno, "%s", dir);
        return NULL;
    }
    json_t *list = json_array();
    for (struct dirent *e; d && (e = readdir(d));) {
        char name[BACKUP_NAME_MAX];
        size_t n = strlen(e->d_name);
        json_t *one = NULL;

        if (!str_ends(e->d_name, BACKUP_SUFFIX) || e->d_name[0] == '.')
            continue;
        n -= strlen(BACKUP_SUFFIX);
        if (n < sizeof(name)) {
            memcpy(name, e->d_name, n);
            name[n] = '\0';
            one = backup_name_valid(name) ? entry(c, name) : NULL;
        }
        if (one)
            json_array_append_new(list, one);
        else
            (*ret_strange)++;
    }
    return sorted(list);
}

/* One that may go: made here for this deployment, and nothing is wrong with it. */
static bool counts(const json_t *b, const char *deployment)
{
    return !json_object_get(b, "problem") && str_eq(js_opt_str(b, "deployment", ""), deployment);
}

json_t *backup_surplus(const json_t *list, const char *deployment, uint64_t keep)
{
    json_t *ret = json_array(), *b;
    uint64_t n = 0;
    bool verified = false;
    size_t i;

    json_array_foreach(list, i, b)
    {
        if (!keep || !counts(b, deployment))
            continue;
        bool is_verified = js_opt_u64(b, "verified", 0) > 0;

        if (++n > keep && (!is_verified || verified))
            js_push_str(ret, js_opt_str(b, "name", ""));
        verified = verified || is_verified;
    }
    return ret;
}

int backup_delete(const struct backup_conf *c, const char *name, struct err *err)
{
    _cleanup_free_ char *path = backup_path(c, name);
    _cleanup_free_ char *record = record_path(c, name);

    if (unlink(path) < 0)
        return err_errno(err, errno, "remove %s", path);
    if (unlink(record) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", record);
    return fs_sync_parent(path, err);
}

void backup_state_note(const struct backup_conf *c, const char *what, json_t *value)
{
    _cleanup_free_ char *path = str_fmt("%s/" BACKUP_DIRECTORY "/" BACKUP_STATE, c->mount);
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *j = NULL;
    struct err ignored;
    size_t len = 0;

    if (fs_read(path, 65536, &text, &len, &ignored) < 0 || js_parse(text, len, &j, &ignored) < 0 ||
        !json_is_object(j)) {
        json_decref(j);
        j = json_object();
    }
    if (value)
        json_object_set_new(j, what, value);
    else
        json_object_del(j, what);
    _cleanup_free_ char *new = js_text(j);
    fs_write_atomic(path, new, strlen(new), 0600, &ignored);
}

static uint64_t bytes_at(int dirfd, const char *name)
{
    struct stat st;
    uint64_t sum = 0;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (!S_ISDIR(st.st_mode))
        return (uint64_t)st.st_blocks * 512;
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_closedir_ DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *e; d && (e = readdir(d));)
        if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
            sum += bytes_at(fd, e->d_name);
    return sum;
}

uint64_t backup_tree_bytes(const char *path)
{
    return bytes_at(AT_FDCWD, path);
}

int backup_reserve(const char *mount, uint64_t *ret, struct err *err)
{
    struct statvfs st;

    if (statvfs(mount, &st) < 0)
        return err_errno(err, errno, "free space of %s", mount);
    uint64_t part = (uint64_t)st.f_blocks * st.f_frsize / 20;
    *ret = part < RESERVE_MAX ? part : RESERVE_MAX;
    return 0;
}

int backup_room(const struct backup_conf *c, uint64_t bytes, const char *what, struct err *err)
{
    uint64_t room = 0, reserve = 0;

    if (fs_free(c->mount, &room, err) < 0 || backup_reserve(c->mount, &reserve, err) < 0)
        return -1;
    return room >= bytes + reserve
               ? 0
               : err_set(err, ERR_SAFETY,
                         "%s has no room for %s: it takes up to %llu MB, and of %llu MB that are "
                         "free %llu MB stay free for the database; make the volume larger "
                         "(datadisk.size, muster up), or delete old backups",
                         c->mount, what, (unsigned long long)(bytes / MB),
                         (unsigned long long)(room / MB), (unsigned long long)(reserve / MB));
}

void backup_say(const struct backup_work *w, const char *phase, uint64_t bytes)
{
    if (w->say)
        w->say(w->ctx, phase, bytes);
}
