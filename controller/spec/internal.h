/* SPDX-License-Identifier: Apache-2.0 */
/* Reading single values of the deployment file; every wrong one becomes a problem with its place
 * and reading goes on. Used by spec.c only. */
#ifndef MUSTER_CONTROLLER_SPEC_INTERNAL_H
#define MUSTER_CONTROLLER_SPEC_INTERNAL_H

#include "controller/spec/spec.h"

struct reading {
    const char *name;
    const struct yaml_doc *doc;
    struct spec_problems *problems;
};

void problem(struct reading *r, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void problem_at(struct reading *r, const char *path, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Whether `v` is an object; members outside `keys` are problems. */
bool read_known(struct reading *r, const char *path, const json_t *v, const char *const keys[]);

/* A text, or a number or truth value as it is written: 0042 stays 0042. NULL for all else. */
const char *as_written(const struct reading *r, const char *path, const char *key, const json_t *v);
/* A text member; one of digits needs no quotes. `dflt` NULL: required. */
void read_text(struct reading *r, const char *path, const json_t *v, const char *key,
               const char *dflt, char *dst, size_t cap);
/* As read_text, for names: lower-case letters, digits and '-', starting with a letter. */
void read_name(struct reading *r, const char *path, const json_t *v, const char *key,
               const char *dflt, char *dst, size_t cap);
/* As read_text, for absolute paths without "..". */
void read_path(struct reading *r, const char *path, const json_t *v, const char *key,
               const char *dflt, char *dst, size_t cap);
uint64_t read_number(struct reading *r, const char *path, const json_t *v, const char *key,
                     uint64_t dflt, uint64_t min, uint64_t max);
/* "200G" or "1T" (powers of 1024, as disks are sold by CloudStack); bytes. Required. */
uint64_t read_size(struct reading *r, const char *path, const json_t *v, const char *key);
void read_cidr(struct reading *r, const char *path, const json_t *v, const char *key,
               struct cidr *ret);
/* A required list with 1 to max members; an empty borrowed array when wrong. */
const json_t *read_list(struct reading *r, const json_t *root, const char *key, size_t max);
/* New references, NULL when absent. */
json_t *read_names(struct reading *r, const char *path, const json_t *v, const char *key);
json_t *read_config_files(struct reading *r, const char *path, const json_t *v);
json_t *read_install_steps(struct reading *r, const char *path, const json_t *v);
/* {name: value}, numbers as they are written; truth values, too, unless they are kept. */
json_t *read_values(struct reading *r, const char *path, const json_t *v, bool keep_truth);

/* A path without a way out of where it lies. */
bool path_is_relative(const char *s);

/* writable.c */
void read_writable(struct reading *r, struct spec_app *a, const json_t *app);
void check_writable(struct reading *r, const struct spec *s);

/* database.c */
void read_database(struct reading *r, struct spec *s, const json_t *root);

/* packages.c */
/* "90s", "10m", "2h"; seconds. */
unsigned read_duration(struct reading *r, const char *path, const json_t *v, const char *key,
                       unsigned dflt, unsigned max);
void read_packages(struct reading *r, struct spec *s, const json_t *root);

/* backup.c */
void read_backup(struct reading *r, struct spec *s, const json_t *root);
void check_backup(struct reading *r, const struct spec *s);

/* frontdoor.c */
void read_frontdoor(struct reading *r, struct spec *s, const json_t *root);
void check_frontdoor(struct reading *r, const struct spec *s);

/* check.c: what the sections demand of each other. */
void spec_check(struct reading *r, const struct spec *s);

#endif
