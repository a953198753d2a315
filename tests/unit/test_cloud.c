/* SPDX-License-Identifier: Apache-2.0 */
/* The rules about cloud resources: what is recognised, what is done next, and with which calls.
 * Worlds are made as two generations of servers list them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"
#include "controller/cloud.h"
#include "controller/moves.h"

struct world {
    struct spec spec;
    struct items items;
    struct inventory inv;
    bool old; /* numeric ids, ports as texts */
};

static void load(struct world *w, const char *cloud)
{
    _cleanup_(spec_problems_free) struct spec_problems problems = {0};
    _cleanup_free_ char *text = NULL;
    _cleanup_(strbuf_free) struct strbuf changed = {0};
    struct yaml_doc doc;
    struct err err;
    char *at;

    assert_int_equal(fs_read(TEST_DIR "/../docs/examples/saas.yaml", 65536, &text, NULL, &err), 0);
    at = strstr(text, "cloud: local");
    assert_non_null(at);
    strbuf_add(&changed, text, (size_t)(at - text));
    strbuf_adds(&changed, cloud);
    strbuf_adds(&changed, at + strlen("cloud: local"));
    if (strstr(cloud, "cloudstack")) /* it has no groups: the private networks are there */
        for (char *p; (p = strstr(changed.s, "group: Default"));)
            memcpy(p, "network: backb", 14);
    assert_int_equal(yaml_doc_parse("saas", changed.s, changed.len, &doc, &err), 0);
    if (spec_parse("saas", &doc, &w->spec, &problems) != 0)
        fail_msg("%s", strbuf_str(&problems.text));
    yaml_doc_free(&doc);
    items_build(&w->spec, &w->items);
}

static void world_free(struct world *w)
{
    items_free(&w->items);
    inventory_free(&w->inv);
    spec_free(&w->spec);
}

static char *id_of(const struct world *w, const struct item *it)
{
    size_t n = it ? (size_t)(it - w->items.v) + 1 : 0;

    return w->old ? str_fmt("%zu", 1000 + n) : str_fmt("00000000-0000-4000-8000-%012zu", n);
}

static void set_text(json_t *e, const char *key, const char *value)
{
    json_object_set_new(e, key, json_string(value));
}

static void set_id(const struct world *w, json_t *e, const char *key, const struct item *it)
{
    _cleanup_free_ char *id = id_of(w, it);

    json_object_set_new(e, key, w->old ? json_integer(atoll(id)) : json_string(id));
}

static void set_number(const struct world *w, json_t *e, const char *key, long long n)
{
    _cleanup_free_ char *text = str_fmt("%lld", n);

    json_object_set_new(e, key, w->old ? json_string(text) : json_integer(n));
}

static void set_parts(const struct world *w, const struct item *it, json_t *e)
{
    const struct spec_zone *zone = &w->spec.zones[it->zone];
    const struct item *gateway = items_find(&w->items, ITEM_GATEWAY, it->zone);
    const struct item *address = items_find(&w->items, ITEM_ADDRESS, it->zone);
    json_t *nics = json_array();

    switch (it->kind) {
    case ITEM_GATEWAY:
    case ITEM_PRIVATE:
        set_text(e, w->old ? "displaytext" : "name", it->label);
        set_text(e, "cidr", it->kind == ITEM_GATEWAY ? zone->gateway.text : zone->private.text);
        json_object_set_new(e, "isprovisioned", w->old ? json_string("true") : json_true());
        break;
    case ITEM_EGRESS:
        set_id(w, e, "networkid", gateway);
        set_text(e, "protocol", "all");
        set_text(e, "cidrlist", zone->gateway.text);
        break;
    case ITEM_ADDRESS:
        set_id(w, e, "associatednetworkid", gateway);
        set_text(e, "ipaddress", "198.51.100.10");
        break;
    case ITEM_VOLUME:
        json_object_set_new(e, "size", json_integer(200LL << 30));
        set_text(e, "diskofferingname", "EBS Protected");
        set_id(w, e, "virtualmachineid", items_find(&w->items, ITEM_VM, it->node));
        break;
    case ITEM_VM:
        set_text(e, "state", "Running");
        set_text(e, "templatename", "Debian 12");
        set_text(e, "serviceofferingname", "2048-1");
        for (int i = 0; i < 2; i++) {
            json_t *nic = json_object();

            set_id(w, nic, "networkid",
                   i ? items_find(&w->items, ITEM_PRIVATE, it->zone) : gateway);
            json_array_append_new(nics, nic);
        }
        json_object_set(e, "nic", nics);
        break;
    case ITEM_FORWARD:
        set_id(w, e, "ipaddressid", address);
        set_id(w, e, "virtualmachineid", items_find(&w->items, ITEM_VM, it->node));
        set_number(w, e, "publicport", it->port.public_port);
        set_number(w, e, "privateport", it->port.private_port);
        set_text(e, "protocol", "tcp");
        break;
    case ITEM_OPENING:
        set_id(w, e, "ipaddressid", address);
        set_number(w, e, "startport", it->port.public_port);
        set_number(w, e, "endport", it->port.public_port);
        set_text(e, "protocol", "tcp");
        break;
    default:
        break;
    }
    json_decref(nics);
}

/* Everything as `up` leaves it. */
static void make_world(struct world *w, const char *cloud, bool old)
{
    *w = (struct world){.old = old};
    load(w, cloud);
    for (size_t l = 0; l < LIST_ZONES; l++)
        w->inv.list[l] = json_array();
    for (size_t i = 0; i < w->items.n; i++) {
        struct item *it = &w->items.v[i];
        json_t *e = json_object();

        it->owned = true;
        if (it->kind == ITEM_ATTACH) {
            json_decref(e);
            continue;
        }
        set_id(w, e, "id", it);
        set_text(e, "name", it->label);
        if (it->zone != ITEM_NO_INDEX) {
            set_text(e, "zonename", w->spec.zones[it->zone].name);
            set_parts(w, it, e);
        }
        if (item_ops(&w->items, it->kind)->tag)
            json_object_set_new(e, "tags",
                                json_pack("[{s:s,s:s},{s:s,s:s}]", "key", TAG_DEPLOYMENT, "value",
                                          "saas", "key", TAG_RESOURCE, "value", it->name));
        json_array_append_new(w->inv.list[item_ops(&w->items, it->kind)->list], e);
    }
}

static json_t *entity(struct world *w, const char *name)
{
    struct item *it = items_named(&w->items, name);
    _cleanup_free_ char *id = NULL;

    assert_non_null(it);
    id = id_of(w, it);
    return (json_t *)entity_find(w->inv.list[item_ops(&w->items, it->kind)->list], "id", id);
}

static void drop(struct world *w, const char *name)
{
    struct item *it = items_named(&w->items, name);
    json_t *list = w->inv.list[item_ops(&w->items, it->kind)->list], *e = entity(w, name);

    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_array_get(list, i) == e) {
            json_array_remove(list, i);
            return;
        }
    fail_msg("%s is not there", name);
}

static void recognise(struct world *w)
{
    struct err err = {0};

    for (size_t i = 0; i < w->items.n; i++)
        if (item_recognise(&w->items.v[i], &w->items, &w->spec, &w->inv, "", &err) != 0)
            fail_msg("%s", err.msg);
    items_add_found(&w->items, &w->inv);
}

static const char *clouds[] = {
    "cloud: local",
    "cloud: {cloudstack: {profile: prod}}\ncontroller: {address: 203.0.113.7}",
};

static void as_raised_nothing_is_to_be_done(void **state)
{
    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(clouds); c++)
        for (int old = 0; old < 2; old++) {
            _cleanup_(world_free) struct world w;

            make_world(&w, clouds[c], old);
            recognise(&w);
            for (size_t i = 0; i < w.items.n; i++) {
                struct move m = item_move(&w.items.v[i], &w.items, &w.spec);

                if (m.kind != MOVE_NONE)
                    fail_msg("%s: %s: %s", w.items.v[i].name, move_name(m.kind), m.why);
            }
        }
}

static void from_nothing_everything_is_created(void **state)
{
    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(clouds); c++) {
        _cleanup_(world_free) struct world w = {0};

        load(&w, clouds[c]);
        for (size_t l = 0; l < LIST_ZONES; l++)
            w.inv.list[l] = json_array();
        recognise(&w);
        for (size_t i = 0; i < w.items.n; i++) {
            const struct item *it = &w.items.v[i];
            struct move m = item_move(it, &w.items, &w.spec);

            if (it->foreign)
                assert_int_equal(m.kind, MOVE_REFUSE);
            else
                assert_int_equal(m.kind,
                                 item_ops(&w.items, it->kind)->create ? MOVE_CREATE : MOVE_WAIT);
        }
    }
}

/* One thing differs; what is done about it. */
static void what_differs_is_judged(void **state)
{
    static const struct {
        const char *item, *member, *value; /* JSON; NULL: the entity is not there */
        enum move_kind kind;
        const char *call, *why;
    } cases[] = {
        {"forward:fra/80", NULL, NULL, MOVE_CREATE, NULL, ""},
        {"opening:fra/80", NULL, NULL, MOVE_CREATE, NULL, ""},
        {"egress:paris-esx", NULL, NULL, MOVE_CREATE, NULL, ""},
        {"volume:fra", NULL, NULL, MOVE_CREATE, NULL, ""},
        {"forward:fra/80", "privateport", "8080", MOVE_REPLACE, "deletePortForwardingRule", "8080"},
        {"forward:fra/80", "virtualmachineid", "\"other\"", MOVE_REPLACE,
         "deletePortForwardingRule", "another VM"},
        {"egress:paris-esx", "cidrlist", "\"10.9.0.0/16\"", MOVE_REPLACE,
         "deleteEgressFirewallRule", "10.9.0.0/16"},
        {"gateway:paris-esx", "cidr", "\"10.9.0.0/16\"", MOVE_REFUSE, NULL, "10.9.0.0/16"},
        {"private:paris-esx", "isprovisioned", "false", MOVE_WAIT, NULL, "provisioned"},
        {"private:paris-esx", "isprovisioned", "\"false\"", MOVE_WAIT, NULL, "provisioned"},
        {"volume:fra", "size", "107374182400", MOVE_CHANGE, "resizeVolume", "from 100 to 200"},
        {"volume:fra", "size", "\"107374182400\"", MOVE_CHANGE, "resizeVolume", "from 100 to 200"},
        {"volume:fra", "size", "429496729600", MOVE_REFUSE, NULL, "never made smaller"},
        {"volume:fra", "diskofferingname", "\"Gold\"", MOVE_REFUSE, NULL, "never replaced"},
        {"volume:fra", "tags", "[]", MOVE_CHANGE, "createTags", "tags"},
        {"vm:par", "state", "\"Stopped\"", MOVE_CHANGE, "startVirtualMachine", "stopped"},
        {"vm:par", "state", "\"Starting\"", MOVE_WAIT, NULL, ""},
        {"vm:par", "state", "\"Error\"", MOVE_REPLACE, "destroyVirtualMachine", "Error"},
        {"vm:par", "templatename", "\"Debian 11\"", MOVE_REFUSE, NULL, "--replace par"},
        {"vm:par", "serviceofferingname", "\"512-1\"", MOVE_REFUSE, NULL, "--replace par"},
        {"vm:par", "nic", "[{\"networkid\":\"x\"}]", MOVE_REFUSE, NULL, "gateway network"},
        {"attach:fra", "virtualmachineid", "\"other\"", MOVE_REFUSE, NULL, "another VM"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_(world_free) struct world w;
        bool attach = str_starts(cases[i].item, "attach:");
        json_t *e;
        struct move m;

        make_world(&w, clouds[0], false);
        e = entity(&w, attach ? "volume:fra" : cases[i].item);
        assert_non_null(e);
        if (cases[i].member)
            json_object_set_new(e, cases[i].member,
                                json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        else
            drop(&w, cases[i].item);
        recognise(&w);
        m = item_move(items_named(&w.items, cases[i].item), &w.items, &w.spec);
        if (m.kind != cases[i].kind ||
            !str_eq(m.call ? m.call : "", cases[i].call ? cases[i].call : "") ||
            !strstr(m.why, cases[i].why))
            fail_msg("%s %s=%s: %s %s: %s", cases[i].item, cases[i].member, cases[i].value,
                     move_name(m.kind), m.call ? m.call : "-", m.why);
    }
}

static void a_detached_disk_is_attached_again(void **state)
{
    _cleanup_(world_free) struct world w;

    (void)state;
    make_world(&w, clouds[0], false);
    json_object_del(entity(&w, "volume:fra"), "virtualmachineid");
    recognise(&w);
    assert_int_equal(item_move(items_named(&w.items, "attach:fra"), &w.items, &w.spec).kind,
                     MOVE_CREATE);
    assert_int_equal(item_move(items_named(&w.items, "attach:par"), &w.items, &w.spec).kind,
                     MOVE_NONE);
}

static void consent_is_asked_for(void **state)
{
    _cleanup_(world_free) struct world w;
    struct item *vm, *volume;

    (void)state;
    make_world(&w, clouds[0], false);
    json_object_set_new(entity(&w, "vm:par"), "templatename", json_string("Debian 11"));
    recognise(&w);
    vm = items_named(&w.items, "vm:par");
    volume = items_named(&w.items, "volume:par");
    str_copy(vm->replace, sizeof(vm->replace), vm->id);
    assert_int_equal(item_move(vm, &w.items, &w.spec).kind, MOVE_REPLACE);
    assert_int_equal(item_move(volume, &w.items, &w.spec).kind, MOVE_NONE);
    /* found by its name only */
    volume->owned = false;
    json_object_set_new(entity(&w, "volume:par"), "tags", json_array());
    recognise(&w);
    assert_int_equal(volume->found, FOUND_BY_NAME);
    assert_int_equal(item_move(volume, &w.items, &w.spec).kind, MOVE_REFUSE);
    volume->adopt = true;
    assert_int_equal(item_move(volume, &w.items, &w.spec).kind, MOVE_CHANGE);
    volume->adopt = false;
    volume->want = WANT_GONE;
    assert_int_equal(item_move(volume, &w.items, &w.spec).kind, MOVE_LEAVE);
}

static void what_the_file_does_not_have_goes(void **state)
{
    _cleanup_(world_free) struct world w;
    _cleanup_json_ json_t *plan = NULL;
    const json_t *e;
    struct item *it;

    (void)state;
    make_world(&w, clouds[0], false);
    /* a rule on our address, a VM and a volume with our tags, and somebody else's things */
    json_t *rule = json_deep_copy(entity(&w, "forward:fra/80"));
    json_object_set_new(rule, "id", json_string("extra"));
    json_object_set_new(rule, "publicport", json_integer(8443));
    json_object_del(rule, "tags");
    json_array_append_new(w.inv.list[LIST_FORWARDS], rule);
    json_array_append_new(
        w.inv.list[LIST_FORWARDS],
        json_pack("{s:s,s:s,s:i}", "id", "theirs", "ipaddressid", "theirs", "publicport", 80));
    static const char *const old[] = {"vm:ber", "volume:ber"};
    for (size_t i = 0; i < ARRAY_LEN(old); i++)
        json_array_append_new(w.inv.list[i ? LIST_VOLUMES : LIST_VMS],
                              json_pack("{s:s,s:s,s:s,s:[{s:s,s:s},{s:s,s:s}]}", "id",
                                        i ? "v9" : "m9", "name", "saas-ber", "state", "Running",
                                        "tags", "key", TAG_DEPLOYMENT, "value", "saas", "key",
                                        TAG_RESOURCE, "value", old[i]));
    recognise(&w);
    plan = moves_plan(&w.items, &w.spec);
    e = entity_find(plan, "resource", "forward:extra");
    assert_true(entity_is(e, "action", "destroy"));
    e = entity_find(plan, "resource", "vm:ber");
    assert_true(entity_is(e, "action", "destroy"));
    e = entity_find(plan, "resource", "volume:ber");
    assert_true(entity_is(e, "action", "left"));
    assert_null(entity_find(plan, "resource", "forward:theirs"));
    /* what the journal knows and the file does not */
    it = items_add_gone(&w.items, "keypair:old", "old");
    assert_non_null(it);
    assert_null(items_add_gone(&w.items, "keypair:old", "old"));
    assert_null(items_add_gone(&w.items, "nonsense", "old"));
    assert_null(items_add_gone(&w.items, "thing:old", "old"));
}

static void twins_are_told(void **state)
{
    _cleanup_(world_free) struct world w;
    struct err err = {0};
    struct item *it;
    json_t *twin;

    (void)state;
    make_world(&w, clouds[0], false);
    it = items_named(&w.items, "volume:fra");
    twin = json_deep_copy(entity(&w, "volume:fra"));
    json_object_set_new(twin, "id", json_string("twin"));
    json_object_set_new(twin, "tags", json_array());
    json_array_append_new(w.inv.list[LIST_VOLUMES], twin);
    assert_int_equal(item_recognise(it, &w.items, &w.spec, &w.inv, "", &err), 0);
    assert_int_equal(it->found, FOUND_BY_TAG); /* the other one is somebody else's */
    json_object_set_new(entity(&w, "volume:fra"), "tags", json_array());
    assert_int_equal(item_recognise(it, &w.items, &w.spec, &w.inv, "", &err), -1);
    assert_non_null(strstr(err.msg, "twice"));
    assert_int_equal(item_recognise(it, &w.items, &w.spec, &w.inv, "twin", &err), 0);
    assert_string_equal(it->id, "twin");
}

static void answers_of_create_calls(void **state)
{
    static const struct {
        const char *text, *id; /* NULL: an error */
    } cases[] = {
        {"{\"id\":\"a\",\"jobid\":\"j\"}", "a"},
        {"{\"id\":7,\"jobid\":8}", "7"},
        {"{\"network\":{\"id\":\"a\",\"name\":\"n\"}}", "a"},
        {"{\"localnetwork\":[{\"id\":\"a\"}]}", "a"},
        {"{\"privatedirectconnect\":[{\"id\":\"a\"}],\"count\":1}", "a"},
        {"{\"jobid\":\"j\"}", NULL},
        {"{\"localnetwork\":[]}", NULL},
        {"{}", NULL},
    };
    _cleanup_(world_free) struct world w = {0};
    struct item *it;

    (void)state;
    load(&w, clouds[0]);
    it = items_named(&w.items, "gateway:paris-esx");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *j = json_loads(cases[i].text, 0, NULL);
        struct err err;

        it->id[0] = '\0';
        assert_int_equal(item_take_answer(it, &w.items, j, &err), cases[i].id ? 0 : -1);
        if (cases[i].id)
            assert_string_equal(it->id, cases[i].id);
    }
}

static void jobs_of_all_servers(void **state)
{
    static const struct {
        const char *text;
        int rc;
        const char *why;
    } cases[] = {
        {"{\"jobstatus\":0}", 0, ""},
        {"{\"jobstatus\":\"0\",\"jobprocstatus\":0}", 0, ""},
        {"{\"jobstatus\":1}", 1, ""},
        {"{\"jobstatus\":\"1\",\"jobresult\":{\"success\":\"true\"}}", 1, ""},
        {"{\"jobstatus\":1,\"jobresult\":{\"virtualmachine\":{\"id\":7}}}", 1, ""},
        {"{\"jobstatus\":1,\"jobresult\":{\"success\":\"false\"}}", -1, "job"},
        {"{\"jobstatus\":2,\"cmd\":\"a.b.DeployVMCmd\",\"jobresult\":{\"errorcode\":533,"
         "\"errortext\":\"no room\"}}",
         -1, "DeployVMCmd: the cloud answered 533: no room"},
        {"{\"jobstatus\":2}", -1, "530"},
        {"{}", -1, "530"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *j = json_loads(cases[i].text, 0, NULL);
        struct cloud_failure why;
        const json_t *result;

        assert_int_equal(cloud_parse_job(j, &result, &why), cases[i].rc);
        assert_non_null(strstr(why.err.msg, cases[i].why));
    }
}

static void lists_of_all_servers(void **state)
{
    static const struct {
        const char *text;
        int n; /* -1: no list */
    } cases[] = {
        {"{}", -1},
        {"{\"count\":0,\"network\":[]}", 0},
        {"{\"network\":[{},{}]}", 2},
        {"{\"count\":1,\"networks\":[{}]}", 1},
        {"{\"network\":7}", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *j = json_loads(cases[i].text, 0, NULL);
        const json_t *arr = cloud_parse_list(j, "network");

        assert_int_equal(arr ? (int)json_array_size(arr) : -1, cases[i].n);
    }
}

/* ---- every request against CloudStack's own description ---- */

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
        struct making m;

        make_world(&w, clouds[c], false);
        offer_everything(&w);
        recognise(&w);
        m = (struct making){&w.items, &w.spec, &w.inv, "dXNlci1kYXRh", "ssh-ed25519 AAAA"};
        for (size_t i = 0; i < w.items.n; i++) {
            const struct item *it = &w.items.v[i];
            const struct item_ops *ops = item_ops(&w.items, it->kind);
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
            if (ops->destroy && it->kind != ITEM_ATTACH)
                check_request(api, ops->destroy, &destroy);
            if (ops->tag) {
                params_tags(&w.items, it, &tags);
                check_request(api, "createTags", &tags);
            }
            if (it->kind == ITEM_VOLUME) {
                _cleanup_(pairs_free) struct pairs grow = {0};

                params_grow(&m, it, &grow);
                check_request(api, "resizeVolume", &grow);
            }
        }
        for (int l = 0; l < LISTINGS; l++) {
            const struct listing_call *lc = listing_call((enum listing)l);

            if (!w.items.dialect->lists[l])
                continue;
            one_pair(api, lc->command, lc->param, lc->value);
            if (l < LIST_ZONES && l != LIST_KEYPAIRS && !lc->param)
                one_pair(api, lc->command, "id", id);
        }
    }
    one_pair(api, "listSSHKeyPairs", "name", "k");
    one_pair(api, "startVirtualMachine", "id", id);
    one_pair(api, "expungeVirtualMachine", "id", id);
    one_pair(api, "queryAsyncJobResult", "jobid", id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_raised_nothing_is_to_be_done),
        cmocka_unit_test(from_nothing_everything_is_created),
        cmocka_unit_test(what_differs_is_judged),
        cmocka_unit_test(a_detached_disk_is_attached_again),
        cmocka_unit_test(consent_is_asked_for),
        cmocka_unit_test(what_the_file_does_not_have_goes),
        cmocka_unit_test(twins_are_told),
        cmocka_unit_test(answers_of_create_calls),
        cmocka_unit_test(jobs_of_all_servers),
        cmocka_unit_test(lists_of_all_servers),
        cmocka_unit_test(requests_are_cloudstacks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
