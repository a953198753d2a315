/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks. Deadlines use the monotonic one, records the wall clock. */
#ifndef MUSTER_CLOCK_H
#define MUSTER_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void); /* since boot */
uint64_t clock_wall_ms(void); /* since 1970 */
/* Sleeps without looking at anything; only for the pause between two looks at a condition. */
void clock_pause_ms(unsigned ms);
/* Of two times until something is due, in ms, the sooner one; -1 is never. */
int clock_sooner(int a, int b);
/* How long ago `ts` was, for people: "4 s ago", "2 h ago"; "never" for 0. Both in ms. */
#define CLOCK_AGE_MAX 24
void clock_age(uint64_t ts, uint64_t now, char ret[CLOCK_AGE_MAX]);

#endif
