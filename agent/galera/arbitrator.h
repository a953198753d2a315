/* SPDX-License-Identifier: Apache-2.0 */
/* The plan's arbitrator step as a value, shared by the step itself and by the coordinator's
 * actions: garbd of Debian's package under a unit of our own, which nothing but the coordinator
 * starts. */
#ifndef MUSTER_AGENT_GALERA_ARBITRATOR_H
#define MUSTER_AGENT_GALERA_ARBITRATOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

#define ARBITRATOR_SERVICE "muster-arbitrator"
#define ARBITRATOR_CONF "/etc/muster-arbitrator"
#define ARBITRATOR_CA ARBITRATOR_CONF "/ca.pem"
#define ARBITRATOR_CERT ARBITRATOR_CONF "/cert.pem"
#define ARBITRATOR_KEY ARBITRATOR_CONF "/key.pem"
/* Where systemd gives the key to garbd's own user, whom it makes for it. */
#define ARBITRATOR_KEY_READ "/run/credentials/" ARBITRATOR_SERVICE ".service/key.pem"
#define ARBITRATOR_STATE "Arbitrator" /* member `state` of a look at one that runs */

struct arbitrator {
    const char *cluster, *node, *address;
    const json_t *members;
    uint64_t segment, weight;
    const json_t *settings; /* of the file; those of the group count here */
    const json_t *tls;
    const char *ca, *cert, *key; /* of `tls`, PEM; the key is a reference to a secret */
};

/* Borrowed from `spec`. */
int arbitrator_read(const json_t *spec, struct arbitrator *ret, struct err *err);
bool arbitrator_is(const json_t *spec);
/* The file that garbd reads. New text. */
char *arbitrator_conf(const struct arbitrator *a);

/* What the coordinator's actions do. */
int arbitrator_start(struct err *err);
/* It leaves its group in order. */
int arbitrator_stop(struct err *err);
/* A look: docs/protocol.md section 4, member `db`. New reference. */
json_t *arbitrator_status(void);

#endif
