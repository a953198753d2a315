/* SPDX-License-Identifier: Apache-2.0 */
/* The table of calls against CloudStack's own description, and requests against the table. */
#include "controller/localvdc/api/job.h"
#include "vdc_world.h"

static const json_t *named(const json_t *array, const char *name)
{
    size_t i = 0;
    json_t *one = NULL;

    json_array_foreach(array, i, one)
    {
        if (strcmp(vdc_str(one, "name"), name) == 0)
            return one;
    }
    return NULL;
}

/* Parameters of the VDC dialect that stock calls take here, too. */
static bool dialect(const char *name)
{
    return !strcmp(name, "region") || !strcmp(name, "subtype") || !strcmp(name, "dcgid");
}

/* CloudStack's calls that the description leaves out: two that undo or extend what others of it do,
 * and lists that clients ask for on their way to something else. */
static bool beyond(const char *name)
{
    static const char *const names[] = {"resizeVolume",           "disableStaticNat",
                                        "listIpForwardingRules",  "listVPCs",
                                        "listProjects",           "listSecurityGroups",
                                        "listAffinityGroupTypes", "changeServiceForVirtualMachine"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

static void check_params(const struct api_call *c, const json_t *theirs)
{
    for (const struct api_param *p = c->params; p && p->name; p++) {
        const json_t *real = named(theirs, p->name);

        if (dialect(p->name) && !real)
            continue;
        if (!real)
            fail_msg("%s: CloudStack has no parameter %s", c->name, p->name);
        assert_string_equal(api_type_name(p->type), vdc_str(real, "type"));
        assert_int_equal(p->required, json_is_true(json_object_get(real, "required")));
    }
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(theirs, i, one)
    {
        bool known = false;

        for (const struct api_param *p = c->params; p && p->name; p++)
            known = known || strcmp(p->name, vdc_str(one, "name")) == 0;
        if (json_is_true(json_object_get(one, "required")) && !known)
            fail_msg("%s: required parameter %s is missing", c->name, vdc_str(one, "name"));
    }
}

static void calls_are_cloudstacks(void **state)
{
    (void)state;
    _cleanup_json_ json_t *file =
        json_load_file(TEST_DIR "/data/cloudstack-api-4.18.json", 0, NULL);

    assert_non_null(file);
    const json_t *api = json_object_get(file, "api");
    for (const struct api_call *c = calls_table.calls; c->name; c++) {
        if (c->handler && c->async != (c->job != NULL))
            fail_msg("%s: a job belongs to an asynchronous call", c->name);
        assert_ptr_equal(api_call_find(&calls_table, c->name), c);
        const json_t *real = named(api, c->name);
        if ((c->alone || beyond(c->name)) && !real)
            continue;
        if (!real || c->alone)
            fail_msg("%s: CloudStack has no such call, or has it, too", c->name);
        if (c->async != json_is_true(json_object_get(real, "isasync")))
            fail_msg("%s: asynchronous at one of the two only", c->name);
        const json_t *params = json_object_get(real, "params");
        check_params(c, params);
        if (c->list && !named(params, "pagesize"))
            fail_msg("%s: CloudStack's has no pages", c->name);
    }
    size_t i = 0;
    json_t *one = NULL;
    json_array_foreach(api, i, one)
    {
        if (!api_call_find(&calls_table, vdc_str(one, "name")))
            fail_msg("%s has no row; one without a handler answers 432", vdc_str(one, "name"));
    }
}

static void requests_are_checked(void **state)
{
    struct fixture *f = *state;
    int status = 0;

    json_decref(call(f, "command=listZones", "wrong", &status));
    assert_int_equal(status, 401);
    json_decref(call(f, "command=noSuchCall", "wrong", &status));
    assert_int_equal(status, 401);
    expect(f, "command=noSuchCall", 432);
    expect(f, "command=listZones", 200);
    expect(f, "command=listZones&name=caf%C3%A9~*%20()", 200);
    expect(f, "command=listZones&name=%FF", 431);
    expect(f, "command=listZones&name=%01", 431);
    expect(f, "command=listZones&page=1", 431);
    expect(f, "command=listZones&page=0&pagesize=10", 431);
    expect(f, "command=listZones&page=2147483648&pagesize=10", 431);
    expect(f, "command=listZones&page=2147483647&pagesize=500", 200);
    expect(f, "command=createVolume&size=9999999999999999999", 431);
    expect(f, "command=listZones&pagesize=501&page=1", 431);
    expect(f, "command=listTemplates", 431);
    expect(f, "command=deployVirtualMachine", 431);
    expect(f, "command=deleteNetwork&id=7", 431);
    expect(f, "command=createSnapshotPolicy", 432);
    expect(f, "command=listSnapshotPolicies", 432);
    expect(f, "command=listAsyncJobs&startdate=yesterday", 431);
    expect(f, "command=listAsyncJobs&startdate=2024-01-31", 200);
    expect(f, "command=deleteNetwork&id=11111111-2222-3333-4444-555555555555", 431);
    expect(f, "command=createTags&resourceids=x&resourcetype=UserVm", 431);
    expect(f, "command=listZones&signatureVersion=3", 401);
    expect(f, "command=listZones&signatureVersion=3&expires=2001-01-01T00:00:00%2B0000", 401);
    expect(f, "command=listZones&signatureVersion=3&expires=2100-01-01T00:00:00%2B0000", 200);
    expect(f, "command=listZones&signatureVersion=3&expires=2100-01-01T00:00:00Z", 200);
}

static void roots_of_the_vdc(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *call, *root;
    } cases[] = {{"listNetworks", "response"},
                 {"listDirectConnectGroups", "response"},
                 {"listZones", "listzonesresponse"},
                 {"noSuchCall", "errorresponse"}};
    struct api_server server = {.db = f->db, .table = &calls_table, .vdc_roots = true};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct httpd_response r = {0};
        _cleanup_(pairs_free) struct pairs p = {0};

        pairs_add(&p, "apiKey", "K");
        pairs_add(&p, "command", cases[i].call);
        pairs_add(&p, "response", "json");
        _cleanup_free_ char *body = sign_params(p.v, p.n, "S");
        struct httpd_request rq = {.method = "POST",
                                   .path = VDC_PATH,
                                   .client = "",
                                   .body = body,
                                   .body_len = strlen(body)};
        api_serve(&server, &rq, &r);
        _cleanup_json_ json_t *whole = json_loads(r.body, 0, NULL);
        assert_non_null(json_object_get(whole, cases[i].root));
        free(r.body);
        for (size_t k = 0; k < HTTPD_HEADERS_MAX; k++)
            free(r.headers[k].value);
    }
}

static void lists_have_pages(void **state)
{
    struct fixture *f = *state;
    int status = 0;
    _cleanup_json_ json_t *all = call(f, "command=listZones", "S", &status);
    json_int_t count = json_integer_value(json_object_get(all, "count"));

    assert_int_equal(count, json_array_size(json_object_get(all, "zone")));
    _cleanup_json_ json_t *page = call(f, "command=listZones&page=2&pagesize=5", "S", &status);
    assert_int_equal(json_integer_value(json_object_get(page, "count")), count);
    assert_int_equal(json_array_size(json_object_get(page, "zone")), 5);
    assert_true(json_equal(json_array_get(json_object_get(page, "zone"), 0),
                           json_array_get(json_object_get(all, "zone"), 5)));
}

static void empty_lists(void **state)
{
    struct fixture *f = *state;
    int status = 0;
    _cleanup_json_ json_t *vms = call(f, "command=listVirtualMachines", "S", &status);

    assert_int_equal(json_object_size(vms), 0);
    _cleanup_json_ json_t *networks = call(f, "command=listNetworks", "S", &status);
    assert_int_equal(json_array_size(json_object_get(networks, "network")), 0);
    assert_true(json_is_array(json_object_get(networks, "network")));
}

/* From a network to a volume, as documents: no job runs here. */
static void documents_are_made(void **state)
{
    struct fixture *f = *state;
    int status = 0;

    expect(f, "command=createLocalNetwork&zonename=Nowhere&cidr=10.1.0.0/24&gateway=10.1.0.1", 431);
    expect(f, "command=createLocalNetwork&zonename=London&cidr=10.1.0.0/24&gateway=10.2.0.1", 431);
    expect(f, "command=createLocalNetwork&zonename=London&cidr=10.1.0.0/24&gateway=10.1.0.0", 431);
    _cleanup_json_ json_t *made =
        call(f, "command=createLocalNetwork&zonename=London&cidr=10.1.0.0/24&gateway=10.1.0.1", "S",
             &status);
    assert_int_equal(status, 200);
    const json_t *net = json_array_get(json_object_get(made, "localnetwork"), 0);
    _cleanup_free_ char *ips =
        str_fmt("command=listPublicIpAddresses&associatednetworkid=%s", vdc_str(net, "id"));
    _cleanup_json_ json_t *ip = call(f, ips, "S", &status);
    assert_string_equal(
        vdc_str(json_array_get(json_object_get(ip, "publicipaddress"), 0), "ipaddress"),
        "198.51.100.10");
    _cleanup_free_ char *rule =
        str_fmt("command=createEgressFirewallRule&protocol=tcp&startport=80&networkid=%s",
                vdc_str(net, "id"));
    _cleanup_json_ json_t *job = call(f, rule, "S", &status);
    assert_int_equal(status, 200);
    assert_true(*vdc_str(job, "id") && *vdc_str(job, "jobid"));
    _cleanup_free_ char *bad =
        str_fmt("command=createEgressFirewallRule&protocol=gre&networkid=%s", vdc_str(net, "id"));
    expect(f, bad, 431);
    _cleanup_free_ char *query =
        str_fmt("command=queryAsyncJobResult&jobid=%s", vdc_str(job, "jobid"));
    _cleanup_json_ json_t *state_of_job = call(f, query, "S", &status);
    assert_int_equal(json_integer_value(json_object_get(state_of_job, "jobstatus")), 0);
    assert_null(json_object_get(state_of_job, "_args"));
    expect(f, "command=createDirectConnectGroup&name=g", 200);
    expect(f, "command=createDirectConnectGroup&name=g", 431);
    const char *pdc = "command=createPrivateDirectConnect&dcgname=g&zonename=London&"
                      "cidr=10.9.0.0/24&gateway=10.9.0.1";
    expect(f, pdc, 200);
    expect(f, pdc, 431); /* overlaps within the group */
}

/* A client's own job id: taken, shown by queryAsyncJobResult, refused before any effect. */
static void job_ids_of_clients(void **state)
{
    struct fixture *f = *state;
    int status = 0;
    _cleanup_json_ json_t *made =
        call(f, "command=createLocalNetwork&zonename=London&cidr=10.1.0.0/24&gateway=10.1.0.1", "S",
             &status);
    const char *net = vdc_str(json_array_get(json_object_get(made, "localnetwork"), 0), "id");
    static const char id[] = "0a1b2c3d-0000-4000-8000-00000000000a";
    _cleanup_free_ char *query = str_fmt("command=queryAsyncJobResult&jobid=%s", id);
    _cleanup_free_ char *create =
        str_fmt("command=createEgressFirewallRule&protocol=all&networkid=%s&customjobid=", net);
    _cleanup_free_ char *good = str_fmt("%s%s", create, id);
    _cleanup_free_ char *upper = str_fmt("%s0A1B2C3D-0000-4000-8000-00000000000A", create);
    _cleanup_free_ char *no_uuid = str_fmt("%s7", create);

    expect(f, query, 431);
    expect(f, upper, 431);
    expect(f, no_uuid, 431);
    _cleanup_json_ json_t *job = call(f, good, "S", &status);
    assert_int_equal(status, 200);
    assert_string_equal(vdc_str(job, "jobid"), id);
    expect(f, query, 200);
    expect(f, good, 431);
    _cleanup_json_ json_t *rules = vdb_list(f->db, "egress");
    assert_int_equal(json_array_size(rules), 1);
    _cleanup_free_ char *tag = str_fmt("command=createTags&resourceids=%s&resourcetype=Network&"
                                       "tags[0].key=a&tags[0].value=b&customjobid=%s",
                                       net, id);
    expect(f, tag, 431);
    _cleanup_json_ json_t *tagged = vdb_get(f->db, "network", net);
    assert_int_equal(json_array_size(json_object_get(tagged, "tags")), 0);
}

static void jobs_are_forgotten(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const struct {
        const char *id, *completed;
    } jobs[] = {
        {"old", "2024-05-01T11:59:59+0000"}, {"young", "2024-05-01T12:00:01+0000"}, {"open", NULL}};

    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        _cleanup_json_ json_t *doc =
            json_pack("{s:s,s:s*}", "jobid", jobs[i].id, "completed", jobs[i].completed);

        assert_int_equal(vdb_put(f->db, "job", jobs[i].id, doc, &err), 0);
    }
    /* 2024-05-02 12:00:00 UTC */
    assert_int_equal(jobs_expire(f->db, 1714651200, &err), 0);
    _cleanup_json_ json_t *left = vdb_list(f->db, "job");
    assert_int_equal(json_array_size(left), 2);
    assert_string_equal(vdc_str(json_array_get(left, 0), "jobid"), "young");
}

static void accounts_do_not_see_each_other(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    int status = 0;
    _cleanup_json_ json_t *other = NULL, *twice = NULL;

    assert_int_equal(account_add(f->db, "-bad", &twice, &err), -1);
    assert_int_equal(account_add(f->db, VDC_ACCOUNT, &twice, &err), -1);
    assert_int_equal(account_add(f->db, "other", &other, &err), 0);
    assert_int_equal(account_add(f->db, "other", &twice, &err), -1);
    const char *key = vdc_str(other, "api_key"), *secret = vdc_str(other, "secret_key");
    json_decref(call_as(f, "command=listZones", key, "S", &status));
    assert_int_equal(status, 401);
    _cleanup_json_ json_t *made =
        call_as(f, "command=createLocalNetwork&zonename=London&cidr=10.1.0.0/24&gateway=10.1.0.1",
                key, secret, &status);
    const json_t *net = json_array_get(json_object_get(made, "localnetwork"), 0);
    assert_string_equal(vdc_str(net, "account"), "other");
    _cleanup_free_ char *drop = str_fmt("command=deleteNetwork&id=%s", vdc_str(net, "id"));
    expect(f, drop, 431);
    _cleanup_json_ json_t *mine = call(f, "command=listNetworks", "S", &status);
    assert_int_equal(json_integer_value(json_object_get(mine, "count")), 0);
    expect(f, "command=listNetworks&account=other", 531);
    assert_int_equal(account_remove(f->db, "other", &err), -1);
    json_decref(call_as(f, drop, key, secret, &status));
    assert_int_equal(status, 200);
    assert_int_equal(vdb_del(f->db, "network", vdc_str(net, "id"), &err), 0);
    assert_int_equal(account_remove(f->db, "other", &err), 0);
    json_decref(call_as(f, "command=listZones", key, secret, &status));
    assert_int_equal(status, 401);
}

static void faults_count_calls(void **state)
{
    (void)state;
    struct fault_hit hit = {0};

    assert_true(fault_name_matches("*", "listZones"));
    assert_true(fault_name_matches("write", "deployVirtualMachine"));
    assert_false(fault_name_matches("write", "queryAsyncJobResult"));
    assert_false(fault_name_matches("write", "getVirtualMachineUserData"));
    assert_false(fault_name_matches("listZones", "listZonesAndMore"));
    _cleanup_json_ json_t *fault = json_pack(
        "{s:s,s:s,s:s,s:i,s:i,s:s,s:i,s:s,s:s}", "id", "7", "kind", "call", "name", "write", "nth",
        2, "times", 2, "action", "error", "code", 533, "when", "after", "account", "a");
    assert_false(fault_count(fault, "listZones", "a", false, &hit));
    assert_false(fault_count(fault, "createVolume", "b", true, &hit));
    static const bool fires[] = {false, true, true, false, false};
    for (size_t i = 0; i < ARRAY_LEN(fires); i++) {
        hit = (struct fault_hit){0};
        assert_true(fault_count(fault, "createVolume", "a", true, &hit));
        assert_int_equal(hit.action, fires[i] ? FAULT_ERROR : FAULT_NONE);
        if (fires[i]) {
            assert_int_equal(hit.code, 533);
            assert_true(hit.after);
            assert_string_equal(hit.note, "7 error after");
        }
    }
    assert_int_equal(json_integer_value(json_object_get(fault, "matched")), 5);
    assert_int_equal(json_integer_value(json_object_get(fault, "fired")), 2);
    json_object_set_new(fault, "action", json_string("fail-job"));
    assert_false(fault_count(fault, "deleteVolume", "a", false, &hit));
    assert_true(fault_count(fault, "createVolume", "a", true, &hit));
}

static void faults_before_and_after(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const struct {
        const char *when;
        size_t groups; /* afterwards */
    } cases[] = {{"before", 0}, {"after", 1}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_json_ json_t *fault =
            json_pack("{s:s,s:s,s:s,s:i,s:i,s:s,s:i,s:s}", "id", "1", "kind", "call", "name",
                      "createDirectConnectGroup", "nth", 1, "times", 1, "action", "error", "code",
                      533, "when", cases[i].when);

        assert_int_equal(vdb_put(f->db, "fault", "1", fault, &err), 0);
        expect(f, "command=createDirectConnectGroup&name=g", 533);
        _cleanup_json_ json_t *groups = vdb_list(f->db, "dcg");
        assert_int_equal(json_array_size(groups), cases[i].groups);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_are_cloudstacks),
        cmocka_unit_test_setup_teardown(requests_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(roots_of_the_vdc, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_have_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(documents_are_made, setup, teardown),
        cmocka_unit_test_setup_teardown(job_ids_of_clients, setup, teardown),
        cmocka_unit_test_setup_teardown(jobs_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(accounts_do_not_see_each_other, setup, teardown),
        cmocka_unit_test(faults_count_calls),
        cmocka_unit_test_setup_teardown(faults_before_and_after, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
