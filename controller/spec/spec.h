/* SPDX-License-Identifier: Apache-2.0 */
/* The deployment file as a plain struct: what the operator wants, checked as a whole. Pure.
 * docs/file.md describes every key. Texts are bounded; the arrays belong to the spec. */
#ifndef MUSTER_CONTROLLER_SPEC_SPEC_H
#define MUSTER_CONTROLLER_SPEC_SPEC_H

#include <jansson.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/ipv4.h"
#include "common/str.h"
#include "controller/spec/yaml.h"

#define SPEC_NAME_MAX 33  /* names that become host names and files, with the NUL */
#define SPEC_LABEL_MAX 81 /* names at the cloud */
#define SPEC_PATH_MAX 256

#define PACKAGES_LOCK_TIMEOUT_S 600
#define PACKAGES_LOCK_TIMEOUT_MAX_S (24 * 3600)

enum frontdoor_tls {
    FRONTDOOR_PLAIN,
    FRONTDOOR_GIVEN, /* certificate and key are files */
    FRONTDOOR_SELF_SIGNED,
};

enum cloud_kind { CLOUD_LOCAL, CLOUD_VDC, CLOUD_CLOUDSTACK, CLOUD_NONE, CLOUD_KINDS };

struct cidr {
    struct ipv4_net net;
    char text[20];
};

struct spec_zone {
    char name[SPEC_LABEL_MAX];
    struct cidr gateway;
    char gateway_offering[SPEC_LABEL_MAX]; /* stock CloudStack: network offering */
    bool egress_all;
    struct cidr private;
    bool has_private;
    char group[SPEC_LABEL_MAX]; /* VDC: Direct Connect Group */
    /* stock CloudStack: one of a network that is there, and a tier of a VPC */
    char network[SPEC_LABEL_MAX];
    char vpc[37];
    char private_offering[SPEC_LABEL_MAX];
};

struct spec_port {
    uint16_t public_port;
    uint16_t private_port;
};

struct spec_disk {
    bool present;
    uint64_t size; /* bytes, whole GiB */
    char offering[SPEC_LABEL_MAX];
    char wipe[37]; /* UUID of the volume that may be wiped, or "" */
};

struct spec_node {
    char name[SPEC_NAME_MAX];
    size_t zone;
    char template[SPEC_LABEL_MAX];
    char offering[SPEC_LABEL_MAX];
    char address[64]; /* cloud: none: how it is reached from outside, or "" */
    unsigned weight;  /* in the quorum of the database cluster: 1 to 255 */
    bool arbitrator;  /* counts in that quorum, and has neither data nor a site */
    struct spec_disk disk;
    struct spec_port *ports;
    size_t n_ports;
};

struct spec_app {
    bool present;
    char name[SPEC_NAME_MAX];
    char url[1024];           /* one of url and path */
    char path[SPEC_PATH_MAX]; /* archive or directory, as written in the file */
    char sha256[65];          /* required with url */
    char database[SPEC_NAME_MAX];
    char root[SPEC_PATH_MAX];
    char site[SPEC_PATH_MAX]; /* how visitors call it, "https://www.example.org"; "": as its node */
    /* What "ready" means from outside: this page answers 2xx and has this text; "": not said. */
    char health_path[SPEC_PATH_MAX];
    char health_expect[SPEC_PATH_MAX];
    bool sessions; /* PHP's sessions are in the database */
    unsigned strip;
    json_t *writable; /* arrays as the plan takes them, variables not yet replaced */
    json_t *shared;   /* of {path, ignore}: those of `writable` that all nodes have the same of */
    json_t *config;
    json_t *install;
};

struct spec {
    char deployment[SPEC_NAME_MAX];
    enum cloud_kind cloud;
    bool drift_repair;   /* the hub has what differs repaired, not only named */
    bool stock;          /* speaks stock CloudStack, not the VDC's dialect */
    char hypervisor[16]; /* local cloud: as deployVirtualMachine calls it, "" for its own choice */
    char profile[SPEC_NAME_MAX];
    char region[16];             /* VDC: "" leaves the choice to the server */
    char controller_address[64]; /* as the VMs reach this machine; "": the local cloud knows */
    uint16_t controller_port;    /* the first of three */
    char keypair[SPEC_LABEL_MAX];
    char public_key[SPEC_PATH_MAX]; /* "": muster makes a pair of its own */
    char user[SPEC_NAME_MAX];       /* that the template lets in */
    struct spec_zone *zones;
    size_t n_zones;
    struct spec_node *nodes;
    size_t n_nodes;
    struct {
        bool repository;
        char url[1024];
        char suite[SPEC_LABEL_MAX];
        json_t *components;
        char *key;                    /* armored; NULL: it is in a file */
        char key_path[SPEC_PATH_MAX]; /* as written in the file */
        unsigned lock_timeout;        /* seconds */
    } packages;
    struct {
        bool present;
        char cluster[SPEC_NAME_MAX];
        char mount[SPEC_PATH_MAX];
        char filesystem[8];
        bool fence;       /* of two members: the hub stops the VM of a lost one, and goes on */
        json_t *settings; /* of the server: texts by name; one with a '.' is an option of Galera */
    } database;
    struct {
        bool present;
        json_t *php;      /* array of module names */
        json_t *settings; /* php.ini values */
        char root[SPEC_PATH_MAX];
    } web;
    struct {
        bool present;
        enum frontdoor_tls tls;
        char certificate[SPEC_PATH_MAX], key[SPEC_PATH_MAX]; /* as written in the file */
        char dns[SPEC_PATH_MAX]; /* program that is told which sites serve, or "" */
    } frontdoor;
    struct {
        bool present;
        unsigned every, offset, keep; /* seconds; every 0: only by hand */
        json_t *put, *get;            /* argument vectors, or NULL */
    } backup;
    struct spec_app app;
};

/* Every problem of the file at once, one line each: "file:line:column: path: what". */
struct spec_problems {
    struct strbuf text;
    unsigned count;
};

/* 0, or -1 with at least one problem. `name` is the file's name for the messages. */
int spec_parse(const char *name, const struct yaml_doc *doc, struct spec *ret,
               struct spec_problems *problems);
void spec_free(struct spec *s);
void spec_problems_free(struct spec_problems *p);

/* The first node with data, which installs the application; n_nodes: there is none. */
size_t spec_first_data(const struct spec *s);

/* There are directories to share, and nodes to share them among. */
bool spec_shares_files(const struct spec *s);

/* "a.b.c.d/len" with zero host bits. */
int cidr_parse(const char *text, struct cidr *ret);
/* The address `n` after the base, as text into ret[16]. */
void cidr_host(const struct cidr *c, uint32_t n, char ret[IPV4_SIZE]);

#endif
