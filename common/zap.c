/* SPDX-License-Identifier: Apache-2.0 */
#include "common/zap.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/str.h"

/* A request of RFC 27: envelope of a REP-like ROUTER, then these frames. */
enum frame {
    FRAME_RID,
    FRAME_EMPTY,
    FRAME_VERSION,
    FRAME_REQUEST,
    FRAME_DOMAIN,
    FRAME_ADDRESS,
    FRAME_IDENTITY,
    FRAME_MECHANISM,
    FRAME_KEY,
    FRAMES
};

struct zap {
    void *raw;
    zap_allow_fn allow;
    void *ctx;
};

struct zap *zap_new(struct zctx *c, zap_allow_fn allow, void *ctx, struct err *err)
{
    void *s = zmq_socket(zctx_raw(c), ZMQ_ROUTER);
    struct zap *z;

    if (!s || zmq_bind(s, "inproc://zeromq.zap.01") < 0) {
        err_set(err, ERR_FAILED, "authentication handler: %s", zmq_strerror(zmq_errno()));
        if (s)
            zmq_close(s);
        return NULL;
    }
    z = xcalloc(1, sizeof(*z));
    z->raw = s;
    z->allow = allow;
    z->ctx = ctx;
    return z;
}

int zap_fd(struct zap *z)
{
    int fd = -1;
    size_t len = sizeof(fd);

    zmq_getsockopt(z->raw, ZMQ_FD, &fd, &len);
    return fd;
}

static bool frame_text(zmq_msg_t *f, char *dst, size_t cap)
{
    size_t n = zmq_msg_size(f);

    if (n >= cap || memchr(zmq_msg_data(f), 0, n))
        return false;
    memcpy(dst, zmq_msg_data(f), n);
    dst[n] = '\0';
    return true;
}

static bool decide(struct zap *z, zmq_msg_t f[FRAMES], char user[ZSOCK_USER_MAX])
{
    char version[8], mechanism[16], domain[32], address[64];

    if (!frame_text(&f[FRAME_VERSION], version, sizeof(version)) || !str_eq(version, "1.0") ||
        !frame_text(&f[FRAME_MECHANISM], mechanism, sizeof(mechanism)) ||
        !str_eq(mechanism, "CURVE") || zmq_msg_size(&f[FRAME_KEY]) != KEY_SIZE ||
        !frame_text(&f[FRAME_DOMAIN], domain, sizeof(domain)) ||
        !frame_text(&f[FRAME_ADDRESS], address, sizeof(address)))
        return false;
    user[0] = '\0';
    return z->allow(z->ctx, domain, address, zmq_msg_data(&f[FRAME_KEY]), user) && user[0];
}

static void answer(struct zap *z, zmq_msg_t f[FRAMES], bool ok, const char *user)
{
    const char *code = ok ? "200" : "400";
    const char *text = ok ? "OK" : "refused";

    zmq_msg_send(&f[FRAME_RID], z->raw, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->raw, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->raw, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_msg_send(&f[FRAME_REQUEST], z->raw, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->raw, code, 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->raw, text, strlen(text), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->raw, ok ? user : "", ok ? strlen(user) : 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(z->raw, "", 0, ZMQ_DONTWAIT);
}

/* One request: false when none waits. */
static bool serve_one(struct zap *z)
{
    zmq_msg_t f[FRAMES];
    char user[ZSOCK_USER_MAX] = "";
    size_t n = 0;
    bool more = true;

    for (size_t i = 0; i < FRAMES; i++)
        zmq_msg_init(&f[i]);
    while (more) {
        zmq_msg_t extra;

        zmq_msg_init(&extra);
        if (zmq_msg_recv(n < FRAMES ? &f[n] : &extra, z->raw, ZMQ_DONTWAIT) < 0)
            break;
        more = zmq_msg_more(n < FRAMES ? &f[n] : &extra);
        zmq_msg_close(&extra);
        n++;
    }
    if (n >= FRAME_REQUEST + 1)
        answer(z, f, n == FRAMES && decide(z, f, user), user);
    for (size_t i = 0; i < FRAMES; i++)
        zmq_msg_close(&f[i]);
    return n > 0;
}

void zap_serve(struct zap *z)
{
    while (serve_one(z))
        ;
}

void zap_free(struct zap *z)
{
    if (!z)
        return;
    zmq_close(z->raw);
    free(z);
}
