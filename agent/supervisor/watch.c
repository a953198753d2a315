/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the database and at the web server: seldom while all is stable, and at once when the
 * database's process ends. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define LOOK_SOON_MS 500
#define LOOK_EVERY_MS 1000
#define LOOK_STABLE_MS STATE_EVERY_MS /* for the state that goes to the controller */
#define WEB_EVERY_MS STATE_EVERY_MS

void sup_watch_plan(struct supervisor *s, const json_t *plan)
{
    json_t *site = json_incref((json_t *)sup_plan_step(plan, "web"));

    if (!site || !json_equal(site, s->watch.site)) {
        json_decref(s->watch.web);
        s->watch.web = NULL;
    }
    json_decref(s->watch.site);
    s->watch.site = site;
}

static void look_start(struct supervisor *s)
{
    uint64_t now = clock_mono_ms();
    bool web = s->watch.site && now >= s->watch.web_next;
    json_t *request =
        json_pack("{s:I, s:O?}", "epoch", (json_int_t)js_opt_u64(sup_cluster_status(s), "epoch", 0),
                  "web", web ? s->watch.site : NULL);

    json_object_set(request, "galera", sup_cluster_galera(s) ? sup_cluster_galera(s) : json_null());
    if (web)
        s->watch.web_next = now + WEB_EVERY_MS;
    s->watch.next = now + LOOK_EVERY_MS; /* when it cannot be started now */
    s->watch.leaving = sup_cluster_leaves(s);
    sup_job_start(&s->watch.job, IPC_JOB_LOOK, request);
}

static void watch_db(struct supervisor *s, pid_t pid)
{
    if (pid == s->watch.db_pid)
        return;
    if (s->watch.db_fd >= 0)
        close(s->watch.db_fd);
    s->watch.db_pid = pid;
    s->watch.db_fd = pid > 0 ? pidfd_open(pid, 0) : -1;
}

static void readable(struct supervisor *s, short revents)
{
    (void)revents;
    watch_db(s, 0);
    s->watch.next = 0;
}

/* Stable: no member is about to change, and the end of the own database tells of itself. */
static uint64_t look_pause(const struct supervisor *s, bool runs)
{
    if (s->watch.db_fd >= 0 && json_is_true(json_object_get(sup_cluster_status(s), "stable")))
        return LOOK_STABLE_MS;
    bool settled = (!runs || strcmp(js_opt_str(s->watch.db, "state", ""), "Synced") == 0) &&
                   sup_cluster_at(s) != CLUSTER_UNCONF;
    return settled ? LOOK_EVERY_MS : LOOK_SOON_MS;
}

/* What the agent could not ask, when that changed: nothing follows from it but this event. */
static void emit_look(struct supervisor *s, const json_t *db)
{
    const char *login = js_opt_str(db, "login", ""), *unknown = js_opt_str(db, "unknown", "");
    bool was_login = js_opt_str(s->watch.db, "login", "")[0],
         was = js_opt_str(s->watch.db, "unknown", "")[0];

    if (login[0] && strcmp(login, js_opt_str(s->watch.db, "login", "")) != 0)
        sup_event(s, EVENT_CLUSTER, "cluster", "%s", login);
    else if (!login[0] && was_login && !unknown[0])
        sup_event(s, EVENT_CLUSTER, "cluster", "root can ask the database again");
    if (unknown[0] && !was)
        sup_event(s, EVENT_CLUSTER, "cluster",
                  "unknown: the database runs and cannot be asked (%s); nothing is stopped or "
                  "started because of it",
                  unknown);
}

static void on_look(struct supervisor *s, json_t *answer)
{
    json_t *db = json_object_get(answer, "db");
    json_t *web = json_object_get(answer, "web");

    if (json_is_object(web)) {
        json_decref(s->watch.web);
        s->watch.web = json_incref(web);
    }
    if (!json_is_object(db))
        return;
    bool runs = json_is_true(json_object_get(db, "running"));
    sup_net_send(s, IPC_DB, json_pack("{s:O, s:b}", "db", db, "leaving", s->watch.leaving));
    if (s->watch.leaving && runs)
        sup_cluster_left(s); /* only this agent ends */
    emit_look(s, db);
    watch_db(s, (pid_t)js_opt_u64(db, "pid", 0));
    json_object_del(db, "running");
    json_object_del(db, "answers");
    json_object_del(db, "pid");
    json_decref(s->watch.db);
    s->watch.db = json_incref(db);
    s->watch.next = clock_mono_ms() + look_pause(s, runs);
}

static bool died(struct supervisor *s, pid_t pid, int status)
{
    (void)status;
    if (pid != s->watch.job.pid)
        return false;
    _cleanup_json_ json_t *answer = sup_job_end(&s->watch.job);
    s->watch.next = clock_mono_ms() + (sup_cluster_galera(s) ? LOOK_EVERY_MS : WEB_EVERY_MS);
    if (answer)
        on_look(s, answer);
    return true;
}

static void start(struct supervisor *s)
{
    s->watch.job.bound = true;
    s->watch.db_fd = -1;
}

static int fd(const struct supervisor *s, short *ret_events)
{
    *ret_events = POLLIN;
    return s->watch.db_fd;
}

static void tick(struct supervisor *s, uint64_t now)
{
    bool database = sup_cluster_galera(s) && fs_exists(GALERA_READY);

    if ((database || s->watch.site) && !s->watch.job.pid && now >= s->watch.next)
        look_start(s);
}

static uint64_t due(const struct supervisor *s, uint64_t now)
{
    (void)now;
    bool anything = sup_cluster_galera(s) || s->watch.site;

    return anything && !s->watch.job.pid ? s->watch.next : UINT64_MAX;
}

static void stop(struct supervisor *s)
{
    watch_db(s, 0);
    json_decref(s->watch.db);
    json_decref(s->watch.site);
    json_decref(s->watch.web);
}

const struct sup_part sup_watch = {start, fd, readable, died, tick, due, stop};

json_t *sup_watch_db(const struct supervisor *s)
{
    return s->watch.db;
}

json_t *sup_watch_web(const struct supervisor *s)
{
    return s->watch.web ? s->watch.web : s->watch.site ? json_null() : NULL;
}

void sup_watch_now(struct supervisor *s)
{
    s->watch.next = 0;
}

void sup_watch_all(struct supervisor *s)
{
    s->watch.next = s->watch.web_next = 0;
}
