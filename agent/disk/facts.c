/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/disk/disk.h"
#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/str.h"

int disk_facts_read(const struct disk_want *w, const struct disk_place *d, const char *wipe,
                    int flags, struct disk_facts *ret, int *ret_fd, struct err *err)
{
    struct disk_facts f = {.size = d->size, .readonly = disk_readonly(d)};
    struct err ignored;
    char node[80];

    if (disk_used_by(d->rdev, f.used, sizeof(f.used), err) < 0 ||
        disk_journal_read(PATH_DISK_JOURNAL, w, &f.intent, err) < 0)
        return -1;
    /* Before ours is open: it would be in its own way. */
    f.busy = !f.used[0] && !(flags & O_EXCL) && disk_busy(d);
    f.consent = wipe && str_eq(wipe, w->volume) && !disk_consent_used(PATH_DISK_JOURNAL, w->volume);
    _cleanup_close_ int fd = open(d->node, flags | O_CLOEXEC);
    if (fd < 0) {
        int code = errno == EBUSY || errno == EACCES || errno == EROFS ? ERR_SAFETY : ERR_FAILED;

        err_errno(err, errno, "open %s (R2)", d->node);
        err->code = code;
        return -1;
    }
    if (disk_classify(fd, d->size, w, &f.look, err) < 0)
        return err_wrap(err, "%s", d->node);
    if (f.look.kind == DISK_OURS) {
        f.known = disk_partition_node(d, &f.look, 0, node, sizeof(node), &ignored) == 0;
        if (disk_table_short(fd, d->size, &f.table_short, err) < 0)
            return err_wrap(err, "%s", d->node);
    }
    *ret = f;
    *ret_fd = fd;
    fd = -1;
    return 0;
}
