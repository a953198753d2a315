/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cloud/moves.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/str.h"
#include "controller/cloud/entity.h"

static const char *const names[MOVE_KINDS] = {
    [MOVE_NONE] = "none",     [MOVE_WAIT] = "none",       [MOVE_CREATE] = "create",
    [MOVE_CHANGE] = "change", [MOVE_REPLACE] = "replace", [MOVE_DESTROY] = "destroy",
    [MOVE_LEAVE] = "left",    [MOVE_REFUSE] = "refused",
};

const char *move_name(enum move_kind k)
{
    return names[k];
}

static struct move move(enum move_kind kind, const char *call, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static struct move move(enum move_kind kind, const char *call, const char *fmt, ...)
{
    struct move m = {.kind = kind, .call = call};
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(m.why, sizeof(m.why), fmt, ap);
    str_utf8(m.why); /* names are cut */
    va_end(ap);
    return m;
}

/* What the operator may allow with an option. */
static struct move needs(const char *option, struct move m)
{
    m.consent = option;
    return m;
}

static struct move none(void)
{
    return (struct move){.kind = MOVE_NONE};
}

static const char *text_of(const struct resource *it, const char *key, char ret[128])
{
    entity_text(it->entity, key, ret, 128);
    return ret;
}

/* Both are known and they differ. */
static bool differs(const char *there, const char *wanted)
{
    return there[0] && wanted[0] && !str_eq(there, wanted);
}

/* ---- networks ---- */

static struct move network_move(const struct resource *it, const struct resources *resources,
                                const struct spec *s)
{
    const struct spec_zone *zone = &s->zones[it->zone];
    const char *wanted = it->kind == RESOURCE_GATEWAY ? zone->gateway.text : zone->private.text;
    const json_t *provisioned = json_object_get(it->entity, "isprovisioned");
    char there[128];

    (void)resources;
    if (differs(text_of(it, "cidr", there), wanted))
        return move(MOVE_REFUSE, NULL,
                    "it has the addresses %s, the file says %s; a network cannot be renumbered "
                    "under its VMs: put %s back, or destroy and raise again (data disks stay)",
                    there, wanted, there);
    if (json_is_false(provisioned) || entity_is(it->entity, "isprovisioned", "false"))
        return move(MOVE_WAIT, NULL, "is being provisioned");
    return none();
}

/* ---- rules ---- */

static struct move egress_move(const struct resource *it, const struct resources *resources,
                               const struct spec *s)
{
    char there[128];

    if (differs(text_of(it, "cidrlist", there), s->zones[it->zone].gateway.text) &&
        !str_eq(there, "0.0.0.0/0"))
        return move(MOVE_REPLACE, resource_ops(resources, it->kind)->destroy, "lets out %s only",
                    there);
    return none();
}

static struct move forward_move(const struct resource *it, const struct resources *resources,
                                const struct spec *s)
{
    char vm[128], port[128], wanted[8];

    (void)s;
    snprintf(wanted, sizeof(wanted), "%u", it->port.private_port);
    if (differs(text_of(it, "virtualmachineid", vm), resource_dep_id(resources, it, RESOURCE_VM)))
        return move(MOVE_REPLACE, resource_ops(resources, it->kind)->destroy,
                    "leads to another VM");
    if (differs(text_of(it, "privateport", port), wanted))
        return move(MOVE_REPLACE, resource_ops(resources, it->kind)->destroy,
                    "leads to port %s, the file says %s", port, wanted);
    return none();
}

/* ---- disks ---- */

static struct move volume_move(const struct resource *it, const struct resources *resources,
                               const struct spec *s)
{
    const struct spec_disk *d = &s->nodes[it->node].disk;
    char there[128];
    uint64_t bytes = 0;

    (void)resources;
    text_of(it, "size", there);
    if (there[0] && str_to_u64(there, UINT64_MAX, &bytes) == 0 && bytes > d->size)
        return move(MOVE_REFUSE, NULL,
                    "it has %llu GiB, the file says %llu; a data disk is never made smaller: say "
                    "size: %lluG",
                    (unsigned long long)(bytes >> 30), (unsigned long long)(d->size >> 30),
                    (unsigned long long)(bytes >> 30));
    if (bytes && bytes < d->size)
        return move(MOVE_CHANGE, "resizeVolume", "grows from %llu to %llu GiB",
                    (unsigned long long)(bytes >> 30), (unsigned long long)(d->size >> 30));
    if (differs(text_of(it, "diskofferingname", there), d->offering))
        return move(MOVE_REFUSE, NULL,
                    "its offering is '%s', the file says '%s'; a data disk is never replaced: say "
                    "offering: %s",
                    there, d->offering, there);
    return none();
}

/* An empty disk in place of one with data is never made unasked; consent names the one that is
 * gone, so it holds once. */
static struct move lost_move(const struct resource *it, const struct spec *s)
{
    if (it->zone == RESOURCE_NO_INDEX || str_eq(s->nodes[it->node].disk.wipe, it->lost))
        return move(MOVE_CREATE, NULL, "%s", "");
    return move(MOVE_REFUSE, NULL,
                "volume %s was destroyed, and not by Muster: recoverVolume brings it back while "
                "the cloud keeps it; for an empty one say wipe: %s",
                it->lost, it->lost);
}

static struct move attach_move(const struct resource *it, const struct resources *resources,
                               const struct spec *s)
{
    char vm[128], name[128];

    (void)s;
    if (!differs(text_of(it, "virtualmachineid", vm), resource_dep_id(resources, it, RESOURCE_VM)))
        return none();
    text_of(it, "vmname", name);
    return move(MOVE_REFUSE, NULL,
                "the disk is attached to another VM (%s); detach it there, then run again",
                name[0] ? name : vm);
}

/* ---- VMs ---- */

static bool on_network(const struct resource *it, const char *network)
{
    const json_t *nics = json_object_get(it->entity, "nic");

    return !network[0] || json_array_size(nics) == 0 || entity_find(nics, "networkid", network);
}

/* Why the VM cannot become what the file says. */
static bool vm_differs(const struct resource *it, const struct resources *resources,
                       const struct spec *s, char *why, size_t cap)
{
    const struct spec_node *n = &s->nodes[it->node];
    char there[128];

    if (differs(text_of(it, "templatename", there), n->template))
        snprintf(why, cap, "its template is '%.50s', the file says '%.50s'", there, n->template);
    else if (differs(text_of(it, "serviceofferingname", there), n->offering))
        snprintf(why, cap, "its offering is '%.50s', the file says '%.50s'", there, n->offering);
    else if (!on_network(it, resource_dep_id(resources, it, RESOURCE_GATEWAY)))
        snprintf(why, cap, "it is not on the gateway network");
    else if (!on_network(it, resource_dep_id(resources, it, RESOURCE_PRIVATE)))
        snprintf(why, cap, "it is not on the private network");
    else
        return false;
    return true;
}

static struct move vm_move(const struct resource *it, const struct resources *resources,
                           const struct spec *s)
{
    const char *destroy = resource_ops(resources, it->kind)->destroy;
    const char *node = s->nodes[it->node].name;
    char why[160];

    if (entity_is(it->entity, "state", "Error"))
        return move(MOVE_REPLACE, destroy, "it ended in state Error; its data disk stays");
    if (entity_is(it->entity, "state", "Destroyed"))
        return move(MOVE_REPLACE, "expungeVirtualMachine",
                    "it was destroyed and waits to be expunged");
    if (entity_is(it->entity, "state", "Expunging"))
        return move(MOVE_WAIT, NULL, "an earlier VM of that name is being expunged");
    if (it->replace[0] && str_eq(it->replace, it->id))
        return move(MOVE_REPLACE, destroy, "--replace %s; its data disk stays", node);
    if (vm_differs(it, resources, s, why, sizeof(why)))
        return needs("--replace",
                     move(MOVE_REFUSE, NULL,
                          "%s; that needs another VM: --replace %s makes it (the data disk stays)",
                          why, node));
    if (entity_is(it->entity, "state", "Stopped"))
        return move(MOVE_CHANGE, "startVirtualMachine", "it is stopped");
    if (!entity_is(it->entity, "state", "Running"))
        return move(MOVE_WAIT, NULL, "is not running yet");
    return none();
}

/* ---- key pairs ---- */

static struct move keypair_move(const struct resource *it, const struct resources *resources,
                                const struct spec *s)
{
    char there[128];

    (void)s;
    if (it->created || !differs(text_of(it, "fingerprint", there), it->fingerprint) ||
        strlen(there) != strlen(it->fingerprint)) /* of another kind: nothing is known */
        return none();
    if (it->owned || it->adopt)
        return move(MOVE_REPLACE, resource_ops(resources, it->kind)->destroy,
                    "it holds another key");
    return needs("--adopt",
                 move(MOVE_REFUSE, NULL,
                      "there is one of that name with another key; --adopt replaces it, another "
                      "defaults.keypair.name avoids it"));
}

/* ---- all ---- */

/* What makes an resource that is there differ from the file, by its kind; NULL: nothing can. */
static struct move (*const of_kind[RESOURCE_KINDS])(const struct resource *it,
                                                    const struct resources *resources,
                                                    const struct spec *s) = {
    [RESOURCE_GATEWAY] = network_move, [RESOURCE_PRIVATE] = network_move,
    [RESOURCE_EGRESS] = egress_move,   [RESOURCE_KEYPAIR] = keypair_move,
    [RESOURCE_VOLUME] = volume_move,   [RESOURCE_VM] = vm_move,
    [RESOURCE_FORWARD] = forward_move, [RESOURCE_ATTACH] = attach_move,
};

static bool lacks_tags(const struct resource *it, const struct resources *resources)
{
    return resource_ops(resources, it->kind)->tag && !it->tagged && !it->foreign &&
           !(entity_has_tag(it->entity, TAG_DEPLOYMENT, resources->deployment) &&
             entity_has_tag(it->entity, TAG_RESOURCE, it->name));
}

static struct move wanted_move(const struct resource *it, const struct resources *resources,
                               const struct spec *s)
{
    struct move m = none();

    if (it->found == FOUND_BY_NAME && !it->foreign && !resource_is_ours(it, resources) &&
        !resource_ops(resources, it->kind)->shared)
        return needs(
            "--adopt",
            move(MOVE_REFUSE, NULL,
                 "there is one of that name that this deployment did not make; --adopt takes "
                 "it over, another deployment name avoids it"));
    if (of_kind[it->kind])
        m = of_kind[it->kind](it, resources, s);
    if (m.kind == MOVE_NONE && lacks_tags(it, resources))
        return move(MOVE_CHANGE, "createTags", "it does not carry our tags");
    return m;
}

static struct move unwanted_move(const struct resource *it, const struct resources *resources)
{
    const struct resource_ops *ops = resource_ops(resources, it->kind);

    if (it->foreign || (ops->shared && !it->owned))
        return none();
    if (!resource_is_ours(it, resources))
        return move(MOVE_LEAVE, NULL, "this deployment did not make it");
    if (it->want == WANT_LEFT)
        return move(MOVE_LEAVE, NULL, "holds data; destroy --with-data destroys it");
    if (!ops->destroy)
        return ops->stays ? move(MOVE_LEAVE, NULL, "the API cannot destroy it") : none();
    if (it->kind == RESOURCE_VM && entity_is(it->entity, "state", "Expunging"))
        return move(MOVE_WAIT, NULL, "is being expunged");
    if (it->kind == RESOURCE_VM && entity_is(it->entity, "state", "Destroyed"))
        return move(MOVE_DESTROY, "expungeVirtualMachine", "waits to be expunged");
    return move(MOVE_DESTROY, ops->destroy, "%s",
                it->zone == RESOURCE_NO_INDEX ? "it is not in the file" : "");
}

struct move resource_move(const struct resource *it, const struct resources *resources,
                          const struct spec *s)
{
    if (it->found == FOUND_NOT) {
        if (it->want != WANT_THERE)
            return none();
        if (it->foreign)
            return move(MOVE_REFUSE, NULL, "the file says that it is there, and it is not");
        if (it->lost[0])
            return lost_move(it, s);
        return resource_ops(resources, it->kind)->create
                   ? move(MOVE_CREATE, NULL, "%s", "")
                   : move(MOVE_WAIT, NULL, "comes with its network");
    }
    return it->want == WANT_THERE ? wanted_move(it, resources, s) : unwanted_move(it, resources);
}

/* ---- the plan ---- */

/* The move of a dependency of that kind, as planned. */
static bool dep_is_replaced(const struct resource *it, const struct resources *resources,
                            const struct spec *s)
{
    for (size_t d = 0; d < it->n_deps; d++) {
        const struct resource *dep = &resources->v[it->deps[d]];

        if (dep->kind == RESOURCE_VM && resource_move(dep, resources, s).kind == MOVE_REPLACE)
            return true;
    }
    return false;
}

json_t *moves_plan(const struct resources *resources, const struct spec *s)
{
    json_t *arr = json_array();

    for (size_t i = 0; i < resources->n; i++) {
        const struct resource *it = &resources->v[i];
        struct move m = resource_move(it, resources, s);
        bool of_file = it->zone != RESOURCE_NO_INDEX;

        if (m.kind == MOVE_NONE && (it->kind == RESOURCE_FORWARD || it->kind == RESOURCE_ATTACH) &&
            it->want == WANT_THERE && dep_is_replaced(it, resources, s))
            m = move(MOVE_REPLACE, NULL, "goes with the VM");
        if (it->want != WANT_THERE && it->found == FOUND_NOT)
            continue;
        if (str_eq(m.consent, "--replace"))
            m.kind = MOVE_REPLACE;
        json_array_append_new(
            arr, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "resource", it->name, "kind",
                           resource_ops(resources, it->kind)->what, "name", it->label, "node",
                           it->of_node && of_file ? s->nodes[it->node].name : "", "zone",
                           of_file ? s->zones[it->zone].name : "", "action", move_name(m.kind),
                           "reason", m.why, "needs", m.consent ? m.consent : ""));
    }
    return arr;
}
