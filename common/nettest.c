/* SPDX-License-Identifier: Apache-2.0 */
#include "common/nettest.h"

#include <math.h>
#include <stdio.h>

#include "common/js.h"
#include "common/str.h"
#include "common/text.h"

#define LATENCY_MAX 1e6  /* ms */
#define RATE_MAX 1e13    /* bits per second */
#define DURATION_MAX 1e4 /* seconds */

static const char *const names[NETTEST_WHATS] = {
    [NETTEST_PREPARE] = "prepare",
    [NETTEST_LATENCY] = "latency",
    [NETTEST_SERVE] = "serve",
    [NETTEST_THROUGHPUT] = "throughput",
};

const char *nettest_what_name(enum nettest_what what)
{
    return what < NETTEST_WHATS ? names[what] : "?";
}

static int flag(const json_t *j, const char *key, bool *ret, struct err *err)
{
    const json_t *v = json_object_get(j, key);

    if (!json_is_boolean(v))
        return err_set(err, ERR_USAGE, "member '%s': is neither true nor false", key);
    *ret = json_is_true(v);
    return 0;
}

static int count(const json_t *j, const char *key, uint64_t max, unsigned *ret, struct err *err)
{
    uint64_t n;

    if (js_u64(j, key, &n, err) < 0)
        return -1;
    if (n == 0 || n > max)
        return err_set(err, ERR_USAGE, "member '%s': from 1 to %llu", key, (unsigned long long)max);
    *ret = (unsigned)n;
    return 0;
}

int nettest_order_parse(const json_t *j, struct nettest_order *ret, struct err *err)
{
    struct nettest_order o = {0};
    const char *what, *node;
    int k = 0;

    if (js_str(j, "what", &what, err) < 0 || js_str(j, "node", &node, err) < 0)
        return -1;
    while (k < NETTEST_WHATS && !str_eq(names[k], what))
        k++;
    if (k == NETTEST_WHATS)
        return err_set(err, ERR_USAGE, "member 'what': '%.20s' is no measurement", what);
    o.what = (enum nettest_what)k;
    if (!text_is_name(node) || !str_copy(o.node, sizeof(o.node), node) ||
        (o.what == NETTEST_PREPARE) == (*node != '\0'))
        return err_set(err, ERR_USAGE, "member 'node': is no name");
    if (count(j, "seconds", NETTEST_SECONDS_MAX, &o.seconds, err) < 0 ||
        count(j, "streams", NETTEST_STREAMS_MAX, &o.streams, err) < 0 ||
        flag(j, "public", &o.public_side, err) < 0 || flag(j, "force", &o.force, err) < 0)
        return -1;
    *ret = o;
    return 0;
}

json_t *nettest_order_json(const struct nettest_order *o)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:b, s:b}", "what", nettest_what_name(o->what), "node",
                     o->node, "seconds", (int)o->seconds, "streams", (int)o->streams, "public",
                     (int)o->public_side, "force", (int)o->force);
}

double nettest_loss_percent(const struct nettest_latency *l)
{
    return l->sent ? 100.0 * (l->sent - l->received) / l->sent : 0;
}

json_t *nettest_latency_json(const struct nettest_latency *l)
{
    json_t *j = json_pack("{s:i, s:i, s:f}", "sent", (int)l->sent, "received", (int)l->received,
                          "loss_percent", nettest_loss_percent(l));

    if (l->received) {
        json_object_set_new(j, "min_ms", json_real(l->min));
        json_object_set_new(j, "avg_ms", json_real(l->avg));
        json_object_set_new(j, "p99_ms", json_real(l->p99));
        json_object_set_new(j, "max_ms", json_real(l->max));
    }
    return j;
}

json_t *nettest_throughput_json(const struct nettest_throughput *t)
{
    if (!t->reachable)
        return json_pack("{s:b}", "reachable", 0);
    return json_pack("{s:b, s:f, s:I, s:f, s:I, s:b}", "reachable", 1, "bits_per_second",
                     t->bits_per_second, "bytes", (json_int_t)t->bytes, "seconds", t->seconds,
                     "retransmits", (json_int_t)t->retransmits, "limited", (int)t->limited);
}

static int number(const json_t *j, const char *key, double max, double *ret, struct err *err)
{
    const json_t *v = json_object_get(j, key);
    double n = json_number_value(v);

    if (!json_is_number(v) || !isfinite(n) || n < 0 || n > max)
        return err_set(err, ERR_FAILED, "member '%s': is no number that can be", key);
    *ret = n;
    return 0;
}

int nettest_latency_parse(const json_t *j, struct nettest_latency *ret, struct err *err)
{
    struct nettest_latency l = {0};
    uint64_t sent, received;

    if (js_u64(j, "sent", &sent, err) < 0 || js_u64(j, "received", &received, err) < 0)
        return -1;
    if (sent == 0 || received > sent || sent > NETTEST_SECONDS_MAX * NETTEST_PINGS_PER_SECOND)
        return err_set(err, ERR_FAILED, "%llu of %llu pings cannot be",
                       (unsigned long long)received, (unsigned long long)sent);
    l.sent = (unsigned)sent;
    l.received = (unsigned)received;
    if (received && (number(j, "min_ms", LATENCY_MAX, &l.min, err) < 0 ||
                     number(j, "avg_ms", LATENCY_MAX, &l.avg, err) < 0 ||
                     number(j, "p99_ms", LATENCY_MAX, &l.p99, err) < 0 ||
                     number(j, "max_ms", LATENCY_MAX, &l.max, err) < 0))
        return -1;
    *ret = l;
    return 0;
}

int nettest_throughput_parse(const json_t *j, struct nettest_throughput *ret, struct err *err)
{
    struct nettest_throughput t = {0};

    if (flag(j, "reachable", &t.reachable, err) < 0)
        return -1;
    if (t.reachable && (number(j, "bits_per_second", RATE_MAX, &t.bits_per_second, err) < 0 ||
                        number(j, "seconds", DURATION_MAX, &t.seconds, err) < 0 ||
                        js_u64(j, "bytes", &t.bytes, err) < 0 ||
                        js_u64(j, "retransmits", &t.retransmits, err) < 0 ||
                        flag(j, "limited", &t.limited, err) < 0))
        return -1;
    *ret = t;
    return 0;
}

uint64_t nettest_stream_rate(const struct nettest_order *o)
{
    return NETTEST_BYTES_MAX * 8 / o->seconds / o->streams;
}

bool nettest_transfer(const json_t *state, char *ret, size_t cap)
{
    const json_t *db = json_object_get(state, "db");
    const char *is = js_opt_str(db, "state", "");
    const char *coordinator = js_opt_str(json_object_get(state, "coordinator"), "state", "");
    const char *why = NULL;

    if (str_eq(coordinator, "joining") || str_eq(coordinator, "join-wait") ||
        str_starts(is, "Join"))
        why = "its database joins the cluster";
    else if (str_starts(is, "Donor"))
        why = "its database gives its data to another member";
    else if (!str_eq(is, "Synced") && !str_eq(is, "Arbitrator") && !str_eq(is, "Stopped"))
        why = "the state of its database is not known";
    if (why)
        snprintf(ret, cap, "%s", why);
    return why != NULL;
}
