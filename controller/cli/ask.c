/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/ask.h"

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/str.h"
#include "controller/serve/link.h"

#define ANSWER_MS 3000 /* of a node; one whose agent is not connected is not waited for */
#define GRACE_MS 2000  /* of the hub itself, after that */

void ask_init(struct ask *a, const char *file, const char *state, const char *role)
{
    *a = (struct ask){.file = file,
                      .state = state,
                      .role = role,
                      .link.fd = -1,
                      .own = {.d.lock_fd = -1, .lock_fd = -1}};
}

void ask_close(struct ask *a)
{
    chan_close(&a->link);
    own_hub_close(&a->own);
}

static int connect_to_hub(struct ask *a, struct err *err)
{
    _cleanup_(strbuf_free) struct strbuf problems = {0};
    struct err none;

    if (a->link.fd >= 0 || link_open(a->state, &a->link, &none) == 0)
        return 0;
    a->link.fd = -1;
    own_hub_close(&a->own);
    if (own_hub_open(a->file, a->role, OWN_HUB_LOOKS, &a->own, &problems, err) < 0)
        return -1;
    return link_open(a->state, &a->link, err);
}

static int answer_of_own(struct ask *a, const char *member, unsigned wait_ms, json_t **ret,
                         struct err *err)
{
    uint64_t end = clock_mono_ms() + wait_ms;

    while (link_wait(&a->link, member, 0, ret, err) < 0) {
        if (err->code != ERR_TIMEOUT || clock_mono_ms() >= end ||
            service_run(a->own.service, ANSWER_MS, err) < 0)
            return -1;
        if (service_is_outdated(a->own.service))
            return err_set(err, ERR_LOCKED, "a run of 'muster up' has just begun");
    }
    return 0;
}

/* A hub that has just ended is asked again, as whoever is the hub then. */
static int ask_hub(struct ask *a, enum request_kind kind, const json_t *members, const char *member,
                   unsigned wait_ms, json_t **ret, struct err *err)
{
    int rc = -1;

    if (a->own.service && service_is_outdated(a->own.service))
        ask_close(a);
    for (int i = 0; i < 2 && rc < 0; i++) { /* the hub may just have ended */
        if (connect_to_hub(a, err) < 0)
            return -1;
        link_ask(&a->link, kind, json_copy((json_t *)members));
        rc = a->own.service ? answer_of_own(a, member, wait_ms, ret, err)
                            : link_wait(&a->link, member, (int)wait_ms, ret, err);
        if (rc < 0)
            chan_close(&a->link);
        if (rc < 0 && err->code == ERR_LOCKED) {
            ask_close(a); /* the run becomes the hub */
            return -1;
        }
    }
    return rc;
}

int ask_nodes(struct ask *a, json_t **ret, struct err *err)
{
    _cleanup_json_ json_t *members = json_pack("{s:i}", "wait_ms", ANSWER_MS);

    return ask_hub(a, REQUEST_STATE, members, "nodes", ANSWER_MS + GRACE_MS, ret, err);
}

int ask_measure(struct ask *a, const char *from, const struct nettest_order *o, json_t **ret,
                struct err *err)
{
    _cleanup_json_ json_t *members = nettest_order_json(o);
    _cleanup_json_ json_t *answer = NULL;
    unsigned wait_ms =
        o->what == NETTEST_PREPARE ? NETTEST_PREPARE_S * 1000 : (o->seconds + NETTEST_HUB_S) * 1000;

    json_object_set_new(members, "from", json_string(from));
    if (ask_hub(a, REQUEST_MEASURE, members, "measured", wait_ms + GRACE_MS, &answer, err) < 0)
        return -1;
    *ret = json_incref(json_object_get(answer, "measured"));
    return 0;
}
