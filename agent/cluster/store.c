/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cluster/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/cluster/codec.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define SLOT_MAX 65536

uint32_t crc32c(const void *data, size_t len)
{
    const unsigned char *p = data;
    uint32_t crc = ~0U;

    while (len--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
    }
    return ~crc;
}

/* "<generation> <crc of the rest, hex>\n<record as JSON>" */
static int slot_load(const char *path, struct cluster_record *ret, uint64_t *ret_generation)
{
    struct err err;
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *j = NULL;
    size_t len = 0;
    unsigned long long generation;
    unsigned crc;
    int at = 0;

    if (fs_read(path, SLOT_MAX, &text, &len, &err) < 0 ||
        sscanf(text, "%llu %8x%n", &generation, &crc, &at) != 2 || text[at] != '\n')
        return -1;
    char *body = text + at + 1;
    size_t n = len - (size_t)(body - text);
    if (crc32c(body, n) != crc || js_parse(body, n, &j, &err) < 0 ||
        cluster_record_from_json(j, ret, &err) < 0)
        return -1;
    *ret_generation = generation;
    return 0;
}

static char *slot_path(const char *dir, uint64_t generation)
{
    return str_fmt("%s/record.%c", dir, generation % 2 ? 'b' : 'a');
}

int cluster_store_load(const char *const dirs[2], struct cluster_record *ret,
                       uint64_t *ret_generation, struct err *err)
{
    int found = 0;
    bool opened = false; /* the data disk knows that the gate was opened over it */

    *ret_generation = 0;
    for (int i = 0; i < 4; i++) {
        struct cluster_record r;
        uint64_t generation;

        if (!dirs[i / 2])
            continue;
        _cleanup_free_ char *path = slot_path(dirs[i / 2], (uint64_t)i % 2);
        if (slot_load(path, &r, &generation) < 0)
            continue;
        opened = opened || (i / 2 == 1 && r.data && !r.new_disk);
        if (found && ret->cluster_id[0] && r.cluster_id[0] &&
            strcmp(ret->cluster_id, r.cluster_id) != 0)
            return err_set(err, ERR_SAFETY,
                           "the records on %s and %s belong to different clusters; was a disk "
                           "swapped?",
                           dirs[0], dirs[1]);
        if (!found || generation > *ret_generation) {
            *ret = r;
            *ret_generation = generation;
        }
        found = 1;
    }
    if (found && dirs[1] && ret->data && !opened)
        ret->new_disk = true;
    return found;
}

int cluster_store_save(const char *const dirs[2], const struct cluster_record *r,
                       uint64_t generation, struct err *err)
{
    json_t *j = cluster_record_to_json(r);
    _cleanup_free_ char *body = js_text(j);

    json_decref(j);
    _cleanup_free_ char *text =
        str_fmt("%llu %08x\n%s", (unsigned long long)generation, crc32c(body, strlen(body)), body);
    /* The data disk first: one that knows less than the root disk is another one. */
    for (int i = 1; i >= 0; i--) {
        if (!dirs[i] || (i == 1 && !fs_exists(dirs[i])))
            continue;
        _cleanup_free_ char *path = slot_path(dirs[i], generation);
        if (fs_mkdirs(dirs[i], 0700, err) < 0 ||
            fs_write_atomic(path, text, strlen(text), 0600, err) < 0)
            return err_wrap(err, "cluster record");
    }
    return 0;
}
