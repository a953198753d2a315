/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys speak for a node: a new one-time key, and none at all any more. */
#ifndef MUSTER_CONTROLLER_ENROLMENT_H
#define MUSTER_CONTROLLER_ENROLMENT_H

#include "controller/deployment.h"
#include "controller/nodes/userdata.h"

#define ENROL_TTL_S (60 * 60)

/* Makes a one-time key for that node, which is an incarnation of its own, and records it: what was
 * bound to the name before is void for the next hub; enrolment_tell says it to the one that runs.
 * Fills `ret_secret` (hex; the caller wipes it) and *ret_expires (seconds since 1970). */
int enrolment_key(struct store *st, const char *node, unsigned ttl_s, char ret_secret[KEY_HEX_SIZE],
                  uint64_t *ret_expires, struct err *err);
/* What that node is told of its controller, which it reaches at `host`. The keys in `hex` are
 * filled. */
struct enrolment_keys {
    char controller[KEY_HEX_SIZE], sign[KEY_HEX_SIZE];
};
struct userdata enrolment_data(const struct deployment *d, const char *node, const char *host,
                               const char *secret, uint64_t expires, struct enrolment_keys *hex);
/* The keys of that node are void, and no one-time key takes their place. Recorded with an event. */
int enrolment_revoke(struct store *st, const char *node, struct err *err);
/* Has the hub that runs, if any, read again who that node is. */
int enrolment_tell(const struct deployment *d, const char *node, struct err *err);

#endif
