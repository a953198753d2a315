/* SPDX-License-Identifier: Apache-2.0 */
#include "common/proto.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

static const char *const type_names[PROTO_TYPES] = {
    [PROTO_ENROL] = "enrol", [PROTO_BOUND] = "bound",     [PROTO_REFUSED] = "refused",
    [PROTO_HELLO] = "hello", [PROTO_PLAN] = "plan",       [PROTO_ROSTER] = "roster",
    [PROTO_EVENT] = "event", [PROTO_ACK] = "ack",         [PROTO_STATE] = "state",
    [PROTO_LOOK] = "look",   [PROTO_MEASURE] = "measure", [PROTO_MEASURED] = "measured",
};

static const char *const phase_names[PHASES] = {
    [PHASE_UNKNOWN] = "unknown", [PHASE_ENROLLED] = "enrolled", [PHASE_CONVERGING] = "converging",
    [PHASE_READY] = "ready",     [PHASE_FAILED] = "failed",
};

const char *proto_type_name(enum proto_type t)
{
    return t < PROTO_TYPES ? type_names[t] : "?";
}

const char *proto_phase_name(enum proto_phase p)
{
    return p < PHASES ? phase_names[p] : "?";
}

enum proto_phase proto_phase_of(const json_t *state)
{
    const char *name = js_opt_str(state, "phase", "");
    enum proto_phase p = PHASES - 1;

    while (p > PHASE_UNKNOWN && !str_eq(name, phase_names[p]))
        p--;
    return p;
}

int proto_parse(const char *text, size_t len, enum proto_type *ret_type, json_t **ret,
                struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    const char *name;
    enum proto_type t;

    if (js_parse(text, len, &j, err) < 0)
        return err_wrap(err, "message");
    if (!json_is_object(j))
        return err_set(err, ERR_FAILED, "message: is not an object");
    if (js_str(j, "t", &name, err) < 0)
        return err_wrap(err, "message");
    for (t = 0; t < PROTO_TYPES; t++)
        if (str_eq(name, type_names[t]))
            break;
    if (t == PROTO_TYPES)
        return err_set(err, ERR_FAILED, "message: unknown type");
    *ret_type = t;
    *ret = TAKE(j);
    return 0;
}

char *proto_text(enum proto_type t, json_t *members)
{
    _cleanup_json_ json_t *j = members ? members : json_object();

    if (json_object_set_new(j, "t", json_string(proto_type_name(t))) < 0)
        abort();
    return js_text(j);
}
