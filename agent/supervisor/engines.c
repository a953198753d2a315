/* SPDX-License-Identifier: Apache-2.0 */
/* Notices tables of MyISAM and Aria as soon as an application makes one; galera/engines.c makes
 * them InnoDB. */
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"

#define WATCH_EVERY_MS STATE_EVERY_MS /* the data directory may be another one after a copy */
#define PENDING_MS 1000               /* until a table that is there has rows, or is an empty one */
#define PENDING_TRIES 30
#define PENDING_SLOW_MS 60000
#define SCAN_EVERY_MS 600000 /* what no watch has seen */

static bool is_schema(const char *name)
{
    static const char *const own[] = {"mysql", "performance_schema", "sys"};

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strcmp(name, own[i]) == 0)
            return false;
    return name[0] != '.' && name[0] != '#';
}

/* inotify knows by itself what is watched already. */
static void watch(struct supervisor *s)
{
    const char *datadir = js_opt_str(sup_cluster_galera(s), "datadir", "");
    struct dirent *e;
    DIR *d = opendir(datadir);

    if (!d)
        return;
    inotify_add_watch(s->engines.fd, datadir, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
    while ((e = readdir(d))) {
        if (e->d_type != DT_DIR || !is_schema(e->d_name))
            continue;
        _cleanup_free_ char *schema = str_fmt("%s/%s", datadir, e->d_name);
        inotify_add_watch(s->engines.fd, schema, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
    }
    closedir(d);
}

static bool is_table(const char *name)
{
    return name[0] != '#' && (str_ends(name, ".MYI") || str_ends(name, ".MAI"));
}

static void readable(struct supervisor *s, short revents)
{
    (void)revents;
    char buf[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)]
        __attribute__((aligned(__alignof__(struct inotify_event))));

    for (ssize_t n; (n = read(s->engines.fd, buf, sizeof(buf))) > 0;)
        for (char *at = buf; at < buf + n;) {
            const struct inotify_event *ev = (const void *)at;

            /* A new schema may have a table before it is watched. */
            if (ev->mask & IN_ISDIR)
                s->engines.watch = 0;
            if (ev->mask & (IN_ISDIR | IN_Q_OVERFLOW) || (ev->len && is_table(ev->name))) {
                s->engines.next = s->engines.tries = 0;
                s->engines.busy = s->engines.made = true;
            }
            at += sizeof(*ev) + ev->len;
        }
}

/* By name, of those that its database sees. */
static bool first_member(const struct supervisor *s)
{
    const json_t *members = json_object_get(sup_watch_db(s), "members");
    const char *self = js_opt_str(sup_cluster_galera(s), "node", "");
    size_t i;
    json_t *name;

    json_array_foreach(members, i, name)
    {
        if (strcmp(json_string_value(name), self) < 0)
            return false;
    }
    return json_array_size(members) > 0;
}

static void tick(struct supervisor *s, uint64_t now)
{
    if (!sup_cluster_galera(s) || strcmp(js_opt_str(sup_watch_db(s), "state", ""), "Synced") != 0)
        return;
    if (s->engines.fd < 0)
        s->engines.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (now >= s->engines.watch) {
        watch(s);
        s->engines.watch = now + WATCH_EVERY_MS;
    }
    if (now < s->engines.next || s->engines.job.pid)
        return;
    s->engines.next = now + SCAN_EVERY_MS;
    s->engines.made = false;
    sup_job_start(&s->engines.job, IPC_JOB_ENGINES, json_pack("{s:b}", "first", first_member(s)));
}

static void on_answer(struct supervisor *s, const json_t *answer)
{
    size_t i;
    json_t *table;

    json_array_foreach(json_object_get(answer, "changed"), i, table)
    {
        sup_event(s, EVENT_CLUSTER, "cluster", "table %s is InnoDB now, on all members",
                  json_string_value(table));
    }
    bool open = !answer || json_is_true(json_object_get(answer, "pending"));

    if (open)
        s->engines.next =
            clock_mono_ms() + (s->engines.tries++ < PENDING_TRIES ? PENDING_MS : PENDING_SLOW_MS);
    else
        s->engines.tries = 0;
    const char *failed = js_opt_str(answer, "failed", "");
    if (failed[0] && !str_eq(failed, s->engines.failed))
        sup_event(s, EVENT_CLUSTER, "cluster", "%s", failed);
    if (failed[0])
        s->engines.next = clock_mono_ms() + WATCH_EVERY_MS;
    free(s->engines.failed);
    s->engines.failed = xstrdup(failed);
    s->engines.busy = s->engines.busy && (open || s->engines.made) && !failed[0] &&
                      s->engines.tries < PENDING_TRIES;
}

bool sup_engines_busy(const struct supervisor *s)
{
    return s->engines.busy;
}

static void start(struct supervisor *s)
{
    s->engines.fd = -1;
}

static int fd(const struct supervisor *s, short *ret_events)
{
    *ret_events = POLLIN;
    return s->engines.fd;
}

static bool died(struct supervisor *s, pid_t pid, int status)
{
    (void)status;
    if (pid != s->engines.job.pid)
        return false;
    _cleanup_json_ json_t *answer = sup_job_end(&s->engines.job);
    on_answer(s, answer);
    return true;
}

static uint64_t due(const struct supervisor *s, uint64_t now)
{
    (void)now;
    return s->engines.fd >= 0 && !s->engines.job.pid ? s->engines.next : UINT64_MAX;
}

static void stop(struct supervisor *s)
{
    if (s->engines.fd >= 0)
        close(s->engines.fd);
    free(s->engines.failed);
}

const struct sup_part sup_engines = {start, fd, readable, died, tick, due, stop};
