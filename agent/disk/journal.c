/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/disk/disk.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

static void journal_path(const char *dir, const char *volume, const char *what, char *ret,
                         size_t cap)
{
    snprintf(ret, cap, "%s/%s.%s", dir, volume, what);
}

int disk_journal_read(const char *dir, const struct disk_want *w, struct disk_intent *ret,
                      struct err *err)
{
    char path[256];
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *j = NULL;
    size_t len = 0;

    *ret = (struct disk_intent){0};
    journal_path(dir, w->volume, "intent", path, sizeof(path));
    if (!fs_exists(path))
        return 0;
    if (fs_read(path, 4096, &text, &len, err) < 0 || js_parse(text, len, &j, err) < 0)
        return err_wrap(err, "disk journal %s", path);
    ret->pending = strcmp(js_opt_str(j, "uuid", ""), w->part_uuid) == 0;
    ret->consent = js_opt_bool(j, "consent", false);
    str_copy(ret->action, sizeof(ret->action), js_opt_str(j, "action", ""));
    return 0;
}

int disk_journal_intent(const char *dir, const struct disk_want *w, const char *action,
                        bool consent, struct err *err)
{
    char path[256];
    json_t *j = json_pack("{s:s, s:s, s:s, s:b}", "volume", w->volume, "action", action, "uuid",
                          w->part_uuid, "consent", consent);
    _cleanup_free_ char *text = js_text(j);

    json_decref(j);
    journal_path(dir, w->volume, "intent", path, sizeof(path));
    if (fs_mkdirs(dir, 0700, err) < 0)
        return -1;
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

int disk_journal_done(const char *dir, const struct disk_want *w, struct err *err)
{
    char path[256];

    journal_path(dir, w->volume, "intent", path, sizeof(path));
    if (!fs_exists(dir)) /* nothing was ever begun on this machine */
        return 0;
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "remove %s", path);
    return fs_sync_parent(path, err);
}

bool disk_consent_used(const char *dir, const char *volume)
{
    char path[256];

    journal_path(dir, volume, "consent", path, sizeof(path));
    return fs_exists(path);
}

int disk_consent_use(const char *dir, const char *volume, struct err *err)
{
    char path[256];

    journal_path(dir, volume, "consent", path, sizeof(path));
    if (fs_mkdirs(dir, 0700, err) < 0)
        return -1;
    return fs_write_atomic(path, "used\n", 5, 0600, err);
}
