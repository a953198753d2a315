/* SPDX-License-Identifier: Apache-2.0 */
/* YAML 1.2 (core types) to JSON values, with the place of each. Anchors, aliases, tags and
 * several documents in a file are refused: nothing in a deployment file needs them. */
#ifndef MUSTER_CONTROLLER_SPEC_YAML_H
#define MUSTER_CONTROLLER_SPEC_YAML_H

#include <jansson.h>
#include <stddef.h>

#include "common/err.h"

#define YAML_SIZE_MAX (1024 * 1024)

struct yaml_doc {
    json_t *root;
    json_t *marks; /* path ("nodes[0].ports.80") -> line * 65536 + column, both from 1 */
    json_t *plain; /* path -> text as written, of what is a number, a truth value or nothing */
};

/* `name` is the file's name, for messages "name:line:column: what". The text may hold anything.
 * ERR_USAGE on failure. */
int yaml_doc_parse(const char *name, const char *text, size_t len, struct yaml_doc *ret,
                   struct err *err);
/* Line and column of a path, or of the nearest enclosing value that has one. */
void yaml_doc_where(const struct yaml_doc *doc, const char *path, unsigned *ret_line,
                    unsigned *ret_column);
void yaml_doc_free(struct yaml_doc *doc);

#endif
