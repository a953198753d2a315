/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor, as root, takes from the net process and from the worker, and they from it.
 */
#include <stddef.h>
#include <stdint.h>

#include "agent/cluster/codec.h"
#include "agent/ipc/msg.h"
#include "common/event.h"
#include "common/js.h"
#include "common/nettest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(enum ipc_msg m, const json_t *j)
{
    struct cluster_record rec;
    struct cluster_position p;
    struct event ev;
    struct nettest_order order;
    struct err err;

    if (m == IPC_MEASURE || m == IPC_JOB_MEASURE)
        nettest_order_parse(json_object_get(j, "order"), &order, &err);
    else if (m == IPC_SAVE)
        cluster_record_from_json(json_object_get(j, "record"), &rec, &err);
    else if (m == IPC_JOB_ACTION || m == IPC_DID_ACTION)
        cluster_position_from_json(json_object_get(j, "position"), &p, &err);
    else if (m == IPC_RUN_EVENT && event_from_json(json_object_get(j, "event"), &ev, &err) == 0)
        json_decref(event_to_json(&ev));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *j = NULL;
    enum ipc_msg m;
    struct err err;

    if (js_parse((const char *)data, size, &j, &err) < 0)
        return 0;
    for (enum ipc_way way = 0; way < IPC_WAYS; way++)
        if (ipc_decode(j, way, &m, &err) == 0)
            inside(m, j);
    json_decref(j);
    return 0;
}
