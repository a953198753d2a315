/* SPDX-License-Identifier: Apache-2.0 */
/* A server over an unpacked copy, at a socket that only root and it reach. It takes no part in any
 * cluster, and all that it has is removed when it was asked. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/backup/internal.h"
#include "agent/galera/galera.h"
#include "common/child.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/proc.h"
#include "common/str.h"

#define START_MAX_MS (10 * 60 * 1000)
#define STOP_MAX_MS 60000
#define AGAIN_MS 100
#define LOG_MAX (8 * 1024 * 1024)

/* Root signs in as the system knows it, whatever the copy says of root. */
static const char accounts[] =
    "CREATE USER IF NOT EXISTS root@localhost IDENTIFIED VIA unix_socket;\n"
    "ALTER USER root@localhost IDENTIFIED VIA unix_socket ACCOUNT UNLOCK;\n"
    "GRANT ALL ON *.* TO root@localhost WITH GRANT OPTION;\n";

static char *pid_path(const char *dir)
{
    return str_fmt("%s/server.pid", dir);
}

/* Whether the process of that number is the server of this directory. */
static bool is_ours(pid_t pid, const char *dir)
{
    _cleanup_free_ char *path = str_fmt("/proc/%d/cmdline", (int)pid);
    _cleanup_free_ char *option = str_fmt("--datadir=%s/data", dir);
    _cleanup_free_ char *text = NULL;
    struct err ignored;
    size_t len = 0;

    if (fs_read(path, 65536, &text, &len, &ignored) < 0)
        return false;
    return strcmp(text, MARIADBD) == 0 && memmem(text, len, option, strlen(option) + 1);
}

int scratch_remove(const struct backup_conf *c, struct err *err)
{
    _cleanup_free_ char *dir = backup_scratch_path(c);
    _cleanup_free_ char *path = pid_path(dir);
    _cleanup_free_ char *text = NULL;
    struct err ignored;
    uint64_t pid = 0, begun = clock_mono_ms();

    if (fs_read(path, 32, &text, NULL, &ignored) == 0 &&
        str_to_u64(str_chomp(text), INT32_MAX, &pid) == 0 && pid && is_ours((pid_t)pid, dir))
        kill((pid_t)pid, SIGKILL);
    while (pid && is_ours((pid_t)pid, dir)) {
        if (clock_mono_ms() - begun > STOP_MAX_MS)
            return err_set(err, ERR_FAILED,
                           "process %llu, a server of an earlier backup, does "
                           "not end",
                           (unsigned long long)pid);
        clock_pause_ms(AGAIN_MS);
    }
    return fs_remove_tree(dir, err);
}

static int prepare(const struct backup_work *w, const char *data, struct err *err)
{
    _cleanup_free_ char *target = str_fmt("--target-dir=%s", data);

    backup_say(w, "brings the copy of the database into order", 0);
    return proc_call(PROC_ARGV(BACKUP_TOOL, "--prepare", "--use-memory=128M", target), err);
}

static int start(struct scratch *s, struct err *err)
{
    _cleanup_free_ char *defaults = str_fmt("--defaults-file=%s/data/backup-my.cnf", s->dir);
    _cleanup_free_ char *datadir = str_fmt("--datadir=%s/data", s->dir);
    _cleanup_free_ char *socket = str_fmt("--socket=%s", s->socket);
    _cleanup_free_ char *pid = str_fmt("--pid-file=%s/data/own.pid", s->dir);
    _cleanup_free_ char *init = str_fmt("--init-file=%s/accounts.sql", s->dir);
    _cleanup_free_ char *tmp = str_fmt("--tmpdir=%s/data", s->dir);
    _cleanup_free_ char *log = str_fmt("%s/log", s->dir), *path = pid_path(s->dir);
    _cleanup_close_ int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    _cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const struct child_fd fds[] = {{null, 0}, {out, 1}, {out, 2}};
    const struct child_opts opts = {.fds = fds, .n_fds = ARRAY_LEN(fds), .bound = true};

    if (out < 0 || null < 0)
        return err_errno(err, errno, "%s", log);
    if (child_start(PROC_ARGV(MARIADBD, defaults, datadir, "--user=mysql", socket, pid, init, tmp,
                              "--skip-networking", "--wsrep-on=OFF", "--skip-log-bin",
                              "--innodb-buffer-pool-size=64M", "--max-allowed-packet=1G",
                              "--event-scheduler=OFF", "--skip-slave-start", "--skip-log-error"),
                    &opts, &s->pid, err) < 0)
        return -1;
    _cleanup_free_ char *text = str_fmt("%d\n", (int)s->pid);
    return fs_write_atomic(path, text, strlen(text), 0600, err);
}

/* The first line of its log that it marked as an error. */
static int ended(struct scratch *s, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/log", s->dir);
    _cleanup_free_ char *text = NULL;
    struct err ignored;
    char *line = NULL;

    s->pid = 0;
    if (fs_read(path, LOG_MAX, &text, NULL, &ignored) == 0)
        line = strstr(text, "[ERROR]");
    if (line)
        line[strcspn(line, "\n")] = '\0';
    return err_set(err, ERR_FAILED, "the copy's server ended while it started: %.300s",
                   line ? line : "it did not say why");
}

static int wait_for_it(struct scratch *s, struct err *err)
{
    uint64_t begun = clock_mono_ms();

    for (;;) {
        struct sql *sql = NULL;
        struct err why;
        int status;

        if (sql_open_at(s->socket, 30, &sql, &why) == 0) {
            sql_close(sql);
            return 0;
        }
        if (waitpid(s->pid, &status, WNOHANG) == s->pid)
            return ended(s, err);
        if (clock_mono_ms() - begun > START_MAX_MS)
            return err_set(err, ERR_TIMEOUT, "the copy's server does not answer after %d minutes",
                           START_MAX_MS / 60000);
        clock_pause_ms(AGAIN_MS);
    }
}

int scratch_start(const struct backup_work *w, struct scratch *ret, struct err *err)
{
    struct scratch s = {.dir = backup_scratch_path(w->conf)};
    _cleanup_free_ char *data = str_fmt("%s/data", s.dir),
                        *init = str_fmt("%s/accounts.sql", s.dir);

    s.socket = str_fmt("%s/s", s.dir);
    *ret = s;
    if (prepare(w, data, err) < 0 ||
        fs_write_atomic(init, accounts, strlen(accounts), 0600, err) < 0 ||
        proc_call(PROC_ARGV("/usr/bin/chown", "-R", "mysql:mysql", s.dir), err) < 0)
        return -1;
    backup_say(w, "starts a server for the copy", 0);
    return start(ret, err) < 0 || wait_for_it(ret, err) < 0 ? -1 : 0;
}

void scratch_stop(struct scratch *s)
{
    uint64_t begun = clock_mono_ms();
    int status;

    /* What it has is thrown away: there is nothing to end in order. */
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR &&
               clock_mono_ms() - begun < STOP_MAX_MS)
            continue;
    }
    free(s->dir);
    free(s->socket);
    *s = (struct scratch){0};
}
