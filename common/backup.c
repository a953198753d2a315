/* SPDX-License-Identifier: Apache-2.0 */
#include "common/backup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"
#include "common/text.h"

#define MAGIC "MUSTERBK"
#define MAGIC_SIZE 8
#define HEAD_FIXED (MAGIC_SIZE + 8) /* the format and the length of the header follow it */
#define HEAD_MAX 4096
#define SEALED_MAX (1 + BACKUP_CHUNK_MAX + KEYS_STREAM_OVERHEAD)

/* --- names and keys -------------------------------------------------------------------------- */

bool backup_name_valid(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n < BACKUP_NAME_MAX && isalnum((unsigned char)name[0]) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == n;
}

void backup_name_make(const char *deployment, const char *node, uint64_t at,
                      char ret[BACKUP_NAME_MAX])
{
    time_t t = (time_t)(at / 1000);
    char date[24] = "";
    struct tm tm;

    if (gmtime_r(&t, &tm))
        strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
    snprintf(ret, BACKUP_NAME_MAX, "%.32s-%s-%.32s", deployment, date, node);
}

void backup_key_id(const uint8_t key[KEY_SIZE], char ret[BACKUP_KEY_ID_SIZE])
{
    static const char domain[] = "muster backup key id";
    uint8_t text[sizeof(domain) + KEY_SIZE];
    char digest[SHA256_HEX_SIZE];

    memcpy(text, domain, sizeof(domain));
    memcpy(text + sizeof(domain), key, KEY_SIZE);
    keys_sha256(text, sizeof(text), digest);
    keys_wipe(text, sizeof(text));
    snprintf(ret, BACKUP_KEY_ID_SIZE, "%.16s", digest);
}

int backup_key_parse(const char *text, uint8_t ret[KEY_SIZE], struct err *err)
{
    char hex[KEY_HEX_SIZE] = "";
    const char *end = text + strlen(text);
    int r = -1;

    while (isspace((unsigned char)*text))
        text++;
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    if (str_starts(text, BACKUP_KEY_PREFIX) &&
        (size_t)(end - text) == strlen(BACKUP_KEY_PREFIX) + KEY_HEX_SIZE - 1) {
        memcpy(hex, text + strlen(BACKUP_KEY_PREFIX), KEY_HEX_SIZE - 1);
        r = keys_unhex(hex, ret, KEY_SIZE);
    }
    keys_wipe(hex, sizeof(hex));
    return r == 0 ? 0
                  : err_set(err, ERR_USAGE,
                            "that is no key of backups: '" BACKUP_KEY_PREFIX
                            "' and 64 hexadecimal digits, as 'muster backup key' prints it");
}

/* --- the header ------------------------------------------------------------------------------ */

static void put32(uint8_t *to, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(n >> 8 * i);
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t n = 0;

    for (int i = 0; i < 4; i++)
        n |= (uint32_t)from[i] << 8 * i;
    return n;
}

char *backup_head_bytes(const struct backup_head *h, size_t *ret_len)
{
    _cleanup_json_ json_t *j =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "name", h->name, "deployment",
                  h->deployment, "node", h->node, "server", h->server, "compress", h->compress,
                  "key", h->key_id, "at", (json_int_t)h->at, "database_bytes",
                  (json_int_t)h->database_bytes, "files_bytes", (json_int_t)h->files_bytes);
    _cleanup_free_ char *text = js_text(j);
    size_t len = strlen(text);
    char *ret = xcalloc(1, HEAD_FIXED + len + 1);

    memcpy(ret, MAGIC, MAGIC_SIZE); /* NOLINT(bugprone-not-null-terminated-result) */
    put32((uint8_t *)ret + MAGIC_SIZE, BACKUP_FORMAT);
    put32((uint8_t *)ret + MAGIC_SIZE + 4, (uint32_t)len);
    memcpy(ret + HEAD_FIXED, text, len); /* NOLINT(bugprone-not-null-terminated-result) */
    *ret_len = HEAD_FIXED + len;
    return ret;
}

static int head_text(const json_t *j, const char *key, char *ret, size_t cap, struct err *err)
{
    const char *v;

    if (js_str(j, key, &v, err) < 0)
        return -1;
    return *v && text_is_name(v) && str_copy(ret, cap, v)
               ? 0
               : err_set(err, ERR_USAGE, "member '%s' is no name", key);
}

static int head_json(const json_t *j, struct backup_head *h, struct err *err)
{
    if (head_text(j, "name", h->name, sizeof(h->name), err) < 0 ||
        head_text(j, "deployment", h->deployment, sizeof(h->deployment), err) < 0 ||
        head_text(j, "node", h->node, sizeof(h->node), err) < 0 ||
        head_text(j, "server", h->server, sizeof(h->server), err) < 0 ||
        head_text(j, "compress", h->compress, sizeof(h->compress), err) < 0 ||
        head_text(j, "key", h->key_id, sizeof(h->key_id), err) < 0 ||
        js_u64(j, "at", &h->at, err) < 0 ||
        js_u64(j, "database_bytes", &h->database_bytes, err) < 0 ||
        js_u64(j, "files_bytes", &h->files_bytes, err) < 0)
        return -1;
    if (!backup_name_valid(h->name))
        return err_set(err, ERR_USAGE, "member 'name' is no name of a backup");
    if (!str_eq(h->compress, "zstd") && !str_eq(h->compress, "gzip"))
        return err_set(err, ERR_USAGE, "it is compressed by '%s', which is not known", h->compress);
    return 0;
}

int backup_head_parse(const void *data, size_t len, struct backup_head *ret, size_t *ret_len,
                      struct err *err)
{
    const uint8_t *p = data;
    _cleanup_json_ json_t *j = NULL;
    struct backup_head h = {0};
    struct err why = {0};

    if (len < HEAD_FIXED || memcmp(p, MAGIC, MAGIC_SIZE) != 0)
        return err_set(err, ERR_USAGE, "this is no backup of Muster: it does not begin as one");
    uint32_t format = get32(p + MAGIC_SIZE), n = get32(p + MAGIC_SIZE + 4);
    if (format != BACKUP_FORMAT)
        return err_set(err, ERR_USAGE,
                       "this backup is of format %u, and this program reads format %d; use the "
                       "version of Muster that made it, or a newer one",
                       (unsigned)format, BACKUP_FORMAT);
    if (n > HEAD_MAX)
        return err_set(err, ERR_USAGE, "the header of this backup is damaged: %u bytes",
                       (unsigned)n);
    if (len < HEAD_FIXED + (size_t)n)
        return err_set(err, ERR_USAGE, "this backup was cut off in its header");
    if (js_parse((const char *)p + HEAD_FIXED, n, &j, &why) < 0 || head_json(j, &h, &why) < 0)
        return err_set(err, ERR_USAGE, "the header of this backup is damaged: %s", why.msg);
    *ret = h;
    *ret_len = HEAD_FIXED + n;
    return 0;
}

/* Up to `len` bytes; fewer only at the end of the file. */
static ssize_t read_full(int fd, void *data, size_t len)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = read(fd, (uint8_t *)data + got, len - got);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/* The file stands behind its header then. */
static int head_take(int fd, const char *path, uint8_t *buf, struct backup_head *ret,
                     size_t *ret_len, struct err *err)
{
    ssize_t n = read_full(fd, buf, HEAD_FIXED + HEAD_MAX);

    if (n < 0)
        return err_errno(err, errno, "%s", path);
    if (backup_head_parse(buf, (size_t)n, ret, ret_len, err) < 0)
        return err_wrap(err, "%s", path);
    return lseek(fd, (off_t)*ret_len, SEEK_SET) < 0 ? err_errno(err, errno, "%s", path) : 0;
}

int backup_head_read(const char *path, struct backup_head *ret, struct err *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uint8_t buf[HEAD_FIXED + HEAD_MAX];
    size_t len = 0;

    return fd < 0 ? err_errno(err, errno, "%s", path) : head_take(fd, path, buf, ret, &len, err);
}

/* --- writing --------------------------------------------------------------------------------- */

struct backup_writer {
    int fd;
    char *path;
    char *head; /* authenticated with the first piece; NULL behind it */
    size_t head_len;
    struct keys_stream *stream;
    struct keys_hash *hash;
    uint64_t written;
    size_t filled; /* of `plain`, whose first byte is its part */
    uint8_t plain[1 + BACKUP_CHUNK_MAX];
    uint8_t sealed[4 + SEALED_MAX];
};

static int put_bytes(struct backup_writer *w, const void *data, size_t len, struct err *err)
{
    const uint8_t *p = data;

    keys_hash_add(w->hash, data, len);
    w->written += len;
    while (len) {
        ssize_t n = write(w->fd, p, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, errno, "write %s", w->path);
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int backup_writer_open(const char *path, const struct backup_head *h, const uint8_t key[KEY_SIZE],
                       struct backup_writer **ret, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    uint8_t header[KEYS_STREAM_HEADER];
    struct backup_writer *w;

    if (fd < 0)
        return err_errno(err, errno, "%s", path);
    w = xcalloc(1, sizeof(*w));
    w->fd = fd;
    w->path = xstrdup(path);
    w->head = backup_head_bytes(h, &w->head_len);
    w->hash = keys_hash_new();
    w->stream = keys_stream_begin(key, header);
    if (put_bytes(w, w->head, w->head_len, err) < 0 ||
        put_bytes(w, header, sizeof(header), err) < 0) {
        backup_writer_free(w);
        return -1;
    }
    *ret = w;
    return 0;
}

static int flush_chunk(struct backup_writer *w, bool last, struct err *err)
{
    size_t sealed = w->filled + KEYS_STREAM_OVERHEAD;

    if (!w->filled)
        return 0;
    put32(w->sealed, (uint32_t)sealed);
    keys_stream_seal(w->stream, w->plain, w->filled, w->head, w->head ? w->head_len : 0, last,
                     w->sealed + 4);
    free(w->head);
    w->head = NULL;
    w->filled = 0;
    return put_bytes(w, w->sealed, 4 + sealed, err);
}

int backup_write(struct backup_writer *w, enum backup_part part, const void *data, size_t len,
                 struct err *err)
{
    const uint8_t *p = data;

    while (len) {
        if (w->filled && w->plain[0] != part && flush_chunk(w, false, err) < 0)
            return -1;
        if (!w->filled)
            w->plain[w->filled++] = (uint8_t)part;
        size_t room = sizeof(w->plain) - w->filled, n = len < room ? len : room;

        memcpy(w->plain + w->filled, p, n);
        w->filled += n;
        p += n;
        len -= n;
        if (w->filled == sizeof(w->plain) && flush_chunk(w, false, err) < 0)
            return -1;
    }
    return 0;
}

uint64_t backup_written(const struct backup_writer *w)
{
    return w->written;
}

int backup_writer_end(struct backup_writer *w, const char *info, char ret_sha[SHA256_HEX_SIZE],
                      struct err *err)
{
    if (flush_chunk(w, false, err) < 0 ||
        backup_write(w, BACKUP_INFO, info, strlen(info), err) < 0 || flush_chunk(w, true, err) < 0)
        return -1;
    if (fsync(w->fd) < 0)
        return err_errno(err, errno, "sync %s", w->path);
    keys_hash_end(TAKE(w->hash), ret_sha);
    return 0;
}

void backup_writer_free(struct backup_writer *w)
{
    char ignored[SHA256_HEX_SIZE];

    if (!w)
        return;
    close(w->fd);
    free(w->path);
    free(w->head);
    keys_stream_free(w->stream);
    keys_hash_end(w->hash, ignored);
    keys_wipe(w->plain, sizeof(w->plain));
    free(w);
}

/* --- reading --------------------------------------------------------------------------------- */

struct backup_reader {
    int fd;
    char *path;
    struct keys_stream *stream;
    size_t head_len; /* authenticated with the first piece; 0 behind it */
    unsigned part;
    bool last;
    uint64_t was_read;
    uint8_t head[HEAD_FIXED + HEAD_MAX];
    uint8_t sealed[SEALED_MAX];
    uint8_t plain[1 + BACKUP_CHUNK_MAX];
};

static int cut_off(const struct backup_reader *r, struct err *err)
{
    return err_set(err, ERR_SAFETY,
                   "%s was cut off: it ends after %llu bytes without its last part; copy it again",
                   r->path, (unsigned long long)r->was_read);
}

static int damaged(const struct backup_reader *r, struct err *err)
{
    return err_set(err, ERR_SAFETY,
                   "%s is damaged: what follows byte %llu is not what was written there", r->path,
                   (unsigned long long)r->was_read);
}

int backup_reader_open(const char *path, const uint8_t key[KEY_SIZE], struct backup_head *ret_head,
                       struct backup_reader **ret, struct err *err)
{
    struct backup_reader *r = xcalloc(1, sizeof(*r));
    char id[BACKUP_KEY_ID_SIZE];
    uint8_t header[KEYS_STREAM_HEADER];
    int rc;

    r->path = xstrdup(path);
    r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    rc = r->fd < 0 ? err_errno(err, errno, "%s", path)
                   : head_take(r->fd, path, r->head, ret_head, &r->head_len, err);
    backup_key_id(key, id);
    if (rc == 0 && !str_eq(id, ret_head->key_id))
        rc = err_set(err, ERR_SAFETY,
                     "%s was made with another key: of deployment %s, its key is %s and this one "
                     "%s; 'muster backup key' there prints it",
                     path, ret_head->deployment, ret_head->key_id, id);
    r->was_read = r->head_len;
    if (rc == 0) {
        ssize_t n = read_full(r->fd, header, sizeof(header));

        r->was_read += n > 0 ? (uint64_t)n : 0;
        rc = n < 0                         ? err_errno(err, errno, "%s", path)
             : n < (ssize_t)sizeof(header) ? cut_off(r, err)
                                           : 0;
    }
    if (rc == 0 && !(r->stream = keys_stream_follow(key, header)))
        rc = damaged(r, err);
    if (rc < 0)
        backup_reader_free(r);
    else
        *ret = r;
    return rc;
}

/* The next piece, still sealed: how long it is. */
static int take_sealed(struct backup_reader *r, size_t *ret_len, struct err *err)
{
    uint8_t size[4];
    ssize_t n = read_full(r->fd, size, sizeof(size));

    if (n < 0)
        return err_errno(err, errno, "%s", r->path);
    if (n < (ssize_t)sizeof(size))
        return cut_off(r, err);
    size_t len = get32(size);
    if (len <= KEYS_STREAM_OVERHEAD || len > SEALED_MAX)
        return damaged(r, err);
    n = read_full(r->fd, r->sealed, len);
    if (n < 0)
        return err_errno(err, errno, "%s", r->path);
    if (n < (ssize_t)len)
        return cut_off(r, err);
    *ret_len = len;
    return 0;
}

static int at_end(struct backup_reader *r, struct err *err)
{
    uint8_t more;
    ssize_t n = read_full(r->fd, &more, 1);

    if (n < 0)
        return err_errno(err, errno, "%s", r->path);
    return n == 0 ? 0
                  : err_set(err, ERR_SAFETY, "%s is damaged: something follows its end", r->path);
}

int backup_read(struct backup_reader *r, enum backup_part *ret_part, const void **ret_data,
                size_t *ret_len, struct err *err)
{
    size_t len = 0;

    if (r->last)
        return at_end(r, err);
    if (take_sealed(r, &len, err) < 0)
        return -1;
    if (keys_stream_unseal(r->stream, r->sealed, len, r->head_len ? r->head : NULL, r->head_len,
                           r->plain, &r->last) < 0)
        return damaged(r, err);
    unsigned part = r->plain[0];
    if (part < BACKUP_DATABASE || part > BACKUP_INFO || part < r->part ||
        r->last != (part == BACKUP_INFO))
        return err_set(err, ERR_SAFETY, "%s: part %u is not known here", r->path, part);
    r->was_read += 4 + len;
    r->head_len = 0;
    r->part = part;
    *ret_part = (enum backup_part)part;
    *ret_data = r->plain + 1;
    *ret_len = len - KEYS_STREAM_OVERHEAD - 1;
    return 1;
}

uint64_t backup_was_read(const struct backup_reader *r)
{
    return r->was_read;
}

void backup_reader_free(struct backup_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    free(r->path);
    keys_stream_free(r->stream);
    keys_wipe(r->plain, sizeof(r->plain));
    free(r);
}

/* --- when one is due ------------------------------------------------------------------------- */

uint64_t backup_period(const struct backup_schedule *s, uint64_t now_s)
{
    return now_s < s->offset_s ? 0 : (now_s - s->offset_s) / s->every_s;
}

uint64_t backup_due_s(const struct backup_schedule *s, uint64_t period, unsigned rank)
{
    uint64_t stagger = s->every_s / 16 < BACKUP_STAGGER_S ? s->every_s / 16 : BACKUP_STAGGER_S;

    return s->offset_s + period * s->every_s + rank * stagger;
}
