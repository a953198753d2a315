/* SPDX-License-Identifier: Apache-2.0 */
/* database.survivor: fence. Of two members one is not heard any more, by this hub nor by the other
 * one, whose database runs and has no quorum since: the cloud stops the VM of the lost one, and the
 * other goes on. A member that was restarted meanwhile may lack what the lost one has: an operator
 * decides then. The work is `muster cluster recover --fence`, in a process of its own. */
#include <signal.h>
#include <sys/wait.h>

#include "common/child.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/log.h"
#include "common/str.h"
#include "controller/serve/internal.h"

#define FENCE_AFTER_MS 120000
#define FENCE_MAX_MS 600000

bool fence_is_due(const struct fence_look *l, size_t n, size_t *survivor)
{
    if (n != 2 || l[0].heard == l[1].heard)
        return false;
    *survivor = l[0].heard ? 0 : 1;
    return str_eq(l[*survivor].coordinator, "non-primary");
}

static int note(struct service *s, const char *text, const char *node, int status, struct err *err)
{
    struct event ev = {.ts = clock_wall_ms(), .origin = EVENT_OF_CONTROLLER};

    str_copy(ev.node, sizeof(ev.node), node);
    if (status)
        event_fill(&ev, EVENT_NOTE, "fence", "%s (status %d)", text, status);
    else
        event_fill(&ev, EVENT_NOTE, "fence", "%s", text);
    log_info("%s: %s", node, ev.msg);
    return service_own_event(s, &ev, err);
}

static int begin(struct service *s, size_t survivor, struct err *err)
{
    const char *from = s->config.spec->nodes[survivor].name,
               *without = s->config.spec->nodes[!survivor].name;
    const struct child_opts opts = {
        .path = "/proc/self/exe", .apart = CHILD_SESSION, .bound = true};
    const char *const argv[] = {"muster",    "cluster",         "recover", "--from",
                                from,        "--without",       without,   "--fence",
                                "--confirm", without,           "-f",      s->config.file,
                                "--because", "survivor: fence", NULL};

    if (note(s,
             "is not heard, and the other one has no quorum: its VM is stopped, and the other "
             "one goes on without it (database.survivor)",
             without, 0, err) < 0)
        return -1;
    s->fence.since = 0; /* should it not start: not at once again */
    s->fence.end = clock_mono_ms() + FENCE_MAX_MS;
    return child_start(argv, &opts, &s->fence.pid, err);
}

static int ended(struct service *s, int status, struct err *err)
{
    s->fence.since = 0;
    if (status == 0)
        return 0;
    return note(s,
                "may run still, and the other one waits: 'muster serve' has said why; it is "
                "tried again",
                s->config.spec->nodes[!s->fence.survivor].name,
                WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), err);
}

int fence_run(struct service *s, struct err *err)
{
    const struct spec *spec = s->config.spec;
    struct fence_look look[2] = {0};
    uint64_t now = clock_mono_ms();
    size_t survivor = 0;
    int status;

    if (!s->config.file || !spec->database.fence)
        return 0;
    for (size_t i = 0; i < 2; i++) {
        const json_t *c = json_object_get(s->states[i], "coordinator");

        look[i] = (struct fence_look){.heard = service_hears(s, i),
                                      .coordinator = js_opt_str(c, "state", "")};
    }
    bool due = fence_is_due(look, spec->n_nodes, &survivor);
    if (s->fence.pid)
        return child_works(&s->fence.pid, s->fence.end, &status) ? 0 : ended(s, status, err);
    if (!due || s->fence.survivor != survivor)
        s->fence.since = 0;
    s->fence.survivor = survivor;
    if (due && !s->fence.since)
        s->fence.since = now;
    return due && now - s->fence.since >= FENCE_AFTER_MS ? begin(s, survivor, err) : 0;
}

void fence_close(struct service *s)
{
    if (!s->fence.pid)
        return;
    kill(-s->fence.pid, SIGKILL);
    waitpid(s->fence.pid, NULL, 0);
}
