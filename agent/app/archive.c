/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/app/archive.h"

#include <string.h>

#include "agent/sys/life.h"
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
