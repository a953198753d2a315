/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sys/webcheck.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/fs.h"
#include "common/keys.h"
#include "common/ports.h"
#include "common/str.h"
#include "common/text.h"

#define ANSWER_MAX (256 * 1024) /* of an answer that is looked into; the rest is read over */

uint16_t webcheck_port(const json_t *web)
{
    return json_object_get(web, "proxies") ? PORT_SITE : PORT_HTTP;
}

uint16_t webcheck_port_of(const json_t *resources)
{
    size_t i;
    json_t *step;

    json_array_foreach(resources, i, step)
    {
        if (str_eq(json_string_value(json_object_get(step, "type")), "web"))
            return webcheck_port(step);
    }
    return webcheck_port(NULL);
}

/* Sends `request` and reads to the end; the first line's status. */
static int exchange(uint16_t port, const char *request, size_t len, unsigned timeout_s,
                    struct strbuf *answer, struct err *err)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval tv = {.tv_sec = (time_t)timeout_s};
    char buf[4096];
    int status = 0;
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0)
        return err_errno(err, errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
        return err_errno(err, errno, "connect to the local web server");
    if (send(fd, request, len, MSG_NOSIGNAL) != (ssize_t)len)
        return err_errno(err, errno, "send a request to the local web server");
    for (ssize_t n; (n = recv(fd, buf, sizeof(buf), 0)) != 0;) {
        if (n < 0)
            return err_errno(err, errno, "read the local web server's answer");
        if (answer->len < ANSWER_MAX)
            strbuf_add(answer, buf, (size_t)n);
    }
    if (sscanf(strbuf_str(answer), "HTTP/1.%*d %d", &status) != 1)
        return err_set(err, ERR_FAILED, "the local web server answered no HTTP");
    return status;
}

static const char *body_of(const char *answer)
{
    const char *body = strstr(answer, "\r\n\r\n");

    return body ? body + 4 : "";
}

/* The first lines of a request, as a visitor of `site` sends it; NULL: `site` is no address. */
static char *head_of(const char *method, const char *site, const char *path)
{
    bool tls = str_starts(site, "https://");
    const char *host = str_starts(site, "http://") ? site + strlen("http://")
                       : tls                       ? site + strlen("https://")
                                                   : "";
    size_t n = strcspn(host, "/");

    if (n == 0 || strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               ".:-_[]") < n)
        return NULL;
    return str_fmt("%s %s HTTP/1.0\r\nHost: %.*s\r\n%sConnection: close\r\n", method, path, (int)n,
                   host, tls ? "X-Forwarded-Proto: https\r\n" : "");
}

char *webcheck_form(const char *site, const char *path, const char *body)
{
    _cleanup_free_ char *head = head_of("POST", site, path);

    return head ? str_fmt("%sContent-Type: application/x-www-form-urlencoded\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          head, strlen(body), body)
                : NULL;
}

/* Where the answer sends its reader, without a query; "" when it does not say. */
static void location_of(const char *answer, char *ret, size_t cap)
{
    const char *at = strcasestr(answer, "\r\nLocation:");
    const char *end = strstr(answer, "\r\n\r\n");
    _cleanup_free_ char *text = NULL;

    ret[0] = '\0';
    if (!at || (end && at > end))
        return;
    at += strlen("\r\nLocation:");
    at += strspn(at, " \t");
    text = strndup(at, strcspn(at, "?\r\n"));
    text_plain(text, false);
    snprintf(ret, cap, "%s", text);
}

/* --- a visit --------------------------------------------------------------------------------- */

void webcheck_visit_judge(int status, const char *answer, const struct visit_wanted *w,
                          struct webcheck *ret)
{
    char to[160];
    const char *body = body_of(answer);

    location_of(answer, to, sizeof(to));
    ret->status = status;
    visit_judge(w, &(struct visit_answer){status, *to ? to : NULL, body, strlen(body)}, ret->why);
}

void webcheck_visit(uint16_t port, const char *site, const struct visit_wanted *w,
                    struct webcheck *ret)
{
    struct err err = {0};
    _cleanup_(strbuf_free) struct strbuf answer = {0};
    _cleanup_free_ char *known = head_of("GET", site, w->path);
    _cleanup_free_ char *head = known ? NULL : head_of("GET", "http://localhost", w->path);
    _cleanup_free_ char *request =
        str_fmt("%sUser-Agent: muster-agent\r\n\r\n", known ? known : head);
    int status = visit_path_valid(w->path)
                     ? exchange(port, request, strlen(request), 5, &answer, &err)
                     : err_set(&err, ERR_USAGE, "%.80s is no path to ask for", w->path);

    *ret = (struct webcheck){0};
    if (status < 0)
        snprintf(ret->why, sizeof(ret->why), "its web server does not answer: %.200s", err.msg);
    else
        webcheck_visit_judge(status, strbuf_str(&answer), w, ret);
}

/* The file of the running process that says what it has mapped; NULL: that is no web server. */
static FILE *maps_of(const char *pid_file)
{
    struct err err;
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *comm = NULL;
    char path[64];
    size_t len;

    if (fs_read(pid_file, 64, &text, &len, &err) < 0)
        return NULL;
    long pid = strtol(text, NULL, 10);
    snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    if (pid <= 0 || fs_read(path, 64, &comm, &len, &err) < 0 || !str_starts(comm, "apache2"))
        return NULL;
    snprintf(path, sizeof(path), "/proc/%ld/maps", pid);
    return fopen(path, "re");
}

int webcheck_php(const char *pid_file)
{
    FILE *f = maps_of(pid_file);
    char line[PATH_MAX + 128];
    int ret = f ? 0 : -1;

    while (f && ret == 0 && fgets(line, sizeof(line), f))
        if (strstr(line, "/libphp"))
            ret = 1;
    if (f && ret == 0 && ferror(f))
        ret = -1;
    if (f)
        fclose(f);
    return ret;
}

/* --- a form ---------------------------------------------------------------------------------- */

int webcheck_form_judge(int status, const char *answer, const char *path, const char *expect,
                        char *ret_note, size_t cap, struct err *err)
{
    char to[160];

    ret_note[0] = '\0';
    if (status >= 400)
        return err_set(err, ERR_FAILED, "POST %s: status %d", path, status);
    if (str_starts(body_of(answer), "<?php"))
        return err_set(err, ERR_FAILED, "POST %s: PHP is not active in Apache", path);
    location_of(answer, to, sizeof(to));
    if (expect && !strstr(answer, expect))
        return err_set(err, ERR_FAILED, "POST %s: the answer (status %d%s%s) has no '%s'", path,
                       status, *to ? ", to " : "", to, expect);
    if (!expect && status >= 300)
        snprintf(
            ret_note, cap,
            "POST %s was answered by a redirect (status %d) to %s: taken for success; `expect` "
            "in the file has it looked into",
            path, status, *to ? to : "nowhere");
    return 0;
}

int webcheck_post(uint16_t port, const char *site, const char *path, const char *body,
                  const char *expect, char *ret_note, size_t cap, struct err *err)
{
    struct strbuf answer = {0};
    char *request = webcheck_form(site, path, body);
    size_t len = request ? strlen(request) : 0;

    ret_note[0] = '\0';
    if (!request)
        return err_set(err, ERR_USAGE,
                       "POST %s: the site has no address that visitors call it by; write app.url "
                       "into the file",
                       path);
    int status = exchange(port, request, len, 300, &answer, err);
    int r = status < 0 ? -1
                       : webcheck_form_judge(status, strbuf_str(&answer), path, expect, ret_note,
                                             cap, err);
    keys_wipe(request, len);
    free(request);
    if (answer.s)
        keys_wipe(answer.s, answer.len); /* it may repeat what was sent */
    strbuf_free(&answer);
    return r;
}
