/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/output.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/ipc/paths.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"
#include "common/text.h"

#define FILE_BYTES (4 * 1024 * 1024)

static int output_fd = -1;
static const char *step;

/* One write: a child of the worker has a step of its own, and writes there, too. */
static void keep(const char *text)
{
    time_t now = time(NULL);
    struct tm tm;
    char when[32];

    gmtime_r(&now, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    _cleanup_free_ char *line = str_fmt("%s %s %s", when, step, text);
    text_plain(line, false);
    _cleanup_free_ char *ended = str_fmt("%s\n", line);
    ssize_t n = write(output_fd, ended, strlen(ended));
    (void)n; /* a full disk costs the record of it, nothing else */
}

void output_open(void)
{
    struct stat st;
    struct err err;

    if (fs_mkdirs(PATH_OUTPUT_DIRECTORY, 0750, &err) < 0)
        return;
    if (stat(PATH_OUTPUT, &st) == 0 && st.st_size > FILE_BYTES)
        rename(PATH_OUTPUT, PATH_OUTPUT_OLD);
    output_fd = open(PATH_OUTPUT, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
}

void output_step(const char *id)
{
    step = id;
    proc_set_sink(id && output_fd >= 0 ? keep : NULL);
}
