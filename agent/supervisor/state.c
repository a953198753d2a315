/* SPDX-License-Identifier: Apache-2.0 */
/* The state of this node for the controller (docs/protocol.md, section 4) and for `status`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"
#include "common/fs.h"
#include "common/js.h"

static json_t *state_now(const struct supervisor *s)
{
    const json_t *drift = sup_drift_list(s);
    json_t *j = json_object();

    sup_worker_add_state(s, j);
    if (sup_cluster_galera(s) && sup_watch_db(s))
        json_object_set(j, "db", sup_watch_db(s));
    if (sup_cluster_galera(s) && sup_cluster_status(s))
        json_object_set(j, "coordinator", sup_cluster_status(s));
    if (sup_engines_busy(s))
        json_object_set_new(j, "converting", json_true());
    if (drift) {
        json_t *ids = json_array(), *d;
        size_t i;

        json_array_foreach((json_t *)drift, i, d) js_push_str(ids, js_opt_str(d, "id", ""));
        json_object_set_new(j, "drift", ids);
    }
    if (sup_drift_looked(s))
        json_object_set_new(j, "looked", json_integer((json_int_t)sup_drift_looked(s)));
    json_t *drain = sup_drain();
    if (drain)
        json_object_set_new(j, "drain", drain);
    json_t *maintenance = sup_maintenance();
    if (maintenance)
        json_object_set_new(j, "maintenance", maintenance);
    if (sup_watch_web(s))
        json_object_set(j, "web", sup_watch_web(s));
    json_t *share = sup_share(s);
    if (share)
        json_object_set_new(j, "share", share);
    json_t *backup = sup_backup(s);
    if (backup)
        json_object_set_new(j, "backup", backup);
    return j;
}

static void tick(struct supervisor *s, uint64_t now)
{
    struct err err;
    json_t *state = state_now(s);
    char *text = js_text(state);
    bool same = s->state.text && strcmp(text, s->state.text) == 0;

    if (same && now - s->state.sent_at < STATE_EVERY_MS) {
        json_decref(state);
        free(text);
        return;
    }
    if (!same)
        fs_write_atomic(PATH_STATUS, text, strlen(text), 0644, &err);
    free(s->state.text);
    s->state.text = text;
    s->state.sent_at = now;
    sup_net_send(s, IPC_STATE, json_pack("{s:o}", "state", state));
}

static uint64_t due(const struct supervisor *s, uint64_t now)
{
    (void)now;
    return s->state.sent_at + STATE_EVERY_MS;
}

void sup_state_again(struct supervisor *s)
{
    free(s->state.text);
    s->state.text = NULL;
}

const struct sup_part sup_state = {.tick = tick, .due = due, .stop = sup_state_again};
