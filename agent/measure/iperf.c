/* SPDX-License-Identifier: Apache-2.0 */
/* What `iperf3 -J` says. */
#include <math.h>

#include "agent/measure/measure.h"
#include "common/cleanup.h"
#include "common/js.h"

#define BITS_PER_SECOND_MAX 1e13
#define BYTES_MAX 1e15
#define LIMITED_FROM 0.95 /* of the rate that it was told: it could have been more */

static int number(const json_t *sum, const char *key, double max, double *ret, struct err *err)
{
    const json_t *v = json_object_get(sum, key);
    double n = json_number_value(v);

    if (!json_is_number(v) || !isfinite(n) || n < 0 || n > max)
        return err_set(err, ERR_FAILED, "iperf3: '%s' is missing, or cannot be", key);
    *ret = n;
    return 0;
}

int measure_iperf_parse(const char *text, size_t len, const struct nettest_order *o,
                        struct nettest_throughput *ret, struct err *err)
{
    struct nettest_throughput t = {.reachable = true};
    _cleanup_json_ json_t *j = NULL;
    const json_t *end, *received;
    json_error_t flaw;
    const char *error;
    double bytes = 0, again = 0;

    /* Not js_parse: iperf3 3.12 writes some members twice. */
    if (!(j = json_loadb(text, len, 0, &flaw)))
        return err_set(err, ERR_FAILED, "iperf3: its output is no JSON: %.100s", flaw.text);
    error = js_opt_str(j, "error", NULL);
    if (error)
        return err_set(err, ERR_FAILED, "iperf3: %.200s", error);
    end = json_object_get(j, "end");
    received = json_object_get(end, "sum_received");
    if (number(received, "bits_per_second", BITS_PER_SECOND_MAX, &t.bits_per_second, err) < 0 ||
        number(received, "bytes", BYTES_MAX, &bytes, err) < 0 ||
        number(received, "seconds", NETTEST_SECONDS_MAX + NETTEST_WORKER_S, &t.seconds, err) < 0)
        return -1;
    if (t.seconds <= 0 || bytes <= 0)
        return err_set(err, ERR_FAILED, "iperf3: nothing was received");
    if (json_object_get(json_object_get(end, "sum_sent"), "retransmits") &&
        number(json_object_get(end, "sum_sent"), "retransmits", BYTES_MAX, &again, err) < 0)
        return -1;
    t.bytes = (uint64_t)bytes;
    t.retransmits = (uint64_t)again;
    t.limited =
        t.bits_per_second >= LIMITED_FROM * (double)nettest_stream_rate(o) * (double)o->streams;
    *ret = t;
    return 0;
}
