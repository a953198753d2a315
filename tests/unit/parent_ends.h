/* SPDX-License-Identifier: Apache-2.0 */
/* For a test that links with --wrap=prctl: a child's parent ends between the fork and the line that
 * binds the child to it. */
#ifndef MUSTER_TESTS_PARENT_ENDS_H
#define MUSTER_TESTS_PARENT_ENDS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"

static bool parent_ends; /* set in the parent, before the fork */

int __real_prctl(int option, ...);
int __wrap_prctl(int option, unsigned long value);

int __wrap_prctl(int option, unsigned long value)
{
    if (parent_ends) {
        pid_t parent = getppid();

        kill(parent, SIGKILL);
        while (getppid() == parent)
            clock_pause_ms(1);
    }
    return __real_prctl(option, value);
}

#endif
