/* SPDX-License-Identifier: Apache-2.0 */
/* `muster-agent logs`: what the programs of the steps said (sys/output.h). */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/ipc/cmd.h"
#include "agent/ipc/paths.h"
#include "agent/worker/verbs.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/str.h"

#define FOLLOW_MS 200
#define LINES_MAX 100000

struct logs {
    const char *step; /* NULL: all; "package" is all of that type */
    size_t max;       /* of those that are kept; 0: all */
    char **kept;      /* ring of `max` */
    size_t n;         /* lines that came */
    bool follow;
};

static bool is_of(const char *line, const char *step)
{
    const char *id = strchr(line, ' ');
    size_t len = step ? strlen(step) : 0;

    if (!step)
        return true;
    return id && strncmp(id + 1, step, len) == 0 && (id[1 + len] == ' ' || id[1 + len] == ':');
}

static void take(struct logs *l, const char *line)
{
    if (!is_of(line, l->step))
        return;
    if (!l->max) {
        fputs(line, stdout);
        return;
    }
    free(l->kept[l->n % l->max]);
    l->kept[l->n++ % l->max] = xstrdup(line);
}

static void flush_kept(struct logs *l)
{
    for (size_t i = l->n > l->max ? l->n - l->max : 0; i < l->n; i++) {
        fputs(l->kept[i % l->max], stdout);
        free(l->kept[i % l->max]);
    }
    free(l->kept);
    l->max = 0; /* what comes from now on is printed at once */
}

/* Up to the last whole line. */
static void read_lines(FILE *f, struct logs *l)
{
    _cleanup_free_ char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    long at = ftell(f);

    while ((n = getline(&line, &cap, f)) > 0 && line[n - 1] == '\n') {
        take(l, line);
        at = ftell(f);
    }
    clearerr(f);
    fseek(f, at, SEEK_SET);
}

/* The file that is open has become the old one, or was removed. */
static bool is_replaced(FILE *f)
{
    struct stat now, open;

    return stat(PATH_OUTPUT, &now) == 0 &&
           (fstat(fileno(f), &open) < 0 || now.st_ino != open.st_ino || now.st_dev != open.st_dev);
}

static int follow(FILE *f, struct logs *l)
{
    while (fflush(stdout) == 0) {
        bool replaced = is_replaced(f);

        read_lines(f, l);
        if (replaced && !(f = freopen(PATH_OUTPUT, "re", f)))
            return 1;
        clock_pause_ms(FOLLOW_MS);
    }
    return 0;
}

static int logs_args_read(int argc, char **argv, struct logs *l)
{
    static const struct option options[] = {{"step", required_argument, NULL, 's'},
                                            {"lines", required_argument, NULL, 'n'},
                                            {"follow", no_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    uint64_t n = 0;

    for (int o; (o = getopt_long(argc, argv, "n:", options, NULL)) != -1;) {
        if (o == 's')
            l->step = optarg;
        else if (o == 'n' && str_to_u64(optarg, LINES_MAX, &n) == 0 && n > 0)
            l->max = (size_t)n;
        else if (o == 'f')
            l->follow = true;
        else
            return cmd_usage("logs", "option not understood");
    }
    return argv[optind] ? cmd_usage("logs", "no arguments are taken") : 0;
}

int cmd_logs(int argc, char **argv)
{
    struct logs l = {0};
    FILE *old, *f;

    if (logs_args_read(argc, argv, &l) != 0)
        return ERR_USAGE;
    old = fopen(PATH_OUTPUT_OLD, "re");
    f = fopen(PATH_OUTPUT, "re");
    if (!f && errno != ENOENT)
        return cmd_usage("logs", "it can be read by root only");
    if (l.max)
        l.kept = xcalloc(l.max, sizeof(*l.kept));
    if (old) {
        read_lines(old, &l);
        fclose(old);
    }
    if (f)
        read_lines(f, &l);
    else
        fputs("muster-agent: no step has run a program yet\n", stderr);
    if (l.max)
        flush_kept(&l);
    int rc = f && l.follow ? follow(f, &l) : 0;
    if (f)
        fclose(f);
    return rc;
}
