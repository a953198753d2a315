/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/galera/arbitrator.h"

#include <string.h>

#include "agent/cluster/cluster.h"
#include "agent/galera/galera.h"
#include "agent/sys/fields.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"

static const struct field fields[] = {
    FIELD(arbitrator, cluster, FIELD_NAME),    FIELD(arbitrator, node, FIELD_NAME),
    FIELD(arbitrator, address, FIELD_ADDRESS), FIELD(arbitrator, members, FIELD_ARRAY),
    FIELD(arbitrator, segment, FIELD_U64),     FIELD(arbitrator, weight, FIELD_U64),
    FIELD(arbitrator, settings, FIELD_OBJECT), FIELD(arbitrator, tls, FIELD_OBJECT),
};

static const struct field tls_fields[] = {
    FIELD(arbitrator, ca, FIELD_STR),
    FIELD(arbitrator, cert, FIELD_STR),
    FIELD(arbitrator, key, FIELD_STR),
};

bool arbitrator_is(const json_t *spec)
{
    return strcmp(js_opt_str(spec, "type", ""), "arbitrator") == 0;
}

int arbitrator_read(const json_t *spec, struct arbitrator *ret, struct err *err)
{
    if (fields_read(spec, fields, ARRAY_LEN(fields), ret, err) < 0)
        return -1;
    if (fields_read(ret->tls, tls_fields, ARRAY_LEN(tls_fields), ret, err) < 0)
        return err_wrap(err, "tls");
    if (galera_read_members(ret->members, err) < 0)
        return -1;
    if (!galera_settings_valid(ret->settings))
        return err_set(err, ERR_USAGE, "a setting is no line of a file");
    return ret->weight <= GALERA_WEIGHT_MAX && json_array_size(ret->members) < CLUSTER_MAX
               ? 0
               : err_set(err, ERR_USAGE, "a weight is at most %d, and members at most %d",
                         GALERA_WEIGHT_MAX, CLUSTER_MAX - 1);
}

char *arbitrator_conf(const struct arbitrator *a)
{
    struct strbuf b = {0};
    const char *name;
    size_t i;
    json_t *m, *v;

    strbuf_adds(&b, "# written by muster-agent\naddress = gcomm://");
    json_array_foreach(a->members, i, m)
        strbuf_addf(&b, "%s%s:%d", i ? "," : "", js_opt_str(m, "address", ""), PORT_GALERA);
    strbuf_addf(&b,
                "\ngroup = %s\nname = %s\n"
                "options = gmcast.listen_addr=tcp://%s:%d;gmcast.segment=%llu;pc.recovery=FALSE;"
                "pc.weight=%llu;socket.ssl=yes;socket.ssl_ca=" ARBITRATOR_CA
                ";socket.ssl_cert=" ARBITRATOR_CERT ";socket.ssl_key=" ARBITRATOR_KEY_READ,
                a->cluster, a->node, a->address, PORT_GALERA, (unsigned long long)a->segment,
                (unsigned long long)a->weight);
    json_object_foreach((json_t *)a->settings, name, v)
    {
        if (str_starts(name, "evs.") || str_starts(name, "gmcast.") || str_starts(name, "pc."))
            strbuf_addf(&b, ";%s=%s", name, json_string_value(v));
    }
    strbuf_adds(&b, "\n");
    return b.s;
}

int arbitrator_start(struct err *err)
{
    struct err ignored;

    svc_do("reset-failed", ARBITRATOR_SERVICE, &ignored);
    return svc_do("start", ARBITRATOR_SERVICE, err);
}

int arbitrator_stop(struct err *err)
{
    return svc_do("stop", ARBITRATOR_SERVICE, err);
}

json_t *arbitrator_status(void)
{
    struct svc_state st = {0};
    struct err err = {0};
    bool seen = svc_status(ARBITRATOR_SERVICE, &st, &err) == 0, runs = st.active || st.busy;
    json_t *db = json_pack("{s:s, s:s, s:i, s:s, s:i, s:b}", "state",
                           !seen  ? "Unknown"
                           : runs ? ARBITRATOR_STATE
                                  : "Stopped",
                           "status", "", "cluster_size", 0, "uuid", "", "seqno", -1, "running",
                           !seen || runs);

    if (!seen)
        json_object_set_new(db, "unknown", js_string(err.msg));
    else if (runs && st.main_pid)
        json_object_set_new(db, "pid", json_integer(st.main_pid));
    return db;
}
