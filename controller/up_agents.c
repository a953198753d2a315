/* SPDX-License-Identifier: Apache-2.0 */
/* The side of `up` towards the nodes: what a VM is born with, which plan its agent gets, what its
 * events and states mean for the run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/proto.h"
#include "common/sign.h"
#include "common/str.h"
#include "controller/enrolment.h"
#include "controller/internal.h"
#include "controller/nodes/layout.h"
#include "controller/nodes/roster.h"
#include "controller/nodes/secrets.h"

#define RUNS_BEFORE_FAILURE 3 /* a node's plan may fail and be tried again */
#define AWAY_MS 5000          /* the hub that runs has not heard it for long */
#define ANSWER_MS (60 * 1000) /* an agent dials every second; its machine may be starting again */

void up_show_event(struct up *u, const struct event *ev)
{
    if (u->options->progress.event)
        u->options->progress.event(u->options->progress.ctx, ev);
}

int up_user_data_text(struct up *u, size_t node, unsigned ttl_s, char **ret, struct err *err)
{
    const char *name = u->d->spec.nodes[node].name;
    _cleanup_free_ char *known_hosts = deployment_known_hosts(u->d, name);
    char secret[KEY_HEX_SIZE];
    struct enrolment_keys hex;
    struct userdata data;
    uint64_t expires;
    int rc;

    unlink(known_hosts); /* a new machine has a new key */
    if (enrolment_key(u->d->store, name, ttl_s, secret, &expires, err) < 0)
        return -1;
    data = enrolment_data(u->d, name, u->reach->host, secret, expires, &hex);
    data.package_sha256 = u->package_sha256;
    rc = userdata_text(&data, ret, err);
    keys_wipe(secret, sizeof(secret));
    if (rc == 0)
        rc = up_forget(u, node, err);
    return rc;
}

int up_user_data(void *ctx, size_t node, char **ret, struct err *err)
{
    char *text = NULL;

    if (up_user_data_text(ctx, node, ENROL_TTL_S, &text, err) < 0)
        return -1;
    *ret = base64_text(text, strlen(text));
    keys_wipe(text, strlen(text));
    free(text);
    return 0;
}

static struct planner_input planner_in(const struct up *u)
{
    return (struct planner_input){.spec = &u->d->spec,
                                  .facts = u->facts,
                                  .archive_url = u->archive_url,
                                  .archive_sha256 = u->archive.sha256,
                                  .archive_zip = u->archive.zip,
                                  .package_key = u->package_key,
                                  .certs = &u->certs,
                                  .site_cert = u->site_cert};
}

static json_t *compile_plan(struct up *u, size_t node)
{
    const struct planner_input in = planner_in(u);
    _cleanup_json_ json_t *plan = NULL;
    struct err err;

    if (!u->cloud_done || (u->d->spec.cloud == CLOUD_NONE && !up_none_known(u)) ||
        planner_compile(&in, node, &plan, &err) < 0)
        return NULL;
    return secrets_fill(u->d->store, plan, &err) < 0 ? NULL : TAKE(plan);
}

json_t *up_plan(void *ctx, size_t node)
{
    struct up *u = ctx;

    if (!u->plans[node])
        u->plans[node] = compile_plan(u, node);
    return json_incref(u->plans[node]);
}

void up_drop_plans(struct up *u)
{
    for (size_t i = 0; u->plans && i < u->d->spec.n_nodes; i++)
        json_decref(TAKE(u->plans[i]));
}

static char *roster_for(void *ctx, uint64_t epoch)
{
    struct up *u = ctx;
    const struct spec *s = &u->d->spec;
    const struct planner_input in = planner_in(u);

    if (!u->cloud_done || !s->database.present || (s->cloud == CLOUD_NONE && !up_none_known(u)))
        return NULL;
    return roster_text(u->d->store, &in, epoch);
}

static size_t node_index(const struct spec *s, const char *name)
{
    size_t i = 0;

    while (i < s->n_nodes && !str_eq(s->nodes[i].name, name))
        i++;
    return i;
}

static void on_agent_event(void *ctx, const struct event *ev, bool past)
{
    struct up *u = ctx;
    size_t i = node_index(&u->d->spec, ev->node);

    u->last_event = clock_mono_ms();
    up_show_event(u, ev);
    if (i == u->d->spec.n_nodes || ev->origin == EVENT_OF_CONTROLLER)
        return;
    u->runs[i].heard = u->last_event;
    if (ev->kind == EVENT_CHANGED && !past)
        u->runs[i].changed++;
    /* What failed while nobody looked, or before the cloud part was repaired, is history: the agent
     * tries again by itself. */
    if (past || !u->cloud_done)
        return;
    if (ev->kind == EVENT_FAILED || ev->kind == EVENT_REFUSED) {
        snprintf(u->runs[i].failure, EVENT_MSG_MAX, "%.60s: %.440s", ev->id, ev->msg);
        u->runs[i].final = ev->kind != EVENT_REFUSED       ? 0
                           : str_eq(ev->id, EVENT_ID_PLAN) ? ERR_NODE
                                                           : ERR_SAFETY;
    }
    if (ev->kind == EVENT_ABORTED)
        u->runs[i].aborted++;
    if (ev->kind == EVENT_DONE)
        u->runs[i].aborted = 0;
}

/* Why a database that is down does not start whatever is waited for; "": it may. */
static void held_of(const struct up *u, const json_t *state, char *ret, size_t cap)
{
    const char *maintenance = js_opt_str(state, "maintenance", ""),
               *why = js_opt_str(json_object_get(state, "coordinator"), "why", "");

    str_copy(ret, cap, "");
    if (!u->d->spec.database.present ||
        layout_db_serves(js_opt_str(json_object_get(state, "db"), "state", "")))
        return;
    if (*maintenance)
        snprintf(ret, cap, "in maintenance: %.160s ('muster maintenance NODE off' ends that)",
                 maintenance);
    else if (str_starts(why, "held by an operator"))
        snprintf(ret, cap, "%.240s", why);
}

static void on_agent_state(void *ctx, size_t node, const json_t *state)
{
    struct up *u = ctx;
    _cleanup_json_ json_t *plan = up_plan(u, node);

    bool looked = up_has_looked(u, state);

    u->runs[node].heard = clock_mono_ms();
    if (looked || !plan || proto_phase_of(state) != PHASE_READY)
        u->runs[node].idle = 0;
    else if (!u->runs[node].idle)
        u->runs[node].idle = u->runs[node].heard;
    u->runs[node].ready =
        plan && looked && layout_state_ready(&u->d->spec, state, js_opt_str(plan, "rev", ""));
    held_of(u, state, u->runs[node].held, sizeof(u->runs[node].held));
    if (u->options->progress.state)
        u->options->progress.state(u->options->progress.ctx, node, state);
}

static bool vm_touched(const struct up *u, size_t node)
{
    const struct resource *vm = resources_find(&u->survey->resources, RESOURCE_VM, node);

    return vm && (vm->created || vm->changed);
}

int up_expect_nodes(struct up *u, struct err *err)
{
    u->waiting_since = clock_mono_ms();
    for (size_t i = 0; i < u->d->spec.n_nodes; i++) {
        struct store_node n = {0};

        if (store_node_get(u->d->store, u->d->spec.nodes[i].name, &n, err) < 0)
            return -1;
        u->runs[i].enrolled = n.bound && !n.conflict && !vm_touched(u, i);
        if (n.conflict &&
            up_emit(u, n.name, EVENT_NOTE, "enrol",
                    "its keys are void, it gets no plan: 'muster enrol reset', or 'muster up "
                    "--replace'",
                    err) < 0)
            return -1;
    }
    return 0;
}

static bool is_silent(const struct up *u, size_t i, uint64_t now)
{
    const struct node_run *r = &u->runs[i];
    uint64_t since = r->heard > u->waiting_since ? r->heard : u->waiting_since;

    return u->cloud_done && r->enrolled && now > since &&
           now - since > (r->away ? AWAY_MS : ANSWER_MS);
}

/* Names all that do not answer, each with the age of its last message. */
static int check_silence(struct up *u, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf names = {0};
    uint64_t now = clock_mono_ms();

    for (size_t i = 0; i < u->d->spec.n_nodes; i++) {
        const char *name = u->d->spec.nodes[i].name;
        struct store_node n = {0};
        char age[CLOCK_AGE_MAX];

        if (!is_silent(u, i, now))
            continue;
        if (store_node_get(u->d->store, name, &n, err) < 0)
            return -1;
        clock_age(n.seen, clock_wall_ms(), age);
        strbuf_addf(&names, "%s%s (last heard: %s)", names.len ? ", " : "", name, age);
    }
    for (size_t i = 0; !names.len && i < u->d->spec.n_nodes; i++)
        if (u->runs[i].idle && now - u->runs[i].idle > ANSWER_MS)
            return err_set(err, ERR_TIMEOUT,
                           "%s: its agent is idle and has not compared the machine with its "
                           "plan within %d s of being asked; 'muster ssh %s journalctl -u "
                           "muster-agent' may say why (an agent of an older version does not know "
                           "the question)",
                           u->d->spec.nodes[i].name, ANSWER_MS / 1000, u->d->spec.nodes[i].name);
    if (!names.len)
        return 0;
    return err_set(err, ERR_NODE,
                   "no answer from %.300s: nothing is known of it now; does its VM run, and can it "
                   "reach port %u here? ('muster plan', 'muster ssh')",
                   strbuf_str(&names), u->d->spec.controller_port + PORT_MAIN);
}

int up_check_nodes(struct up *u, bool *ret_ready, struct err *err)
{
    *ret_ready = u->cloud_done;
    for (size_t i = 0; i < u->d->spec.n_nodes; i++) {
        struct node_run *r = &u->runs[i];
        const char *name = u->d->spec.nodes[i].name;

        if (r->aborted && r->final)
            return err_set(err, r->final, "%s: refused: %s", name, r->failure);
        if (r->aborted >= RUNS_BEFORE_FAILURE)
            return err_set(err, ERR_NODE, "%s: %s", name, r->failure);
        if (u->cloud_done && r->held[0])
            return err_set(err, ERR_NODE, "%s: its database is down; %s", name, r->held);
        *ret_ready = *ret_ready && r->ready;
    }
    return up_check_first_calls(u, err) < 0 ? -1 : check_silence(u, err);
}

struct hub_hooks up_hooks(struct up *u)
{
    return (struct hub_hooks){.ctx = u,
                              .plan = up_plan,
                              .roster = roster_for,
                              .event = on_agent_event,
                              .state = on_agent_state};
}
