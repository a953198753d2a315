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
    unsigned changed = 0, ok = 0;
    sscanf(s->result, "%u changed, %u ok", &changed, &ok);
    json_t *j = json_pack("{s:s, s:s, s:i, s:i, s:s}", "phase", s->phase, "rev", s->rev, "changed",
                          (int)changed, "ok", (int)ok, "step", s->step);
    if (s->galera && s->db)
        json_object_set(j, "db", s->db);
    if (s->galera && s->coordinator)
        json_object_set(j, "coordinator", s->coordinator);
    if (s->drift) {
        json_t *ids = json_array(), *d;
        size_t i;
        json_array_foreach(s->drift, i, d) js_push_str(ids, js_opt_str(d, "id", ""));
        json_object_set_new(j, "drift", ids);
    }
    if (s->look_done)
        json_object_set_new(j, "looked", json_integer((json_int_t)s->look_done));
    if (s->web >= 0)
        json_object_set_new(j, "web", json_integer(s->web));
    return j;
}

void sup_state_tell(struct supervisor *s, uint64_t now)
{
    struct err err;
    json_t *state = state_now(s);
    char *text = js_text(state);
    bool same = s->state_text && strcmp(text, s->state_text) == 0;
    if (same && now - s->state_sent_at < STATE_EVERY_MS) {
        json_decref(state);
        free(text);
        return;
    }
    if (!same)
        fs_write_atomic(PATH_STATUS, text, strlen(text), 0644, &err);
    free(s->state_text);
    s->state_text = text;
    s->state_sent_at = now;
    sup_net_tell(s, "state", json_pack("{s:o}", "state", state));
}
