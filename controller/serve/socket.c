/* SPDX-License-Identifier: Apache-2.0 */
/* The hub's socket: what clients ask and what they are told (docs/protocol.md, section 11). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/js.h"
#include "common/proto.h"
#include "common/str.h"
#include "controller/serve/internal.h"
#include "controller/serve/link.h"

#define FOLLOW_MS 100  /* events of other processes are in the store, and tell nobody */
#define ARRIVE_MS 2000 /* agents dial every second: by then all have found a new hub */
#define EVENTS_AT_ONCE 200
#define UNREAD_MAX (4 * 1024 * 1024) /* bytes that a client leaves unread */
#define UNREAD_SOME (64 * 1024)      /* no more events until it has read some */

int socket_open(struct service *s, struct err *err)
{
    s->listener = link_socket(s->config.state, true);
    return s->listener < 0 ? err_errno(err, errno, "%s/hub.sock", s->config.state) : 0;
}

static void end_client(struct service *s, struct client *c)
{
    measure_drop(s, c);
    chan_close(&c->chan);
    *c = (struct client){.chan.fd = -1};
}

void socket_close(struct service *s)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        end_client(s, &s->clients[i]);
    if (s->listener >= 0)
        close(s->listener);
}

size_t socket_fds(const struct service *s, struct pollfd *p)
{
    size_t n = 0;

    p[n++] = (struct pollfd){.fd = s->listener, .events = POLLIN};
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        const struct client *c = &s->clients[i];

        if (c->chan.fd >= 0)
            p[n++] = (struct pollfd){.fd = c->chan.fd,
                                     .events = (short)((c->closing ? 0 : POLLIN) |
                                                       (chan_wants_write(&c->chan) ? POLLOUT : 0))};
    }
    return n;
}

int socket_due_ms(const struct service *s)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        const struct client *c = &s->clients[i];

        if (c->chan.fd >= 0 && (c->events || c->look || s->measure.client == c) &&
            c->chan.out.len < UNREAD_SOME)
            return FOLLOW_MS;
    }
    return -1;
}

/* ---- what is told ---- */

static json_t *node_json(const struct service *s, size_t i, const char *name_key)
{
    struct hub_node n = hub_node(s->hub, i);
    json_t *j = json_pack("{s:s, s:I, s:b, s:I}", name_key, s->config.spec->nodes[i].name, "seen",
                          (json_int_t)n.seen, "heard", service_hears(s, i), "look",
                          (json_int_t)hub_look_id(s->hub));

    json_object_set(j, "state", s->states[i] ? s->states[i] : json_null());
    return j;
}

static void send_state(struct service *s, struct client *c, size_t node)
{
    chan_send(&c->chan, node_json(s, node, "node"));
}

void socket_state(struct service *s, size_t node)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (s->clients[i].chan.fd >= 0 && s->clients[i].states)
            send_state(s, &s->clients[i], node);
}

struct stream {
    struct client *client;
    unsigned n;
};

static void on_stored(void *ctx, const struct event *ev)
{
    struct stream *st = ctx;

    st->n++;
    chan_send(&st->client->chan, json_pack("{s:I, s:o}", "n", (json_int_t)st->client->after,
                                           "event", event_to_json(ev)));
}

static int send_events(struct service *s, struct client *c, struct err *err)
{
    struct stream st = {.client = c};

    if (!c->events || c->chan.out.len >= UNREAD_SOME)
        return 0;
    if (store_events_where(s->config.store, &(struct event_filter){.max = EVENTS_AT_ONCE},
                           &c->after, on_stored, &st, err) < 0)
        return -1;
    if (st.n < EVENTS_AT_ONCE && !c->follow) {
        c->events = false;
        chan_send(&c->chan, json_pack("{s:I}", "end", (json_int_t)c->after));
    }
    return 0;
}

/* Whether it is worth while to wait for this node's answer. */
static bool may_answer(const struct service *s, const struct client *c, size_t i)
{
    if (!service_hears(s, i))
        return clock_mono_ms() < s->started + ARRIVE_MS;
    if (!s->states[i])
        return true;
    return proto_phase_of(s->states[i]) == PHASE_READY &&
           !hub_has_looked(s->hub, s->states[i], c->look);
}

static void send_states(struct service *s, struct client *c)
{
    json_t *nodes;
    bool wait = false;

    for (size_t i = 0; i < s->config.spec->n_nodes; i++)
        wait = wait || may_answer(s, c, i);
    if (!c->look || (wait && clock_mono_ms() < c->until))
        return;
    nodes = json_array();
    for (size_t i = 0; i < s->config.spec->n_nodes; i++) {
        json_t *j = node_json(s, i, "name");

        json_object_set_new(
            j, "checked",
            json_boolean(s->states[i] && hub_has_looked(s->hub, s->states[i], c->look)));
        json_array_append_new(nodes, j);
    }
    chan_send(&c->chan, json_pack("{s:o, s:I}", "nodes", nodes, "asked", (json_int_t)c->asked));
    c->look = 0;
}

/* ---- what is asked ---- */

static int on_up(struct service *s, struct client *c, const struct request *r, struct err *err)
{
    /* One that only looks has no plans to hand out: it makes room for the run's own. */
    if (s->config.only_looks || !str_eq(r->file, s->config.digest)) {
        s->outdated = true;
        chan_send(&c->chan, json_pack("{s:b}", "again", 1));
        return 0;
    }
    if (service_reload(s, err) < 0)
        return -1;
    hub_look(s->hub, HUB_LOOK_REPAIRS);
    chan_send(&c->chan, json_pack("{s:I}", "look", (json_int_t)hub_look_id(s->hub)));
    return 0;
}

static int on_forget(struct service *s, struct client *c, const struct request *r, struct err *err)
{
    if (service_reload(s, err) < 0)
        return -1;
    for (size_t i = 0; i < s->config.spec->n_nodes; i++)
        if (str_eq(s->config.spec->nodes[i].name, r->node)) {
            hub_forget(s->hub, i);
            json_decref(TAKE(s->states[i]));
        }
    chan_send(&c->chan, json_pack("{s:s}", "forgot", r->node));
    return 0;
}

static int on_request(struct service *s, struct client *c, const struct request *r, struct err *err)
{
    switch (r->kind) {
    case REQUEST_STATE:
        hub_look(s->hub, HUB_LOOK_TELLS);
        c->look = hub_look_id(s->hub);
        c->until = clock_mono_ms() + r->wait_ms;
        c->asked = clock_wall_ms();
        return 0;
    case REQUEST_EVENTS:
        c->events = true;
        c->after = r->after;
        c->follow = r->follow;
        c->states = r->states;
        for (size_t i = 0; c->states && i < s->config.spec->n_nodes; i++)
            send_state(s, c, i);
        return 0;
    case REQUEST_UP:
        return on_up(s, c, r, err);
    case REQUEST_MEASURE:
        measure_begin(s, c, r);
        return 0;
    default:
        return on_forget(s, c, r, err);
    }
}

static void refuse(struct client *c, const char *why)
{
    chan_send(&c->chan, json_pack("{s:o}", "error", js_string(why)));
    c->closing = true;
}

/* What a client has sent; only so much, and nothing after a request that was refused. */
static int take_requests(struct service *s, struct client *c, struct err *err)
{
    bool broken = false, alive = chan_fill(&c->chan), long_line = c->chan.in.len > REQUEST_MAX;
    json_t *j;
    int rc = 0;

    while (rc == 0 && !c->closing && (j = chan_next(&c->chan, &broken))) {
        struct request r;
        struct err bad;

        if (request_parse(j, &r, &bad) < 0)
            refuse(c, bad.msg);
        else
            rc = on_request(s, c, &r, err);
        if (rc < 0)
            refuse(c, err->msg); /* it may ask again */
        json_decref(j);
    }
    if (broken || long_line)
        refuse(c, broken ? "a line that is no JSON" : "a request is too long");
    else if (!alive)
        end_client(s, c);
    return rc;
}

static void accept_client(struct service *s)
{
    struct ucred who = {0};
    socklen_t len = sizeof(who);
    int fd;

    while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct client *c = NULL;

        for (size_t i = 0; i < CLIENTS_MAX && !c; i++)
            if (s->clients[i].chan.fd < 0)
                c = &s->clients[i];
        if (!c || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
            (who.uid != geteuid() && who.uid != 0)) {
            close(fd);
            continue;
        }
        chan_open(&c->chan, fd);
    }
}

int socket_run(struct service *s, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *c = &s->clients[i];

        if (c->chan.fd >= 0)
            chan_flush(&c->chan);
        if (c->chan.fd >= 0 && !c->closing && take_requests(s, c, err) < 0)
            rc = -1;
        if (c->chan.fd < 0)
            continue;
        if (!c->closing && send_events(s, c, err) < 0)
            rc = -1;
        if (!c->closing)
            send_states(s, c);
        if (c->chan.out.len > UNREAD_MAX || (c->closing && !chan_wants_write(&c->chan)))
            end_client(s, c);
    }
    measure_late(s);
    accept_client(s); /* last: into the room of those that have gone */
    return rc;
}
