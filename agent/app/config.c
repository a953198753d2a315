/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/sys/beneath.h"
#include "agent/sys/conf.h"
#include "agent/sys/fields.h"
#include "common/cleanup.h"
#include "common/str.h"

static const struct field config_fields[] = {
    FIELD(app_config, path, FIELD_STR),
    FIELD(app_config, content, FIELD_TEXT),
    FIELD_OPT(app_config, after_install, FIELD_BOOL),
};

int app_config_read(const json_t *j, struct app_config *ret, struct err *err)
{
    *ret = (struct app_config){0};
    return fields_read(j, config_fields, ARRAY_LEN(config_fields), ret, err);
}

/* What is below `top` of `path`, both without links; NULL: nothing. */
static const char *below(const char *path, const char *top)
{
    size_t len = strlen(top);

    if (strncmp(path, top, len) != 0 || (path[len] != '/' && path[len] != '\0'))
        return NULL;
    return path + len + (path[len] == '/');
}

static bool is_writable(const json_t *writable, const char *path)
{
    size_t i;
    json_t *item;

    json_array_foreach(writable, i, item)
    {
        const char *rest = below(path, json_string_value(item));

        if (rest && *rest)
            return true;
    }
    return false;
}

/* Where the links of the version lead says only where to begin: whoever owns a directory on the way
 * may put a link there any time, so it is opened without following any. */
int app_config_directory(const char *release, const char *home, const json_t *writable,
                         const char *path, bool make, struct err *err)
{
    _cleanup_free_ char *directory = xstrdup(path);
    char *slash = strrchr(directory, '/');

    directory[slash ? slash - directory : 0] = '\0';
    _cleanup_free_ char *whole = str_fmt("%s/%s", release, directory);
    _cleanup_free_ char *real = realpath(whole, NULL);
    const char *const tops[] = {release, home};
    for (size_t i = 0; real && i < ARRAY_LEN(tops); i++) {
        _cleanup_free_ char *top = realpath(tops[i], NULL);
        const char *rest = top ? below(real, top) : NULL;

        if (rest)
            return beneath_open(top, rest, make, (uid_t)-1, (gid_t)-1, err);
    }
    if (real) {
        err_set(err, ERR_SAFETY, "%s/%s leads out of the application", release, path);
        errno = EXDEV;
        return -1;
    }
    return beneath_open(is_writable(writable, path) ? home : release, directory, make, (uid_t)-1,
                        (gid_t)-1, err);
}

static int directory(const struct app *a, const char *path, bool make, struct err *err)
{
    _cleanup_free_ char *release = app_release(a);
    _cleanup_free_ char *home = app_home(a);

    return app_config_directory(release, home, a->writable, path, make, err);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

int app_config_forget(const struct app *a, struct err *err)
{
    size_t i;
    json_t *item;

    json_array_foreach(a->config, i, item)
    {
        struct app_config c;

        if (app_config_read(item, &c, err) < 0)
            return -1;
        if (!c.after_install)
            continue;
        _cleanup_close_ int dir = directory(a, c.path, false, err);
        if (dir < 0 && errno == ENOENT)
            continue;
        if (dir < 0)
            return -1;
        if (unlinkat(dir, name_of(c.path), 0) < 0 && errno != ENOENT)
            return err_errno(err, errno, "remove %s/%s", a->root, c.path);
    }
    return 0;
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
        _cleanup_secret_ char *text = NULL;
        if (run_expand(run, c.content, &text, err) < 0)
            return err_wrap(err, "%s/%s", a->root, c.path);
        /* It may hold a password: the web server reads it, nobody else. */
        struct conf conf = {.path = name_of(c.path), .content = text, .mode = 0640, .gid = gid};
        struct err looked;
        _cleanup_close_ int dir = directory(a, c.path, write, write ? err : &looked);
        if (!*ret_why && (dir < 0 || conf_differs_at(dir, &conf)))
            *ret_why = c.path;
        if (write && (dir < 0 || conf_write_at(dir, &conf, err) < 0))
            return err_wrap(err, "%s/%s", a->root, c.path);
    }
    return 0;
}
