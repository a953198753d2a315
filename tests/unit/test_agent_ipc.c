/* SPDX-License-Identifier: Apache-2.0 */
/* Every message between the supervisor and the net process: taken whole, and refused when it is cut
 * anywhere, when a member is missing, of another type or unknown, and when it comes the wrong way.
 */
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
    enum ipc_side to;
    const char *members;
} samples[] = {
    {IPC_INFO, IPC_NET, "{\"rev\": \"a1\", \"last_seq\": 7}"},
    {IPC_EVENT, IPC_NET, "{\"event\": {\"seq\": 1}}"},
    {IPC_STATE, IPC_NET, "{\"state\": {}}"},
    {IPC_TRIM, IPC_NET, "{}"},
    {IPC_CLUSTER, IPC_NET, "{\"galera\": {}, \"record\": null}"},
    {IPC_CLUSTER, IPC_NET, "{\"galera\": {}, \"record\": {}}"},
    {IPC_SAVED, IPC_NET, "{}"},
    {IPC_DB, IPC_NET, "{\"db\": {\"state\": \"Synced\"}}"},
    {IPC_RESULT, IPC_NET, "{\"what\": \"boot\", \"ok\": false, \"why\": \"no\", \"position\": {}}"},
    {IPC_RECOVER, IPC_NET, "{\"lost\": \"fra\"}"},
    {IPC_BOUND, IPC_SUPERVISOR, "{}"},
    {IPC_ONLINE, IPC_SUPERVISOR, "{}"},
    {IPC_ACK, IPC_SUPERVISOR, "{\"seq\": 3}"},
    {IPC_LOOK, IPC_SUPERVISOR, "{\"id\": 3}"},
    {IPC_PLAN, IPC_SUPERVISOR, "{\"plan\": {}}"},
    {IPC_SAVE, IPC_SUPERVISOR, "{\"record\": {}}"},
    {IPC_DO, IPC_SUPERVISOR,
     "{\"what\": \"join\", \"epoch\": 2, \"small\": true, \"position\": {}}"},
    {IPC_COORDINATOR, IPC_SUPERVISOR,
     "{\"state\": \"primary\", \"why\": \"\", \"waiting_for\": [\"par\"], \"epoch\": 1, "
     "\"stable\": true}"},
    {IPC_RECOVERED, IPC_SUPERVISOR, "{\"ok\": true, \"why\": \"\"}"},
};

static json_t *sample(size_t i)
{
    json_t *j = ipc_make(samples[i].m, json_loads(samples[i].members, 0, NULL));

    assert_non_null(json_object_get(j, "m"));
    return j;
}

static void refused(const json_t *j, enum ipc_side side)
{
    enum ipc_msg m = IPC_MSGS;
    struct err err = {0};

    assert_int_equal(ipc_decode(j, side, &m, &err), -1);
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

        assert_int_equal(ipc_decode(j, samples[i].to, &m, &err), 0);
        assert_int_equal(m, samples[i].m);
        refused(j, samples[i].to == IPC_NET ? IPC_SUPERVISOR : IPC_NET);
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
                refused(part, samples[i].to);
            json_decref(part);
        }
    }
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
            refused(less, samples[i].to);
            for (size_t k = 0; k < sizeof(values) / sizeof(*values); k++) {
                _cleanup_json_ json_t *other = json_copy(j);
                enum ipc_msg m;
                struct err err;

                json_object_set_new(other, key, json_loads(values[k], JSON_DECODE_ANY, NULL));
                taken += ipc_decode(other, samples[i].to, &m, &err) == 0;
            }
            /* At most an object or null, or an array of no names. */
            assert_in_range(taken, 0, 2);
        }
        _cleanup_json_ json_t *more = json_copy(j);

        json_object_set_new(more, "more", json_true());
        refused(more, samples[i].to);
    }
    refused(NULL, IPC_NET);
    _cleanup_json_ json_t *array = json_array();

    refused(array, IPC_NET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
