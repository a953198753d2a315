/* SPDX-License-Identifier: Apache-2.0 */
/* A VM that runs and whose agent does not call: user-data was never read, or the VM cannot reach
 * this machine. Nobody but the controller can notice that. */
#include <stdio.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ports.h"
#include "common/str.h"
#include "controller/internal.h"

#define FIRST_CALL_MS (5 * 60 * 1000) /* a VM boots and installs its agent within this */
#define NO_CALL_MS (15 * 60 * 1000)   /* nobody helped: up gives up waiting for it */
#define EVENT_ID_FIRST_CALL "first-call"

/* The caller frees. */
static char *describe(const struct up *u, size_t i, const struct store_node *n)
{
    const struct resource *vm = resources_find(&u->survey->resources, RESOURCE_VM, i);
    const char *name = u->d->spec.nodes[i].name;
    uint64_t now = (uint64_t)time(NULL);
    char key[80];

    if (n->bound)
        str_copy(key, sizeof(key), "is of no use any more: it enrolled before");
    else if (n->enrol_expires <= now)
        str_copy(key, sizeof(key), "has expired");
    else
        snprintf(key, sizeof(key), "holds for another %llu min, also after a restart of the VM",
                 (unsigned long long)(n->enrol_expires - now) / 60);
    return str_fmt(
        "its VM runs and its agent has not called for %llu min: as a rule the VM never read its "
        "user-data (the metadata server did not answer, or cloud-init of the template does not "
        "look for this cloud), or cannot reach port %u here. See the cloud's console of %s, "
        "or 'muster ssh %s cloud-init status --long'. Its one-time key %s; 'muster up "
        "--replace "
        "%s' makes another VM",
        (unsigned long long)(clock_mono_ms() - u->waiting_since) / 60000,
        u->d->spec.controller_port + PORT_ENROL, vm ? vm->label : name, name, key, name);
}

int up_check_first_calls(struct up *u, struct err *err)
{
    uint64_t now = clock_mono_ms(), waited = now - u->waiting_since;
    bool give_up = waited > NO_CALL_MS;
    size_t last = u->d->spec.n_nodes;

    if (u->d->spec.cloud == CLOUD_NONE)
        return up_none_wait(u, err);
    if (!u->cloud_done || waited < FIRST_CALL_MS)
        return 0;
    for (size_t i = 0; i < u->d->spec.n_nodes; i++) {
        struct node_run *r = &u->runs[i];
        bool silent = !r->enrolled && !r->heard; /* who had enrolled is looked after elsewhere */
        struct store_node n = {0};

        give_up = give_up && (silent || r->ready);
        if (silent)
            last = i;
        if (!silent || r->told_no_call)
            continue;
        r->told_no_call = true;
        if (store_node_get(u->d->store, u->d->spec.nodes[i].name, &n, err) < 0)
            return -1;
        _cleanup_free_ char *msg = describe(u, i, &n);
        if (up_emit(u, u->d->spec.nodes[i].name, EVENT_FAILED, EVENT_ID_FIRST_CALL, msg, err) < 0)
            return -1;
    }
    if (!give_up || last == u->d->spec.n_nodes)
        return 0;
    struct store_node n = {0};
    const char *name = u->d->spec.nodes[last].name;
    if (store_node_get(u->d->store, name, &n, err) < 0)
        return -1;
    _cleanup_free_ char *msg = describe(u, last, &n);
    return err_set(err, ERR_TIMEOUT, "%s: %s", name, msg);
}
