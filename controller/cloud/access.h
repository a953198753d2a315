/* SPDX-License-Identifier: Apache-2.0 */
/* How to reach the deployment's cloud: its endpoint and keys, from the places that operators keep
 * them in. For the local cloud, starts it when it is not running. */
#ifndef MUSTER_CONTROLLER_CLOUD_ACCESS_H
#define MUSTER_CONTROLLER_CLOUD_ACCESS_H

#include "controller/cloud/cloud.h"
#include "controller/spec/spec.h"

/* `ret_host` (64 bytes): this machine's address as the VMs reach it. `start`: whether the local
 * cloud may be started. Without credentials: ERR_CREDENTIALS and where they are looked for. */
int access_find(const struct spec *s, bool start, struct cloud_access *ret, char *ret_host,
                struct err *err);

/* A cloud that can be called. */
struct reach {
    struct http *http;
    struct cloud *cloud;
    char host[64];
};
int access_open(const struct spec *s, bool start, struct reach *ret, struct err *err);
void access_close(struct reach *r);

/* Absolute path of a program that belongs to us: beside this one, else in PATH's usual directories.
 * The caller frees; NULL when there is none. */
char *access_program(const char *name);

#endif
