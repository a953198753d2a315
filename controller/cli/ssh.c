/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/ssh.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/child.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"
#include "common/text.h"

#define LINE_MAX_BYTES 65536 /* a longer one is printed in parts */

static const json_t *place_of(const json_t *layout, const char *name)
{
    for (size_t i = 0; i < json_array_size(layout); i++)
        if (str_eq(js_opt_str(json_array_get(layout, i), "name", ""), name))
            return json_array_get(layout, i);
    return NULL;
}

int ssh_command(struct deployment *d, const char *node, const char *const words[], size_t n,
                char ***ret, struct err *err)
{
    _cleanup_json_ json_t *layout = NULL;
    _cleanup_free_ char *public_key = NULL;
    _cleanup_free_ char *private_key = NULL;
    const json_t *place;
    char **argv;
    size_t at = 0;

    if (deployment_layout(d, &layout, err) < 0 ||
        deployment_ssh_key(d, &public_key, &private_key, err) < 0)
        return -1;
    place = place_of(layout, node);
    if (!place)
        return err_set(err, ERR_USAGE, "no node '%s' in %s", node, d->file);
    if (!js_opt_u64(place, "ssh_port", 0))
        return err_set(err, ERR_USAGE,
                       "node '%s' has no port that leads to %d; add one under 'ports' and run up",
                       node, PORT_SSH);
    _cleanup_free_ char *known = deployment_known_hosts(d, node);
    argv = xcalloc(n + 12, sizeof(*argv));
    argv[at++] = xstrdup("/usr/bin/ssh");
    argv[at++] = xstrdup("-p");
    argv[at++] = str_fmt("%u", (unsigned)js_opt_u64(place, "ssh_port", 0));
    argv[at++] = xstrdup("-i");
    argv[at++] = xstrdup(private_key);
    argv[at++] = str_fmt("-oUserKnownHostsFile=%s", known);
    argv[at++] = xstrdup("-oStrictHostKeyChecking=accept-new");
    argv[at++] = xstrdup("-oLogLevel=ERROR");
    argv[at++] = str_fmt("%s@%s", d->spec.user, js_opt_str(place, "public_ip", ""));
    for (size_t i = 0; i < n; i++)
        argv[at++] = xstrdup(words[i]);
    *ret = argv;
    return 0;
}

void ssh_free(char **argv)
{
    for (size_t i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
}

/* Whole lines of what one descriptor gave, or all of it at its end. */
static void print_lines(struct strbuf *b, FILE *to, bool all)
{
    char *end = b->len ? memrchr(b->s, '\n', b->len) : NULL;
    size_t n = all || b->len >= LINE_MAX_BYTES ? b->len : end ? (size_t)(end - b->s) + 1 : 0;

    if (!n)
        return;
    for (char *zero = b->s; (zero = memchr(zero, 0, n - (size_t)(zero - b->s)));)
        *zero = '?';
    text_print(to, "%.*s", (int)n, b->s);
    fflush(to);
    memmove(b->s, b->s + n, b->len - n + 1);
    b->len -= n;
}

/* False: its end. */
static bool take(int fd, struct strbuf *b, FILE *to)
{
    char buf[4096];
    ssize_t n = read(fd, buf, sizeof(buf));

    if (n < 0 && errno == EINTR)
        return true;
    if (n > 0)
        strbuf_add(b, buf, (size_t)n);
    print_lines(b, to, n <= 0);
    return n > 0;
}

static void print_both(int out, int errors)
{
    struct pollfd p[2] = {{.fd = out, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
    struct strbuf texts[2] = {{0}};

    while (p[0].fd >= 0 || p[1].fd >= 0) {
        poll(p, 2, -1);
        for (size_t i = 0; i < 2; i++)
            if (p[i].fd >= 0 && p[i].revents && !take(p[i].fd, &texts[i], i ? stderr : stdout))
                p[i].fd = -1;
    }
    strbuf_free(&texts[0]);
    strbuf_free(&texts[1]);
}

int ssh_print(const char *const argv[], struct err *err)
{
    int out[2], errors[2], status = 0;
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) < 0)
        return err_errno(err, errno, "pipe");
    if (pipe2(errors, O_CLOEXEC) < 0) {
        close(out[0]);
        close(out[1]);
        return err_errno(err, errno, "pipe");
    }
    const struct child_fd fds[] = {{out[1], STDOUT_FILENO}, {errors[1], STDERR_FILENO}};
    fflush(stdout);
    int r = child_start(argv, &(struct child_opts){.fds = fds, .n_fds = 2}, &pid, err);
    close(out[1]);
    close(errors[1]);
    if (r == 0)
        print_both(out[0], errors[0]);
    close(out[0]);
    close(errors[0]);
    if (r < 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno(err, errno, "wait for a program");
    return WIFEXITED(status) ? WEXITSTATUS(status) : SSH_UNREACHABLE;
}

int ssh_run(struct deployment *d, const char *node, const char *const words[], size_t n,
            struct err *err)
{
    char **argv = NULL;

    if (ssh_command(d, node, words, n, &argv, err) < 0)
        return -1;
    int r = ssh_print((const char *const *)argv, err);
    ssh_free(argv);
    return r < 0 ? err_wrap(err, "install openssh-client") : r;
}

int ssh_agent(struct deployment *d, const char *node, const char *const words[], size_t n,
              struct err *err)
{
    int code = ssh_run(d, node, words, n, err);

    if (code < 0)
        return -1;
    if (code == SSH_UNREACHABLE)
        return err_set(err, ERR_NODE, "%s cannot be reached by ssh; nothing is known of it", node);
    return code ? err_set(err, (enum err_code)code, "%s: see above", node) : 0;
}

char *ssh_quote(const char *text)
{
    struct strbuf b = {0};

    strbuf_adds(&b, "'");
    for (; *text; text++)
        if (*text == '\'')
            strbuf_adds(&b, "'\\''");
        else
            strbuf_add(&b, text, 1);
    strbuf_adds(&b, "'");
    return b.s;
}
