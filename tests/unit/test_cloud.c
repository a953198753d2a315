/* SPDX-License-Identifier: Apache-2.0 */
/* The rules about cloud resources: what is recognised and what is done next. */
#include "cloud_world.h"
#include "controller/cloud/snapshots.h"
#include "controller/cloud/survey.h"

static json_t *entity(struct world *w, const char *name)
{
    struct resource *it = resources_named(&w->resources, name);
    _cleanup_free_ char *id = NULL;

    assert_non_null(it);
    id = id_of(w, it);
    return (json_t *)entity_find(w->inv.list[resource_ops(&w->resources, it->kind)->list], "id",
                                 id);
}

static void drop(struct world *w, const char *name)
{
    struct resource *it = resources_named(&w->resources, name);
    json_t *list = w->inv.list[resource_ops(&w->resources, it->kind)->list], *e = entity(w, name);

    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_array_get(list, i) == e) {
            json_array_remove(list, i);
            return;
        }
    fail_msg("%s is not there", name);
}

/* What it is and what is to be done about it; recognised by what the journal says. */
static struct move journaled(struct world *w, const char *name, const char *known_id)
{
    struct resource *it = resources_named(&w->resources, name);
    struct err err = {0};

    it->settled = true;
    if (resource_recognise(it, &w->resources, &w->spec, &w->inv, known_id, &err) != 0)
        fail_msg("%s", err.msg);
    return resource_move(it, &w->resources, &w->spec);
}

/* Destroyed volumes are listed for days. */
static void a_destroyed_volume_is_no_volume(void **state)
{
    (void)state;
    static const char *const states[] = {"Destroy", "Destroyed", "Expunging", "Expunged"};

    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        for (int old = 0; old < 2; old++) {
            _cleanup_(world_free) struct world w;
            const char *name = "volume:fra";
            json_t *gone;

            make_world(&w, clouds[0], old);
            struct resource *it = resources_named(&w.resources, name);
            _cleanup_free_ char *id = id_of(&w, it);
            json_t *list = w.inv.list[LIST_VOLUMES];

            /* in front of the one that is used, with its name and tags */
            gone = json_deep_copy(entity(&w, name));
            set_text(gone, "id", "99999");
            set_text(gone, "state", states[i]);
            json_object_del(gone, "virtualmachineid");
            json_array_insert_new(list, 0, gone);
            recognise(&w);
            assert_int_equal(journaled(&w, name, id).kind, MOVE_NONE);
            assert_string_equal(it->id, id);
            assert_int_equal(it->found, FOUND_BY_ID);
            size_t n = w.resources.n;
            resources_add_found(&w.resources, &w.inv);
            assert_int_equal(w.resources.n, n);

            /* the one that was used is gone, too: no empty one without a word */
            set_text(entity(&w, name), "state", states[i]);
            struct move m = journaled(&w, name, id);
            assert_int_equal(it->found, FOUND_NOT);
            assert_int_equal(m.kind, MOVE_REFUSE);
            assert_non_null(strstr(m.why, id));
            assert_non_null(strstr(m.why, "wipe"));
            json_array_clear(list);
            assert_int_equal(journaled(&w, name, id).kind, MOVE_REFUSE);
            it->want = WANT_GONE;
            assert_int_equal(journaled(&w, name, id).kind, MOVE_NONE);
            it->want = WANT_THERE;
            str_copy(w.spec.nodes[it->node].disk.wipe, sizeof(w.spec.nodes[it->node].disk.wipe),
                     id);
            assert_int_equal(journaled(&w, name, id).kind, MOVE_CREATE);

            /* that of a node which left the file */
            gone = json_pack("{s:s,s:s,s:[{s:s,s:s},{s:s,s:s}]}", "id", "77", "state", states[i],
                             "tags", "key", TAG_DEPLOYMENT, "value", "saas", "key", TAG_RESOURCE,
                             "value", "volume:old");
            json_array_append_new(list, gone);
            resources_add_found(&w.resources, &w.inv);
            assert_int_equal(w.resources.n, n);
        }
}

/* By tags, by the id in the journal, or by a name that was made for it alone, of a volume of ours.
 */
static void only_our_snapshots_are_ours(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        _cleanup_(world_free) struct world w;

        make_world(&w, clouds[0], old);
        recognise(&w);
        _cleanup_free_ char *volume = id_of(&w, resources_named(&w.resources, "volume:fra"));
        static const struct {
            const char *id, *name, *tag_of, *tag, *state;
            bool of_volume;
            const char *node; /* NULL: not ours */
        } cases[] = {
            {"1", "x", "saas", "volume:par", "BackedUp", false, "par"},
            {"2", "x", "other", "volume:par", "BackedUp", true, NULL},
            {"3", "x", "saas", "vm:par", "BackedUp", true, NULL},
            {"4", "x", NULL, NULL, "Error", false, "fra"},            /* in the journal */
            {"5", "saas-fra-1", NULL, NULL, "Creating", true, "fra"}, /* its answer was lost */
            {"6", "saas-fra-1", NULL, NULL, "BackedUp", false, NULL},
            {"7", "saas-fra-data", NULL, NULL, "BackedUp", true, NULL},
            {"8", "x", "saas", "volume:par", "Destroyed", true, NULL},
        };
        _cleanup_json_ json_t *listed = json_array(), *rows = NULL;
        size_t ours = 0;

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            json_t *e = json_pack("{s:s,s:s,s:s,s:s,s:s}", "id", cases[i].id, "name", cases[i].name,
                                  "state", cases[i].state, "created", "2026-01-31", "volumeid",
                                  cases[i].of_volume ? volume : "9999");

            set_number(&w, e, "virtualsize", 5LL << 30);
            if (cases[i].tag)
                json_object_set_new(e, "tags",
                                    json_pack("[{s:s,s:s},{s:s,s:s}]", "key", TAG_DEPLOYMENT,
                                              "value", cases[i].tag_of, "key", TAG_RESOURCE,
                                              "value", cases[i].tag));
            json_array_append_new(listed, e);
        }
        rows = json_pack("[{s:s,s:s},{s:s,s:s}]", "name", "snapshot:fra/saas-fra-0", "id", "4",
                         "name", "snapshot:fra/saas-fra-1", "id", "");
        _cleanup_json_ json_t *found = snapshots_ours(&w.resources, listed, rows);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            const json_t *one = entity_find(found, "id", cases[i].id);

            if ((one != NULL) != (cases[i].node != NULL))
                fail_msg("%s: %s", cases[i].id, one ? "taken for ours" : "not found");
            if (!one)
                continue;
            ours++;
            assert_true(entity_is(one, "node", cases[i].node));
            assert_int_equal(json_integer_value(json_object_get(one, "size")), 5LL << 30);
        }
        assert_int_equal(json_array_size(found), ours);
        _cleanup_json_ json_t *none = snapshots_ours(&w.resources, NULL, rows);
        assert_int_equal(json_array_size(none), 0);
    }
}

static void as_raised_nothing_is_to_be_done(void **state)
{
    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(clouds); c++)
        for (int old = 0; old < 2; old++) {
            _cleanup_(world_free) struct world w;

            make_world(&w, clouds[c], old);
            recognise(&w);
            for (size_t i = 0; i < w.resources.n; i++) {
                struct move m = resource_move(&w.resources.v[i], &w.resources, &w.spec);

                if (m.kind != MOVE_NONE)
                    fail_msg("%s: %s: %s", w.resources.v[i].name, move_name(m.kind), m.why);
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
        for (size_t i = 0; i < w.resources.n; i++) {
            const struct resource *it = &w.resources.v[i];
            struct move m = resource_move(it, &w.resources, &w.spec);

            if (it->foreign)
                assert_int_equal(m.kind, MOVE_REFUSE);
            else
                assert_int_equal(m.kind, resource_ops(&w.resources, it->kind)->create ? MOVE_CREATE
                                                                                      : MOVE_WAIT);
        }
    }
}

/* One thing differs; what is done about it. */
static void what_differs_is_judged(void **state)
{
    static const struct {
        const char *resource, *member, *value; /* JSON; NULL: the entity is not there */
        enum move_kind kind;
        const char *call, *why;
    } cases[] = {
        {"forward:fra/80", NULL, NULL, MOVE_CREATE, NULL, ""},
        {"firewall:fra/80", NULL, NULL, MOVE_CREATE, NULL, ""},
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
        bool attach = str_starts(cases[i].resource, "attach:");
        json_t *e;
        struct move m;

        make_world(&w, clouds[0], false);
        e = entity(&w, attach ? "volume:fra" : cases[i].resource);
        assert_non_null(e);
        if (cases[i].member)
            json_object_set_new(e, cases[i].member,
                                json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        else
            drop(&w, cases[i].resource);
        recognise(&w);
        m = resource_move(resources_named(&w.resources, cases[i].resource), &w.resources, &w.spec);
        if (m.kind != cases[i].kind ||
            !str_eq(m.call ? m.call : "", cases[i].call ? cases[i].call : "") ||
            !strstr(m.why, cases[i].why))
            fail_msg("%s %s=%s: %s %s: %s", cases[i].resource, cases[i].member, cases[i].value,
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
    assert_int_equal(
        resource_move(resources_named(&w.resources, "attach:fra"), &w.resources, &w.spec).kind,
        MOVE_CREATE);
    assert_int_equal(
        resource_move(resources_named(&w.resources, "attach:par"), &w.resources, &w.spec).kind,
        MOVE_NONE);
}

static void consent_is_asked_for(void **state)
{
    _cleanup_(world_free) struct world w;
    _cleanup_json_ json_t *plan = NULL;
    struct resource *vm, *volume;

    (void)state;
    make_world(&w, clouds[0], false);
    json_object_set_new(entity(&w, "vm:par"), "templatename", json_string("Debian 11"));
    recognise(&w);
    plan = moves_plan(&w.resources, &w.spec);
    assert_true(entity_is(entity_find(plan, "resource", "vm:par"), "action", "replace"));
    assert_true(entity_is(entity_find(plan, "resource", "vm:par"), "needs", "--replace"));
    assert_true(entity_is(entity_find(plan, "resource", "vm:fra"), "needs", ""));
    vm = resources_named(&w.resources, "vm:par");
    volume = resources_named(&w.resources, "volume:par");
    str_copy(vm->replace, sizeof(vm->replace), vm->id);
    assert_int_equal(resource_move(vm, &w.resources, &w.spec).kind, MOVE_REPLACE);
    assert_int_equal(resource_move(volume, &w.resources, &w.spec).kind, MOVE_NONE);
    /* found by its name only */
    volume->owned = false;
    json_object_set_new(entity(&w, "volume:par"), "tags", json_array());
    recognise(&w);
    assert_int_equal(volume->found, FOUND_BY_NAME);
    assert_int_equal(resource_move(volume, &w.resources, &w.spec).kind, MOVE_REFUSE);
    volume->adopt = true;
    assert_int_equal(resource_move(volume, &w.resources, &w.spec).kind, MOVE_CHANGE);
    volume->adopt = false;
    volume->want = WANT_GONE;
    assert_int_equal(resource_move(volume, &w.resources, &w.spec).kind, MOVE_LEAVE);
}

/* However many there are: an error's text has room for three or four. */
static void all_refusals_are_told(void **state)
{
    _cleanup_(strbuf_free) struct strbuf lines = {0};
    struct survey v = {0};
    struct world w;
    struct err err = {0};
    size_t n = 0;

    (void)state;
    make_world(&w, clouds[0], false);
    recognise(&w);
    v.resources = w.resources;
    assert_int_equal(survey_check(&v, &w.spec, &lines, &err), 0);
    assert_int_equal(lines.len, 0);
    for (size_t i = 0; i < w.resources.n; i++) {
        const struct resource *it = &w.resources.v[i];

        if (it->kind == RESOURCE_VM)
            json_object_set_new(it->entity, "templatename", json_string("Debian 11"));
        else if (it->kind == RESOURCE_VOLUME)
            json_object_set_new(it->entity, "size", json_integer(INT64_MAX));
        else if (it->kind == RESOURCE_GATEWAY || it->kind == RESOURCE_PRIVATE)
            json_object_set_new(it->entity, "cidr", json_string("192.0.2.0/24"));
        else
            continue;
        n++;
    }
    assert_int_equal(survey_check(&v, &w.spec, &lines, &err), -1);
    assert_int_equal(err.code, ERR_SAFETY);
    assert_true(lines.len > sizeof(err.msg));
    for (const char *line = strbuf_str(&lines); *line; line = strchr(line, '\n') + 1)
        n--;
    assert_int_equal(n, 0);
    world_free(&w);
}

static void what_the_file_does_not_have_goes(void **state)
{
    _cleanup_(world_free) struct world w;
    _cleanup_json_ json_t *plan = NULL;
    const json_t *e;
    struct resource *it;

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
    plan = moves_plan(&w.resources, &w.spec);
    e = entity_find(plan, "resource", "forward:extra");
    assert_true(entity_is(e, "action", "destroy"));
    e = entity_find(plan, "resource", "vm:ber");
    assert_true(entity_is(e, "action", "destroy"));
    e = entity_find(plan, "resource", "volume:ber");
    assert_true(entity_is(e, "action", "left"));
    assert_null(entity_find(plan, "resource", "forward:theirs"));
    /* what the journal knows and the file does not */
    it = resources_add_gone(&w.resources, "keypair:old", "old");
    assert_non_null(it);
    assert_null(resources_add_gone(&w.resources, "keypair:old", "old"));
    assert_null(resources_add_gone(&w.resources, "nonsense", "old"));
    assert_null(resources_add_gone(&w.resources, "thing:old", "old"));
}

/* Somebody else's stack has our names: not even its rules are touched. */
static void a_name_alone_says_nothing(void **state)
{
    _cleanup_(world_free) struct world w;

    (void)state;
    make_world(&w, clouds[0], false);
    for (size_t l = 0; l < LIST_ZONES; l++)
        for (size_t i = 0; i < json_array_size(w.inv.list[l]); i++)
            json_object_del(json_array_get(w.inv.list[l], i), "tags");
    for (size_t i = 0; i < w.resources.n; i++)
        w.resources.v[i].owned = false;
    json_t *extra = json_deep_copy(entity(&w, "forward:fra/80"));
    json_object_set_new(extra, "id", json_string("extra"));
    json_object_set_new(extra, "publicport", json_integer(8443));
    json_array_append_new(w.inv.list[LIST_FORWARDS], extra);
    recognise(&w);
    assert_null(resources_named(&w.resources, "forward:extra"));
    for (size_t i = 0; i < w.resources.n; i++) {
        struct resource *it = &w.resources.v[i];

        it->want = WANT_GONE;
        enum move_kind k = resource_move(it, &w.resources, &w.spec).kind;
        if (k != MOVE_LEAVE && k != MOVE_NONE)
            fail_msg("%s: %s", it->name, move_name(k));
    }
    for (size_t i = 0; i < w.resources.n; i++)
        w.resources.v[i].adopt = true;
    resources_add_found(&w.resources, &w.inv);
    assert_non_null(resources_named(&w.resources, "forward:extra"));
}

static void twins_are_told(void **state)
{
    _cleanup_(world_free) struct world w;
    struct err err = {0};
    struct resource *it;
    json_t *twin;

    (void)state;
    make_world(&w, clouds[0], false);
    it = resources_named(&w.resources, "volume:fra");
    twin = json_deep_copy(entity(&w, "volume:fra"));
    json_object_set_new(twin, "id", json_string("twin"));
    json_object_set_new(twin, "tags", json_array());
    json_array_append_new(w.inv.list[LIST_VOLUMES], twin);
    assert_int_equal(resource_recognise(it, &w.resources, &w.spec, &w.inv, "", &err), 0);
    assert_int_equal(it->found, FOUND_BY_TAG); /* the other one is somebody else's */
    json_object_set_new(entity(&w, "volume:fra"), "tags", json_array());
    assert_int_equal(resource_recognise(it, &w.resources, &w.spec, &w.inv, "", &err), -1);
    assert_non_null(strstr(err.msg, "twice"));
    assert_int_equal(resource_recognise(it, &w.resources, &w.spec, &w.inv, "twin", &err), 0);
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
    struct resource *it;

    (void)state;
    load(&w, clouds[0]);
    it = resources_named(&w.resources, "gateway:paris-esx");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *j = json_loads(cases[i].text, 0, NULL);
        struct err err;

        it->id[0] = '\0';
        assert_int_equal(resource_take_answer(it, &w.resources, j, &err), cases[i].id ? 0 : -1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_destroyed_volume_is_no_volume),
        cmocka_unit_test(only_our_snapshots_are_ours),
        cmocka_unit_test(as_raised_nothing_is_to_be_done),
        cmocka_unit_test(from_nothing_everything_is_created),
        cmocka_unit_test(what_differs_is_judged),
        cmocka_unit_test(a_detached_disk_is_attached_again),
        cmocka_unit_test(consent_is_asked_for),
        cmocka_unit_test(all_refusals_are_told),
        cmocka_unit_test(what_the_file_does_not_have_goes),
        cmocka_unit_test(a_name_alone_says_nothing),
        cmocka_unit_test(twins_are_told),
        cmocka_unit_test(answers_of_create_calls),
        cmocka_unit_test(jobs_of_all_servers),
        cmocka_unit_test(lists_of_all_servers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
