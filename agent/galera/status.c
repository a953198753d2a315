/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/galera/datadir.h"
#include "agent/galera/galera.h"
#include "agent/galera/settings.h"
#include "agent/galera/sql.h"
#include "agent/ipc/paths.h"
#include "agent/sys/fields.h"
#include "agent/sys/svc.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define SIZE_EVERY_S 60

static const struct field fields[] = {
    FIELD(galera, cluster, FIELD_NAME),    FIELD(galera, node, FIELD_NAME),
    FIELD(galera, address, FIELD_ADDRESS), FIELD(galera, members, FIELD_ARRAY),
    FIELD(galera, segment, FIELD_U64),     FIELD(galera, datadir, FIELD_PATH),
    FIELD(galera, mount, FIELD_PATH),      FIELD(galera, weight, FIELD_U64),
    FIELD(galera, tls, FIELD_OBJECT),      FIELD(galera, settings, FIELD_OBJECT),
};

static const struct field tls_fields[] = {
    FIELD(galera, ca, FIELD_STR),
    FIELD(galera, cert, FIELD_STR),
    FIELD(galera, key, FIELD_STR),
};

struct member {
    const char *name, *address;
};

bool galera_settings_valid(const json_t *settings)
{
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)settings, name, v)
    {
        const char *text = json_string_value(v);

        if (!text || strpbrk(text, "\n\r\"\\;") ||
            name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.")])
            return false;
    }
    return true;
}

static const struct field member_fields[] = {
    FIELD(member, name, FIELD_NAME),
    FIELD(member, address, FIELD_ADDRESS),
};

int galera_read_members(const json_t *members, struct err *err)
{
    size_t i;
    json_t *m;

    json_array_foreach(members, i, m)
    {
        struct member member = {0};

        if (fields_read(m, member_fields, ARRAY_LEN(member_fields), &member, err) < 0)
            return err_wrap(err, "member %zu", i + 1);
    }
    return 0;
}

int galera_read(const json_t *spec, struct galera *ret, struct err *err)
{
    size_t i;
    json_t *m;
    bool self = false;

    if (fields_read(spec, fields, ARRAY_LEN(fields), ret, err) < 0)
        return -1;
    if (fields_read(ret->tls, tls_fields, ARRAY_LEN(tls_fields), ret, err) < 0)
        return err_wrap(err, "tls");
    if (galera_read_members(ret->members, err) < 0)
        return -1;
    json_array_foreach(ret->members, i, m) self =
        self || strcmp(js_opt_str(m, "name", ""), ret->node) == 0;
    if (!galera_settings_valid(ret->settings))
        return err_set(err, ERR_USAGE, "a setting is no line of a file");
    if (ret->weight > GALERA_WEIGHT_MAX)
        return err_set(err, ERR_USAGE, "a weight is at most %d", GALERA_WEIGHT_MAX);
    if (!self || json_array_size(ret->members) > CLUSTER_MAX)
        return err_set(err, ERR_USAGE, "members must have this node and at most %d", CLUSTER_MAX);
    return 0;
}

static void status_row(void *ctx, const char *k, const char *v)
{
    static const char *const wanted[][2] = {
        {"wsrep_local_state_comment", "state"},
        {"wsrep_cluster_status", "status"},
        {"wsrep_cluster_state_uuid", "uuid"},
    };
    uint64_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (strcmp(k, wanted[i][0]) == 0)
            json_object_set_new(ctx, wanted[i][1], json_string(v));
    if (strcmp(k, "wsrep_cluster_size") == 0 && str_to_u64(v, CLUSTER_MAX * 4, &n) == 0)
        json_object_set_new(ctx, "cluster_size", json_integer((json_int_t)n));
    if (strcmp(k, "wsrep_local_cached_downto") == 0 && str_to_u64(v, INT64_MAX, &n) == 0)
        json_object_set_new(ctx, "cached", json_integer((json_int_t)n));
    if (strcmp(k, "wsrep_last_committed") == 0 && str_to_u64(v, INT64_MAX, &n) == 0)
        json_object_set_new(ctx, "seqno", json_integer((json_int_t)n));
}

#define STATUS_QUERY                                                                               \
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_local_state_comment',"                      \
    "'wsrep_cluster_status','wsrep_cluster_state_uuid','wsrep_cluster_size',"                      \
    "'wsrep_last_committed','wsrep_local_cached_downto')"

static void epoch_row(void *ctx, const char *id, const char *node)
{
    json_object_set_new(ctx, "cluster_id", js_string(id));
    json_object_set_new(ctx, "node", js_string(node));
}

/* What is not there is told only when the database said so. */
static void look_at_row(struct sql *s, uint64_t epoch, json_t *db)
{
    struct err err;
    json_t *row = json_object();
    _cleanup_free_ char *query = str_fmt("SELECT cluster_id, node FROM muster.epoch WHERE e = %llu",
                                         (unsigned long long)epoch);

    json_object_set_new(db, "epoch", json_integer((json_int_t)epoch));
    if (epoch && sql_pairs(s, query, epoch_row, row, &err) == 0) {
        json_object_set_new(db, "epoch_row", json_boolean(json_object_size(row) > 0));
        if (json_object_size(row) > 0)
            json_object_set(db, "row", row);
    } else if (!epoch || sql_code(s) == SQL_NO_DATABASE || sql_code(s) == SQL_NO_TABLE)
        json_object_set_new(db, "epoch_row", json_false());
    json_decref(row);
}

static void member_row(void *ctx, const char *name, const char *uuid)
{
    json_t **lists = ctx;

    js_push_str(lists[0], name);
    js_push_str(lists[1], uuid);
}

/* The members of its component that have data, by name: an arbitrator takes no connections. */
static void look_at_members(struct sql *s, json_t *db)
{
    struct err err;
    json_t *lists[] = {json_array(), json_array()};

    if (sql_pairs(s,
                  "SELECT node_name, node_uuid FROM mysql.wsrep_cluster_members WHERE "
                  "node_incoming_address <> ''",
                  member_row, lists, &err) == 0) {
        json_object_set(db, "members", lists[0]);
        json_object_set(db, "instances", lists[1]);
    }
    json_decref(lists[0]);
    json_decref(lists[1]);
}

static void look_at_weight(struct sql *s, json_t *db)
{
    int weight = galera_weight_now(s);

    if (weight >= 0)
        json_object_set_new(db, "weight", json_integer(weight));
}

static void look_at_pending(const struct sql *s, json_t *db)
{
    _cleanup_free_ char *pending = settings_pending(sql_server(s));

    if (pending)
        json_object_set_new(db, "pending", js_string(pending));
}

/* A walk over all its files: kept for a while, for looks that follow each other. */
static uint64_t datadir_size(const char *datadir)
{
    _cleanup_free_ char *text = NULL;
    struct stat st;
    struct err ignored;
    uint64_t bytes = 0;

    if (stat(PATH_DATADIR_SIZE, &st) == 0 && time(NULL) - st.st_mtime < SIZE_EVERY_S &&
        st.st_mtime <= time(NULL) && fs_read(PATH_DATADIR_SIZE, 32, &text, NULL, &ignored) == 0 &&
        str_to_u64(text, INT64_MAX, &bytes) == 0)
        return bytes;
    bytes = datadir_bytes(datadir);
    _cleanup_free_ char *new = str_fmt("%llu", (unsigned long long)bytes);
    fs_write_atomic(PATH_DATADIR_SIZE, new, strlen(new), 0600, &ignored);
    return bytes;
}

/* What an operator has to know of root's refusal. */
static void note_login(json_t *db, unsigned code, const struct err *err)
{
    if (code == SQL_REFUSED || code == SQL_REFUSED_PLUGIN) {
        _cleanup_free_ char *text =
            str_fmt("root@localhost is refused (error %u): steps that write to the database fail; "
                    "type, with its password: mariadb -p -e \"ALTER USER root@localhost "
                    "IDENTIFIED VIA unix_socket\"",
                    code);

        json_object_set_new(db, "login", json_string(text));
    } else if (code == SQL_TOO_MANY) {
        json_object_set_new(db, "login",
                            json_string("all connections of the database are used (error 1040); "
                                        "raise max_connections, or end idle ones (SHOW "
                                        "PROCESSLIST)"));
    } else {
        json_object_set_new(db, "login", json_string(err->msg));
    }
}

/* A donor serves on while mariabackup copies; rsync keeps all writes waiting until it is done.
 * Which one it is, the joining node says: here it is seen only by the program that runs. */
static bool rsync_copies(void)
{
    _cleanup_closedir_ DIR *dir = opendir("/proc");
    struct dirent *e;

    while (dir && (e = readdir(dir))) {
        char path[64];
        _cleanup_free_ char *comm = NULL;
        struct err ignored;

        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        snprintf(path, sizeof(path), "/proc/%.20s/comm", e->d_name);
        if (fs_read(path, 64, &comm, NULL, &ignored) == 0 && str_starts(comm, "wsrep_sst_rsync"))
            return true;
    }
    return false;
}

json_t *galera_status(uint64_t epoch, const char *datadir)
{
    struct err err = {0};
    struct svc_state st = {0};
    unsigned root = 0;
    _cleanup_(sql_cleanup) struct sql *s = NULL;
    json_t *db = json_pack("{s:s, s:s, s:i, s:s, s:i}", "state", "Stopped", "status",
                           "Disconnected", "cluster_size", 0, "uuid", "", "seqno", -1);
    const char *status;
    int opened = sql_open_any(3, &s, &root, &err);

    if (root && root < SQL_CLIENT_ERROR)
        note_login(db, root, &err);
    if (opened == 0 && sql_exec(s, "SET SESSION wsrep_sync_wait = 0", &err) == 0 &&
        json_object_set_new(db, "status", json_string("")) == 0 &&
        sql_pairs(s, STATUS_QUERY, status_row, db, &err) == 0 &&
        *(status = js_opt_str(db, "status", ""))) {
        bool primary = strcmp(status, "Primary") == 0;

        json_object_set_new(db, "running", json_true());
        json_object_set_new(db, "answers", json_true());
        json_object_set_new(db, "pid", json_integer(sql_server(s)));
        if (str_starts(js_opt_str(db, "state", ""), "Donor") && rsync_copies())
            json_object_set_new(db, "blocked", json_true());
        if (primary) {
            look_at_row(s, epoch, db);
            look_at_members(s, db);
            look_at_weight(s, db);
            look_at_pending(s, db);
            json_object_set_new(db, "bytes", json_integer((json_int_t)datadir_size(datadir)));
        }
        return db;
    }
    if (err.msg[0] == '\0')
        err_set(&err, ERR_FAILED, "it says nothing of its cluster");
    json_object_set_new(db, "status", json_string("Disconnected"));
    struct err why;
    bool seen = svc_status(GALERA_SERVICE, &st, &why) == 0;
    bool runs = !seen || st.active || st.busy || st.main_pid;
    json_object_set_new(db, "running", json_boolean(runs));
    /* It is up and does not answer: what it is cannot be known from here. */
    if (!seen || (st.active && !st.busy)) {
        json_object_set_new(db, "state", json_string("Unknown"));
        json_object_set_new(db, "status", json_string("Unknown"));
        json_object_set_new(db, "unknown", json_string(seen ? err.msg : why.msg));
    } else if (runs) {
        json_object_set_new(db, "state", json_string("Starting"));
    }
    return db;
}

static void synced_row(void *ctx, const char *k, const char *v)
{
    char(*out)[64] = ctx;

    if (strcmp(k, "wsrep_local_state_comment") == 0)
        str_copy(out[0], 64, v);
    else if (strcmp(k, "wsrep_cluster_status") == 0)
        str_copy(out[1], 64, v);
}

enum galera_seen galera_synced(char *ret_state, size_t cap)
{
    struct err err = {0};
    unsigned root;
    char seen[2][64] = {"not reachable", ""};
    _cleanup_(sql_cleanup) struct sql *s = NULL;

    if (sql_open_any(5, &s, &root, &err) < 0 ||
        sql_pairs(s, STATUS_QUERY, synced_row, seen, &err) < 0) {
        snprintf(ret_state, cap, "%s", err.msg);
        return GALERA_UNKNOWN;
    }
    if (!seen[1][0]) {
        snprintf(ret_state, cap, "it says nothing of its cluster");
        return GALERA_UNKNOWN;
    }
    str_copy(ret_state, cap, seen[0]);
    if (strcmp(seen[1], "Primary") != 0)
        return strcmp(seen[1], "Disconnected") == 0 ? GALERA_LEFT : GALERA_NOT_PRIMARY;
    bool serves = strcmp(seen[0], "Synced") == 0 || strcmp(seen[0], "Donor/Desynced") == 0;
    return serves ? GALERA_SYNCED : GALERA_NOT_SYNCED;
}
