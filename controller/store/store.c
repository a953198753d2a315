/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/db.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define SCHEMA_VERSION "3"

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS secret (name TEXT PRIMARY KEY, sealed TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS resource (name TEXT PRIMARY KEY, id TEXT NOT NULL,"
    " job TEXT NOT NULL, state TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS node (name TEXT PRIMARY KEY, enrol_pub TEXT NOT NULL,"
    " enrol_expires INTEGER NOT NULL, bound INTEGER NOT NULL, conflict INTEGER NOT NULL,"
    " curve_pub TEXT NOT NULL, seal_pub TEXT NOT NULL, incarnation INTEGER NOT NULL,"
    " sent_rev TEXT NOT NULL, seen INTEGER NOT NULL, state TEXT, facts TEXT);"
    "CREATE TABLE IF NOT EXISTS event (n INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL,"
    " node TEXT NOT NULL, origin TEXT NOT NULL, incarnation INTEGER NOT NULL, rev TEXT NOT NULL,"
    " seq INTEGER NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, ms INTEGER NOT NULL,"
    " unit TEXT NOT NULL, done INTEGER NOT NULL, total INTEGER NOT NULL,"
    " changed INTEGER NOT NULL, ok INTEGER NOT NULL, msg TEXT NOT NULL,"
    " UNIQUE (origin, node, incarnation, rev, seq));";

struct store {
    struct db *db;
    uint8_t seal_key[KEY_SIZE];
};

static int open_db(struct store *s, const char *path, bool create, struct err *err)
{
    if (db_open(path, create, 10000, &s->db, err) < 0)
        return -1;
    if (!create)
        return 0;
    if (chmod(path, 0600) < 0)
        return err_errno(err, errno, "%s", path);
    return db_exec(s->db, schema, err);
}

static int check_version(struct store *s, bool create, struct err *err)
{
    _cleanup_free_ char *v = NULL;

    if (store_get(s, "schema", &v, err) < 0)
        return -1;
    if (!v && create)
        return store_set(s, "schema", SCHEMA_VERSION, err);
    if (!v || !str_eq(v, SCHEMA_VERSION))
        return err_set(err, ERR_FAILED,
                       "state database: written by another version of muster (schema %.8s, "
                       "this one has " SCHEMA_VERSION
                       "); go on with that version, or type its 'muster destroy' before "
                       "this one's 'muster up'",
                       v ? v : "unknown");
    return 0;
}

static int count(struct store *s, const char *what, uint64_t *ret, struct err *err)
{
    _cleanup_query_ struct db_query *st = db_query(s->db, err, what, "");

    if (db_step(st, "state database", err) != 1)
        return -1;
    *ret = (uint64_t)db_int(st, 0);
    return 0;
}

/* What is sealed can be opened with its own key only. */
static int may_make_key(struct store *s, const char *path, struct err *err)
{
    uint64_t secrets = 0;

    if (fs_exists(path))
        return 0;
    if (count(s, "SELECT count(*) FROM secret", &secrets, err) < 0)
        return -1;
    if (!secrets)
        return 0;
    return err_set(
        err, ERR_SAFETY,
        "%s is missing, and %llu passwords and keys are sealed with it: nothing was made "
        "in its place. Restore it from a copy",
        path, (unsigned long long)secrets);
}

int store_open(const char *dir, bool create, struct store **ret, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/muster.db", dir);
    _cleanup_free_ char *key_path = str_fmt("%s/store.key", dir);
    struct store *s = xcalloc(1, sizeof(*s));
    struct curve_pair key;

    if (open_db(s, path, create, err) < 0 || check_version(s, create, err) < 0 ||
        may_make_key(s, key_path, err) < 0 || keys_curve_load_or_new(key_path, &key, err) < 0) {
        store_close(s);
        return -1;
    }
    memcpy(s->seal_key, key.sec, KEY_SIZE);
    keys_wipe(&key, sizeof(key));
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    db_close(s->db);
    keys_wipe(s->seal_key, sizeof(s->seal_key));
    free(s);
}

int store_begin(struct store *s, struct err *err)
{
    return db_exec(s->db, "BEGIN IMMEDIATE", err);
}

int store_commit(struct store *s, struct err *err)
{
    if (db_exec(s->db, "COMMIT", err) == 0)
        return 0;
    store_rollback(s);
    return -1;
}

void store_rollback(struct store *s)
{
    db_rollback(s->db);
}

int store_get(struct store *s, const char *key, char **ret, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "SELECT value FROM meta WHERE key=?", "s", key);
    int rc = db_step(st, key, err);

    if (rc < 0)
        return -1;
    *ret = rc ? xstrdup(db_text(st, 0)) : NULL;
    return 0;
}

int store_set(struct store *s, const char *key, const char *value, struct err *err)
{
    _cleanup_query_ struct db_query *st = db_query(
        s->db, err,
        "INSERT INTO meta VALUES (?,?) ON CONFLICT (key) DO UPDATE SET value=excluded.value", "ss",
        key, value);

    return db_run(st, key, err);
}

int store_secret_get(struct store *s, const char *name, char ret[STORE_SECRET_SIZE],
                     struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "SELECT sealed FROM secret WHERE name=?", "s", name);
    int rc = db_step(st, name, err);

    if (rc == 1 && keys_unseal(s->seal_key, db_text(st, 0), ret, STORE_SECRET_SIZE) < 0)
        return err_set(err, ERR_FAILED,
                       "secret '%s' cannot be unsealed: store.key is not the one that it was "
                       "sealed with; restore that file",
                       name);
    return rc;
}

int store_secret_set(struct store *s, const char *name, const char *value, struct err *err)
{
    char sealed[KEYS_SEALED_HEX_SIZE(KEYS_SEALED_MAX)];

    if (strlen(value) > KEYS_SEALED_MAX)
        return err_set(err, ERR_FAILED, "secret '%s' is longer than %d bytes", name,
                       KEYS_SEALED_MAX);
    keys_seal(s->seal_key, value, sealed, sizeof(sealed));
    _cleanup_query_ struct db_query *st = db_query(
        s->db, err,
        "INSERT INTO secret VALUES (?,?) ON CONFLICT (name) DO UPDATE SET sealed=excluded.sealed",
        "ss", name, sealed);
    return db_run(st, name, err);
}

int store_secret(struct store *s, const char *name, size_t chars, char ret[STORE_SECRET_SIZE],
                 struct err *err)
{
    int r = store_secret_get(s, name, ret, err);

    if (r != 0)
        return r < 0 ? -1 : 0;
    keys_token(ret, chars);
    return store_secret_set(s, name, ret, err);
}

int store_resources(struct store *s, store_resource_fn fn, void *ctx, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "SELECT name, id, job, state FROM resource ORDER BY name", "");
    int rc;

    while ((rc = db_step(st, "resources", err)) == 1) {
        struct store_resource r = {0};

        str_copy(r.name, sizeof(r.name), db_text(st, 0));
        str_copy(r.id, sizeof(r.id), db_text(st, 1));
        str_copy(r.job, sizeof(r.job), db_text(st, 2));
        str_copy(r.state, sizeof(r.state), db_text(st, 3));
        fn(ctx, &r);
    }
    return rc;
}

int store_resource_put(struct store *s, const struct store_resource *r, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "INSERT OR REPLACE INTO resource VALUES (?,?,?,?)", "ssss", r->name,
                 r->id, r->job, r->state);

    return db_run(st, r->name, err);
}

int store_resource_delete(struct store *s, const char *name, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "DELETE FROM resource WHERE name=?", "s", name);

    return db_run(st, name, err);
}

int store_node_get(struct store *s, const char *name, struct store_node *ret, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err,
                 "SELECT enrol_pub, enrol_expires, bound, conflict, curve_pub, seal_pub,"
                 " incarnation, sent_rev, seen FROM node WHERE name=?",
                 "s", name);
    int rc = db_step(st, name, err);

    if (rc <= 0)
        return rc;
    *ret = (struct store_node){0};
    str_copy(ret->name, sizeof(ret->name), name);
    if (keys_unhex(db_text(st, 0), ret->enrol_pub, KEY_SIZE) < 0)
        return err_set(err, ERR_FAILED, "state database: node %s: malformed key", name);
    ret->enrol_expires = (uint64_t)db_int(st, 1);
    ret->bound = db_int(st, 2);
    ret->conflict = db_int(st, 3);
    str_copy(ret->curve_pub, sizeof(ret->curve_pub), db_text(st, 4));
    str_copy(ret->seal_pub, sizeof(ret->seal_pub), db_text(st, 5));
    ret->incarnation = (uint64_t)db_int(st, 6);
    str_copy(ret->sent_rev, sizeof(ret->sent_rev), db_text(st, 7));
    ret->seen = (uint64_t)db_int(st, 8);
    return 1;
}

int store_node_put(struct store *s, const struct store_node *n, struct err *err)
{
    _cleanup_query_ struct db_query *st = NULL;
    char hex[KEY_HEX_SIZE];

    keys_hex(n->enrol_pub, KEY_SIZE, hex);
    st = db_query(s->db, err,
                  "INSERT INTO node VALUES (?,?,?,?,?,?,?,?,?,?,NULL,NULL) ON CONFLICT (name) DO "
                  "UPDATE SET enrol_pub=excluded.enrol_pub, enrol_expires=excluded.enrol_expires,"
                  " bound=excluded.bound, conflict=excluded.conflict, curve_pub=excluded.curve_pub,"
                  " seal_pub=excluded.seal_pub, incarnation=excluded.incarnation,"
                  " sent_rev=excluded.sent_rev, seen=excluded.seen",
                  "ssiiissisi", n->name, hex, DB_INT(n->enrol_expires), DB_INT(n->bound),
                  DB_INT(n->conflict), n->curve_pub, n->seal_pub, DB_INT(n->incarnation),
                  n->sent_rev, DB_INT(n->seen));
    return db_run(st, n->name, err);
}

int store_node_revoke(struct store *s, const char *name, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err,
                 "UPDATE node SET bound=0, conflict=1, curve_pub='', seal_pub='', enrol_expires=0,"
                 " sent_rev='' WHERE name=?",
                 "s", name);

    return db_run(st, name, err);
}

int store_nodes_bound(struct store *s, uint64_t *ret, struct err *err)
{
    return count(s, "SELECT count(*) FROM node WHERE bound", ret, err);
}

int store_node_delete(struct store *s, const char *name, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "DELETE FROM node WHERE name=?", "s", name);

    return db_run(st, name, err);
}

int store_incarnation_next(struct store *s, const char *name, uint64_t *ret, struct err *err)
{
    _cleanup_free_ char *key = str_fmt("incarnation:%s", name);
    _cleanup_free_ char *text = NULL;
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err,
                 "SELECT max(coalesce((SELECT value+0 FROM meta WHERE key=?),0),"
                 " coalesce((SELECT incarnation FROM node WHERE name=?),0),"
                 " coalesce((SELECT max(incarnation) FROM event WHERE node=?),0))",
                 "sss", key, name, name);

    if (db_step(st, key, err) != 1)
        return -1;
    *ret = (uint64_t)db_int(st, 0) + 1;
    text = str_fmt("%llu", (unsigned long long)*ret);
    return store_set(s, key, text, err);
}

int store_node_bind(struct store *s, const char *name, const char *curve_hex, const char *seal_hex,
                    uint64_t now, struct err *err)
{
    _cleanup_query_ struct db_query *swap =
        db_query(s->db, err,
                 "UPDATE node SET bound=1, curve_pub=?, seal_pub=? WHERE name=? AND conflict=0 AND"
                 " ((bound=0 AND enrol_expires>?) OR (curve_pub=? AND seal_pub=?))",
                 "sssiss", curve_hex, seal_hex, name, DB_INT(now), curve_hex, seal_hex);
    _cleanup_query_ struct db_query *freeze = NULL;

    if (db_run(swap, name, err) < 0)
        return -1;
    if (db_changes(s->db) == 1)
        return 1;
    freeze = db_query(s->db, err,
                      "UPDATE node SET conflict=1 WHERE name=? AND bound=1 AND enrol_expires>?",
                      "si", name, DB_INT(now));
    return db_run(freeze, name, err);
}

int store_node_set_state(struct store *s, const char *name, const char *state, uint64_t seen,
                         struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "UPDATE node SET state=?, seen=? WHERE name=?", "sis", state,
                 DB_INT(seen), name);

    return db_run(st, name, err);
}

int store_node_set_rev(struct store *s, const char *name, const char *sent_rev, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "UPDATE node SET sent_rev=? WHERE name=?", "ss", sent_rev, name);

    return db_run(st, name, err);
}

int store_node_set_facts(struct store *s, const char *name, const char *facts, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "UPDATE node SET facts=? WHERE name=?", "ss", facts, name);

    return db_run(st, name, err);
}

int store_node_report(struct store *s, const char *name, json_t **ret_state, json_t **ret_facts,
                      struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "SELECT state, facts FROM node WHERE name=?", "s", name);
    int rc = db_step(st, name, err);
    struct err ignored;

    *ret_state = *ret_facts = NULL;
    if (rc <= 0)
        return rc;
    if (*db_text(st, 0))
        js_parse(db_text(st, 0), strlen(db_text(st, 0)), ret_state, &ignored);
    if (*db_text(st, 1))
        js_parse(db_text(st, 1), strlen(db_text(st, 1)), ret_facts, &ignored);
    return 0;
}

int store_event_add(struct store *s, const struct event *ev, uint64_t incarnation, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err,
                 "INSERT OR IGNORE INTO event (ts, node, origin, incarnation, rev, seq, id, kind,"
                 " ms, unit, done, total, changed, ok, msg)"
                 " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                 "issisissisiiiis", DB_INT(ev->ts), ev->node, event_origin_name(ev->origin),
                 DB_INT(incarnation), ev->rev, DB_INT(ev->seq), ev->id, event_kind_name(ev->kind),
                 DB_INT(ev->ms), event_unit_name(ev->count.unit), DB_INT(ev->count.done),
                 DB_INT(ev->count.total), DB_INT(ev->changed), DB_INT(ev->ok), ev->msg);

    return db_run(st, "event", err) < 0 ? -1 : db_changes(s->db);
}

uint64_t store_event_last(struct store *s, const char *node, uint64_t incarnation)
{
    struct err ignored;
    _cleanup_query_ struct db_query *st =
        db_query(s->db, &ignored,
                 "SELECT max(seq) FROM event WHERE origin='agent' AND node=? AND incarnation=?",
                 "si", node, DB_INT(incarnation));

    return db_step(st, "event", &ignored) == 1 ? (uint64_t)db_int(st, 0) : 0;
}

int store_event_own(struct store *s, struct event *ev, struct err *err)
{
    _cleanup_query_ struct db_query *st = db_query(
        s->db, err,
        "INSERT INTO event (ts, node, origin, incarnation, rev, seq, id, kind, ms, unit, done,"
        " total, changed, ok, msg) SELECT ?,?,?,0,?,"
        " (SELECT coalesce(max(seq),0)+1 FROM event WHERE origin='controller'),"
        " ?,?,?,?,?,?,?,?,? RETURNING seq",
        "isssssisiiiis", DB_INT(ev->ts), ev->node, event_origin_name(ev->origin), ev->rev, ev->id,
        event_kind_name(ev->kind), DB_INT(ev->ms), event_unit_name(ev->count.unit),
        DB_INT(ev->count.done), DB_INT(ev->count.total), DB_INT(ev->changed), DB_INT(ev->ok),
        ev->msg);

    if (db_step(st, "event", err) != 1)
        return -1;
    ev->seq = (uint64_t)db_int(st, 0);
    return db_step(st, "event", err) < 0 ? -1 : 0;
}

int store_event_end(struct store *s, uint64_t *ret, struct err *err)
{
    _cleanup_query_ struct db_query *st =
        db_query(s->db, err, "SELECT coalesce(max(n),0) FROM event", "");

    if (db_step(st, "event", err) != 1)
        return -1;
    *ret = (uint64_t)db_int(st, 0);
    return 0;
}

/* A parameter of each condition says whether it counts. */
#define WHERE " WHERE n>? AND ts>=? AND (?='' OR node=?) AND (?='' OR kind=?)"

int store_event_tail(struct store *s, const struct event_filter *f, unsigned n, uint64_t *ret,
                     struct err *err)
{
    const char *node = f->node ? f->node : "", *kind = f->kind ? f->kind : "";
    _cleanup_query_ struct db_query *st = db_query(
        s->db, err,
        "SELECT coalesce((SELECT n FROM event" WHERE " ORDER BY n DESC LIMIT 1 OFFSET ?),0)",
        "iissssi", DB_INT(0), DB_INT(f->since), node, node, kind, kind, DB_INT(n));

    if (db_step(st, "event", err) != 1)
        return -1;
    *ret = (uint64_t)db_int(st, 0);
    return 0;
}

#define OF_WHOM " FROM event WHERE origin=? AND (?='' OR node=?)"

int store_events_prune(struct store *s, const char *node, uint64_t keep, struct err *err)
{
    const char *origin = event_origin_name(node ? EVENT_OF_AGENT : EVENT_OF_CONTROLLER);
    const char *of = node ? node : "";
    _cleanup_query_ struct db_query *st = db_query(
        s->db, err,
        "DELETE" OF_WHOM " AND n <= (SELECT n" OF_WHOM " ORDER BY n DESC LIMIT 1 OFFSET ?)"
        " AND n NOT IN (SELECT n FROM (SELECT n, max(seq)" OF_WHOM " GROUP BY node, incarnation))",
        "ssssssisss", origin, of, of, origin, of, of, DB_INT(keep), origin, of, of);

    return db_run(st, "event", err);
}

int store_events(struct store *s, uint64_t *after, store_event_fn fn, void *ctx, struct err *err)
{
    return store_events_where(s, &(struct event_filter){0}, after, fn, ctx, err);
}

int store_events_where(struct store *s, const struct event_filter *f, uint64_t *after,
                       store_event_fn fn, void *ctx, struct err *err)
{
    const char *node = f->node ? f->node : "", *kind = f->kind ? f->kind : "";
    _cleanup_query_ struct db_query *st = db_query(
        s->db, err,
        "SELECT n, ts, node, rev, seq, id, kind, ms, msg, origin, unit, done, total, changed,"
        " ok FROM event" WHERE " ORDER BY n LIMIT ?",
        "iissssi", DB_INT(*after), DB_INT(f->since), node, node, kind, kind,
        f->max ? DB_INT(f->max) : DB_INT(-1));
    int rc;

    while ((rc = db_step(st, "events", err)) == 1) {
        struct event ev = {.ts = (uint64_t)db_int(st, 1),
                           .kind = EVENT_NOTE,
                           .seq = (uint64_t)db_int(st, 4),
                           .ms = (uint64_t)db_int(st, 7),
                           .count.done = (uint64_t)db_int(st, 11),
                           .count.total = (uint64_t)db_int(st, 12),
                           .changed = (unsigned)db_int(st, 13),
                           .ok = (unsigned)db_int(st, 14)};

        str_copy(ev.node, sizeof(ev.node), db_text(st, 2));
        str_copy(ev.rev, sizeof(ev.rev), db_text(st, 3));
        str_copy(ev.id, sizeof(ev.id), db_text(st, 5));
        event_kind_find(db_text(st, 6), &ev.kind);
        str_copy(ev.msg, sizeof(ev.msg), db_text(st, 8));
        event_origin_find(db_text(st, 9), &ev.origin);
        event_unit_find(db_text(st, 10), &ev.count.unit);
        *after = (uint64_t)db_int(st, 0);
        fn(ctx, &ev);
    }
    return rc;
}
