/* SPDX-License-Identifier: Apache-2.0 */
/* Points at which a crash test kills the program (CMake option MUSTER_TEST_HOOKS, never in a
 * release): the n-th one that is passed, with MUSTER_KILL_AT=n in the environment. Of programs that
 * a service starts, the one to be killed, and only the first time: MUSTER_KILL_ONCE names a file
 * "WORD n", which is for a program that has WORD among its arguments, and goes with the kill. */
#ifndef MUSTER_HOOK_H
#define MUSTER_HOOK_H

#ifdef MUSTER_TEST_HOOKS
void hook_point(void);
/* What a child at work says is a point only with MUSTER_KILL_WORDS: there are hundreds. */
void hook_word(void);
#else
static inline void hook_point(void)
{
}
static inline void hook_word(void)
{
}
#endif

#endif
