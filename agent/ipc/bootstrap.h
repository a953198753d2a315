/* SPDX-License-Identifier: Apache-2.0 */
/* What user-data told this machine (docs/protocol.md, section 1), and forgetting its secret. */
#ifndef MUSTER_AGENT_IPC_BOOTSTRAP_H
#define MUSTER_AGENT_IPC_BOOTSTRAP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/keys.h"

struct bootstrap {
    char deployment[64];
    char node[64];
    char enrol[128];
    char main[128];
    uint8_t controller_key[KEY_SIZE];
    uint8_t sign_key[KEY_SIZE];
    bool has_secret; /* false once this machine is enrolled */
    uint8_t secret[KEY_SIZE];
};

int bootstrap_parse(const char *text, size_t len, struct bootstrap *ret, struct err *err);
int bootstrap_load(const char *path, struct bootstrap *ret, struct err *err);
/* Rewrites `path` without the secret, scrubs it from the copies that cloud-init keeps, and wipes
 * it in *b. What could not be scrubbed is the error; the file itself is done first. */
int bootstrap_forget(const char *path, struct bootstrap *b, struct err *err);

#endif
