/* SPDX-License-Identifier: Apache-2.0 */
/* Deployments, events and states for tests of the picture. Times: seconds since T0. */
#ifndef MUSTER_TESTS_VIEW_WORLD_H
#define MUSTER_TESTS_VIEW_WORLD_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/cli/view.h"

#define T0 1769868000000ULL /* 2026-01-31 14:00:00 UTC */
#define AT(s) (T0 + (uint64_t)((s)*1000))

/* Names of nodes, in so many zones in turn. */
static inline void world_spec(const char *const *names, size_t n, size_t zones, bool database,
                              struct spec *ret)
{
    static const char *const places[] = {"Frankfurt (ESX)", "Paris (ESX)", "Hamburg (KVM)"};
    _cleanup_(strbuf_free) struct strbuf text = {0};
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    struct yaml_doc doc;
    struct err err;

    strbuf_adds(&text, "deployment: saas\ncloud: local\n"
                       "defaults: {template: Debian 12, offering: 2048-1}\nzones:\n");
    for (size_t z = 0; z < zones; z++)
        strbuf_addf(&text,
                    "  - name: %s\n    gateway: {cidr: 10.1.%zu.0/24, egress: [all]}\n"
                    "    private: {cidr: 10.10.%zu.0/24, group: Default}\n",
                    places[z], z + 1, z + 1);
    strbuf_adds(&text, "nodes:\n");
    for (size_t i = 0; i < n; i++)
        strbuf_addf(&text,
                    "  - {name: %s, zone: %s, datadisk: {size: 20G, offering: EBS Protected}}\n",
                    names[i], places[i % zones]);
    if (database)
        strbuf_adds(&text, "database: {cluster: saas, mount: /media/data, filesystem: ext4}\n");
    assert_int_equal(yaml_doc_parse("saas", text.s, text.len, &doc, &err), 0);
    if (spec_parse("saas", &doc, ret, &problems) < 0)
        fail_msg("%s", strbuf_str(&problems.text));
    yaml_doc_free(&doc);
}

/* An event of the controller when `rev` is NULL, else of the node's agent. */
static inline struct event world_event(double at, const char *node, const char *rev,
                                       enum event_kind kind, const char *id, const char *msg)
{
    static uint64_t seq;
    struct event e = {.ts = AT(at), .seq = ++seq, .origin = EVENT_OF_CONTROLLER};

    str_copy(e.node, sizeof(e.node), node);
    if (rev)
        e.origin = EVENT_OF_AGENT;
    str_copy(e.rev, sizeof(e.rev), rev ? rev : "");
    event_fill(&e, kind, id, "%s", msg);
    return e;
}

static inline void cloud(struct view *v, double at, const char *node, enum event_kind kind,
                         const char *id, const char *msg)
{
    struct event e = world_event(at, node, NULL, kind, id, msg);

    view_event(v, &e);
}

static inline void agent(struct view *v, double at, const char *node, enum event_kind kind,
                         const char *id, const char *msg)
{
    struct event e = world_event(at, node, "0123456789abcdef", kind, id, msg);

    view_event(v, &e);
}

static inline void counted(struct view *v, double at, const char *node, enum event_kind kind,
                           const char *id, struct event_count count, const char *msg)
{
    struct event e = world_event(at, node, "0123456789abcdef", kind, id, msg);

    e.count = count;
    view_event(v, &e);
}

/* A step that took so long, in seconds. */
static inline void changed(struct view *v, double at, const char *node, const char *id, double took)
{
    struct event e = world_event(at, node, "0123456789abcdef", EVENT_CHANGED, id, "done");

    e.ms = (uint64_t)(took * 1000);
    view_event(v, &e);
}

static const char *const world_steps[] = {
    "route:private", "package:all", "disk:data",   "mount:data", "datadir:mariadb",
    "galera:saas",   "web:apache",  "synced:saas", "app:album",  "agent",
};

/* Every resource of the node is there. */
static inline void world_resources(struct view *v, double at, size_t node, const char *what)
{
    static const char *const kinds[] = {"volume", "vm", "attach"};

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        _cleanup_free_ char *id = str_fmt("%s:%s", kinds[i], v->rows[node].name);

        cloud(v, at, v->rows[node].name, str_eq(what, "created") ? EVENT_CHANGED : EVENT_OK, id,
              what);
    }
}

static inline void world_networks(struct view *v, double at, const char *what)
{
    for (unsigned i = 0; i < v->cloud_total; i++)
        cloud(v, at, "", str_eq(what, "created") ? EVENT_CHANGED : EVENT_OK, "private:zone", what);
}

static inline void world_plan(struct view *v, double at, const char *node)
{
    counted(v, at, node, EVENT_PLAN, "plan", (struct event_count){EVENT_STEPS, 0, 10}, "10 steps");
}

/* The first run of a node's plan, from `at` on, in a minute; the package takes 40 s of it. */
static inline void world_first_run(struct view *v, double at, const char *node)
{
    world_plan(v, at, node);
    for (size_t i = 0; i < ARRAY_LEN(world_steps); i++) {
        double from = at + (i <= 1 ? (double)i : 38 + 2.0 * (double)i);

        agent(v, from, node, EVENT_START, world_steps[i], "differs");
        changed(v, i == 1 ? at + 41 : from + 1, node, world_steps[i], i == 1 ? 40 : 1);
    }
    agent(v, at + 60, node, EVENT_DONE, "plan", "10 changed, 0 ok");
}

static inline json_t *world_ready(unsigned members)
{
    return json_pack("{s:s, s:{s:s, s:s, s:i, s:i}, s:{s:i, s:s}, s:{s:s, s:s, s:[], s:i}}",
                     "phase", "ready", "db", "state", "Synced", "status", "Primary", "cluster_size",
                     (int)members, "epoch", 1, "web", "status", 200, "why", "", "coordinator",
                     "state", "primary", "why", "joined epoch 1", "waiting_for", "epoch", 1);
}

/* A whole first day, that ended well: all are ready. */
static inline void world_raised(struct view *v)
{
    cloud(v, 0, "", EVENT_START, "up", "raising");
    world_networks(v, 5, "created");
    for (size_t i = 0; i < v->n; i++)
        world_resources(v, 12 + (double)i, i, "created");
    for (size_t i = 0; i < v->n; i++) {
        _cleanup_json_ json_t *state = world_ready((unsigned)v->n);

        world_first_run(v, 30 + (double)i, v->rows[i].name);
        view_state(v, i, state, AT(100));
    }
    agent(v, 92, v->rows[0].name, EVENT_CLUSTER, "cluster", "primary: bootstrapped epoch 1");
    cloud(v, 101, "", EVENT_DONE, "up", "ready");
}

static const char *const three[] = {"fra", "par", "ham"};

struct scene {
    struct spec spec;
    struct view view;
};

static inline void scene_begin(struct scene *s, size_t n, bool database)
{
    *s = (struct scene){0};
    world_spec(three, n, n, database, &s->spec);
    view_init(&s->view, &s->spec);
    for (size_t i = 0; i < n; i++) {
        _cleanup_free_ char *address = str_fmt("203.0.113.%zu", 11 + i);

        view_address(&s->view, i, address);
    }
}

static inline void scene_end(struct scene *s)
{
    view_free(&s->view);
    spec_free(&s->spec);
}

static inline void tell(struct scene *s, size_t node, double at, json_t *state)
{
    view_state(&s->view, node, state, AT(at));
    json_decref(state);
}

static inline json_t *converging(const char *step)
{
    return json_pack("{s:s, s:s}", "phase", "converging", "step", step);
}

#endif
