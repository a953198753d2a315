/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/api/calllog.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

static bool hidden(const char *name)
{
    static const char *const names[] = {"apikey", "signature", "userdata", "command", "response"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcasecmp(name, names[i]) == 0)
            return true;
    }
    return strcasestr(name, "password") || strcasestr(name, "secret");
}

void calllog_add(const char *path, const char *command, const struct pairs *params, int status,
                 int code, const char *fault)
{
    _cleanup_json_ json_t *shown = json_object();

    for (size_t i = 0; i < params->n; i++) {
        if (!hidden(params->v[i].name))
            json_object_set_new(shown, params->v[i].name, json_string(params->v[i].value));
    }
    _cleanup_json_ json_t *line =
        json_pack("{s:I,s:s,s:O,s:i,s:i}", "ts", (json_int_t)clock_wall_ms(), "command", command,
                  "params", shown, "status", status, "errorcode", code);
    if (*fault)
        json_object_set_new(line, "fault", json_string(fault));
    _cleanup_free_ char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    if (!text)
        return;
    _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || dprintf(fd, "%s\n", text) < 0)
        log_warn("cannot write %s", path);
}
