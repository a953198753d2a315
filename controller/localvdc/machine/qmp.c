/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/localvdc/machine/qmp.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "controller/localvdc/base/vdc.h"

#define ANSWER_S 30

/* The next line that has one of the members; events come in between. */
static json_t *next_with(FILE *qmp, const char *a, const char *b, struct err *err)
{
    _cleanup_free_ char *line = NULL;
    size_t cap = 0;

    errno = 0;
    while (getline(&line, &cap, qmp) > 0) {
        json_t *msg = json_loads(line, 0, NULL);

        if (json_object_get(msg, a) || json_object_get(msg, b))
            return msg;
        json_decref(msg);
    }
    err_errno(err, errno ? errno : EPIPE, "QEMU's monitor does not answer");
    return NULL;
}

int qmp_call(FILE *qmp, const char *command, json_t *args, json_t **ret_value, struct err *err)
{
    _cleanup_json_ json_t *rq = json_pack("{s:s}", "execute", command);

    if (args)
        json_object_set_new(rq, "arguments", args);
    _cleanup_free_ char *text = json_dumps(rq, JSON_COMPACT);
    /* Written past the stream: one direction of it only is buffered. */
    _cleanup_free_ char *line = str_fmt("%s\n", text);
    if (send(fileno(qmp), line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
        return err_errno(err, errno, "speak to QEMU's monitor");
    _cleanup_json_ json_t *msg = next_with(qmp, "return", "error", err);
    if (!msg)
        return -1;
    if (json_object_get(msg, "error"))
        return err_set(err, ERR_FAILED, "QEMU refuses %s: %s", command,
                       vdc_str(json_object_get(msg, "error"), "desc"));
    if (ret_value)
        *ret_value = json_incref(json_object_get(msg, "return"));
    return 0;
}

int qmp_open(const char *path, FILE **ret, struct err *err)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = ANSWER_S};

    if (!str_copy(addr.sun_path, sizeof(addr.sun_path), path))
        return err_set(err, ERR_FAILED, "%s is too long for a socket", path);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
        connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return err_errno(err, errno, "connect to %s", path);
    _cleanup_fclose_ FILE *qmp = fdopen(fd, "r");
    if (!qmp)
        return err_errno(err, errno, "connect to %s", path);
    fd = -1;
    _cleanup_json_ json_t *greeting = next_with(qmp, "QMP", "QMP", err);
    if (!greeting || qmp_call(qmp, "qmp_capabilities", NULL, NULL, err) < 0)
        return -1;
    *ret = TAKE(qmp);
    return 0;
}
