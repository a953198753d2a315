/* SPDX-License-Identifier: Apache-2.0 */
/* Texts under tests/golden; MUSTER_GOLDEN=write writes them again. */
#ifndef MUSTER_TESTS_GOLDEN_H
#define MUSTER_TESTS_GOLDEN_H

#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/str.h"

static inline void golden(const char *name, const char *got)
{
    _cleanup_free_ char *path = str_fmt("%s/golden/%s", TEST_DIR, name);
    _cleanup_free_ char *expected = NULL;
    struct err err;

    if (getenv("MUSTER_GOLDEN"))
        assert_int_equal(fs_write_atomic(path, got, strlen(got), 0644, &err), 0);
    assert_int_equal(fs_read(path, 1 << 20, &expected, NULL, &err), 0);
    assert_string_equal(got, expected);
}

#endif
