/* SPDX-License-Identifier: Apache-2.0 */
#include "common/event_hooks.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/str.h"

#define WAITING_MAX 64
#define VARIABLES 7
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

struct waiting {
    char *env[VARIABLES + 1]; /* NULL-terminated */
};

struct hooks {
    char *directory;
    struct waiting waiting[WAITING_MAX]; /* the first `n`; the first of them is under way */
    size_t n;
    char **names; /* of the programs for the first; NULL: not looked for yet */
    size_t n_names, next;
    pid_t pid; /* 0: none runs */
    uint64_t end;
};

struct hooks *hooks_new(const char *directory)
{
    struct hooks *h = xcalloc(1, sizeof(*h));

    h->directory = xstrdup(directory);
    return h;
}

static void drop_names(struct hooks *h)
{
    for (size_t i = 0; i < h->n_names; i++)
        free(h->names[i]);
    free(h->names);
    h->names = NULL;
    h->n_names = h->next = 0;
}

static void drop(struct hooks *h, size_t at)
{
    for (size_t i = 0; i < VARIABLES; i++)
        free(h->waiting[at].env[i]);
    memmove(&h->waiting[at], &h->waiting[at + 1], (h->n - at - 1) * sizeof(h->waiting[0]));
    h->n--;
}

void hooks_free(struct hooks *h)
{
    if (!h)
        return;
    if (h->pid) {
        kill(-h->pid, SIGKILL);
        waitpid(h->pid, NULL, 0);
    }
    drop_names(h);
    while (h->n)
        drop(h, 0);
    free(h->directory);
    free(h);
}

static bool is_reported(enum event_kind kind)
{
    return kind == EVENT_FAILED || kind == EVENT_REFUSED || kind == EVENT_DONE ||
           kind == EVENT_ABORTED || kind == EVENT_CLUSTER || kind == EVENT_NOTE;
}

void hooks_event(struct hooks *h, const char *deployment, const struct event *ev)
{
    struct stat st;

    if (!is_reported(ev->kind) || stat(h->directory, &st) < 0)
        return;
    if (h->n == WAITING_MAX) {
        log_warn("programs of %s are too slow: an event is not told", h->directory);
        drop(h, 1);
    }
    char **env = h->waiting[h->n++].env;

    env[0] = xstrdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    env[1] = str_fmt("MUSTER_DEPLOYMENT=%s", deployment);
    env[2] = str_fmt("MUSTER_NODE=%s", ev->node);
    env[3] = str_fmt("MUSTER_KIND=%s", event_kind_name(ev->kind));
    env[4] = str_fmt("MUSTER_STEP=%s", ev->id);
    env[5] = str_fmt("MUSTER_MESSAGE=%s", ev->msg);
    env[6] = str_fmt("MUSTER_TIME=%llu", (unsigned long long)ev->ts);
    env[7] = NULL;
}

static bool is_ours(const struct stat *st)
{
    return (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int is_name(const struct dirent *e)
{
    return e->d_name[strspn(e->d_name, NAME_CHARACTERS)] == '\0';
}

static void find_names(struct hooks *h)
{
    struct dirent **found = NULL;
    struct stat st;
    int n = -1;

    h->names = xcalloc(1, sizeof(*h->names));
    if (stat(h->directory, &st) == 0 && is_ours(&st))
        n = scandir(h->directory, &found, is_name, alphasort);
    for (int i = 0; i < n; i++) {
        _cleanup_free_ char *path = str_fmt("%s/%s", h->directory, found[i]->d_name);

        free(found[i]);
        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, X_OK) < 0)
            continue;
        if (!is_ours(&st)) {
            log_warn("%s is not run: others may write it", path);
            continue;
        }
        h->names = realloc(h->names, (h->n_names + 1) * sizeof(*h->names));
        if (!h->names)
            abort();
        h->names[h->n_names++] = TAKE(path);
    }
    free(found);
}

static void start(struct hooks *h, const char *path)
{
    const struct child_opts opts = {.env = (const char *const *)h->waiting[0].env,
                                    .cwd = "/",
                                    .apart = CHILD_GROUP,
                                    .bound = true};
    struct err err;

    h->end = clock_mono_ms() + HOOK_MAX_S * 1000;
    if (child_start((const char *const[]){path, NULL}, &opts, &h->pid, &err) < 0) {
        log_warn("%s", err.msg);
        h->pid = 0;
    }
}

/* False: one is still at work. */
static bool has_ended(struct hooks *h)
{
    int status = 0;
    pid_t pid = h->pid ? waitpid(h->pid, &status, WNOHANG) : -1;

    if (pid == 0 && clock_mono_ms() >= h->end) {
        log_warn("%s is killed: it takes longer than %d s", h->names[h->next - 1], HOOK_MAX_S);
        kill(-h->pid, SIGKILL);
        h->end = UINT64_MAX;
    }
    if (pid == 0)
        return false;
    if (pid > 0 && status != 0) /* else somebody else has taken how it ended */
        log_info("%s ended with status %d", h->names[h->next - 1],
                 WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    h->pid = 0;
    return true;
}

void hooks_run(struct hooks *h)
{
    if (h->pid && !has_ended(h))
        return;
    while (h->n && !h->pid) {
        if (!h->names)
            find_names(h);
        if (h->next < h->n_names) {
            start(h, h->names[h->next++]);
            continue;
        }
        drop_names(h);
        drop(h, 0);
    }
}

uint64_t hooks_due(const struct hooks *h)
{
    return h->pid ? h->end : h->n ? 0 : UINT64_MAX;
}
