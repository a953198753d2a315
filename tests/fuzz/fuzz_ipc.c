/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor, as root, takes from the net process. */
#include <stddef.h>
#include <stdint.h>

#include "agent/cluster/codec.h"
#include "agent/ipc/msg.h"
#include "common/js.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *j = NULL;
    enum ipc_msg m;
    struct err err;

    if (js_parse((const char *)data, size, &j, &err) < 0)
        return 0;
    for (int side = IPC_NET; side <= IPC_SUPERVISOR; side++) {
        if (ipc_decode(j, (enum ipc_side)side, &m, &err) == 0 && m == IPC_SAVE) {
            struct cluster_record rec;

            cluster_record_from_json(json_object_get(j, "record"), &rec, &err);
        }
    }
    json_decref(j);
    return 0;
}
