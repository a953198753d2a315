/* SPDX-License-Identifier: Apache-2.0 */
/* Every message between the supervisor, the net process and the worker: taken whole, and refused
 * when it is cut anywhere, when a member is missing, of another type or unknown, and when it comes
 * any other way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/ipc/msg.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

static const struct {
    enum ipc_msg m;
    enum ipc_way way;
    const char *members;
} samples[] = {
    {IPC_INFO, IPC_TO_NET, "{\"rev\": \"a1\", \"last_seq\": 7, \"counter\": 3}"},
    {IPC_EVENT, IPC_TO_NET, "{\"event\": {\"seq\": 1}}"},
    {IPC_STATE, IPC_TO_NET, "{\"state\": {}}"},
    {IPC_TRIM, IPC_TO_NET, "{}"},
    {IPC_CLUSTER, IPC_TO_NET, "{\"galera\": {}, \"record\": null}"},
    {IPC_CLUSTER, IPC_TO_NET, "{\"galera\": {}, \"record\": {}}"},
    {IPC_SAVED, IPC_TO_NET, "{}"},
    {IPC_DB, IPC_TO_NET, "{\"db\": {\"state\": \"Synced\"}, \"leaving\": false}"},
    {IPC_RESULT, IPC_TO_NET,
     "{\"what\": \"boot\", \"ok\": false, \"why\": \"no\", \"position\": {}}"},
    {IPC_ASK, IPC_TO_NET,
     "{\"id\": 7, \"what\": \"recover\", \"node\": \"fra\", \"because\": \"\", \"keep\": false}"},
    {IPC_MEASURED, IPC_TO_NET,
     "{\"id\": 7, \"ok\": true, \"why\": \"\", \"figures\": {\"sent\": 1}}"},
    {IPC_BOUND, IPC_FROM_NET, "{}"},
    {IPC_ONLINE, IPC_FROM_NET, "{}"},
    {IPC_ACK, IPC_FROM_NET, "{\"seq\": 3}"},
    {IPC_LOOK, IPC_FROM_NET, "{\"id\": 3, \"repair\": true, \"careful\": false}"},
    {IPC_PLAN, IPC_FROM_NET, "{\"text\": \"{}\", \"sig\": \"\"}"},
    {IPC_SAVE, IPC_FROM_NET, "{\"record\": {}}"},
    {IPC_DO, IPC_FROM_NET,
     "{\"what\": \"join\", \"epoch\": 2, \"small\": true, \"whole\": true, \"bytes\": 9, "
     "\"position\": {}}"},
    {IPC_COORDINATOR, IPC_FROM_NET,
     "{\"state\": \"primary\", \"why\": \"\", \"waiting_for\": [\"par\"], \"epoch\": 1, "
     "\"stable\": true}"},
    {IPC_ANSWER, IPC_FROM_NET, "{\"id\": 7, \"ok\": true, \"why\": \"\", \"view\": null}"},
    {IPC_MEASURE, IPC_FROM_NET, "{\"id\": 7, \"order\": {\"what\": \"latency\"}}"},
    {IPC_JOB_PLAN, IPC_TO_WORKER, "{\"plan\": {}}"},
    {IPC_JOB_LOOK, IPC_TO_WORKER, "{\"epoch\": 2, \"web\": {\"page\": \"/x\"}, \"galera\": null}"},
    {IPC_JOB_LOOK, IPC_TO_WORKER, "{\"epoch\": 2, \"web\": null, \"galera\": {}}"},
    {IPC_JOB_DRIFT, IPC_TO_WORKER, "{}"},
    {IPC_JOB_ENGINES, IPC_TO_WORKER, "{\"first\": true}"},
    {IPC_JOB_MEASURE, IPC_TO_WORKER, "{\"order\": {\"what\": \"serve\"}}"},
    {IPC_JOB_ACTION, IPC_TO_WORKER,
     "{\"galera\": {}, \"what\": \"row\", \"epoch\": 2, \"small\": false, \"whole\": false, "
     "\"bytes\": 0, \"position\": {}, "
     "\"cluster_id\": \"c\", \"uuid\": \"u\", \"base\": -1, \"lost\": \"\"}"},
    {IPC_RUN_EVENT, IPC_FROM_WORKER, "{\"event\": {\"seq\": 1}}"},
    {IPC_DID_PLAN, IPC_FROM_WORKER, "{\"ok\": false, \"why\": \"no\"}"},
    {IPC_DID_LOOK, IPC_FROM_WORKER, "{\"db\": null, \"web\": null}"},
    {IPC_DID_LOOK, IPC_FROM_WORKER, "{\"db\": {}, \"web\": {\"status\": 200, \"why\": \"\"}}"},
    {IPC_DID_DRIFT, IPC_FROM_WORKER, "{\"drift\": null}"},
    {IPC_DID_DRIFT, IPC_FROM_WORKER, "{\"drift\": [{\"id\": \"file:f\", \"why\": \"differs\"}]}"},
    {IPC_DID_ENGINES, IPC_FROM_WORKER,
     "{\"changed\": [\"a.b\"], \"pending\": true, \"failed\": \"\"}"},
    {IPC_DID_MEASURE, IPC_FROM_WORKER, "{\"ok\": false, \"why\": \"no\", \"figures\": null}"},
    {IPC_DID_ACTION, IPC_FROM_WORKER,
     "{\"what\": \"boot\", \"ok\": true, \"why\": \"\", \"position\": {}}"},
};

static json_t *sample(size_t i)
{
    json_t *j = ipc_make(samples[i].m, json_loads(samples[i].members, 0, NULL));

    assert_non_null(json_object_get(j, "m"));
    return j;
}

static void refused(const json_t *j, enum ipc_way way)
{
    enum ipc_msg m = IPC_MSGS;
    struct err err = {0};

    assert_int_equal(ipc_decode(j, way, &m, &err), -1);
    assert_int_equal(m, IPC_MSGS);
    assert_true(err.msg[0] != '\0');
}

static void test_whole(void **state)
{
    bool seen[IPC_MSGS] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
        _cleanup_json_ json_t *j = sample(i);
        enum ipc_msg m;
        struct err err;

        assert_int_equal(ipc_decode(j, samples[i].way, &m, &err), 0);
        assert_int_equal(m, samples[i].m);
        for (enum ipc_way way = 0; way < IPC_WAYS; way++)
            if (way != samples[i].way)
                refused(j, way);
        seen[m] = true;
    }
    for (int m = 0; m < IPC_MSGS; m++)
        if (!seen[m])
            fail_msg("no sample of message '%s'", ipc_msg_name((enum ipc_msg)m));
}

static void test_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
        _cleanup_json_ json_t *j = sample(i);
        _cleanup_free_ char *text = js_text(j);

        for (size_t len = 0; len < strlen(text); len++) {
            json_t *part = NULL;
            struct err err;

            if (js_parse(text, len, &part, &err) == 0)
                refused(part, samples[i].way);
            json_decref(part);
        }
    }
}

/* Of the action that writes a row. */
static bool is_optional(enum ipc_msg m, const char *key)
{
    return m == IPC_JOB_ACTION && (str_eq(key, "cluster_id") || str_eq(key, "uuid") ||
                                   str_eq(key, "base") || str_eq(key, "lost"));
}

static void test_members(void **state)
{
    static const char *const values[] = {"null", "true",  "-1",    "1.5", "\"x\"",
                                         "[]",   "[[1]]", "[1,2]", "{}"};

    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
        _cleanup_json_ json_t *j = sample(i);
        const char *key;
        json_t *value;

        json_object_foreach(j, key, value)
        {
            _cleanup_json_ json_t *less = json_copy(j);
            int taken = 0;

            json_object_del(less, key);
            if (!is_optional(samples[i].m, key))
                refused(less, samples[i].way);
            for (size_t k = 0; k < sizeof(values) / sizeof(*values); k++) {
                _cleanup_json_ json_t *other = json_copy(j);
                enum ipc_msg m;
                struct err err;

                json_object_set_new(other, key, json_loads(values[k], JSON_DECODE_ANY, NULL));
                taken += ipc_decode(other, samples[i].way, &m, &err) == 0;
            }
            /* At most an object or null, or an array of no names. */
            assert_in_range(taken, 0, 2);
        }
        _cleanup_json_ json_t *more = json_copy(j);

        json_object_set_new(more, "more", json_true());
        refused(more, samples[i].way);
    }
    refused(NULL, IPC_TO_NET);
    _cleanup_json_ json_t *array = json_array();

    refused(array, IPC_TO_NET);
}

static bool taken(enum ipc_msg m, enum ipc_way way, const char *members)
{
    _cleanup_json_ json_t *j = ipc_make(m, json_loads(members, 0, NULL));
    enum ipc_msg got;
    struct err err;

    return ipc_decode(j, way, &got, &err) == 0;
}

static char *drift_of(unsigned n)
{
    _cleanup_json_ json_t *list = json_array();
    _cleanup_json_ json_t *j = json_pack("{s:O}", "drift", list);

    for (unsigned i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "id", "file:f", "why", "differs"));
    return js_text(j);
}

static void test_bounds(void **state)
{
    _cleanup_free_ char *most = drift_of(IPC_DRIFT_MAX);
    _cleanup_free_ char *more = drift_of(IPC_DRIFT_MAX + 1);

    (void)state;
    assert_true(taken(IPC_DID_DRIFT, IPC_FROM_WORKER, most));
    assert_false(taken(IPC_DID_DRIFT, IPC_FROM_WORKER, more));
    assert_false(taken(IPC_DID_DRIFT, IPC_FROM_WORKER, "{\"drift\": [{\"id\": \"x\"}]}"));
    assert_false(
        taken(IPC_DID_DRIFT, IPC_FROM_WORKER, "{\"drift\": [{\"id\": \"x\", \"why\": 1}]}"));
    assert_true(taken(IPC_DID_LOOK, IPC_FROM_WORKER,
                      "{\"db\": null, \"web\": {\"status\": 999, \"why\": \"x\"}}"));
    assert_false(taken(IPC_DID_LOOK, IPC_FROM_WORKER,
                       "{\"db\": null, \"web\": {\"status\": 1000, \"why\": \"\"}}"));
}

/* No two messages have one name, and each job has an answer that is no other's. */
static void test_names(void **state)
{
    (void)state;
    for (enum ipc_msg a = 0; a < IPC_MSGS; a++)
        for (enum ipc_msg b = 0; b < a; b++) {
            assert_string_not_equal(ipc_msg_name(a), ipc_msg_name(b));
            assert_true(ipc_answer(a) == IPC_MSGS || ipc_answer(a) != ipc_answer(b));
        }
    for (enum ipc_msg m = IPC_JOB_PLAN; m <= IPC_JOB_ACTION; m++)
        assert_string_equal(ipc_msg_name(m) + strlen("job-"),
                            ipc_msg_name(ipc_answer(m)) + strlen("did-"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),  cmocka_unit_test(test_cut),   cmocka_unit_test(test_members),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
