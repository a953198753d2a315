/* SPDX-License-Identifier: Apache-2.0 */
/* frontdoor.dns: a program of the operator's is told the addresses that visitors may be sent to,
 * whenever these change. It decides nothing here, and nothing waits for it. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "common/child.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/log.h"
#include "common/str.h"
#include "controller/nodes/layout.h"
#include "controller/serve/internal.h"

#define DNS_SETTLE_MS 5000
#define DNS_MAX_MS 60000
#define DNS_AGAIN_MS 10000 /* doubled five times */
#define DNS_DOUBLED_MAX 5

/* The addresses of those that serve, in the order of the file. False: of one it is not known yet.
 */
static bool addresses(const struct service *s, uint64_t now, struct strbuf *ret)
{
    for (size_t i = 0; i < s->config.spec->n_nodes; i++) {
        const struct spec_node *n = &s->config.spec->nodes[i];
        bool heard = service_hears(s, i);

        if (n->arbitrator)
            continue;
        if (!s->states[i] && now - s->started < HUB_FRESH_MS)
            return false;
        if (heard && *s->facts[i].public_address &&
            layout_takes_visitors(s->config.spec, s->states[i]))
            strbuf_addf(ret, "%s%s", ret->len ? " " : "", s->facts[i].public_address);
    }
    return true;
}

static void begin(struct service *s, uint64_t now)
{
    const struct spec *spec = s->config.spec;
    _cleanup_free_ char *sites = str_fmt("MUSTER_SITES=%s", s->dns.wanted);
    _cleanup_free_ char *deployment = str_fmt("MUSTER_DEPLOYMENT=%s", spec->deployment);
    const char *const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                               deployment, sites, NULL};
    const struct child_opts opts = {.env = env, .cwd = "/", .apart = CHILD_GROUP, .bound = true};
    struct err err;

    s->dns.end = now + DNS_MAX_MS;
    free(s->dns.telling);
    s->dns.telling = xstrdup(s->dns.wanted);
    if (child_start((const char *const[]){spec->frontdoor.dns, NULL}, &opts, &s->dns.pid, &err) ==
        0)
        return;
    log_warn("%s", err.msg);
    s->dns.pid = 0;
    s->dns.next = now + DNS_AGAIN_MS;
}

/* A failure is said once for each text. */
static void ended(struct service *s, int status, uint64_t now)
{
    if (status == 0) {
        log_info("%s was told: %s", s->config.spec->frontdoor.dns, s->dns.telling);
        free(s->dns.told);
        s->dns.told = s->dns.telling;
        s->dns.telling = NULL;
        s->dns.failures = 0;
        return;
    }
    log_warn("%s ended with status %d; it is tried again", s->config.spec->frontdoor.dns,
             WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    s->dns.next = now + ((uint64_t)DNS_AGAIN_MS << s->dns.failures);
    s->dns.failures += s->dns.failures < DNS_DOUBLED_MAX;
}

void dns_run(struct service *s)
{
    _cleanup_(strbuf_free) struct strbuf now_is = {0};
    uint64_t now = clock_mono_ms();
    int status = 0;

    if (!s->config.file || !s->config.spec->frontdoor.dns[0])
        return;
    if (s->dns.pid) {
        if (!child_works(&s->dns.pid, s->dns.end, &status))
            ended(s, status, now);
        return;
    }
    /* That nobody serves is no reason to take the last addresses away. */
    if (!addresses(s, now, &now_is) || !now_is.len)
        return;
    if (!str_eq(s->dns.wanted, now_is.s)) {
        free(s->dns.wanted);
        s->dns.wanted = xstrdup(now_is.s);
        s->dns.since = now;
        s->dns.next = 0;
        s->dns.failures = 0;
    }
    if (!str_eq(s->dns.told, s->dns.wanted) && now - s->dns.since >= DNS_SETTLE_MS &&
        now >= s->dns.next)
        begin(s, now);
}

void dns_close(struct service *s)
{
    if (s->dns.pid) {
        kill(-s->dns.pid, SIGKILL);
        waitpid(s->dns.pid, NULL, 0);
    }
    free(s->dns.wanted);
    free(s->dns.telling);
    free(s->dns.told);
}
