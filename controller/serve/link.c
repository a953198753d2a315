/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/serve/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fs.h"
#include "common/js.h"
#include "common/str.h"

#define SOCKET_NAME "hub.sock"
#define BACKLOG 64

int link_socket(const char *state, bool server)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    /* The name of a socket is at most 107 bytes; that of the directory may be longer. */
    _cleanup_close_ int dir = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t mask;
    int rc, errnum;

    if (dir < 0 || fd < 0)
        return -1;
    snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/" SOCKET_NAME, dir);
    if (!server) {
        if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
            return -1;
        rc = fd;
        fd = -1;
        return rc;
    }
    unlinkat(dir, SOCKET_NAME, 0); /* of a hub that was killed: we have its lock */
    mask = umask(0177);
    rc = bind(fd, (struct sockaddr *)&at, sizeof(at));
    errnum = errno;
    umask(mask);
    errno = errnum;
    if (rc < 0 || listen(fd, BACKLOG) < 0)
        return -1;
    rc = fd;
    fd = -1;
    return rc;
}

int link_open(const char *state, struct chan *ret, struct err *err)
{
    int fd = link_socket(state, false);

    if (fd < 0)
        return err_errno(err, errno, "no hub answers at %s/" SOCKET_NAME, state);
    chan_open(ret, fd);
    return 0;
}

void link_ask(struct chan *c, enum request_kind kind, json_t *members)
{
    json_t *j = members ? members : json_object();

    json_object_set_new(j, "v", json_integer(REQUEST_VERSION));
    json_object_set_new(j, "do", json_string(request_name(kind)));
    chan_send(c, j);
}

int link_next(struct chan *c, json_t **ret)
{
    bool broken, alive;

    if (c->fd < 0)
        return -1;
    chan_flush(c);
    alive = chan_fill(c);
    *ret = chan_next(c, &broken);
    if (*ret)
        return 1;
    return alive && !broken ? 0 : -1;
}

int link_wait(struct chan *c, const char *member, int timeout_ms, json_t **ret, struct err *err)
{
    uint64_t end = clock_mono_ms() + (uint64_t)timeout_ms, now;
    json_t *j = NULL;
    int rc;

    for (;;) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};

        while ((rc = link_next(c, &j)) == 1) {
            const char *why = js_opt_str(j, "error", NULL);

            if (why) {
                err_set(err, ERR_FAILED, "the hub says: %.300s", why);
                json_decref(j);
                return -1;
            }
            if (json_object_get(j, member)) {
                *ret = j;
                return 0;
            }
            json_decref(j);
        }
        now = clock_mono_ms();
        if (rc < 0)
            return err_set(err, ERR_FAILED, "the hub has ended");
        if (now >= end)
            return err_set(err, ERR_TIMEOUT, "the hub does not answer");
        if (chan_wants_write(c))
            p.events |= POLLOUT;
        poll(&p, 1, (int)(end - now));
    }
}

int link_lock(const char *state, const char *role, struct err *err)
{
    _cleanup_free_ char *path = str_fmt("%s/hub.lock", state);
    _cleanup_free_ char *who = NULL;
    struct err ignored;
    int fd = fs_lock(path, false, err);

    if (fd < 0 && err->code == ERR_LOCKED) {
        if (fs_read(path, 128, &who, NULL, &ignored) < 0)
            who = xstrdup("");
        return err_set(err, ERR_LOCKED, "the agents of this deployment speak to another hub: %s",
                       *who ? str_chomp(who) : "it has just begun");
    }
    if (fd < 0)
        return -1;
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%s, process %d\n", role, (int)getpid()) < 0) {
        err_errno(err, errno, "%s", path);
        close(fd);
        return -1;
    }
    return fd;
}
