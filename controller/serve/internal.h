/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by service.c (the hub and what it hands out) and socket.c (its clients). */
#ifndef MUSTER_CONTROLLER_SERVE_INTERNAL_H
#define MUSTER_CONTROLLER_SERVE_INTERNAL_H

#include <poll.h>

#include "common/chan.h"
#include "controller/serve/request.h"
#include "controller/serve/service.h"

#define CLIENTS_MAX 32
#define SERVICE_FDS (HUB_FDS + 1 + CLIENTS_MAX)

struct client {
    struct chan chan; /* fd -1: free */
    bool closing;     /* after what is left to be sent */
    bool events, follow, states;
    uint64_t after;
    uint64_t look;         /* it waits for the answer to this one; 0: it does not */
    uint64_t until, asked; /* monotonic; ms since 1970 */
};

/* The measurement under way: one at a time, so that they do not disturb each other. */
struct measure {
    struct client *client; /* who asked; NULL: none is under way */
    size_t from, to;       /* nodes */
    uint64_t id, serve_id; /* their parts' numbers; 0: it has none */
    uint64_t until;        /* monotonic */
    char serve_why[200];   /* why the other side did not serve, or "" */
};

/* Of two members, when one of them is lost. */
struct fence {
    size_t survivor; /* node */
    uint64_t since;  /* monotonic; 0: there is none */
    pid_t pid;       /* of the work; 0: none is under way */
    uint64_t end;    /* monotonic: it is killed then */
};

/* What the operator's program is told of the sites. */
struct dns {
    char *wanted, *telling,
        *told;                 /* addresses, or NULL: those that serve; the work; its last end */
    uint64_t since, next, end; /* monotonic: `wanted` is; not before; it is killed then */
    pid_t pid;                 /* 0: none is under way */
    unsigned failures;
};

struct service {
    struct service_config config;
    struct hub *hub;
    json_t **plans;  /* one per node, as read from the store; NULL: not yet, or none */
    json_t **states; /* newest, or NULL */
    struct node_facts *facts;
    bool *silent;        /* and that was told */
    struct hooks *hooks; /* NULL: none */
    int listener;
    struct client clients[CLIENTS_MAX];
    struct measure measure;
    struct fence fence;
    struct dns dns;
    uint64_t looked;  /* monotonic: when the state directory was looked at */
    uint64_t inode;   /* of the state directory */
    uint64_t started; /* monotonic */
    bool reports;     /* differences are named, not repaired */
    bool outdated, gone, more;
};

/* service.c */
int service_reload(struct service *s, struct err *err);
bool service_hears(const struct service *s, size_t node);
/* Into the store, and to the hooks. */
int service_own_event(struct service *s, struct event *ev, struct err *err);

/* measure.c */
void measure_begin(struct service *s, struct client *c, const struct request *r);
void measure_said(struct service *s, size_t node, const json_t *said); /* an agent's message */
void measure_late(struct service *s);                         /* ends one that has had its time */
void measure_drop(struct service *s, const struct client *c); /* whoever asked is gone */

/* fence.c */
struct fence_look {
    bool heard;              /* by this hub, lately */
    const char *coordinator; /* what it said last that it is at, or "" */
};
bool fence_is_due(const struct fence_look *l, size_t n, size_t *survivor); /* pure */
int fence_run(struct service *s, struct err *err);                         /* once a second */
void fence_close(struct service *s);

/* dns.c */
void dns_run(struct service *s); /* once a second */
void dns_close(struct service *s);

/* socket.c */
int socket_open(struct service *s, struct err *err);
void socket_close(struct service *s);
size_t socket_fds(const struct service *s, struct pollfd *p); /* listener and clients */
int socket_due_ms(const struct service *s);
/* Accepts, reads, answers, streams. */
int socket_run(struct service *s, struct err *err);
void socket_state(struct service *s, size_t node); /* a new one came */

#endif
