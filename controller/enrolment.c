/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/enrolment.h"

#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/keys.h"
#include "common/str.h"
#include "controller/serve/link.h"

#define FORGET_MS 5000

int enrolment_key(struct store *st, const char *node, unsigned ttl_s, char ret_secret[KEY_HEX_SIZE],
                  uint64_t *ret_expires, struct err *err)
{
    struct store_node n = {.enrol_expires = (uint64_t)time(NULL) + ttl_s};
    struct curve_pair once;

    if (store_incarnation_next(st, node, &n.incarnation, err) < 0)
        return -1;
    keys_curve_new(&once);
    str_copy(n.name, sizeof(n.name), node);
    memcpy(n.enrol_pub, once.pub, KEY_SIZE);
    keys_hex(once.sec, KEY_SIZE, ret_secret);
    keys_wipe(&once, sizeof(once));
    *ret_expires = n.enrol_expires;
    return store_node_put(st, &n, err);
}

struct userdata enrolment_data(const struct deployment *d, const char *node, const char *host,
                               const char *secret, uint64_t expires, struct enrolment_keys *hex)
{
    keys_hex(d->keys.pub, KEY_SIZE, hex->controller);
    keys_hex(d->sign.pub, KEY_SIZE, hex->sign);
    return (struct userdata){.deployment = d->spec.deployment,
                             .node = node,
                             .address = host,
                             .port = d->spec.controller_port,
                             .controller_key = hex->controller,
                             .sign_key = hex->sign,
                             .bootstrap_secret = secret,
                             .expires = expires};
}

int enrolment_revoke(struct store *st, const char *node, struct err *err)
{
    struct event ev = {.ts = clock_wall_ms(), .origin = EVENT_OF_CONTROLLER};

    str_copy(ev.node, sizeof(ev.node), node);
    event_fill(&ev, EVENT_NOTE, "revoke", "its keys are void: no agent speaks for it any more");
    if (store_begin(st, err) < 0)
        return -1;
    if (store_node_revoke(st, node, err) < 0 || store_event_own(st, &ev, err) < 0) {
        store_rollback(st);
        return -1;
    }
    return store_commit(st, err);
}

int enrolment_tell(const struct deployment *d, const char *node, struct err *err)
{
    _cleanup_json_ json_t *answer = NULL;
    struct chan own = {.fd = -1};
    struct err ignored;
    int rc;

    if (link_open(d->state, &own, &ignored) < 0)
        return 0; /* whoever becomes the hub reads it from the store */
    link_ask(&own, REQUEST_FORGET, json_pack("{s:s}", "node", node));
    rc = link_wait(&own, "forgot", FORGET_MS, &answer, err);
    chan_close(&own);
    return rc;
}
