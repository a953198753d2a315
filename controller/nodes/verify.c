/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/str.h"

#define PAGE_MAX (4 * 1024 * 1024)

struct probe {
    struct verify_result *result;
    struct visit_wanted wanted;
};

static void on_page(void *ctx, const struct http_answer *a)
{
    struct probe *p = ctx;
    struct verify_result *r = p->result;
    const struct visit_answer got = {a->status, a->location, a->body, a->len};

    r->site = a->status;
    if (a->status)
        visit_judge(&p->wanted, &got, r->why);
    else
        snprintf(r->why, sizeof(r->why), "the site does not answer: %.200s", a->err.msg);
}

bool verify_sites(struct http *h, const struct spec *s, const char *const urls[],
                  unsigned timeout_s, struct verify_result *ret)
{
    const char *path = s->app.health_path[0] ? s->app.health_path : "/";
    struct probe *probes = xcalloc(s->n_nodes, sizeof(*probes));
    bool all = true;

    memset(ret, 0, s->n_nodes * sizeof(*ret));
    for (size_t i = 0; i < s->n_nodes; i++) {
        _cleanup_free_ char *url = str_fmt("%s%s", urls[i], path);

        ret[i].has_url = urls[i][0] && s->web.present;
        if (!ret[i].has_url)
            continue;
        probes[i] =
            (struct probe){&ret[i], {path, s->app.health_path[0] != '\0', s->app.health_expect}};
        http_start(h,
                   &(struct http_call){
                       .url = url, .site = s->app.site, .max = PAGE_MAX, .timeout_s = timeout_s},
                   on_page, &probes[i]);
    }
    while (http_pending(h))
        http_wait(h, NULL, 0, 1000);
    for (size_t i = 0; i < s->n_nodes; i++)
        all = all && !ret[i].why[0];
    free(probes);
    return all;
}
