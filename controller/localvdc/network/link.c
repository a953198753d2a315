/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/network/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S 1000000000ULL
#define DELAY_MAX_NS (10 * NS_PER_S)
#define RATE_DEFAULT 3000000000ULL
#define RATE_MIN 1000ULL
#define RATE_MAX 1000000000000ULL
#define PPM 1000000U
#define BUFFER_MIN_NS (10 * NS_PER_MS)
#define QUEUED_MAX (256ULL << 20)

enum region { EUROPE, EAST_COAST, WEST_COAST, HONG_KONG, SINGAPORE, REGIONS };

/* Round trips in milliseconds as they are usual between these places. */
static const unsigned rtt_ms[REGIONS][REGIONS] = {
    {12, 80, 145, 190, 160}, {80, 12, 62, 205, 225},  {145, 62, 12, 150, 170},
    {190, 205, 150, 12, 35}, {160, 225, 170, 35, 12},
};

static enum region region_of(const char *zone)
{
    static const struct {
        const char *zone;
        enum region region;
    } away[] = {{"New York", EAST_COAST},
                {"Los Angeles", WEST_COAST},
                {"Hong Kong", HONG_KONG},
                {"Singapore", SINGAPORE}};

    for (size_t i = 0; i < ARRAY_LEN(away); i++) {
        if (str_eq(away[i].zone, zone))
            return away[i].region;
    }
    return EUROPE;
}

/* Pairs whose round trip is known better than by region. */
static const struct {
    const char *a, *b;
    uint64_t rtt_ns;
} known[] = {
    {"Frankfurt (ESX)", "Paris (ESX)", 9090 * NS_PER_US},
    {"London", "Slough", 1 * NS_PER_MS},
};

struct link_set link_default(const char *from, const char *to)
{
    uint64_t rtt = rtt_ms[region_of(from)][region_of(to)] * NS_PER_MS;

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if ((str_eq(from, known[i].a) && str_eq(to, known[i].b)) ||
            (str_eq(from, known[i].b) && str_eq(to, known[i].a)))
            rtt = known[i].rtt_ns;
    }
    return (struct link_set){.delay_ns = rtt / 2, .rate = RATE_DEFAULT};
}

struct link_set link_from_doc(const char *from, const char *to, const json_t *doc)
{
    struct link_set s = link_default(from, to);

    if (!doc)
        return s;
    s.delay_ns = (uint64_t)json_integer_value(json_object_get(doc, "delay_ns"));
    s.rate = (uint64_t)json_integer_value(json_object_get(doc, "rate"));
    s.loss_ppm = (uint32_t)json_integer_value(json_object_get(doc, "loss_ppm"));
    s.cut = json_is_true(json_object_get(doc, "cut"));
    return s;
}

json_t *link_to_doc(const char *from, const char *to, const struct link_set *set)
{
    return json_pack("{s:s,s:s,s:I,s:I,s:I,s:b}", "from", from, "to", to, "delay_ns",
                     (json_int_t)set->delay_ns, "rate", (json_int_t)set->rate, "loss_ppm",
                     (json_int_t)set->loss_ppm, "cut", set->cut);
}

/* A decimal number in front of a unit. */
static int number(const char *text, double *ret, const char **ret_unit)
{
    char *end = NULL;

    if (!text || strspn(text, "0123456789.") == 0)
        return -1;
    *ret = strtod(text, &end);
    *ret_unit = end;
    return end == text || strspn(text, "0123456789.") != (size_t)(end - text) ? -1 : 0;
}

int link_parse_time(const char *text, uint64_t *ret_ns, struct err *err)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"us", NS_PER_US}, {"ms", NS_PER_MS}, {"s", NS_PER_S}};
    double n = 0;
    const char *unit = "";

    for (size_t i = 0; number(text, &n, &unit) == 0 && i < ARRAY_LEN(units); i++) {
        if (strcasecmp(unit, units[i].unit) == 0 && n * (double)units[i].ns <= DELAY_MAX_NS) {
            *ret_ns = (uint64_t)(n * (double)units[i].ns + 0.5);
            return 0;
        }
    }
    return err_set(err, ERR_USAGE, "'%s' is no time from 0ms to 10s; write 9.09ms or 250us",
                   text ? text : "");
}

int link_parse_rate(const char *text, uint64_t *ret, struct err *err)
{
    static const struct {
        const char *unit;
        uint64_t bits;
    } units[] = {{"kbit", 1000}, {"mbit", 1000000}, {"gbit", 1000000000}};
    double n = 0;
    const char *unit = "";

    if (text && strcasecmp(text, "none") == 0) {
        *ret = 0;
        return 0;
    }
    for (size_t i = 0; number(text, &n, &unit) == 0 && i < ARRAY_LEN(units); i++) {
        double bits = n * (double)units[i].bits;

        if (strcasecmp(unit, units[i].unit) == 0 && bits >= RATE_MIN && bits <= RATE_MAX) {
            *ret = (uint64_t)(bits + 0.5);
            return 0;
        }
    }
    return err_set(err, ERR_USAGE,
                   "'%s' is no rate from 1kbit to 1000gbit; write 3gbit, 100mbit or none",
                   text ? text : "");
}

int link_parse_loss(const char *text, uint32_t *ret_ppm, struct err *err)
{
    double n = 0;
    const char *unit = "";

    if (number(text, &n, &unit) < 0 || (*unit && !str_eq(unit, "%")) || n > 100)
        return err_set(err, ERR_USAGE, "'%s' is no loss from 0 to 100 percent; write 0.5",
                       text ? text : "");
    *ret_ppm = (uint32_t)(n * PPM / 100 + 0.5);
    return 0;
}

void link_rate_text(uint64_t rate, char ret[24])
{
    if (rate == 0)
        snprintf(ret, 24, "none");
    else if (rate >= 1000000000)
        snprintf(ret, 24, "%.4ggbit", (double)rate / 1e9);
    else if (rate >= 1000000)
        snprintf(ret, 24, "%.4gmbit", (double)rate / 1e6);
    else
        snprintf(ret, 24, "%.4gkbit", (double)rate / 1e3);
}

const json_t *link_zone(const json_t *zones, const char *text, struct err *err)
{
    const json_t *found = NULL;
    size_t i = 0, n = 0;
    json_t *one = NULL;
    _cleanup_(strbuf_free) struct strbuf names = {0}, all = {0};

    json_array_foreach(zones, i, one)
    {
        const char *name = vdc_str(one, "name");

        strbuf_addf(&all, "%s%s", all.len > 0 ? ", " : "", name);
        if (strcasecmp(name, text) == 0)
            return one;
        if (*text && strncasecmp(name, text, strlen(text)) == 0) {
            strbuf_addf(&names, "%s%s", n > 0 ? ", " : "", name);
            found = one;
            n++;
        }
    }
    if (n == 1)
        return found;
    if (n == 0)
        err_set(err, ERR_USAGE, "there is no zone '%s'; there are: %s", text, strbuf_str(&all));
    else
        err_set(err, ERR_USAGE, "'%s' is the beginning of several zones: %s", text, names.s);
    return NULL;
}

bool lane_admit(struct lane *l, uint64_t now, uint64_t bytes, uint32_t random, uint64_t *ret_due)
{
    const struct link_set *s = &l->set;

    if (s->cut || (s->loss_ppm > 0 && (uint64_t)random * PPM >> 32 < s->loss_ppm))
        return false;
    /* The buffer in front of the transmitter holds a round trip's worth of its rate. */
    uint64_t start = l->free_at > now ? l->free_at : now;
    uint64_t room = 2 * s->delay_ns > BUFFER_MIN_NS ? 2 * s->delay_ns : BUFFER_MIN_NS;
    if (l->queued + bytes > QUEUED_MAX || (s->rate > 0 && start - now > room))
        return false;
    l->free_at = s->rate > 0 ? start + bytes * 8 * NS_PER_S / s->rate : now;
    uint64_t due = l->free_at + s->delay_ns;
    l->last_due = due > l->last_due ? due : l->last_due;
    l->queued += bytes;
    *ret_due = l->last_due;
    return true;
}

void lane_done(struct lane *l, uint64_t bytes)
{
    l->queued -= bytes;
}

void lane_set(struct lane *l, const struct link_set *set)
{
    /* What waits in front of a slow transmitter must not hold up a faster one. */
    if (set->rate == 0 || set->rate > l->set.rate)
        l->free_at = 0;
    l->set = *set;
}
