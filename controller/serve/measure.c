/* SPDX-License-Identifier: Apache-2.0 */
/* A measurement of the network: who takes part is asked, and the client gets the figures. */
#include <stdio.h>

#include "common/clock.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/serve/internal.h"

#define WHY_MAX 512

/* `cause`: "" when the measurement itself failed. */
static void tell(struct client *c, bool ok, const char *cause, const char *why,
                 const json_t *figures)
{
    json_t *j = json_pack("{s:b, s:s, s:o}", "ok", (int)ok, "cause", cause, "why", js_string(why));

    json_object_set(j, "figures", ok && figures ? (json_t *)figures : json_null());
    chan_send(&c->chan, json_pack("{s:o}", "measured", j));
}

static void end(struct service *s, bool ok, const char *cause, const char *why,
                const json_t *figures)
{
    tell(s->measure.client, ok, cause, why, figures);
    s->measure = (struct measure){0};
}

static bool find(const struct service *s, const char *name, size_t *ret)
{
    for (size_t i = 0; i < s->config.spec->n_nodes; i++) {
        *ret = i;
        if (str_eq(s->config.spec->nodes[i].name, name))
            return true;
    }
    return false;
}

/* Whether a state transfer is under way anywhere, or may be. */
static bool transfers(const struct service *s, char ret[WHY_MAX])
{
    const struct spec *spec = s->config.spec;
    char why[128];

    for (size_t i = 0; spec->database.present && i < spec->n_nodes; i++) {
        const char *name = spec->nodes[i].name;

        if (!service_hears(s, i)) {
            snprintf(ret, WHY_MAX, "no answer from %s: what its database does is not known", name);
            return true;
        }
        if (nettest_transfer(s->states[i], why, sizeof(why))) {
            snprintf(ret, WHY_MAX, "%s: %s", name, why);
            return true;
        }
    }
    return false;
}

static uint64_t give(struct service *s, size_t node, enum nettest_what what, size_t other,
                     const struct nettest_order *o)
{
    struct nettest_order part = *o;

    part.what = what;
    if (what != NETTEST_PREPARE)
        str_copy(part.node, sizeof(part.node), s->config.spec->nodes[other].name);
    return service_hears(s, node) ? hub_measure(s->hub, node, &part) : 0;
}

void measure_begin(struct service *s, struct client *c, const struct request *r)
{
    const struct nettest_order *o = &r->order;
    struct measure m = {.client = c};
    char why[WHY_MAX];

    if (s->measure.client) {
        tell(c, false, "locked", "another network test is under way", NULL);
        return;
    }
    if (!s->config.spec->database.present) {
        tell(c, false, "usage",
             "without a database the nodes have no roster that says who is measured", NULL);
        return;
    }
    if (!find(s, r->node, &m.from) || (*o->node && !find(s, o->node, &m.to)) ||
        (*o->node && m.from == m.to)) {
        tell(c, false, "usage", "these are no two nodes of the deployment", NULL);
        return;
    }
    if (!o->force && transfers(s, why)) {
        tell(c, false, "safety", why, NULL);
        return;
    }
    if (o->what == NETTEST_THROUGHPUT)
        m.serve_id = give(s, m.to, NETTEST_SERVE, m.from, o);
    if (o->what != NETTEST_THROUGHPUT || m.serve_id)
        m.id = give(s, m.from, o->what, m.to, o);
    if (!m.id) {
        const size_t silent = o->what == NETTEST_THROUGHPUT && !m.serve_id ? m.to : m.from;

        snprintf(why, sizeof(why), "no answer from %s", s->config.spec->nodes[silent].name);
        tell(c, false, "silent", why, NULL);
        return;
    }
    m.until = clock_mono_ms() +
              UINT64_C(1000) *
                  (o->what == NETTEST_PREPARE ? NETTEST_PREPARE_S : o->seconds + NETTEST_HUB_S);
    s->measure = m;
}

/* What a client is told of a side that did not serve: the other one knows only that it could not
 * connect. */
static void end_failed(struct service *s, const char *why)
{
    const struct spec *spec = s->config.spec;
    char both[WHY_MAX];

    if (s->measure.serve_why[0])
        snprintf(both, sizeof(both), "%s: %s", spec->nodes[s->measure.to].name,
                 s->measure.serve_why);
    else
        snprintf(both, sizeof(both), "%s: %s", spec->nodes[s->measure.from].name, why);
    end(s, false, "", both, NULL);
}

void measure_said(struct service *s, size_t node, const json_t *said)
{
    struct measure *m = &s->measure;
    uint64_t id = js_opt_u64(said, "id", 0);
    bool ok = js_opt_bool(said, "ok", false);
    const char *why = js_opt_str(said, "why", "it did not say why");

    if (!m->client || !id)
        return; /* of a measurement that nobody waits for any more */
    if (node == m->to && id == m->serve_id) {
        str_copy(m->serve_why, sizeof(m->serve_why), ok ? "" : why);
        return;
    }
    if (node != m->from || id != m->id)
        return;
    if (ok)
        end(s, true, "", "", json_object_get(said, "figures"));
    else
        end_failed(s, why);
}

void measure_late(struct service *s)
{
    char why[WHY_MAX];

    if (!s->measure.client || clock_mono_ms() < s->measure.until)
        return;
    snprintf(why, sizeof(why), "no answer from %s", s->config.spec->nodes[s->measure.from].name);
    end(s, false, "silent", why, NULL);
}

void measure_drop(struct service *s, const struct client *c)
{
    if (s->measure.client == c)
        s->measure = (struct measure){0};
}
