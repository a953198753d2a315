/* SPDX-License-Identifier: Apache-2.0 */
/* Every request that the controller can send against CloudStack's own description. */
#include "cloud_world.h"
#include "controller/cloud/entity.h"

/* The VDC's own calls, and resizeVolume, which the file of calls does not have. */
static const struct {
    const char *call;
    const char *params[8];
} others[] = {
    {"createLocalNetwork", {"displaytext", "zonename", "cidr", "gateway"}},
    {"createPrivateDirectConnect", {"displaytext", "zonename", "cidr", "gateway", "dcgid"}},
    {"createDirectConnectGroup", {"name"}},
    {"listDirectConnectGroups", {"id"}},
    {"resizeVolume", {"id", "size"}},
};

static bool holds_type(const char *type, const char *value)
{
    if (str_eq(type, "uuid"))
        return strlen(value) == 36;
    if (str_eq(type, "integer") || str_eq(type, "long"))
        return value[0] && strspn(value, "0123456789") == strlen(value);
    if (str_eq(type, "boolean"))
        return str_eq(value, "true") || str_eq(value, "false");
    return true;
}

static void check_param(const char *call, const json_t *params, const struct pair *p)
{
    char name[64];
    const json_t *theirs;

    str_copy(name, sizeof(name), p->name);
    name[strcspn(name, "[")] = '\0'; /* tags[0].key */
    theirs = entity_find(params, "name", name);
    if (!theirs)
        fail_msg("%s: CloudStack has no parameter %s", call, p->name);
    if (!holds_type(json_string_value(json_object_get(theirs, "type")), p->value))
        fail_msg("%s: %s=%s is not a %s", call, p->name, p->value,
                 json_string_value(json_object_get(theirs, "type")));
}

static void check_request(const json_t *api, const char *call, const struct pairs *p)
{
    const json_t *real = entity_find(api, "name", call), *params;

    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (!str_eq(others[i].call, call))
            continue;
        for (size_t k = 0; k < p->n; k++) {
            bool known = false;

            for (size_t n = 0; n < 8 && others[i].params[n]; n++)
                known = known || str_eq(others[i].params[n], p->v[k].name);
            if (!known)
                fail_msg("%s: parameter %s", call, p->v[k].name);
        }
        return;
    }
    if (!real)
        fail_msg("CloudStack has no call %s", call);
    params = json_object_get(real, "params");
    for (size_t i = 0; i < p->n; i++)
        check_param(call, params, &p->v[i]);
    for (size_t i = 0; i < json_array_size(params); i++) {
        const json_t *one = json_array_get(params, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        bool there = false;

        for (size_t k = 0; k < p->n; k++)
            there = there || str_starts(p->v[k].name, name);
        if (json_is_true(json_object_get(one, "required")) && !there)
            fail_msg("%s: parameter %s is missing", call, name);
    }
}

/* The catalogue, so that create calls find their ids. */
static void offer_everything(struct world *w)
{
    static const struct {
        enum listing list;
        const char *name;
    } offers[] = {{LIST_ZONES, "Frankfurt (ESX)"},
                  {LIST_ZONES, "Paris (ESX)"},
                  {LIST_TEMPLATES, "Debian 12"},
                  {LIST_OFFERINGS, "2048-1"},
                  {LIST_DISK_OFFERINGS, "EBS Protected"},
                  {LIST_NETWORK_OFFERINGS, "DefaultIsolatedNetworkOfferingWithSourceNatService"}};

    for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
        if (!w->inv.list[offers[i].list])
            w->inv.list[offers[i].list] = json_array();
        json_array_append_new(w->inv.list[offers[i].list],
                              json_pack("{s:s,s:s}", "id", "99999999-0000-4000-8000-000000000000",
                                        "name", offers[i].name));
    }
}

static void one_pair(const json_t *api, const char *call, const char *name, const char *value)
{
    _cleanup_(pairs_free) struct pairs p = {0};

    if (name)
        pairs_add(&p, name, value);
    check_request(api, call, &p);
}

static void requests_are_cloudstacks(void **state)
{
    static const char id[] = "99999999-0000-4000-8000-000000000000";
    _cleanup_json_ json_t *file =
        json_load_file(TEST_DIR "/data/cloudstack-api-4.18.json", 0, NULL);
    const json_t *api = json_object_get(file, "api");

    (void)state;
    assert_non_null(api);
    for (size_t c = 0; c < ARRAY_LEN(clouds); c++) {
        _cleanup_(world_free) struct world w;
        struct request m;

        make_world(&w, clouds[c], false);
        offer_everything(&w);
        recognise(&w);
        m = (struct request){&w.resources, &w.spec, &w.inv, "dXNlci1kYXRh", "ssh-ed25519 AAAA"};
        for (size_t i = 0; i < w.resources.n; i++) {
            const struct resource *it = &w.resources.v[i];
            const struct resource_ops *ops = resource_ops(&w.resources, it->kind);
            _cleanup_(pairs_free) struct pairs make = {0};
            _cleanup_(pairs_free) struct pairs destroy = {0};
            _cleanup_(pairs_free) struct pairs tags = {0};
            struct err err;

            if (ops->create && !it->foreign) {
                if (ops->params(&m, it, &make, &err) != 0)
                    fail_msg("%s", err.msg);
                check_request(api, ops->create, &make);
            }
            params_destroy(it, true, &destroy);
            if (ops->destroy && it->kind != RESOURCE_ATTACH)
                check_request(api, ops->destroy, &destroy);
            if (ops->tag) {
                params_tags(&w.resources, it, &tags);
                check_request(api, "createTags", &tags);
            }
            if (it->kind == RESOURCE_VOLUME) {
                _cleanup_(pairs_free) struct pairs grow = {0};

                params_grow(&m, it, &grow);
                check_request(api, "resizeVolume", &grow);
            }
        }
        for (int l = 0; l < LISTINGS; l++) {
            const struct listing_call *lc = listing_call((enum listing)l);

            if (!w.resources.dialect->lists[l])
                continue;
            one_pair(api, lc->command, lc->param, lc->value);
            if (l < LIST_ZONES && l != LIST_KEYPAIRS && !lc->param)
                one_pair(api, lc->command, "id", id);
        }
    }
    for (size_t c = 0; c < ARRAY_LEN(clouds); c++) {
        _cleanup_(world_free) struct world w;
        _cleanup_(pairs_free) struct pairs make = {0};
        _cleanup_(pairs_free) struct pairs tags = {0};

        make_world(&w, clouds[c], false);
        params_snapshot(id, "saas-fra-20260131T101112Z-0a1b", &make);
        check_request(api, w.resources.dialect->snapshots.create, &make);
        params_snapshot_tags(&w.resources, id, "volume:fra", "before an upgrade", &tags);
        check_request(api, "createTags", &tags);
        one_pair(api, w.resources.dialect->snapshots.list, NULL, NULL);
        one_pair(api, w.resources.dialect->snapshots.destroy, "id", id);
    }
    one_pair(api, "listSSHKeyPairs", "name", "k");
    one_pair(api, "startVirtualMachine", "id", id);
    one_pair(api, "expungeVirtualMachine", "id", id);
    one_pair(api, "queryAsyncJobResult", "jobid", id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests_are_cloudstacks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
