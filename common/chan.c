/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/js.h"
#include "common/keys.h"

void chan_open(struct chan *c, int fd)
{
    *c = (struct chan){.fd = fd};
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void chan_close(struct chan *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    keys_wipe(c->in.s, c->in.len);
    keys_wipe(c->out.s, c->out.len);
    strbuf_free(&c->in);
    strbuf_free(&c->out);
}

static void drop_front(struct strbuf *b, size_t n)
{
    memmove(b->s, b->s + n, b->len - n);
    keys_wipe(b->s + b->len - n, n); /* plans carry secrets */
    b->len -= n;
    b->s[b->len] = '\0';
    if (b->len == 0 && b->cap > 65536)
        strbuf_free(b);
}

void chan_flush(struct chan *c)
{
    while (c->fd >= 0 && c->out.len) {
        ssize_t n = write(c->fd, c->out.s, c->out.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return; /* full, or gone: chan_fill will tell */
        drop_front(&c->out, (size_t)n);
    }
}

void chan_send(struct chan *c, json_t *value)
{
    char *text = js_text(value);

    if (c->fd >= 0) {
        strbuf_adds(&c->out, text);
        strbuf_adds(&c->out, "\n");
        chan_flush(c);
    }
    keys_wipe(text, strlen(text));
    free(text);
    json_decref(value);
}

bool chan_wants_write(const struct chan *c)
{
    return c->out.len > 0;
}

bool chan_fill(struct chan *c)
{
    char buf[16384];

    for (;;) {
        ssize_t n = read(c->fd, buf, sizeof(buf));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0 || c->in.len + (size_t)n > CHAN_LINE_MAX)
            return false;
        strbuf_add(&c->in, buf, (size_t)n);
        keys_wipe(buf, (size_t)n);
        if ((size_t)n < sizeof(buf))
            return true;
    }
}

json_t *chan_next(struct chan *c, bool *ret_broken)
{
    struct err err;
    json_t *value = NULL;

    *ret_broken = false;
    char *end = c->in.len ? memchr(c->in.s, '\n', c->in.len) : NULL;
    if (!end)
        return NULL;
    size_t len = (size_t)(end - c->in.s);
    if (js_parse(c->in.s, len, &value, &err) < 0)
        *ret_broken = true;
    drop_front(&c->in, len + 1);
    return value;
}
