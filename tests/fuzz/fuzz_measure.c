/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the output of ping and iperf3, as an order, and as figures of a node. */
#include <stddef.h>
#include <stdint.h>

#include "agent/measure/measure.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nettest_order o = {.what = NETTEST_THROUGHPUT, .seconds = 10, .streams = 10};
    _cleanup_free_ char *text = str_fmt("%.*s", (int)size, (const char *)data);
    _cleanup_json_ json_t *j = NULL;
    struct nettest_latency l;
    struct nettest_throughput t;
    struct err err;
    char why[64];

    measure_ping_parse(text, &l, &err);
    measure_iperf_parse((const char *)data, size, &o, &t, &err);
    if (js_parse((const char *)data, size, &j, &err) < 0)
        return 0;
    nettest_order_parse(j, &o, &err);
    nettest_transfer(j, why, sizeof(why));
    if (nettest_latency_parse(j, &l, &err) == 0)
        json_decref(nettest_latency_json(&l));
    if (nettest_throughput_parse(j, &t, &err) == 0)
        json_decref(nettest_throughput_json(&t));
    return 0;
}
