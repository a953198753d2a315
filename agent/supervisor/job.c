/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: programs of their own, so that nothing in the supervisor ever blocks. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/ipc/helper.h"
#include "agent/supervisor/internal.h"
#include "common/cleanup.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/proc.h"
#include "common/str.h"

#define ANSWER_MAX 65536

static int start(struct job *j, const char *what, const char *text)
{
    _cleanup_close_ int in = memfd_create("request", MFD_CLOEXEC);
    _cleanup_close_ int out = memfd_create("answer", MFD_CLOEXEC);
    size_t len = strlen(text);

    if (in < 0 || out < 0 || write(in, text, len) != (ssize_t)len || lseek(in, 0, SEEK_SET) < 0)
        return -1;
    pid_t pid = helper_start(PROC_ARGV(HELPER_WORKER, "job", what), in, out, j->bound);
    if (pid < 0)
        return -1;
    j->pid = pid;
    str_copy(j->what, sizeof(j->what), what);
    j->answer = out;
    out = -1;
    return 0;
}

int sup_job_start(struct job *j, enum ipc_msg m, json_t *members)
{
    _cleanup_json_ json_t *request = ipc_make(m, members);
    const char *what =
        m == IPC_JOB_ACTION ? js_opt_str(request, "what", "") : ipc_msg_name(m) + strlen("job-");
    char *text = js_text(request);

    j->asked = m;
    int r = start(j, what, text);
    keys_wipe(text, strlen(text)); /* a plan has secrets */
    free(text);
    return r;
}

static int read_answer(const struct job *j, json_t **ret, struct err *err)
{
    size_t len = 0;
    enum ipc_msg m;
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *answer = NULL;
    _cleanup_free_ char *path = str_fmt("/proc/self/fd/%d", j->answer);

    if (fs_read(path, ANSWER_MAX, &text, &len, err) < 0)
        return -1;
    if (len == 0)
        return err_set(err, ERR_FAILED, "it left no answer");
    if (js_parse(text, len, &answer, err) < 0 || ipc_decode(answer, IPC_FROM_WORKER, &m, err) < 0)
        return -1;
    if (m != ipc_answer(j->asked))
        return err_set(err, ERR_FAILED, "it answered another question");
    *ret = TAKE(answer);
    return 0;
}

json_t *sup_job_end(struct job *j)
{
    struct err err = {0};
    json_t *answer = NULL;

    if (read_answer(j, &answer, &err) < 0)
        log_warn("job %s: %s", j->what, err.msg);
    close(j->answer);
    j->pid = 0;
    return answer;
}
