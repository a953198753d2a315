/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/nettest.h"

#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/js.h"

/* Of Galera's periods the shortest, in which something is sent again or said to be alive, is a
 * second: longer than a round trip, and one that is lost. */
#define LONGEST_ROUND_TRIP 300
#define COLUMNS 80
#define CELL_MAX 40
#define CORNER "from \\ to"

/* What the tutorial measured between Frankfurt and Paris, by ping and by iperf with -P 10. */
#define TUTORIAL_LATENCY 9.09
#define TUTORIAL_GBITS 2.51

static const char *const states[NETTEST_STATES] = {
    [NETTEST_NOT_ASKED] = "not asked",
    [NETTEST_MEASURED] = "measured",
    [NETTEST_NOT_REACHABLE] = "not reachable",
    [NETTEST_FAILED] = "failed",
};

static const char *const sides[NETTEST_SIDES] = {"private", "public"};

/* ---- what came ---- */

void nettest_take_latency(const json_t *answer, struct nettest_latency_cell *ret)
{
    struct err err = {0};

    *ret = (struct nettest_latency_cell){.state = NETTEST_FAILED};
    if (!js_opt_bool(answer, "ok", false)) {
        str_copy(ret->why, sizeof(ret->why), js_opt_str(answer, "why", "no answer"));
    } else if (nettest_latency_parse(json_object_get(answer, "figures"), &ret->l, &err) < 0) {
        snprintf(ret->why, sizeof(ret->why), "its figures are malformed: %.200s", err.msg);
    } else if (ret->l.received == 0) {
        snprintf(ret->why, sizeof(ret->why), "no reply to %u pings", ret->l.sent);
    } else {
        ret->state = NETTEST_MEASURED;
    }
}

void nettest_take_throughput(const json_t *answer, struct nettest_throughput_cell *ret)
{
    struct err err = {0};

    *ret = (struct nettest_throughput_cell){.state = NETTEST_FAILED};
    if (!js_opt_bool(answer, "ok", false))
        str_copy(ret->why, sizeof(ret->why), js_opt_str(answer, "why", "no answer"));
    else if (nettest_throughput_parse(json_object_get(answer, "figures"), &ret->t, &err) < 0)
        snprintf(ret->why, sizeof(ret->why), "its figures are malformed: %.200s", err.msg);
    else
        ret->state = ret->t.reachable ? NETTEST_MEASURED : NETTEST_NOT_REACHABLE;
}

bool nettest_is_complete(const struct nettest_report *r)
{
    for (size_t i = 0; i < r->n * r->n; i++)
        for (int side = 0; side < NETTEST_SIDES; side++)
            if (r->pairs[i].latency[side].state == NETTEST_FAILED ||
                r->pairs[i].throughput[side].state == NETTEST_FAILED)
                return false;
    return true;
}

/* ---- text ---- */

/* Of latencies; JSON has all digits. */
static void figure(double n, char ret[8])
{
    snprintf(ret, 8, "%.*f", n < 10 ? 2 : n < 1000 ? 1 : 0, n);
}

static const char *blank(enum nettest_state state)
{
    return state == NETTEST_FAILED ? "?" : state == NETTEST_NOT_REACHABLE ? "not reachable" : "-";
}

static void latency_cell(const struct nettest_pair *p, int side, char ret[CELL_MAX])
{
    const struct nettest_latency_cell *c = &p->latency[side];
    char min[8], avg[8], p99[8], max[8];
    int n;

    if (c->state != NETTEST_MEASURED) {
        str_copy(ret, CELL_MAX, blank(c->state));
        return;
    }
    figure(c->l.min, min);
    figure(c->l.avg, avg);
    figure(c->l.p99, p99);
    figure(c->l.max, max);
    n = snprintf(ret, CELL_MAX, "%s/%s/%s/%s", min, avg, p99, max);
    if (c->l.received < c->l.sent)
        snprintf(ret + n, CELL_MAX - (size_t)n, " %.1f%%", nettest_loss_percent(&c->l));
}

static void throughput_cell(const struct nettest_pair *p, int side, char ret[CELL_MAX])
{
    const struct nettest_throughput_cell *c = &p->throughput[side];
    double rate = c->t.bits_per_second / 1e9;

    if (c->state != NETTEST_MEASURED) {
        str_copy(ret, CELL_MAX, blank(c->state));
        return;
    }
    snprintf(ret, CELL_MAX, "%s%.*f", c->t.limited ? ">=" : "", rate < 1 ? 3 : 2, rate);
}

typedef void cell_fn(const struct nettest_pair *p, int side, char ret[CELL_MAX]);

static size_t longest_name(const struct nettest_report *r, size_t least)
{
    for (size_t i = 0; i < r->n; i++)
        least = strlen(r->names[i]) > least ? strlen(r->names[i]) : least;
    return least;
}

/* So many columns side by side as fit, then the others below. */
static void matrix(const struct nettest_report *r, int side, cell_fn *cell, struct strbuf *out)
{
    size_t first = longest_name(r, strlen(CORNER)), width = longest_name(r, 1), k;
    char text[CELL_MAX];

    for (size_t i = 0; i < r->n * r->n; i++) {
        cell(&r->pairs[i], side, text);
        width = strlen(text) > width ? strlen(text) : width;
    }
    k = first + 2 < COLUMNS ? (COLUMNS - first - 2) / (width + 2) : 0;
    k = k ? k : 1;
    for (size_t from = 0; from < r->n; from += k) {
        size_t end = from + k < r->n ? from + k : r->n;

        strbuf_addf(out, "%s  %-*s", from ? "\n" : "", (int)first, CORNER);
        for (size_t c = from; c < end; c++)
            strbuf_addf(out, "  %*s", (int)width, r->names[c]);
        strbuf_adds(out, "\n");
        for (size_t row = 0; row < r->n; row++) {
            strbuf_addf(out, "  %-*s", (int)first, r->names[row]);
            for (size_t c = from; c < end; c++) {
                cell(&r->pairs[row * r->n + c], side, text);
                strbuf_addf(out, "  %*s", (int)width, text);
            }
            strbuf_adds(out, "\n");
        }
    }
}

/* Below a matrix: why something in it is not known. */
static void reasons(const struct nettest_report *r, int side, bool latency, struct strbuf *out)
{
    for (size_t i = 0; i < r->n * r->n; i++) {
        const struct nettest_pair *p = &r->pairs[i];
        bool failed =
            (latency ? p->latency[side].state : p->throughput[side].state) == NETTEST_FAILED;

        if (failed)
            strbuf_addf(out, "  %s > %s: %s\n", r->names[i / r->n], r->names[i % r->n],
                        latency ? p->latency[side].why : p->throughput[side].why);
    }
}

/* The longest round trip that was met between two nodes, ms; 0: none is known. */
static double longest_round_trip(const struct nettest_report *r)
{
    double longest = 0;

    for (size_t i = 0; i < r->n * r->n; i++) {
        const struct nettest_latency_cell *c = &r->pairs[i].latency[NETTEST_PRIVATE];

        if (c->state == NETTEST_MEASURED && c->l.received && c->l.p99 > longest)
            longest = c->l.p99;
    }
    return longest;
}

json_t *nettest_settings(const struct nettest_report *r)
{
    double times = longest_round_trip(r) / LONGEST_ROUND_TRIP;
    static const struct {
        const char *name;
        double seconds;
    } periods[] = {{"evs.keepalive_period", 1},  {"evs.join_retrans_period", 1},
                   {"evs.suspect_timeout", 5},   {"evs.inactive_timeout", 15},
                   {"evs.install_timeout", 7.5}, {"evs.inactive_check_period", 0.5}};
    json_t *j = json_object();

    for (size_t i = 0; i < ARRAY_LEN(periods) && times > 1; i++) {
        double tenths = periods[i].seconds * times * 10 - 1e-6;
        unsigned up = (unsigned)tenths + (tenths > (unsigned)tenths);
        _cleanup_free_ char *text = str_fmt("PT%u.%uS", up / 10, up % 10);

        json_object_set_new(j, periods[i].name, json_string(text));
    }
    return j;
}

static void settings(const struct nettest_report *r, struct strbuf *out)
{
    _cleanup_json_ json_t *wanted = nettest_settings(r);
    const char *name;
    json_t *v;

    if (longest_round_trip(r) <= 0)
        return;
    if (!json_object_size(wanted)) {
        strbuf_addf(out, "\nGalera's periods do for these round trips, as up to %d ms\n",
                    LONGEST_ROUND_TRIP);
        return;
    }
    strbuf_addf(out,
                "\nGalera's periods are short for %.0f ms; write into the file:\n"
                "database:\n  settings:\n",
                longest_round_trip(r));
    json_object_foreach(wanted, name, v)
    {
        strbuf_addf(out, "    %s: %s\n", name, json_string_value(v));
    }
}

void nettest_render(const struct nettest_report *r, struct strbuf *out)
{
    strbuf_addf(out, "%s: network test, %u s each, %u stream%s\n", r->deployment, r->seconds,
                r->streams, r->streams == 1 ? "" : "s");
    for (int side = 0; side < (r->public_side ? NETTEST_SIDES : NETTEST_PUBLIC); side++) {
        strbuf_addf(out, "\n%s latency, ms: min/avg/p99/max, %% lost\n", sides[side]);
        matrix(r, side, latency_cell, out);
        reasons(r, side, true, out);
        strbuf_addf(out, "\n%s throughput, Gbit/s\n", sides[side]);
        matrix(r, side, throughput_cell, out);
        reasons(r, side, false, out);
    }
    settings(r, out);
    strbuf_addf(out, "\nthe tutorial, Frankfurt - Paris, 10 streams: %.2f ms, %.2f Gbit/s\n",
                TUTORIAL_LATENCY, TUTORIAL_GBITS);
}

/* ---- JSON ---- */

static json_t *with_state(json_t *j, enum nettest_state state, const char *why)
{
    json_object_set_new(j, "state", json_string(states[state]));
    json_object_set_new(j, "why", *why ? js_string(why) : json_null());
    return j;
}

static json_t *side_json(const struct nettest_pair *p, int side)
{
    const struct nettest_latency_cell *l = &p->latency[side];
    const struct nettest_throughput_cell *t = &p->throughput[side];

    if (l->state == NETTEST_NOT_ASKED && t->state == NETTEST_NOT_ASKED)
        return json_null();
    return json_pack(
        "{s:o, s:o}", "latency",
        with_state(l->l.sent ? nettest_latency_json(&l->l) : json_object(), l->state, l->why),
        "throughput",
        with_state(t->state == NETTEST_MEASURED ? nettest_throughput_json(&t->t) : json_object(),
                   t->state, t->why));
}

json_t *nettest_json(const struct nettest_report *r)
{
    json_t *pairs = json_array();

    for (size_t i = 0; i < r->n * r->n; i++) {
        const struct nettest_pair *p = &r->pairs[i];

        if (p->latency[NETTEST_PRIVATE].state != NETTEST_NOT_ASKED)
            json_array_append_new(pairs, json_pack("{s:s, s:s, s:o, s:o}", "from",
                                                   r->names[i / r->n], "to", r->names[i % r->n],
                                                   "private", side_json(p, NETTEST_PRIVATE),
                                                   "public", side_json(p, NETTEST_PUBLIC)));
    }
    return json_pack("{s:i, s:s, s:i, s:i, s:b, s:o, s:o, s:{s:s, s:s, s:i, s:f, s:f}}", "schema",
                     1, "deployment", r->deployment, "seconds", (int)r->seconds, "streams",
                     (int)r->streams, "complete", (int)nettest_is_complete(r), "pairs", pairs,
                     "settings", nettest_settings(r), "tutorial", "from", "Frankfurt", "to",
                     "Paris", "streams", 10, "avg_ms", TUTORIAL_LATENCY, "bits_per_second",
                     TUTORIAL_GBITS * 1e9);
}
