/* SPDX-License-Identifier: Apache-2.0 */
/* Step `backup`: where backups lie, and the key that they are made with. When one is made, and by
 * whom, the supervisor and the worker read in the plan; without a key none is. */
#include <stdlib.h>
#include <sys/stat.h>

#include "agent/backup/backup.h"
#include "agent/steps/step.h"
#include "common/cleanup.h"
#include "common/str.h"

static int backup_parse(const json_t *spec, void **ret, struct err *err)
{
    struct backup_conf c = {0}, *copy;

    if (backup_conf_read(spec, &c, err) < 0)
        return -1;
    copy = xcalloc(1, sizeof(*copy));
    *copy = c;
    *ret = copy;
    return 0;
}

static int backup_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    const struct backup_conf *c = self;
    _cleanup_free_ char *dir = str_fmt("%s/" BACKUP_DIRECTORY, c->mount);
    _cleanup_secret_ char *key = NULL;
    uint8_t bytes[KEY_SIZE];
    struct stat st;

    if (!c->key)
        return verdict_ok(ret);
    if (run_expand(run, c->key, &key, err) < 0)
        return -1;
    int r = keys_unhex(key, bytes, sizeof(bytes));
    keys_wipe(bytes, sizeof(bytes));
    if (r < 0)
        return err_set(err, ERR_USAGE, "member 'key' is no key");
    if (lstat(dir, &st) < 0)
        return verdict_differs(ret, "%s is missing", dir);
    if (!S_ISDIR(st.st_mode))
        return verdict_refused(ret, "%s is no directory", dir);
    return (st.st_mode & 07777) == 0700 && st.st_uid == 0
               ? verdict_ok(ret)
               : verdict_differs(ret, "%s is not root's alone", dir);
}

static int backup_apply(const void *self, struct run *run, struct err *err)
{
    const struct backup_conf *c = self;

    (void)run;
    return c->key ? backup_directory(c, err) : 0;
}

const struct step_ops step_backup = {"backup",     backup_parse, backup_check,
                                     backup_apply, free,         NULL};
