/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/keyindex.h"

#include <stdlib.h>
#include <string.h>

#include "common/str.h"

#define SLOTS_MIN 64

static uint64_t start_of(const uint8_t key[KEY_SIZE])
{
    uint64_t start;

    memcpy(&start, key, sizeof(start));
    return start;
}

/* An entry that is there already is not added again. */
static void put(struct keyindex *x, uint64_t start, size_t node)
{
    size_t i = start % x->cap;

    while (x->slots[i].node) {
        if (x->slots[i].start == start && x->slots[i].node == node)
            return;
        i = (i + 1) % x->cap;
    }
    x->slots[i] = (struct keyindex_slot){start, node};
    x->used++;
}

static void grow(struct keyindex *x)
{
    struct keyindex old = *x;

    *x = (struct keyindex){.cap = old.cap ? 2 * old.cap : SLOTS_MIN};
    x->slots = xcalloc(x->cap, sizeof(*x->slots));
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].node)
            put(x, old.slots[i].start, old.slots[i].node);
    free(old.slots);
}

void keyindex_add(struct keyindex *x, const uint8_t key[KEY_SIZE], size_t node)
{
    if (2 * (x->used + 1) > x->cap)
        grow(x);
    put(x, start_of(key), node + 1);
}

bool keyindex_next(const struct keyindex *x, const uint8_t key[KEY_SIZE], size_t *at,
                   size_t *ret_node)
{
    uint64_t start = start_of(key);

    for (; x->cap && *at < x->cap; ++*at) {
        const struct keyindex_slot *s = &x->slots[(start + *at) % x->cap];

        if (!s->node)
            return false;
        if (s->start != start)
            continue;
        *ret_node = s->node - 1;
        ++*at;
        return true;
    }
    return false;
}

void keyindex_free(struct keyindex *x)
{
    free(x->slots);
    *x = (struct keyindex){0};
}
