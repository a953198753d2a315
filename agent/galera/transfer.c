/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/galera/transfer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

#define COMMAND_MAX 4096

/* Of MariaDB's wsrep_sst_common, wsrep_sst_rsync and wsrep_sst_mariabackup: where each writes the
 * number of a process, and what is in the command line of that process. */
static const struct {
    const char *name, *command;
} notes[] = {
    {"wsrep_sst.pid", "wsrep_sst_"},
    {"rsync_sst.pid", "rsync"},
    {"stunnel.pid", "stunnel"},
};

/* Whether the process of that number has `word` in its command line. */
static int works(uint64_t pid, const char *word, bool *ret, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("/proc/%llu/cmdline", (unsigned long long)pid);
    _cleanup_free_ char *command = NULL;
    size_t len = 0;

    *ret = false;
    if (fs_read(path, COMMAND_MAX, &command, &len, err) < 0)
        return fs_exists(path) ? -1 : 0;
    *ret = memmem(command, len, word, strlen(word));
    return 0;
}

static int forget(const char *path, struct err *err)
{
    return unlink(path) < 0 && errno != ENOENT ? err_errno(err, errno, "remove %s", path) : 0;
}

int transfer_forget(const char *datadir, struct err *err)
{
    _cleanup_free_ char *progress = str_fmt("%s/sst_in_progress", datadir);
    bool any = false;

    for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
        _cleanup_free_ char *path = str_fmt("%s/%s", datadir, notes[i].name);
        _cleanup_free_ char *text = NULL;
        uint64_t pid = 0;
        bool alive = false;

        if (!fs_exists(path))
            continue;
        if (fs_read(path, 64, &text, NULL, err) < 0)
            return -1;
        text[strcspn(text, " \n")] = '\0';
        if (str_to_u64(text, INT32_MAX, &pid) == 0 && pid &&
            works(pid, notes[i].command, &alive, err) < 0)
            return -1;
        any = any || alive;
        if (!alive && forget(path, err) < 0)
            return -1;
    }
    return any ? 0 : forget(progress, err);
}
