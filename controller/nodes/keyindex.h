/* SPDX-License-Identifier: Apache-2.0 */
/* Which node a key may be of, without a look at all of them. It only suggests: whoever asks
 * compares the key with what the node has now, so an entry that is old does no harm. */
#ifndef MUSTER_CONTROLLER_NODES_KEYINDEX_H
#define MUSTER_CONTROLLER_NODES_KEYINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/keys.h"

struct keyindex {
    struct keyindex_slot {
        uint64_t start; /* of the key: keys are random */
        size_t node;    /* + 1; 0: the slot is free */
    } * slots;
    size_t cap, used;
};

void keyindex_add(struct keyindex *x, const uint8_t key[KEY_SIZE], size_t node);
/* The next node that `key` may be of; *at is 0 for the first. False: there is none. */
bool keyindex_next(const struct keyindex *x, const uint8_t key[KEY_SIZE], size_t *at,
                   size_t *ret_node);
void keyindex_free(struct keyindex *x);

#endif
