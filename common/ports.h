/* SPDX-License-Identifier: Apache-2.0 */
/* TCP ports, each named once. docs/protocol.md, "Ports", says who listens, who connects and why. */
#ifndef MUSTER_COMMON_PORTS_H
#define MUSTER_COMMON_PORTS_H

#define PORT_CONTROLLER 7400 /* the file's controller.port, when it names none */
/* What is added to controller.port. */
enum { PORT_ENROL, PORT_MAIN, PORT_BLOB, PORT_OFFSETS };

#define PORT_HEALTH 7404
#define PORT_HEALTH_CHECK 7405

#define PORT_PEER 7410    /* a roster without one means this */
#define PORT_NETTEST 7411 /* open while the throughput of one pair is measured */

#define PORT_DATABASE 3306
#define PORT_GALERA 4567
#define PORT_GALERA_IST 4568
#define PORT_GALERA_SST 4444
#define PORT_SQL_EXTRA 3307

#define PORT_SHARE 22000 /* Syncthing, between nodes that share directories */
#define PORT_FILES 7406  /* the web server, for peers that lack a file of those directories */

#define PORT_SSH 22
#define PORT_HTTP 80
#define PORT_HTTPS 443
#define PORT_SITE 8080 /* the web server behind a front door */

#define PORT_MAX 65535

/* A port within a literal: "127.0.0.1:" PORT_TEXT(PORT_HTTP). */
#define PORT_TEXT(port) PORT_TEXT_OF(port)
#define PORT_TEXT_OF(port) #port

#endif
