/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of snapshots. No job runs here: what they do with files is tested by
 * test_vdc_snapshot.c and end to end. */
#include "vdc_world.h"

static const char *first_zone(struct fixture *f, char ret[37])
{
    int status = 0;
    _cleanup_json_ json_t *zones = call(f, "command=listZones", "S", &status);

    str_copy(ret, 37, vdc_str(json_array_get(json_object_get(zones, "zone"), 0), "id"));
    return ret;
}

/* A volume as a job leaves it. */
static void ready_volume(struct fixture *f, char ret_id[37])
{
    char zone[37];
    int status = 0;
    struct err err = {0};
    _cleanup_json_ json_t *offerings = call(f, "command=listDiskOfferings", "S", &status);
    _cleanup_free_ char *create = str_fmt(
        "command=createVolume&name=data&size=2&zoneid=%s&diskofferingid=%s", first_zone(f, zone),
        vdc_str(json_array_get(json_object_get(offerings, "diskoffering"), 0), "id"));
    _cleanup_json_ json_t *made = call(f, create, "S", &status);

    assert_int_equal(status, 200);
    str_copy(ret_id, 37, vdc_str(made, "id"));
    _cleanup_free_ char *early = str_fmt("command=createSnapshot&volumeid=%s", ret_id);
    expect(f, early, 431); /* it is not Ready */
    assert_int_equal(vdb_patch(f->db, "volume", ret_id, json_pack("{s:s}", "state", "Ready"), &err),
                     0);
}

static void expect_id(struct fixture *f, const char *query, const char *id, int status)
{
    _cleanup_free_ char *whole = str_fmt("%s%s", query, id);

    expect(f, whole, status);
}

static void expect_count(struct fixture *f, const char *query, json_int_t count)
{
    int status = 0;
    _cleanup_json_ json_t *found = call(f, query, "S", &status);

    assert_int_equal(status, 200);
    if (json_integer_value(json_object_get(found, "count")) != count)
        fail_msg("%s: not %lld", query, (long long)count);
    if (count == 0)
        assert_int_equal(json_object_size(found), 0);
}

static void snapshots_are_documents(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    int status = 0;
    char volume[37], id[37], zone[37];

    ready_volume(f, volume);
    expect_count(f, "command=listSnapshots", 0);
    expect(f, "command=createSnapshot", 431);
    expect(f, "command=createSnapshot&volumeid=11111111-2222-3333-4444-555555555555", 431);
    _cleanup_free_ char *create = str_fmt("command=createSnapshot&name=first&tags[0].key=a&"
                                          "tags[0].value=b&volumeid=%s",
                                          volume);
    _cleanup_json_ json_t *made = call(f, create, "S", &status);
    assert_int_equal(status, 200);
    assert_true(*vdc_str(made, "jobid"));
    str_copy(id, sizeof(id), vdc_str(made, "id"));

    _cleanup_json_ json_t *listed = call(f, "command=listSnapshots&name=first", "S", &status);
    const json_t *one = json_array_get(json_object_get(listed, "snapshot"), 0);
    static const struct {
        const char *key, *value;
    } texts[] = {{"state", "Creating"},      {"volumename", "data"},     {"volumetype", "DATADISK"},
                 {"snapshottype", "MANUAL"}, {"intervaltype", "MANUAL"}, {"account", "local"},
                 {"domain", "ROOT"}};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_string_equal(vdc_str(one, texts[i].key), texts[i].value);
    assert_string_equal(vdc_str(one, "volumeid"), volume);
    assert_string_equal(vdc_str(one, "zoneid"), first_zone(f, zone));
    assert_int_equal(json_integer_value(json_object_get(one, "virtualsize")), 2LL << 30);
    assert_null(json_object_get(one, "_diskofferingid"));

    _cleanup_free_ char *of_volume = str_fmt("command=listSnapshots&volumeid=%s", volume);
    _cleanup_free_ char *by_ids = str_fmt("command=listSnapshots&ids=%s,%s", volume, id);
    expect_count(f, of_volume, 1);
    expect_count(f, by_ids, 1);
    expect_count(f, "command=listSnapshots&tags[0].key=a&tags[0].value=b", 1);
    expect_count(f, "command=listSnapshots&tags[0].key=a&tags[0].value=c", 0);
    expect_count(f, "command=listSnapshots&keyword=irs", 1);
    expect_count(f, "command=listSnapshots&snapshottype=MANUAL&intervaltype=MANUAL", 1);
    expect_count(f, "command=listSnapshots&snapshottype=RECURRING", 0);
    expect_count(f, "command=listSnapshots&page=2&pagesize=1", 1); /* of all pages */

    /* While it is being made. */
    expect_id(f, "command=deleteSnapshot&id=", id, 431);
    expect_id(f, "command=deleteVolume&id=", volume, 431);
    expect_id(f, "command=createVolume&snapshotid=", id, 431);
    assert_int_equal(
        vdb_patch(f->db, "snapshot", id, json_pack("{s:s}", "state", "BackedUp"), &err), 0);

    /* The volume made from it is as large as it is, or larger. */
    expect_id(f, "command=createVolume&size=1&snapshotid=", id, 431);
    expect_id(f, "command=createVolume&size=20000&snapshotid=", id, 431);
    _cleanup_json_ json_t *zones = call(f, "command=listZones", "S", &status);
    _cleanup_free_ char *elsewhere =
        str_fmt("command=createVolume&zoneid=%s&snapshotid=",
                vdc_str(json_array_get(json_object_get(zones, "zone"), 1), "id"));
    expect_id(f, elsewhere, id, 431);
    static const struct {
        const char *query;
        json_int_t gib;
    } sizes[] = {{"command=createVolume&snapshotid=", 2},
                 {"command=createVolume&size=3&snapshotid=", 3}};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        _cleanup_free_ char *query = str_fmt("%s%s", sizes[i].query, id);
        _cleanup_json_ json_t *copy = call(f, query, "S", &status);

        assert_int_equal(status, 200);
        _cleanup_json_ json_t *doc = vdb_get(f->db, "volume", vdc_str(copy, "id"));
        assert_int_equal(json_integer_value(json_object_get(doc, "size")), sizes[i].gib << 30);
        assert_string_equal(vdc_str(doc, "snapshotid"), id);
    }

    /* Tags, and the end: twice is once too often. */
    _cleanup_free_ char *tag = str_fmt("command=createTags&resourcetype=snapshot&tags[0].key=k&"
                                       "tags[0].value=v&resourceids=%s",
                                       id);
    expect(f, tag, 200);
    expect_count(f, "command=listSnapshots&tags[0].key=k&tags[0].value=v", 1);
    expect_count(f, "command=listTags&resourcetype=Snapshot", 2);
    expect_id(f, "command=deleteSnapshot&id=", id, 200);
    expect_id(f, "command=deleteSnapshot&id=", id, 431);
    expect_id(f, "command=createVolume&snapshotid=", id, 431);
    assert_int_equal(vdb_del(f->db, "snapshot", id, &err), 0);
    expect_id(f, "command=deleteSnapshot&id=", id, 431);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(snapshots_are_documents, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
