/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/galera/tclog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define NAME "tc.log"

int tclog_torn(const char *datadir, bool *ret, struct err *err)
{
    static const unsigned char magic[4] = {0xfe, 0x23, 0x05, 0x74}; /* of MariaDB, sql/log.cc */
    unsigned char have[sizeof(magic)] = {0};
    struct stat st;
    _cleanup_free_ char *path = str_fmt("%s/" NAME, datadir);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    *ret = false;
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "open %s", path);
    if (fstat(fd, &st) < 0 || read(fd, have, sizeof(have)) < 0)
        return err_errno(err, errno, "read %s", path);
    *ret = st.st_size == 0 || st.st_size % sysconf(_SC_PAGESIZE) != 0 ||
           memcmp(have, magic, sizeof(magic)) != 0;
    return 0;
}

int tclog_set_aside(const char *datadir, const char *dir, char **ret, struct err *err)
{
    _cleanup_free_ char *from = str_fmt("%s/" NAME, datadir);
    bool torn = false;

    *ret = NULL;
    if (tclog_torn(datadir, &torn, err) < 0)
        return -1;
    if (!torn)
        return 0;
    if (fs_mkdirs(dir, 0700, err) < 0)
        return -1;
    _cleanup_free_ char *to = NULL;
    int r = -1;
    for (long long now = (long long)time(NULL); r < 0; now++) { /* none replaces another */
        free(to);
        to = str_fmt("%s/tc-log-%lld", dir, now);
        r = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
        if (r < 0 && errno != EEXIST)
            return err_errno(err, errno, "move %s to %s", from, to);
    }
    if (fs_sync_parent(from, err) < 0 || fs_sync_parent(to, err) < 0)
        return -1;
    *ret = TAKE(to);
    return 0;
}
