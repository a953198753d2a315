/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/backup_view.h"

#include "common/clock.h"
#include "common/js.h"

json_t *backup_view_of(const json_t *state)
{
    json_t *b = json_object_get(state, "backup");

    return json_is_object(b) ? json_incref(b) : json_null();
}

/* The newest of that kind among the nodes. */
static const json_t *newest(const json_t *nodes, const char *what, const char **ret_node)
{
    const json_t *best = NULL, *n;
    size_t i;

    json_array_foreach((json_t *)nodes, i, n)
    {
        const json_t *one = json_object_get(json_object_get(n, "backup"), what);

        if (json_is_object(one) && js_opt_u64(one, "at", 0) > js_opt_u64(best, "at", 0)) {
            best = one;
            *ret_node = js_opt_str(n, "name", "");
        }
    }
    return best;
}

static void render_failures(const json_t *nodes, struct strbuf *ret)
{
    const json_t *n;
    size_t i;

    json_array_foreach((json_t *)nodes, i, n)
    {
        const json_t *f = json_object_get(json_object_get(n, "backup"), "failed");

        if (json_is_object(f))
            strbuf_addf(ret, "  %-8s its last backup, verification or restore failed: %.300s\n",
                        js_opt_str(n, "name", ""), js_opt_str(f, "why", "?"));
    }
}

void backup_view_render(const json_t *nodes, uint64_t now, struct strbuf *ret)
{
    const char *made_by = "", *verified_by = "";
    const json_t *made = newest(nodes, "made", &made_by),
                 *verified = newest(nodes, "verified", &verified_by), *n;
    uint64_t every = 0, known = 0, at = js_opt_u64(made, "at", 0);
    char age[CLOCK_AGE_MAX], seen[CLOCK_AGE_MAX];
    size_t i;

    json_array_foreach((json_t *)nodes, i, n)
    {
        const json_t *b = json_object_get(n, "backup");

        if (!json_is_object(b))
            continue;
        known++;
        if (js_opt_u64(b, "every", 0) > every)
            every = js_opt_u64(b, "every", 0);
    }
    if (!known)
        return;
    clock_age(at, now, age);
    clock_age(js_opt_u64(verified, "at", 0), now, seen);
    if (!made)
        strbuf_adds(ret, "  backups: none has been made yet\n");
    else
        strbuf_addf(ret, "  backups: the last %s, by %s: %.1f MB in %.1f s; %s%s\n", age, made_by,
                    (double)js_opt_u64(made, "bytes", 0) / 1e6,
                    (double)js_opt_u64(made, "took_ms", 0) / 1e3,
                    verified ? "one was verified "
                             : "none was ever verified: 'muster backup "
                               "verify NAME' restores it to try",
                    verified ? seen : "");
    if (made && every && now > at && (now - at) / 1000 > 2 * every)
        strbuf_addf(ret,
                    "  backups: late: one is due every %llu minutes, and the last was made "
                    "%s\n",
                    (unsigned long long)(every / 60), age);
    render_failures(nodes, ret);
}
