/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/share/rest.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/share/share.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/str.h"

#define ANSWER_MAX (1024 * 1024)

static int dial(unsigned timeout_s, struct err *err)
{
    const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = SHARE_SOCKET};
    const struct timeval tv = {.tv_sec = (time_t)timeout_s};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_errno(err, errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
        err_errno(err, errno, "Syncthing does not answer");
        close(fd);
        return -1;
    }
    return fd;
}

void rest_quote(struct strbuf *b, const char *text)
{
    for (; *text; text++)
        if (isalnum((unsigned char)*text) || strchr("-_.~/", *text))
            strbuf_add(b, text, 1);
        else
            strbuf_addf(b, "%%%02X", (unsigned char)*text);
}

int rest_answer(const char *text, size_t len, json_t **ret_json, struct err *err)
{
    const char *body = strstr(text, "\r\n\r\n");
    struct err ignored;
    int status = 0;

    if (ret_json)
        *ret_json = NULL;
    if (sscanf(text, "HTTP/1.%*d %d", &status) != 1 || !body)
        return err_set(err, ERR_FAILED, "Syncthing answered no HTTP");
    body += 4;
    if (status != 200)
        return err_set(err, ERR_FAILED, "Syncthing answered %d: %.120s", status, body);
    if (ret_json && *body && js_parse(body, len - (size_t)(body - text), ret_json, &ignored) < 0)
        return err_set(err, ERR_FAILED, "Syncthing answered no JSON");
    return 0;
}

int rest_call(const char *api_key, const char *method, const char *path, unsigned timeout_s,
              json_t **ret_json, struct err *err)
{
    _cleanup_close_ int fd = dial(timeout_s, err);
    _cleanup_(strbuf_free) struct strbuf answer = {0};
    _cleanup_free_ char *request =
        str_fmt("%s %s HTTP/1.0\r\nHost: localhost\r\nX-API-Key: %s\r\nContent-Length: 0\r\n\r\n",
                method, path, api_key);
    char buf[16384];
    ssize_t n;

    if (fd < 0)
        return -1;
    if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request))
        return err_errno(err, errno, "send a request to Syncthing");
    while ((n = recv(fd, buf, sizeof(buf), 0)) > 0 && answer.len < ANSWER_MAX)
        strbuf_add(&answer, buf, (size_t)n);
    if (n != 0)
        return err_set(err, ERR_FAILED, "Syncthing's answer does not end");
    return rest_answer(strbuf_str(&answer), answer.len, ret_json, err);
}
