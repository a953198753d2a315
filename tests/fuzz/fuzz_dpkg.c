/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as dpkg's status file. */
#include <stdint.h>

#include "agent/apt/dpkg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "apache2", ""};
    enum dpkg_state state[3];

    dpkg_scan((const char *)data, size, names, 3, state);
    for (int i = 0; i < 3; i++)
        if (state[i] > DPKG_INSTALLED)
            __builtin_trap();
    return 0;
}
