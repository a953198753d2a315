/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/proc.h"
#include "controller/cli/ssh.h"

int remote_json(struct deployment *d, const char *node, const char *const words[], size_t n,
                json_t **ret, struct err *err)
{
    char **argv = NULL;
    struct proc_result out;
    struct err why = {0};
    int r;

    if (ssh_command(d, node, words, n, &argv, err) < 0)
        return -1;
    r = proc_run((const char *const *)argv, NULL, &out, &why);
    ssh_free(argv);
    if (r < 0 && out.status == SSH_UNREACHABLE)
        r = err_set(err, ERR_NODE, "%s cannot be reached by ssh", node);
    else if (r < 0)
        r = err_set(err, ERR_NODE, "%s: %s", node, why.msg);
    else if (js_parse(strbuf_str(&out.out), out.out.len, ret, &why) < 0)
        r = err_set(err, ERR_NODE, "%s: what its agent says is not understood: %s", node, why.msg);
    proc_result_free(&out);
    return r;
}

int remote_run(struct deployment *d, const char *node, const char *const words[], size_t n, int in,
               int out, int *ret_status, struct err *err)
{
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    const struct child_fd fds[] = {{in >= 0 ? in : null, 0}, {out >= 0 ? out : null, 1}, {2, 2}};
    const struct child_opts opts = {.fds = fds, .n_fds = ARRAY_LEN(fds), .bound = true};
    char **argv = NULL;
    int status = 0;
    pid_t pid;

    if (ssh_command(d, node, words, n, &argv, err) < 0)
        return -1;
    int r = child_start((const char *const *)argv, &opts, &pid, err);
    ssh_free(argv);
    if (r < 0)
        return err_wrap(err, "install openssh-client");
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno(err, errno, "wait for ssh");
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : SSH_UNREACHABLE;
    return 0;
}
