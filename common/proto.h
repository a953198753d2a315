/* SPDX-License-Identifier: Apache-2.0 */
/* The wire between agent and controller: a closed set of records, each one JSON object in one
 * frame, told apart by member "t". docs/protocol.md lists the members. Pure: no I/O. */
#ifndef MUSTER_PROTO_H
#define MUSTER_PROTO_H

#include <jansson.h>

#include "err.h"

#define PROTO_VERSION 2 /* since 2 plans are signed; the hub still speaks 1 to an agent of 1 */
#define PROTO_SIGNED_PLANS 2
#define PROTO_ENROL_MAX 4096         /* bytes of one message on the enrolment socket */
#define PROTO_MAIN_MAX (1024 * 1024) /* bytes of one message from the controller: plans */
#define PROTO_UP_MAX (64 * 1024)     /* bytes of one message to the controller's main socket */
#define PROTO_PEER_MAX (64 * 1024)   /* bytes of one message between agents */

#define PROTO_DOMAIN_ENROL "enrol" /* ZAP domains */
#define PROTO_DOMAIN_MAIN "main"
#define PROTO_DOMAIN_PEER "peer"

enum proto_type {
    PROTO_ENROL,   /* agent -> enrol socket: {t,v,curve,seal} public halves, hex */
    PROTO_BOUND,   /* -> agent: the keys are the node's now */
    PROTO_REFUSED, /* -> agent: {t,why} and nothing else will help */
    PROTO_HELLO,   /* agent -> main: {t,v,agent,boot,rev,last_seq,counter,facts} */
    PROTO_PLAN,    /* -> agent: {t,text,sig}; to one of version 1: {t,plan} */
    PROTO_ROSTER,  /* -> agent: {t,roster,sig} roster is the signed text itself */
    PROTO_EVENT,   /* agent -> main: {t,event} */
    PROTO_ACK,     /* -> agent: {t,seq} events up to and including seq are stored */
    PROTO_STATE,   /* agent -> main: {t,state} what the node is now */
    PROTO_LOOK,    /* -> agent: {t,id} compare with the plan now, repair, and answer in the state */
    PROTO_MEASURE, /* -> agent: {t,id,order} a part of a network test (nettest.h) */
    PROTO_MEASURED, /* agent -> main: {t,id,ok,why,figures} how it ended */
    PROTO_TYPES
};

/* What a node is at: member `phase` of its state. */
enum proto_phase {
    PHASE_UNKNOWN, /* it was not said, or in no word that is known */
    PHASE_ENROLLED,
    PHASE_CONVERGING, /* a run of its plan is at work */
    PHASE_READY,      /* the last run ended well */
    PHASE_FAILED,     /* it did not, and is tried again */
    PHASES
};

const char *proto_type_name(enum proto_type t);
const char *proto_phase_name(enum proto_phase p);
/* The phase of that state; NULL, or a state without one: PHASE_UNKNOWN. */
enum proto_phase proto_phase_of(const json_t *state);
/* Parses and checks the envelope: an object with a known "t". *ret is a new reference. */
int proto_parse(const char *text, size_t len, enum proto_type *ret_type, json_t **ret,
                struct err *err);
/* Builds {"t": name, ...} from `members` (its reference is taken; NULL for none) as text; the
 * caller frees. */
char *proto_text(enum proto_type t, json_t *members);

#endif
