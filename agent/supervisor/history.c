/* SPDX-License-Identifier: Apache-2.0 */
/* The history of the cluster as this node learned it: each decision, and each thing that an
 * operator asked of the coordinator here. A line of JSON each; a file that became long is kept as
 * one older one. Nothing is decided by it. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/log.h"

#define HISTORY_MAX (1024 * 1024)

static void append(json_t *entry)
{
    _cleanup_close_ int fd = open(PATH_HISTORY, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;

    json_object_set_new(entry, "at", json_integer((json_int_t)clock_wall_ms()));
    _cleanup_free_ char *text = js_text(entry);
    json_decref(entry);
    if (fd < 0 || dprintf(fd, "%s\n", text) < 0 || fsync(fd) < 0)
        log_warn("the cluster's history could not be written: %m");
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > HISTORY_MAX)
        rename(PATH_HISTORY, PATH_HISTORY ".1");
}

uint64_t sup_history_decisions(const struct cluster_record *rec, uint64_t after)
{
    for (unsigned i = 0; i < rec->n_chain; i++) {
        const struct cluster_value *v = &rec->chain[i];

        if (v->epoch <= after)
            continue;
        append(json_pack("{s:s, s:I, s:s, s:s, s:s, s:I, s:s, s:o}", "kind",
                         v->lost[0]   ? "forced"
                         : v->uuid[0] ? "recovery"
                                      : "first",
                         "epoch", (json_int_t)v->epoch, "node", v->node, "cluster_id",
                         v->cluster_id, "uuid", v->uuid, "seqno", (json_int_t)v->base, "without",
                         v->lost, "because", js_string(v->because)));
    }
    return rec->epoch > after ? rec->epoch : after;
}

void sup_history_act(const char *what, const char *node, const char *because)
{
    append(json_pack("{s:s, s:o, s:o}", "kind", what, "node", js_string(node), "because",
                     js_string(because)));
}
