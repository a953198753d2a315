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
    const struct spec_app *app;
    bool health;
};

/* Applications that are not installed, or wait for the upgrade of their data, send visitors there.
 */
static bool is_installer(const char *location)
{
    static const char *const words[] = {"install", "upgrade", "setup", "mw-config"};
    const char *path = strstr(location, "://");

    path = path ? strchr(path + 3, '/') : location;
    for (size_t i = 0; path && i < ARRAY_LEN(words); i++)
        if (strcasestr(path, words[i]))
            return true;
    return false;
}

/* What keeps visitors from the site although it answers; "": nothing. */
static void judge_page(const struct http_answer *a, const struct spec_app *app, char *why,
                       size_t cap)
{
    const char *path = app->health_path[0] ? app->health_path : "/", *to = a->location;

    if (str_starts(a->body, "<?php"))
        str_copy(why, cap, "the site serves its code as text: PHP is not active in Apache");
    else if (a->status < 200 || a->status >= 400)
        snprintf(why, cap, "the site answers HTTP %ld at %.100s", a->status, path);
    else if (to && is_installer(to))
        snprintf(why, cap, "%.80s sends visitors to %.120s: the application is not installed", path,
                 to);
    else if (app->health_path[0] && a->status >= 300)
        snprintf(why, cap, "%.80s sends visitors to %.120s (HTTP %ld)", path, to ? to : "nowhere",
                 a->status);
    else if (app->health_expect[0] &&
             !memmem(a->body, a->len, app->health_expect, strlen(app->health_expect)))
        snprintf(why, cap, "%.80s does not say '%.120s'", path, app->health_expect);
}

static void on_page(void *ctx, const struct http_answer *a)
{
    struct probe *p = ctx;
    struct verify_result *r = p->result;
    _cleanup_json_ json_t *j = NULL;
    struct err bad;

    if (!p->health) {
        r->site = a->status;
        if (a->status)
            judge_page(a, p->app, r->why, sizeof(r->why));
        else
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
    if (r->health && !r->computed)
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
        _cleanup_free_ char *site =
            str_fmt("%s%s", urls[i], s->app.health_path[0] ? s->app.health_path : "/");

        ret[i].has_url = urls[i][0] && s->web.present;
        if (!ret[i].has_url)
            continue;
        probes[2 * i] = (struct probe){&ret[i], &s->app, false};
        probes[2 * i + 1] = (struct probe){&ret[i], &s->app, true};
        http_start(h,
                   &(struct http_call){
                       .url = site, .site = s->app.site, .max = PAGE_MAX, .timeout_s = timeout_s},
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
