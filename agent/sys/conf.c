/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/conf.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/str.h"

const char *conf_differs(const struct conf *c)
{
    struct stat st;
    struct err err;
    char *text = NULL;
    size_t len = 0, want = strlen(c->content);
    if (lstat(c->path, &st) < 0)
        return "file is missing";
    if (!S_ISREG(st.st_mode))
        return "is not a regular file";
    if ((size_t)st.st_size != want)
        return "content differs";
    if (fs_read(c->path, want + 1, &text, &len, &err) < 0)
        return "cannot be read";
    bool same = len == want && memcmp(text, c->content, len) == 0;
    keys_wipe(text, len);
    free(text);
    if (!same)
        return "content differs";
    if ((st.st_mode & 07777) != c->mode)
        return "mode differs";
    if (st.st_uid != c->uid || st.st_gid != c->gid)
        return "owner differs";
    return NULL;
}

int conf_write(const struct conf *c, bool *ret_changed, struct err *err)
{
    bool differs = conf_differs(c) != NULL;
    if (differs) {
        _cleanup_free_ char *copy = xstrdup(c->path);
        if (fs_mkdirs(dirname(copy), 0755, err) < 0 ||
            fs_write_atomic_as(c->path, c->content, strlen(c->content), c->mode, c->uid, c->gid,
                               err) < 0)
            return -1;
    }
    if (ret_changed)
        *ret_changed = differs;
    return 0;
}

int conf_uid(const char *user, uid_t *ret, struct err *err)
{
    errno = 0;
    const struct passwd *pw = getpwnam(user);
    if (!pw)
        return err_set(err, ERR_FAILED, "user '%s' does not exist on this machine", user);
    *ret = pw->pw_uid;
    return 0;
}

int conf_gid(const char *group, gid_t *ret, struct err *err)
{
    const struct group *gr = getgrnam(group);
    if (!gr)
        return err_set(err, ERR_FAILED, "group '%s' does not exist on this machine", group);
    *ret = gr->gr_gid;
    return 0;
}
