/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the beginning of a backup. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct backup_head h, again;
    struct err err;
    size_t len = 0, len_again = 0;

    if (backup_head_parse(data, size, &h, &len, &err) < 0)
        return 0;
    char *bytes = backup_head_bytes(&h, &len_again);
    if (len > size || backup_head_parse(bytes, len_again, &again, &len, &err) < 0 ||
        memcmp(&h, &again, sizeof(h)) != 0)
        abort();
    free(bytes);
    return 0;
}
