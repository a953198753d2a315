/* SPDX-License-Identifier: Apache-2.0 */
/* Notices tables of MyISAM and Aria as soon as an application makes one; galera/engines.c makes
 * them InnoDB. */
#include <dirent.h>
#include <limits.h>
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
    const char *datadir = js_opt_str(s->galera, "datadir", "");
    struct dirent *e;
    DIR *d = opendir(datadir);
    if (!d)
        return;
    inotify_add_watch(s->engines_fd, datadir, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
    while ((e = readdir(d))) {
        if (e->d_type != DT_DIR || !is_schema(e->d_name))
            continue;
        _cleanup_free_ char *schema = str_fmt("%s/%s", datadir, e->d_name);
        inotify_add_watch(s->engines_fd, schema, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
    }
    closedir(d);
}

static bool is_table(const char *name)
{
    return name[0] != '#' && (str_ends(name, ".MYI") || str_ends(name, ".MAI"));
}

void sup_engines_readable(struct supervisor *s)
{
    char buf[16 * (sizeof(struct inotify_event) + NAME_MAX + 1)]
        __attribute__((aligned(__alignof__(struct inotify_event))));
    for (ssize_t n; (n = read(s->engines_fd, buf, sizeof(buf))) > 0;)
        for (char *at = buf; at < buf + n;) {
            const struct inotify_event *ev = (const void *)at;
            /* A new schema may have a table before it is watched. */
            if (ev->mask & IN_ISDIR)
                s->engines_watch = 0;
            if (ev->mask & (IN_ISDIR | IN_Q_OVERFLOW) || (ev->len && is_table(ev->name)))
                s->engines_next = s->engines_tries = 0;
            at += sizeof(*ev) + ev->len;
        }
}

/* By name, of those that its database sees. */
static bool first_member(const struct supervisor *s)
{
    const json_t *members = json_object_get(s->db, "members");
    const char *self = js_opt_str(s->galera, "node", "");
    size_t i;
    json_t *name;
    json_array_foreach(members, i, name)
    {
        if (strcmp(json_string_value(name), self) < 0)
            return false;
    }
    return json_array_size(members) > 0;
}

void sup_engines_tick(struct supervisor *s, uint64_t now)
{
    if (!s->galera || strcmp(js_opt_str(s->db, "state", ""), "Synced") != 0)
        return;
    if (s->engines_fd < 0)
        s->engines_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (now >= s->engines_watch) {
        watch(s);
        s->engines_watch = now + WATCH_EVERY_MS;
    }
    if (now < s->engines_next || s->jobs[JOB_ENGINES].pid)
        return;
    s->engines_next = now + SCAN_EVERY_MS;
    sup_job_start(&s->jobs[JOB_ENGINES], "engines", json_pack("{s:b}", "first", first_member(s)));
}

void sup_engines_answer(struct supervisor *s, const json_t *answer)
{
    size_t i;
    json_t *table;
    json_array_foreach(json_object_get(answer, "changed"), i, table)
    {
        sup_event(s, EVENT_CLUSTER, "cluster", "table %s is InnoDB now, on all members",
                  json_string_value(table));
    }
    if (json_is_true(json_object_get(answer, "pending")))
        s->engines_next =
            clock_mono_ms() + (s->engines_tries++ < PENDING_TRIES ? PENDING_MS : PENDING_SLOW_MS);
    else
        s->engines_tries = 0;
    const char *failed = js_opt_str(answer, "failed", "");
    if (failed[0] && !str_eq(failed, s->engines_failed))
        sup_event(s, EVENT_CLUSTER, "cluster", "%s", failed);
    if (failed[0])
        s->engines_next = clock_mono_ms() + WATCH_EVERY_MS;
    free(s->engines_failed);
    s->engines_failed = xstrdup(failed);
}
