/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the hub*.c files only. */
#ifndef MUSTER_CONTROLLER_NODES_INTERNAL_H
#define MUSTER_CONTROLLER_NODES_INTERNAL_H

#include "common/proto.h"
#include "common/zap.h"
#include "controller/nodes/hub.h"
#include "controller/nodes/keyindex.h"
#include "controller/nodes/twin.h"

#define HUB_BLOBS_MAX 8

/* What the hub says of a peer at most once in NOTE_EVERY_MS. */
enum rare { RARE_ENROL, RARE_EVENT, RARE_FLOOD, RARE_TWIN, RARES };

/* So much at once, then so much a second. */
struct bucket {
    double left;
    uint64_t at; /* monotonic, ms: when that was so; 0: never, it is full */
};

/* One node as this run sees it. */
struct peer {
    struct store_node node;
    struct zmsg at; /* where to send; rid_len 0: not connected */
    struct twin twin;
    bool hello;
    bool answer_hello;
    bool touched;                /* it is in the hub's list */
    char has_rev[EVENT_REV_MAX]; /* the plan that the agent said it has */
    bool drift_told;             /* it was sent the plan again to repair what drifted */
    bool wants_signed;           /* its version knows signed plans */
    uint64_t counter;            /* of the last plan that was signed for it, or that it took */
    char offered[EVENT_REV_MAX]; /* the plan that was sent on this connection */
    bool looking;                /* it was asked on this connection to look */
    uint64_t look;               /* id of the last look that was asked for; 0: none */
    uint64_t looked;             /* as it last answered */
    enum hub_look kind;          /* of that look, or of a stronger one that is not answered */
    json_t *state;               /* newest of this pass, or NULL */
    uint64_t to_ack;             /* answered once it is committed */
    uint64_t last_seq;           /* highest that was taken from this incarnation */
    struct bucket events, states, hellos;
    unsigned stored; /* events since its old ones were last removed */
    uint64_t held;   /* lowest number that was left for later; 0: none */
    uint64_t held_at;
    bool has_past;
    uint64_t past;        /* events up to this one happened before the agent connected */
    bool used_key;        /* its one-time key was offered and refused, not yet said */
    uint64_t said[RARES]; /* monotonic; 0: never */
    uint64_t roster_sent; /* epoch */
};

struct blob {
    char sha256[SHA256_HEX_SIZE];
    char *path;
};

struct hub {
    const struct spec *spec;
    struct store *store;
    struct hub_hooks hooks;
    const struct sign_pair *sign;
    struct zctx *ctx;
    struct zap *zap;
    struct zsock *enrol;
    struct zsock *main;
    struct httpd *httpd;
    struct peer *peers;
    struct keyindex keys;
    struct blob blobs[HUB_BLOBS_MAX];
    size_t n_blobs;
    char *roster;     /* current text */
    bool roster_made; /* from the nodes' present keys */
    uint64_t roster_epoch;
    uint64_t look_id;
    uint64_t measure_id; /* of the last part of a network test */
    bool service;
    enum hub_look first;
    /* Of thousands of nodes a pass looks at those from which something came, and not at all. */
    size_t *touched; /* indices */
    size_t n_touched;
    bool all;           /* something changed for all of them */
    uint64_t all_at;    /* monotonic: when all were looked at */
    bool reload;        /* some are to be read from the store again */
    bool refused;       /* a one-time key was, and that is not said yet */
    uint64_t states_at; /* monotonic: when states were last stored */
    unsigned cuts;      /* of connections, as last said */
    uint64_t cuts_said;
    uint64_t pruned; /* monotonic: when the next node's old events were last removed */
    size_t prune_next;
};

/* bounds.c: what an agent that goes wrong, or is another's, can use up. */
bool bucket_take(struct bucket *b, double burst, double per_s, uint64_t now);
/* Milliseconds until one can be taken. */
int bucket_due_ms(const struct bucket *b, double per_s, uint64_t now);
/* Whether that event may be stored now. One that may not is not acknowledged, nor are those after
 * it: the agent keeps them and sends them again. */
bool hub_has_credit(struct peer *p, uint64_t seq);
bool hub_state_due(const struct hub *h, struct peer *p);
bool hub_hello_due(struct peer *p);
/* Removes old events, of one node at a time. */
int hub_prune(struct hub *h, struct err *err);
/* Whether a key that nobody knows is refused on both sockets, as it must be: tried. */
int hub_self_test(struct hub *h, const struct hub_config *c, struct err *err);
/* Whether there are descriptors for that many agents. */
int hub_files(size_t agents, struct err *err);

void hub_touch(struct hub *h, struct peer *p);

/* After something of a pass failed: nothing of it is stored, so nothing is acknowledged. */
void hub_give_up(struct hub *h);

/* enrol.c: who may speak, and what the hub says of those who may not. */
bool hub_allow(void *ctx, const char *domain, const char *address, const uint8_t key[KEY_SIZE],
               char ret_user[ZSOCK_USER_MAX]);
/* User-Id on the main socket: the node's place in the file and the start of its key, so that a
 * connection made with a key that was replaced is recognised with each message. */
void hub_main_user(const struct hub *h, const struct peer *p, char ret[ZSOCK_USER_MAX]);
/* The node that speaks under this User-Id of the main socket, or NULL. */
struct peer *hub_main_peer(struct hub *h, const char *user);
int hub_reload(struct hub *h, struct peer *p, const char *name, struct err *err);
/* Takes some of the enrolments that wait; returns how many messages there were. */
int hub_drain_enrol(struct hub *h, struct err *err);
/* An event of the controller, at most once in an hour: a peer cannot fill the store with it. */
int hub_note_rarely(struct hub *h, uint64_t *said, const char *node, const char *id,
                    const char *msg, struct err *err);
int hub_note_refusals(struct hub *h, struct err *err);
void hub_answer(struct zsock *s, const struct zmsg *to, enum proto_type t, json_t *members);

#endif
