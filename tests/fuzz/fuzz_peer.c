/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a message of another agent: refused, or taken by a coordinator that must keep its
 * own invariants. The first byte picks the state that it finds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cluster/codec.h"
#include "agent/galera/grastate.h"
#include "common/js.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void deliver(const struct cluster_msg *m, uint8_t how)
{
    static struct cluster c;
    static struct cluster_out out;
    struct cluster_config cfg = {.n = 2, .self = how & 1, .names = {"a", "b"}, .seed = how};
    struct cluster_record rec = {.epoch = how & 2};

    memcpy(cfg.manifest, m->manifest, sizeof(cfg.manifest));
    cluster_init(&c, &cfg, how & 4 ? &rec : NULL, 0);
    c.state = (enum cluster_state)(how >> 4) % CLUSTER_STATES;
    c.known = how & 8;
    struct cluster_msg copy = *m;
    copy.from = !(how & 1);
    cluster_step(&c, &(struct cluster_event){.type = EV_MSG, .now = 1, .msg = &copy}, &out);
    cluster_step(&c, &(struct cluster_event){.type = EV_TICK, .now = 20000}, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    json_t *j = NULL;
    struct cluster_msg m;
    struct cluster_record r;

    if (size < 1)
        return 0;
    char *text = calloc(1, size);
    memcpy(text, data + 1, size - 1);
    if (js_parse(text, size - 1, &j, &err) == 0) {
        if (cluster_msg_from_json(j, &m, &err) == 0)
            deliver(&m, data[0]);
        cluster_record_from_json(j, &r, &err);
    }
    struct grastate g;
    grastate_parse(text, &g, &err);
    json_decref(j);
    free(text);
    return 0;
}
