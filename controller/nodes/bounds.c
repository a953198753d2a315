/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent that goes wrong, or is another's, can use up; and whether the door is closed. */
#include <sys/resource.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/httpd.h"
#include "common/ports.h"
#include "common/str.h"
#include "controller/nodes/internal.h"

#define EVENTS_BURST 4000 /* of one agent; its outbox holds 1000, the first run makes some 100 */
#define EVENTS_PER_S 5
#define HELD_MS 60000 /* by then the agent has sent it again, or its outbox has dropped it */
#define STATES_BURST 20
#define STATES_PER_S 4
#define STATES_TOGETHER_MS 100
#define HELLOS_BURST 20
#define HELLOS_PER_S 1
#define EVENTS_KEPT 100000    /* of all agents */
#define EVENTS_KEPT_MIN 500   /* of one */
#define EVENTS_KEPT_MAX 20000 /* of one, and the controller's own */
#define PRUNE_EVERY_MS (60 * 60 * 1000)
#define SELF_TEST_MS 10000
#define FILES_SPARE 256

bool bucket_take(struct bucket *b, double burst, double per_s, uint64_t now)
{
    b->left = b->at ? b->left + (double)(now - b->at) * per_s / 1000 : burst;
    if (b->left > burst)
        b->left = burst;
    b->at = now ? now : 1;
    if (b->left < 1)
        return false;
    b->left--;
    return true;
}

int bucket_due_ms(const struct bucket *b, double per_s, uint64_t now)
{
    double left = b->left + (double)(now - b->at) * per_s / 1000;

    return left >= 1 ? 0 : (int)((1 - left) * 1000 / per_s) + 1;
}

bool hub_has_credit(struct peer *p, uint64_t seq)
{
    uint64_t now = clock_mono_ms();

    if (p->held && seq > p->held && now - p->held_at < HELD_MS)
        return false;
    if (!bucket_take(&p->events, EVENTS_BURST, EVENTS_PER_S, now)) {
        p->held = seq;
        p->held_at = now;
        return false;
    }
    p->held = 0;
    p->stored++;
    return true;
}

/* Of many nodes the states are stored together. */
bool hub_state_due(const struct hub *h, struct peer *p)
{
    uint64_t now = clock_mono_ms();

    return now - h->states_at >= STATES_TOGETHER_MS &&
           bucket_take(&p->states, STATES_BURST, STATES_PER_S, now);
}

bool hub_hello_due(struct peer *p)
{
    return bucket_take(&p->hellos, HELLOS_BURST, HELLOS_PER_S, clock_mono_ms());
}

int hub_due_ms(const struct hub *h)
{
    int due = httpd_due_ms(h->httpd);
    uint64_t now = clock_mono_ms(), passed = now - h->states_at;
    int together = passed < STATES_TOGETHER_MS ? (int)(STATES_TOGETHER_MS - passed) : 0;

    for (size_t i = 0; i < h->n_touched; i++) {
        const struct peer *p = &h->peers[h->touched[i]];
        int own = p->state ? bucket_due_ms(&p->states, STATES_PER_S, now) : -1;

        if (p->state)
            due = clock_sooner(due, own > together ? own : together);
    }
    return due;
}

static uint64_t kept_of_one(size_t nodes)
{
    uint64_t kept = EVENTS_KEPT / (nodes ? nodes : 1);

    return kept < EVENTS_KEPT_MIN ? EVENTS_KEPT_MIN
                                  : (kept > EVENTS_KEPT_MAX ? EVENTS_KEPT_MAX : kept);
}

/* Each node in turn, all within an hour; at once one that stored many. */
int hub_prune(struct hub *h, struct err *err)
{
    size_t turns = h->spec->n_nodes + 1;
    uint64_t kept = kept_of_one(h->spec->n_nodes), now = clock_mono_ms();

    for (size_t i = 0; i < h->n_touched; i++) {
        size_t node = h->touched[i];

        if (h->peers[node].stored <= kept / 4)
            continue;
        h->peers[node].stored = 0;
        if (store_events_prune(h->store, h->spec->nodes[node].name, kept, err) < 0)
            return -1;
    }
    if (h->pruned && now - h->pruned < PRUNE_EVERY_MS / turns)
        return 0;
    h->pruned = now ? now : 1;
    h->prune_next = (h->prune_next + 1) % turns;
    return h->prune_next == h->spec->n_nodes
               ? store_events_prune(h->store, NULL, EVENTS_KEPT_MAX, err)
               : store_events_prune(h->store, h->spec->nodes[h->prune_next].name, kept, err);
}

int hub_files(size_t agents, struct err *err)
{
    size_t needed = 2 * agents + FILES_SPARE;
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= needed)
        return 0;
    return err_set(err, ERR_FAILED,
                   "%llu files may be open at a time, %zu nodes need %zu: raise the limit ('ulimit "
                   "-n %zu', of a service LimitNOFILE=%zu)",
                   (unsigned long long)files.rlim_cur, agents, needed, needed, needed);
}

static int is_refused(struct hub *h, const struct hub_config *c, unsigned offset, struct err *err)
{
    _cleanup_free_ char *to =
        str_fmt("tcp://%s:%u", str_eq(c->listen, "*") ? "127.0.0.1" : c->listen, c->port + offset);
    uint64_t end = clock_mono_ms() + SELF_TEST_MS;
    struct curve_pair own;
    struct zsock *s;
    bool refused = false, in = false;

    keys_curve_new(&own);
    s = zsock_client(h->ctx, &own, c->keys->pub, PROTO_ENROL_MAX, to, err);
    keys_wipe(&own, sizeof(own));
    if (!s)
        return -1;
    while (!refused && !in && clock_mono_ms() < end) {
        zap_serve(h->zap);
        refused = zsock_was_refused(s);
        in = zsock_handshakes(s) > 0;
        clock_pause_ms(1);
    }
    zsock_free(s);
    if (refused)
        return 0;
    return err_set(err, ERR_SAFETY,
                   in ? "the agents' port at %s let in a key that nobody knows; nothing was "
                        "started. Please report it, with the version of libzmq"
                      : "the agents' port at %s did not answer this program itself: does a packet "
                        "filter drop what goes over the loopback interface?",
                   to);
}

int hub_self_test(struct hub *h, const struct hub_config *c, struct err *err)
{
    return is_refused(h, c, PORT_ENROL, err) < 0 ? -1 : is_refused(h, c, PORT_MAIN, err);
}
