/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ahead.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"

enum { NOT, WAS_OK, CHANGED }; /* in `did`; fresh memory is zeros */

static void work(unsigned char *did, struct run run,
                 int (*one)(const struct step *st, struct run *run, struct err *err))
{
    struct err ignored; /* said when the step's turn comes, if it is still so then */
    for (size_t i = 0; i < run.plan->n_steps; i++) {
        const struct step *st = &run.plan->steps[i];
        if (!st->ahead)
            continue;
        run.id = st->id;
        run.started = clock_mono_ms();
        run.spoke = 0;
        int r = one(st, &run, &ignored);
        if (r < 0)
            return; /* those that follow may need it */
        did[i] = r ? CHANGED : WAS_OK;
    }
}

void ahead_start(struct ahead *a, const struct run *run,
                 int (*one)(const struct step *st, struct run *run, struct err *err))
{
    bool any = false;
    for (size_t i = 0; i < run->plan->n_steps; i++)
        any = any || run->plan->steps[i].ahead;
    if (a->started || !any)
        return;
    a->started = true;
    void *shared =
        mmap(NULL, run->plan->n_steps, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return;
    a->did = shared;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            work(a->did, *run, one);
        _exit(0);
    }
    a->pid = pid > 0 ? pid : 0;
}

static void join(struct ahead *a)
{
    a->started = true;
    if (a->pid)
        waitpid(a->pid, NULL, 0);
    a->pid = 0;
}

int ahead_did(struct ahead *a, size_t i)
{
    join(a);
    return a->did && a->did[i] != NOT ? a->did[i] == CHANGED : -1;
}

void ahead_end(struct ahead *a, const struct plan *plan)
{
    join(a);
    if (a->did)
        munmap(a->did, plan->n_steps);
}
