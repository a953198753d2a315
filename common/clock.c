/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t now_ms(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t clock_mono_ms(void)
{
    return now_ms(CLOCK_BOOTTIME);
}

uint64_t clock_wall_ms(void)
{
    return now_ms(CLOCK_REALTIME);
}

void clock_pause_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

int clock_sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

void clock_age(uint64_t ts, uint64_t now, char ret[CLOCK_AGE_MAX])
{
    unsigned long long s = now > ts ? (now - ts) / 1000 : 0;

    if (!ts)
        snprintf(ret, CLOCK_AGE_MAX, "never");
    else if (s < 120)
        snprintf(ret, CLOCK_AGE_MAX, "%llu s ago", s);
    else if (s < 2 * 60 * 60)
        snprintf(ret, CLOCK_AGE_MAX, "%llu min ago", s / 60);
    else if (s < 2 * 24 * 60 * 60)
        snprintf(ret, CLOCK_AGE_MAX, "%llu h ago", s / 3600);
    else
        snprintf(ret, CLOCK_AGE_MAX, "%llu d ago", s / 86400 % 1000000);
}
