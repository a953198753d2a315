/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/share/status.h"

#include <string.h>

#include "agent/share/rest.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

#define ASK_S 5

static json_t *ask(const char *api_key, const char *what, const struct share *s, const char *device,
                   struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf path = {0};
    json_t *ret = NULL;

    strbuf_addf(&path, "%s?folder=", what);
    rest_quote(&path, s->app);
    if (device) {
        strbuf_adds(&path, "&device=");
        rest_quote(&path, device);
    }
    if (rest_call(api_key, "GET", strbuf_str(&path), ASK_S, &ret, err) == 0 && !ret)
        err_set(err, ERR_FAILED, "Syncthing answered nothing");
    return ret;
}

static json_t *peer_of(const struct share *s, const char *api_key, const json_t *m,
                       const json_t *connections)
{
    struct err ignored;
    const char *device = js_opt_str(m, "device", "");
    bool connected = js_opt_bool(json_object_get(connections, device), "connected", false);
    _cleanup_json_ json_t *completion =
        connected ? ask(api_key, "/rest/db/completion", s, device, &ignored) : NULL;
    json_t *peer =
        json_pack("{s:s, s:b}", "name", js_opt_str(m, "name", ""), "connected", connected);

    uint64_t needs =
        js_opt_u64(completion, "needItems", 0) + js_opt_u64(completion, "needDeletes", 0);
    if (completion)
        json_object_set_new(peer, "needs", json_integer((json_int_t)needs));
    return peer;
}

/* The first of what Syncthing could not write or read. */
static json_t *error_of(const struct share *s, const char *api_key)
{
    struct err ignored;
    _cleanup_json_ json_t *answer = ask(api_key, "/rest/folder/errors", s, NULL, &ignored);
    const json_t *first = json_array_get(json_object_get(answer, "errors"), 0);
    _cleanup_free_ char *text =
        str_fmt("%.200s: %.200s", js_opt_str(first, "path", ""), js_opt_str(first, "error", ""));

    return js_string(first ? text : "a file could not be taken over");
}

static int ask_all(const struct share *s, const char *api_key, struct share_status *st, json_t *out,
                   struct err *err)
{
    _cleanup_json_ json_t *local = ask(api_key, "/rest/db/status", s, NULL, err);
    _cleanup_json_ json_t *connections =
        local ? ask(api_key, "/rest/system/connections", s, NULL, err) : NULL;
    json_t *peers = json_array(), *m;
    size_t i;

    json_object_set_new(out, "peers", peers);
    if (!local || !connections)
        return -1;
    const char *error = js_opt_str(local, "error", "");
    st->files = js_opt_u64(local, "localFiles", 0);
    st->needs = js_opt_u64(local, "needTotalItems", 0);
    json_object_set_new(out, "files", json_integer((json_int_t)st->files));
    json_object_set_new(out, "bytes", json_integer((json_int_t)js_opt_u64(local, "localBytes", 0)));
    json_object_set_new(out, "needs", json_integer((json_int_t)st->needs));
    json_object_set_new(out, "needs_bytes",
                        json_integer((json_int_t)js_opt_u64(local, "needBytes", 0)));
    if (*error)
        json_object_set_new(out, "why", js_string(error));
    else if (js_opt_u64(local, "pullErrors", 0))
        json_object_set_new(out, "why", error_of(s, api_key));
    json_array_foreach(s->members, i, m)
    {
        if (strcmp(js_opt_str(m, "name", ""), s->node) != 0)
            json_array_append_new(
                peers, peer_of(s, api_key, m, json_object_get(connections, "connections")));
    }
    return 0;
}

int share_status_take(const struct share *s, const char *api_key, bool runs,
                      struct share_status *st, json_t **ret)
{
    json_t *out = json_pack("{s:s, s:I}", "app", s->app, "conflicts", (json_int_t)st->conflicts);
    struct err err = {0};
    int r = runs ? ask_all(s, api_key, st, out, &err) : -1;

    if (st->held)
        json_object_set_new(out, "held", js_string(st->held));
    if (runs && r < 0)
        json_object_set_new(out, "why", js_string(err.msg));
    else if (st->why)
        json_object_set_new(out, "why", js_string(st->why));
    *ret = out;
    return r;
}
