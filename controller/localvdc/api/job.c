/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/api/job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/log.h"
#include "common/str.h"
#include "controller/localvdc/base/spawn.h"

#define JOBS_AT_ONCE 8
#define JOB_TRIES 4
#define JOB_EXPIRE_S (24 * 3600) /* CloudStack's job.expire.minutes */

struct slot {
    pid_t pid; /* 0: not running */
    int tries;
    char id[37];
};

struct jobs {
    struct vdb *db;
    struct slot *slots; /* jobs that are not finished and were started at least once */
    size_t n;
    uint64_t next_ms; /* when the first of those that wait for their time is due; 0: none */
};

struct jobs *jobs_new(struct vdb *db)
{
    struct jobs *j = xcalloc(1, sizeof(*j));

    j->db = db;
    return j;
}

void jobs_free(struct jobs *j)
{
    if (j)
        free(j->slots);
    free(j);
}

int job_want(struct vdb *db, const char *cmd, const char *key, const char *id, struct err *err)
{
    char uuid[37] = "";
    size_t i = 0;
    json_t *job = NULL;
    _cleanup_json_ json_t *open = vdb_find(db, "job", "_open", "yes");

    json_array_foreach(open, i, job)
    {
        if (str_eq(vdc_str(job, "cmd"), cmd) &&
            str_eq(vdc_str(json_object_get(job, "_args"), key), id))
            return 0;
    }
    return api_job_new(db, cmd, NULL, NULL, json_pack("{s:s}", key, id), uuid, err);
}

int jobs_expire(struct vdb *db, time_t now, struct err *err)
{
    char before[32];
    time_t limit = now - JOB_EXPIRE_S;
    struct tm tm;

    gmtime_r(&limit, &tm);
    strftime(before, sizeof(before), VDC_TIME_FORMAT, &tm);
    return vdb_del_below(db, "job", "completed", before, err);
}

static int finish(struct vdb *db, const char *id, json_t *result, const struct err *err)
{
    char now[32];
    struct err bad = {0};

    vdc_now(now);
    if (!result)
        result = json_pack("{s:i,s:s}", "errorcode", API_INTERNAL, "errortext", err->msg);
    bool failed = json_object_get(result, "errorcode") != NULL;
    json_t *done = json_pack("{s:i,s:i,s:s,s:s,s:o,s:n}", "jobstatus", failed ? 2 : 1,
                             "jobresultcode", failed ? API_INTERNAL : 0, "jobresulttype", "object",
                             "completed", now, "jobresult", result, "_open");
    return vdb_patch(db, "job", id, done, &bad);
}

static void reap(struct jobs *j)
{
    for (size_t i = 0; i < j->n; i++) {
        struct slot *s = &j->slots[i];

        if (s->pid == 0 || waitpid(s->pid, NULL, WNOHANG) != s->pid)
            continue;
        s->pid = 0;
        _cleanup_json_ json_t *job = vdb_get(j->db, "job", s->id);
        bool open = job && json_object_get(job, "_open");
        if (open && s->tries < JOB_TRIES)
            continue; /* killed on its way: once more */
        if (open) {
            struct err err = {0};

            err_set(&err, ERR_FAILED, "the job's process ended early %d times, see " VDC_LOG,
                    s->tries);
            finish(j->db, s->id, NULL, &err);
        }
        *s = j->slots[--j->n];
        i--;
    }
}

static struct slot *slot_of(struct jobs *j, const char *id)
{
    for (size_t i = 0; i < j->n; i++) {
        if (str_eq(j->slots[i].id, id))
            return &j->slots[i];
    }
    j->slots = xrealloc(j->slots, (j->n + 1) * sizeof(j->slots[0]));
    struct slot *s = &j->slots[j->n++];
    *s = (struct slot){0};
    str_copy(s->id, sizeof(s->id), id);
    return s;
}

void jobs_tick(struct jobs *j)
{
    reap(j);
    size_t running = 0, i = 0;
    uint64_t now = clock_wall_ms();
    j->next_ms = 0;
    for (size_t k = 0; k < j->n; k++)
        running += j->slots[k].pid != 0;
    _cleanup_json_ json_t *open = vdb_find(j->db, "job", "_open", "yes");
    json_t *job = NULL;
    json_array_foreach(open, i, job)
    {
        uint64_t due = (uint64_t)json_integer_value(json_object_get(job, "_due"));

        if (due > now) {
            j->next_ms = j->next_ms == 0 || due < j->next_ms ? due : j->next_ms;
            continue;
        }
        if (running >= JOBS_AT_ONCE)
            continue;
        struct slot *s = slot_of(j, vdc_str(job, "jobid"));
        if (s->pid != 0)
            continue;
        struct err err = {0};
        s->tries++;
        if (spawn_child((const char *const[]){"job", s->id, NULL}, VDC_LOG, &s->pid, &err) == 0)
            running++;
        else
            log_warn("job %s: %s", s->id, err.msg);
    }
}

int jobs_due_ms(const struct jobs *j)
{
    uint64_t now = clock_wall_ms();

    if (j->next_ms == 0)
        return -1;
    return j->next_ms > now ? (int)(j->next_ms - now) : 0;
}

static int effect(const struct api_table *table, struct api_job *job, const char *cmd,
                  struct err *err)
{
    for (const struct api_work *w = table->works; w->name; w++) {
        if (str_eq(w->name, cmd))
            return w->job(job, err);
    }
    const struct api_call *call = api_call_find(table, cmd);
    if (!call || !call->job)
        return err_set(err, ERR_FAILED, "no job is called %s", cmd);
    return call->job(job, err);
}

static void undo(const struct api_table *table, struct api_job *job, const char *cmd)
{
    for (const struct api_undo *u = table->undos; u->name; u++) {
        if (str_eq(u->name, cmd))
            u->undo(job);
    }
}

int job_run(const struct api_table *table, const char *id, struct err *err)
{
    _cleanup_(vdb_close) struct vdb *db = NULL;

    if (vdc_open(false, &db, err) < 0)
        return -1;
    /* A job's process that outlived an earlier daemon holds the lock until it is done. */
    _cleanup_free_ char *lock = str_fmt(VDC_DIR "/lock/job-%s", id);
    _cleanup_close_ int held = fs_lock(lock, true, err);
    if (held < 0)
        return -1;
    _cleanup_json_ json_t *row = vdb_get(db, "job", id);
    if (!row)
        return err_set(err, ERR_FAILED, "no job %s", id);
    if (!json_object_get(row, "_open"))
        return 0;
    struct api_job job = {.db = db, .id = id, .params = json_object_get(row, "_args")};
    const char *cmd = vdc_str(row, "cmd"), *fail = vdc_str(job.params, "_fail");
    int r = *fail ? err_set(err, ERR_FAILED, "%s", fail) : effect(table, &job, cmd, err);
    if (r < 0) {
        undo(table, &job, cmd);
        log_warn("job %s %s: %s", cmd, id, err->msg);
        json_decref(job.result);
        job.result = NULL;
    } else if (!job.result) {
        job.result = json_pack("{s:b}", "success", 1);
    }
    r = finish(db, id, job.result, err);
    unlink(lock);
    return r;
}
