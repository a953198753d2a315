/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ipc/permit.h"

#include <string.h>
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

int permit_open(const char *kind, uint64_t epoch, const char *options, struct err *err)
{
    _cleanup_free_ char *permit = str_fmt("%s %llu\n", kind, (unsigned long long)epoch);
    _cleanup_free_ char *env = str_fmt("MUSTER_WSREP=%s\n", options);

    if (fs_write_atomic(GALERA_ENV, env, strlen(env), 0600, err) < 0)
        return -1;
    return fs_write_atomic(PATH_PERMIT, permit, strlen(permit), 0600, err);
}

void permit_close(void)
{
    unlink(PATH_PERMIT);
    unlink(GALERA_ENV);
}
