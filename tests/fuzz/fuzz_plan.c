/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a plan: parsed or refused, and what is parsed can be expanded and freed. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/worker/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plan *p = NULL;
    struct err err;
    char *text = NULL;

    if (plan_parse((const char *)data, size, &p, &err) < 0)
        return 0;
    struct run run = plan_run(p);
    if (run_expand(&run, p->deployment, &text, &err) == 0)
        secret_free(text);
    plan_free(p);
    return 0;
}
