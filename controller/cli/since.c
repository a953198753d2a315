/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/since.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/str.h"

static bool ago(const char *text, uint64_t now, uint64_t *ret)
{
    static const struct {
        char letter;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 9 || !text[digits] || text[digits + 1])
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (units[i].letter == text[digits]) {
            uint64_t ms = strtoull(text, NULL, 10) * units[i].ms;

            *ret = ms < now ? now - ms : 0;
            return true;
        }
    return false;
}

/* The fields that `format` leaves out stay as they are in *tm. */
static bool matches(const char *text, const char *format, struct tm *tm)
{
    struct tm copy = *tm;
    const char *end = strptime(text, format, &copy);

    if (!end || *end)
        return false;
    *tm = copy;
    return true;
}

int since_parse(const char *text, uint64_t now, uint64_t *ret, struct err *err)
{
    static const char *const times[] = {"%H:%M:%S", "%H:%M"};
    static const char *const dates[] = {"%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S",
                                        "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};
    time_t seconds = (time_t)(now / 1000);
    struct tm tm;
    bool found = false;

    if (ago(text, now, ret))
        return 0;
    localtime_r(&seconds, &tm);
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    for (size_t i = 0; i < ARRAY_LEN(times) && !found; i++)
        found = matches(text, times[i], &tm);
    for (size_t i = 0; i < ARRAY_LEN(dates) && !found; i++)
        found = matches(text, dates[i], &tm);
    tm.tm_isdst = -1; /* as the zone has it on that day */
    if (!found || (seconds = mktime(&tm)) < 0)
        return err_set(err, ERR_USAGE,
                       "'%.40s' is no time; examples: 10m, 2h, 3d, 14:05, 2026-01-31, "
                       "'2026-01-31 14:05'",
                       text);
    *ret = (uint64_t)seconds * 1000;
    return 0;
}
