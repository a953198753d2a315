/* SPDX-License-Identifier: Apache-2.0 */
#include "common/hook.h"

#ifdef MUSTER_TEST_HOOKS
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long left = -1;
static const char *once; /* the file that goes with this kill */

/* Before any fork, so that what is forked goes at the same point, as with MUSTER_KILL_AT. */
__attribute__((constructor)) static void read_once(int argc, char **argv)
{
    char word[32];
    long n;
    const char *path = getenv("MUSTER_KILL_ONCE");
    FILE *f = path ? fopen(path, "re") : NULL;

    if (!f)
        return;
    if (fscanf(f, "%31s %ld", word, &n) == 2)
        for (int i = 0; i < argc; i++)
            if (strcmp(argv[i], word) == 0) {
                left = n;
                once = path;
            }
    fclose(f);
}

void hook_point(void)
{
    const char *text = getenv("MUSTER_KILL_AT");

    if (left < 0 && text)
        left = strtol(text, NULL, 10);
    if (left > 0 && --left == 0 && (!once || unlink(once) == 0 || errno == ENOENT))
        raise(SIGKILL);
}

void hook_word(void)
{
    if (getenv("MUSTER_KILL_WORDS"))
        hook_point();
}
#endif
