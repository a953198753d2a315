/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/worker/ahead.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/clock.h"

struct report {
    unsigned short step;
    char did;
};

enum { WAS_OK = 1, CHANGED };

struct work {
    int fd;
    const struct plan *plan;
    struct run run;
    int (*one)(const struct step *st, struct run *run, struct err *err);
};

static void work(void *ctx)
{
    struct work *w = ctx;
    const struct plan *plan = w->plan;
    struct run *run = &w->run;
    struct err ignored; /* said when the step's turn comes, if it is still so then */

    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct step *st = &plan->steps[i];

        if (!st->ahead)
            continue;
        run->id = st->id;
        run->started = clock_mono_ms();
        run->spoke = 0;
        int r = w->one(st, run, &ignored);
        const struct report did = {(unsigned short)i, r ? CHANGED : WAS_OK};
        if (r < 0 || write(w->fd, &did, sizeof(did)) != sizeof(did))
            return; /* those that follow may need it */
    }
}

void ahead_start(struct ahead *a, const struct run *run,
                 int (*one)(const struct step *st, struct run *run, struct err *err))
{
    bool any = false;
    int pair[2];

    for (size_t i = 0; !a->started && i < a->plan->n_steps; i++)
        any = any || a->plan->steps[i].ahead;
    if (!any || pipe2(pair, O_CLOEXEC) < 0)
        return;
    a->started = true;
    struct work w = {pair[1], a->plan, *run, one};
    const struct child_opts opts = {.bound = true};
    struct err ignored; /* the steps are done in their turn */
    pid_t pid = -1;
    int r = child_call(work, &w, "the speculative start", &opts, &pid, &ignored);
    close(pair[1]);
    if (r < 0) {
        close(pair[0]);
        return;
    }
    a->pid = pid;
    a->fd = pair[0];
}

int ahead_did(struct ahead *a, size_t i)
{
    struct report w;

    a->started = true;
    while (a->pid && !a->did[i] && read(a->fd, &w, sizeof(w)) == sizeof(w))
        a->did[w.step] = w.did;
    if (a->pid && !a->did[i])
        ahead_end(a);
    return a->did[i] ? a->did[i] == CHANGED : -1;
}

void ahead_end(struct ahead *a)
{
    if (!a->pid)
        return;
    waitpid(a->pid, NULL, 0);
    close(a->fd);
    a->pid = 0;
}
