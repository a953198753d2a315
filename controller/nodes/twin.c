/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/nodes/twin.h"

#include <string.h>

#define ON_ITS_WAY_MS 5000

static bool same(const uint8_t *rid, size_t len, const struct zmsg *m)
{
    return len && len == m->rid_len && memcmp(rid, m->rid, len) == 0;
}

void twin_greeted(struct twin *t, const struct zmsg *from, const struct zmsg *to, uint64_t now)
{
    if (!from->rid_len || same(from->rid, from->rid_len, to))
        return;
    memcpy(t->left, from->rid, from->rid_len);
    t->left_len = from->rid_len;
    t->since = now;
}

bool twin_speaks(const struct twin *t, const struct zmsg *m, uint64_t now)
{
    return same(t->left, t->left_len, m) && now - t->since > ON_ITS_WAY_MS;
}
