/* SPDX-License-Identifier: Apache-2.0 */
/* Step `synced`: waits until the coordinator has this node's database Synced in a Primary. */
#include <stdlib.h>
#include <string.h>

#include "agent/cluster/cluster.h"
#include "agent/galera/galera.h"
#include "agent/galera/sql.h"
#include "agent/ipc/paths.h"
#include "agent/steps/step.h"
#include "agent/sys/life.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define LOOK_EVERY_MS 200
#define SAY_EVERY_MS 5000
#define FULL_BYTES 1000000

struct synced {
    const char *cluster, *mount;
};

static const struct field fields[] = {
    FIELD(synced, cluster, FIELD_NAME),
    FIELD(synced, mount, FIELD_PATH),
};

static int synced_parse(const json_t *spec, void **ret, struct err *err)
{
    return fields_parse(spec, fields, ARRAY_LEN(fields), sizeof(struct synced), ret, err);
}

static int synced_check(const void *self, struct run *run, struct verdict *ret, struct err *err)
{
    (void)run, (void)err;
    const struct synced *s = self;
    char state[256];
    unsigned code;
    if (galera_synced(state, sizeof(state)) != GALERA_SYNCED)
        return verdict_differs(ret, "the database is not Synced in cluster %s: %.200s", s->cluster,
                               state);
    if (sql_own_works(&code) || code >= SQL_CLIENT_ERROR)
        return verdict_ok(ret);
    return sql_code_of_account(code)
               ? verdict_differs(ret, "the agent's own account does not work (%u)", code)
               : verdict_note(ret, "the agent's own account could not be tried (%u)", code);
}

/* The account that looks when root is refused. A server that runs without its port yet has it from
 * its next start on. */
static int own_account(struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *root = NULL;
    unsigned code;

    if (sql_own_works(&code) || !sql_code_of_account(code))
        return 0;
    if (sql_open(30, &root, err) < 0)
        return -1;
    return sql_own_make(root, err);
}

/* What the coordinator says, and how much of the donor's data has come; -1 when it cannot go on by
 * itself. */
static int coordinator_status(const struct synced *s, struct strbuf *say, struct event_count *come,
                              struct err *err)
{
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *j = NULL;
    struct err ignored;
    size_t len = 0, i;
    json_t *name;
    enum cluster_state state;
    char text_come[256];

    strbuf_reset(say);
    *come = (struct event_count){0};
    if (fs_read(PATH_COORDINATOR, 65536, &text, &len, &ignored) < 0 ||
        js_parse(text, len, &j, &ignored) < 0 ||
        cluster_state_find(js_opt_str(j, "state", ""), &state) < 0) {
        strbuf_adds(say, "waits for the coordinator; it needs the roster of all members");
        return 0;
    }
    const char *why = js_opt_str(j, "why", "");
    if (state == CLUSTER_JOINING) {
        *come = (struct event_count){EVENT_BYTES, life_measure(s->mount),
                                     js_opt_u64(j, "join_bytes", 0)};
        life_text(why, come->done, come->total, text_come, sizeof(text_come));
        why = text_come;
    }
    strbuf_addf(say, "%s: %s", cluster_state_name(state), why);
    json_array_foreach(json_object_get(j, "waiting_for"), i, name)
        strbuf_addf(say, "%s%s", i ? ", " : " - ", json_string_value(name));
    if (state == CLUSTER_FAULT || state == CLUSTER_HALT || state == CLUSTER_QUARANTINE)
        return err_set(err, ERR_FAILED, "coordinator %s", strbuf_str(say));
    return 0;
}

/* A database on a full disk does not start, or does not get through its recovery. */
static int not_full(const struct synced *s, struct err *err)
{
    uint64_t room = 0;

    if (fs_free(s->mount, &room, err) < 0)
        return -1;
    return room >= FULL_BYTES
               ? 0
               : err_set(err, ERR_FAILED,
                         "No space left on %s: the database cannot run; remove what is not needed "
                         "there, or make the volume larger",
                         s->mount);
}

static int synced_apply(const void *self, struct run *run, struct err *err)
{
    const struct synced *s = self;
    _cleanup_(strbuf_free) struct strbuf say = {0}, said = {0};
    struct event_count come;
    uint64_t said_at = 0;
    char state[256];

    while (galera_synced(state, sizeof(state)) != GALERA_SYNCED) {
        if (run_superseded(run))
            return err_set(err, ERR_FAILED, "a newer plan arrived");
        if (coordinator_status(s, &say, &come, err) < 0 || not_full(s, err) < 0)
            return -1;
        uint64_t now = clock_mono_ms();
        if (strcmp(strbuf_str(&say), strbuf_str(&said)) != 0 || now - said_at >= SAY_EVERY_MS) {
            run_progress_counted(run, &come, "%.400s", strbuf_str(&say));
            strbuf_reset(&said);
            strbuf_adds(&said, strbuf_str(&say));
            said_at = now;
        }
        clock_pause_ms(LOOK_EVERY_MS);
    }
    return own_account(err);
}

const struct step_ops step_synced = {"synced",     synced_parse, synced_check,
                                     synced_apply, free,         NULL};
