/* SPDX-License-Identifier: Apache-2.0 */
#include "common/uuid.h"

#include <ctype.h>
#include <string.h>

static bool begins(const char *s)
{
    for (int i = 0; i < UUID_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i])) /* the NUL is neither */
            return false;
    }
    return true;
}

bool uuid_valid(const char *s)
{
    return begins(s) && s[UUID_SIZE - 1] == '\0';
}

bool uuid_read(const char *s, char ret[UUID_SIZE])
{
    if (!begins(s))
        return false;
    memcpy(ret, s, UUID_SIZE - 1);
    ret[UUID_SIZE - 1] = '\0';
    return true;
}
