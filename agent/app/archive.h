/* SPDX-License-Identifier: Apache-2.0 */
/* An application's archive and the version that is made of it. */
#ifndef MUSTER_AGENT_APP_ARCHIVE_H
#define MUSTER_AGENT_APP_ARCHIVE_H

#include <stdbool.h>

#include "agent/sys/run.h"

#define RELEASE_LEN 16 /* characters of a version's name, which are the digest's first */

/* <root>.d/<version>; the caller frees. */
char *archive_release(const char *root, const char *sha256);
/* Where it is kept until the version is made; the caller frees. */
char *archive_path(const char *sha256);
/* It is there, with this digest. */
bool archive_there(const char *sha256);
/* Gets it from the URL when it is not. */
int archive_url_check(const char *url, struct err *err);
/* For the tests: apt's option for what the controller itself offers, or NULL. */
char *archive_direct(const char *url, const char *sha256);
int archive_get(const char *url, const char *sha256, struct run *run, struct err *err);

#endif
