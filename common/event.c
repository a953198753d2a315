/* SPDX-License-Identifier: Apache-2.0 */
#include "common/event.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"
#include "common/text.h"

static const char *const kind_names[EVENT_KINDS] = {
    [EVENT_PLAN] = "plan",       [EVENT_START] = "start",     [EVENT_PROGRESS] = "progress",
    [EVENT_OK] = "ok",           [EVENT_CHANGED] = "changed", [EVENT_FAILED] = "failed",
    [EVENT_REFUSED] = "refused", [EVENT_DONE] = "done",       [EVENT_ABORTED] = "aborted",
    [EVENT_CLUSTER] = "cluster", [EVENT_NOTE] = "note",
};

static const char *const origin_names[EVENT_ORIGINS] = {
    [EVENT_OF_AGENT] = "agent",
    [EVENT_OF_CONTROLLER] = "controller",
};

const char *event_kind_name(enum event_kind kind)
{
    return kind < EVENT_KINDS ? kind_names[kind] : "?";
}

const char *event_origin_name(enum event_origin origin)
{
    return origin < EVENT_ORIGINS ? origin_names[origin] : "?";
}

static int find(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return i;
    return -1;
}

int event_kind_find(const char *name, enum event_kind *ret)
{
    int i = find(kind_names, EVENT_KINDS, name);

    if (i >= 0)
        *ret = (enum event_kind)i;
    return i < 0 ? -1 : 0;
}

int event_origin_find(const char *name, enum event_origin *ret)
{
    int i = find(origin_names, EVENT_ORIGINS, name);

    if (i >= 0)
        *ret = (enum event_origin)i;
    return i < 0 ? -1 : 0;
}

static void clean_text(char *s)
{
    for (char *c = s; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    str_utf8(s);
}

void event_fill(struct event *ev, enum event_kind kind, const char *id, const char *fmt, ...)
{
    va_list ap;

    ev->kind = kind;
    str_copy(ev->id, sizeof(ev->id), id);
    va_start(ap, fmt);
    vsnprintf(ev->msg, sizeof(ev->msg), fmt, ap);
    va_end(ap);
    clean_text(ev->msg);
}

json_t *event_to_json(const struct event *ev)
{
    json_t *j =
        json_pack("{s:I, s:o, s:s, s:o, s:I, s:o, s:s, s:I, s:o}", "ts", (json_int_t)ev->ts, "node",
                  js_string(ev->node), "origin", event_origin_name(ev->origin), "rev",
                  js_string(ev->rev), "seq", (json_int_t)ev->seq, "id", js_string(ev->id), "kind",
                  event_kind_name(ev->kind), "ms", (json_int_t)ev->ms, "msg", js_string(ev->msg));

    if (!j)
        abort();
    return j;
}

static int text_member(const json_t *j, const char *key, char *dst, size_t cap, struct err *err)
{
    const char *s;

    if (js_str(j, key, &s, err) < 0)
        return -1;
    if (!str_copy(dst, cap, s))
        return err_set(err, ERR_FAILED, "member '%s': longer than %zu bytes", key, cap - 1);
    return 0;
}

static int name_member(const json_t *j, const char *key, char *dst, size_t cap, struct err *err)
{
    if (text_member(j, key, dst, cap, err) < 0)
        return -1;
    return text_is_name(dst) ? 0 : err_set(err, ERR_FAILED, "member '%s': is not a name", key);
}

int event_from_json(const json_t *j, struct event *ret, struct err *err)
{
    struct event ev = {0};
    const char *kind, *origin;

    if (!json_is_object(j))
        return err_set(err, ERR_FAILED, "event: is not an object");
    if (js_u64(j, "ts", &ev.ts, err) < 0 || js_u64(j, "seq", &ev.seq, err) < 0 ||
        js_u64(j, "ms", &ev.ms, err) < 0 ||
        name_member(j, "node", ev.node, sizeof(ev.node), err) < 0 ||
        name_member(j, "rev", ev.rev, sizeof(ev.rev), err) < 0 ||
        name_member(j, "id", ev.id, sizeof(ev.id), err) < 0 ||
        text_member(j, "msg", ev.msg, sizeof(ev.msg), err) < 0 ||
        js_str(j, "kind", &kind, err) < 0 || js_str(j, "origin", &origin, err) < 0)
        return err_wrap(err, "event");
    if (event_kind_find(kind, &ev.kind) < 0)
        return err_set(err, ERR_FAILED, "event: unknown kind");
    if (event_origin_find(origin, &ev.origin) < 0)
        return err_set(err, ERR_FAILED, "event: unknown origin");
    clean_text(ev.msg);
    *ret = ev;
    return 0;
}

char *event_text(const struct event *ev)
{
    _cleanup_json_ json_t *j = event_to_json(ev);

    return js_text(j);
}

int event_parse(const char *text, size_t len, struct event *ret, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;

    if (len > EVENT_TEXT_MAX * 2)
        return err_set(err, ERR_FAILED, "event: longer than %d bytes", EVENT_TEXT_MAX * 2);
    if (js_parse(text, len, &j, err) < 0)
        return err_wrap(err, "event");
    return event_from_json(j, ret, err);
}
