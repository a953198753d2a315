/* SPDX-License-Identifier: Apache-2.0 */
/* A backup as one file (docs/backup.md, "The file"): a header that everybody can read, then parts
 * that only the key opens. Nothing of it can be changed, left out or cut off without being noticed.
 * Read and written as a stream: its size does not matter. */
#ifndef MUSTER_COMMON_BACKUP_H
#define MUSTER_COMMON_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/keys.h"

#define BACKUP_FORMAT 1
#define BACKUP_NAME_MAX 96 /* with the NUL */
#define BACKUP_TEXT_MAX 64
#define BACKUP_KEY_ID_SIZE 17
#define BACKUP_SUFFIX ".mbk"
#define BACKUP_INFO_MAX 65536   /* bytes of its last part */
#define BACKUP_CHUNK_MAX 262144 /* plain bytes that are sealed at once */

struct backup_head {
    char name[BACKUP_NAME_MAX];
    char deployment[BACKUP_TEXT_MAX], node[BACKUP_TEXT_MAX];
    char server[BACKUP_TEXT_MAX];    /* version of the database server */
    char compress[8];                /* "zstd" or "gzip" */
    char key_id[BACKUP_KEY_ID_SIZE]; /* of the key that opens it; it tells nothing of the key */
    uint64_t at;                     /* ms since 1970 */
    uint64_t database_bytes, files_bytes; /* what they took on the disk when it began */
};

enum backup_part {
    BACKUP_DATABASE = 1, /* what mariabackup streams, compressed */
    BACKUP_FILES,        /* a tar archive, compressed */
    BACKUP_INFO,         /* JSON: what is known only when the rest is through; it is the last */
};

/* Letters, digits, '-' and '_', beginning with a letter or digit. */
bool backup_name_valid(const char *name);
/* DEPLOYMENT-20261127T102530Z-NODE; `at`: ms since 1970. */
void backup_name_make(const char *deployment, const char *node, uint64_t at,
                      char ret[BACKUP_NAME_MAX]);
void backup_key_id(const uint8_t key[KEY_SIZE], char ret[BACKUP_KEY_ID_SIZE]);
/* "muster-backup-key:" and 64 hexadecimal digits; white space around it does not count. */
#define BACKUP_KEY_PREFIX "muster-backup-key:"
int backup_key_parse(const char *text, uint8_t ret[KEY_SIZE], struct err *err);

/* The bytes before the first part; the caller frees. */
char *backup_head_bytes(const struct backup_head *h, size_t *ret_len);
/* 0 and how many bytes they were. ERR_USAGE: it is no backup, or of a format that is not known. */
int backup_head_parse(const void *data, size_t len, struct backup_head *ret, size_t *ret_len,
                      struct err *err);
/* Of a file. */
int backup_head_read(const char *path, struct backup_head *ret, struct err *err);

struct backup_writer;
/* Makes the file, 0600; it must not be there. */
int backup_writer_open(const char *path, const struct backup_head *h, const uint8_t key[KEY_SIZE],
                       struct backup_writer **ret, struct err *err);
int backup_write(struct backup_writer *w, enum backup_part part, const void *data, size_t len,
                 struct err *err);
uint64_t backup_written(const struct backup_writer *w); /* bytes of the file so far */
/* The end: `info` (JSON), then everything is on the disk. `ret_sha`: of the whole file. */
int backup_writer_end(struct backup_writer *w, const char *info, char ret_sha[SHA256_HEX_SIZE],
                      struct err *err);
void backup_writer_free(struct backup_writer *w); /* NULL: nothing */

struct backup_reader;
/* ERR_SAFETY: it was made with another key. */
int backup_reader_open(const char *path, const uint8_t key[KEY_SIZE], struct backup_head *ret_head,
                       struct backup_reader **ret, struct err *err);
/* 1: a piece of a part, borrowed until the next call; the parts come in their order. 0: that was
 * all, and nothing is missing. -1: it is damaged, or was cut off (ERR_SAFETY). */
int backup_read(struct backup_reader *r, enum backup_part *ret_part, const void **ret_data,
                size_t *ret_len, struct err *err);
uint64_t backup_was_read(const struct backup_reader *r); /* bytes of the file so far */
void backup_reader_free(struct backup_reader *r);        /* NULL: nothing */

/* --- when one is due --- */

struct backup_schedule {
    uint64_t every_s;  /* 0: only by hand */
    uint64_t offset_s; /* of the period's begin, after a whole number of them since 1970 */
};
#define BACKUP_STAGGER_S 120
#define BACKUP_EVERY_MIN_S 60
#define BACKUP_EVERY_MAX_S (31 * 24 * 3600)

/* The period that `now_s` (since 1970) is in. A backup is due once in each. */
uint64_t backup_period(const struct backup_schedule *s, uint64_t now_s);
/* When the node of that rank makes the one of the period, unless another has: seconds since 1970.
 */
uint64_t backup_due_s(const struct backup_schedule *s, uint64_t period, unsigned rank);

#endif
