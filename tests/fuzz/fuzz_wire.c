/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message between agent and controller, and as an event. */
#include <string.h>

#include "common/event.h"
#include "common/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum proto_type t;
    struct event ev;
    struct err err;
    json_t *j = NULL;

    if (proto_parse((const char *)data, size, &t, &j, &err) == 0) {
        if (event_from_json(json_object_get(j, "event"), &ev, &err) == 0)
            json_decref(event_to_json(&ev));
        json_decref(j);
    }
    return 0;
}
