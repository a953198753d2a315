/* SPDX-License-Identifier: Apache-2.0 */
/* Galera's own options: what the file says of them, and the weight, which a start that joins has
 * otherwise. */
#include <stdio.h>
#include <string.h>

#include "agent/galera/galera.h"
#include "agent/galera/internal.h"
#include "agent/galera/settings.h"
#include "agent/galera/sql.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"
#include "common/uuid.h"

#define ANSWER_MAX_S 30

/* Of members some ten milliseconds apart; docs/galera.md says why for each. */
static const char *const defaults[][2] = {
    {"evs.send_window", "512"}, {"evs.user_send_window", "256"}, {"gcs.fc_limit", "128"},
    {"gcs.fc_factor", "0.8"},   {"gcache.size", "128M"},
};

char *galera_options(const struct galera *g, uint64_t weight)
{
    struct strbuf b = {0};
    const char *name;
    json_t *v;

    strbuf_addf(&b,
                "gmcast.listen_addr=tcp://%s:%d;ist.recv_addr=%s:%d;gmcast.segment=%llu;"
                "gcache.recover=yes;pc.recovery=FALSE;pc.weight=%llu;socket.ssl=yes;"
                "socket.ssl_ca=" GALERA_TLS_CA ";socket.ssl_cert=" GALERA_TLS_CERT
                ";socket.ssl_key=" GALERA_TLS_KEY,
                g->address, PORT_GALERA, g->address, PORT_GALERA_IST,
                (unsigned long long)g->segment, (unsigned long long)weight);
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (!json_object_get(g->settings, defaults[i][0]))
            strbuf_addf(&b, ";%s=%s", defaults[i][0], defaults[i][1]);
    json_object_foreach((json_t *)g->settings, name, v)
    {
        if (strchr(name, '.'))
            strbuf_addf(&b, ";%s=%s", name, json_string_value(v));
    }
    return b.s;
}

static void take_weight(void *ctx, const char *name, const char *options)
{
    char text[16];
    uint64_t n = 0;

    (void)name;
    if (settings_option(options, "pc.weight", text, sizeof(text)) &&
        str_to_u64(text, GALERA_WEIGHT_MAX, &n) == 0)
        *(int *)ctx = (int)n;
}

int galera_weight_now(struct sql *s)
{
    struct err ignored;
    int weight = -1;

    sql_pairs(s, "SELECT 'options', @@GLOBAL.wsrep_provider_options", take_weight, &weight,
              &ignored);
    return weight;
}

int galera_read_certificate(struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;

    return sql_open(ANSWER_MAX_S, &s, err) < 0
               ? -1
               : sql_exec(s, "SET GLOBAL wsrep_provider_options = 'socket.ssl_reload=1'", err);
}

static void named_row(void *ctx, const char *name, const char *uuid)
{
    (void)uuid;
    str_copy(ctx, 64, name);
}

int galera_evict(const char *uuid, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    _cleanup_free_ char *query = str_fmt(
        "SELECT node_name, node_uuid FROM mysql.wsrep_cluster_members WHERE node_uuid = '%s'",
        uuid);
    _cleanup_free_ char *set = str_fmt("SET GLOBAL wsrep_provider_options = 'evs.evict=%s'", uuid);
    char name[64] = "";

    if (!uuid_valid(uuid))
        return err_set(err, ERR_USAGE, "no UUID of a database in the group");
    if (sql_open(ANSWER_MAX_S, &s, err) < 0 ||
        sql_exec(s, "SET SESSION wsrep_sync_wait = 0", err) < 0 ||
        sql_pairs(s, query, named_row, name, err) < 0)
        return -1;
    if (!name[0] || sql_exec(s, set, err) < 0)
        return name[0] ? -1 : 0;
    galera_note_set("the group goes on without the database of %s, whose process has ended", name);
    return 0;
}

int galera_weight(const struct galera *g, struct err *err)
{
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    _cleanup_free_ char *set = str_fmt("SET GLOBAL wsrep_provider_options = 'pc.weight=%llu'",
                                       (unsigned long long)g->weight);

    if (sql_open(ANSWER_MAX_S, &s, err) < 0 ||
        sql_exec(s, "SET SESSION wsrep_sync_wait = 0", err) < 0)
        return -1;
    return galera_weight_now(s) == (int)g->weight ? 0 : sql_exec(s, set, err);
}
