/* SPDX-License-Identifier: Apache-2.0 */
/* A member that is copied from applies what the others write more slowly: it need not hold them up
 * meanwhile. But one that does so gives no newcomer its data, and when it is alone it is all there
 * is. */
#include <stdlib.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"

#include "agent/ipc/paths.h"

#define LOOK_S 10 /* for an answer of the database */

static int set(struct sql *s, bool on, struct err *err)
{
    return sql_exec(s, on ? "SET GLOBAL wsrep_desync = ON" : "SET GLOBAL wsrep_desync = OFF", err);
}

static unsigned members(struct sql *s)
{
    char n[24] = "";
    uint64_t ret = 0;
    struct err ignored;

    if (sql_text(s,
                 "SELECT COUNT(*) FROM mysql.wsrep_cluster_members WHERE node_incoming_address "
                 "<> ''",
                 n, sizeof(n), &ignored) < 0 ||
        str_to_u64(n, 1000, &ret) < 0)
        return 0;
    return (unsigned)ret;
}

void desync_begin(struct desync *d)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    struct err err;
    char pid[24];

    *d = (struct desync){0};
    if (sql_open(LOOK_S, &s, &err) < 0 || (d->members = members(s)) < 2)
        return;
    int n = snprintf(pid, sizeof(pid), "%d", (int)sql_server(s));
    if (fs_write_atomic(PATH_BACKUP_DESYNC, pid, (size_t)n, 0600, &err) < 0 ||
        set(s, true, &err) < 0)
        log_warn("the database holds the others up while it is copied: %s", err.msg);
    else
        d->on = true;
}

void desync_look(struct desync *d)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    struct err ignored;

    if (!d->on || sql_open(LOOK_S, &s, &ignored) < 0)
        return;
    if (members(s) != d->members)
        desync_end(d);
}

void desync_end(struct desync *d)
{
    if (d->on)
        desync_left();
    d->on = false;
}

/* Of the server that it was said to: another one has begun without. */
void desync_left(void)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    _cleanup_free_ char *pid = NULL;
    struct err err = {0};
    uint64_t n = 0;

    if (!fs_exists(PATH_BACKUP_DESYNC))
        return;
    bool known = fs_read(PATH_BACKUP_DESYNC, 24, &pid, NULL, &err) == 0 &&
                 str_to_u64(pid, INT32_MAX, &n) == 0;
    if (known && (sql_open(LOOK_S, &s, &err) < 0 ||
                  ((uint64_t)sql_server(s) == n && set(s, false, &err) < 0))) {
        log_warn("the database may not take part in flow control: %s", err.msg);
        return; /* the mark stays, for the next time */
    }
    unlink(PATH_BACKUP_DESYNC);
}
