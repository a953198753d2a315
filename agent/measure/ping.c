/* SPDX-License-Identifier: Apache-2.0 */
/* What ping(8) of iputils says. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/measure/measure.h"
#include "common/cleanup.h"
#include "common/str.h"

#define PINGS_MAX (NETTEST_SECONDS_MAX * NETTEST_PINGS_PER_SECOND)
#define DIGITS_MAX 12

struct replies {
    double ms[PINGS_MAX];
    bool seen[PINGS_MAX + 1]; /* by icmp_seq, from 1 */
    unsigned n;
};

/* A decimal such as 9.09, of digits and one point only, followed by a blank. -1: it is none. */
static int decimal(const char *s, double *ret)
{
    size_t n = strspn(s, "0123456789"), part = 0;

    if (n == 0 || n > DIGITS_MAX)
        return -1;
    if (s[n] == '.') {
        part = strspn(s + n + 1, "0123456789");
        if (part == 0 || part > DIGITS_MAX)
            return -1;
        n += 1 + part;
    }
    if (s[n] != ' ')
        return -1;
    *ret = strtod(s, NULL);
    return 0;
}

static int number(const char *s, unsigned long max, unsigned *ret)
{
    size_t n = strspn(s, "0123456789");
    unsigned long value = n && n <= DIGITS_MAX ? strtoul(s, NULL, 10) : max + 1;

    *ret = (unsigned)value;
    return value <= max ? 0 : -1;
}

/* "64 bytes from 10.10.2.11: icmp_seq=1 ttl=62 time=9.09 ms"; a second reply to one ping says
 * nothing new. */
static int reply(const char *line, struct replies *r, struct err *err)
{
    const char *seq = strstr(line, "icmp_seq="), *time = strstr(line, " time=");
    unsigned i;
    double ms;

    if (!seq || !time || !strstr(line, " bytes from "))
        return 0;
    if (number(seq + strlen("icmp_seq="), PINGS_MAX, &i) < 0 || i == 0 ||
        decimal(time + strlen(" time="), &ms) < 0)
        return err_set(err, ERR_FAILED, "ping: a reply is not understood: %.100s", line);
    if (!r->seen[i]) {
        r->seen[i] = true;
        r->ms[r->n++] = ms;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The nearest rank: of 100 times the 99th. */
static void figures(struct replies *r, struct nettest_latency *ret)
{
    double sum = 0;

    ret->received = r->n;
    if (!r->n)
        return;
    qsort(r->ms, r->n, sizeof(*r->ms), compare);
    for (unsigned i = 0; i < r->n; i++)
        sum += r->ms[i];
    ret->min = r->ms[0];
    ret->max = r->ms[r->n - 1];
    ret->avg = sum / r->n;
    ret->p99 = r->ms[(r->n * 99 + 99) / 100 - 1];
}

int measure_ping_parse(const char *text, struct nettest_latency *ret, struct err *err)
{
    _cleanup_free_ char *copy = xstrdup(text);
    _cleanup_free_ struct replies *r = xcalloc(1, sizeof(*r));
    struct nettest_latency l = {0};
    char *save = NULL;

    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (strstr(line, " packets transmitted, ") && number(line, PINGS_MAX, &l.sent) < 0)
            return err_set(err, ERR_FAILED, "ping: its summary is not understood: %.100s", line);
        if (reply(line, r, err) < 0)
            return -1;
    }
    if (l.sent == 0)
        return err_set(err, ERR_FAILED, "ping: its output ends before the summary");
    if (r->n > l.sent)
        return err_set(err, ERR_FAILED, "ping: %u replies to %u pings cannot be", r->n, l.sent);
    figures(r, &l);
    *ret = l;
    return 0;
}
