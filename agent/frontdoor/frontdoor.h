/* SPDX-License-Identifier: Apache-2.0 */
/* The front door of a node: the HAProxy that takes what visitors send to this node, gives it to the
 * node's own web server, and to a peer's while that cannot serve. */
#ifndef MUSTER_AGENT_FRONTDOOR_FRONTDOOR_H
#define MUSTER_AGENT_FRONTDOOR_FRONTDOOR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define FRONTDOOR_SERVICE "haproxy"
#define FRONTDOOR_PROGRAM "/usr/sbin/haproxy"
#define FRONTDOOR_CONF "/etc/haproxy/haproxy.cfg"
#define FRONTDOOR_PEM "/etc/haproxy/muster.pem" /* certificate and key */
#define FRONTDOOR_SOCKET "/run/haproxy/admin.sock"
#define FRONTDOOR_MARK "# written by muster-agent\n" /* its configuration begins so */

#define FRONTDOOR_PEERS_MAX 8

struct frontdoor {
    const char *node;
    struct {
        const char *name, *address;
    } peers[FRONTDOOR_PEERS_MAX]; /* in the order in which they are taken */
    size_t n_peers;
};

/* Its configuration. `pem`: the file to show to visitors by TLS, NULL without. The caller frees.
 * Pure. */
char *frontdoor_text(const struct frontdoor *f, const char *pem);

/* What HAProxy itself says of the sites. */
struct frontdoor_load {
    bool own_up;     /* new requests go to this node's web server */
    unsigned others; /* peers that would take them */
    bool peer_up;    /* the peer that was named is one of these */
    unsigned flight; /* requests that this node's web server has not answered yet */
    bool apart;      /* there are peers, and none of them takes a connection from here */
    bool closed;     /* it takes no visitors itself */
};

/* Of the answer to "show stat" on its admin socket; `peer`: a name, or NULL. -1 when it does not
 * say. Pure. */
int frontdoor_load_parse(const char *csv, const char *peer, struct frontdoor_load *ret,
                         struct err *err);
/* Asks the HAProxy behind that socket. */
int frontdoor_load(const char *socket_path, const char *peer, struct frontdoor_load *ret,
                   struct err *err);

/* Closes the ports for visitors while neither this node's web server nor a peer's can be had here,
 * as in a zone that is cut off: a browser takes another address of the name when nobody accepts,
 * and does not when it is answered with an error. Opens them again. */
int frontdoor_follow(const char *socket_path, struct err *err);

/* This machine has one that the agent configured. */
bool frontdoor_exists(void);

#endif
