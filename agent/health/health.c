/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/health/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/proto.h"

static void reason(struct health *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void reason(struct health *h, const char *fmt, ...)
{
    va_list ap;

    if (h->n_reasons == HEALTH_REASONS)
        return;
    va_start(ap, fmt);
    vsnprintf(h->reasons[h->n_reasons++], sizeof(h->reasons[0]), fmt, ap);
    va_end(ap);
}

/* The worse of two: what is known to fail outweighs what is not known. */
static enum health_value both(enum health_value a, enum health_value b)
{
    if (a == HEALTH_NO || b == HEALTH_NO)
        return HEALTH_NO;
    return a == HEALTH_YES && b == HEALTH_YES ? HEALTH_YES : HEALTH_UNKNOWN;
}

static enum health_value judge_database(struct health *h, const json_t *db)
{
    const char *state = js_opt_str(db, "state", ""), *status = js_opt_str(db, "status", "");
    const char *unknown = js_opt_str(db, "unknown", "");

    if (*unknown) {
        reason(h, "unknown: the database could not be asked: %.200s", unknown);
        return HEALTH_UNKNOWN;
    }
    if (js_opt_bool(db, "blocked", false)) {
        reason(h, "the database copies its data to another member by rsync; writes wait");
        return HEALTH_NO;
    }
    /* A donor serves meanwhile: its copy is made beside the work (docs/galera.md). */
    if (strcmp(status, "Primary") == 0 &&
        (strcmp(state, "Synced") == 0 || strcmp(state, "Donor/Desynced") == 0))
        return HEALTH_YES;
    reason(h, "the database is %.40s (%.40s)", *state ? state : "in no known state",
           *status ? status : "no status");
    return HEALTH_NO;
}

static enum health_value judge_web(struct health *h, const json_t *web)
{
    const char *why = js_opt_str(web, "why", "");

    if (!json_is_object(web)) {
        reason(h, "unknown: the agent has not looked at the web server yet");
        return HEALTH_UNKNOWN;
    }
    if (!*why)
        return HEALTH_YES;
    reason(h, "%.250s", why);
    return HEALTH_NO;
}

static enum health_value judge_state(struct health *h, const json_t *state)
{
    const json_t *db = json_object_get(state, "db"), *web = json_object_get(state, "web");
    enum proto_phase phase = proto_phase_of(state);
    enum health_value web_value = HEALTH_YES;

    const char *maintenance = js_opt_str(state, "maintenance", "");

    if (strcmp(js_opt_str(db, "state", ""), "Arbitrator") == 0)
        db = NULL; /* it runs, and has nothing to read or to write */
    h->has_database = db != NULL;
    h->database = db ? judge_database(h, db) : HEALTH_YES;
    if (web)
        web_value = judge_web(h, web);
    h->site = web && web_value == HEALTH_YES;
    /* Services that run while a run of the plan is at work are as good as ever; a node that has
     * none has only its plan to be ready with. */
    if (!db && !web && phase != PHASE_READY) {
        reason(h, "its plan is not carried out (%s)", proto_phase_name(phase));
        return HEALTH_NO;
    }
    if (*maintenance) {
        reason(h, "maintenance: %.200s", maintenance);
        return HEALTH_NO;
    }
    return both(h->database, web_value);
}

void health_judge(struct health *h, const json_t *state, uint64_t age_ms)
{
    const char *drain = js_opt_str(state, "drain", "");

    h->n_reasons = 0;
    h->drain = *drain;
    if (h->drain)
        reason(h, "drain: %.200s", drain);
    h->has_database = h->site = false;
    if (!state) {
        reason(h, "unknown: the agent has not looked yet");
        h->database = h->ready = HEALTH_UNKNOWN;
    } else if (age_ms > HEALTH_STALE_MS) {
        reason(h, "unknown: the agent's last look was %llu s ago",
               (unsigned long long)age_ms / 1000);
        h->has_database = json_object_get(state, "db") != NULL;
        h->database = h->ready = HEALTH_UNKNOWN;
    } else {
        h->ready = judge_state(h, state);
    }
    if (h->ready != HEALTH_UNKNOWN)
        h->traffic = h->ready == HEALTH_YES;
    else if (h->site)
        h->traffic = true;
}

static json_t *value_json(enum health_value v)
{
    return v == HEALTH_UNKNOWN ? json_null() : json_boolean(v == HEALTH_YES);
}

static void add_json(const struct health *h, const struct health_source *s, struct strbuf *body)
{
    json_t *reasons = json_array();

    for (unsigned i = 0; i < h->n_reasons; i++)
        js_push_str(reasons, h->reasons[i]);
    _cleanup_json_ json_t *j = json_pack(
        "{s:s, s:b, s:o, s:o, s:o, s:s, s:O*}", "node", s->node, "traffic", h->traffic && !h->drain,
        "ready", value_json(h->ready), "read_write",
        h->has_database ? value_json(h->database) : json_false(), "reasons", reasons, "phase",
        proto_phase_name(proto_phase_of(s->state)), "db", json_object_get(s->state, "db"));
    if (s->state)
        json_object_set_new(j, "age_ms", json_integer((json_int_t)s->age_ms));
    char *text = js_text(j);

    strbuf_addf(body, "%s\n", text);
    free(text);
}

/* --- metrics: the text format of Prometheus, version 0.0.4 --------------------------------------
 */

static void metric(struct strbuf *b, const char *name, const char *help, double value)
{
    strbuf_addf(b, "# HELP %s %s\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, value);
}

/* What is not known is not there: a monitor sees that it is absent. */
static void metric_known(struct strbuf *b, const char *name, const char *help, enum health_value v)
{
    if (v != HEALTH_UNKNOWN)
        metric(b, name, help, v == HEALTH_YES);
}

static void metric_member(struct strbuf *b, const char *name, const char *help, const json_t *of,
                          const char *member)
{
    const json_t *v = json_object_get(of, member);

    if (json_is_integer(v) && json_integer_value(v) >= 0)
        metric(b, name, help, (double)json_integer_value(v));
}

static void add_share_metrics(const json_t *share, struct strbuf *b)
{
    const json_t *peers = json_object_get(share, "peers"), *p;
    size_t i, connected = 0;

    if (!share)
        return;
    metric(b, "muster_share_held", "Deletes wait for an operator's consent.",
           *js_opt_str(share, "held", "") != '\0');
    metric(b, "muster_share_failing", "Something keeps shared files from being the same.",
           *js_opt_str(share, "why", "") != '\0');
    metric_member(b, "muster_share_files", "Shared files on this node.", share, "files");
    metric_member(b, "muster_share_needs", "Files that are to come to this node, or to go.", share,
                  "needs");
    metric_member(b, "muster_share_conflicts", "Files that were changed in two places.", share,
                  "conflicts");
    json_array_foreach(peers, i, p) connected += js_opt_bool(p, "connected", false);
    if (peers)
        metric(b, "muster_share_peers_connected", "Other nodes that files go to and come from.",
               (double)connected);
}

/* Times are seconds since 1970, as Prometheus has them. */
static void metric_time(struct strbuf *b, const char *name, const char *help, const json_t *of)
{
    uint64_t at = js_opt_u64(of, "at", 0);

    if (at)
        metric(b, name, help, (double)at / 1000);
}

static void add_backup_metrics(const json_t *backup, struct strbuf *b)
{
    const json_t *made = json_object_get(backup, "made");

    if (!backup)
        return;
    metric_time(b, "muster_backup_made_seconds", "When this node made its last backup.", made);
    metric_member(b, "muster_backup_bytes", "Size of this node's last backup.", made, "bytes");
    metric_member(b, "muster_backup_duration_ms", "How long the last backup took.", made,
                  "took_ms");
    metric_time(b, "muster_backup_verified_seconds",
                "When a backup was last restored on this node to verify it.",
                json_object_get(backup, "verified"));
    metric(b, "muster_backup_failing", "The last one of this node failed.",
           json_object_get(backup, "failed") != NULL);
}

static void add_metrics(const struct health *h, const struct health_source *s, struct strbuf *b)
{
    const json_t *db = json_object_get(s->state, "db");
    bool fresh = s->state && s->age_ms <= HEALTH_STALE_MS;

    metric(b, "muster_agent_up", "The agent answers.", 1);
    metric(b, "muster_traffic", "This node should get traffic.", h->traffic && !h->drain);
    metric(b, "muster_drain", "An operator: it finishes what it has and gets nothing new.",
           h->drain);
    metric_known(b, "muster_ready", "All that the plan has on this node works.", h->ready);
    if (h->has_database)
        metric_known(b, "muster_database_primary",
                     "The database takes part in a Primary component.", h->database);
    if (!s->state)
        return;
    metric(b, "muster_state_age_seconds", "Age of the agent's last look.",
           (double)s->age_ms / 1000);
    if (!fresh)
        return;
    metric(b, "muster_steps_drifted", "Steps of the plan that differ from the machine.",
           (double)json_array_size(json_object_get(s->state, "drift")));
    metric_member(b, "muster_web_status", "HTTP status of the site; 0: it does not answer.",
                  json_object_get(s->state, "web"), "status");
    if (!*js_opt_str(db, "unknown", "")) {
        metric_member(b, "muster_database_cluster_size",
                      "Members of the component that this database is in.", db, "cluster_size");
        metric_member(b, "muster_database_seqno", "Last write set that was committed.", db,
                      "seqno");
    }
    add_share_metrics(json_object_get(s->state, "share"), b);
    add_backup_metrics(json_object_get(s->state, "backup"), b);
    metric_member(b, "muster_cluster_epoch", "Epoch of the cluster, as its coordinator has it.",
                  json_object_get(s->state, "coordinator"), "epoch");
}

int health_answer(const struct health *h, const struct health_source *s, const char *path,
                  const char **ret_type, struct strbuf *body)
{
    bool good = false, drain = false;

    *ret_type = "application/json";
    if (strcmp(path, "/metrics") == 0) {
        *ret_type = "text/plain; version=0.0.4";
        add_metrics(h, s, body);
        return 200;
    }
    if (strcmp(path, "/") == 0) {
        good = h->traffic;
        drain = h->drain;
    } else if (strcmp(path, "/live") == 0) {
        good = true;
    } else if (strcmp(path, "/ready") == 0) {
        good = h->ready == HEALTH_YES;
        drain = h->drain;
    } else if (strcmp(path, "/read-write") == 0) {
        good = h->has_database && h->database == HEALTH_YES;
    } else {
        strbuf_adds(body, "{\"error\":\"there are /, /live, /ready, /read-write, /metrics\"}\n");
        return 404;
    }
    add_json(h, s, body);
    return !good ? 503 : drain ? 404 : 200;
}

void health_check_line(const struct health *h, struct strbuf *ret)
{
    if (h->traffic && h->drain)
        strbuf_adds(ret, "drain\n");
    else if (h->traffic)
        strbuf_adds(ret, "up ready\n");
    else
        strbuf_addf(ret, "down#%s\n", h->n_reasons ? h->reasons[0] : "unknown");
}
