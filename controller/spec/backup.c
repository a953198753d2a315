/* SPDX-License-Identifier: Apache-2.0 */
/* The section `backup` of the deployment file. */
#include <stdlib.h>
#include <string.h>

#include "common/backup.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "controller/spec/internal.h"

#define DAY_S (24 * 3600)
#define KEEP 7
#define KEEP_MAX 1000

/* "02:30", of the day in UTC. */
static void read_at(struct reading *r, struct spec *s, const json_t *v)
{
    const char *text = json_string_value(json_object_get(v, "at"));
    char hours[3] = "";
    uint64_t h = 0, m = 0;

    if (text && strlen(text) == 5 && text[2] == ':')
        memcpy(hours, text, 2);
    if (!*hours || str_to_u64(hours, 23, &h) < 0 || str_to_u64(text + 3, 59, &m) < 0) {
        problem_at(r, "backup", "at", "expected a time of the day in UTC, in quotes: \"02:30\"");
        return;
    }
    s->backup.every = DAY_S;
    s->backup.offset = (unsigned)(h * 3600 + m * 60);
}

/* An argument vector: no shell is there. */
static json_t *read_command(struct reading *r, const json_t *v, const char *key)
{
    const char *text = json_string_value(json_object_get(v, key));
    _cleanup_free_ char *copy = text ? xstrdup(text) : NULL;
    char *save = NULL;
    json_t *words;

    if (!json_object_get(v, key))
        return NULL;
    if (!text || text[0] != '/' || strpbrk(text, "\"'`$|<>;&\\\n")) {
        problem_at(r, "backup", key,
                   "expected a program on the nodes by its absolute path, and words for it; what "
                   "needs a shell is a script of yours");
        return NULL;
    }
    words = json_array();
    for (char *w = strtok_r(copy, " \t", &save); w; w = strtok_r(NULL, " \t", &save))
        js_push_str(words, w);
    return words;
}

void read_backup(struct reading *r, struct spec *s, const json_t *root)
{
    static const char *const keys[] = {"every", "at", "keep", "put", "get", NULL};
    const json_t *v = json_object_get(root, "backup");

    if (!v)
        return;
    if (!json_is_object(v)) {
        problem(r, "backup", "expected {} or {every: 24h, keep: 7} or {at: \"02:30\"}");
        return;
    }
    if (!read_known(r, "backup", v, keys))
        return;
    s->backup.present = true;
    s->backup.every = read_duration(r, "backup", v, "every", 0, BACKUP_EVERY_MAX_S);
    if (s->backup.every && s->backup.every < BACKUP_EVERY_MIN_S)
        problem_at(r, "backup", "every", "at least %d seconds", BACKUP_EVERY_MIN_S);
    if (json_object_get(v, "at") && s->backup.every)
        problem(r, "backup", "one of every and at");
    else if (json_object_get(v, "at"))
        read_at(r, s, v);
    s->backup.keep = (unsigned)read_number(r, "backup", v, "keep", KEEP, 1, KEEP_MAX);
    s->backup.put = read_command(r, v, "put");
    s->backup.get = read_command(r, v, "get");
}

void check_backup(struct reading *r, const struct spec *s)
{
    if (!s->backup.present)
        return;
    if (!s->database.present)
        problem(r, "backup", "needs a database section");
    for (size_t i = 0; i < s->n_nodes; i++) {
        _cleanup_free_ char *path = str_fmt("nodes[%zu]", i);

        if (!s->nodes[i].arbitrator && !s->nodes[i].disk.present)
            problem(r, path, "backups lie on the data disk, and this node has none");
    }
}
