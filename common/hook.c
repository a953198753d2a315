/* SPDX-License-Identifier: Apache-2.0 */
#include "common/hook.h"

#ifdef MUSTER_TEST_HOOKS
#include <signal.h>
#include <stdlib.h>

void hook_point(void)
{
    static long left = -1;
    const char *text = getenv("MUSTER_KILL_AT");
    if (!text)
        return;
    if (left < 0)
        left = strtol(text, NULL, 10);
    if (left > 0 && --left == 0)
        raise(SIGKILL);
}

void hook_word(void)
{
    if (getenv("MUSTER_KILL_WORDS"))
        hook_point();
}
#endif
