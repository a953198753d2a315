/* SPDX-License-Identifier: Apache-2.0 */
/* While a restore writes, the site has half of two states: it answers 503, and nobody of it writes.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "agent/ipc/paths.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define CLOSED_CONF "/etc/apache2/conf-enabled/muster-closed.conf"
#define APACHE "apache2"
#define FINISH_MS 30000 /* for requests that are under way */
#define AGAIN_MS 200

static const char conf[] = "# written by muster-agent: until the restore has ended\n"
                           "RedirectMatch 503 ^\n";

static void tell_agent(void)
{
    struct err ignored; /* one that does not run sees the file when it starts */

    proc_call(PROC_ARGV(SYSTEMCTL, "kill", "--kill-who=main", "--signal=USR1", "muster-agent"),
              &ignored);
}

static int reload(struct err *err)
{
    struct svc_state st;

    if (svc_status(APACHE, &st, err) < 0)
        return -1;
    return st.active ? svc_do("reload", APACHE, err) : 0;
}

static void push_id(void *ctx, const char *id, const char *user)
{
    (void)user;
    js_push_str(ctx, id);
}

/* NULL: they could not be looked at. */
static json_t *sessions(struct sql *s, struct err *err)
{
    json_t *ids = json_array();

    if (sql_pairs(
            s,
            "SELECT ID, USER FROM information_schema.PROCESSLIST WHERE USER NOT IN ('root', "
            "'mysql', 'mariadb.sys', 'system user', 'event_scheduler', 'unauthenticated user') "
            "AND USER NOT LIKE 'muster-%' AND ID <> CONNECTION_ID()",
            push_id, ids, err) == 0)
        return ids;
    json_decref(ids);
    return NULL;
}

/* What the site had begun may end; what does not is ended. */
static int end_sessions(struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    uint64_t begun = clock_mono_ms();

    if (sql_open(30, &s, err) < 0)
        return -1;
    for (;;) {
        _cleanup_json_ json_t *ids = sessions(s, err);
        size_t i;
        json_t *id;

        if (!json_array_size(ids))
            return ids ? 0 : -1;
        if (clock_mono_ms() - begun < FINISH_MS) {
            clock_pause_ms(AGAIN_MS);
            continue;
        }
        json_array_foreach(ids, i, id)
        {
            _cleanup_free_ char *kill = str_fmt("KILL CONNECTION %s", json_string_value(id));
            struct err ignored; /* it may have ended by itself */

            sql_exec(s, kill, &ignored);
        }
        return 0;
    }
}

int backup_close_site(const char *because, struct err *err)
{
    if (fs_write_atomic(PATH_CLOSED, because, strlen(because), 0600, err) < 0)
        return -1;
    tell_agent();
    if (!fs_exists("/etc/apache2/conf-enabled"))
        return end_sessions(err);
    if (fs_write_atomic(CLOSED_CONF, conf, strlen(conf), 0644, err) < 0 || reload(err) < 0)
        return -1;
    return end_sessions(err);
}

bool backup_site_closed(void)
{
    return fs_exists(PATH_CLOSED);
}

int backup_open_site(struct err *err)
{
    bool was = fs_exists(CLOSED_CONF);

    if (was && (fs_unlink(CLOSED_CONF, err) < 0 || reload(err) < 0))
        return -1;
    if (unlink(PATH_CLOSED) == 0)
        tell_agent();
    return 0;
}
