/* SPDX-License-Identifier: Apache-2.0 */
/* ping and iperf3, each with a bound in time; iperf3, which has a port, without privilege. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/measure/measure.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/ports.h"
#include "common/proc.h"
#include "common/str.h"

#define NOBODY 65534
#define OUTPUT_MAX (512 * 1024)
#define TRY_MS 200       /* the other side's port is not open yet */
#define REPLY_WAIT_S 2   /* for the last replies */
#define DIAL_MAX_MS 3000 /* one try to connect */
#define TEXT_MAX 24

static const char *const env[] = {"LC_ALL=C", "PATH=/usr/bin:/bin", NULL};

static struct proc_opts options(const struct nettest_order *o)
{
    return (struct proc_opts){
        .env = env, .timeout_s = o->seconds + NETTEST_WORKER_S, .out_max = OUTPUT_MAX};
}

static int latency(const struct nettest_order *o, const char *to, json_t **ret, struct err *err)
{
    char count[TEXT_MAX], interval[TEXT_MAX], wait[TEXT_MAX], end[TEXT_MAX];
    const struct proc_opts opts = options(o);
    struct proc_result said;
    struct nettest_latency l;
    int rc;

    snprintf(count, sizeof(count), "%u", o->seconds * NETTEST_PINGS_PER_SECOND);
    snprintf(interval, sizeof(interval), "%.3f", 1.0 / NETTEST_PINGS_PER_SECOND);
    snprintf(wait, sizeof(wait), "%d", REPLY_WAIT_S);
    snprintf(end, sizeof(end), "%u", o->seconds + 2 * REPLY_WAIT_S);
    rc = proc_run(
        PROC_ARGV(MEASURE_PING, "-n", "-i", interval, "-c", count, "-W", wait, "-w", end, to),
        &opts, &said, err);
    /* 1: some or all replies did not come, which is a figure, too. */
    if (rc < 0 && !said.timed_out && said.status == 1)
        rc = 0;
    if (rc == 0)
        rc = measure_ping_parse(strbuf_str(&said.out), &l, err);
    proc_result_free(&said);
    if (rc == 0)
        *ret = nettest_latency_json(&l);
    return rc;
}

/* The address that this machine has on the way to that one. */
static int own_address_towards(const char *address, char ret[IPV4_SIZE], struct err *err)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT_NETTEST)}, own = {0};
    socklen_t len = sizeof(own);
    _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (inet_pton(AF_INET, address, &to.sin_addr) != 1 || fd < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &len) < 0)
        return err_set(err, ERR_FAILED, "no way to %.20s", address);
    ipv4_text(ntohl(own.sin_addr.s_addr), ret);
    return 0;
}

/* On one address, for one client, and for no longer than it takes. */
static int serve(const struct nettest_order *o, const char *own, struct err *err)
{
    struct proc_opts opts = options(o);
    struct proc_result said;
    char port[TEXT_MAX];
    int rc;

    opts.uid = opts.gid = NOBODY;
    snprintf(port, sizeof(port), "%d", PORT_NETTEST);
    rc = proc_run(PROC_ARGV(MEASURE_IPERF, "-s", "--one-off", "-B", own, "-p", port), &opts, &said,
                  err);
    if (rc < 0 && said.timed_out)
        err_set(err, ERR_TIMEOUT, "no test came to an end at its port %d", PORT_NETTEST);
    proc_result_free(&said);
    return rc;
}

static bool is_not_open(const struct err *err)
{
    return strstr(err->msg, "Connection refused") != NULL;
}

static bool is_not_reachable(const struct err *err)
{
    return strstr(err->msg, "unable to connect to server") != NULL || is_not_open(err);
}

static int send_to(const struct nettest_order *o, const char *to, unsigned at,
                   struct nettest_throughput *ret, struct err *err)
{
    char port[TEXT_MAX], seconds[TEXT_MAX], streams[TEXT_MAX], rate[TEXT_MAX], dial[TEXT_MAX];
    uint64_t end = clock_mono_ms() + NETTEST_CONNECT_MS;
    struct proc_opts opts = options(o);
    int rc;

    opts.uid = opts.gid = NOBODY;
    snprintf(port, sizeof(port), "%u", at);
    snprintf(seconds, sizeof(seconds), "%u", o->seconds);
    snprintf(streams, sizeof(streams), "%u", o->streams);
    snprintf(rate, sizeof(rate), "%llu", (unsigned long long)nettest_stream_rate(o));
    snprintf(dial, sizeof(dial), "%d", DIAL_MAX_MS);
    for (;;) {
        struct proc_result said;
        struct err own = {0};

        rc = proc_run(PROC_ARGV(MEASURE_IPERF, "-J", "-i", "0", "-c", to, "-p", port, "-t", seconds,
                                "-P", streams, "-b", rate, "--connect-timeout", dial),
                      &opts, &said, &own);
        if (said.timed_out || said.status == PROC_NOT_STARTED) {
            *err = own;
            rc = -1;
        } else {
            rc = measure_iperf_parse(strbuf_str(&said.out), said.out.len, o, ret, err);
        }
        proc_result_free(&said);
        if (rc == 0 || !is_not_open(err) || clock_mono_ms() >= end)
            return rc;
        clock_pause_ms(TRY_MS);
    }
}

static int throughput(const struct nettest_order *o, const struct measure_node *other, json_t **ret,
                      struct err *err)
{
    struct nettest_throughput t = {0};
    int rc;

    if (!o->public_side)
        rc = send_to(o, other->private_address, PORT_NETTEST, &t, err);
    else if (!other->public_port)
        rc = 0; /* no port of the gateway leads there */
    else if ((rc = send_to(o, other->public_address, other->public_port, &t, err)) < 0 &&
             is_not_reachable(err)) {
        t = (struct nettest_throughput){0};
        rc = 0;
    }
    if (rc == 0)
        *ret = nettest_throughput_json(&t);
    return rc;
}

int measure_run(const struct nettest_order *o, const struct measure_node *self,
                const struct measure_node *other, json_t **ret, struct err *err)
{
    const char *to = o->public_side ? other->public_address : other->private_address;
    char own[IPV4_SIZE];

    if (!*to)
        return err_set(err, ERR_FAILED, "no %s address of %.40s is known",
                       o->public_side ? "public" : "private", o->node);
    *ret = json_null();
    if (o->what == NETTEST_LATENCY)
        return latency(o, to, ret, err);
    if (o->what == NETTEST_THROUGHPUT)
        return throughput(o, other, ret, err);
    if (!o->public_side)
        return self->private_address[0]
                   ? serve(o, self->private_address, err)
                   : err_set(err, ERR_FAILED, "no private address of this node is known");
    if (!self->public_port)
        return err_set(err, ERR_FAILED, "the file forwards no port to %d here", PORT_NETTEST);
    return own_address_towards(to, own, err) < 0 ? -1 : serve(o, own, err);
}
