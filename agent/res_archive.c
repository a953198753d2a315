/* SPDX-License-Identifier: Apache-2.0 */
/* Step `archive`: an application's archive is on the machine, for the step `app` to unpack. It
 * needs nothing else, and so may come while packages do. */
#include <stdlib.h>
#include <string.h>

#include "agent/archive.h"
#include "agent/life.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/proc.h"
#include "common/str.h"

#define CACHE "/var/cache/muster-agent"
#define APT_HELPER "/usr/lib/apt/apt-helper"

char *archive_release(const char *root, const char *sha256)
{
    return str_fmt("%s.d/%.*s", root, RELEASE_LEN, sha256);
}

char *archive_path(const char *sha256)
{
    return str_fmt(CACHE "/%s", sha256);
}

bool archive_there(const char *sha256)
{
    char digest[SHA256_HEX_SIZE];
    struct err ignored;
    _cleanup_free_ char *path = archive_path(sha256);
    return keys_sha256_file(path, digest, &ignored) == 0 && strcmp(digest, sha256) == 0;
}

int archive_get(const char *url, const char *sha256, struct run *run, struct err *err)
{
    _cleanup_free_ char *to = archive_path(sha256);
    _cleanup_free_ char *hash = str_fmt("SHA256:%s", sha256);
    _cleanup_free_ char *what = str_fmt("download %.120s", url);
    struct life life = {.run = run, .what = what, .where = to};
    if (archive_there(sha256))
        return 0;
    if (fs_mkdirs(CACHE, 0700, err) < 0 || fs_remove_tree(to, err) < 0 ||
        life_run(&life,
                 PROC_ARGV(APT_HELPER, "-oAPT::Sandbox::User=root", "download-file", url, to, hash),
                 err) < 0)
        return err_wrap(err, "download %s", url);
    return 0;
}

/* --- the step ------------------------------------------------------------------------------ */

struct archive {
    const char *url, *sha256, *root;
};

static const struct field fields[] = {
    FIELD(archive, url, FIELD_STR),
    FIELD(archive, sha256, FIELD_NAME),
    FIELD(archive, root, FIELD_PATH),
};

static int archive_parse(const json_t *spec, void **ret, struct err *err)
{
    void *obj = NULL;
    if (fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct archive), &obj, err) < 0)
        return -1;
    const char *sha256 = ((struct archive *)obj)->sha256;
    if (strlen(sha256) == 64 && strspn(sha256, "0123456789abcdef") == 64) {
        *ret = obj;
        return 0;
    }
    free(obj);
    return err_set(err, ERR_USAGE, "member 'sha256' must be 64 lower-case hex digits");
}

static int archive_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run, (void)err;
    const struct archive *a = self;
    _cleanup_free_ char *release = archive_release(a->root, a->sha256);
    return fs_exists(release) || archive_there(a->sha256)
               ? verdict_ok(ret)
               : verdict_differs(ret, "%.300s is not here", a->url);
}

static int archive_apply(const void *self, struct run *run, struct err *err)
{
    const struct archive *a = self;
    return archive_get(a->url, a->sha256, run, err);
}

const struct resource_ops res_archive = {"archive", archive_parse, archive_check, archive_apply,
                                         free};
