/* SPDX-License-Identifier: Apache-2.0 */
#include "common/event.h"

#include <stdarg.h>
#include <stdbool.h>
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

static const char *const unit_names[EVENT_UNITS] = {
    [EVENT_UNCOUNTED] = "",
    [EVENT_STEPS] = "steps",
    [EVENT_BYTES] = "bytes",
    [EVENT_PACKAGES] = "packages",
};

const char *event_kind_name(enum event_kind kind)
{
    return kind < EVENT_KINDS ? kind_names[kind] : "?";
}

const char *event_origin_name(enum event_origin origin)
{
    return origin < EVENT_ORIGINS ? origin_names[origin] : "?";
}

const char *event_unit_name(enum event_unit unit)
{
    return unit < EVENT_UNITS ? unit_names[unit] : "";
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

int event_unit_find(const char *name, enum event_unit *ret)
{
    int i = find(unit_names, EVENT_UNITS, name);

    if (i >= 0)
        *ret = (enum event_unit)i;
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

/* What a run of a plan did: how many steps it changed and how many were in sync. */
static bool has_result(const struct event *ev)
{
    return ev->kind == EVENT_DONE && ev->origin == EVENT_OF_AGENT;
}

static void set_number(json_t *j, const char *key, uint64_t n)
{
    if (json_object_set_new(j, key, json_integer((json_int_t)n)) < 0)
        abort();
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
    if (ev->count.unit != EVENT_UNCOUNTED) {
        json_object_set_new(j, "unit", json_string(event_unit_name(ev->count.unit)));
        set_number(j, "done", ev->count.done);
        set_number(j, "total", ev->count.total);
    }
    if (has_result(ev)) {
        set_number(j, "changed", ev->changed);
        set_number(j, "ok", ev->ok);
    }
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

static int count_member(const json_t *j, struct event_count *ret, struct err *err)
{
    const char *unit;

    if (!json_object_get(j, "unit"))
        return 0;
    if (js_str(j, "unit", &unit, err) < 0 || js_u64(j, "done", &ret->done, err) < 0 ||
        js_u64(j, "total", &ret->total, err) < 0)
        return -1;
    if (event_unit_find(unit, &ret->unit) < 0 || ret->unit == EVENT_UNCOUNTED)
        return err_set(err, ERR_FAILED, "unknown unit");
    if ((ret->total && ret->done > ret->total) ||
        (ret->unit == EVENT_STEPS && (ret->done > EVENT_STEPS_MAX || ret->total > EVENT_STEPS_MAX)))
        return err_set(err, ERR_FAILED, "member 'done' or 'total': is too large");
    return 0;
}

static int steps_member(const json_t *j, const char *key, unsigned *ret, struct err *err)
{
    uint64_t n;

    if (js_u64(j, key, &n, err) < 0)
        return -1;
    if (n > EVENT_STEPS_MAX)
        return err_set(err, ERR_FAILED, "member '%s': is above %d", key, EVENT_STEPS_MAX);
    *ret = (unsigned)n;
    return 0;
}

/* The counts that this event has, and must have. */
static int counts_members(const json_t *j, struct event *ev, struct err *err)
{
    if (count_member(j, &ev->count, err) < 0)
        return -1;
    if (ev->kind == EVENT_PLAN && ev->count.unit != EVENT_STEPS)
        return err_set(err, ERR_FAILED, "a plan without a count of its steps");
    if (has_result(ev) && (steps_member(j, "changed", &ev->changed, err) < 0 ||
                           steps_member(j, "ok", &ev->ok, err) < 0))
        return -1;
    return 0;
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
    if (counts_members(j, &ev, err) < 0)
        return err_wrap(err, "event");
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
