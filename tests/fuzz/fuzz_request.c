/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request to a running hub. */
#include <stddef.h>
#include <stdint.h>

#include "common/js.h"
#include "controller/serve/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct request r;
    struct err err;
    json_t *j = NULL;

    if (js_parse((const char *)data, size, &j, &err) < 0)
        return 0;
    request_parse(j, &r, &err);
    json_decref(j);
    return 0;
}
