/* SPDX-License-Identifier: Apache-2.0 */
/* What is done in the unit of a backup: it goes on when whoever asked is gone, and all that it
 * started ends with it. Others read in PATH_BACKUP how far it is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/helper.h"
#include "agent/ipc/paths.h"
#include "agent/sys/svc.h"
#include "agent/worker/backup.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"
#include "common/text.h"

#define PROGRESS_MAX 65536
#define SAY_MS 1000
#define BEAT_MS 60000
#define FOLLOW_MS 200
#define GONE_MS 5000 /* so long without a unit, and without an end */
#define IOPRIO_IDLE (3 << 13)

int backup_here_open(struct backup_here *ret, struct err *err)
{
    const json_t *step;

    *ret = (struct backup_here){0};
    if (!fs_exists(PATH_PLAN))
        return err_set(err, ERR_FAILED, "this node has no plan yet");
    if (plan_load(PATH_PLAN, &ret->plan, err) < 0)
        return -1;
    step = plan_find(ret->plan, "backup");
    if (step)
        return backup_conf_read(step, &ret->conf, err);
    return err_set(err, ERR_USAGE,
                   "this node's plan has no backups; muster up brings one that has");
}

void backup_here_close(struct backup_here *h)
{
    plan_free(h->plan);
}

/* --- what it does ---------------------------------------------------------------------------- */

struct progress {
    const char *id, *what, *name, *phase;
    uint64_t said, beat, bytes;
    const struct backup_conf *conf;
    uint64_t period; /* of a scheduled one; 0: none */
};

static void write_progress(const struct progress *p, json_t *end)
{
    _cleanup_json_ json_t *j = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:b}", "id", p->id, "what", p->what, "name", p->name, "phase",
        p->phase ? p->phase : "", "bytes", (json_int_t)p->bytes, "ended", end != NULL);
    struct err ignored;

    if (end)
        json_object_set_new(j, "end", end);
    _cleanup_free_ char *text = js_text(j);
    fs_write_atomic(PATH_BACKUP, text, strlen(text), 0600, &ignored);
}

static void say(void *ctx, const char *phase, uint64_t bytes)
{
    struct progress *p = ctx;
    uint64_t now = clock_mono_ms();
    struct err ignored;

    if (p->period && now - p->beat > BEAT_MS) {
        p->beat = now;
        backup_turn_beat(p->conf, p->period, &ignored);
    }
    if (str_eq(p->phase, phase) && now - p->said < SAY_MS)
        return;
    if (!str_eq(p->phase, phase))
        log_info("%s %s: %s", p->what, p->name, phase);
    p->said = now;
    p->phase = phase;
    p->bytes = bytes;
    write_progress(p, NULL);
}

struct request {
    const char *what, *name, *id;
    uint64_t period;
    bool key; /* of another deployment, in PATH_BACKUP_KEY */
};

static int own_key(const struct backup_here *h, uint8_t ret[KEY_SIZE], struct err *err)
{
    const struct run run = plan_run(h->plan);
    _cleanup_secret_ char *text = NULL;

    if (!h->conf.key)
        return err_set(err, ERR_USAGE,
                       "this node's plan has no backups: write 'backup: {}' into the file; then "
                       "muster up");
    if (run_expand(&run, h->conf.key, &text, err) < 0)
        return -1;
    return keys_unhex(text, ret, KEY_SIZE) < 0 ? err_set(err, ERR_FAILED, "the key is no key") : 0;
}

/* Once: the file is gone then. */
static int given_key(uint8_t ret[KEY_SIZE], struct err *err)
{
    _cleanup_secret_ char *text = NULL;

    if (fs_read(PATH_BACKUP_KEY, 1024, &text, NULL, err) < 0)
        return -1;
    unlink(PATH_BACKUP_KEY);
    return backup_key_parse(text, ret, err);
}

static int make(const struct backup_work *w, json_t **ret, struct err *err)
{
    char name[BACKUP_NAME_MAX];
    _cleanup_json_ json_t *record = NULL;
    struct err why = {0};
    struct stat st;

    if (backup_make(w, name, err) < 0)
        return -1;
    _cleanup_free_ char *path = backup_path(w->conf, name);
    if (stat(path, &st) < 0)
        return err_errno(err, errno, "%s", path);
    record = backup_record_load(w->conf, name);
    *ret =
        json_pack("{s:s, s:I, s:I, s:I, s:O*, s:O*}", "name", name, "at",
                  (json_int_t)clock_wall_ms(), "bytes", (json_int_t)st.st_size, "took_ms",
                  (json_int_t)js_opt_u64(record, "took_ms", 0), "position",
                  json_object_get(record, "position"), "sha256", json_object_get(record, "sha256"));
    backup_state_note(w->conf, "made", json_incref(*ret));
    if (!w->conf->put)
        return 0;
    /* It is here all the same. */
    if (backup_put(w, name, &why) < 0) {
        json_object_set_new(*ret, "put", js_string(why.msg));
        json_object_set_new(record, "put", js_string(why.msg));
        backup_record_save(w->conf, name, record, err);
        return err_set(err, ERR_FAILED, "%s is made, and was not taken elsewhere: %s", name,
                       why.msg);
    }
    json_object_set_new(record, "put", json_string("done"));
    return backup_record_save(w->conf, name, record, err);
}

static int verify(const struct backup_work *w, const char *name, json_t **ret, struct err *err)
{
    if (backup_verify(w, name, ret, err) < 0)
        return -1;
    json_object_set_new(*ret, "name", json_string(name));
    json_object_del(*ret, "checksums");
    backup_state_note(w->conf, "verified",
                      json_pack("{s:s, s:I}", "name", name, "at", (json_int_t)clock_wall_ms()));
    return 0;
}

static int restore(const struct backup_work *w, const char *name, json_t **ret, struct err *err)
{
    bool received = str_eq(name, BACKUP_RECEIVED);
    _cleanup_json_ json_t *record = NULL;
    _cleanup_free_ char *path = received
                                    ? str_fmt("%s/" BACKUP_DIRECTORY "/%s", w->conf->mount, name)
                                    : backup_path(w->conf, name);

    if (!received && !fs_exists(path) && backup_get(w, name, err) < 0)
        return -1;
    record = backup_record_load(w->conf, name);
    if (backup_restore(w, path, received ? NULL : json_object_get(record, "checksums"), ret, err) <
        0)
        return -1;
    json_object_set_new(*ret, "name", json_string(name));
    if (received)
        unlink(path);
    return 0;
}

static int perform(const struct request *rq, struct backup_work *w, json_t **ret, struct err *err)
{
    if (str_eq(rq->what, "now"))
        return make(w, ret, err);
    if (str_eq(rq->what, "verify"))
        return verify(w, rq->name, ret, err);
    return restore(w, rq->name, ret, err);
}

/* Its end is told to the supervisor by the state, and to whoever follows by the progress. */
static void tell_end(const struct request *rq, struct progress *p, int r, json_t *done,
                     const struct err *err)
{
    json_t *end = json_pack("{s:b, s:i, s:o, s:O*}", "ok", r == 0, "code", r < 0 ? err->code : 0,
                            "why", js_string(r < 0 ? err->msg : ""), "done", done);
    struct err ignored;

    backup_state_note(p->conf, "failed",
                      r == 0 ? NULL
                             : json_pack("{s:s, s:s, s:I, s:o}", "what", rq->what, "name", rq->name,
                                         "at", (json_int_t)clock_wall_ms(), "why",
                                         js_string(err->msg)));
    if (rq->period)
        backup_turn_end(p->conf, rq->period, r == 0 || done, &ignored);
    write_progress(p, end);
}

static int work(const struct request *rq, struct err *err)
{
    struct backup_here h;
    struct progress p = {.id = rq->id, .what = rq->what, .name = rq->name, .period = rq->period};
    struct backup_work w = {.say = say, .ctx = &p};
    _cleanup_close_ int lock = fs_lock(PATH_BACKUP_LOCK, false, err);
    _cleanup_json_ json_t *done = NULL;
    uint8_t key[KEY_SIZE] = {0};
    int r = lock < 0 ? -1 : backup_here_open(&h, err);

    if (lock < 0)
        return -1;
    if (r == 0)
        r = rq->key ? given_key(key, err) : own_key(&h, key, err);
    p.conf = w.conf = &h.conf;
    w.key = key;
    if (r == 0) {
        write_progress(&p, NULL);
        r = perform(rq, &w, &done, err);
        tell_end(rq, &p, r, done, err);
    } else {
        write_progress(&p, json_pack("{s:b, s:i, s:o}", "ok", 0, "code", err->code, "why",
                                     js_string(err->msg)));
    }
    keys_wipe(key, sizeof(key));
    backup_here_close(&h);
    return r;
}

int backup_work_main(int argc, char **argv)
{
    struct request rq = {.what = argc > 0 ? argv[0] : "", .name = "", .id = ""};
    struct err err = {0};

    for (int i = 1; i < argc; i++)
        if (str_eq(argv[i], "--key"))
            rq.key = true;
        else if (str_eq(argv[i], "--id") && i + 1 < argc)
            rq.id = argv[++i];
        else if (str_eq(argv[i], "--turn") && i + 1 < argc)
            str_to_u64(argv[++i], INT64_MAX, &rq.period);
        else
            rq.name = argv[i];
    if (!str_eq(rq.what, "now") &&
        (!(str_eq(rq.what, "verify") || str_eq(rq.what, "restore")) ||
         !(backup_name_valid(rq.name) || str_eq(rq.name, BACKUP_RECEIVED))))
        return cmd_usage("backup", "work: now, verify NAME or restore NAME");
    log_open("muster-agent[backup]");
    setpriority(PRIO_PROCESS, 0, 19);
    syscall(SYS_ioprio_set, 1, 0, IOPRIO_IDLE);
    return work(&rq, &err) < 0 ? cmd_fail(&err) : 0;
}

/* --- around it ------------------------------------------------------------------------------- */

static json_t *read_progress(void)
{
    _cleanup_free_ char *text = NULL;
    struct err ignored;
    json_t *j = NULL;
    size_t len = 0;

    if (fs_read(PATH_BACKUP, PROGRESS_MAX, &text, &len, &ignored) < 0 ||
        js_parse(text, len, &j, &ignored) < 0)
        return NULL;
    return j;
}

static bool cut_off_restore(const json_t *last)
{
    return last && !js_opt_bool(last, "ended", true) &&
           str_eq(js_opt_str(last, "what", ""), "restore");
}

int backup_work_tidy(struct err *err)
{
    struct backup_here h;
    _cleanup_json_ json_t *last = NULL;
    struct err busy;
    _cleanup_close_ int lock = fs_lock(PATH_BACKUP_LOCK, false, &busy);

    if (lock < 0) /* one is at work, and does it itself */
        return 0;
    if (backup_here_open(&h, err) < 0) {
        backup_here_close(&h);
        return 0; /* without a plan there is nothing */
    }
    last = read_progress();
    if (last && !js_opt_bool(last, "ended", true)) {
        const char *what = js_opt_str(last, "what", ""), *name = js_opt_str(last, "name", "");
        const struct progress p = {.id = js_opt_str(last, "id", ""), .what = what, .name = name};

        write_progress(&p, json_pack("{s:b, s:i, s:s}", "ok", 0, "code", ERR_FAILED, "why",
                                     "it was ended before it was through"));
        backup_state_note(&h.conf, "failed",
                          json_pack("{s:s, s:s, s:I, s:s}", "what", what, "name", name, "at",
                                    (json_int_t)clock_wall_ms(), "why",
                                    "it was ended before it was through"));
    }
    int r = backup_tidy(&h.conf, err);
    /* Of a restore here that has not come to its end, or from before the machine started. One that
     * an operator closed for a restore elsewhere stays so. */
    if (cut_off_restore(last) || !backup_site_closed())
        r = backup_open_site(r == 0 ? err : &busy) < 0 ? -1 : r;
    backup_here_close(&h);
    return r;
}

static int start_unit(const char *const args[], const char *id, struct err *err)
{
    char worker[4096];
    const char *argv[32] = {"/usr/bin/systemd-run",
                            ("--unit=" BACKUP_SERVICE),
                            "--collect",
                            "--quiet",
                            "--description=Backup or restore of Muster",
                            "--property=KillMode=control-group"};
    size_t n = 6;
    struct svc_state st;

    helper_path(HELPER_WORKER, worker, sizeof(worker));
    _cleanup_free_ char *after = str_fmt("--property=ExecStopPost=%s backup tidy", worker);
    if (svc_status(BACKUP_SERVICE, &st, err) < 0)
        return -1;
    if (st.active || st.busy) {
        _cleanup_json_ json_t *last = read_progress();

        return err_set(err, ERR_LOCKED,
                       "'%s' is at work on this node (%s); one at a time: 'systemctl stop "
                       "muster-backup' ends it",
                       js_opt_str(last, "what", "?"), js_opt_str(last, "phase", "?"));
    }
    argv[n++] = after;
    argv[n++] = "--";
    argv[n++] = worker;
    argv[n++] = "backup";
    argv[n++] = "work";
    for (size_t i = 0; args[i] && n < ARRAY_LEN(argv) - 3; i++)
        argv[n++] = args[i];
    argv[n++] = "--id";
    argv[n++] = id;
    return proc_call(argv, err);
}

static void print_phase(const json_t *j, char last[96])
{
    char line[96];
    uint64_t bytes = js_opt_u64(j, "bytes", 0);

    if (bytes > 1000000)
        snprintf(line, sizeof(line), "%.60s, %llu MB", js_opt_str(j, "phase", ""),
                 (unsigned long long)(bytes / 1000000));
    else
        snprintf(line, sizeof(line), "%.60s", js_opt_str(j, "phase", ""));
    if (*line && !str_eq(line, last))
        text_print(stdout, "%s\n", line);
    str_copy(last, 96, line);
    fflush(stdout);
}

static int ended(const json_t *end, json_t **ret, struct err *err)
{
    int code = (int)js_opt_u64(end, "code", ERR_FAILED);

    if (js_opt_bool(end, "ok", false)) {
        *ret = json_incref(json_object_get(end, "done"));
        return 0;
    }
    return err_set(err, code ? code : ERR_FAILED, "%s", js_opt_str(end, "why", "it failed"));
}

static int follow(const char *id, bool quiet, json_t **ret, struct err *err)
{
    uint64_t gone = 0;
    char last[96] = "";

    for (;; clock_pause_ms(FOLLOW_MS)) {
        _cleanup_json_ json_t *j = read_progress();
        struct svc_state st;

        if (j && str_eq(js_opt_str(j, "id", ""), id)) {
            if (!quiet)
                print_phase(j, last);
            if (js_opt_bool(j, "ended", false))
                return ended(json_object_get(j, "end"), ret, err);
        }
        if (svc_status(BACKUP_SERVICE, &st, err) < 0)
            return -1;
        gone = st.active || st.busy ? 0 : gone ? gone : clock_mono_ms();
        if (gone && clock_mono_ms() - gone > GONE_MS)
            return err_set(err, ERR_FAILED,
                           "it ended without a result; 'journalctl -u muster-backup' says more");
    }
}

int backup_work_start(const char *const args[], bool quiet, json_t **ret, struct err *err)
{
    char id[25];

    keys_token(id, sizeof(id) - 1);
    if (start_unit(args, id, err) < 0)
        return -1;
    return follow(id, quiet, ret, err);
}

int backup_work_turn(uint64_t period, bool *ret_done, struct err *err)
{
    struct backup_here h;
    enum backup_turn turn = BACKUP_TURN_TAKEN;
    _cleanup_free_ char *number = str_fmt("%llu", (unsigned long long)period);
    int r = backup_here_open(&h, err);

    if (r == 0)
        r = backup_possible(&h.conf, err);
    if (r == 0)
        r = backup_turn_take(&h.conf, period, &turn, err);
    backup_here_close(&h);
    *ret_done = r == 0 && turn == BACKUP_TURN_DONE;
    if (r < 0 || turn != BACKUP_TURN_OURS)
        return r;
    r = start_unit((const char *const[]){"now", "--turn", number, NULL}, "scheduled", err);
    return r < 0 && err->code == ERR_LOCKED ? 0 : r;
}
