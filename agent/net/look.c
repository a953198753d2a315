/* SPDX-License-Identifier: Apache-2.0 */
/* What a look at the database says, as the coordinator takes it. */
#include <string.h>

#include "agent/cluster/codec.h"
#include "agent/net/internal.h"
#include "common/js.h"
#include "common/str.h"
#include "common/uuid.h"

#define DB_NAME_MAX 32 /* characters of node_name in mysql.wsrep_cluster_members */

/* The database's list of its members cuts names. */
static void whole_names(const struct cluster_config *cfg, struct cluster_names *names)
{
    for (unsigned i = 0; i < names->n; i++)
        for (unsigned k = 0; strlen(names->name[i]) == DB_NAME_MAX && k < cfg->n; k++)
            if (strncmp(cfg->names[k], names->name[i], DB_NAME_MAX) == 0)
                memcpy(names->name[i], cfg->names[k], CLUSTER_NAME);
}

void net_look_event(const struct cluster *c, const json_t *db, struct cluster_event *ret)
{
    struct cluster_event ev = {.type = EV_DB};
    const char *unknown = js_opt_str(db, "unknown", "");
    struct err err;

    ev.running = json_is_true(json_object_get(db, "running"));
    ev.unknown = unknown[0] != '\0';
    str_copy(ev.why, sizeof(ev.why), unknown);
    ev.answers = json_is_true(json_object_get(db, "answers"));
    ev.primary = strcmp(js_opt_str(db, "status", ""), "Primary") == 0;
    ev.left = ev.answers && strcmp(js_opt_str(db, "status", ""), "Disconnected") == 0;
    ev.synced = strcmp(js_opt_str(db, "state", ""), "Synced") == 0 ||
                strcmp(js_opt_str(db, "state", ""), "Donor/Desynced") == 0;
    ev.size = (unsigned)js_opt_u64(db, "cluster_size", 0);
    ev.cached = js_opt_u64(db, "cached", 0);
    ev.bytes = js_opt_u64(db, "bytes", 0);
    ev.rowless = json_is_false(json_object_get(db, "epoch_row")) &&
                 js_opt_u64(db, "epoch", 0) == c->rec.epoch;
    const json_t *weight = json_object_get(db, "weight");
    ev.weightless = weight && json_integer_value(weight) != (json_int_t)c->cfg.weights[c->cfg.self];
    const json_t *row = json_object_get(db, "row");
    if (row && js_opt_u64(db, "epoch", 0) == c->rec.epoch) {
        str_copy(ev.row_node, sizeof(ev.row_node), js_opt_str(row, "node", ""));
        str_copy(ev.row_cluster, sizeof(ev.row_cluster), js_opt_str(row, "cluster_id", ""));
    }
    ev.position = (struct cluster_position){.kind = DATADIR_OK};
    ev.position.seqno = (int64_t)json_integer_value(json_object_get(db, "seqno"));
    ev.position.last_epoch = c->rec.last_epoch;
    str_copy(ev.position.uuid, sizeof(ev.position.uuid), js_opt_str(db, "uuid", ""));
    /* A name that cannot be a member's, since somebody set wsrep_node_name by hand, makes the whole
     * list one that is not known: the record could not be read back with it. */
    if (cluster_names_from_json(json_object_get(db, "members"), &ev.members, &err) < 0)
        ev.members.n = 0;
    const json_t *instances = json_object_get(db, "instances");
    for (unsigned i = 0; i < ev.members.n; i++) {
        const char *uuid = json_string_value(json_array_get(instances, i));

        if (uuid && uuid_valid(uuid))
            str_copy(ev.instances[i], sizeof(ev.instances[i]), uuid);
    }
    whole_names(&c->cfg, &ev.members);
    if (c->cfg.arbitrator) { /* the database counts it, and it is no member here */
        ev.arbitrated = ev.size > ev.members.n;
        ev.size = ev.members.n;
    }
    *ret = ev;
}
