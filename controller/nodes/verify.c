/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"
#include "controller/nodes/layout.h"
#include "controller/nodes/planner.h"

#define PAGE_MAX (4 * 1024 * 1024)

struct probe {
    struct verify_result *result;
    bool health;
};

static void on_page(void *ctx, const struct http_answer *a)
{
    struct probe *p = ctx;
    struct verify_result *r = p->result;
    _cleanup_json_ json_t *j = NULL;
    struct err bad;

    if (!p->health) {
        r->site = a->status;
        if (a->status && str_starts(a->body, "<?php"))
            str_copy(r->why, sizeof(r->why),
                     "the site serves its code as text: PHP is not active in Apache");
        if (a->status == 0)
            snprintf(r->why, sizeof(r->why), "the site does not answer: %.200s", a->err.msg);
        return;
    }
    r->health = a->status;
    if (a->status && js_parse(a->body, a->len, &j, &bad) == 0) {
        r->computed = js_opt_str(j, "node", "")[0] != '\0';
        str_copy(r->db, sizeof(r->db), js_opt_str(j, "db", ""));
        r->cluster_size = (unsigned)js_opt_u64(j, "cluster_size", 0);
        layout_drift(j, r->drift, sizeof(r->drift));
    }
}

static void judge(struct verify_result *r, const struct spec *s)
{
    if (!r->has_url || r->why[0])
        return;
    if (r->site < 200 || r->site >= 400)
        snprintf(r->why, sizeof(r->why), "the site answers HTTP %ld", r->site);
    else if (r->health && !r->computed)
        snprintf(r->why, sizeof(r->why),
                 "its health page (HTTP %ld) is not what PHP makes of it; is PHP active in Apache?",
                 r->health);
    else if (s->database.present && (!layout_db_serves(r->db) || r->health != 200))
        snprintf(r->why, sizeof(r->why), "its database is %s", r->db[0] ? r->db : "not reachable");
    else if (s->database.present && r->cluster_size != s->n_nodes)
        snprintf(r->why, sizeof(r->why), "its database sees %u of %zu members", r->cluster_size,
                 s->n_nodes);
}

bool verify_sites(struct http *h, const struct spec *s, const char *const urls[],
                  unsigned timeout_s, struct verify_result *ret)
{
    struct probe *probes = xcalloc(s->n_nodes * 2, sizeof(*probes));
    bool all = true;

    memset(ret, 0, s->n_nodes * sizeof(*ret));
    for (size_t i = 0; i < s->n_nodes; i++) {
        _cleanup_free_ char *health = str_fmt("%s%s", urls[i], PLANNER_HEALTH_PATH);
        _cleanup_free_ char *site = str_fmt("%s/", urls[i]);

        ret[i].has_url = urls[i][0] && s->web.present;
        if (!ret[i].has_url)
            continue;
        probes[2 * i] = (struct probe){&ret[i], false};
        probes[2 * i + 1] = (struct probe){&ret[i], true};
        http_start(h, &(struct http_call){.url = site, .max = PAGE_MAX, .timeout_s = timeout_s},
                   on_page, &probes[2 * i]);
        http_start(h, &(struct http_call){.url = health, .max = PAGE_MAX, .timeout_s = timeout_s},
                   on_page, &probes[2 * i + 1]);
    }
    while (http_pending(h))
        http_wait(h, NULL, 0, 1000);
    for (size_t i = 0; i < s->n_nodes; i++) {
        judge(&ret[i], s);
        all = all && !ret[i].why[0];
    }
    free(probes);
    return all;
}
