/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDs in text (RFC 9562, section 4): 8-4-4-4-12 hexadecimal digits. Pure. */
#ifndef MUSTER_COMMON_UUID_H
#define MUSTER_COMMON_UUID_H

#include <stdbool.h>

#define UUID_SIZE 37 /* with the NUL */
#define UUID_ZERO "00000000-0000-0000-0000-000000000000"

/* Upper-case digits count as well (input may have them); what writes one uses lower case. */
bool uuid_valid(const char *s);
/* The UUID that `s` begins with, and nothing is written when there is none. */
bool uuid_read(const char *s, char ret[UUID_SIZE]);

#endif
