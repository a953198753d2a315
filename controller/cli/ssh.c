/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/cli/ssh.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common/child.h"
#include "common/cleanup.h"
#include "common/js.h"
#include "common/ports.h"
#include "common/str.h"

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

int ssh_run(struct deployment *d, const char *node, const char *const words[], size_t n,
            struct err *err)
{
    char **argv = NULL;
    int status = 0;
    pid_t pid;

    if (ssh_command(d, node, words, n, &argv, err) < 0)
        return -1;
    fflush(stdout);
    int r = child_start((const char *const *)argv, &(struct child_opts){0}, &pid, err);
    ssh_free(argv);
    if (r < 0)
        return err_wrap(err, "install openssh-client");
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno(err, errno, "wait for ssh");
    return WIFEXITED(status) ? WEXITSTATUS(status) : SSH_UNREACHABLE;
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
