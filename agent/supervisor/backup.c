/* SPDX-License-Identifier: Apache-2.0 */
/* When a backup is due, and how the last ones ended. What is done is the worker's, in a unit of its
 * own; what it leaves behind is a file of root's. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "agent/ipc/helper.h"
#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"
#include "common/backup.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/proc.h"
#include "common/str.h"

#define STATE_MAX 65536
#define AGAIN_MS 300000 /* while it is another one's turn, or nobody can */
#define LOOK_MS 600000  /* the machine's clock may be set meanwhile */

void sup_backup_plan(struct supervisor *s, const json_t *plan)
{
    const json_t *step = sup_plan_step(plan, "backup");

    json_decref(s->backup.step);
    s->backup.step = step ? json_deep_copy(step) : NULL;
    s->backup.next = 0;
}

static json_t *read_state(const struct supervisor *s)
{
    const char *mount = js_opt_str(s->backup.step, "mount", "");
    _cleanup_free_ char *path = str_fmt("%s/muster-backup/state.json", mount);
    _cleanup_free_ char *text = NULL;
    json_t *j = NULL;
    struct err ignored;
    size_t len = 0;

    if (fs_read(path, STATE_MAX, &text, &len, &ignored) < 0 ||
        js_parse(text, len, &j, &ignored) < 0)
        return json_object();
    return j;
}

json_t *sup_backup(const struct supervisor *s)
{
    static const char *const members[] = {"made", "verified", "failed"};
    _cleanup_json_ json_t *state = NULL;
    json_t *ret;

    if (!s->backup.step)
        return NULL;
    state = read_state(s);
    ret = json_pack("{s:I}", "every", (json_int_t)js_opt_u64(s->backup.step, "every", 0));
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (json_is_object(json_object_get(state, members[i])))
            json_object_set(ret, members[i], json_object_get(state, members[i]));
    return ret;
}

/* --- what happened --------------------------------------------------------------------------- */

static uint64_t at_of(const json_t *state, const char *what)
{
    return js_opt_u64(json_object_get(state, what), "at", 0);
}

static void tell(struct supervisor *s)
{
    _cleanup_json_ json_t *state = s->backup.step ? read_state(s) : NULL;
    const json_t *made = json_object_get(state, "made"),
                 *verified = json_object_get(state, "verified"),
                 *failed = json_object_get(state, "failed");
    struct sup_backup_state *b = &s->backup;
    bool first = !b->looked;

    if (!state)
        return;
    if (!first && at_of(state, "made") > b->made)
        sup_event(s, EVENT_NOTE, "backup", "%s is made: %.1f MB in %.1f s",
                  js_opt_str(made, "name", "?"), (double)js_opt_u64(made, "bytes", 0) / 1e6,
                  (double)js_opt_u64(made, "took_ms", 0) / 1e3);
    if (!first && at_of(state, "verified") > b->verified)
        sup_event(s, EVENT_NOTE, "backup", "%s was verified: it can be restored",
                  js_opt_str(verified, "name", "?"));
    if (!first && at_of(state, "failed") > b->failed)
        sup_event(s, EVENT_FAILED, "backup", "%s%s%s: %s", js_opt_str(failed, "what", "?"),
                  *js_opt_str(failed, "name", "") ? " " : "", js_opt_str(failed, "name", ""),
                  js_opt_str(failed, "why", "?"));
    b->looked = true;
    b->made = at_of(state, "made");
    b->verified = at_of(state, "verified");
    b->failed = at_of(state, "failed");
}

/* --- when one is due ------------------------------------------------------------------------- */

/* Who has no visitors is the first, then the last of the file. */
static unsigned rank_of(const struct supervisor *s)
{
    const json_t *members = json_object_get(s->backup.step, "members"), *m;
    size_t i, n = json_array_size(members), own = 0;

    json_array_foreach(members, i, m)
    {
        if (str_eq(json_string_value(m), s->backup.node))
            own = i;
    }
    return fs_exists(PATH_DRAIN) ? 0 : (unsigned)(n - own);
}

static bool is_ready(const struct supervisor *s)
{
    return sup_worker_ready(s) && str_eq(js_opt_str(sup_watch_db(s), "state", ""), "Synced");
}

static void take_turn(struct supervisor *s, uint64_t period)
{
    _cleanup_free_ char *number = str_fmt("%llu", (unsigned long long)period);

    s->backup.of = period;
    s->backup.pid = helper_start(PROC_ARGV(HELPER_WORKER, "backup", "turn", number), -1, -1, false);
    if (s->backup.pid < 0)
        s->backup.pid = 0;
}

static void schedule(struct supervisor *s, uint64_t now)
{
    struct sup_backup_state *b = &s->backup;
    const struct backup_schedule when = {js_opt_u64(b->step, "every", 0),
                                         js_opt_u64(b->step, "offset", 0)};
    uint64_t wall = clock_wall_ms() / 1000, period, due;

    if (!when.every_s || b->pid || now < b->next)
        return;
    str_copy(b->node, sizeof(b->node), js_opt_str(b->step, "node", ""));
    period = backup_period(&when, wall);
    due = backup_due_s(&when, period + (b->has_done && b->done == period), rank_of(s));
    if (wall < due) {
        uint64_t wait = (due - wall) * 1000;

        b->next = now + (wait < LOOK_MS ? wait : LOOK_MS);
        return;
    }
    uint64_t again = when.every_s * 1000 / 4;
    b->next = now + (again < AGAIN_MS ? again : AGAIN_MS);
    if (is_ready(s))
        take_turn(s, period);
}

/* What a life before this one has left, once the plan is carried out: the disk is mounted then. One
 * that is at work goes on. */
static void tidy(struct supervisor *s)
{
    struct sup_backup_state *b = &s->backup;

    if (b->tidied || !sup_worker_ready(s))
        return;
    b->tidied = true;
    b->tidy = helper_start(PROC_ARGV(HELPER_WORKER, "backup", "tidy"), -1, -1, false);
}

static bool died(struct supervisor *s, pid_t pid, int status)
{
    struct sup_backup_state *b = &s->backup;

    if (pid == b->tidy) {
        b->tidy = 0;
        return true;
    }
    if (pid != b->pid || !pid)
        return false;
    b->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        b->has_done = true;
        b->done = b->of;
        b->next = 0;
    }
    return true;
}

static void tick(struct supervisor *s, uint64_t now)
{
    if (!s->backup.step)
        return;
    if (now - s->backup.told_at >= STATE_EVERY_MS) {
        s->backup.told_at = now;
        tell(s);
    }
    tidy(s);
    schedule(s, now);
}

static uint64_t due(const struct supervisor *s, uint64_t now)
{
    (void)now;
    return s->backup.step && js_opt_u64(s->backup.step, "every", 0) && !s->backup.pid
               ? s->backup.next
               : UINT64_MAX;
}

static void stop(struct supervisor *s)
{
    json_decref(s->backup.step);
}

const struct sup_part sup_backup_part = {NULL, NULL, NULL, died, tick, due, stop};
